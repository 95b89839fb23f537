// carillon serve as an operator meets it: the ready line, where settings come from, and why it does not start.
import assert from 'node:assert/strict';
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, readdirSync, statSync, writeFileSync, writeSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { post, publish, request } from './lib/http.mjs';
import { eventually } from './lib/wait.mjs';

const LISTEN = ['--public.listen=127.0.0.1:0', '--api.listen=127.0.0.1:0'];

async function takePort(scope) {
    const server = net.createServer();
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => new Promise((resolve) => server.close(resolve)));
    return server.address().port;
}

// It did not start: status 1, nothing on standard output, one sentence on standard error that names `about`.
function refusedWithOneSentence({ code, stdout, stderr }, about) {
    const seen = `code=${code} stdout=${stdout} stderr=${stderr}`;
    assert.equal(code, 1, seen);
    assert.equal(stdout, '', seen);
    const lines = stderr.split('\n').filter(Boolean);
    assert.equal(lines.length, 1, `one line expected, ${seen}`);
    assert.match(lines[0], about, seen);
}

const accepts = async (hub, bytes) => (await post(hub, 'size', 'x'.repeat(bytes), { headers: { 'Content-Type': 'text/plain' } })).status;

scenario('the ready line names both addresses and the process, and is all of standard output', async (scope) => {
    const hub = await scope.hub();
    assert.equal(hub.readyPid, hub.pid);
    assert.ok(hub.public.port > 0 && hub.api.port > 0 && hub.public.port !== hub.api.port);
    assert.equal(hub.public.host, '127.0.0.1');
    assert.equal(hub.api.host, '127.0.0.1');
    assert.equal((await request(hub, '/health/live')).status, 200);
    assert.equal((await hub.terminate()).code, 0);
    assert.equal(hub.run.stdout, `carillon ready public=127.0.0.1:${hub.public.port} api=127.0.0.1:${hub.api.port} pid=${hub.pid}\n`);
});

scenario('an INI file is read, the environment wins over it, and a flag over both', async (scope) => {
    const ini = path.join(scope.dir(), 'carillon.ini');
    writeFileSync(ini, '; as an operator writes it\n[limits]\nmessage = 1KiB\n\n[history]\nsize = 3 ; three are enough\n');
    const env = { CARILLON_LIMITS_MESSAGE: '2KiB' };
    const byFile = await scope.hub({ args: ['--config', ini] });
    const byEnv = await scope.hub({ args: ['--config', ini], env });
    const byFlag = await scope.hub({ args: ['--config', ini, '--limits.message=3KiB'], env });
    const seen = [];
    for (const hub of [byFile, byEnv, byFlag]) for (const size of [1024, 1025, 2048, 2049, 3072, 3073]) seen.push(await accepts(hub, size));
    assert.deepEqual(seen, [201, 413, 413, 413, 413, 413,
        201, 201, 201, 413, 413, 413,
        201, 201, 201, 201, 201, 413]);
    for (let i = 0; i < 5; i++) await publish(byFlag, 'three', `${i}`);
    const kept = await request(byFlag, '/v1/channels/three/messages');
    assert.deepEqual(kept.json.data.map((m) => m.data), ['2', '3', '4'], 'what only the file says holds too');
});

scenario('CARILLON_CONFIG names the file as --config does', async (scope) => {
    const ini = path.join(scope.dir(), 'hub.ini');
    writeFileSync(ini, '[limits]\nmessage = 1KiB\n');
    const hub = await scope.hub({ env: { CARILLON_CONFIG: ini } });
    assert.deepEqual([await accepts(hub, 1024), await accepts(hub, 1025)], [201, 413]);
});

scenario('SIGHUP takes over what may change while running, and drops no connection', async (scope) => {
    const ini = path.join(scope.dir(), 'hub.ini');
    writeFileSync(ini, '[limits]\nmessage = 1KiB\n');
    const hub = await scope.hub({ args: ['--config', ini] });
    const stream = await scope.sse(hub, '/sse?channel=size');
    const socket = await scope.ws(hub, '/ws?channel=size');
    await stream.ready();
    await socket.get('subscribed');
    assert.equal(await accepts(hub, 2000), 413);
    writeFileSync(ini, '[limits]\nmessage = 4KiB\n');
    hub.run.signal('SIGHUP');
    await eventually(async () => (await accepts(hub, 2000)) === 201, 'the new limit to be in force');
    await Promise.all([stream.take(1), socket.take(1)]);
    assert.equal(stream.ended, null);
    assert.equal(socket.closed, null);
});

scenario('SIGHUP with a broken file keeps the running settings and says why', async (scope) => {
    const ini = path.join(scope.dir(), 'hub.ini');
    writeFileSync(ini, '[limits]\nmessage = 1KiB\n');
    const hub = await scope.hub({ args: ['--config', ini] });
    writeFileSync(ini, '[limits]\nmessage = 4KiB\nmesage = 5\n');
    hub.run.signal('SIGHUP');
    await hub.run.waitFor((run) => /limits\.mesage/.test(run.stderr), 'the mistake in the log');
    assert.deepEqual([await accepts(hub, 1024), await accepts(hub, 1025)], [201, 413]);
});

for (const [which, flags] of [
    ['public', (port) => [`--public.listen=127.0.0.1:${port}`, '--api.listen=127.0.0.1:0']],
    ['api', (port) => ['--public.listen=127.0.0.1:0', `--api.listen=127.0.0.1:${port}`]],
]) {
    scenario(`a ${which} port that is in use is one clear sentence and exit status 1`, async (scope) => {
        const port = await takePort(scope);
        const dir = scope.dir();
        const result = await scope.carillon(['serve', ...flags(port), `--store.dir=${dir}`, '--log.level=error']);
        refusedWithOneSentence(result, new RegExp(`127\\.0\\.0\\.1:${port}.*in use`, 'i'));
        const hub = await scope.hub({ dir });
        await publish(hub, 'a', 'the directory is free');
    });
}

scenario('a data directory that cannot be used is one clear sentence and exit status 1', async (scope) => {
    const file = path.join(scope.dir(), 'a-file');
    writeFileSync(file, 'not a directory');
    const result = await scope.carillon(['serve', ...LISTEN, `--store.dir=${file}/data`, '--log.level=error']);
    refusedWithOneSentence(result, /a-file/);
});

scenario('a data directory without permissions is one clear sentence and exit status 1', { skip: process.getuid() === 0 && 'root may read everything' }, async (scope) => {
    const dir = path.join(scope.dir(), 'closed');
    mkdirSync(dir);
    chmodSync(dir, 0);
    scope.defer(() => chmodSync(dir, 0o700));
    refusedWithOneSentence(await scope.carillon(['serve', ...LISTEN, `--store.dir=${dir}`, '--log.level=error']), /closed/);
});

scenario('a store that another process has open is refused, and the other is not disturbed', { ownEngine: 'a store of one process' }, async (scope) => {
    const hub = await scope.hub();
    const first = await publish(hub, 'a', 'one');
    const result = await scope.carillon(['serve', ...LISTEN, `--store.dir=${hub.dir}`, '--log.level=error']);
    refusedWithOneSentence(result, new RegExp(`${path.basename(hub.dir)}.*(open|use|lock)|(open|use|lock).*${path.basename(hub.dir)}`, 'i'));
    const second = await publish(hub, 'a', 'two');
    assert.equal(second.id.split('.')[0], first.id.split('.')[0]);
});

scenario('a store that a newer version has written is refused and left as it is', { ownEngine: 'a file of SQLite' }, async (scope) => {
    const dir = scope.dir();
    const hub = await scope.hub({ dir });
    const { id } = await publish(hub, 'a', 'one');
    assert.equal((await hub.terminate()).code, 0);
    const file = readdirSync(dir).map((name) => path.join(dir, name)).find((name) => statSync(name).size >= 512 && !/-(wal|shm)$/.test(name));
    assert.ok(file && !existsSync(`${file}-wal`), 'a clean stop leaves one database file without a log beside it');
    const setUserVersion = (bytes) => { const fd = openSync(file, 'r+'); writeSync(fd, bytes, 0, 4, 60); closeSync(fd); };   // SQLite file format §1.3
    const written = readFileSync(file).subarray(60, 64);
    setUserVersion(Buffer.from([0, 15, 66, 63]));
    const result = await scope.carillon(['serve', ...LISTEN, `--store.dir=${dir}`, '--log.level=error']);
    refusedWithOneSentence(result, /newer/i);
    setUserVersion(written);
    await hub.restart();
    const kept = await request(hub, '/v1/channels/a/messages');
    assert.deepEqual(kept.json.data.map((m) => m.id), [id]);
});

scenario('a wrong flag and a wrong value are told together, with the nearest key, before anything is started', async (scope) => {
    const dir = scope.dir();
    const result = await scope.carillon(['serve', ...LISTEN, `--store.dir=${dir}`, '--histroy.size=5', '--history.ttl=soon']);
    assert.equal(result.code, 1, result.stderr);
    assert.match(result.stderr, /histroy\.size.*history\.size/);
    assert.match(result.stderr, /history\.ttl.*soon|soon.*history\.ttl/);
    assert.equal(result.stdout, '');
    assert.deepEqual(readdirSync(dir), []);
});

scenario('--dev refuses an address that is not loopback', async (scope) => {
    const result = await scope.carillon(['serve', '--dev', '--public.listen=0.0.0.0:0', '--api.listen=127.0.0.1:0', '--store.dir=']);
    assert.equal(result.code, 1, result.stderr);
    assert.match(result.stderr, /dev.*loopback|loopback.*dev/i);
});

scenario('--dev says loudly that everything is open', async (scope) => {
    const hub = await scope.hub();
    assert.match(hub.log, /--?dev/);
});

scenario('SIGTERM and SIGINT end an idle hub at once with status 0', async (scope) => {
    for (const signal of ['SIGTERM', 'SIGINT']) {
        const hub = await scope.hub();
        hub.run.signal(signal);
        const { code } = await hub.run.end(5000);
        assert.equal(code, 0, `${signal}: ${hub.log}`);
    }
});

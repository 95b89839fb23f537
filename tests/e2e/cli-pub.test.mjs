// carillon pub in the shell: many messages of every kind, each once whatever happens to the line or the hub, and what went wrong in words.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { kept, keptMessages, messagesPath, request } from './lib/http.mjs';

const ROOMY = ['--history.size=1000000', '--history.bytes=1GiB', '--history.max_bytes=1GiB', '--history.ttl=1h'];
const linesOf = (text) => text.split('\n').slice(0, -1);
const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => String(from + i));
const url = (where) => `--url=http${where.tls ? 's' : ''}://${where.host}:${where.port}`;
const pub = (scope, hub, args, options) => scope.carillon(['pub', url(hub.api), ...args], options);
const KEY = `ck_${'5a'.repeat(32)}`;
const keyLine = `[keys]\nbackend = sha256:${createHash('sha256').update(KEY).digest('hex')}\n`;

scenario('pub --lines: a message a line, text or bytes or JSON as they are; ids in order, a summary', async (scope) => {
    const hub = await scope.hub();
    const { code, stdout, stderr } = await pub(scope, hub, ['--lines', '--event=e', 'a'], { input: Buffer.from('one\n\n"two" \xe9\xff\r\nlast', 'latin1') });
    const messages = await keptMessages(hub, 'a');
    assert.deepEqual([code, linesOf(stdout), stderr], [0, messages.map((m) => m.id), 'carillon pub: 4 published\n']);
    assert.deepEqual(messages.map((m) => [m.data, m.encoding, m.event]),
        [['one', undefined, 'e'], ['', undefined, 'e'], [Buffer.from('"two" \xe9\xff\r', 'latin1').toString('base64'), 'base64', 'e'], ['last', undefined, 'e']]);
    const json = await pub(scope, hub, ['--lines', '--json', '--quiet', 'j'], { input: '{"n":0.10}\nbroken\n[1]\n' });
    assert.deepEqual([json.code, json.stdout], [1, '']);
    assert.match(json.stderr, /^carillon pub: line 2: bad_json: .*\ncarillon pub: 2 published, 1 failed\n$/);
    assert.deepEqual(await kept(hub, 'j'), [{ n: 0.1 }, [1]]);
    assert.deepEqual(await pub(scope, hub, ['--lines', '--quiet', 'a'], { input: '' }), { code: 0, stdout: '', stderr: '' });
});

scenario('pub --ndjson: items of all forms, defaults of the command line, failures with their line, answers as JSON', async (scope) => {
    const hub = await scope.hub();
    const items = ['{"data":1}', '', '{"channel":"own","data":2,"event":"mine"}', 'broken', '{"channels":["x","y z","y"],"data":3}', '{"user":"ann","data":4}', '{"pattern":"x.*","data":5}',
        '{"channel":"bin","data":"AP8=","encoding":"base64"}', '[]'];
    const { code, stdout, stderr } = await pub(scope, hub, ['--ndjson', '--event=e', '--format=json', 'def'], { input: items.join('\n') });
    assert.equal(code, 1);
    const results = linesOf(stdout).map((line) => JSON.parse(line));
    assert.deepEqual(results.map((r) => [r.line, r.channel ?? r.pattern ?? r.code]),
        [[1, 'def'], [3, 'own'], [4, 'bad_json'], [5, 'x'], [5, 'bad_channel'], [5, 'y'], [6, 'user.ann'], [7, 'x.*'], [8, 'bin'], [9, 'bad_request']]);
    assert.match(stderr, /line 4: bad_json: [^]*line 5: bad_channel: [^]*line 9: bad_request: [^]*7 published, 3 failed\n$/);
    assert.deepEqual((await keptMessages(hub, 'own')).map((m) => [m.event, m.data]), [['mine', 2]]);
    assert.deepEqual((await keptMessages(hub, 'def')).map((m) => m.event), ['e']);
    const copied = await scope.carillon(['sub', url(hub.public), 'bin', 'own', '--since=all', '--count=2', '--format=ndjson']);
    const again = await pub(scope, hub, ['--ndjson', 'x'], { input: copied.stdout.replaceAll('"channel":"bin"', '"channel":"bin2"') });
    assert.equal(again.code, 0, again.stderr);
    assert.deepEqual((await keptMessages(hub, 'bin2')).map((m) => [m.data, m.encoding]), [['AP8=', 'base64']]);
});

scenario('pub to a pattern, to a user, many times; with conditions, ttl and exclude', async (scope) => {
    const hub = await scope.hub();
    assert.equal((await pub(scope, hub, ['--repeat=3', '--rate=1000', '--quiet', 'o.1', 'x'])).code, 0);
    assert.deepEqual(await kept(hub, 'o.1'), ['x', 'x', 'x']);
    const all = await pub(scope, hub, ['o.*', 'to all']);
    assert.deepEqual([all.code, all.stdout, all.stderr], [0, '', 'carillon pub: o.*: 1 channel\n']);
    const told = await pub(scope, hub, ['--user=ann', 'hi'], {});
    assert.equal((await keptMessages(hub, 'user.ann'))[0].id, told.stdout.trim());
    const id = (await pub(scope, hub, ['--if-position=none', 'doc', 'v1'])).stdout.trim();
    const late = await pub(scope, hub, ['--if-position=none', 'doc', 'v1']);
    assert.deepEqual([late.code, late.stdout], [1, '']);
    assert.match(late.stderr, /412 position_changed/);
    assert.equal((await pub(scope, hub, [`--if-position=${id}`, '--ttl=1h', '--exclude=me', '--json', 'doc', '[2]'])).code, 0);
    assert.deepEqual(await kept(hub, 'doc'), ['v1', [2]]);
    assert.match((await pub(scope, hub, ['--ttl=soon', 'doc', 'x'])).stderr, /400 bad_field: ttl is a duration/);
    assert.deepEqual(JSON.parse((await pub(scope, hub, ['--format=json', 'doc', 'x'])).stdout).channel, 'doc');
});

scenario('an idempotency key of one\'s own: the same command again publishes only what is missing', async (scope) => {
    const hub = await scope.hub();
    const first = await pub(scope, hub, ['--idempotency-key=import', '--lines', 'a'], { input: 'one\ntwo\n' });
    const again = await pub(scope, hub, ['--idempotency-key=import', '--lines', 'a'], { input: 'one\ntwo\nthree\n' });
    assert.deepEqual(linesOf(again.stdout).slice(0, 2), linesOf(first.stdout));
    assert.match(again.stderr, /3 published \(2 of them before/);
    const single = ['--idempotency-key=k', 'a', 'four'];
    assert.equal((await pub(scope, hub, single)).stdout, (await pub(scope, hub, single)).stdout);
    assert.deepEqual(await kept(hub, 'a'), ['one', 'two', 'three', 'four']);
});

scenario('ctrl-C in the middle of many: what was sent has its results, and how many they were is said', async (scope) => {
    const hub = await scope.hub();
    const run = scope.run(['pub', url(hub.api), '--repeat=0', '--rate=200', 'load', 'x']);
    await run.waitFor(() => linesOf(run.stdout).length > 5, 'some ids');
    run.signal('SIGINT');
    assert.equal((await run.end()).code, 130, run.state());
    assert.equal(run.stderr, `carillon pub: ${linesOf(run.stdout).length} published\n`);
    assert.equal((await kept(hub, 'load')).length, linesOf(run.stdout).length);
});

scenario('kill -9 of the hub in the middle of --ndjson: every line is published once, in order', async (scope) => {
    const hub = await scope.hub({ args: ROOMY });
    const run = scope.run(['pub', url(hub.api), '--ndjson'], { input: null });
    const count = 30000, part = count / 3;
    const say = (from, to) => run.child.stdin.write(numbers(from, to).map((n) => `{"channel":"c.${n % 3}","data":${n}}\n`).join(''));
    for (let round = 0; round < 3; round++) {
        say(round * part, (round + 1) * part);
        await run.waitFor(() => linesOf(run.stdout).length > round * part, 'some results');
        if (round === 2) break;
        await hub.kill9();
        await hub.restart();
    }
    run.child.stdin.end();
    assert.equal((await run.end()).code, 0, run.state());
    const ids = linesOf(run.stdout);
    assert.deepEqual([ids.length, new Set(ids).size], [count, count]);
    for (let c = 0; c < 3; c++) assert.deepEqual(await kept(hub, `c.${c}`), numbers(0, count).map(Number).filter((n) => n % 3 === c));
    assert.match(run.stderr, /30000 published/);
});

scenario('a line that is cut again and again: every message once, in order', async (scope) => {
    const hub = await scope.hub({ args: ROOMY });
    const line = await scope.proxy(hub.api);
    const count = 20000;
    const run = scope.run(['pub', url(line), '--lines', 'cut'], { input: null });
    run.child.stdin.write(numbers(0, count / 2).join('\n'));
    for (let cuts = 0; cuts < 4; cuts++) {
        await run.waitFor(() => linesOf(run.stdout).length > cuts * count / 10, 'some results');
        line.cut();
    }
    run.child.stdin.end(`\n${numbers(count / 2, count).join('\n')}`);
    assert.equal((await run.end()).code, 0, run.state());
    assert.deepEqual(await kept(hub, 'cut'), numbers(0, count));
    assert.equal(new Set(linesOf(run.stdout)).size, count);

});

scenario('a single message whose answer never came is published once', async (scope) => {
    const hub = await scope.hub({ tls: null });
    let connections = 0;
    const line = net.createServer((client) => {      // the hub's answer to the first one is lost
        const behind = net.connect(hub.api.port, hub.api.host), first = ++connections === 1;
        client.on('error', () => {}).on('close', () => behind.destroy()).pipe(behind);
        behind.on('error', () => {}).on('data', (bytes) => (first ? client.destroy() : client.write(bytes)));
    });
    await new Promise((resolve) => line.listen(0, '127.0.0.1', resolve));
    scope.defer(() => line.close());
    const one = await scope.carillon(['pub', `--url=http://127.0.0.1:${line.address().port}`, 'one', '-'], { input: 'once' });
    assert.equal(one.code, 0, one.stderr);
    assert.match(one.stderr, /again in/);
    const [message, ...more] = await keptMessages(hub, 'one');
    assert.deepEqual([message.data, message.id, more], ['once', one.stdout.trim(), []]);
    const careless = await scope.carillon(['pub', `--url=http://127.0.0.1:${line.address().port}`, '--retry=0', 'one', 'x']);
    assert.deepEqual([careless.code, connections], [0, 3]);
});

scenario('what the hub cannot take now is published later; what it refuses is not, and both are said', async (scope) => {
    const ini = path.join(scope.dir(), 'carillon.ini');
    writeFileSync(ini, `${keyLine}[rates]\npublishes_per_key = 40/1s burst 20\n`);
    const hub = await scope.hub({ dev: false, args: ['--config', ini] });
    const limited = await pub(scope, hub, ['--lines', 'a', `--key=${KEY}`], { input: numbers(0, 40).join('\n') });
    assert.equal(limited.code, 0, limited.stderr);
    assert.equal((await request(hub, messagesPath('a'), { headers: { 'X-API-Key': KEY } })).json.data.length, 40);
    assert.equal(new Set(linesOf(limited.stdout)).size, 40);
    const impatient = await pub(scope, hub, ['--lines', 'a', '--retry=0', `--key=${KEY}`], { input: numbers(0, 60).join('\n') });
    assert.equal(impatient.code, 1);
    assert.match(impatient.stderr, /line \d+: rate_limited: .*\n[^]*… and more[^]*published, \d+ failed\n$/);
    const nobody = await pub(scope, hub, ['--lines', 'a'], { input: 'x\ny\n' });
    assert.equal(nobody.code, 1);
    assert.match(nobody.stderr, /line 1: unauthenticated: .*--key or --token[^]*0 published, 2 failed/);
});

scenario('hubs that are not there, ports that are other ones: a sentence each', async (scope) => {
    const hub = await scope.hub({ env: { CARILLON_API_URL: 'http://127.0.0.1:1' } });
    assert.doesNotMatch(hub.log, /CARILLON_API_URL/, 'what is for pub is no setting that nobody knows');
    const wrong = await scope.carillon(['pub', url(hub.public), 'a', 'x']);
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /no_body_here: .*is this the hub's API listener\? --url and CARILLON_API_URL/);
    assert.match((await scope.carillon(['pub', url(hub.public), '--lines', 'a'], { input: 'x\n' })).stderr, /is this the hub's API listener\?/);
    const from = await scope.carillon(['pub', 'a', 'x'], { env: { CARILLON_API_URL: hub.apiUrl('/') } });
    assert.equal(from.code, 0, from.stderr);
    await hub.kill9();
    for (const more of [['a', 'x'], ['--repeat=2', 'a', 'x']]) {
        const away = await scope.carillon(['pub', url(hub.api), ...more]);
        assert.equal(away.code, 1);
        assert.match(away.stderr, new RegExp(`${hub.api.port}.*is a hub running there \\(carillon serve\\)\\? --url and CARILLON_API_URL`));
    }
    const patient = scope.run(['pub', url(hub.api), '--retry=20s', 'a', 'late']);
    await patient.waitFor(() => /again in/.test(patient.stderr), 'that it waits');
    await hub.restart();
    assert.equal((await patient.end()).code, 0, patient.stderr);
    assert.deepEqual(await kept(hub, 'a'), ['x', 'late']);
});

// Redis, Sentinel and systemd with the settings of deploy/: they are taken, and a hub has all the rights it needs and not more.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from '../e2e/lib/scope.mjs';
import { BINARY } from '../e2e/lib/hub.mjs';
import { post, publish, request } from '../e2e/lib/http.mjs';
import { eventually } from '../e2e/lib/wait.mjs';
import { adapted, freePort, settings } from './lib/front.mjs';

const TEXT = { 'Content-Type': 'text/plain' };
const cli = (port, ...args) => spawnSync('redis-cli', ['-p', `${port}`, '--no-auth-warning', ...args], { encoding: 'utf8' }).stdout.trim();
const asAdmin = (port, ...args) => cli(port, '--user', 'admin', '--pass', 'CHANGE-ME-LAST', ...args);

function run(scope, ...command) {
    const child = spawn(command[0], command.slice(1), { stdio: 'ignore' });
    const ended = new Promise((resolve) => child.on('close', resolve));
    scope.defer(() => { child.kill('SIGKILL'); return ended; });
    return child;
}

// deploy/redis.conf with the addresses of here; `more`: lines at the end.
async function redis(scope, more = '') {
    const dir = scope.dir(), port = await freePort(), conf = path.join(dir, 'redis.conf'), acl = path.join(dir, 'users.acl');
    writeFileSync(acl, settings('users.acl'));
    writeFileSync(conf, adapted(settings('redis.conf'), [[/^bind .*/m, 'bind 127.0.0.1'], [/^port .*/m, `port ${port}`], [/^dir .*/m, `dir ${dir}`], [/^aclfile .*/m, `aclfile ${acl}`]]) + `repl-diskless-sync-delay 0\n${more}`);
    const child = run(scope, 'redis-server', conf);
    await eventually(() => asAdmin(port, 'PING') === 'PONG', 'a Redis that answers');
    return { port, child };
}

const hubOn = (scope, url) => {
    const dir = scope.dir();
    writeFileSync(path.join(dir, 'redis.url'), `${url}\n`, { mode: 0o600 });
    return scope.hub({ memory: true, tls: null, args: ['--redis.url=credential:redis.url'], env: { CREDENTIALS_DIRECTORY: dir } });
};
const isReady = (hub) => eventually(async () => (await request(hub, '/health/ready')).status === 200, 'a hub that is ready', undefined, () => hub.log);

scenario('redis.conf and users.acl: two hubs work with the rights they are given, which are those and no more; without a replica nothing is taken', async (scope) => {
    const { port } = await redis(scope), url = `redis://carillon:CHANGE-ME@127.0.0.1:${port}`;
    const one = await hubOn(scope, url);
    const why = async () => /NOREPLICAS|replicas/i.test((await request(one, '/health/ready')).json.checks.redis.reason ?? '');
    await eventually(why, 'a hub that says why it is not ready', undefined, async () => (await request(one, '/health/ready')).text);
    assert.equal((await post(one, 'a', 'x')).status, 503);
    await redis(scope, `replicaof 127.0.0.1 ${port}\nmasteruser replica\nmasterauth CHANGE-ME-TOO\n`);
    await eventually(() => /min_slaves_good_slaves:1|state=online/.test(asAdmin(port, 'INFO', 'replication')), 'a replica');
    const two = await hubOn(scope, url);
    await Promise.all([isReady(one), isReady(two)]);
    const stream = await scope.sse(two, '/sse?channel=a.*'), other = await scope.ws(two, '/ws?channel=a.b');
    await Promise.all([stream.ready(), other.get('subscribed')]);
    await eventually(async () => (await post(one, 'a.b', 'hello', { headers: { ...TEXT, 'Idempotency-Key': 'k' } })).status === 201, 'a publish that is taken');
    await other.waitFor(() => other.messages.at(-1)?.data === 'hello', 'the message');
    await stream.waitFor(() => stream.messages.length === 1 && JSON.parse(stream.messages[0].data).data === 'hello', 'the message by the pattern');
    assert.equal((await request(two, '/v1/channels/a.b/messages')).json.data.length, 1);
    assert.equal((await request(two, '/v1/channels/a.b/messages', { method: 'DELETE' })).status < 300, true);
    assert.doesNotMatch(one.log + two.log, /NOPERM/);
    for (const [command, ...args] of [['FLUSHALL'], ['CONFIG', 'GET', '*'], ['GET', 'other'], ['KEYS', '*'], ['SUBSCRIBE', 'other'], ['SHUTDOWN']])
        assert.match(cli(port, '--user', 'carillon', '--pass', 'CHANGE-ME', command, ...args), /NOPERM/, command);
    assert.match(cli(port, 'PING'), /NOAUTH/);
    assert.equal(asAdmin(port, 'CONFIG', 'GET', 'maxmemory-policy').split('\n')[1], 'noeviction');
});

scenario('sentinel.conf: a hub finds the master through Sentinels, and the next one when that is gone', async (scope) => {
    const master = await redis(scope), more = (port) => `replicaof 127.0.0.1 ${port}\n`, both = 'masteruser replica\nmasterauth CHANGE-ME-TOO\nmin-replicas-to-write 0\n';
    asAdmin(master.port, 'CONFIG', 'SET', 'masteruser', 'replica', 'masterauth', 'CHANGE-ME-TOO', 'min-replicas-to-write', '0');
    const replica = await redis(scope, more(master.port) + both);
    await eventually(() => /state=online/.test(asAdmin(master.port, 'INFO', 'replication')), 'a replica');
    const sentinels = [];
    for (let i = 0; i < 3; i++) {
        const dir = scope.dir(), port = await freePort(), conf = path.join(dir, 'sentinel.conf');
        writeFileSync(conf, adapted(settings('sentinel.conf'), [[/^bind .*/m, 'bind 127.0.0.1'], [/^port .*/m, `port ${port}`], [/^dir .*/m, `dir ${dir}`],
            [/10\.0\.0\.21 6379 2/, `127.0.0.1 ${master.port} 2`], [/down-after-milliseconds carillon \d+/, 'down-after-milliseconds carillon 500']]));
        run(scope, 'redis-sentinel', conf);
        sentinels.push(port);
    }
    await eventually(() => sentinels.every((port) => /slaves=1,sentinels=3/.test(cli(port, 'INFO', 'sentinel'))), 'three Sentinels that know each other and the replica');
    const hub = await hubOn(scope, `redis+sentinel://carillon:CHANGE-ME@${sentinels.map((port) => `127.0.0.1:${port}`).join(',')}/carillon`);
    await isReady(hub);
    const stream = await scope.sse(hub, '/sse?channel=a');
    await stream.ready();
    await publish(hub, 'a', 'before');
    await eventually(() => /offset=(\d+)[^]*master_repl_offset:\1\b/.test(asAdmin(master.port, 'INFO', 'replication')), 'a replica that has all');
    master.child.kill('SIGKILL');
    await eventually(() => /role:master/.test(asAdmin(replica.port, 'INFO', 'replication')), 'a new master', 60_000);
    await eventually(async () => (await post(hub, 'a', 'after', { headers: { ...TEXT, 'Idempotency-Key': 'after' } })).status === 201, 'a publish that the new master takes', 60_000);
    await stream.waitFor(() => stream.messages.length === 2, 'both messages');
    assert.deepEqual(stream.messages.map((message) => message.data), ['before', 'after']);
});

scenario('the units of systemd are sound, and leave little open', async (scope) => {
    const dir = scope.dir();
    for (const [unit, name] of [['carillon.service', 'carillon.service'], ['carillon@.service', 'carillon@8000.service']]) {
        const file = path.join(dir, name);
        writeFileSync(file, settings(unit).replaceAll('/usr/local/bin/carillon', BINARY));
        const verified = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' });
        assert.deepEqual([verified.status, verified.stderr.split('\n').filter((line) => line.includes(name)).join('\n')], [0, ''], verified.stderr);
        const exposed = /exposure level for \S+: ([\d.]+)/.exec(execFileSync('systemd-analyze', ['security', '--offline=true', '--no-pager', file], { encoding: 'utf8' }))[1];
        assert.ok(Number(exposed) <= 2, `exposure level ${exposed}`);
    }
});

scenario('carillon.ini is what a hub takes', async (scope) => {
    const dir = scope.dir(), file = path.join(dir, 'carillon.ini');
    writeFileSync(file, settings('carillon.ini'));
    writeFileSync(path.join(dir, 'redis.url'), 'redis://carillon:CHANGE-ME@10.0.0.21\n', { mode: 0o600 });
    assert.deepEqual(await scope.carillon(['check-config', file], { env: { CREDENTIALS_DIRECTORY: dir } }), { code: 0, stdout: 'ok\n', stderr: '' });
    assert.ok(readFileSync(file, 'utf8').includes('credential:redis.url'));
});

scenario('compose.yaml: three hubs behind nginx, where nginx.conf and the hubs look for each other', () => {
    const asJson = 'import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)';
    const { services, networks, volumes } = JSON.parse(execFileSync('python3', ['-c', asJson], { input: settings('compose.yaml'), encoding: 'utf8' }));
    const addressOf = (name) => services[name].networks.inside.ipv4_address;
    const dockerfile = settings('Dockerfile'), there = dockerfile.includes('s/10\\.0\\.0\\./10.77.0./');
    assert.ok(there, 'the addresses of nginx.conf are moved into the network of compose.yaml');
    const upstream = [...settings('nginx.conf').matchAll(/server (10\.0\.0\.\d+):8000/g)].map((found) => found[1].replace('10.0.0.', '10.77.0.'));
    assert.deepEqual(['hub1', 'hub2', 'hub3'].map(addressOf), upstream);
    for (const hub of ['hub1', 'hub2', 'hub3']) {
        assert.equal(services[hub].environment.CARILLON_PUBLIC_TRUSTED_PROXIES, addressOf('nginx'));
        assert.ok(services[hub].environment.CARILLON_REDIS_URL.endsWith(`@${addressOf('redis')}`));
    }
    for (const { build } of Object.values(services)) assert.ok(dockerfile.includes(` AS ${build.target}\n`), build.target);
    assert.ok(networks.inside && 'redis' in volumes);
});

// What strace sees of a hub with a store, and of one with Redis, beyond what every program does. SQLite calls fchown as root only.
const CALLS = ['accept4', 'bind', 'clone3', 'connect', 'epoll_create1', 'epoll_ctl', 'epoll_wait', 'eventfd2', 'fdatasync', 'fsync', 'ftruncate', 'futex', 'getrandom', 'listen', 'madvise',
    'mkdir', 'pipe2', 'prlimit64', 'pwrite64', 'readv', 'recvfrom', 'rt_sigaction', 'sendmsg', 'sendto', 'setsockopt', 'socket', 'socketpair', 'timerfd_create', 'unlink', 'writev'];

scenario('the units allow the system calls that a hub makes', () => {
    const inSet = (name) => execFileSync('systemd-analyze', ['syscall-filter', '--no-pager', name], { encoding: 'utf8' }).split('\n').slice(1)
        .map((line) => line.trim()).filter((line) => line && !line.startsWith('#')).flatMap((line) => line.startsWith('@') && line !== name ? inSet(line) : [line]);
    for (const unit of ['carillon.service', 'carillon@.service']) {
        const lines = [...settings(unit).matchAll(/^SystemCallFilter=(~?)(.*)$/gm)];
        const sets = (sign) => new Set(lines.filter((line) => line[1] === sign).flatMap((line) => line[2].split(' ')).flatMap(inSet));
        const allowed = sets(''), denied = sets('~');
        assert.deepEqual(CALLS.filter((call) => !allowed.has(call) || denied.has(call)), [], unit);
    }
});

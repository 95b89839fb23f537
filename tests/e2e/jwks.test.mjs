// Keys of tokens behind a URL: fetched, rotated while everybody connects, and a server that does whatever servers do.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { readFileSync } from 'node:fs';
import { scenario } from './lib/scope.mjs';
import { Idp, modes } from './lib/jwks.mjs';
import { Authority } from './lib/certificate.mjs';
import { bearer } from './lib/tokens.mjs';
import { apiProblemOf, post, problemOf, request } from './lib/http.mjs';
import { parseMetrics } from './lib/metrics.mjs';
import { SseStream } from './lib/sse.mjs';
import { WsClient } from './lib/ws.mjs';
import { eventually } from './lib/wait.mjs';

// A hub without --dev that takes tokens of this identity provider; `settings` is more of its section [tokens].
async function hubOf(scope, url, settings = '', args = []) {
    const ini = path.join(scope.dir(), 'carillon.ini');
    const write = (to, more) => writeFileSync(ini, `[tokens]\njwks = ${to}\n${more}\n`, { mode: 0o600 });
    write(url, settings);
    const hub = await scope.hub({ dev: false, memory: true, args: ['--config', ini, ...args] });
    return Object.assign(hub, { rewrite: write });
}

const health = async (hub) => (await request(hub, '/health/ready')).json.checks.tokens;
const isReady = async (hub) => (await request(hub, '/health/ready')).status === 200;
const ready = (hub) => eventually(() => isReady(hub), 'a hub that is ready', 30_000, async () => JSON.stringify(await health(hub)));

async function metric(hub, name, labels = {}) {
    const family = parseMetrics((await request(hub, '/metrics')).text).get(name);
    return family.samples.find((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value)).value;
}
const fetches = (hub, result) => metric(hub, 'carillon_token_keys_fetches_total', { result });

async function listen(scope, hub, token) {
    const stream = await scope.sse(hub, '/sse?channel=a', { headers: bearer(token) });
    await stream.ready();
    return stream;
}

// SIGHUP fetches; resolves when that has ended as it should.
async function reload(hub, result) {
    const before = await fetches(hub, result);
    hub.run.signal('SIGHUP');
    await eventually(async () => await fetches(hub, result) > before, `a fetch that is ${result}`, 30_000);
}

scenario('a hub whose keys cannot be fetched starts all the same, says so, and lets people in as soon as they come', async (scope) => {
    const idp = await Idp.start(scope);
    await idp.goAway();
    const hub = await hubOf(scope, idp.url);
    await eventually(async () => /cannot be fetched/.test((await health(hub)).reason), 'the reason in /health/ready');
    assert.equal(await isReady(hub), false);
    await idp.comeBack();
    await ready(hub);
    await listen(scope, hub, await idp.token({ sub: 'ann' }));
    assert.ok(await metric(hub, 'carillon_token_keys_fetched_timestamp_seconds') > Date.now() / 1000 - 600);
    assert.match(hub.log, /warn +tokens: the keys of tokens.jwks cannot be fetched/);
    assert.match(hub.log, /info +tokens: the keys of tokens.jwks are fetched/);
});

scenario('a token of a key made a moment ago is let in at every door, and one fetch is enough for all', async (scope) => {
    const idp = await Idp.start(scope);
    const hub = await hubOf(scope, idp.url, 'refetch = 100ms');
    await ready(hub);
    for (const door of ['sse', 'ws', 'api']) {
        await idp.rotate();
        idp.mode = 'slow';
        const token = await idp.token({ sub: 'ann' }), before = idp.fetches;
        const all = Array.from({ length: 10 }, async () => {
            if (door === 'sse') return listen(scope, hub, token);
            if (door === 'ws') return (await scope.ws(hub, `/ws?channel=a&token=${token}`)).get('welcome');
            const answer = await post(hub, 'a', 'x', { headers: bearer(token) });
            return assert.equal(answer.status, 201, answer.text);
        });
        await Promise.all(all);
        assert.ok(idp.fetches - before <= 3, `${door}: ${idp.fetches - before} fetches`);      // ten connections do not come in one moment
    }
    assert.equal(await metric(hub, 'carillon_token_keys_waiting'), 0);
});

scenario('what a client sends while its token waits is not lost', async (scope) => {
    const idp = await Idp.start(scope);
    const hub = await hubOf(scope, idp.url, 'refetch = 100ms');
    await ready(hub);
    await idp.rotate();
    idp.mode = 'slow';
    const token = await idp.token();
    const requests = ['{"data":1}', '{"data":2}'].map((body) => post(hub, 'a', body, { headers: { ...bearer(token), 'Content-Type': 'application/json' } }));
    for (const answer of await Promise.all(requests)) assert.equal(answer.status, 201, answer.text);
    assert.equal((await request(hub, '/v1/channels/a/messages', { headers: bearer(await idp.token({ carillon: { history: ['a'] } })) })).json.data.length, 2);
});

scenario('a connection is renewed with a token of a key made a moment ago, by its client and from outside', async (scope) => {
    const idp = await Idp.start(scope);
    idp.keep = 3;
    const hub = await hubOf(scope, idp.url, 'refetch = 100ms');
    await ready(hub);
    const socket = await scope.ws(hub, '/ws', { headers: bearer(await idp.token({ sub: 'ann' })) });
    const { connection } = await socket.get('welcome');
    idp.mode = 'slow';
    await idp.rotate();
    assert.equal((await socket.ask({ type: 'auth', token: await idp.token({ sub: 'ann' }) })).type, 'ok');
    const operator = await idp.token({ carillon: { admin: ['**'] } });
    await idp.rotate();
    const answer = await request(hub, `/v1/connections/${connection}/token`, { method: 'POST', headers: bearer(operator), body: { token: await idp.token({ sub: 'ann' }) } });
    assert.ok(answer.status < 300, answer.text);
    const stranger = await socket.ask({ type: 'auth', token: await idp.tokenOf(await idp.makeKey('unserved'), { sub: 'ann' }) });
    assert.equal(stranger.code, 'bad_token');
});

scenario('whose pongs the hub does not read, because his token waits for its key, is not taken for dead', async (scope) => {
    const idp = await Idp.start(scope);
    const hub = await hubOf(scope, idp.url, '', ['--ws.ping=1s']);
    await ready(hub);
    const socket = await scope.ws(hub, `/ws?token=${await idp.token({ sub: 'ann' })}`);
    await socket.get('welcome');
    await idp.rotate();
    Object.assign(idp, { mode: 'slow', slowMs: 4500 });
    assert.equal((await socket.ask({ type: 'auth', token: await idp.token({ sub: 'ann' }) })).user, 'ann');
    assert.equal(socket.closed, null);
});

scenario('a key that nobody serves any more is not accepted after the next fetch', async (scope) => {
    const idp = await Idp.start(scope);
    const hub = await hubOf(scope, idp.url, 'refetch = 100ms');
    await ready(hub);
    const old = await idp.token();
    (await listen(scope, hub, old)).close();
    await idp.rotate();
    await listen(scope, hub, await idp.token());
    problemOf(await request(hub.public, '/sse?channel=a', { headers: bearer(old) }), 401, 'bad_token');
    apiProblemOf(await post(hub, 'a', 'x', { headers: bearer(old) }), 401, 'bad_token');
    const socket = await scope.ws(hub, '/ws?channel=a', { headers: bearer(old) });
    assert.equal((await socket.end()).code, 4101);
});

const BAD = Object.keys(modes).filter((mode) => !['fine', 'slow'].includes(mode));

scenario('whatever the server of the keys answers, the old keys stay in force, and nobody is sent elsewhere', async (scope) => {
    const idp = await Idp.start(scope);
    const hub = await hubOf(scope, idp.url, 'refetch = 100ms');
    await ready(hub);
    const token = await idp.token();
    for (const mode of BAD.filter((name) => name !== 'silent')) {      // silence takes its time: the next scenario has it
        idp.mode = mode;
        await reload(hub, 'failed');
        (await listen(scope, hub, token)).close();
        assert.ok(await isReady(hub), mode);
    }
    await idp.goAway();
    await reload(hub, 'failed');
    (await listen(scope, hub, token)).close();
    assert.equal(idp.moved, 0);
    assert.ok(await metric(hub, 'process_resident_memory_bytes') < 200e6);
    await idp.comeBack();
    idp.mode = 'fine';
    await idp.rotate();
    await listen(scope, hub, await idp.token());
});

// Told to come back is not refused: a client does as an EventSource or any WebSocket client would, and tries again.
async function connectOnce(hub, door, token) {
    const client = door === 'sse' ? new SseStream(hub.public, '/sse?channel=a', { headers: bearer(token) })
                                  : new WsClient(hub.public, '/ws?channel=a', { headers: bearer(token) });
    try {
        if (door === 'sse') {
            await client.waitFor(() => client.control('ready')[0] || client.control('bye')[0] || client.ended, 'an answer');
            if (client.status !== 200) return `refused: ${client.status} ${client.raw}`;
            return client.control('ready')[0] ? 'in' : 'later';
        }
        await client.waitFor(() => client.of('welcome')[0] || client.closed, 'an answer');
        if (client.of('welcome')[0]) return 'in';
        return client.refused?.status === 503 || (client.closed.code >= 4000 && client.closed.code < 4100) ? 'later'
            : `refused: ${client.refused?.status} ${JSON.stringify(client.closed)}`;
    } finally { if (door === 'sse') client.close(); else client.terminate(); }
}

scenario('keys are rotated while many connect with the newest, and none is refused, however the server behaves', async (scope) => {
    const idp = await Idp.start(scope);
    idp.keep = 2;
    const hub = await hubOf(scope, idp.url, 'refetch = 100ms\nrefresh = 1s');
    await ready(hub);
    const seen = { in: 0, later: 0 };
    let over = false;
    let token = await idp.token();
    const clients = Array.from({ length: 8 }, async (_, i) => {
        while (!over) {
            const how = await connectOnce(hub, i % 2 ? 'ws' : 'sse', token);
            assert.ok(how in seen, how);
            seen[how]++;
        }
    });
    const running = Promise.all(clients);
    running.catch(() => { over = true; });
    const moreIn = async (count, mode) => {
        const before = seen.in;
        await eventually(() => over || seen.in >= before + count, `clients that are let in: ${mode}`, 30_000, () => `${JSON.stringify(seen)} ${idp.state()}`);
    };
    for (const mode of ['fine', 'slow', 'fine', ...BAD.filter((name) => name !== 'silent'), 'fine']) {
        if (mode === 'fine' || mode === 'slow') await idp.rotate();      // a provider that serves nothing signs with what it has served
        idp.mode = mode;
        token = await idp.token();
        await moreIn(16, mode);
    }
    for (const mode of ['status500', 'hangUp', 'endless']) {             // a new key that cannot be fetched yet: they come back until it can
        idp.mode = mode;
        await idp.rotate();
        token = await idp.token();
        await idp.fetched(2);
        idp.mode = 'fine';
        await moreIn(16, `after ${mode}`);
    }
    await idp.goAway();
    await idp.rotate();
    token = await idp.token();
    await eventually(async () => (await metric(hub, 'carillon_token_keys_waiting')) > 0, 'somebody who waits');
    await idp.comeBack();
    await moreIn(16, 'after it was away');
    over = true;
    await running;
    assert.equal(idp.moved, 0);
});

scenario('a flood of unknown keys costs one fetch per interval, and nobody else notices', async (scope) => {
    const idp = await Idp.start(scope);
    const hub = await hubOf(scope, idp.url, 'refetch = 1s');
    await ready(hub);
    const good = await idp.token(), began = Date.now(), before = idp.fetches;
    const stranger = await idp.makeKey('stranger');
    const flood = Array.from({ length: 200 }, async (_, i) => {
        const token = await idp.tokenOf({ ...stranger, kid: `guess-${i}-${Math.random()}` });
        if (i % 2) apiProblemOf(await post(hub, 'a', 'x', { headers: bearer(token) }), 401, 'bad_token');
        else problemOf(await request(hub.public, '/sse?channel=a', { headers: bearer(token) }), 401, 'bad_token');
    });
    for (let i = 0; i < 10; i++) (await listen(scope, hub, good)).close();
    await Promise.all(flood);
    const most = Math.ceil((Date.now() - began) / 1000) + 1;
    assert.ok(idp.fetches - before <= most, `${idp.fetches - before} fetches where ${most} are the most`);
    assert.ok(idp.fetches > before);
    await eventually(async () => await metric(hub, 'carillon_token_keys_waiting') === 0, 'nobody who waits');
});

scenario('tokens of unknown keys are wrong credentials, however they are shown: too many, and none from there are looked at', async (scope) => {
    const idp = await Idp.start(scope);
    const hub = await hubOf(scope, idp.url, 'refetch = 1h\n[rates]\nfailed_logins_per_address = 1/1h burst 6');
    await ready(hub);
    const stranger = await idp.makeKey('stranger'), socket = await scope.ws(hub, '/ws', { headers: bearer(await idp.token({ sub: 'ann' })) });
    const unknown = (i) => idp.tokenOf({ ...stranger, kid: `guess-${i}` });
    problemOf(await request(hub.public, '/sse?channel=a', { headers: bearer(await unknown(0)) }), 401, 'bad_token');
    apiProblemOf(await post(hub, 'a', 'x', { headers: bearer(await unknown(1)) }), 401, 'bad_token');
    for (let i = 2; i < 6; i++) assert.equal((await socket.ask({ type: 'auth', token: await unknown(i) })).code, 'bad_token');
    assert.equal((await socket.ask({ type: 'auth', token: await unknown(6) })).code, 'rate_limited');
    apiProblemOf(await post(hub, 'a', 'x', { headers: bearer(await idp.token()) }), 429, 'rate_limited');
    assert.equal((await socket.ask({ type: 'ping' })).type, 'pong');
});

scenario('who waits for a key that cannot be fetched is told to come back, and a hub that goes away waits for nobody', async (scope) => {
    const idp = await Idp.start(scope);
    const hub = await hubOf(scope, idp.url, 'refetch = 100ms');
    await ready(hub);
    idp.mode = 'silent';
    const token = await idp.tokenOf(await idp.makeKey('unserved'));
    const stream = await scope.sse(hub, '/sse?channel=a', { headers: bearer(token) });       // open after KEYS_WAIT_MS, 12 s
    const bye = JSON.parse((await stream.bye()).data);
    assert.equal(bye.code, 'keys_pending');
    const left = new SseStream(hub.public, '/sse?channel=a', { headers: bearer(token) });
    await eventually(async () => await metric(hub, 'carillon_token_keys_waiting') === 1, 'one who waits');
    left.close();
    await eventually(async () => await metric(hub, 'carillon_token_keys_waiting') === 0, 'nobody who waits');
    const waiting = scope.sse(hub, '/sse?channel=a', { headers: bearer(token) });
    const asking = post(hub, 'a', 'x', { headers: bearer(token) });
    await eventually(async () => await metric(hub, 'carillon_token_keys_waiting') === 2, 'two who wait');
    const ended = hub.terminate();
    assert.equal(JSON.parse((await (await waiting).bye()).data).code, 'draining');
    apiProblemOf(await asking, 503, 'draining');
    assert.equal((await ended).code, 0);
});

scenario('SIGHUP fetches at once, from another address too', async (scope) => {
    const idp = await Idp.start(scope), other = await Idp.start(scope, { alg: 'RS256' });
    const hub = await hubOf(scope, idp.url, 'refetch = 1h');
    await ready(hub);
    await idp.rotate();
    problemOf(await request(hub.public, '/sse?channel=a', { headers: bearer(await idp.token()) }), 401, 'bad_token');      // too early to look again
    await reload(hub, 'ok');
    await listen(scope, hub, await idp.token());
    hub.rewrite(other.url, 'refetch = 1h');
    await reload(hub, 'ok');
    await listen(scope, hub, await other.tokenOf(other.newest));
    problemOf(await request(hub.public, '/sse?channel=a', { headers: bearer(await idp.tokenOf({ ...idp.newest, kid: 'k1' })) }), 401, 'bad_token');
});

scenario('over https the server must be vouched for, and nothing of the address gets into the log', async (scope) => {
    const authority = new Authority(path.join(scope.dir(), 'ca')), identity = authority.issue('idp');
    const idp = await Idp.start(scope);
    const secure = https.createServer({ cert: readFileSync(identity.cert), key: readFileSync(identity.key) }, (_, response) => response.end(idp.document));
    await new Promise((resolve) => { secure.listen(0, '127.0.0.1', resolve); });
    scope.defer(() => { secure.closeAllConnections(); return new Promise((resolve) => { secure.close(resolve); }); });
    const url = `https://hub:pa55word@localhost:${secure.address().port}/jwks?sesame=0pen`;
    const hub = await hubOf(scope, url, `jwks_ca = ${authority.file}`, ['--log.level=debug']);
    await ready(hub);
    await listen(scope, hub, await idp.token());
    hub.rewrite(url, '');
    await reload(hub, 'failed');
    for (const secret of ['pa55word', '0pen']) assert.ok(!`${hub.log}${(await request(hub, '/health/ready')).text}`.includes(secret), secret);
});

scenario('an address that is not safe to ask is a mistake in the configuration', async (scope) => {
    const ini = path.join(scope.dir(), 'carillon.ini');
    const check = async (lines) => {
        writeFileSync(ini, `[tokens]\n${lines}\n`);
        const { code, stdout, stderr } = await scope.carillon(['check-config', ini]);
        return { code, told: stdout + stderr };
    };
    for (const url of ['http://id.example.com/jwks', 'http://127.example.com/jwks', 'http://localhost@id.example.com/', 'http://localhost.example.com/', 'ftp://localhost/jwks',
        'https:///jwks', 'https://a b/', 'file:///etc/passwd']) {
        const { code, told } = await check(`jwks = ${url}`);
        assert.notEqual(code, 0, url);
        assert.match(told, /tokens\.jwks/, url);
    }
    for (const lines of ['jwks = https://id.example.com/jwks', 'jwks = http://localhost:1/jwks', 'jwks = http://[::1]:1/', 'jwks = http://127.0.0.1/', 'jwks = http://id.example.com/\njwks_http = yes'])
        assert.equal((await check(lines)).code, 0, lines);
});

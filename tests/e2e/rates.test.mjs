// Rate limits: who is told to wait, how, and that nobody else is. Rates are per hour, so that nothing comes back while a test runs.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, messagesPath, post, problemOf, publish, request } from './lib/http.mjs';
import { SseStream } from './lib/sse.mjs';
import { metricsOf, total } from './lib/metrics.mjs';
import { eventually } from './lib/wait.mjs';

const newKey = () => { const key = `ck_${randomBytes(32).toString('hex')}`; return { key, digest: `sha256:${createHash('sha256').update(key).digest('hex')}` }; };
const bearer = (key) => ({ Authorization: `Bearer ${key}` });
const from = (address, more = {}) => ({ headers: { 'X-Forwarded-For': address, ...more } });
const limited = async (hub, limit) => total(await metricsOf(hub), 'carillon_rate_limited_total', { limit });

// A hub without --dev, open to everybody, behind a proxy that these tests are.
async function metered(scope, { rates = {}, keys = {}, tiers = '', args = [] } = {}) {
    const ini = path.join(scope.dir(), 'carillon.ini');
    const lines = (entries) => Object.entries(entries).map(([name, value]) => `${name} = ${value}\n`).join('');
    writeFileSync(ini, `[public]\ntrusted_proxies = 127.0.0.1\n[api]\ntrusted_proxies = 127.0.0.1\n[access]\nsubscribe = **\npublish = **\nhistory = **\n` +
        `${tiers}[rates]\n${lines(rates)}[keys]\n${lines(keys)}`);
    return scope.hub({ dev: false, args: ['--config', ini, ...args] });
}

scenario('a WebSocket that publishes too often is told so, stays, and harms no other', async (scope) => {
    const hub = await metered(scope, { rates: { publishes_per_connection: '1/1h burst 3' } });
    const socket = await scope.ws(hub, '/ws?channel=a');
    for (let i = 0; i < 3; i++) assert.equal((await socket.ask({ type: 'publish', channel: 'a', data: i })).type, 'ok');
    const refused = await socket.ask({ type: 'publish', channel: 'a', data: 3 });
    assert.deepEqual([refused.type, refused.code, refused.limit], ['error', 'rate_limited', 'publishes_per_connection']);
    assert.ok(refused.retry_after > 3000 && refused.retry_after <= 3600, `${refused.retry_after}`);
    assert.equal((await socket.ask({ type: 'ping' })).type, 'pong');
    await publish(hub, 'a', 'from outside');
    await socket.take(4);
    assert.deepEqual(socket.data, [0, 1, 2, 'from outside']);
    const other = await scope.ws(hub, '/ws');
    assert.equal((await other.ask({ type: 'publish', channel: 'a', data: 4 })).type, 'ok');
    assert.equal(await limited(hub, 'publishes_per_connection'), 1);
});

scenario('subscriptions count by channel, and other commands by themselves', async (scope) => {
    const hub = await metered(scope, { rates: { subscriptions_per_connection: '1/1h burst 5', commands_per_connection: '1/1h burst 2' } });
    const socket = await scope.ws(hub, '/ws?channel=u1&channel=u2&channel=u3');
    const subscribe = (...channels) => socket.ask({ type: 'subscribe', channels });
    assert.equal((await subscribe('a', 'b', 'c')).type, 'subscribed');
    assert.deepEqual((({ code, limit }) => [code, limit])(await subscribe('d', 'e', 'f')), ['rate_limited', 'subscriptions_per_connection']);
    assert.equal((await subscribe('d', 'e')).type, 'subscribed', 'what was refused was not counted');
    assert.equal((await socket.ask({ type: 'ping' })).type, 'pong');
    assert.equal((await socket.ask({ type: 'history', channel: 'a' })).type, 'history');
    assert.deepEqual((({ code, limit }) => [code, limit])(await socket.ask({ type: 'unsubscribe', channels: ['a'] })), ['rate_limited', 'commands_per_connection']);
});

scenario('an address that opens too many channels is told to come back, a stream as streams are told', async (scope) => {
    const hub = await metered(scope, { rates: { subscriptions_per_address: '1/1h burst 2' } });
    await (await scope.sse(hub, '/sse?channel=a&channel=b', from('203.0.113.1'))).ready();
    const stream = await scope.sse(hub, '/sse?channel=a', from('203.0.113.1'));
    assert.equal(stream.status, 200);
    assert.equal(JSON.parse((await stream.bye()).data).code, 'rate_limited');
    await stream.end();
    const socket = await scope.ws(hub, '/ws?channel=a', from('203.0.113.1'));
    assert.equal((await socket.get('bye')).code, 'rate_limited');
    assert.equal((await socket.end()).code, 4000);
    await (await scope.sse(hub, '/sse?channel=a', from('203.0.113.2'))).ready();
    assert.equal(await limited(hub, 'subscriptions_per_address'), 2);
});

scenario('the API says how much is left, and refuses with 429 and all that a client needs to wait', async (scope) => {
    const shop = newKey(), vip = newKey();
    const hub = await metered(scope, {
        rates: { publishes_per_key: '1/1h burst 2', publishes_per_address: '1/1h burst 1', commands_per_key: '1/1h burst 1' },
        tiers: '[tier "gold"]\npublishes_per_key = 1/1h burst 4\n', keys: { shop: shop.digest, vip: `${vip.digest} tier=gold` },
    });
    const first = await post(hub, 'a', 'x', { headers: bearer(shop.key) });
    assert.equal(first.status, 201);
    assert.deepEqual(['limit', 'remaining', 'reset'].map((name) => first.headers[`x-ratelimit-${name}`]), ['2', '1', '3600']);
    assert.equal(first.headers['ratelimit-policy'], '"publishes_per_key";q=2;w=7200');
    assert.equal(first.headers.ratelimit, '"publishes_per_key";r=1;t=3600');
    assert.equal((await post(hub, 'a', 'x', { headers: bearer(shop.key) })).headers['x-ratelimit-remaining'], '0');
    const refused = await post(hub, 'a', 'x', { headers: bearer(shop.key) });
    const problem = apiProblemOf(refused, 429, 'rate_limited');
    assert.equal(problem.limit, 'publishes_per_key');
    assert.equal(problem.retry_after, Number(refused.headers['retry-after']));
    assert.ok(problem.retry_after > 3500 && problem.retry_after <= 3600);
    assert.equal(refused.headers['x-ratelimit-remaining'], '0');
    assert.match(refused.headers.ratelimit, /^"publishes_per_key";r=0;t=\d+$/);

    assert.equal((await request(hub, '/v1/channels', { headers: bearer(shop.key) })).status, 200, 'other requests are another limit');
    apiProblemOf(await request(hub, '/v1/channels', { headers: bearer(shop.key) }), 429, 'rate_limited');
    for (let i = 0; i < 4; i++) assert.equal((await post(hub, 'a', 'x', { headers: bearer(vip.key) })).status, 201, 'the tier of its key');
    assert.equal(apiProblemOf(await post(hub, 'a', 'x', { headers: bearer(vip.key) }), 429, 'rate_limited').limit, 'publishes_per_key');
    assert.equal((await post(hub, 'a', 'x', from('203.0.113.1'))).status, 201);
    assert.equal(apiProblemOf(await post(hub, 'a', 'x', from('203.0.113.1')), 429, 'rate_limited').limit, 'publishes_per_address');
    assert.equal((await post(hub, 'a', 'x', from('203.0.113.2'))).status, 201);
    for (let i = 0; i < 5; i++) assert.equal((await request(hub, '/health/live')).status, 200, 'open routes are not counted');
    assert.equal((await request(hub, messagesPath('a'), from('203.0.113.3'))).json.data.length, 8, 'what was refused was not published');
});

scenario('a user is counted over all connections, by the tier of the token', async (scope) => {
    const secret = randomBytes(32).toString('hex');
    const ini = path.join(scope.dir(), 't.ini');
    writeFileSync(ini, `[signers]\na = HS256 secret:${secret}\n[tier "gold"]\npublishes_per_user = 1/1h burst 5\n[rates]\npublishes_per_user = 1/1h burst 2\n`);
    const token = async (user, tier) => {
        const { code, stdout, stderr } = await scope.carillon(['token', 'new', '--config', ini, '--sub', user, '--publish', '**', ...(tier ? ['--limits', tier] : [])]);
        assert.equal(code, 0, stderr);
        return stdout.trim();
    };
    const hub = await scope.hub({ dev: false, args: ['--config', ini] });
    for (const [user, tier, most] of [['ann', '', 2], ['bob', 'gold', 5]]) {
        const headers = bearer(await token(user, tier));
        const sockets = [await scope.ws(hub, '/ws', { headers }), await scope.ws(hub, '/ws', { headers })];
        for (let i = 0; i < most - 1; i++) assert.equal((await sockets[i % 2].ask({ type: 'publish', channel: 'a', data: i })).type, 'ok');
        assert.equal((await post(hub, 'a', 'x', { headers })).status, 201);
        for (const socket of sockets) assert.equal((await socket.ask({ type: 'publish', channel: 'a', data: 9 })).limit, 'publishes_per_user');
        assert.equal(apiProblemOf(await post(hub, 'a', 'x', { headers }), 429, 'rate_limited').limit, 'publishes_per_user');
    }
});

scenario('after so many wrong keys nothing from that address is looked at, on either port', async (scope) => {
    const shop = newKey();
    const hub = await metered(scope, { rates: { failed_logins_per_address: '1/1h burst 4' }, keys: { shop: shop.digest } });
    const here = (key) => from('203.0.113.66', bearer(key));
    for (let i = 0; i < 2; i++) {
        apiProblemOf(await request(hub, '/v1/channels', here(newKey().key)), 401, 'unauthenticated');
        problemOf(await request(hub.public, '/sse?channel=a', here(newKey().key)), 401, 'unauthenticated');
    }
    for (const key of [newKey().key, shop.key]) {
        const refused = await request(hub, '/v1/channels', here(key));
        assert.equal(apiProblemOf(refused, 429, 'rate_limited').limit, 'failed_logins_per_address');
        assert.ok(Number(refused.headers['retry-after']) > 3000);
        const closed = await request(hub.public, '/sse?channel=a', here(key));
        assert.equal(problemOf(closed, 429, 'rate_limited').limit, 'failed_logins_per_address');
        assert.ok(Number(closed.headers['retry-after']) > 3000);
        const socket = await scope.ws(hub, '/ws', here(key)).then(() => assert.fail('let in'), (error) => error);
        assert.equal(socket.status, 429);
        const stream = new SseStream(hub.public, '/sse?channel=a', here(key));
        scope.defer(() => stream.close());
        assert.equal(JSON.parse((await stream.bye()).data).code, 'rate_limited', 'an EventSource would take 429 for final');
    }
    const nobody = await scope.ws(hub, '/ws', from('203.0.113.66'));
    const auth = await nobody.ask({ type: 'auth', token: newKey().key });
    assert.deepEqual([auth.code, auth.limit], ['rate_limited', 'failed_logins_per_address'], 'an auth frame is a login too');
    await (await scope.sse(hub, '/sse?channel=a', from('203.0.113.66'))).ready();      // without credentials nothing is guessed
    assert.equal((await request(hub, '/v1/channels', from('203.0.113.67', bearer(shop.key)))).status, 200);
    assert.equal((hub.log.match(/failed_logins_per_address is reached.*address=203\.0\.113\.66/g) ?? []).length, 1, 'told once');
    assert.ok(await limited(hub, 'failed_logins_per_address') >= 8);
});

scenario('each offender is told of once a minute in the log, and rates follow a reload', async (scope) => {
    const ini = path.join(scope.dir(), 'carillon.ini');
    const write = (rate) => writeFileSync(ini, `[access]\npublish = **\n[rates]\npublishes_per_connection = ${rate}\n`);
    write('1/1h burst 1');
    const hub = await scope.hub({ dev: false, args: ['--config', ini] });
    const socket = await scope.ws(hub, '/ws');
    const say = () => socket.ask({ type: 'publish', channel: 'a', data: 1 });
    assert.equal((await say()).type, 'ok');
    for (let i = 0; i < 20; i++) assert.equal((await say()).code, 'rate_limited');
    await hub.run.waitFor(() => /publishes_per_connection is reached/.test(hub.log), 'a line in the log');
    assert.equal(hub.log.match(/publishes_per_connection is reached/g).length, 1);
    write('off');
    hub.run.signal('SIGHUP');
    await eventually(async () => (await say()).type === 'ok', 'the new rate to be in force');
});

scenario('--dev lifts all rates', async (scope) => {
    const hub = await scope.hub({ args: ['--rates.publishes_per_connection=1/1h', '--rates.publishes_per_address=1/1h', '--rates.failed_logins_per_address=1/1h'] });
    const socket = await scope.ws(hub, '/ws');
    for (let i = 0; i < 5; i++) assert.equal((await socket.ask({ type: 'publish', channel: 'a', data: i })).type, 'ok');
    for (let i = 0; i < 5; i++) assert.equal((await post(hub, 'a', 'x')).status, 201);
});

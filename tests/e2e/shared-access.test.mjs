// Keys and revocations over several hubs: what one of them is told holds on all, through whatever happens to Redis, and a hub that has
// just begun lets nobody in before it knows.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, post, problemOf, request } from './lib/http.mjs';
import { nodes } from './lib/nodes.mjs';
import { bearer, inSeconds, sign } from './lib/tokens.mjs';
import { eventually } from './lib/wait.mjs';

const tokenOf = (sub, more = {}) => sign({ sub, carillon: { subscribe: ['**'], publish: ['**'] }, iat: inSeconds(-10), ...more });
const admin = async () => bearer(await sign({ carillon: { admin: ['**'], publish: ['**'], subscribe: ['**'] }, iat: inSeconds(3) }));
const publishes = async (hub, credential) => (await post(hub, 'a', 'x', { headers: bearer(credential) })).status;
const until = (hub, credential, status) =>
    eventually(async () => await publishes(hub, credential) === status, `${status} for a publish`, undefined, async () => `now ${await publishes(hub, credential)}`);

scenario('a key that is made on one hub is good on all, also when it is rotated or removed on another', async (scope) => {
    const { hubs: [a, b, c] } = await nodes(scope, 3);
    const headers = await admin();
    const made = await request(a, '/v1/keys', { method: 'POST', headers, body: { name: 'ci', scopes: ['publish:**', 'subscribe:**'] } });
    assert.equal(made.status, 201, made.text);
    assert.equal(made.json.durable, true);
    const { id, key } = made.json;
    for (const hub of [a, b, c]) await until(hub, key, 201);
    assert.equal((await request(c, `/v1/keys/${id}`, { headers })).json.name, 'ci');
    const socket = await scope.ws(a, '/ws?channel=a', { headers: bearer(key) });
    await socket.get('subscribed');
    const rotated = await request(b, `/v1/keys/${id}/rotate`, { method: 'POST', headers, body: { overlap: '0s' } });
    assert.equal(rotated.status, 200, rotated.text);
    assert.equal((await socket.end()).code, 4101);
    for (const hub of [a, c]) await until(hub, rotated.json.key, 201);
    for (const hub of [a, b, c]) await until(hub, key, 401);
    const other = await scope.ws(c, '/ws?channel=a', { headers: bearer(rotated.json.key) });
    await other.get('subscribed');
    assert.equal((await request(a, `/v1/keys/${id}`, { method: 'DELETE', headers })).status, 204);
    assert.equal((await other.end()).code, 4101);
    for (const hub of [a, b, c]) await until(hub, rotated.json.key, 401);
});

scenario('a token that is revoked on one hub ends on all at once; what Redis loses is written back by those that know it', async (scope) => {
    const { redis, hubs: [a, b, c], open } = await nodes(scope, 3);
    const headers = await admin(), bad = await tokenOf('ann', { jti: 'bad' }), good = await tokenOf('bob', { jti: 'good' });
    const sockets = [];
    for (const hub of [a, b, c]) sockets.push(await scope.ws(hub, '/ws?channel=a', { headers: bearer(bad) }));
    const stays = await scope.ws(b, '/ws?channel=a', { headers: bearer(good) });
    for (const socket of [...sockets, stays]) await socket.get('subscribed');
    const revoked = await request(a, '/v1/tokens/revoke', { method: 'POST', headers, body: { jti: 'bad' } });
    assert.equal(revoked.status, 201, revoked.text);
    assert.equal(revoked.json.durable, true);
    for (const socket of sockets) assert.deepEqual([(await socket.end()).code, socket.frames.at(-1).code], [4101, 'token_revoked']);
    for (const hub of [a, b, c]) problemOf(await request(hub.public, '/sse?channel=a', { headers: bearer(bad) }), 401, 'token_revoked');

    redis.say('flushall');
    assert.match((await eventually(async () => {      // the publish that finds the flush is refused
        const answer = await post(b, 'a', 'x', { headers: bearer(good) });
        return answer.status === 201 && answer;
    }, 'a new epoch')).text, /"id"/);
    await eventually(() => [a, b, c].some((hub) => /records .* were written back/.test(hub.log)), 'the revocation to be written back');
    for (const hub of [a, b, c]) assert.equal(await publishes(hub, bad), 401);
    const d = await open();
    await d.ready();
    assert.equal(await publishes(d, bad), 401);
    assert.equal(await publishes(d, good), 201);
    assert.equal((await request(d, `/v1/tokens/revocations/${revoked.json.id}`, { method: 'DELETE', headers })).status, 204);
    for (const hub of [a, b, c]) await until(hub, bad, 201);
    assert.equal((await stays.ask({ type: 'ping' })).type, 'pong');
});

scenario('while Redis is away each hub goes by what it knows, and changes are refused; a hub that begins then lets no token in', async (scope) => {
    const { redis, hubs: [a, b], open } = await nodes(scope, 2);
    const headers = await admin(), bad = await tokenOf('ann', { jti: 'bad' }), good = await tokenOf('bob');
    assert.equal((await request(a, '/v1/tokens/revoke', { method: 'POST', headers, body: { jti: 'bad' } })).status, 201);
    await until(b, bad, 401);
    await redis.shutdown(true);
    for (const hub of [a, b]) await eventually(async () => (await request(hub, '/health/ready')).status === 503, 'a hub that knows');
    for (const hub of [a, b]) problemOf(await request(hub.public, '/sse?channel=a', { headers: bearer(bad) }), 401, 'token_revoked');
    apiProblemOf(await request(a, '/v1/tokens/revoke', { method: 'POST', headers, body: { jti: 'other' } }), 503, 'redis_away');
    apiProblemOf(await request(b, '/v1/keys', { method: 'POST', headers, body: { name: 'x', scopes: ['publish:**'] } }), 503, 'redis_away');
    const late = await open();
    for (const token of [bad, good]) {
        problemOf(await request(late.public, '/sse?channel=a', { headers: bearer(token) }), 503, 'redis_away');
        apiProblemOf(await post(late, 'a', 'x', { headers: bearer(token) }), 503, 'redis_away');
    }
    problemOf(await request(late.public, '/sse?channel=a', { headers: bearer(await tokenOf('eve', { exp: inSeconds(-100) })) }), 401, 'token_expired');
    await redis.start();
    for (const hub of [a, b, late]) await hub.ready();
    for (const hub of [a, b, late]) {
        assert.equal(await publishes(hub, bad), 401);
        assert.equal(await publishes(hub, good), 201);
    }
});

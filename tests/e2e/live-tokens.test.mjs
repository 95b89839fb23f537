// Credentials while a connection lives: shown late, renewed without interruption, warned of, and their end.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, publish, request } from './lib/http.mjs';
import { Idp } from './lib/jwks.mjs';
import { eventually } from './lib/wait.mjs';
import { bearer, inSeconds, sign, tokenHub, unsigned } from './lib/tokens.mjs';

// Seconds since 1970 as the hub writes moments.
const moment = (s) => new Date(s * 1000).toISOString().replace('.000Z', 'Z');

const json = (block) => JSON.parse(block.data);
const ann = (carillon = {}, more = {}) => sign({ sub: 'ann', carillon, ...more });
const STRICT = '[tokens]\nleeway = 0\n';
const renew = async (hub, id, token) => request(hub, `/v1/connections/${id}/token`,
    { method: 'POST', body: { token }, headers: bearer(await sign({ carillon: { admin: ['**'] } })) });
const backend = async () => ({ headers: bearer(await sign({ carillon: { publish: ['**'] } })) });

scenario('a WebSocket without credentials shows its first in a frame', async (scope) => {
    const hub = await tokenHub(scope);
    const socket = await scope.ws(hub, '/ws');
    assert.equal((await socket.get('welcome')).user, null);
    const exp = inSeconds(600);
    const ok = await socket.ask({ type: 'auth', token: `Bearer ${await ann({ channels: ['news'], subscribe: ['a'] }, { exp })}` });
    assert.deepEqual({ ...ok, ref: 0 }, { type: 'ok', ref: 0, user: 'ann', expires: moment(exp + 30) });
    await socket.waitFor(() => socket.of('subscribed').length === 2, 'what the token names');
    assert.deepEqual(socket.of('subscribed').map((f) => [f.channel, f.ref]), [['news', undefined], ['user.ann', undefined]]);
    assert.equal((await socket.ask({ type: 'subscribe', channels: ['a'] })).type, 'subscribed');
    assert.equal((await socket.ask({ type: 'subscribe', channels: ['b'] })).code, 'forbidden');
    await publish(hub, 'user.ann', 'hello', await backend());
    assert.equal((await socket.take(1))[0].data, 'hello');
});

scenario('who shows only bad credentials is closed, who has good ones keeps them', async (scope) => {
    const hub = await tokenHub(scope);
    const good = await ann({ subscribe: ['a'] });
    const bad = [['x', 'unauthenticated'], [await ann({}, { exp: inSeconds(-3600) }), 'token_expired'], [`${good}x`, 'bad_token'],
        [unsigned({ alg: 'none' }, { sub: 'ann' }), 'bad_token'], [await ann({ subscribe: 'a' }), 'bad_token'], ['Bearer ', 'unauthenticated']];
    const held = await scope.ws(hub, '/ws?channel=a', { headers: bearer(good) });
    for (const [token, code] of bad) {
        const socket = await scope.ws(hub, '/ws');
        socket.send({ type: 'auth', ref: 1, token });
        assert.equal((await socket.end()).code, 4101, code);
        assert.equal(socket.frames.at(-1).type, 'error');
        assert.equal(socket.frames.at(-1).code, code);
        assert.equal((await held.ask({ type: 'auth', token })).code, code);
    }
    for (const token of [7, null, undefined, ['x'], {}]) assert.equal((await held.ask({ type: 'auth', token })).code, 'bad_field');
    assert.equal((await held.ask({ type: 'auth', token: await sign({ sub: 'bob', carillon: {} }) })).code, 'forbidden', 'another user');
    assert.equal((await held.ask({ type: 'auth', token: await sign({ carillon: {} }) })).code, 'forbidden', 'nor nobody');
    await publish(hub, 'a', 'still', await backend());
    assert.equal((await held.take(1))[0].data, 'still');
    assert.doesNotMatch(hub.log, new RegExp(good.split('.')[2]));
});

scenario('renewed credentials are checked anew: what they do not allow ends, what they name begins', async (scope) => {
    const hub = await tokenHub(scope);
    const socket = await scope.ws(hub, '/ws?channel=a&channel=b', { headers: bearer(await ann({ subscribe: ['a', 'b'], channels: ['old'] })) });
    await socket.waitFor(() => socket.of('subscribed').length === 4, 'all');
    const { connection } = await socket.get('welcome');
    const admin = { method: 'POST', headers: bearer(await sign({ carillon: { admin: ['**'] } })) };
    assert.equal((await request(hub, `/v1/connections/${connection}/channels`, { ...admin, body: { add: ['given'] } })).status, 200);
    assert.equal((await socket.ask({ type: 'auth', token: await ann({ subscribe: ['b'], channels: ['new'] }) })).user, 'ann');
    await socket.waitFor(() => socket.of('subscribed').some((f) => f.channel === 'new'), 'new');
    assert.deepEqual(socket.of('unsubscribed').map((f) => [f.channel, f.code]).sort(), [['a', 'forbidden'], ['old', 'forbidden']]);
    const shown = (await request(hub, `/v1/connections/${connection}`, { headers: admin.headers })).json;
    assert.deepEqual(shown.channels.sort(), ['b', 'given', 'new', 'user.ann'], 'what an administrator gave stays');
    assert.equal((await socket.ask({ type: 'subscribe', channels: ['a'] })).code, 'forbidden');
    assert.equal((await socket.ask({ type: 'publish', channel: 'b', data: 1 })).code, 'forbidden');
});

scenario('credentials are renewed from outside, also those of a stream', async (scope) => {
    const hub = await tokenHub(scope, STRICT);
    const first = await ann({ subscribe: ['a', 'b'] }, { exp: inSeconds(4) });
    const stream = await scope.sse(hub, '/sse?channel=a&channel=b', { headers: bearer(first) });
    const { connection } = json(await stream.ready());
    const exp = inSeconds(600), answer = await renew(hub, connection, `${await ann({ subscribe: ['a'], channels: ['new'] }, { exp })}`);
    assert.deepEqual([answer.status, answer.json], [200, { user: 'ann', expires: moment(exp) }]);
    await stream.waitFor(() => stream.control('subscribed')[0], 'hub.subscribed');
    assert.deepEqual(stream.control('unsubscribed').map(json), [{ type: 'unsubscribed', channel: 'b', code: 'forbidden' }]);
    const other = await scope.sse(hub, '/sse?channel=a', { headers: bearer(first) });
    assert.equal(json(await other.bye()).code, 'token_expired', 'the first one would have ended by now');
    await publish(hub, 'a', 'on', await backend());
    assert.equal(json((await stream.take(1))[0]).data, 'on');
    for (const [token, code] of [['x', 'bad_field'], [first, 'bad_field'], ['', 'bad_field'], [7, 'bad_field'], [await sign({ sub: 'bob', carillon: {} }), 'forbidden']])
        apiProblemOf(await renew(hub, connection, token), code === 'forbidden' ? 403 : 400, code);
    apiProblemOf(await renew(hub, 'c999900', await ann()), 404, 'not_found');
    apiProblemOf(await request(hub, `/v1/connections/${connection}/token`, { method: 'POST', body: { token: 'x' }, headers: bearer(await ann()) }), 403, 'forbidden');
});

scenario('the end of credentials is told before, then closes with 4001; who renews in time stays', async (scope) => {
    const hub = await tokenHub(scope, STRICT);
    const exp = inSeconds(3), headers = bearer(await ann({ subscribe: ['a'] }, { exp }));
    const ends = await scope.ws(hub, '/ws?channel=a', { headers }), stays = await scope.ws(hub, '/ws?channel=a', { headers });
    const stream = await scope.sse(hub, '/sse?channel=a', { headers });
    const warned = await ends.get('token-expiring');
    assert.equal(warned.expires, moment(exp));
    assert.ok(warned.expires_ms >= 0 && warned.expires_ms <= 3000);
    await stays.get('token-expiring');
    const later = inSeconds(600);
    assert.equal((await stays.ask({ type: 'auth', token: await ann({ subscribe: ['a'] }, { exp: later }) })).expires, moment(later));
    assert.deepEqual(await ends.end(), { code: 4001, reason: 'token_expired' });
    const bye = ends.frames.at(-1);
    assert.deepEqual([bye.type, bye.code, bye.close], ['bye', 'token_expired', 4001]);
    assert.equal(json(await stream.waitFor(() => stream.control('token-expiring')[0], 'hub.token-expiring')).expires, moment(exp));
    assert.deepEqual([json(await stream.bye()).code, json(await stream.bye()).close], ['token_expired', 4001]);
    assert.equal(await stream.end(), 'end');
    await publish(hub, 'a', 'after', await backend());
    assert.equal((await stays.take(1))[0].data, 'after');
    const again = await scope.ws(hub, `/ws?channel=a&last_event_id=${bye.position ?? ends.of('welcome')[0].position}`, { headers: bearer(await ann({ subscribe: ['a'] })) });
    assert.equal((await again.take(1))[0].data, 'after', 'a new token resumes');
});

scenario('credentials may be made shorter, and those without an end end no more', async (scope) => {
    const hub = await tokenHub(scope, `[tokens]\nleeway = 0\nrequire =\nwarn = 0\n`);
    const shorter = await scope.ws(hub, '/ws', { headers: bearer(await ann({}, { exp: inSeconds(3000) })) });
    const longer = await scope.ws(hub, '/ws', { headers: bearer(await ann({}, { exp: inSeconds(2) })) });
    assert.equal((await longer.ask({ type: 'auth', token: await ann({}, { exp: undefined }) })).expires, null);
    await shorter.ask({ type: 'auth', token: await ann({}, { exp: inSeconds(3) }) });
    assert.equal((await shorter.end()).code, 4001);
    assert.equal(shorter.of('token-expiring').length, 0);
    assert.equal((await longer.ask({ type: 'ping' })).type, 'pong');
});

scenario('credentials whose key is not known yet wait for it, and what was said behind them waits too', async (scope) => {
    const idp = await Idp.start(scope);
    const hub = await tokenHub(scope, `[tokens]\njwks = ${idp.url}\n`);
    await eventually(async () => (await request(hub, '/health/ready')).status === 200, 'keys');
    const socket = await scope.ws(hub, '/ws', { headers: bearer(await idp.token({ sub: 'ann' })) });
    const { connection } = await socket.get('welcome');
    await socket.get('subscribed');
    await idp.rotate();
    idp.mode = 'slow';
    socket.send({ type: 'auth', ref: 1, token: await idp.token({ sub: 'ann', carillon: { subscribe: ['new'] } }) });
    socket.send({ type: 'subscribe', ref: 2, channels: ['new'] });
    await socket.waitFor(() => socket.frames.find((f) => f.ref === 2), 'both answers');
    assert.deepEqual(socket.frames.filter((f) => f.ref).map((f) => [f.type, f.ref]), [['ok', 1], ['subscribed', 2]]);
    const unknown = await idp.tokenOf(await idp.makeKey('stranger'), { sub: 'ann' });
    assert.ok(['bad_token', 'keys_pending'].includes((await socket.ask({ type: 'auth', token: unknown })).code));
    assert.ok(['bad_field', 'keys_pending'].includes((await renew(hub, connection, unknown)).json.code));
    assert.equal((await renew(hub, connection, await idp.token({ sub: 'ann', carillon: { subscribe: ['new'] } }))).status, 200);
    assert.equal((await socket.ask({ type: 'unsubscribe', channels: ['new'] })).type, 'unsubscribed');
});

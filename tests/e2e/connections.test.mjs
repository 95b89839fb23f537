// Connections seen and changed from outside: lists, one of them, closing, server-side subscriptions, by id and by user.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, problemOf, publish, request } from './lib/http.mjs';
import { KeepAlive } from './lib/line.mjs';
import { bearer, sign, tokenHub } from './lib/tokens.mjs';
import { eventually } from './lib/wait.mjs';

const del = (hub, where, options) => request(hub, where, { method: 'DELETE', ...options });
const call = (hub, where, body, options) => request(hub, where, { method: 'POST', body, ...options });
const idOf = async (client) => (client.get ? (await client.get('welcome')).connection : JSON.parse((await client.ready()).data).connection);
const json = (block) => JSON.parse(block.data);

scenario('the list shows every connection once, whatever its edge, and filters by channel and user', async (scope) => {
    const hub = await scope.hub({ args: ['--edge.threads=3'] });
    const ids = [];
    for (let i = 0; i < 7; i++) ids.push(await idOf(await scope.sse(hub, `/sse?channel=a&channel=s${i}&user=ann`)));
    for (let i = 0; i < 6; i++) ids.push(await idOf(await scope.ws(hub, `/ws?channel=w${i}&user=bob&client=page-${i}`)));
    const seen = [];
    for (let where = '/v1/connections?limit=4'; where;) {
        const page = await request(hub, where);
        assert.equal(page.status, 200, page.text);
        assert.ok(page.json.data.length <= 4);
        seen.push(...page.json.data);
        where = /<([^>]*)>; rel="next"/.exec(page.headers.link ?? '')?.[1];
        assert.equal(where === undefined, page.json.next_cursor === null);
    }
    assert.deepEqual(seen.map((c) => c.id).sort(), [...ids].sort());
    const number = (id) => parseInt(id.slice(1), 16);
    assert.deepEqual(seen.map((c) => number(c.id)), seen.map((c) => number(c.id)).sort((a, b) => a - b), 'in order of id');
    const of = async (query) => (await request(hub, `/v1/connections?${query}`)).json.data.map((c) => c.id).sort();
    assert.deepEqual(await of('channel=w3'), [ids[10]]);
    assert.deepEqual(await of('user=ann'), ids.slice(0, 7).sort());
    assert.deepEqual(await of('channel=a&user=bob'), []);
    assert.deepEqual(await of('channel=a&user=ann'), ids.slice(0, 7).sort());
    const filtered = await request(hub, '/v1/connections?limit=2&user=ann&channel=a');
    assert.match(filtered.headers.link, /channel=a&user=ann&cursor=c/);
});

scenario('one connection is shown with who it is, since when, from where and how far behind', async (scope) => {
    const hub = await scope.hub();
    const before = Date.now();
    const socket = await scope.ws(hub, '/ws?channel=a&channel=b&user=ann&client=tab-1');
    const id = await idOf(socket);
    const answer = await request(hub, `/v1/connections/${id}`);
    assert.equal(answer.status, 200, answer.text);
    const { since, address, position, channels, node, ...rest } = answer.json;
    assert.equal(node?.replace(/^0+/, ''), id.split('-')[1]);      // of several hubs
    assert.deepEqual(rest, { id, client: 'tab-1', user: 'ann', principal: 'dev', transport: 'websocket', expires: null, channel_count: channels.length,
        lag: { bytes: 0, messages: 0, catching_up: false } });
    assert.ok(channels.includes('a') && channels.includes('b'));
    assert.match(since, /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.ok(Date.parse(since) >= before - 1000 && Date.parse(since) <= Date.now());
    assert.match(address, /^127\.0\.0\.1$/);
    assert.equal(position, (await socket.get('welcome')).position);
    const anonymous = await idOf(await scope.sse(hub, '/sse?channel=a'));
    const other = (await request(hub, `/v1/connections/${anonymous}`)).json;
    assert.deepEqual([other.client, other.user, other.transport], [anonymous, null, 'sse']);
    await socket.close();
    const gone = () => request(hub, `/v1/connections/${id}`);
    await socket.waitFor(() => socket.closed, 'its end');
    apiProblemOf(await gone(), 404, 'not_found');
});

scenario('a reader that takes nothing is seen to lag', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=10000', '--history.bytes=64MiB'] });
    const stream = await scope.sse(hub, '/sse?channel=a');
    const id = await idOf(stream);
    stream.pause();
    const lag = async () => (await request(hub, `/v1/connections/${id}`)).json.lag;
    let seen = { bytes: 0 };
    for (let i = 0; i < 400 && seen.bytes === 0; i++) {
        await publish(hub, 'a', 'x'.repeat(60000));
        seen = await lag();
    }
    assert.ok(seen.bytes > 0, JSON.stringify(seen));
});

scenario('DELETE closes a connection with the code and reason it is given, in the query or in a body', async (scope) => {
    const hub = await scope.hub();
    const cases = [
        [{}, '', 4104, 'disconnected', 'error'],
        [{}, '?code=4150&reason=go%20away%20%E2%9C%93', 4150, 'go away ✓', 'error'],
        [{ body: { code: 4000, reason: 'moved' } }, '', 4000, 'moved', 'bye'],
        [{ body: { reason: 'just so' } }, '', 4104, 'just so', 'error'],
        [{ body: { code: 4199 } }, '?code=4001', 4199, 'disconnected', 'error'],
        [{ body: { reason: 'x'.repeat(120) } }, '?code=4099', 4099, 'x'.repeat(120), 'bye'],
    ];
    for (const [options, query, code, reason, last] of cases) {
        const socket = await scope.ws(hub, '/ws?channel=a');
        const answer = await del(hub, `/v1/connections/${await idOf(socket)}${query}`, options);
        assert.deepEqual([answer.status, answer.text], [204, '']);
        assert.deepEqual(await socket.end(), { code, reason });
        const said = socket.frames.at(-1);
        assert.deepEqual([said.type, said.code], [last, 'disconnected']);
        if (reason !== 'disconnected') assert.equal(said.reason ?? said.message, reason);
        const stream = await scope.sse(hub, '/sse?channel=a');
        assert.equal((await del(hub, `/v1/connections/${await idOf(stream)}${query}`, options)).status, 204);
        const bye = json(await stream.bye());
        assert.equal(bye.code, 'disconnected');
        assert.equal(bye.close ?? 4104, code);
        assert.equal(await stream.end(), 'end');
    }
});

scenario('who is told to come back resumes where it was', async (scope) => {
    const hub = await scope.hub();
    const stream = await scope.sse(hub, '/sse?channel=a');
    const id = await idOf(stream);
    await publish(hub, 'a', 'one');
    await stream.take(1);
    await del(hub, `/v1/connections/${id}?code=4000`);
    await stream.end();
    await publish(hub, 'a', 'two');
    const again = await scope.sse(hub, '/sse?channel=a', { lastEventId: stream.lastId });
    await again.take(1);
    assert.deepEqual(again.data, ['two']);
});

scenario('all connections of a user are closed at once, nobody else\'s', async (scope) => {
    const hub = await scope.hub({ args: ['--edge.threads=2'] });
    const anns = [await scope.ws(hub, '/ws?user=ann'), await scope.ws(hub, '/ws?channel=a&user=ann'), await scope.sse(hub, '/sse?channel=a&user=ann')];
    const bob = await scope.ws(hub, '/ws?channel=a&user=bob'), nobody = await scope.ws(hub, '/ws?channel=a');
    for (const client of [...anns, bob, nobody]) await idOf(client);
    const answer = await call(hub, '/v1/users/ann/disconnect', { code: 4120, reason: 'signed out' });
    assert.deepEqual([answer.status, answer.json], [200, { connections: 3 }]);
    assert.deepEqual(await anns[0].end(), { code: 4120, reason: 'signed out' });
    assert.equal((await anns[1].end()).code, 4120);
    assert.equal(json(await anns[2].bye()).close, 4120);
    assert.deepEqual((await call(hub, '/v1/users/ann/disconnect')).json, { connections: 0 });
    assert.equal((await bob.ask({ type: 'ping' })).type, 'pong');
    assert.equal((await nobody.ask({ type: 'ping' })).type, 'pong');
});

scenario('a WebSocket is subscribed and unsubscribed from outside and told so without a ref', async (scope) => {
    const hub = await scope.hub();
    const socket = await scope.ws(hub, '/ws?channel=a');
    const where = `/v1/connections/${await idOf(socket)}/channels`;
    assert.deepEqual((await call(hub, where, { add: ['b', 'c', 'a', 'b'], remove: ['never'] })).json, { connections: 1, refused: [], refused_count: 0 });
    const added = await socket.waitFor(() => { const all = socket.of('subscribed'); return all.length === 3 && all; }, 'b and c');
    assert.deepEqual(added.map((f) => [f.channel, f.ref, f.recovered]), [['a', undefined, false], ['b', undefined, false], ['c', undefined, false]]);
    await publish(hub, 'c', 'to c');
    await socket.take(1);
    assert.equal((await call(hub, where, { remove: ['a', 'c'] })).status, 200);
    await socket.waitFor(() => socket.of('unsubscribed').length === 2, 'a and c ended');
    assert.deepEqual(socket.of('unsubscribed').map((f) => [f.channel, f.code, f.ref]), [['a', 'removed', undefined], ['c', 'removed', undefined]]);
    await publish(hub, 'a', 'to nobody');
    await publish(hub, 'b', 'to b');
    await socket.take(2);
    assert.deepEqual(socket.messages.map((m) => m.data), ['to c', 'to b']);
    assert.equal((await socket.ask({ type: 'subscribe', channels: ['b'] })).code, 'already_subscribed');
    assert.equal((await socket.ask({ type: 'subscribe', channels: ['a'] })).type, 'subscribed', 'and may come back by itself');
});

scenario('a live SSE stream gets and loses channels, and its position covers what its URL asked for', async (scope) => {
    const hub = await scope.hub();
    const url = '/sse?channel=a&channel=b';
    const stream = await scope.sse(hub, url);
    const where = `/v1/connections/${await idOf(stream)}/channels`;
    await publish(hub, 'x', 'before');
    assert.equal((await call(hub, where, { add: ['x'], remove: ['b'] })).status, 200);
    const subscribed = await stream.waitFor(() => stream.control('subscribed')[0], 'hub.subscribed');
    assert.equal(subscribed.id, undefined, 'it does not move the position');
    assert.equal(json(subscribed).channel, 'x');
    assert.deepEqual(json(stream.control('unsubscribed')[0]), { type: 'unsubscribed', channel: 'b', code: 'removed' });
    await publish(hub, 'b', 'not here');
    await publish(hub, 'x', 'added');
    await publish(hub, 'a', 'own');
    await stream.take(2);
    assert.deepEqual(stream.messages.map((m) => json(m).data), ['added', 'own']);
    stream.close();
    await publish(hub, 'x', 'of the old stream');
    await publish(hub, 'b', 'again');
    const again = await scope.sse(hub, url, { lastEventId: stream.lastId });
    await again.take(1);
    await publish(hub, 'a', 'live');
    await again.take(2);
    assert.deepEqual(again.messages.map((m) => json(m).data), ['again', 'live'], 'a reconnect has the channels of its URL');
});

scenario('all connections of a user are subscribed; who cannot be is named', async (scope) => {
    const hub = await scope.hub({ args: ['--limits.channels=4'] });
    const socket = await scope.ws(hub, '/ws?channel=a&user=ann');
    const bare = await scope.sse(hub, '/sse?channel=a&user=ann');
    const full = await scope.ws(hub, '/ws?channel=a&channel=b&channel=c&user=ann');
    const [, bareId, fullId] = [await idOf(socket), await idOf(bare), await idOf(full)];
    await call(hub, `/v1/connections/${fullId}/channels`, { add: ['d'] });
    const answer = await call(hub, '/v1/users/ann/channels', { add: ['x'] });
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual([answer.json.connections, answer.json.refused_count], [1, 2]);
    assert.deepEqual(new Map(answer.json.refused.map((r) => [r.connection, r.code])), new Map([[bareId, 'bare_stream'], [fullId, 'too_many_channels']]));
    await publish(hub, 'x', 'for ann');
    await socket.take(1);
    apiProblemOf(await call(hub, `/v1/connections/${bareId}/channels`, { add: ['x'] }), 409, 'bare_stream');
    apiProblemOf(await call(hub, `/v1/connections/${fullId}/channels`, { add: ['x'] }), 400, 'too_many_channels');
    assert.equal((await call(hub, `/v1/connections/${bareId}/channels`, { add: ['a'] })).status, 200, 'what it has it may have');
});

scenario('what makes no sense is refused and changes nothing', async (scope) => {
    const hub = await scope.hub();
    const socket = await scope.ws(hub, '/ws?channel=a');
    const id = await idOf(socket), one = `/v1/connections/${id}`;
    for (const no of ['c', 'c0', 'cz', 'c0100', id.toUpperCase(), `${id}0`, '1', 'x1', 'cffffffffffffffff', 'cfffffffffffffffff', 'c%00', '%zz', '*', `${id}%20`]) {
        apiProblemOf(await request(hub, `/v1/connections/${no}`), 404, 'not_found');
        apiProblemOf(await del(hub, `/v1/connections/${no}`), 404, 'not_found');
        apiProblemOf(await call(hub, `/v1/connections/${no}/channels`, { add: ['x'] }), 404, 'not_found');
    }
    for (const code of [3999, 4200, 0, -1, 1000, 4000.5, '"4000"', '99999999999999999999', 'true'])
        apiProblemOf(await del(hub, one, { body: `{"code":${code}}` }), 400, 'bad_field');
    for (const query of ['?code=1000', '?code=4200', '?code=x', '?reason=%ff', `?reason=${'x'.repeat(121)}`, '?code=%zz'])
        apiProblemOf(await del(hub, one + query), 400, 'bad_field');
    apiProblemOf(await del(hub, one, { body: { reason: 'ü'.repeat(61) } }), 400, 'bad_field');
    apiProblemOf(await del(hub, one, { body: { reason: 7 } }), 400, 'bad_field');
    apiProblemOf(await del(hub, one, { body: '[]' }), 400, 'bad_request');
    apiProblemOf(await del(hub, one, { body: '{' }), 400, 'bad_json');
    for (const body of [{}, { add: [] }, { add: 'x' }, { add: [1] }, { add: null, remove: null }, { remove: {} }])
        apiProblemOf(await call(hub, `${one}/channels`, body), 400, 'bad_field');
    apiProblemOf(await call(hub, `${one}/channels`, { add: ['a b'] }), 400, 'bad_channel');
    apiProblemOf(await call(hub, `${one}/channels`, { add: ['ok'], remove: ['**.x'] }), 400, 'bad_pattern');
    apiProblemOf(await call(hub, `${one}/channels`, { add: Array.from({ length: 1001 }, (_, i) => `c${i}`) }), 400, 'too_many_channels');
    apiProblemOf(await call(hub, `${one}/channels`, { add: Array.from({ length: 1000 }, (_, i) => `c${i}`) }), 400, 'too_many_channels');
    apiProblemOf(await call(hub, `${one}/channels`, { add: ['x'.repeat(400000)] }), 413, 'body_too_large');
    for (const query of ['limit=0', 'limit=1001', 'limit=x']) apiProblemOf(await request(hub, `/v1/connections?${query}`), 400, 'bad_field');
    apiProblemOf(await request(hub, '/v1/connections?channel=a%20b'), 400, 'bad_channel');
    apiProblemOf(await request(hub, '/v1/connections?cursor=x'), 400, 'bad_position');
    for (const user of ['%zz', '%', 'x'.repeat(500)]) apiProblemOf(await call(hub, `/v1/users/${user}/disconnect`), 400, 'bad_field');
    assert.equal((await call(hub, '/v1/users//disconnect')).status, 404);
    assert.equal((await socket.ask({ type: 'ping' })).type, 'pong');
    assert.deepEqual((await request(hub, one)).json.channels, ['a']);
});

scenario('messages to a user go to the user\'s own channel', async (scope) => {
    const hub = await scope.hub();
    const stream = await scope.sse(hub, '/sse?channel=user.ann');
    await stream.ready();
    const answer = await call(hub, '/v1/users/ann/messages', 'hello', { headers: { 'Content-Type': 'text/plain' } });
    assert.deepEqual([answer.status, answer.json.channel, answer.json.subscribers], [201, 'user.ann', 1]);
    await stream.take(1);
    assert.deepEqual(stream.data, ['hello']);
    assert.equal((await call(hub, '/v1/users/a%2Fb/messages', 'x', { headers: { 'Content-Type': 'text/plain' } })).json.channel, 'user.a/b');
    apiProblemOf(await call(hub, '/v1/users/a%20b/messages', 'x'), 400, 'bad_channel');
    apiProblemOf(await call(hub, `/v1/users/${'x'.repeat(196)}/messages`, 'x'), 400, 'bad_channel');
});

scenario('who has a user is subscribed to the user\'s own channel at once, and needs no grant for it', async (scope) => {
    const hub = await tokenHub(scope, '[access]\nsubscribe = open.**\n[keys]\n');
    const token = await sign({ sub: 'ann', carillon: {} }), headers = bearer(token);
    const backend = bearer(await sign({ carillon: { publish: ['user.*'], admin: ['**'] } }));
    const socket = await scope.ws(hub, '/ws', { headers }), other = await scope.ws(hub, '/ws?channel=open.a', { headers });
    assert.equal((await socket.get('subscribed')).channel, 'user.ann');
    assert.equal(socket.frames[0].type, 'welcome');
    await other.waitFor(() => other.of('subscribed').length === 2, 'both');
    assert.deepEqual(other.of('subscribed').map((f) => f.channel), ['open.a', 'user.ann']);
    const bare = await scope.sse(hub, '/sse?channel=open.a', { headers }), envelope = await scope.sse(hub, '/sse?channel=open.a&format=envelope', { headers });
    const alone = await scope.sse(hub, '/sse', { headers });
    const channels = async (stream) => json(await stream.ready()).channels.map((c) => c.channel);
    assert.deepEqual([await channels(bare), await channels(envelope), await channels(alone)], [['open.a'], ['open.a', 'user.ann'], ['user.ann']]);
    assert.equal((await call(hub, '/v1/users/ann/messages', { data: { n: 1 } }, { headers: backend })).json.subscribers, 4);
    for (const client of [socket, other]) assert.deepEqual((await client.take(1))[0].channel, 'user.ann');
    assert.equal(json((await alone.take(1))[0]).channel, 'user.ann');
    apiProblemOf(await call(hub, '/v1/users/bob/messages', 'x', { headers }), 403, 'forbidden');
    const eve = await scope.ws(hub, '/ws', { headers: bearer(await sign({ sub: 'eve', carillon: {} })) });
    assert.equal((await eve.ask({ type: 'subscribe', channels: ['user.ann'] })).code, 'forbidden');
    const position = alone.lastId;
    await socket.close();
    await call(hub, '/v1/users/ann/messages', { data: { n: 2 } }, { headers: backend });
    const again = await scope.sse(hub, `/sse?last_event_id=${position}`, { headers });
    await again.take(1);
    assert.deepEqual(json(again.messages[0]).data, { n: 2 }, 'a reconnect resumes it like any other');
});

scenario('a token\'s channels are subscribed at once', async (scope) => {
    const hub = await tokenHub(scope);
    const token = await sign({ sub: 'ann', carillon: { channels: ['news', 'room.{user}', 'news'], subscribe: ['a'] } });
    const socket = await scope.ws(hub, `/ws?channel=a&token=${token}`);
    await socket.waitFor(() => socket.of('subscribed').length === 4, 'all four');
    assert.deepEqual(socket.of('subscribed').map((f) => f.channel), ['a', 'news', 'room.ann', 'user.ann']);
    const stream = await scope.sse(hub, `/sse?token=${token}`);
    assert.deepEqual(json(await stream.ready()).channels.map((c) => c.channel), ['news', 'room.ann', 'user.ann']);
    const one = await scope.sse(hub, `/sse?token=${await sign({ sub: 'ann', carillon: { channels: ['news'] } })}`);
    assert.deepEqual(json(await one.ready()).channels.map((c) => c.channel), ['news'], 'one channel is bare');
    const nobody = await sign({ carillon: { subscribe: ['a'] } });
    problemOf(await request(hub.public, `/sse?token=${nobody}`), 400, 'no_channel');
    const dotted = await scope.ws(hub, `/ws?token=${await sign({ sub: 'a b', carillon: {} })}`);
    assert.deepEqual((await dotted.get('welcome')).user, 'a b');
    assert.equal((await dotted.ask({ type: 'ping' })).type, 'pong');
    assert.equal(dotted.of('subscribed').length, 0, 'a user that fits no channel name has no channel');
});

scenario('errands that are under way when the hub drains are answered, and do not hold it up', async (scope) => {
    const hub = await scope.hub({ args: ['--edge.threads=3', '--drain.timeout=60s'] });
    const clients = [];
    for (let i = 0; i < 6; i++) clients.push(await scope.ws(hub, '/ws?channel=a&user=ann'));
    const agent = new KeepAlive();
    scope.defer(() => agent.destroy());
    const outcomes = [];
    let more = true;
    const ask = async (where) => {
        while (more) outcomes.push(await request(hub, where, { agent }).then((answer) => answer.status, () => { more = false; return 'closed'; }));
    };
    const asking = ['/v1/connections', '/v1/connections?user=ann', `/v1/connections/${await idOf(clients[0])}`].map(ask);
    await eventually(() => outcomes.length > 10, 'some answers');
    const { code } = await hub.terminate(20_000);
    assert.equal(code, 0, 'before drain.timeout');
    await Promise.all(asking);
    assert.deepEqual([...new Set(outcomes)].filter((o) => ![200, 404, 'closed'].includes(o)), []);
    for (const client of clients) assert.equal((await client.end()).code, 4000);
});

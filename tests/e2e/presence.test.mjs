// Who is in a channel: members with their tabs, the grace of a reload, what is told to who asks, kill -9, and what is refused.
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, problemOf, request } from './lib/http.mjs';
import { eventually } from './lib/wait.mjs';
import { bearer, sign, tokenHub } from './lib/tokens.mjs';

const presencePath = (channel, query = '') => `/v1/channels/${encodeURIComponent(channel)}/presence${query}`;
const listed = async (hub, channel, query) => {
    const answer = await request(hub, presencePath(channel, query));
    assert.equal(answer.status, 200, answer.text);
    return answer.json;
};
const summary = (list) => list.data.map(({ user, connections }) => `${user} ${connections}`);
const becomes = (hub, channel, expected) => eventually(async () => isDeepStrictEqual(summary(await listed(hub, channel)), expected), `members ${expected}`);
const open = async (scope, hub, user, query = '') => {
    const socket = await scope.ws(hub, `/ws?channel=room&user=${user}${query}`);
    await socket.get('subscribed');
    return socket;
};
const told = (socket) => [...socket.of('member-joined'), ...socket.of('member-left')].map(({ type, user }) => `${type} ${user}`);

scenario('several tabs of one user are one member, in the list, in the count and for who asks', async (scope) => {
    const hub = await scope.hub({ args: ['--presence.grace=100ms'] });
    const watcher = await open(scope, hub, 'zoe', '&presence=true');
    const tabs = [await open(scope, hub, 'ann'), await open(scope, hub, 'ann')];
    const stream = await scope.sse(hub, '/sse?channel=room&user=bob');
    await stream.ready();
    await scope.ws(hub, '/ws?channel=room');      // nobody in particular
    await becomes(hub, 'room', ['ann 2', 'bob 1', 'zoe 1']);
    const all = await listed(hub, 'room');
    assert.deepEqual([all.count, all.next_cursor], [3, null]);
    assert.ok(all.data.every(({ info, since }) => info === null && /^\d{4}-.*Z$/.test(since)));
    assert.deepEqual(await listed(hub, 'room', '?count=true'), { data: [], count: 3, next_cursor: null });
    assert.deepEqual(await listed(hub, 'room', '?limit=0'), { data: [], count: 3, next_cursor: null });
    const first = await listed(hub, 'room', '?limit=2');
    assert.deepEqual([summary(first), first.next_cursor], [['ann 2', 'bob 1'], 'bob']);
    assert.deepEqual(summary(await listed(hub, 'room', '?limit=2&cursor=bob')), ['zoe 1']);
    assert.equal((await request(hub, '/v1/channels/room')).json.members, 3);
    tabs[0].close();
    await becomes(hub, 'room', ['ann 1', 'bob 1', 'zoe 1']);
    tabs[1].close();
    stream.close();
    await becomes(hub, 'room', ['zoe 1']);
    await watcher.waitFor(() => watcher.of('member-left').length === 2, 'both left');
    assert.deepEqual(watcher.of('member-joined').map((m) => m.user), ['ann', 'bob'], 'one each, and not its own');
    assert.deepEqual(watcher.of('member-left').map((m) => m.user).sort(), ['ann', 'bob']);
    assert.deepEqual(Object.keys(watcher.of('member-left')[0]), ['type', 'channel', 'user', 'info']);
});

scenario('a reload within the grace makes no noise', async (scope) => {
    const hub = await scope.hub({ args: ['--presence.grace=1h'] });
    const watcher = await open(scope, hub, 'zoe', '&presence=true');
    const page = await open(scope, hub, 'ann');
    page.close();
    await becomes(hub, 'room', ['ann 0', 'zoe 1']);
    await open(scope, hub, 'ann');
    await becomes(hub, 'room', ['ann 1', 'zoe 1']);
    assert.deepEqual(told(watcher), ['member-joined ann']);
});

scenario('a stream that asks is told by events, one that does not is not', async (scope) => {
    const hub = await scope.hub({ args: ['--presence.grace=0'] });
    const asks = await scope.sse(hub, '/sse?channel=room&presence=true'), quiet = await scope.sse(hub, '/sse?channel=room');
    await Promise.all([asks.ready(), quiet.ready()]);
    const ann = await open(scope, hub, 'ann');
    ann.close();
    await asks.waitFor(() => asks.control('member-left').length === 1, 'she left');
    const names = (stream) => stream.blocks.map((b) => b.event).filter((name) => name?.startsWith('hub.member'));
    assert.deepEqual(names(asks), ['hub.member-joined', 'hub.member-left']);
    assert.deepEqual(names(quiet), []);
});

scenario('on a WebSocket the list and what is told after it agree', async (scope) => {
    const hub = await scope.hub({ args: ['--presence.grace=0'] });
    const socket = await scope.ws(hub, '/ws?user=zoe');
    await socket.get('welcome');
    await open(scope, hub, 'ann');
    socket.send({ type: 'subscribe', channels: ['room'], presence: true });
    await socket.get('subscribed');
    socket.send({ type: 'presence', channel: 'room', ref: 1 });
    const list = await socket.get('presence');
    assert.deepEqual([list.ref, list.channel, summary(list), list.count], [1, 'room', ['ann 1', 'zoe 1'], 2]);
    await open(scope, hub, 'bob');
    await socket.get('member-joined');
    assert.deepEqual(told(socket), ['member-joined bob']);
    for (const bad of [{ limit: 1001 }, { limit: 'x' }, { cursor: 1 }, { cursor: 'x'.repeat(201) }, { channel: 'a b' }, { channel: undefined }])
        socket.send({ type: 'presence', channel: 'room', ref: 'bad', ...bad });
    socket.send({ type: 'subscribe', channels: ['other'], presence: 'yes', ref: 'bad' });
    await socket.waitFor(() => socket.of('error').length === 7, 'each is refused');
    assert.deepEqual([...new Set(socket.of('error').map((e) => e.code))].sort(), ['bad_channel', 'bad_field']);
});

scenario('after kill -9 members come back as clients do', { ownEngine: 'there members outlive their hub by its lease' }, async (scope) => {
    const hub = await scope.hub({ args: ['--presence.grace=100ms'] });
    await open(scope, hub, 'ann');
    await becomes(hub, 'room', ['ann 1']);
    await hub.kill9();
    await hub.restart();
    assert.equal((await listed(hub, 'room')).count, 0);
    await open(scope, hub, 'ann');
    await becomes(hub, 'room', ['ann 1']);
});

scenario('info is what the newest token says, listing and asking need a grant, too much info is refused', async (scope) => {
    const hub = await tokenHub(scope, '[presence]\nmembers = true\n[access]\nsubscribe = room\n');
    const token = (sub, carillon) => sign({ sub, carillon: { subscribe: ['room'], ...carillon } });
    const ann = await scope.ws(hub, '/ws?channel=room', { headers: bearer(await token('ann', { info: { name: 'Ann', age: 7 } })) });
    await ann.get('subscribed');
    const sees = bearer(await token('eve', { presence: ['room'] }));
    const watcher = await scope.ws(hub, '/ws?channel=room&presence=true', { headers: sees });
    await watcher.get('subscribed');
    const infos = async () => Object.fromEntries((await request(hub, presencePath('room'), { headers: sees })).json.data.map((m) => [m.user, m.info]));
    assert.deepEqual(await infos(), { ann: { name: 'Ann', age: 7 }, eve: null });
    ann.send({ type: 'auth', token: await token('ann', { info: 'Anna' }) });
    await ann.get('ok');
    await eventually(async () => isDeepStrictEqual(await infos(), { ann: 'Anna', eve: null }), 'the new info');
    ann.send({ type: 'presence', channel: 'room' });
    await ann.waitFor(() => ann.of('error').length === 1, 'refused');
    ann.send({ type: 'subscribe', channels: ['user.ann'], presence: true });
    await ann.waitFor(() => ann.of('error').length === 2, 'refused');
    assert.deepEqual(ann.of('error').map((e) => e.code), ['forbidden', 'forbidden']);
    problemOf(await request(hub.public, '/sse?channel=room&presence=true'), 401, 'unauthenticated');
    problemOf(await request(hub.public, '/sse?channel=room&presence=true', { headers: bearer(await token('ann')) }), 403, 'forbidden');
    problemOf(await request(hub.public, '/sse?channel=room&presence=1', { headers: sees }), 400, 'bad_field');
    const big = await token('ann', { info: 'x'.repeat(2047) });
    problemOf(await request(hub.public, '/sse?channel=room', { headers: bearer(big) }), 401, 'bad_token');
    assert.deepEqual(told(watcher), [], 'a new token is no coming and going');
});

scenario('presence may be turned on and off while the hub runs', async (scope) => {
    const hub = await tokenHub(scope, '[presence]\nmembers = true\ngrace = 0\n');
    const reload = async (text) => {
        hub.rewrite(text);
        const before = hub.log.length;
        hub.run.signal('SIGHUP');
        await hub.run.waitFor(() => /reloaded/.test(hub.log.slice(before)), 'reloaded');
    };
    const all = bearer(await sign({ sub: 'ann', carillon: { subscribe: ['**'], presence: ['**'] } }));
    const list = () => request(hub, presencePath('room'), { headers: all });
    const socket = await scope.ws(hub, '/ws?channel=room', { headers: all });
    await socket.get('subscribed');
    assert.equal((await list()).json.count, 1);
    await reload('[presence]\nmembers = false\n');
    apiProblemOf(await list(), 409, 'presence_off');
    await reload('[presence]\nmembers = true\ngrace = 0\n');
    await eventually(async () => (await list()).json.count === 1, 'a member again');
    apiProblemOf(await request(hub, presencePath('room', '?limit=1001'), { headers: all }), 400, 'bad_field');
    apiProblemOf(await request(hub, presencePath('room', '?count=maybe'), { headers: all }), 400, 'bad_field');
    apiProblemOf(await request(hub, presencePath('room', `?cursor=${'x'.repeat(201)}`), { headers: all }), 400, 'bad_position');
});

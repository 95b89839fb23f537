// Members over several hubs: who joins on one is told on all, once; reloads, stops, kills of hubs and of Redis make no noise they need not make.
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, request } from './lib/http.mjs';
import { nodes } from './lib/nodes.mjs';
import { eventually } from './lib/wait.mjs';

const LEASE = '--redis.lease=3s';
const listed = async (hub) => (await request(hub, '/v1/channels/room/presence')).json;
const summary = async (hub) => ((await listed(hub)).data ?? []).map(({ user, connections }) => `${user} ${connections}`);
const becomes = (hub, expected) => eventually(async () => isDeepStrictEqual(await summary(hub), expected), `members ${expected}`);
const open = async (scope, hub, user, query = '') => {
    const socket = await scope.ws(hub, `/ws?channel=room&user=${user}${query}`);
    await socket.get('subscribed');
    return socket;
};
const told = (socket) => socket.frames.filter(({ type }) => type.startsWith('member-')).map(({ type, user }) => `${type.slice(7)} ${user}`);

// Three hubs, each with somebody nobody knows who is told of members; `heard` waits until all were told exactly this.
async function watched(scope, args = []) {
    const { redis, hubs, open: another } = await nodes(scope, 3, { args: ['--dev', LEASE, ...args] });
    const watchers = [];
    for (const hub of hubs) {
        const socket = await scope.ws(hub, '/ws?channel=room&presence=true');
        await socket.get('subscribed');
        watchers.push(socket);
    }
    const heard = async (...expected) => {
        for (const socket of watchers) {
            if (socket.closed) continue;
            await socket.waitFor(() => told(socket).length >= expected.length, `to be told ${expected}`);
            assert.deepEqual(told(socket).sort(), expected.toSorted(), 'once each');
        }
    };
    return { redis, hubs, another, watchers, heard };
}

scenario('who joins on one hub is listed and told on all, and a page that is loaded again on another makes no noise', async (scope) => {
    const { hubs: [a, b, c], heard } = await watched(scope, ['--presence.grace=1s']);
    const ann = await open(scope, a, 'ann'), bob = await open(scope, b, 'bob');
    await open(scope, c, 'ann');
    for (const hub of [a, b, c]) await becomes(hub, ['ann 2', 'bob 1']);
    await heard('joined ann', 'joined bob');
    assert.equal((await request(c, '/v1/channels/room')).json.members, 2);
    ann.close();
    bob.close();
    await becomes(c, ['ann 1', 'bob 0']);
    await open(scope, c, 'bob');
    for (const hub of [a, b, c]) await becomes(hub, ['ann 1', 'bob 1']);
    const last = await open(scope, a, 'cyd');      // what is told after that, and the grace of its end
    last.close();
    await heard('joined ann', 'joined bob', 'joined cyd', 'left cyd');
});

scenario('a hub that stops leaves its members their grace; whose hub was killed leave with its lease, once', async (scope) => {
    const { hubs: [a, b, c], heard, watchers } = await watched(scope, ['--presence.grace=2s']);
    for (const user of ['ann', 'bob']) await open(scope, b, user);
    for (const user of ['cyd', 'dan', 'eve']) await open(scope, c, user);
    await heard('joined ann', 'joined bob', 'joined cyd', 'joined dan', 'joined eve');
    const stopped = b.terminate();
    await open(scope, a, 'ann');
    await stopped;
    await c.kill9();
    await open(scope, a, 'cyd');
    await becomes(a, ['ann 1', 'cyd 1']);
    await heard('joined ann', 'joined bob', 'joined cyd', 'joined dan', 'joined eve', 'left bob', 'left dan', 'left eve');
    await c.restart();
    await c.ready();
    await open(scope, c, 'dan');
    await watchers[0].waitFor(() => told(watchers[0]).length === 9, 'dan is back');
    assert.equal(told(watchers[0]).at(-1), 'joined dan');
});

scenario('Redis that hangs, and then comes back empty, makes nobody leave who has stayed', async (scope) => {
    const { redis, hubs: [a, b, c], heard } = await watched(scope, ['--presence.grace=0']);
    const ann = await open(scope, a, 'ann');
    for (const [user, hub] of [['bob', b], ['cyd', c], ['dan', a]]) await open(scope, hub, user);
    const joined = ['joined ann', 'joined bob', 'joined cyd', 'joined dan'];
    await heard(...joined);
    redis.child.kill('SIGSTOP');
    for (const hub of [a, b, c]) await eventually(async () => (await request(hub, '/health/ready')).status === 503, 'a hub that is not ready');
    apiProblemOf(await request(a, '/v1/channels/room/presence'), 503, 'redis_away');
    ann.close();
    await redis.kill9();
    await redis.start();
    for (const hub of [a, b, c]) {
        await hub.ready();
        await becomes(hub, ['bob 1', 'cyd 1', 'dan 1']);
    }
    await heard(...joined, 'left ann');
});

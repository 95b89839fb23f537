// Rooms whose members are on several hubs (PROTOCOL.md §9, Many hubs): one room, one order, and nobody is lost or heard twice whatever ends.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { request } from './lib/http.mjs';
import { Member, member } from './lib/member.mjs';
import { metricsOf } from './lib/metrics.mjs';
import { nodes } from './lib/nodes.mjs';
import { eventually } from './lib/wait.mjs';

const DEV = { args: ['--dev'] };
const is = (type, more = {}) => (f) => f.type === type && Object.entries(more).every(([name, value]) => f[name] === value);
const dataOf = (one) => one.client.frames.filter((f) => f.type === 'signal' || f.type === 'broadcast').map((f) => f.data);
const seqsOf = (one) => one.client.frames.filter((f) => f.seq && !f.replay).map((f) => f.seq);
const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);

scenario('members of one room are on three hubs: all see all, and what one says arrives in order, with numbers without holes', async (scope) => {
    const { hubs: [a, b, c] } = await nodes(scope, 3, DEV);
    const ann = await member(scope, a, 'r', 'ann', { join: { info: { name: 'Ann' } } }), bob = await member(scope, b, 'r', 'bob');
    const cat = await member(scope, c, 'r', 'cat', { join: { state: { hand: true } } });
    assert.deepEqual(cat.joined.users, [{ user_id: 'ann', info: { name: 'Ann' }, state: null, polite: true }, { user_id: 'bob', info: null, state: null, polite: true }]);
    assert.deepEqual((await ann.get(is('user-joined', { user_id: 'cat' }))).state, { hand: true });

    const N = 300;
    for (let i = 1; i <= N; i++) {
        ann.say(i % 3 ? 'signal' : 'broadcast', { ...(i % 3 && { to: 'cat' }), data: i });
        bob.say('signal', { to: 'cat', data: -i });
    }
    await eventually(() => dataOf(cat).length === 2 * N, 'everything to arrive');
    assert.deepEqual(dataOf(cat).filter((n) => n > 0), upTo(N));
    assert.deepEqual(dataOf(cat).filter((n) => n < 0), upTo(N).map((n) => -n));
    assert.deepEqual(seqsOf(cat), upTo(seqsOf(cat).length));
    await eventually(() => dataOf(bob).length === N / 3, 'the broadcasts');
    assert.deepEqual(seqsOf(bob), upTo(seqsOf(bob).length));
    const timed = (await metricsOf(c)).get('carillon_room_relay_seconds').samples.find((s) => s.name.endsWith('_count'));
    assert.equal(timed.value, 2 * N, 'each was timed where it arrived');

    assert.equal((await ann.ask('signal', { to: 'dan', data: 1 })).code, 'peer_unavailable');
    assert.equal((await (await new Member(scope, b, 'r', 'ann').connect()).join()).code, 'user_taken');
    await bob.ask('state', { state: { mic: false } });
    await ann.get(is('state', { from: 'bob' }));
    const shown = (await request(c, '/v1/rooms/r')).json;
    assert.deepEqual(shown.users.map((u) => [u.user_id, u.away, u.state]), [['ann', false, null], ['bob', false, { mic: false }], ['cat', false, { hand: true }]]);
    assert.equal((await request(b, '/v1/rooms/r/members/ann?message=out', { method: 'DELETE' })).status, 204);
    assert.equal((await ann.get(is('left', { reason: 'kicked' }))).message, 'out');
    await cat.get(is('user-left', { user_id: 'ann', reason: 'kicked' }));
    await bob.ask('leave');
    await cat.get(is('user-left', { user_id: 'bob', reason: 'left' }));
});

scenario('who loses its socket comes back on another hub, with everything once and in order; the old connection is closed', async (scope) => {
    const { hubs: [a, b, c] } = await nodes(scope, 3, DEV);
    const ann = await member(scope, a, 'r', 'ann'), bob = await member(scope, b, 'r', 'bob');
    await ann.ask('signal', { to: 'bob', data: 1 });
    await bob.get(is('signal'));
    const old = bob.client;
    bob.hub = c;
    assert.equal((await bob.resume()).resumed, true);      // b does not know yet that the old one is dead
    assert.equal((await old.end()).code, 4109);
    assert.equal(bob.joined.recovered, true);

    bob.client.terminate();
    await ann.get(is('user-away', { user_id: 'bob' }));
    for (let i = 2; i <= 50; i++) assert.equal((await ann.ask(i % 2 ? 'signal' : 'broadcast', { to: i % 2 ? 'bob' : undefined, data: i })).delivered, 1);
    bob.hub = a;
    await bob.resume({ last_seq: 1 });
    assert.deepEqual(dataOf(bob), upTo(50).slice(1));
    assert.ok(bob.client.frames.filter((f) => f.type === 'signal').every((f) => f.replay && f.from === 'ann'));
    await ann.get(is('user-back', { user_id: 'bob' }));
    await ann.ask('signal', { to: 'bob', data: 51 });
    await eventually(() => dataOf(bob).at(-1) === 51, 'the next one');
});

scenario('a hub is killed: its members come back on others with all that was said meanwhile; who does not has left, and nobody else notices', async (scope) => {
    const { hubs: [a, b, c] } = await nodes(scope, 3, { args: ['--dev', '--redis.lease=3s', '--rooms.grace=2s'] });
    const ann = await member(scope, a, 'r', 'ann'), bob = await member(scope, b, 'r', 'bob'), eve = await member(scope, b, 'r', 'eve'), cat = await member(scope, c, 'r', 'cat');
    for (let i = 1; i <= 20; i++) ann.say('signal', { to: 'bob', data: i, n: i });
    await eventually(() => dataOf(bob).length === 20, 'bob to have them');
    await b.kill9();
    for (let i = 21; i <= 40; i++) assert.equal((await ann.ask('signal', { to: 'bob', data: i })).type, 'ok');
    const before = dataOf(bob);
    bob.hub = c;
    assert.equal((await bob.resume()).recovered, true);
    assert.deepEqual([...before, ...dataOf(bob)], upTo(40));
    await bob.ask('signal', { to: 'ann', data: 'back' });
    await ann.get(is('signal', { from: 'bob' }));
    await cat.get(is('user-away', { user_id: 'eve' }));
    await cat.get(is('user-left', { user_id: 'eve', reason: 'timeout' }));
    assert.deepEqual(cat.client.frames.filter((f) => f.user_id === 'bob' && f.type !== 'user-joined'), []);
    assert.deepEqual((await request(a, '/v1/rooms/r')).json.users.map((u) => u.user_id), ['ann', 'bob', 'cat']);
    assert.equal((await eve.client.end()).code, 1006);
});

scenario('Redis goes away and comes back with what it had: nobody has left, and what was said arrives', async (scope) => {
    const { redis, hubs: [a, b] } = await nodes(scope, 2, DEV);
    const ann = await member(scope, a, 'r', 'ann'), bob = await member(scope, b, 'r', 'bob');
    await ann.ask('signal', { to: 'bob', data: 1 });
    await redis.shutdown(true);
    await eventually(async () => (await ann.ask('signal', { to: 'bob', data: 'lost' })).code === 'redis_away', 'ann to be told');
    await redis.start();
    await eventually(async () => (await ann.ask('signal', { to: 'bob', data: 2 })).type === 'ok', 'it to go on');
    await eventually(() => dataOf(bob).at(-1) === 2, 'bob to hear');
    assert.deepEqual(dataOf(bob).filter((d) => d !== 'lost'), [1, 2]);
    assert.deepEqual(seqsOf(bob), upTo(seqsOf(bob).length));
    assert.deepEqual(ann.client.frames.filter((f) => f.type === 'user-left' || f.type === 'user-away'), []);
});

scenario('Redis loses everything: connections of members are closed, and they begin anew', async (scope) => {
    const { redis, hubs: [a, b] } = await nodes(scope, 2, DEV);
    const ann = await member(scope, a, 'r', 'ann'), bob = await member(scope, b, 'r', 'bob');
    redis.say('flushall');
    assert.deepEqual(await Promise.all([ann, bob].map(async (one) => (await one.client.end()).code)), [4000, 4000]);
    assert.equal((await ann.resume()).code, 'resume_failed');
    assert.equal((await ann.join()).resumed, false);
    await bob.connect();
    assert.deepEqual((await bob.join()).users.map((u) => u.user_id), ['ann']);
});

// Rooms whose members are on several hubs (PROTOCOL.md §9, Many hubs): one room, one order, and nobody is lost or heard twice whatever ends.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { request } from './lib/http.mjs';
import { Member, member } from './lib/member.mjs';
import { metricsOf } from './lib/metrics.mjs';
import { nodes } from './lib/nodes.mjs';
import { Receiver } from './lib/receiver.mjs';
import { residentMiB } from './lib/proc.mjs';
import { eventually } from './lib/wait.mjs';
import { LOCAL, Webhooks, bodyOf } from './lib/webhooks.mjs';

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

// ---- a stream of numbered signals, while something happens ----

// Each until it is taken, with its number, as a client does: however often that takes, it is heard once.
async function sayUntilTaken(from, to, n) {
    for (;;) {
        const answer = await from.ask('signal', { to, data: n, n });
        if (answer.type === 'ok') return;
        assert.ok(['redis_away', 'outcome_unknown', 'peer_busy'].includes(answer.code), JSON.stringify(answer));
    }
}

const THINGS = {
    'the links that listen are cut': (redis) => redis.say('client', 'kill', 'type', 'pubsub'),
    'the links of commands are cut': (redis) => redis.say('client', 'kill', 'type', 'normal', 'skipme', 'yes'),
    'all links are cut': (redis) => { redis.say('client', 'kill', 'type', 'pubsub'); redis.say('client', 'kill', 'type', 'normal', 'skipme', 'yes'); },
    'Redis forgets the scripts': (redis) => redis.say('script', 'flush'),
};
for (const [what, happens] of Object.entries(THINGS)) {
    scenario(`${what} in the middle of what members say: all of it arrives, in order, with no hole and nothing twice`, async (scope) => {
        const { redis, hubs: [a, b, c] } = await nodes(scope, 3, DEV);
        const ann = await member(scope, a, 'r', 'ann'), bob = await member(scope, b, 'r', 'bob'), cat = await member(scope, c, 'r', 'cat');
        const N = 200, speaks = (one, to) => upTo(N).reduce((before, n) => before.then(async () => {
            if (one === ann && n % 50 === 25) happens(redis);
            await sayUntilTaken(one, to, n);
        }), Promise.resolve());
        await Promise.all([speaks(ann, 'bob'), speaks(cat, 'bob'), speaks(bob, 'cat')]);
        for (const [one, from] of [[bob, 'ann'], [bob, 'cat'], [cat, 'bob']]) {
            const of = () => one.client.frames.filter((f) => f.type === 'signal' && f.from === from).map((f) => f.data);
            await eventually(() => of().length >= N, `all of ${from}`);
            assert.deepEqual(of(), upTo(N));
            assert.deepEqual(seqsOf(one), upTo(seqsOf(one).length));
            assert.equal(one.client.closed, null);
        }
        assert.deepEqual(cat.client.frames.filter((f) => ['user-away', 'user-left', 'user-back'].includes(f.type)), []);
    });
}

// ---- hubs that stand still, and go ----

const SHORT = { args: ['--dev', '--redis.lease=3s', '--rooms.grace=20s'] };

scenario('a hub stands still for longer than its lease and goes on: its members are taken back, or closed where they have come back elsewhere', async (scope) => {
    const { hubs: [a, b] } = await nodes(scope, 2, SHORT);
    const ann = await member(scope, a, 'r', 'ann'), bob = await member(scope, b, 'r', 'bob'), eve = await member(scope, b, 'r', 'eve');
    for (let n = 1; n <= 5; n++) await sayUntilTaken(ann, 'bob', n);
    b.run.signal('SIGSTOP');
    await ann.get(is('user-away', { user_id: 'bob' }));
    await ann.get(is('user-away', { user_id: 'eve' }));
    for (let n = 6; n <= 40; n++) assert.equal((await ann.ask(n % 2 ? 'broadcast' : 'signal', { to: n % 2 ? undefined : 'bob', data: n, n })).type, 'ok');
    const old = eve.client;
    eve.hub = a;
    assert.equal((await eve.resume()).recovered, true);
    b.run.signal('SIGCONT');
    assert.equal((await old.end()).code, 4109);
    await eventually(() => dataOf(bob).length >= 40, 'bob to have everything');
    assert.deepEqual(dataOf(bob), upTo(40));
    assert.deepEqual(seqsOf(bob), upTo(seqsOf(bob).length));
    await ann.get(is('user-back', { user_id: 'bob' }));
    await sayUntilTaken(bob, 'eve', 1);
    await eventually(() => dataOf(eve).at(-1) === 1, 'eve to hear bob');
    assert.equal(bob.client.closed, null);
    assert.deepEqual([...dataOf(eve)].filter((n) => n > 1), upTo(40).filter((n) => n > 6 && n % 2));
    assert.deepEqual((await request(a, '/v1/rooms/r')).json.users.map((u) => [u.user_id, u.away]), [['ann', false], ['bob', false], ['eve', false]]);
    assert.deepEqual(ann.client.frames.filter((f) => f.type === 'user-back').map((f) => f.user_id).sort(), ['bob', 'eve']);
});

scenario('a hub with many members loses its lease: none of them is told that it is not in the room', async (scope) => {
    const { redis, hubs: [a, b] } = await nodes(scope, 2, { args: ['--dev', '--rooms.per_connection=1000'] });
    const rooms = Array.from({ length: 300 }, (_, i) => `r${i}`), bob = await member(scope, b, 'r0', 'bob'), ann = await member(scope, a, 'r0', 'ann');
    for (const room of rooms.slice(1)) ann.client.send({ type: 'join', room, user_id: 'ann' });
    await eventually(() => ann.client.of('users-in-room').length === rooms.length, 'ann to be in all of them');
    const isLost = () => /lease \w+ is lost/.test(a.log), fine = (f) => ['ok', 'redis_away'].includes(f.code ?? f.type);
    redis.say('zremrangebyrank', 'carillon:{0}:leases', '0', '-1');
    for (let more = 3; more > 0; more -= isLost()) {
        const answers = ann.client.of('ok').length + ann.client.of('error').length + rooms.length;
        for (const room of rooms) ann.client.send({ type: 'broadcast', room, data: 1, ref: room });
        await ann.client.waitFor(() => ann.client.of('ok').length + ann.client.of('error').length >= answers, 'the answers');
    }
    const bad = [...ann.client.of('ok'), ...ann.client.of('error')].filter((f) => !fine(f));
    assert.deepEqual(bad.slice(0, 3), [], `${bad.length} in all`);
    assert.equal(ann.client.closed, null);
    await sayUntilTaken(ann, 'bob', 1);
    await eventually(() => bob.client.frames.some(is('signal')), 'bob to hear');
});

scenario('a hub drains: its members come back on another one, with everything that was said meanwhile', async (scope) => {
    const { hubs: [a, b, c] } = await nodes(scope, 3, SHORT);
    const ann = await member(scope, a, 'r', 'ann'), bob = await member(scope, b, 'r', 'bob'), eve = await member(scope, b, 'r', 'eve');
    for (let n = 1; n <= 5; n++) await sayUntilTaken(ann, 'bob', n);
    await eventually(() => dataOf(bob).length === 5, 'bob to have them');
    b.run.signal('SIGTERM');
    assert.deepEqual(await Promise.all([bob, eve].map(async (one) => (await one.client.end()).code)), [4000, 4000]);
    for (let n = 6; n <= 20; n++) await sayUntilTaken(ann, 'bob', n);
    assert.equal((await b.run.end()).code, 0);
    const before = dataOf(bob);
    bob.hub = c;
    assert.equal((await bob.resume()).recovered, true);
    assert.deepEqual([...before, ...dataOf(bob)], upTo(20));
    eve.hub = a;
    assert.equal((await eve.resume()).recovered, true);
    await ann.get(is('user-back', { user_id: 'eve' }));
    assert.deepEqual((await request(c, '/v1/rooms/r')).json.users.map((u) => [u.user_id, u.away]), [['ann', false], ['bob', false], ['eve', false]]);
    assert.deepEqual(ann.client.frames.filter((f) => f.type === 'user-left'), []);
});

scenario('Redis has lost that a member left: the hub finds it there when it is back, and it leaves', async (scope) => {
    const { redis, hubs: [a, b] } = await nodes(scope, 2, { args: ['--dev', '--redis.lease=3s', '--rooms.grace=1s'] });
    const bob = await member(scope, b, 'r', 'bob');
    const keys = redis.say('keys', 'carillon:{0}:*').split('\n').filter((key) => /:(seats|peers|sat):/.test(key));
    for (const key of keys) redis.say('copy', key, `kept ${key}`);
    await bob.ask('leave');
    for (const key of keys) redis.say('copy', `kept ${key}`, key, 'replace');
    const shown = async () => (await request(a, '/v1/rooms/r')).json;
    assert.equal((await shown()).members, 1);
    redis.say('client', 'kill', 'type', 'pubsub');
    await eventually(async () => (await shown()).members === 0, 'bob to be out');
    assert.equal(bob.client.closed, null);
    assert.equal((await bob.join()).type, 'users-in-room');
});

// ---- who cannot keep up ----

// -> { taken, say }: what she says to bob, which is taken or refused as busy
function speaksTo(ann, text) {
    const taken = [], say = async (n) => {
        const answer = await ann.ask('signal', { to: 'bob', data: { n, text } });
        assert.ok(answer.type === 'ok' || answer.code === 'peer_busy', JSON.stringify(answer));
        if (answer.type === 'ok') taken.push(n);
        return answer.type === 'ok';
    };
    return { taken, say };
}

scenario('a receiver reads nothing: its senders are told that it is busy, memory stays, and nothing is lost that it is not told of', { timeout: 120_000 }, async (scope) => {
    const { hubs: [a, b] } = await nodes(scope, 2, { args: ['--dev', '--rooms.queue=64', '--rooms.grace=1m'] });
    const ann = await member(scope, a, 'r', 'ann'), bob = await member(scope, b, 'r', 'bob'), { taken, say } = speaksTo(ann, 'x'.repeat(16_000));
    const before = residentMiB(b.pid), heard = [];
    bob.client.pause();
    let n = 0;
    while (await say(++n)) assert.ok(n < 20_000, 'it is never busy');
    assert.ok(residentMiB(b.pid) - before < 64, `${before} MiB before, ${residentMiB(b.pid)} after ${n} frames of 16 KB`);
    bob.client.resume();
    await bob.client.end();
    heard.push(...dataOf(bob).map((d) => d.n));
    const { recovered } = await bob.resume(), rest = dataOf(bob).map((d) => d.n);
    assert.equal(rest.at(-1), taken.at(-1));
    assert.deepEqual([...heard, ...rest], recovered ? taken : [...taken.slice(0, heard.length), ...taken.slice(-rest.length)]);
    assert.ok(rest.length > 0 && await say(++n));
    await eventually(() => dataOf(bob).at(-1).n === n, 'the next one');
});

scenario('more is said at once than the mail of an edge holds: what was taken arrives, in order, once', async (scope) => {
    const { hubs: [a, b, c] } = await nodes(scope, 3, { args: ['--dev', '--edge.threads=1', '--edge.mail_bytes=64KiB', '--rooms.queue=1000', '--rooms.queue_bytes=4MiB'] });
    const bob = await member(scope, b, 'r', 'bob');
    const speakers = await Promise.all(Array.from({ length: 8 }, (_, i) => member(scope, i % 2 ? a : c, 'r', `u${i}`)));
    const taken = await Promise.all(speakers.map(async (one) => {
        const said = speaksTo(one, 'x'.repeat(4000));
        await Promise.all(upTo(20).map(said.say));
        return said.taken;
    }));
    const of = (user) => bob.client.frames.filter((f) => f.type === 'signal' && f.from === user).map((f) => f.data.n);
    for (const [i, { user }] of speakers.entries()) {
        await eventually(() => of(user).length >= taken[i].length, `all of ${user}`);
        assert.deepEqual(of(user), taken[i]);
    }
    assert.deepEqual(seqsOf(bob), upTo(seqsOf(bob).length));
});

// ---- many at once ----

scenario('twenty join at once on three hubs where five find room: five are in, on every hub the same, and others may when they leave', async (scope) => {
    const { hubs } = await nodes(scope, 3, { args: ['--dev', '--rooms.capacity=5'] });
    const all = await Promise.all(Array.from({ length: 20 }, (_, i) => new Member(scope, hubs[i % 3], 'r', `u${i}`).connect()));
    const answers = await Promise.all(all.map((one) => one.join()));
    const inside = all.filter((_, i) => answers[i].type === 'users-in-room');
    assert.equal(inside.length, 5);
    assert.ok(answers.every((f) => f.type === 'users-in-room' || f.code === 'room_full'));
    assert.deepEqual(answers.map((f) => f.users?.length).filter((n) => n >= 0).sort(), [0, 1, 2, 3, 4]);
    for (const hub of hubs) assert.deepEqual((await request(hub, '/v1/rooms/r')).json.users.map((u) => u.user_id).sort(), inside.map((one) => one.user).sort());
    const first = inside.find((one) => one.joined.users.length === 0);
    await eventually(() => first.client.of('user-joined').length === 4, 'the first to hear of the others');
    await first.ask('leave');
    const again = await Promise.all(all.filter((one) => !inside.includes(one)).map((one) => one.join()));
    assert.equal(again.filter((f) => f.type === 'users-in-room').length, 1);
});

scenario('one user joins at once on three hubs: one is in; one ticket is shown at once on three hubs: one connection stays', async (scope) => {
    const { hubs } = await nodes(scope, 3, DEV);
    const all = await Promise.all(hubs.map((hub) => new Member(scope, hub, 'r', 'ann').connect()));
    const answers = await Promise.all(all.map((one) => one.join()));
    assert.deepEqual(answers.map((f) => f.code ?? f.type).sort(), ['user_taken', 'user_taken', 'users-in-room']);
    const { ticket } = all.find((one) => one.ticket), bob = await member(scope, hubs[0], 'r', 'bob');
    const back = await Promise.all(hubs.map((hub) => new Member(scope, hub, 'r').connect()));
    for (const answer of await Promise.all(back.map((one) => one.join({ resume: ticket, last_seq: 0 })))) assert.equal(answer.resumed, true);
    const open = () => [...all, ...back].filter((one) => one.joined.type === 'users-in-room' && !one.client.closed);
    await eventually(() => open().length === 1, 'the others to be closed');
    for (const one of [...all, ...back].filter((each) => each.client.closed)) assert.equal(one.client.closed.code, 4109);
    await sayUntilTaken(bob, 'ann', 1);
    await eventually(() => dataOf(open()[0]).at(-1) === 1, 'it to hear');
    assert.deepEqual(bob.client.frames.filter((f) => f.type === 'user-left'), []);
});

// ---- what backends and clients ask, on any hub ----

scenario('each hub lists and pages the same rooms; a member is kicked from another hub', async (scope) => {
    const { hubs: [a, b, c] } = await nodes(scope, 3, DEV);
    const names = ['~', 'a', 'a.1', 'a.2', 'a/3', 'b', 'A', 'a-', 'x'.repeat(200)];
    for (const [i, name] of names.entries()) await member(scope, [a, b, c][i % 3], name, 'ann');
    const sorted = names.toSorted((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
    for (const hub of [a, b, c]) {
        const seen = [];
        for (let where = '/v1/rooms?limit=2'; where;) {
            const page = await request(hub, where);
            seen.push(...page.json.data.map((room) => [room.room, room.members]));
            where = /<([^>]*)>; rel="next"/.exec(page.headers.link ?? '')?.[1];
        }
        assert.deepEqual(seen, sorted.map((name) => [name, 1]));
        assert.deepEqual((await request(hub, '/v1/rooms?prefix=a')).json.data.map((room) => room.room), sorted.filter((name) => name.startsWith('a')));
        assert.deepEqual((await request(hub, `/v1/rooms?prefix=${'x'.repeat(1500)}`)).json.data, []);
    }
    const bob = await member(scope, b, 'a', 'bob');
    assert.equal((await request(c, '/v1/rooms/a/members/bob?message=out', { method: 'DELETE' })).status, 204);
    assert.deepEqual([await bob.get('left')].map((f) => [f.reason, f.message]), [['kicked', 'out']]);
    assert.equal((await bob.ask('broadcast', { data: 1 })).code, 'not_in_room');
    assert.equal((await bob.join()).type, 'users-in-room');
});

scenario('names and what members say of themselves are the same bytes on every hub, whatever they are of', async (scope) => {
    const { hubs: [a, b] } = await nodes(scope, 2, DEV);
    const users = ['a"\\/b', '\\/', '</script>', 'ü😀\u2028', 'x'.repeat(200), '%00', '*'];
    const watcher = await member(scope, a, 'r/1', 'watcher'), info = { '"\\/': ['ü😀\u2028', 1e300, '\u0000'] };
    for (const user of users) {
        const one = await member(scope, b, 'r/1', user, { join: { info } });
        assert.equal(one.joined.you?.user_id, user, JSON.stringify(one.joined));
        assert.deepEqual((await watcher.get(is('user-joined', { user_id: user }))).info, info);
        await one.ask('broadcast', { data: info });
        assert.deepEqual((await watcher.get(is('broadcast', { from: user }))).data, info);
        assert.equal((await watcher.ask('signal', { to: user, data: info })).type, 'ok');
        await one.get(is('signal', { from: 'watcher' }));
        await one.ask('leave');
        await watcher.get(is('user-left', { user_id: user }));
    }
});

scenario('credentials for TURN are renewed for members on every hub', async (scope) => {
    const { hubs: [a, b] } = await nodes(scope, 2, { args: ['--dev', '--ice.turn=turn:turn.example.com', '--ice.secrets=s', '--ice.ttl=10s'] });
    const both = [await member(scope, a, 'r', 'ann'), await member(scope, b, 'r', 'bob')];
    for (const one of both) {
        const first = one.joined.ice_expires_ms, next = await one.get('ice-servers');
        assert.ok(next.ice_expires_ms > first, JSON.stringify([first, next]));
        assert.equal(next.room, 'r');
        assert.notEqual(next.ice_servers[0].credential, one.joined.ice_servers[0].credential);
    }
});

scenario('rooms of three hubs become events once, in order', async (scope) => {
    const { hubs } = await nodes(scope, 3, { args: ['--dev', '--redis.lease=3s', '--rooms.empty_timeout=0s', ...LOCAL] });
    const receiver = await Receiver.start(scope);
    await new Webhooks(hubs[0]).make({ url: receiver.url('/hook'), events: ['room.*'], ordered: true });
    for (const hub of hubs) await eventually(async () => (await request(hub, '/v1/webhooks')).json.data.length === 1, 'it to be known');
    const expected = [];
    for (let round = 0; round < 4; round++) {
        const all = [];
        for (const [i, hub] of hubs.entries()) all.push(await member(scope, hub, 'r', `u${i}.${round}`));
        for (const one of all) await one.ask('leave');
        expected.push('room.started', ...all.map((one) => `room.joined ${one.user}`), ...all.map((one) => `room.left ${one.user}`), 'room.ended');
    }
    const said = (await receiver.requests('/hook', expected.length)).map(bodyOf).map(({ type, data }) => (data.user_id ? `${type} ${data.user_id}` : type));
    assert.deepEqual(said, expected);
});

scenario('the right to publish in Redis is taken away and given back: what was said meanwhile, and again, is heard once', async (scope) => {
    const { redis, hubs: [a, b] } = await nodes(scope, 2, DEV);
    const ann = await member(scope, a, 'r', 'ann'), bob = await member(scope, b, 'r', 'bob');
    for (let n = 1; n <= 5; n++) {
        redis.say('acl', 'setuser', 'default', '-publish');
        const { code } = await ann.ask('signal', { to: 'bob', data: n, n });
        assert.ok(['outcome_unknown', 'redis_away', 'redis_refused'].includes(code), code);
        redis.say('acl', 'setuser', 'default', '+publish');
        await eventually(async () => (await ann.ask('signal', { to: 'bob', data: n, n })).type === 'ok', 'it to be taken');
    }
    await eventually(() => dataOf(bob).includes(5), 'bob to hear');
    assert.deepEqual(dataOf(bob), upTo(5));
    assert.deepEqual(seqsOf(bob), upTo(seqsOf(bob).length));
});

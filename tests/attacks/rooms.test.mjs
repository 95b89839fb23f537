// Rooms of signaling: tables/rooms.mjs, and floods of joins and candidates. What is refused is told to its sender, and nobody else notices.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from '../e2e/lib/scope.mjs';
import { eventually } from '../e2e/lib/wait.mjs';
import { chosen } from './lib/chosen.mjs';
import { Watch } from './lib/watch.mjs';
import { cases } from './tables/rooms.mjs';

const KEY = `ck_${randomBytes(32).toString('hex')}`;
const ADMIN = { Authorization: `Bearer ${KEY}` };

async function openRooms(scope) {
    const ini = path.join(scope.dir(), 'carillon.ini');
    writeFileSync(ini, `[access]\njoin = den attic full flood.** made.**\npublish = **\nsubscribe = **\n[rooms]\ngrace = 0\n[room "full"]\ncapacity = 1\n[room "made.*"]\ncreate = api\n` +
        `[keys]\nwatch = sha256:${createHash('sha256').update(KEY).digest('hex')}\n`);
    const hub = await scope.hub({ dev: false, args: ['--config', ini] });
    return { hub, watch: await Watch.over(scope, hub, ADMIN) };
}

async function joined(scope, hub, room, user) {
    const socket = await scope.ws(hub);
    assert.equal((await socket.ask({ type: 'join', room, user_id: user })).type, 'users-in-room');
    return socket;
}

const withRef = (frame) => typeof frame === 'string' ? `{"ref":"last",${frame.slice(1)}` : JSON.stringify({ ref: 'last', ...frame });
const isMal = (f) => ['user-joined', 'user-left'].includes(f.type) && f.user_id === 'mal';

async function attempt(scope, hub, where, frame) {
    const mal = await scope.ws(hub);
    if (where !== 'out') await mal.ask({ type: 'join', room: 'den', user_id: 'mal' });
    if (where === 'both') await mal.ask({ type: 'join', room: 'attic', user_id: 'mal' });
    mal.send(withRef(frame));
    const answer = await mal.waitFor(() => mal.frames.find((f) => f.ref === 'last' || (f.type === 'error' && f.ref === undefined)), 'an answer');
    assert.equal((await mal.ask({ type: 'ping' })).type, 'pong', 'it lives');
    return { mal, answer };
}

// All that was said before has arrived when this has.
let nonce = 0;
async function settled(ann, others) {
    const data = `settled ${++nonce}`;
    await ann.ask({ type: 'broadcast', room: 'den', data });
    for (const other of others) await other.get((f) => f.data === data);
}

scenario('rooms: every case of the table, and nobody else notices', async (scope, t) => {
    const { hub, watch } = await openRooms(scope);
    const ann = await joined(scope, hub, 'den', 'ann'), bob = await joined(scope, hub, 'den', 'bob');
    const cat = await joined(scope, hub, 'attic', 'cat');
    const dan = await joined(scope, hub, 'full', 'dan');
    for (const [what, where, frame, expected, told] of chosen(cases)) {
        await t.test(what, async () => {
            const before = [ann, bob, cat].map((one) => one.frames.length);
            const { mal, answer } = await attempt(scope, hub, where, frame);
            assert.equal(answer.code ?? answer.type, expected, JSON.stringify(answer).slice(0, 300));
            mal.terminate();
            if (where !== 'out') await ann.waitFor(() => ann.frames.slice(before[0]).some((f) => f.type === 'user-left'), 'mal to have left');
            if (where === 'both') await cat.waitFor(() => cat.frames.slice(before[2]).some((f) => f.type === 'user-left'), 'mal to have left there');
            await settled(ann, [bob]);
            const news = [ann, bob, cat].map((one, i) => one.frames.slice(before[i]).filter((f) => !isMal(f) && !String(f.data).startsWith('settled') && f.type !== 'ok'));
            assert.deepEqual([news[0], news[2]], [[], []], 'nobody else is told');
            assert.equal(news[1].length, told ? 1 : 0, JSON.stringify(news[1]));
            for (const [name, value] of Object.entries(told ?? {})) assert.deepEqual(news[1][0][name], value);
            assert.ok(!JSON.stringify(news[1]).includes('evil'), JSON.stringify(news[1]));
        });
    }
    await watch.unharmed('the table of rooms');
    for (const one of [ann, bob, cat, dan]) one.close();
    await watch.over('rooms', 24, t);
});

scenario('rooms: 10,000 joins on one connection, and 100,000 candidates in a burst, are told no and cost nobody else anything', async (scope, t) => {
    const { hub, watch } = await openRooms(scope);
    const joins = await scope.ws(hub);
    for (let i = 0; i < 10_000; i++) joins.send({ type: 'join', room: `flood.${i}`, user_id: 'mal', ref: i });
    await joins.waitFor(() => joins.frames.length > 10_000, 'all answers', 60_000);
    assert.equal(joins.of('users-in-room').length, 10);
    assert.deepEqual([...new Set(joins.of('error').map((f) => f.code))].sort(), ['rate_limited', 'too_many_rooms']);
    joins.terminate();

    const ann = await joined(scope, hub, 'den', 'ann'), bob = await joined(scope, hub, 'den', 'bob'), mal = await joined(scope, hub, 'den', 'mal');
    const candidate = JSON.stringify({ type: 'ice-candidate', to: 'bob', candidate: { candidate: 'candidate:1 1 udp 1 192.0.2.1 9 typ host', sdpMid: '0' } });
    for (let i = 0; i < 100_000; i++) mal.send(candidate);
    assert.equal((await ann.ask({ type: 'signal', to: 'bob', data: 'meanwhile' }, 60_000)).type, 'ok');
    mal.send({ type: 'ping' });
    await eventually(async () => mal.frames.at(-1).type === 'pong', 'the end of the burst', 60_000);      // looked for seldom: there are very many frames
    const refused = mal.of('error');
    assert.ok(refused.length > 50_000 && refused.every((f) => f.code === 'rate_limited' && f.retry_after >= 1 && f.limit === 'signals_per_connection'), JSON.stringify(refused[0]));
    await bob.get((f) => f.type === 'signal' && f.data === 'meanwhile');
    assert.equal(bob.closed, null);
    for (const one of [ann, bob, mal]) one.terminate();
    await watch.over('floods of rooms', 48, t);
});

// Readers that fall behind: they catch up from history, and when history cannot serve them any more the policy applies.
// The kernel's buffers between hub and reader hold some megabytes, so these tests publish tens of them.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { publish, publishAll } from './lib/http.mjs';
import { Pipeline } from './lib/pipeline.mjs';
import { metricsOf, total } from './lib/metrics.mjs';
import { eventually } from './lib/wait.mjs';

const DEEP = ['--history.size=100000', '--history.bytes=1GiB', '--history.max_bytes=1GiB', '--edge.ring_bytes=256KiB'];
const SHALLOW = ['--history.size=20', '--edge.ring_bytes=256KiB'];
const big = (n) => `${n}`.padEnd(60_000, '.');
const numbersOf = (texts) => texts.map((text) => Number.parseInt(text, 10));

async function flood(scope, hub, channel, count) {
    const publisher = new Pipeline(hub, channel, { window: 20, total: count, text: big });
    scope.defer(() => publisher.close());
    await publisher.finished(60_000);
    assert.equal(publisher.acknowledged.size, count, publisher.state());
    publisher.close();
}

scenario('a slow reader catches up from history at its own pace and misses nothing', async (scope) => {
    const hub = await scope.hub({ args: DEEP });
    const stream = await scope.sse(hub, '/sse?channel=a');
    const socket = await scope.ws(hub, '/ws?channel=a');
    const fast = await scope.ws(hub, '/ws?channel=a');
    await Promise.all([stream.ready(), socket.get('subscribed'), fast.get('subscribed')]);
    stream.pause();
    socket.pause();
    await flood(scope, hub, 'a', 500);
    await fast.take(500, 60_000);
    assert.equal(socket.messages.length < 500 && stream.messages.length < 500, true, 'they are behind');
    stream.resume();
    socket.resume();
    const { id } = await publish(hub, 'a', '500');
    await Promise.all([stream.take(501, 60_000), socket.take(501, 60_000)]);
    const all = Array.from({ length: 501 }, (_, i) => i);
    assert.deepEqual(numbersOf(stream.data), all);
    assert.deepEqual(numbersOf(socket.data), all);
    assert.equal(stream.messages.at(-1).id, id);
    assert.deepEqual([...stream.control('gap'), ...socket.of('gap')], []);
});

const slowOf = async (hub, policy) => total(await metricsOf(hub), 'carillon_slow_consumers_total', { policy });

scenario('a reader that history can no longer serve is closed with 4008 and told so, and resumes with a gap', async (scope) => {
    const hub = await scope.hub({ args: SHALLOW });
    const socket = await scope.ws(hub, '/ws?channel=a');
    const stream = await scope.sse(hub, '/sse?channel=a');
    const other = await scope.ws(hub, '/ws?channel=b');
    await Promise.all([stream.ready(), socket.get('subscribed'), other.get('subscribed')]);
    socket.pause();
    stream.pause();
    await flood(scope, hub, 'a', 600);
    socket.resume();
    stream.resume();
    await Promise.all([socket.end(), stream.end()]);
    assert.deepEqual([socket.closed.code, socket.of('bye').map((f) => f.code)], [4008, ['slow_consumer']], 'slow, but not stuck: it is told');
    assert.deepEqual(stream.control('bye').map((b) => JSON.parse(b.data).code), ['slow_consumer']);
    for (const texts of [socket.data, stream.data]) {
        assert.ok(texts.length < 600);
        assert.deepEqual(numbersOf(texts), Array.from({ length: texts.length }, (_, i) => i), 'what it got before is whole');
    }
    assert.equal(await slowOf(hub, 'disconnect'), 2);
    assert.match(hub.log, /slow_consumer/, 'the log names the connection and the reason');
    await publish(hub, 'b', 'x');
    await other.take(1);
    const back = await scope.sse(hub, '/sse?channel=a', { lastEventId: stream.lastId });
    await back.waitFor(() => numbersOf(back.data).at(-1) === 599, 'the newest');
    assert.equal(JSON.parse((await back.gap()).data).reason, 'history');
});

scenario('a stream that reads nothing any more is closed as soon as history has moved on, without having to read', async (scope) => {
    const hub = await scope.hub({ args: [...SHALLOW, '--sse.heartbeat=1s'] });
    const stuck = await scope.sse(hub, '/sse?channel=a');
    const waiting = await scope.sse(hub, '/sse?channel=b');
    await Promise.all([stuck.ready(), waiting.ready()]);
    stuck.pause();
    waiting.pause();
    await flood(scope, hub, 'a', 600);
    await eventually(async () => (await slowOf(hub, 'disconnect')) === 1, 'the policy to apply while it is stuck');
    await eventually(async () => total(await metricsOf(hub), 'carillon_connections', { transport: 'sse' }) === 1, 'its connection to be gone');
    waiting.resume();
    await publish(hub, 'b', '0');
    await waiting.take(1);
});

scenario('large answers that a client asked for faster than it reads wait for it and never close it', async (scope) => {
    const hub = await scope.hub({ args: DEEP });
    const socket = await scope.ws(hub, '/ws');
    await socket.get('welcome');
    await flood(scope, hub, 'a', 20);
    socket.pause();
    for (let ref = 0; ref < 30; ref++) socket.send({ type: 'history', channel: 'a', ref });
    await new Promise((done) => setImmediate(done));
    await publishAll(hub, 'other', ['1', '2', '3']);
    socket.resume();
    await socket.waitFor(() => socket.of('history').length === 30, 'all answers', 60_000);
    assert.deepEqual(socket.of('history').map((f) => f.ref), Array.from({ length: 30 }, (_, i) => i));
    for (const answer of socket.of('history')) assert.equal(answer.messages.length, 17, 'a MiB of messages');
    assert.equal(socket.closed, null);
});

scenario('under lag.policy=skip the slow reader is told a gap and its stream goes on', async (scope) => {
    const hub = await scope.hub({ args: [...SHALLOW, '--lag.policy=skip'] });
    const stream = await scope.sse(hub, '/sse?channel=a');
    const socket = await scope.ws(hub, '/ws?channel=a');
    await Promise.all([stream.ready(), socket.get('subscribed')]);
    stream.pause();
    socket.pause();
    await flood(scope, hub, 'a', 600);
    stream.resume();
    socket.resume();
    await Promise.all([stream.gap(), socket.get('gap')]);
    await publish(hub, 'a', '600');
    await Promise.all([stream.waitFor(() => stream.data.at(-1) === '600', 'the newest'), socket.waitFor(() => socket.data.at(-1) === '600', 'the newest')]);
    for (const one of [stream, socket]) {
        const numbers = numbersOf(one.data);
        for (let i = 1; i < numbers.length; i++) assert.ok(numbers[i] > numbers[i - 1]);
        assert.ok(numbers.length < 600);
    }
    // A hole is allowed only where a gap was told, and the gap comes between the two.
    const order = socket.frames.filter((f) => f.type === 'message' || f.type === 'gap').map((f) => (f.type === 'gap' ? 'gap' : Number.parseInt(f.data, 10)));
    for (let i = 1; i < order.length; i++) if (order[i] !== 'gap' && order[i - 1] !== 'gap') assert.equal(order[i], order[i - 1] + 1, `${order[i]} after ${order[i - 1]} without a gap`);
    assert.equal(socket.closed, null);
    assert.equal(stream.ended, null);
});

scenario('lag.bytes bounds how far a reader may fall behind although history has it all', async (scope) => {
    const hub = await scope.hub({ args: [...DEEP, '--lag.bytes=2MiB'] });
    const socket = await scope.ws(hub, '/ws?channel=a');
    await socket.get('subscribed');
    await publish(hub, 'a', '0');
    await socket.take(1);
    socket.pause();
    await flood(scope, hub, 'a', 500);
    await eventually(async () => (await slowOf(hub, 'disconnect')) === 1, 'the policy to apply while it is stuck');
    socket.resume();
    assert.ok([4008, 1006].includes((await socket.end()).code));
    const back = await scope.ws(hub, `/ws?channel=a&last_event_id=${socket.messages.at(-1).id}`);
    await back.take(501 - socket.messages.length, 60_000);
    assert.deepEqual(back.of('gap'), [], 'who comes back is resuming: it gets everything, whatever lag.bytes says');
});

scenario('a reader that is stuck takes nothing from the others, nor from the hub', async (scope) => {
    const hub = await scope.hub({ args: DEEP });
    const stuck = await scope.sse(hub, '/sse?channel=a');
    await stuck.ready();
    stuck.pause();
    const fast = await scope.ws(hub, '/ws?channel=a');
    await fast.get('subscribed');
    await flood(scope, hub, 'a', 400);
    await fast.take(400, 60_000);
    await publishAll(hub, 'other', ['1', '2', '3']);
    const rings = total(await metricsOf(hub), 'carillon_ring_bytes');
    assert.ok(rings <= 16 * 1024 * 1024, `${rings} bytes of rings for a feed of 256 KiB`);
});

scenario('pings under a burst are answered between frames, never inside one', async (scope) => {
    const hub = await scope.hub({ args: DEEP });
    const socket = await scope.ws(hub, '/ws?channel=a');
    await socket.get('subscribed');
    socket.pause();
    const flooding = flood(scope, hub, 'a', 300);
    for (let i = 0; i < 50; i++) socket.socket.ping(`ping ${i}`);      // the hub answers while its line is full
    await flooding;
    socket.resume();
    await socket.take(300, 60_000);      // a pong inside a frame would have broken the parser
    assert.deepEqual(numbersOf(socket.data), Array.from({ length: 300 }, (_, i) => i));
    socket.socket.ping('last');
    await socket.waitFor(() => socket.lastPong?.toString() === 'last', 'the last pong');
    assert.equal(socket.closed, null);
});

scenario('a reader of several channels that falls behind gets them in one order, each whole', async (scope) => {
    const hub = await scope.hub({ args: DEEP });
    const stream = await scope.sse(hub, '/sse?channel=a&channel=b&channel=c');
    const socket = await scope.ws(hub, '/ws?channel=a&channel=b&channel=c');
    await Promise.all([stream.ready(), socket.get('subscribed')]);
    stream.pause();
    socket.pause();
    await Promise.all(['a', 'b', 'c'].map((channel) => flood(scope, hub, channel, 150)));
    stream.resume();
    socket.resume();
    await Promise.all([stream.take(450, 60_000), socket.take(450, 60_000)]);
    const all = Array.from({ length: 150 }, (_, i) => i);
    for (const messages of [stream.messages.map((m) => JSON.parse(m.data)), socket.messages]) {
        for (const channel of ['a', 'b', 'c']) assert.deepEqual(numbersOf(messages.filter((m) => m.channel === channel).map((m) => m.data)), all);
        const numbers = messages.map((m) => Number(m.id.split('.')[1]));
        assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b), 'by number over all channels');
    }
    assert.deepEqual([...stream.control('gap'), ...socket.of('gap')], []);
});

scenario('a reader that stops in the middle of its resume is never closed for it: when history has moved on it is told a gap', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=300', '--history.bytes=1GiB', '--edge.ring_bytes=256KiB'] });
    const { id } = await publish(hub, 'a', 'first');
    await flood(scope, hub, 'a', 290);
    const stream = await scope.sse(hub, '/sse?channel=a', { lastEventId: id });
    const socket = await scope.ws(hub, `/ws?channel=a&last_event_id=${id}`);
    stream.pause();
    socket.pause();
    await flood(scope, hub, 'a', 400);      // more than is kept: what they have not been sent is gone
    stream.resume();
    socket.resume();
    await publish(hub, 'a', '400');
    await Promise.all([stream.waitFor(() => stream.data.at(-1) === '400', 'the newest', 60_000), socket.waitFor(() => socket.data.at(-1) === '400', 'the newest', 60_000)]);
    assert.equal(JSON.parse(stream.control('gap')[0].data).reason, 'history');
    assert.equal(socket.of('gap')[0].reason, 'history');
    assert.equal(await slowOf(hub, 'disconnect'), 0);
    assert.deepEqual([stream.ended, socket.closed], [null, null]);
});

// ---- lag.policy = latest ----

const CHANNELS = 1000, ROUNDS = 14;
const prices = (n) => `prices.${n % CHANNELS}`;
const price = (n) => `${Math.floor(n / CHANNELS)} `.padEnd(5000, '.');
const CONFLATED = '[channel "prices.*"]\nlag.policy = latest\nlag.bytes = 4KiB\n[history]\nsize = 20\n';

function withSettings(scope, text) {
    const ini = path.join(scope.dir(), 'hub.ini');
    writeFileSync(ini, text);
    return ini;
}

// What a reader got of each channel, in order; all by number, each channel's own numbers growing.
function byChannel(messages) {
    const rounds = new Map();
    const numbers = messages.map((m) => Number(m.id.split('.')[1]));
    for (let i = 1; i < numbers.length; i++) assert.ok(numbers[i] > numbers[i - 1], `${numbers[i]} after ${numbers[i - 1]}`);
    for (const m of messages) rounds.set(m.channel, [...rounds.get(m.channel) ?? [], Number.parseInt(m.data, 10)]);
    for (const [channel, of] of rounds) for (let i = 1; i < of.length; i++) assert.ok(of[i] > of[i - 1], `${channel}: ${of}`);
    return rounds;
}

scenario('under lag.policy=latest a slow reader of 1,000 channels has the newest message of each when the publisher rests', async (scope) => {
    const hub = await scope.hub({ args: ['--config', withSettings(scope, CONFLATED), '--limits.channels=2000'] });
    const stream = await scope.sse(hub, '/sse?channel=prices.*&channel=other&user=ann');
    const socket = await scope.ws(hub, '/ws?user=bob');
    await Promise.all([stream.ready(), socket.get('welcome')]);
    socket.send({ type: 'subscribe', channels: Array.from({ length: CHANNELS }, (_, n) => prices(n)) });
    await socket.waitFor(() => socket.of('subscribed').length === CHANNELS + 1, 'all subscribed, and its own');
    const seen = { sse: () => stream.messages.map((m) => JSON.parse(m.data)), ws: () => socket.messages };
    const reading = [stream, socket];
    const publisher = new Pipeline(hub, prices, { connections: 2, window: 200, total: CHANNELS * ROUNDS, text: price });
    scope.defer(() => publisher.close());
    for (let round = 1; round <= ROUNDS; round++) {      // now it reads, now it does not
        for (const one of reading) round % 4 ? one.pause() : one.resume();
        await publisher.reached(CHANNELS * round, 60_000);
    }
    for (const one of reading) one.resume();
    for (const [name, messages] of Object.entries(seen)) {
        const newest = () => new Map(messages().map((m) => [m.channel, Number.parseInt(m.data, 10)]));
        await eventually(() => newest().size === CHANNELS && [...newest().values()].every((round) => round === ROUNDS - 1), `the newest of each channel: ${name}`, 60_000);
        byChannel(messages());
        assert.ok(messages().length < CHANNELS * ROUNDS, 'not all of them');
    }
    const gaps = [...stream.control('gap').map((b) => JSON.parse(b.data)), ...socket.of('gap')];
    assert.ok(gaps.length >= 2);
    for (const gap of gaps) assert.equal(gap.reason, 'conflated');
    assert.deepEqual(stream.control('gap').map((b) => JSON.parse(b.data).channels).flat().filter((c) => c !== 'prices.*'), []);
    assert.deepEqual([stream.ended, socket.closed], [null, null]);
    assert.ok(await slowOf(hub, 'latest') >= 2);
    assert.equal(await slowOf(hub, 'disconnect'), 0);
    for (const user of ['ann', 'bob']) assert.match(hub.log, new RegExp(`c[0-9a-f-]+: fell behind channel=prices\\.\\S+ policy=latest user=${user}`));
    await publish(hub, 'prices.7', 'live again');
    await Promise.all([stream.waitFor(() => seen.sse().at(-1).data === 'live again', 'the stream to be live'), socket.waitFor(() => socket.data.at(-1) === 'live again', 'the socket to be live')]);
});

scenario('a channel with another policy on the same connection comes whole while its neighbour is conflated', async (scope) => {
    const hub = await scope.hub({ args: ['--config', withSettings(scope, '[channel "prices.*"]\nlag.policy = latest\nlag.bytes = 64KiB\n[history]\nsize = 1000\nbytes = 1GiB\n')] });
    const socket = await scope.ws(hub, '/ws?channel=news&channel=prices.eur');
    await socket.waitFor(() => socket.of('subscribed').length === 2, 'both');
    socket.pause();
    for (let i = 0; i < 10; i++) {
        await publish(hub, 'news', `${i}`);
        await flood(scope, hub, 'prices.eur', 80);
    }
    await publish(hub, 'prices.eur', 'newest');
    socket.resume();
    await socket.waitFor(() => socket.data.at(-1) === 'newest', 'the newest');
    assert.deepEqual(socket.messages.filter((m) => m.channel === 'news').map((m) => m.data), Array.from({ length: 10 }, (_, i) => `${i}`));
    assert.ok(socket.messages.length < 811);
    assert.deepEqual(socket.of('gap').map((gap) => [gap.reason, gap.channels]), [['conflated', ['prices.eur']]]);
});

scenario('SIGHUP changes the policy of those who are connected', async (scope) => {
    const ini = withSettings(scope, '[channel "prices.*"]\nlag.policy = disconnect\n[history]\nsize = 20\n');
    const hub = await scope.hub({ args: ['--config', ini, '--edge.ring_bytes=256KiB'] });
    const socket = await scope.ws(hub, '/ws?channel=prices.eur');
    await socket.get('subscribed');
    writeFileSync(ini, '[channel "prices.*"]\nlag.policy = latest\n[history]\nsize = 20\n');
    hub.run.signal('SIGHUP');
    await hub.run.waitFor((run) => /config: reloaded/.test(run.stderr), 'the reload');
    socket.pause();
    await flood(scope, hub, 'prices.eur', 600);
    await publish(hub, 'prices.eur', 'newest');
    socket.resume();
    await socket.waitFor(() => socket.data.at(-1) === 'newest', 'the newest');
    assert.equal(socket.closed, null);
    assert.deepEqual(socket.of('gap').map((gap) => gap.reason), ['conflated']);
});

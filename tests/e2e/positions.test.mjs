// Resume from a position, on both transports alike: what came after it, once, in order; or a gap, never an HTTP error.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { messagesPath, publish, publishAll, request } from './lib/http.mjs';

const enc = encodeURIComponent;
const readyOf = async (stream) => JSON.parse((await stream.ready()).data);

// Comes back to `channels` after `position` on one transport; resolves with what was told, in one shape for both.
const TRANSPORTS = {
    async 'SSE by header'(scope, hub, channels, position, count) {
        return viaSse(await scope.sse(hub, `/sse?${channels.map((c) => `channel=${enc(c)}`).join('&')}&format=envelope`, { lastEventId: position }), count);
    },
    async 'SSE by last_event_id'(scope, hub, channels, position, count) {
        return viaSse(await scope.sse(hub, `/sse?${channels.map((c) => `channel=${enc(c)}`).join('&')}&format=envelope&last_event_id=${enc(position)}`), count);
    },
    async 'SSE by lastEventID'(scope, hub, channels, position, count) {
        return viaSse(await scope.sse(hub, `/sse?lastEventID=${enc(position)}&${channels.map((c) => `channel=${enc(c)}`).join('&')}&format=envelope`), count);
    },
    async 'WebSocket'(scope, hub, channels, position, count) {
        const socket = await scope.ws(hub, `/ws?${channels.map((c) => `channel=${enc(c)}`).join('&')}&last_event_id=${enc(position)}`);
        await socket.waitFor(() => socket.of('subscribed').length === channels.length, 'subscribed');
        await socket.take(count);
        const order = socket.frames.map((f) => f.type);
        assert.deepEqual(order.slice(0, order.lastIndexOf('subscribed') + 1).filter((t) => t === 'message'), [], 'messages come after subscribed');
        return { messages: socket.messages, gaps: socket.of('gap'), channels: socket.of('subscribed').map(({ channel, recovered, resumable }) => ({ channel, recovered, resumable })), close: () => socket.terminate() };
    },
};

async function viaSse(stream, count) {
    assert.equal(stream.status, 200);
    const { channels } = await readyOf(stream);
    await stream.take(count);
    const names = stream.blocks.map((b) => b.event);
    if (names.includes('hub.gap')) assert.ok(names.indexOf('hub.gap') < names.indexOf('hub.ready'), 'the gap comes before ready');
    const gaps = stream.control('gap').map((b) => { assert.equal(JSON.parse(b.data).position, b.id); return JSON.parse(b.data); });
    return { messages: stream.data.map((text) => JSON.parse(text)), gaps, channels, close: () => stream.close() };
}

for (const [name, resume] of Object.entries(TRANSPORTS)) {
    scenario(`${name}: everything after the position comes once and in order, then what is published now`, async (scope) => {
        const hub = await scope.hub();
        const ids = [];
        for (let i = 0; i < 30; i++) ids.push((await publish(hub, ['a', 'b', 'c'][i % 3], `${i}`)).id);
        for (const from of [0, 7, 28, 29]) {
            const expected = Array.from({ length: 30 }, (_, i) => `${i}`).filter((_, i) => i > from && i % 3 !== 2);
            const back = await resume(scope, hub, ['a', 'b'], ids[from], expected.length);
            assert.deepEqual(back.messages.map((m) => m.data), expected, `after ${from}`);
            assert.deepEqual(back.gaps, []);
            assert.deepEqual(back.channels.map((c) => c.recovered), [true, true]);
            assert.ok(!back.messages.some((m) => m.replay), 'the beginning of a stream is not a marked replay');
            back.close();
        }
    });

    scenario(`${name}: a position that is nonsense, foreign or from the future is a gap, then everything kept`, async (scope) => {
        const hub = await scope.hub();
        const ids = await publishAll(hub, 'a', ['one', 'two', 'three']);
        const [epoch, number] = ids[2].split('.');
        const foreign = epoch === 'aaaaaaaa' ? 'bbbbbbbb' : 'aaaaaaaa';
        const future = `${epoch}.${Number(number) + 50_000_000}`;
        for (const position of ['nonsense', 'x'.repeat(1000), `${foreign}.1`, future, `${epoch}.`, `${epoch}.-1`, `${epoch}.99999999999999999999999999`, `${epoch}.1x`, `.1`, '0', '{"a":1}', '%00', `${epoch}. 1`, `${epoch.toUpperCase()}.1`]) {
            const back = await resume(scope, hub, ['a'], position, 3);
            assert.deepEqual(back.gaps.map((g) => [g.type, g.reason, g.channels]), [['gap', 'epoch', ['a']]], position.slice(0, 40));
            assert.deepEqual(back.messages.map((m) => m.id), ids);
            assert.deepEqual(back.channels, [{ channel: 'a', recovered: false, resumable: true }]);
            const told = back.gaps[0].position.split('.');
            assert.equal(told[0], epoch);
            assert.ok(BigInt(told[1]) < BigInt(ids[0].split('.')[1]), 'the gap lies before the first message that follows');
            back.close();
        }
    });

    scenario(`${name}: an empty position is none: the stream begins now`, async (scope) => {
        const hub = await scope.hub();
        await publish(hub, 'a', 'before');
        const back = await resume(scope, hub, ['a'], '', 0);
        assert.deepEqual(back.gaps, []);
        assert.deepEqual(back.channels, [{ channel: 'a', recovered: false, resumable: true }]);
        assert.deepEqual(back.messages, []);
    });

    scenario(`${name}: a position that history no longer reaches is one gap with the channels concerned`, async (scope) => {
        const hub = await scope.hub({ args: ['--history.size=5'] });
        const start = await publish(hub, 'quiet', 'q0');
        const ids = await publishAll(hub, 'busy', Array.from({ length: 20 }, (_, i) => `${i}`));
        await publish(hub, 'quiet', 'q1');
        const back = await resume(scope, hub, ['busy', 'quiet'], start.id, 6);
        assert.deepEqual(back.messages.map((m) => m.data), ['15', '16', '17', '18', '19', 'q1']);
        assert.deepEqual(back.gaps.map((g) => [g.reason, g.channels]), [['history', ['busy']]]);
        assert.deepEqual(Object.fromEntries(back.channels.map((c) => [c.channel, c.recovered])), { busy: false, quiet: true });
        assert.equal(Number(back.gaps[0].position.split('.')[1]), Number(ids[15].split('.')[1]) - 1, 'just before the first message that follows');
        back.close();
        const exact = await resume(scope, hub, ['busy', 'quiet'], ids[14], 6);
        assert.deepEqual(exact.gaps, [], 'the last dropped message is a position for which nothing is missing');
        const again = await resume(scope, hub, ['busy', 'quiet'], back.gaps[0].position, 6);
        assert.deepEqual(again.messages.map((m) => m.data), ['15', '16', '17', '18', '19', 'q1'], 'from the gap itself all that followed it comes again');
    });

    scenario(`${name}: who comes back with other channels gets everything kept after the position in the new ones`, async (scope) => {
        const hub = await scope.hub();
        const first = await publish(hub, 'a', 'a1');
        await publish(hub, 'b', 'b1');
        await publish(hub, 'a', 'a2');
        const back = await resume(scope, hub, ['b', 'never'], first.id, 1);
        assert.deepEqual(back.messages.map((m) => m.data), ['b1']);
        assert.deepEqual(back.gaps, []);
    });
}

scenario('the Last-Event-ID header beats the query, because an EventSource repeats its URL', async (scope) => {
    const hub = await scope.hub();
    const ids = await publishAll(hub, 'a', ['0', '1', '2', '3']);
    const stream = await scope.sse(hub, `/sse?channel=a&last_event_id=${ids[0]}`, { lastEventId: ids[2] });
    await stream.take(1);
    assert.deepEqual(stream.data, ['3']);
    const nonsense = await scope.sse(hub, `/sse?channel=a&last_event_id=${ids[0]}`, { lastEventId: 'nonsense' });
    await nonsense.take(4);
    assert.equal(JSON.parse(nonsense.control('gap')[0].data).reason, 'epoch');
});

scenario('a stream that was cut before its first message resumes exactly from hub.ready', async (scope) => {
    const hub = await scope.hub();
    await publish(hub, 'a', 'before');
    const stream = await scope.sse(hub, '/sse?channel=a');
    const { id } = await stream.ready();
    const socket = await scope.ws(hub, '/ws?channel=a');
    const { position } = await socket.get('welcome');
    await socket.get('subscribed');
    stream.close();
    socket.terminate();
    await publishAll(hub, 'a', ['1', '2']);
    const [back, socketBack] = [await scope.sse(hub, '/sse?channel=a', { lastEventId: id }), await scope.ws(hub, `/ws?channel=a&last_event_id=${position}`)];
    await Promise.all([back.take(2), socketBack.take(2)]);
    assert.deepEqual(back.data, ['1', '2']);
    assert.deepEqual(socketBack.data, ['1', '2']);
    assert.deepEqual([...back.control('gap'), ...socketBack.of('gap')], []);
});

scenario('hub.ready promises every publish that is sent after it was read, for many streams that open and publish', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=1000'] });
    await Promise.all(Array.from({ length: 40 }, async (_, i) => {
        if (i % 2) {
            const socket = await scope.ws(hub, '/ws');
            socket.send({ type: 'subscribe', channels: ['race'] });
            await socket.get('subscribed');
            const { id } = await publish(hub, 'race', `${i}`);
            await socket.waitFor(() => socket.messages.find((m) => m.id === id), `message ${i}`);
        } else {
            const stream = await scope.sse(hub, '/sse?channel=race');
            await stream.ready();
            const { id } = await publish(hub, 'race', `${i}`);
            await stream.waitFor(() => stream.messages.find((b) => b.id === id), `message ${i}`);
        }
    }));
});

scenario('resume in the middle of heavy publishing has no hole and no double at the seam', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=100000', '--history.bytes=100MiB'] });
    const count = 6000;
    const publishing = publishAll(hub, 'busy', Array.from({ length: count }, (_, i) => `${i}`));
    let stream = await scope.sse(hub, '/sse?channel=busy&last_event_id=aaaaaaaa.0');
    const seen = [];
    let lastId;
    for (let cuts = 0; seen.length < count; cuts++) {
        const enough = cuts < 12 ? Math.min((cuts + 1) * 400 - seen.length, count - seen.length) : count - seen.length;
        await stream.take(Math.max(enough, 1), 60_000);
        stream.close();
        for (const block of stream.messages) { seen.push(block.data); lastId = block.id; }
        if (seen.length < count) stream = await scope.sse(hub, '/sse?channel=busy', { lastEventId: lastId });
    }
    await publishing;
    assert.deepEqual(seen, Array.from({ length: count }, (_, i) => `${i}`));
    const kept = await request(hub, messagesPath('busy', '?limit=1'));
    assert.equal(kept.json.data[0].data, '0');
});

scenario('readers on several edges all see the same order', async (scope) => {
    const hub = await scope.hub({ args: ['--edge.threads=4', '--history.size=5000'] });
    const streams = [], sockets = [];
    for (let i = 0; i < 24; i++) {
        streams.push(await scope.sse(hub, '/sse?channel=a&channel=b'));
        sockets.push(await scope.ws(hub, '/ws?channel=b&channel=a'));
    }
    await Promise.all([...streams.map((s) => s.ready()), ...sockets.map((s) => s.waitFor(() => s.of('subscribed').length === 2, 'both'))]);
    const count = 600;
    await Promise.all(['a', 'b'].map((channel) => publishAll(hub, channel, Array.from({ length: count / 2 }, (_, i) => `${channel}${i}`))));
    const kept = (await Promise.all(['a', 'b'].map((c) => request(hub, messagesPath(c, '?limit=1000'))))).flatMap((a) => a.json.data);
    const order = kept.map((m) => m.id).sort((x, y) => Number(x.split('.')[1]) - Number(y.split('.')[1]));
    for (const one of streams) assert.deepEqual((await one.take(count)).map((b) => b.id), order);
    for (const one of sockets) assert.deepEqual((await one.take(count)).map((m) => m.id), order);
});

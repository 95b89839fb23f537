// Resume over a line that breaks, a hub that is told to stop, and a hub that had nothing to keep its messages in.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { SseReader, WsReader } from './lib/reader.mjs';
import { checkExactlyOnce, epochOf, numberOf } from './lib/ledger.mjs';
import { post, publish, publishAll, request } from './lib/http.mjs';
import { eventually } from './lib/wait.mjs';

function reader(scope, Kind, where, channels) {
    const one = new Kind(where, channels);
    scope.defer(() => one.close());
    return one;
}

for (const Kind of [SseReader, WsReader]) {
    scenario(`${Kind.name}: a line that is cut again and again costs nothing`, async (scope) => {
        const hub = await scope.hub({ args: ['--history.size=10000'] });
        const proxy = await scope.proxy(hub.public);
        const one = reader(scope, Kind, proxy, ['a', 'b']);
        await one.ready();
        const acknowledged = [];
        for (let cut = 0; cut < 8; cut++) {
            const before = one.connections;
            for (let i = 0; i < 60; i++) {
                const text = `${cut}.${i}`;
                acknowledged.push([text, (await publish(hub, i % 2 ? 'a' : 'b', text)).id]);
                if (i === 30) proxy.cut();
            }
            await one.waitFor(() => one.connections > before, 'it to come back');
        }
        await one.has('7.59');
        checkExactlyOnce(one.received, acknowledged);
        assert.equal(one.received.length, acknowledged.length);
        assert.deepEqual(one.gaps, []);
    });
}

scenario('SIGTERM says bye to every stream with a wait of its own, closes, and exits with 0 within drain.timeout', async (scope) => {
    const hub = await scope.hub({ args: ['--drain.timeout=2s'] });
    const streams = [], sockets = [];
    for (let i = 0; i < 15; i++) {
        streams.push(await scope.sse(hub, '/sse?channel=a'));
        sockets.push(await scope.ws(hub, '/ws?channel=a'));
    }
    await Promise.all([...streams.map((s) => s.ready()), ...sockets.map((s) => s.get('subscribed'))]);
    const { id } = await publish(hub, 'a', 'last words');
    await Promise.all([...streams, ...sockets].map((one) => one.take(1)));
    const begun = Date.now();
    const { code, signal } = await hub.terminate(10_000);
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, hub.log);
    assert.ok(Date.now() - begun < 5000, 'it took much longer than drain.timeout');
    const waits = new Set();
    for (const stream of streams) {
        await stream.end();
        const bye = JSON.parse((await stream.bye()).data);
        assert.deepEqual([bye.type, bye.code], ['bye', 'draining']);
        assert.ok(Number.isInteger(bye.retry_ms) && bye.reason.length > 5);
        assert.equal(stream.blocks.at(-1).event, 'hub.bye', 'bye is the last block');
        assert.equal(Number(stream.blocks.filter((b) => b.retry !== undefined).at(-1).retry), bye.retry_ms, 'retry: says the same, for an EventSource that does nothing');
        assert.equal(stream.ended, 'end', 'the stream ends as HTTP ends it');
        assert.deepEqual(stream.messages.map((b) => b.id), [id]);
        waits.add(bye.retry_ms);
    }
    for (const socket of sockets) {
        assert.equal((await socket.end()).code, 4000);
        const [bye] = socket.of('bye');
        assert.equal(bye.code, 'draining');
        assert.deepEqual(socket.messages.map((m) => m.id), [id]);
        waits.add(bye.retry_ms);
    }
    assert.ok(waits.size > 10, `retry_ms is spread: ${[...waits]}`);
});

scenario('a reader that is stuck does not keep a draining hub alive beyond drain.timeout', async (scope) => {
    const hub = await scope.hub({ args: ['--drain.timeout=1s', '--history.bytes=100MiB', '--history.size=10000'] });
    const stream = await scope.sse(hub, '/sse?channel=big');
    const socket = await scope.ws(hub, '/ws?channel=big');
    await Promise.all([stream.ready(), socket.get('subscribed')]);
    stream.pause();
    socket.pause();
    for (let i = 0; i < 300; i++) await publish(hub, 'big', `${i}`.padEnd(60_000, 'x'));
    const { code } = await hub.terminate(10_000);
    assert.equal(code, 0, hub.log);
});

scenario('publishes under way when SIGTERM comes are answered, and a 201 is kept', async (scope) => {
    const dir = scope.dir();
    const hub = await scope.hub({ dir, args: ['--history.size=5000', '--drain.timeout=2s'] });
    const answers = [];
    const many = Array.from({ length: 300 }, (_, i) => post(hub, 'a', `${i}`, { headers: { 'Content-Type': 'text/plain' } }).then((a) => answers.push([`${i}`, a]), () => {}));
    await eventually(() => answers.length > 20, 'some answers');
    const { code } = await hub.terminate();
    assert.equal(code, 0);
    await Promise.all(many);
    await hub.restart();
    const kept = (await request(hub, '/v1/channels/a/messages?limit=1000')).json.data;
    const accepted = answers.filter(([, a]) => a.status === 201).map(([text, a]) => [text, a.json.id]);
    assert.ok(accepted.length > 20);
    checkExactlyOnce(kept.map((m) => ({ id: m.id, text: m.data })), accepted, 'history');
    for (const [, a] of answers) assert.ok([201, 503].includes(a.status), `${a.status}`);
});

for (const Kind of [SseReader, WsReader]) {
    scenario(`${Kind.name}: SIGTERM and restart, several times, lose nothing and keep the epoch`, async (scope) => {
        const hub = await scope.hub({ args: ['--drain.timeout=1s', '--history.size=10000'] });
        const one = reader(scope, Kind, hub, ['a', 'b']);
        await one.ready();
        const acknowledged = [];
        for (let round = 0; round < 4; round++) {
            for (let i = 0; i < 25; i++) acknowledged.push([`${round}.${i}`, (await publish(hub, i % 3 ? 'a' : 'b', `${round}.${i}`)).id]);
            assert.equal((await hub.terminate()).code, 0);
            await hub.restart();
            acknowledged.push([`${round}.away`, (await publish(hub, 'a', `${round}.away`)).id]);
        }
        await one.has('3.away');
        checkExactlyOnce(one.received, acknowledged);
        assert.deepEqual(one.gaps, []);
        assert.equal(new Set(acknowledged.map(([, id]) => epochOf(id))).size, 1);
    });

    scenario(`${Kind.name}: a hub that keeps messages in memory only begins a new epoch and tells the gap`, { ownEngine: 'a hub in memory' }, async (scope) => {
        const hub = await scope.hub({ memory: true });
        const one = reader(scope, Kind, hub, ['a']);
        await one.ready();
        const before = (await publishAll(hub, 'a', ['1', '2', '3'])).at(-1);
        await one.has('3');
        await hub.kill9();
        await hub.restart();
        const after = await publish(hub, 'a', 'new');
        assert.notEqual(epochOf(after.id), epochOf(before));
        await one.has('new');
        assert.deepEqual(one.gaps.map((g) => [g.reason, g.channels]), [['epoch', ['a']]]);
        assert.deepEqual(one.texts, ['1', '2', '3', 'new']);
    });
}

scenario('a clean stop of a hub in memory is a new epoch too', { ownEngine: 'a hub in memory' }, async (scope) => {
    const hub = await scope.hub({ memory: true });
    const { id } = await publish(hub, 'a', 'x');
    assert.equal((await hub.terminate()).code, 0);
    await hub.restart();
    const stream = await scope.sse(hub, '/sse?channel=a', { lastEventId: id });
    assert.equal(JSON.parse((await stream.gap()).data).reason, 'epoch');
});

scenario('numbers are never reused, whatever ended the hub', async (scope) => {
    const hub = await scope.hub();
    let last = 0;
    const epochs = new Set();
    for (const how of ['kill9', 'terminate', 'kill9', 'kill9', 'terminate', 'kill9']) {
        for (const id of await publishAll(hub, 'a', ['x', 'y', 'z'])) {
            assert.ok(numberOf(id) > last, `${id} after ${last}`);
            last = numberOf(id);
            epochs.add(epochOf(id));
        }
        await hub[how]();
        await hub.restart();
    }
    assert.equal(epochs.size, 1, 'one epoch: nothing acknowledged was lost');
});

scenario('store.sync=off keeps the epoch over a clean stop and begins a new one after kill -9', { ownEngine: 'store.sync=off' }, async (scope) => {
    const hub = await scope.hub({ args: ['--store.sync=off'] });
    const first = await publish(hub, 'a', 'one');
    assert.equal((await hub.terminate()).code, 0);
    await hub.restart();
    const second = await publish(hub, 'a', 'two');
    assert.equal(epochOf(second.id), epochOf(first.id));
    const stream = await scope.sse(hub, '/sse?channel=a', { lastEventId: first.id });
    await stream.take(1);
    assert.deepEqual([stream.data, stream.control('gap')], [['two'], []]);
    await hub.kill9();
    await hub.restart();
    const third = await publish(hub, 'a', 'three');
    assert.notEqual(epochOf(third.id), epochOf(first.id));
    const back = await scope.sse(hub, '/sse?channel=a', { lastEventId: second.id });
    assert.equal(JSON.parse((await back.gap()).data).reason, 'epoch');
});

scenario('what history had dropped before a restart is still told as a gap after it', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=5'] });
    const ids = await publishAll(hub, 'a', Array.from({ length: 12 }, (_, i) => `${i}`));
    for (const how of ['terminate', 'kill9']) {
        await hub[how]();
        await hub.restart();
        const lost = await scope.sse(hub, '/sse?channel=a', { lastEventId: ids[3] });
        await lost.take(5);
        assert.equal(JSON.parse((await lost.gap()).data).reason, 'history', how);
        assert.deepEqual(lost.data, ['7', '8', '9', '10', '11']);
        const complete = await scope.sse(hub, '/sse?channel=a', { lastEventId: ids[6] });
        await complete.take(5);
        assert.deepEqual(complete.control('gap'), [], how);
        assert.deepEqual(complete.data, ['7', '8', '9', '10', '11']);
    }
});

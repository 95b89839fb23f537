// What the machine has at most: memory (limits.memory) and descriptors (RLIMIT_NOFILE). The hub says no in time, goes on serving
// those it has, tells what is the matter, and is well again by itself.
import assert from 'node:assert/strict';
import net from 'node:net';
import { scenario } from './lib/scope.mjs';
import { post, publish, request } from './lib/http.mjs';
import { metricsOf, parseMetrics, total } from './lib/metrics.mjs';
import { Pipeline } from './lib/pipeline.mjs';
import { cpuShare, openFiles } from './lib/proc.mjs';
import { RawConnection, publishBytes } from './lib/raw.mjs';
import { eventually } from './lib/wait.mjs';
import { WsClient } from './lib/ws.mjs';
import { sanitizer } from './lib/scarce.mjs';

// Connections that say nothing, as many as asked; `gone` counts those the hub has closed.
function crowd(scope, where, count) {
    const sockets = Array.from({ length: count }, () => net.connect(where));
    const one = { gone: 0, leave: () => sockets.forEach((socket) => socket.destroy()) };
    for (const socket of sockets) socket.on('error', () => {}).on('close', () => { one.gone++; });
    scope.defer(one.leave);
    return one;
}

const MiB = 1024 * 1024;
const KEEP_ALL = ['--history.size=100000', '--history.bytes=1GiB', '--history.max_bytes=1GiB'];
const times = (log, text) => log.split(text).length - 1;
const isReady = async (hub) => (await request(hub, '/health/ready')).status === 200;

async function fillMemory(scope, hub, channel) {
    const publisher = new Pipeline(hub, channel, { window: 20, text: (n) => `${n}`.padEnd(60_000, '.') });
    scope.defer(() => publisher.close());
    await publisher.waitFor(() => publisher.refused.length > 0, 'a refused publish', 60_000);
    publisher.close();
    return publisher;
}

scenario('when memory is short, new streams and publishes are refused, those who are there are served, and it recovers by itself', { skip: sanitizer() && 'its allocator keeps what is freed', ownEngine: 'its history fills the memory of the hub' }, async (scope) => {
    const hub = await scope.hub({ args: [...KEEP_ALL, '--limits.memory=64MiB', '--history.ttl=10s', '--edge.threads=1'] });
    const reader = await scope.ws(hub, '/ws?channel=small');
    await reader.get('subscribed');
    await publish(hub, 'small', 'before');
    const publisher = await fillMemory(scope, hub, 'large');
    assert.deepEqual([publisher.refused[0].status, JSON.parse(publisher.refused[0].body).code], [503, 'busy']);
    assert.ok(publisher.acknowledged.size > 300, publisher.state());

    const red = await request(hub, '/health/ready');
    assert.equal(red.status, 503);
    assert.match(red.json.checks.memory.reason, /limits\.memory/);
    const metrics = await metricsOf(hub);
    assert.equal(total(metrics, 'carillon_memory_short'), 1);
    const resident = total(metrics, 'process_resident_memory_bytes');
    assert.ok(resident < 64 * MiB * 1.125, `${(resident / MiB).toFixed(1)} MiB are resident, not much more than the limit`);

    const stream = await scope.sse(hub, '/sse?channel=small');
    assert.equal(stream.status, 200, 'any other status would be final for an EventSource');
    const bye = JSON.parse((await stream.bye()).data);
    assert.deepEqual([bye.code, await stream.end()], ['busy', 'end']);
    assert.equal(stream.blocks.find((b) => b.retry !== undefined).retry, `${bye.retry_ms}`);
    const socket = new WsClient(hub.public, '/ws?channel=small');
    scope.defer(() => socket.terminate());
    await socket.waitFor(() => socket.refused, 'a refused handshake');
    assert.deepEqual([socket.refused.status, JSON.parse(socket.refused.body).code], [503, 'busy']);
    assert.ok(Number(socket.refused.headers['retry-after']) >= 1);
    const refused = await post(hub, 'other', 'x');
    assert.deepEqual([refused.status, Number(refused.headers['retry-after']) >= 1], [503, true]);
    reader.send({ type: 'ping', ref: 1 });
    await reader.get((f) => f.ref === 1);
    assert.ok(total(await metricsOf(hub), 'carillon_connections_refused_total', { reason: 'memory' }) >= 2);

    await eventually(() => isReady(hub), 'memory to come back when history has aged', 60_000,
        async () => JSON.stringify((await request(hub, '/health/ready')).json.checks.memory));
    await publish(hub, 'small', 'after');
    await reader.waitFor(() => reader.data.at(-1) === 'after', 'the message after it');
    assert.deepEqual(reader.data, ['before', 'after']);
    await (await scope.sse(hub, '/sse?channel=small')).ready();
    assert.equal(total(await metricsOf(hub), 'carillon_memory_short'), 0);
    assert.deepEqual([times(hub.log, 'warn  memory:'), times(hub.log, 'info  memory:')], [1, 1], 'logged once each way');
});

scenario('what history would not keep is published even when memory is short', { ownEngine: 'history takes no memory of a hub with Redis' }, async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=3', '--limits.memory=1MiB'] });
    const answers = [];
    for (let i = 0; i < 2; i++) answers.push((await post(hub, 'a', `${i}`)).status);
    assert.deepEqual(answers, [503, 503], 'a hub is larger than 1 MiB from the beginning');
    const without = await scope.hub({ args: ['--history.size=0', '--limits.memory=1MiB'] });
    await publish(without, 'a', 'x');
});

const FILES = 100;
const POOR = { ulimit: `-n ${FILES}`, args: ['--limits.connections=1000', '--limits.handshake_timeout=10m', '--edge.threads=1'] };

for (const port of ['public', 'api'])
    scenario(`a hub without descriptors serves those it has, turns others away, does not spin, and takes new ones when some have left: ${port}`, async (scope) => {
        const hub = await scope.hub(POOR);
        const reader = await scope.ws(hub, '/ws?channel=a');
        const stream = await scope.sse(hub, '/sse?channel=a');
        const backend = new RawConnection(hub.api);
        scope.defer(() => backend.close());
        await Promise.all([reader.get('subscribed'), stream.ready()]);
        await backend.write(publishBytes('a', 'before')).take(1);

        const idle = crowd(scope, hub[port], 2 * FILES);
        await eventually(() => idle.gone >= FILES, 'those who find no room to be turned away');
        assert.ok(openFiles(hub.pid) >= FILES - 2, 'it has no descriptors left');
        const share = await cpuShare(hub.pid);
        assert.ok(share < 0.2, `${(share * 100).toFixed(0)} % of a core with nothing to do`);

        await backend.write(publishBytes('a', 'while')).take(2);
        await Promise.all([reader.take(2), stream.take(2)]);
        const [, , { body }] = await backend.write('GET /metrics HTTP/1.1\r\nHost: e2e\r\n\r\n').take(3);
        assert.ok(total(parseMetrics(body.toString()), 'carillon_connections_refused_total', { reason: 'files' }) >= FILES);
        assert.equal(times(hub.log, `${port}: cannot accept`), 1, 'logged once');

        idle.leave();
        await eventually(() => openFiles(hub.pid) < FILES / 2, 'descriptors to be free');
        const late = await scope.ws(hub, '/ws?channel=a');
        await late.get('subscribed');
        await publish(hub, 'a', 'after');
        await Promise.all([late.take(1), reader.take(3), stream.take(3)]);
        assert.deepEqual(reader.data, ['before', 'while', 'after']);
    });

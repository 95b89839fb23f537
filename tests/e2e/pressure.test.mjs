// Pressure from both sides: readers that take nothing beside readers that take everything, and publishers that are faster than
// the store and every reader.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { publish } from './lib/http.mjs';
import { SUITE_TLS, connect } from './lib/line.mjs';
import { metricsOf, total } from './lib/metrics.mjs';
import { Pipeline } from './lib/pipeline.mjs';
import { sanitizer } from './lib/scarce.mjs';
import { cpuTicks } from './lib/proc.mjs';
import { Watched, eventually } from './lib/wait.mjs';

const MiB = 1024 * 1024;
const READERS = SUITE_TLS ? 300 : 1000;      // over TLS the test itself has most of the work
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const HEADS = [
    'GET /sse?channel=a HTTP/1.1\r\nHost: e2e\r\n\r\n',
    `GET /ws?channel=a HTTP/1.1\r\nHost: e2e\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n\r\n`,
];
const residentOf = async (hub) => total(await metricsOf(hub), 'process_resident_memory_bytes');
const NOTHING = SUITE_TLS ? 128 * 1024 : 4096;      // Node's TLS reads ahead
const MEASURED = !sanitizer();      // a sanitizer's memory tells nothing about ours

// Readers at the lowest price, SSE and WebSocket by turns: of what comes only the numbers are looked at. They must come in order.
class Readers extends Watched {
    constructor(scope, hub, count, { stuck = false } = {}) {
        super();
        this.newest = new Array(count).fill(0);
        this.faults = [];
        this.sockets = this.newest.map((_, i) => {
            const socket = connect(hub.public);
            socket.write(HEADS[i % 2]);
            if (stuck) socket.pause(); else this.#read(socket, i);
            return socket.on('error', () => {});
        });
        scope.defer(() => this.sockets.forEach((socket) => socket.destroy()));
    }
    #read(socket, i) {
        let rest = '';
        socket.setEncoding('latin1').on('data', (text) => {
            const all = rest + text;
            let end = 0;
            for (const found of all.matchAll(/#(\d+)#/g)) {
                const number = Number(found[1]);
                if (number !== this.newest[i] + 1) this.faults.push(`${number} after ${this.newest[i]}`);
                this.newest[i] = number;
                end = found.index + found[0].length;
            }
            rest = all.slice(Math.max(end, all.length - 20));      // a number may be cut
            this.changed();
        });
    }
    state() { return `newest ${Math.min(...this.newest)}–${Math.max(...this.newest)}, ${this.faults.slice(0, 3)}`; }
    have(number) { return this.waitFor(() => this.newest.every((newest) => newest === number), `everybody to have ${number}`, 60_000); }
}

const connected = (hub, count) => eventually(async () => total(await metricsOf(hub), 'carillon_subscriptions') === count, `${count} subscriptions`, 60_000);

// Publishes, each when all readers have the one before; the hub's CPU time in ticks.
async function rounds(hub, readers, { from, to, bytes = 8000 }) {
    const before = cpuTicks(hub.pid);
    for (let n = from; n <= to; n++) {
        await publish(hub, 'a', `${'.'.repeat(bytes)}#${n}#`);
        await readers.have(n);
    }
    return cpuTicks(hub.pid) - before;
}

scenario('a thousand readers that are stuck cost a thousand good ones nothing, and the hub no memory', async (scope, t) => {
    // a thousand handshakes of one process take their time
    const hub = await scope.hub({ args: ['--history.size=1000', '--history.bytes=64MiB', '--edge.threads=2', '--limits.handshake_timeout=10m'] });
    const good = new Readers(scope, hub, READERS);
    await connected(hub, READERS);
    await rounds(hub, good, { from: 1, to: 5 });
    const alone = await rounds(hub, good, { from: 6, to: 25 });
    const stuck = new Readers(scope, hub, READERS, { stuck: true });
    await connected(hub, 2 * READERS);
    await rounds(hub, good, { from: 26, to: 50, bytes: 30_000 });      // more than the kernel takes for those who do not read
    const resident = await residentOf(hub);
    const beside = await rounds(hub, good, { from: 51, to: 70 });
    const grown = await residentOf(hub) - resident, rings = total(await metricsOf(hub), 'carillon_ring_bytes');
    t.diagnostic(JSON.stringify({ ticks: { alone, beside }, grownMiB: grown / MiB, residentMiB: resident / MiB, ringsMiB: rings / MiB }));
    assert.deepEqual(good.faults, []);
    assert.ok(beside <= 2 * alone + 10, `${beside} ticks for 20 messages beside those who are stuck, ${alone} without them`);
    assert.ok(!MEASURED || grown <= 8 * MiB, `${(grown / MiB).toFixed(1)} MiB more for 20 messages of 8 KB`);
    assert.ok(rings > 0 && rings <= 8 * MiB, `${(rings / MiB).toFixed(1)} MiB of rings: one feed, two formats, two edges, 1 MiB each`);
    assert.ok(stuck.sockets.every((socket) => socket.bytesRead < NOTHING), 'they took nothing');
});

scenario('a publisher that is faster than the store and every reader is told 503, and nothing acknowledged is lost', { ownEngine: 'store.queue_bytes' }, async (scope, t) => {
    const QUEUE = 2 * MiB;
    const hub = await scope.hub({ args: ['--store.sync=each', `--store.queue_bytes=${QUEUE}`, '--limits.caller_bytes=1GiB', '--history.size=100000', '--history.bytes=48MiB', '--history.max_bytes=48MiB', '--lag.policy=skip', '--edge.threads=1'] });
    const reader = await scope.ws(hub, '/ws?channel=a');
    const stuck = new Readers(scope, hub, 20, { stuck: true });
    await connected(hub, 21);
    const before = await residentOf(hub);
    const publisher = new Pipeline(hub, 'a', { connections: 8, window: 100, total: 2000, text: (n) => `${n}`.padEnd(20_000, '.') });
    scope.defer(() => publisher.close());
    await publisher.finished(120_000);
    const grown = await residentOf(hub) - before;
    t.diagnostic(JSON.stringify({ acknowledged: publisher.acknowledged.size, refused: publisher.refused.length, grownMiB: grown / MiB }));
    assert.equal(publisher.acknowledged.size + publisher.refused.length, 2000);
    assert.ok(publisher.refused.length > 0 && publisher.acknowledged.size > 0, publisher.state());
    assert.deepEqual([...new Set(publisher.refused.map(({ status, body }) => `${status} ${JSON.parse(body).code}`))], ['503 busy']);
    assert.ok(!MEASURED || grown < 48 * MiB + QUEUE + 64 * MiB, `${(grown / MiB).toFixed(1)} MiB more: history 48, the queue 2, requests under way, rings`);

    await publish(hub, 'a', 'end');
    await reader.waitFor(() => reader.data.at(-1) === 'end', 'the last message', 60_000);
    assert.deepEqual(reader.of('gap'), []);
    const came = reader.messages.slice(0, -1).map((m) => m.id), acknowledged = new Set(publisher.acknowledged.values());
    assert.equal(came.length, acknowledged.size);
    assert.ok(came.every((id) => acknowledged.has(id)), 'what was refused was not published');
    for (let i = 1; i < came.length; i++) assert.ok(Number(came[i].split('.')[1]) > Number(came[i - 1].split('.')[1]), 'in order');
    assert.equal(stuck.sockets.length, 20);
});

scenario('a caller with too much under way is told 429, and comes through when it waits', async (scope) => {
    const hub = await scope.hub({ args: ['--store.sync=each', '--limits.caller_bytes=200KiB', '--history.size=100000', '--history.bytes=1GiB'] });
    const reader = await scope.ws(hub, '/ws?channel=a');
    await reader.get('subscribed');
    const publisher = new Pipeline(hub, 'a', { connections: 8, window: 50, total: 1000, text: (n) => `${n}`.padEnd(20_000, '.') });
    scope.defer(() => publisher.close());
    await publisher.finished(60_000);
    assert.ok(publisher.refused.length > 0 && publisher.acknowledged.size > 0, publisher.state());
    assert.deepEqual([...new Set(publisher.refused.map(({ status, body }) => `${status} ${JSON.parse(body).code}`))], ['429 too_many_requests']);
    const { id } = await publish(hub, 'a', 'alone');
    await reader.waitFor(() => reader.messages.at(-1)?.id === id, 'the last message');
    assert.equal(reader.messages.length, publisher.acknowledged.size + 1);
});

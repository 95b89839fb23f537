// kill -9 in the middle of publishing: every acknowledged message reaches every reader once, in order.
import assert from 'node:assert/strict';
import { appendFileSync, existsSync, readdirSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { Pipeline } from './lib/pipeline.mjs';
import { SseReader, WsReader } from './lib/reader.mjs';
import { checkExactlyOnce, epochOf } from './lib/ledger.mjs';
import { publish, publishAll, request } from './lib/http.mjs';

const ROOMY = ['--history.size=1000000', '--history.bytes=1GiB', '--history.max_bytes=2GiB', '--history.ttl=1h'];

function pipeline(scope, hub, channel, options) {
    const one = new Pipeline(hub, channel, options);
    scope.defer(() => one.close());
    return one;
}

function reader(scope, Kind, where, channels) {
    const one = new Kind(where, channels);
    scope.defer(() => one.close());
    return one;
}

for (const sync of ['batch', 'each']) {
    scenario(`store.sync=${sync}: kill -9 in the middle of publishing to three channels, three times, loses nothing acknowledged`, async (scope) => {
        const hub = await scope.hub({ args: [...ROOMY, `--store.sync=${sync}`] });
        const channels = ['a', 'b/c', 'd'];
        const readers = [SseReader, WsReader].flatMap((Kind) => [reader(scope, Kind, hub, channels), reader(scope, Kind, hub, ['d'])]);
        await Promise.all(readers.map((r) => r.ready()));
        const acknowledged = { a: [], 'b/c': [], d: [] };
        for (let round = 0; round < 3; round++) {
            const publishers = channels.map((channel) => pipeline(scope, hub, channel, { connections: 2, window: 100, text: (n) => `${channel} ${round} ${n}` }));
            await Promise.all(publishers.map((p) => p.reached(1000 + 300 * round, 60_000)));
            await Promise.all(readers.map((r) => r.ready(round + 1)));
            await hub.kill9();
            await Promise.all(publishers.map((p) => p.waitFor(() => p.ended, 'the publishers to notice')));
            for (const p of publishers) {
                assert.deepEqual(p.refused, []);
                for (const [n, id] of p.acknowledged) acknowledged[p.channel].push([p.text(n), id]);
            }
            await hub.restart();
        }
        for (const channel of channels) acknowledged[channel].push([`${channel} end`, (await publish(hub, channel, `${channel} end`)).id]);
        await Promise.all(readers.map((r) => r.has('d end', 60_000)));
        const all = Object.values(acknowledged).flat();
        assert.equal(new Set(all.map(([, id]) => id)).size, all.length, 'no id was given twice');
        assert.equal(new Set(all.map(([, id]) => epochOf(id))).size, 1);
        for (const [i, one] of readers.entries()) {
            checkExactlyOnce(one.received, i % 2 ? acknowledged.d : all, `reader ${i}`);
            assert.deepEqual(one.gaps, [], `reader ${i}`);
            assert.ok(one.connections >= 4, `reader ${i} was connected ${one.connections} times`);
        }
    });
}

scenario('a store whose log was torn by the kill opens clean, with everything acknowledged', { ownEngine: 'the log of SQLite' }, async (scope) => {
    const hub = await scope.hub({ args: ROOMY });
    const ids = await publishAll(hub, 'a', Array.from({ length: 200 }, (_, i) => `${i}`));
    await hub.kill9();
    const log = readdirSync(hub.dir).find((name) => name.endsWith('-wal'));
    assert.ok(log && existsSync(path.join(hub.dir, log)), 'a killed hub leaves its log');
    appendFileSync(path.join(hub.dir, log), randomBytes(3000));      // a frame that was being written
    await hub.restart();
    const kept = (await request(hub, '/v1/channels/a/messages?limit=1000')).json.data;
    assert.deepEqual(kept.map((m) => m.id), ids);
    const again = await publish(hub, 'a', 'and on');
    assert.equal(epochOf(again.id), epochOf(ids[0]));
});

scenario('a hub that is killed again and again while it starts serves in the end with all it had', async (scope) => {
    const dir = scope.dir();
    const hub = await scope.hub({ dir, args: ROOMY });
    const ids = await publishAll(hub, 'a', Array.from({ length: 300 }, (_, i) => `${i}`));
    await hub.kill9();
    for (let i = 0; i < 15; i++) {
        const run = scope.run(['serve', '--dev', '--public.listen=127.0.0.1:0', '--api.listen=127.0.0.1:0', `--store.dir=${dir}`, ...ROOMY]);
        await new Promise((resolve) => setTimeout(resolve, i * 3));      // a different moment of its start each time
        await run.kill9();
    }
    await hub.restart();
    const kept = (await request(hub, '/v1/channels/a/messages?limit=1000')).json.data;
    assert.deepEqual(kept.map((m) => m.id), ids);
});

// Whoever was connected knocks again at once, long before the store has given the new run its numbers.
scenario('a hub that is killed and started again under clients that keep connecting becomes ready, 40 times', async (scope) => {
    const hub = await scope.hub();
    let over = false;
    scope.defer(() => { over = true; });
    const knock = () => {
        if (over) return;
        const socket = net.connect(hub.public.port, hub.public.host);
        socket.on('error', () => {}).on('connect', () => socket.destroy()).on('close', () => setImmediate(knock));
    };
    for (let i = 0; i < 8; i++) knock();
    for (let round = 0; round < 40; round++) {
        await hub.kill9();
        await hub.restart();
    }
    await publish(hub, 'a', 'served');
});

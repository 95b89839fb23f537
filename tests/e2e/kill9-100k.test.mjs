// The promise of the README: kill -9 in the middle of 100,000 acknowledged publishes, and every one is found on resume.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { Pipeline } from './lib/pipeline.mjs';
import { SseReader, WsReader } from './lib/reader.mjs';
import { checkExactlyOnce } from './lib/ledger.mjs';
import { publish } from './lib/http.mjs';

const TOTAL = 100_000;
const SLOW_MACHINE_MS = 150_000;

scenario('kill -9 in the middle of 100,000 acknowledged publishes: resume finds every one, once, in order', { timeout: 300_000 }, async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=200000', '--history.bytes=1GiB', '--history.max_bytes=1GiB', '--history.ttl=1h'] });
    const start = await scope.sse(hub, '/sse?channel=big');
    const { id: position } = await start.ready();
    start.close();
    const live = new WsReader(hub, ['big']);
    scope.defer(() => live.close());
    await live.ready();

    const acknowledged = [];
    let sent = 0;
    for (const goal of [TOTAL / 2, TOTAL]) {
        const base = sent;
        const publisher = new Pipeline(hub, 'big', { connections: 4, window: 250, total: goal === TOTAL ? goal - acknowledged.length : Infinity, text: (n) => `message ${base + n}` });
        scope.defer(() => publisher.close());
        if (goal < TOTAL) {
            await publisher.reached(goal, SLOW_MACHINE_MS);
            await hub.kill9();
            await publisher.waitFor(() => publisher.ended, 'the publisher to notice');
            await hub.restart();
        } else await publisher.finished(SLOW_MACHINE_MS);
        assert.deepEqual(publisher.refused, []);
        for (const [n, id] of publisher.acknowledged) acknowledged.push([publisher.text(n), id]);
        sent += publisher.next;
        publisher.close();
    }
    assert.ok(acknowledged.length >= TOTAL);
    acknowledged.push(['end', (await publish(hub, 'big', 'end')).id]);

    const late = new SseReader(hub, ['big'], position);      // comes only now, with the position of before
    scope.defer(() => late.close());
    await Promise.all([late.has('end', SLOW_MACHINE_MS), live.has('end', SLOW_MACHINE_MS)]);
    for (const [name, one] of Object.entries({ late, live })) {
        checkExactlyOnce(one.received, acknowledged, name);
        assert.deepEqual(one.gaps, [], name);
    }
});

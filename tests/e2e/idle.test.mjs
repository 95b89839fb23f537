// An idle hub costs nothing: no CPU but the 1 s tick of edges that have connections.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { cpuShare, cpuTicks } from './lib/proc.mjs';
import { publish } from './lib/http.mjs';
import { unmeasured } from './lib/sanitized.mjs';

const WINDOW_MS = 3000;

async function isIdle(hub, most, what) {
    const share = await cpuShare(hub.pid, WINDOW_MS);
    assert.ok(share <= most, `${what}: ${(share * 100).toFixed(1)} % of a core`);
}

scenario('a hub without connections uses no CPU', { skip: unmeasured }, async (scope) => {
    const hub = await scope.hub();
    await publish(hub, 'a', 'x');
    await isIdle(hub, 0.02, 'without connections');
});

scenario('a hub with 200 idle streams and sockets uses next to none', { skip: unmeasured }, async (scope) => {
    const hub = await scope.hub();
    for (let i = 0; i < 100; i++) {
        const stream = await scope.sse(hub, `/sse?channel=a&channel=b${i}`);
        const socket = await scope.ws(hub, `/ws?channel=a&channel=c${i}`);
        await Promise.all([stream.ready(), socket.get('subscribed')]);
    }
    await isIdle(hub, 0.03, 'with 200 idle connections');
});

scenario('a hub whose readers are stuck uses no CPU while it waits for them', { skip: unmeasured }, async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=10000', '--history.bytes=200MiB'] });
    const stream = await scope.sse(hub, '/sse?channel=a');
    const socket = await scope.ws(hub, '/ws?channel=a');
    await Promise.all([stream.ready(), socket.get('subscribed')]);
    stream.pause();
    socket.pause();
    for (let i = 0; i < 300; i++) await publish(hub, 'a', 'x'.repeat(60_000));
    await isIdle(hub, 0.05, 'with stuck readers');
});

scenario('CPU time is measured: a hub that works uses some', async (scope) => {
    const hub = await scope.hub();
    const before = cpuTicks(hub.pid);
    while (cpuTicks(hub.pid) < before + 5) await publish(hub, 'a', 'x'.repeat(10_000));
});

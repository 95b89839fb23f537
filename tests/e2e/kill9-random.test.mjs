// kill -9 at moments drawn by chance: while it publishes, while it drains, while it starts. Nothing acknowledged is lost, nothing comes twice.
// KILLS=n rounds (make soak), SEED=n the same moments again (nearly: the machine has a say too).
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { Chance, anySeed } from './lib/chance.mjs';
import { Pipeline } from './lib/pipeline.mjs';
import { SseReader, WsReader } from './lib/reader.mjs';
import { checkExactlyOnce, numberOf } from './lib/ledger.mjs';
import { publish } from './lib/http.mjs';
import { windowOf } from './lib/wait.mjs';

const KILLS = Number(process.env.KILLS ?? 6), SEED = Number(process.env.SEED ?? anySeed());
const CHANNELS = ['a', 'b/c', 'd'];
const ARGS = ['--history.size=1000000', '--history.bytes=256MiB', '--history.max_bytes=1GiB', '--history.ttl=10m'];
const PUBLISHING_MS = 400, DRAINING_MS = 60, STARTING_MS = 60;      // a moment within each

// Publishes until the kill; resolves with what was acknowledged.
async function killedWhilePublishing(scope, hub, round, chance) {
    const publishers = CHANNELS.map((channel) => new Pipeline(hub, channel, { window: 30, text: (n) => `${channel} ${round} ${n}` }));
    try {
        await Promise.all(publishers.map((p) => p.reached(1, 60_000)));
        await windowOf(chance.below(PUBLISHING_MS));
        const drains = chance.below(10) < 3;
        if (drains) {
            hub.run.signal('SIGTERM');
            await windowOf(chance.below(DRAINING_MS));
        }
        await hub.kill9();
        await Promise.all(publishers.map((p) => p.waitFor(() => p.ended, 'the publishers to notice')));
        for (const p of publishers) assert.deepEqual(p.refused.filter(({ status }) => !(drains && status === 503)), []);
        return publishers.flatMap((p) => [...p.acknowledged].map(([n, id]) => [p.text(n), id]));
    } finally { for (const p of publishers) p.close(); }
}

// Readers that come back meet these too, on the ports they know.
async function killedWhileStarting(scope, hub, args, chance) {
    const run = scope.run(['serve', '--dev', `--public.listen=${hub.public.host}:${hub.public.port}`,
        `--api.listen=${hub.api.host}:${hub.api.port}`, `--store.dir=${hub.dir}`, ...hub.engine, ...args]);
    await windowOf(chance.below(STARTING_MS));
    await run.kill9();
}

function checkRound(reader, name, acknowledged) {
    const received = reader.received.splice(0);
    checkExactlyOnce(received, acknowledged, name);
    assert.ok(numberOf(received[0].id) > (reader.last ?? 0), `${name}: ${received[0].id} after ${reader.last}`);
    reader.last = numberOf(received.at(-1).id);
    assert.deepEqual(reader.gaps, [], name);
}

for (const sync of ['batch', 'each']) {
    scenario(`store.sync=${sync}: kill -9 at ${KILLS} random moments loses nothing acknowledged`, async (scope, t) => {
        const chance = new Chance(SEED);
        t.diagnostic(`SEED=${SEED}`);
        const args = [...ARGS, `--store.sync=${sync}`];
        const hub = await scope.hub({ args });
        const readers = { sse: new SseReader(hub, CHANNELS), ws: new WsReader(hub, CHANNELS) };
        for (const reader of Object.values(readers)) scope.defer(() => reader.close());
        await Promise.all(Object.values(readers).map((reader) => reader.ready()));
        for (let round = 1; round <= KILLS; round++) {
            const acknowledged = await killedWhilePublishing(scope, hub, round, chance);
            while (chance.below(10) < 4) await killedWhileStarting(scope, hub, args, chance);
            await hub.restart();
            acknowledged.push([`end ${round}`, (await publish(hub, 'd', `end ${round}`)).id]);
            await Promise.all(Object.values(readers).map((reader) => reader.has(`end ${round}`, 60_000)));
            for (const [name, reader] of Object.entries(readers)) checkRound(reader, `round ${round}, ${name}`, acknowledged);
        }
    });
}

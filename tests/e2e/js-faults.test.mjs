// carillon.js under faults, in Node: rounds in which everything that can happen to a line and to a hub happens to programs that use it.
//
// JS_ROUNDS of each kind (make soak: many), drawn from a seed that is told when one fails: SEED=n draws the same again.
import { rmSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { ActorWorld, HUB_ARGS } from './lib/actor-world.mjs';
import { anySeed } from './lib/chance.mjs';
import { LineStream } from './lib/lines.mjs';
import { scenario } from './lib/scope.mjs';

const { JS_ROUNDS = '1', SEED = String(anySeed()) } = process.env;
const options = { timeout: 60_000 + 60_000 * Number(JS_ROUNDS) };

function empty(dir) { for (const name of readdirSync(dir)) rmSync(path.join(dir, name), { recursive: true }); }
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// So long that a pattern is replayed in pieces, the first of them empty.
async function aLongPast(hub) {
    const lines = new LineStream(hub);
    for (let i = 0; i < 20_000; i++) lines.write({ channel: 'past', data: i });
    await lines.end();
}

// What happens to the hub beside what happens to the lines.
const KINDS = {
    'lines that fail at any byte': { before: aLongPast },
    'a hub that says bye and comes back': { async hurt(hub) { await hub.terminate(); await hub.restart(); } },
    'a hub that is killed and comes back': { async hurt(hub) { await hub.kill9(); await hub.restart(); } },
    'a hub that comes back with nothing': { loses: true, ownEngine: 'its store is emptied', async hurt(hub) { await hub.kill9(); empty(hub.dir); await hub.restart(); } },
};

for (const [kind, { before, hurt, ...more }] of Object.entries(KINDS))
    scenario(`${kind}: nothing missing, nothing twice, or a gap (WebSocket and stream)`, { ...options, ...more }, async (scope) => {
        const hub = await scope.hub({ args: HUB_ARGS }), world = await ActorWorld.on(scope, hub, { seed: Number(SEED) });
        await before?.(hub);
        for (let round = 0; round < Number(JS_ROUNDS); round++) {
            const sums = await world.round({
                ...more, crew: [world.local('ws'), world.local('sse'), world.local('auto')],
                hurt: hurt && (async (chance) => { await pause(100 + chance.below(600)); await hurt(hub); }),
            });
            if (process.env.VERBOSE) console.log(`${kind}: ${JSON.stringify(sums)}`);
        }
    });

// carillon.js under faults in headless Chromium: the rounds of js-faults.test.mjs with actors in a page. JS_ROUNDS, SEED as there.
import assert from 'node:assert/strict';
import { ActorPage } from './lib/actor-page.mjs';
import { ActorWorld, HUB_ARGS } from './lib/actor-world.mjs';
import { findChromium } from './lib/browser.mjs';
import { anySeed } from './lib/chance.mjs';
import { scenario } from './lib/scope.mjs';

const { JS_ROUNDS = '1', SEED = String(anySeed()) } = process.env;
const options = { timeout: 120_000 + 60_000 * Number(JS_ROUNDS), skip: !findChromium() && 'there is no Chromium on this machine' };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

scenario('pages: lines that fail at any byte, hubs that go and come back: nothing missing, nothing twice (WebSocket and stream)', options, async (scope) => {
    const hub = await scope.hub({ args: HUB_ARGS }), world = await ActorWorld.on(scope, hub, { seed: Number(SEED) }), page = await ActorPage.open(scope);
    const ends = [() => {}, () => hub.terminate(), () => hub.kill9()];
    for (let round = 0; round < Number(JS_ROUNDS); round++) {
        const sums = await world.round({
            crew: [page.actor(world, 'ws'), page.actor(world, 'sse'), page.actor(world, 'auto')],
            hurt: async (chance) => {
                await pause(100 + chance.below(600));
                await chance.one(ends)();
                if (hub.run.ended) await hub.restart();
            },
        });
        if (process.env.VERBOSE) console.log(JSON.stringify(sums));
    }
    assert.deepEqual(page.problems, []);
});

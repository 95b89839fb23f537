// carillon.js through nginx, with the settings of deploy/: two hubs on one Redis, one of them killed and back, lines that fail meanwhile.
import assert from 'node:assert/strict';
import { ActorPage } from '../e2e/lib/actor-page.mjs';
import { ActorWorld, HUB_ARGS } from '../e2e/lib/actor-world.mjs';
import { findChromium } from '../e2e/lib/browser.mjs';
import { anySeed } from '../e2e/lib/chance.mjs';
import { OwnRedis } from '../e2e/lib/nodes.mjs';
import { scenario } from '../e2e/lib/scope.mjs';
import { Front } from './lib/front.mjs';

const { JS_ROUNDS = '1', SEED = String(anySeed()) } = process.env;
const options = { timeout: 120_000 + 60_000 * Number(JS_ROUNDS) };
const TRUSTING = ['--public.trusted_proxies=127.0.0.0/8', '--api.trusted_proxies=127.0.0.0/8'];
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function behindNginx(scope) {
    const redis = new OwnRedis(scope.dir());
    await redis.start();
    scope.defer(() => redis.kill9());
    const open = () => scope.hub({ memory: true, tls: null, args: [...HUB_ARGS, ...TRUSTING, `--redis.url=${redis.url}`] });
    const hubs = [await open(), await open()], front = await Front.start(scope, 'nginx', hubs);
    for (const hub of hubs) await hub.ready();
    return { hubs, world: await ActorWorld.on(scope, front, { seed: Number(SEED) }) };
}

async function rounds({ hubs, world }, crew) {
    for (let round = 0; round < Number(JS_ROUNDS); round++) {
        const sums = await world.round({
            crew, ms: 1200,
            hurt: async (chance) => {
                const hub = chance.one(hubs);
                await pause(200 + chance.below(500));
                await (chance.below(3) ? hub.kill9() : hub.terminate());
                await pause(chance.below(600));
                await hub.restart();
                await hub.ready();
            },
        });
        if (process.env.VERBOSE) console.log(JSON.stringify(sums));
    }
}

scenario('carillon.js behind nginx: a hub is killed and comes back: nothing missing, nothing twice (WebSocket and stream)', options, async (scope) => {
    const behind = await behindNginx(scope), { world } = behind;
    await rounds(behind, [world.local('ws'), world.local('ws'), world.local('sse'), world.local('auto')]);
});

scenario('carillon.js behind nginx, in Chromium', { ...options, skip: !findChromium() && 'there is no Chromium on this machine' }, async (scope) => {
    const behind = await behindNginx(scope), { world } = behind, page = await ActorPage.open(scope);
    await rounds(behind, [page.actor(world, 'ws'), page.actor(world, 'sse'), page.actor(world, 'auto')]);
    assert.deepEqual(page.problems, []);
});

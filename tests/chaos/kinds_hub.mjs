// kinds_hub.mjs — what happens to hubs, under load.
import { pause } from './lib/load.mjs';

let hurt = null;      // the hub, between hurt and heal

export const HUB_KINDS = {
    'hub stands still': {
        hold: [500, 8000], hurt: (world, chance) => { (hurt = chance.one(world.hubs)).run.signal('SIGSTOP'); return [hurt]; },
        heal: () => { hurt.run.signal('SIGCONT'); },
    },
    'hub kill -9': {
        hold: [0, 2000], hurt: async (world, chance) => { await (hurt = chance.one(world.hubs)).kill9(); return [hurt]; }, heal: () => hurt.restart(),
    },
    'hub restarted': {
        hold: [0, 1000], heal: () => hurt.restart(),
        async hurt(world, chance) {
            const { code } = await (hurt = chance.one(world.hubs)).terminate(30_000);
            if (code !== 0) throw new Error(`the hub ended with ${code}`);
            return [hurt];
        },
    },
    'hub drained while Redis is away': {
        hold: [0, 1000],
        async hurt(world, chance) {
            await world.redis.kill();
            await pause(chance.below(1500));
            const { code } = await (hurt = chance.one(world.hubs)).terminate(30_000);
            if (code !== 0) throw new Error(`the hub ended with ${code}`);
        },
        async heal(world) { await world.redis.run(); await hurt.restart(); },
    },
    'hub started while Redis is away': {
        hold: [500, 2000],
        async hurt(world, chance) {
            await world.redis.kill();
            await (hurt = chance.one(world.hubs)).kill9();
            await hurt.restart();
        },
        heal: (world) => world.redis.run(),
    },
    // Nobody is left who knows what was there: whether the file has lost something, cannot be found out.
    'all hubs and Redis kill -9, data kept': {
        loses: true, hold: [0, 500],
        async hurt(world) { await Promise.all([world.redis.kill(), ...world.hubs.map((hub) => hub.kill9())]); },
        async heal(world) { await Promise.all([world.redis.run(), ...world.hubs.map((hub) => hub.restart())]); },
    },
};

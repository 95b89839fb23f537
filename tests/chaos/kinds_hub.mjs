// kinds_hub.mjs — what happens to hubs, under load.
import { eventually } from '../e2e/lib/wait.mjs';
import { Hall } from './lib/hall.mjs';
import { pause } from './lib/load.mjs';

let hurt = null;      // the hub, between hurt and heal
let halls = 0;

export const HUB_KINDS = {
    'hub stands still': {
        hold: [500, 8000], hurt: (world, chance) => { (hurt = chance.one(world.hubs)).run.signal('SIGSTOP'); return [hurt]; },
        heal: () => { hurt.run.signal('SIGCONT'); },
    },
    // Longer than its lease: another one sends meanwhile, and what this one had begun does not count.
    'hub stands still for longer than its lease': {
        hold: [4500, 9000], hurt: (world, chance) => { (hurt = chance.one(world.hubs)).run.signal('SIGSTOP'); return [hurt]; },
        heal: () => { hurt.run.signal('SIGCONT'); },
    },
    'hub kill -9': {
        kills: true, hold: [0, 2000], hurt: async (world, chance) => { await (hurt = chance.one(world.hubs)).kill9(); return [hurt]; }, heal: () => hurt.restart(),
    },
    // Whoever was only there leaves, once, after its lease; who is also elsewhere stays.
    'hub kill -9 with members in it': {
        kills: true, hold: [0, 500],
        async hurt(world, chance) {
            const [dead, other, third] = chance.below(2) ? world.hubs : [...world.hubs].reverse();
            const users = Array.from({ length: 20 }, (_, i) => `u${i}`);
            hurt = dead;
            world.hall = Object.assign(new Hall(`hall.${++halls}`), { stay: users.slice(0, 5), leave: users.slice(5), other });
            await world.hall.watch(other);
            await world.hall.enter(dead, users);
            await world.hall.enter(third, world.hall.stay);
            await world.hall.becomes(users, ['joined']);
            await dead.kill9();
            return [dead];
        },
        async heal({ hall }) {
            const stay = [...hall.stay, 'watcher'].sort().join();
            await hall.becomes(hall.leave, ['joined', 'left']);
            await hurt.restart();
            for (const hub of [hall.other, hurt])
                await eventually(async () => (await hall.listed(hub)).join() === stay, `the list of members to be ${stay}`, 10_000, () => hall.listed(hub));
        },
        async after({ hall }) {
            await hall.becomes(hall.stay, ['joined']);
            await hall.becomes(hall.leave, ['joined', 'left']);
            hall.close();
        },
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
        kills: true, hold: [0, 1000],
        async hurt(world, chance) {
            await world.redis.kill();
            await pause(chance.below(1500));
            const { code } = await (hurt = chance.one(world.hubs)).terminate(30_000);
            if (code !== 0) throw new Error(`the hub ended with ${code}`);
        },
        async heal(world) { await world.redis.run(); await hurt.restart(); },
    },
    'hub started while Redis is away': {
        kills: true, hold: [500, 2000],
        async hurt(world, chance) {
            await world.redis.kill();
            await (hurt = chance.one(world.hubs)).kill9();
            await hurt.restart();
        },
        heal: (world) => world.redis.run(),
    },
    // Nobody is left who knows what was there: whether the file has lost something, cannot be found out.
    'all hubs and Redis kill -9, data kept': {
        kills: true, loses: true, keeps: true, hold: [0, 500],
        async hurt(world) { await Promise.all([world.redis.kill(), ...world.hubs.map((hub) => hub.kill9())]); },
        async heal(world) { await Promise.all([world.redis.run(), ...world.hubs.map((hub) => hub.restart())]); },
    },
};

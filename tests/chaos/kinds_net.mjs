// kinds_net.mjs — masters that change (Sentinel), and hubs that are cut off (network namespaces). Packets are lost here, not held.
import { eventually } from '../e2e/lib/wait.mjs';
import { pause } from './lib/load.mjs';

const again = { log: /redis: away: /, counts: 'carillon_redis_connects_total' };

// The replica has what the master has acknowledged, and that acknowledges nothing more.
async function standWithAllData(world) {
    await world.master.must('CLIENT', 'PAUSE', 20_000, 'WRITE');
    await eventually(async () => {
        const [master, replica] = await Promise.all([world.master.info('replication'), world.replica.info('replication')]);
        return master.get('master_repl_offset') === replica.get('slave_repl_offset');
    }, 'the replica to have everything');
}
// The old master comes back, and is made to follow.
async function backAsReplica(world) {
    if (!world.replica.alive) await world.replica.run();
    await world.settled();
}

export const SENTINEL_KINDS = {
    'replica promoted, with all data': {
        ...again, world: 'sentinel', red: /redis: /, hold: [0, 0], heal: (world) => world.promoted(), after: backAsReplica,
        async hurt(world) { await standWithAllData(world); await world.master.kill(); },
    },
    'replica promoted that lagged': {
        ...again, world: 'sentinel', loses: true, red: /redis: /, hold: [0, 0], heal: (world) => world.promoted(),
        async hurt(world, chance) {
            await world.master.must('ACL', 'SETUSER', 'default', '-psync', '-sync');
            await world.master.say('CLIENT', 'KILL', 'TYPE', 'replica');
            await pause(300 + chance.below(1500));
            await world.master.kill();
        },
        after: backAsReplica,
    },
    'master changes places with its replica': {
        ...again, world: 'sentinel', loses: true, hold: [0, 0],
        async hurt(world) { await eventually(async () => (await world.sentinels[0].say('SENTINEL', 'FAILOVER', 'mymaster')) === 'OK', 'a failover to begin', 30_000); },
        heal: (world) => world.promoted(), after: backAsReplica,
    },
    // Hubs leave it when the Sentinels name the other, which takes less time than to be red for long.
    'master stands still, is replaced and goes on': {
        ...again, world: 'sentinel', loses: true, hold: [0, 1500],
        async hurt(world) { world.master.signal('SIGSTOP'); await world.promoted(); },
        heal: (world) => { world.replica.signal('SIGCONT'); }, after: backAsReplica,
    },
    'a Sentinel goes, and the master': {
        ...again, world: 'sentinel', red: /redis: /, hold: [0, 0], heal: (world) => world.promoted(),
        async hurt(world, chance) {
            world.gone = chance.one(world.sentinels);
            await world.gone.kill();
            await standWithAllData(world);
            await world.master.kill();
        },
        async after(world) { await world.gone.run(); await backAsReplica(world); },
    },
};

const where = (world, hub) => world.hubs.indexOf(hub);
let cut = null;      // the hub that is cut off

export const NET_KINDS = {
    'hub cut off from everybody': {
        world: 'net', log: /redis: away: /, hold: [5000, 9000],
        hurt(world, chance) { cut = chance.one(world.hubs); world.ip('link', 'set', world.ports[where(world, cut)], 'down'); return [cut]; },
        heal(world) { world.ip('link', 'set', world.ports[where(world, cut)], 'up'); },
    },
    'hub cut off from Redis': {
        ...again, world: 'net', red: /redis: /, hold: [5000, 9000],
        hurt(world, chance) { cut = chance.one(world.hubs); world.inside(where(world, cut), 'rule', 'add', 'to', `${world.address}/32`, 'dport', world.redis.port, 'blackhole'); return [cut]; },
        heal(world) { world.inside(where(world, cut), 'rule', 'del', 'to', `${world.address}/32`, 'dport', world.redis.port, 'blackhole'); },
    },
    'hub hears nothing of Redis': {
        ...again, world: 'net', red: /redis: /, hold: [5000, 9000],
        hurt(world, chance) { cut = chance.one(world.hubs); world.ip('rule', 'add', 'to', `${world.addresses[where(world, cut)]}/32`, 'sport', world.redis.port, 'blackhole'); return [cut]; },
        heal(world) { world.ip('rule', 'del', 'to', `${world.addresses[where(world, cut)]}/32`, 'sport', world.redis.port, 'blackhole'); },
    },
};

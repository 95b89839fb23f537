// kinds_redis.mjs — what happens to Redis itself.
//
//   hurt     does it; returns the hubs that are concerned (nothing: all)
//   hold     for how long, ms: from, to
//   heal     undoes it
//   loses    data may go, so a gap may be told; otherwise none may
//   keeps    nobody can know that none has gone, but none has: what was acknowledged arrives at webhooks
//   disorders    what tells an ordered webhook's events their turn may go, and the events stay
//   kills    a hub ends with something under way, which is sent again
//   red      what /health/ready of each hub that is concerned must have said
//   log      what its log must say
//   counts   the metric that must have grown
import { mkdirSync, readdirSync, rmSync, rmdirSync, existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { BINARY } from '../e2e/lib/hub.mjs';
import { eventually } from '../e2e/lib/wait.mjs';
import { pause } from './lib/load.mjs';

const AWAY = /redis: away: /, UNANSWERED = /redis: .*(does not answer|deaf|timed out|closed|refused|broken)/i;
const again = { log: AWAY, counts: 'carillon_redis_connects_total' };
const lost = { ...again, loses: true, counts: 'carillon_redis_data_losses_total' };
const refuses = { log: /redis: refuses: /, counts: 'carillon_redis_refusals_total' };

async function killClients(world, chance, kinds) {
    const hubs = world.drawHubs(chance);
    for (const line of world.linesOf(hubs))
        for (const pair of kinds.flatMap((kind) => line.of(kind))) await world.redis.say('CLIENT', 'KILL', 'ADDR', `127.0.0.1:${pair.redis.localPort}`);
    return hubs;
}

function wipe(redis) {
    for (const name of readdirSync(redis.dir)) if (name !== 'log') rmSync(path.join(redis.dir, name), { recursive: true });
}

const configured = (name, bad, good, more) => ({
    hurt: (world) => world.redis.config(name, bad).then(() => {}), heal: (world) => world.redis.config(name, good), hold: [2000, 4000], ...more,
});

const CLOCK = path.join(path.dirname(BINARY), 'tests/clock.so');      // tests/shim/clock.c

async function evictNoMore(redis) {
    await redis.config('maxmemory-policy', 'noeviction');
    await redis.config('maxmemory', 0);
}

export const REDIS_KINDS = {
    'redis kill -9, data kept': { ...again, hold: [0, 3000], hurt: (world) => world.redis.kill(), heal: (world) => world.redis.run() },
    'redis kill -9 for long, data kept': { ...again, red: UNANSWERED, hold: [3000, 6000], hurt: (world) => world.redis.kill(), heal: (world) => world.redis.run() },
    'redis shut down and started, data kept': { ...again, hold: [0, 2000], hurt: (world) => world.redis.kill('SIGTERM'), heal: (world) => world.redis.run() },
    'redis started without data': { ...lost, hold: [0, 3000], hurt: (world) => world.redis.kill(), heal: (world) => { wipe(world.redis); return world.redis.run(); } },
    'redis stands still, shortly': { hold: [100, 2000], hurt: (world) => world.redis.signal('SIGSTOP'), heal: (world) => world.redis.signal('SIGCONT') },
    'redis stands still, long': { ...again, red: UNANSWERED, hold: [5500, 8000], hurt: (world) => world.redis.signal('SIGSTOP'), heal: (world) => world.redis.signal('SIGCONT') },
    FLUSHALL: { ...lost, hold: [0, 500], hurt: (world) => world.redis.must('FLUSHALL').then(() => {}) },
    // The next while the hubs still come back from the one before.
    'FLUSHALL again and again': {
        ...lost, hold: [7000, 9000],
        async hurt(world, chance) {
            const gaps = Array.from({ length: 12 }, () => chance.below(8));
            const cli = world.redis.cli();
            for (const gap of gaps) {
                cli.write('FLUSHALL\n');
                await pause(gap);
            }
            cli.end();
        },
    },
    'SCRIPT FLUSH': { hold: [0, 500], unnoticed: true, hurt: (world) => world.redis.must('SCRIPT', 'FLUSH').then(() => {}) },
    'CLIENT KILL of commands': { ...again, hold: [0, 300], hurt: (world, chance) => killClients(world, chance, ['commands']) },
    'CLIENT KILL of listeners': { ...again, hold: [0, 300], hurt: (world, chance) => killClients(world, chance, ['listener']) },
    'CLIENT KILL of both': { ...again, hold: [0, 300], hurt: (world, chance) => killClients(world, chance, ['commands', 'listener']) },

    // The line of one listener stands, and Redis is made to have too much for it.
    'listener evicted by its output buffer': {
        ...again, hold: [500, 2500],
        async hurt(world, chance) {
            const hub = chance.one(world.hubs);
            await world.redis.config('client-output-buffer-limit', 'pubsub 3mb 0 0');
            world.linesOf([hub])[0].hold(['from'], 'listener');
            const junk = "redis.call('PUBLISH', 'carillon:{0}:all', string.rep('x', 524288)) return 'OK'";
            await eventually(async () => {
                await world.redis.must('EVAL', junk, 0);
                return Number((await world.redis.info('stats')).get('client_output_buffer_limit_disconnections')) > 0
                    || world.redis.log.includes('scheduled to be closed ASAP for overcoming of output buffer limits');
            }, 'the listener to be evicted', 20_000);
            return [hub];
        },
        async heal(world) {
            await world.redis.config('client-output-buffer-limit', 'pubsub 32mb 8mb 60');
            writeFileSync(path.join(world.redis.dir, 'log'), '');
            for (const line of world.lines) line.heal();
        },
    },

    'password changed': {
        ...again, red: /redis: .*WRONGPASS/, hold: [1500, 4000],
        async hurt(world) {
            await world.redis.must('ACL', 'SETUSER', 'hub', 'resetpass', '>two');
            await world.redis.say('CLIENT', 'KILL', 'USER', 'hub');
        },
        heal: (world) => world.redis.must('ACL', 'SETUSER', 'hub', 'resetpass', '>one'),
    },
    'no clients more than there are': {
        ...again, red: /redis: .*max number of clients/, hold: [1500, 4000],
        async hurt(world) {
            world.cli = world.redis.cli();
            world.cli.write('CONFIG SET maxclients 1\nCLIENT KILL USER hub\n');
            await eventually(() => world.redis.say('PING').then((said) => said !== 'PONG'), 'no more room for clients');
        },
        async heal(world) {
            world.cli.end('CONFIG SET maxclients 10000\n');
            await eventually(() => world.redis.say('PING').then((said) => said === 'PONG'), 'room for clients');
        },
    },
    'right to publish taken away': { ...refuses, ...rights('-publish') },
    'right to write streams taken away': { ...refuses, ...rights('-xadd') },
    'right to run scripts taken away': { ...rights('-evalsha') },
    'right to subscribe taken away': {
        ...again, red: /redis: .*(NOPERM|permission)/, hold: [1500, 4000],
        async hurt(world) {
            await world.redis.must('ACL', 'SETUSER', 'hub', '-subscribe');
            await world.redis.say('CLIENT', 'KILL', 'USER', 'hub');
        },
        heal: (world) => world.redis.must('ACL', 'SETUSER', 'hub', '+subscribe'),
    },

    'MISCONF: its disk refuses': {
        ...refuses, red: /redis: .*MISCONF/, hold: [2500, 5000],
        async hurt(world) {
            rmSync(path.join(world.redis.dir, 'dump.rdb'), { force: true });
            mkdirSync(path.join(world.redis.dir, 'dump.rdb'));
            await world.redis.config('save', '3600 1000000');
            await world.redis.say('BGSAVE');
            await eventually(async () => (await world.redis.info('persistence')).get('rdb_last_bgsave_status') === 'err', 'a save that fails');
        },
        async heal(world) {
            rmdirSync(path.join(world.redis.dir, 'dump.rdb'));
            await eventually(async () => {
                await world.redis.say('BGSAVE');
                return (await world.redis.info('persistence')).get('rdb_last_bgsave_status') === 'ok';
            }, 'a save that succeeds');
            await world.redis.config('save', '');
        },
    },
    'OOM: maxmemory, noeviction': configured('maxmemory', '1mb', '0', { ...refuses, red: /redis: .*OOM/ }),
    'a maxmemory-policy that evicts': {
        log: /maxmemory-policy is allkeys-lru/, hold: [10500, 12000],      // it is looked at every ten seconds
        async hurt(world) { await world.redis.config('maxmemory', '1gb'); await world.redis.config('maxmemory-policy', 'allkeys-lru'); },
        heal: (world) => evictNoMore(world.redis),
    },
    'keys are evicted': {
        ...lost, disorders: true, hold: [10500, 12000],      // which hub says why, depends on who looks first
        async hurt({ redis }) {
            await redis.config('maxmemory', Number((await redis.info('memory')).get('used_memory')) + 1_000_000);
            await redis.config('maxmemory-policy', 'allkeys-random');
            await redis.say('EVAL', "for i = 1, 4000 do redis.call('SET', 'junk:' .. i, string.rep('x', 1000), 'PX', 60000) end", 0);
        },
        heal: (world) => evictNoMore(world.redis),
        after: (world) => world.redis.must('FLUSHALL'),      // what has lost its expiry stays until its channel is used again
    },
    NOREPLICAS: configured('min-replicas-to-write', 1, 0, { ...refuses, red: /redis: .*NOREPLICAS/ }),
    'it becomes a replica: READONLY': {
        ...again, red: /redis: .*(READONLY|replica)/, hold: [1500, 4000],
        hurt: (world) => world.redis.must('REPLICAOF', '127.0.0.1', 1).then(() => {}), heal: (world) => world.redis.must('REPLICAOF', 'NO', 'ONE'),
    },
    'LOADING: a large file': {
        ...again, red: /redis: .*(LOADING|loading)/, hold: [0, 0],
        async hurt(world) {
            const { redis } = world;
            await redis.must('DEBUG', 'POPULATE', 3000, 'junk', 10);
            await redis.say('BGREWRITEAOF');
            await eventually(async () => {
                const info = await redis.info('persistence');
                return info.get('aof_rewrite_in_progress') === '0' && info.get('aof_last_bgrewrite_status') === 'ok';
            }, 'a file to load');
            await redis.kill();
            await redis.run({ args: ['--key-load-delay', 1000, '--loading-process-events-interval-bytes', 1024] });
        },
        async heal({ redis }) {
            await eventually(async () => (await redis.info('persistence')).get('loading') === '0', 'the file to be loaded', 60_000);
            await redis.say('EVAL', "for i = 0, 2999 do redis.call('DEL', 'junk:' .. i) end", 0);
        },
    },
    'its clock jumps to and fro': {
        ...again, gaps: true, hold: [1000, 3000], needs: existsSync(CLOCK) ? null : `${CLOCK} has not been made`,
        async hurt(world, chance) {
            const file = path.join(world.redis.dir, 'clock');
            const at = (seconds) => writeFileSync(file, String(seconds));
            at(0);
            await world.redis.kill();
            await world.redis.run({ env: { LD_PRELOAD: CLOCK, CLOCK_FILE: file } });
            await pause(chance.below(1500));
            at(chance.one([-86400, -3600, -5, 5, 3600]));
        },
        async heal(world) {
            await world.redis.kill();
            await world.redis.run();
        },
    },
};

// Existing connections feel it at once.
function rights(change) {
    return {
        red: /redis: .*(NOPERM|permission|right|ACL)/i, hold: [2500, 5000],
        hurt: (world) => world.redis.must('ACL', 'SETUSER', 'hub', change).then(() => {}),
        heal: (world) => world.redis.must('ACL', 'SETUSER', 'hub', change.replace('-', '+')),
    };
}

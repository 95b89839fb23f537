// chaos.mjs — rounds of faults on hubs that behave as one, with load on them: make chaos [ROUNDS=50] [SEED=n] [T=kind] [WORLD=plain].
//
// A round: load on all hubs ─ hurt ─ hold ─ heal ─ within 10 s everything flows again ─ load ends ─ everything is held against the promises
// (lib/check.mjs). Hubs and Redis live on from round to round until one fails. T is part of the names of kinds; the seed of a failed round
// is told: SEED=that ROUNDS=1 T=its kind draws the same again (the machine has a say too). VERBOSE=1: all that is wrong, not the first of it.
import { Chance, anySeed } from '../e2e/lib/chance.mjs';
import { patient } from '../e2e/lib/sanitized.mjs';
import { eventually } from '../e2e/lib/wait.mjs';
import { epochOf } from '../e2e/lib/ledger.mjs';
import * as check from './lib/check.mjs';
import { leftOver } from './lib/hooks.mjs';
import { unbounded } from './lib/keys.mjs';
import { pause } from './lib/load.mjs';
import { roomsLeft } from './lib/rooms.mjs';
import { FLOWS_MS, NetWorld, WORLDS } from './lib/world.mjs';
import { HUB_KINDS } from './kinds_hub.mjs';
import { LINE_KINDS } from './kinds_line.mjs';
import { NET_KINDS, SENTINEL_KINDS } from './kinds_net.mjs';
import { REDIS_KINDS } from './kinds_redis.mjs';

const KINDS = { ...REDIS_KINDS, ...LINE_KINDS, ...HUB_KINDS, ...SENTINEL_KINDS, ...NET_KINDS };
const { T = '', WORLD = '', ROUNDS = '50', SEED = String(anySeed()), VERBOSE } = process.env;

// What make test runs: one of each sort, the quick ones.
const SHORT = ['redis kill -9, data kept', 'FLUSHALL', 'black hole from Redis to the listener', 'hub kill -9'];

const worldOf = (kind) => kind.world ?? 'plain';

function chosen() {
    const names = process.argv.includes('--short') ? SHORT : Object.keys(KINDS).filter((name) => name.includes(T));
    return names.filter((name) => !WORLD || worldOf(KINDS[name]) === WORLD);
}

// ---- a round ----

function whatIsRed(kind, world, concerned, from) {
    if (!kind.red) return [];
    return concerned.map((hub) => world.watches[world.hubs.indexOf(hub)]).filter((watch) => !watch.reasons(from).some((reason) => kind.red.test(reason ?? '')))
        .map((watch) => `hub ${world.watches.indexOf(watch)} did not name it: ${kind.red} in ${JSON.stringify(watch.reasons(from))}`);
}

function whatIsLogged(kind, concerned, marks) {
    const wrong = [];
    for (const hub of concerned) {
        const said = hub.log.slice(marks.get(hub));
        if (kind.log && !kind.log.test(said)) wrong.push(`the log of hub ${hub.pid} does not say ${kind.log}`);
        if (kind.unnoticed && /redis: away/.test(said)) wrong.push(`hub ${hub.pid} was away: ${said}`);
    }
    return wrong;
}

function whatIsCounted(kind, world, concerned, before, after) {
    return concerned.map((hub) => world.hubs.indexOf(hub)).filter((i) => kind.counts && !(after[i] > before[i]))
        .map((i) => `${kind.counts} of hub ${i} did not grow: ${before[i]}, ${after[i]}`);
}

// Waits for what was acknowledged to be there, or told: the words of the last barrier came behind it.
function whatIsBroken(kind, world) {
    const { load } = world;
    const wrong = load.faults.map((fault) => `publish: ${fault}`);
    for (const reader of load.readers) {
        const health = world.watches[world.hubs.indexOf(reader.home)];
        wrong.push(...check.order(reader), ...check.acknowledged(reader, load.records), ...check.once(reader, load.records), ...check.notDeaf(reader, health, load.records));
        if (!kind.loses && !kind.gaps && reader.missed.length) wrong.push(`${reader.label}: a gap, though nothing was lost: ${JSON.stringify(reader.missed[0])}`);
    }
    return wrong;
}

// Attempts that ended without having been settled are made again: by whoever goes on after a hub that ended, or has lost its lease.
function whatIsBrokenOfHooks(kind, world, marks) {
    const { load, hooks } = world;
    const acknowledged = load.records.filter(({ state }) => state === 'acknowledged');
    const explained = kind.kills || kind.loses || world.hubs.some((hub) => /lease \w+ is lost/.test(hub.log.slice(marks.get(hub))));
    return hooks.broken(load.records, { mayLose: kind.loses && !kind.keeps, isNew: kind.loses, disorders: kind.disorders, explained, epoch: epochOf(acknowledged.at(-1).id) });
}

async function cutLines(load, chance, ms) {
    for (let n = chance.below(4); n > 0; n--) {
        await pause(chance.below(ms / 3 + 100));
        load.cutSome();
    }
}

// -> ms until nothing waited any more
async function endOfHooks({ hooks, ...world }) {
    const begun = Date.now(), redis = world.redis ?? world.master, ms = hooks.patience(FLOWS_MS);
    await hooks.comeAndGo(ms);
    await hooks.settled(redis, ms);
    const settled = Date.now() - begun;
    await hooks.heldOnce(redis, ms);
    return settled;
}

async function round(world, kind, chance, name) {
    const { load, hooks, rooms } = world;
    const counted = kind.counts ? await world.count(kind.counts) : [];
    const marks = new Map(world.hubs.map((hub) => [hub, hub.log.length])), from = Date.now();
    load.begin();
    hooks.visitors.begin();
    rooms.begin();
    await pause(100 + chance.below(600));
    const concerned = await kind.hurt(world, chance) ?? world.hubs;
    const hold = kind.hold[0] + chance.below(kind.hold[1] - kind.hold[0] + 1);
    await Promise.all([pause(hold), cutLines(load, chance, hold)]);
    await kind.heal?.(world);
    const flowed = await world.flows(`${name} healed`);
    await kind.after?.(world);
    await pause(chance.below(300));
    await Promise.all([load.end(patient(FLOWS_MS)), hooks.visitors.end(), rooms.end()]);
    await rooms.flows(world.headers, patient(2 * FLOWS_MS));
    await world.flows(`${name} over`);
    await world.allReady();
    const settled = await endOfHooks(world);
    const wrong = [...whatIsBroken(kind, world), ...rooms.broken(kind), ...whatIsBrokenOfHooks(kind, world, marks), ...whatIsRed(kind, world, concerned, from), ...whatIsLogged(kind, concerned, marks),
        ...whatIsCounted(kind, world, concerned, counted, kind.counts ? await world.count(kind.counts) : [])];
    if (wrong.length) throw new Error(wrong.slice(0, VERBOSE ? 2000 : 12).join('\n  ') + (wrong.length > 12 && !VERBOSE ? `\n  … ${wrong.length} in all` : ''));
    const sums = { acknowledged: load.records.filter((r) => r.state === 'acknowledged').length, of: load.records.length, flowed, settled,
        arrived: hooks.counts.join('+'), repeated: hooks.repeated, signals: rooms.sums };
    hooks.forget(load.records);
    load.forget();
    rooms.forget();
    for (const watch of world.watches) watch.forget();
    return sums;
}

// ---- worlds ----

const FILES_MORE = 6 + 3 * 8, MIB_MORE = 96, GRACE_MS = 30_000, LOG_TAIL = 3000;      // webhooks keep connections; members have a grace

// What is left behind when all is well again.
async function leftBehind(world) {
    const wrong = [];
    const files = () => world.figures().every(({ pid, files: n }, i) => pid !== world.quiet[i].pid || n <= world.quiet[i].files + FILES_MORE);
    await eventually(files, 'descriptors to be as before', FLOWS_MS).catch(() => wrong.push(`descriptors: ${JSON.stringify([world.quiet, world.figures()])}`));
    for (const [i, { pid, mib }] of world.figures().entries())
        if (pid === world.quiet[i].pid && mib > world.quiet[i].mib + MIB_MORE) wrong.push(`memory of hub ${i}: ${world.quiet[i].mib} MiB before, ${mib} after`);
    world.rooms.close();
    const rooms = () => roomsLeft(world.redis ?? world.master);
    await eventually(async () => (await rooms()).length === 0, 'members of rooms to have left', GRACE_MS).catch(() => {});
    wrong.push(...await rooms());
    const keys = () => unbounded(world.redis ?? world.master);
    await eventually(async () => (await keys()).length === 0, 'members that left to be gone', GRACE_MS).catch(() => {});
    wrong.push(...await keys(), ...(await leftOver(world.redis ?? world.master)).map((key) => `the key ${key} is there, and nothing waits`));
    return wrong;
}

function tell(world, error) {
    console.log(`  ${VERBOSE ? error.stack : error.message}`);
    for (const [i, hub] of (world?.hubs ?? []).entries()) {
        const log = hub.log.split('\n').filter((line) => !/ api: request=/.test(line)).join('\n');
        console.log(`---- log of hub ${i} (${hub.pid}) ----\n${log.slice(-LOG_TAIL)}`);
    }
    for (const [i, watch] of (world?.watches ?? []).entries()) console.log(`---- hub ${i} was not ready for: ${JSON.stringify(watch.reasons(0))}`);
}

async function runWorld(type, plan, results) {
    let world = null, rounds = 0;
    for (const { name, seed } of plan) {
        const chance = new Chance(seed), kind = KINDS[name], result = results.get(name);
        try {
            world ??= await WORLDS[type].start(chance);
            world.load.chance = world.rooms.chance = chance;
            const { acknowledged, of, flowed, settled, arrived, repeated, signals } = await round(world, kind, chance, `round ${++rounds}`);
            result.passed++;
            result.slowest = Math.max(result.slowest, flowed);
            console.log(`ok      ${name.padEnd(44)} SEED=${seed}  ${acknowledged} of ${of} acknowledged, flows after ${flowed} ms; ${arrived} events, ${repeated} again, all after ${settled} ms; ${signals}`);
        } catch (error) {
            result.failed++;
            console.log(`FAILED  ${name}  SEED=${seed}`);
            tell(world, error);
            await world?.dispose();
            world = null;
        }
    }
    const wrong = world ? await leftBehind(world) : [];
    await world?.dispose();
    if (wrong.length) console.log(`FAILED  left behind in ${type}:\n  ${wrong.join('\n  ')}`);
    return wrong.length;
}

// ---- all of them ----

function drawPlan(names, rounds, chance) {
    const plan = names.flatMap((name) => Array.from({ length: rounds }, () => ({ name, seed: 1 + chance.below(1e9), order: chance.next() })));
    if (rounds === 1 && names.length === 1) plan[0].seed = Number(SEED);
    return plan.sort((a, b) => a.order - b.order);
}

async function main() {
    const names = chosen(), rounds = process.argv.includes('--short') ? 1 : Number(ROUNDS), chance = new Chance(Number(SEED));
    const results = new Map();
    let failed = 0;
    console.log(`chaos: ${names.length} kinds, ${rounds} rounds each, SEED=${SEED}`);
    if (!NetWorld.possible()) console.log(`skipped: ${NetWorld.why}`);
    for (const type of Object.keys(WORLDS)) {
        const here = names.filter((name) => worldOf(KINDS[name]) === type && !(type === 'net' && NetWorld.why));
        for (const name of here.filter((one) => KINDS[one].needs)) console.log(`skipped: ${name}: ${KINDS[name].needs}`);
        const able = here.filter((name) => !KINDS[name].needs);
        for (const name of able) results.set(name, { passed: 0, failed: 0, slowest: 0 });
        if (able.length) failed += await runWorld(type, drawPlan(able, rounds, chance), results);
    }
    console.log('\nkind                                          passed  failed  flowed at the latest after');
    for (const [name, { passed, failed: bad, slowest }] of results) {
        console.log(`${name.padEnd(46)}${String(passed).padStart(6)}${String(bad).padStart(8)}  ${slowest} ms`);
        failed += bad;
    }
    process.exit(failed ? 1 : 0);
}

await main();

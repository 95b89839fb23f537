// actor-world.mjs — rounds of faults for programs that use carillon.js: hubs behind a line that fails, a publisher that knows what was
// acknowledged, actors on both sides of the process border.
//
//   const world = await ActorWorld.on(scope, hub, { seed });
//   await world.round({ crew: [world.local('ws')], hurt: async (chance) => { … }, loses });
import WebSocket from 'ws';
import { Actor, covers } from './actor.mjs';
import { Ledger, check } from './actor-check.mjs';
import { BadLine, DEEDS, drawFault } from './bad-line.mjs';
import { Chance } from './chance.mjs';
import { KeepAlive } from './line.mjs';
import { keptMessages, post } from './http.mjs';
import { eventually } from './wait.mjs';
import { patient } from './sanitized.mjs';

// A changed copy may stand in for it: to see that these tests tell.
export const CLIENT = process.env.CARILLON_JS ?? new URL('../../../clients/js/carillon.js', import.meta.url).pathname;
export const { connect } = await import(CLIENT);

// Pages of anywhere may come: that of the browser is of another port.
export const HUB_ARGS = ['--public.origins=*', '--api.origins=*', '--history.size=100000', '--history.ttl=1h', '--history.bytes=256MiB', '--sse.retry=100ms', '--sse.heartbeat=1s', '--ws.ping=1s', '--drain.timeout=1s'];
export const QUICK = { WebSocket, ping: patient(1200), timeout: patient(1500) };
export const SETTLE_MS = 20_000;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const CHANNELS = ['a', 'b', 'sub.c', 'sub.d.e'], NAMES = [...CHANNELS, '*', 'sub.*', 'sub.**', '**'];

// Publishes over the API, not through the line, until it is told to end: each again with its key until it is acknowledged.
class Publisher {
    #agent = new KeepAlive();

    constructor(what) { Object.assign(this, what, { sent: 0 }); }

    async publish(channel) {
        const one = { channel, text: `${this.name}.${this.sent++}`, sentAt: Date.now() }, headers = { 'Content-Type': 'text/plain', 'Idempotency-Key': one.text, ...this.headers };
        this.ledger.add(one);
        let seen = null;
        const taken = () => post(this.api, channel, one.text, { headers, agent: this.#agent }).then((it) => (seen = it).status === 201 && it, (error) => { seen = error; });
        const answer = await eventually(taken, 'a publish that is taken', SETTLE_MS, () => seen.text ?? seen);
        Object.assign(one, { id: answer.json.id, ackedAt: Date.now() });
        this.ledger.add(one);
        return one;
    }
    async run() {
        while (!this.isOver) {
            await this.publish(this.chance.one(this.channels));
            await pause(this.chance.below(12));
        }
    }
    end() { this.isOver = true; }
    close() { this.#agent.destroy(); }
}

export class ActorWorld {
    rounds = 0;
    headers = {};      // of whoever publishes, where not everybody may

    // api: where the publisher publishes; front: where clients connect to, through lines of this world.
    static async on(scope, front, { seed, api = front.api }) {
        const world = new ActorWorld();
        Object.assign(world, { seed, api, chance: new Chance(seed), line: await BadLine.to(scope, front.public ?? front), apiLine: await BadLine.to(scope, front.api) });
        return world;
    }

    // An actor in this process. Of a stream of events publishes go to the API.
    local(transport, more = {}) {
        return (program) => new Actor(connect, this.line.url(), { ...QUICK, transport, api: this.apiLine.url(), ...more }, program);
    }

    #hurtLines() {
        for (const line of [this.line, this.apiLine]) line.draw = () => this.chance.below(5) < 3 ? drawFault(this.chance) : null;
        return this.#strikes();
    }
    // Lines that were good so far go bad at any moment; for a while nobody gets through at all.
    async #strikes() {
        for (let n = 2 + this.chance.below(5); n > 0; n--) {
            await pause(40 + this.chance.below(250));
            this.line.refuses = this.chance.below(6) === 0;
            this.line.doOne(this.chance.one(Object.keys(DEEDS)), this.chance);
        }
        for (const line of [this.line, this.apiLine]) line.heal();
    }

    // crew: what makes an actor of a program (local, or a page's). hurt: what else happens meanwhile.
    async round({ crew, hurt = () => {}, loses = false, ms = 700 }) {
        const prefix = `r${++this.rounds}`, ledger = new Ledger(), channels = CHANNELS.map((name) => `${prefix}.${name}`);
        const publisher = new Publisher({ api: this.api, headers: this.headers, ledger, channels, chance: new Chance(this.chance.next()), name: `${prefix}.api` });
        const actors = await Promise.all(crew.map((make, i) => make({ seed: this.chance.next(), name: `${prefix}.actor${i}`, channels, names: NAMES.map((name) => `${prefix}.${name}`) })));
        try {
            const publishing = publisher.run();
            await Promise.all([...actors.map((actor) => actor.live(ms + this.chance.below(600))), this.#hurtLines(), hurt(this.chance)]);
            await Promise.all(actors.map((actor) => within(actor.settled(), `${prefix}: everything answered, SEED=${this.seed}`).catch(async (error) => { throw new Error(`${error.message}: ${whatIsOpen(await actor.report())}`); })));
            publisher.end();
            await publishing;
            await this.#everythingArrived(actors, publisher, channels);
            return await this.#judge(actors, ledger, channels, loses);
        } finally {
            publisher.end();
            publisher.close();
            for (const actor of actors) await actor.close();
        }
    }

    async #everythingArrived(actors, publisher, channels) {
        const last = {};
        for (const channel of channels) last[channel] = (await publisher.publish(channel)).text;
        const missing = async () => JSON.stringify(await Promise.all(actors.map(async (actor) => whatIsLate(await actor.report(), last))));
        await eventually(async () => (await Promise.all(actors.map((actor) => actor.isCaughtUp(last)))).every(Boolean), 'the last messages everywhere', SETTLE_MS, missing)
            .catch((error) => { this.late = error.message; });      // what is missing is told by the ledger
    }

    async #judge(actors, ledger, channels, loses) {
        const reports = await Promise.all(actors.map((actor) => actor.report()));
        const kept = (await Promise.all(channels.map((channel) => keptMessages(this.api, channel, this.headers)))).flat();
        for (const one of reports.flatMap((report) => report.published)) ledger.add(one);
        const wrong = reports.flatMap((report) => check(report, ledger, { loses, kept }));
        if (this.late) wrong.push(this.late);
        if (wrong.length) throw new Error(`${wrong.length} wrong, SEED=${this.seed} round ${this.rounds}:\n  ${wrong.slice(0, 12).join('\n  ')}\n  told: ${JSON.stringify(reports.map((r) => r.errors.slice(-8)))}`);
        return { messages: reports.flatMap((report) => report.subs).reduce((sum, sub) => sum + sub.log.length, 0), published: ledger.all.length, subs: reports.flatMap((r) => r.subs).length };
    }
}

function whatIsOpen({ name, subs, states, published, errors }) {
    const waiting = subs.filter((sub) => !sub.readyAt && !sub.closed && !sub.ended).map(({ name: of, since, isIterated }) => ({ of, since, isIterated }));
    return JSON.stringify({ name, waiting, unanswered: published.filter((one) => !one.id && !one.error), states: states.slice(-8), errors: errors.slice(-8) });
}

function whatIsLate({ name, subs, states }, last) {
    const late = subs.filter((sub) => !sub.closed && !sub.ended && Object.entries(last).some(([channel, text]) => covers(sub.name, channel) && !sub.log.some((entry) => entry.text === text)));
    return { name, states: states.slice(-6), late: late.map(({ name: of, since, isIterated, begun, log }) => ({ of, since, isIterated, begun, last: log.at(-1) })) };
}

function within(promise, what) {
    let timer;
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`waited for: ${what}`)), patient(SETTLE_MS)); });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

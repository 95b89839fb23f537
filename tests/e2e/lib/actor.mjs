// actor.mjs — a program that uses carillon.js as its users do, at random, and writes down what it saw. It runs in Node and in a page alike.
//
//   const actor = new Actor(connect, url, options, { seed, name, channels, names });
//   await actor.live(900);  await actor.settled();  await actor.caughtUp(last);  actor.report()
//
// What it saw is plain JSON, judged by actor-check.mjs.
import { Chance } from './chance.mjs';

const MOST_SUBS = 7, THROWN = 'a listener that throws';
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Actor {
    subs = [];
    published = [];       // { channel, text, series, sentAt, then id and ackedAt, or error }
    errors = [];          // codes and messages told by the event `error`
    states = [];
    #chance;
    #publishing = new Set();
    #series = 0;

    // channels: where it publishes; names: what it subscribes to, patterns among them.
    constructor(connect, url, options, { seed, name, channels, names }) {
        Object.assign(this, { name, channels, names });
        this.#chance = new Chance(seed);
        this.hub = connect(url, options);
        this.hub.on('error', (error) => { if (error.message !== THROWN) this.errors.push(`${error.code}: ${error.message}`); });
        this.hub.on('state', (state) => this.states.push(state));
    }

    // ---- subscriptions ----

    #since() {
        const seen = this.subs.flatMap((sub) => sub.log).filter((entry) => entry.id && !entry.gap);
        const since = this.#chance.one([undefined, undefined, undefined, 'all', 'last', '-5', '1h', 'position', 'position']);
        return since !== 'position' ? since : seen.length ? this.#chance.one(seen).id : 'all';
    }

    subscribe(name = this.#chance.one(this.names), since = this.#since(), isIterated = this.#chance.below(3) === 0) {
        const sub = { name, since, isIterated, askedAt: Date.now(), log: [] };
        const options = {
            since, buffer: 100_000,
            onGap: (gap) => sub.log.push({ gap: true, id: gap.position, reason: gap.reason }),
            onEnd: (error) => { sub.ended = error.code; },
        };
        const take = (message) => { sub.log.push({ id: message.id, channel: message.channel, text: message.data }); };
        const throws = this.#chance.below(40);
        sub.handle = isIterated ? this.hub.subscribe(name, options) : this.hub.subscribe(name, (message) => {
            take(message);
            if (sub.log.length === throws) throw new Error(THROWN);
        }, options);
        if (isIterated) sub.iteration = this.#iterate(sub, take);
        sub.handle.ready.then((answer) => { sub.readyAt = Date.now(); sub.begun = answer.position; }, () => {});
        this.subs.push(sub);
        return sub;
    }

    async #iterate(sub, take) {
        try {
            for await (const message of sub.handle) {
                take(message);
                if (this.#chance.below(10) === 0) await pause(this.#chance.below(20));
                if (sub.leaves) break;
            }
        } catch (error) {
            sub.ended ??= error.code ?? String(error);
        }
    }

    get #live() { return this.subs.filter((sub) => !sub.closed && !sub.ended); }

    #closeOne() {
        if (this.#live.length < 2) return;
        const sub = this.#chance.one(this.#live);
        sub.closed = true;
        sub.leaves = sub.isIterated && this.#chance.below(2) === 0;      // by break, with its next message
        if (!sub.leaves) sub.handle.close();
    }

    // ---- publishing ----

    // Each awaited before the next is sent: they are published in this order.
    async #publishSeries() {
        const channel = this.#chance.one(this.channels), series = ++this.#series;
        for (let i = 1 + this.#chance.below(4); i > 0; i--) await this.publish(channel, series);
    }

    async publish(channel, series) {
        const one = { channel, series, text: `${this.name}.${this.published.length}`, sentAt: Date.now() };
        this.published.push(one);
        try {
            const { id } = await this.hub.publish(channel, one.text);
            Object.assign(one, { id, ackedAt: Date.now() });
        } catch (error) {
            one.error = error.code ?? String(error);
        }
    }

    #publishSome() {
        if (this.#publishing.size > 10) return;
        const series = this.#publishSeries().finally(() => this.#publishing.delete(series));
        this.#publishing.add(series);
    }

    // ---- its life ----

    async live(ms) {
        const chance = this.#chance, end = Date.now() + ms;
        this.subscribe();
        while (Date.now() < end) {
            const step = chance.below(10);
            if (step < 3 && this.#live.length < MOST_SUBS) this.subscribe();
            else if (step === 3) this.#closeOne();
            else if (step < 8) this.#publishSome();
            await pause(chance.below(60));
        }
    }

    // Everything it has begun has been answered.
    async settled() {
        await Promise.all(this.#publishing);
        await Promise.all(this.#live.map((sub) => sub.handle.ready.catch(() => {})));
    }

    // Who is still subscribed has the last message of each channel: what is given by channel, of those that its name covers.
    isCaughtUp(last) {
        return this.#live.every((sub) => Object.entries(last).every(([channel, text]) => !covers(sub.name, channel) || sub.log.some((entry) => entry.text === text)));
    }

    report() {
        const { name, published, errors, states } = this;
        return { name, published, errors, states, subs: this.subs.map(({ handle, iteration, ...seen }) => seen) };
    }

    close() { this.hub.close(); }
}

// As PROTOCOL.md §1 has it; written once more, because what is tested cannot be its own judge.
export function covers(pattern, channel) {
    const escaped = pattern.split('.').map((segment, i, all) => segment === '**' && i === all.length - 1 ? '.+' : segment === '*' ? '[^.]+' : segment.replace(/[^\w]/g, '\\$&'));
    return new RegExp(`^${escaped.join('\\.')}$`).test(channel);
}

// Webhooks and hubs that are killed at any moment: of messages and events that were acknowledged each arrives at every webhook, as it was told,
// and in order where order was asked for.
// KILLS=n of them, 50 events for each (make soak; KILLS=20 has 1,000), SEED=n the same moments again (nearly: the machine has a say too).
import assert from 'node:assert/strict';
import { Webhook } from 'standardwebhooks';
import { Chance, anySeed } from './lib/chance.mjs';
import { messagesPath, request } from './lib/http.mjs';
import { Receiver } from './lib/receiver.mjs';
import { SUITE_REDIS, redisSettings } from './lib/redis.mjs';
import { scenario } from './lib/scope.mjs';
import { Watched, windowOf } from './lib/wait.mjs';
import { LOCAL, Webhooks } from './lib/webhooks.mjs';

const KILLS = Number(process.env.KILLS ?? 4), SEED = Number(process.env.SEED ?? anySeed());
const EVENTS = 50 * KILLS, TELLERS = 6, CHANNELS = 7, PATIENCE_MS = 120_000;
const ARGS = [...LOCAL, `--webhooks.retry=0${',20ms'.repeat(31)}`, '--webhooks.breaker_pause=20ms', '--webhooks.breaker_pause_max=50ms'];
const KINDS = { plain: {}, skips: { ordered: true }, blocks: { ordered: true, after_last: 'block' } };
const channelOf = (n) => `c${n % CHANNELS}`;
const numberOf = (id) => Number(id.split('_')[2]);

// ---- who tells ----

// Publishes (odd numbers) and tells events (even ones), each until it is acknowledged; a key makes that one event, however often it is asked for.
class Tellers extends Watched {
    ids = new Map();      // number -> the event's id
    #next = 0;

    constructor(hubs, chance) { super(); Object.assign(this, { hubs, chance }); }
    state() { return `${this.ids.size} of ${EVENTS} acknowledged`; }

    async #ask(n) {
        const hub = this.chance.one(this.hubs), headers = { 'Idempotency-Key': `n${n}` };
        const answer = n % 2
            ? await request(hub, messagesPath(channelOf(n)), { method: 'POST', headers: { ...headers, 'Content-Type': 'application/json' }, body: `{"data":${n}}` })
            : await request(hub, '/v1/events', { method: 'POST', headers, body: { type: 'order.created', data: n, channel: channelOf(n) } });
        if (answer.status === 201) return n % 2 ? `evt_${answer.json.id.replace('.', '_')}` : answer.json.id;
        assert.ok([409, 503].includes(answer.status), `${answer.status} ${answer.text}`);      // the first one is under way; busy, starting
        return null;
    }

    async run() {
        for (let n; (n = this.#next++) < EVENTS;) {
            let id = null;
            while (!id) {
                id = await this.#ask(n).catch((error) => { if (error instanceof assert.AssertionError) throw error; });
                if (!id) await windowOf(5);
            }
            this.ids.set(n, id);
            this.changed();
        }
    }
}

// ---- who is told ----

// A receiver that fails now and then, and what it has said yes to.
class Partner extends Watched {
    bodies = new Map();       // id -> the bytes it came with first
    channels = new Map();     // id -> the channel it came for
    arrivals = [];            // ids, as they came
    accepted = new Set();     // ids
    repeated = 0;             // requests beyond the first of an id that had been accepted

    constructor(kind, secret, chance) { super(); Object.assign(this, { kind, chance, verifier: new Webhook(secret) }); }
    state() { return `${this.kind}: ${this.bodies.size} came, ${this.accepted.size} accepted`; }

    #check({ body, headers }, id, channel) {
        this.verifier.verify(body, headers);
        assert.equal(headers['webhook-id'], id);
        const first = this.bodies.get(id) ?? body;
        assert.deepEqual(body, first, `${this.kind}: ${id} came with another body`);
        this.bodies.set(id, first);
        this.channels.set(id, channel);
    }

    // What came before it in its channel and is not accepted yet can only be what has not been sent at all: that is looked at in the end.
    #checkOrder(id, channel) {
        for (const [other, where] of this.channels)
            if (where === channel && numberOf(other) < numberOf(id)) assert.ok(this.accepted.has(other), `${this.kind}: ${id} of ${channel} came before ${other} had arrived`);
    }

    take(exchange) {
        const { id, channel } = JSON.parse(exchange.request.body.toString());
        try {
            this.#check(exchange.request, id, channel);
            if (KINDS[this.kind].ordered) this.#checkOrder(id, channel);
        } catch (error) { this.wrong ??= error; }
        this.arrivals.push(id);
        this.repeated += this.accepted.has(id);
        const luck = this.chance.below(100);
        if (luck >= 95) exchange.reset();
        else exchange.receiver.later(this.chance.below(8), () => this.#say(exchange, id, luck < 70 ? 200 : 500));
    }

    #say(exchange, id, status) {
        if (status === 200) this.accepted.add(id);
        exchange.answer({ status });
        this.changed();
    }

    // First arrivals of each channel are in the order of their events, with none left out before.
    checkWholeOrder(ids) {
        const firsts = [...new Set(this.arrivals)];
        for (const channel of new Set(this.channels.values())) {
            const arrived = firsts.filter((id) => this.channels.get(id) === channel);
            const expected = [...ids].filter(([n]) => channelOf(n) === channel).map(([, id]) => id).sort((a, b) => numberOf(a) - numberOf(b));
            assert.deepEqual(arrived, expected, `${this.kind}: the order of ${channel}`);
        }
    }
}

// ---- who kills ----

// With Redis they share it, and another one is killed each time.
async function startHubs(scope) {
    if (!SUITE_REDIS) return [await scope.hub({ args: ARGS })];
    const engine = await redisSettings();
    const hubs = await Promise.all([0, 1, 2].map((i) => scope.hub({ memory: true, args: [...engine, `--redis.node=hub-${i}`, ...ARGS] })));
    await Promise.all(hubs.map((hub) => hub.ready()));
    return hubs;
}

// At some moment while its share of the events is told, and now and then once more before it is ready.
async function killAndRestart(hubs, round, tellers, chance) {
    const hub = chance.one(hubs), share = EVENTS / KILLS, moment = Math.floor(round * share) + chance.below(share);
    await tellers.waitFor(() => tellers.ids.size >= Math.min(moment, EVENTS - 1), `event ${moment}`, PATIENCE_MS);
    await windowOf(chance.below(20));
    await hub.kill9();
    if (chance.below(4) === 0) {
        const starting = hub.restart().catch(() => {});
        await windowOf(chance.below(60));
        await hub.kill9();
        await starting;
    }
    await hub.restart();
}

// Every id that was acknowledged, nothing else, and each as it was told.
function checkAll(partner, ids) {
    const { kind } = partner, numbers = new Map([...ids].map(([n, id]) => [id, n]));
    if (partner.wrong) throw partner.wrong;
    assert.deepEqual([...ids.values()].filter((id) => !partner.accepted.has(id)), [], `${kind}: acknowledged, and never arrived`);
    assert.deepEqual([...partner.bodies.keys()].filter((id) => !numbers.has(id)), [], `${kind}: arrived, and told by nobody`);
    for (const [id, body] of partner.bodies) {
        const { type, channel, data } = JSON.parse(body.toString()), n = numbers.get(id);
        assert.deepEqual([type, channel, data], [n % 2 ? 'message.published' : 'order.created', channelOf(n), n], `${kind}: ${id}`);
    }
    if (KINDS[kind].ordered) partner.checkWholeOrder(ids);
}

scenario(`webhooks: kill -9 at ${KILLS} random moments loses none of ${EVENTS} events, and ordered webhooks stay in order`, async (scope, t) => {
    t.diagnostic(`SEED=${SEED}`);
    const chance = new Chance(SEED), hubs = await startHubs(scope), webhooks = new Webhooks(hubs[0]), receiver = await Receiver.start(scope);
    const partners = [], made = [];
    for (const [kind, more] of Object.entries(KINDS)) {
        made.push(await webhooks.make({ url: receiver.url(`/${kind}`), events: ['message.published', 'order.*'], ...more }));
        const partner = new Partner(kind, made.at(-1).secret, new Chance(SEED + partners.length));
        receiver.answer(`/${kind}`, (exchange) => partner.take(exchange));
        partners.push(partner);
    }
    const tellers = new Tellers(hubs, chance), told = Promise.all(Array.from({ length: TELLERS }, () => tellers.run()));
    told.catch(() => {});
    for (let round = 0; round < KILLS; round++) await Promise.race([killAndRestart(hubs, round, tellers, chance), told.then(() => new Promise(() => {}))]);
    await told;
    for (const partner of partners) await partner.waitFor(() => partner.wrong || [...tellers.ids.values()].every((id) => partner.accepted.has(id)), 'every event that was acknowledged', PATIENCE_MS);
    for (const { id } of made) await webhooks.until(id, { pending: 0, sending: 0, dead_letters: 0, disabled_reason: null });
    for (const partner of partners) checkAll(partner, tellers.ids);
    assert.deepEqual(await webhooks.list('/v1/dead-letters'), []);
    t.diagnostic(partners.map(({ kind, arrivals, repeated }) => `${kind}: ${arrivals.length} requests, ${repeated} after it was accepted`).join('; '));
});

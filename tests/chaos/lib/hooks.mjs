// hooks.mjs — three webhooks of a world, whoever receives them, and what must be so of them at the end of each round.
//
//   all       messages of some channels, several at a time
//   ordered   messages of some, each channel in order; it blocks rather than leave one out
//   comings   members that come and leave, channels that are occupied and vacated
import { metricsOf, total } from '../../e2e/lib/metrics.mjs';
import { Receiver } from '../../e2e/lib/receiver.mjs';
import { eventually } from '../../e2e/lib/wait.mjs';
import { Webhooks } from '../../e2e/lib/webhooks.mjs';
import { Chance } from '../../e2e/lib/chance.mjs';
import { Partner } from './partner.mjs';
import { covers } from './readers.mjs';
import { HALLS, USERS, Visitors } from './visitors.mjs';

export const HOOK_ARGS = ['--webhooks.allow_http=true', '--webhooks.allow_networks=127.0.0.0/8 10.0.0.0/8', '--webhooks.timeout=5s', '--webhooks.connect_timeout=2s',
    '--webhooks.breaker_pause=20ms', '--webhooks.breaker_pause_max=100ms', '--webhooks.retention=1m', '--webhooks.vacated_after=200ms', '--presence.grace=500ms'];
const RETRY = `0${',20ms'.repeat(15)}${',100ms'.repeat(16)}`, LEASE_MS = 3000, STANDS = { pending: 0, sending: 0, dead_letters: 0, disabled_reason: null };
const KINDS = {
    all: { events: ['message.published'], channels: ['a.*', 'b.1'] },
    ordered: { events: ['message.published'], channels: ['*.1', 'b.2'], ordered: true, after_last: 'block' },
    comings: { events: ['member.*', 'channel.*'], channels: ['come.*'] },
};

export class Hooks {
    known = new Set();        // texts of rounds before
    #told = new Map();        // what alternates -> what was told of it last

    // host: an address of this machine that hubs reach. headers: of an administrator. as: visitors.mjs
    static async start(world, seed, { host = '127.0.0.1', headers = {}, as = (user) => `user=${user}` } = {}) {
        const hooks = Object.assign(new Hooks(), { world });
        const chance = new Chance(seed);
        hooks.receiver = await Receiver.start(world, { host });
        hooks.visitors = await world.own(new Visitors(world.hubs, chance, as), 'close');
        hooks.api = world.hubs.map((hub) => new Webhooks(hub, headers));
        hooks.partners = [];
        for (const [name, kind] of Object.entries(KINDS)) {
            const partner = new Partner(name, chance, kind);
            hooks.receiver.answer(`/${name}`, (exchange) => partner.take(exchange));
            partner.trust(await hooks.api[0].make({ url: hooks.receiver.url(`/${name}`), retry: RETRY, ...kind }));
            hooks.partners.push(partner);
        }
        for (const api of hooks.api) await eventually(async () => (await api.list('/v1/webhooks')).length === 3, 'webhooks to be known on all hubs');
        return hooks;
    }

    get comings() { return this.partners.at(-1); }
    wants(partner, channel) { return KINDS[partner.name].channels.some((name) => covers(name, channel)); }

    // ---- the end of a round ----

    // All users come to all channels, and leave: that is told of each.
    async comeAndGo(ms) {
        const last = (key) => [...this.comings.arrivals.values()].filter((one) => keyOf(one) === key && one.accepted).reduce((a, b) => (a && a.number > b.number ? a : b), null);
        const are = (member, channel) => HALLS.every((hall) => [hall, ...USERS.map((user) => `${hall} ${user}`)].every((key) => {
            const type = last(key)?.type ?? this.#told.get(key);
            return type === (key === hall ? `channel.${channel}` : `member.${member}`);
        }));
        const seen = () => HALLS.flatMap((hall) => [hall, ...USERS.map((user) => `${hall} ${user}`)].map((key) => `${key}: ${last(key)?.type ?? this.#told.get(key)}`)).join(', ');
        await eventually(() => this.visitors.all().then(() => true, () => { this.visitors.leave(); return false; }), 'visitors to be let in', ms);
        await eventually(() => are('joined', 'occupied'), 'everybody to be told as there', ms, seen);
        this.visitors.leave();
        await eventually(() => are('left', 'vacated'), 'everybody to be told as gone', ms, seen);
    }

    // Nothing waits any more, as each hub says, as the lists say, and as it lies in Redis.
    async settled(redis, ms) {
        for (const { id, name } of this.partners) {
            for (const [i, api] of this.api.entries()) {
                let seen = '';
                const stands = async () => {
                    seen = await api.show(id).catch((error) => ({ error: error.message }));
                    return Object.entries(STANDS).every(([member, value]) => seen[member] === value);
                };
                const tell = async () => `${JSON.stringify(seen).slice(-300)}\n  ${await this.#waiting(id)}`;
                await eventually(stands, `webhook ${name} to have nothing left, as hub ${i} says`, ms, tell);
            }
            for (const status of ['pending', 'dead']) {
                const listed = await this.world.load.chance.one(this.api).list(`/v1/deliveries?webhook=${id}&status=${status}`);
                if (listed.length) throw new Error(`webhook ${name}: none is ${status}, and the list has ${listed.length}: ${JSON.stringify(listed[0])}`);
            }
        }
        await eventually(async () => (await leftOver(redis)).length === 0, 'Redis to have nothing that waits', ms, () => leftOver(redis));
    }
    async #waiting(id) {
        const listed = await this.api[0].list(`/v1/deliveries?webhook=${id}&status=pending`).catch((error) => [error.message]);
        return `${listed.length} wait: ${JSON.stringify(listed.at(-1))}, ${JSON.stringify(listed[0])}`;
    }

    // Each endpoint is one hub's that lives, and counted there.
    async heldOnce(redis, ms) {
        const list = "local r = {} local s = redis.call('HGETALL', 'carillon:{0}:senders') for i = 1, #s, 2 do local lease = struct.unpack('<Bc0', s[i + 1]) " +
            "r[#r + 1] = s[i] .. ' ' .. lease .. ' ' .. (redis.call('ZSCORE', 'carillon:{0}:leases', lease) and 'held' or 'lost') end return r";
        const held = async () => (await redis.say('EVAL', list, 0)).split('\n').filter(Boolean);
        const counted = async () => (await Promise.all(this.world.hubs.map((hub) => metricsOf(hub)))).map((families) => total(families, 'carillon_webhook_endpoints'));
        let seen;
        await eventually(async () => {
            seen = { held: await held(), counted: await counted() };
            return seen.held.length === 3 && seen.held.every((line) => line.endsWith(' held')) && seen.counted.reduce((a, b) => a + b) === 3;
        }, 'each webhook to be sent by one hub', ms, () => JSON.stringify(seen));
    }

    // ---- what was told ----

    #texts(partner) {
        const ids = new Map();
        for (const one of partner.arrivals.values()) ids.set(one.text, [...ids.get(one.text) ?? [], one]);
        return ids;
    }

    // mayLose: what is of an older epoch need not come, and may come again under another number.
    #messages(partner, records, mayLose, epoch) {
        const wrong = [], of = new Map(records.map((record) => [record.text, record])), texts = this.#texts(partner);
        for (const { state, text, id, channel } of records) {
            const came = texts.get(text) ?? [], event = `evt_${(id ?? '').replace('.', '_')}`;
            if (state === 'acknowledged' && this.wants(partner, channel) && !(mayLose && !id.startsWith(`${epoch}.`)) && !partner.arrivals.get(event)?.accepted)
                wrong.push(`${partner.name}: ${text} = ${id} of ${channel} was acknowledged and never arrived, but ${came.map((one) => one.id)}`);
            if (state === 'refused' && came.length) wrong.push(`${partner.name}: ${text} arrived as ${came[0].id}, its publisher was told that it was refused`);
        }
        for (const [text, came] of texts) {
            const record = of.get(text);
            if (!record && !(mayLose && this.known.has(text))) wrong.push(`${partner.name}: ${text} (${came[0].id}) was told by nobody in this round`);
            else if (record && (record.channel !== came[0].channel || !this.wants(partner, record.channel))) wrong.push(`${partner.name}: ${text} of ${record.channel} came for ${came[0].channel}`);
            if (came.length > 1 && !(mayLose && new Set(came.map((one) => one.epoch)).size === came.length)) wrong.push(`${partner.name}: ${text} came as ${came.map((one) => one.id)}`);
        }
        return wrong;
    }

    // joined, left, joined, … of each user and channel, occupied, vacated, …; what was lost may be an event of these, and in a new epoch it is
    // told again which are occupied.
    #turns(mayLose, isNew) {
        const wrong = [];
        for (const one of [...this.comings.arrivals.values()].sort((a, b) => a.number - b.number)) {
            const key = keyOf(one), before = this.#told.get(key);
            const first = one.type === 'member.joined' || one.type === 'channel.occupied';
            if (!mayLose && !(isNew && key === one.channel) && (before === one.type || (!before && !first))) wrong.push(`comings: ${one.id}: ${one.type} of ${key} after ${before}`);
            this.#told.set(key, one.type);
        }
        return wrong;
    }

    #repeats(partner) {
        return [...partner.arrivals.values()].filter((one) => one.accepted > 1).map((one) => `${partner.name}: ${one.id} came again after it had been accepted, and nothing has failed that explains it`);
    }

    // explained: somebody ended, or lost its lease, without having settled.
    broken(records, { mayLose, isNew, disorders, explained, epoch }) {
        const isLost = (partner, id) => mayLose && id && (disorders || !partner.arrivals.get(id)?.accepted);
        const wrong = this.partners.flatMap((partner) => partner.wrong.filter(({ behind }) => !isLost(partner, behind)).map(({ text }) => text));
        for (const partner of this.partners) {
            if (partner !== this.comings) wrong.push(...this.#messages(partner, records, mayLose, epoch));
            if (!explained) wrong.push(...this.#repeats(partner));
        }
        return [...wrong, ...this.#turns(mayLose, isNew)];
    }
    get counts() { return this.partners.map(({ arrivals }) => arrivals.size); }
    get repeated() { return this.partners.reduce((sum, { arrivals }) => sum + [...arrivals.values()].reduce((n, one) => n + Math.max(one.accepted - 1, 0), 0), 0); }

    forget(records) {
        for (const { text } of records) this.known.add(text);
        this.receiver.all.splice(0);
        for (const partner of this.partners) partner.forget();
    }
    patience(ms) { return ms + LEASE_MS; }
}

const keyOf = ({ channel, user }) => (user ? `${channel} ${user}` : channel);

// What is there only while something waits, as sentences.
export async function leftOver(redis) {
    const list = "local r, c = {}, '0' repeat local s = redis.call('SCAN', c, 'COUNT', 1000) c = s[1] for _, k in ipairs(s[2]) do " +
        "local n = string.gsub(k, '^carillon:{0}:', '') if string.find(n, '^due:') or string.find(n, '^lane:') or string.find(n, '^heads:') or " +
        "(n == 'outbox' and redis.call('XLEN', k) > 0) then r[#r + 1] = n end end until c == '0' return r";
    return (await redis.say('EVAL', list, 0)).split('\n').filter(Boolean);
}

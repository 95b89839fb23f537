// partner.mjs — who receives one webhook: fails now and then (500, a reset, slow), and keeps what came, and what it has said yes to.
//
//   arrivals   Map of an event's id to { id, epoch, number, type, channel, text, user, body, times, accepted }: how often it came, and how often
//              the answer was 200
//   wrong      what may not be whatever fails, { text, behind }: other bytes, an order that was promised and is not there; behind: the event that
//              another one came before
import { Webhook } from 'standardwebhooks';
import { Watched } from '../../e2e/lib/wait.mjs';

const FAILS = [[3, 'error'], [5, 'reset'], [7, 'slow']], SLOW_MS = [50, 300], WRONGS = 20;

function read({ body, headers }) {
    const bytes = body.toString(), { id, type, channel, data } = JSON.parse(bytes), [, epoch, number] = id.split('_');
    return { id, epoch, number: Number(number), type, channel, text: data, user: data?.user, body: bytes, times: 0, accepted: 0, header: headers['webhook-id'] };
}

export class Partner extends Watched {
    arrivals = new Map();
    wrong = [];
    #open = new Map();         // of an ordered one: channel and epoch -> { newest, waits: the id that was not accepted yet }

    constructor(name, chance, { ordered = false } = {}) { super(); Object.assign(this, { name, chance, ordered }); }
    trust({ id, secret }) { Object.assign(this, { id, verifier: new Webhook(secret) }); }
    state() { return `${this.name}: ${this.arrivals.size} came, not accepted: ${this.unaccepted().slice(0, 5)}`; }
    unaccepted() { return [...this.arrivals.values()].filter((one) => !one.accepted).map((one) => one.id); }

    #say(text, behind = null) { if (this.wrong.length < WRONGS) this.wrong.push({ text: `${this.name}: ${text}`, behind }); }

    // The first of a channel that is not accepted yet is the last that may come for the first time.
    #checkOrder(one) {
        const lane = `${one.epoch} ${one.channel}`, { newest = 0, waits = null } = this.#open.get(lane) ?? {};
        if (waits && !this.arrivals.get(waits)?.accepted) this.#say(`${one.id} of ${one.channel} came before ${waits} had been accepted`, waits);
        if (one.number < newest) this.#say(`${one.id} of ${one.channel} came for the first time behind ${newest}`);
        this.#open.set(lane, { newest: Math.max(newest, one.number), waits: one.id });
    }

    #note(one) {
        const first = this.arrivals.get(one.id);
        if (one.header !== one.id) this.#say(`${one.id} came with webhook-id ${one.header}`);
        if (first && first.body !== one.body) this.#say(`${one.id} came with other bytes: ${first.body} and ${one.body}`);
        if (!first && this.ordered) this.#checkOrder(one);
        if (!first) this.arrivals.set(one.id, one);
        return first ?? one;
    }

    take(exchange) {
        try { this.verifier?.verify(exchange.request.body, exchange.request.headers); } catch (error) { this.#say(`the signature: ${error.message}`); }
        const one = this.#note(read(exchange.request)), luck = this.chance.below(100);
        one.times++;
        const [, how] = FAILS.find(([below]) => luck < below) ?? [];
        const ms = how === 'slow' ? SLOW_MS[0] + this.chance.below(SLOW_MS[1] - SLOW_MS[0]) : this.chance.below(4);
        if (how === 'reset') exchange.reset();
        else exchange.receiver.later(ms, () => this.#answer(exchange, one, how === 'error' ? 500 : 200));
    }

    #answer(exchange, one, status) {
        if (exchange.socket.destroyed) return;
        if (status === 200) one.accepted++;
        exchange.answer({ status });
        this.changed();
    }

    forget() {
        this.arrivals.clear();
        this.wrong.splice(0);
        for (const lane of this.#open.values()) lane.waits = null;
    }
}

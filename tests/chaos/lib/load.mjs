// load.mjs — publishers on every hub, which know of each message what became of it, and readers on every hub and between them.
//
//   acknowledged   201 with an id: it comes to everybody, once, under this id, or a gap is told to who does not get it
//   refused        503 redis_away, redis_refused, draining: nobody ever sees it
//   unknown        503 outcome_unknown, or the line was cut: it may come, once
//
// Half of the publishers send again what was not acknowledged, under the same Idempotency-Key, to any hub; the others leave it.
import http from 'node:http';
import { KeepAlive } from '../../e2e/lib/line.mjs';
import { messagesPath } from '../../e2e/lib/http.mjs';
import { reader } from './readers.mjs';

export const CHANNELS = ['a.1', 'a.2', 'b.1', 'b.2'];
const ANSWER_MS = 4500;       // longer than redis.command_timeout: the hub's own word is heard
const REFUSED = new Set(['redis_away', 'redis_refused', 'draining']);
const AGAIN = new Set(['idempotency_in_progress']);

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// -> { status, code, id, retryAfter }, or { status: 0 } when the line was cut or nobody answered in time
function attempt(hub, agent, record) {
    return new Promise((resolve) => {
        const where = hub.api, body = record.text;
        const headers = { 'Content-Type': 'text/plain', 'Content-Length': body.length, ...(record.key && { 'Idempotency-Key': record.key }) };
        const request = http.request({ ...where, where, agent, path: messagesPath(record.channel), method: 'POST', headers, timeout: ANSWER_MS }, (answer) => {
            let text = '';
            answer.setEncoding('utf8').on('data', (chunk) => { text += chunk; });
            answer.on('error', () => resolve({ status: 0 }));
            answer.on('end', () => {
                let said = {};
                try { said = JSON.parse(text); } catch { /* cut */ }
                resolve({ status: answer.complete ? answer.statusCode : 0, code: said.code, id: said.id, retryAfter: answer.headers['retry-after'], text });
            });
        });
        request.on('timeout', () => request.destroy());
        request.on('error', () => resolve({ status: 0 }));
        request.end(body);
    });
}

export class Load {
    records = [];
    faults = [];              // what no hub may ever answer
    #agents = new Map();
    #busy = new Set();
    #running = false;

    constructor(hubs, chance) {
        Object.assign(this, { hubs, chance, n: 0 });
        this.readers = hubs.flatMap((hub, i) => [
            reader('sse', hub, ['a.1', 'b.1'], `sse of hub ${i}`), reader('ws', hub, ['a.1', 'a.2', 'b.2'], `ws of hub ${i}`),
            reader('sse', hub, ['a.*'], `sse pattern of hub ${i}`), reader('ws', hub, ['**', 'b.1'], `ws patterns of hub ${i}`),
        ].map((one) => Object.assign(one, { home: hub })));
        this.roamers = [reader('sse', hubs[0], CHANNELS, 'sse that roams'), reader('ws', hubs[0], ['*.1', 'a.2'], 'ws patterns that roams')];
        this.readers.push(...this.roamers);
    }

    ready() { return Promise.all(this.readers.map((one) => one.ready())); }

    #agent(hub) {
        if (!this.#agents.has(hub)) this.#agents.set(hub, new KeepAlive(8));
        return this.#agents.get(hub);
    }

    record(channel, text, key) {
        const record = { channel, text, key, sentAt: Date.now(), state: 'under way', maybe: false, said: [] };
        this.records.push(record);
        return record;
    }

    #note(record, answer) {
        record.said.push(answer.status ? answer.code ?? answer.status : 'cut');
        if (answer.status === 503 && !answer.retryAfter) this.faults.push(`503 ${answer.code} without Retry-After`);
        if (answer.status === 201) return Object.assign(record, { state: 'acknowledged', id: answer.id, at: Date.now() });
        const isRefused = answer.status === 503 && REFUSED.has(answer.code);
        const isUnknown = answer.status === 0 || (answer.status === 503 && answer.code === 'outcome_unknown');
        if (!isRefused && !isUnknown && !AGAIN.has(answer.code)) this.faults.push(`publish answered ${answer.status} ${answer.text}`);
        if (!isRefused) record.maybe = true;
        record.state = record.maybe ? 'unknown' : 'refused';
        return record;
    }

    // Sends it until it is acknowledged, `until` is over, or once when it has no key.
    async send(record, hub, until) {
        for (let to = hub; ; to = this.chance.one(this.hubs)) {
            this.#note(record, await attempt(to, this.#agent(to), record));
            if (record.state === 'acknowledged' || !record.key || Date.now() > until()) return record;
            await pause(20 + this.chance.below(150));
        }
    }

    async #publish(hub, retries) {
        while (this.#running) {
            const n = ++this.n;
            await this.send(this.record(this.chance.one(CHANNELS), `m${n}`, retries ? `k${n}` : null), hub, () => this.until);
            await pause(5 + this.chance.below(40));
        }
    }

    begin() {
        this.#running = true;
        this.until = Infinity;
        for (const hub of this.hubs)
            for (const retries of [true, false]) {
                const one = this.#publish(hub, retries).finally(() => this.#busy.delete(one));
                this.#busy.add(one);
            }
    }
    // Whatever is under way gets its outcome.
    async end(ms) {
        this.#running = false;
        this.until = Date.now() + ms;
        await Promise.all(this.#busy);
    }

    // One line of a reader breaks; a roamer comes back elsewhere.
    cutSome() {
        for (const one of [this.chance.one(this.readers), this.chance.one(this.roamers)]) {
            if (!one.home) one.where = this.chance.one(this.hubs);
            one.cut();
        }
    }

    forget() {
        this.records.splice(0);
        this.faults.splice(0);
        for (const one of this.readers) one.forget();
    }

    close() {
        this.#running = false;
        this.until = 0;
        for (const one of this.readers) one.close();
        for (const agent of this.#agents.values()) agent.destroy();
    }
}

// health.mjs — what /health/ready of a hub says all the time: samples { at, ok, reason } (reason null: nobody answered).
import { request } from '../../e2e/lib/http.mjs';

const EVERY_MS = 100, ANSWER_MS = 1000;

function ask(hub) {
    const late = new Promise((resolve) => setTimeout(resolve, ANSWER_MS, null));
    return Promise.race([request(hub, '/health/ready').catch(() => null), late]);
}

export class HealthWatch {
    samples = [];
    #closed = false;
    constructor(hub) { this.hub = hub; this.#run(); }

    async #run() {
        while (!this.#closed) {
            const answer = await ask(this.hub);
            const failed = answer && Object.entries(answer.json.checks).filter(([, check]) => check.status !== 'ok');
            this.samples.push({ at: Date.now(), ok: answer?.status === 200, reason: failed ? failed.map(([name, { reason }]) => `${name}: ${reason}`).join('; ') : null });
            await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
        }
    }

    get isReady() { return this.samples.at(-1)?.ok; }
    wasRed(from, to) { return this.samples.some(({ at, ok }) => !ok && at >= from && at <= to + ANSWER_MS); }
    reasons(from) { return [...new Set(this.samples.filter(({ at, ok }) => !ok && at >= from).map(({ reason }) => reason))]; }
    forget() { this.samples.splice(0, this.samples.length - 1); }
    close() { this.#closed = true; }
}

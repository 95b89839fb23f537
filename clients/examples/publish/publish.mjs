#!/usr/bin/env node
// publish.mjs CHANNEL DATA [KEY]: publishes once, whatever happens on the way. Node 18 or newer, nothing to install.
//
//   publish.mjs orders '{"id":42,"total":9.90}' order-42
//
// DATA is any JSON value and arrives byte for byte. KEY names what is published (an order's number, say): the hub publishes it once, however often
// it is sent. CARILLON_URL is where the API is, CARILLON_KEY the key, CARILLON_PATIENCE how many seconds to go on trying.
// Prints the message's id. Status 0: published; 1: refused, or nobody answered in time; 2: not called like this.
import { randomUUID } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const { CARILLON_URL = 'http://localhost:8001', CARILLON_KEY, CARILLON_PATIENCE = 60 } = process.env;

// Status 0: there was no answer.
async function send(url, init) {
    try {
        const response = await fetch(url, { ...init, signal: AbortSignal.timeout(10_000) });
        const answer = await response.json().catch(() => ({}));      // a proxy between may say anything
        return { status: response.status, retryAfter: Number(response.headers.get('Retry-After')), answer };
    } catch (error) {       // refused, cut, too slow
        return { status: 0, answer: { code: 'no answer', detail: `${url}: ${error.cause?.message ?? error.message}` } };
    }
}

const mayRetry = (status, { code }) => status === 0 || status === 408 || status === 429 || status >= 500 || code === 'idempotency_in_progress';

// The answer, with the message's id. `data` is JSON text; `path` is channels/NAME or users/NAME; `more` is event, ttl, exclude.
export async function publishTo(path, data, { key = randomUUID(), url = CARILLON_URL, patience = CARILLON_PATIENCE, ...more } = {}) {
    const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': key, ...(CARILLON_KEY && { Authorization: `Bearer ${CARILLON_KEY}` }) };
    const body = `{"data":${data}${Object.entries(more).map(([name, value]) => `,"${name}":${JSON.stringify(value)}`).join('')}}`;
    const end = Date.now() + patience * 1000;
    for (let pause = 500; ; pause = Math.min(pause * 2, 30_000)) {
        const { status, retryAfter, answer } = await send(`${url}/v1/${path}/messages`, { method: 'POST', headers, body });
        if (status === 201) return answer;
        const problem = `${answer.code ?? status}: ${answer.detail ?? ''}`;
        if (!mayRetry(status, answer)) throw new Error(problem);
        const wait = (retryAfter * 1000 || pause) + Math.random() * pause;
        if (Date.now() + wait > end) throw new Error(`given up: ${problem}`);
        await sleep(wait);
    }
}
export const publish = (channel, data, options) => publishTo(`channels/${encodeURIComponent(channel)}`, data, options);

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
    const [channel, data, key] = process.argv.slice(2);
    if (data === undefined || process.argv.length > 5) {
        console.error('usage: publish.mjs CHANNEL DATA [KEY]');
        process.exitCode = 2;
    } else {
        await publish(channel, data, { key }).then(({ id }) => console.log(id), (error) => {
            console.error(error.message);
            process.exitCode = 1;
        });
    }
}

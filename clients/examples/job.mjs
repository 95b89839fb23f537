#!/usr/bin/env node
// job.mjs [NAME [LIMIT]]: a job that takes a while, and tells how far it is: the backend's half of job-progress.html.
//
//   node job.mjs primes            # then open job-progress.html; load it again in the middle
//
// Two channels: jobs.ID says how far it is, each message all of it, so that the newest is enough for who comes later (since=last);
// jobs.ID.log has what it did, line by line (since=all). A hub that is away delays neither the job nor its end: of the progress only the newest
// waits, lines of the log are sent when it is back.
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { publish } from './publish/publish.mjs';

export class Progress {
    #options;
    #newest = null;             // what is to be told next; whatever came before it does not matter any more
    #telling = Promise.resolve();
    #logging = Promise.resolve();
    #lines = 0;

    // options: url of the API
    constructor(id, title, total, options) {
        Object.assign(this, { id, title, total, begun: Date.now() });
        this.#options = options;
        this.tell(0);
    }

    tell(done, state = 'running') {
        const isWaiting = this.#newest !== null;
        this.#newest = { title: this.title, done, total: this.total, state, begun: this.begun };
        if (!isWaiting) this.#telling = this.#telling.then(() => this.#tellNewest());
    }

    #tellNewest() {
        const newest = this.#newest;
        this.#newest = null;
        return publish(`jobs.${this.id}`, JSON.stringify(newest), this.#options).catch(complain);
    }

    log(text) {
        const key = `${this.id}.${this.begun}.${this.#lines++}`;
        this.#logging = this.#logging.then(() => publish(`jobs.${this.id}.log`, JSON.stringify({ text }), { ...this.#options, key }).catch(complain));
    }

    // When this resolves everything has been told.
    async end(state, done) {
        await this.#logging;
        this.tell(done, state);
        await this.#telling;
    }
}
const complain = (error) => console.error(error.message);

const isPrime = (n) => { for (let i = 3; i * i <= n; i += 2) if (n % i === 0) return false; return n % 2 === 1; };
const turn = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// The job itself: how many primes are there below `limit`? `pause` between its steps makes it slow enough to watch.
export async function countPrimes(id, { limit = 20_000_000, steps = 100, pause = 0, ...options } = {}) {
    const progress = new Progress(id, `Counting primes below ${limit.toLocaleString('en')}`, steps, options);
    const size = limit / steps;
    let count = 1;      // 2
    for (let step = 0; step < steps; step++) {
        for (let n = Math.max(3, step * size + 1 - (step * size) % 2); n < (step + 1) * size; n += 2) count += isPrime(n);
        progress.tell(step + 1);
        if ((step + 1) % Math.ceil(steps / 10) === 0) progress.log(`${count.toLocaleString('en')} primes below ${((step + 1) * size).toLocaleString('en')}`);
        await turn(pause);      // what is told goes out here
    }
    await progress.end('done', steps);
    return count;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
    const [id = `job-${process.pid}`, limit = 20_000_000] = process.argv.slice(2);
    console.log(`watch it: job-progress.html#${id}`);
    console.log(`${await countPrimes(id, { limit: Number(limit) })} primes`);
}

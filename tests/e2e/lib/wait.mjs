// wait.mjs — waiting for conditions, never for time.
//
// Everything a test observes (a hub's log, a stream, a socket) is a Watched: it calls changed() when something about
// it is new, and waitFor() looks again. A deadline is only there so that a broken hub ends a test; it is generous,
// because a slow machine is not a fault.
import { patient } from './sanitized.mjs';

export const DEADLINE_MS = 20_000;

export class TimedOut extends Error {}

export class Watched {
    #waiters = new Set();

    // Resolves with the first truthy value of look(), which is asked now and after every change.
    // `what` names the condition in the error; state() of the subclass tells what was seen instead.
    waitFor(look, what = String(look), ms = DEADLINE_MS) {
        return new Promise((resolve, reject) => {
            const waiter = { check: null };
            const finish = (settle, value) => {
                clearTimeout(timer);
                this.#waiters.delete(waiter);
                settle(value);
            };
            waiter.check = () => {
                let found;
                try { found = look(this); } catch (error) { finish(reject, error); return; }
                if (found) finish(resolve, found);
            };
            const timer = setTimeout(() =>
                finish(reject, new TimedOut(`waited ${ms} ms for: ${what}\n  seen: ${this.state()}`)), patient(ms));
            this.#waiters.add(waiter);
            waiter.check();
        });
    }

    changed() {
        for (const waiter of [...this.#waiters]) waiter.check();
    }

    state() { return '(nothing to tell)'; }
}

// For what cannot call back (a file, /proc, an HTTP answer): asks again until it is true. `state` tells how it was when time was up.
export async function eventually(look, what, ms = DEADLINE_MS, state = () => '') {
    const end = Date.now() + patient(ms);
    let last;
    for (;;) {
        last = await look();
        if (last) return last;
        if (Date.now() > end) throw new TimedOut(`waited ${ms} ms for: ${what} ${await state()}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

// A promise with a deadline and a name, for what libraries give us.
export function within(promise, what, ms = DEADLINE_MS) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new TimedOut(`waited ${ms} ms for: ${what}`)), patient(ms));
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Lets `ms` pass: only for measuring something over a window (CPU time), never for waiting until something is so.
export function windowOf(ms) {
    return new Promise((resolve) => setTimeout(resolve, ms));
}

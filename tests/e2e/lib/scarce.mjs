// scarce.mjs — memory that runs out: a hub whose n-th allocation fails when the test says so (tests/shim/scarce.c).
//
//   const memory = new Scarce(scope);
//   const hub = await scope.hub({ env: memory.env });
//   memory.count(); …one session… memory.counted      // how many allocations that took, in all threads
//   memory.fail({ first: 17, many: 1 }); …the session again… memory.stop();
import { openSync, readFileSync, readSync, writeSync, closeSync } from 'node:fs';
import path from 'node:path';
import { BINARY } from './hub.mjs';

const SHIM = path.join(path.dirname(BINARY), 'tests', 'scarce.so');
const FIELDS = ['armed', 'count', 'first', 'many', 'min_bytes', 'failed'];

// 'address', 'thread' or false (what node:test takes for no reason to skip): what the hub was built with. Its memory and its CPU time then tell nothing about ours.
export function sanitizer() {
    const binary = readFileSync(BINARY);
    return binary.includes('__asan_init') ? 'address' : binary.includes('__tsan_init') ? 'thread' : false;
}

export class Scarce {
    constructor(scope) {
        const file = path.join(scope.dir(), 'orders');
        this.fd = openSync(file, 'w+');
        scope.defer(() => closeSync(this.fd));
        this.#write({});
        this.env = { LD_PRELOAD: SHIM, SCARCE: file };
        if (sanitizer()) this.env.ASAN_OPTIONS = `verify_asan_link_order=0:${process.env.ASAN_OPTIONS ?? ''}`;      // the shim comes before it
    }

    #write(values) { writeSync(this.fd, new BigUint64Array(FIELDS.map((name) => BigInt(values[name] ?? 0))), 0, FIELDS.length * 8, 0); }
    #read(name) {
        const words = new BigUint64Array(FIELDS.length);
        readSync(this.fd, words, 0, FIELDS.length * 8, 0);
        return Number(words[FIELDS.indexOf(name)]);
    }

    count() { this.#write({ armed: 1, first: 2 ** 52 }); }
    // From now on the `first`-th allocation and those behind it fail, `many` in all.
    fail({ first, many = 1, minBytes = 0 }) { this.#write({ armed: 1, first, many, min_bytes: minBytes }); }
    // What has failed stays to be read.
    stop() {
        const seen = { count: this.counted, failed: this.failed };
        this.#write(seen);
        return seen;
    }
    get counted() { return this.#read('count'); }
    get failed() { return this.#read('failed'); }
}

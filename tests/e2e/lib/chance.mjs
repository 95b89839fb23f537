// chance.mjs — chance that can be had again: the same for the same seed, which a test tells when it fails.

// xorshift32 (Marsaglia 2003). below(n): 0 … n - 1.
export class Chance {
    #x;
    constructor(seed) { this.#x = (Math.imul(seed, 2654435761) >>> 0) || 1; }
    next() { this.#x ^= this.#x << 13; this.#x ^= this.#x >>> 17; this.#x ^= this.#x << 5; return this.#x >>> 0; }
    below(n) { return this.next() % n; }
    one(list) { return list[this.below(list.length)]; }
}

// Another seed each time, for what shall try something new whenever it runs.
export const anySeed = () => 1 + Math.floor(Math.random() * 1e9);

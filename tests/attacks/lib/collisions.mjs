// collisions.mjs — thousands of channel names that a table with a well-known hash puts into one bucket.
//
// jenkins(): all of them have the same 32 bits under Bob Jenkins' hash of 1996, which uthash uses unless told otherwise. Its mix
//   can be undone, so after any block of 12 bytes a second block exists that leads to a state of our choice; every 240,000th try
//   that block is made of letters a name may have. A few such pairs for each of 5 places in the name, all combinations: 7^5 names.
// times33(): "Ez" and "FY" are the same under h * 33 + c; 14 places: 2^14 names.
const PLACES = 5, CHOICES = 7, START = [0x9e3779b9, 0x9e3779b9, 0xfeedbeef];

const allowed = new Uint8Array(256);
for (let c = 0x21; c <= 0x7e; c++) if (!'"\\*'.includes(String.fromCharCode(c))) allowed[c] = 1;
const letters = [...allowed.keys()].filter((c) => allowed[c]);

function mix([a, b, c]) {
    for (const [x, y, z] of [[13, 8, 13], [12, 16, 5], [3, 10, 15]]) {
        a = (a - b - c) ^ (c >>> x);
        b = (b - c - a) ^ (a << y);
        c = (c - a - b) ^ (b >>> z);
    }
    return [a | 0, b | 0, c | 0];
}

const plus = (state, words) => state.map((word, i) => (word + words[i]) | 0);
const wordsOf = (block) => [0, 4, 8].map((at) => block.readInt32LE(at));
const readable = (word) => allowed[word & 255] && allowed[(word >>> 8) & 255] && allowed[(word >>> 16) & 255] && allowed[word >>> 24];

// uthash's HASH_JEN for keys whose length is a multiple of 12.
export function jenkinsOf(name) {
    const bytes = Buffer.from(name, 'latin1');
    let state = START;
    for (let at = 0; at < bytes.length; at += 12) state = mix(plus(state, wordsOf(bytes.subarray(at))));
    return mix([state[0], state[1], (state[2] + bytes.length) | 0])[2] >>> 0;
}

// Numbers that are the same in every run.
function* xorshift(x) {
    for (;;) { x ^= x << 13; x ^= x >>> 17; x ^= x << 5; yield x >>> 0; }
}

function randomBlock(numbers) {
    const block = Buffer.alloc(12);
    for (let i = 0; i < 12; i++) block[i] = letters[numbers.next().value % letters.length];
    return block;
}

// Pairs of blocks that lead from `state` to one and the same state.
function pairsAt(state, numbers) {
    const pairs = new Set(), second = randomBlock(numbers), counted = randomBlock(numbers);
    const wanted = plus(mix(plus(state, wordsOf(counted))), wordsOf(second));      // before the second mix
    for (let i = 0; pairs.size < CHOICES; i++) {
        counted[i % 12] = letters[numbers.next().value % letters.length];
        const after = mix(plus(state, wordsOf(counted)));
        const need = wanted.map((word, k) => (word - after[k]) | 0);
        if (!need.every(readable)) continue;
        const block = Buffer.alloc(12);
        need.forEach((word, k) => block.writeInt32LE(word, k * 4));
        pairs.add(Buffer.concat([counted, block]).toString('latin1'));
    }
    return { pairs: [...pairs], after: mix(wanted) };
}

export function jenkins() {
    const numbers = xorshift(2463534242);
    let names = [''], state = START;
    for (let place = 0; place < PLACES; place++) {
        const { pairs, after } = pairsAt(state, numbers);
        names = names.flatMap((name) => pairs.map((pair) => name + pair));
        state = after;
    }
    return names;
}

export function times33() {
    let names = [''];
    for (let i = 0; i < 14; i++) names = names.flatMap((name) => [`${name}Ez`, `${name}FY`]);
    return names;
}

export function randomNames(count, length) {
    const numbers = xorshift(88675123);
    return Array.from({ length: count }, () => String.fromCharCode(...Array.from({ length }, () => letters[numbers.next().value % letters.length])));
}

// mangle.mjs — bytes that were sensible, changed by chance; the same for the same seed.
//
//   const chance = new Chance(seed);
//   mangled(chance, bytes, others)     // one to four changes: flipped bits, cuts, repeats, words that matter, a piece of another case
//   inPieces(chance, bytes)            // the same bytes in one to six pieces

const WORDS = ['\r\n', '\n', '\r', '\r\n\r\n', '\0', ' ', '\t', ':', ',', '%', '%00', '"', '\\', '{', '[', '0', '-1', '18446744073709551616',
    'chunked', '\xff', '\x81\xfe', '\x88\x80', 'Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n', 'Host: other\r\n', 'HTTP/1.0',
    'Connection: close\r\n', 'Expect: 100-continue\r\n', 'Upgrade: websocket\r\n', '0\r\n\r\n'].map((word) => Buffer.from(word, 'latin1'));
const LONGEST = 256 * 1024;

const insert = (bytes, at, piece) => Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
const slice = (chance, bytes) => { const at = chance.below(bytes.length + 1); return bytes.subarray(at, at + 1 + chance.below(64)); };

const changes = [
    (chance, bytes) => { const copy = Buffer.from(bytes); if (copy.length) copy[chance.below(copy.length)] ^= 1 << chance.below(8); return copy; },
    (chance, bytes) => { const copy = Buffer.from(bytes); if (copy.length) copy[chance.below(copy.length)] = chance.below(256); return copy; },
    (chance, bytes) => {
        const at = chance.below(bytes.length + 1);
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + chance.below(16))]);
    },
    (chance, bytes) => bytes.subarray(0, chance.below(bytes.length + 1)),
    (chance, bytes) => insert(bytes, chance.below(bytes.length + 1), chance.one(WORDS)),
    (chance, bytes) => {
        const piece = slice(chance, bytes), at = chance.below(bytes.length + 1);
        return insert(bytes, at, Buffer.concat(Array(1 + chance.below(40)).fill(piece)));
    },
    (chance, bytes, others) => insert(bytes, chance.below(bytes.length + 1), slice(chance, chance.one(others))),
    (chance, bytes, others) => Buffer.concat([bytes, chance.one(others)]),
];

export function mangled(chance, bytes, others) {
    for (let n = 1 + chance.below(4); n > 0; n--) bytes = chance.one(changes)(chance, bytes, others);
    return bytes.subarray(0, LONGEST);
}

export function inPieces(chance, bytes) {
    const cuts = Array.from({ length: chance.below(6) }, () => chance.below(bytes.length + 1)).sort((a, b) => a - b);
    return [...cuts, bytes.length].map((end, i) => bytes.subarray(i ? cuts[i - 1] : 0, end)).filter((piece) => piece.length);
}

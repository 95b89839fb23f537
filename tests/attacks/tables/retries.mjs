// tables/retries.mjs — headers that make a publish safe to retry, as they should not be: [what it is, header lines, status and code]. PROTOCOL.md §8.
// One character of a line is one byte; E.N stands for the newest position of the channel, which has one message.
const key = (value) => [`Idempotency-Key:${value}`];
const at = (value) => [`If-Position:${value}`];
const BAD_KEY = '400 bad_idempotency_key', BAD_POSITION = '400 bad_position', CHANGED = '412 position_changed', FINE = '201 ';

export const headers = [
    // ---- keys
    ['an empty key', key(''), BAD_KEY],
    ['white space alone', key('   \t '), BAD_KEY],
    ['one byte', key(' k'), FINE],
    ['255 bytes', key(` ${'k'.repeat(255)}`), FINE],
    ['256 bytes', key(` ${'k'.repeat(256)}`), BAD_KEY],
    ['8,000 bytes', key(` ${'k'.repeat(8000)}`), BAD_KEY],
    ['blanks inside', key(' a b'), FINE],
    ['a tab inside', key(' a\tb'), BAD_KEY],
    ['a byte above ASCII', key(' caf\xe9'), BAD_KEY],
    ['UTF-8', key(' \xc3\xa9'), BAD_KEY],
    ['a control byte', key(' a\x01b'), /^400 /],
    ['DEL', key(' a\x7fb'), /^400 /],
    ['NUL', key(' a\x00b'), /^400 /],
    ['quotes, as of draft-ietf-httpapi-idempotency-key', key(' "8e03978e-40d5"'), FINE],
    ['the header twice, the same', [...key(' k1'), ...key(' k1')], BAD_KEY],
    ['the header twice, another', [...key(' k1'), ...key(' k2')], BAD_KEY],
    ['the header twice, one empty', [...key(' k1'), ...key('')], BAD_KEY],
    ['a list of two', key(' k1, k2'), FINE],
    ['in other letters', ['IDEMPOTENCY-key: k3'], FINE],
    ['a line that goes on (RFC 9112 §5.2)', ['Idempotency-Key: a\r\n b'], /^400 /],
    // ---- conditions
    ['an empty condition', at(''), BAD_POSITION],
    ['NONE', at(' NONE'), BAD_POSITION],
    ['null', at(' null'), BAD_POSITION],
    ['a star, as If-Match has', at(' *'), BAD_POSITION],
    ['in quotes, as an ETag is', at(' "E.N"'), BAD_POSITION],
    ['a number', at(' 1'), BAD_POSITION],
    ['no number', at(' E.'), BAD_POSITION],
    ['no epoch', at(' .1'), BAD_POSITION],
    ['a negative number', at(' E.-1'), BAD_POSITION],
    ['zero', at(' E.0'), /^4(00 bad_position|12 position_changed)$/],
    ['more than 64 bits', at(' E.18446744073709551617'), BAD_POSITION],
    ['a letter behind', at(' E.Nx'), BAD_POSITION],
    ['8,000 bytes', at(` E.${'1'.repeat(8000)}`), BAD_POSITION],
    ['a byte above ASCII', at(' E.\xb9'), BAD_POSITION],
    ['the header twice, the same', [...at(' E.N'), ...at(' E.N')], BAD_POSITION],
    ['the header twice, none and one', [...at(' none'), ...at(' E.N')], BAD_POSITION],
    ['a list of two', at(' E.N, none'), BAD_POSITION],
    ['none, though there is one', at(' none'), CHANGED],
    ['from the future', at(' E.9999999999'), CHANGED],
    ['of another epoch', at(' zzzzzzzz.1'), CHANGED],
    ['white space around it', at('  E.N  '), FINE],
    // ---- both
    ['a good key and a bad condition', [...key(' k4'), ...at(' nonsense')], BAD_POSITION],
    ['a bad key and a good condition', [...key(' \xff'), ...at(' E.N')], BAD_KEY],
    ['a good key and a condition that does not hold', [...key(' k5'), ...at(' none')], CHANGED],
    ['the same key again: nothing was published with it', [...key(' k5'), ...at(' E.N')], FINE],
    ['the same key for another condition', [...key(' k5'), ...at(' none')], '422 idempotency_mismatch'],
];

// ?exclude= of a publish: [what it is, value (one character a byte), status and code]
export const exclusions = [
    ['nobody of this name', 'nobody', FINE],
    ['64 bytes', 'x'.repeat(64), FINE],
    ['65 bytes', 'x'.repeat(65), '400 bad_client'],
    ['1,000 bytes', 'x'.repeat(1000), '400 bad_client'],
    ['empty: nobody is excluded', '', FINE],
    ['a star', '*', '400 bad_client'],
    ['a blank', 'a b', '400 bad_client'],
    ['NUL', '\0', '400 bad_client'],
    ['a byte that is no UTF-8', '\xff', '400 bad_client'],
    ['two, parted by a comma', 'a,b', '400 bad_client'],
];

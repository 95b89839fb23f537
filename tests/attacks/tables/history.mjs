// tables/history.mjs — what ends messages before their time, as it should not be. One character of a value is one byte; E.N stands for the newest
// position of a channel that has two messages. PROTOCOL.md §8, Publish and DELETE …/messages.
const BAD = '400 bad_field', NO_POSITION = '400 bad_position', PUBLISHED = '201 ', PURGED = '200 ';

// ?ttl= of a publish: [what it is, value, status and code]
export const ttls = [
    ['empty', '', PUBLISHED],
    ['zero', '0', BAD],
    ['zero of a unit', '0ms', BAD],
    ['a negative one', '-5s', BAD],
    ['a plus', '+5s', BAD],
    ['a fraction', '0.5s', BAD],
    ['an exponent', '1e3', BAD],
    ['blanks around it', ' 5s ', BAD],
    ['a blank inside', '5 s', BAD],
    ['a unit that is none', '5x', BAD],
    ['a unit alone', 's', BAD],
    ['words', 'forever', BAD],
    ['two', '1m30s', BAD],
    ['NUL behind it', '5s\x00', BAD],
    ['digits of another script', '\xd9\xa5s', BAD],
    ['30 digits', `${'9'.repeat(30)}s`, BAD],
    ['8,000 digits', '9'.repeat(8000), BAD],
    ['the most milliseconds that 64 bits have', '9223372036854775807ms', PUBLISHED],
    ['one more', '9223372036854775808ms', BAD],
    ['days that are too many milliseconds', '9223372036854775807d', BAD],
    ['a hundred years', '36500d', PUBLISHED],
    ['one millisecond', '1ms', PUBLISHED],
];

// The query of a DELETE: [what it is, query, status and code]. What is refused removes nothing.
export const purges = [
    ['before nothing', '?before=', NO_POSITION],
    ['before, without a value', '?before', NO_POSITION],
    ['all', '?before=all', NO_POSITION],
    ['a count', '?before=-1', NO_POSITION],
    ['a duration', '?before=10m', NO_POSITION],
    ['a moment', '?before=2026-11-21T10:08:00Z', NO_POSITION],
    ['a number', '?before=2', NO_POSITION],
    ['no number', '?before=E.', NO_POSITION],
    ['zero', '?before=E.0', NO_POSITION],
    ['more than 64 bits', '?before=E.18446744073709551617', NO_POSITION],
    ['the most that 64 bits have', '?before=E.18446744073709551615', NO_POSITION],
    ['from the future', '?before=E.999999999', NO_POSITION],
    ['of another epoch', '?before=zzzzzzzz.1', NO_POSITION],
    ['a letter behind', '?before=E.Nx', NO_POSITION],
    ['a broken escape', '?before=%zz', NO_POSITION],
    ['NUL', '?before=E.N%00', NO_POSITION],
    ['8,000 bytes', `?before=E.${'1'.repeat(8000)}`, NO_POSITION],
    ['twice: the first counts', '?before=nonsense&before=E.N', NO_POSITION],
    ['the first message of all', '?before=E.1', PURGED],
];

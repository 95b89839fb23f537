// tables/batches.mjs — bodies of POST /v1/messages. One line a case: [what it is, body, expected], in two tables by Content-Type.
//
// documents   application/json          expected: CODE of the problem, or the results of a 200 or 207
// streams     application/x-ndjson      expected: the results; the last line counts them
// results     one word each, in order: ok, a code, or N* of one of these (`1000*ok`); indexes are checked by themselves, and that what is
//             not ok was not published. An object beside them are further header lines.
// Source      PROTOCOL.md §8 ("Many messages").
import { SMUGGLED } from '../lib/watch.mjs';

const latin1 = (text) => Buffer.from(text, 'latin1');
const many = (n, one) => Array.from({ length: n }, (_, i) => one(i));
const array = (...items) => `[${items.join(',')}]`;
const lines = (...items) => items.map((item) => `${item}\n`).join('');
const deep = (n, open = '[', close = ']', inner = '') => open.repeat(n) + inner + close.repeat(n);
const GOOD = '{"channel":"t","data":1}';
const long = (n) => `{"channel":"t","data":"${'x'.repeat(n)}"}`;
const item = (members) => `{"channel":"t","data":1,${members}}`;
const OTHER = `POST /v1/channels/${SMUGGLED}/messages HTTP/1.1\r\nHost: attack\r\nContent-Length: 1\r\n\r\nx`;

// [members beside channel and data, what comes of it]
const members = [
    // ---- twice, and names that are nearly ours
    ['"channel":"t2"', 'ok'], ['"channel":"no channel"', 'bad_channel'], ['"data":2,"data":3', 'ok'], ['"channel":null', 'no_channel'],
    ['"\\u0063hannel":"t2"', 'ok'], ['"Channel":"no channel"', 'ok'], ['"":"x","__proto__":{"channel":"x"},"constructor":1', 'ok'],
    ['"idempotency_key":"twice","idempotency_key":7', 'bad_field'], ['"if_position":"any","if_position":null', 'ok'],
    [many(30, (i) => `"m${i}":${i}`).join(), 'ok'], [many(31, (i) => `"m${i}":${i}`).join(), 'bad_request'],
    // ---- whom it is not for
    ['"exclude":"nobody-has-this-id"', 'ok'], ['"exclude":""', 'bad_client'], ['"exclude":"*"', 'bad_client'], ['"exclude":"a b"', 'bad_client'], ['"exclude":["a"]', 'bad_field'],
    [`"exclude":"${'x'.repeat(64)}"`, 'ok'], [`"exclude":"${'x'.repeat(65)}"`, 'bad_client'], [`"exclude":"${'x'.repeat(60000)}"`, 'bad_client'], ['"exclude":"\\u0000"', 'bad_client'],
    // ---- positions
    ...['', 'None', '*', '0', '.', '1.', '.1', '1.0', '-1.1', '1.1.1', '1.99999999999999999999', 'zzzzzzzzzzzzzzzzzzzz.1', '1.1\\u0000', ' 1.1', '"none"'.replaceAll('"', '\\"')]
        .map((text) => [`"if_position":"${text}"`, 'bad_position']),
    ['"if_position":1.1', 'bad_field'], ['"if_position":{}', 'bad_field'], ['"if_position":"k3q7x2ab.1842"', 'position_changed'], [`"if_position":"${'1'.repeat(60000)}.1"`, 'bad_position'],
    // ---- keys
    ['"idempotency_key":""', 'bad_idempotency_key'], ['"idempotency_key":" k"', 'bad_idempotency_key'], ['"idempotency_key":"a\\nb"', 'bad_idempotency_key'],
    ['"idempotency_key":"\\u0000"', 'bad_idempotency_key'], [`"idempotency_key":"${'k'.repeat(256)}"`, 'bad_idempotency_key'], ['"idempotency_key":1', 'bad_field'],
    // ---- the rest
    ['"event":"hub.ready"', 'bad_event'], ['"event":"a\\r\\nid: 1"', 'bad_event'], ['"event":""', 'bad_event'], [`"event":"${'e'.repeat(65)}"`, 'bad_event'],
    ['"ttl":-1', 'bad_field'], ['"ttl":0', 'bad_field'], ['"ttl":1e3', 'bad_field'], ['"ttl":99999999999999999999', 'bad_field'], ['"ttl":"5 minutes"', 'bad_field'], ['"ttl":true', 'bad_field'],
    ['"user":"u"', 'bad_field'], ['"pattern":"t"', 'bad_field'], ['"channels":["t"]', 'bad_field'], ['"channels":7', 'bad_field'],
];

// [the whole item, what comes of it]
const items = [
    [`{"channels":[${many(1000, (i) => `"c${i}"`)}],"data":1}`, '1000*ok'],
    ['{"channels":["t",null,7,"",["t"],{"a":1},"a b","\\u0074"],"data":1}', 'ok 6*bad_channel ok'],
    [`{"channels":["t","${'x'.repeat(201)}","${'x'.repeat(254)}","${'x'.repeat(255)}","${'x'.repeat(60000)}","t"],"data":1}`, 'ok 4*bad_channel ok'],
    ['{"channels":[],"data":1}', 'no_channel'], ['{"channels":{},"data":1}', 'bad_field'], ['{"user":"","data":1}', 'bad_channel'], ['{"user":"a b","data":1}', 'bad_channel'],
    [`{"user":"${'u'.repeat(196)}","data":1}`, 'bad_channel'], ['{"user":7,"data":1}', 'bad_field'],
    ...['', 'a b.*', '\\u0000'].map((pattern) => [`{"pattern":"${pattern}","data":1}`, 'bad_channel']),
    ...['a.**.b', '***', 'a*', '**.a'].map((pattern) => [`{"pattern":"${pattern}","data":1}`, 'bad_pattern']),
    ['{"pattern":"nothing.is.*.here.**","data":1}', 'ok'], [`{"pattern":"${deep(99, '*.', '')}*","data":1}`, 'ok'],
    [`{"channel":"t","data":${deep(60)}}`, 'ok'], ['{}', 'no_channel'], ['{"channel":"t"}', 'bad_field'], ['[]', 'bad_request'], ['7', 'bad_request'], ['"t"', 'bad_request'], ['null', 'bad_request'],
    [long(65534), 'ok'], [long(65535), 'message_too_large'],
];

export const documents = [
    ['nothing', '', 'bad_json'], ['white space', ' \r\n\t', 'bad_json'], ['an empty array', '[]', ''], ['an array of arrays', '[[]]', 'bad_request'], ['a number', '7', 'bad_request'],
    ['a comma too many', `[${GOOD},]`, 'bad_json'], ['an end too many', `[${GOOD}]]`, 'bad_json'], ['no end', `[${GOOD}`, 'bad_json'], ['two documents', `[${GOOD}][${GOOD}]`, 'bad_json'],
    ['lines', lines(GOOD, GOOD), 'bad_json'], ['a byte order mark', latin1(`\xef\xbb\xbf[${GOOD}]`), 'bad_json'], ['UTF-16', Buffer.from(`[${GOOD}]`, 'utf16le'), 'bad_json'],
    ['bad UTF-8 in the last item', latin1(`[${GOOD},{"channel":"t","data":"\xc3\x28"}]`), 'bad_utf8'], ['bad UTF-8 in a name', latin1(`[{"chan\xffnel":"t","data":1}]`), 'bad_utf8'],
    ['arrays 10,000 deep', deep(10000), 'bad_json'], ['arrays that do not end', '['.repeat(10000), 'bad_json'], ['objects 10,000 deep', deep(10000, '{"a":', '}', '1'), 'bad_json'],
    ['data 63 deep in an item', array(`{"channel":"t","data":${deep(63)}}`), 'bad_json'],
    ['1,001 items', array(...many(1001, () => GOOD)), 'too_many_items'], ['1,001 items of which none is one', array(...many(1001, () => '7')), 'too_many_items'],
    ['1,000 items', array(...many(1000, () => GOOD)), '1000*ok'], ['1,000 items of which none is one', array(...many(1000, () => '7')), '1000*bad_request'],
    ['100,000 empty arrays', array(...many(100000, () => '[]')), 'too_many_items'],
    ['1,001 channels', array(`{"channels":[${many(1001, () => '"t"')}],"data":1}`), 'too_many_items'], ['1,000 channels and one', array(`{"channels":[${many(1000, () => '"t"')}],"data":1}`, GOOD), 'too_many_items'],
    ['1,000,000 channels', `{"channels":[${many(1000000, () => '""')}],"data":1}`, 'too_many_items'], ['over limits.batch', array(...many(900, () => long(5000))), 'body_too_large'],
    ['a request where an item belongs', OTHER, 'bad_json'], ['a condition of the whole', array(GOOD), 'bad_position', { 'If-Position': 'none' }],
    ['a key of the whole, twice', array(GOOD), 'bad_idempotency_key', { 'Idempotency-Key': ['a', 'a'] }], ['a key of the whole that is none', array(GOOD), 'bad_idempotency_key', { 'Idempotency-Key': 'k'.repeat(256) }],
    ...members.map(([text, expected]) => [`an item with ${text.slice(0, 60)}`, array(item(text), GOOD), `${expected} ok`]),
    ...items.filter(([text]) => !text.includes('"c999"')).map(([text, expected]) => [`an item ${text.slice(0, 60)}`, array(text, GOOD), `${expected} ok`]),
];

export const streams = [
    ['nothing', '', ''], ['100,000 blank lines', '\n'.repeat(100000), ''], ['white space without a line end', ' \t\r', ''], ['a line without its end', GOOD, 'ok'],
    ['CR LF', `${GOOD}\r\n${GOOD}\r\n`, 'ok ok'], ['CR alone is white space between two values', `${GOOD}\r${GOOD}\n${GOOD}`, 'bad_json ok'], ['a line end in a string', '{"channel":"t","data":"a\nb"}', 'bad_json bad_json'],
    ['an item over two lines', `{"channel":"t",\n"data":1}\n${GOOD}`, 'bad_json bad_json ok'], ['two items on a line', `${GOOD}${GOOD}\n${GOOD}`, 'bad_json ok'], ['an array', `${array(GOOD, GOOD)}\n${GOOD}`, 'bad_request ok'],
    ['NUL', latin1(`\0\n${GOOD}\0\n${GOOD}`), 'bad_json bad_json ok'], ['a byte order mark', latin1(`\xef\xbb\xbf${GOOD}\n${GOOD}`), 'bad_json ok'], ['record separators (RFC 7464)', `\x1e${GOOD}\n\x1e${GOOD}\n`, '2*bad_json'],
    ['bad UTF-8 in the middle', latin1(`${GOOD}\n{"channel":"t","data":"\xff"}\n${GOOD}`), 'ok bad_utf8 ok'], ['UTF-16', Buffer.from(lines(GOOD, GOOD), 'utf16le'), '3*bad_json'],
    ['rubbish, then good', `${lines(...many(5000, () => 'rubbish'))}${GOOD}`, '5000*bad_json ok'], ['arrays 10,000 deep', lines(deep(10000), GOOD), 'bad_json ok'], ['a request on lines', `${OTHER}\n${GOOD}`, '4*bad_json ok'],
    ['a line of 4 MB', lines(long(4e6), GOOD), 'message_too_large ok'], ['a line of 4 MB without an end', `${GOOD}\n${long(4e6)}`, 'ok message_too_large'], ['4 MB of blanks in a line', `${' '.repeat(4e6)}\n${GOOD}`, 'message_too_large ok'],
    ['lines that are a little too long, many', lines(...many(20, () => long(290000)), GOOD), '20*message_too_large ok'],
    ['1,001 channels on a line', lines(`{"channels":[${many(1001, () => '"t"')}],"data":1}`, GOOD), 'too_many_items ok'],
    ['a key of the whole that is none', GOOD, 'bad_idempotency_key', { 'Idempotency-Key': '' }], ['a condition of the whole', GOOD, 'bad_position', { 'If-Position': 'none' }],
    ...members.map(([text, expected]) => [`a line with ${text.slice(0, 60)}`, lines(item(text), GOOD), `${expected} ok`]),
    ...items.map(([text, expected]) => [`a line ${text.slice(0, 60)}`, lines(text, GOOD), `${expected} ok`]),
];

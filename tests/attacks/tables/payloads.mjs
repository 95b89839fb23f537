// tables/payloads.mjs — what publishers send as data. Two tables, one line a case.
//
// json:   [what it is, text of the JSON value, expected]    sent as `data` over the API and over WebSocket
//     kept        it is published, and history has the same bytes
//     CODE        it is refused with that code at both doors
//     {api, ws}   another at each; ws may be `close N`
// lines:  [what it is, payload, content type, event, expected]    published, and read from a bare and an enveloped SSE stream
//     delivered   one block that is this message and nothing else
//     CODE        it is refused with that code
// Sources: RFC 8259; PROTOCOL.md §1 "data", §5 "Message blocks", §6; WHATWG HTML §9.2.6.
import { hex } from '../lib/raw_ws.mjs';

const deep = (n, open = '[', close = ']', inner = '') => open.repeat(n) + inner + close.repeat(n);
const object = (members) => `{${members.join(',')}}`;
const many = (n, one) => Array.from({ length: n }, (_, i) => one(i));
const raw = (digits) => Buffer.concat([Buffer.from('"a'), hex(digits), Buffer.from('b"')]);
const NO_UTF8 = { api: 'bad_utf8', ws: 'close 1007' };

export const json = [
    // ---- depth and size
    ['arrays 10,000 deep', deep(10000), 'bad_json'],
    ['objects 10,000 deep', deep(10000, '{"a":', '}', '1'), 'bad_json'],
    ['10,000 arrays that do not end', '['.repeat(10000), 'bad_json'],
    ['10,000 objects that do not end', '{"a":'.repeat(10000), 'bad_json'],
    ['10,000 ends', ']'.repeat(10000), 'bad_json'],
    ['65 levels', deep(65), 'bad_json'],
    ['60 levels', deep(60), 'kept'],
    ['16,000 empty arrays side by side', `[${many(16000, () => '[]')}]`, 'kept'],
    ['an object of 5,000 members', object(many(5000, (i) => `"${i}":1`)), 'kept'],
    ['20,000 backslashes', `"${'\\\\'.repeat(10000)}"`, 'kept'],
    ['10,000 escapes', `"${'\\u0041'.repeat(10000)}"`, 'kept'],
    ['60 KB of white space', `[${' '.repeat(60000)}1]`, 'kept'],
    ['limits.message and one byte', `"${'x'.repeat(65535)}"`, 'message_too_large'],
    ['limits.message to the byte', `"${'x'.repeat(65534)}"`, 'kept'],

    // ---- values that readers disagree about keep their bytes
    ['duplicate keys', '{"a":1,"a":2,"\\u0061":3}', 'kept'],
    ['__proto__ and constructor', '{"__proto__":{"admin":true},"constructor":{"prototype":{}}}', 'kept'],
    ['an escaped NUL', '"a\\u0000b"', 'kept'],
    ['an escaped end of script', '"<\\/script><script>alert(1)</script>"', 'kept'],
    ['U+2028 and U+2029', '"\u2028\u2029"', 'kept'],
    ['0.1', '0.10', 'kept'],
    ['-0', '-0', 'kept'],
    ['1e999999', '1e999999', 'kept'],
    ['1e-999999', '1E-999999', 'kept'],
    ['an integer over 64 bits', '18446744073709551617', 'kept'],
    ['a number of 20,000 digits', '9'.repeat(20000), 'kept'],
    ['a fraction of 20,000 digits', `0.${'1'.repeat(20000)}e+0000000001`, 'kept'],
    ['a pair of surrogate escapes', '"\\ud83d\\ude00"', 'kept'],

    // ---- what is no JSON
    ['a lone high surrogate', '"\\ud800"', 'bad_json'],
    ['a lone low surrogate', '"\\udc00"', 'bad_json'],
    ['surrogates in the wrong order', '"\\ude00\\ud83d"', 'bad_json'],
    ['a high surrogate before something else', '"\\ud800\\u0041"', 'bad_json'],
    ['a lone surrogate in a key', '{"\\udfff":1}', 'bad_json'],
    ['a raw NUL', '"a\0b"', 'bad_json'],
    ['a NUL for white space', '[1,\0 2]', 'bad_json'],
    ['a raw line end in a string', '"a\nb"', 'bad_json'],
    ['a raw tab in a string', '"a\tb"', 'bad_json'],
    ['a byte order mark', '\ufeff1', 'bad_json'],
    ['a no-break space', '[1,\u00a02]', 'bad_json'],
    ['two values', '1 2', 'bad_json'],
    ['a value that closes the command', '1},{"x":1', 'bad_json'],
    ['a comment', '/* x */ 1', 'bad_json'],
    ['a comma too many', '[1,]', 'bad_json'],
    ['no comma', '[1 2]', 'bad_json'],
    ['NaN', 'NaN', 'bad_json'],
    ['-Infinity', '-Infinity', 'bad_json'],
    ['hexadecimal', '0x10', 'bad_json'],
    ['a zero in front', '01', 'bad_json'],
    ['a plus', '+1', 'bad_json'],
    ['a point without digits', '1.', 'bad_json'],
    ['an exponent without digits', '1e', 'bad_json'],
    ['single quotes', "'a'", 'bad_json'],
    ['\\x41', '"\\x41"', 'bad_json'],
    ['\\u with three digits', '"\\u004"', 'bad_json'],
    ['a key that is no string', '{1:2}', 'bad_json'],
    ['True', 'True', 'bad_json'],
    ['nothing', '', 'bad_json'],
    ['an overlong slash', raw('c0af'), NO_UTF8],
    ['an overlong NUL', raw('c080'), NO_UTF8],
    ['an encoded surrogate', raw('eda080'), NO_UTF8],
    ['over U+10FFFF', raw('f4908080'), NO_UTF8],
    ['a byte that begins nothing', raw('ff'), NO_UTF8],
    ['a character that is cut by the quote', raw('e282'), NO_UTF8],
];

const FORGED = 'id: 9\nevent: hub.bye\ndata: forged';
const TEXT = 'text/plain', JSON_TYPE = 'application/json', BINARY = 'application/octet-stream';
const sse = (breaks) => `x${breaks}${FORGED.replaceAll('\n', breaks)}${breaks}${breaks}`;

export const lines = [
    ['an empty line and a block, LF', `x\n\n${FORGED}\n\n`, TEXT, null, 'delivered'],
    ['fields behind LF', sse('\n'), TEXT, null, 'delivered'],
    ['fields behind CR', sse('\r'), TEXT, null, 'delivered'],
    ['fields behind CRLF', sse('\r\n'), TEXT, null, 'delivered'],
    ['fields behind LF CR', sse('\n\r'), TEXT, null, 'delivered'],
    ['fields behind U+2028 and U+0085, which are no line ends', sse('\u2028\u0085'), TEXT, null, 'delivered'],
    ['fields behind vertical tab and form feed', sse('\v\f'), TEXT, null, 'delivered'],
    ['an id with NUL', 'x\nid: a\0b', TEXT, null, 'delivered'],
    ['retry', 'x\nretry: 0', TEXT, null, 'delivered'],
    ['a comment', ':\n:x', TEXT, null, 'delivered'],
    ['spaces at the front of lines', ' x\n  y', TEXT, null, 'delivered'],
    ['a byte order mark at the front', '\ufeffx', TEXT, null, 'delivered'],
    ['nothing but line ends', '\n\r\n\r\n\n', TEXT, null, 'delivered'],
    ['nothing', '', TEXT, null, 'delivered'],
    ['20,000 line ends', '\n'.repeat(20000), TEXT, null, 'delivered'],
    ['line ends between the tokens of JSON', `{"data":[1,\n\r\n\r2]}`, JSON_TYPE, null, 'delivered'],
    ['line ends escaped in JSON', `{"data":"x\\n\\nid: 9\\ndata: y"}`, JSON_TYPE, null, 'delivered'],
    ['all bytes', Buffer.from(Array.from({ length: 256 }, (_, i) => i)), BINARY, null, 'delivered'],
    ['text that is not UTF-8', hex('78ff0a'), TEXT, null, 'bad_utf8'],
    ['an event with LF', 'x', TEXT, `a\n${FORGED}`, 'bad_event'],
    ['an event with CR', 'x', TEXT, 'a\rid: 9', 'bad_event'],
    ['an event with NUL', 'x', TEXT, 'a\0', 'bad_event'],
    ['an event with a colon and a space', 'x', TEXT, 'a: b', 'bad_event'],
    ['an event of the hub', 'x', TEXT, 'hub.ready', 'bad_event'],
    ['an event of 65 bytes', 'x', TEXT, 'e'.repeat(65), 'bad_event'],
    ['an event with a line end in JSON', '{"data":1,"event":"a\\nid: 9"}', JSON_TYPE, null, 'bad_event'],
    ['an event with a colon, which is allowed', 'x', TEXT, 'a:b', 'delivered'],
];

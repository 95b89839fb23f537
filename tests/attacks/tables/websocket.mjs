// tables/websocket.mjs — RFC 6455 section by section. Two tables, one line a case.
//
// handshakes: [section, what it is, bytes, expected]   expected: 101 (and welcome), or STATUS:code; a list: any of these
// frames:     [section, what it is, frames, expected]  sent after welcome; expected:
//     close N        a close frame with code N comes (N|M: either), and the connection ends
//     error CODE     an error frame with that code
//     TYPE           a frame of that type (pong: the answer to {"type":"ping"})
//     echo TEXT      a pong of the protocol with that payload
//     alive          nothing in particular
//   all but the first: the connection lives and answers a ping. `now, close N`: what was sent before is answered before the close.
// Codes are those of PROTOCOL.md §7; what libwebsockets cannot be cured of (transports/line/README.md) is marked [lws].
import { SMUGGLED } from '../lib/watch.mjs';
import { OP, frame, text, begin, more, finish, ping, pong, close, hex, handshake } from '../lib/raw_ws.mjs';

const PING = '{"type":"ping"}', BAD = '400:bad_request';
const steal = text(`{"type":"publish","channel":"${SMUGGLED}","data":1}`);
const each = (list, row) => list.map(row);

export const handshakes = [
    ['§1.3', 'the sample of the RFC', handshake(), 101],
    ['§4.2.1', 'Upgrade in other letters, Connection a list', handshake({ Upgrade: 'WebSocket', Connection: 'keep-alive, upgrade' }), 101],
    ['§4.2.1', 'the absolute form', handshake({}, 'GET ws://attack/ws HTTP/1.1'), [101, BAD]],
    ['§4.2.1', 'POST', handshake({}, 'POST /ws HTTP/1.1'), ['405:method_not_allowed', BAD]],
    ['§4.2.1', 'HTTP/1.0', handshake({}, 'GET /ws HTTP/1.0'), BAD],
    ['§4.2.1', 'no Host', handshake({ Host: null }), BAD],
    ['§4.2.1', 'no Upgrade', handshake({ Upgrade: null }), BAD],
    ['§4.2.1', 'Upgrade to something else', handshake({ Upgrade: 'h2c' }), BAD],
    ['§4.2.1', 'Upgrade that only begins so', handshake({ Upgrade: 'websocket2' }), BAD],
    ['§4.2.1', 'no Connection', handshake({ Connection: null }), BAD],
    ['§4.2.1', 'Connection without Upgrade', handshake({ Connection: 'keep-alive' }), BAD],
    ['§4.2.1', 'no key', handshake({ 'Sec-WebSocket-Key': null }), BAD],
    ['§4.2.1', 'an empty key', handshake({ 'Sec-WebSocket-Key': '' }), BAD],
    ['§4.2.1', 'a key of 15 bytes', handshake({ 'Sec-WebSocket-Key': 'MTIzNDU2Nzg5MDEyMzQ1' }), BAD],
    ['§4.2.1', 'a key that is no base64', handshake({ 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' }), BAD],
    ['§4.2.1', 'a key of 20 KB', handshake({ 'Sec-WebSocket-Key': 'A'.repeat(20000) }), BAD],
    ['§11.3.1', 'two keys', handshake({ 'Sec-WebSocket-Key': ['dGhlIHNhbXBsZSBub25jZQ==', 'AAAAAAAAAAAAAAAAAAAAAA=='] }), BAD],
    ['§4.4', 'no version (400, and not 426: PROTOCOL.md §6)', handshake({ 'Sec-WebSocket-Version': null }), BAD],
    ['§4.4', 'version 8', handshake({ 'Sec-WebSocket-Version': '8' }), BAD],
    ['§4.4', 'version 130', handshake({ 'Sec-WebSocket-Version': '130' }), BAD],
    ['§11.3.5', 'two versions', handshake({ 'Sec-WebSocket-Version': ['8', '13'] }), BAD],
    ['§1.9', 'a subprotocol nobody knows', handshake({ 'Sec-WebSocket-Protocol': 'chat, superchat' }), BAD],
    ['§1.9', 'ours among 500 others', handshake({ 'Sec-WebSocket-Protocol': `${'x, '.repeat(500)}carillon.v1` }), 101],
    ['§9.1', 'extensions are not taken up', handshake({ 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits, x-webkit-deflate-frame' }), 101],
    ['§10.2', 'a page of elsewhere', handshake({ Origin: 'https://evil.example' }), '403:bad_origin'],
    ['§10.2', 'an Origin of null', handshake({ Origin: 'null' }), '403:bad_origin'],
    ['RFC 9112 §6', 'a body', `${handshake({ 'Content-Length': 5 })}hello`, '413:no_body_here'],
    ['RFC 9112 §6', 'a chunked body', `${handshake({ 'Transfer-Encoding': 'chunked' })}0\r\n\r\n`, '413:no_body_here'],
    ['RFC 9112 §5', 'obs-fold in the key', handshake({ 'Sec-WebSocket-Key': 'dGhlIHNhbXBs\r\n ZSBub25jZQ==' }), BAD],
    ['PROTOCOL §6', 'sse is no WebSocket', handshake({}, 'GET /sse?channel=a HTTP/1.1'), 200],
    ['PROTOCOL §6', 'a handshake somewhere else', handshake({}, 'GET /nothing HTTP/1.1'), '404:not_found'],
];

const TEN_MB = 10 * 1024 * 1024;
const utf8 = (digits) => Buffer.concat([Buffer.from('{"x":"'), hex(digits), Buffer.from('"}')]);

export const frames = [
    // ---- §5.1, §5.2: the frame
    ['§5.1', 'an unmasked frame [lws: accepted]', [text(PING, { masked: false })], 'pong'],
    ...each([4, 2, 1, 7], (rsv) => ['§5.2', `reserved bits ${rsv.toString(2).padStart(3, '0')}`, [text(PING, { rsv })], 'close 1002']),
    ...each([3, 4, 5, 6, 7, 11, 12, 13, 14, 15], (op) => ['§5.2', `opcode ${op}`, [frame(op, 'x')], 'close 1002']),
    ['§5.2', 'a length that is not the shortest, 16 bits', [text(PING, { width: 16 })], ['pong', 'close 1002']],
    ['§5.2', 'a length that is not the shortest, 64 bits', [text(PING, { width: 64 })], ['pong', 'close 1002']],
    ['§5.2', 'a length of 2^63', [text('', { length: 2n ** 63n, width: 64 })], 'close 1002|1009'],
    ['§5.2', 'a length of 2^64 - 1', [text('', { length: 2n ** 64n - 1n, width: 64 })], 'close 1002|1009'],
    ['§5.2', 'a length of 2^63 - 1', [text('x', { length: 2n ** 63n - 1n })], 'close 1009'],
    ['§5.2', '2^32 bytes announced: a length cut to 32 bits would be 0', [text('x', { length: 2n ** 32n })], 'close 1009'],
    ['§10.4', '10 MB announced and never sent', [text('x', { length: TEN_MB })], 'close 1009'],
    ['§10.4', '10 MB sent', [text('x'.repeat(TEN_MB))], 'close 1009'],
    ['§10.4', 'fragments that are 2 MB together', [begin('x'.repeat(65536)), ...Array(31).fill(more('x'.repeat(65536)))], 'close 1009'],
    ['§5.2', 'a zero-length text', [text('')], 'error bad_json'],
    ['§5.2', 'a frame byte by byte', [...text(PING)].map((byte) => Buffer.from([byte])), 'pong'],
    ['§5.2', 'an HTTP request instead of a frame', [Buffer.from('GET /ws HTTP/1.1\r\nHost: attack\r\n\r\n')], 'close 1002'],
    ['§5.2', 'a second handshake', [Buffer.from(handshake())], 'close 1002'],

    // ---- §5.4: fragments
    ['§5.4', 'a continuation without a start', [finish(PING)], 'close 1002'],
    ['§5.4', 'a continuation without a start that is not the last', [more(PING)], 'close 1002'],
    ['§5.4', 'a continuation behind a whole message', [text(PING), finish(PING)], 'now, close 1002'],
    ['§5.4', 'a text inside a fragmented text', [begin('{"type":'), text(PING)], 'close 1002'],
    ['§5.4', 'a binary inside a fragmented text', [begin('{"type":'), frame(OP.BINARY, 'x')], 'close 1002|1003'],
    ['§5.4', 'a fragmented text, a ping in the middle', [begin('{"type":'), ping('middle'), finish('"ping"}')], ['echo middle']],
    ['§5.4', '1,000 empty fragments', [begin('{"type":'), ...Array(1000).fill(more('')), finish('"ping"}')], 'pong'],
    ['§5.4', 'empty first and last fragments', [begin(''), more(PING), finish('')], 'pong'],
    ['§5.4', 'nothing but empty fragments', [begin(''), more(''), finish('')], 'error bad_json'],
    ['§5.4', 'fragments of one byte, in one go', [begin('{'), ...[...PING.slice(1, -1)].map((c) => more(c)), finish('}')], 'pong'],
    ['§5.4', 'a close in the middle of a message: the message is not done', [begin(steal.subarray(6)), close(1000), finish('')], 'close 1000'],

    // ---- §5.5: control frames
    ['§5.5', 'a ping of 126 bytes', [ping('x'.repeat(126))], 'close 1002'],
    ['§5.5', 'a ping that announces 64 bits', [ping('', { length: 2n ** 40n })], 'close 1002'],
    ['§5.5', 'a pong of 200 bytes', [pong('x'.repeat(200))], 'close 1002'],
    ['§5.5', 'a close of 126 bytes', [close(1000, 'x'.repeat(124))], 'close 1002'],
    ['§5.5', 'a fragmented ping', [ping('x', { fin: false })], 'close 1002'],
    ['§5.5', 'a fragmented pong', [pong('x', { fin: false })], 'close 1002'],
    ['§5.5', 'a fragmented close', [frame(OP.CLOSE, '', { fin: false })], 'close 1002'],
    ['§5.5.2', 'a ping is answered with the same bytes', [ping('x'.repeat(125))], `echo ${'x'.repeat(125)}`],
    ['§5.5.2', 'an empty ping', [ping('')], 'echo '],
    ['§5.5.2', '1,000 pings in one go [lws: only the first is sure of an answer]', [ping('first'), ...Array(999).fill(ping('more'))], 'echo first'],
    ['§5.5.3', '1,000 pongs nobody asked for', Array(1000).fill(pong('x')), 'alive'],

    // ---- §5.5.1, §7.4: closing
    ['§5.5.1', 'a close without a code', [close()], 'close 1000|1005'],
    ['§5.5.1', 'a close of one byte', [frame(OP.CLOSE, 'x')], 'close 1002'],
    ['§5.5.1', 'what follows a close is not read', [close(1000), steal], 'close 1000'],
    ['§5.5.1', 'what came before a close is answered before it', [text(PING), close(1000)], 'now, close 1000'],
    ['§5.5.1', 'a reason of 123 bytes', [close(1000, 'x'.repeat(123))], 'close 1000'],
    ['§5.5.1', 'a reason that is not UTF-8', [close(1000, hex('fffe'))], 'close 1007|1002'],
    ...each([1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999], (code) => ['§7.4.1', `code ${code} comes back`, [close(code)], `close ${code}`]),
    ...each([1012, 1013, 1014], (code) => ['§7.4.1', `code ${code} [lws: 1002]`, [close(code)], `close ${code}|1002`]),
    ...each([0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535], (code) => ['§7.4', `code ${code} is none a client may send`, [close(code)], 'close 1002']),

    // ---- §5.6, §8.1: data
    ['§5.6', 'a binary frame', [frame(OP.BINARY, PING)], 'close 1003'],
    ['§5.6', 'a fragmented binary message', [begin('{', OP.BINARY), finish('}')], 'close 1003'],
    ['§8.1', 'a character split over two fragments', [begin(Buffer.concat([Buffer.from('{"type":"ping","x":"'), hex('f09f')])), finish(Buffer.concat([hex('9880'), Buffer.from('"}')]))], 'pong'],
    ['§8.1', 'a character with a ping of the protocol in it', [begin(Buffer.concat([Buffer.from('{"type":"ping","x":"'), hex('e2')])), ping('in'), finish(Buffer.concat([hex('82ac'), Buffer.from('"}')]))], 'pong'],
    ['§8.1', 'a text that ends inside a character', [text(hex('7be282'))], 'close 1007'],
    ['§8.1', 'a wrong byte in the second fragment', [begin('{"x":"'), finish(utf8('ff'))], 'close 1007'],
    ...each(['80', 'c0af', 'e08080', 'c328', 'eda080', 'edbfbf', 'f4908080', 'f8888080 80', 'fe', 'ff'], (digits) => ['§8.1', `bytes that are no UTF-8: ${digits}`, [text(utf8(digits))], 'close 1007']),

    // ---- PROTOCOL §6: commands
    ['PROTOCOL §6', 'a hub frame sent by a client', [text('{"type":"message","channel":"a","id":"x.1","data":1}')], 'error unknown_type'],
    ['PROTOCOL §6', 'a ref of 257 bytes', [text(`{"type":"ping","ref":"${'r'.repeat(255)}"}`)], 'error bad_field'],
    ['PROTOCOL §6', '33 members', [text(`{"type":"ping"${Array.from({ length: 32 }, (_, i) => `,"m${i}":1`).join('')}}`)], 'error bad_request'],
    ['PROTOCOL §6', 'of two types the last counts', [text('{"type":"nonsense","type":"ping"}')], 'pong'],
    ['PROTOCOL §6', 'two commands in one frame', [text(PING + PING)], 'error bad_json'],
    ['PROTOCOL §6', 'NUL behind a command', [text(`${PING}\0`)], 'error bad_json'],
    ['PROTOCOL §6', 'a byte order mark', [text(`\ufeff${PING}`)], 'error bad_json'],
    ['PROTOCOL §6', 'brackets 10,000 deep', [text(`{"type":"ping","x":${'['.repeat(10000)}${']'.repeat(10000)}}`)], 'error bad_json'],
    ['PROTOCOL §6', 'a name of 1 MB', [text(`{"type":"${'x'.repeat(1024 * 1024)}"}`)], 'error unknown_type'],
    ['PROTOCOL §6', 'the same channel 1,000 times in a subscribe', [text(`{"type":"subscribe","channels":[${Array(1000).fill('"same"')}]}`)], ['subscribed', 'error already_subscribed', 'error bad_field']],
    ['PROTOCOL §6', '1,001 channels in a subscribe', [text(`{"type":"subscribe","channels":[${Array.from({ length: 1001 }, (_, i) => `"c${i}"`)}]}`)], 'error too_many_channels'],
    ['PROTOCOL §6', '101 patterns in a subscribe', [text(`{"type":"subscribe","channels":[${Array.from({ length: 101 }, (_, i) => `"p${i}.*"`)}]}`)], 'error too_many_patterns'],
    ['PROTOCOL §6', '10,000 patterns in a subscribe', [text(`{"type":"subscribe","channels":[${Array.from({ length: 10000 }, (_, i) => `"p${i}.**"`)}]}`)], ['error too_many_patterns', 'error too_many_channels']],
    ['PROTOCOL §6', '100 patterns that all begin as a name does, and the name', [text(`{"type":"subscribe","channels":[${Array.from({ length: 100 }, (_, i) => `"${Array.from({ length: 9 }, (__, j) => (i >> j & 1 ? '*' : 'a')).join('.')}.z"`)}]}`),
        text(`{"type":"publish","channel":"${'a.'.repeat(99)}a","data":1}`)], ['subscribed', 'ok']],
    ['PROTOCOL §6', 'the same pattern 1,000 times in a subscribe', [text(`{"type":"subscribe","channels":[${Array(1000).fill('"same.*"')}]}`)], 'error too_many_patterns'],
    ['PROTOCOL §6', 'history of a pattern', [text('{"type":"history","channel":"a.*"}')], 'error bad_channel'],
    ['PROTOCOL §6', 'a publish to a pattern', [text('{"type":"publish","channel":"a.*","data":1}')], 'error bad_channel'],
    ['PROTOCOL §6', 'a publish with an event that is a line', [text('{"type":"publish","channel":"a","event":"x\\nid: 9","data":1}')], 'error bad_event'],
    ['PROTOCOL §6', 'a publish as the hub', [text('{"type":"publish","channel":"a","event":"hub.bye","data":1}')], 'error bad_event'],
    ['PROTOCOL §6', '10,000 frames of one byte', Array(10000).fill(text('x')), 'error bad_json'],
];

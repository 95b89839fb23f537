// tables/slow.mjs — slowness. One line a case: [port, what it is, what is said at once, what comes byte by byte from then on, answers].
//
// answers  the statuses that come, in order, before the hub closes: '' none, a list: any of these is right. A case that is not
//          closed fails by its deadline; one that is closed with 408 or without a word must have had its time.
// Sources  PROTOCOL.md §4 and §8 (limits.handshake_timeout, limits.request_timeout); the hub of these tests has both at SHORT_MS.
import { handshake } from '../lib/raw_ws.mjs';

const H = 'Host: attack\r\n';
const POST = `POST /v1/channels/slow/messages HTTP/1.1\r\n${H}Content-Type: text/plain\r\n`;
const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n`;
const LINES = CHUNKED.replace('text/plain', 'application/x-ndjson').replace('channels/slow/', '');
const SSE = `GET /sse?channel=slow HTTP/1.1\r\n${H}`;
const DONE = `GET /nothing HTTP/1.1\r\n${H}\r\n`, BAD = 'GET /nothing HTTP/1.1\r\n\r\n';

export const slow = [
    // ---- before a request
    ['api', 'nothing at all', '', '', ''],
    ['public', 'nothing at all', '', '', ''],
    ['api', 'empty lines for ever', '', '\r\n', ['', '408']],
    ['public', 'empty lines for ever', '', '\r\n', ['', '408']],
    ['public', 'a TLS greeting that is only begun', '\x16', '', '400'],
    ['api', 'a TLS greeting that is only begun', '\x16', '', '400'],

    // ---- heads
    ['api', 'one letter', 'G', '', '408'],
    ['public', 'one letter', 'G', '', '408'],
    ['api', 'a request line, byte by byte', '', `GET /${'x'.repeat(10000)}`, '408'],
    ['public', 'a request line, byte by byte', '', `GET /${'x'.repeat(10000)}`, '408'],
    ['api', 'a header value, byte by byte', `GET / HTTP/1.1\r\n${H}X: `, 'x', '408'],
    ['public', 'a header value, byte by byte', `${SSE}X: `, 'x', '408'],
    ['api', 'headers without an end, byte by byte (slowloris)', `GET / HTTP/1.1\r\n${H}`, 'X: y\r\n', '408'],
    ['public', 'headers without an end, byte by byte (slowloris)', SSE, 'X: y\r\n', '408'],
    ['api', 'a head without its last line', `GET / HTTP/1.1\r\n${H}`, '', '408'],
    ['public', 'a head without its last line', SSE, '', '408'],
    ['api', 'a second head behind a good request', `GET /health/live HTTP/1.1\r\n${H}\r\nGET / HT`, 'TP/1.1\r\nX: ', '200 408'],
    ['api', 'a second head, behind empty lines and a good request', `GET /health/live HTTP/1.1\r\n${H}\r\n\r\n\r\nG`, 'E', '200 408'],

    // ---- handshakes
    ['public', 'a WebSocket handshake without its last line', handshake().slice(0, -2), '', '408'],
    ['public', 'a WebSocket handshake without its last letter', handshake().slice(0, -1), '', '408'],
    ['public', 'a WebSocket handshake that goes on with headers, byte by byte', handshake().slice(0, -2), 'X: y\r\n', '408'],
    ['public', 'a key, byte by byte', handshake({ 'Sec-WebSocket-Key': null }).slice(0, -2) + 'Sec-WebSocket-Key: ', 'A', '408'],

    // ---- bodies
    ['api', 'a body that does not come', `${POST}Content-Length: 10\r\n\r\n`, '', '408'],
    ['api', 'a body whose last byte does not come', `${POST}Content-Length: 10\r\n\r\n123456789`, '', '408'],
    ['api', 'a body, byte by byte (R-U-Dead-Yet)', `${POST}Content-Length: 10000\r\n\r\n`, 'x', '408'],
    ['api', 'a chunk size that does not come', CHUNKED, '', '408'],
    ['api', 'a chunk size that does not end', CHUNKED, '0', ['408', '400']],
    ['api', 'a chunk extension, byte by byte', `${CHUNKED}1;`, 'x', ['408', '400']],
    ['api', 'a chunk, byte by byte', `${CHUNKED}1000\r\n`, 'x', '408'],
    ['api', 'chunks of one byte, slowly', CHUNKED, '1\r\nx\r\n', '408'],
    ['api', 'a chunk without its line end', `${CHUNKED}1\r\nx`, '', '408'],
    ['api', 'the last chunk without its line end', `${CHUNKED}1\r\nx\r\n0\r\n`, '', '408'],
    ['api', 'trailers, byte by byte', `${CHUNKED}1\r\nx\r\n0\r\n`, 'X: y\r\n', ['408', '400']],
    ['api', '100-continue, and then nothing', `${POST}Expect: 100-continue\r\nContent-Length: 10\r\n\r\n`, '', '100 408'],
    ['api', 'a body that is skipped, byte by byte', `POST /nothing HTTP/1.1\r\n${H}Content-Length: 10000\r\n\r\n`, 'x', '404'],
    ['public', 'a body that is not wanted, byte by byte', `POST /sse HTTP/1.1\r\n${H}Content-Length: 10000\r\n\r\n`, 'x', ['413', '405']],

    // ---- lines: the answer has begun, and says in its last line that the time is over (PROTOCOL.md §8, "Lines without end")
    ['api', 'lines that do not come', LINES, '', '200'],
    ['api', 'a line, byte by byte', LINES, '1\r\nx\r\n', '200'],
    ['api', 'a good line, and then nothing', `${LINES}1a\r\n{"channel":"slow","data":1}\n\r\n`, '', '200'],
    ['api', 'a body of lines with a length, byte by byte', `${POST.replace('text/plain', 'application/x-ndjson').replace('channels/slow/', '')}Content-Length: 10000\r\n\r\n`, 'x', '200'],
    ['api', 'an array, byte by byte', `${POST.replace('text/plain', 'application/json').replace('channels/slow/', '')}Content-Length: 10000\r\n\r\n[`, ' ', '408'],

    // ---- behind the last answer
    ['api', 'bytes for ever behind an answer that closes', BAD, 'x', '400'],
    ['public', 'bytes for ever behind an answer that closes', BAD, 'x', '400'],
    ['public', 'requests for ever behind an answer', DONE, DONE, '404'],
    ['api', 'nothing behind an answer that closes: no EOF either', BAD, '', '400'],
    ['public', 'nothing behind an answer: no EOF either', DONE, '', '404'],
];

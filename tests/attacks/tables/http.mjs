// tables/http.mjs — heads and bodies. One line a case: [port, what it is, bytes, expected].
//
// port      API, PUBLIC, or BOTH: the same bytes to each; @ in them is a path that answers 200 there.
// expected  what comes back, in order, and how it ends; a list: any of these is right. One word an answer, STATUS or STATUS:code
//           (4xx: any of them, 200*400: four hundred times), then
//             open     the connection goes on: one more request gets exactly one more answer
//             closed   the hub closes; nothing behind the last answer was taken for a request
//             stream   one SSE stream, alive, and nothing else          (public port)
//           'good' is `200 open` on the API and `stream` on the public port.
// Sources   RFC 9112 unless another is named; codes are PROTOCOL.md's (§8 "Errors", §10).
import { SMUGGLED } from '../lib/watch.mjs';

export const API = 'api', PUBLIC = 'public', BOTH = 'both';

const bytes = (latin1) => Buffer.from(latin1, 'latin1');
const H = 'Host: attack\r\n';
const get = (headers) => bytes(`GET @ HTTP/1.1\r\n${headers}\r\n`);
const line = (requestLine) => bytes(`${requestLine}\r\n${H}\r\n`);
const post = (headers, body = '', channel = 'table') => bytes(`POST /v1/channels/${channel}/messages HTTP/1.1\r\n${H}Content-Type: text/plain\r\n${headers}\r\n${body}`);
const chunked = (body) => post('Transfer-Encoding: chunked\r\n', body);
const OTHER = post('Content-Length: 1\r\n', 'x', SMUGGLED).toString('latin1');     // the request that must not be seen
const INSIDE = `${OTHER.length.toString(16)}\r\n${OTHER}\r\n0\r\n\r\n`;
// A body that one reader ends elsewhere than another: on the public port no request has one.
const lies = (headers, body = INSIDE) => bytes(`POST @ HTTP/1.1\r\n${H}Content-Type: text/plain\r\n${headers}\r\n${body}`);

const BAD = '400:bad_request closed', CONFLICT = '400:length_conflict closed', LARGE = '431:head_too_large closed', UNKNOWN = '501:not_implemented closed';

export const http = [
    // ---- where does the body end? (§6.1–6.3, §11.2)
    [BOTH, 'Content-Length and Transfer-Encoding', lies('Content-Length: 4\r\nTransfer-Encoding: chunked\r\n'), CONFLICT],
    [BOTH, 'Transfer-Encoding and Content-Length', lies('Transfer-Encoding: chunked\r\nContent-Length: 4\r\n'), CONFLICT],
    [BOTH, 'Content-Length: 0 and Transfer-Encoding', lies('Content-Length: 0\r\nTransfer-Encoding: chunked\r\n'), CONFLICT],
    [BOTH, 'two Content-Length that differ', lies('Content-Length: 0\r\nContent-Length: 5\r\n', OTHER), BAD],
    [BOTH, 'two Content-Length that are the same', lies('Content-Length: 5\r\nContent-Length: 5\r\n', OTHER), BAD],
    [BOTH, 'a list in Content-Length', lies('Content-Length: 5, 5\r\n', OTHER), BAD],
    [BOTH, 'negative Content-Length', lies('Content-Length: -1\r\n', OTHER), BAD],
    [BOTH, 'Content-Length with a plus', lies('Content-Length: +5\r\n', OTHER), BAD],
    [BOTH, 'hexadecimal Content-Length', lies('Content-Length: 0x5\r\n', OTHER), BAD],
    [BOTH, 'Content-Length with a space in it', lies('Content-Length: 1 0\r\n', OTHER), BAD],
    [BOTH, 'Content-Length with a point', lies('Content-Length: 5.0\r\n', OTHER), BAD],
    [BOTH, 'empty Content-Length', lies('Content-Length:\r\n', OTHER), BAD],
    [BOTH, 'Content-Length over 64 bits', lies('Content-Length: 18446744073709551621\r\n', OTHER), [BAD, '413 closed']],
    [API, 'Content-Length of 2^64 - 1', post('Content-Length: 18446744073709551615\r\n', OTHER), ['413:body_too_large closed', BAD]],
    [PUBLIC, 'Content-Length of 2^63', lies('Content-Length: 9223372036854775808\r\n', OTHER), ['413:no_body_here closed', BAD]],
    [BOTH, 'Transfer-Encoding: gzip, chunked (§6.1: not understood, 501 if one likes)', lies('Transfer-Encoding: gzip, chunked\r\n'), [UNKNOWN, BAD]],
    [BOTH, 'Transfer-Encoding: chunked, gzip (§6.3: chunked is not the last)', lies('Transfer-Encoding: chunked, gzip\r\n'), BAD],
    [BOTH, 'Transfer-Encoding: chunked twice (§6.1)', lies('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'), BAD],
    [BOTH, 'Transfer-Encoding: chunked and identity', lies('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n'), BAD],
    [BOTH, 'Transfer-Encoding: xchunked', lies('Transfer-Encoding: xchunked\r\n'), [BAD, UNKNOWN]],
    [BOTH, 'Transfer-Encoding with a vertical tab', lies('Transfer-Encoding: \x0bchunked\r\n'), BAD],
    [BOTH, 'Transfer-Encoding in quotes', lies('Transfer-Encoding: "chunked"\r\n'), [BAD, UNKNOWN]],
    [BOTH, 'empty Transfer-Encoding', lies('Transfer-Encoding:\r\n', OTHER), BAD],
    [BOTH, 'Transfer-Encoding in HTTP/1.0 (§6.1: faulty framing)', bytes(`POST @ HTTP/1.0\r\n${H}Transfer-Encoding: chunked\r\n\r\n${INSIDE}`), BAD],
    [API, 'Transfer-Encoding: Chunked, behind a tab', post('Transfer-Encoding:\tChunked\r\n', '1\r\nx\r\n0\r\n\r\n'), '201 open'],
    [API, 'a GET with a body: it is no request', bytes(`GET /v1/channels HTTP/1.1\r\n${H}Content-Length: ${OTHER.length}\r\n\r\n${OTHER}`), ['200 open', '4xx open', '4xx closed']],
    [PUBLIC, 'a GET with a body', bytes(`GET @ HTTP/1.1\r\n${H}Content-Length: ${OTHER.length}\r\n\r\n${OTHER}`), '413:no_body_here closed'],
    [PUBLIC, 'a chunked GET', bytes(`GET @ HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n${INSIDE}`), '413:no_body_here closed'],
    [PUBLIC, 'a POST with a body', lies(`Content-Length: ${OTHER.length}\r\n`, OTHER), ['413:no_body_here closed', '405:method_not_allowed closed']],
    [PUBLIC, 'three POSTs with bodies, pipelined', bytes(`POST / HTTP/1.1\r\n${H}Content-Length: 5\r\n\r\nhello`.repeat(3)), ['413:no_body_here closed', '405:method_not_allowed closed']],

    // ---- chunks (§7.1)
    [API, 'chunk extensions are ignored', chunked('5;a=b;c="d e"\r\nhello\r\n0;last\r\n\r\n'), '201 open'],
    [API, 'trailers are ignored, also one that lies about the length', chunked('5\r\nhello\r\n0\r\nContent-Length: 99\r\nX: y\r\n\r\n'), '201 open'],
    [API, 'a chunk extension with a bare LF', chunked(`5;a\nhello\r\n0\r\n\r\n${OTHER}`), BAD],
    [API, 'a chunk extension with a CRLF in quotes', chunked(`5;a="\r\n0\r\n\r\n${OTHER}"`), BAD],
    [API, 'a chunk extension of 10 KB', chunked(`5;${'a'.repeat(10000)}\r\nhello\r\n0\r\n\r\n`), '4xx closed'],
    [API, 'a bare LF behind the chunk size', chunked(`5\nhello\r\n0\r\n\r\n${OTHER}`), BAD],
    [API, 'a bare CR behind the chunk size', chunked(`5\rhello\r\n0\r\n\r\n${OTHER}`), BAD],
    [API, 'no CRLF behind the chunk', chunked(`5\r\nhello0\r\n\r\n${OTHER}`), BAD],
    [API, 'any two bytes for the CRLF behind the chunk', chunked(`5\r\nhelloXX0\r\n\r\n${OTHER}`), BAD],
    [API, 'a chunk that is longer than it says', chunked(`5\r\nhello!\r\n0\r\n\r\n${OTHER}`), BAD],
    [API, 'a chunk size of 0x5', chunked(`0x5\r\nhello\r\n0\r\n\r\n${OTHER}`), BAD],
    [API, 'a negative chunk size', chunked(`-5\r\nhello\r\n0\r\n\r\n${OTHER}`), BAD],
    [API, 'no chunk size', chunked(`\r\nhello\r\n0\r\n\r\n${OTHER}`), BAD],
    [API, 'a chunk size over 64 bits', chunked(`10000000000000005\r\nhello\r\n0\r\n\r\n${OTHER}`), [BAD, '413 closed']],
    [API, 'a chunk size of 2^64 - 1', chunked('ffffffffffffffff\r\nhello'), ['413:body_too_large closed', BAD]],
    [API, 'a chunk that announces 4 GB', chunked('ffffffff\r\nhello'), '413:body_too_large closed'],
    [API, 'a chunk size behind 30 zeros', chunked(`${'0'.repeat(30)}5\r\nhello\r\n0\r\n\r\n`), ['201 open', BAD]],
    [API, '65,000 chunks of one byte', chunked(`${'1\r\nx\r\n'.repeat(65000)}0\r\n\r\n`), '201 open'],
    [API, 'trailers of 100 KB', chunked(`5\r\nhello\r\n0\r\nX: ${'x'.repeat(100000)}\r\n\r\n`), '4xx closed'],
    [API, 'trailers with bare LF', chunked(`5\r\nhello\r\n0\r\nX: y\n\n${OTHER}`), '4xx closed'],
    [API, '100 MB announced', post('Content-Length: 104857600\r\n', 'x'), '413:body_too_large closed'],

    // ---- lines (§2.2, §5)
    [BOTH, 'bare LF for every line end', bytes('GET @ HTTP/1.1\nHost: attack\n\n'), BAD],
    [BOTH, 'bare LF in the middle of the head', get(`${H}X: y\nZ: w\r\n`), BAD],
    [BOTH, 'bare CR in a value', get(`${H}X: y\rContent-Length: 5\r\n`), BAD],
    [BOTH, 'CR CR LF', get(`${H}X: y\r\r\n`), BAD],
    [BOTH, 'obs-fold with a space', get(`${H}X: y\r\n Content-Length: 5\r\n`), BAD],
    [BOTH, 'obs-fold with a tab', get(`${H}X: y\r\n\tz\r\n`), BAD],
    [BOTH, 'space in front of the first header', get(` X: y\r\n${H}`), BAD],
    [BOTH, 'space before the colon (§5.1)', get(`${H}X : y\r\n`), BAD],
    [BOTH, 'space before the colon of Content-Length', lies('Content-Length : 5\r\n', OTHER), BAD],
    [BOTH, 'a tab before the colon of Transfer-Encoding', lies('Transfer-Encoding\t: chunked\r\n'), BAD],
    [BOTH, 'a header without a colon', get(`${H}X\r\n`), BAD],
    [BOTH, 'a header without a name', get(`${H}: y\r\n`), BAD],
    [BOTH, 'NUL in a value', get(`${H}X: a\0b\r\n`), BAD],
    [BOTH, 'NUL in a name', get(`${H}X\0: b\r\n`), BAD],
    [BOTH, 'a control character in a name', get(`${H}X\x1f: b\r\n`), BAD],
    [BOTH, 'bytes over 127 in a name', get(`${H}\xc3\xa9: b\r\n`), BAD],
    [BOTH, 'bytes over 127 in a value (§5.5 of RFC 9110: opaque)', get(`${H}X: \xff\xfe\r\n`), 'good'],
    [BOTH, 'two empty lines before the request (§2.2)', bytes(`\r\n\r\nGET @ HTTP/1.1\r\n${H}\r\n`), 'good'],

    // ---- the request line (§3)
    [BOTH, 'HTTP/0.9', bytes('GET @\r\n\r\n'), [UNKNOWN, BAD]],
    [BOTH, 'HTTP/2.0', line('GET @ HTTP/2.0'), UNKNOWN],
    [BOTH, 'the preface of HTTP/2', bytes('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), UNKNOWN],
    [BOTH, 'HTTP/1.10', line('GET @ HTTP/1.10'), [BAD, UNKNOWN]],
    [BOTH, 'http/1.1', line('GET @ http/1.1'), [BAD, UNKNOWN]],
    [BOTH, 'HTTP/1.1 with a letter behind', line('GET @ HTTP/1.1x'), [BAD, UNKNOWN]],
    [BOTH, 'no version and a space', line('GET @ '), [BAD, UNKNOWN]],
    [BOTH, 'two spaces before the target', line('GET  @ HTTP/1.1'), BAD],
    [BOTH, 'two spaces behind the target', line('GET @  HTTP/1.1'), BAD],
    [BOTH, 'a space behind the version', line('GET @ HTTP/1.1 '), [BAD, UNKNOWN]],
    [BOTH, 'a tab between method and target', line('GET\t@ HTTP/1.1'), [BAD, UNKNOWN]],
    [BOTH, 'a space in the target', line('GET /a b HTTP/1.1'), BAD],
    [BOTH, 'a control character in the target', line('GET /a\x01 HTTP/1.1'), BAD],
    [BOTH, 'raw UTF-8 in the target', line('GET /\xc3\xa9 HTTP/1.1'), BAD],
    [BOTH, 'a fragment in the target', line('GET @#x HTTP/1.1'), BAD],
    [BOTH, 'no target', line('GET HTTP/1.1'), BAD],
    [BOTH, 'a target that is no path', line('GET v1 HTTP/1.1'), BAD],
    [BOTH, 'absolute form (§3.2.2)', line('GET http://elsewhere@ HTTP/1.1'), 'good'],
    [BOTH, 'absolute form of another scheme', line('GET gopher://elsewhere/ HTTP/1.1'), ['400:bad_request closed', '400:bad_request open']],
    [API, 'asterisk form of GET', line('GET * HTTP/1.1'), ['400:bad_request open', BAD]],
    [API, 'OPTIONS *', line('OPTIONS * HTTP/1.1'), ['204 open', '200 open']],
    [BOTH, 'CONNECT', line('CONNECT elsewhere:443 HTTP/1.1'), [UNKNOWN, '405 closed']],
    [BOTH, 'TRACE, which would echo secrets', line('TRACE @ HTTP/1.1'), [UNKNOWN, '405 closed']],
    [BOTH, 'a method nobody knows', line('FOO @ HTTP/1.1'), [UNKNOWN, '405:method_not_allowed closed']],
    [BOTH, 'a method in small letters (RFC 9110 §9.1)', line('get @ HTTP/1.1'), [UNKNOWN, BAD, '405:method_not_allowed closed']],
    [PUBLIC, 'DELETE', line('DELETE @ HTTP/1.1'), '405:method_not_allowed closed'],
    [API, 'DELETE of a place that has no DELETE', line('DELETE /v1/channels HTTP/1.1'), '405:method_not_allowed open'],
    [API, 'a method override is not listened to', bytes(`GET /v1/channels HTTP/1.1\r\n${H}X-HTTP-Method-Override: DELETE\r\n\r\n`), '200 open'],

    // ---- Host (§3.2), Expect (RFC 9110 §10.1.1), Upgrade
    [BOTH, 'no Host', bytes('GET @ HTTP/1.1\r\n\r\n'), BAD],
    [BOTH, 'two Hosts', get(`${H}Host: other\r\n`), BAD],
    [BOTH, 'a Host with a space', get('Host: a b\r\n'), BAD],
    [BOTH, 'a Host with a path', get('Host: a/b\r\n'), BAD],
    [BOTH, 'a Host with a user', get('Host: a@b\r\n'), BAD],
    [API, 'an expectation nobody knows', post('Expect: 200-ok\r\nContent-Length: 1\r\n', 'x'), ['417:expectation_failed open', '417:expectation_failed closed']],
    [API, '100-continue, and the body sent at once', post('Expect: 100-continue\r\nContent-Length: 1\r\n', 'x'), ['100 201 open', '201 open']],
    [BOTH, 'Upgrade: h2c is not followed', get(`${H}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n`), 'good'],
    [API, 'a WebSocket handshake at the API', get(`${H}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n`), '200 open'],
    [BOTH, 'a TLS greeting', bytes('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'.padEnd(517, '\x55')), BAD],
    [BOTH, 'NULs', bytes('\0'.repeat(100)), BAD],

    // ---- too much
    [BOTH, 'a header of 100 KB', get(`${H}X: ${'x'.repeat(100000)}\r\n`), LARGE],
    [BOTH, 'a header name of 100 KB', get(`${H}${'x'.repeat(100000)}: y\r\n`), LARGE],
    [BOTH, '100 KB of a request line without an end', bytes(`GET /${'x'.repeat(100000)}`), LARGE],
    [BOTH, '100 KB of a method', bytes('G'.repeat(100000)), [LARGE, BAD, UNKNOWN]],
    [BOTH, '20,000 headers', get(`${H}${'X: y\r\n'.repeat(20000)}`), LARGE],
    [BOTH, '5,000 headers that fit into the bytes', get(`${H}${'a:\r\n'.repeat(5000)}`), LARGE],
    [BOTH, 'a header of 30 KB, which is allowed', get(`${H}X: ${'x'.repeat(30000)}\r\n`), 'good'],
    [API, 'a query of 5,000 parameters', bytes(`GET @?${'a=b&'.repeat(5000)} HTTP/1.1\r\n${H}\r\n`), ['200 open', '4xx open']],
    [PUBLIC, 'a query of 5,000 parameters', bytes(`GET @&${'a=b&'.repeat(5000)} HTTP/1.1\r\n${H}\r\n`), 'stream'],
    [PUBLIC, 'the same channel 2,000 times', bytes(`GET @&${'channel=table&'.repeat(2000)} HTTP/1.1\r\n${H}\r\n`), 'stream'],
    [PUBLIC, '2,000 channels', bytes(`GET @&${Array.from({ length: 2000 }, (_, i) => `channel=${i}`).join('&')} HTTP/1.1\r\n${H}\r\n`), '400:too_many_channels closed'],

    // ---- one after the other (§9.3.2)
    [API, '400 requests in one go', bytes(`GET /v1/channels HTTP/1.1\r\n${H}\r\n`.repeat(400)), '200*400 open'],
    [API, '400 publishes and rubbish behind them', bytes(`${post('Content-Length: 1\r\n', 'x').toString('latin1').repeat(400)}\x01\x02\x03\r\n\r\n`), '201*400 400:bad_request closed'],
    [API, 'rubbish behind a good request', bytes(`GET /v1/channels HTTP/1.1\r\n${H}\r\n\xff\xfe\0rubbish\r\n\r\n${OTHER}`), '200 400:bad_request closed'],
    [API, 'a request behind one that closes', bytes(`GET /v1/channels HTTP/1.1\r\n${H}Connection: close\r\n\r\n${OTHER}`), '200 closed'],
    [API, 'a request behind one of HTTP/1.0', bytes(`GET /v1/channels HTTP/1.0\r\n\r\n${OTHER}`), '200 closed'],
    [PUBLIC, '400 streams in one go: one', bytes(`GET @ HTTP/1.1\r\n${H}\r\n`.repeat(400)), 'stream'],
    [PUBLIC, '400 polls in one go: one answer', bytes(`GET /poll?channel=table&timeout=0 HTTP/1.1\r\n${H}\r\n`.repeat(400)), '200 closed'],
    [PUBLIC, 'a poll with a body', bytes(`GET /poll?channel=table HTTP/1.1\r\n${H}Content-Length: ${OTHER.length}\r\n\r\n${OTHER}`), '413:no_body_here closed'],
    [PUBLIC, 'a poll without an end', bytes(`GET /poll?channel=table&timeout=${'9'.repeat(400)} HTTP/1.1\r\n${H}\r\n`), '400:bad_field closed'],
    [PUBLIC, 'rubbish behind a poll', bytes(`GET /poll?channel=table&timeout=0 HTTP/1.1\r\n${H}\r\n\xff\xfe\0rubbish\r\n\r\n`), '200 closed'],
    [PUBLIC, 'an If-None-Match of 20 KB', bytes(`GET /poll?channel=table&timeout=0 HTTP/1.1\r\n${H}If-None-Match: ${'x'.repeat(20000)}\r\n\r\n`), '200 closed'],
    [PUBLIC, '400 requests for nothing: one answer', bytes(`GET /nothing HTTP/1.1\r\n${H}\r\n`.repeat(400)), '404:not_found closed'],
    [PUBLIC, 'rubbish behind a good request', bytes(`GET @ HTTP/1.1\r\n${H}\r\n\xff\xfe\0rubbish\r\n\r\n`), 'stream'],
    [PUBLIC, 'a publish behind a stream', bytes(`GET @ HTTP/1.1\r\n${H}\r\n${OTHER}`), 'stream'],

    // ---- paths and echoes
    [API, 'dots in a path are not followed', line('GET /v1/channels/../../health/live HTTP/1.1'), '404:not_found open'],
    [API, 'encoded dots are not followed', line('GET /%2e%2e/health/live HTTP/1.1'), '404:not_found open'],
    [API, 'an empty segment', line('GET //v1/channels HTTP/1.1'), '404:not_found open'],
    [API, 'a longer path than a place has', line(`GET /v1/channels/${'a/'.repeat(10000)} HTTP/1.1`), '404:not_found open'],
    [PUBLIC, 'dots in a path', line('GET /x/../sse?channel=a HTTP/1.1'), '404:not_found closed'],
    [PUBLIC, 'an empty segment', line('GET //sse?channel=a HTTP/1.1'), '404:not_found closed'],
    [PUBLIC, 'a semicolon in a path', line('GET /sse;x?channel=a HTTP/1.1'), '404:not_found closed'],
    [PUBLIC, 'NUL in a path', line('GET /sse%00?channel=a HTTP/1.1'), ['404:not_found closed', BAD]],
    [PUBLIC, 'the API is not on this port', line('GET /v1/channels HTTP/1.1'), '404:not_found closed'],
    [API, 'CRLF in a path does not become a header', line('GET /v1/channels/a%0d%0aSet-Cookie:%20a=b/messages HTTP/1.1'), '400:bad_channel open'],
    [API, 'a request id that is markup is not given back', bytes(`GET /v1/channels HTTP/1.1\r\n${H}X-Request-Id: <script>alert(1)</script>\r\n\r\n`), '200 open'],
    [API, 'a request id of 20 KB is not given back', bytes(`GET /v1/channels HTTP/1.1\r\n${H}X-Request-Id: ${'x'.repeat(20000)}\r\n\r\n`), '200 open'],

    // ---- whose page asks (RFC 6454 §7, RFC 6455 §10.2; PROTOCOL.md §4)
    ...[['a page of elsewhere', 'http://evil.example'], ['null', 'null'], ['the Host at its beginning', 'http://attack.evil.example'],
        ['the Host at its end', 'http://evil-attack'], ['the Host behind a dot', 'http://evil.attack'], ['a dot behind the Host', 'http://attack.'],
        ['the Host as user', 'http://attack@evil.example'], ['a user before the Host', 'http://evil.example@attack'], ['another port', 'http://attack:1'],
        ['another scheme', 'ftp://attack'], ['capitals', 'http://ATTACK'], ['a scheme in capitals', 'HTTP://attack'], ['a path', 'http://attack/'],
        ['a backslash', 'http://evil.example\\attack'], ['no scheme', 'attack'], ['a list', 'http://attack http://evil.example'], ['a star', '*'],
        ['a port that is none', 'http://attack:80x'], ['a byte of no letter', 'http://attack\xff'], ['nothing', ''],
    ].flatMap(([what, origin]) => [
        [PUBLIC, `an Origin: ${what}`, get(`${H}Origin: ${origin}\r\n`), '403:bad_origin closed'],
        [API, `an Origin: ${what}`, get(`${H}Origin: ${origin}\r\n`), '403:bad_origin open'],
    ]),
    [BOTH, 'two Origins, the own one first', get(`${H}Origin: http://attack\r\nOrigin: http://evil.example\r\n`), BAD],
    [BOTH, 'two Origins, the own one last', get(`${H}Origin: http://evil.example\r\nOrigin: http://attack\r\n`), BAD],
    [BOTH, 'the Origin of the host itself', get(`${H}Origin: http://attack\r\n`), 'good'],
    [API, 'a publish of a page of elsewhere that needs no preflight', post('Origin: http://evil.example\r\nContent-Length: 1\r\n', 'x', SMUGGLED), '403:bad_origin open'],
    [API, 'a preflight of a page of elsewhere', bytes(`OPTIONS /v1/channels/a/messages HTTP/1.1\r\n${H}Origin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n`), '403:bad_origin open'],

    // ---- parameters (PROTOCOL.md §8)
    [API, 'a negative limit', line('GET /v1/channels?limit=-1 HTTP/1.1'), '400:bad_field open'],
    [API, 'a limit over 64 bits', line('GET /v1/channels?limit=18446744073709551617 HTTP/1.1'), '400:bad_field open'],
    [API, 'a limit with an exponent', line('GET /v1/channels?limit=1e3 HTTP/1.1'), '400:bad_field open'],
    [API, 'a limit that is NUL', line('GET /v1/channels/a/messages?limit=%00 HTTP/1.1'), '400:bad_field open'],
    [API, 'a cursor that is NUL', line('GET /v1/channels?cursor=%00 HTTP/1.1'), '400:bad_position open'],
    [API, 'a cursor that is no UTF-8', line('GET /v1/channels?cursor=%ff HTTP/1.1'), '400:bad_position open'],
    [API, 'a cursor of 20 KB', line(`GET /v1/channels?cursor=${'a'.repeat(20000)} HTTP/1.1`), '400:bad_position open'],
    [API, 'a cursor of nobody, of messages', line('GET /v1/channels/a/messages?cursor=x HTTP/1.1'), '400:bad_position open'],
    [API, 'a prefix that is no UTF-8', line('GET /v1/channels?prefix=%ff HTTP/1.1'), '200 open'],
    [API, 'a percent without digits where it counts', line('GET /v1/channels/a/messages?since=%zz HTTP/1.1'), '400:bad_field open'],
    [API, 'a percent without digits where it does not', line('GET /metrics?%zz HTTP/1.1'), '200 open'],
    [API, 'an event with CRLF in the query', bytes(`POST /v1/channels/a/messages?event=a%0d%0aid:%209 HTTP/1.1\r\n${H}Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx`), '400:bad_event open'],
    [PUBLIC, 'a client id with CRLF', line('GET /sse?channel=a&client=a%0d%0aid:%209 HTTP/1.1'), '400:bad_client closed'],
    [PUBLIC, 'a client id of 65 bytes', line(`GET /sse?channel=a&client=${'a'.repeat(65)} HTTP/1.1`), '400:bad_client closed'],
    [PUBLIC, 'a client id that is no UTF-8', line('GET /sse?channel=a&client=%ff HTTP/1.1'), '400:bad_client closed'],
    [PUBLIC, 'a format nobody knows', line('GET /sse?channel=a&format=../x HTTP/1.1'), '400:bad_field closed'],
    [PUBLIC, 'no channel', line('GET /sse HTTP/1.1'), '400:no_channel closed'],
    [PUBLIC, 'an empty channel', line('GET /sse?channel= HTTP/1.1'), '400:bad_channel closed'],
];

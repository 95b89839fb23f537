// tables/tls.mjs — handshakes that are none. One line a case: [what it is, what is said at once, what comes byte by byte from then on, answer].
//
// Sent to both ports of a hub that has a certificate. What must happen: the hub closes within limits.handshake_timeout, and says
// nothing but TLS: at most its part of the handshake and an alert. answer: the description the last alert must have if there is one
// (RFC 8446 §6.2); null: any or none; PLAIN: 400 in the clear, for people who typed http:// for https://.
import { TYPE, clientHello, record } from '../lib/hello.mjs';
import { handshake } from '../lib/raw_ws.mjs';

const { CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, HEARTBEAT } = TYPE;
export const PLAIN = 'HTTP/1.1 400';
const UNEXPECTED = 10, OVERFLOW = 22, DECODE = 50, VERSION = 70;
const HTTP = 'GET /health/live HTTP/1.1\r\nHost: attack\r\n\r\n';

const hello = await clientHello({ ALPNProtocols: ['http/1.1'] });
const old = (maxVersion) => clientHello({ minVersion: maxVersion, maxVersion, ciphers: 'DEFAULT@SECLEVEL=0' });
const changed = (at, value) => { const copy = Buffer.from(hello); copy[at] = value; return copy; };
const times = (n, bytes) => Buffer.concat(Array(n).fill(bytes));

export const tls = [
    // ---- slow and silent
    ['nothing at all', '', '', null],
    ['one byte', '\x16', '', null],
    ['the head of a record and nothing', record(HANDSHAKE, '', { length: 512 }), '', null],
    ['half a hello', hello.subarray(0, hello.length >> 1), '', null],
    ['a hello without its last byte', hello.subarray(0, -1), '', null],
    ['a hello and nothing more', hello, '', null],
    ['a hello, byte by byte', '', hello.subarray(0, 100), null],
    ['records of one byte that make no hello', record(HANDSHAKE, '\x01'), record(HANDSHAKE, '\0'), null],

    // ---- not TLS, or an old one
    ['an HTTP request', HTTP, '', PLAIN],
    ['a WebSocket handshake', handshake(), '', PLAIN],
    ['an HTTP request to a proxy', 'CONNECT elsewhere:443 HTTP/1.1\r\nHost: elsewhere\r\n\r\n', '', null],
    ['rubbish', Buffer.alloc(1000, 0xa5), '', null],
    ['NULs', Buffer.alloc(1000), '', null],
    ['a hello of SSL 2', Buffer.from('802e0100020015000000100100800300800700c0050080060040020080040080'.padEnd(96, '0'), 'hex'), '', null],
    ['a hello of TLS 1.0', await old('TLSv1'), '', VERSION],
    ['a hello of TLS 1.1', await old('TLSv1.1'), '', VERSION],
    ['a hello that asks for HTTP/2 only (RFC 7301 §3.2: no_application_protocol, or without ALPN)', await clientHello({ ALPNProtocols: ['h2'] }), '', null],

    // ---- records
    ['a record larger than TLS has', record(HANDSHAKE, 'x'.repeat(1000), { length: 0xffff }), '', OVERFLOW],
    ['a record of a type nobody knows', record(99, 'x'), '', null],
    ['a record of a version nobody knows', record(HANDSHAKE, 'x', { version: 0x0909 }), '', null],
    ['data before the handshake', record(APPLICATION_DATA, HTTP), '', UNEXPECTED],
    ['a heartbeat that announces 64 KB (Heartbleed)', record(HEARTBEAT, '\x01\xff\xff'), '', null],
    ['ChangeCipherSpec first', record(CHANGE_CIPHER_SPEC, '\x01'), '', UNEXPECTED],
    ['1,000 ChangeCipherSpec behind a hello', Buffer.concat([hello, times(1000, record(CHANGE_CIPHER_SPEC, '\x01'))]), '', null],
    ['10,000 warnings', times(10000, record(ALERT, '\x01\x5a')), '', null],
    ['10,000 empty records', times(10000, record(HANDSHAKE)), '', null],
    ['a hello, then data that is not encrypted', Buffer.concat([hello, record(APPLICATION_DATA, HTTP)]), '', null],
    ['two hellos', Buffer.concat([hello, hello]), '', null],

    // ---- hellos that lie
    ['a hello of 16 MB', Buffer.concat([record(HANDSHAKE, '\x01\xff\xff\xff'), times(100, record(HANDSHAKE, 'x'.repeat(16000)))]), '', null],
    ['a hello that is longer than its record', changed(8, 0xff), '', null],
    ['a session id longer than the hello', changed(43, 0xff), '', DECODE],
    ['a message that is no hello', changed(5, 0x0b), '', UNEXPECTED],
    ['a hello of nothing', record(HANDSHAKE, '\x01\0\0\0'), '', DECODE],
    ['a hello with a byte too many', Buffer.concat([record(HANDSHAKE, Buffer.concat([Buffer.from([1, 0, (hello.length - 8) >> 8, (hello.length - 8) & 255]), hello.subarray(9), Buffer.from([0])]).toString('latin1'))]), '', DECODE],
];

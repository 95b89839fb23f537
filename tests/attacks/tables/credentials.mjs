// tables/credentials.mjs — ways around the keys. One line a case: [port, what it is, bytes, expected].
//
// In the bytes  {W} is a key that may publish to open.**, {R} one that may subscribe to open.** and read its history, {X} a key
//               nobody has given; everybody may subscribe to `lobby`.
// expected      STATUS, or STATUS:code; a list: any of these. After each, nothing may have been published to `smuggled`.
// Sources       PROTOCOL.md §4, §8 ("Credentials", "Channels in paths"); RFC 9110 §11, RFC 9112 §3.
import { SMUGGLED as S } from '../lib/watch.mjs';

const H = 'Host: attack\r\n';
const to = (path, headers, body = 'x', more = '') => `POST ${path} HTTP/1.1\r\n${H}${headers}Content-Type: text/plain\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`;
const publish = (channel, headers, body, more) => to(`/v1/channels/${channel}/messages`, headers, body, more);
const get = (target, headers = '') => `GET ${target} HTTP/1.1\r\n${H}${headers}\r\n`;
const W = 'Authorization: Bearer {W}\r\n', R = 'Authorization: Bearer {R}\r\n', X = 'Authorization: Bearer {X}\r\n';
const base64 = (text) => `{base64 ${text}}`;
const NOBODY = '401:unauthenticated', NOT_THIS = '403:forbidden';

export const credentials = [
    // ---- how a key is shown
    ['api', 'the key that may', publish('open.a', W), '201'],
    ['api', 'no key', publish(S, ''), NOBODY],
    ['api', 'an empty key', publish(S, 'Authorization: Bearer \r\n'), NOBODY],
    ['api', 'a scheme and nothing', publish(S, 'Authorization: Bearer\r\n'), NOBODY],
    ['api', 'the key without a scheme', publish('open.a', 'Authorization: {W}\r\n'), NOBODY],
    ['api', 'the key as Basic', publish('open.a', `Authorization: Basic ${base64('{W}:')}\r\n`), NOBODY],
    ['api', 'the key under another scheme', publish('open.a', 'Authorization: Digest {W}\r\n'), NOBODY],
    ['api', 'bearer in small letters (RFC 9110 §11.1)', publish('open.a', 'Authorization: bearer {W}\r\n'), '201'],
    ['api', 'the key in capitals', publish('open.a', 'Authorization: Bearer {W upper}\r\n'), NOBODY],
    ['api', 'the key and a NUL', publish('open.a', 'Authorization: Bearer {W}\0\r\n'), '400'],
    ['api', 'the key and more', publish('open.a', 'Authorization: Bearer {W} more\r\n'), NOBODY],
    ['api', 'the key in quotes', publish('open.a', 'Authorization: Bearer "{W}"\r\n'), NOBODY],
    ['api', 'two keys in a list', publish('open.a', 'Authorization: Bearer {X}, Bearer {W}\r\n'), NOBODY],
    ['api', 'a wrong key, then the right one', publish('open.a', X + W), '400:bad_request'],
    ['api', 'the right key, then a wrong one', publish('open.a', W + X), '400:bad_request'],
    ['api', 'two X-API-Key', publish('open.a', 'X-API-Key: {W}\r\nx-api-key: {X}\r\n'), '400:bad_request'],
    ['api', 'a wrong Bearer beside the right X-API-Key', publish('open.a', `${X}X-API-Key: {W}\r\n`), NOBODY],
    ['api', 'a key of 20 KB', publish(S, `Authorization: Bearer ${'a'.repeat(20000)}\r\n`), NOBODY],
    ['api', 'the key in the query', publish('open.a', '').replace('/messages', '/messages?token={W}'), NOBODY],
    ['api', 'the key in a cookie, which a page of elsewhere would send too', publish('open.a', 'Cookie: token={W}\r\n'), NOBODY],
    ['api', 'the key in the target (RFC 9110 §4.2.4)', publish('open.a', '').replace('POST /', 'POST http://{W}@attack/'), [NOBODY, '400']],
    ['api', 'the key in a trailer', `POST /v1/channels/open.a/messages HTTP/1.1\r\n${H}Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n${W}\r\n`, NOBODY],
    ['api', 'the digest of the configuration for a key', publish('open.a', 'Authorization: Bearer {digest of W}\r\n'), NOBODY],
    ['api', 'a header of a proxy that names a user', publish(S, 'X-Forwarded-User: admin\r\nX-Remote-User: admin\r\nX-Forwarded-For: 127.0.0.1\r\n'), NOBODY],
    ['api', 'the key of the request before, on the same connection', publish('open.a', W) + publish(S, ''), '201 401:unauthenticated'],

    // ---- what a key may
    ['api', 'another channel', publish(S, W), NOT_THIS],
    ['api', 'a channel that begins like it', publish('openx', W), NOT_THIS],
    ['api', 'the channel that the pattern leaves out', publish('open', W), NOT_THIS],
    ['api', 'another letter case', publish('OPEN.a', W), NOT_THIS],
    ['api', 'a channel whose end is in the pattern', publish(`${S}.open.a`, W), NOT_THIS],
    ['api', 'an encoded dot is a dot', publish('open%2Ea', W), '201'],
    ['api', 'an encoded dot decoded once', publish('open%252Ea', W), NOT_THIS],
    ['api', 'a slash in the name is no segment', publish(`open.%2F..%2F${S}`, W), '201'],
    ['api', 'NUL in the name', publish(`open.%00${S}`, W), ['400:bad_channel', NOT_THIS]],
    ['api', 'reading with a key that publishes', get('/v1/channels/open.a/messages', W), NOT_THIS],
    ['api', 'publishing with a key that reads', publish('open.a', R), NOT_THIS],
    ['api', 'the list of channels', get('/v1/channels', W), NOT_THIS],
    ['api', 'what is known of a channel', get('/v1/channels/open.a', W), NOT_THIS],
    ['api', 'HEAD instead of GET', `HEAD /v1/channels HTTP/1.1\r\n${H}${W}\r\n`, '403'],
    ['api', 'figures are for everybody', get('/metrics'), '200'],

    // ---- which channel is it?
    ['api', 'another channel in the query', publish(S, W).replace('/messages', '/messages?channel=open.a'), NOT_THIS],
    ['api', 'another channel in the document', to('/v1/channels/open.a/messages', W, `{"channel":"${S}","data":1}`).replace('text/plain', 'application/json'), '201'],
    ['api', 'another channel in a form', to('/v1/channels/open.a/messages', W, `channel=${S}&data=1`).replace('text/plain', 'application/x-www-form-urlencoded'), '201'],
    ['api', 'dots that climb', to(`/v1/channels/open.a/../${S}/messages`, W), '404:not_found'],
    ['api', 'encoded dots that climb', to(`/v1/channels/open.a/%2e%2e/${S}/messages`, W), '404:not_found'],
    ['api', 'two slashes', to(`/v1/channels//${S}/messages`, W), '404:not_found'],
    ['api', 'a slash at the end', to(`/v1/channels/${S}/messages/`, W), '404:not_found'],
    ['api', 'a path in capitals', to(`/V1/Channels/${S}/messages`, W), '404:not_found'],
    ['api', 'a parameter of a path segment', publish(`${S};x=open.a`, W), NOT_THIS],
    ['api', 'a backslash for a slash', to(`/v1\\channels\\${S}\\messages`, W), ['404:not_found', '400']],
    ['api', 'another host in the absolute form', publish(S, W).replace('POST /', 'POST http://open.a/'), NOT_THIS],
    ['api', 'a method override', get(`/v1/channels/${S}/messages`, `${W}X-HTTP-Method-Override: POST\r\nX-HTTP-Method: POST\r\n`), NOT_THIS],
    ['api', 'a path override', publish('open.a', W, 'x', `X-Original-URL: /v1/channels/${S}/messages\r\nX-Rewrite-URL: /v1/channels/${S}/messages\r\n`), '201'],

    // ---- the public port
    ['public', 'what everybody may', get('/sse?channel=lobby'), '200'],
    ['public', 'what nobody may', get('/sse?channel=open.a'), NOBODY],
    ['public', 'the key that may', get('/sse?channel=open.a', R), '200'],
    ['public', 'the key in the query', get('/sse?channel=open.a&token={R}'), '200'],
    ['public', 'the key in a cookie', get('/sse?channel=open.a', 'Cookie: token={R}\r\n'), NOBODY],
    ['public', 'a key that may something else', get('/sse?channel=open.a', W), NOT_THIS],
    ['public', 'two keys, the right one last', get('/sse?channel=open.a', X + R), '400:bad_request'],
    ['public', 'a channel that is open beside one that is not', get('/sse?channel=lobby&channel=open.a'), NOBODY],
    ['public', 'a channel that is not open beside one that is', get('/sse?channel=open.a&channel=lobby'), NOBODY],
    ['public', 'two forms of one name', get('/sse?channel=%6Cobby&channel=op%65n.a'), NOBODY],
    ['public', 'a channel behind a NUL', get('/sse?channel=lobby%00open.a'), '400:bad_channel'],
    ['public', 'a channel behind a semicolon', get('/sse?channel=lobby;channel=open.a'), [NOBODY, '400:bad_channel']],
    ['public', 'a pattern', get('/sse?channel=**'), NOBODY],
    ['public', 'a pattern that what is open matches', get('/sse?channel=*'), NOBODY],
    ['public', 'a wrong key where none is needed', get('/sse?channel=lobby', X), NOBODY],
    ['public', 'a wrong key in the header, the right one in the query', get('/sse?channel=open.a&token={R}', X), NOBODY],
    ['public', 'two keys in the query, the wrong one first', get('/sse?channel=open.a&token={X}&token={R}'), [NOBODY, '200']],
    ['public', 'a user of one\'s own', get('/sse?channel=open.a&user=admin'), NOBODY],
    ['public', 'the page of --dev', get('/'), '404:not_found'],
];

// What a WebSocket that nobody knows, with {R}, and with {W} may say: [key, command, expected]: a type, or the code of an error.
export const commands = [
    ['', { type: 'subscribe', channels: ['lobby'] }, 'subscribed'],
    ['', { type: 'subscribe', channels: ['open.a'] }, 'unauthenticated'],
    ['', { type: 'subscribe', channels: ['lobby', 'open.a'] }, 'unauthenticated'],
    ['', { type: 'subscribe', channels: ['lobby', 'lobby\0open.a'] }, 'bad_channel'],
    ['', { type: 'subscribe', channels: ['**'] }, 'unauthenticated'],
    ['', { type: 'subscribe', channels: ['open.a'], token: '{R}' }, 'unauthenticated'],
    ['', { type: 'publish', channel: S, data: 1 }, 'unauthenticated'],
    ['', { type: 'publish', channel: 'lobby', data: 1 }, 'unauthenticated'],
    ['', { type: 'history', channel: 'lobby' }, 'unauthenticated'],
    ['', { type: 'history', channel: 'open.a', since: 'x.1' }, 'unauthenticated'],
    ['{R}', { type: 'subscribe', channels: ['open.a'] }, 'subscribed'],
    ['{R}', { type: 'history', channel: 'open.a' }, 'history'],
    ['{R}', { type: 'history', channel: S }, 'forbidden'],
    ['{R}', { type: 'publish', channel: 'open.a', data: 1 }, 'forbidden'],
    ['{R}', { type: 'publish', channel: S, data: 1 }, 'forbidden'],
    ['{R}', { type: 'subscribe', channels: ['open.a', S] }, 'forbidden'],
    ['{W}', { type: 'publish', channel: 'open.a', data: 1 }, 'ok'],
    ['{W}', { type: 'publish', channel: S, data: 1 }, 'forbidden'],
    ['{W}', { type: 'subscribe', channels: ['open.a'] }, 'forbidden'],
    ['{W}', { type: 'history', channel: 'open.a' }, 'forbidden'],
];

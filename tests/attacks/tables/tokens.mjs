// tables/tokens.mjs — tokens that are none, and tokens that are asked for more than they grant.
//
// bad     [what it is, (k) => token, code of the 401 (default bad_token)]: refused at /sse, /ws (closed with 4101) and the API
// rights  [what it is, claims, [port, bytes], expected]: {T} in the bytes is a token with these claims
//
// k has the hub's signers app (HS256), rsa, ec, ed and idp (ES256, behind tokens.jwks), a stranger of each kind, and claims() that are all right.
// Sources: PROTOCOL.md §4 "Tokens"; RFC 7515, 7517, 7518, 7519; RFC 8725 (what has gone wrong elsewhere).
import { b64, derOf, forge, hmac } from '../lib/forge.mjs';
import { SMUGGLED as S } from '../lib/watch.mjs';

const now = () => Math.floor(Date.now() / 1000);
const zeros = (n) => Buffer.alloc(n);
const P256_ORDER = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex');
// Every claim right but these; a function gets the right ones as JSON text.
const claims = (change) => (k) => k.app.token(typeof change === 'function' ? change(JSON.stringify(k.claims())) : { ...k.claims(), ...change });
const header = (change) => (k) => forge(typeof change === 'string' ? change : { ...k.app.header, ...change }, k.claims(), k.app.sign);
const grants = (carillon) => claims({ carillon });
const nested = (depth) => '['.repeat(depth) + ']'.repeat(depth);

export const bad = [
    // ---- no signature at all (RFC 8725 §2.1)
    ...['none', 'None', 'NONE', 'nOnE', ''].map((alg) => [`alg "${alg}" and no signature`, (k) => forge({ alg }, k.claims())]),
    ['alg none and the signature of another token', (k) => forge({ alg: 'none' }, k.claims(), k.app.sign)],
    ['alg none and a kid', (k) => forge({ alg: 'none', kid: 'app' }, k.claims())],
    ['no alg', (k) => forge({ kid: 'app' }, k.claims(), k.app.sign)],
    ['alg is a number', header({ alg: 256 })],
    ['alg is null', header({ alg: null })],
    ['alg is a list', header({ alg: ['HS256'] })],
    ['alg in small letters', header({ alg: 'hs256' })],
    ['alg and a NUL', header({ alg: 'HS256\0' })],
    ['an empty signature', (k) => forge(k.app.header, k.claims())],
    ['an empty signature under RS256', (k) => forge(k.rsa.header, k.claims())],
    ['an empty signature under EdDSA', (k) => forge(k.ed.header, k.claims())],

    // ---- one algorithm's key under another (RFC 8725 §2.1, CVE-2015-9235)
    ['HS256 with the PEM of the RSA key as secret', (k) => forge({ alg: 'HS256', kid: 'rsa' }, k.claims(), hmac(k.rsa.pem))],
    ['the same without the last line end', (k) => forge({ alg: 'HS256', kid: 'rsa' }, k.claims(), hmac(k.rsa.pem.trim()))],
    ['the same without a kid', (k) => forge({ alg: 'HS256' }, k.claims(), hmac(k.rsa.pem))],
    ['HS256 with the PEM of the EC key', (k) => forge({ alg: 'HS256', kid: 'ec' }, k.claims(), hmac(k.ec.pem))],
    ['HS256 with the DER of the EC key', (k) => forge({ alg: 'HS256', kid: 'ec' }, k.claims(), hmac(k.ec.publicKey.export({ type: 'spki', format: 'der' })))],
    ['HS256 with the published JWK as secret', (k) => forge({ alg: 'HS256', kid: 'idp' }, k.claims(), hmac(JSON.stringify(k.idp.jwk)))],
    ['HS256 with an empty secret', (k) => forge({ alg: 'HS256', kid: 'app' }, k.claims(), hmac(''))],
    ['HS256 with zeros as secret', (k) => forge({ alg: 'HS256', kid: 'app' }, k.claims(), hmac(zeros(64)))],
    ['HS256 under the kid of nobody', (k) => forge({ alg: 'HS256', kid: 'nobody' }, k.claims(), hmac(''))],
    ['HS512 named, HS256 signed', header({ alg: 'HS512' })],
    ['RS256 named, the kid of the EC key', (k) => k.rsa.token(k.claims(), { kid: 'ec' })],
    ['ES256 named, the kid of the RSA key', (k) => k.ec.token(k.claims(), { kid: 'rsa' })],
    ['PS256 named, PKCS #1 signed', (k) => k.rsa.token(k.claims(), { alg: 'PS256' })],
    ['ES384 named, P-256 signed', (k) => k.ec.token(k.claims(), { alg: 'ES384' })],
    ['HS256 signed under the kid of the RSA key', header({ kid: 'rsa' })],
    ['the kid of another key of the same kind', (k) => k.ec.token(k.claims(), { kid: 'idp' })],
    ...['rsa', 'ec', 'ed'].map((kid) => [`a stranger's key under the kid ${kid}`, (k) => k.stranger[kid].token(k.claims(), { kid })]),
    ['a key of 1024 bits, which the provider serves', (k) => k.small.token(k.claims())],

    // ---- kid (RFC 8725 §3.10)
    ['a kid that nobody has', (k) => k.stranger.ec.token(k.claims(), { kid: 'nobody' })],
    ...['../../../../../../dev/null', '/dev/null', '/proc/sys/kernel/randomize_va_space', 'file:///dev/null', "x' UNION SELECT 'a' -- ", '$(id)', '`id`',
        '', '*', 'app\0', ' app', 'APP', 'app/../app', '%61pp', '\r\nX: y'].map((kid) => [`kid ${JSON.stringify(kid)}, signed with nothing`, (k) => forge({ alg: 'HS256', kid }, k.claims(), hmac(''))]),
    ['a kid of 8,000 bytes', (k) => forge({ alg: 'HS256', kid: 'a'.repeat(8000) }, k.claims(), hmac(''))],
    ...[7, null, {}, ['app'], true].map((kid) => [`kid is ${JSON.stringify(kid)}`, header({ kid })]),

    // ---- keys that the token brings itself (RFC 7515 §4.1.2–4.1.6)
    ['jwk: the key it was signed with', (k) => k.stranger.ec.token(k.claims(), { kid: undefined, jwk: k.stranger.ec.jwk })],
    ['jwk beside the kid of ours', (k) => k.stranger.ec.token(k.claims(), { kid: 'ec', jwk: k.stranger.ec.jwk })],
    ['jku: where the key would be', (k) => k.stranger.ec.token(k.claims(), { kid: 'theirs', jku: k.lure })],
    ['x5u: where the certificate would be', (k) => k.stranger.rsa.token(k.claims(), { kid: 'theirs', x5u: k.lure })],
    ['x5c: a certificate', (k) => k.stranger.rsa.token(k.claims(), { kid: 'theirs', x5c: [k.stranger.rsa.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')] })],

    // ---- crit (RFC 7515 §4.1.11)
    ...[['exp'], ['b64'], [], null, 'exp', [7]].map((crit) => [`crit ${JSON.stringify(crit)}`, header({ crit, b64: true, exp: 1 })]),
    ['an unencoded payload (RFC 7797)', (k) => { const [h, c] = [b64({ ...k.app.header, b64: false, crit: ['b64'] }), 'e30']; return `${h}.${c}.${b64(k.app.sign(`${h}.${c}`))}`; }],

    // ---- signatures that are none (RFC 7518 §3.4; CVE-2022-21449 "psychic signatures")
    ['ECDSA: r and s are 0', (k) => forge(k.ec.header, k.claims(), zeros(64))],
    ['ECDSA: r and s exchanged', (k) => forge(k.ec.header, k.claims(), (signed) => { const made = k.ec.sign(signed); return Buffer.concat([made.subarray(32), made.subarray(0, 32)]); })],
    ['ECDSA: r is 0', (k) => forge(k.ec.header, k.claims(), (signed) => Buffer.concat([zeros(32), k.ec.sign(signed).subarray(32)]))],
    ['ECDSA: s is 0', (k) => forge(k.ec.header, k.claims(), (signed) => Buffer.concat([k.ec.sign(signed).subarray(0, 32), zeros(32)]))],
    ['ECDSA: r and s are the order of the curve', (k) => forge(k.ec.header, k.claims(), Buffer.concat([P256_ORDER, P256_ORDER]))],
    ['ECDSA: r and s are beyond it', (k) => forge(k.ec.header, k.claims(), Buffer.alloc(64, 0xff))],
    ['ECDSA in DER', (k) => forge(k.ec.header, k.claims(), derOf(k.ec))],
    ['ECDSA in DER, all zero', (k) => forge(k.ec.header, k.claims(), Buffer.from('3006020100020100', 'hex'))],
    ['ECDSA with a byte more', (k) => forge(k.ec.header, k.claims(), (signed) => Buffer.concat([k.ec.sign(signed), zeros(1)]))],
    ['ECDSA with a byte less', (k) => forge(k.ec.header, k.claims(), (signed) => k.ec.sign(signed).subarray(0, 63))],
    ['RSA: zeros', (k) => forge(k.rsa.header, k.claims(), zeros(256))],
    ['RSA: a signature of 4 KB', (k) => forge(k.rsa.header, k.claims(), Buffer.alloc(4096, 1))],
    ['EdDSA: zeros', (k) => forge(k.ed.header, k.claims(), zeros(64))],
    ['EdDSA: the neutral element', (k) => forge(k.ed.header, k.claims(), Buffer.concat([Buffer.from([1]), zeros(63)]))],
    ['HMAC: half of it', (k) => forge(k.app.header, k.claims(), (signed) => k.app.sign(signed).subarray(0, 16))],
    ['HMAC: with a byte more', (k) => forge(k.app.header, k.claims(), (signed) => Buffer.concat([k.app.sign(signed), zeros(1)]))],
    ['the signature of other claims', (k) => k.app.token(k.claims()).replace(/\.[^.]*\./, `.${b64({ ...k.claims(), sub: 'admin' })}.`)],
    ['the signature under another header', (k) => k.app.token(k.claims()).replace(/^[^.]*/, b64({ ...k.app.header, typ: 'JWT' }))],

    // ---- its form (RFC 7515 §2, §3.1): one text for each token
    ['two parts', (k) => k.app.token(k.claims()).replace(/\.[^.]*$/, '')],
    ['four parts', (k) => `${k.app.token(k.claims())}.AAAA`],
    ['five parts, as if encrypted', (k) => `${k.app.token(k.claims())}.AAAA.AAAA`],
    ['nothing between the dots', () => '..'],
    ['three dots', () => '...'],
    ['16 KB of dots', () => '.'.repeat(16000)],
    ['a header alone', (k) => b64(k.app.header)],
    ['the JSON form (RFC 7515 §7.2)', (k) => { const [h, c, s] = k.app.token(k.claims()).split('.'); return `{"payload":"${c}","protected":"${h}","signature":"${s}"}`; }, 'unauthenticated'],
    ['a dot in front', (k) => `.${k.app.token(k.claims())}`],
    ['a dot behind', (k) => `${k.app.token(k.claims())}.`],
    ['no header', (k) => k.app.token(k.claims()).replace(/^[^.]*/, '')],
    ['no claims', (k) => k.app.token(k.claims()).replace(/\.[^.]*\./, '..')],
    ['padding', (k) => `${k.app.token(k.claims())}=`],
    ['padding inside', (k) => k.app.token(k.claims()).replace('.', '==.')],
    ['the other alphabet', (k) => { const h = Buffer.from(JSON.stringify({ ...k.app.header, x: '???>>>~~~' })).toString('base64').replaceAll('=', ''), c = b64(k.claims()); return `${h}.${c}.${b64(k.app.sign(`${h}.${c}`))}`; }],
    ['a sign that is in no alphabet', (k) => k.app.token(k.claims()).replace('.', '!.')],
    ['stray bits at the end', (k) => k.app.token(k.claims()).replace(/.$/, (last) => String.fromCharCode(last.charCodeAt(0) + 1))],
    ['20 KB of claims', claims({ x: 'a'.repeat(14000) })],

    // ---- its JSON
    ['a header that is a list', header('["HS256"]')],
    ['a header that is no JSON', header('{"alg":"HS256"')],
    ['alg twice, none last', header('{"alg":"HS256","kid":"app","alg":"none"}')],
    ['alg twice, none first', header('{"alg":"none","kid":"app","alg":"HS256"}')],
    ['an escaped member name twice', header('{"alg":"none","kid":"app","\\u0061lg":"HS256"}')],
    ['kid twice', header('{"alg":"HS256","kid":"ec","kid":"app"}')],
    ['a header with a BOM', (k) => forge(`\ufeff${JSON.stringify(k.app.header)}`, k.claims(), k.app.sign)],
    ['a header 4,000 deep', header(`{"alg":"HS256","kid":"app","x":${nested(4000)}}`)],
    ['claims 4,000 deep', claims((all) => all.replace('{', `{"x":${nested(4000)},`))],
    ['exp twice, the good one last', claims((all) => all.replace('{', '{"exp":1,'))],
    ['exp twice, the good one first', claims((all) => all.replace(/}$/, ',"exp":99999999999}'))],
    ['carillon twice', claims((all) => all.replace('{', '{"carillon":{"admin":["**"]},'))],
    ['sub twice, one escaped', claims((all) => all.replace('{', '{"\\u0073ub":"admin",'))],
    ['claims and more behind', claims((all) => `${all}{}`)],
    ['claims that are a list', claims((all) => `[${all}]`)],
    ['claims that are a text', claims((all) => JSON.stringify(all))],
    ['claims that are a form', claims(() => 'sub=ann')],
    ['a token in a token (cty JWT)', (k) => forge({ ...k.app.header, cty: 'JWT' }, k.app.token(k.claims()), k.app.sign)],
    ['no claims in the claims', claims(() => '')],
    ['a NUL behind the claims', claims((all) => `${all}\0`)],
    ['bytes that are no UTF-8', (k) => forge(k.app.header, Buffer.from(JSON.stringify(k.claims()).replace('ann', 'a\xff'), 'latin1'), k.app.sign)],
    ['half a surrogate', claims((all) => all.replace('ann', '\\ud800'))],

    // ---- when it is valid
    ['expired', claims({ exp: 1 }), 'token_expired'],
    ['expired, beyond the leeway', (k) => k.app.token({ ...k.claims(), exp: now() - 3600 }), 'token_expired'],
    ['exp is 0', claims({ exp: 0 }), 'token_expired'],
    ['exp is negative', claims({ exp: -1 }), 'token_expired'],
    ['no exp', claims({ exp: undefined })],
    ...['"99999999999"', 'null', 'true', '[99999999999]', '{}', '1e400', '1e308', '99999999999999999999', '""'].map((exp) => [`exp is ${exp}`, claims((all) => all.replace(/"exp":\d+/, `"exp":${exp}`))]),
    ['nbf in the future', (k) => k.app.token({ ...k.claims(), nbf: now() + 3600 })],
    ['iat in the future', (k) => k.app.token({ ...k.claims(), iat: now() + 3600 })],
    ['nbf is a text', claims({ nbf: '1' })],
    ['iat is a text', claims({ iat: '1' })],

    // ---- whose it is, and for whom
    ...['other', 'HUB', 'hub ', 'hu', 'hub2', ['other'], [], {}, { hub: 1 }, null, 7, [['hub']]].map((aud) => [`aud ${JSON.stringify(aud)}`, claims({ aud })]),
    ['no aud', claims({ aud: undefined })],
    ...['other', 'idp/', 'IDP', 'id', ['idp'], null, 7].map((iss) => [`iss ${JSON.stringify(iss)}`, claims({ iss })]),
    ['no iss', claims({ iss: undefined })],
    ...[7, null, ['ann'], {}, '', 'a\nb', 'a\u0000b', 'a'.repeat(201)].map((sub) => [`sub ${JSON.stringify(sub).slice(0, 20)}`, claims({ sub })]),
    ...[7, [], '', 'a\u001b[2J', 'a'.repeat(201)].map((jti) => [`jti ${JSON.stringify(jti).slice(0, 20)}`, claims({ jti })]),

    // ---- grants of the wrong form
    ...['**', ['**'], 7, true, [{ subscribe: ['**'] }]].map((carillon) => [`carillon is ${JSON.stringify(carillon)}`, grants(carillon)]),
    ...['**', { '**': true }, 7, [7], [['**']], [null], ['a b'], ['**.a'], ['a*'], ['a\u0000'], ['a"'], [''], ['a'.repeat(201)], ['é']]
        .map((subscribe) => [`subscribe is ${JSON.stringify(subscribe).slice(0, 20)}`, grants({ subscribe })]),
    ['one good grant beside a bad one', grants({ subscribe: ['**', 7] })],
    ['501 grants', grants({ publish: Array.from({ length: 501 }, (_, i) => `c${i}`) })],
    ['101 channels', grants({ channels: Array.from({ length: 101 }, (_, i) => `c${i}`) })],
    ['channels that are no patterns', grants({ channels: ['**.a'] })],
    ['200 names of roles', claims({ scope: 'a '.repeat(200) })],
    ['limits is a number', grants({ limits: 7 })],
];

// ---- what a good token may not do ----

const H = 'Host: attack\r\n', T = 'Authorization: Bearer {T}\r\n', FORBIDDEN = '403:forbidden', NOBODY = '401:unauthenticated';
const get = (target, more = T) => `GET ${target} HTTP/1.1\r\n${H}${more}\r\n`;
const send = (method, path, body = '', type = 'application/json') => `${method} ${path} HTTP/1.1\r\n${H}${T}Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const publish = (channel) => ['api', send('POST', `/v1/channels/${channel}/messages`, 'x', 'text/plain')];
const listen = (query, more) => ['public', get(`/sse?channel=${query}`, more)];
const operator = (method, path, body) => ['api', send(method, path, body)];

const READER = { subscribe: ['open.*'] }, WRITER = { publish: ['open.*'] };
const own = (sub, pattern) => ({ sub, carillon: { subscribe: [pattern] } });
export const rights = [
    ['what it grants', { carillon: READER }, listen('open.a'), '200'],
    ['a segment more', { carillon: READER }, listen('open.a.b'), FORBIDDEN],
    ['the pattern without its end', { carillon: READER }, listen('open'), FORBIDDEN],
    ['a name that begins like it', { carillon: READER }, listen('opena.b'), FORBIDDEN],
    ['capitals', { carillon: READER }, listen('OPEN.a'), FORBIDDEN],
    ['an encoded dot is a dot, so a segment more', { carillon: READER }, listen('open.a%2Eb'), FORBIDDEN],
    ['an encoding that is decoded once', { carillon: READER }, listen('open%252Ea'), FORBIDDEN],
    ['a letter that looks like it', { carillon: READER }, listen('%C3%B6pen.a'), '400:bad_channel'],
    ['the pattern itself', { carillon: READER }, listen('open.*'), '200'],
    ['everything', { carillon: READER }, listen('**'), FORBIDDEN],
    ['a pattern that reaches further than the grant', { carillon: READER }, listen('open.**'), FORBIDDEN],
    ['a pattern beside the grant', { carillon: READER }, listen('*.a'), FORBIDDEN],
    ['an encoded star is one', { carillon: READER }, listen('open.%2A'), '200'],
    ['a NUL and another channel', { carillon: READER }, listen(`open.a%00${S}`), '400:bad_channel'],
    ['one that is granted beside one that is not', { carillon: READER }, listen(`open.a&channel=${S}`), FORBIDDEN],
    ['nothing granted at all', {}, listen('open.a'), FORBIDDEN],
    ['an empty list', { carillon: { subscribe: [] } }, listen('open.a'), FORBIDDEN],
    ['a member that is not ours', { carillon: { read: ['**'], Subscribe: ['**'] } }, listen('open.a'), FORBIDDEN],
    ['grants in the claims instead of in carillon', { subscribe: ['**'] }, listen('open.a'), FORBIDDEN],
    ['a role that the settings do not have', { roles: ['admin', '**', 'root'] }, listen('open.a'), FORBIDDEN],
    ['publishing with a grant to subscribe', { carillon: READER }, publish('open.a'), FORBIDDEN],
    ['publishing elsewhere', { carillon: WRITER }, publish(S), FORBIDDEN],
    ['publishing in capitals', { carillon: WRITER }, publish('OPEN.a'), FORBIDDEN],
    ['publishing by a path that climbs', { carillon: WRITER }, publish(`open.a%2F..%2F${S}.b`), FORBIDDEN],
    ['publishing with an encoded dot more', { carillon: WRITER }, publish('open.a%2Eb'), FORBIDDEN],
    ['listening with a grant to publish', { carillon: WRITER }, listen('open.a'), FORBIDDEN],
    ['publishing with a grant to administer', { carillon: { admin: ['**'] } }, publish(S), FORBIDDEN],
    ['publishing with every grant but that', { carillon: { subscribe: ['**'], history: ['**'], presence: ['**'], join: ['**'] } }, publish(S), FORBIDDEN],
    ['one segment for two', { carillon: { publish: ['*'] } }, publish('a%2eb'), FORBIDDEN],
    ['a dot escaped twice is one segment with a percent', { carillon: { publish: ['*'] } }, publish('a%252eb'), '201'],
    ['a star as the channel is none, so all must be granted', { carillon: { publish: ['*'] } }, publish('%2a'), FORBIDDEN],
    ['a star as the channel, and all granted', { carillon: { publish: ['**'] } }, publish('%2a%2a'), '400:bad_channel'],
    ['a role that is known', { role: 'guest writer' }, publish('open.a'), '201'],
    ['a role in other letters', { role: 'Writer' }, publish('open.a'), FORBIDDEN],
    ['a role in another claim', { roles2: 'writer', carillon: { role: 'writer' } }, publish('open.a'), FORBIDDEN],
    ['the own channel grants subscribing only', { sub: 'ann' }, publish('user.ann'), FORBIDDEN],
    ['history with a grant to subscribe', { carillon: READER }, ['api', get('/v1/channels/open.a/messages')], FORBIDDEN],
    ['history elsewhere', { carillon: { history: ['open.*'] } }, ['api', get(`/v1/channels/${S}/messages`)], FORBIDDEN],

    // ---- {user}
    ['a channel of one\'s own', own('ann', 'room.{user}'), listen('room.ann'), '200'],
    ['another\'s', own('ann', 'room.{user}'), listen('room.bob'), FORBIDDEN],
    ['user.{user} without a grant', { sub: 'ann' }, listen('user.ann'), '200'],
    ['another user\'s', { sub: 'ann' }, listen('user.bob'), FORBIDDEN],
    ['a user called **', own('**', 'room.{user}'), listen('room.bob'), FORBIDDEN],
    ['a user called *', own('*', 'room.{user}'), listen('room.bob'), FORBIDDEN],
    ['a user called * has no channel', { sub: '*' }, listen('user.bob'), FORBIDDEN],
    ['a user with a dot, to get beyond his segment', own('bob.x', 'room.{user}.*'), listen('room.bob.x.y'), FORBIDDEN],
    ['a user with a dot, at the end', own('a.b', 'room.{user}'), listen('room.a.b'), '200'],
    ['a user who ends in a pattern', { sub: 'x.**', carillon: { publish: ['{user}'] } }, publish('x.y'), FORBIDDEN],
    ['a user called {user}', own('{user}', 'room.{user}.{user}'), listen('room.ann.ann'), FORBIDDEN],
    ['a user with a space', own('a b', 'room.{user}'), listen('room.a'), FORBIDDEN],
    ['{user} without a user', { sub: undefined, carillon: { subscribe: ['room.{user}'] } }, listen('room.%7Buser%7D'), FORBIDDEN],
    ['?user= does not change who it is', { sub: 'ann' }, listen('user.bob&user=bob'), FORBIDDEN],

    // ---- administration
    ...[['GET', '/v1/channels'], ['GET', '/v1/channels/open.a'], ['GET', '/v1/connections'], ['DELETE', '/v1/connections/1'],
        ['POST', '/v1/connections/c100/channels', '{"add":["x"]}'], ['POST', '/v1/connections/c100/token', '{"token":"{T}"}'],
        ['POST', '/v1/users/bob/channels', '{"add":["x"]}'], ['POST', '/v1/users/bob/disconnect', '{}'], ['POST', '/v1/users/bob/messages', '{"data":1}'], ['GET', '/v1/keys'],
        ['POST', '/v1/keys', '{"name":"mine"}'], ['POST', '/v1/tokens/revoke', '{"user":"bob"}'], ['GET', '/v1/tokens/revocations']]
        .map(([method, path, body]) => [`${method} ${path} without admin`, { carillon: { subscribe: ['**'], history: ['**'] } }, operator(method, path, body), FORBIDDEN]),
    ['one\'s own connection, which is administration too', { carillon: { publish: ['**'], subscribe: ['**'] } }, operator('GET', '/v1/connections/c1'), FORBIDDEN],
    ['admin of some channels is none of the hub', { carillon: { admin: ['open.**'] } }, operator('GET', '/v1/connections'), FORBIDDEN],
    ['admin of some channels, about one of them', { carillon: { admin: ['open.**'] } }, operator('GET', '/v1/channels/open.a'), FORBIDDEN],
    ['admin with {user} and a user called **', { sub: '**', carillon: { admin: ['{user}'] } }, operator('GET', '/v1/connections'), FORBIDDEN],

    // ---- how it is shown
    ['in the query', { carillon: READER }, listen('open.a&token={T}', ''), '200'],
    ['in the query of the API, where it would get into logs', { carillon: WRITER }, ['api', publish('open.a')[1].replace(T, '').replace('/messages', '/messages?token={T}')], NOBODY],
    ['a bad one in the header beside a good cookie', { carillon: READER }, listen('open.a', 'Authorization: Bearer a.b.c\r\nCookie: token={T}\r\n'), '401:bad_token'],
    ['as a cookie', { carillon: READER }, listen('open.a', 'Cookie: token={T}\r\n'), '200'],
    ['as a cookie, asked for by a page of elsewhere', { carillon: READER }, listen('open.a', 'Cookie: token={T}\r\nOrigin: https://evil.example\r\n'), '403:bad_origin'],
    ['as a cookie, asked for by a page without an origin', { carillon: READER }, listen('open.a', 'Cookie: token={T}\r\nOrigin: null\r\n'), '403:bad_origin'],
    ['as a cookie, across sites without Origin', { carillon: READER }, listen('open.a', 'Cookie: token={T}\r\nSec-Fetch-Site: cross-site\r\n'), [NOBODY, FORBIDDEN]],
    ['a cookie of another name', { carillon: READER }, listen('open.a', 'Cookie: xtoken={T}; tokens={T}\r\n'), [NOBODY, FORBIDDEN]],
    ['as Basic', { carillon: READER }, listen('open.a', 'Authorization: Basic {T}\r\n'), ['401:unauthenticated', '401:bad_token']],
];

// On a WebSocket with a token of these claims: [what it is, claims, command, expected type or code].
export const commands = [
    ['subscribing to what is granted', { carillon: READER }, { type: 'subscribe', channels: ['open.a'] }, 'subscribed'],
    ['and to more', { carillon: READER }, { type: 'subscribe', channels: ['open.a', S] }, 'forbidden'],
    ['to the pattern', { carillon: READER }, { type: 'subscribe', channels: ['open.*'] }, 'subscribed'],
    ['to a pattern that reaches further', { carillon: READER }, { type: 'subscribe', channels: ['open.**'] }, 'forbidden'],
    ['to everything', { carillon: READER }, { type: 'subscribe', channels: ['**'] }, 'forbidden'],
    ['to who is in a pattern', { carillon: { ...READER, presence: ['**'] } }, { type: 'subscribe', channels: ['open.*'], presence: true }, 'pattern_not_allowed'],
    ['publishing', { carillon: READER }, { type: 'publish', channel: 'open.a', data: 1 }, 'forbidden'],
    ['publishing elsewhere', { carillon: WRITER }, { type: 'publish', channel: S, data: 1 }, 'forbidden'],
    ['history', { carillon: READER }, { type: 'history', channel: 'open.a' }, 'forbidden'],
    ['another user\'s channel', { sub: 'ann' }, { type: 'subscribe', channels: ['user.bob'] }, 'forbidden'],
    ['other credentials that are none', { sub: 'ann' }, { type: 'auth', token: 'x.y.z' }, 'bad_token'],
    ['a key that nobody has given', { sub: 'ann' }, { type: 'auth', token: `ck_${'0'.repeat(64)}` }, 'unauthenticated'],
    ['credentials that are no text', { sub: 'ann' }, { type: 'auth', token: ['x'] }, 'bad_field'],
    ['credentials of a megabyte', { sub: 'ann' }, { type: 'auth', token: 'x.y.'.repeat(250000) }, 'bad_token'],
    ['a token in a command', {}, { type: 'publish', channel: S, data: 1, token: '{admin}' }, 'forbidden'],
];

// Tokens that are none, and tokens that are asked for more than they grant: tables/tokens.mjs.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from '../e2e/lib/scope.mjs';
import { RawConnection } from '../e2e/lib/raw.mjs';
import { eventually } from '../e2e/lib/wait.mjs';
import { post, request } from '../e2e/lib/http.mjs';
import { KeepAlive } from '../e2e/lib/line.mjs';
import { chosen } from './lib/chosen.mjs';
import { Secret, ed25519, es256, forge, rs256 } from './lib/forge.mjs';
import { RawWs, handshake, text } from './lib/raw_ws.mjs';
import { SMUGGLED, Watch } from './lib/watch.mjs';
import { bad, commands, rights } from './tables/tokens.mjs';

const now = () => Math.floor(Date.now() / 1000);

function makeKeys() {
    const claims = () => ({ sub: 'ann', iss: 'idp', aud: 'hub', exp: now() + 3600, carillon: { subscribe: ['**'], publish: ['**'], history: ['**'] } });
    return {
        claims, app: new Secret(), rsa: rs256('rsa'), ec: es256('ec'), ed: ed25519('ed'), idp: es256('idp'), small: rs256('small', 1024),
        stranger: { rsa: rs256('rsa'), ec: es256('ec'), ed: ed25519('ed') },
    };
}

// Serves the provider's keys, and counts who follows a token to `lure`.
async function provider(scope, k) {
    const seen = { lured: 0 };
    const server = createServer((request_, response) => {
        seen.lured += request_.url !== '/jwks';
        response.end(JSON.stringify({ keys: request_.url === '/jwks' ? [k.idp.jwk, k.small.jwk] : [{ ...k.stranger.ec.jwk, kid: 'theirs' }] }));
    });
    await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    scope.defer(() => { server.closeAllConnections(); return new Promise((resolve) => { server.close(resolve); }); });
    seen.url = (where) => `http://127.0.0.1:${server.address().port}${where}`;
    return seen;
}

async function guarded(scope) {
    const k = makeKeys(), seen = await provider(scope, k), dir = scope.dir(), ini = path.join(dir, 'carillon.ini');
    writeFileSync(ini, `[signers]\n${k.app.line}${[k.rsa, k.ec, k.ed].map((signer) => signer.lineFor(dir)).join('')}
[tokens]\njwks = ${seen.url('/jwks')}\nrefetch = 100ms\nissuer = idp\naudience = hub\nleeway = 5s\n[role "writer"]\npublish = open.**\n`, { mode: 0o600 });
    const hub = await scope.hub({ dev: false, args: ['--config', ini, '--rates.failed_logins_per_address=off'] });      // each of hundreds is looked at
    await eventually(async () => (await request(hub, '/health/ready')).status === 200, 'the keys');
    k.lure = seen.url('/theirs');
    const admin = k.app.token({ ...k.claims(), sub: undefined, carillon: { subscribe: ['**'], publish: ['**'], history: ['**'], presence: ['**'], admin: ['**'] } });
    return { k, hub, seen, admin, watch: await Watch.over(scope, hub, { Authorization: `Bearer ${admin}` }) };
}

// 'STATUS:code', 'STATUS:' without one; a stream does not end.
function answerOn(connection) {
    const unparsed = connection.unparsed.toString('latin1');
    if (unparsed.includes('hub.ready')) return `${unparsed.slice(9, 12)}:`;
    const [answer] = connection.answers;
    if (!answer) return undefined;
    const isDocument = /json/.test(answer.headers['content-type'] ?? '') && answer.body.length > 0;
    return `${answer.status}:${isDocument ? JSON.parse(answer.body).code : ''}`;
}

async function ask(scope, where, bytes) {
    const connection = new RawConnection(where);
    scope.defer(() => connection.close());
    connection.write(Buffer.from(bytes, 'latin1'));
    await connection.waitFor(() => answerOn(connection) || connection.ended, 'an answer');
    const answer = answerOn(connection);
    connection.close();
    return answer ?? connection.state();
}

async function openSocket(scope, hub, token) {
    const socket = new RawWs(hub.public, handshake({ Authorization: `Bearer ${token}` }));
    scope.defer(() => socket.drop());
    return socket.opened();
}

// The close code, and the code that was told before it.
async function refusalOnSocket(scope, hub, token) {
    const socket = await openSocket(scope, hub, token);
    await socket.waitFor(() => socket.ended || socket.closeCode, 'its end');
    socket.drop();
    return `${socket.closeCode}:${socket.json[0]?.code}`;
}

async function askOnSocket(scope, hub, token, command) {
    const socket = await openSocket(scope, hub, token);
    socket.send(text(JSON.stringify({ ...command, ref: 'asked' })));
    const answer = () => socket.json.find(({ ref }) => ref === 'asked');
    await socket.waitFor(() => answer() || socket.ended, 'an answer');
    socket.drop();
    return answer()?.code ?? answer()?.type;
}

scenario('tokens: what is no good token opens no door', async (scope, t) => {
    const { k, hub, seen, watch } = await guarded(scope);
    for (const [what, make, code = 'bad_token'] of chosen(bad)) {
        await t.test(what, async () => {
            const token = make(k), shown = `Host: attack\r\nAuthorization: Bearer ${token}\r\n`;
            const codes = /^eyJ|\..*\./.test(token) ? [code] : [code, 'unauthenticated'];      // what does not look like a token is taken for an API key
            const said = (answer) => assert.ok(codes.some((one) => answer.endsWith(`:${one}`)), `${answer} instead of ${codes}`);
            said(await ask(scope, hub.public, `GET /sse?channel=open.a HTTP/1.1\r\n${shown}\r\n`));
            said(await ask(scope, hub.api, `POST /v1/channels/${SMUGGLED}/messages HTTP/1.1\r\n${shown}Content-Length: 1\r\n\r\nx`));
            const end = await refusalOnSocket(scope, hub, token);
            said(end);
            assert.match(end, /^4101:/);
            await watch.unharmed(what);
        });
    }
    assert.equal(seen.lured, 0, 'nobody goes where a token says');
    for (const signer of [k.app, k.rsa, k.ec, k.ed, k.idp])
        assert.equal(await ask(scope, hub.public, `GET /sse?channel=open.a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${signer.token(k.claims())}\r\n\r\n`), '200:', `a good one of ${signer.kid}`);
    const long = k.app.token({ ...k.claims(), x: 'y'.repeat(11000) });
    assert.match(await ask(scope, hub.api, `GET /v1/channels/open.a/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${long}\r\n\r\n`), /^200:/, 'a good one of 15 KB');
    await watch.over('bad tokens', 24, t);
});

scenario('tokens: a good one cannot be talked into more than it grants', async (scope, t) => {
    const { k, hub, admin, watch } = await guarded(scope);
    const tokenWith = (claims) => k.app.token({ ...k.claims(), carillon: {}, ...claims });
    for (const [what, claims, [port, bytes], expected] of chosen(rights)) {
        await t.test(`${port}: ${what}`, async () => {
            const answer = await ask(scope, hub[port], bytes.replaceAll('{T}', tokenWith(claims)));
            assert.ok([expected].flat().some((one) => (one.includes(':') ? answer === one : answer.startsWith(`${one}:`))), `expected ${expected}, got ${answer}`);
            await watch.unharmed(what);
        });
    }
    for (const [what, claims, command, expected] of chosen(commands)) {
        await t.test(`websocket: ${what}`, async () => {
            assert.equal(await askOnSocket(scope, hub, tokenWith(claims), JSON.parse(JSON.stringify(command).replace('{admin}', admin))), expected);
            await watch.unharmed(what);
        });
    }
    assert.ok(!hub.log.includes(admin.split('.')[2]), 'no token is in the log');
    await watch.over('tokens that want more', 24, t);
});

scenario('tokens: 5,000 of unknown keys, each with another kid, are refused and keep nobody waiting', async (scope, t) => {
    const { k, hub, watch } = await guarded(scope);
    const floods = Array.from({ length: 10 }, (_, i) => {
        const connection = new RawConnection(hub.api);
        scope.defer(() => connection.close());
        for (let n = 0; n < 500; n++)
            connection.write(`GET /v1/channels HTTP/1.1\r\nHost: attack\r\nAuthorization: Bearer ${forge({ alg: 'ES256', kid: `k${i}-${n}` }, k.claims(), Buffer.alloc(64, 1))}\r\n\r\n`);
        return connection;
    });
    await watch.answers();
    for (const connection of floods) assert.ok((await connection.take(500)).every((answer) => answer.status === 401));
    for (const connection of floods) connection.close();
    await watch.over('unknown keys', 24, t);
});

scenario('tokens: 3,000 users on one keep-alive connection leave nothing behind', async (scope, t) => {
    const { k, hub, watch } = await guarded(scope), agent = new KeepAlive();
    scope.defer(() => agent.destroy());
    for (let i = 0; i < 3000; i++) {
        const token = k.app.token({ ...k.claims(), sub: `user-${i}-${'u'.repeat(150)}`, carillon: { publish: ['open.a'] } });
        assert.equal((await post(hub, 'open.a', 'x', { headers: { Authorization: `Bearer ${token}` }, agent })).status, 201);
    }
    agent.destroy();
    await watch.over('users', 16, t);
});

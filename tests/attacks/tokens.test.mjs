// Tokens that are not what they seem: tables/tokens.mjs, at every door of a hub that knows three keys.
import assert from 'node:assert/strict';
import { createHash, createHmac, createSign, generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { scenario } from '../e2e/lib/scope.mjs';
import { post, request } from '../e2e/lib/http.mjs';
import { KeepAlive } from '../e2e/lib/line.mjs';
import { RawConnection } from '../e2e/lib/raw.mjs';
import { chosen } from './lib/chosen.mjs';
import { Watch } from './lib/watch.mjs';
import { forged, rights } from './tables/tokens.mjs';

const SECRET = randomBytes(32).toString('hex'), KEY = `ck_${randomBytes(32).toString('hex')}`;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }), ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }), own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = (pair) => pair.publicKey.export({ type: 'spki', format: 'pem' });

const part = (value) => (Buffer.isBuffer(value) ? value : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))).toString('base64url');
const token = (sign) => (header, claims) => { const text = `${part(header)}.${part(claims)}`; return `${text}.${sign(text).toString('base64url')}`; };
const mac = (secret, header, claims) => token((text) => createHmac('sha256', secret).update(text).digest())(header, claims);
const signer = (pair, dsaEncoding) => token((text) => createSign('sha256').update(text).sign({ key: pair.privateKey, dsaEncoding }));
const ieee = (text) => createSign('sha256').update(text).sign({ key: ec.privateKey, dsaEncoding: 'ieee-p1363' });

const tools = {
    good: { sub: 'ann', aud: 'hub', exp: Math.floor(Date.now() / 1000) + 86400, carillon: { subscribe: ['open'], history: ['open'] } },
    mac, hs: (header, claims) => mac(SECRET, header, claims), rs: signer(rsa), es: signer(ec, 'ieee-p1363'), own: signer(own, 'ieee-p1363'), der: signer(ec, 'der'),
    swapped: token((text) => { const made = ieee(text); return Buffer.concat([made.subarray(32), made.subarray(0, 32)]); }),
    rsPem: pem(rsa), esPem: pem(ec), ownJwk: own.publicKey.export({ format: 'jwk' }),
};

async function guarded(scope) {
    const dir = scope.dir(), ini = path.join(dir, 'carillon.ini');
    writeFileSync(path.join(dir, 'rs.pem'), pem(rsa));
    writeFileSync(path.join(dir, 'es.pem'), pem(ec));
    writeFileSync(ini, `[keys]\nwatch = sha256:${createHash('sha256').update(KEY).digest('hex')}\n[tokens]\naudience = hub\n[role "writer"]\npublish = open.**\n` +
        `[signers]\nhs = HS256 secret:${SECRET}\nrs = RS256 file:${dir}/rs.pem\nes = ES256 file:${dir}/es.pem\n`, { mode: 0o600 });
    const hub = await scope.hub({ dev: false, args: ['--config', ini, '--log.level=debug'] });
    return { hub, watch: await Watch.over(scope, hub, { Authorization: `Bearer ${KEY}` }) };
}

// Somebody whom no token may make the hub ask.
async function trap(scope) {
    const asked = [];
    const server = http.createServer((incoming, answer) => { asked.push(incoming.url); answer.end('{"keys":[]}'); });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => server.close());
    return { asked, origin: `http://127.0.0.1:${server.address().port}` };
}

const bearer = (credential) => ({ Authorization: `Bearer ${credential}` });
const codeOf = (answer) => (answer.status === 200 ? 'in' : answer.json.code);

async function atEveryDoor(scope, hub, credential) {
    const history = await request(hub, '/v1/channels/open/messages', { headers: bearer(credential) });
    const socket = await scope.ws(hub, '/ws?channel=open', { headers: bearer(credential) });
    const frame = await socket.get((f) => f.type === 'subscribed' || f.type === 'error');
    const sse = await scope.sse(hub, `/sse?channel=open&token=${encodeURIComponent(credential)}`);
    if (sse.status !== 200) await sse.end();
    const told = { api: codeOf(history), ws: frame.code ?? 'in', sse: sse.status === 200 ? 'in' : JSON.parse(sse.raw).code };
    if (frame.type === 'error') assert.equal((await socket.end()).code, 4101);
    sse.close();
    socket.terminate();
    return told;
}

scenario('tokens: none that is forged is let in at any door', async (scope, t) => {
    const { asked, origin } = await trap(scope), { hub, watch } = await guarded(scope);
    for (const [what, make, expected] of chosen(forged)) {
        await t.test(what, async () => {
            const credential = make({ ...tools, origin });
            assert.deepEqual(await atEveryDoor(scope, hub, credential), { api: expected, ws: expected, sse: expected });
            if (credential.length > 40) assert.ok(!hub.log.includes(credential.slice(-30)), 'it is in the log');
            await watch.unharmed(what);
        });
    }
    assert.deepEqual(asked, [], 'nobody is asked for keys that a token names');
    await watch.over('forged tokens', 16, t);
});

scenario('tokens: what one does not grant it does not grant in other letters either', async (scope, t) => {
    const { hub, watch } = await guarded(scope);
    for (const [what, claims, ask, expected] of chosen(rights)) {
        await t.test(what, async () => {
            const [method, where] = ask.split(' ');
            const credential = tools.hs({ alg: 'HS256', kid: 'hs' }, { ...tools.good, carillon: {}, ...claims });
            const answer = await request(hub, where, { method, headers: bearer(credential), ...(method === 'POST' && { body: 'x' }) });
            assert.equal(`${answer.status}${answer.status < 400 ? '' : ` ${answer.json.code}`}`, expected, answer.text);
            await watch.unharmed(what);
        });
    }
    await watch.over('rights that are not there', 16, t);
});

scenario('tokens: 5,000 of unknown keys, each with another kid, are refused and keep nobody waiting', async (scope, t) => {
    const { hub, watch } = await guarded(scope);
    const floods = Array.from({ length: 10 }, (_, i) => {
        const connection = new RawConnection(hub.api);
        scope.defer(() => connection.close());
        for (let k = 0; k < 500; k++)
            connection.write(`GET /v1/channels HTTP/1.1\r\nHost: attack\r\nAuthorization: Bearer ${tools.mac('x', { alg: 'HS256', kid: `k${i}-${k}` }, tools.good)}\r\n\r\n`);
        return connection;
    });
    await watch.answers();
    for (const connection of floods) assert.ok((await connection.take(500)).every((answer) => answer.status === 401));
    for (const connection of floods) connection.close();
    await watch.over('unknown keys', 24, t);
});

scenario('tokens: 3,000 users on one keep-alive connection leave nothing behind', async (scope, t) => {
    const { hub, watch } = await guarded(scope), agent = new KeepAlive();
    scope.defer(() => agent.destroy());
    for (let i = 0; i < 3000; i++) {
        const credential = tools.hs({ alg: 'HS256', kid: 'hs' }, { ...tools.good, sub: `user-${i}-${'u'.repeat(150)}`, carillon: { publish: ['open.a'] } });
        assert.equal((await post(hub, 'open.a', 'x', { headers: bearer(credential), agent })).status, 201);
    }
    agent.destroy();
    await watch.over('users', 16, t);
});

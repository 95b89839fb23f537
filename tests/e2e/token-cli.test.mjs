// carillon token new and check: what one makes the hub takes, and another library too; what is wrong with one is said.
import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { exportJWK, jwtVerify } from 'jose';
import { scenario } from './lib/scope.mjs';
import { post, request } from './lib/http.mjs';
import { ALGORITHMS, SECRET, bearer, inSeconds, sign, signer, tokenHub } from './lib/tokens.mjs';

const settings = (scope, text) => {
    const ini = path.join(scope.dir(), 'carillon.ini');
    writeFileSync(ini, text, { mode: 0o600 });
    return ini;
};

scenario('token new makes what the hub takes, with all it was told to grant', async (scope) => {
    const hub = await tokenHub(scope, '[tokens]\nissuer = me\naudience = hub other\n[role "editor"]\npublish = drafts.*\n');
    const made = await scope.carillon(['token', 'new', '--config', hub.ini, '--sub', 'ann', '--exp=10m', '--subscribe', 'a.**', '--subscribe=b', '--publish', 'a.{user}',
        '--channels', 'lobby', '--info', '{"name":"Ann"}', '--limits', 'gold', '--claim', 'role=editor', '--claim', 'n={"x":[1]}']);
    assert.equal(made.code, 0, made.stderr);
    const { payload, protectedHeader } = await jwtVerify(made.stdout.trim(), new TextEncoder().encode(SECRET), { issuer: 'me', audience: 'hub' });
    assert.deepEqual(protectedHeader, { alg: 'HS256', typ: 'JWT', kid: 'app' });
    assert.deepEqual(payload.carillon, { subscribe: ['a.**', 'b'], publish: ['a.{user}'], channels: ['lobby'], info: { name: 'Ann' }, limits: 'gold' });
    assert.deepEqual([payload.sub, payload.role, payload.n, payload.exp - payload.iat], ['ann', 'editor', { x: [1] }, 600]);
    assert.match(payload.jti, /^[0-9a-f]{24}$/);
    const headers = bearer(made.stdout.trim());
    for (const channel of ['a.ann', 'drafts.x']) assert.equal((await post(hub, channel, 'x', { headers })).status, 201, channel);
    assert.equal((await post(hub, 'a.bob', 'x', { headers })).status, 403);
    await (await scope.sse(hub, '/sse?channel=a.b.c&channel=b&channel=lobby&channel=user.ann', { headers })).ready();
});

scenario('with keys of every algorithm, tokens verify in another library', async (scope) => {
    const dir = scope.dir();
    await Promise.all(ALGORITHMS.map(async (alg) => {
        const { secret, publicKey } = await signer(dir, alg);
        const file = secret ?? path.join(dir, alg);
        if (!secret) writeFileSync(file, `${SECRET}\n`);
        const made = await scope.carillon(['token', 'new', '--key', file, '--alg', alg, '--kid', 'k', '--sub=ann']);
        assert.equal(made.code, 0, made.stderr);
        const { payload } = await jwtVerify(made.stdout.trim(), publicKey ?? createSecretKey(Buffer.from(SECRET)), { algorithms: [alg] });
        assert.equal(payload.sub, 'ann');
    }));
});

scenario('token check explains a token and says why it is refused', async (scope) => {
    const ini = settings(scope, `[signers]\napp = HS256 secret:${SECRET}\n[tokens]\naudience = hub\n[role "editor"]\npublish = drafts.{user}.x\n`);
    const claims = { sub: 'a.b', aud: 'hub', scope: 'openid editor', carillon: { subscribe: ['chat.**', 'x.{user}'], publsh: ['y'] } };
    const check = async (input, args = []) => scope.carillon(['token', 'check', '--config', ini, ...args], { input });
    const good = await check(`Bearer ${await sign(claims)}\n`);
    assert.equal(good.code, 0, good.stdout + good.stderr);
    for (const said of [/signed by the key app \(HS256\)/, /sub +"a\.b" +\(the user\)/, /exp +\d+ +\d{4}-\d\d-\d\dT.*in \d+ minutes/, /subscribe +user\.a\.b chat\.\*\* x\.a\.b\n/,
        /role editor: publish drafts\.\{user\}\.x is void/, /no \[role "openid"\]/, /publsh means nothing here; did you mean publish\?/, /\nvalid\n$/]) assert.match(good.stdout, said);
    const cases = [[{ ...claims, exp: inSeconds(-100) }, {}, /refused: the token has expired/], [{ ...claims, aud: 'x' }, {}, /refused: the token is for none of tokens\.audience/],
        [claims, { kid: 'x' }, /keys here: app \(HS256\)[^]*refused: no key here has the token's `kid`/], [claims, { alg: 'HS384' }, /refused: the key with the token's `kid` is for another algorithm/],
        [claims, { key: Buffer.alloc(64, 1) }, /claims, which anybody may have written[^]*refused: the signature is wrong/],
        [{ ...claims, carillon: { subscribe: 'x' } }, {}, /refused: `carillon\.subscribe` is an array of strings/], [{ ...claims, sub: '\u001b[2J' }, {}, /\\u001B\[2J[^]*refused: `sub` is a string/i]];
    for (const [given, how, said] of cases) {
        const refused = await check(await sign(given, how));
        assert.equal(refused.code, 1);
        assert.match(refused.stdout, said);
        assert.doesNotMatch(refused.stdout, /\u001b/, 'nothing in it reaches the terminal');
    }
    const file = path.join(scope.dir(), 'token');
    writeFileSync(file, await sign(claims));
    assert.equal((await scope.carillon(['token', 'check', '--config', ini, `@${file}`])).code, 0);
    assert.equal((await check('rubbish')).code, 1);
});

scenario('a JWK set in a file, PEM files and secrets in files are keys, and check-config reads them all', async (scope) => {
    const dir = scope.dir(), es = await signer(dir, 'ES256', 'es');
    const jwks = path.join(dir, 'jwks.json'), secret = path.join(dir, 'secret');
    const rs = await signer(dir, 'RS256', 'rs');
    writeFileSync(jwks, JSON.stringify({ keys: [{ ...await exportJWK(rs.publicKey), kid: 'rs', alg: 'RS256', use: 'sig' }, { kty: 'oct', k: 'AAAA' }] }));
    writeFileSync(secret, `${SECRET}\n`, { mode: 0o600 });
    const credentials = scope.dir();
    writeFileSync(path.join(credentials, 'token-key'), SECRET, { mode: 0o600 });
    const lines = `${es.line}hs = HS256 file:${secret}\ncr = HS512 credential:token-key\n`;
    const ini = settings(scope, `[signers]\n${lines}[tokens]\njwks = ${jwks}\naudience = hub\n`), env = { CREDENTIALS_DIRECTORY: credentials };
    assert.deepEqual(await scope.carillon(['check-config', ini], { env }), { code: 0, stdout: 'ok\n', stderr: '' });
    const hub = await scope.hub({ dev: false, args: ['--config', ini], env });
    const claims = { aud: 'hub', carillon: { history: ['a'] } };
    for (const token of [await es.sign(claims), await rs.sign(claims), await sign(claims, { kid: 'hs' }), await sign(claims, { kid: 'cr', alg: 'HS512' })])
        assert.equal((await request(hub, '/v1/channels/a/messages', { headers: bearer(token) })).status, 200);
});

scenario('mistakes in keys and roles are told with their place, and no secret is repeated', async (scope) => {
    const dir = scope.dir(), short = 'short-and-secret', es = await signer(dir, 'ES256', 'es');
    const ini = settings(scope, `[signers]
a = HS256 secret:${short}
b = XS256 file:/nowhere
c = ES256 file:/nowhere
d = RS256 file:${es.file}
e = HS256 ${short}
f = ES256 secret:${short}
g = HS512 credential:x
[tokens]
jwks = ${es.file}
`);
    const roles = settings(scope, '[role "editor"]\npublsh = a\nsubscribe = **.a\n[role]\nadmin = **\n');
    const keys = await scope.carillon(['check-config', ini]);
    assert.equal(keys.code, 1);
    for (const said of [/:2: signers\.a: the key is not for HS256, which needs a secret of at least 32 bytes/, /:3: signers\.b: .*one of HS256, .*EdDSA/, /:4: signers\.c: \/nowhere cannot be read/,
        /:5: signers\.d: the key is not for RS256, which needs an RSA key/, /:6: signers\.e: behind the algorithm stands file:PATH/, /:7: signers\.f: a secret is for HS256/,
        /:8: signers\.g: \$CREDENTIALS_DIRECTORY is not set/, /tokens\.jwks: .* is no JSON object/, /8 mistakes/]) assert.match(keys.stderr, said);
    assert.ok(!keys.stderr.includes(short), keys.stderr);
    const told = await scope.carillon(['check-config', roles]);
    for (const said of [/:2: role "editor": publsh is not an operation; did you mean publish\?/, /:3: role "editor": "\*\*\.a" is not a pattern/, /:5: a role has a name/]) assert.match(told.stderr, said);
    const served = await scope.carillon(['serve', '--config', ini, '--public.listen=127.0.0.1:0', '--api.listen=127.0.0.1:0', '--store.dir=']);
    assert.equal(served.code, 1);
    assert.match(served.stderr, /signers\.a: the key is not for HS256/);
});

scenario('what a command line cannot mean is told, with status 2', async (scope) => {
    const cases = [[], ['make'], ['new', '--exp', 'soon'], ['new', '--subscribe', 'a b'], ['new', '--channels', 'a*'], ['new', '--claim', 'sub=x'], ['new', '--claim', 'x'], ['new', '--what'],
        ['new', '--sub'], ['new', 'x'], ['new', '--info', '{'], ['check', 'a', 'b']];
    for (const args of cases) assert.equal((await scope.carillon(['token', ...args])).code, 2, args.join(' '));
    const none = await scope.carillon(['token', 'new', '--sub=ann']);
    assert.deepEqual([none.code, none.stdout], [1, '']);
    assert.match(none.stderr, /there is no key/);
});

// Who may do what with a signed token: every algorithm, every way to carry one, each operation, roles, reload.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, messagesPath, post, problemOf, request } from './lib/http.mjs';
import { eventually } from './lib/wait.mjs';
import { ALGORITHMS, bearer, inSeconds, sign, signer, tokenHub, unsigned } from './lib/tokens.mjs';

const may = (carillon, more = {}) => sign({ sub: 'ann', carillon, ...more });
const reload = async (hub, line = /reloaded/) => {
    const before = hub.log.length;
    hub.run.signal('SIGHUP');
    await hub.run.waitFor(() => line.test(hub.log.slice(before)), `${line} in the log`);
};

scenario('a token of every algorithm lets in whom it names, and a touched one does not', async (scope) => {
    const dir = scope.dir();
    const signers = await Promise.all(ALGORITHMS.map((alg) => signer(dir, alg)));
    const hub = await tokenHub(scope, '', { signers: signers.map((s) => s.line).join('') });
    for (const [i, { sign: signed }] of signers.entries()) {
        const token = await signed({ sub: 'ann', carillon: { subscribe: ['a'] } });
        const socket = await scope.ws(hub, '/ws?channel=a', { headers: bearer(token) });
        assert.equal((await socket.get('welcome')).user, 'ann', ALGORITHMS[i]);
        const [header, claims, signature] = token.split('.');
        const other = signature[10] === 'A' ? 'B' : 'A';
        for (const broken of [`${header}.${claims}.${signature.slice(0, 10)}${other}${signature.slice(11)}`, `${header}.${claims}.`, `${header}.${claims}`,
            `${header}.${Buffer.from('{"sub":"eve"}').toString('base64url')}.${signature}`])
            problemOf(await request(hub.public, '/sse?channel=a', { headers: bearer(broken) }), 401, 'bad_token');
    }
});

scenario('a token is carried by header, query or cookie, and an API key in a header counts more', async (scope) => {
    const hub = await tokenHub(scope);
    const token = await may({ subscribe: ['a'] });
    const ways = [['/ws?channel=a', bearer(token)], ['/ws?channel=a', { 'X-API-Key': token }], [`/ws?channel=a&token=${token}`, {}],
        ['/ws?channel=a', { Cookie: `theme=dark; token=${token}; x=y` }], ['/ws?channel=a&token=', { Cookie: `token=${token}` }]];
    for (const [where, headers] of ways) {
        assert.equal((await (await scope.ws(hub, where, { headers })).get('welcome')).user, 'ann', where);
        await (await scope.sse(hub, where.replace('/ws', '/sse'), { headers })).ready();
    }
    assert.equal((await request(hub, messagesPath('a'), { headers: { Cookie: `token=${await may({ history: ['a'] })}` } })).status, 200, 'on the API too');
    const stale = await may({ subscribe: ['a'] }, { exp: inSeconds(-3600) });
    assert.equal((await (await scope.ws(hub, `/ws?channel=a&token=${stale}`, { headers: bearer(token) })).get('welcome')).user, 'ann', 'the header wins');
    for (const cookie of ['nottoken=x', 'xtoken=y; tokens=z', 'token', '']) problemOf(await request(hub.public, '/sse?channel=a', { headers: { Cookie: cookie } }), 401, 'unauthenticated');
    problemOf(await request(hub.public, '/sse?channel=a', { headers: { Cookie: `token=${stale}` } }), 401, 'token_expired');
    assert.doesNotMatch(hub.log, new RegExp(token.split('.')[2]), 'no token is in the log');
    assert.doesNotMatch(hub.log, new RegExp(stale.split('.')[1]), 'nor one that was refused');
});

scenario('the cookie of another service is nothing to a hub that knows no tokens', async (scope) => {
    const hub = await tokenHub(scope, '[access]\nsubscribe = **\n', { signers: '' });
    await (await scope.sse(hub, '/sse?channel=a', { headers: { Cookie: `token=${await may({})}` } })).ready();
    problemOf(await request(hub.public, '/sse?channel=a', { headers: bearer(await may({})) }), 401, 'bad_token');
});

scenario('each operation needs its own grant, on WebSocket, SSE and the API', async (scope) => {
    const hub = await tokenHub(scope);
    const grants = { subscribe: ['read.**'], publish: ['write.*'], history: ['past'] };
    const headers = bearer(await may(grants));
    const socket = await scope.ws(hub, '/ws', { headers });
    assert.equal((await socket.ask({ type: 'subscribe', channels: ['read.a.b'] })).type, 'subscribed');
    assert.equal((await socket.ask({ type: 'publish', channel: 'write.a', data: 1 })).type, 'ok');
    assert.equal((await socket.ask({ type: 'history', channel: 'past' })).type, 'history');
    for (const command of [{ type: 'subscribe', channels: ['read'] }, { type: 'subscribe', channels: ['read.a', 'write.a'] }, { type: 'publish', channel: 'read.a', data: 1 },
        { type: 'publish', channel: 'write.a.b', data: 1 }, { type: 'history', channel: 'read.a' }, { type: 'subscribe', channels: ['user.bob'] }])
        assert.equal((await socket.ask(command)).code, 'forbidden', JSON.stringify(command));
    assert.equal((await socket.ask({ type: 'subscribe', channels: ['read.%2a', 'read.c'] })).type, 'subscribed', 'an escape is no wildcard');
    await (await scope.sse(hub, '/sse?channel=read.a', { headers })).ready();
    problemOf(await request(hub.public, '/sse?channel=write.a', { headers }), 403, 'forbidden');
    await (await scope.sse(hub, '/sse?channel=read.**', { headers })).ready();
    for (const wider of ['**', '*.a', 'write.*']) problemOf(await request(hub.public, `/sse?channel=${wider}`, { headers }), 403, 'forbidden');
    assert.equal((await post(hub, 'write.a', 'x', { headers })).status, 201);
    apiProblemOf(await post(hub, 'read.a', 'x', { headers }), 403, 'forbidden');
    apiProblemOf(await request(hub, '/v1/channels/write.a%2eb/messages', { method: 'POST', headers, body: 'x' }), 403, 'forbidden');
    assert.equal((await request(hub, messagesPath('past'), { headers })).status, 200);
    apiProblemOf(await request(hub, messagesPath('write.a'), { headers }), 403, 'forbidden');
    apiProblemOf(await request(hub, '/v1/channels', { headers }), 403, 'forbidden');
    assert.equal((await request(hub, '/v1/channels', { headers: bearer(await may({ admin: ['**'] })) })).status, 200);
    apiProblemOf(await request(hub, '/v1/channels', { headers: bearer(await may({ admin: ['a.**'] })) }), 403, 'forbidden');
    assert.equal((await (await scope.ws(hub, '/ws?channel=write.a', { headers })).end()).code, 4103);
});

scenario('{user} is the holder of the token, and reaches no further than it looks', async (scope) => {
    const hub = await tokenHub(scope);
    const grants = { subscribe: ['room.{user}.*', 'inbox-{user}'], publish: ['{user}'] };
    const ask = async (sub, command) => (await (await scope.ws(hub, '/ws', { headers: bearer(await sign({ sub, carillon: grants })) })).ask(command));
    assert.equal((await ask('ann', { type: 'subscribe', channels: ['room.ann.x', 'inbox-ann', 'user.ann'].slice(0, 1) })).type, 'subscribed');
    assert.equal((await ask('ann', { type: 'subscribe', channels: ['inbox-ann'] })).type, 'subscribed');
    assert.equal((await ask('ann', { type: 'publish', channel: 'ann', data: 1 })).type, 'ok');
    assert.equal((await ask('ann', { type: 'subscribe', channels: ['room.bob.x'] })).code, 'forbidden');
    assert.equal((await ask('ann.x', { type: 'subscribe', channels: ['room.ann.x.y'] })).code, 'forbidden', 'a dot in the middle is void');
    assert.equal((await ask('a.b', { type: 'subscribe', channels: ['inbox-a.b'] })).type, 'subscribed', 'at the end it is fine');
    for (const sub of ['*', '**', 'a *', 'ä', '"', '\\']) assert.equal((await ask(sub, { type: 'publish', channel: '{user}', data: 1 })).code, 'forbidden', sub);
    assert.equal((await ask(undefined, { type: 'publish', channel: '{user}', data: 1 })).code, 'forbidden');
});

scenario('who has a token may also do what everybody may', async (scope) => {
    const hub = await tokenHub(scope, '[access]\nsubscribe = news.**\n');
    const headers = bearer(await sign({ sub: 'ann' }));
    await (await scope.sse(hub, '/sse?channel=news.eu', { headers })).ready();
    problemOf(await request(hub.public, '/sse?channel=chat', { headers }), 403, 'forbidden');
});

scenario('claims of an identity provider become grants by roles of the settings', async (scope) => {
    const hub = await tokenHub(scope, `[tokens]
role_claims = roles scope realm_access.roles https://example.com/groups
[role "editor"]
publish = chat.** drafts.{user}
subscribe = chat.**
[role "chat:read"]
subscribe = chat.**
[role "ops"]
admin = **
`);
    const tokens = { array: { roles: ['viewer', 'editor', 7, null] }, scope: { scope: 'openid chat:read' }, nested: { realm_access: { roles: ['ops'] } },
        named: { 'https://example.com/groups': ['editor'] } };
    const headers = Object.fromEntries(await Promise.all(Object.entries(tokens).map(async ([name, claims]) => [name, bearer(await sign({ sub: 'ann', ...claims }))])));
    for (const name of ['array', 'named']) {
        assert.equal((await post(hub, 'chat.a', 'x', { headers: headers[name] })).status, 201);
        assert.equal((await post(hub, 'drafts.ann', 'x', { headers: headers[name] })).status, 201);
        apiProblemOf(await post(hub, 'drafts.bob', 'x', { headers: headers[name] }), 403, 'forbidden');
    }
    await (await scope.sse(hub, '/sse?channel=chat.a', { headers: headers.scope })).ready();
    apiProblemOf(await post(hub, 'chat.a', 'x', { headers: headers.scope }), 403, 'forbidden');
    assert.equal((await request(hub, '/v1/channels', { headers: headers.nested })).status, 200);
    for (const claims of [{ roles: 'edit' }, { roles: { editor: true } }, { roles: [['editor']] }, { realm_access: 'ops' }, { role: 'editor' }])
        apiProblemOf(await post(hub, 'chat.a', 'x', { headers: bearer(await sign(claims)) }), 403, 'forbidden');
});

scenario('what makes a token worthless is told by its code, and a WebSocket is closed with 4101', async (scope) => {
    const hub = await tokenHub(scope, '[tokens]\nissuer = https://id.example.com\naudience = hub chat\nmax_life = 2h\nrequire = exp sub\nmax_bytes = 2KiB\nleeway = 5s\n');
    const good = { sub: 'ann', iss: 'https://id.example.com', aud: 'hub', carillon: { subscribe: ['a'] } };
    await (await scope.sse(hub, '/sse?channel=a', { headers: bearer(await sign(good)) })).ready();
    await (await scope.sse(hub, '/sse?channel=a', { headers: bearer(await sign({ ...good, aud: ['x', 'chat'] })) })).ready();
    const cases = {
        expired: [await sign({ ...good, exp: inSeconds(-60) }), 'token_expired'],
        'not yet valid': [await sign({ ...good, nbf: inSeconds(60) })], 'issued in the future': [await sign({ ...good, iat: inSeconds(60) })],
        'of another issuer': [await sign({ ...good, iss: 'https://evil.example.com' })], 'for another audience': [await sign({ ...good, aud: 'billing' })],
        'without audience': [await sign({ ...good, aud: undefined })], 'without exp': [await sign({ ...good, exp: undefined })], 'without sub': [await sign({ ...good, sub: undefined })],
        'for too long': [await sign({ ...good, exp: inSeconds(3 * 3600) })], 'too large': [await sign({ ...good, x: 'y'.repeat(2000) })],
        'of an unknown key': [await sign(good, { kid: 'other' })], 'of a path as kid': [await sign(good, { kid: '../../../../dev/null' })],
        'of no algorithm': [unsigned({ alg: 'none' }, good)], 'of no algorithm, in other letters': [unsigned({ alg: 'nOnE', kid: 'app' }, good)],
        'of another algorithm than the key': [await sign(good, { alg: 'HS512' })], 'with crit': [unsigned({ alg: 'HS256', kid: 'app', crit: ['exp'], exp: 1 }, good, 'AAAA')],
        'with grants that are no object': [await sign({ ...good, carillon: ['subscribe'] })], 'with a grant that is no array': [await sign({ ...good, carillon: { subscribe: '**' } })],
        'with a grant that is no string': [await sign({ ...good, carillon: { publish: [1] } })], 'with a grant that is no pattern': [await sign({ ...good, carillon: { publish: ['a b'] } })],
        'with a sub that is no string': [await sign({ ...good, sub: 7 })],
    };
    for (const [what, [token, code = 'bad_token']] of Object.entries(cases)) {
        problemOf(await request(hub.public, '/sse?channel=a', { headers: bearer(token) }), 401, code);
        apiProblemOf(await post(hub, 'a', 'x', { headers: bearer(token) }), 401, code);
        const socket = await scope.ws(hub, `/ws?channel=a&token=${token}`);
        assert.deepEqual([(await socket.end()).code, socket.of('error').at(-1)?.code], [4101, code], what);
    }
});

scenario('keys, rules and roles are taken over on SIGHUP, and nobody is dropped', async (scope) => {
    const dir = scope.dir(), [first, second] = await Promise.all([signer(dir, 'ES256', 'one'), signer(dir, 'EdDSA', 'two')]);
    const hub = await tokenHub(scope, '', { signers: first.line });
    const claims = { sub: 'ann', role: 'reader', carillon: { subscribe: ['a'] } };
    const old = await first.sign(claims), fresh = await second.sign(claims);
    const socket = await scope.ws(hub, '/ws?channel=a', { headers: bearer(old) });
    await socket.get('subscribed');
    problemOf(await request(hub.public, '/sse?channel=a', { headers: bearer(fresh) }), 401, 'bad_token');
    hub.rewrite('[role "reader"]\nhistory = a\n', second.line);
    await reload(hub);
    await eventually(async () => (await request(hub, messagesPath('a'), { headers: bearer(fresh) })).status === 200, 'a new key and a new role to be in force');
    apiProblemOf(await request(hub, messagesPath('a'), { headers: bearer(old) }), 401, 'bad_token');
    assert.equal((await socket.ask({ type: 'ping' })).type, 'pong', 'who was let in stays');
    hub.rewrite('', `two = ES256 file:${second.file}\n`);
    await reload(hub, /not reloaded/);
    assert.match(hub.log, /signers\.two: the key is not for ES256, which needs a key on the curve P-256/);
    assert.equal((await request(hub, messagesPath('a'), { headers: bearer(fresh) })).status, 200, 'the keys from before stay');
    assert.equal(socket.closed, null);
});

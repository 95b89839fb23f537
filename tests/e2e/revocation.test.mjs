// Tokens are taken back: who is connected ends at once, who comes is refused, also after kill -9; and they are let in again.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, post, problemOf, request } from './lib/http.mjs';
import { RawConnection } from './lib/raw.mjs';
import { bearer, inSeconds, sign, tokenHub } from './lib/tokens.mjs';

const grants = { subscribe: ['**'], publish: ['**'] };
const tokenOf = (sub, more = {}) => sign({ sub, carillon: grants, iat: inSeconds(-10), ...more });

async function open(scope, options) {
    const hub = await tokenHub(scope, '', options);
    const headers = bearer(await sign({ carillon: { admin: ['**'] }, iat: inSeconds(3) }));      // younger than what is revoked here
    return {
        hub,
        revoke: (body) => request(hub, '/v1/tokens/revoke', { method: 'POST', headers, body }),
        get: (where) => request(hub, where, { headers }),
        remove: (id) => request(hub, `/v1/tokens/revocations/${id}`, { method: 'DELETE', headers }),
    };
}

async function revoked(api, body) {
    const answer = await api.revoke(body);
    assert.equal(answer.status, 201, answer.text);
    return answer.json;
}

const refused = async (hub, token) => {
    problemOf(await request(hub.public, '/sse?channel=a', { headers: bearer(token) }), 401, 'token_revoked');
    apiProblemOf(await post(hub, 'a', 'x', { headers: bearer(token) }), 401, 'token_revoked');
    const socket = await scope_.ws(hub, `/ws?channel=a&token=${token}`);
    assert.equal((await socket.end()).code, 4101);
    assert.ok(socket.frames.some((f) => f.type === 'error' && f.code === 'token_revoked'));
};
const letIn = async (hub, token) => assert.equal((await post(hub, 'a', 'x', { headers: bearer(token) })).status, 201);
let scope_;

scenario('one token is revoked by its jti: its connections end, it is refused, and let in again when that is undone', async (scope) => {
    scope_ = scope;
    const { hub, ...api } = await open(scope, { args: ['--edge.threads=2'] });
    const bad = await tokenOf('ann', { jti: 'bad' }), good = await tokenOf('ann', { jti: 'good' });
    const sockets = [await scope.ws(hub, '/ws?channel=a', { headers: bearer(bad) }), await scope.ws(hub, `/ws?channel=a&token=${bad}`)];
    const stream = await scope.sse(hub, '/sse?channel=a', { headers: bearer(bad) });
    const others = [await scope.ws(hub, '/ws?channel=a', { headers: bearer(good) }), await scope.ws(hub, '/ws?channel=a', { headers: bearer(await tokenOf('bob')) })];
    for (const socket of [...sockets, ...others]) await socket.get('subscribed');
    await stream.ready();
    const { id, created, expires, ...rest } = await revoked(api, { jti: 'bad', reason: 'lost phone' });
    assert.deepEqual(rest, { jti: 'bad', reason: 'lost phone', durable: true });
    assert.ok(Date.parse(expires) - Date.parse(created) >= 90 * 86400e3);
    for (const socket of sockets) assert.deepEqual([(await socket.end()).code, socket.frames.at(-1).code], [4101, 'token_revoked']);
    assert.equal(JSON.parse((await stream.bye()).data).code, 'token_revoked');
    assert.equal(await stream.end(), 'end');
    await refused(hub, bad);
    await letIn(hub, good);
    for (const other of others) assert.equal((await other.ask({ type: 'ping' })).type, 'pong');
    assert.equal((await api.remove(id)).status, 204);
    await letIn(hub, bad);
    apiProblemOf(await api.remove(id), 404, 'not_found');
});

scenario('all tokens of a user are revoked up to now, those made later are let in', async (scope) => {
    scope_ = scope;
    const { hub, ...api } = await open(scope);
    const old = [await tokenOf('ann'), await tokenOf('ann', { jti: 'x' }), await tokenOf('ann', { iat: undefined })];
    const sockets = [];
    for (const token of old) sockets.push(await scope.ws(hub, '/ws?channel=a', { headers: bearer(token) }));
    for (const socket of sockets) await socket.get('subscribed');
    const { id, issued_before } = await revoked(api, { user: 'ann' });
    for (const socket of sockets) assert.equal((await socket.end()).code, 4101);
    for (const token of old) await refused(hub, token);
    await letIn(hub, await tokenOf('ann', { iat: Date.parse(issued_before) / 1000 }));
    await letIn(hub, await tokenOf('bob'));
    const again = await revoked(api, { user: 'ann', issued_before: inSeconds(-3600) });
    assert.equal(again.id, id, 'there is one for each user');
    assert.equal(again.issued_before, issued_before, 'and it only ever takes more back');
});

scenario('all tokens of everybody that were issued before a moment are revoked, keys are not', async (scope) => {
    scope_ = scope;
    const { hub, ...api } = await open(scope);
    const made = (await request(hub, '/v1/keys', { method: 'POST', headers: bearer(await sign({ carillon: { admin: ['**'], publish: ['**'] }, iat: inSeconds(0) })), body: { name: 'k', scopes: ['publish'] } })).json;
    const before = inSeconds(-5);
    const { id } = await revoked(api, { issued_before: new Date(before * 1000).toISOString() });
    await refused(hub, await tokenOf('ann', { iat: before - 1 }));
    await refused(hub, await tokenOf('ann', { iat: undefined }));
    await letIn(hub, await tokenOf('ann', { iat: before }));
    assert.equal((await post(hub, 'a', 'x', { headers: bearer(made.key) })).status, 201);
    await api.remove(id);
    await letIn(hub, await tokenOf('ann', { iat: before - 1 }));
});

for (const sync of ['off', 'batch', 'each']) {
    scenario(`with store.sync=${sync} a revocation holds through kill -9 right behind its answer, and so does its end`, async (scope) => {
        scope_ = scope;
        const { hub, ...api } = await open(scope, { args: [`--store.sync=${sync}`] });
        const again = async () => { await hub.kill9(); await hub.restart(); };
        const tokens = [await tokenOf('ann', { jti: 'a' }), await tokenOf('bob'), await tokenOf('carl', { iat: inSeconds(-7200) }), await tokenOf('dora')];
        const ids = [(await revoked(api, { jti: 'a' })).id];
        await again();
        await refused(hub, tokens[0]);
        ids.push((await revoked(api, { user: 'bob' })).id, (await revoked(api, { issued_before: inSeconds(-3600) })).id);
        await again();
        for (const token of tokens.slice(0, 3)) await refused(hub, token);
        await letIn(hub, tokens[3]);
        for (const id of ids) assert.equal((await api.remove(id)).status, 204);
        await again();
        for (const token of tokens) await letIn(hub, token);
    });
}

// Its head is read and let in; its body comes when the credentials are revoked already.
scenario('a request that is held open over the revocation of its token, or the removal of its key, does nothing', async (scope) => {
    const { hub, ...api } = await open(scope);
    const everything = Object.fromEntries(['subscribe', 'publish', 'history', 'presence', 'join', 'kick', 'admin'].map((operation) => [operation, ['**']]));
    const admin = bearer(await sign({ carillon: everything, iat: inSeconds(3) }));
    const made = (await request(hub, '/v1/keys', { method: 'POST', headers: admin, body: { name: 'k', scopes: ['*'] } })).json;
    const begin = async (path, credential, body) => {
        const held = new RawConnection(hub.api);
        scope.defer(() => held.close());
        held.write(`POST ${path} HTTP/1.1\r\nHost: e2e\r\nAuthorization: Bearer ${credential}\r\nContent-Type: application/json\r\n` +
            `Content-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`);
        assert.equal((await held.take(1))[0].status, 100);
        return { held, finish: async () => (await held.write(body).take(2))[1] };
    };
    const key = '{"name":"mine","scopes":["*"]}', message = '{"data":1}', evil = await tokenOf('evil', { jti: 'evil', carillon: everything });
    const ofToken = [await begin('/v1/keys', evil, key), await begin('/v1/channels/a/messages', evil, message), await begin('/v1/tokens/revoke', evil, '{"user":"bob"}')];
    const ofKey = [await begin('/v1/keys', made.key, key), await begin('/v1/channels/a/messages', made.key, message)];
    const good = await begin('/v1/channels/a/messages', await tokenOf('bob'), message);
    await revoked(api, { jti: 'evil' });
    assert.equal((await request(hub, `/v1/keys/${made.id}`, { method: 'DELETE', headers: admin })).status, 204);
    for (const [requests, code] of [[ofToken, 'token_revoked'], [ofKey, 'key_revoked']])
        for (const { finish } of requests) {
            const answer = await finish();
            assert.deepEqual([answer.status, JSON.parse(answer.body).code], [401, code]);
        }
    assert.equal((await good.finish()).status, 201, 'others are served');
    assert.deepEqual((await api.get('/v1/keys')).json.data, []);
    assert.equal((await api.get('/v1/tokens/revocations')).json.data.length, 1);
});

scenario('revocations are listed page by page, shown, and gone when their tokens have expired', async (scope) => {
    const { hub, ...api } = await open(scope);
    const ids = [];
    for (let i = 0; i < 5; i++) ids.push((await revoked(api, { jti: `t${i}` })).id);
    const seen = [];
    for (let where = '/v1/tokens/revocations?limit=2'; where;) {
        const page = await api.get(where);
        assert.equal(page.status, 200, page.text);
        seen.push(...page.json.data);
        where = /<([^>]*)>; rel="next"/.exec(page.headers.link ?? '')?.[1];
    }
    assert.deepEqual(seen.map((r) => r.id), [...ids].sort());
    assert.deepEqual((await api.get(`/v1/tokens/revocations/${ids[3]}`)).json, seen.find((r) => r.jti === 't3'));
    assert.equal((await revoked(api, { jti: 'until', expires: '2099-01-01T00:00:00Z' })).expires, '2099-01-01T00:00:00Z');
});

scenario('what does not say which tokens is refused, and nothing is revoked', async (scope) => {
    const { hub, ...api } = await open(scope);
    const cases = [{}, { jti: '' }, { jti: 5 }, { jti: ['a'] }, { jti: 'x'.repeat(201) }, { user: '' }, { user: null }, { user: { id: 'a' } }, { user: 'u'.repeat(201) },
        { jti: 'a', user: 'b' }, { jti: 'a', issued_before: 5 }, { issued_before: 'yesterday' }, { issued_before: -1 }, { issued_before: 1.5 }, { issued_before: true },
        { issued_before: inSeconds(3600) }, { issued_before: '2099-01-01T00:00:00Z' }, { jti: 'a', expires: 1 }, { jti: 'a', expires: 'x' }, { jti: 'a', reason: 5 },
        { jti: 'a', reason: 'r'.repeat(201) }, { jti: 'a', expire: 99999999999 }, { user: 'a', users: ['b'] }, { reason: 'all' }, { jti: 'a', expires: 1e30 }];
    for (const body of cases) apiProblemOf(await api.revoke(body), 400, 'bad_field');
    for (const [body, code] of [['', 'bad_field'], ['{', 'bad_json'], ['[]', 'bad_request'], ['null', 'bad_request'], ['{"jti":"\\ud800"}', 'bad_json']])
        apiProblemOf(await api.revoke(body), 400, code);
    assert.deepEqual((await api.get('/v1/tokens/revocations')).json, { data: [], next_cursor: null });
    for (const id of ['x', 'rv_', '..', '%00', 'rv_00000000000000000000000000000000', 'r'.repeat(999)]) apiProblemOf(await api.remove(id), 404, 'not_found');
    const ann = bearer(await tokenOf('ann'));
    apiProblemOf(await request(hub, '/v1/tokens/revoke', { method: 'POST', headers: ann, body: { user: 'bob' } }), 403, 'forbidden');
    apiProblemOf(await request(hub, '/v1/tokens/revoke', { method: 'POST', body: { user: 'bob' } }), 401, 'unauthenticated');
});

scenario('there are at most limits.revocations, and one more says so', async (scope) => {
    const { hub, ...api } = await open(scope, { args: ['--limits.revocations=2'] });
    await revoked(api, { jti: 'a' });
    await revoked(api, { jti: 'b' });
    apiProblemOf(await api.revoke({ jti: 'c' }), 409, 'too_many_revocations');
    await revoked(api, { jti: 'b', reason: 'again' });
});

scenario('a hundred revocations at once end all whom they concern', async (scope) => {
    const { hub, ...api } = await open(scope, { args: ['--edge.threads=2'] });
    const sockets = [];
    for (let i = 0; i < 20; i++) sockets.push(await scope.ws(hub, '/ws?channel=a', { headers: bearer(await tokenOf(`u${i}`, { jti: `t${i}` })) }));
    for (const socket of sockets) await socket.get('subscribed');
    const answers = await Promise.all([...Array(100)].map((_, i) => api.revoke({ jti: `t${i}` })));
    for (const answer of answers) assert.equal(answer.status, 201, answer.text);
    for (const socket of sockets) assert.equal((await socket.end()).code, 4101);
});

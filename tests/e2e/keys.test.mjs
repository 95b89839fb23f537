// API keys made at run time: what they may do and how long, who may make and change which, and that all of it outlives kill -9.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, messagesPath, post, problemOf, request } from './lib/http.mjs';
import { bearer } from './lib/tokens.mjs';
import { eventually } from './lib/wait.mjs';

const DAY_MS = 86400000;
const withKey = (hub, key) => ({
    get: (where) => request(hub, where, { headers: bearer(key) }),
    post: (where, body) => request(hub, where, { method: 'POST', headers: bearer(key), body }),
    delete: (where) => request(hub, where, { method: 'DELETE', headers: bearer(key) }),
    publish: (channel) => post(hub, channel, 'x', { headers: bearer(key) }),
});

// A hub without --dev, and the root key of its file.
async function guarded(scope, { settings = '', ...options } = {}) {
    const told = (await scope.carillon(['key', 'new', '--name', 'root'])).stdout;
    const root = /\bck_[0-9a-f]{64}\b/.exec(told)[0], line = /root = sha256:[0-9a-f]{64}/.exec(told)[0];
    const ini = path.join(scope.dir(), 'carillon.ini');
    const write = (lines) => writeFileSync(ini, `[keys]\n${lines}\n${settings}`, { mode: 0o600 });
    write(line);
    const { args = [], ...rest } = options;
    const hub = await scope.hub({ dev: false, args: ['--config', ini, '--log.level=debug', ...args], ...rest });
    return { hub, root, ...withKey(hub, root), rewrite: write };
}

async function made(api, body) {
    const answer = await api.post('/v1/keys', body);
    assert.equal(answer.status, 201, answer.text);
    return answer.json;
}

scenario('a key is shown once, does what its scopes say, and is listed without its secret', async (scope) => {
    const { hub, ...api } = await guarded(scope);
    const answer = await api.post('/v1/keys', { name: 'ci', scopes: ['publish:ci.*', 'history'], expires_in: '24h', tier: 'gold' });
    assert.equal(answer.status, 201, answer.text);
    assert.equal(answer.headers['cache-control'], 'no-store');
    const { key, id, created, expires, durable, ...rest } = answer.json;
    assert.match(key, /^ck_[0-9a-f]{64}$/);
    assert.match(id, /^key_[0-9a-f]{24}$/);
    assert.deepEqual(rest, { name: 'ci', hint: key.slice(0, 7), scopes: ['publish:ci.*', 'history'], tier: 'gold', last_used: null, old_until: null });
    assert.equal(durable, true);
    assert.equal(Date.parse(expires) - Date.parse(created), DAY_MS);
    const ci = withKey(hub, key);
    assert.equal((await ci.publish('ci.build')).status, 201);
    assert.equal((await ci.get(messagesPath('ci.build'))).status, 200);
    for (const refused of [await ci.publish('ci'), await ci.publish('ci.a.b'), await ci.publish('other'), await ci.get('/v1/channels'), await ci.get('/v1/keys')])
        apiProblemOf(refused, 403, 'forbidden');
    const shown = await api.get(`/v1/keys/${id}`);
    assert.ok(Date.parse(shown.json.last_used) >= Date.parse(created));
    assert.deepEqual(Object.keys(shown.json), ['id', 'name', 'hint', 'scopes', 'tier', 'created', 'expires', 'last_used', 'old_until']);
    const list = await api.get('/v1/keys');
    assert.deepEqual(list.json, { data: [(await api.get(`/v1/keys/${id}`)).json], next_cursor: null });
    for (const text of [shown.text, list.text, hub.log]) assert.ok(!text.includes(key.slice(7)), 'the secret is nowhere but in the first answer');
});

scenario('a key that is taken out of the settings ends whoever is connected with it, and nobody else', async (scope) => {
    const { hub, root, rewrite } = await guarded(scope);
    const told = (await scope.carillon(['key', 'new', '--name', 'late'])).stdout;
    const late = /\bck_[0-9a-f]{64}\b/.exec(told)[0], lateLine = /late = sha256:[0-9a-f]{64}/.exec(told)[0];
    const digest = createHash('sha256').update(root).digest('hex');
    rewrite(`root = sha256:${digest}\n${lateLine}`);
    hub.run.signal('SIGHUP');
    await eventually(async () => (await withKey(hub, late).publish('a')).status === 201, 'the new key to be in force');
    const goes = await scope.ws(hub, '/ws?channel=a', { headers: bearer(late) }), stays = await scope.ws(hub, '/ws?channel=a', { headers: bearer(root) });
    const stream = await scope.sse(hub, '/sse?channel=a', { headers: bearer(late) });
    await Promise.all([goes.get('subscribed'), stays.get('subscribed'), stream.ready()]);
    rewrite(`root = sha256:${digest}`);
    hub.run.signal('SIGHUP');
    assert.equal((await goes.end()).code, 4101);
    assert.equal(goes.frames.find((f) => f.type === 'error').code, 'key_revoked');
    assert.equal(JSON.parse((await stream.bye()).data).code, 'key_revoked');
    apiProblemOf(await withKey(hub, late).publish('a'), 401, 'unauthenticated');
    await withKey(hub, root).publish('a');
    await stays.take(1);
    assert.equal(stays.closed, null);
});

scenario('keys are listed in the order in which they were made, page by page', async (scope) => {
    const { hub, ...api } = await guarded(scope);
    const ids = [];
    for (let i = 0; i < 5; i++) ids.push((await made(api, { name: `k${i}`, scopes: ['history'] })).id);
    const seen = [];
    for (let where = '/v1/keys?limit=2'; where;) {
        const page = await api.get(where);
        seen.push(...page.json.data.map((k) => k.id));
        where = /<([^>]*)>; rel="next"/.exec(page.headers.link ?? '')?.[1];
        assert.equal(where === undefined, page.json.next_cursor === null);
    }
    assert.deepEqual(seen.sort(), ids.sort());
    apiProblemOf(await api.get('/v1/keys?limit=0'), 400, 'bad_field');
});

for (const sync of ['off', 'batch']) {
    scenario(`with store.sync=${sync} keys, their rotation and their removal outlive kill -9 right behind the answer`, async (scope) => {
        const { hub, root, ...api } = await guarded(scope, { args: [`--store.sync=${sync}`] });
        const again = async () => { await hub.kill9(); await hub.restart(); };
        const kept = await made(api, { name: 'kept', scopes: ['*'] });
        await again();
        assert.equal((await withKey(hub, kept.key).publish('a')).status, 201);
        const rotated = (await api.post(`/v1/keys/${kept.id}/rotate`, { overlap: '1h' })).json;
        await again();
        assert.notEqual(rotated.key, kept.key);
        assert.equal(rotated.id, kept.id);
        for (const key of [kept.key, rotated.key]) assert.equal((await withKey(hub, key).publish('a')).status, 201, 'both are valid during the overlap');
        const last = (await api.post(`/v1/keys/${kept.id}/rotate`, { overlap: 0 })).json;
        await again();
        for (const key of [kept.key, rotated.key]) apiProblemOf(await withKey(hub, key).publish('a'), 401, 'unauthenticated');
        assert.equal((await withKey(hub, last.key).publish('a')).status, 201);
        assert.equal((await api.delete(`/v1/keys/${kept.id}`)).status, 204);
        await again();
        apiProblemOf(await withKey(hub, last.key).publish('a'), 401, 'unauthenticated');
        assert.deepEqual((await api.get('/v1/keys')).json.data, []);
        apiProblemOf(await api.get(`/v1/keys/${kept.id}`), 404, 'not_found');
    });
}

scenario('a key that is removed or rotated out ends who is connected with it, and nobody else', async (scope) => {
    const { hub, root, ...api } = await guarded(scope, { args: ['--edge.threads=2'] });
    const one = await made(api, { name: 'one', scopes: ['subscribe', 'publish'] }), two = await made(api, { name: 'two', scopes: ['subscribe'] });
    const open = async (key) => [await scope.ws(hub, '/ws?channel=a', { headers: bearer(key) }), await scope.ws(hub, `/ws?channel=a&token=${key}`),
        await scope.sse(hub, '/sse?channel=a', { headers: bearer(key) })];
    const ended = async ([socket, other, stream], code) => {
        for (const ws of [socket, other]) {
            assert.deepEqual([(await ws.end()).code, ws.frames.at(-1).type, ws.frames.at(-1).code], [4101, 'error', code]);
        }
        assert.equal(JSON.parse((await stream.bye()).data).code, code);
        assert.equal(await stream.end(), 'end');
    };
    const ones = await open(one.key), twos = await open(two.key);
    for (const [ws, , stream] of [ones, twos]) { await ws.get('subscribed'); await stream.ready(); }
    const rotated = (await api.post(`/v1/keys/${one.id}/rotate`, { overlap: '1h' })).json;
    const news = await open(rotated.key);
    assert.equal((await ones[0].ask({ type: 'publish', channel: 'a', data: 1 })).type, 'ok', 'the overlap lets them stay');
    await api.post(`/v1/keys/${one.id}/rotate`, { overlap: '1h' });
    await ended(ones, 'key_revoked');
    assert.equal((await news[0].ask({ type: 'publish', channel: 'a', data: 2 })).type, 'ok', 'who has the secret before the last stays');
    assert.equal((await api.delete(`/v1/keys/${one.id}`)).status, 204);
    await ended(news, 'key_revoked');
    problemOf(await request(hub.public, '/sse?channel=a', { headers: bearer(rotated.key) }), 401, 'unauthenticated');
    await twos[0].ask({ type: 'ping' });
    assert.ok(!twos[2].ended, 'nobody else was touched');
});

scenario('a session of the API that stays open is refused with its key', async (scope) => {
    const { hub, root, ...api } = await guarded(scope);
    const { key, id } = await made(api, { name: 'ci', scopes: ['publish'] });
    const { KeepAlive } = await import('./lib/line.mjs');
    const agent = new KeepAlive();
    scope.defer(() => agent.destroy());
    const send = () => post(hub, 'a', 'x', { headers: bearer(key), agent });
    assert.equal((await send()).status, 201);
    await api.delete(`/v1/keys/${id}`);
    apiProblemOf(await send(), 401, 'unauthenticated');
});

scenario('an expired key says that it is expired', async (scope) => {
    const { hub, root, ...api } = await guarded(scope);
    const { key, id } = await made(api, { name: 'short', scopes: ['publish'], expires_in: 1 });
    const ws = await scope.ws(hub, `/ws?token=${key}`);
    let answer;
    do answer = await withKey(hub, key).publish('a'); while (answer.status === 201);
    apiProblemOf(answer, 401, 'key_expired');
    problemOf(await request(hub.public, '/sse?channel=a', { headers: bearer(key) }), 401, 'key_expired');
    apiProblemOf(await api.post(`/v1/keys/${id}/rotate`, {}), 401, 'key_expired');
    await ws.close();
});

scenario('nobody gives a scope that he does not have, nor takes over or removes a key that may do more', async (scope) => {
    const { hub, root, ...api } = await guarded(scope);
    const narrow = await made(api, { name: 'narrow', scopes: ['admin', 'publish:chat.*', 'subscribe:news.**'] });
    const broad = await made(api, { name: 'broad', scopes: ['*'] });
    const same = await made(api, { name: 'same', scopes: ['publish:chat.one'] });
    const by = withKey(hub, narrow.key);
    for (const scope_ of ['*', 'publish', 'publish:**', 'publish:chat.**', 'publish:chat', 'publish:*.one', 'subscribe:news', 'subscribe:*', 'history:chat.one', 'join', 'presence']) {
        const problem = apiProblemOf(await by.post('/v1/keys', { name: 'x', scopes: ['publish:chat.a', scope_] }), 403, 'forbidden');
        assert.equal(problem.errors[0].field, 'scopes', scope_);
    }
    for (const scopes of [['publish:chat.*'], ['publish:chat.a'], ['subscribe:news.a.*', 'subscribe:news.*'], ['admin']])
        assert.equal((await by.post('/v1/keys', { name: 'y', scopes })).status, 201, scopes);
    apiProblemOf(await by.post(`/v1/keys/${broad.id}/rotate`, { overlap: 0 }), 403, 'forbidden');
    apiProblemOf(await by.delete(`/v1/keys/${broad.id}`), 403, 'forbidden');
    assert.equal((await withKey(hub, broad.key).publish('any')).status, 201, 'it is as it was');
    assert.equal((await by.delete(`/v1/keys/${same.id}`)).status, 204);
    assert.equal((await by.delete(`/v1/keys/${narrow.id}`)).status, 204, 'one may remove oneself');
    apiProblemOf(await by.get('/v1/keys'), 401, 'unauthenticated');
});

scenario('what is no key is refused with all that is wrong', async (scope) => {
    const { hub, root, ...api } = await guarded(scope);
    const cases = [
        [{}, ['name', 'scopes']], [{ name: '', scopes: [] }, ['name', 'scopes']], [{ name: 'a b', scopes: '*' }, ['name', 'scopes']],
        [{ name: 1, scopes: { a: 1 } }, ['name', 'scopes']], [{ name: 'a'.repeat(65), scopes: ['fly'] }, ['name', 'scopes']],
        [{ name: 'a', scopes: [1] }, ['scopes']], [{ name: 'a', scopes: ['publish:'] }, ['scopes']], [{ name: 'a', scopes: ['publish:a*'] }, ['scopes']],
        [{ name: 'a', scopes: ['admin:a'] }, ['scopes']], [{ name: 'a', scopes: Array(101).fill('publish') }, ['scopes']],
        [{ name: 'a', scopes: ['*'], expires_in: '-1s' }, ['expires_in']], [{ name: 'a', scopes: ['*'], expires_in: 0 }, ['expires_in']],
        [{ name: 'a', scopes: ['*'], expires_in: 'soon' }, ['expires_in']], [{ name: 'a', scopes: ['*'], expires_in: [] }, ['expires_in']],
        [{ name: 'a', scopes: ['*'], expires: '2020-01-01T00:00:00Z' }, ['expires']], [{ name: 'a', scopes: ['*'], expires: 'never' }, ['expires']],
        [{ name: 'a', scopes: ['*'], expires: 4102444800, expires_in: '1h' }, ['expires']], [{ name: 'a', scopes: ['*'], tier: 'a b' }, ['tier']],
        [{ name: 'a', scopes: ['*'], expire_in: '1h' }, []],
    ];
    for (const [body, fields] of cases) {
        const problem = apiProblemOf(await api.post('/v1/keys', body), 400, 'bad_field');
        assert.deepEqual((problem.errors ?? []).map((e) => e.field), fields, JSON.stringify(body));
    }
    for (const [body, code] of [['{', 'bad_json'], ['[]', 'bad_request'], ['"x"', 'bad_request'], ['\xff', 'bad_utf8']])
        apiProblemOf(await api.post('/v1/keys', Buffer.from(body, 'latin1')), 400, code);
    for (const id of ['key_', 'x', '..', '%00', '%2e%2e%2f', "'%20OR%201=1", 'k'.repeat(41), 'k'.repeat(5000), 'key_000000000000000000000000', '%ff']) {
        for (const answer of [await api.get(`/v1/keys/${id}`), await api.delete(`/v1/keys/${id}`), await api.post(`/v1/keys/${id}/rotate`, {})])
            apiProblemOf(answer, 404, 'not_found');
    }
    assert.equal((await made(api, { name: 'a', scopes: ['*'], expires: '2100-01-01T00:00:00+01:00' })).expires, '2099-12-31T23:00:00Z');
    assert.equal((await api.get('/v1/keys')).json.data.length, 1, 'nothing else was made');
});

scenario('there are at most limits.keys', async (scope) => {
    const { hub, root, ...api } = await guarded(scope, { args: ['--limits.keys=2'] });
    const first = await made(api, { name: 'a', scopes: ['*'] });
    await made(api, { name: 'b', scopes: ['*'] });
    apiProblemOf(await api.post('/v1/keys', { name: 'c', scopes: ['*'] }), 409, 'too_many_keys');
    await api.delete(`/v1/keys/${first.id}`);
    await made(api, { name: 'c', scopes: ['*'] });
});

scenario('a store that cannot write changes nothing, and says so', { ownEngine: 'a store that cannot write' }, async (scope) => {
    const { hub, root, ...api } = await guarded(scope, { ulimit: '-S -f unlimited' });
    const { key, id } = await made(api, { name: 'a', scopes: ['*'] });
    const files = (most) => execFileSync('prlimit', [`--pid=${hub.pid}`, `--fsize=${most}:`]);
    files(1);
    apiProblemOf(await api.post('/v1/keys', { name: 'b', scopes: ['*'] }), 503, 'store_failed');
    apiProblemOf(await api.delete(`/v1/keys/${id}`), 503, 'store_failed');
    apiProblemOf(await api.post(`/v1/keys/${id}/rotate`, { overlap: 0 }), 503, 'store_failed');
    assert.equal((await withKey(hub, key).get('/v1/channels')).status, 200, 'the key is as it was');
    assert.deepEqual((await api.get('/v1/keys')).json.data.map((k) => k.id), [id]);
    files('unlimited');
    let answer;
    do answer = await api.delete(`/v1/keys/${id}`); while (answer.status === 503);
    assert.equal(answer.status, 204, 'and it can be done later');
    await hub.kill9();
    await hub.restart();
    assert.deepEqual((await api.get('/v1/keys')).json.data, []);
});

scenario('a hub without a store keeps keys as long as it runs, and says that it is not longer', { ownEngine: 'it has no store' }, async (scope) => {
    const { hub, root, ...api } = await guarded(scope, { args: ['--store.dir='] });
    const { key, durable } = await made(api, { name: 'a', scopes: ['*'] });
    assert.equal(durable, false);
    assert.equal((await withKey(hub, key).publish('a')).status, 201);
});

scenario('twenty rotations and removals of one key at once have one outcome', async (scope) => {
    const { hub, root, ...api } = await guarded(scope);
    const { id } = await made(api, { name: 'a', scopes: ['*'] });
    const answers = await Promise.all([...Array(20)].map((_, i) => (i === 10 ? api.delete(`/v1/keys/${id}`) : api.post(`/v1/keys/${id}/rotate`, { overlap: 0 }))));
    assert.equal(answers[10].status, 204);
    for (const answer of answers) {
        assert.ok([200, 204, 404].includes(answer.status), answer.text);
        if (answer.status === 200) apiProblemOf(await withKey(hub, answer.json.key).publish('a'), 401, 'unauthenticated');
    }
    await hub.kill9();
    await hub.restart();
    assert.deepEqual((await api.get('/v1/keys')).json.data, [], 'a rotation does not bring it back');
});

// Who may do what without --dev: API keys, [access] for everybody, and clear refusals.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, messagesPath, post, problemOf, publish, request } from './lib/http.mjs';
import { RawConnection } from './lib/raw.mjs';

async function newKey(scope, name) {
    const { code, stdout, stderr } = await scope.carillon(['key', 'new', '--name', name]);
    assert.equal(code, 0, stderr);
    const told = stdout + stderr;
    const key = /\bck_[0-9a-f]{64}\b/.exec(told)?.[0] ?? assert.fail(`no key in: ${told}`);
    const digest = /\bsha256:[0-9a-f]{64}\b/.exec(told)?.[0] ?? assert.fail(`no line for the configuration in: ${told}`);
    return { key, digest, told };
}

// A hub without --dev whose file has these [keys] lines and [access] settings.
async function guarded(scope, { keys = {}, access = {} } = {}) {
    const ini = path.join(scope.dir(), 'carillon.ini');
    const lines = (entries) => Object.entries(entries).map(([name, value]) => `${name} = ${value}\n`).join('');
    writeFileSync(ini, `[keys]\n${lines(keys)}[access]\n${lines(access)}`);
    return scope.hub({ dev: false, args: ['--config', ini] });
}

const bearer = (key) => ({ Authorization: `Bearer ${key}` });

scenario('without --dev nobody may do anything until the configuration opens it', async (scope) => {
    const hub = await guarded(scope);
    apiProblemOf(await post(hub, 'a', 'x'), 401, 'unauthenticated');
    apiProblemOf(await request(hub, messagesPath('a')), 401, 'unauthenticated');
    apiProblemOf(await request(hub, '/v1/channels'), 401, 'unauthenticated');
    apiProblemOf(await request(hub, '/v1/channels/a'), 401, 'unauthenticated');
    problemOf(await request(hub.public, '/sse?channel=a'), 401, 'unauthenticated');
    assert.match((await post(hub, 'a', 'x')).headers['www-authenticate'], /^Bearer/);
    const socket = await scope.ws(hub, '/ws?channel=a');
    assert.equal((await socket.end()).code, 4101);
    assert.ok([...socket.of('error'), ...socket.of('bye')].some((f) => f.code === 'unauthenticated'));
    for (const where of ['/health/live', '/health/ready', '/metrics']) assert.equal((await request(hub, where)).status, 200, `${where} needs no credentials`);
    assert.equal((await request(hub.public, '/')).status, 404, 'the page is for --dev');
});

scenario('key new makes a key whose line in the configuration lets it publish, read and list', async (scope) => {
    const { key, digest, told } = await newKey(scope, 'backend');
    assert.match(told, new RegExp(`backend = ${digest}`));
    assert.notEqual((await newKey(scope, 'backend')).key, key, 'every key is new');
    const hub = await guarded(scope, { keys: { backend: digest } });
    const { id } = await publish(hub, 'a', 'x', { headers: bearer(key) });
    assert.equal((await post(hub, 'a', 'y', { headers: { 'X-API-Key': key } })).status, 201);
    const kept = await request(hub, messagesPath('a'), { headers: bearer(key) });
    assert.equal(kept.json.data[0].id, id);
    assert.equal((await request(hub, '/v1/channels', { headers: bearer(key) })).status, 200);
    const stream = await scope.sse(hub, '/sse?channel=a', { headers: bearer(key) });
    await stream.ready();
    const socket = await scope.ws(hub, '/ws?channel=a', { headers: { 'X-API-Key': key } });
    assert.equal((await socket.ask({ type: 'publish', channel: 'a', data: 1 })).type, 'ok');
    await (await scope.sse(hub, `/sse?channel=a&token=${key}`)).ready();
    const page = await scope.ws(hub, `/ws?channel=a&token=${key}`);      // a browser cannot set headers
    assert.equal((await page.ask({ type: 'publish', channel: 'a', data: 2 })).type, 'ok');
    problemOf(await request(hub.public, `/sse?channel=a&token=${key}0`), 401, 'unauthenticated');
    assert.doesNotMatch(hub.log, new RegExp(key), 'the key is not in the log');
});

scenario('a wrong key is 401 wherever it is shown, also where nobody needs one', async (scope) => {
    const { key, digest } = await newKey(scope, 'backend');
    const hub = await guarded(scope, { keys: { backend: digest }, access: { subscribe: '**', publish: '**' } });
    const last = key.at(-1) === '0' ? '1' : '0';
    for (const wrong of [key.slice(0, -1) + last, key.slice(0, -1), `${key}0`, key.toUpperCase(), digest, digest.slice(7), 'x']) {
        for (const headers of [bearer(wrong), { 'X-API-Key': wrong }]) {
            apiProblemOf(await post(hub, 'a', 'x', { headers }), 401, 'unauthenticated');
            problemOf(await request(hub.public, '/sse?channel=a', { headers }), 401, 'unauthenticated');
        }
        const socket = await scope.ws(hub, '/ws?channel=a', { headers: bearer(wrong) });
        assert.equal((await socket.end()).code, 4101);
    }
});

scenario('[access] opens operations to everybody by patterns', async (scope) => {
    const hub = await guarded(scope, { access: { subscribe: 'news.** lobby', publish: 'chat.*', history: 'news.*' } });
    for (const open of ['news.eu', 'news.eu.sport', 'lobby']) await (await scope.sse(hub, `/sse?channel=${open}`)).ready();
    for (const closed of ['news', 'lobby.x', 'newsroom.x', 'secret', 'chat.a']) problemOf(await request(hub.public, `/sse?channel=${closed}`), 401, 'unauthenticated');
    problemOf(await request(hub.public, '/sse?channel=lobby&channel=secret'), 401, 'unauthenticated');
    assert.equal((await post(hub, 'chat.a', 'x')).status, 201);
    for (const closed of ['chat', 'chat.a.b', 'news.eu']) apiProblemOf(await post(hub, closed, 'x'), 401, 'unauthenticated');
    assert.equal((await request(hub, messagesPath('news.eu'))).status, 200);
    apiProblemOf(await request(hub, messagesPath('lobby')), 401, 'unauthenticated');
    const socket = await scope.ws(hub, '/ws?channel=lobby');
    await socket.get('subscribed');
    assert.equal((await socket.ask({ type: 'publish', channel: 'chat.a', data: 1 })).type, 'ok');
    for (const command of [{ type: 'publish', channel: 'lobby', data: 1 }, { type: 'subscribe', channels: ['secret'] }, { type: 'history', channel: 'lobby' }]) {
        const error = await socket.ask(command);
        assert.equal(error.type, 'error');
        assert.ok(['unauthenticated', 'forbidden'].includes(error.code), JSON.stringify(error));
    }
    assert.equal((await socket.ask({ type: 'subscribe', channels: ['news.a'] })).type, 'subscribed', 'and it is still connected');
});

scenario('a key may do what its scopes say, and is told forbidden otherwise', async (scope) => {
    const { key, digest } = await newKey(scope, 'orders');
    const hub = await guarded(scope, { keys: { orders: `${digest} publish:orders.** subscribe:orders.* history` } });
    const headers = bearer(key);
    assert.equal((await post(hub, 'orders.eu.42', 'x', { headers })).status, 201);
    apiProblemOf(await post(hub, 'news', 'x', { headers }), 403, 'forbidden');
    apiProblemOf(await post(hub, 'orders', 'x', { headers }), 403, 'forbidden');
    assert.equal((await request(hub, messagesPath('news'), { headers })).status, 200);
    apiProblemOf(await request(hub, '/v1/channels', { headers }), 403, 'forbidden');
    await (await scope.sse(hub, '/sse?channel=orders.eu', { headers })).ready();
    problemOf(await request(hub.public, '/sse?channel=orders.eu&channel=orders.eu.42', { headers }), 403, 'forbidden');
    const refused = await scope.ws(hub, '/ws?channel=news', { headers });
    assert.equal((await refused.end()).code, 4103);
    const socket = await scope.ws(hub, '/ws', { headers });
    assert.equal((await socket.ask({ type: 'publish', channel: 'news', data: 1 })).code, 'forbidden');
    assert.equal((await socket.ask({ type: 'subscribe', channels: ['orders.a', 'news'] })).code, 'forbidden');
    assert.equal((await socket.ask({ type: 'subscribe', channels: ['orders.a'] })).type, 'subscribed');
});

scenario('a refusal comes before the body is read', async (scope) => {
    const hub = await guarded(scope);
    const connection = new RawConnection(hub.api);
    scope.defer(() => connection.close());
    connection.write('POST /v1/channels/a/messages HTTP/1.1\r\nHost: e2e\r\nContent-Type: text/plain\r\nContent-Length: 60000\r\n\r\n');
    assert.equal((await connection.take(1))[0].status, 401);
});

scenario('?user= is believed with --dev only', async (scope) => {
    const dev = await scope.hub();
    assert.equal((await (await scope.ws(dev, '/ws?user=ann')).get('welcome')).user, 'ann');
    const hub = await guarded(scope, { access: { subscribe: '**' } });
    assert.equal((await (await scope.ws(hub, '/ws?user=ann')).get('welcome')).user, null);
});

scenario('pub and sub show a key given by flag or environment', async (scope) => {
    const { key, digest } = await newKey(scope, 'cli');
    const hub = await guarded(scope, { keys: { cli: digest } });
    const first = await scope.carillon(['pub', `--url=${hub.apiUrl('')}`, `--key=${key}`, 'a', 'one']);
    assert.equal(first.code, 0, first.stderr);
    assert.equal((await scope.carillon(['pub', `--url=${hub.apiUrl('')}`, 'a', 'two'], { env: { CARILLON_KEY: key } })).code, 0);
    const sub = await scope.carillon(['sub', `--url=${hub.publicUrl('')}`, 'a', `--since=${first.stdout.trim()}`, '--count=1'], { env: { CARILLON_KEY: key } });
    assert.deepEqual([sub.code, sub.stdout], [0, 'two\n']);
    const without = await scope.carillon(['pub', `--url=${hub.apiUrl('')}`, 'a', 'three']);
    assert.equal(without.code, 1);
    assert.match(without.stderr, /unauthenticated/);
    const subWithout = await scope.carillon(['sub', `--url=${hub.publicUrl('')}`, 'a']);
    assert.equal(subWithout.code, 1);
});

// Several hubs on one Redis: which there are, the channels of all of them, what holds over them together.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, messagesPath, post, publish, request } from './lib/http.mjs';
import { redisSettings } from './lib/redis.mjs';
import { eventually } from './lib/wait.mjs';

const json = async (hub, where, options) => {
    const answer = await request(hub, where, options);
    assert.equal(answer.status, 200, answer.text);
    return answer.json;
};
const names = (answer) => answer.data.map((channel) => channel.channel);
const told = (stream) => stream.messages.map((m) => JSON.parse(m.data)).map((m) => `${m.channel} ${m.data}`);
const isReady = async (hub) => (await request(hub, '/health/ready')).status === 200;
const seesAll = async (hub, n) => (await json(hub, '/v1/nodes')).data.length === n;

// Hubs that behave as one; each sees the others.
async function together(scope, n, options = {}) {
    const { args = [], ...more } = options, engine = await redisSettings();
    const hubs = await Promise.all(Array.from({ length: n }, (_, i) =>
        scope.hub({ memory: true, ...more, args: [...engine, `--redis.node=hub-${i}`, ...args] })));
    for (const hub of hubs) await eventually(() => isReady(hub), 'a hub to reach Redis');
    if (more.dev !== false) for (const hub of hubs) await eventually(() => seesAll(hub, n), 'a hub to see the others');
    return hubs;
}

scenario('GET /v1/nodes lists all hubs on every one; one that stops is gone at once', async (scope) => {
    const hubs = await together(scope, 3);
    await (await scope.sse(hubs[1], '/sse?channel=a&channel=b')).ready();
    await eventually(async () => (await json(hubs[0], '/v1/nodes')).data.some((node) => node.name === 'hub-1' && node.connections === 1 && node.subscriptions === 2),
        'what a hub has to be told');
    for (const [i, hub] of hubs.entries()) {
        const { data } = await json(hub, '/v1/nodes');
        assert.deepEqual(data.map((node) => node.name).sort(), ['hub-0', 'hub-1', 'hub-2']);
        assert.equal(new Set(data.map((node) => node.node)).size, 3);
        const self = data.filter((node) => node.self);
        assert.deepEqual(self.map((node) => node.name), [`hub-${i}`]);
        assert.ok(self[0].api.endsWith(`:${hub.api.port}`) && self[0].public.endsWith(`:${hub.public.port}`), JSON.stringify(self[0]));
        assert.ok(Math.abs(Date.parse(self[0].since) - Date.now()) < 600000 && self[0].age_ms < 60000 && self[0].version);
    }
    hubs[2].run.signal('SIGTERM');
    await hubs[2].run.end();
    await eventually(() => seesAll(hubs[0], 2), 'the hub that stopped to be gone');
});

scenario('a hub without Redis lists itself', { ownEngine: 'it is alone' }, async (scope) => {
    const hub = await scope.hub();
    await (await scope.sse(hub, '/sse?channel=a')).ready();
    await eventually(async () => (await json(hub, '/v1/nodes')).data[0].connections === 1, 'the connection to be counted');
    const { data } = await json(hub, '/v1/nodes');
    assert.deepEqual(data.map((node) => [node.self, node.subscriptions]), [[true, 1]]);
    assert.ok(data[0].name && /^[0-9a-f]{16}$/.test(data[0].node) && data[0].api.endsWith(`:${hub.api.port}`));
});

scenario('GET /v1/channels is the same on every hub: subscribers summed, what is kept, in pages', async (scope) => {
    const [a, b, c] = await together(scope, 3);
    await (await scope.sse(a, '/sse?channel=both&channel=only.a')).ready();
    await (await scope.sse(b, '/sse?channel=both&channel=only.b')).ready();
    await (await scope.sse(b, '/sse?channel=both&channel=kept.*')).ready();
    const first = await publish(c, 'kept.1', 'hello');
    await publish(a, 'kept.2', 'hello');
    for (const hub of [a, b, c]) {
        const all = await json(hub, '/v1/channels');
        assert.deepEqual(all.data.map((one) => [one.channel, one.subscribers, one.messages]),
            [['both', 3, 0], ['kept.1', 1, 1], ['kept.2', 1, 1], ['only.a', 1, 0], ['only.b', 1, 0]]);
        assert.equal(all.missing, undefined);
        assert.deepEqual(all.data.map((one) => one.position !== null), [false, true, true, false, false]);
        assert.deepEqual(names(await json(hub, '/v1/channels?prefix=only.')), ['only.a', 'only.b']);
        const one = await json(hub, '/v1/channels/kept.1');
        assert.deepEqual([one.subscribers, one.messages, one.position, one.resumable, one.rule], [1, 1, first.id, true, null]);
        apiProblemOf(await request(hub, '/v1/channels/nobody'), 404, 'not_found');
    }
    const seen = [];
    for (let cursor = '', n = 0; cursor !== null; n++) {
        const page = await json([a, b, c][n % 3], `/v1/channels?limit=2${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
        assert.ok(page.data.length <= 2);
        seen.push(...names(page));
        cursor = page.next_cursor;
    }
    assert.deepEqual(seen, ['both', 'kept.1', 'kept.2', 'only.a', 'only.b']);
    assert.equal((await request(b, messagesPath('kept.1'), { method: 'DELETE' })).status, 200);
    assert.deepEqual(names(await json(a, '/v1/channels?prefix=kept')), ['kept.2']);
});

scenario('a hub that hangs is named in lists, which have what the others know', async (scope) => {
    const [a, b] = await together(scope, 2);
    await (await scope.sse(a, '/sse?channel=x')).ready();
    const hung = (await json(b, '/v1/nodes')).data.find((node) => node.self).node;
    b.run.signal('SIGSTOP');
    try {
        const [one, sent] = await Promise.all([json(a, '/v1/channels/x'), request(a, '/v1/messages', { method: 'POST', body: [{ pattern: 'y', data: 1 }] })]);
        assert.deepEqual([one.subscribers, one.missing], [1, { count: 1, nodes: [hung] }]);
        assert.deepEqual((({ channels, missing }) => [channels, missing])(sent.json.results[0]), [0, { count: 1 }]);
    } finally {
        b.run.signal('SIGCONT');
    }
});

scenario('a publish to a pattern reaches the channels of all hubs, each once', async (scope) => {
    const [a, b] = await together(scope, 2);
    const there = await scope.sse(b, '/sse?channel=o.there&channel=o.both'), here = await scope.sse(a, '/sse?channel=o.here&channel=o.both&channel=x');
    await there.ready();
    await here.ready();
    await publish(b, 'o.kept', 'before');
    await publish(b, 'o.both', 'before');
    const answer = await request(a, '/v1/messages', { method: 'POST', body: [{ pattern: 'o.*', data: 'all' }] });
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual((({ channels, successful, failed }) => [channels, successful, failed])(answer.json.results[0]), [4, 4, 0]);
    for (const [stream, n] of [[there, 3], [here, 3]]) await stream.take(n);
    assert.deepEqual(told(there).sort(), ['o.both all', 'o.both before', 'o.there all']);
    assert.deepEqual(told(here).sort(), ['o.both all', 'o.both before', 'o.here all']);
    assert.deepEqual((await json(b, messagesPath('o.kept'))).data.map((m) => m.data), ['before', 'all']);
});

scenario('one idempotency key on two hubs at once is one message, and both are told the same', async (scope) => {
    const [a, b] = await together(scope, 2);
    for (let round = 0; round < 20; round++) {
        const headers = { 'Idempotency-Key': `k${round}`, 'Content-Type': 'text/plain' };
        const answers = await Promise.all([a, b, a, b].map((hub) => post(hub, `pay.${round}`, 'once', { headers })));
        assert.deepEqual(answers.map((answer) => answer.status), [201, 201, 201, 201]);
        assert.equal(new Set(answers.map((answer) => `${answer.json.id} ${answer.json.time}`)).size, 1);
        assert.equal(answers.filter((answer) => answer.headers['idempotency-replay'] === 'true').length, 3);
        assert.equal((await json(b, messagesPath(`pay.${round}`))).data.length, 1);
    }
});

scenario('limits of rate hold over all hubs: what one has let through the other refuses', async (scope) => {
    const ini = path.join(scope.dir(), 'carillon.ini'), key = `ck_${randomBytes(32).toString('hex')}`;
    writeFileSync(ini, `[public]\ntrusted_proxies = 127.0.0.1\n[api]\ntrusted_proxies = 127.0.0.1\n[access]\nsubscribe = **\npublish = **\n` +
        `[rates]\npublishes_per_address = 1/1h burst 8\nfailed_logins_per_address = 1/1h burst 8\n[keys]\nshop = sha256:${createHash('sha256').update(key).digest('hex')}\n`);
    const [a, b] = await together(scope, 2, { dev: false, args: ['--config', ini] });
    const from = (address, headers = {}) => ({ headers: { 'X-Forwarded-For': address, ...headers } });
    for (let left = 7; left >= 0; left--) {
        const answer = await post(a, 'c', 'x', from('203.0.113.1'));
        assert.deepEqual([answer.status, answer.headers['x-ratelimit-remaining'], answer.headers['x-ratelimit-limit']], [201, `${left}`, '8']);
    }
    assert.equal((await post(a, 'c', 'x', from('203.0.113.1'))).status, 429);
    let let_in = 0;      // until it has heard: an eighth, and what was on its way
    await eventually(async () => {
        const answer = await post(b, 'c', 'x', from('203.0.113.1'));
        let_in += answer.status === 201;
        return answer.status === 429;
    }, 'the other hub to refuse');
    assert.ok(let_in <= 8, `${let_in}`);
    assert.equal((await post(b, 'c', 'x', from('203.0.113.2'))).status, 201, 'another address');

    const wrong = (hub) => request(hub, '/v1/channels', from('203.0.113.9', { Authorization: `Bearer ck_${randomBytes(32).toString('hex')}` }));
    for (let i = 0; i < 8; i++) assert.equal((await wrong(a)).status, 401);
    await eventually(async () => (await wrong(b)).status === 429, 'the other hub to look at no more credentials from there');
    const good = await request(b, '/v1/channels', from('203.0.113.9', { Authorization: `Bearer ${key}` }));
    assert.equal(apiProblemOf(good, 429, 'rate_limited').limit, 'failed_logins_per_address');
});

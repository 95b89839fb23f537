// Connections over several hubs: listed, shown, closed, subscribed and given new credentials through whichever hub is asked; a hub that does
// not answer is named.
import assert from 'node:assert/strict';
import { Chance } from './lib/chance.mjs';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, request } from './lib/http.mjs';
import { nodes } from './lib/nodes.mjs';
import { bearer, inSeconds, sign } from './lib/tokens.mjs';
import { eventually } from './lib/wait.mjs';

const admin = async () => bearer(await sign({ carillon: { admin: ['**'] } }));
const tokenOf = (sub, more = {}) => sign({ sub, carillon: { subscribe: ['**'] }, ...more });

// Three hubs with two connections of ann and one of bob each; `ids` of ann's by hub.
async function crowd(scope, count = 3) {
    const { hubs, redis } = await nodes(scope, count), headers = await admin();
    const sockets = [], ids = [];
    for (const hub of hubs) {
        const own = [];
        for (const sub of ['ann', 'ann', 'bob']) {
            const socket = await scope.ws(hub, '/ws?channel=news', { headers: bearer(await tokenOf(sub)) });
            own.push({ sub, hub, socket, id: (await socket.get('welcome')).connection });
            await socket.get('subscribed');
        }
        sockets.push(...own);
        ids.push(own.filter(({ sub }) => sub === 'ann').map(({ id }) => id));
    }
    const ask = (hub, where, options = {}) => request(hub, where, { headers, ...options });
    const post = (hub, where, body) => ask(hub, where, { method: 'POST', body });
    return { hubs, redis, sockets, ids, ask, post };
}

scenario('any hub lists the connections of all, page by page and each once, and says which hub has it', async (scope) => {
    const { hubs: [a, b, c], sockets, ids, ask } = await crowd(scope);
    const nodesOf = new Map((await ask(a, '/v1/nodes')).json.data.map(({ node, self }) => [node, self]));
    for (const hub of [a, b, c]) {
        const { json } = await ask(hub, '/v1/connections');
        assert.deepEqual(json.data.map(({ id }) => id).sort(), sockets.map(({ id }) => id).sort());
        assert.equal(json.missing, undefined);
        assert.equal(new Set(json.data.map(({ node }) => node)).size, 3);
        for (const { id, node } of json.data) assert.ok(id.endsWith(`-${node.replace(/^0+/, '')}`), `${id} is on ${node}`);
        for (const limit of [1, 2, 4]) {
            const seen = [];
            for (let cursor = ''; cursor !== null;) {
                const page = (await ask(hub, `/v1/connections?limit=${limit}${cursor && `&cursor=${cursor}`}`)).json;
                assert.ok(page.data.length <= limit && page.data.length > 0);
                seen.push(...page.data.map(({ id }) => id));
                cursor = page.next_cursor;
            }
            assert.deepEqual(seen, json.data.map(({ id }) => id));
        }
    }
    const anns = (await ask(b, '/v1/connections?user=ann')).json.data;
    assert.deepEqual(anns.map(({ id }) => id).sort(), ids.flat().sort());
    for (const hub of [a, b, c]) assert.equal((await ask(hub, `/v1/connections/${ids[2][0]}`)).json.user, 'ann');
    assert.ok([...nodesOf.values()].includes(true));
    for (const id of ['c1-1', ids[0][0].split('-')[0], `cffffff01-${ids[0][0].split('-')[1]}`]) apiProblemOf(await ask(b, `/v1/connections/${id}`), 404, 'not_found');
});

scenario('through any hub a connection is closed, subscribed and renewed, and all those of a user, wherever they are', async (scope) => {
    const { hubs: [a, b, c], sockets, ids, ask, post } = await crowd(scope);
    const at = (id) => sockets.find((s) => s.id === id).socket, bobs = sockets.filter(({ sub }) => sub === 'bob');
    assert.equal((await ask(a, `/v1/connections/${ids[2][0]}?code=4111&reason=so`, { method: 'DELETE' })).status, 204);
    assert.equal((await at(ids[2][0]).end()).code, 4111);
    apiProblemOf(await ask(b, `/v1/connections/${ids[2][0]}`, { method: 'DELETE' }), 404, 'not_found');

    const added = await post(c, `/v1/connections/${ids[0][0]}/channels`, { add: ['extra', 'more.*'], remove: ['news'] });
    assert.deepEqual(added.json, { connections: 1, refused: [], refused_count: 0 });
    const shown = (await ask(b, `/v1/connections/${ids[0][0]}`)).json;
    assert.deepEqual(shown.channels.sort(), ['extra', 'more.*', 'user.ann']);
    const all = await post(b, '/v1/users/ann/channels', { add: ['all'] });
    assert.deepEqual(all.json, { connections: 5, refused: [], refused_count: 0 });

    const { expires } = (await ask(c, `/v1/connections/${ids[1][0]}`)).json;
    const renewed = await post(a, `/v1/connections/${ids[1][0]}/token`, { token: await tokenOf('ann', { exp: inSeconds(1800) }) });
    assert.equal(renewed.status, 200, renewed.text);
    assert.ok(Date.parse(renewed.json.expires) < Date.parse(expires));
    assert.equal((await ask(c, `/v1/connections/${ids[1][0]}`)).json.expires, renewed.json.expires);
    apiProblemOf(await post(a, `/v1/connections/${ids[1][0]}/token`, { token: await tokenOf('bob') }), 403, 'forbidden');

    assert.deepEqual((await post(a, '/v1/users/ann/disconnect', { code: 4123 })).json, { connections: 5 });
    for (const { sub, socket, id } of sockets)
        if (sub === 'ann' && id !== ids[2][0]) assert.equal((await socket.end()).code, 4123);
    for (const { socket } of bobs) assert.equal((await socket.ask({ type: 'ping' })).type, 'pong');
});

scenario('a hub that does not answer is named, and what it has cannot be asked; while Redis is away each does its own', async (scope) => {
    const { hubs: [a, b], redis, ids, ask, post } = await crowd(scope, 2);
    const silent = (await ask(b, '/v1/nodes')).json.data.find(({ self }) => self).node;
    process.kill(b.pid, 'SIGSTOP');
    const [listed, shown] = await Promise.all([ask(a, '/v1/connections'), ask(a, `/v1/connections/${ids[1][0]}`)]);
    process.kill(b.pid, 'SIGCONT');
    assert.equal(listed.json.data.length, 3);
    assert.deepEqual(listed.json.missing, { count: 1, nodes: [silent] });
    apiProblemOf(shown, 503, 'node_silent');
    await eventually(async () => (await ask(a, '/v1/connections')).json.data.length === 6, 'all to answer again');

    await redis.kill9();
    await eventually(async () => (await request(a, '/health/ready')).status === 503, 'a hub that knows');
    apiProblemOf(await ask(a, `/v1/connections/${ids[1][0]}`), 503, 'redis_away');
    assert.equal((await ask(a, `/v1/connections/${ids[0][0]}`)).json.user, 'ann');
    assert.deepEqual((await post(a, '/v1/users/ann/disconnect', {})).json, { connections: 2, missing: { count: 1, nodes: [silent] } });
});

scenario('whatever is published where nodes ask each other, no hub does anything else than it should', async (scope) => {
    const { hubs: [a, b], redis, ask } = await crowd(scope, 2), chance = new Chance(7);
    const number = (value, bytes) => { const b = Buffer.alloc(bytes); b.writeUIntLE(value, 0, Math.min(bytes, 6)); return b; };
    const long = (text) => Buffer.concat([number(text.length, 4), Buffer.from(text)]);
    const question = (kind, { id = 0, limit = 100, user = 'nobody' } = {}) => Buffer.concat([Buffer.from([1, kind]), number(id, 8), number(0, 8), number(0, 8), number(limit, 4),
        number(0, 4), number(4100, 4), long(user), long(''), long('why'), long('no.credential.this'), number(1, 4), Buffer.from('\x01c'), number(0, 4)]);
    const bodies = [];
    for (let kind = 0; kind < 7; kind++) {
        const whole = question(kind, { id: kind % 2 ? 0xffff01 : 0 });
        for (let n = 0; n <= whole.length; n += 3) bodies.push(whole.subarray(0, n));
        for (let i = 0; i < 40; i++) {
            const bent = Buffer.from(whole);
            for (let k = 0; k < 3; k++) bent[2 + chance.below(36)] = chance.below(256);
            bodies.push(bent);
        }
    }
    const words = bodies.map((body) => ['PUBLISH', 'carillon:{0}:words', Buffer.concat([Buffer.from('AQ'), number(4711, 8), number(1, 8), Buffer.from('bE'), body])]);
    await redis.sendAll(words);
    for (const hub of [a, b]) assert.equal((await ask(hub, '/v1/connections')).json.data.length, 6);
});

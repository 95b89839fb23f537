// Publishes that are safe to retry: Idempotency-Key and If-Position, also over kill -9 and restarts.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { KeepAlive } from './lib/line.mjs';
import { apiProblemOf, kept, post, publish, request } from './lib/http.mjs';

const TEXT = { 'Content-Type': 'text/plain' };
const ROOMY = ['--history.size=1000000', '--history.bytes=1GiB', '--history.ttl=1h'];
const keyed = (hub, channel, key, data, options = {}) => post(hub, channel, data, { ...options, headers: { ...TEXT, 'Idempotency-Key': key } });

scenario('a retry gets the bytes of the first answer and publishes nothing, also after kill -9 and after a restart', async (scope) => {
    const hub = await scope.hub({ args: ROOMY });
    const reader = await scope.sse(hub, '/sse?channel=a');
    await reader.ready();
    const first = await keyed(hub, 'a', 'k1', 'x');
    assert.equal(first.status, 201);
    assert.equal(first.headers['idempotency-replay'], undefined);
    assert.equal(first.json.subscribers, 1);
    for (const again of [async () => {}, () => hub.kill9().then(() => hub.restart()), () => hub.terminate().then(() => hub.restart())]) {
        await again();
        const replay = await keyed(hub, 'a', 'k1', 'x');
        assert.equal(replay.status, 201);
        assert.equal(replay.text, first.text);
        assert.equal(replay.headers['idempotency-replay'], 'true');
    }
    assert.deepEqual(await kept(hub, 'a'), ['x']);
});

scenario('another body with the same key is 422, another channel or another key is another publish', async (scope) => {
    const hub = await scope.hub();
    assert.equal((await keyed(hub, 'a', 'k', 'x')).status, 201);
    apiProblemOf(await keyed(hub, 'a', 'k', 'y'), 422, 'idempotency_mismatch');
    apiProblemOf(await keyed(hub, 'a', 'k', 'x', { query: '?event=e' }), 422, 'idempotency_mismatch');
    for (const [channel, key] of [['b', 'k'], ['a', 'K']]) {
        const answer = await keyed(hub, channel, key, 'x');
        assert.equal(answer.status, 201);
        assert.equal(answer.headers['idempotency-replay'], undefined);
    }
    assert.deepEqual(await kept(hub, 'a'), ['x', 'x']);
});

scenario('keys of every wrong kind are refused by name', async (scope) => {
    const hub = await scope.hub();
    for (const key of ['', 'k'.repeat(256), 'é', 'a\tb', ['a', 'b'], ['a', 'a']]) {
        const problem = apiProblemOf(await keyed(hub, 'a', key, 'x'), 400, 'bad_idempotency_key');
        assert.equal(problem.errors[0].field, 'Idempotency-Key');
    }
    assert.equal((await keyed(hub, 'a', 'k'.repeat(255), 'x')).status, 201);
    const keys = await request(hub, '/v1/keys', { method: 'POST', body: { name: 'n', scopes: ['publish:a'] }, headers: { 'Idempotency-Key': 'k' } });
    apiProblemOf(keys, 400, 'bad_idempotency_key');
});

scenario('1,000 requests with one key at once publish one message; the others are told to wait or get its answer', async (scope) => {
    const hub = await scope.hub({ args: ROOMY });
    const agents = Array.from({ length: 20 }, () => new KeepAlive());
    scope.defer(() => agents.forEach((agent) => agent.destroy()));
    const answers = (await Promise.all(agents.map(async (agent) => {
        const mine = [];
        for (let i = 0; i < 50; i++) mine.push(await keyed(hub, 'a', 'one', 'x', { agent }));
        return mine;
    }))).flat();
    for (const answer of answers.filter(({ status }) => status !== 201)) apiProblemOf(answer, 409, 'idempotency_in_progress');
    const done = answers.filter(({ status }) => status === 201);
    assert.equal(new Set(done.map(({ text }) => text)).size, 1);
    assert.equal(done.filter(({ headers }) => !headers['idempotency-replay']).length, 1);
    assert.deepEqual(await kept(hub, 'a'), ['x']);
});

scenario('publishers that retry through kill -9 until they hear an answer: each message is there once', async (scope) => {
    const hub = await scope.hub({ args: ROOMY });
    const COUNT = 400, WRITERS = 8;
    const ids = new Map();
    let done = 0;
    async function writer(w) {
        for (let n = 0; n < COUNT; n++) {
            for (let answer; ;) {
                answer = await keyed(hub, 'a', `${w}-${n}`, `${w} ${n}`).catch(() => null);
                if (answer?.status === 201) {
                    ids.set(`${w} ${n}`, answer.json.id);
                    break;
                }
                if (answer) assert.ok([409, 503].includes(answer.status), answer.text);
                await hub.up;
            }
            done++;
        }
    }
    const writers = Array.from({ length: WRITERS }, (_, w) => writer(w));
    for (const share of [0.25, 0.5, 0.75]) {
        while (done < share * COUNT * WRITERS) await keyed(hub, 'other', `${done}`, 'x');
        await hub.kill9();
        hub.up = hub.restart();
        await hub.up;
    }
    await Promise.all(writers);
    const texts = await kept(hub, 'a');
    assert.equal(texts.length, COUNT * WRITERS);
    assert.equal(new Set(texts).size, COUNT * WRITERS);
    assert.equal(new Set(ids.values()).size, COUNT * WRITERS);
    for (let w = 0; w < WRITERS; w++) {      // a retry of each long after: nothing new
        const replay = await keyed(hub, 'a', `${w}-7`, `${w} 7`);
        assert.equal(replay.headers['idempotency-replay'], 'true');
        assert.equal(replay.json.id, ids.get(`${w} 7`));
    }
});

scenario('beyond publish.idempotency_keys the oldest is forgotten, and metrics say so', { ownEngine: 'on Redis their time bounds them' }, async (scope) => {
    const hub = await scope.hub({ args: ['--publish.idempotency_keys=3'] });
    for (const key of ['a', 'b', 'c', 'd']) await keyed(hub, 'a', key, 'x');
    assert.equal((await keyed(hub, 'a', 'd', 'x')).headers['idempotency-replay'], 'true');
    assert.equal((await keyed(hub, 'a', 'a', 'x')).headers['idempotency-replay'], undefined);
    const metrics = (await request(hub, '/metrics')).text;
    assert.match(metrics, /^carillon_idempotency_keys 3$/m);
    assert.match(metrics, /^carillon_idempotency_keys_forgotten_total 2$/m);
    assert.match(metrics, /^carillon_idempotent_replays_total 1$/m);
});

scenario('If-Position publishes only onto the newest message; of many who saw the same one, one wins', async (scope) => {
    const hub = await scope.hub({ args: ROOMY });
    const after = (position, data = 'x') => post(hub, 'a', data, { headers: { ...TEXT, 'If-Position': position } });
    const none = await after('none');
    assert.equal(none.status, 201);
    let { id } = none.json;
    assert.equal(apiProblemOf(await after('none'), 412, 'position_changed').position, id);
    for (let round = 0; round < 5; round++) {
        const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => after(id, `${round} ${n}`)));
        const won = answers.filter(({ status }) => status === 201);
        assert.equal(won.length, 1);
        const next = won[0].json.id;
        for (const lost of answers.filter((answer) => answer !== won[0])) assert.equal(apiProblemOf(lost, 412, 'position_changed').position, next);
        id = next;
    }
    await hub.kill9();
    await hub.restart();
    assert.equal(apiProblemOf(await after(none.json.id), 412, 'position_changed').position, id);
    assert.equal((await after(id)).status, 201);
    assert.equal((await kept(hub, 'a')).length, 7);
    assert.equal(apiProblemOf(await post(hub, 'b', 'x', { headers: { ...TEXT, 'If-Position': id } }), 412, 'position_changed').position, null);
    for (const nonsense of ['', 'None', '*', '0', 'all', `"${id}"`, `${id} `.repeat(2), id.replace(/[0-9]+$/, '0'), ['none', 'none']]) {
        const problem = apiProblemOf(await after(nonsense), 400, 'bad_position');
        assert.equal(problem.errors[0].field, 'If-Position');
    }
});

scenario('a retry of a publish with a condition is answered by its key, whatever has come since', async (scope) => {
    const hub = await scope.hub();
    const headers = { ...TEXT, 'Idempotency-Key': 'k', 'If-Position': 'none' };
    const first = await post(hub, 'a', 'x', { headers });
    await publish(hub, 'a', 'y');
    const again = await post(hub, 'a', 'x', { headers });
    assert.equal(again.status, 201);
    assert.equal(again.text, first.text);
    const failed = await post(hub, 'a', 'z', { headers: { ...headers, 'Idempotency-Key': 'l' } });
    apiProblemOf(failed, 412, 'position_changed');
    assert.equal((await post(hub, 'a', 'z', { headers: { ...TEXT, 'Idempotency-Key': 'l' } })).status, 201, 'what failed leaves no record');
});

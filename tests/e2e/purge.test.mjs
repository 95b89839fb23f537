// DELETE /v1/channels/{channel}/messages: what a channel keeps is gone for everybody, and who comes with an older position is told so.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, kept, messagesPath, publish, publishAll, request } from './lib/http.mjs';
import { bearer, sign, tokenHub } from './lib/tokens.mjs';

const purge = async (hub, channel, query = '') => {
    const answer = await request(hub, messagesPath(channel, query), { method: 'DELETE' });
    assert.equal(answer.status, 200, answer.text);
    return answer.json;
};

// How a stream begins after a position: recovered, and the reason of the gap; then the texts of n messages.
async function resume(scope, hub, channel, lastEventId, n = 0) {
    const stream = await scope.sse(hub, `/sse?channel=${channel}`, { lastEventId });
    const ready = JSON.parse((await stream.ready()).data), [gap] = stream.control('gap');
    const texts = (await stream.take(n)).map((b) => b.data);
    stream.close();
    return { recovered: ready.channels[0].recovered, gap: gap ? JSON.parse(gap.data).reason : null, texts };
}

scenario('everything a channel keeps goes, other channels and live readers do not notice', async (scope) => {
    const hub = await scope.hub();
    const live = await scope.sse(hub, '/sse?channel=a');
    await live.ready();
    const ids = await publishAll(hub, 'a', ['1', '2', '3']);
    const other = await publish(hub, 'b', 'other');
    assert.deepEqual(await purge(hub, 'a'), { channel: 'a', removed: 3, position: ids[2] });
    assert.deepEqual([await kept(hub, 'a'), await kept(hub, 'b')], [[], ['other']]);
    const { id } = await publish(hub, 'a', '4');
    assert.deepEqual((await live.take(4)).map((b) => b.data), ['1', '2', '3', '4']);
    assert.equal(live.control('gap').length, 0);
    assert.deepEqual(await resume(scope, hub, 'a', ids[0], 1), { recovered: false, gap: 'history', texts: ['4'] });
    assert.deepEqual(await resume(scope, hub, 'a', ids[2], 1), { recovered: true, gap: null, texts: ['4'] });
    assert.deepEqual(await resume(scope, hub, 'a', id), { recovered: true, gap: null, texts: [] });
    assert.deepEqual(await resume(scope, hub, 'b', ids[0], 1), { recovered: true, gap: null, texts: ['other'] });
    assert.deepEqual(await resume(scope, hub, 'b', other.id), { recovered: true, gap: null, texts: [] });
    assert.deepEqual((await purge(hub, 'never')).removed, 0);
    assert.match((await request(hub, '/metrics')).text, /^carillon_messages_purged_total 3$/m);
});

scenario('what came before a position goes, that message and what follows stay', async (scope) => {
    const hub = await scope.hub();
    const ids = await publishAll(hub, 'a', ['1', '2', '3', '4']);
    assert.deepEqual(await purge(hub, 'a', `?before=${ids[2]}`), { channel: 'a', removed: 2, position: ids[1] });
    assert.deepEqual(await kept(hub, 'a'), ['3', '4']);
    assert.deepEqual((await resume(scope, hub, 'a', ids[0], 2)).gap, 'history');
    assert.deepEqual(await resume(scope, hub, 'a', ids[1], 2), { recovered: true, gap: null, texts: ['3', '4'] });
    assert.equal((await purge(hub, 'a', `?before=${ids[2]}`)).removed, 0);
    for (const before of ['', 'nonsense', '%zz', 'aaaaaaaa.3', `${ids[3].split('.')[0]}.999`, `${ids[3].split('.')[0]}.0`])
        apiProblemOf(await request(hub, messagesPath('a', `?before=${before}`), { method: 'DELETE' }), 400, 'bad_position');
    apiProblemOf(await request(hub, messagesPath('a*b'), { method: 'DELETE' }), 400, 'bad_channel');
    assert.deepEqual(await kept(hub, 'a'), ['3', '4']);
});

scenario('nobody gets it from what another reader was sent a moment ago', async (scope) => {
    const hub = await scope.hub();
    const ids = await publishAll(hub, 'a', ['1', '2']);
    for (let round = 0; round < 10; round++) {
        const [id] = await publishAll(hub, 'a', ['x']);
        const early = await scope.sse(hub, '/sse?channel=a', { lastEventId: ids[0] });
        await early.take(1);
        await purge(hub, 'a');
        assert.deepEqual(await resume(scope, hub, 'a', ids[0]), { recovered: false, gap: 'history', texts: [] });
        assert.equal((await resume(scope, hub, 'a', id)).recovered, true);
        early.close();
    }
});

for (const sync of ['batch', 'off'])
    scenario(`after a kill -9 what was purged stays gone, with store.sync=${sync}`, { ownEngine: sync === 'off' && 'store.sync=off' }, async (scope) => {
        const hub = await scope.hub({ args: [`--store.sync=${sync}`] });
        const ids = await publishAll(hub, 'a', ['1', '2', '3']);
        await publish(hub, 'b', 'other');
        await purge(hub, 'a', `?before=${ids[1]}`);
        await purge(hub, 'b');
        await hub.kill9();
        await hub.restart();
        assert.deepEqual([await kept(hub, 'a'), await kept(hub, 'b')], [['2', '3'], []]);
        const why = sync === 'off' ? 'epoch' : 'history';
        assert.deepEqual(await resume(scope, hub, 'b', ids[2]), { recovered: false, gap: why, texts: [] });
        await purge(hub, 'a');
        await publish(hub, 'a', '4');
        await purge(hub, 'b');      // what is answered as purged is committed, and so is what came before it, with off too
        await hub.kill9();
        await hub.restart();
        assert.deepEqual(await kept(hub, 'a'), ['4']);
        assert.deepEqual(await resume(scope, hub, 'a', ids[2], 1), sync === 'off' ? { recovered: false, gap: 'epoch', texts: ['4'] } : { recovered: true, gap: null, texts: ['4'] });
        if (sync === 'batch') assert.equal((await resume(scope, hub, 'a', ids[1], 1)).gap, 'history');
    });

scenario('it takes an administrator, and stands in the audit log', async (scope) => {
    const audit = path.join(scope.dir(), 'audit.jsonl');
    const hub = await tokenHub(scope, `[log]\naudit = ${audit}\n`);
    const as = async (user, carillon) => ({ headers: bearer(await sign({ sub: user, carillon })) });
    const writer = await as('ann', { publish: ['**'], history: ['**'] }), boss = await as('root', { admin: ['**'] });
    await publish(hub, 'a', '1', writer);
    apiProblemOf(await request(hub, messagesPath('a'), { method: 'DELETE' }), 401, 'unauthenticated');
    apiProblemOf(await request(hub, messagesPath('a'), { method: 'DELETE', ...writer }), 403, 'forbidden');
    assert.equal((await request(hub, messagesPath('a'), { method: 'DELETE', ...boss })).json.removed, 1);
    const entries = readFileSync(audit, 'utf8').trim().split('\n').map((text) => JSON.parse(text)).filter((e) => e.action.startsWith('DELETE'));
    assert.deepEqual(entries.map((e) => [e.who, e.action, e.target, e.result]), [
        ['user ann', 'DELETE /v1/channels/{channel}/messages', 'a', 'forbidden'], ['user root', 'DELETE /v1/channels/{channel}/messages', 'a', 'ok']]);
});

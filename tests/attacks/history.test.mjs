// Times to live and purges that are none: tables/history.mjs; and floods of both.
import assert from 'node:assert/strict';
import { scenario } from '../e2e/lib/scope.mjs';
import { KeepAlive } from '../e2e/lib/line.mjs';
import { keptMessages, messagesPath, post, publish, request } from '../e2e/lib/http.mjs';
import { metricsOf, total } from '../e2e/lib/metrics.mjs';
import { eventually } from '../e2e/lib/wait.mjs';
import { chosen } from './lib/chosen.mjs';
import { Watch } from './lib/watch.mjs';
import { purges, ttls } from './tables/history.mjs';

const percent = (text) => Array.from(Buffer.from(text, 'latin1'), (byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
const purge = (hub, channel, query = '') => request(hub, messagesPath(channel, query), { method: 'DELETE' });

scenario('history: every ttl of the table; what is refused is not published', async (scope, t) => {
    const hub = await scope.hub();
    const watch = await Watch.over(scope, hub), reader = await scope.sse(hub, '/sse?channel=room');
    await reader.ready();
    let published = 0;
    for (const [what, value, expected] of chosen(ttls))
        await t.test(what, async () => {
            const answer = await post(hub, 'room', what, { query: `?ttl=${percent(value)}`, headers: { 'Content-Type': 'text/plain' } });
            assert.equal(`${answer.status} ${answer.json.code ?? ''}`, expected);
            published += answer.status === 201;
        });
    assert.equal((await reader.take(published)).length, published);
    reader.close();
    await watch.over('times to live', 16, t);
});

scenario('history: every purge of the table; what is refused removes nothing', async (scope, t) => {
    const hub = await scope.hub();
    const watch = await Watch.over(scope, hub);
    for (let i = 0; i < 2; i++) await publish(hub, 'room', `${i}`);
    const [epoch, number] = (await keptMessages(hub, 'room')).at(-1).id.split('.');
    for (const [what, query, expected] of chosen(purges))
        await t.test(what, async () => {
            const answer = await purge(hub, 'room', query.replaceAll('E.N', `${epoch}.${number}`).replaceAll('E.', `${epoch}.`));
            assert.equal(`${answer.status} ${answer.json.code ?? ''}`, expected);
            assert.equal((await keptMessages(hub, 'room')).length, 2);
        });
    await watch.over('purges', 16, t);
});

scenario('history: thousands of messages that end in disorder leave nothing behind', async (scope, t) => {
    const hub = await scope.hub({ args: ['--history.size=100000'] });
    const watch = await Watch.over(scope, hub);
    for (let round = 0; round < 10; round++) {
        const items = Array.from({ length: 1000 }, (_, i) => ({ channel: `c${i % 3}`, data: 'x'.repeat(i % 50), ttl: i % 10 ? `${1 + i * 7919 % 900}ms` : undefined }));
        assert.equal((await request(hub, '/v1/messages', { method: 'POST', body: items })).status, 200);
    }
    const left = async (what) => (await Promise.all([0, 1, 2].map((c) => request(hub, `/v1/channels/c${c}`)))).reduce((sum, a) => sum + (a.status === 200 ? a.json[what] : 0), 0);
    await eventually(async () => await left('messages') === 1000, 'only those without a ttl are left');
    let removed = 0;
    for (let c = 0; c < 3; c++) removed += (await purge(hub, `c${c}`)).json.removed;
    assert.deepEqual([removed, await left('bytes')], [1000, 0]);
    await watch.over('messages that end', 16, t);
});

scenario('history: purges of channels without end, beside publishers, leave no channel behind', async (scope, t) => {
    const hub = await scope.hub({ args: ['--history.ttl=1s'] });
    const watch = await Watch.over(scope, hub), agent = new KeepAlive();
    scope.defer(() => agent.destroy());
    for (let i = 0; i < 500; i++) {
        assert.equal((await request(hub, messagesPath(`never${i}`), { method: 'DELETE', agent })).status, 200);
        if (i % 10 === 0) await publish(hub, 'room', 'x', { agent });
    }
    await eventually(async () => total(await metricsOf(hub), 'carillon_channels') <= 2, 'all are forgotten but those of the neighbours');
    await watch.over('purges of nothing', 16, t);
});

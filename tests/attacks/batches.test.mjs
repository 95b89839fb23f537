// Many messages in one request: tables/batches.mjs, and streams in numbers whose other side behaves as badly as it can.
import assert from 'node:assert/strict';
import { scenario } from '../e2e/lib/scope.mjs';
import { request } from '../e2e/lib/http.mjs';
import { parseLines } from '../e2e/lib/lines.mjs';
import { eventually } from '../e2e/lib/wait.mjs';
import { total, metricsOf } from '../e2e/lib/metrics.mjs';
import { chosen } from './lib/chosen.mjs';
import { crowd } from './lib/crowd.mjs';
import { Watch } from './lib/watch.mjs';
import { documents, streams } from './tables/batches.mjs';

const words = (expected) => expected.split(' ').filter(Boolean).flatMap((word) => { const [, times = 1, what] = /^(?:(\d+)\*)?(.+)$/.exec(word); return Array(Number(times)).fill(what); });
const published = async (hub) => total(await metricsOf(hub), 'carillon_messages_published_total');

function checkResults(results, summary, expected) {
    assert.deepEqual(results.map((r) => r.code ?? 'ok'), expected);
    for (const [i, r] of results.entries()) {
        assert.ok(r.index === (results[i - 1]?.index ?? -1) + 1 || r.index === results[i - 1]?.index, `index ${r.index} behind ${results[i - 1]?.index}`);
        assert.ok(r.code ? r.status >= 400 && r.detail : r.status === 201, JSON.stringify(r));
    }
    const good = expected.filter((word) => word === 'ok').length;
    assert.deepEqual(summary, { total: expected.length, successful: good, failed: expected.length - good });
}

async function attack(hub, type, body, expected, headers = {}) {
    const before = await published(hub);
    const answer = await request(hub, '/v1/messages', { method: 'POST', body, headers: { 'Content-Type': type, ...headers } });
    let good = 0;
    if (answer.status >= 400) {
        assert.match(answer.headers['content-type'], /^application\/problem\+json/);
        assert.equal(answer.json.code, expected, answer.text);
    } else if (type === 'application/json') {
        checkResults(answer.json.results, answer.json.summary, words(expected));
        assert.equal(answer.status, answer.json.summary.failed ? 207 : 200);
        good = answer.json.results.reduce((sum, r) => sum + (r.pattern ? r.successful : !r.code), 0);
    } else {
        const results = parseLines(answer.text), { summary } = results.pop();
        checkResults(results, summary, words(expected));
        good = results.reduce((sum, r) => sum + (r.pattern ? r.successful : !r.code), 0);
    }
    assert.equal(await published(hub) - before, good, 'published, and told so');
}

for (const [name, type, table] of [['documents', 'application/json', documents], ['streams', 'application/x-ndjson', streams]]) {
    scenario(`batches: every case of the table of ${name}; what is told as published was, and nothing else`, async (scope, t) => {
        const hub = await scope.hub({ args: ['--history.size=10'] });
        const watch = await Watch.over(scope, hub);
        for (const [i, [what, body, expected, headers]] of chosen(table).entries()) {
            await t.test(what, async () => {
                await attack(hub, type, body, expected, headers);
                if (i % 8 === 0) await watch.unharmed(what);      // a look costs more than a case
            });
        }
        await watch.over(name, 32, t);
    });
}

const HEAD = 'POST /v1/messages HTTP/1.1\r\nHost: attack\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100000000000\r\n\r\n';

scenario('batches: 100 streams that send patterns, long lists and rubbish, take no results and vanish', async (scope, t) => {
    const hub = await scope.hub({ args: ['--history.size=10', '--limits.request_timeout=1s', '--limits.publish_channels=100000'] });
    const watch = await Watch.over(scope, hub);
    const channels = (n) => `"${Array.from({ length: 1000 }, (_, i) => `c${n}.${i}`).join('","')}"`;
    for (let n = 0; n < 5; n++) assert.equal((await request(hub, '/v1/messages', { method: 'POST', body: `{"channels":[${channels(n)}],"data":0}`, headers: { 'Content-Type': 'application/json' } })).status, 200);
    const bad = [`{"pattern":"c2.*","data":"${'x'.repeat(100)}"}\n`.repeat(20), `{"channels":[${channels(1)}],"data":"${'x'.repeat(100)}"}\n`.repeat(20), 'rubbish\n'.repeat(30000),
        '{"channel":"c1.1","data":1}\n'.repeat(10000)];
    const peers = await crowd(scope, hub.api, 100, (i) => HEAD + bad[i % 4], { reads: false });
    await watch.answers();
    watch.uses(100 * 5, 'streams that nobody reads');
    for (const peer of peers.slice(0, 50)) peer.drop();
    await eventually(() => { for (const peer of peers) if (!peer.ended) peer.socket.write('{"chan'); return peers.slice(50).every((peer) => peer.ended); }, 'the hub to end them all');
    await watch.over('streams that nobody reads', 64, t);
});

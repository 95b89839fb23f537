// What operators look at: health, metrics, logs; and a store that cannot write.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, messagesPath, post, publish, publishAll, request } from './lib/http.mjs';
import { metricFamilies } from './lib/files.mjs';
import { metricsOf, parseMetrics, total } from './lib/metrics.mjs';
import { checkExactlyOnce } from './lib/ledger.mjs';
import { RawConnection } from './lib/raw.mjs';
import { eventually } from './lib/wait.mjs';

scenario('a hub that serves is live and ready', async (scope) => {
    const hub = await scope.hub();
    const live = await request(hub, '/health/live');
    assert.deepEqual([live.status, live.json], [200, { status: 'ok' }]);
    const ready = await request(hub, '/health/ready');
    assert.deepEqual([ready.status, ready.json.status], [200, 'ok']);
    assert.deepEqual(new Set(Object.values(ready.json.checks).map((c) => c.status)), new Set(['ok']));
    assert.ok('store' in ready.json.checks);
});

scenario('metrics are Prometheus text that parses strictly, with every family of the table', async (scope) => {
    const hub = await scope.hub();
    await publish(hub, 'a', 'x');
    const answer = await request(hub, '/metrics');
    assert.match(answer.headers['content-type'], /^text\/plain;\s*version=0\.0\.4/);
    const families = parseMetrics(answer.text);
    assert.ok(metricFamilies().length > 15);
    for (const name of metricFamilies()) {
        assert.ok(families.has(name), name);
        assert.ok(families.get(name).help.length > 5, `${name} has no help`);
        assert.ok(['counter', 'gauge'].includes(families.get(name).type), name);
        assert.equal(families.get(name).type === 'counter', name.endsWith('_total'), `${name}: counters end with _total, gauges do not`);
    }
    const histogram = families.get('carillon_publish_seconds');
    assert.equal(histogram.type, 'histogram');
    assert.equal(histogram.samples.find((s) => s.name.endsWith('_count')).value, 1);
});

scenario('metrics count what happens', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=5'] });
    const errors = total(await metricsOf(hub), 'carillon_http_errors_total');
    const stream = await scope.sse(hub, '/sse?channel=a&channel=b');
    const socket = await scope.ws(hub, '/ws?channel=a');
    await Promise.all([stream.ready(), socket.get('subscribed')]);
    const ids = await publishAll(hub, 'a', Array.from({ length: 10 }, () => '12345'));
    await Promise.all([stream.take(10), socket.take(10)]);
    await post(hub, 'a b', 'x');
    await (await scope.sse(hub, '/sse?channel=a', { lastEventId: ids[0] })).gap();
    const expected = {
        'carillon_messages_published_total': 10, 'carillon_bytes_received_total': 50, ...(hub.onRedis ? {} : { 'carillon_history_messages': 5, 'carillon_history_bytes': undefined }),
        'carillon_channels': undefined, 'carillon_gaps_told_total': 1, 'carillon_store_queue_messages': 0, 'carillon_store_failures_total': 0, 'carillon_subscriptions': 4, 'carillon_http_errors_total': errors + 1,
    };
    let families;
    await eventually(async () => {
        families = await metricsOf(hub);
        return total(families, 'carillon_connections', { transport: 'sse' }) === 2 && total(families, 'carillon_messages_delivered_total') >= 25;
    }, 'two streams and 25 deliveries');
    for (const [name, value] of Object.entries(expected)) {
        if (value !== undefined) assert.equal(total(families, name), value, name);
        else assert.ok(total(families, name) > 0, name);
    }
    assert.equal(total(families, 'carillon_connections', { transport: 'websocket' }), 1);
    assert.equal(total(families, 'carillon_connections_accepted_total'), 3);
    assert.ok(total(families, 'carillon_bytes_sent_total') > 25 * 5);
    const again = await metricsOf(hub);
    for (const [name, family] of families) if (family.type === 'counter') assert.ok(total(again, name) >= total(families, name), `${name} went back`);
});

scenario('log.format=json writes one JSON object a line, with reasons and request ids', async (scope) => {
    const hub = await scope.hub({ args: ['--log.format=json', '--log.level=debug'] });
    const socket = await scope.ws(hub, '/ws?channel=a%0Ab');
    await socket.end();
    await post(hub, 'a\n"b', 'x', { headers: { 'X-Request-Id': 'find-me-1' } });
    const stream = await scope.sse(hub, '/sse?channel=a');
    const { connection } = JSON.parse((await stream.ready()).data);
    stream.close();
    await hub.run.waitFor((run) => run.stderr.includes(connection), `a line about connection ${connection}`);
    await hub.run.waitFor((run) => run.stderr.includes('find-me-1'), 'a line about the request');
    await hub.terminate();
    const lines = hub.log.split('\n').filter(Boolean).map((line) => JSON.parse(line));
    assert.ok(lines.length >= 3);
    for (const line of lines) {
        assert.match(line.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
        assert.ok(['error', 'warn', 'info', 'debug'].includes(line.level));
        assert.ok(line.object && line.message);
    }
});

scenario('neither payloads nor keys are in the log', async (scope) => {
    const hub = await scope.hub({ args: ['--log.level=debug'] });
    const socket = await scope.ws(hub, '/ws?channel=a');
    await publish(hub, 'a', 'SECRET-PAYLOAD', { headers: { Authorization: 'Bearer ck_SECRET-KEY' } }).catch(() => {});
    await socket.ask({ type: 'publish', channel: 'a', data: 'SECRET-PAYLOAD' });
    await request(hub, '/v1/channels', { headers: { 'X-API-Key': 'SECRET-KEY' } });
    await hub.terminate();
    assert.doesNotMatch(hub.log, /SECRET/);
});

// A limit on the size of files is the full disk that needs no rights: every write beyond it fails.
scenario('a full disk: publishes are 503 with the reason, readiness is red, readers stay; and it recovers by itself', { ownEngine: 'the disk is full' }, async (scope) => {
    const hub = await scope.hub({ args: ['--history.bytes=100MiB', '--history.size=10000'], ulimit: '-S -f 2048' });
    const socket = await scope.ws(hub, '/ws?channel=a');
    await socket.get('subscribed');
    const accepted = [];
    let refused = null;
    for (let i = 0; i < 200 && !refused; i++) {
        const answer = await post(hub, 'a', `${i}`.padEnd(60_000, '.'), { headers: { 'Content-Type': 'text/plain' } });
        if (answer.status === 201) accepted.push([`${i}`, answer.json.id]); else refused = answer;
    }
    assert.ok(refused, 'the disk is never full');
    const problem = apiProblemOf(refused, 503, 'store_failed');
    assert.ok(problem.detail.length > 10);
    assert.match(refused.headers['retry-after'], /^\d+$/);
    const red = await request(hub, '/health/ready');
    assert.equal(red.status, 503);
    assert.equal(red.json.status, 'unavailable');
    assert.equal(red.json.checks.store.status, 'unavailable');
    assert.ok(red.json.checks.store.reason.length > 5, red.text);
    assert.equal((await request(hub, '/health/live')).status, 200);
    assert.ok(total(await metricsOf(hub), 'carillon_store_failures_total') > 0);
    let told = {};
    for (let i = 0; i < 200 && !told.code; i++) {      // a checkpoint may have made room for some in the meantime
        told = await socket.ask({ type: 'publish', channel: 'a', data: `w${i}`.padEnd(60_000, '.') });
        if (!told.code) accepted.push([`w${i}`, told.id]);
    }
    assert.equal(told.code, 'store_failed');
    execFileSync('prlimit', [`--pid=${hub.pid}`, '--fsize=unlimited:unlimited']);
    await eventually(async () => (await request(hub, '/health/ready')).status === 200, 'readiness to come back by itself');
    accepted.push(['end', (await publish(hub, 'a', 'end')).id]);
    await socket.waitFor(() => socket.data.at(-1) === 'end', 'the message after it');
    const short = (messages) => messages.map((m) => ({ id: m.id, text: m.data.replace(/\.+$/, '') }));
    assert.equal(socket.messages.length, accepted.length, 'nothing that was refused was delivered');
    checkExactlyOnce(short(socket.messages), accepted, 'subscriber');
    await hub.kill9();
    await hub.restart();
    const kept = [];
    for (let page = { next_cursor: '' }; page.next_cursor !== null; kept.push(...page.data)) {      // a page ends at 1 MiB
        page = (await request(hub, messagesPath('a', `?limit=1000${page.next_cursor && `&cursor=${page.next_cursor}`}`))).json;
    }
    assert.equal(kept.length, accepted.length);
    checkExactlyOnce(short(kept), accepted, 'history after kill -9');
});

scenario('readiness is red while the hub drains, for who is still being answered', async (scope) => {
    const hub = await scope.hub({ args: ['--drain.timeout=10s'] });
    const asking = new RawConnection(hub.api);
    scope.defer(() => asking.close());
    asking.write('GET /health/ready HTTP/1.1\r\nHost: e');       // a request under way keeps its connection
    await asking.waitFor(() => asking.open, 'the connection');
    await request(hub, '/health/live');                          // and by now the hub has accepted it
    hub.run.signal('SIGTERM');
    await eventually(() => request(hub, '/health/live').then(() => false, () => true), 'new connections to be refused');
    asking.write('2e\r\n\r\n');
    const [answer] = await asking.take(1);
    assert.equal(answer.status, 503);
    const { status, checks } = JSON.parse(answer.body);
    assert.deepEqual([status, checks.drain.status, checks.store.status], ['unavailable', 'unavailable', 'ok']);
    assert.ok(checks.drain.reason.length > 5);
    await asking.end();
    assert.equal((await hub.run.end(5000)).code, 0, 'the last request is answered: nothing to wait for');
});

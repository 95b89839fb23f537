// GET /poll as PROTOCOL.md says it (§5, Long poll), with plain requests as curl and fetch send them.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { post, publish, publishAll, request } from './lib/http.mjs';
import { connect, reset } from './lib/line.mjs';
import { eventually } from './lib/wait.mjs';

const POSITION = /^[a-z2-7]{8}\.\d+$/;
const poll = (hub, query, headers) => request(hub.public, `/poll?${query}`, { headers });
const waiting = async (hub) => Number((await request(hub, '/metrics')).text.match(/^carillon_connections\{transport="poll"\} (\d+)$/m)[1]);
const polls = (hub, n) => eventually(async () => (await waiting(hub)) === n, `${n} polls that wait`);
const data = (answer) => answer.json.messages.map((m) => m.data);

scenario('a poll without since tells where now is, and the next one has what came after it', async (scope) => {
    const hub = await scope.hub();
    await publish(hub, 'news', 'before');
    const first = await poll(hub, 'channel=news&timeout=0');
    assert.equal(first.status, 200);
    assert.match(first.headers['content-type'], /^application\/json/);
    assert.match(first.headers['cache-control'], /no-store/);
    assert.equal(first.headers.connection, 'close');
    assert.match(first.json.position, POSITION);
    assert.equal(first.headers.etag, `"${first.json.position}"`);
    assert.deepEqual(first.json.messages, []);
    const sent = await post(hub, 'news', { data: { x: 0.10 }, event: 'e' });
    const next = await poll(hub, `channel=news&since=${first.json.position}`);
    assert.deepEqual(next.json, { messages: [{ type: 'message', channel: 'news', id: sent.json.id, event: 'e', data: { x: 0.1 }, time: sent.json.time }], position: sent.json.id });
});

scenario('a poll waits for its message, whichever of its channels it comes in', async (scope) => {
    const hub = await scope.hub();
    const answer = poll(hub, 'channel=a&channel=b');
    await polls(hub, 1);
    const { id } = await publish(hub, 'b', 'here');
    assert.deepEqual((await answer).json.messages.map((m) => [m.channel, m.id, m.data]), [['b', id, 'here']]);
    await polls(hub, 0);
});

scenario('when the time is up the answer is empty and its position fresh', async (scope) => {
    const hub = await scope.hub();
    const { json: { position } } = await poll(hub, 'channel=quiet&timeout=0');
    const { id } = await publish(hub, 'other', 'x');
    const answer = await poll(hub, `channel=quiet&since=${position}&timeout=1s`);
    assert.deepEqual(answer.json, { messages: [], position: id });
});

scenario('consecutive polls miss nothing and repeat nothing while messages stream in', async (scope) => {
    const hub = await scope.hub();
    let { json: { position } } = await poll(hub, 'channel=a&channel=b&timeout=0');
    const texts = Array.from({ length: 200 }, (_, i) => `m${i}`), got = [];
    const sending = Promise.all([publishAll(hub, 'a', texts), publishAll(hub, 'b', texts)]);
    while (got.length < 400) {
        const { json } = await poll(hub, `channel=a&channel=b&since=${position}`);
        assert.equal(json.gap, undefined);
        got.push(...json.messages);
        position = json.position;
    }
    const ids = (await sending).flat();
    assert.equal(got.length, 400);
    assert.deepEqual(new Set(got.map((m) => m.id)), new Set(ids));
    const numbers = got.map((m) => Number(m.id.split('.')[1]));
    assert.deepEqual(numbers, [...numbers].sort((x, y) => x - y));
});

scenario('since=all has everything kept, Last-Event-ID wins, an unknown position is a gap and no error', async (scope) => {
    const hub = await scope.hub();
    const ids = await publishAll(hub, 'a', ['1', '2', '3']);
    assert.deepEqual(data(await poll(hub, 'channel=a&since=all')), ['1', '2', '3']);
    assert.deepEqual(data(await poll(hub, `channel=a&since=${ids[0]}`)), ['2', '3']);
    assert.deepEqual(data(await poll(hub, `channel=a&since=all`, { 'Last-Event-ID': ids[1] })), ['3']);
    for (const odd of ['non.sense', 'zzzzzzzz.7', `${ids[0].split('.')[0]}.999999999`]) {
        const { status, json } = await poll(hub, `channel=a&since=${odd}`);
        assert.deepEqual([status, json.gap, json.messages.length], [200, { reason: 'epoch' }, 3], odd);
    }
});

scenario('what history has given up is told as a gap, and the next poll goes on without one', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=2'] });
    const ids = await publishAll(hub, 'a', ['1', '2', '3', '4', '5']);
    const { json } = await poll(hub, `channel=a&since=${ids[0]}`);
    assert.deepEqual([json.gap, json.messages.map((m) => m.data), json.position], [{ reason: 'history' }, ['4', '5'], ids[4]]);
    assert.deepEqual((await poll(hub, `channel=a&since=${json.position}&timeout=0`)).json, { messages: [], position: ids[4] });
});

scenario('an answer has about 1 MiB at most; the next ones have the rest', async (scope) => {
    const hub = await scope.hub({ args: ['--history.bytes=16MiB'] });
    const large = 'x'.repeat(60_000);
    await publishAll(hub, 'a', Array.from({ length: 50 }, (_, i) => `${i} ${large}`));
    const got = [];
    let since = 'all', n = 0;
    for (; got.length < 50; n++) {
        const answer = await poll(hub, `channel=a&since=${since}&timeout=0`);
        assert.ok(answer.body.length < 1024 * 1024 + 70_000, `${answer.body.length} bytes`);
        got.push(...data(answer).map((text) => parseInt(text)));
        since = answer.json.position;
    }
    assert.deepEqual(got, Array.from({ length: 50 }, (_, i) => i));
    assert.ok(n >= 3, `${n} answers`);
});

scenario('a position outlives a kill: the poll after it resumes exactly', async (scope) => {
    const hub = await scope.hub();
    const ids = await publishAll(hub, 'a', ['1', '2']);
    await hub.kill9();
    await hub.restart();
    await publish(hub, 'a', '3');
    const { json } = await poll(hub, `channel=a&since=${ids[0]}`);
    assert.deepEqual([json.gap, json.messages.map((m) => m.data)], [undefined, ['2', '3']]);
});

scenario('304 only for If-None-Match with the position it begins at, and only when there is nothing', async (scope) => {
    const hub = await scope.hub();
    const { id } = await publish(hub, 'a', '1');
    const asked = `channel=a&since=${id}&timeout=0`;
    assert.equal((await poll(hub, asked)).status, 200);
    const same = await poll(hub, asked, { 'If-None-Match': `"${id}"` });
    assert.deepEqual([same.status, same.text, same.headers.etag], [304, '', `"${id}"`]);
    for (const known of [`W/"${id}"`, `"x", "${id}"`, '*']) {
        const again = await poll(hub, asked, { 'If-None-Match': known });
        assert.deepEqual([again.status, again.headers.etag], [304, `"${id}"`], known);
    }
    for (const other of [`"${id}0"`, id, `"x" "${id}"`, `"${'x'.repeat(300)}", "${id}"`]) assert.equal((await poll(hub, asked, { 'If-None-Match': other })).status, 200, other);
    await publish(hub, 'a', '2');
    assert.deepEqual(data(await poll(hub, asked, { 'If-None-Match': `"${id}"` })), ['2']);
});

scenario('nonsense is refused as on /sse', async (scope) => {
    const hub = await scope.hub();
    const cases = [['timeout=0', 'no_channel', 400], ['channel=a&timeout=61', 'bad_field', 400], ['channel=a&timeout=-1', 'bad_field', 400], ['channel=a&timeout=soon', 'bad_field', 400],
        ['channel=a&timeout=99999999999999999999', 'bad_field', 400], ['channel=a%20b', 'bad_channel', 400], ['channel=a&token=nobody', 'unauthenticated', 401]];
    for (const [query, code, status] of cases) {
        const answer = await poll(hub, query);
        assert.deepEqual([answer.status, answer.json.code], [status, code], query);
        assert.match(answer.headers['content-type'], /problem\+json/);
    }
    const posted = await request(hub.public, '/poll?channel=a', { method: 'POST', body: 'x' });
    assert.deepEqual([posted.status, posted.json.code], [413, 'no_body_here']);
    assert.equal((await request(hub.public, '/poll?channel=a', { method: 'HEAD' })).status, 405);
});

scenario('a hub that goes away answers those who wait at once, with a position', async (scope) => {
    const hub = await scope.hub();
    const { id } = await publish(hub, 'a', '1');
    const answers = Array.from({ length: 20 }, () => poll(hub, `channel=a&since=${id}&timeout=60`));
    await polls(hub, 20);
    const ended = hub.terminate();
    const waits = new Set();
    for (const answer of await Promise.all(answers)) {
        const { retry_ms, ...rest } = answer.json;
        assert.deepEqual([answer.status, rest], [200, { messages: [], position: id }]);
        assert.ok(retry_ms >= 1000 && retry_ms <= 3000, `${retry_ms} ms around the 2 s of sse.retry`);
        waits.add(retry_ms);
    }
    assert.ok(waits.size > 10, 'spread out');
    await ended;
});

scenario('a page of a listed origin may read the answer, a foreign one is refused', async (scope) => {
    const hub = await scope.hub({ args: ['--public.origins=https://app.example.com'] });
    const answer = await poll(hub, 'channel=a&timeout=0', { Origin: 'https://app.example.com' });
    assert.deepEqual([answer.status, answer.headers['access-control-allow-origin']], [200, 'https://app.example.com']);
    assert.equal((await poll(hub, 'channel=a&timeout=0', { Origin: 'https://evil.example' })).status, 403);
});

scenario('a thousand polls that are cut leave nothing behind', async (scope) => {
    const hub = await scope.hub();
    const sockets = [];
    for (let i = 0; i < 1000; i++) {
        const socket = connect(hub.public);
        socket.on('error', () => {});
        socket.write('GET /poll?channel=a&timeout=60 HTTP/1.1\r\nHost: x\r\n\r\nGET /poll?channel=a HTTP/1.1\r\nHost: x\r\n\r\n');
        sockets.push(socket);
    }
    await polls(hub, 1000);
    for (const socket of sockets) reset(socket);
    await polls(hub, 0);
    assert.deepEqual(data(await poll(hub, 'channel=a&timeout=0')), []);
});

// What the API tells about channels: list, inspect, history, with pages that can be followed.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { eventually } from './lib/wait.mjs';
import { apiProblemOf, messagesPath, publish, publishAll, request } from './lib/http.mjs';

// Follows next_cursor to the end; checks on the way that Link says the same.
async function allPages(hub, first) {
    const pages = [];
    for (let where = first; where; ) {
        const answer = await request(hub, where);
        assert.equal(answer.status, 200, answer.text);
        assert.match(answer.headers['content-type'], /^application\/json/);
        pages.push(answer.json);
        const { next_cursor: cursor } = answer.json;
        assert.ok(pages.length < 100, 'the pages come to an end');
        if (cursor === null) { assert.equal(answer.headers.link, undefined); return pages; }
        const link = /^<([^>]+)>; rel="next"$/.exec(answer.headers.link);
        assert.ok(link, `Link: ${answer.headers.link}`);
        assert.equal(new URL(link[1], 'http://h').searchParams.get('cursor'), cursor);
        where = link[1];
    }
    return pages;
}

scenario('the list of channels is sorted by name and can be followed page by page', async (scope) => {
    const hub = await scope.hub();
    const names = Array.from({ length: 25 }, (_, i) => `list/${'abcde'[i % 5]}+${i}`);
    for (const name of names) await publish(hub, name, 'x');
    const sorted = [...names].sort((a, b) => (a < b ? -1 : 1));
    const whole = await allPages(hub, '/v1/channels');
    assert.equal(whole.length, 1);
    assert.deepEqual(whole[0].data.map((c) => c.channel), sorted);
    const pages = await allPages(hub, '/v1/channels?limit=7');
    assert.deepEqual(pages.map((p) => p.data.length), [7, 7, 7, 4]);
    assert.deepEqual(pages.flatMap((p) => p.data.map((c) => c.channel)), sorted);
    const exact = await allPages(hub, '/v1/channels?limit=25');
    assert.equal(exact.length, 1, 'a page that holds the rest is the last');
});

scenario('a channel is shown with its subscribers and what history keeps', async (scope) => {
    const hub = await scope.hub();
    assert.deepEqual((await request(hub, '/v1/channels')).json, { data: [], next_cursor: null });
    apiProblemOf(await request(hub, '/v1/channels/news'), 404, 'not_found');
    const stream = await scope.sse(hub, '/sse?channel=news');
    const socket = await scope.ws(hub, '/ws?channel=news&channel=other');
    await Promise.all([stream.ready(), socket.waitFor(() => socket.of('subscribed').length === 2, 'both')]);
    const rule = { history: { size: 100, ttl_ms: 300000, bytes: 1048576 }, rule: null };      // of no [channel "…"] section
    const quiet = await request(hub, '/v1/channels/news');
    assert.deepEqual(quiet.json, { channel: 'news', subscribers: 2, members: 0, messages: 0, bytes: 0, position: null, resumable: true, ...rule });
    await publish(hub, 'news', 'hello');
    const one = (await request(hub, '/v1/channels/news')).json.bytes;      // payload, names, and what a message costs in memory
    const { id } = await publish(hub, 'news', 'you');
    const busy = await request(hub, '/v1/channels/news');
    assert.deepEqual(busy.json, { channel: 'news', subscribers: 2, members: 0, messages: 2, bytes: 2 * one - 2, position: id, resumable: true, ...rule });
    assert.ok(one > 'newshello'.length && one < 200, `${one} bytes for one small message`);
    assert.deepEqual(Object.keys(busy.json), ['channel', 'subscribers', 'members', 'messages', 'bytes', 'position', 'resumable', 'history', 'rule']);
    const listed = (await request(hub, '/v1/channels')).json.data;
    assert.deepEqual(listed.map((c) => [c.channel, c.subscribers]), [['news', 2], ['other', 1]]);
    assert.deepEqual({ ...listed[0], ...rule }, busy.json);      // which rules there are is told of one channel
});

scenario('a channel without history says that it cannot be resumed', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=0'] });
    const stream = await scope.sse(hub, '/sse?channel=off');
    const ready = JSON.parse((await stream.ready()).data);
    assert.deepEqual(ready.channels, [{ channel: 'off', recovered: false, resumable: false }]);
    const { id } = await publish(hub, 'off', 'x');
    await stream.take(1);
    const shown = (await request(hub, '/v1/channels/off')).json;
    assert.deepEqual([shown.messages, shown.resumable], [0, false]);
    await publish(hub, 'off', 'y');
    const again = await scope.sse(hub, '/sse?channel=off', { lastEventId: id });
    const second = JSON.parse((await again.ready()).data);
    assert.equal(second.channels[0].resumable, false);
    assert.deepEqual(again.control('gap'), [], 'no gap is ever told for it on resume');
});

scenario('history is read oldest first, from a position, by pages', async (scope) => {
    const hub = await scope.hub();
    const texts = Array.from({ length: 23 }, (_, i) => `m${i}`);
    const ids = await publishAll(hub, 'h/1', texts);
    const where = messagesPath('h/1');
    const [whole] = await allPages(hub, where);
    assert.deepEqual(whole.data.map((m) => [m.type, m.channel, m.id, m.data]), ids.map((id, i) => ['message', 'h/1', id, texts[i]]));
    assert.equal(whole.position, ids[22]);
    assert.ok(!('gap' in whole));
    const pages = await allPages(hub, `${where}?limit=5`);
    assert.deepEqual(pages.map((p) => p.data.length), [5, 5, 5, 5, 3]);
    assert.deepEqual(pages.flatMap((p) => p.data.map((m) => m.data)), texts);
    for (const page of pages) assert.equal(page.position, page.data.at(-1).id);
    const [since] = await allPages(hub, `${where}?since=${ids[9]}`);
    assert.deepEqual(since.data.map((m) => m.id), ids.slice(10));
    const [head] = await allPages(hub, `${where}?since=${ids[22]}`);
    assert.deepEqual([head.data, head.position, head.gap], [[], ids[22], undefined]);
    const sincePages = await allPages(hub, `${where}?since=${ids[9]}&limit=4`);
    assert.deepEqual(sincePages.flatMap((p) => p.data.map((m) => m.id)), ids.slice(10));
});

scenario('pages do not lose or repeat what is published while they are read', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=1000'] });
    const ids = await publishAll(hub, 'h', Array.from({ length: 30 }, (_, i) => `${i}`));
    const first = (await request(hub, messagesPath('h', '?limit=20'))).json;
    ids.push(...await publishAll(hub, 'h', ['30', '31']));
    await publish(hub, 'other', 'x');
    const rest = await allPages(hub, messagesPath('h', `?limit=20&cursor=${encodeURIComponent(first.next_cursor)}`));
    assert.deepEqual([...first.data, ...rest.flatMap((p) => p.data)].map((m) => m.id), ids);
});

scenario('history that has dropped what was asked for says so once, and gives what it has', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=5'] });
    const ids = await publishAll(hub, 'short', Array.from({ length: 12 }, (_, i) => `${i}`));
    const complete = await request(hub, messagesPath('short', `?since=${ids[6]}`));
    assert.deepEqual(complete.json.data.map((m) => m.id), ids.slice(7));
    assert.equal(complete.json.gap, undefined, 'ids[6] is the last one dropped: everything after it is there');
    const lost = await request(hub, messagesPath('short', `?since=${ids[5]}`));
    assert.deepEqual(lost.json.gap, { reason: 'history' });
    assert.deepEqual(lost.json.data.map((m) => m.id), ids.slice(7));
    const oldest = await request(hub, messagesPath('short'));
    assert.equal(oldest.json.gap, undefined, 'who asks for what is kept misses nothing');
    assert.deepEqual(oldest.json.data.map((m) => m.id), ids.slice(7));
});

scenario('history.bytes bounds a channel too', async (scope) => {
    const hub = await scope.hub({ args: ['--history.bytes=10KiB'] });
    await publishAll(hub, 'fat', Array.from({ length: 20 }, (_, i) => `${i}`.padEnd(1024, 'x')));
    const { data } = (await request(hub, messagesPath('fat'))).json;
    assert.ok(data.length >= 5 && data.length < 10, `${data.length} messages of 1 KiB and what each costs`);
    assert.ok(data.at(-1).data.startsWith('19x'));
    const shown = (await request(hub, '/v1/channels/fat')).json;
    assert.ok(shown.bytes > data.length * 1024 && shown.bytes <= 10 * 1024, `${shown.bytes}`);
    assert.ok(shown.bytes + shown.bytes / data.length > 10 * 1024, 'one more would not fit');
});

scenario('history.ttl lets messages go, and who needed them is told', async (scope) => {
    const hub = await scope.hub({ args: ['--history.ttl=500ms'] });
    const ids = await publishAll(hub, 'brief', ['1', '2', '3']);
    await eventually(async () => (await request(hub, messagesPath('brief'))).json.data.length === 0, 'the messages to go');
    const missed = (await request(hub, messagesPath('brief', `?since=${ids[0]}`))).json;
    assert.deepEqual([missed.data, missed.gap], [[], { reason: 'history' }]);
    const complete = (await request(hub, messagesPath('brief', `?since=${ids[2]}`))).json;
    assert.deepEqual([complete.data, complete.gap], [[], undefined], 'who had the last one misses nothing');
});

scenario('history.max_bytes bounds all channels together; the oldest numbers go first', { ownEngine: 'Redis has its own bound, maxmemory' }, async (scope) => {
    const hub = await scope.hub({ args: ['--history.max_bytes=1MiB'] });
    const first = [];
    for (let i = 0; i < 40; i++) first.push((await publish(hub, `c${i}`, `${i}`.padEnd(50_000, '.'))).id);
    const kept = (await request(hub, '/v1/channels')).json.data.filter((c) => c.messages).map((c) => Number(c.channel.slice(1))).sort((a, b) => a - b);
    assert.ok(kept.length >= 10 && kept.length <= 21, `${kept.length} messages of 50,000 bytes`);
    assert.deepEqual(kept, Array.from({ length: kept.length }, (_, i) => 40 - kept.length + i), 'the newest of all');
    const gone = await scope.sse(hub, '/sse?channel=c0&channel=c39', { lastEventId: first[0] });
    await gone.take(1);
    assert.equal(gone.control('gap').length, 0, 'after the last message of c0 nothing is missing');
    const before = await scope.sse(hub, '/sse?channel=c1&channel=c39', { lastEventId: first[0] });
    assert.deepEqual(JSON.parse((await before.gap()).data).channels, ['c1']);
});

scenario('the list can be limited to names that begin alike', async (scope) => {
    const hub = await scope.hub();
    for (const name of ['a', 'ab', 'abc', 'b', 'ab/x']) await publish(hub, name, 'x');
    const pages = await allPages(hub, '/v1/channels?prefix=ab&limit=2');
    assert.deepEqual(pages.flatMap((p) => p.data.map((c) => c.channel)), ['ab', 'ab/x', 'abc']);
});

scenario('the history of a channel that nobody used is an empty list', async (scope) => {
    const hub = await scope.hub();
    const { status, json } = await request(hub, messagesPath('never'));
    assert.equal(status, 200);
    assert.deepEqual(json.data, []);
    assert.equal(json.next_cursor, null);
    assert.match(json.position, /^[a-z2-7]{8}\.\d+$/);
    const { id } = await publish(hub, 'never', 'first');
    const after = (await request(hub, messagesPath('never', `?since=${json.position}`))).json;
    assert.deepEqual([after.data.map((m) => m.id), after.gap], [[id], undefined], 'the position of an empty page is where the next ones come after');
});

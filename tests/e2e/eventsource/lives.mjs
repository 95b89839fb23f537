// lives.mjs — what becomes of an EventSource: opening, ids, ends of every kind and coming back (HTML Living Standard §9.2.2–9.2.4), one table for
// every engine.
//
// { name, not: { engine: why it cannot }, run(stage) }. A stage has `hub` (--dev, sse.retry 100 ms, heartbeats each second, Front is its trusted
// proxy), `front` before it, `channel`, both for this case alone, open(where, options): a listener through the front, and `scope`.
import assert from 'node:assert/strict';
import { publish, request } from '../lib/http.mjs';
import { gone } from './engines.mjs';

const V2 = 'npm eventsource 2', V3 = 'npm eventsource 3';
const EVENT_STREAM = { 'Content-Type': 'text/event-stream' };
const sse = (channel, more = '') => `/sse?channel=${channel}${more}`;
const asked = (front) => front.of('/sse').map((r) => r.headers['last-event-id'] ?? '');
const say = (hub, channel, text, event) => publish(hub, channel, text, { query: event ? `?event=${event}` : '' });
// As an administrator ends a connection: with hub.bye.
const disconnect = (hub, listener, query = '') => request(hub, `/v1/connections/${JSON.parse(listener.of('hub.ready').at(-1).data).connection}${query}`, { method: 'DELETE' });
// The n-th request for /sse is treated so, the others are passed on.
const nth = (front, n, how) => front.rule('/sse', (request, response, pass) => (front.of('/sse').length === n ? how(request, response, pass) : pass()));
const answer = (status, headers = {}, body = '') => (request, response) => response.writeHead(status, headers).end(body);

async function isFinal(front, listener, requests = 1) {
    await listener.failed();
    assert.equal(listener.log.at(-1).state, listener.hasty ? 0 : 2);
    assert.equal(listener.messages.length, 0);
    assert.equal(front.requests.length, requests, 'nobody asks again');
}

const FINAL = [
    { name: 'no channel', where: '/sse', status: 400 }, { name: 'a channel that is none', where: sse('a%20b'), status: 400 }, { name: 'a since that is nothing', where: sse('a', '&since=x'), status: 400 },
    { name: 'a wrong token', where: sse('a', '&token=a.b.c'), status: 401 }, { name: 'a wrong key', where: sse('a', '&token=x'), status: 401 },
    { name: 'a pattern without presence', where: sse('a.*', '&presence=true'), status: 400 }, { name: 'another place', where: '/sse/x?channel=a', status: 404 },
    { name: 'a head that is too large', where: sse('a', `&x=${'x'.repeat(40_000)}`), status: 431 },
];

export const LIVES = [
    { name: 'it opens, and hears hub.ready with an id before anything else', async run({ hub, front, channel, open }) {
        const listener = await open(sse(channel));
        const ready = await listener.ready();
        assert.deepEqual(listener.log.map((e) => e.type), ['new', 'open', 'hub.ready']);
        assert.deepEqual(listener.course, ['new 0', 'open 1']);
        assert.equal(ready.id, JSON.parse(ready.data).position);
        assert.equal(ready.origin, front.origin);
        assert.deepEqual(asked(front), ['']);
        assert.match(front.requests[0].headers.accept, /text\/event-stream/);
        await listener.close();
        assert.equal(listener.readyState, 2);
        await gone(front, '/sse');
    } },
    { name: 'lastEventId is the id of each message, named or not', async run({ hub, channel, open }) {
        const listener = await open(sse(channel), { names: ['headline'] });
        await listener.ready();
        const ids = [];
        for (const event of ['', 'headline', '', 'headline', '']) ids.push((await say(hub, channel, 'x', event)).id);
        assert.deepEqual((await listener.took(5)).map((e) => [e.type, e.id]), ids.map((id, i) => [i % 2 ? 'headline' : 'message', id]));
    } },
    { name: 'a named event reaches its listeners and no others', async run({ hub, channel, open }) {
        const listener = await open(sse(channel), { names: ['one', 'two'] });
        await listener.ready();
        for (const event of ['one', 'unheard', 'One', 'two', 'message', '']) await say(hub, channel, `as ${event}`, event);
        await listener.told('message', 2);
        assert.deepEqual(listener.messages.map((e) => [e.type, e.data]), [['one', 'as one'], ['two', 'as two'], ['message', 'as message'], ['message', 'as ']]);
    } },
    { name: 'events named open and error come to onopen and onerror, as messages', not: { [V3]: 'only to listeners' }, async run({ hub, channel, open }) {
        const listener = await open(sse(channel), { handlers: true });
        await listener.ready();
        for (const event of ['open', 'error']) await say(hub, channel, 'x', event);
        await say(hub, channel, 'end');
        await listener.took(3);
        assert.deepEqual(listener.messages.map((e) => [e.type, e.data, e.state]), [['open', 'x', 1], ['error', 'x', 1], ['message', 'end', 1]]);
    } },
    { name: 'what the hub tells without an id takes none away', not: { [V3]: 'an event without an id: has an empty lastEventId' }, async run({ hub, channel, open }) {
        const listener = await open(sse(channel, '&presence=true&format=envelope'));
        const ready = await listener.ready();
        const other = await open(sse(channel, '&user=bob&format=envelope'));
        await other.ready();
        assert.equal((await listener.told('hub.member-joined')).id, ready.id);
        const { id } = await say(hub, channel, 'x');
        await listener.took(1);
        await other.close();
        assert.equal(listener.messages[0].id, id);
    } },
    { name: 'after hub.bye it comes back by itself, with the last id, and has missed nothing', async run({ hub, front, channel, open }) {
        const listener = await open(sse(channel));
        await listener.ready();
        const { id } = await say(hub, channel, 'one');
        await listener.took(1);
        let release;
        nth(front, 2, (request, response, pass) => { release = pass; });
        assert.equal((await disconnect(hub, listener, '?code=4000')).status, 204);
        const bye = await listener.told('hub.bye');
        await front.waitFor(() => release, 'the second request');
        await say(hub, channel, 'two');
        release();
        await listener.took(2);
        await listener.ready(2);
        await say(hub, channel, 'three');
        assert.deepEqual((await listener.took(3)).map((e) => e.data), ['one', 'two', 'three']);
        assert.deepEqual(listener.course, ['new 0', 'open 1', 'error 0', 'open 1']);
        assert.equal(JSON.parse(bye.data).type, 'bye');
        assert.deepEqual(asked(front), ['', id]);
        assert.equal(JSON.parse(listener.of('hub.ready')[1].data).channels[0].recovered, true);
        assert.equal(listener.of('hub.gap').length, 0);
    } },
    { name: 'after hub.bye of a code that says so the page closes, and nobody comes back', async run({ hub, front, channel, open }) {
        const listener = await open(sse(channel), { closeOn: 'hub.bye' });
        await listener.ready();
        await disconnect(hub, listener);
        assert.equal(JSON.parse((await listener.told('hub.bye')).data).code, 'disconnected');
        await gone(front, '/sse');
        const other = await open(sse(channel));      // it comes later than the other would have, which is told at least as soon
        await other.ready();
        assert.equal(front.requests.length, 2);
        assert.deepEqual(listener.course, ['new 0', 'open 1']);
    } },
    { name: 'a line that breaks between messages is a reason to come back', async run({ hub, front, channel, open }) {
        const listener = await open(sse(channel));
        await listener.ready();
        const ids = [];
        for (let round = 1; round <= 3; round++) {
            ids.push((await say(hub, channel, `${round}`)).id);
            await listener.took(round);
            front.cut();
            await listener.ready(round + 1);
        }
        assert.deepEqual(listener.data, ['1', '2', '3']);
        assert.deepEqual(asked(front), ['', ...ids]);
        assert.deepEqual(listener.course.slice(1), ['open 1', ...Array(3).fill(['error 0', 'open 1']).flat()]);
    } },
    { name: 'a block that was cut in the middle is nothing, and comes again', not: { [V2]: 'it keeps an id when its line has come, and glues what follows to what it had' }, async run({ hub, front, channel, open }) {
        nth(front, 1, (request, response, pass) => pass({ until: (text) => { const at = text.indexOf('data: cut'); return at < 0 ? undefined : at + 10; } }));
        const listener = await open(sse(channel));
        await listener.ready();
        const { id } = await say(hub, channel, 'whole');
        await listener.took(1);
        await say(hub, channel, 'cut in two');
        await listener.ready(2);
        await listener.took(2);
        assert.deepEqual(listener.data, ['whole', 'cut in two']);
        assert.deepEqual(asked(front), ['', id]);
    } },
    { name: 'cut before its first message it goes on from hub.ready', async run({ hub, front, channel, open }) {
        const listener = await open(sse(channel));
        const { id } = await listener.ready();
        let release;
        nth(front, 2, (request, response, pass) => { release = pass; });
        front.cut();
        await front.waitFor(() => release, 'the second request');
        await say(hub, channel, 'meanwhile');
        release();
        await listener.took(1);
        assert.deepEqual(asked(front), ['', id]);
    } },
    { name: 'cut after the first lines of a stream it still has the id of the one before', async run({ hub, front, channel, open }) {
        const listener = await open(sse(channel));
        await listener.ready();
        const { id } = await say(hub, channel, 'one');
        await listener.took(1);
        nth(front, 2, (request, response, pass) => pass({ until: (text) => { const at = text.indexOf('\n\n'); return at < 0 ? undefined : at + 2; } }));
        front.cut();
        await front.waitFor(() => front.of('/sse').length === 3, 'the third request');
        await listener.ready(2);
        assert.deepEqual(asked(front), ['', id, id]);
    } },
    { name: 'told to come back at the door it still has its id, as often as it is told', async run({ scope, hub, front, channel, open }) {
        front.forwardedFor = `2001:db8:0:${front.server.address().port.toString(16)}::1`;      // an address that may have one connection
        const listener = await open(sse(channel));
        await listener.ready();
        const { id } = await say(hub, channel, 'one');
        await listener.took(1);
        let release;
        nth(front, 2, (request, response, pass) => { release = pass; });
        front.cut();
        await front.waitFor(() => release, 'the second request');
        const seat = await scope.sse(hub, sse('seat'), { headers: { 'X-Forwarded-For': front.forwardedFor } });
        await seat.ready();
        release();
        const byes = [await listener.told('hub.bye'), await listener.told('hub.bye', 2)];
        seat.close();
        await listener.ready(2);
        for (const bye of byes) assert.equal(JSON.parse(bye.data).code, 'too_many_connections');
        assert.deepEqual(new Set(asked(front).slice(1)), new Set([id]));
        assert.deepEqual(listener.data, ['one']);
    } },
    { name: 'an id that came alone is kept', not: { [V3]: 'it keeps ids of events only' }, async run({ hub, front, channel, open }) {
        const listener = await open(sse(channel));
        const ready = await listener.ready();
        const { id } = await say(hub, 'elsewhere', 'x');
        await front.waitFor(() => front.requests[0].text.includes(`\n\nid: ${id}\n\n`), 'a heartbeat');
        front.cut();
        await listener.ready(2);
        assert.notEqual(id, ready.id);
        assert.deepEqual(asked(front), ['', id]);
        assert.equal(listener.messages.length, 0);
    } },
    { name: 'a position in the URL is where it begins, later the id is', async run({ hub, front, channel, open }) {
        const { id } = await say(hub, channel, 'one');
        await say(hub, channel, 'two');
        const listener = await open(sse(channel, `&last_event_id=${id}`));
        await listener.took(1);
        const last = (await say(hub, channel, 'three')).id;
        await listener.took(2);
        front.cut();
        await listener.ready(2);
        await say(hub, channel, 'four');
        await listener.took(3);
        assert.deepEqual(listener.data, ['two', 'three', 'four']);
        assert.deepEqual(asked(front), ['', last]);
    } },
    { name: 'a position that is lost is one gap, told before all else', async run({ channel, open }) {
        const listener = await open(sse(channel, '&last_event_id=aaaaaaab.7'));
        const ready = await listener.ready();
        assert.deepEqual(listener.log.map((e) => e.type), ['new', 'open', 'hub.gap', 'hub.ready']);
        const gap = JSON.parse(listener.of('hub.gap')[0].data);
        assert.deepEqual([gap.reason, gap.position], ['epoch', ready.id]);
        assert.equal(listener.of('hub.gap')[0].id, ready.id);
    } },
    { name: 'a hub that cannot be reached is tried again', async run({ hub, front, channel, open }) {
        const listener = await open(sse(channel));
        await listener.ready();
        const { id } = await say(hub, channel, 'one');
        await listener.took(1);
        front.rule('/sse', (request, response, pass) => (front.of('/sse').length <= 3 ? request.socket.destroy() : pass()));
        front.cut();
        await listener.ready(2);
        const errors = listener.of('error');
        assert.ok(errors.length >= 2 && errors.every((e) => e.state === 0), `${listener.course}`);
        assert.equal(asked(front).at(-1), id);
    } },
    ...FINAL.map(({ name, where, status }) => ({ name: `${status} is final: ${name}`, async run({ front, open }) {
        const listener = await open(where);
        await isFinal(front, listener);
        assert.match(front.requests[0].text, new RegExp(`"status":${status},`), 'and its body says why');
    } })),
    { name: '204 of somebody between is final', async run({ front, channel, open }) {
        front.rule('/sse', answer(204));
        await isFinal(front, await open(sse(channel)));
    } },
    { name: '204 ends one that was open', async run({ front, channel, open }) {
        const listener = await open(sse(channel));
        await listener.ready();
        nth(front, 2, answer(204));
        front.cut();
        await isFinal(front, listener, 2);
    } },
    ...[500, 502, 503, 504].map((status) => ({ name: `${status} of somebody between is final: a hub never says so to a stream`, not: { [V2]: 'it tries again' }, async run({ front, channel, open }) {
        front.rule('/sse', answer(status, { 'Retry-After': '1' }));
        await isFinal(front, await open(sse(channel)));
    } })),
    { name: '200 of another type is final', not: { [V2]: 'it looks at no type' }, async run({ front, channel, open }) {
        front.rule('/sse', answer(200, { 'Content-Type': 'text/html' }, 'data: x\n\n'));
        await isFinal(front, await open(sse(channel)));
    } },
    ...['text/event-stream;charset=utf-8', 'text/event-stream; charset=UTF-8', 'text/event-stream ;x=y'].map((type) => ({ name: `${type} of somebody between is the type`, async run({ front, channel, open }) {
        front.rule('/sse', (request, response, pass) => pass({ headers: { 'content-type': type } }));
        await (await open(sse(channel))).ready();
    } })),
    ...[301, 302, 303, 307, 308].map((status) => ({ name: `a redirect by ${status} is followed`, not: { ...([303, 308].includes(status) && { [V2]: 'it does not know it' }) }, async run({ hub, front, channel, open }) {
        front.rule('/moved', (request, response) => response.writeHead(status, { Location: front.url(`/sse?channel=${channel}`) }).end());
        const listener = await open('/moved');
        await listener.ready();
        const { id } = await say(hub, channel, 'one');
        await listener.took(1);
        front.cut();
        await listener.ready(2);
        assert.deepEqual(asked(front), ['', id]);
        assert.equal(listener.of('hub.ready')[1].origin, front.origin);
    } })),
    { name: 'after a redirect it comes back to where that has brought it', not: { [V3]: 'it asks at the first place again' }, async run({ front, channel, open }) {
        front.rule('/moved', (request, response) => response.writeHead(302, { Location: front.url(`/sse?channel=${channel}&n=${front.of('/moved').length}`) }).end());
        const listener = await open('/moved');
        await listener.ready();
        front.cut();
        await listener.ready(2);
        assert.deepEqual(front.requests.map((r) => r.url), ['/moved', `/sse?channel=${channel}&n=1`, `/sse?channel=${channel}&n=1`]);
    } },
    { name: 'close() ends it at once, for the hub too, and a second one is nothing', async run({ hub, front, channel, open }) {
        const listener = await open(sse(channel));
        await listener.ready();
        await listener.close();
        assert.equal(listener.readyState, 2);
        await gone(front, '/sse');
        await say(hub, channel, 'unheard');
        await listener.close();
        assert.deepEqual(listener.log.map((e) => `${e.type} ${e.state}`), ['new 0', 'open 1', 'hub.ready 1', 'closed 2', 'closed 2']);
    } },
    { name: 'close() while it waits to come back is the end', async run({ front, channel, open }) {
        const listener = await open(sse(channel)), other = await open(sse('other'));
        await Promise.all([listener.ready(), other.ready()]);
        front.rule('/sse', (request, response, pass) => (request.url.includes('other') ? pass() : response.destroy()));
        front.cut();
        await listener.told('error');
        await listener.close();
        const asked = () => front.requests.filter((r) => !r.url.includes('other')).length, before = asked();
        for (let times = 2; times <= 4; times++) {      // three times at least a half of sse.retry: longer than the other would have waited
            await other.ready(times);
            if (times < 4) front.cut();
        }
        assert.equal(asked(), before, front.state());
    } },
    { name: 'close() in a handler: what has come already is not heard', not: { [V2]: 'it goes on through the bytes that it has', [V3]: 'likewise' }, async run({ hub, channel, open }) {
        for (const text of ['one', 'two', 'three']) await say(hub, channel, text);
        const listener = await open(sse(channel, '&since=all'), { closeOn: 'message' });
        await listener.took(1);
        const other = await open(sse(channel, '&since=all'));
        await other.took(3);
        assert.deepEqual(listener.data, ['one']);
    } },
    { name: 'two sources know nothing of each other', async run({ hub, front, channel, open }) {
        const one = await open(sse(channel)), two = await open(sse(channel));
        await Promise.all([one.ready(), two.ready()]);
        await one.close();
        await say(hub, channel, 'x');
        await two.took(1);
        assert.deepEqual(one.data, []);
        assert.equal(front.of('/sse').length, 2);
    } },
];

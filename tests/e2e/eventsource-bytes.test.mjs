// The bytes of a stream: every kind of payload exactly as PROTOCOL.md §5 says, read by the letter of the HTML standard (§9.2.5, §9.2.6) in any
// pieces; and the head of the answer as raw bytes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { post, problemOf, request } from './lib/http.mjs';
import { EventStream } from './lib/event-stream.mjs';
import { RawConnection } from './lib/raw.mjs';
import { scenario } from './lib/scope.mjs';
import { PAYLOADS, REFUSED, send, wireOf } from './eventsource/payloads.mjs';
import { STREAMS, eventOf } from './eventsource/streams.mjs';

// All that a reader can know of a stream that came in these pieces.
function read(pieces, options) {
    const stream = new EventStream(options);
    for (const piece of pieces) stream.feed(piece);
    stream.end();
    const { events, lastEventId, retry, ignored } = stream;
    return { events, lastEventId, retry, ignored };
}

// Cut in two at each offset, and into pieces of each of these sizes.
function* cuts(bytes, { step = 1, sizes = [1, 2, 3, 7] } = {}) {
    for (let at = 0; at <= bytes.length; at += step) yield [bytes.subarray(0, at), bytes.subarray(at)];
    for (const size of sizes) yield Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

function sameInAnyPieces(bytes, whole, options, how) {
    let count = 0;
    for (const pieces of cuts(bytes, how)) {
        assert.deepEqual(read(pieces, options), whole, `in pieces of ${pieces.slice(0, 3).map((p) => p.length)}…`);
        count++;
    }
    return count;
}

test('our reader of streams reads as the standard says, in any pieces', () => {
    for (const { name, bytes, events, next = '', retry, ignored = [], large } of STREAMS) {
        const all = Buffer.from(bytes), whole = read([all]);
        assert.deepEqual(whole.events, events.map(eventOf), name);
        assert.deepEqual([whole.lastEventId ?? '', whole.retry, whole.ignored], [next, retry, ignored], name);
        sameInAnyPieces(all, whole, {}, large && { step: 9973, sizes: [1000] });
    }
});

async function open(scope, hub, query, headers = '') {
    const line = new RawConnection(hub.public);
    scope.defer(() => line.close());
    await line.waitFor(() => line.open, 'the connection');
    line.write(`GET /sse?${query} HTTP/1.1\r\nHost: ${hub.public.host}:${hub.public.port}\r\n${headers}\r\n`);
    await line.waitFor(() => line.unparsed.includes('\r\n\r\n'), 'an answer');
    return line;
}

// What has come; when the hub has closed, it is an answer.
const split = (line) => {
    if (line.answers.length) return line.answers[0];
    const end = line.unparsed.indexOf('\r\n\r\n');
    return { head: line.unparsed.toString('latin1', 0, end), body: line.unparsed.subarray(end + 4) };
};

// All that has come, with the whole block that has this text.
const bodyWith = (line, text) => line.waitFor(() => {
    const { body } = split(line), at = body.indexOf(text);
    return at >= 0 && body.includes('\n\n', at) && body;
}, `a block with ${text}`);

for (const format of ['bare', 'envelope']) {
    scenario(`every payload is these bytes in the ${format} format, live and replayed, and means the same in any pieces`, async (scope) => {
        const hub = await scope.hub({ args: ['--history.size=1000', '--history.bytes=100MiB', '--limits.message=1MiB', '--sse.heartbeat=1h'] });
        const live = await open(scope, hub, `channel=t&format=${format}`);
        const begins = (await bodyWith(live, 'hub.ready')).toString();
        assert.match(begins, /^retry: \d+\n\nid: ([a-z2-7]{8}\.\d+)\nevent: hub\.ready\ndata: \{"type":"ready","position":"\1",[^\n]*\}\n\n$/);
        const wires = [];
        for (const row of PAYLOADS) {
            const { id, time } = await send(hub, 't', row);
            wires.push(wireOf(row, format, 't', id, time));
        }
        const replayed = await open(scope, hub, `channel=t&format=${format}&since=all`);
        for (const [how, line] of Object.entries({ live, replayed })) {
            await bodyWith(line, 'hub.ready');
            const first = split(line).body;
            let at = first.indexOf('\n\n', first.indexOf('hub.ready')) + 2;
            for (const [i, wire] of wires.entries()) {
                const length = Buffer.byteLength(wire);
                await line.waitFor(() => split(line).body.length >= at + length, `${how}: ${PAYLOADS[i].name}`);
                const got = split(line).body.subarray(at, at + length);
                if (!got.equals(Buffer.from(wire))) assert.equal(got.toString(), wire, `${how}: ${PAYLOADS[i].name}`);
                at += length;
            }
            assert.equal(split(line).body.length, at, 'and nothing else');
        }
        const small = Buffer.from(PAYLOADS.flatMap((row, i) => row.large ? [] : [wires[i]]).join(''));
        const stream = Buffer.concat([Buffer.from(begins), small]), whole = read([stream], { fatal: true });
        assert.deepEqual(whole.ignored, []);
        const [ready, ...events] = whole.events;
        assert.equal(ready.type, 'hub.ready');
        assert.equal(events.length, PAYLOADS.filter((row) => !row.large).length);
        sameInAnyPieces(stream, whole, { fatal: true });
        for (const [i, row] of PAYLOADS.entries()) {
            const [event] = read([Buffer.from(wires[i])], { fatal: true }).events;
            assert.equal(event.type, row.event ?? 'message', row.name);
            if (format === 'bare') assert.equal(event.data, row.got, row.name);
            else assert.deepEqual(JSON.parse(event.data).data, JSON.parse(row.member), row.name);
            if (row.large) sameInAnyPieces(Buffer.from(wires[i]), read([Buffer.from(wires[i])], { fatal: true }), { fatal: true }, { step: Math.ceil(wires[i].length / 7), sizes: [4096] });
        }
    });
}

scenario('what could not be told on a stream is not published', async (scope) => {
    const hub = await scope.hub();
    for (const { name, body, headers, query, code } of REFUSED) problemOf(await post(hub, 't', body, { headers, query }), 400, code ?? name);
});

scenario('the head of a stream is one for every request: type, no caching, no length, no coding', async (scope) => {
    const hub = await scope.hub();
    for (const [what, headers] of Object.entries({ 'a browser': 'Accept: text/event-stream\r\nCache-Control: no-cache\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n', nothing: '',
        'other types': 'Accept: application/json\r\n', 'a range': 'Range: bytes=0-10\r\n', 'a condition': 'If-None-Match: *\r\nIf-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT\r\n', 'kept alive': 'Connection: keep-alive\r\n' })) {
        const line = await open(scope, hub, 'channel=a', headers);
        const [status, ...lines] = split(line).head.split('\r\n');
        const head = Object.fromEntries(lines.map((l) => l.split(/: (.*)/s)));
        assert.equal(status, 'HTTP/1.1 200 OK', what);
        assert.equal(head['Content-Type'], 'text/event-stream', what);      // exactly: a charset could only be UTF-8
        assert.equal(head['Cache-Control'], 'no-store, no-transform', what);
        assert.equal(head.Connection, 'close', what);
        for (const name of ['Content-Length', 'Content-Encoding', 'Transfer-Encoding', 'ETag', 'Last-Modified', 'Set-Cookie']) assert.equal(head[name], undefined, `${what}: ${name}`);
        await bodyWith(line, 'hub.ready');
    }
    for (const [path, allow] of [['/sse?channel=a', 'GET, OPTIONS'], ['/', 'GET, HEAD, OPTIONS'], ['/carillon.js', 'GET, HEAD, OPTIONS']]) {
        for (const method of ['POST', 'PUT', 'DELETE', ...(allow.includes('HEAD') ? [] : ['HEAD'])]) {
            const answer = await request(hub.public, path, { method });
            assert.deepEqual([answer.status, answer.headers.allow], [405, allow], `${method} ${path}`);
        }
    }
});

scenario('where a stream begins: the header wins over the query, both spellings count, and what was asked for is said first', async (scope) => {
    const hub = await scope.hub();
    const ids = [];
    for (const data of ['one', 'two', 'three']) ids.push((await send(hub, 't', { text: data })).id);
    const begun = async (query, headers) => read([await bodyWith(await open(scope, hub, `channel=t${query}`, headers), 'hub.ready')]);
    const rest = async (query, headers, count) => {
        const line = await open(scope, hub, `channel=t${query}`, headers);
        await line.waitFor(() => read([split(line).body]).events.length > count, `${count} messages`);
        const { body } = split(line), said = read([body]);
        return { first: body.toString().split('\n\n')[0].split('\n').slice(1).join(), data: said.events.filter((e) => e.type === 'message').map((e) => e.data), gap: said.events.some((e) => e.type === 'hub.gap') };
    };
    for (const [query, headers, from] of [[`&last_event_id=${ids[0]}`, '', 0], [`&lastEventID=${ids[1]}`, '', 1], ['', `Last-Event-ID: ${ids[0]}\r\n`, 0], ['', `last-event-id:${ids[1]}\r\n`, 1],
        [`&last_event_id=${ids[0]}`, `Last-Event-ID: ${ids[1]}\r\n`, 1], [`&last_event_id=${ids[1]}&since=all`, '', 1], [`&last_event_id=${ids[0]}`, 'Last-Event-ID:\r\n', 0]])
        assert.deepEqual(await rest(query, headers, 2 - from), { first: `id: ${ids[from]}`, data: ['two', 'three'].slice(from), gap: false }, `${query} ${headers}`);
    for (const text of ['no position', 'k3q7x2ab.7', '%F0%9F%98%80', 'a%0Adata: forged'])
        assert.equal((await rest(`&last_event_id=${encodeURIComponent(decodeURIComponent(text))}`, '', 4)).gap, true, text);
    const fresh = await begun('&last_event_id=', '');
    assert.equal(fresh.lastEventId, ids[2], 'empty is as if absent: from now on');
    assert.equal(fresh.events.length, 1);
});

scenario('retry: is digits, another for each connection, and hub.bye has the same number', async (scope) => {
    const hub = await scope.hub({ args: ['--sse.retry=1500ms'] });
    const lines = [];
    for (let i = 0; i < 20; i++) lines.push(await open(scope, hub, 'channel=a'));
    const told = [];
    for (const line of lines) {
        const body = (await bodyWith(line, 'hub.ready')).toString();
        told.push(Number(/^retry: (0|[1-9][0-9]*)\n/.exec(body)?.[1]));
    }
    for (const ms of told) assert.ok(Number.isInteger(ms) && ms >= 750 && ms <= 750 + 1500 * 1.5, `${told}`);
    assert.ok(new Set(told).size > 10, `${told}`);
    hub.run.signal('SIGTERM');
    for (const line of lines) {
        const said = read([await bodyWith(line, 'hub.bye')]), bye = said.events.find((e) => e.type === 'hub.bye');
        assert.equal(JSON.parse(bye.data).retry_ms, said.retry);
        assert.equal(bye.lastEventId, said.events[0].lastEventId, 'the last words take no id away');
    }
});

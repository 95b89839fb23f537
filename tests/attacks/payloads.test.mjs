// Payloads, names and positions that are meant to break somebody: tables/payloads.mjs and tables/names.mjs.
import assert from 'node:assert/strict';
import { scenario } from '../e2e/lib/scope.mjs';
import { RawConnection } from '../e2e/lib/raw.mjs';
import { messagesPath, post, publish, request } from '../e2e/lib/http.mjs';
import { memberText } from '../e2e/lib/ws.mjs';
import { chosen } from './lib/chosen.mjs';
import { RawWs, handshake, text } from './lib/raw_ws.mjs';
import { Watch } from './lib/watch.mjs';
import { json, lines } from './tables/payloads.mjs';
import { names, beginnings, positions } from './tables/names.mjs';

const HUB = ['--history.size=10', '--limits.header_bytes=60KiB'];
const latin1 = (string) => Buffer.from(string, 'latin1');
const percent = (name) => Array.from(latin1(name), (byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');

// One test per row, each followed by a look at the hub; at the end its memory is back.
async function eachRow(t, watch, rows, run) {
    for (const [what, ...row] of chosen(rows)) {
        await t.test(what, async () => {
            await run(...row);
            await watch.unharmed(what);
        });
    }
    await t.test('memory and descriptors have returned', async (test) => test.diagnostic(`${(await watch.memoryReturned(24)).toFixed(1)} MiB more than before`));
}

// ---- JSON ----

async function jsonByApi(hub, value, expected) {
    const body = Buffer.concat([Buffer.from('{"data":'), Buffer.from(value), Buffer.from('}')]);
    const answer = await post(hub, 'json-api', body, { headers: { 'Content-Type': 'application/json' } });
    if (expected !== 'kept') { assert.ok([400, 413].includes(answer.status) && answer.json.code === expected, `API: ${answer.status} ${answer.text}`); return; }
    assert.equal(answer.status, 201, answer.text);
    await keptAs(hub, 'json-api', value);
}

async function jsonByWs(hub, socket, value, expected) {
    const ref = `r${socket.json.length}`;
    socket.send(text(Buffer.concat([Buffer.from(`{"type":"publish","ref":"${ref}","channel":"json-ws","data":`), Buffer.from(value), Buffer.from('}')])));
    if (expected.startsWith('close')) {
        await socket.waitFor(() => socket.ended, 'the close');
        assert.equal(socket.closeCode, Number(expected.slice(6)));
        return;
    }
    const before = socket.json.length;
    await socket.waitFor(() => socket.json.length > before || socket.ended, 'an answer');
    const answer = socket.json.at(-1);
    assert.equal(answer.type === 'ok' ? 'kept' : answer.code, expected, `WebSocket: ${socket.state()}`);
    if (expected === 'kept') await keptAs(hub, 'json-ws', value);
}

async function keptAs(hub, channel, value) {
    const { text: page } = await request(hub, messagesPath(channel));
    const newest = page.slice(page.lastIndexOf('{"type":"message"'));
    assert.equal(memberText(newest, 'data')?.trim(), value.trim(), 'the bytes of the publisher');
}

scenario('JSON: what is valid keeps its bytes, what is not is refused, at both doors', async (scope, t) => {
    const hub = await scope.hub({ args: HUB });
    const watch = await Watch.over(scope, hub);
    await eachRow(t, watch, json, async (value, expected) => {
        await jsonByApi(hub, value, expected.api ?? expected);
        const socket = new RawWs(hub.public);
        try { await jsonByWs(hub, await socket.opened(), value, expected.ws ?? expected); } finally { socket.drop(); }
    });
});

// ---- SSE injection ----

const asBrowser = (payload) => payload.replace(/\r\n|\r/g, '\n');
function whole(payload, type) {
    if (type === 'application/json') return memberText(payload, 'data');
    return Buffer.isBuffer(payload) ? payload.toString('base64') : payload;
}

function checkBlocks(blocks, id, event, payload, type) {
    assert.deepEqual(blocks.bare.map((b) => [b.id, b.event, b.data, b.retry, b.comments.length]), [[id, event ?? undefined, asBrowser(whole(payload, type)), undefined, 0]], 'one block, bare');
    assert.deepEqual(blocks.envelope.map((b) => [b.id, b.event, b.retry, b.comments.length]), [[id, event ?? undefined, undefined, 0]], 'one block, envelope');
    const message = JSON.parse(blocks.envelope[0].data);
    const expected = type === 'application/json' ? JSON.parse(whole(payload, type)) : whole(payload, type);
    assert.deepEqual([message.id, message.event, message.data, message.encoding], [id, event ?? undefined, expected, Buffer.isBuffer(payload) ? 'base64' : undefined]);
}

scenario('SSE: nothing a publisher sends begins a field or a block of its own', async (scope, t) => {
    const hub = await scope.hub({ args: HUB });
    const watch = await Watch.over(scope, hub);
    await eachRow(t, watch, lines, async (payload, type, event, expected) => {
        const streams = { bare: await scope.sse(hub, '/sse?channel=lines'), envelope: await scope.sse(hub, '/sse?channel=lines&format=envelope') };
        await Promise.all([streams.bare.ready(), streams.envelope.ready()]);
        const answer = await post(hub, 'lines', payload, { headers: { 'Content-Type': type }, query: event === null ? '' : `?event=${encodeURIComponent(event)}` });
        if (expected !== 'delivered') {
            assert.equal(answer.status === 400 && answer.json.code, expected, answer.text);
        } else {
            assert.equal(answer.status, 201, answer.text);
            const end = await publish(hub, 'lines', 'end');
            const blocks = {};
            for (const [format, stream] of Object.entries(streams)) {
                await stream.waitFor(() => stream.lastId === end.id, 'what follows');
                const ready = stream.blocks.findIndex((b) => b.event === 'hub.ready');
                blocks[format] = stream.blocks.slice(ready + 1, -1);
            }
            checkBlocks(blocks, answer.json.id, event, payload, type);
        }
        streams.bare.close();
        streams.envelope.close();
    });
});

// ---- names ----

async function answerOf(where, bytes, scope) {
    const connection = new RawConnection(where);
    scope.defer(() => connection.close());
    connection.write(bytes);
    await connection.waitFor(() => connection.answers.length || connection.ended || connection.unparsed.includes('hub.ready'), 'an answer');
    const [answer] = connection.answers;
    const found = { status: answer?.status ?? Number(connection.unparsed.toString('latin1').slice(9, 12)), code: answer && JSON.parse(answer.body).code, seen: connection.unparsed.toString('latin1'), body: answer && JSON.parse(answer.body) };
    connection.close();
    return found;
}

async function nameInPath(scope, hub, written, name, good) {
    const answer = await answerOf(hub.api, `POST /v1/channels/${written}/messages HTTP/1.1\r\nHost: attack\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx`, scope);
    if (good === true) assert.deepEqual([answer.status, answer.body.channel], [201, name]);
    else assert.deepEqual([answer.status, answer.code], [400, 'bad_channel'], 'path');
}

// Of the third column of the table, where channels and patterns are subscribed to.
const isSubscribable = (good) => good === true || good === 'pattern', refusalOf = (good) => good || 'bad_channel';

async function nameInQuery(scope, hub, written, name, good) {
    const answer = await answerOf(hub.public, `GET /sse?channel=${written} HTTP/1.1\r\nHost: attack\r\n\r\n`, scope);
    if (!isSubscribable(good)) { assert.deepEqual([answer.status, answer.code], [400, refusalOf(good)], 'query'); return; }
    assert.equal(answer.status, 200);
    await withWs(hub, `/ws?channel=${written}`, async (socket) => {
        await socket.waitFor(() => socket.json.some((f) => f.type === 'subscribed'), 'subscribed');
        assert.deepEqual(socket.json.filter((f) => f.type === 'subscribed').map((f) => f.channel), [name]);
    });
}

async function withWs(hub, path, use) {
    const socket = new RawWs(hub.public, handshake({}, `GET ${path} HTTP/1.1`));
    try { await use(await socket.opened()); } finally { socket.drop(); }
}

// In the query of /ws a browser must see it, so it is told behind the handshake.
async function badNameOverWs(hub, written, good) {
    await withWs(hub, `/ws?channel=${written}`, async (socket) => {
        await socket.waitFor(() => socket.ended, 'the close');
        assert.equal(socket.closeCode, 4100, socket.state());
        assert.ok(socket.json.some((f) => f.type === 'error' && f.code === refusalOf(good)), socket.state());
    });
}

async function nameInCommand(hub, name, good) {
    await withWs(hub, '/ws', async (socket) => {
        socket.send(text(JSON.stringify({ type: 'subscribe', channels: [name] })));
        await socket.waitFor(() => socket.json.length > 1, 'an answer');
        assert.equal(socket.json[1].type === 'subscribed' ? socket.json[1].channel : socket.json[1].code, isSubscribable(good) ? name : refusalOf(good));
    });
}

scenario('channel names: good ones arrive as they are, bad ones are refused, at every door', async (scope, t) => {
    const hub = await scope.hub({ args: HUB });
    const watch = await Watch.over(scope, hub);
    await eachRow(t, watch, names, async (name, good) => {
        const asIs = Array.isArray(name), written = asIs ? name[0] : percent(name);
        await nameInPath(scope, hub, written, name, good);
        await nameInQuery(scope, hub, written, asIs ? name[0] : name, good || asIs);
        if (!isSubscribable(good) && !asIs) await badNameOverWs(hub, written, good);
        if (!asIs) await nameInCommand(hub, name, good);
    });
});

// ---- positions ----

const firstEvents = (seen) => [...seen.matchAll(/^event: (\S+)$/gm)].map((found) => found[1]);

async function beginsWithGap(scope, hub, head) {
    const { status, seen } = await answerOf(hub.public, latin1(`${head}\r\nHost: attack\r\n\r\n`), scope);
    assert.equal(status, 200, seen);
    assert.deepEqual(firstEvents(seen).slice(0, 2), ['hub.gap', 'hub.ready'], seen);
    assert.match(seen, /"reason":"epoch"/);
}

// As since=, wherever it may stand.
async function isNoBeginning(hub, since) {
    const stream = await request(hub.public, `/sse?channel=kept&since=${percent(since)}`);
    assert.deepEqual([stream.status, stream.json.code], [400, 'bad_field'], stream.text);
    const poll = await request(hub.public, `/poll?channel=kept&timeout=0&since=${percent(since)}`);
    assert.deepEqual([poll.status, poll.json.code], [400, 'bad_field'], poll.text);
    await withWs(hub, `/ws?channel=kept&since=${percent(since)}`, async (socket) => {
        await socket.waitFor(() => socket.json.some((f) => f.type === 'error' && f.code === 'bad_field'), 'the error');
        assert.ok(!socket.json.some((f) => f.type === 'subscribed'), socket.state());
    });
    await withWs(hub, '/ws', async (socket) => {
        for (const [ref, type] of [[1, 'subscribe'], [2, 'history']]) {
            socket.send(text(JSON.stringify({ type, ref, channel: 'kept', channels: ['kept'], since })));
            await socket.waitFor(() => socket.json.some((f) => f.type === 'error' && f.ref === ref && f.code === 'bad_field'), `no ${type}`);
        }
    });
    const page = await request(hub, messagesPath('kept', `?since=${percent(since)}`));
    assert.deepEqual([page.status, page.json.code], [400, 'bad_field'], page.text);
}

scenario('beginnings: what is none is told so', async (scope, t) => {
    const hub = await scope.hub({ args: HUB });
    const watch = await Watch.over(scope, hub);
    await publish(hub, 'kept', 'x');
    await eachRow(t, watch, beginnings, async (since) => isNoBeginning(hub, since));
});

scenario('positions: nonsense is a gap, never an error', async (scope, t) => {
    const hub = await scope.hub({ args: HUB });
    const watch = await Watch.over(scope, hub);
    const { id } = await publish(hub, 'kept', 'x');
    await eachRow(t, watch, positions, async (written) => {
        const position = written.replace(/^E/, id.split('.')[0]);
        await beginsWithGap(scope, hub, `GET /sse?channel=kept HTTP/1.1\r\nLast-Event-ID: ${position}`);
        await beginsWithGap(scope, hub, `GET /sse?channel=kept&last_event_id=${percent(position)} HTTP/1.1`);
        const poll = await request(hub.public, `/poll?channel=kept&timeout=0&last_event_id=${percent(position)}`);
        assert.deepEqual([poll.status, poll.json.gap, poll.json.messages.length], [200, { reason: 'epoch' }, 1], poll.text);
        await withWs(hub, `/ws?channel=kept&last_event_id=${percent(position)}`, async (socket) => {
            await socket.waitFor(() => socket.json.some((f) => f.type === 'subscribed'), 'subscribed');
            assert.deepEqual(socket.json.slice(1, 3).map((f) => f.reason ?? f.recovered), ['epoch', false], socket.state());
        });
        if (!position.includes('.')) {
            await isNoBeginning(hub, position);
            return;
        }
        await withWs(hub, '/ws', async (socket) => {
            socket.send(text(JSON.stringify({ type: 'subscribe', channels: ['kept'], since: position })));
            await socket.waitFor(() => socket.json.some((f) => f.type === 'message' || f.type === 'error'), 'the replay');
            assert.ok(socket.json.some((f) => f.type === 'gap' && f.reason === 'epoch' && f.replay), socket.state());
        });
        const page = await request(hub, messagesPath('kept', `?since=${percent(position)}`));
        assert.deepEqual([page.status, page.json.gap, page.json.data.length], [200, { reason: 'epoch' }, 1]);
    });
});

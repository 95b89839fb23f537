// Attacks by numbers: writers into streams, half-open connections, floods of commands and requests, sizes announced and never sent,
// channels without end, names that collide. Neighbours and newcomers are served while it lasts; afterwards memory has returned.
import assert from 'node:assert/strict';
import { scenario } from '../e2e/lib/scope.mjs';
import { publish, request } from '../e2e/lib/http.mjs';
import { metricsOf, total } from '../e2e/lib/metrics.mjs';
import { RawConnection, publishBytes } from '../e2e/lib/raw.mjs';
import { eventually } from '../e2e/lib/wait.mjs';
import { crowd } from './lib/crowd.mjs';
import { RawWs, begin, frame, handshake, more, ping, text } from './lib/raw_ws.mjs';
import { Watch, cpuNanoseconds } from './lib/watch.mjs';
import { jenkins, jenkinsOf, randomNames, times33 } from './lib/collisions.mjs';

const TEN_MB = 10 * 1024 * 1024;
const H = 'Host: attack\r\n';
const STREAM = `GET /sse?channel=crowd HTTP/1.1\r\n${H}\r\n`;
const POST = `POST /v1/channels/crowd/messages HTTP/1.1\r\n${H}Content-Type: text/plain\r\n`;

async function watched(scope, args = [], options = {}) {
    const hub = await scope.hub({ args, ...options });
    return { hub, watch: await Watch.over(scope, hub) };
}

const handshaken = (...frames) => Buffer.concat([Buffer.from(handshake()), ...frames]);
const dropAll = (peers) => { for (const peer of peers) peer.drop(); };

async function counted(hub, metric, least) {
    await eventually(async () => total(await metricsOf(hub), metric) >= least, `${metric} of ${least}`);
}

// ---- connections ----

scenario('1,000 clients that write into their SSE streams get the stream, and cost nothing', async (scope, t) => {
    const { hub, watch } = await watched(scope);
    const peers = await crowd(scope, hub.public, 1000, STREAM);
    await Promise.all(peers.map((peer) => peer.has('hub.ready')));
    const junk = Buffer.alloc(65536, `POST / HTTP/1.1\r\n${H}Content-Length: 100000\r\n\r\n`);
    await Promise.all(peers.map((peer, i) => new Promise((resolve) => peer.socket.write(i % 2 ? junk : 'x', resolve))));
    await publish(hub, 'crowd', 'for all of them');
    await Promise.all(peers.map((peer) => peer.has('for all of them')));
    await watch.unharmed('writing into streams');
    dropAll(peers);
    await watch.over('1,000 clients that wrote into streams', 24, t);
});

scenario('1,000 half-open connections: streams and sockets whose client has shut, reset or begun nothing leave nothing', async (scope, t) => {
    const { hub, watch } = await watched(scope, ['--limits.handshake_timeout=1s']);
    const peers = await crowd(scope, hub.public, 1000, (i) => [STREAM, handshake(), '', STREAM.slice(0, 20)][i % 4]);
    await Promise.all(peers.map((peer, i) => i % 4 < 2 && peer.has(i % 4 ? 'welcome' : 'hub.ready')));
    for (const [i, peer] of peers.entries()) if (i % 8 < 4) peer.socket.end(); else peer.reset();
    await watch.over('half-open connections', 24, t);
});

scenario('400 half-open connections to the API: whoever has shut gets the answers to what it asked', async (scope, t) => {
    const { hub, watch } = await watched(scope, ['--limits.handshake_timeout=1s']);
    const sent = ['', 'GET / HTTP', publishBytes('crowd', 'x'), `${POST}Content-Length: 10\r\n\r\nhalf`];
    const peers = await crowd(scope, hub.api, 400, (i) => sent[i % 4]);
    for (const [i, peer] of peers.entries()) if (i % 8 < 4) peer.socket.end(); else peer.reset();
    await Promise.all(peers.map((peer, i) => i % 8 === 2 && peer.has('201 Created')));
    await watch.over('half-open connections to the API', 16, t);
});

scenario('3,000 connections that come and go at once, on both ports', async (scope, t) => {
    const { hub, watch } = await watched(scope, ['--limits.handshake_timeout=1s']);
    for (let round = 0; round < 10; round++) {
        const peers = [...await crowd(scope, hub.public, 150, [STREAM, '', handshake()][round % 3]),
            ...await crowd(scope, hub.api, 150, round % 2 ? publishBytes('churn', 'x') : 'GET')];
        for (const [i, peer] of peers.entries()) if (i % 2) peer.reset(); else peer.drop();
    }
    await watch.over('connections that come and go', 24, t);
});

// Above accept.per_second a socket costs an accept and a reset, and the hub gives no more than a part of its time to those.
scenario('5,000 connections far above accept.per_second are turned away; who is there, and who publishes, is served', async (scope) => {
    const hub = await scope.hub({ args: ['--accept.per_second=20', '--accept.burst=60'] });
    const stream = await scope.sse(hub, '/sse?channel=crowd'), socket = await scope.ws(hub, '/ws?channel=crowd');
    await Promise.all([stream.ready(), socket.get('subscribed')]);
    let sent = 0, flooding = true;
    const publishing = (async () => { while (flooding) await publish(hub, 'crowd', `${sent++}`); })();
    let served = 0, away = 0;
    for (let round = 0; round < 5; round++) {
        const peers = await crowd(scope, hub.public, 1000, STREAM);
        await Promise.all(peers.map((peer) => peer.waitFor(() => peer.ended || peer.received, 'an answer or a reset', 60_000)));
        served += peers.filter((peer) => peer.received).length;
        away += peers.filter((peer) => !peer.received).length;
        dropAll(peers);
    }
    flooding = false;
    await publishing;
    assert.ok(served >= 50 && away > 1000, `${served} were served, ${away} turned away`);
    await counted(hub, 'carillon_connections_refused_total', away);
    await Promise.all([stream.take(sent, 60_000), socket.take(sent, 60_000)]);
    await eventually(async () => {
        const late = new RawConnection(hub.public);
        scope.defer(() => late.close());
        late.write(STREAM);
        await late.waitFor(() => late.ended || late.unparsed.length, 'an answer or a reset');
        return late.unparsed.length > 0;
    }, 'one who comes later to be let in');
});

// All at once: heads, handshakes and bodies without an end, streams that are not read or written into, commands without end, a close
// nobody answers. Each might be waited for.
scenario('hostile connections do not keep a hub from stopping within drain.timeout', async (scope) => {
    const { hub } = await watched(scope, ['--drain.timeout=2s', '--history.bytes=2MiB']);
    const { id } = await publish(hub, 'big', 'first');
    for (let i = 0; i < 30; i++) await publish(hub, 'big', `${i}`.padEnd(60000, '.'));
    const history = text('{"type":"history","channel":"big","limit":1000}');
    const toPublic = ['', 'G', STREAM.slice(0, -2), handshake().slice(0, -2), STREAM, `${STREAM}x`,
        `GET /sse?channel=big&last_event_id=${id} HTTP/1.1\r\n${H}\r\n`,
        ...[[], Array(200).fill(history), [text('x', { length: TEN_MB })], [begin('{')], [frame(3, 'x')]].map((frames) => handshaken(...frames))];
    const toApi = ['', 'G', `${POST}Content-Length: 10\r\n\r\nhalf`, `${POST}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n`,
        `GET /v1/channels/big/messages?limit=1000 HTTP/1.1\r\n${H}\r\n`.repeat(20), 'GET / HTTP/1.1\r\n\r\n'];
    await crowd(scope, hub.public, 240, (i) => toPublic[i % toPublic.length], { reads: false });
    await crowd(scope, hub.api, 120, (i) => toApi[i % toApi.length], { reads: false });
    await counted(hub, 'carillon_connections', 100);
    const { code, signal } = await hub.terminate();
    assert.deepEqual([code, signal], [0, null], hub.log.slice(-2000));
});

// ---- floods ----

const FLOODS = [
    ['pings with a ref', text(`{"type":"ping","ref":"${'r'.repeat(240)}"}`)],
    ['publishes', text(`{"type":"publish","channel":"flood","data":"${'x'.repeat(200)}"}`)],
    ['subscribes and unsubscribes', Buffer.concat([text('{"type":"subscribe","channels":["flood"]}'), text('{"type":"unsubscribe","channels":["flood"]}')])],
    ['reads of history', text('{"type":"history","channel":"flood"}')],
    ['what is no command', text('{"type":"nonsense"}')],
    ['pings of the protocol', ping('x'.repeat(125))],
];

scenario('commands without end from clients that do not read cost bounded memory', async (scope, t) => {
    const { hub, watch } = await watched(scope);
    const floods = FLOODS.map(([, bytes]) => handshaken(Buffer.alloc(bytes.length * Math.ceil(4e6 / bytes.length), bytes)));
    const peers = await crowd(scope, hub.public, 48, (i) => floods[i % floods.length], { reads: false });
    await counted(hub, 'carillon_messages_published_total', 1000);
    await watch.answers();
    watch.uses(128, '48 clients and 190 MB of commands');
    dropAll(peers);
    await watch.over('commands without end', 48, t);
});

// Small, and each asks for up to 2 MiB or 500 answers.
const FIVE_HUNDRED = JSON.stringify(Array.from({ length: 500 }, (_, i) => `c${i}`));
const CALLS_FOR_MORE = [
    ['history', '{"type":"history","channel":"big","limit":1000}'],
    ['a replay and no replay', '{"type":"subscribe","channels":["big"],"since":"POSITION"}', '{"type":"unsubscribe","channels":["big"]}'],
    ['500 channels and none', `{"type":"subscribe","channels":${FIVE_HUNDRED},"since":"x.1"}`, `{"type":"unsubscribe","channels":${FIVE_HUNDRED}}`],
];

scenario('small commands with large answers, and 500 streams that resume 2 MiB and do not read, cost bounded memory', async (scope, t) => {
    const { hub, watch } = await watched(scope, ['--history.bytes=2MiB']);
    const { id } = await publish(hub, 'big', 'first');
    for (let i = 0; i < 30; i++) await publish(hub, 'big', `${i}`.padEnd(60000, '.'));
    const once = (calls) => Buffer.concat(calls.map((call) => text(call.replace('POSITION', id))));
    const floods = CALLS_FOR_MORE.map(([, ...calls]) => handshaken(...Array(200).fill(once(calls))));
    const peers = [...await crowd(scope, hub.public, 60, (i) => floods[i % floods.length], { reads: false }),
        ...await crowd(scope, hub.public, 500, `GET /sse?channel=big&last_event_id=${id} HTTP/1.1\r\n${H}\r\n`, { reads: false })];
    await counted(hub, 'carillon_connections', 500);
    await watch.unharmed('calls for more than is taken');
    watch.uses(128, '60 clients that ask for 10 GB and 500 that resume 1 GB');
    dropAll(peers);
    await watch.over('calls for more than is taken', 32, t);
});

scenario('requests without end from clients that do not read cost bounded memory', async (scope, t) => {
    const { hub, watch } = await watched(scope);
    const requests = [`GET / HTTP/1.1\r\n${H}X-Request-Id: ${'r'.repeat(128)}\r\n\r\n`, publishBytes('flood', 'x'.repeat(200)),
        `GET /nothing HTTP/1.1\r\n${H}\r\n`, `GET /metrics HTTP/1.1\r\n${H}\r\n`];
    const peers = await crowd(scope, hub.api, 40, (i) => requests[i % 4].repeat(20000), { reads: false });
    await counted(hub, 'carillon_http_requests_total', 1000);
    await watch.answers();
    watch.uses(40 * 9, '40 clients and 100 MB of requests');      // 4 MiB of answers under way and as much that is not taken, each
    dropAll(peers);
    await watch.over('requests without end', 48, t);
});

scenario('10 MB announced by 300 clients and never sent, messages and bodies that stop half way: memory follows what came', async (scope, t) => {
    const { hub, watch } = await watched(scope);
    const announced = await crowd(scope, hub.public, 300, handshaken(text('x', { length: TEN_MB })));
    await Promise.all(announced.map((peer) => peer.end()));
    watch.uses(16, '300 times 10 MB that never came');
    const halves = await crowd(scope, hub.public, 40, handshaken(begin('x'.repeat(60000)), ...Array(14).fill(more('x'.repeat(60000)))));
    const bodies = await crowd(scope, hub.api, 300, `${POST}Content-Length: 60000\r\n\r\n${'x'.repeat(50000)}`);
    await watch.answers();
    watch.uses(128, '36 MB in halves of messages and 15 MB in halves of bodies');
    dropAll([...announced, ...halves, ...bodies]);
    await watch.over('what stops half way', 48, t);
});

// ---- channels ----

scenario('1,000 channels of 200 bytes on each of 30 connections: none is taken for a slow reader, and all are forgotten', async (scope, t) => {
    const { hub, watch } = await watched(scope);
    const sockets = [];
    for (let i = 0; i < 30; i++) {
        const socket = new RawWs(hub.public);
        scope.defer(() => socket.drop());
        sockets.push(socket);
        const channels = Array.from({ length: 1000 }, (_, k) => `${i}.${k}.`.padEnd(200, 'c'));
        (await socket.opened()).send(text(JSON.stringify({ type: 'subscribe', channels })));
    }
    for (const socket of sockets) {
        await socket.waitFor(() => socket.ended || socket.json.length >= 1001, '1,000 channels');
        assert.equal(socket.json.filter((f) => f.type === 'subscribed').length, 1000, socket.state());
    }
    await watch.answers();
    for (const socket of sockets) socket.drop();
    await eventually(async () => (await request(hub, '/v1/channels?limit=1000')).json.data.length <= 2, 'the channels to be gone');
    await watch.over('30,000 channels', 40, t);
});

// CPU milliseconds of the hub for one publish to each name.
async function costOf(scope, hub, names) {
    const connection = new RawConnection(hub.api);
    scope.defer(() => connection.close());
    const before = cpuNanoseconds(hub.pid);
    for (let at = 0; at < names.length; at += 500) connection.write(names.slice(at, at + 500).map((name) => publishBytes(name, 'x')).join(''));
    const answers = await connection.take(names.length);
    assert.ok(answers.every((answer) => answer.status === 201));
    connection.close();
    return (cpuNanoseconds(hub.pid) - before) / 1e6;
}

scenario('channel names that collide under well-known hashes cost no more than others, and all are forgotten', async (scope, t) => {
    const { hub, watch } = await watched(scope, ['--history.ttl=1s', '--history.size=1'], { memory: true });
    const names = jenkins();
    assert.equal(new Set(names.map(jenkinsOf)).size, 1, 'they do collide');
    const usual = Math.max(await costOf(scope, hub, randomNames(names.length, names[0].length)), 100);
    const costs = { jenkins: await costOf(scope, hub, names), times33: await costOf(scope, hub, times33()) };
    t.diagnostic(`${usual.toFixed()} ms of CPU for ${names.length} names, ${JSON.stringify(costs)}`);
    for (const [hash, cost] of Object.entries(costs)) assert.ok(cost < usual * 4, `${hash}: ${cost.toFixed()} ms of CPU, others ${usual.toFixed()} ms`);
    await eventually(async () => total(await metricsOf(hub), 'carillon_channels') <= 2, 'the channels to be forgotten');
    await watch.over('hash flooding', 32, t);
});

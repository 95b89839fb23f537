// through.mjs — what must be the same through any proxy in front of hubs, as a table: throughProxy('nginx').
import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';
import { EventSource } from 'eventsource';
import { Authority } from '../../e2e/lib/certificate.mjs';
import { publish, request } from '../../e2e/lib/http.mjs';
import { LineStream } from '../../e2e/lib/lines.mjs';
import { metricsOf, total } from '../../e2e/lib/metrics.mjs';
import { SseReader, WsReader } from '../../e2e/lib/reader.mjs';
import { scenario } from '../../e2e/lib/scope.mjs';
import { SseStream } from '../../e2e/lib/sse.mjs';
import { Watched, eventually, windowOf } from '../../e2e/lib/wait.mjs';
import { Front } from './front.mjs';

const TRUSTING = ['--public.trusted_proxies=127.0.0.1', '--api.trusted_proxies=127.0.0.1'];
const BIG = 1024 * 1024;
const hubOf = (scope, args = []) => scope.hub({ memory: true, tls: null, args: [...TRUSTING, ...args] });
const open = async (hub, transport) => total(await metricsOf(hub), 'carillon_connections', { transport });
const own = (scope, reader) => { scope.defer(() => reader.close()); return reader; };

// A request from another address of this machine: who a client is for the hub is not who the proxy is.
function from(localAddress, { host, port }, where, headers) {
    return new Promise((resolve, reject) => {
        http.get({ host, port, path: where, localAddress, headers }, (answer) => { answer.resume(); resolve(answer); }).on('error', reject);
    });
}

class Http2Stream extends Watched {
    text = '';
    constructor(scope, { host, port, tls }, where) {
        super();
        this.session = http2.connect(`https://${host}:${port}`, { ca: tls.ca });
        scope.defer(() => this.session.destroy());
        this.stream = this.session.request({ ':path': where });
        this.stream.setEncoding('utf8').on('data', (text) => { this.text += text; this.changed(); });
    }
    state() { return this.text; }
}

const CASES = {
    'each event goes out at once, a poll waits, 1 MiB passes whole, lines are answered one by one, the hub sees the client': async (scope, kind) => {
        const hub = await hubOf(scope, ['--limits.message=1MiB', '--log.level=debug']), front = await Front.start(scope, kind, [hub]);
        const stream = await scope.sse(front, '/sse?channel=a'), socket = await scope.ws(front, '/ws?channel=a');
        await Promise.all([stream.ready(), socket.get('subscribed')]);
        for (const text of ['one', 'two', 'three']) {       // none is published before the one before it has come
            await publish(front, 'a', text);
            await Promise.all([stream, socket].map((client) => client.waitFor(() => client.messages.at(-1)?.data === text, `the message ${text}`)));
        }
        assert.equal((await request(front.public, '/poll?channel=a&timeout=1s')).json.messages.length, 0);
        const polled = request(front.public, '/poll?channel=b&timeout=60s');
        await eventually(async () => await open(hub, 'poll') === 1, 'a poll that waits');
        await publish(front, 'b', 'for the poll');
        assert.equal((await polled).json.messages[0].data, 'for the poll');

        const big = 'x'.repeat(BIG);
        await publish(front, 'a', big);
        await Promise.all([stream, socket].map((client) => client.waitFor(() => client.messages.at(-1)?.data === big, 'the big message')));
        const frame = big.slice(2);                         // its quotes count
        await socket.ask({ type: 'publish', channel: 'a', data: frame });
        await socket.waitFor(() => socket.messages.at(-1)?.data === frame, 'the big message of the WebSocket itself');

        const lines = new LineStream(front);
        scope.defer(() => lines.request.destroy());
        for (let i = 1; i <= 3; i++) {
            lines.write({ channel: 'lines', data: i });
            await lines.take(i);
        }
        assert.equal((await from('127.0.0.2', front.public, '/poll?channel=a&timeout=0', { 'X-Forwarded-For': '203.0.113.9' })).statusCode, 200);
        assert.equal((await from('127.0.0.3', front.api, '/v1/channels?limit=x', { 'X-Forwarded-For': '203.0.113.9' })).statusCode, 400);
        await hub.run.waitFor(() => /transport=poll peer=127\.0\.0\.2\b/.test(hub.log) && /status=400 from=127\.0\.0\.3 /.test(hub.log), 'the clients in the log');
    },

    'a quiet connection stays, one whose hub has gone without a word is ended and finds another': async (scope, kind) => {
        const beats = ['--sse.heartbeat=1s', '--ws.ping=1s'], hub = await hubOf(scope, beats), front = await Front.start(scope, kind, [hub], { timeout: '3s' });
        const quiet = [own(scope, new SseReader(front, ['a'])), own(scope, new WsReader(front, ['a']))];
        await Promise.all(quiet.map((reader) => reader.ready()));
        await windowOf(4000);                               // longer than the proxy waits for a word
        assert.deepEqual(quiet.map((reader) => reader.connections), [1, 1], 'nobody had to come back');
        const other = await hubOf(scope, beats), both = await Front.start(scope, kind, [hub, other], { timeout: '3s' });
        const some = [1, 2].flatMap(() => [own(scope, new SseReader(both, ['a'])), own(scope, new WsReader(both, ['a']))]);
        await Promise.all(some.map((reader) => reader.ready()));
        process.kill(hub.pid, 'SIGSTOP');
        scope.defer(() => process.kill(hub.pid, 'SIGCONT'));
        const connected = async () => await open(other, 'sse') + await open(other, 'websocket');
        await eventually(async () => await connected() === some.length, 'all at the other hub');
    },

    'a hub that is killed is noticed by those it had only; when there is none an EventSource waits': async (scope, kind) => {
        const hubs = [await hubOf(scope), await hubOf(scope)], front = await Front.start(scope, kind, hubs);
        await hubs[0].kill9();
        for (let i = 0; i < 12; i++) {
            const stream = await scope.sse(front, '/sse?channel=a'), socket = await scope.ws(front, '/ws?channel=a');
            await Promise.all([stream.ready(), socket.get('subscribed'), publish(front, 'a', `${i}`)]);
        }
        await hubs[1].kill9();
        const none = new SseStream(front.public, '/sse?channel=a', { headers: { Origin: 'http://app.example' } });
        await none.opened();
        await none.end();
        assert.deepEqual([none.status, none.headers['content-type'].split(';')[0], none.blocks.length], [200, 'text/event-stream', 1]);
        assert.ok([502, 503].includes((await request(front.api, '/health/live')).status));
        const source = new EventSource(`http://127.0.0.1:${front.public.port}/sse?channel=a`), tried = new Watched();
        scope.defer(() => source.close());
        source.onerror = () => { tried.once = true; tried.changed(); };
        source.addEventListener('hub.ready', () => { tried.ready = true; tried.changed(); });
        await tried.waitFor(() => tried.once, 'an EventSource that was turned away');
        await hubs[1].restart();
        await tried.waitFor(() => tried.ready, 'the EventSource is back');
    },

    'with TLS: HTTP/2 to browsers, WebSockets too': async (scope, kind) => {
        const hub = await hubOf(scope), tls = new Authority(scope.dir()).issue('front'), front = await Front.start(scope, kind, [hub], { tls });
        const stream = new Http2Stream(scope, front.public, '/sse?channel=a'), socket = await scope.ws(front, '/ws?channel=a');
        await stream.waitFor(() => stream.text.includes('hub.ready'), 'a stream that is ready');
        await socket.get('subscribed');
        assert.equal(stream.session.alpnProtocol, 'h2');
        for (const text of ['one', 'two']) {
            await publish(front, 'a', text);
            await stream.waitFor(() => stream.text.includes(`data: ${text}\n`), text);
            await socket.waitFor(() => socket.messages.at(-1)?.data === text, text);
        }
    },
};

export function throughProxy(kind) {
    for (const [what, run] of Object.entries(CASES)) scenario(`${kind}: ${what}`, (scope) => run(scope, kind));
}

// Clients that people have already: npm eventsource (two generations), npm ws, Node's own, curl.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import NpmWebSocket from 'ws';
import { EventSource as EventSource3 } from 'eventsource';
import { scenario } from './lib/scope.mjs';
import { messagesPath, publish, publishAll, request } from './lib/http.mjs';
import { Watched } from './lib/wait.mjs';

const EventSource2 = createRequire(import.meta.url)('eventsource2');
const QUICK = ['--sse.retry=100ms', '--history.size=1000', '--sse.heartbeat=1s'];
const LIBRARIES = { 'eventsource 2': EventSource2, 'eventsource 3': EventSource3, "Node's own EventSource": globalThis.EventSource };
const SOCKETS = { 'npm ws': NpmWebSocket, "Node's own WebSocket": globalThis.WebSocket };

class Listener extends Watched {
    got = [];
    ready = 0;
    gaps = 0;
    state() { return JSON.stringify(this.got.slice(-5)); }
}

function listen(scope, EventSource, url) {
    const listener = new Listener();
    const source = new EventSource(url);
    scope.defer(() => source.close());
    const take = (event) => { listener.got.push({ type: event.type, data: event.data, id: event.lastEventId }); listener.changed(); };
    source.onmessage = take;
    source.addEventListener('headline', take);
    source.addEventListener('hub.ready', () => { listener.ready++; listener.changed(); });
    source.addEventListener('hub.gap', () => { listener.gaps++; listener.changed(); });
    source.onerror = () => {};
    return listener;
}

for (const [name, EventSource] of Object.entries(LIBRARIES)) {
    scenario(`${name} receives messages and resumes over kill -9 without being told anything`, { skip: !EventSource && 'this Node has none' }, async (scope) => {
        const hub = await scope.hub({ args: QUICK });
        const listener = listen(scope, EventSource, hub.publicUrl('/sse?channel=news'));
        await listener.waitFor(() => listener.ready === 1, 'hub.ready');
        const { id } = await publish(hub, 'news', 'first\nsecond line', { query: '?event=headline' });
        await listener.waitFor(() => listener.got.length === 1, 'the first message');
        assert.deepEqual(listener.got[0], { type: 'headline', data: 'first\nsecond line', id });
        const expected = ['first\nsecond line'];
        for (let round = 0; round < 3; round++) {
            for (let i = 0; i < 20; i++) { expected.push(`${round}.${i}`); await publish(hub, 'news', `${round}.${i}`); }
            await hub.kill9();
            await hub.restart();
        }
        expected.push('end');
        await publish(hub, 'news', 'end');
        await listener.waitFor(() => listener.got.at(-1).data === 'end', 'the last message', 60_000);
        assert.deepEqual(listener.got.map((e) => e.data), expected);
        assert.equal(listener.gaps, 0);
    });
}

for (const [name, WebSocket] of Object.entries(SOCKETS)) {
    scenario(`${name} subscribes, publishes and resumes`, { skip: !WebSocket && 'this Node has none' }, async (scope) => {
        const hub = await scope.hub({ args: QUICK });
        const frames = new Listener();
        function connect(query) {
            const socket = new WebSocket(hub.wsUrl(`/ws?channel=chat${query}`), 'carillon.v1');
            scope.defer(() => socket.close());
            socket.onmessage = (event) => { frames.got.push(JSON.parse(event.data)); frames.changed(); };
            socket.onclose = (event) => { frames.closed = event.code; frames.changed(); };
            socket.onerror = () => {};
            return socket;
        }
        const messages = () => frames.got.filter((f) => f.type === 'message');
        const socket = connect('');
        await frames.waitFor(() => frames.got.some((f) => f.type === 'subscribed'), 'subscribed');
        assert.equal(socket.protocol, 'carillon.v1');
        socket.send(JSON.stringify({ type: 'publish', ref: 1, channel: 'chat', data: { say: 'hi é' } }));
        await frames.waitFor(() => messages().length === 1 && frames.got.some((f) => f.type === 'ok' && f.ref === 1), 'the message and the answer');
        assert.deepEqual(messages()[0].data, { say: 'hi é' });
        await hub.kill9();
        await frames.waitFor(() => frames.closed !== undefined, 'the end');
        await hub.restart();
        await publishAll(hub, 'chat', ['1', '2', '3']);
        connect(`&last_event_id=${messages()[0].id}`);
        await frames.waitFor(() => messages().length === 4, 'what was missed');
        assert.deepEqual(messages().slice(1).map((f) => f.data), ['1', '2', '3']);
        assert.ok(!frames.got.some((f) => f.type === 'gap'));
    });
}

const noCurl = spawnSync('curl', ['--version']).status !== 0 && 'there is no curl on this machine';

scenario('curl -d publishes what it seems to publish, and curl -N shows it arriving', { skip: noCurl }, async (scope) => {
    const hub = await scope.hub();
    const listener = new Listener();
    listener.text = '';
    const curl = spawn('curl', ['-sN', hub.publicUrl('/sse?channel=news')], { stdio: ['ignore', 'pipe', 'inherit'] });
    scope.defer(() => curl.kill('SIGKILL'));
    curl.stdout.setEncoding('utf8').on('data', (text) => { listener.text += text; listener.changed(); });
    await listener.waitFor(() => listener.text.includes('event: hub.ready'), 'hub.ready');
    const url = hub.apiUrl(messagesPath('news'));
    const answer = JSON.parse(execFileSync('curl', ['-sS', '-d', 'hello', url], { encoding: 'utf8' }));
    assert.equal(answer.channel, 'news');
    await listener.waitFor(() => listener.text.includes(`id: ${answer.id}\ndata: hello\n\n`), 'the message');
    execFileSync('curl', ['-sS', '-H', 'Content-Type: application/json', '-d', '{"data":{"price":0.10}}', url]);
    await listener.waitFor(() => listener.text.includes('data: {"price":0.10}\n\n'), 'the JSON message');
    const large = 'x'.repeat(50_000);      // curl sends Expect: 100-continue or waits for nothing; either way it works
    execFileSync('curl', ['-sSf', '-H', 'Expect: 100-continue', '-H', 'Content-Type: text/plain', '--data-binary', '@-', url], { input: large });
    execFileSync('curl', ['-sSf', '-H', 'Transfer-Encoding: chunked', '-H', 'Content-Type: text/plain', '--data-binary', '@-', url], { input: 'chunked' });
    const kept = (await request(hub, messagesPath('news'))).json.data;
    assert.deepEqual(kept.map((m) => m.data), ['hello', { price: 0.1 }, large, 'chunked']);
});

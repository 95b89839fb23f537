// Reconnect storms: how long those who are cut stay away, and what becomes of those who come too fast.
import assert from 'node:assert/strict';
import { EventSource as EventSource3 } from 'eventsource';
import { scenario } from './lib/scope.mjs';
import { publish, request } from './lib/http.mjs';
import { metricsOf, total } from './lib/metrics.mjs';
import { RawConnection } from './lib/raw.mjs';
import { SseStream } from './lib/sse.mjs';
import { eventually, Watched } from './lib/wait.mjs';

// What a connection of this hub is told, in parts of the spread: 0 … 1. sse.retry is 1 s in all of these.
const RETRY = ['--sse.retry=1s', '--sse.heartbeat=1s', '--ws.ping=1s'];
const PER_CONNECTION = 100;      // ms of the spread at 20 a second
const SLOWLY = [...RETRY, '--accept.per_second=20', '--accept.burst=1000'];
const lastRetry = (stream) => Number(stream.blocks.filter((b) => b.retry !== undefined).at(-1)?.retry);
const lastRetryWs = (socket) => socket.frames.filter((f) => f.retry_ms !== undefined).at(-1)?.retry_ms;

// Told for `n` connections, or for so many that telling it again was not worth it.
function isFor(retry, part, n) {
    const spread = Math.max(1000, n * PER_CONNECTION);
    return retry >= 500 + part * spread / 1.42 - 10 && retry <= 500 + part * spread * (n * PER_CONNECTION > 1000 ? 1 : 2.1) + 10;
}

scenario('the delay that a connection is told grows and shrinks with the crowd, also for those who are there already', async (scope) => {
    const hub = await scope.hub({ args: SLOWLY });
    const stream = await scope.sse(hub, '/sse?channel=a'), socket = await scope.ws(hub, '/ws?channel=a');
    const bare = await scope.ws(hub, '/ws');
    await stream.ready();
    const [welcome] = await Promise.all([socket.get('welcome'), bare.get('welcome')]);
    const part = (lastRetry(stream) - 500) / 1000, partWs = (welcome.retry_ms - 500) / 1000, partBare = (lastRetryWs(bare) - 500) / 1000;
    for (const p of [part, partWs, partBare]) assert.ok(p >= 0 && p < 1, `${p}`);
    const crowd = [];
    for (let i = 0; i < 97; i++) crowd.push(await scope.sse(hub, '/sse?channel=a'));
    assert.ok(Math.max(...await Promise.all(crowd.map(async (s) => (await s.ready(), lastRetry(s))))) > 5000, 'newcomers know how many there are');
    await eventually(() => isFor(lastRetry(stream), part, 100), `the stream (${part}) to be told anew`);
    await eventually(() => isFor(lastRetryWs(socket), partWs, 100) && isFor(lastRetryWs(bare), partBare, 100), 'the WebSockets likewise');
    for (const one of crowd) one.close();
    await eventually(() => isFor(lastRetry(stream), part, 3) && isFor(lastRetryWs(socket), partWs, 3), `what it was at first, ${part} ${lastRetry(stream)}`);
});

// A client that does what the HTML standard makes an EventSource do: comes back with its last id, after the time it was told last.
class Returner extends Watched {
    ready = 0; got = []; told = NaN; gaps = 0; id; #closed = false;
    constructor(hub, path) { super(); Object.assign(this, { hub, path }); this.#run(); }
    async #run() {
        while (!this.#closed) {
            this.stream = new SseStream(this.hub.public, this.path, this.id ? { lastEventId: this.id } : {});
            let seen = 0;
            this.stream.changed = () => {
                for (; seen < this.stream.blocks.length; seen++) this.#take(this.stream.blocks[seen]);
                SseStream.prototype.changed.call(this.stream);
            };
            await this.stream.end(2 ** 31 - 1);
            await new Promise((resolve) => setTimeout(resolve, this.told));
        }
    }
    #take(block) {
        if (block.retry !== undefined) this.told = Number(block.retry);
        if (block.id !== undefined) this.id = block.id;
        if (block.event === 'hub.ready') this.ready++;
        else if (block.event === 'hub.gap') this.gaps++;
        else if (block.data !== undefined && !block.event?.startsWith('hub.')) this.got.push(block.data);
        this.changed();
    }
    state() { return `ready ${this.ready} times, ${this.got.length} messages, told ${this.told}`; }
    close() { this.#closed = true; this.stream.close(); }
}

const CROWD = 200, PUBLISH_EVERY_MS = 20;      // so that what everybody gets stays little
const cuts = {
    'an administrator who disconnects them': async (hub) => {
        const { json } = await request(hub, '/v1/users/ann/disconnect', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"code":4000}' });
        assert.equal(json.connections, CROWD);
    },
    SIGTERM: async (hub) => { assert.equal((await hub.terminate()).code, 0); await hub.restart(); },
    'kill -9': async (hub) => { await hub.kill9(); await hub.restart(); },
};

for (const [how, cut] of Object.entries(cuts))
    scenario(`a crowd that is cut at once by ${how} comes back spread out, has everything once, and no publish fails meanwhile`, async (scope) => {
        const hub = await scope.hub({ args: ['--sse.retry=200ms', '--sse.heartbeat=1s', '--accept.per_second=400', '--history.size=10000'] });      // 200 of them: spread over a second
        const crowd = Array.from({ length: CROWD }, () => new Returner(hub, '/sse?channel=a&user=ann'));
        scope.defer(() => crowd.forEach((c) => c.close()));
        await Promise.all(crowd.map((c) => c.waitFor(() => c.ready === 1, 'hub.ready')));
        await Promise.all(crowd.map((c) => c.waitFor(() => c.told > 0, 'a delay')));
        await eventually(() => Math.max(...crowd.map((c) => c.told)) > 900, 'those who came first to know how many there are');
        const sent = ['before'];
        await publish(hub, 'a', 'before');
        await cut(hub);
        while (crowd.some((c) => c.ready < 2)) {
            sent.push(`${sent.length}`);
            await publish(hub, 'a', sent.at(-1));
            await new Promise((resolve) => setTimeout(resolve, PUBLISH_EVERY_MS));
        }
        const told = crowd.map((c) => c.told);
        assert.ok(Math.min(...told) >= 100 && Math.max(...told) <= 1100, `${Math.min(...told)} … ${Math.max(...told)}`);
        await Promise.all(crowd.map((c) => c.waitFor(() => c.got.length >= sent.length, `${sent.length} messages`)));
        for (const c of crowd) assert.deepEqual(c.got, sent);
        assert.equal(crowd.filter((c) => c.gaps).length, 0);
    });

const refusedByRate = async (hub) => total(await metricsOf(hub), 'carillon_connections_refused_total', { reason: 'rate' });
const times = (text, what) => text.split(what).length - 1;

scenario('who comes faster than accept.per_second is turned away before a byte is said, comes back by itself, and publishers notice nothing', async (scope) => {
    const hub = await scope.hub({ args: ['--accept.per_second=1', '--accept.burst=10'] });
    const crowd = Array.from({ length: 60 }, () => new RawConnection(hub.public));
    scope.defer(() => crowd.forEach((c) => c.close()));
    for (const c of crowd) c.write('GET /sse?channel=a HTTP/1.1\r\nHost: e2e\r\n\r\n');
    const heard = (c) => c.unparsed.length > 0;
    await eventually(() => crowd.every((c) => c.ended || heard(c)), 'each to be let in or turned away');
    const away = crowd.filter((c) => !heard(c)).length;
    assert.ok(away >= 1 && crowd.length - away >= 10, `${away} of ${crowd.length} were turned away`);
    if (hub.public.tls) assert.equal(crowd.filter((c) => c.open).length, crowd.length - away, 'before the handshake');
    assert.equal(await refusedByRate(hub), away);
    assert.equal(times(hub.log, 'accept.per_second'), 1, 'logged once');

    let ready = 0, got = null;
    const source = new EventSource3(hub.publicUrl('/sse?channel=a'));
    scope.defer(() => source.close());
    source.addEventListener('hub.ready', () => { ready++; });
    source.onmessage = (event) => { got = event.data; };
    for (let i = 0; i < 20; i++) await publish(hub, 'a', `${i}`);
    await eventually(() => ready === 1, 'an EventSource to get in after all', 60_000);
    await publish(hub, 'a', 'last');
    await eventually(() => got === 'last', 'its message');
});

scenario('behind a trusted proxy, who comes too fast is told so in the way its client understands', async (scope) => {
    const hub = await scope.hub({ args: ['--accept.per_second=1', '--accept.burst=2', '--public.trusted_proxies=127.0.0.0/8 ::1'] });
    // Tokens come back while the test runs: each is taken until there is none.
    const until = async (refused) => { for (let i = 0; i < 100; i++) { const found = await refused(); if (found) return found; } throw new Error('never refused'); };
    const stream = await until(async () => {
        const one = await scope.sse(hub, '/sse?channel=a');
        await one.waitFor(() => one.control('ready')[0] || one.control('bye')[0], 'ready or bye');
        return one.control('bye')[0] && one;
    });
    assert.equal(stream.status, 200);
    const bye = JSON.parse(stream.control('bye')[0].data);
    assert.equal(bye.code, 'busy');
    assert.equal(lastRetry(stream), bye.retry_ms);
    assert.equal(await stream.end(), 'end');
    const socket = await until(() => scope.ws(hub, '/ws?channel=a').then(() => null, (error) => error));
    assert.deepEqual([socket.status, JSON.parse(socket.body).code, Number(socket.headers['retry-after']) > 0], [503, 'busy', true]);
    const poll = await until(() => request({ api: hub.public }, '/poll?channel=a&timeout=0').then((answer) => answer.status === 503 && answer));
    assert.ok(Number(poll.headers['retry-after']) > 0);
    assert.ok(await refusedByRate(hub) >= 3);
});

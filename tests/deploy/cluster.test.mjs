// `make cluster`: three hubs behind nginx are one, whoever is killed; nothing is left when it ends, however it ends.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';
import { scenario } from '../e2e/lib/scope.mjs';
import { BINARY } from '../e2e/lib/hub.mjs';
import { publish, request } from '../e2e/lib/http.mjs';
import { isAlive } from '../e2e/lib/proc.mjs';
import { SseReader, WsReader } from '../e2e/lib/reader.mjs';
import { Watched, eventually } from '../e2e/lib/wait.mjs';

const SCRIPT = new URL('../../deploy/cluster.sh', import.meta.url).pathname;
const at = (port) => ({ host: '127.0.0.1', port: Number(port) });

// One run of the script, in a process group of its own as in a terminal.
class Cluster extends Watched {
    said = '';
    ended = null;

    constructor(scope, { carillon = BINARY, hubs = 3 } = {}) {
        super();
        this.dir = scope.dir();
        this.child = spawn('bash', [SCRIPT, carillon], { detached: true, stdio: ['ignore', 'pipe', 'pipe'],
            env: { ...process.env, DIR: this.dir, PORT: 0, API_PORT: 0, REDIS_PORT: 0, HUBS: hubs } });
        for (const stream of [this.child.stdout, this.child.stderr]) stream.setEncoding('utf8').on('data', (text) => { this.said += text; this.changed(); });
        this.child.on('close', (code, signal) => { this.ended = { code, signal }; this.changed(); });
        scope.defer(async () => { this.interrupt(); await this.end(); });
    }
    static async ready(scope, options) {
        const cluster = new Cluster(scope, options);
        await cluster.waitFor(() => {
            if (cluster.ended) throw new Error(cluster.said);
            return /^ {2}kill /m.test(cluster.said);
        }, 'a cluster that is ready', 60_000);
        return cluster;
    }
    state() { return this.said; }
    // The newest pid that it has told of a process.
    pid(name) { return Number(this.said.match(new RegExp(`${name}\\b.* pid (\\d+)`, 'g')).at(-1).split(' ').at(-1)); }
    get names() { return [...new Set(this.said.match(/(?<=^ {2})(hub\d|redis|nginx)/gm))]; }
    get pids() { return this.names.map((name) => this.pid(name)); }
    get public() { return at(/public +http:\/\/localhost:(\d+)/.exec(this.said)[1]); }
    get api() { return at(/API +http:\/\/localhost:(\d+)/.exec(this.said)[1]); }
    apiOf(n) { return at(new RegExp(`hub${n} .*API 127.0.0.1:(\\d+)`).exec(this.said)[1]); }
    logs() { return ['redis', 'hub1', 'hub2', 'hub3'].map((name) => `---- ${name}.log ----\n${readFileSync(path.join(this.dir, `${name}.log`), 'utf8').slice(-4000)}`).join('\n'); }
    interrupt() { try { process.kill(-this.child.pid, 'SIGINT'); } catch { /* it has ended */ } }
    end() { return this.waitFor(() => this.ended, 'the end of the cluster', 60_000); }
    again(name) { return this.waitFor((it) => it.said.includes(`${name} is started again`), `${name} again`); }
    async isGone(pids) {
        await eventually(() => pids.every((pid) => !isAlive(pid)), 'the end of all it had started');
    }
}

// What users have: they come back by themselves.
class NpmEventSource extends Watched {
    texts = [];
    constructor(scope, { host, port }, channel) {
        super();
        this.source = new EventSource(`http://${host}:${port}/sse?channel=${channel}`);
        this.source.addEventListener('hub.ready', () => { this.isReady = true; this.changed(); });
        this.source.onmessage = (event) => { this.texts.push(event.data); this.changed(); };
        scope.defer(() => this.source.close());
    }
    ready() { return this.waitFor(() => this.isReady, 'an EventSource that is ready'); }
    state() { return `readyState ${this.source.readyState}: ${this.texts}`; }
}
class NpmWebSocket extends Watched {
    texts = [];
    position = '';
    constructor(scope, { host, port }, channel) {
        super();
        this.url = `ws://${host}:${port}/ws?channel=${channel}`;
        scope.defer(() => { this.isOver = true; this.socket.terminate(); });
        this.connect();
    }
    connect() {
        this.socket = new WebSocket(this.url + (this.position && `&last_event_id=${encodeURIComponent(this.position)}`));
        this.socket.on('error', () => {});
        this.socket.on('close', () => { if (!this.isOver) setTimeout(() => this.connect(), 50); });
        this.socket.on('message', (bytes) => {
            const frame = JSON.parse(bytes);
            if (frame.type === 'subscribed') this.isReady = true;
            if (frame.type === 'message') this.texts.push(frame.data);
            if (frame.id ?? frame.position) this.position = frame.id ?? frame.position;
            this.changed();
        });
    }
    ready() { return this.waitFor(() => this.isReady, 'a WebSocket that is subscribed'); }
    state() { return `readyState ${this.socket.readyState}, position ${this.position}: ${this.texts}`; }
}

scenario('make cluster: who is connected through nginx has all that any hub is given, also when a hub and Redis are killed', async (scope) => {
    const cluster = await Cluster.ready(scope);
    assert.equal((await request(cluster.public, '/')).status, 200);
    const readers = [1, 2, 3].flatMap(() => [new SseReader(cluster.public, ['news']), new WsReader(cluster.public, ['news']),
        new NpmEventSource(scope, cluster.public, 'news'), new NpmWebSocket(scope, cluster.public, 'news')]);
    for (const reader of readers) if (reader.cut) scope.defer(() => reader.close());
    await Promise.all(readers.map((reader) => reader.ready()));
    const all = [];
    const tell = async (where) => {
        all.push(`message ${all.length}`);
        await eventually(() => publish(where, 'news', all.at(-1), { headers: { 'Idempotency-Key': `k${all.length}` } }).catch(() => false), 'a publish that is taken');
    };
    const allHave = () => Promise.all(readers.map((reader) => reader.waitFor(() => reader.texts.length >= all.length, `${all.length} messages`)));
    for (const where of [cluster.apiOf(1), cluster.apiOf(2), cluster.apiOf(3), cluster.api]) await tell(where);
    await allHave();

    process.kill(cluster.pid('hub1'), 'SIGKILL');
    for (let i = 0; i < 6; i++) await tell(cluster.api);
    await allHave();
    await cluster.again('hub1');
    // it has to have seen what Redis has, or it could not tell the same Redis from an older one when that is started again
    await eventually(async () => (await request(cluster.apiOf(1), '/health/ready').catch(() => ({}))).status === 200, 'hub1 is ready');

    process.kill(cluster.pid('redis'), 'SIGKILL');
    await tell(cluster.apiOf(2));
    await cluster.again('redis');
    await tell(cluster.api);
    await allHave();
    for (const reader of readers) {
        assert.deepEqual(reader.gaps ?? [], [], cluster.logs());
        assert.deepEqual(reader.texts, all, `${reader.constructor.name} ${reader.state()}\n${cluster.logs()}`);
    }
    assert.match(cluster.said, /hub1 has ended \(by signal KILL\)/);

    const { pids } = cluster;
    cluster.interrupt();
    assert.deepEqual(await cluster.end(), { code: 0, signal: null });
    assert.deepEqual(pids.filter(isAlive), [], 'Ctrl-C returns when all are gone');
});

scenario('make cluster: a hub that fails ends all, and is told', async (scope) => {
    const cluster = await Cluster.ready(scope, { hubs: 1 });
    const { pids } = cluster;
    process.kill(cluster.pid('hub1'), 'SIGSEGV');
    assert.equal((await cluster.end()).code, 1);
    assert.match(cluster.said, /hub1 has failed \(status 139\), so all are stopped[^]*the end of .*hub1\.log/);
    assert.deepEqual(pids.filter(isAlive), []);
});

scenario('make cluster: when the script itself is killed, nothing stays either', async (scope) => {
    const cluster = await Cluster.ready(scope, { hubs: 1 });
    const { pids } = cluster;
    process.kill(cluster.child.pid, 'SIGKILL');
    await cluster.isGone(pids);
});

scenario('make cluster: what cannot start is told, and nothing stays', async (scope) => {
    const cluster = new Cluster(scope, { carillon: '/bin/false' });
    assert.equal((await cluster.end()).code, 1);
    assert.match(cluster.said, /hub1 has ended before it was ready/);
});

// world.mjs — hubs that behave as one, the Redis behind them, and load on them: what a round hurts and looks at.
//
//   PlainWorld      three hubs, each with a Line of its own to one Redis
//   SentinelWorld   two hubs, a master, a replica, three Sentinels
//   NetWorld        three hubs, each in a network namespace with an address of its own
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Hub } from '../../e2e/lib/hub.mjs';
import { metricsOf, total } from '../../e2e/lib/metrics.mjs';
import { openFiles, residentMiB } from '../../e2e/lib/proc.mjs';
import { SECRET, bearer, inSeconds, sign } from '../../e2e/lib/tokens.mjs';
import { eventually } from '../../e2e/lib/wait.mjs';
import { wasTold } from './check.mjs';
import { HealthWatch } from './health.mjs';
import { HOOK_ARGS, Hooks } from './hooks.mjs';
import { Line } from './line.mjs';
import { CHANNELS, Load } from './load.mjs';
import { Redis } from './redis.mjs';
import { ROOM_ARGS, Rooms } from './rooms.mjs';
import { USERS } from './visitors.mjs';

export const FLOWS_MS = 10_000;
const LONG_S = 86_400;
const HUB_ARGS = ['--history.size=100000', '--history.bytes=64MiB', '--history.ttl=10m', '--sse.retry=100ms', '--redis.index=20000',
    '--redis.lease=3s', ...HOOK_ARGS, ...ROOM_ARGS];
const OPEN = ['--access.publish=**', '--access.subscribe=**', '--access.history=**', '--presence.members=true'];      // --dev stays on loopback
const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always', '--auto-aof-rewrite-percentage', '0', '--repl-diskless-sync-delay', '0'];

class World {
    hubs = [];
    watches = [];
    #cleanups = [];

    static async start(chance) {
        const world = new this();
        try { await world.build(chance); } catch (error) { await world.dispose(); throw error; }
        return world;
    }

    defer(cleanup) { this.#cleanups.push(cleanup); }
    async own(promise, end = 'dispose') {
        const thing = await promise;
        this.defer(() => thing[end]());
        return thing;
    }
    async addHub(url, options = {}) {
        const hub = await this.own(Hub.start({ ...options, args: [...HUB_ARGS, ...options.args ?? [], `--redis.url=${url}`] }));
        this.hubs.push(hub);
        this.watches.push(await this.own(new HealthWatch(hub), 'close'));
        return hub;
    }
    // hooks: how they are reached (lib/hooks.mjs).
    async loadUp(chance, hooks = {}) {
        await this.allReady();
        this.hooks = await Hooks.start(this, chance.below(1e9), hooks);
        this.load = await this.own(new Load(this.hubs, chance), 'close');
        this.rooms = await this.own(new Rooms(this.hubs, chance, hooks.as ?? ((user) => `user=${user}`)), 'close');
        this.headers = hooks.headers ?? {};
        await this.load.ready();
        await this.flows('first');
        this.quiet = this.figures();
    }

    allReady(ms = FLOWS_MS) {
        return Promise.all(this.watches.map((watch, i) => eventually(() => watch.isReady, `hub ${i} to be ready: ${watch.reasons(0).slice(-1)}`, ms)));
    }

    // A word through each hub and each channel comes to all, or is told as lost; resolves with how long that took.
    async flows(name) {
        const begun = Date.now(), end = begun + FLOWS_MS;
        const words = await Promise.all(this.hubs.flatMap((hub, i) => CHANNELS.map((channel) => {
            const text = `${name}-${i}-${channel}`;
            return this.load.send(this.load.record(channel, text, text), hub, () => end);
        })));
        for (const { state, text, said } of words)
            if (state !== 'acknowledged') throw new Error(`${text} could not be published within ${FLOWS_MS} ms: ${said.slice(-3)}`);
        for (const reader of this.load.readers) {
            const lacks = () => words.filter((word) => reader.wants(word.channel) && !reader.texts.has(word.text) && !wasTold(reader, word))
                .map((word) => `${word.text}=${word.id}`);
            await reader.waitFor(() => lacks().length === 0, `${reader.label} to get the words of ${name}`, Math.max(end - Date.now(), 1))
                .catch((error) => { throw new Error(`${error.message}\n  lacks: ${lacks()}`); });
        }
        return Date.now() - begun;
    }

    figures() { return this.hubs.map(({ pid }) => ({ pid, files: openFiles(pid), mib: residentMiB(pid) })); }
    async count(name) {
        const families = await Promise.all(this.hubs.map((hub) => metricsOf(hub).catch(() => null)));
        return families.map((one) => (one ? total(one, name) : NaN));
    }

    async dispose() {
        for (const cleanup of this.#cleanups.splice(0).reverse()) {
            try { await cleanup(); } catch (error) { console.log(`(while ending: ${error.message})`); }
        }
    }
}

export class PlainWorld extends World {
    lines = [];

    async build(chance) {
        const folder = mkdtempSync(path.join(tmpdir(), 'carillon-acl-'));
        this.defer(() => rmSync(folder, { recursive: true, force: true }));
        writeFileSync(path.join(folder, 'users'), 'user default on nopass ~* &* +@all\nuser hub on >one ~* &* +@all\n');
        this.redis = await this.own(Redis.start({ args: [...DURABLE, '--aclfile', path.join(folder, 'users')] }));
        for (let i = 0; i < 3; i++) {
            const line = await this.own(Line.to(this.redis), 'close');
            this.lines.push(line);
            await this.addHub(`redis://hub:one@127.0.0.1:${line.port}`);
        }
        await this.loadUp(chance);
    }

    // All hubs, or one of them.
    drawHubs(chance) { return chance.below(2) ? this.hubs : [chance.one(this.hubs)]; }
    linesOf(hubs) { return hubs.map((hub) => this.lines[this.hubs.indexOf(hub)]); }
}

export class SentinelWorld extends World {
    async build(chance) {
        this.master = await this.own(Redis.start({ args: DURABLE }));
        this.replica = await this.own(Redis.start({ args: [...DURABLE, '--replicaof', `127.0.0.1 ${this.master.port}`] }));
        const conf = `sentinel monitor mymaster 127.0.0.1 ${this.master.port} 2\nsentinel down-after-milliseconds mymaster 1000\n` +
            'sentinel failover-timeout mymaster 4000\nsentinel parallel-syncs mymaster 1\n';
        this.sentinels = [];
        for (let i = 0; i < 3; i++) this.sentinels.push(await this.own(Redis.start({ conf })));
        await this.settled();
        const url = `redis+sentinel://${this.sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/mymaster`;
        for (let i = 0; i < 2; i++) await this.addHub(url);
        await this.loadUp(chance);
    }

    // Both servers run, one follows the other with all its data, and the Sentinels know each other and both. On a busy machine they may
    // have changed their minds once more.
    async settled() {
        await eventually(async () => {
            const [master, replica] = await Promise.all([this.master, this.replica].map((one) => one.info('replication')));
            if (master.get('role') === 'slave' && replica.get('role') === 'master') [this.master, this.replica] = [this.replica, this.master];
            return replica.get('role') === 'slave' && replica.get('master_link_status') === 'up';
        }, 'the replica to follow', 60_000);
        await eventually(async () => {
            const told = await Promise.all(this.sentinels.map((one) => one.say('SENTINEL', 'MASTER', 'mymaster')));
            return told.every((text) => /num-slaves\n1/.test(text) && /num-other-sentinels\n2/.test(text) && /\nflags\nmaster\n/.test(text));
        }, 'the Sentinels to agree', 60_000);
    }
    async promoted() {
        await eventually(async () => (await this.replica.info('replication')).get('role') === 'master', 'the replica to be promoted', 30_000);
        [this.master, this.replica] = [this.replica, this.master];
    }
    drawHubs() { return this.hubs; }
}

let worlds = 0;      // what a namespace had takes a moment to be gone: the next has other names

export class NetWorld extends World {
    static why = null;      // why there can be no namespaces here

    static possible() {
        const space = `carillon-try-${process.pid}`;
        try {
            execFileSync('ip', ['netns', 'add', space], { stdio: 'pipe' });
            execFileSync('ip', ['netns', 'del', space], { stdio: 'pipe' });
        } catch (error) { this.why = `network namespaces are not permitted here: ${String(error.stderr ?? error.message).trim()}`; }
        return !this.why;
    }

    ip(...words) { return execFileSync('ip', words, { stdio: 'pipe' }); }
    inside(i, ...words) { return this.ip('netns', 'exec', this.spaces[i], 'ip', ...words); }

    async build(chance) {
        const pid = process.pid % 100_000, id = `${pid}${String.fromCharCode(97 + worlds++ % 26)}`, net = `10.${100 + (pid % 100)}.${(Math.floor(pid / 100) + worlds) % 250}`;
        this.bridge = `cbr${id}`;
        this.spaces = [];
        this.ports = [];
        this.addresses = [];
        this.ip('link', 'add', this.bridge, 'type', 'bridge');
        this.defer(() => this.ip('link', 'del', this.bridge));
        this.ip('addr', 'add', `${net}.1/24`, 'dev', this.bridge);
        this.ip('link', 'set', this.bridge, 'up');
        this.address = `${net}.1`;
        this.redis = await this.own(Redis.start({ args: DURABLE, host: this.address }));
        const ini = this.signers();
        for (let i = 0; i < 3; i++) {
            this.addSpace(i, id, `${net}.${i + 10}`);
            await this.addHub(`redis://${this.address}:${this.redis.port}`,
                { dev: false, host: `${net}.${i + 10}`, under: ['ip', 'netns', 'exec', this.spaces[i]], args: ['--config', ini, ...OPEN] });
        }
        const tokens = new Map(await Promise.all(USERS.map(async (sub) => [sub, await sign({ sub, exp: inSeconds(LONG_S), carillon: { subscribe: ['**'], join: ['**'] } })])));
        const headers = bearer(await sign({ sub: 'op', exp: inSeconds(LONG_S), carillon: { admin: ['**'] } }));
        await this.loadUp(chance, { host: this.address, headers, as: (user) => `token=${tokens.get(user)}` });
    }

    // Without --dev users and administrators have tokens.
    signers() {
        const folder = mkdtempSync(path.join(tmpdir(), 'carillon-ini-')), ini = path.join(folder, 'carillon.ini');
        this.defer(() => rmSync(folder, { recursive: true, force: true }));
        writeFileSync(ini, `[signers]\napp = HS256 secret:${SECRET}\n`, { mode: 0o600 });
        return ini;
    }

    addSpace(i, id, address) {
        const space = `carillon-${id}-${i}`, port = `cv${id}x${i}`;
        this.ip('netns', 'add', space);
        this.defer(() => this.ip('netns', 'del', space));
        this.spaces.push(space);
        this.ports.push(port);
        this.addresses.push(address);
        this.ip('link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space);
        this.ip('link', 'set', port, 'master', this.bridge, 'up');
        this.inside(i, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
        this.inside(i, 'link', 'set', 'eth0', 'up');
        this.inside(i, 'link', 'set', 'lo', 'up');
    }
    drawHubs(chance) { return [chance.one(this.hubs)]; }
}

export const WORLDS = { plain: PlainWorld, sentinel: SentinelWorld, net: NetWorld };

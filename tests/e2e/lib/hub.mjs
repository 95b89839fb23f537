// hub.mjs — one real `carillon serve` of a test: started on free ports, watched, killed by its pid, its data removed.
//
//   const hub = await Hub.start({ args: ['--history.size=1000'] });
//   hub.publicUrl('/sse?channel=a'), hub.api, hub.pid, hub.log
//   await hub.kill9(); await hub.restart();        // same data directory, same ports
//
// Tests do not call Hub.start() themselves but scope.hub() (scope.mjs), which also cleans up.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { BINARY } from './binary.mjs';
import { request } from './http.mjs';
import { SUITE_TLS } from './line.mjs';
import { SUITE_REDIS, redisSettings } from './redis.mjs';
import { Watched, eventually } from './wait.mjs';
import { isAlive } from './proc.mjs';
import { SANITIZER } from './sanitized.mjs';

export { BINARY };
const READY = /^carillon ready public=(\S+) api=(\S+) pid=(\d+)$/m;

// Whatever ends this test process, no hub outlives it.
const running = new Set();
process.on('exit', () => { for (const child of running) child.kill('SIGKILL'); });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

export function ownDir() {
    return mkdtempSync(path.join(tmpdir(), 'carillon-e2e-'));
}

// The environment of this machine without any CARILLON_ setting of the person who runs the tests; pub and sub trust the suite's hubs.
function cleanEnv(extra) {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('CARILLON')));
    return { ...env, ...(SUITE_TLS && { CARILLON_CACERT: SUITE_TLS.caFile }), ...extra };
}

// "127.0.0.1:8000" -> { host, port };  "unix:/path" -> { socketPath }
function address(text) {
    if (text.startsWith('unix:')) return { socketPath: text.slice(5) };
    const colon = text.lastIndexOf(':');
    return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) };
}

const url = (scheme, { host, port, tls }, where) => `${scheme}${tls ? 's' : ''}://${host}:${port}${where}`;

// One run of the binary: its output as it comes, and how it ended. Used for hubs and for every other subcommand.
export class Run extends Watched {
    stdout = '';
    stderr = '';
    ended = null;      // { code, signal } once it has

    // ulimit: options of the shell's ulimit, which sets the limit and becomes the binary, so the pid is the hub's: '-n 100' (descriptors),
    // '-S -f 1024' (no file may grow larger, KiB). under: a command that becomes the binary (ip netns exec).
    constructor(args, { env = {}, cwd, input, ulimit, under } = {}) {
        super();
        this.args = args;
        const limited = ulimit && ['-c', `trap '' XFSZ; ulimit ${ulimit}; exec "$0" "$@"`, BINARY, ...args];
        const [program, ...rest] = limited ? ['bash', ...limited] : [...under ?? [], BINARY, ...args];
        this.child = spawn(program, rest, { env: cleanEnv(env), cwd, stdio: ['pipe', 'pipe', 'pipe'] });
        running.add(this.child);
        this.pid = this.child.pid;
        this.child.stdin.on('error', () => {});       // it may have ended before it has read all
        if (input !== null) this.child.stdin.end(input ?? '');
        this.child.stdout.setEncoding('utf8').on('data', (text) => { this.stdout += text; this.changed(); });
        this.child.stderr.setEncoding('utf8').on('data', (text) => { this.stderr += text; this.changed(); });
        this.child.on('error', (error) => this.#end({ code: null, signal: null, error }));
        this.child.on('close', (code, signal) => this.#end({ code, signal }));
    }

    #end(how) {
        running.delete(this.child);
        this.ended ??= how;
        this.changed();
    }

    get log() { return this.stderr; }
    state() { return `ended=${JSON.stringify(this.ended)} stdout=${JSON.stringify(this.stdout.slice(-400))} stderr tail:\n${this.stderr.slice(-1500)}`; }
    end(ms) { return this.waitFor(() => this.ended, `the end of carillon ${this.args.join(' ')}`, ms); }
    signal(name) { return this.ended ? false : this.child.kill(name); }

    async kill9() {
        this.signal('SIGKILL');
        return this.end();
    }
}

export class Hub {
    logs = '';           // of the runs before this one
    #options;

    static async start(options = {}) {
        const hub = new Hub();
        hub.#options = { dev: true, args: [], env: {}, memory: false, tls: SUITE_TLS, host: '127.0.0.1', ...options };
        hub.ownsDir = !options.dir && !options.memory;
        hub.dir = options.memory ? '' : options.dir ?? ownDir();
        hub.onRedis = SUITE_REDIS && !hub.#options.args.some((arg) => arg.startsWith('--redis.url='));
        hub.engine = hub.onRedis ? await redisSettings(options.dir) : [];
        try { await hub.#run(`${hub.#options.host}:0`, `${hub.#options.host}:0`); } catch (error) { await hub.dispose(); throw error; }
        return hub;
    }

    async #run(publicListen, apiListen) {
        const { dev, args, env, ulimit, tls, cwd, under } = this.#options;
        this.run = new Run(['serve', ...(dev ? ['--dev'] : []), `--public.listen=${publicListen}`, `--api.listen=${apiListen}`,
            `--store.dir=${this.dir}`, ...this.engine, ...(tls ? [`--tls.cert=${tls.cert}`, `--tls.key=${tls.key}`] : []), ...args], { env, ulimit, cwd, under });
        const line = await this.run.waitFor((run) => {
            if (run.ended) throw new Error(`the hub ended before it was ready: ${run.state()}`);
            return READY.exec(run.stdout);
        }, 'the ready line');
        this.public = { ...address(line[1]), ...(tls && { tls }) };
        this.api = { ...address(line[2]), ...(tls && !args.includes('--tls.api=no') && { tls }) };
        for (const which of ['public', 'api']) Object.defineProperty(this[which], 'which', { value: which });      // for http.mjs, which holds answers against /openapi.json
        for (const where of [this.public, this.api]) if (where.socketPath) delete where.tls;      // never encrypted
        this.readyPid = Number(line[3]);
        if (this.onRedis) await this.ready();
        return this;
    }

    // With Redis behind it: it has been reached, and what it knows of keys and revocations has been read. Other parts may be unwell.
    ready() {
        const isReady = async () => {
            const { checks } = this.run.ended ? {} : JSON.parse((await request(this.api, '/health/ready')).text);
            return checks ? checks.redis.status === 'ok' : this.run.ended || this.log.includes('redis: live');      // the port speaks TLS that this file knows nothing of
        };
        return eventually(isReady, 'the hub to be ready', undefined, () => this.run.state());
    }

    get pid() { return this.run.pid; }
    get log() { return this.logs + this.run.stderr; }
    get alive() { return !this.run.ended && isAlive(this.pid); }
    publicUrl(where, scheme = 'http') { return url(scheme, this.public, where); }
    apiUrl(where) { return url('http', this.api, where); }
    wsUrl(where) { return url('ws', this.public, where); }

    kill9() { return this.run.kill9(); }

    // SIGTERM; resolves with { code, signal } of its end.
    async terminate(ms) {
        this.run.signal('SIGTERM');
        return this.run.end(ms);
    }

    // Again on the same directory and the same ports; other flags only if given.
    async restart({ args } = {}) {
        if (!this.run.ended) throw new Error('restart() of a hub that still runs');
        if (args) this.#options.args = args;
        this.#options.ulimit = undefined;
        this.logs += `${this.run.stderr}\n---- restarted ----\n`;
        return this.#run(`${this.public.host}:${this.public.port}`, `${this.api.host}:${this.api.port}`);
    }

    // Leaks are looked for when a process ends by itself.
    async #endClean() {
        if (this.run.ended) return;
        const { code } = await this.terminate().finally(() => this.kill9());
        if (code !== 0) throw new Error(`the hub ended with ${code}: ${this.run.state()}`);
    }

    async dispose() {
        try { if (this.run) await (SANITIZER ? this.#endClean() : this.kill9()); } finally {
            if (this.ownsDir) rmSync(this.dir, { recursive: true, force: true });
        }
    }
}

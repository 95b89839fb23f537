// redis.mjs — a real redis-server, or a Sentinel, of a test's own: a folder, a unix socket for whoever administers it, a free port.
//
//   const redis = await Redis.start({ args: ['--appendonly', 'yes'] });
//   await redis.say('FLUSHALL');              // by redis-cli, on the unix socket
//   await redis.kill(); await redis.run();    // the same port and folder
//
// Killed by its pid at the latest when this process ends.
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually } from '../../e2e/lib/wait.mjs';

const running = new Set();
process.on('exit', () => { for (const child of running) child.kill('SIGKILL'); });

export function freePort(host = '127.0.0.1') {
    return new Promise((resolve, reject) => {
        const server = net.createServer().once('error', reject).listen(0, host, () => {
            const { port } = server.address();
            server.close(() => resolve(port));
        });
    });
}

export class Redis {
    child = null;

    // conf: of a Sentinel. host: where it listens beside the unix socket.
    static async start({ args = [], conf = null, host = '127.0.0.1' } = {}) {
        const redis = new Redis();
        redis.dir = mkdtempSync(path.join(tmpdir(), 'carillon-redis-'));
        Object.assign(redis, { args, conf, host, port: await freePort(host), socket: path.join(redis.dir, 's') });
        if (conf) writeFileSync(path.join(redis.dir, 'conf'), conf);
        await redis.run();
        return redis;
    }

    // `more`: arguments for this run only. Resolves when it answers, be it that it is loading.
    async run({ args = [], env = {} } = {}) {
        const own = ['--port', this.port, '--bind', this.host, '--unixsocket', this.socket, '--dir', this.dir, '--logfile', path.join(this.dir, 'log'),
            '--daemonize', 'no', '--protected-mode', 'no', '--enable-debug-command', 'local'];
        const what = this.conf ? [path.join(this.dir, 'conf'), '--sentinel'] : ['--save', ''];
        rmSync(this.socket, { force: true });
        const child = spawn('redis-server', [...what, ...own, ...this.args, ...args].map(String), { stdio: 'ignore', env: { ...process.env, ...env } });
        this.child = child;
        running.add(child);
        this.ended = new Promise((resolve) => child.on('close', () => { running.delete(child); resolve(); }));
        await eventually(() => {
            if (child.exitCode !== null) throw new Error(`redis-server ended: ${this.log.slice(-2000)}`);
            return existsSync(this.socket) && this.say('PING').then((text) => /PONG|LOADING|MASTERDOWN/.test(text), () => false);
        }, 'a Redis that answers');
    }

    get pid() { return this.child.pid; }
    get log() { return existsSync(path.join(this.dir, 'log')) ? readFileSync(path.join(this.dir, 'log'), 'utf8') : ''; }
    get alive() { return this.child.exitCode === null && this.child.signalCode === null; }
    signal(name) { if (this.alive) this.child.kill(name); }

    async kill(signal = 'SIGKILL') {
        this.signal('SIGCONT');
        this.signal(signal);
        await this.ended;
    }

    // What redis-cli prints; an error reply too. Only while the server runs.
    say(...words) {
        return new Promise((resolve, reject) => {
            execFile('redis-cli', ['-s', this.socket, ...words.map(String)], { timeout: 15_000, maxBuffer: 1 << 26 },
                (error, stdout) => (error && error.killed ? reject(error) : resolve(stdout.trim())));
        });
    }
    // A connection that stays, for when no other can be made: writes lines to it.
    cli() {
        const cli = spawn('redis-cli', ['-s', this.socket], { stdio: ['pipe', 'ignore', 'ignore'] });
        running.add(cli);
        cli.on('close', () => running.delete(cli));
        return cli.stdin;
    }
    async must(...words) {
        const said = await this.say(...words);
        if (!/^(OK|\d+|Background .*)$/.test(said)) throw new Error(`${words.join(' ')}: ${said}`);
        return said;
    }
    config(name, value) { return this.must('CONFIG', 'SET', name, value); }

    // -> Map of field to value, of one section of INFO
    async info(section) {
        return new Map([...(await this.say('INFO', section)).matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, key, value]) => [key, value]));
    }

    async dispose() {
        await this.kill();
        rmSync(this.dir, { recursive: true, force: true });
    }
}

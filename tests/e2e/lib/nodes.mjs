// nodes.mjs — several hubs of one test on a redis-server of its own, which the test may stop, empty and start again.
//
//   const { redis, hubs: [a, b, c] } = await nodes(scope, 3);
//   await redis.kill9(); await redis.start(); redis.say('flushall')
import { spawn, execFileSync } from 'node:child_process';
import net from 'node:net';
import path from 'node:path';
import { writeFileSync } from 'node:fs';
import { SECRET } from './tokens.mjs';
import { eventually } from './wait.mjs';

export class OwnRedis {
    constructor(dir) {
        this.dir = dir;
        this.socket = path.join(dir, 's');
        this.url = `unix:${this.socket}`;
    }

    say(...words) { return execFileSync('redis-cli', ['-s', this.socket, ...words], { stdio: 'pipe' }).toString().trim(); }

    // Commands of any bytes, one behind the other; resolves when all have been run.
    async sendAll(commands) {
        const socket = net.connect(this.socket), ended = new Promise((resolve) => { socket.on('close', resolve); });
        for (const words of [...commands, ['QUIT']])
            socket.write(Buffer.concat([Buffer.from(`*${words.length}\r\n`), ...words.flatMap((word) => {
                const bytes = Buffer.from(word);
                return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')];
            })]));
        socket.resume();
        await ended;
    }

    // With what it had when it was ended by shutdown(), if that was asked to save.
    async start() {
        // setpriv: it ends with this process also when that is killed.
        this.child = spawn('setpriv', ['--pdeathsig', 'KILL', 'redis-server', '--port', '0', '--unixsocket', this.socket, '--save', '', '--dir', this.dir,
            '--logfile', path.join(this.dir, 'redis.log'), '--io-threads', '1'], { stdio: 'ignore' });
        this.ended = new Promise((resolve) => { this.child.on('close', resolve); });
        await eventually(() => { try { return this.say('ping') === 'PONG'; } catch { return false; } }, 'redis-server to answer');
    }

    async kill9() {
        this.child.kill('SIGKILL');
        await this.ended;
    }

    async shutdown(save) {
        try { this.say('shutdown', save ? 'save' : 'nosave'); } catch { /* it says nothing more */ }
        await this.ended;
    }
}

// `n` hubs that know the signer `app` (tokens.mjs); ready, unless `away`: then Redis is not running yet.
export async function nodes(scope, n, { args = [], away = false } = {}) {
    const redis = new OwnRedis(scope.dir()), ini = path.join(scope.dir(), 'carillon.ini');
    writeFileSync(ini, `[signers]\napp = HS256 secret:${SECRET}\n[redis]\nurl = ${redis.url}\n`, { mode: 0o600 });
    if (!away) await redis.start();
    scope.defer(() => redis.child && redis.kill9());
    const open = () => scope.hub({ dev: false, memory: true, args: ['--config', ini, '--log.level=debug', `--redis.url=${redis.url}`, ...args] });
    const hubs = [];
    for (let i = 0; i < n; i++) hubs.push(await open());
    if (!away) for (const hub of hubs) await hub.ready();
    return { redis, hubs, open };
}

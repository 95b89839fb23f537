// redis.mjs — with make e2e-redis the hubs of the suite have Redis as their engine: one real redis-server for each test process, started
// for its first hub, listening on a unix socket in a directory of its own. It ends with the process, however that ends.
//
// Each hub of a test has a prefix of its own, and keeps it when it is started again: what it published is there, as its store's would be.
// A scenario of what only the hub's own engine has says so, and why:  scenario('…', { ownEngine: 'the disk is full' }, …)
import { spawn, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually } from './wait.mjs';

export const SUITE_REDIS = Boolean(process.env.E2E_REDIS);

let server = null, prefixes = 0;
const prefixOf = new Map();      // directory -> prefix

async function start() {
    const dir = mkdtempSync(path.join(tmpdir(), 'carillon-redis-'));
    const socket = path.join(dir, 's'), log = path.join(dir, 'log');
    // setpriv: it ends with this process also when that is killed.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'redis-server', '--port', '0', '--unixsocket', socket, '--save', '', '--dir', dir,
        '--logfile', log, '--io-threads', '1'], { stdio: 'ignore' });
    process.on('exit', () => { child.kill('SIGKILL'); rmSync(dir, { recursive: true, force: true }); });
    child.unref();
    const answers = () => { try { return execFileSync('redis-cli', ['-s', socket, 'ping'], { stdio: 'pipe' }).includes('PONG'); } catch { return false; } };
    const said = () => { try { return readFileSync(log, 'utf8'); } catch (error) { return String(error); } };
    await eventually(answers, 'redis-server to answer', undefined, said);
    return socket;
}

// Settings of a hub's engine, here. With a directory that another hub had before: those of that hub.
export async function redisSettings(dir) {
    server ??= start();
    const prefix = prefixOf.get(dir) ?? `t${process.pid}-${++prefixes}`;
    if (dir) prefixOf.set(dir, prefix);
    return [`--redis.url=unix:${await server}`, `--redis.prefix=${prefix}`, '--redis.lease=3s'];      // the least: what a killed hub sent to is another's after it
}

// redis_server.mjs: a redis-server for a row, on a unix socket, and what it costs.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

const MOST_WAITS = 600;

// `started`: the set of processes that end with this one. Data is kept over restart() when `keeps`.
export async function redisServer(dir, core, started, { keeps = false } = {}) {
  const socket = join(dir, 'redis.sock');
  const cli = (...args) => execFileSync('redis-cli', ['-s', socket, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  const s = { socket, cli };
  const run = () => {
    s.child = spawn('taskset', ['-c', core, 'redis-server', '--port', '0', '--unixsocket', socket, '--save', '', '--appendonly', keeps ? 'yes' : 'no', '--dir', dir,
      '--client-output-buffer-limit', 'pubsub', '0', '0', '0'], { stdio: 'ignore' });
    const child = s.child;
    started.add(child);
    child.over = new Promise(done => child.on('exit', () => { started.delete(child); done(); }));
    s.pid = child.pid;
  };
  // It has read what it had and takes commands.
  s.answers = async () => {
    for (let i = 0; i < MOST_WAITS; i++, await wait(5)) {
      try { if (existsSync(socket) && cli('ping') === 'PONG') return; } catch { /* not yet */ }
    }
    throw new Error('redis-server does not answer');
  };
  s.kill = async () => { s.child.kill('SIGKILL'); await s.child.over; };
  s.again = async () => { run(); await s.answers(); };
  s.info = name => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(cli('info', 'all'))[1]);
  s.cpuMs = () => Number(readFileSync(`/proc/${s.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;      // of the thread that serves
  await s.again();
  return s;
}

// server.mjs: starting the hub or a baseline pinned to one core and the generator to another, and reading from /proc what they cost.
import { spawn, execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { redisServer } from './redis_server.mjs';

const bin = process.env.BENCH_BIN;                  // folder with load and baseline
const carillon = process.env.CARILLON;
const SERVER_CORE = '0', LOAD_CORE = '1';
const PATIENCE_MS = 240_000;
const HOLDER_MAX = 10_000;                          // connections of one generator process: it too has a limit of files

const started = new Set(), dirs = new Set();
process.on('exit', () => {
  for (const child of started) child.kill('SIGKILL');
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

function tempDir() {
  const dir = mkdtempSync(join(tmpdir(), 'carillon-bench-'));
  dirs.add(dir);
  return dir;
}

// One for the whole run.
let ofRun;
export const runDir = () => ofRun ??= tempDir();

// Writes out what is in the system's cache of these files, and has it forgotten: they are read from the disk again.
export function coldFiles(dir) {
  for (const name of readdirSync(dir)) {
    execFileSync('sync', [join(dir, name)]);
    execFileSync('dd', [`if=${join(dir, name)}`, 'iflag=nocache', 'count=0', 'status=none']);
  }
}

function removeDir(dir) {
  rmSync(dir, { recursive: true, force: true });
  dirs.delete(dir);
}

function pinned(core, cmd, args) {
  const child = spawn('taskset', ['-c', core, cmd, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  started.add(child);
  child.over = new Promise(done => child.on('exit', () => { started.delete(child); done(); }));
  child.line = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${cmd} ended without a word`);
    return value;
  };
  return child;
}

// A certificate for the run, made once.
let certificate;
function tls() {
  if (!certificate) {
    const dir = tempDir();
    certificate = { cert: join(dir, 'cert.pem'), key: join(dir, 'key.pem') };
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost',
      '-keyout', certificate.key, '-out', certificate.cert], { stdio: 'ignore' });
  }
  return certificate;
}

const hubArgs = (dir, { flags = [], tls: secure }) => ['serve', '--dev', '--public.listen=127.0.0.1:0', '--api.listen=127.0.0.1:0', `--store.dir=${dir}/data`,
  '--edge.threads=1', '--log.level=error', '--accept.per_second=0', ...(secure ? [`--tls.cert=${tls().cert}`, `--tls.key=${tls().key}`] : []), ...flags];

// kind: hub, redis (nothing else), one, coalescing, relay, peerjs, or none (the row runs what it needs); options: flags (of the hubs), tls, redis and hubs (rows_redis.mjs).
export async function server(kind, options = {}) {
  const dir = tempDir(), children = [];
  const stop = async () => {
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(children.map(child => child.over));
    await redis?.kill();
    removeDir(dir);
  };
  let redis;
  try {
    if (options.redis || kind === 'redis') redis = await redisServer(dir, kind === 'redis' ? SERVER_CORE : LOAD_CORE, started, options.redis === true ? {} : options.redis);
    if (kind === 'redis' || kind === 'none') return { kind, redis, stop };
    const flags = redis ? { ...options, flags: ['--store.dir=', `--redis.url=unix:${redis.socket}`, ...options.flags ?? []] } : options;
    const run = more => kind === 'hub' ? pinned(SERVER_CORE, carillon, [...hubArgs(dir, flags), ...more])
      : kind === 'relay' ? pinned(SERVER_CORE, join(bin, 'relay'), [])
      : kind === 'peerjs' ? pinned(SERVER_CORE, process.execPath, [fileURLToPath(new URL('peerjs.mjs', import.meta.url))])
      : pinned(SERVER_CORE, join(bin, 'baseline'), [kind, ...(options.tls ? [tls().cert, tls().key] : [])]);
    const one = async at => {
      const child = children[at] = run([]), [, sub, pub, pid] = /public=(\S+) api=(\S+) pid=(\d+)/.exec(await child.line());
      if (redis) await isReady(pub);
      // Ends a hub by a signal and starts it again, with the same store and ports: when that was (CLOCK_MONOTONIC, ns), and how long until it was ready.
      const restart = async (signal, between = () => {}) => {
        children[at].kill(signal);
        await children[at].over;
        between(`${dir}/data`);
        const began = process.hrtime.bigint();
        children[at] = run([`--public.listen=${sub}`, `--api.listen=${pub}`]);
        s.pid = /pid=(\d+)/.exec(await children[at].line())[1];
        return { began, ready_s: Number(process.hrtime.bigint() - began) / 1e9 };
      };
      const s = { kind, sub, pub, pid, tls: options.tls, stop, restart, redis };
      return s;
    };
    const hubs = [];
    for (let i = 0; i < (options.hubs ?? 1); i++) hubs.push(await one(i));
    return Object.assign(hubs[0], { hubs });
  } catch (error) {
    await stop();
    throw error;
  }
}

async function isReady(pub) {
  for (let i = 0; i < 500; i++, await wait(20)) if ((await fetch(`http://${pub}/health/ready`)).ok) return;
  throw new Error('a hub does not get ready');
}

const asOptions = (s, options) => Object.entries({ pid: s.pid, sub: s.sub, pub: s.pub, tls: s.tls, ...options })
  .flatMap(([k, v]) => v === undefined || v === false ? [] : v === true ? [`--${k}`] : [`--${k}`, String(v)]);

// One run of the generator; what it printed.
export const load = (s, mode, options) => new Promise((done, failed) => {
  const child = execFile('taskset', ['-c', LOAD_CORE, join(bin, 'load'), mode, ...asOptions(s, options)], { timeout: PATIENCE_MS, killSignal: 'SIGKILL' },
    (error, stdout, stderr) => {
      started.delete(child);
      if (error) failed(new Error(stderr.trim() || (error.killed ? `load ${mode} took too long` : error.message)));
      else done(JSON.parse(stdout));
    });
  started.add(child);
});

const runOn = (core, command, args) => new Promise((done, failed) => {
  const child = execFile('taskset', ['-c', core, command, ...args.map(String)], { timeout: PATIENCE_MS, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
    started.delete(child);
    if (error) failed(new Error(stderr.trim() || error.message));
    else done(stdout);
  });
  started.add(child);
});

// A program of ours that measures itself, on the server's core; what it printed.
export const alone = async (name, ...args) => JSON.parse(await runOn(SERVER_CORE, join(bin, name), args));
// One that is a server's client, on the generator's core: its last line.
export const beside = async (name, ...args) => (await runOn(LOAD_CORE, name === 'redis-benchmark' ? name : join(bin, name), args)).trim().split('\n').at(-1);

// n connections that are held, by as many processes as it needs; end() closes them.
export async function hold(s, options) {
  const holders = [];
  const end = async () => {
    for (const child of holders) child.kill('SIGKILL');
    await Promise.all(holders.map(child => child.over));
  };
  try {
    for (let left = options.n; left > 0; left -= HOLDER_MAX) {
      const child = pinned(LOAD_CORE, join(bin, 'load'), ['hold', ...asOptions(s, { ...options, n: Math.min(left, HOLDER_MAX) })]);
      holders.push(child);
      await child.line();
    }
  } catch (error) {
    await end();
    throw error;
  }
  const received = async () => {
    let sum = 0;
    for (const child of holders) {
      child.stdin.write('\n');
      sum += JSON.parse(await child.line()).received;
    }
    return sum;
  };
  const stop = () => holders.forEach(child => child.kill('SIGSTOP'));       // they read nothing until go()
  const go = () => holders.forEach(child => child.kill('SIGCONT'));
  return { end, received, stop, go };
}

// n EventSources that come back after they were cut; say() leads them (storm.c).
export async function eventSources(s, n, path) {
  const child = pinned(LOAD_CORE, join(bin, 'storm'), ['--sub', s.sub, '--pub', s.pub, '--n', String(n), '--path', path]);
  const say = async word => {
    child.stdin.write(`${word}\n`);
    return JSON.parse(await child.line());
  };
  const end = async () => {
    child.kill('SIGKILL');
    await child.over;
  };
  return { say, end };
}

// n WebSockets that join rooms of `each` (signals.c) when say() says so: "join", few at once, or "storm", all at once.
export async function rooms(s, n, each) {
  const child = pinned(LOAD_CORE, join(bin, 'load'), ['rooms', ...asOptions(s, { n, channels: each })]);
  await child.line();
  const say = async word => {
    child.stdin.write(`${word}\n`);
    return JSON.parse(await child.line());
  };
  const end = async () => {
    child.kill('SIGKILL');
    await child.over;
  };
  return { say, end };
}

// Publishes and receives webhooks (hooks.c); say() leads it. Without a hub it only receives.
export async function hooks(s) {
  const child = pinned(LOAD_CORE, join(bin, 'load'), ['hooks', ...(s.pub ? asOptions({ pid: s.pid, pub: s.pub }, {}) : [])]);
  const { port } = JSON.parse(await child.line());
  const say = async words => {
    child.stdin.write(`${words}\n`);
    return JSON.parse(await child.line());
  };
  const end = async () => {
    child.kill('SIGKILL');
    await child.over;
  };
  return { port, say, end };
}

// The most memory a process has had, of its own and shared, bytes.
export const memoryPeak = s => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${s.pid}/status`, 'utf8'))[1]) * 1024;

// Private memory of a process, bytes: what its connections cost in user space.
export const memory = s => Number(/Private_Dirty:\s+(\d+)/.exec(readFileSync(`/proc/${s.pid}/smaps_rollup`, 'utf8'))[1]) * 1024;

// CPU time of its threads so far, ms: of each name ('carillon' is the hub's), and of all.
export function cpuMsByThread(s) {
  const sums = {};
  for (const tid of readdirSync(`/proc/${s.pid}/task`)) {
    const of = what => readFileSync(`/proc/${s.pid}/task/${tid}/${what}`, 'utf8'), name = of('comm').trim();
    sums[name] = (sums[name] ?? 0) + Number(of('schedstat').split(' ')[0]) / 1e6;
  }
  return sums;
}
export const cpuMs = s => Object.values(cpuMsByThread(s)).reduce((a, b) => a + b, 0);

export const post = async (s, path, body, type = 'text/plain') => {
  const answer = await fetch(`http://${s.pub}${path}`, { method: 'POST', body, headers: { 'content-type': type } });
  if (!answer.ok) throw new Error(`POST ${path}: ${answer.status}`);
  return answer.json();
};

export async function metric(s, name) {
  const text = await (await fetch(`http://${s.pub}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)[1]);
}

// Busy ticks of the whole machine, and of this process with the children it has waited for: the difference is other people's load.
export function ticks() {
  const [user, nice, system, idle, iowait, irq, softirq, steal] = readFileSync('/proc/stat', 'utf8').split('\n')[0].split(/\s+/).slice(1).map(Number);
  const own = readFileSync('/proc/self/stat', 'utf8').replace(/^.*\) /, '').split(' ').slice(11, 15).map(Number);
  const busy = user + nice + system + irq + softirq + steal;
  return { all: busy + idle + iowait, others: busy - own.reduce((a, b) => a + b) };
}

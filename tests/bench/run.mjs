// run.mjs: the hub beside raw baselines in the same run, in alternation, each pinned to its own cores; prints medians, ranges
// and ratios as a table, and everything as JSON with --json FILE. `make bench`; README.md here tells what each row means.
import { spawn, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';

const bin = process.env.BENCH_BIN;                  // folder with load and baseline
const carillon = process.env.CARILLON;
const rounds = Number(process.env.ROUNDS ?? 3);
const quick = process.argv.includes('--quick');     // a tenth of the load: to see that it runs
const only = process.argv.find(a => a.startsWith('--only='))?.slice(7);
const scale = n => quick ? Math.max(1, Math.round(n / 10)) : n;

const SERVER_CORE = '0', LOAD_CORE = '1';
const started = new Set();
process.on('exit', () => { for (const p of started) p.kill('SIGKILL'); });

function pinned(core, cmd, args, options = {}) {
  const child = spawn('taskset', ['-c', core, cmd, ...args], { stdio: ['pipe', 'pipe', 'inherit'], ...options });
  started.add(child);
  child.on('exit', () => started.delete(child));
  return child;
}

async function firstLine(child) {
  for await (const line of createInterface({ input: child.stdout })) return line;
  throw new Error('it ended without a word');
}

async function server(kind, flags = []) {
  const dir = mkdtempSync(join(tmpdir(), 'carillon-bench-'));
  const child = kind === 'hub'
    ? pinned(SERVER_CORE, carillon, ['serve', '--dev', '--public.listen=127.0.0.1:0', '--api.listen=127.0.0.1:0', `--store.dir=${dir}/data`,
        '--edge.threads=1', '--log.level=error', ...flags])
    : pinned(SERVER_CORE, join(bin, 'baseline'), [kind]);
  const line = await firstLine(child);
  const [, sub, pub, pid] = /public=(\S+) api=(\S+) pid=(\d+)/.exec(line);
  return { sub, pub, pid, async stop() {
    child.kill('SIGKILL');
    await new Promise(done => child.exitCode === null && child.signalCode === null ? child.on('exit', done) : done());
    rmSync(dir, { recursive: true, force: true });
  } };
}

const load = (s, mode, options) => JSON.parse(execFileSync('taskset', ['-c', LOAD_CORE, join(bin, 'load'), mode, ...Object.entries(
  { pid: s.pid, ...options }).flatMap(([k, v]) => [`--${k}`, String(v)])], { encoding: 'utf8', timeout: 240000 }));

// Private memory of a process, bytes: what its connections cost in user space.
const memory = pid => Number(/Private_Dirty:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]) * 1024;

async function idle(s, kind, n) {
  const before = memory(s.pid);
  const holders = [];
  for (let left = n; left > 0; left -= 15000) {
    const child = pinned(LOAD_CORE, join(bin, 'load'), ['idle', '--kind', kind, '--sub', s.sub, '--n', String(Math.min(left, 15000))]);
    await firstLine(child);
    holders.push(child);
  }
  const bytes = (memory(s.pid) - before) / n;
  holders.forEach(h => h.kill());
  return bytes;
}

const median = values => [...values].sort((a, b) => a - b)[values.length >> 1];
const fanout = (kind, window, messages) => s => load(s, 'fanout', { kind, sub: s.sub, pub: s.pub, n: 1000, window, messages: scale(messages) }).cpu_us_per_delivery;
const postTo = (s, path, body) => fetch(`http://${s.pub}${path}`, { method: 'POST', body, headers: { 'content-type': 'text/plain' } });

async function resumable(s) {
  const first = await (await postTo(s, '/v1/channels/bench/messages', 'before')).json().catch(() => ({ id: 'x.0' }));
  for (let i = 0; i < 100; i++) await (await postTo(s, '/v1/channels/bench/messages', 'x'.repeat(128))).arrayBuffer();
  return first.id;
}

// name, unit, what is measured, which baseline, goal as a ratio to it (or `limit` as a figure)
const rows = [
  { name: 'fan-out saturated, WebSocket', unit: 'µs/delivery', base: 'coalescing', goal: 1.25, run: fanout('ws', 200, 20000) },
  { name: 'fan-out saturated, SSE', unit: 'µs/delivery', base: 'coalescing', goal: 1.25, run: fanout('sse', 200, 20000) },
  { name: 'one message at a time, WebSocket', unit: 'µs/delivery', base: 'one', goal: 1.15, run: fanout('ws', 1, 1000) },
  { name: 'one message at a time, SSE', unit: 'µs/delivery', base: 'one', goal: 1.15, run: fanout('sse', 1, 1000) },
  { name: '10,000 WebSockets, 10/s, p99', unit: 'ms', base: 'one', goal: 1.2,
    run: s => load(s, 'latency', { kind: 'ws', sub: s.sub, pub: s.pub, n: scale(10000), rate: 10, messages: 50 }).p99_ms },
  { name: '100 subscribers, 1,000/s, p99', unit: 'ms', base: 'coalescing', goal: 1.5,
    run: s => load(s, 'latency', { kind: 'ws', sub: s.sub, pub: s.pub, n: 100, rate: 1000, messages: scale(5000) }).p99_ms },
  { name: 'publish, 64 keep-alive, a subscriber each', unit: 'µs/publish', base: 'one', goal: 1.6,
    run: s => load(s, 'publish', { kind: 'ws', sub: s.sub, pub: s.pub, conns: 64, window: 1, messages: scale(100000) }).cpu_us },
  { name: 'publish, pipelined', unit: 'µs/publish', limit: 4,
    run: s => load(s, 'publish', { pub: s.pub, conns: 8, window: 64, messages: scale(500000) }).cpu_us },
  { name: 'accepts', unit: '1/s', base: 'one', goal: 0.6, more: true,
    run: s => load(s, 'accept', { kind: 'ws', sub: s.sub, conns: 64, messages: scale(20000) }).accepts_per_s },
  { name: '10,000 resume 100 messages each', unit: 's CPU', base: 'coalescing', goal: 3,
    run: async s => load(s, 'resume', { kind: 'ws', sub: s.sub, n: scale(10000), since: await resumable(s), expect: 100 }).cpu_s },
  { name: 'idle WebSocket, 2,000', unit: 'bytes', limit: 2048, run: s => idle(s, 'ws', 2000) },
  { name: 'idle SSE, 2,000', unit: 'bytes', limit: 1536, run: s => idle(s, 'sse', 2000) },
  { name: 'idle WebSocket, 15,000', unit: 'bytes', limit: 2048, run: s => idle(s, 'ws', scale(15000)) },
  { name: 'idle SSE, 15,000', unit: 'bytes', limit: 1536, run: s => idle(s, 'sse', scale(15000)) },
];

async function measure(kind, run) {
  const s = await server(kind);
  try { return await run(s); } finally { await s.stop(); }
}

const results = [];
for (const row of rows.filter(r => !only || r.name.includes(only))) {
  const hub = [], base = [];
  for (let i = 0; i < rounds; i++) {
    hub.push(await measure('hub', row.run));
    if (row.base) base.push(await measure(row.base, row.run));
  }
  const ours = median(hub), theirs = row.base ? median(base) : undefined, ratio = row.base ? ours / theirs : undefined;
  const met = row.base ? (row.more ? ratio >= row.goal : ratio <= row.goal) : ours <= row.limit;
  results.push({ name: row.name, unit: row.unit, hub, base, baseline: row.base, median: ours, baseline_median: theirs, ratio, goal: row.goal ?? row.limit, met });
  const figure = n => n === undefined ? '' : n >= 100 ? n.toFixed(0) : n.toPrecision(3);
  console.log([row.name.padEnd(42), `${figure(ours)} ${row.unit}`.padEnd(20), `[${figure(Math.min(...hub))} … ${figure(Math.max(...hub))}]`.padEnd(20),
    row.base ? `${row.base} ${figure(theirs)}`.padEnd(20) : ''.padEnd(20), ratio ? `× ${ratio.toFixed(2)}`.padEnd(8) : ''.padEnd(8),
    `goal ${row.base ? `${row.more ? '≥' : '≤'} ${row.goal} ×` : `≤ ${row.limit}`}`.padEnd(14), met ? 'reached' : 'MISSED'].join(' '));
}
const out = process.argv.find(a => a.startsWith('--json='))?.slice(7);
if (out) writeFileSync(out, JSON.stringify({ when: new Date().toISOString(), cpu: cpus()[0].model, cores: cpus().length, rounds, results }, null, 1));

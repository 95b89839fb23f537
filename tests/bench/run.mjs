// run.mjs: the hub beside raw baselines in the same run, in alternation, each pinned to its own core. `make bench`; README.md tells the method.
//
//   --quick        a tenth of the load, one round: to see that it runs
//   --only=TEXT    only rows whose name contains it
//   --rounds=N     2 when not given
//   --nice=N       of servers and generators, on a machine that others use: below 0 as root
//   --realtime     as root: nobody else runs while they can, so that rates and latencies are theirs; for few rows at a time
//   --json=FILE    every figure of every round;  --markdown=FILE  the table as in the README
import { execFileSync } from 'node:child_process';
import { cpus, release, setPriority } from 'node:os';
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { BUSY, cells, figure, heads, line, markdown, pageCells, pageHeads, summarise } from './figures.mjs';
import { allRows } from './rows.mjs';
import { sameBytes } from './same_bytes.mjs';
import { server, ticks } from './server.mjs';

const { values: args } = parseArgs({ options: { quick: { type: 'boolean' }, only: { type: 'string' }, rounds: { type: 'string' }, nice: { type: 'string' }, realtime: { type: 'boolean' }, json: { type: 'string' }, markdown: { type: 'string' } } });
const rounds = Number(args.rounds ?? (args.quick ? 1 : 2));
const debian = (() => { try { return readFileSync('/etc/debian_version', 'utf8').trim(); } catch { return 'unknown'; } })();
const machine = { when: new Date().toISOString(), cpu: cpus()[0].model, cores: cpus().length, kernel: release(), debian };

async function measure(kind, options, run) {
  const s = await server(kind, options);
  try { return await run(s); } finally { await s.stop(); }
}

// The hub first in one round, the baseline first in the next, so that a machine that gets slower is unjust to both.
async function alternate(row) {
  const hub = [], base = [], before = ticks(), began = Date.now(), options = typeof row.options === 'function' ? row.options() : row.options;
  const other = typeof row.base === 'string' ? { kind: row.base, run: row.run } : row.base;
  const ours = async () => hub.push(await measure(row.kind ?? 'hub', options, row.run));
  const theirs = async () => other && base.push(await measure(other.kind, other.options ?? options, other.run));
  for (let i = 0; i < Math.min(rounds, row.rounds ?? rounds); i++)
    for (const one of i % 2 ? [theirs, ours] : [ours, theirs]) await one();
  const after = ticks();
  return { hub, base, others: (after.others - before.others) / (after.all - before.all), seconds: Math.round((Date.now() - began) / 1000) };
}

if (args.realtime) execFileSync('chrt', ['-r', '-p', '5', String(process.pid)]);
if (args.nice) setPriority(Number(args.nice));       // those it starts have it too
const results = [], page = [markdown(pageHeads), markdown(pageHeads.map(() => '---'))];
const baseName = row => typeof row.base === 'object' ? row.base.name : row.base;

console.log(`${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Debian ${debian}, ${machine.when}; ${rounds} rounds${args.quick ? ", a tenth of the load" : ""}`);
const bytes = await sameBytes();
console.log(bytes.length === 0 ? 'Hub and baseline send the same bytes.' : `Hub and baseline do NOT send the same bytes: ${bytes.join('; ')}`);
console.log(line(heads));
// After every row, so that a run that is ended has what it had measured.
function save() {
  if (args.json) writeFileSync(args.json, `${JSON.stringify({ ...machine, rounds, quick: !!args.quick, different_bytes: bytes, results }, null, 1)}\n`);
  if (args.markdown) writeFileSync(args.markdown, `${page.join('\n')}\n`);
}

for (const row of allRows(args.quick).filter(r => !args.only || r.name.includes(args.only))) {
  try {
    const { hub, base, others, seconds } = await alternate(row);
    const figures = row.figures.map(f => summarise(f, hub, base, others));
    results.push({ name: row.name, baseline: baseName(row), others, seconds, figures, rounds: { hub, base } });
    figures.forEach((f, i) => {
      console.log(line(cells(row, f, i === 0)));
      page.push(markdown(pageCells(row, f, i === 0)));
    });
    if (others > BUSY) console.log(`  (others used ${figure(others * 100)} % of the machine meanwhile)`);
  } catch (error) {
    results.push({ name: row.name, baseline: baseName(row), failed: error.message });
    console.log(`${row.name}: FAILED: ${error.message}`);
    page.push(markdown([row.name, `failed: ${error.message.split('\n')[0]}`, '', '', '', '']));
  }
  save();
}
process.exit(0);

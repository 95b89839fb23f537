// rows_webhooks.mjs: what webhooks cost, and what they cost others; the form of a row is in rows.mjs. Publisher and receiver are one process
// (hooks.c) on the generator's core. Messages come as lines of one request (NDJSON), 128 bytes each.
import { alone, coldFiles, cpuMs, cpuMsByThread, hooks, load, memory, metric, post } from './server.mjs';
import { median } from './figures.mjs';

const IN_FLIGHT = 64, DEFAULT = 8;      // of one webhook: the second is what it has when nobody says
const flags = ['--webhooks.allow_http=true', '--webhooks.allow_networks=127.0.0.0/8', '--history.size=10'];
const url = (port, path = '/fast') => `http://127.0.0.1:${port}${path}`;

const register = (s, document) => post(s, '/v1/webhooks', JSON.stringify({ events: ['message.published'], ...document }), 'application/json');
async function change(s, id, patch) {
  const answer = await fetch(`http://${s.pub}/v1/webhooks/${id}`, { method: 'PATCH', body: JSON.stringify(patch), headers: { 'content-type': 'application/json' } });
  if (!answer.ok) throw new Error(`PATCH of a webhook: ${answer.status}`);
}

const pending = s => metric(s, 'carillon_webhook_queue{state="pending"}');

// Both ends of webhooks while `run` runs.
async function between(s, run) {
  const ends = await hooks(s);
  try { return await run(ends); } finally { await ends.end(); }
}

// What differs from one webhook to the next is made equal.
const common = request => Buffer.from(request, 'hex').toString().replace(/v1,[^\r]*/, 'v1,S').replace(/00-[0-9a-f]{32}-[0-9a-f]{16}-/, 'T').replace(/[a-z0-9]{8}([._])\d+/g, 'P$1').replace(/\d+/g, '0')
  .replace(/x+"}$/, 'x"}').split('\r\n').sort().join('\r\n');

export function webhookRows({ scale, atMost, atLeast, noMore, until, quick }) {
  let shown;                          // a webhook of the hub's, beside which that of libcurl alone is put

  const threads = [['http-out', 'the thread of requests'], ['carillon', "the hub's thread"], ['store', "the store's"], ['api', "the API's"]];
  const byThread = async (s, n, run) => {
    const before = cpuMsByThread(s), it = await run(), after = cpuMsByThread(s);
    for (const [name] of threads) it[name] = (after[name] - (before[name] ?? 0)) * 1000 / n;
    return it;
  };
  const threadFigures = threads.map(([key, label]) => ({ key, unit: 'µs CPU', label: `of that, ${label}` }));

  const deliver = (n, concurrency) => s => between(s, async ends => {
    await ends.say('listen');
    await register(s, { url: url(ends.port), concurrency });
    await ends.say(`publish hooks ${Math.ceil(n / 10)} 1000`);
    shown = common((await ends.say('seen')).first);
    return byThread(s, n, () => ends.say(`publish hooks ${n} 1000`));
  });
  // They are kept while it is paused, and read from the store when it is not any more.
  const deliverKept = n => s => between(s, async ends => {
    await ends.say('listen');
    const { id } = await register(s, { url: url(ends.port), concurrency: IN_FLIGHT, paused: true });
    await ends.say(`fill hooks ${n}`);
    return byThread(s, n, async () => {
      const cpu = cpuMs(s), began = performance.now();
      await change(s, id, { paused: false });
      await ends.say(`await ${n}`);
      return { per_s: n * 1000 / (performance.now() - began), cpu_us: (cpuMs(s) - cpu) * 1000 / n };
    });
  });
  const bare = (n, inFlight) => () => between({}, async ends => {
    await ends.say('listen');
    const it = await alone('posts', ends.port, inFlight, n), seen = await ends.say('seen');
    if (seen.received !== n) throw new Error(`${seen.received} of ${n} have come`);
    if (shown && common(seen.first) !== shown) throw new Error(`libcurl alone sends ${JSON.stringify(common(seen.first))}, the hub ${JSON.stringify(shown)}`);
    return it;
  });
  const libcurl = (n, inFlight) => ({ name: 'libcurl alone', kind: 'none', run: bare(n, inFlight) });
  const deliveredFigures = [{ key: 'per_s', unit: '/s', wall: true, goal: atLeast(0.5) }, { key: 'cpu_us', unit: 'µs CPU', label: 'each', goal: atMost(2) }, ...threadFigures];

  const late = { p50: { key: 'p50_ms', wall: true, unit: 'ms', label: 'p50' }, p99: { key: 'p99_ms', wall: true, unit: 'ms', label: 'p99' } };
  const paced = n => s => between(s, async ends => {
    await ends.say('listen');
    await register(s, { url: url(ends.port) });
    await ends.say('pace hooks 50 500');
    return ends.say(`pace hooks ${n} 500`);
  });

  // Subscribers of another channel, while webhooks are sent as fast as they go; or while libcurl alone does so, on the same core.
  const FLOOD_S = quick ? 3 : 5, fanout = s => load(s, 'latency', { kind: 'ws', n: 100, rate: 500, messages: (FLOOD_S - 1) * 400 });
  const beside = async (s, flood) => {
    let over = false;
    const flooding = flood.then(it => { over = true; return it; }), it = await fanout(s);
    if (over) throw new Error('the webhooks were over too soon');
    return { ...it, per_s: (await flooding).per_s };
  };
  const flooded = s => between(s, async ends => {
    await ends.say('listen');
    await register(s, { url: url(ends.port), channels: ['hooks'], concurrency: IN_FLIGHT });
    await ends.say('publish hooks 2000 1000');
    return beside(s, ends.say(`flood hooks ${FLOOD_S} 1000`));
  });
  const besideLibcurl = s => between({}, async ends => {
    await ends.say('listen');
    return beside(s, alone('posts', ends.port, IN_FLIGHT, FLOOD_S * 25000));
  });

  // Another webhook, while many events wait for one whose receiver is not there, or never answers; or are kept for none. Each slice of half a second
  // has its own percentiles, of which the medians count: a slice in which the disk or somebody else made all wait says nothing of webhooks.
  const SLICES = quick ? 2 : 6, MANY = scale(100000);
  const slices = async ends => {
    const each = [];
    for (let i = 0; i < SLICES; i++) each.push(await ends.say('pace live 250 500'));
    return { p50_ms: median(each.map(it => it.p50_ms)), p99_ms: median(each.map(it => it.p99_ms)) };
  };
  const besideDead = (path, waits) => s => between(s, ends => between({}, async dead => {
    await ends.say('listen');
    await register(s, { url: url(ends.port), channels: ['live'] });
    if (path) await dead.say('listen');
    if (waits) await register(s, { url: url(dead.port, path), channels: ['dead'] });
    await ends.say('pace live 50 500');
    const before = memory(s);
    await ends.say(`fill dead ${MANY}`);
    const it = await slices(ends);
    if (waits && await pending(s) < MANY) throw new Error(`only ${await pending(s)} of ${MANY} wait`);
    return { ...it, grown_mb: (memory(s) - before) / 1e6 };
  }));
  const deadRow = (how, path) => ({ name: `webhooks: another one at 500/s, ${MANY.toLocaleString('en')} events wait for one ${how}`, rounds: 1, options: { flags },
    base: { name: 'none waits', kind: 'hub', run: besideDead(path, false) }, run: besideDead(path, true),
    figures: [late.p50, late.p99, { key: 'grown_mb', unit: 'MB', label: 'memory grown', goal: noMore(32) }] });

  // They wait for a receiver that is not there; the hub is killed, its files leave the system's cache, the receiver begins, and then the hub again.
  const start = n => s => between({}, async receiver => {
    await register(s, { url: url(receiver.port), channels: ['hooks'] });
    await between(s, ends => ends.say(`fill hooks ${n}`));
    await receiver.say('listen');
    const { began, ready_s } = await s.restart('SIGKILL', coldFiles), { first_ns } = await receiver.say('await 1');
    await until(async () => await pending(s) > n / 2, 'they do not wait');      // counted while the first ones are sent
    return { ready_s, first_s: Number(BigInt(first_ns) - began) / 1e9, memory_mb: memory(s) / 1e6 };
  });

  return [
    ...[IN_FLIGHT, DEFAULT].map(n => ({ name: `webhooks: deliveries, ${n} under way`, base: libcurl(scale(30000), n), options: { flags }, run: deliver(scale(30000), n),
      figures: deliveredFigures })),
    { name: 'webhooks: deliveries of what waits, 64 under way', base: libcurl(scale(30000), IN_FLIGHT), options: { flags }, run: deliverKept(scale(30000)), figures: deliveredFigures },
    { name: 'webhooks: from publish to receiver, 500/s', options: { flags }, run: paced(scale(2500)), figures: [late.p50, late.p99] },
    { name: 'webhooks: 100 WebSockets, 500 messages/s, webhooks at full rate', base: { name: 'no webhooks', kind: 'hub', run: fanout }, options: { flags }, run: flooded,
      figures: [late.p50, late.p99, { key: 'per_s', unit: '/s', wall: true, label: 'webhooks meanwhile' }] },
    { name: 'webhooks: 100 WebSockets, 500 messages/s, libcurl alone beside the hub', rounds: 1, options: { flags }, run: besideLibcurl,
      figures: [late.p50, late.p99, { key: 'per_s', unit: '/s', wall: true, label: 'requests meanwhile' }] },
    deadRow('that is not there'), deadRow('that never answers', '/hang'),
    { name: `webhooks: start with ${scale(1000000).toLocaleString('en')} that wait`, rounds: 1, options: { flags: [...flags, '--webhooks.queue=2000000'] }, run: start(scale(1000000)),
      figures: [{ key: 'ready_s', wall: true, unit: 's', label: 'until ready' }, { key: 'first_s', wall: true, unit: 's', label: 'until the first is received', goal: noMore(5) },
        { key: 'memory_mb', unit: 'MB', label: 'memory' }] },
  ];
}

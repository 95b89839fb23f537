// rows.mjs: what is measured, one row each; README.md here tells what they mean.
//
//   name     as in the table
//   base     the baseline beside which it runs: one, coalescing, relay, or { name, kind, run, options } (run and options default to the row's)
//   options  of the server: flags (hub only), tls; or a function that makes them;   rounds: if not those of everybody
//   run      (server) => { key: figure, … }
//   figures  those of them that are shown: { key, unit, label?, goal?, wall? }; wall: it depends on what else the machine does; a goal is atMost(N) or atLeast(N) as a ratio to the baseline,
//            or noMore(N) or noLess(N) as a figure of its own. DESIGN §10 has the goals.
import { alone, cpuMs, eventSources, hold, load, memory, memoryPeak, metric, post } from './server.mjs';
import { redisRows } from './rows_redis.mjs';
import { roomRows } from './rows_rooms.mjs';
import { webhookRows } from './rows_webhooks.mjs';
import { tokenOf } from './tokens.mjs';
import { setTimeout as wait } from 'node:timers/promises';

const atMost = limit => ({ limit, ratio: true, text: `≤ ${limit} ×` });
const atLeast = limit => ({ limit, ratio: true, more: true, text: `≥ ${limit} ×` });
const noMore = limit => ({ limit, text: `≤ ${limit.toLocaleString('en')}` });
const noLess = limit => ({ limit, more: true, text: `≥ ${limit.toLocaleString('en')}` });

const history = ['--history.size=1000', '--history.ttl=1h', '--history.bytes=16MiB', '--history.max_bytes=8GiB'];
const quiet = ['--ws.ping=1h', '--sse.heartbeat=1h'];
const inMemory = ['--store.dir='];

async function until(holds, what) {
  for (const end = Date.now() + 60_000; !await holds(); await wait(50))
    if (Date.now() > end) throw new Error(`${what}, for a minute`);
}

export function allRows(quick) {
  const scale = n => quick ? Math.max(1, Math.round(n / 10)) : n;

  const fanout = (kind, window, messages, bursts) => s => load(s, 'fanout', { kind, n: 1000, window, bursts, messages: scale(messages) });
  const fanoutFigures = (goal, unit = 'send()') => [{ key: 'cpu_us_per_delivery', unit: 'µs CPU', goal }, { key: 'messages_per_send', unit: '', label: `messages per ${unit}` }];
  const oneFigures = [{ key: 'cpu_us_per_delivery', unit: 'µs CPU', goal: atMost(1.15) }];
  const latency = (n, rate, messages) => s => load(s, 'latency', { kind: 'ws', n, rate, messages: scale(messages) });
  const publish = options => s => load(s, 'publish', { ...options, messages: scale(options.messages) });
  const publishFigures = goal => [{ key: 'cpu_us', unit: 'µs CPU', goal }];
  const oneAtATime = { conns: 64, window: 1, kind: 'ws', subscribed: true, messages: 60000 };
  const pipelined = { conns: 8, window: 64, messages: 400000 };
  const lines = { by: 'lines', conns: 8, window: 500, channels: 1000, messages: 800000 };
  const pipelinedFigures = [{ key: 'cpu_us', unit: 'µs CPU', goal: noMore(4) }, { key: 'per_s', unit: '/s', wall: true, label: 'publishes/s', goal: noLess(150000) }];

  const accept = token => s => load(s, 'accept', { kind: 'ws', conns: 64, messages: scale(15000), token });
  const acceptFigures = goal => [{ key: 'accepts_per_s', wall: true, unit: '/s', goal }, { key: 'cpu_us', unit: 'µs CPU', label: 'each' }];

  async function resume(s) {
    const { id } = await post(s, '/v1/channels/bench/messages', 'before');
    for (let i = 1; i <= 100; i++) await post(s, '/v1/channels/bench/messages', `N=${i};`.padEnd(128, 'x'));
    return load(s, 'resume', { kind: 'ws', n: scale(10000), since: id, expect: 100 });
  }

  // A long history: what a resumed message costs, and what memory it takes beside the history itself.
  const resumeLong = (n, expect) => async s => {
    const { id } = await post(s, '/v1/channels/bench/messages', 'before');
    for (let at = 0; at < expect; at += 1000) {
      const items = Array.from({ length: Math.min(1000, expect - at) }, (_, i) => ({ channel: 'bench', data: `N=${at + i + 1};`.padEnd(128, 'x') }));
      await post(s, '/v1/messages', JSON.stringify(items), 'application/json');
    }
    const before = memory(s), { seconds, cpu_s, messages } = await load(s, 'resume', { kind: 'ws', n, since: id, expect });
    return { us: cpu_s * 1e6 / messages, seconds, grown_mb: (memoryPeak(s) - before) / 1e6, history_mb: await metric(s, 'carillon_history_bytes') / 1e6 };
  };
  const longHistory = ['--history.size=200000', '--history.ttl=1h', '--history.bytes=1GiB', '--history.max_bytes=2GiB'];

  const idle = (kind, n) => async s => {
    const before = memory(s), held = await hold(s, { kind, n });
    const bytes = (memory(s) - before) / n;
    await held.end();
    return { bytes };
  };

  const idleCpu = (kind, n, seconds) => async s => {
    const held = await hold(s, { kind, n });
    await wait(2000);                               // what opening them left to do is not idling
    const before = cpuMs(s), began = Date.now();
    await wait(seconds * 1000);
    const ms_per_s = (cpuMs(s) - before) * 1000 / (Date.now() - began);
    await held.end();
    return { ms_per_s };
  };
  const tick = { name: 'hub, 1 connection', kind: 'hub' };

  // All are cut at once, while somebody publishes five times a second.
  const storm = cut => async s => {
    const crowd = await eventSources(s, scale(10000), '/sse?channel=storm&user=all');
    try {
      await crowd.say('ready');
      await wait(2000);                             // a heartbeat: who came first knows how many there are
      const before = await cut(s, crowd), { seconds, told_most_s, ...rest } = await crowd.say('back');
      return { ...rest, seconds, told_most_s, share: seconds / told_most_s, cpu_s: (cpuMs(s) - before) / 1000, peak_mb: memoryPeak(s) / 1e6 };
    } finally { await crowd.end(); }
  };
  const disconnected = async (s, crowd) => {
    await crowd.say('cut');
    const before = cpuMs(s), { connections } = await post(s, '/v1/users/all/disconnect', '{"code":4000}', 'application/json');
    if (connections !== scale(10000)) throw new Error(`${connections} were connected`);
    return before;
  };
  const restarted = signal => async (s, crowd) => {
    await crowd.say('away');
    await s.restart(signal);
    const before = cpuMs(s);
    await crowd.say('here');
    return before;
  };
  const stormRow = (how, cut) => ({ name: `storm: ${scale(10000).toLocaleString('en')} EventSources, ${how}`, rounds: 1,
    options: { flags: [...history, '--sse.heartbeat=1s', '--accept.per_second=5000'] }, run: storm(cut),
    figures: [{ key: 'share', wall: true, unit: '', label: 'all back, by longest delay told', goal: noMore(1.1) }, { key: 'seconds', wall: true, unit: 's', label: 'that is' },
      { key: 'in_vain', unit: '', label: 'connections that came to nothing' }, { key: 'cpu_s', unit: 's CPU', label: 'meanwhile' },
      { key: 'peak_mb', unit: 'MB', label: 'most memory' }, { key: 'publish_p50_ms', unit: 'ms', wall: true, label: 'a publish, p50' },
      { key: 'publish_max_ms', unit: 'ms', wall: true, label: 'the slowest publish' }] });

  // Polls are told nothing while they wait, so only the hub knows that all are there.
  const polls = (n, measure) => async s => {
    const before = memory(s), held = await hold(s, { kind: 'poll', n });
    await until(async () => await metric(s, 'carillon_connections{transport="poll"}') === n, 'not all polls wait');
    try { return await measure(s, n, before); } finally { await held.end(); }
  };
  const bytesEach = (s, n, before) => ({ bytes: (memory(s) - before) / n });
  const tenSeconds = async s => {
    await wait(2000);
    const before = cpuMs(s), began = Date.now();
    await wait(10_000);
    return { ms_per_s: (cpuMs(s) - before) * 1000 / (Date.now() - began) };
  };

  const members = (users, askers) => s => load(s, 'members', { n: 64, conns: askers, users, messages: scale(200000) });
  const membersFigures = [{ key: 'cpu_us', unit: 'µs CPU', label: 'a leave and a join' }, { key: 'per_s', unit: '/s', wall: true, label: 'of them' }];
  const memberBytes = users => async s => {
    const n = scale(100), channels = 1000, before = memory(s), held = await hold(s, { kind: 'ws', n, channels, users });
    const bytes = (memory(s) - before) / (n * channels);
    await held.end();
    return { bytes };
  };

  async function keptMessages(s) {
    const channels = scale(100000), messages = channels * 10, before = memory(s);
    await load(s, 'publish', { conns: 8, window: 64, channels, messages });
    await until(async () => await metric(s, 'carillon_store_queue_messages') === 0, 'the store is still writing');
    const kept = await metric(s, 'carillon_history_messages');
    if (kept !== messages) throw new Error(`only ${kept} of ${messages} messages are kept`);
    const bytes = (memory(s) - before) / messages;
    return { bytes, channel_bytes: bytes * 10, megabytes: bytes * messages / 1e6 };
  }

  async function feeds(s) {
    const channels = 500, n = scale(200), all = channels * n, before = memory(s);
    const held = await hold(s, { kind: 'ws', n, channels });
    const bytes = (memory(s) - before) / all;
    await load(s, 'publish', { conns: 4, window: 64, channels: all, messages: all });
    await until(async () => await held.received() === all, 'not all messages have come');
    const used_bytes = (memory(s) - before) / all;
    await held.end();
    return { bytes, used_bytes };
  }
  // Subscriptions to more and more patterns, none of which matches the channels that are published to.
  const amongPatterns = form => async s => {
    const figures = {}, held = [];
    try {
      for (const [patterns, n, channels] of [[10, 1, 10], [1000, 1, 990], [100000, scale(99), 1000]]) {
        held.push(await hold(s, { kind: 'ws', n, channels, form: form.replace('N', `at${patterns}-%zu`) }));
        figures[`us_${patterns}`] = (await publishToEu(s)).cpu_us;
      }
    } finally { await Promise.all(held.map(h => h.end())); }
    return figures;
  };
  const publishToEu = publish({ conns: 8, window: 64, kind: 'ws', subscribed: true, form: 'orders.eu.b%zu', messages: 400000 });
  const noPattern = { name: 'no pattern', kind: 'hub', run: async s => { const { cpu_us } = await publishToEu(s); return { us_10: cpu_us, us_1000: cpu_us, us_100000: cpu_us }; } };
  const patternRow = (what, form) => ({ name: `publish among patterns that do not match, ${what}`, base: noPattern, options: { flags: [...inMemory, '--limits.patterns=1000', '--limits.channels=1001'] },
    run: amongPatterns(form), figures: [['10', 'us_10'], ['1,000', 'us_1000'], [scale(100000).toLocaleString('en'), 'us_100000', atMost(1.1)]]
      .map(([n, key, goal]) => ({ key, unit: 'µs CPU', label: `among ${n}`, goal })) });

  // A WebSocket of 1,000 channels that reads nothing, or reads on, while a saturated publisher goes through them; then it reads all there is.
  const conflation = stuck => async s => {
    const messages = scale(400000), held = await hold(s, { kind: 'ws', n: 1, channels: 1000 }), before = memory(s);
    const conflated = () => metric(s, 'carillon_slow_consumers_total{policy="latest"}');
    if (stuck) held.stop();
    const { cpu_us } = await load(s, 'publish', { conns: 8, window: 64, channels: 1000, messages, size: 512 });
    const bytes = memory(s) - before, began = Date.now(), cpu = cpuMs(s);
    if (stuck) held.go();
    for (let last = -1, now = 0; now !== last || now === 0; await wait(200)) [last, now] = [now, await held.received()];
    const received = await held.received(), seconds = (Date.now() - began) / 1000 - 0.4;
    await post(s, '/v1/channels/b7/messages', 'last');
    await until(async () => await held.received() === received + 1, 'the reader is not at the head');
    const it = { cpu_us, read: received / messages, seconds, cpu_ms: cpuMs(s) - cpu, megabytes: bytes / 1e6, conflated: await conflated() };
    if (stuck && !quick && (it.conflated === 0 || received >= messages)) throw new Error(`nothing was conflated: ${received} of ${messages} were read`);
    await held.end();
    return it;
  };
  const latest = ['--lag.policy=latest', '--lag.bytes=16KiB', '--limits.channels=2000', '--history.size=100', ...quiet];
  const keptFigures = [{ key: 'channel_bytes', unit: 'bytes', label: 'per channel' }, { key: 'bytes', unit: 'bytes', label: 'per message' }];

  return [
    { name: 'fan-out saturated, WebSocket', base: 'coalescing', run: fanout('ws', 200, 10000), figures: fanoutFigures(atMost(1.25)) },
    { name: 'fan-out saturated, SSE', base: 'coalescing', run: fanout('sse', 200, 10000), figures: fanoutFigures(atMost(1.25)) },
    { name: 'fan-out in bursts of 200, WebSocket', base: 'coalescing', run: fanout('ws', 200, 6000, true), figures: fanoutFigures() },
    { name: 'fan-out in bursts of 200, SSE', base: 'coalescing', run: fanout('sse', 200, 6000, true), figures: fanoutFigures() },
    { name: 'one message at a time, WebSocket', base: 'one', run: fanout('ws', 1, 600), figures: oneFigures },
    { name: 'one message at a time, SSE', base: 'one', run: fanout('sse', 1, 600), figures: oneFigures },
    { name: '10,000 WebSockets, 10 messages/s', base: 'one', run: latency(scale(10000), 10, quick ? 500 : 40),
      figures: [{ key: 'p50_ms', wall: true, unit: 'ms', label: 'p50', goal: atMost(1.2) }, { key: 'p99_ms', wall: true, unit: 'ms', label: 'p99', goal: atMost(1.2) }] },
    { name: '100 WebSockets, 1,000 messages/s', base: 'coalescing', run: latency(100, 1000, 5000),
      figures: [{ key: 'p99_ms', wall: true, unit: 'ms', label: 'p99', goal: atMost(1.5) }, { key: 'p50_ms', wall: true, unit: 'ms', label: 'p50' }] },

    { name: 'publish by HTTP, 64 one at a time, a subscriber each', base: 'one', run: publish(oneAtATime), figures: publishFigures(atMost(1.6)) },
    { name: 'publish by HTTP, 64 one at a time, a subscriber each, no store', base: 'one', options: { flags: inMemory }, run: publish(oneAtATime), figures: publishFigures(atMost(1.6)) },
    { name: 'publish by HTTP, 8 × 64 pipelined', base: 'one', run: publish(pipelined), figures: pipelinedFigures },
    { name: 'publish by HTTP, 8 × 64 pipelined, no store', base: 'one', options: { flags: inMemory }, run: publish(pipelined), figures: pipelinedFigures },
    { name: 'publish by lines (NDJSON), 1,000 channels, one stream', run: publish({ ...lines, conns: 1, window: 4000 }), figures: pipelinedFigures },
    { name: 'publish by lines (NDJSON), 1,000 channels, 8 streams', run: publish(lines), figures: pipelinedFigures },
    { name: 'publish by WebSocket, 64 one at a time, a subscriber each', base: 'one', run: publish({ ...oneAtATime, by: 'ws' }), figures: publishFigures() },
    { name: 'publish by WebSocket, 8 × 64 under way', base: 'one', run: publish({ ...pipelined, by: 'ws' }),
      figures: [{ key: 'cpu_us', unit: 'µs CPU' }, { key: 'per_s', unit: '/s', wall: true, label: 'publishes/s' }] },

    patternRow('which begin otherwise', 'other.N.*'), patternRow('which begin alike', 'orders.eu.N.**'), patternRow('which begin with stars', '*.*.N'),

    { name: 'accepts, WebSocket', base: 'one', run: accept(), figures: acceptFigures(atLeast(0.6)) },
    ...['HS256', 'ES256', 'RS256', 'EdDSA'].flatMap(alg => [
      { name: `check of a token, ${alg}`, run: () => alone('checks', alg, String(scale(20000))),
        figures: [{ key: 'check_us', unit: 'µs CPU' }, { key: 'checks_per_s', unit: '/s', label: 'checks per second of a core' }] },
      { name: `accepts, WebSocket, with a token of ${alg}`, base: { name: 'without', kind: 'hub', run: accept() }, options: () => ({ flags: tokenOf(alg).flags }),
        run: s => accept(tokenOf(alg).token)(s), figures: acceptFigures() },
    ]),
    { name: '10,000 resume 100 messages each', base: 'coalescing', run: resume,
      figures: [{ key: 'seconds', wall: true, unit: 's', goal: atMost(3) }, { key: 'cpu_s', unit: 's CPU', label: 'CPU' }] },

    { name: `${scale(1000).toLocaleString('en')} resume a history of ${scale(100000).toLocaleString('en')} messages`, rounds: 1, options: { flags: longHistory }, run: resumeLong(scale(1000), scale(100000)),
      figures: [{ key: 'us', unit: 'µs CPU', label: 'a message' }, { key: 'seconds', unit: 's', wall: true, label: 'that is' }, { key: 'grown_mb', unit: 'MB', label: 'most memory, above' },
        { key: 'history_mb', unit: 'MB', label: 'the history' }] },

    stormRow('an administrator', disconnected), stormRow('SIGTERM and a restart', restarted('SIGTERM')), stormRow('kill -9 and a restart', restarted('SIGKILL')),

    { name: 'conflation under a saturated publisher, 1,000 channels', base: { name: 'one that reads', kind: 'hub', run: conflation(false) }, options: { flags: latest }, run: conflation(true),
      figures: [{ key: 'cpu_us', unit: 'µs CPU', label: 'a publish' }, { key: 'read', unit: '', label: 'messages read, of those published' },
        { key: 'cpu_ms', unit: 'ms CPU', label: 'until the reader is at the head' }, { key: 'megabytes', unit: 'MB', label: 'memory grown' }] },

    { name: 'idle WebSocket, 2,000', run: idle('ws', 2000), figures: [{ key: 'bytes', unit: 'bytes', goal: noMore(2048) }] },
    { name: 'idle SSE, 2,000', run: idle('sse', 2000), figures: [{ key: 'bytes', unit: 'bytes', goal: noMore(1536) }] },
    { name: 'idle WebSocket, 15,000', run: idle('ws', scale(15000)), figures: [{ key: 'bytes', unit: 'bytes', goal: noMore(2048) }] },
    { name: 'idle SSE, 15,000', run: idle('sse', scale(15000)), figures: [{ key: 'bytes', unit: 'bytes', goal: noMore(1536) }] },
    { name: 'waiting polls, 10,000', base: { name: 'idle SSE', kind: 'hub', run: idle('sse', scale(10000)) }, options: { flags: quiet }, run: polls(scale(10000), bytesEach),
      figures: [{ key: 'bytes', unit: 'bytes', goal: noMore(1536) }] },
    { name: 'waiting polls, 10,000, CPU', base: { name: 'idle SSE', kind: 'hub', run: idleCpu('sse', scale(10000), 10) }, rounds: 2, options: { flags: quiet },
      run: polls(scale(10000), tenSeconds), figures: [{ key: 'ms_per_s', unit: 'ms/s' }] },
    ...[[0, 'nobody asks'], [100, 'told to 100 who ask']].map(([askers, how]) => ({ name: `presence, 64 users leave and join one channel, ${how}`,
      base: { name: 'no users', kind: 'hub', run: members(false, askers) }, options: { flags: ['--presence.grace=0', ...inMemory] }, run: members(true, askers), figures: membersFigures })),
    { name: '100,000 members, each in a channel of its own', base: { name: 'no users', kind: 'hub', run: memberBytes(false) }, rounds: 1,
      options: { flags: [...inMemory, '--limits.channels=1002'] }, run: memberBytes(true), figures: [{ key: 'bytes', unit: 'bytes', label: 'per subscription' }] },
    { name: '100,000 channels, 10 messages of 128 bytes each, in memory', rounds: 1, options: { flags: [...history, ...inMemory] }, run: keptMessages, figures: keptFigures },
    { name: '100,000 channels, 10 messages of 128 bytes each, with store', rounds: 1, options: { flags: history }, run: keptMessages, figures: keptFigures },
    { name: '100,000 feeds, one subscriber each', rounds: 1, options: { flags: ['--history.size=0', ...inMemory] }, run: feeds,
      figures: [{ key: 'bytes', unit: 'bytes', label: 'per feed' }, { key: 'used_bytes', unit: 'bytes', label: 'after a message' }] },

    { name: 'idle CPU, 15,000 WebSockets', base: { ...tick, run: idleCpu('ws', 1, 10) }, rounds: 2, options: { flags: quiet }, run: idleCpu('ws', scale(15000), 10),
      figures: [{ key: 'ms_per_s', unit: 'ms/s' }] },
    { name: 'idle CPU, 15,000 SSE', base: { ...tick, run: idleCpu('sse', 1, 10) }, rounds: 2, options: { flags: quiet }, run: idleCpu('sse', scale(15000), 10),
      figures: [{ key: 'ms_per_s', unit: 'ms/s' }] },
    { name: 'idle CPU, 15,000 WebSockets with a ping each in 25 s', rounds: 1, run: idleCpu('ws', scale(15000), 25), figures: [{ key: 'ms_per_s', unit: 'ms/s' }] },
    { name: 'idle CPU, 15,000 SSE with a heartbeat each in 15 s', rounds: 1, run: idleCpu('sse', scale(15000), 15), figures: [{ key: 'ms_per_s', unit: 'ms/s' }] },

    ...roomRows({ scale, atLeast, noMore, quiet }),
    ...webhookRows({ scale, atMost, atLeast, noMore, until, quick }),
    ...redisRows({ scale, atMost, atLeast, noMore, history, inMemory, quiet }),

    ...[{ name: 'TLS: fan-out saturated, WebSocket', base: 'coalescing', run: fanout('ws', 200, 5000), figures: fanoutFigures(undefined, 'record') },
      { name: 'TLS: fan-out saturated, SSE', base: 'coalescing', run: fanout('sse', 200, 5000), figures: fanoutFigures(undefined, 'record') },
      { name: 'TLS: idle WebSocket, 2,000', base: 'one', run: idle('ws', 2000), figures: [{ key: 'bytes', unit: 'bytes' }] },
      { name: 'TLS: idle SSE, 2,000', base: 'one', run: idle('sse', 2000), figures: [{ key: 'bytes', unit: 'bytes' }] },
    ].map(row => ({ ...row, options: { tls: true } })),
  ];
}

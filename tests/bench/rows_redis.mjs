// rows_redis.mjs: what hubs cost that behave as one through Redis; the form of a row is in rows.mjs. Options of these rows, beside its own:
//   redis    behind the hub: true, or { keeps: true } with its data on disk;   hubs  how many, 1 when not given: s.hubs, of which s is the first
//   kind     redis: nothing but Redis, s.redis
import { readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { setTimeout as wait } from 'node:timers/promises';
import { beside, cpuMs, hold, load, memory, post } from './server.mjs';

const scripts = new URL('../../redis/lua/', import.meta.url);
const until = async (holds, what) => {
  for (const end = Date.now() + 60_000; !await holds(); await wait(2))
    if (Date.now() > end) throw new Error(`${what}, for a minute`);
};
const BODY = 'x'.repeat(155);         // 128 bytes of data, 11 of the channel, 8 of the header, 8 of its sizes, as the bus sends them

export function redisRows({ scale, atMost, atLeast, noMore, history, inMemory, quiet }) {
  // The hub's own bus, without a hub around it, and redis-benchmark with the same script and arguments.
  const byBus = (depth, count) => async s => {
    const before = s.redis.cpuMs(), [, per_s, hub_us, failed] = (await beside('redis', s.redis.socket, depth, count, '128')).split(',').map(Number);
    if (failed) throw new Error(`${failed} publishes failed`);
    return { per_s, hub_us, redis_us: (s.redis.cpuMs() - before) * 1000 / count };
  };
  const byBenchmark = (depth, count) => async s => {
    await beside('redis', s.redis.socket, 1, 100, '128');        // makes the epoch
    const script = ['common.lua', 'kept.lua', 'queue.lua', 'publish.lua'].map(name => readFileSync(new URL(name, scripts))).join('');
    const sha = execFileSync('redis-cli', ['-s', s.redis.socket, '-x', 'script', 'load'], { input: script, encoding: 'utf8' }).trim();
    const command = ['EVALSHA', sha, '1', 'bench:{0}:', 'bench.__rand_int__', BODY, '12345678', '100', '300000', '1048576', '600000', '1048576', '', '', '', '0', '0', ''];
    if (!s.redis.cli(...command).startsWith('ok')) throw new Error('publish.lua takes other arguments than rows_redis.mjs gives it');
    const before = s.redis.cpuMs();
    const said = await beside('redis-benchmark', '-s', s.redis.socket, '-n', count, '-P', depth, '-c', 1, '-r', 100, '--csv', ...command);
    return { per_s: Number(said.split(',')[1].replaceAll('"', '')), redis_us: (s.redis.cpuMs() - before) * 1000 / count };
  };
  const scriptRow = (depth, count) => ({ name: `Redis: publish by the bus, ${depth} under way`, kind: 'redis', base: { name: 'redis-benchmark', kind: 'redis', run: byBenchmark(depth, scale(count)) },
    run: byBus(depth, scale(count)), figures: [{ key: 'per_s', unit: '/s', wall: true, goal: atLeast(0.5) }, { key: 'redis_us', unit: 'µs CPU', label: 'of Redis' }, { key: 'hub_us', unit: 'µs CPU', label: 'of the hub' }] });

  const pipelined = { conns: 8, window: 64, messages: scale(100000) };
  const publish = async s => {
    const redis = s.redis?.cpuMs(), it = await load(s, 'publish', pipelined);
    return { ...it, redis_us: (s.redis?.cpuMs() - redis) * 1000 / pipelined.messages };
  };

  // What one hub publishes a subscriber of another is told, at half of what they can do.
  const acrossHubs = async s => {
    const to = { ...s, sub: s.hubs[1].sub };
    const { per_s } = await load(to, 'publish', { ...pipelined, kind: 'ws', subscribed: true });
    const rate = Math.round(per_s / 2), { p50_ms, p99_ms } = await load(to, 'latency', { kind: 'ws', n: 1, rate, messages: scale(rate * 4) });
    return { p99_ms, p50_ms, rate };
  };

  const fanout = s => load(s, 'fanout', { kind: 'ws', n: 1000, window: 200, messages: scale(6000) });
  const fanoutHere = async s => ({ here: (await fanout(s)).cpu_us_per_delivery });
  const fanoutThere = async s => ({ there: (await fanout({ ...s.hubs[1], pub: s.pub, tls: s.tls })).cpu_us_per_delivery });
  const aloneHere = async s => { const { cpu_us_per_delivery } = await fanout(s); return { here: cpu_us_per_delivery, there: cpu_us_per_delivery }; };
  const aloneHub = { name: 'a hub alone', kind: 'hub', run: aloneHere, options: { flags: inMemory } };

  // All channels are subscribed to at one hub, at two, at three; the first one publishes.
  const nodes = async s => {
    const held = [], it = {};
    try {
      for (let n = 1; n <= 3; n++) {
        held.push(await hold(s.hubs[n - 1], { kind: 'ws', n: 1, channels: 100 }));
        const before = [...s.hubs.map(cpuMs), s.redis.cpuMs()], has = async () => (await Promise.all(held.map(h => h.received()))).reduce((a, b) => a + b), had = await has();
        await load(s, 'publish', { ...pipelined, channels: 100 });
        await until(async () => await has() === had + n * pipelined.messages, 'not all messages have come');
        const us = [...s.hubs.map(cpuMs), s.redis.cpuMs()].map((now, i) => (now - before[i]) * 1000 / pipelined.messages);
        Object.assign(it, { [`hub_${n}`]: us[0], [`redis_${n}`]: us[3], ...(n > 1 && { [`other_${n}`]: us[n - 1] }) });
      }
    } finally { await Promise.all(held.map(h => h.end())); }
    return it;
  };

  // Redis is killed and started again with its data, while 45,000 channels are subscribed to at each of two hubs.
  const back = async s => {
    const held = await Promise.all(s.hubs.map(hub => hold(hub, { kind: 'ws', n: scale(50), channels: 900 })));
    const received = () => Promise.all(held.map(h => h.received()));
    try {
      await load(s, 'publish', { ...pipelined, channels: 900, messages: scale(20000) });
      await until(async () => (await received()).every(n => n === scale(20000)), 'not all messages have come');
      await s.redis.kill();
      await wait(1000);
      await s.redis.again();
      const began = performance.now();
      await until(() => post(s, '/v1/channels/b1/messages', 'again').then(() => true, () => false), 'no publish is taken');
      const taken = performance.now();
      await until(async () => (await received()).every(n => n === scale(20000) + 1), 'the message has not come everywhere');
      return { seconds: (performance.now() - began) / 1000, taken: (taken - began) / 1000 };
    } finally { await Promise.all(held.map(h => h.end())); }
  };

  const redisBytes = s => s.redis.info('used_memory');
  // A stream's first node is 4 KiB whatever is in it, so what a message costs is seen when there are many.
  const keptInRedis = async s => {
    const channels = scale(10000), before = redisBytes(s), index = () => Number(s.redis.cli('memory', 'usage', 'carillon:{0}:index', 'samples', '0'));
    const withEach = async more => {
      await load(s, 'publish', { by: 'lines', conns: 1, window: 1000, channels, messages: channels * more });
      return (redisBytes(s) - index() - before) / channels;
    };
    const first = await withEach(1), ten = await withEach(9), fifty = await withEach(40);
    return { first, ten, next: (fifty - ten) / 40, entry: index() / Number(s.redis.cli('xlen', 'carillon:{0}:index')) };
  };
  const knownInRedis = async s => {
    const channels = scale(50000), before = redisBytes(s);
    await load(s, 'publish', { by: 'lines', conns: 1, window: 1000, channels, messages: channels });
    return { known: (redisBytes(s) - Number(s.redis.cli('memory', 'usage', 'carillon:{0}:index', 'samples', '0')) - before) / channels };
  };

  const subscriptions = async s => {
    const channels = 500, n = scale(200), all = channels * n, before = memory(s), redis = s.redis && redisBytes(s);
    const held = await hold(s, { kind: 'ws', n, channels });
    const it = { bytes: (memory(s) - before) / all, redis_bytes: s.redis && (redisBytes(s) - redis) / all };
    await held.end();
    return it;
  };

  // Members of one room, who could as well be on several hubs: each frame goes by Redis whoever it is for.
  const relay = (n, messages) => async s => {
    const redis = s.redis?.cpuMs(), it = await load(s, 'relay', { n, window: 8, messages });
    return { ...it, redis_us: (s.redis?.cpuMs() - redis) * 1000 / messages };
  };
  const relayLate = s => load(s, 'relay-late', { n: 50, rate: 2000, messages: scale(10000) });

  return [
    scriptRow(1, 20000), scriptRow(16, 60000), scriptRow(256, 150000),
    { name: 'Redis: publish by HTTP, 8 × 64 pipelined', base: { name: 'a hub alone', kind: 'hub', run: publish, options: { flags: inMemory } }, options: { redis: true }, run: publish,
      figures: [{ key: 'cpu_us', unit: 'µs CPU', label: 'of the hub' }, { key: 'redis_us', unit: 'µs CPU', label: 'of Redis' }, { key: 'per_s', unit: '/s', wall: true, label: 'publishes/s' }] },
    { name: 'Redis: from one hub to another at half load', options: { redis: true, hubs: 2 }, run: acrossHubs,
      figures: [{ key: 'p99_ms', unit: 'ms', wall: true, label: 'p99', goal: noMore(5) }, { key: 'p50_ms', unit: 'ms', wall: true, label: 'p50' }, { key: 'rate', unit: '/s', wall: true, label: 'half load is' }] },
    { name: 'Redis: fan-out saturated, WebSocket', base: aloneHub, options: { redis: true }, run: fanoutHere,
      figures: [{ key: 'here', unit: 'µs CPU', label: 'of the hub that publishes', goal: atMost(1.11) }] },
    { name: 'Redis: fan-out saturated, WebSocket', base: aloneHub, options: { redis: true, hubs: 2 }, run: fanoutThere,
      figures: [{ key: 'there', unit: 'µs CPU', label: 'of another hub', goal: atMost(1.11) }] },
    { name: 'Redis: signaling, 50 pairs, offers of 2 KB, eight under way each', base: { name: 'a hub alone', kind: 'hub', run: relay(50, scale(50000)), options: { flags: inMemory } }, options: { redis: true },
      run: relay(50, scale(50000)), figures: [{ key: 'per_s', unit: '/s', wall: true, label: 'offers/s' }, { key: 'cpu_us', unit: 'µs CPU', label: 'of the hub' }, { key: 'redis_us', unit: 'µs CPU', label: 'of Redis' }] },
    { name: 'Redis: signaling, 50 pairs, 2,000 offers/s', options: { redis: true }, run: relayLate,
      figures: [{ key: 'p50_ms', unit: 'ms', wall: true, label: 'p50' }, { key: 'p99_ms', unit: 'ms', wall: true, label: 'p99' }] },
    { name: 'Redis: a publish of 100 channels', rounds: 1, options: { redis: true, hubs: 3 }, run: nodes,
      figures: [...[1, 2, 3].map(n => ({ key: `hub_${n}`, unit: 'µs CPU', label: `of the hub that publishes, where ${n} listen${n > 1 ? '' : 's'}` })),
        ...[2, 3].map(n => ({ key: `other_${n}`, unit: 'µs CPU', label: `of another that listens, one of ${n}` })),
        ...[1, 2, 3].map(n => ({ key: `redis_${n}`, unit: 'µs CPU', label: `of Redis, where ${n} listen${n > 1 ? '' : 's'}` }))] },
    { name: `Redis: killed and back with its data, two hubs of ${scale(45000).toLocaleString('en')} channels`, options: { redis: { keeps: true }, hubs: 2 }, run: back,
      figures: [{ key: 'seconds', unit: 's', wall: true, label: 'from its first answer until everything flows', goal: noMore(2) }, { key: 'taken', unit: 's', wall: true, label: 'until a publish is taken' }] },
    { name: 'Redis: memory of Redis, messages of 128 bytes', rounds: 1, options: { redis: true, flags: history }, run: keptInRedis,
      figures: [{ key: 'first', unit: 'bytes', label: 'a channel with one message' }, { key: 'ten', unit: 'bytes', label: 'with ten' },
        { key: 'next', unit: 'bytes', label: 'each message more, from ten to fifty' }, { key: 'entry', unit: 'bytes', label: 'an entry of the index' }] },
    { name: 'Redis: memory of Redis, channels without history', rounds: 1, options: { redis: true, flags: ['--history.size=0'] }, run: knownInRedis,
      figures: [{ key: 'known', unit: 'bytes', label: 'a channel that is known' }] },
    { name: 'Redis: 100,000 channels, one subscriber each', rounds: 1, base: { name: 'a hub alone', kind: 'hub', run: subscriptions, options: { flags: [...inMemory, ...quiet] } }, options: { redis: true, flags: quiet },
      run: subscriptions, figures: [{ key: 'bytes', unit: 'bytes', label: 'of the hub' }, { key: 'redis_bytes', unit: 'bytes', label: 'of Redis' }] },
  ];
}

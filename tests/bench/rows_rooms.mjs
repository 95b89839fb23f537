// rows_rooms.mjs: what rooms of WebRTC signaling cost; the form of a row is in rows.mjs. The generator is signals.c, the raw relay relay.c.
import { load, memory, rooms } from './server.mjs';

const flags = ['--store.dir='];

export function roomRows({ scale, atLeast, noMore, quiet }) {
  const pairs = (n, messages, options = {}) => s => load(s, 'relay', { n, window: 1, messages: scale(messages), ...options });
  const relayed = goal => [{ key: 'per_s', unit: '/s', wall: true, label: 'offers/s', goal }, { key: 'cpu_us', unit: 'µs CPU', label: 'each' },
    { key: 'frames_per_send', unit: '', label: 'frames per send()' }];
  const relayRow = (n, how, messages, options) => ({ name: `signaling: ${n.toLocaleString('en')} pairs, offers of 2 KB, ${how}`, base: 'relay', options: { flags },
    run: pairs(n, messages, options), figures: relayed(atLeast(0.7)) });
  const peerjsRow = (n, how, messages, options) => ({ name: `signaling: ${n.toLocaleString('en')} pairs, offers of 2 KB, ${how}, beside PeerJS`, options: { flags },
    base: { name: 'peerjs', kind: 'peerjs', run: pairs(n, messages, { ...options, peerjs: true }) }, run: pairs(n, messages, options), figures: relayed() });

  const late = { name: 'signaling: 50 pairs, 10,000 offers/s', base: 'relay', options: { flags }, run: s => load(s, 'relay-late', { n: 50, rate: 10000, messages: scale(50000) }),
    figures: [{ key: 'p50_ms', wall: true, unit: 'ms', label: 'p50' }, { key: 'p99_ms', wall: true, unit: 'ms', label: 'p99' }, { key: 'cpu_us', unit: 'µs CPU', label: 'each' }] };

  // N WebSockets that do nothing, and the same N in rooms.
  const peerBytes = (n, each) => async s => {
    const before = memory(s), members = await rooms(s, n, each);
    try {
      const idle = memory(s);
      await members.say('join');
      return { bytes: (memory(s) - idle) / n, idle_bytes: (idle - before) / n };
    } finally { await members.end(); }
  };
  const storm = (n, each) => async s => {
    const members = await rooms(s, n, each);
    try { return await members.say('storm'); } finally { await members.end(); }
  };
  const EACH = 100, N = scale(10000);

  return [
    relayRow(50, 'one under way each', 200000), relayRow(50, 'eight under way each', 400000, { window: 8 }), relayRow(1000, 'one under way each', 200000),
    peerjsRow(50, 'one under way each', 100000), peerjsRow(50, 'eight under way each', 100000, { window: 8 }),
    late,
    { name: `signaling: ${N.toLocaleString('en')} members, rooms of 4`, options: { flags: [...flags, ...quiet] }, run: peerBytes(N, 4),
      figures: [{ key: 'bytes', unit: 'bytes', label: 'a member, above its WebSocket', goal: noMore(2560) }, { key: 'idle_bytes', unit: 'bytes', label: 'the WebSocket' }] },
    { name: `signaling: ${N / EACH} rooms of ${EACH}, all join at once`, options: { flags }, run: storm(N, EACH),
      figures: [{ key: 'joined_s', wall: true, unit: 's', label: 'until the last has its room' }, { key: 'told_s', wall: true, unit: 's', label: 'until all are told of all' },
        { key: 'told', unit: '', label: 'user-joined told' }, { key: 'cpu_s', unit: 's CPU', label: 'meanwhile' }] },
  ];
}

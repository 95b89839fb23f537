// same_bytes.mjs: does the baseline send what the hub sends? Numbers, epochs and dates are not compared, everything else is.
import { connect } from 'node:net';
import { server } from './server.mjs';

const UPGRADE = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
const get = (path, more = '') => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;
const PAYLOAD = 'x'.repeat(128);

// A connection that says something and keeps what it is answered.
function talk(address, says) {
  const [host, port] = address.split(':');
  const socket = connect({ host, port: Number(port), noDelay: true });
  const it = { text: '', socket };
  it.until = end => new Promise((done, failed) => {
    const look = () => it.text.includes(end) && done();
    socket.on('data', look).on('error', failed).on('close', () => failed(new Error(`it closed before ${JSON.stringify(end)}`)));
    look();
  });
  socket.on('data', bytes => { it.text += bytes.toString('latin1'); });
  socket.write(says);
  return it;
}

function command(object) {
  const json = Buffer.from(JSON.stringify(object));
  return Buffer.concat([Buffer.from([0x81, 0x80 | 126, json.length >> 8, json.length & 255, 0, 0, 0, 0]), json]);
}

// What differs from run to run is made equal: epochs, numbers, request ids, dates, and the length byte of frames that hold them.
const common = text => text.replace(/Date: [^\r]*/, 'Date').replace(/X-Request-Id: [^\r]*/, 'X-Request-Id').replace(/[a-z0-9]{8}\.\d+/g, 'P')
  .replace(/\d+/g, '0').replace(/\x81[^{]{1,3}\{/g, '\x81{');

async function said(kind) {
  const s = await server(kind);
  const ws = talk(s.sub, get('/ws?channel=bench', UPGRADE));
  try {
    await ws.until('"resumable":true}');
    const sse = talk(s.sub, get('/sse?channel=bench'));
    await sse.until('"resumable":true}]}\n\n');
    const beginnings = [ws.text, sse.text];
    const api = talk(s.pub, `POST /v1/channels/bench/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 128\r\n\r\n${PAYLOAD}`);
    await Promise.all([api.until('"subscribers":2}'), ws.until(PAYLOAD), sse.until(`${PAYLOAD}\n\n`)]);
    const publisher = talk(s.sub, get('/ws', UPGRADE));
    await publisher.until('"type":"welcome"');
    publisher.socket.write(command({ type: 'publish', channel: 'b7', data: PAYLOAD, ref: 1 }));
    await publisher.until('"type":"ok"');
    await publisher.until('"subscribers":');
    const texts = { 'WebSocket, beginning': beginnings[0], 'SSE, beginning': beginnings[1], 'WebSocket, message': ws.text.slice(beginnings[0].length),
      'SSE, message': sse.text.slice(beginnings[1].length), 'answer to a POST': api.text, 'answer to a publish command': publisher.text };
    for (const one of [ws, sse, api, publisher]) one.socket.destroy();
    return texts;
  } finally { await s.stop(); }
}

// An offer as the other member of a room gets it.
async function relayed(kind) {
  const s = await server(kind);
  try {
    const members = [0, 1].map(() => talk(s.sub, get('/ws', UPGRADE)));
    for (const [i, member] of members.entries()) {
      await member.until('"type":"welcome"');
      member.socket.write(command({ type: 'join', room: 'r000000', user_id: `u00000${i}` }));
      await member.until('"type":"users-in-room"');
    }
    members[0].socket.write(command({ type: 'offer', to: 'u000001', call: '1', sdp: `v=0\r\n${PAYLOAD}` }));
    await members[1].until(`${PAYLOAD}"}`);
    for (const { socket } of members) socket.destroy();
    return { 'an offer': members[1].text.slice(members[1].text.lastIndexOf('\x81')) };
  } finally { await s.stop(); }
}

// Names of what differs, each with both texts; empty: all the same.
export async function sameBytes() {
  const hub = { ...await said('hub'), ...await relayed('hub') }, base = { ...await said('one'), ...await relayed('relay') };
  return Object.keys(hub).filter(name => common(hub[name]) !== common(base[name]))
    .map(name => `${name}: ${JSON.stringify(common(hub[name]))} and ${JSON.stringify(common(base[name]))}`);
}

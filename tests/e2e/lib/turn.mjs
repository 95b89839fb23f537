// turn.mjs — coturn with the settings of deploy/coturn, on this machine; and the beginning of TURN (RFC 8656) as a client says it: is an allocation granted?
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { execFileSync, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { eventually, within } from './wait.mjs';

const SETTINGS = new URL('../../../deploy/coturn/turnserver.conf', import.meta.url);

export function hasCoturn() {
    try { execFileSync('which', ['turnserver'], { stdio: 'ignore' }); return true; } catch { return false; }
}

// A port that nobody has now, of TCP and UDP: coturn cannot be told to choose one.
async function freePort() {
    const server = net.createServer(), socket = createSocket('udp4');
    const port = await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));
    const isFree = await new Promise((resolve) => socket.once('error', () => resolve(false)).bind(port, '127.0.0.1', () => resolve(true)));
    await Promise.all([server, socket].map((one) => new Promise((resolve) => one.close(resolve))));
    return isFree ? port : freePort();
}

// The settings that are deployed, but for addresses, secrets, certificates, and the log; peers are on this machine. identity: what it shows by TLS; null: it speaks none.
function settingsFor(dir, { port, tlsPort }, secrets, identity) {
    const own = { 'listening-port': [port], 'static-auth-secret': secrets, 'tls-listening-port': [], cert: [], pkey: [], syslog: [] };
    if (identity) Object.assign(own, { 'tls-listening-port': [tlsPort], cert: [identity.cert], pkey: [identity.key] });
    const kept = readFileSync(SETTINGS, 'utf8').split('\n').filter((line) => line && !line.startsWith('#') && !own[line.split('=')[0]] && !/^denied-peer-ip=(127|::1)/.test(line));
    const lines = [...kept, ...Object.entries(own).flatMap(([key, values]) => values.map((value) => `${key}=${value}`)), ...(identity ? [] : ['no-tls', 'no-dtls']), 'listening-ip=127.0.0.1', 'relay-ip=127.0.0.1', 'allow-loopback-peers',
        'log-file=stdout', `pidfile=${path.join(dir, 'pid')}`, `userdb=${path.join(dir, 'turndb')}`, 'verbose'];
    writeFileSync(path.join(dir, 'turnserver.conf'), `${lines.join('\n')}\n`);
    return path.join(dir, 'turnserver.conf');
}

// port: of one that was here before.
export async function coturn(scope, secrets, { identity = null, port } = {}) {
    const dir = scope.dir(), server = { port: port ?? await freePort(), tlsPort: identity && await freePort(), log: '' };
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'turnserver', '-c', settingsFor(dir, server, secrets, identity)], { stdio: ['ignore', 'pipe', 'pipe'], cwd: dir });
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { server.log = (server.log + text).slice(-100_000); });
    server.end = async () => {
        child.kill('SIGKILL');
        await eventually(() => child.exitCode !== null || child.signalCode !== null, 'coturn to end');
    };
    scope.defer(server.end);
    await eventually(() => withSocket(server.port, (ask) => ask(message(ALLOCATE, [REQUESTED_UDP]))).then(() => true, () => child.exitCode !== null), 'coturn to answer', undefined, () => server.log.slice(-2000));
    if (child.exitCode !== null) throw new Error(`coturn has ended: ${server.log.slice(-2000)}`);
    return server;
}

// As the hub does it: who may until when.
export const credential = (secret, username) => createHmac('sha1', secret).update(username).digest('base64');

// ---- STUN: a header of 20 bytes, then attributes ----

const MAGIC = 0x2112a442, ALLOCATE = 0x0003, REFUSED = 0x0113, GRANTED = 0x0103;
const USERNAME = 0x0006, INTEGRITY = 0x0008, ERROR = 0x0009, REALM = 0x0014, NONCE = 0x0015, RELAYED = 0x0016, TRANSPORT = 0x0019;
const attribute = (type, value) => Buffer.concat([Buffer.from([type >> 8, type & 255, value.length >> 8, value.length & 255]), value, Buffer.alloc(-value.length & 3)]);
const REQUESTED_UDP = attribute(TRANSPORT, Buffer.from([17, 0, 0, 0]));

function header(type, length, id) {
    const bytes = Buffer.alloc(20);
    bytes.writeUInt16BE(type, 0);
    bytes.writeUInt16BE(length, 2);
    bytes.writeUInt32BE(MAGIC, 4);
    id.copy(bytes, 8);
    return bytes;
}

// key: signed with MESSAGE-INTEGRITY, which counts itself in the length but not in what is signed.
function message(type, attributes, key) {
    const id = randomBytes(12), body = Buffer.concat(attributes);
    if (!key) return Buffer.concat([header(type, body.length, id), body]);
    const signed = Buffer.concat([header(type, body.length + 24, id), body]);
    return Buffer.concat([signed, attribute(INTEGRITY, createHmac('sha1', key).update(signed).digest())]);
}

// One after the other on one socket: what the server says in the first is for this socket alone.
async function withSocket(port, fn) {
    const socket = createSocket('udp4');
    try {
        await new Promise((resolve, reject) => socket.once('error', reject).connect(port, '127.0.0.1', resolve));
        return await fn((request) => {
            const answer = new Promise((resolve, reject) => socket.once('message', resolve).once('error', reject));
            socket.send(request);
            return within(answer, 'an answer of TURN').then(parse);
        });
    } finally {
        socket.close();
    }
}

function parse(bytes) {
    const attributes = {};
    for (let at = 20; at < bytes.length;) {
        const length = bytes.readUInt16BE(at + 2);
        attributes[bytes.readUInt16BE(at)] = bytes.subarray(at + 4, at + 4 + length);
        at += 4 + length + (-length & 3);
    }
    return { type: bytes.readUInt16BE(0), attributes };
}

// 'granted', or the number of the refusal. The first request is refused by 401, with what has to be signed.
export const allocate = ({ port }, username, password) => withSocket(port, async (ask) => {
    const { attributes } = await ask(message(ALLOCATE, [REQUESTED_UDP])), realm = attributes[REALM];
    const key = createHash('md5').update(`${username}:${realm}:${password}`).digest();
    const answer = await ask(message(ALLOCATE, [REQUESTED_UDP, attribute(USERNAME, Buffer.from(username)), attribute(REALM, realm), attribute(NONCE, attributes[NONCE])], key));
    if (answer.type === REFUSED) return 100 * (answer.attributes[ERROR][2] & 7) + answer.attributes[ERROR][3];
    return answer.type === GRANTED && answer.attributes[RELAYED] ? 'granted' : `type ${answer.type}`;
});

// hello.mjs — the first bytes a TLS client says, taken from Node's own client, and records made by hand (RFC 8446 §5.1).
import net from 'node:net';
import tls from 'node:tls';

// options of tls.connect(), such as { minVersion, maxVersion }.
export async function clientHello(options = {}) {
    const server = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const taken = new Promise((resolve) => server.once('connection', (socket) => {
        socket.on('error', () => {}).once('data', (bytes) => { socket.destroy(); resolve(bytes); });
    }));
    const client = tls.connect({ host: '127.0.0.1', port: server.address().port, rejectUnauthorized: false, ...options }).on('error', () => {});
    try { return await taken; } finally { client.destroy(); server.close(); }
}

export const TYPE = { CHANGE_CIPHER_SPEC: 20, ALERT: 21, HANDSHAKE: 22, APPLICATION_DATA: 23, HEARTBEAT: 24 };

// length: what the record announces (default: the payload's)
export function record(type, payload = '', { version = 0x0303, length } = {}) {
    const bytes = Buffer.from(payload, 'latin1'), head = Buffer.alloc(5);
    head[0] = type;
    head.writeUInt16BE(version, 1);
    head.writeUInt16BE(length ?? bytes.length, 3);
    return Buffer.concat([head, bytes]);
}

// The description of the last alert in what a server said before anything was encrypted; null: none.
export function alertIn(bytes) {
    let found = null;
    for (let at = 0; at + 5 <= bytes.length; at += 5 + bytes.readUInt16BE(at + 3))
        if (bytes[at] === TYPE.ALERT && bytes.length >= at + 7) found = bytes[at + 6];
    return found;
}

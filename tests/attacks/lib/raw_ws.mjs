// raw_ws.mjs — a WebSocket client that sends exactly the bytes it is told, and reads what comes back as strictly as RFC 6455 is.
import { randomBytes } from 'node:crypto';
import { connect } from '../../e2e/lib/line.mjs';
import { Watched } from '../../e2e/lib/wait.mjs';

export const OP = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 };
export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==', ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';     // RFC 6455 §1.3

// One client frame. length: what the frame announces (default: the payload's); width: 7, 16 or 64, the form of the length
// (default: the shortest); rsv: 3 bits.
export function frame(op, payload = '', { fin = true, rsv = 0, masked = true, length, width } = {}) {
    const bytes = Buffer.isBuffer(payload) ? payload : Buffer.from(payload);
    const announced = BigInt(length ?? bytes.length);
    width ??= announced < 126n ? 7 : announced < 65536n ? 16 : 64;
    const head = Buffer.alloc(width === 7 ? 2 : width === 16 ? 4 : 10);
    head[0] = (fin ? 0x80 : 0) | (rsv << 4) | op;
    head[1] = (masked ? 0x80 : 0) | (width === 7 ? Number(announced) : width === 16 ? 126 : 127);
    if (width === 16) head.writeUInt16BE(Number(announced), 2);
    if (width === 64) head.writeBigUInt64BE(announced, 2);
    if (!masked) return Buffer.concat([head, bytes]);
    const mask = randomBytes(4);
    return Buffer.concat([head, mask, bytes.map((byte, i) => byte ^ mask[i % 4])]);
}
export const text = (payload, options) => frame(OP.TEXT, payload, options);
export const begin = (payload, op = OP.TEXT) => frame(op, payload, { fin: false });
export const more = (payload) => frame(OP.CONTINUATION, payload, { fin: false });
export const finish = (payload) => frame(OP.CONTINUATION, payload);
export const ping = (payload, options) => frame(OP.PING, payload, options);
export const pong = (payload, options) => frame(OP.PONG, payload, options);
export function close(code, reason = '') {
    if (code === undefined) return frame(OP.CLOSE);
    const two = Buffer.alloc(2);
    two.writeUInt16BE(code);
    return frame(OP.CLOSE, Buffer.concat([two, Buffer.from(reason)]));
}
export const hex = (digits) => Buffer.from(digits.replace(/ /g, ''), 'hex');

export const HANDSHAKE = { 'Host': 'attack', 'Upgrade': 'websocket', 'Connection': 'Upgrade', 'Sec-WebSocket-Key': KEY, 'Sec-WebSocket-Version': '13' };

// changes: headers to add or replace; null leaves one out.
export function handshake(changes = {}, line = 'GET /ws HTTP/1.1') {
    const headers = Object.entries({ ...HANDSHAKE, ...changes }).filter(([, value]) => value !== null);
    return `${line}\r\n${headers.flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${one}\r\n`)).join('')}\r\n`;
}

export class RawWs extends Watched {
    head = null;         // of the answer: { status, headers, text }
    frames = [];         // { op, fin, payload }
    json = [];           // the text frames, parsed
    closeCode = null;    // of the hub's close frame; 1005: it had none
    ended = false;       // the hub has closed the connection
    broken = null;       // how the hub broke RFC 6455
    #rest = Buffer.alloc(0);

    constructor(where, first = handshake(), { echoesClose = true } = {}) {
        super();
        this.echoesClose = echoesClose;
        this.socket = connect(where, { allowHalfOpen: true });
        this.socket.setNoDelay(true);
        this.socket.on('data', (chunk) => this.#onBytes(chunk)).on('error', () => {}).on('end', () => this.#onEnd()).on('close', () => this.#onEnd());
        this.socket.write(first);
    }

    send(...frames) { this.socket.write(Buffer.concat(frames)); return this; }
    drop() { this.socket.destroy(); this.socket.tcp?.destroy(); }
    state() { return `head=${this.head?.status} ended=${this.ended} close=${this.closeCode} broken=${this.broken} json=${JSON.stringify(this.json.slice(-5))} rest=${this.#rest.toString('hex').slice(0, 80)}`; }

    #onEnd() { this.ended = true; this.socket.end(); this.changed(); }

    #onBytes(chunk) {
        this.#rest = Buffer.concat([this.#rest, chunk]);
        if (!this.head) this.#readHead();
        while (this.head?.status === 101 && this.#readFrame());
        this.changed();
    }

    #readHead() {
        const end = this.#rest.indexOf('\r\n\r\n');
        if (end < 0) return;
        const whole = this.#rest.toString('latin1', 0, end);
        const [line, ...lines] = whole.split('\r\n');
        const headers = Object.fromEntries(lines.map((l) => [l.slice(0, l.indexOf(':')).toLowerCase(), l.slice(l.indexOf(':') + 1).trim()]));
        this.head = { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(line)?.[1]), headers, text: whole };
        this.#rest = this.#rest.subarray(end + 4);
    }

    get body() { return this.#rest.toString('utf8'); }      // of an answer that is no 101

    // §5.1: a server never masks; §5.2: no reserved bits without an extension, shortest length; §5.5: control frames are whole and short.
    #readFrame() {
        const b = this.#rest;
        if (b.length < 2) return false;
        const fin = (b[0] & 0x80) !== 0, op = b[0] & 15, short = b[1] & 0x7f, from = short === 126 ? 4 : short === 127 ? 10 : 2;
        if (b.length < from) return false;
        const length = short === 126 ? b.readUInt16BE(2) : short === 127 ? Number(b.readBigUInt64BE(2)) : short;
        if (b.length < from + length) return false;
        if (b[1] & 0x80) this.broken = 'a masked frame';
        if (b[0] & 0x70) this.broken = 'reserved bits';
        if ((short === 126 && length < 126) || (short === 127 && length < 65536)) this.broken = 'a length that is not the shortest';
        if (op >= 8 && (!fin || length > 125)) this.broken = 'a control frame that is fragmented or long';
        if (this.closeCode !== null) this.broken = 'a frame after its close';
        const payload = b.subarray(from, from + length);
        this.#rest = b.subarray(from + length);
        this.#take(op, fin, payload);
        return true;
    }

    #take(op, fin, payload) {
        this.frames.push({ op, fin, payload });
        if (op === OP.TEXT) this.json.push(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload)));
        if (op !== OP.CLOSE) return;
        this.closeCode = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
        if (this.echoesClose) this.socket.end(frame(OP.CLOSE, payload));
    }

    async opened() {
        await this.waitFor(() => this.head || this.ended, 'an answer to the handshake');
        if (this.head?.status !== 101) throw new Error(`no 101: ${this.state()} ${this.body}`);
        await this.waitFor(() => this.json.some((f) => f.type === 'welcome') || this.ended, 'welcome');
        return this;
    }
}

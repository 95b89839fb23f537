// ws.mjs — a WebSocket client (npm ws) that keeps every frame and lets a test wait for one.
import WebSocket from 'ws';
import { connect } from './line.mjs';
import { Watched, DEADLINE_MS } from './wait.mjs';

let nextRef = 1;

export class WsClient extends Watched {
    frames = [];          // parsed, in order of arrival
    texts = [];           // the same frames as they came
    messages = [];        // the frames of type message
    pings = 0;
    closed = null;        // { code, reason } once the connection has ended
    refused = null;       // { status, headers, body } when the handshake was answered with something else

    constructor(where, path = '/ws', { protocols = [], headers = {}, ...rest } = {}) {
        super();
        this.socket = new WebSocket(`${where.tls ? 'wss' : 'ws'}://${where.host}:${where.port}${path}`, protocols,
            { headers, perMessageDeflate: false, createConnection: () => connect(where).setNoDelay(true), ...rest });
        this.socket.on('open', () => this.changed());
        this.socket.on('message', (bytes, isBinary) => this.#onFrame(bytes, isBinary));
        this.socket.on('ping', () => { this.pings++; this.changed(); });
        this.socket.on('pong', (data) => { this.lastPong = data; this.changed(); });
        this.socket.on('close', (code, reason) => { this.closed = { code, reason: reason.toString() }; this.changed(); });
        this.socket.on('error', (error) => { this.error = error; this.changed(); });
        this.socket.on('unexpected-response', (request, response) => this.#onRefused(response));
    }

    #onFrame(bytes, isBinary) {
        const text = bytes.toString('utf8');
        this.texts.push(text);
        const frame = isBinary ? { binary: bytes } : JSON.parse(text);
        this.frames.push(frame);
        if (frame.type === 'message') this.messages.push(frame);
        this.changed();
    }

    #onRefused(response) {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('close', () => {
            this.refused = { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() };
            this.socket.terminate();
            this.changed();
        });
    }

    state() {
        return `closed=${JSON.stringify(this.closed)} refused=${JSON.stringify(this.refused)} error=${this.error?.message} ` +
            `frames=${this.texts.slice(-12).join('\n    ').slice(-3000)}`;
    }

    opened() {
        return this.waitFor(() => {
            if (this.socket.readyState === WebSocket.OPEN) return this;
            if (this.refused) throw Object.assign(new Error(`refused with ${this.refused.status}: ${this.refused.body}`), this.refused);
            if (this.closed) throw this.error ?? new Error('closed before it was open');
            return null;
        }, 'an open WebSocket');
    }

    send(frame) { this.socket.send(typeof frame === 'string' || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame), { binary: false }); }

    // Sends a command with a ref of its own and resolves with the frame that has the same ref.
    async ask(command, ms) {
        const ref = `r${nextRef++}`;
        this.send({ ...command, ref });
        return this.waitFor(() => this.frames.find((f) => f.ref === ref), `an answer to ${JSON.stringify(command).slice(0, 200)}`, ms);
    }

    of(type) { return this.frames.filter((f) => f.type === type); }
    get data() { return this.messages.map((m) => m.data); }
    // The frames of one type as they came, for what parsing would hide.
    textsOf(type) { return this.texts.filter((_, i) => this.frames[i].type === type); }

    // Resolves with the first frame that matches: a type, or a function.
    get(match, ms) {
        const fits = typeof match === 'function' ? match : (f) => f.type === match;
        return this.waitFor(() => this.frames.find(fits), `a frame: ${match}`, ms);
    }
    async take(count, ms) {
        await this.waitFor(() => this.messages.length >= count, `${count} messages (so far ${this.messages.length})`, ms);
        return this.messages.slice(0, count);
    }
    end(ms = DEADLINE_MS) { return this.waitFor(() => this.closed, 'the close of the WebSocket', ms); }

    pause() { this.socket.pause(); }
    resume() { this.socket.resume(); }
    async close(code = 1000) { this.socket.close(code); return this.end(); }
    terminate() { this.socket.terminate(); }
}

// The raw text of one member of a JSON object, exactly as it was sent ("data" of a message frame).
// Enough for frames of the hub, whose members before it are strings and numbers without the searched name in them.
export function memberText(json, name) {
    const at = json.indexOf(`"${name}":`);
    if (at < 0) return undefined;
    let from = at + name.length + 3, depth = 0, inString = false;
    for (let i = from; i < json.length; i++) {
        const c = json[i];
        if (inString) { if (c === '\\') i++; else if (c === '"') inString = false; continue; }
        if (c === '"') inString = true;
        else if (c === '{' || c === '[') depth++;
        else if (c === '}' || c === ']') { if (depth === 0) return json.slice(from, i); depth--; }
        else if (c === ',' && depth === 0) return json.slice(from, i);
    }
    return undefined;
}

// raw.mjs — a bare connection that speaks HTTP/1.1 exactly as a test types it: pipelining, broken requests, slow
// bodies, answers in order.
import { connect } from './line.mjs';
import { Watched } from './wait.mjs';

export class RawConnection extends Watched {
    answers = [];        // complete answers in order: { status, headers, body: Buffer }
    open = false;        // connected, and the handshake of TLS is done
    ended = false;       // the hub has closed
    #rest = Buffer.alloc(0);

    constructor(where) {
        super();
        this.socket = connect(where);
        this.socket.setNoDelay(true);
        this.socket.on('opened', () => { this.open = true; this.changed(); });
        this.socket.on('data', (chunk) => this.#onBytes(chunk));
        this.socket.on('error', (error) => { this.error = error; });
        this.socket.on('close', () => this.#onEnd());
        this.socket.on('end', () => this.#onEnd());
    }

    state() {
        const last = this.answers.at(-1);
        return `${this.answers.length} answers, ended=${this.ended} ${this.error ?? ''} last=${last && `${last.status} ${last.body}`}` +
            ` unparsed=${JSON.stringify(this.#rest.toString('latin1').slice(0, 400))}`;
    }

    write(text) { this.socket.write(text); return this; }
    get unparsed() { return this.#rest; }

    #onBytes(chunk) {
        this.#rest = this.#rest.length ? Buffer.concat([this.#rest, chunk]) : chunk;
        for (let answer; (answer = this.#parse()); ) this.answers.push(answer);
        this.changed();
    }

    // An answer without a length ends with the connection.
    #onEnd() {
        this.ended = true;
        for (let answer; (answer = this.#parse()); ) this.answers.push(answer);
        this.changed();
    }

    // One complete answer from the front of what has arrived, or null. 1xx answers have no body and count too.
    #parse() {
        const headEnd = this.#rest.indexOf('\r\n\r\n');
        if (headEnd < 0) return null;
        const [first, ...lines] = this.#rest.toString('latin1', 0, headEnd).split('\r\n');
        const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1]);
        const headers = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
        const from = headEnd + 4;
        if (status < 200 || status === 204 || status === 304) {
            this.#rest = this.#rest.subarray(from);
            return { status, headers, body: Buffer.alloc(0) };
        }
        if (/chunked/.test(headers['transfer-encoding'] ?? '')) return this.#parseChunked(from, status, headers);
        const length = Number(headers['content-length'] ?? (this.ended ? this.#rest.length - from : NaN));
        if (Number.isNaN(length) || this.#rest.length < from + length) return null;
        const body = this.#rest.subarray(from, from + length);
        this.#rest = this.#rest.subarray(from + length);
        return { status, headers, body };
    }

    #parseChunked(from, status, headers) {
        const parts = [];
        for (let at = from; ; ) {
            const lineEnd = this.#rest.indexOf('\r\n', at);
            if (lineEnd < 0) return null;
            const size = parseInt(this.#rest.toString('latin1', at, lineEnd), 16);
            if (this.#rest.length < lineEnd + 2 + size + 2) return null;
            parts.push(this.#rest.subarray(lineEnd + 2, lineEnd + 2 + size));
            at = lineEnd + 2 + size + 2;
            if (size === 0) { this.#rest = this.#rest.subarray(at); return { status, headers, body: Buffer.concat(parts) }; }
        }
    }

    // Resolves with the answers when there are `count` of them.
    async take(count, ms) {
        await this.waitFor(() => {
            if (this.answers.length < count && this.ended) throw new Error(`closed after ${this.answers.length} of ${count} answers: ${this.state()}`);
            return this.answers.length >= count;
        }, `${count} answers`, ms);
        return this.answers.slice(0, count);
    }
    end(ms) { return this.waitFor(() => this.ended, 'the hub to close the connection', ms); }
    close() { this.socket.destroy(); }
}

// The bytes of one publish request.
export function publishBytes(channel, body, headers = { 'Content-Type': 'text/plain' }) {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('');
    return `POST /v1/channels/${encodeURIComponent(channel)}/messages HTTP/1.1\r\nHost: e2e\r\n${lines}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

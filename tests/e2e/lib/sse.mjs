// sse.mjs — an SSE client that hides nothing: every byte is kept, every block parsed as the WHATWG rules say, and no
// reconnect happens by itself.
import http from 'node:http';
import { to } from './line.mjs';
import { Watched, DEADLINE_MS } from './wait.mjs';

// One block of a stream. A block without data is not an event for a browser, but its id counts.
//   { raw, id, event, data, retry, comments, lines }    fields the block does not have are undefined
export function parseBlock(raw) {
    const block = { raw, id: undefined, event: undefined, data: undefined, retry: undefined, comments: [], lines: [] };
    for (const line of raw.split(/\r\n|\r|\n/)) {
        if (line === '') continue;
        block.lines.push(line);
        const colon = line.indexOf(':');
        if (colon === 0) { block.comments.push(line.slice(1)); continue; }
        const field = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
        if (field === 'data') block.data = block.data === undefined ? value : `${block.data}\n${value}`;
        else if (field === 'id' || field === 'event' || field === 'retry') block[field] = value;
    }
    return block;
}

export class SseStream extends Watched {
    blocks = [];
    messages = [];       // the blocks that are messages
    raw = '';            // everything of the body, as UTF-8 text
    status = 0;
    headers = {};
    ended = null;        // 'end' (closed by the hub as HTTP ends a body) | 'cut' (the connection broke)
    lastId = '';         // as an EventSource keeps it
    #rest = '';
    #bytes = [];

    // options: headers, lastEventId (sent as the header), method
    constructor(where, path, { headers = {}, lastEventId, method = 'GET' } = {}) {
        super();
        this.path = path;
        const sent = { Accept: 'text/event-stream', ...headers };
        if (lastEventId !== undefined) sent['Last-Event-ID'] = lastEventId;
        this.request = http.request({ ...to(where), path, method, headers: sent });
        this.request.on('response', (response) => this.#onResponse(response));
        this.request.on('error', (error) => { this.error = error; this.#onEnd('cut'); });
        this.request.on('socket', (socket) => { this.socket = socket; });
        this.request.end();
    }

    #onResponse(response) {
        this.response = response;
        this.status = response.statusCode;
        this.headers = response.headers;
        response.on('data', (chunk) => this.#onBytes(chunk));
        response.on('end', () => this.#onEnd(response.complete ? 'end' : 'cut'));
        response.on('error', () => this.#onEnd('cut'));
        this.changed();
    }

    #onBytes(chunk) {
        this.#bytes.push(chunk);
        const text = this.#decode(chunk);
        this.raw += text;
        this.#rest += text;
        for (let cut; (cut = /\r\n\r\n|\n\n|\r\r/.exec(this.#rest)); ) {
            const block = parseBlock(this.#rest.slice(0, cut.index));
            this.#rest = this.#rest.slice(cut.index + cut[0].length);
            if (block.id !== undefined && !block.id.includes('\0')) this.lastId = block.id;
            this.blocks.push(block);
            if (block.data !== undefined && !(block.event ?? '').startsWith('hub.')) this.messages.push(block);
        }
        this.changed();
    }

    #decoder = new TextDecoder('utf-8', { fatal: true });    // a stream that is not UTF-8 fails the test
    #decode(chunk) { return this.#decoder.decode(chunk, { stream: true }); }

    #onEnd(how) {
        this.ended ??= how;
        this.changed();
    }

    get bytes() { return Buffer.concat(this.#bytes); }
    state() { return `status=${this.status} ended=${this.ended} ${this.error ?? ''} tail=${JSON.stringify(this.raw.slice(-600))}`; }

    // The answer's head is there. A connection that ends without one is an error.
    opened() {
        return this.waitFor(() => {
            if (this.ended && !this.status) throw this.error ?? new Error('the connection ended without an answer');
            return this.status;
        }, `an answer to GET ${this.path}`);
    }

    get data() { return this.messages.map((b) => b.data); }
    control(name) { return this.blocks.filter((b) => b.event === `hub.${name}`); }

    ready(ms) { return this.waitFor(() => this.control('ready')[0], 'hub.ready', ms); }
    gap(ms) { return this.waitFor(() => this.control('gap')[0], 'hub.gap', ms); }
    bye(ms) { return this.waitFor(() => this.control('bye')[0], 'hub.bye', ms); }
    end(ms = DEADLINE_MS) { return this.waitFor(() => this.ended, 'the end of the stream', ms); }
    async take(count, ms) {
        await this.waitFor(() => this.messages.length >= count, `${count} messages (so far ${this.messages.length})`, ms);
        return this.messages.slice(0, count);
    }

    // Stops reading, so that the hub's socket fills.
    pause() { this.response.pause(); this.socket.pause(); }
    resume() { this.socket.resume(); this.response.resume(); }

    close() { this.request.destroy(); }
}

// reader.mjs — subscribers that come back by themselves with the last position they were given, as PROTOCOL.md §2 says.
//
// received: [{ channel, id, text }] in order of arrival over all connections; gaps: all that were told.
import { SseStream } from './sse.mjs';
import { WsClient } from './ws.mjs';
import { Watched } from './wait.mjs';

const AGAIN_MS = 50;     // how soon to try again while the hub is away

class Reader extends Watched {
    received = [];
    gaps = [];
    connections = 0;     // how often it has become ready
    #closed = false;

    // `where` is asked again at each connection, so a restarted hub is found; `position`: where to begin.
    constructor(where, channels, position = '') {
        super();
        this.where = where;
        this.position = position;
        this.query = channels.map((c) => `channel=${encodeURIComponent(c)}`).join('&');
        this.#run();
    }

    async #run() {
        while (!this.#closed) {
            try { await this.connection(); } catch { /* the hub is away */ }
            if (!this.#closed) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
        }
    }

    state() { return `${this.connections} connections, at ${this.position}, ${this.received.length} received, gaps ${JSON.stringify(this.gaps)}, last ${JSON.stringify(this.received.slice(-2))}`; }
    get texts() { return this.received.map((m) => m.text); }
    ready(times = 1, ms) { return this.waitFor(() => this.connections >= times, `connection ${times}`, ms); }
    has(text, ms) { return this.waitFor(() => this.received.length && this.received.at(-1).text === text, `the message ${text}`, ms); }
    took(count, ms) { return this.waitFor(() => this.received.length >= count, `${count} messages`, ms); }
    take(message) { this.received.push({ channel: message.channel, id: message.id, text: message.data }); this.position = message.id; }
    miss(gap) { this.gaps.push(gap); }
    cut() { this.line?.close(); }
    close() { this.#closed = true; this.cut(); }
}

export class SseReader extends Reader {
    async connection() {
        const stream = new SseStream(this.where.public ?? this.where, `/sse?${this.query}&format=envelope`, this.position ? { lastEventId: this.position } : {});
        this.line = stream;
        let seen = 0;
        stream.changed = () => {
            for (; seen < stream.blocks.length; seen++) this.#onBlock(stream.blocks[seen]);
            SseStream.prototype.changed.call(stream);
            this.changed();
        };
        await stream.opened();
        await stream.end(2 ** 31 - 1);
    }
    #onBlock(block) {
        if (block.event === 'hub.gap') this.miss(JSON.parse(block.data));
        else if (block.event === 'hub.ready') this.connections++;
        else if (block.data !== undefined && !(block.event ?? '').startsWith('hub.')) this.take(JSON.parse(block.data));
        if (block.id !== undefined) this.position = block.id;
    }
}

export class WsReader extends Reader {
    async connection() {
        const client = new WsClient(this.where.public ?? this.where, `/ws?${this.query}${this.position ? `&last_event_id=${this.position}` : ''}`);
        this.line = { close: () => client.terminate() };
        this.waiting = true;        // for the first `subscribed` of this connection
        let seen = 0;
        client.changed = () => {
            for (; seen < client.frames.length; seen++) this.#onFrame(client.frames[seen]);
            WsClient.prototype.changed.call(client);
            this.changed();
        };
        await client.opened();
        await client.end(2 ** 31 - 1);
    }
    #onFrame(frame) {
        if (frame.type === 'gap') this.miss(frame);
        else if (frame.type === 'subscribed' && this.waiting) { this.waiting = false; this.connections++; }
        else if (frame.type === 'message') this.take(frame);
        if (frame.type === 'welcome' || ((frame.type === 'position' || frame.type === 'gap') && !frame.channel && !frame.replay)) this.position = frame.position;
    }
}

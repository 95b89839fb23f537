// pipeline.mjs — a publisher that keeps a window of requests under way on each of a few connections and knows
// which of them were acknowledged, also when the hub dies under it.
//
// Numbered texts (0, 1, 2, …) are published. A number is *acknowledged* when its 201 has arrived; a request that was
// sent and never answered may or may not have been published, and both are right.
import { RawConnection, publishBytes } from './raw.mjs';
import { Watched } from './wait.mjs';

export class Pipeline extends Watched {
    acknowledged = new Map();     // number -> id
    refused = [];                 // answers other than 201
    next = 0;

    // `text(n)` is the payload of number n; it must be different for each. `channel` may be a function of n too.
    constructor(where, channel, { connections = 1, window = 200, total = Infinity, text = String } = {}) {
        super();
        Object.assign(this, { channel, window, total, text });
        this.lines = Array.from({ length: connections }, () => {
            const line = { connection: new RawConnection(where.api ?? where), sent: [], seen: 0 };
            line.connection.changed = () => { this.#collect(line); RawConnection.prototype.changed.call(line.connection); };
            return line;
        });
        for (const line of this.lines) this.#fill(line);
    }

    state() { return `${this.acknowledged.size} of ${this.next} acknowledged, refused: ${JSON.stringify(this.refused.slice(0, 3))}`; }

    #collect(line) {
        const { answers } = line.connection;
        for (; line.seen < answers.length; line.seen++) {
            const number = line.sent[line.seen];
            const { status, body } = answers[line.seen];
            if (status === 201) this.acknowledged.set(number, JSON.parse(body).id);
            else this.refused.push({ number, status, body: body.toString() });
        }
        if (!line.connection.ended) this.#fill(line);
        this.changed();
    }

    #fill(line) {
        let bytes = '';
        while (line.sent.length - line.seen < this.window && this.next < this.total) {
            line.sent.push(this.next);
            bytes += publishBytes(typeof this.channel === 'function' ? this.channel(this.next) : this.channel, this.text(this.next));
            this.next++;
        }
        if (bytes) line.connection.write(bytes);
    }

    get ended() { return this.lines.every((line) => line.connection.ended); }

    // Resolves when `count` publishes are acknowledged.
    reached(count, ms) { return this.waitFor(() => this.acknowledged.size >= count, `${count} acknowledged publishes`, ms); }
    // Resolves when all of `total` are answered, or the hub has closed every connection.
    finished(ms) { return this.waitFor(() => this.ended || this.acknowledged.size + this.refused.length >= this.total, 'the last answer', ms); }
    close() { for (const { connection } of this.lines) connection.close(); }
}

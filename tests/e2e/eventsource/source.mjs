// source.mjs — the EventSource interface (HTML Living Standard §9.2.2–9.2.4) on fetch and on our own reader of streams, by the letter: where
// browsers are kinder than the standard, this is not. In Node and in a page it is one engine more that a hub must suit.
import { EventStream } from '../lib/event-stream.mjs';

const CONNECTING = 0, OPEN = 1, CLOSED = 2;

export class ReferenceSource extends EventTarget {
    readyState = CONNECTING;
    onopen = null;
    onmessage = null;
    onerror = null;
    #lastEventId = '';
    #retry = 3000;
    #place;                // where it comes back to: the request is the same one, so it stays where redirects have brought it
    #abort = new AbortController();

    constructor(url, { withCredentials = false, headers = {} } = {}) {
        super();
        Object.assign(this, { url, withCredentials, headers });
        this.#place = url;
        this.#connect();
    }

    close() {
        this.readyState = CLOSED;
        this.#abort.abort();
    }

    #fire(type, members = {}) {
        const event = Object.assign(new Event(type), members);
        this[`on${type}`]?.(event);
        this.dispatchEvent(event);
    }

    async #connect() {
        try {
            const headers = { Accept: 'text/event-stream', ...this.headers, ...(this.#lastEventId && { 'Last-Event-ID': this.#lastEventId }) };
            const response = await fetch(this.#place, { headers, cache: 'no-store', credentials: this.withCredentials ? 'include' : 'same-origin', signal: this.#abort.signal });
            this.#place = response.url;
            const [essence] = (response.headers.get('content-type') ?? '').split(';');
            if (response.status !== 200 || essence.trim().toLowerCase() !== 'text/event-stream') { this.#fail(); return; }
            await this.#read(response);
        } catch { /* a network error, or close() */ }
        this.#reestablish();
    }

    #fail() {
        this.#abort.abort();
        this.readyState = CLOSED;
        this.#fire('error');
    }

    async #read(response) {
        const origin = new URL(response.url).origin, reader = response.body.getReader();
        const onEvent = ({ type, data, lastEventId }) => { if (this.readyState !== CLOSED) this.#fire(type, { data, lastEventId, origin }); };
        const stream = new EventStream({ onEvent });
        this.readyState = OPEN;
        this.#fire('open');
        for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
            stream.feed(piece.value);
            this.#lastEventId = stream.lastEventId ?? this.#lastEventId;
            this.#retry = stream.retry ?? this.#retry;
        }
        stream.end();
    }

    #reestablish() {
        if (this.readyState === CLOSED) return;
        this.readyState = CONNECTING;
        this.#fire('error');
        setTimeout(() => { if (this.readyState === CONNECTING) this.#connect(); }, this.#retry);
    }
}

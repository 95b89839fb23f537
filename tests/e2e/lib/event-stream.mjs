// event-stream.mjs — an event stream, read by the letter of the HTML Living Standard (§9.2.5 its grammar, §9.2.6 what its lines mean): a state
// machine that is fed bytes in any pieces. It runs in Node and in browsers alike.
//
//   const stream = new EventStream({ onEvent(event) {} });      // { type, data, lastEventId }
//   stream.feed(bytes); stream.feed(more); stream.end();
//   stream.lastEventId, stream.retry, stream.ignored            // undefined: no empty line, no retry: yet
//
// Where browsers differ from the letter: there the last event ID buffer is empty when a stream begins, so that the first empty line of a
// stream without an id takes away the id of the stream before it; browsers go on with that one.
const NAME = 0, AFTER_COLON = 1, VALUE = 2, COMMENT = 3;      // where in a line

export class EventStream {
    events = [];
    ignored = [];            // lines that mean nothing, comments apart: a hub has none
    lastEventId = undefined;
    retry = undefined;
    #at = NAME;
    #name = '';
    #value = '';
    #afterCr = false;        // an LF that follows is the second half of a CRLF
    #data = '';
    #type = '';
    #id = '';

    constructor({ onEvent = () => {}, fatal = false } = {}) {
        this.onEvent = onEvent;
        this.decoder = new TextDecoder('utf-8', { fatal });      // "UTF-8 decode": takes off one byte order mark
    }

    feed(bytes) { for (const char of this.decoder.decode(bytes, { stream: true })) this.#take(char); }

    // What is not complete by now is no event.
    end() { for (const char of this.decoder.decode()) this.#take(char); }

    #take(char) {
        if (char === '\n' && this.#afterCr) { this.#afterCr = false; return; }
        this.#afterCr = char === '\r';
        if (char === '\n' || char === '\r') { this.#endLine(); return; }
        switch (this.#at) {
        case NAME:
            if (char !== ':') this.#name += char;
            else this.#at = this.#name === '' ? COMMENT : AFTER_COLON;
            break;
        case AFTER_COLON:
            this.#at = VALUE;
            if (char !== ' ') this.#value += char;
            break;
        case VALUE:
            this.#value += char;
            break;
        case COMMENT:
        }
    }

    #endLine() {
        const at = this.#at, name = this.#name, value = this.#value;
        this.#at = NAME;
        this.#name = this.#value = '';
        if (at === COMMENT) return;
        if (name === '') this.#dispatch(); else this.#field(name, value);
    }

    #field(name, value) {
        if (name === 'event') this.#type = value;
        else if (name === 'data') this.#data += `${value}\n`;
        else if (name === 'id' && !value.includes('\0')) this.#id = value;
        else if (name === 'retry' && /^[0-9]+$/.test(value)) this.retry = parseInt(value, 10);
        else this.ignored.push(`${name}:${value}`);
    }

    #dispatch() {
        const data = this.#data, type = this.#type;
        this.lastEventId = this.#id;
        this.#data = this.#type = '';
        if (data === '') return;
        const event = { type: type || 'message', data: data.slice(0, -1), lastEventId: this.#id };
        this.events.push(event);
        this.onEvent(event);
    }
}

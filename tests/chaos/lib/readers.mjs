// readers.mjs — subscribers that come back by themselves (e2e/lib/reader.mjs) and keep a record of all that they were told, with times.
//
// came: messages in order of arrival; missed: gaps, with the position before; ups: when it was connected, [from, to).
import { SseReader, WsReader } from '../../e2e/lib/reader.mjs';

// Name or pattern -> which channels it is (PROTOCOL.md §1).
export function covers(name, channel) {
    const parts = name.split('.'), of = channel.split('.');
    if (!name.includes('*')) return name === channel;
    if (parts.at(-1) === '**') return of.length >= parts.length && parts.slice(0, -1).every((part, i) => part === '*' || part === of[i]);
    return of.length === parts.length && parts.every((part, i) => part === '*' || part === of[i]);
}

// Fields are made when they are asked for: the first connection begins in the constructor of the base.
const recording = (Base) => class extends Base {
    get came() { return (this.cameHere ??= []); }
    get missed() { return (this.missedHere ??= []); }
    get ups() { return (this.upsHere ??= []); }
    get texts() { return (this.textsHere ??= new Map()); }      // text -> its ids

    take(message) {
        const { channel, id, data: text } = message;
        this.came.push({ channel, id, text, at: Date.now(), after: this.missed.length });
        this.texts.set(text, [...this.texts.get(text) ?? [], id]);
        this.position = id;
    }
    miss(gap) { this.missed.push({ from: this.position, to: gap.position, channels: gap.channels, reason: gap.reason, at: Date.now() }); }

    changed() {
        if (this.connections > (this.seenConnections ?? 0)) {
            this.seenConnections = this.connections;
            this.ups.push({ from: Date.now(), to: Infinity });
        }
        super.changed();
    }
    async connection() {
        try { await super.connection(); } finally { if (this.ups.length) this.ups.at(-1).to = Math.min(this.ups.at(-1).to, Date.now()); }
    }

    wants(channel) { return this.names.some((name) => covers(name, channel)); }
    wasUp(from, to) { return this.ups.some((up) => up.from <= from && up.to >= to); }
    // The record of a round that has been looked at.
    forget() {
        this.came.splice(0);
        this.missed.splice(0);
        this.texts.clear();
        this.ups.splice(0, this.ups.length - 1);
    }
};

const Sse = recording(SseReader), Ws = recording(WsReader);

export function reader(kind, where, names, label) {
    const made = new (kind === 'sse' ? Sse : Ws)(where, names);
    return Object.assign(made, { names, label });
}

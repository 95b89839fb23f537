// bad-line.mjs — a TCP line between clients and a hub that fails as lines do, also in the middle of a frame or a handshake.
//
//   const line = await BadLine.to(scope, hub.public);       // { host, port, tls }: where a client connects to
//   line.draw = () => ({ way: 'from', after: 300, deed: 'reset' });      // of each new connection: what happens after so many bytes
//   line.do('hold');                                        // to all that are open
//
// Ways: `to` the hub, `from` the hub. Whom a deed has met stays met: heal() only makes the next connections good ones.
import net from 'node:net';
import { Watched } from './wait.mjs';

const FLUSH_MS = 5, TRICKLE = { bytes: 24, ms: 4, lasts: 1500 };

export const DEEDS = {
    reset(pair) { for (const socket of pair.sockets) socket.resetAndDestroy(); },
    end(pair) { for (const socket of pair.sockets) socket.end(); },
    'end to': (pair) => { pair.hub.end(); },          // half closed: the hub reads an end, and may still speak
    'end from': (pair) => { pair.client.end(); },
    hold(pair) { pair.deaf.to = pair.deaf.from = true; },      // a black hole: open, and nothing gets through
    'hold to': (pair) => { pair.deaf.to = true; },
    'hold from': (pair) => { pair.deaf.from = true; },
    trickle(pair) { pair.trickle(); },
};

class Pair {
    passed = { to: 0, from: 0 };
    deaf = { to: false, from: false };
    queued = { to: [], from: [] };
    slow = false;
    head = '';

    constructor(line, client, plan) {
        this.line = line;
        this.plan = plan;
        this.client = client;
        this.hub = net.connect({ port: line.target.port, host: line.target.host, allowHalfOpen: true });
        this.sockets = [client, this.hub];
        for (const [way, source, sink] of [['to', client, this.hub], ['from', this.hub, client]]) {
            source.setNoDelay(true);
            source.on('data', (bytes) => this.#take(way, bytes));
            source.on('end', () => { if (!this.deaf[way]) sink.end(); });
            source.on('error', () => {});
            source.on('close', () => this.drop());
        }
        if (plan?.after === 0) this.do(plan.deed);
    }

    // One deed a pair: a black hole is none that says how it ended.
    do(deed) {
        if (this.done) return;
        this.done = deed;
        DEEDS[deed](this);
    }

    #take(way, bytes) {
        if (way === 'to' && this.line.blocks && this.head.length < 2000 && this.line.blocks.test(this.head += bytes.toString('latin1'))) return this.do('reset');
        const { plan } = this, left = plan?.way === way && !this.done ? plan.after - this.passed[way] : Infinity;
        this.passed[way] += bytes.length;
        if (bytes.length < left) return this.#pass(way, bytes);
        this.#pass(way, bytes.subarray(0, left));
        if (plan.deed !== 'trickle') this.deaf[way] = true;       // what is behind that byte never arrives
        setTimeout(() => this.do(plan.deed), FLUSH_MS);
        if (plan.deed === 'trickle') { this.do('trickle'); this.#pass(way, bytes.subarray(left)); }
    }

    #pass(way, bytes) {
        if (this.deaf[way] || bytes.length === 0 || this.client.destroyed) return;
        if (this.slow) return this.#later(way, bytes);
        const [source, sink] = way === 'to' ? [this.client, this.hub] : [this.hub, this.client];
        if (sink.write(bytes)) return;
        source.pause();
        sink.once('drain', () => source.resume());
    }

    #later(way, bytes) {
        const queue = this.queued[way], isIdle = queue.length === 0;
        for (let at = 0; at < bytes.length; at += TRICKLE.bytes) queue.push(bytes.subarray(at, at + TRICKLE.bytes));
        if (isIdle) this.#drip(way);
    }
    #drip(way) {
        const sink = way === 'to' ? this.hub : this.client;
        if (sink.destroyed || !this.queued[way].length) return;
        sink.write(this.queued[way].shift());
        setTimeout(() => this.#drip(way), TRICKLE.ms);
    }

    // For a while, else more would come than goes for ever.
    trickle() {
        this.slow = true;
        setTimeout(() => {
            this.slow = false;
            for (const way of ['to', 'from']) this.#pass(way, Buffer.concat(this.queued[way].splice(0)));
        }, TRICKLE.lasts);
    }

    drop() {
        for (const socket of this.sockets) socket.destroy();
        if (this.line.pairs.delete(this)) this.line.changed();
    }
}

export class BadLine extends Watched {
    pairs = new Set();
    accepted = 0;
    refuses = false;        // new connections are reset at once
    blocks = null;          // a RegExp: who says such a thing at the beginning is reset, as by a proxy that knows no WebSocket
    draw = () => null;      // of each new connection: { way, after, deed }, or null when nothing is to happen to it

    static async to(scope, target) {
        const line = new BadLine();
        line.target = target;
        line.server = net.createServer({ allowHalfOpen: true }, (client) => line.#accept(client));
        await new Promise((resolve, reject) => line.server.once('error', reject).listen(0, '127.0.0.1', resolve));
        Object.assign(line, { host: '127.0.0.1', port: line.server.address().port });
        scope.defer(() => line.close());
        return line;
    }

    #accept(client) {
        this.accepted++;
        client.on('error', () => {});
        if (this.refuses) client.resetAndDestroy();
        else this.pairs.add(new Pair(this, client, this.draw()));
        this.changed();
    }

    get tls() { return this.target.tls; }
    get open() { return this.pairs.size; }
    url(scheme = 'http') { return `${scheme}${this.tls ? 's' : ''}://${this.host}:${this.port}`; }
    state() { return `${this.accepted} accepted, ${this.open} open`; }

    do(deed) { for (const pair of [...this.pairs]) pair.do(deed); }
    // To one of them that nothing has met yet.
    doOne(deed, chance) {
        const well = [...this.pairs].filter((pair) => !pair.done);
        if (well.length) chance.one(well).do(deed);
    }
    heal() {
        this.draw = () => null;
        this.refuses = false;
    }

    async close() {
        for (const pair of [...this.pairs]) pair.drop();
        await new Promise((resolve) => this.server.close(resolve));
    }
}

// A fault at a random byte: half of them within a handshake or the first frames, some far into a stream.
export function drawFault(chance) {
    return { way: chance.one(['to', 'from']), after: chance.below(10 ** (1 + chance.below(4))), deed: chance.one(Object.keys(DEEDS)) };
}

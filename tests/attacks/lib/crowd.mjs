// crowd.mjs — many bare sockets at once.
//
// A peer keeps its half of the connection when the hub has ended its own: the hub has to let go by itself.
import { connect, reset } from '../../e2e/lib/line.mjs';
import { Watched } from '../../e2e/lib/wait.mjs';

export class Peer extends Watched {
    received = 0;
    ended = false;       // the hub has ended its half
    head = '';           // the first 4 KiB of what came
    tail = '';           // the last

    // reads: false leaves everything in the kernel
    constructor(where, bytes, { reads = true } = {}) {
        super();
        this.begun = Date.now();
        this.socket = connect(where, { allowHalfOpen: true });
        this.socket.on('error', () => {}).on('close', () => this.#end()).on('opened', () => { this.connected = true; this.changed(); });
        if (bytes.length) this.socket.write(bytes);
        if (reads) this.socket.on('data', (chunk) => this.#take(chunk)).on('end', () => this.#end());
        else this.socket.pause();
    }

    #take(chunk) {
        this.received += chunk.length;
        if (this.head.length < 4096) this.head += chunk.toString('latin1');
        this.tail = (this.tail + chunk.toString('latin1')).slice(-4096);
        this.changed();
    }

    #end() {
        this.lasted ??= Date.now() - this.begun;
        this.ended = true;
        this.changed();
    }

    state() { return `ended=${this.ended} after ${this.lasted} ms, ${this.received} bytes: ${JSON.stringify(this.head.slice(0, 200))}`; }
    end(ms) { return this.waitFor(() => this.ended, 'the hub to close', ms); }
    has(text, ms) {
        return this.waitFor(() => {
            if (this.head.includes(text) || this.tail.includes(text)) return true;
            if (this.ended) throw new Error(`ended without ${text}: ${this.state()}`);
            return false;
        }, text, ms);
    }
    drop() { this.socket.destroy(); this.socket.tcp?.destroy(); }
    reset() { reset(this.socket); }

    // One byte every few milliseconds, from the front again at the end, until the hub has enough of it.
    dribble(bytes, ms = 25) {
        let at = 0;
        const timer = setInterval(() => this.socket.write(bytes.subarray(at % bytes.length, (at++ % bytes.length) + 1)), ms);
        this.socket.on('close', () => clearInterval(timer));
    }
}

// n peers, all connected; dropped after the test. `bytes`: what each sends, or a function of its number.
export async function crowd(scope, where, n, bytes, options) {
    const peers = [];
    scope.defer(() => peers.forEach((peer) => peer.drop()));
    for (let i = 0; i < n; i++) peers.push(new Peer(where, typeof bytes === 'function' ? bytes(i) : bytes, options));
    await Promise.all(peers.map((peer) => peer.waitFor(() => peer.connected || peer.ended, 'a connection')));
    return peers;
}

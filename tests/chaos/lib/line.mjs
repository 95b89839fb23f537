// line.mjs — the TCP line between a hub and Redis, which can be made to fail in all the ways that lines do.
//
//   to, from        which way: from the hub to Redis, from Redis to the hub
//   'commands', 'listener'   which of the hub's two links, told apart by the name that each gives itself; null: both
//
// What is held is not lost: it goes on when the line heals, as TCP does it after packets were lost. What is forgotten is.
import net from 'node:net';

class Pair {
    kind = null;                                  // of the link; null: it has not said so yet
    held = { to: [], from: [] };
    late = { to: [], from: [] };                  // what is on its way: nothing may overtake it
    forgotten = false;

    constructor(line, hub) {
        Object.assign(this, { line, hub });
        this.redis = net.connect(line.target.port, line.target.host);
        for (const socket of [this.hub, this.redis]) {
            socket.setNoDelay(true);
            socket.on('error', () => {});
            socket.on('close', () => { if (!this.forgotten) this.drop(); });
        }
        this.hub.on('data', (bytes) => { this.#notice(bytes); this.#pass('to', bytes); });
        this.redis.on('data', (bytes) => this.#pass('from', bytes));
    }

    #notice(bytes) {
        if (!this.kind) this.kind = /carillon:(commands|listener)/.exec(bytes.toString('latin1'))?.[1] ?? null;
    }
    is(kind) { return !kind || this.kind === kind; }
    out(way) { return way === 'to' ? this.redis : this.hub; }
    in(way) { return way === 'to' ? this.hub : this.redis; }

    #pass(way, bytes) {
        if (this.forgotten) return;
        if (this.line.holds(this, way)) {
            this.held[way].push(bytes);
            this.in(way).pause();                 // so that whoever sends is held up, as by a window that is closed
        } else if (this.line.delay || this.late[way].length) {
            this.#later(way, bytes);
        } else if (!this.out(way).write(bytes)) {
            this.in(way).pause();
            this.out(way).once('drain', () => { if (!this.line.holds(this, way)) this.in(way).resume(); });
        }
    }

    // One after the other, whatever the delay is meanwhile.
    #later(way, bytes) {
        const late = this.late[way];
        late.push({ bytes, at: Date.now() + this.line.delay });
        if (late.length === 1) this.#sendLate(way);
    }
    #sendLate(way) {
        const [first] = this.late[way];
        setTimeout(() => {
            if (this.forgotten) return;
            this.out(way).write(this.late[way].shift().bytes);
            if (this.late[way].length) this.#sendLate(way);
        }, first.at - Date.now());
    }

    release() {
        for (const way of ['to', 'from']) {
            if (this.line.holds(this, way)) continue;
            for (const bytes of this.held[way].splice(0)) this.out(way).write(bytes);
            this.in(way).resume();
        }
    }

    // Redis' side goes; the hub's stays, and nobody ever answers there.
    forget() {
        this.forgotten = true;
        this.redis.destroy();
        this.hub.resume();
    }

    reset() {
        this.hub.resetAndDestroy();
        this.redis.resetAndDestroy();
        this.drop();
    }

    drop() {
        this.hub.destroy();
        this.redis.destroy();
        this.line.pairs.delete(this);
    }
}

export class Line {
    pairs = new Set();
    delay = 0;              // ms, each way
    refuses = false;        // new connections are reset
    #holding = [];          // { way, kind }

    static async to(target) {
        const line = new Line();
        line.target = target;
        line.server = net.createServer((hub) => {
            if (line.refuses) hub.resetAndDestroy();
            else line.pairs.add(new Pair(line, hub));
        });
        await new Promise((resolve, reject) => line.server.once('error', reject).listen(0, '127.0.0.1', resolve));
        line.port = line.server.address().port;
        return line;
    }

    holds(pair, way) { return this.#holding.some((one) => one.way === way && pair.is(one.kind)); }
    hold(ways, kind = null) { this.#holding.push(...ways.map((way) => ({ way, kind }))); }
    of(kind) { return [...this.pairs].filter((pair) => pair.is(kind)); }
    forget(kind = null) { for (const pair of this.of(kind)) pair.forget(); }
    reset(kind = null) { for (const pair of this.of(kind)) pair.reset(); }

    heal() {
        this.#holding = [];
        this.delay = 0;
        this.refuses = false;
        for (const pair of this.pairs) pair.release();
    }

    async close() {
        for (const pair of [...this.pairs]) pair.drop();
        await new Promise((resolve) => this.server.close(resolve));
    }
}

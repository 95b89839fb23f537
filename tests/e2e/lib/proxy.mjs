// proxy.mjs — a TCP line between a client and a hub that a test can cut; TLS goes through it as it is.
import net from 'node:net';
import { Watched } from './wait.mjs';

export class CutProxy extends Watched {
    accepted = 0;
    refusing = false;       // new connections are reset at once while set
    #pairs = new Set();

    constructor(target) {
        super();
        this.target = target;       // { host, port, tls }, may be changed
        this.server = net.createServer((client) => this.#onClient(client));
    }

    async listen() {
        await new Promise((resolve, reject) => this.server.once('error', reject).listen(0, '127.0.0.1', resolve));
        this.host = '127.0.0.1';
        this.port = this.server.address().port;
    }

    get tls() { return this.target.tls; }

    #onClient(client) {
        if (this.refusing) { client.resetAndDestroy(); return; }
        const hub = net.connect(this.target.port, this.target.host);
        const pair = { client, hub };
        this.#pairs.add(pair);
        this.accepted++;
        const drop = () => { client.destroy(); hub.destroy(); this.#pairs.delete(pair); this.changed(); };
        for (const socket of [client, hub]) socket.on('error', drop).on('close', drop);
        client.pipe(hub);
        hub.pipe(client);
        this.changed();
    }

    get open() { return this.#pairs.size; }

    // Both sides see a reset, as when a line breaks and comes back: nobody said goodbye.
    cut() {
        for (const { client, hub } of this.#pairs) { client.resetAndDestroy(); hub.resetAndDestroy(); }
        this.#pairs.clear();
    }

    async close() {
        this.cut();
        await new Promise((resolve) => this.server.close(resolve));
    }
}

// frames.mjs — a WebSocket proxy between a client and a hub that sees frames: a test looks at each, drops it, holds it back or cuts the line there.
//
//   const proxy = await FrameProxy.listen(scope, hub);
//   proxy.onFrame = (frame, side) => 'cut';      // side: 'hub' or 'client', who says it. 'cut', 'drop', a promise (waits for it), or nothing
//   connect(proxy.url, …)
import http from 'node:http';
import WebSocket, { WebSocketServer } from 'ws';
import { to } from './line.mjs';
import { Watched } from './wait.mjs';

export class FrameProxy extends Watched {
    said = [];              // every frame that was passed on: { side, frame }
    connections = 0;
    refusing = false;       // handshakes are answered with 502, as by a proxy that knows no WebSockets; all other requests are passed on
    onFrame = () => {};
    #pairs = new Set();

    static async listen(scope, hub) {
        const proxy = new FrameProxy();
        proxy.hub = hub;
        proxy.server = http.createServer((request, response) => proxy.#request(request, response));
        const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 16 * 1024 * 1024 });
        proxy.server.on('upgrade', (request, socket, head) => {
            socket.on('error', () => {});
            if (proxy.refusing) return void socket.end('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
            sockets.handleUpgrade(request, socket, head, (client) => proxy.#pair(client, request.url));
        });
        await new Promise((resolve) => proxy.server.listen(0, '127.0.0.1', resolve));
        proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
        scope.defer(() => proxy.close());
        return proxy;
    }

    // All but WebSockets is passed on as it is.
    #request({ method, url, headers }, response) {
        const asked = http.request({ ...to(this.hub.public), method, path: url, headers }, (answer) => {
            response.writeHead(answer.statusCode, answer.headers);
            answer.pipe(response);
        });
        asked.on('error', () => response.destroy());
        response.on('close', () => asked.destroy());
        asked.end();
    }

    #pair(client, url) {
        const hub = new WebSocket(this.hub.wsUrl(url), 'carillon.v1', { perMessageDeflate: false, maxPayload: 16 * 1024 * 1024 });
        const pair = { client, hub, isCut: false };
        this.#pairs.add(pair);
        this.connections++;
        const opened = new Promise((resolve) => hub.once('open', resolve).once('close', resolve));      // a hub that is down closes at once
        for (const [side, from, to] of [['hub', hub, client], ['client', client, hub]]) {
            let before = opened;
            from.on('error', () => {});
            from.on('message', (bytes) => { before = before.then(() => this.#pass(pair, side, bytes.toString(), to)); });
            from.on('close', (code, reason) => { before = before.then(() => this.#close(pair, to, code, reason)); });
        }
        this.changed();
    }

    async #pass(pair, side, text, to) {
        const frame = JSON.parse(text), verdict = await (pair.isCut ? 'drop' : this.onFrame(frame, side));
        if (verdict === 'drop') return;
        if (verdict === 'cut') return this.#cut(pair);
        if (to.readyState === WebSocket.OPEN) to.send(text);
        this.said.push({ side, frame });
        this.changed();
    }

    #close(pair, to, code, reason) {
        this.#pairs.delete(pair);
        if (pair.isCut || code === 1006 || code === 1005) to.terminate();
        else to.close(code, reason);
        this.changed();
    }

    #cut(pair) {
        pair.isCut = true;
        for (const socket of [pair.client, pair.hub]) socket.terminate();
    }

    get open() { return this.#pairs.size; }
    cut() { for (const pair of this.#pairs) this.#cut(pair); }
    of(side, type) { return this.said.filter((each) => each.side === side && each.frame.type === type).map(({ frame }) => frame); }
    state() { return this.said.slice(-15).map(({ side, frame }) => `${side}: ${JSON.stringify(frame).slice(0, 200)}`).join('\n    '); }

    async close() {
        this.cut();
        this.server.closeAllConnections();
        await new Promise((resolve) => this.server.close(resolve));
    }
}

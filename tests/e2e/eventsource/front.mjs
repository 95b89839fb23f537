// front.mjs — an HTTP server before a hub, as a proxy or a site has one: it brings the test's page, passes requests on, writes down what it saw,
// and does what proxies do at the worst moment. Encrypted when the suite is.
//
//   const front = await Front.start(scope, hub);
//   front.rule('/sse', (request, response, pass) => …);      // instead of passing it on
//   front.requests                                           // [{ method, url, headers, text: what was answered, ended }]
import http from 'node:http';
import https from 'node:https';
import { readFileSync } from 'node:fs';
import { SUITE_TLS, to } from '../lib/line.mjs';
import { Watched } from '../lib/wait.mjs';

const E2E = new URL('..', import.meta.url);
const SERVED = /^\/e2e\/(eventsource\/(page|worker|shared|listen|source)|lib\/event-stream)\.mjs$/;
const PAGE = '<!doctype html><meta charset="utf-8"><title>listening</title><link rel="icon" href="data:,"><script type="module" src="page.mjs"></script>';

export class Front extends Watched {
    requests = [];
    forwardedFor = undefined;      // whom it names as the client
    #rules = new Map();
    #sockets = new Set();

    static async start(scope, hub) {
        const front = new Front(), options = { maxHeaderSize: 1 << 17, ...(SUITE_TLS && { key: readFileSync(SUITE_TLS.key), cert: readFileSync(SUITE_TLS.cert) }) };
        front.hub = hub;
        front.server = (SUITE_TLS ? https : http).createServer(options, (request, response) => front.#onRequest(request, response));
        front.server.on(SUITE_TLS ? 'secureConnection' : 'connection', (socket) => {
            front.#sockets.add(socket);
            socket.on('error', () => {}).on('close', () => front.#sockets.delete(socket));
        });
        await new Promise((resolve, reject) => front.server.once('error', reject).listen(0, '127.0.0.1', resolve));
        scope.defer(() => front.close());
        return front;
    }

    // As new, for the next test.
    reset() {
        this.requests = [];
        this.#rules.clear();
        this.forwardedFor = undefined;
    }

    get origin() { return `http${SUITE_TLS ? 's' : ''}://127.0.0.1:${this.server.address().port}`; }
    url(where) { return this.origin + where; }
    get page() { return this.url('/e2e/eventsource/page.html'); }
    state() { return JSON.stringify(this.requests.slice(-4), null, 1); }
    rule(path, handler) { this.#rules.set(path, handler); }
    of(path) { return this.requests.filter((r) => r.url.split('?')[0] === path); }

    #onRequest(request, response) {
        const path = request.url.split('?')[0];
        if (path === '/e2e/eventsource/page.html') { response.writeHead(200, { 'Content-Type': 'text/html' }).end(PAGE); return; }
        if (SERVED.test(path)) { response.writeHead(200, { 'Content-Type': 'text/javascript' }).end(readFileSync(new URL(path.slice('/e2e/'.length), E2E))); return; }
        const seen = { method: request.method, url: request.url, headers: request.headers, text: '', ended: false };
        response.on('close', () => { seen.ended = true; this.changed(); });
        this.requests.push(seen);
        const pass = (options) => this.#pass(request, response, seen, options);
        const rule = this.#rules.get(path);
        if (rule) rule(request, response, pass, seen); else pass();
        this.changed();
    }

    // as: another path. until: the line to the client is reset when `until(text)` says how many bytes of it he is to have.
    #pass(request, response, seen, { as = request.url, headers = {}, until } = {}) {
        const sent = { ...request.headers, ...(this.forwardedFor && { 'x-forwarded-for': this.forwardedFor }) };
        const onward = http.request({ ...to(this.hub.public), path: as, method: request.method, headers: sent, setHost: false });
        response.on('close', () => onward.destroy());
        onward.on('error', () => response.destroy());
        onward.on('response', (answer) => {
            response.writeHead(answer.statusCode, { ...answer.headers, ...headers });
            response.flushHeaders();
            answer.on('error', () => response.destroy());
            answer.on('data', (bytes) => {
                seen.text += bytes;
                const cut = until?.(seen.text);
                if (cut === undefined) response.write(bytes);
                else this.#cutAfter(response, bytes.subarray(0, cut - (seen.text.length - bytes.length)));
                this.changed();
            });
            answer.on('end', () => response.end());
        });
        onward.end();
    }

    // The client has these bytes before the end: they have left when `write` says so, and what was read is not lost by a FIN.
    #cutAfter(response, bytes) { response.write(bytes, () => response.socket?.destroySoon()); }

    // All lines break: nobody said goodbye.
    cut() { for (const socket of this.#sockets) if (SUITE_TLS) socket.destroy(); else socket.resetAndDestroy(); }

    async close() {
        this.server.close();
        for (const socket of this.#sockets) socket.destroy();
    }
}

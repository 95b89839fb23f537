// receiver.mjs — a partner's server that receives webhooks, keeps every request as it came, and misbehaves on command.
//
//   const receiver = await Receiver.start(scope);                   // { tls: identity } over TLS, { http2: true } too
//   receiver.answer('/hook', 503, retryAfter(429, 2), 'reset', 200) // what the next requests of this path get; the last one stays
//   receiver.url('/hook')                                           // for the endpoint
//   await receiver.requests('/hook', 4);                            // waits: the first four, oldest first
//
// An answer is a status, { status, headers, body, delay }, the name of one of `misdeeds`, or a function of the exchange.
// A request is { path, method, head, headers, body, at, connection, nth, said }: head is the bytes of its head, headers are those lines
// by their names in small letters, at is when its head had come, connection counts from 1, nth is which one it is on that connection,
// said is what it was told ('200', or the name of a misdeed). Nothing of Node's HTTP server is in between, so nothing is tidied up;
// HTTP/2 is Node's.
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { once } from 'node:events';
import { Authority } from './certificate.mjs';
import { Watched } from './wait.mjs';

const REASONS = { 200: 'OK', 201: 'Created', 202: 'Accepted', 204: 'No Content', 301: 'Moved Permanently', 302: 'Found', 307: 'Temporary Redirect', 308: 'Permanent Redirect',
    400: 'Bad Request', 401: 'Unauthorized', 404: 'Not Found', 410: 'Gone', 429: 'Too Many Requests', 500: 'Internal Server Error', 503: 'Service Unavailable' };
const GIGABYTE = 1 << 30;
const OK = { status: 200 };

export const retryAfter = (status, seconds) => ({ status, headers: { 'Retry-After': `${seconds}` } });
export const retryAfterDate = (status, seconds) => (x) => x.answer({ status, headers: { 'Retry-After': new Date(Date.now() + seconds * 1000).toUTCString() } });
export const redirect = (status, location) => ({ status, headers: { Location: location } });
export const slowly = (delay, answer = OK) => ({ ...answer, delay });

// What a receiver may do to whoever sends to it; each has the exchange: the request, its socket, and ways to answer.
export const misdeeds = {
    never: () => {},                                                         // takes the request and says nothing
    hangUp: (x) => x.socket.end(),
    reset: (x) => x.reset(),
    resetInHead: (x) => x.write('HTTP/1.1 200 OK\r\nContent-Ty', () => x.reset()),
    resetInBody: (x) => x.write('HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello', () => x.reset()),
    cut: (x) => x.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello'),
    garbage: (x) => x.socket.end(Buffer.from('\x16\x03\x01\x02\x00 this is no HTTP \xff\xfe\r\n\r\n', 'latin1')),
    noStatus: (x) => x.socket.end('HTTP/1.1 yes OK\r\nContent-Length: 0\r\n\r\n'),
    twoLengths: (x) => x.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\nhello'),
    drip: (x) => x.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n', () => x.everyMs(50, () => x.write('.'))),
    dripHead: (x) => x.write('HTTP/1.1 200 OK\r\nX-Slow: ', () => x.everyMs(50, () => x.write('.'))),
    endless: (x) => x.flood('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n', Buffer.alloc(64 << 10, 'and so on '), Infinity),
    endlessHead: (x) => x.flood('HTTP/1.1 200 OK\r\n', Buffer.from('X-More: and so on\r\n'.repeat(1000)), Infinity),
    endlessContinue: (x) => x.flood('', Buffer.from('HTTP/1.1 100 Continue\r\n\r\n'.repeat(1000)), Infinity),
    gigabyte: (x) => x.flood(`HTTP/1.1 200 OK\r\nContent-Length: ${GIGABYTE}\r\n\r\n`, Buffer.alloc(1 << 20, 'x'), GIGABYTE),
    close: (x) => x.socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok'),
    closeSilently: (x) => x.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),      // as if it kept the connection
    deadNext: (x) => { x.connection.dead = true; x.answer(OK); },                              // the next request of the connection finds it dead
};

class Exchange {
    constructor(receiver, connection, request) {
        Object.assign(this, { receiver, connection, request, socket: connection.socket });
    }

    // RST also under TLS, where Node has it for the socket below only.
    reset() { this.connection.reset(); }
    write(bytes, then) { if (!this.socket.destroyed) this.socket.write(bytes, then); }
    everyMs(ms, act) { this.receiver.every(ms, act, this.socket); }

    // As fast as it is taken, up to `bytes`.
    flood(head, chunk, bytes) {
        let left = bytes;
        const more = () => {
            while (left > 0 && !this.socket.destroyed) {
                left -= chunk.length;
                if (!this.socket.write(chunk)) return;
            }
        };
        this.socket.on('drain', more);
        this.write(head);
        more();
    }

    answer({ status = 200, headers = {}, body = '', delay = 0 }) {
        const bytes = Buffer.from(body);
        const lines = Object.entries({ 'Content-Length': bytes.length, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
        const say = () => this.write(Buffer.concat([Buffer.from(`HTTP/1.1 ${status} ${REASONS[status] ?? 'Whatever'}\r\n${lines.join('')}\r\n`), bytes]));
        this.request.said = `${status}`;
        if (delay) this.receiver.later(delay, say);
        else say();
    }
}

// The same over HTTP/2, where there is no socket to misuse: only answers, and functions that do without one.
class Exchange2 extends Exchange {
    answer({ status = 200, headers = {}, body = '', delay = 0 }) {
        const stream = this.connection.stream;
        const say = () => { if (!stream.destroyed) { stream.respond({ ':status': status, ...headers }); stream.end(body); } };
        this.request.said = `${status}`;
        if (delay) this.receiver.later(delay, say);
        else say();
    }
}

// The requests of one connection, out of its bytes.
class Connection {
    #bytes = Buffer.alloc(0);
    #nth = 0;
    dead = false;

    constructor(receiver, socket, number) {
        Object.assign(this, { receiver, socket, number });
        socket.on('data', (bytes) => this.#read(bytes));
        socket.on('error', () => {});
    }

    reset() {
        const below = this.receiver.below(this.socket);
        if (!this.socket.destroyed) below.resetAndDestroy();
    }

    #read(bytes) {
        if (this.dead) { this.reset(); return; }
        this.#bytes = Buffer.concat([this.#bytes, bytes]);
        for (let request; (request = this.#take());) this.receiver.take(new Exchange(this.receiver, this, request));
    }

    #take() {
        const end = this.#bytes.indexOf('\r\n\r\n');
        if (end < 0) return null;
        const head = this.#bytes.subarray(0, end + 4), lines = head.toString('latin1').split('\r\n').slice(0, -2);
        const [method, path] = lines[0].split(' ');
        const headers = Object.fromEntries(lines.slice(1).map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
        if (headers['transfer-encoding']) throw new Error('this receiver takes bodies with a Content-Length');
        this.headAt ??= Date.now();
        const length = Number(headers['content-length'] ?? 0);
        if (this.#bytes.length < end + 4 + length) return null;
        const request = { method, path, head, headers, body: Buffer.from(this.#bytes.subarray(end + 4, end + 4 + length)), at: this.headAt, connection: this.number, nth: ++this.#nth, version: 1 };
        this.#bytes = this.#bytes.subarray(end + 4 + length);
        this.headAt = undefined;
        return request;
    }
}

export class Receiver extends Watched {
    #answers = new Map();        // path -> what the next ones get
    #timers = new Set();
    #sockets = new Set();
    all = [];                    // requests, in the order in which they were whole
    connections = 0;
    handshakes = 0;              // that failed

    // tls: an Identity of certificate.mjs. silent: takes connections, and reads nothing of them.
    static async start(scope, { tls: identity, http2: two = false, silent = false, host = '127.0.0.1', port = 0 } = {}) {
        const receiver = new Receiver();
        receiver.secure = !!identity;
        receiver.host = host;
        receiver.server = receiver.#serverOf(identity, two, silent);
        receiver.server.on('connection', (socket) => receiver.#own(socket));
        receiver.server.on('tlsClientError', () => { receiver.handshakes++; receiver.changed(); });
        receiver.server.listen(port, host);
        await once(receiver.server, 'listening');
        receiver.port = receiver.server.address().port;
        scope.defer(() => receiver.stop());
        return receiver;
    }

    #serverOf(identity, two, silent) {
        const begin = (socket) => { if (!silent) new Connection(this, socket, ++this.connections); };
        if (!identity) return net.createServer(begin);
        if (!two) return tls.createServer(identity.files, begin);
        const server = http2.createSecureServer(identity.files);
        server.on('session', (session) => { session.number = ++this.connections; session.on('error', () => {}); });
        server.on('stream', (stream, headers) => this.#take2(stream, headers));
        return server;
    }

    async #take2(stream, headers) {
        const at = Date.now(), body = [], { number } = stream.session;      // which is gone when the stream has ended
        stream.on('error', () => {});
        for await (const bytes of stream) body.push(bytes);
        this.take(new Exchange2(this, { stream, number }, { method: headers[':method'], path: headers[':path'], headers, body: Buffer.concat(body), at,
            connection: number, nth: (stream.id + 1) / 2, version: 2 }));
    }

    // The TCP socket of a connection: itself, or the one that its TLS is on.
    below(socket) { return this.#sockets.has(socket) ? socket : [...this.#sockets].find((one) => one.remotePort === socket.remotePort) ?? socket; }

    #own(socket) {
        this.#sockets.add(socket);
        socket.on('close', () => this.#sockets.delete(socket));
        socket.on('error', () => {});
    }

    url(path = '/', host = this.secure ? 'localhost' : this.host) { return `http${this.secure ? 's' : ''}://${host}:${this.port}${path}`; }
    answer(path, ...answers) { this.#answers.set(path, answers); return this; }

    #next(path) {
        const answers = this.#answers.get(path) ?? [OK];
        return answers.length > 1 ? answers.shift() : answers[0];
    }

    take(exchange) {
        const next = this.#next(exchange.request.path);
        this.all.push(exchange.request);
        if (typeof next === 'number') exchange.answer({ status: next });
        else if (typeof next === 'object') exchange.answer(next);
        else this.#misdo(exchange, next);
        this.changed();
    }

    #misdo(exchange, next) {
        const misdeed = typeof next === 'function' ? next : misdeeds[next];
        if (!misdeed) throw new Error(`no misdeed is called ${next}`);
        exchange.request.said = typeof next === 'function' ? next.name || 'function' : next;
        misdeed(exchange);
    }

    of(path) { return path ? this.all.filter((request) => request.path === path) : this.all; }
    accepted(path) { return this.of(path).filter(({ said }) => /^2\d\d$/.test(said)); }
    // The first n that came, also when there are more.
    requests(path, n = 1) { return this.waitFor(() => this.of(path).length >= n && this.of(path).slice(0, n), `${n} requests at ${path}`); }
    state() { return `${this.connections} connections, requests: ${this.all.map(({ path, said }) => `${path} ${said}`).slice(-20).join(', ')}`; }

    later(ms, act) {
        const timer = setTimeout(() => { this.#timers.delete(timer); act(); }, ms);
        this.#timers.add(timer);
    }
    every(ms, act, socket) {
        const timer = setInterval(act, ms);
        this.#timers.add(timer);
        socket.on('close', () => { clearInterval(timer); this.#timers.delete(timer); });
    }

    // Cuts what is open: an endpoint that goes away, and may come back at the same port.
    async stop() {
        for (const timer of this.#timers) clearTimeout(timer);
        for (const socket of this.#sockets) socket.destroy();
        if (!this.server.listening) return;
        this.server.close();
        await once(this.server, 'close');
    }
}

// Identities of a receiver: `good` for those who trust authority.file, the others for nobody.
export function identities(dir) {
    const authority = new Authority(dir), stranger = new Authority(`${dir}/stranger`);
    return {
        authority,
        good: authority.issue('receiver'),
        misnamed: authority.issue('misnamed', { names: 'DNS:other.example' }),
        unknown: stranger.issue('unknown'),
    };
}

// carillon.js — the client of Carillon for browsers and Node (20 or newer), without dependencies.
//
//   const hub = connect('https://hub.example', { token: () => fetch('/token').then((r) => r.text()) });
//   const chat = hub.subscribe('chat.lobby', (message) => show(message.data), { since: '-20' });
//   for await (const message of hub.subscribe('orders.*')) …
//   await hub.publish('chat.lobby', { text: 'hello' });
//
// One connection for everything, made when it is first needed. It comes back by itself and resumes: each subscription gets every message
// once and in order, or `onGap` says where some may be missing. The wire contract is PROTOCOL.md, the types are in carillon.d.ts.
//
//   Hub ──> a line: SocketLine, or StreamLine where WebSockets do not get through; one at a time, another when it is lost
//    ├─ Channel: one name that the hub is subscribed to, and how far it has been read ──> Subscription: who wants it
//    └─ commands that have no answer yet: they are asked again on the next line
//
// Sections: positions · subscriptions · channels · lines · the hub (lines come and go, commands, subscribing, what comes).

const PING_MS = 25_000, PONG_MS = 10_000, TIMEOUT_MS = 10_000, TOKEN_MS = 15_000;
const WAIT_MS = 500, WAIT_MOST_MS = 10_000;          // between attempts, as long as the hub has not said how long
const AGAIN_MS = 60_000, AGAIN_MOST_MS = 1_800_000;  // a stream serves for so long before a WebSocket is tried again, twice as long each time in vain
const FRAME_BYTES = 1024 * 1024 + 4096, FRAME_CHANNELS = 500, SOON_TRIES = 50;

// What will be otherwise in a moment, and what is not even known to have failed: asked again by itself.
const SOON = new Set(['draining', 'idempotency_in_progress', 'outcome_unknown']);
// A subscription that is refused so is asked for again.
const LATER = new Set(['busy', 'draining', 'out_of_memory', 'rate_limited', 'redis_away', 'timeout', 'internal']);
// These end the connection where no close code says so.
const LASTING = new Set(['unauthenticated', 'bad_token', 'token_revoked', 'key_expired', 'key_revoked', 'forbidden', 'bad_origin', 'disconnected']);
const RENEWABLE = new Set(['bad_token', 'token_expired', 'token_revoked']);

export class CarillonError extends Error {
    constructor(code, message = code, more = {}) {
        super(message);
        this.name = 'CarillonError';
        this.code = code;
        Object.assign(this, more);
    }
}

export const connect = (url, options) => new Hub(url, options);

const lost = (message = 'the line was lost') => new CarillonError('unreachable', message);
const closed = () => new CarillonError('closed', 'the connection was closed');
const told = ({ code, message, reason, position, retry_after: retryAfter }, more) => new CarillonError(code, message ?? reason, { position, retryAfter, ...more });

// Nobody has to look at a promise of ours.
function quiet(promise) {
    promise.catch(() => {});
    return promise;
}

// Calls what is not ours: whatever it throws, or its promise, is told and harms nobody.
function call(fn, args, report) {
    try {
        fn?.(...args)?.catch?.(report);
    } catch (error) {
        report(error);
    }
}

async function within(promise, ms) {
    let timer;
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`nothing came within ${ms} ms`)), ms); });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// randomUUID() is there in secure contexts only.
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

// ---- positions: <epoch>.<number> ----

const split = (position) => position.split('.');

// Positions are compared along one stream: what is of another epoch came later.
function isNewer(a, b) {
    if (!b) return true;
    const [epochA, numberA] = split(a), [epochB, numberB] = split(b);
    if (epochA !== epochB) return true;
    return numberA.length === numberB.length ? numberA > numberB : numberA.length > numberB.length;
}

const later = (a, b) => (a && !(b && isSameEpoch(a, b) && isNewer(b, a)) ? a : b);
const older = (a, b) => (isSameEpoch(a, b) && isNewer(b, a) ? a : b);
const isSameEpoch = (a, b) => split(a)[0] === split(b)[0];

function justBefore(id) {
    const [epoch, number] = split(id);
    return `${epoch}.${BigInt(number) - 1n}`;
}

// `*` is one segment, `**` at the end one or more.
function matches(pattern, channel) {
    const wanted = pattern.split('.'), has = channel.split('.');
    return wanted.every((segment, i) => i < has.length && (segment === '*' || segment === '**' || segment === has[i])) &&
        (wanted.at(-1) === '**' || wanted.length === has.length);
}

// ---- subscriptions ----

// What an application holds in its hand: waiting, then live, then closed. Several of one name share a Channel.
class Subscription {
    state = 'waiting';
    last = null;        // the newest it has had, or where it began

    constructor(hub, name, listener, options) {
        Object.assign(this, { hub, name, listener, options, since: options.since ?? undefined });
        this.ready = quiet(new Promise((resolve, reject) => Object.assign(this, { resolve, reject })));
    }

    close() { this.end(); }

    // With an error it was not the application that ended it. `isTold`: all of the hub ends, and says so once.
    end(error, isTold) {
        if (this.state === 'closed') return;
        this.state = 'closed';
        this.error = error;
        this.reject(error ?? new CarillonError('closed', 'the subscription was closed'));
        this.hub.drop(this);
        this.wake?.();
        if (!error) return;
        if (this.options.onEnd) this.call(this.options.onEnd, error);
        else if (!isTold && !this.isIterated) this.hub.tell('error', error);
    }

    call(fn, ...args) { call(fn, args, (error) => this.hub.tell('error', error)); }

    begin(position) {
        this.state = 'live';
        this.began = this.last = position;
    }

    take(message) {
        if (this.state !== 'live' || !isNewer(message.id, this.last)) return;
        this.last = message.id;
        this.call(this.listener, message);
    }

    start() {
        this.hub.add(this);
        return this;
    }

    async *[Symbol.asyncIterator]() {
        if (this.listener) throw new TypeError('a subscription with a listener cannot be iterated, nor one twice');
        const waiting = [], most = this.options.buffer ?? 1000;
        this.isIterated = true;
        this.listener = (message) => {
            if (waiting.length === most) this.end(new CarillonError('slow_consumer', `more than ${most} messages were waiting`));
            else waiting.push(message);
            this.wake?.();
        };
        this.start();
        try {
            for (;;) {
                while (waiting.length) yield waiting.shift();
                if (this.error) throw this.error;
                if (this.state === 'closed') return;
                await new Promise((wake) => { this.wake = wake; });
            }
        } finally {
            this.close();
        }
    }
}

// ---- channels ----

// One name the hub is subscribed to, for all who want it.
//
//   off ──subscribe──> asked ──`subscribed`──> replaying ──`position`──> live
//    ^                              └── nothing to replay ────────────────^
//    └── the line is lost, from any of them
//
// A marked message is for those that replay, any other for those that are live: else one that came early by another name would
// hide what a replay has still to bring.
class Channel {
    subs = new Set();
    state = 'off';
    position = null;        // so far it has been read; counts unless it is live: then the line's does, but at least `began`
    began = null;
    asking = [];            // those for whom it begins somewhere of their own
    apart = null;           // { subs, before }: what replays has holes and is for these alone; then all go on from `before`

    constructor(name) { this.name = name; }

    get presence() { return [...this.subs].some((sub) => sub.options.presence) || undefined; }
    get waiting() { return [...this.subs].filter((sub) => sub.state === 'waiting'); }
    get live() { return [...this.subs].filter((sub) => sub.state === 'live'); }
    upTo(line) { return this.state === 'live' ? later(line, this.began) : this.position; }

    // Where it is to begin: where it was, for those who are in it; then (`isNext`) where one wants that has just come. `alone`: also who
    // wants it from now on.
    ask(isNext, alone) {
        if (!this.live.length) this.position = null;      // whoever had read so far has gone
        const { waiting } = this, first = isNext || !this.position ? waiting.find((sub) => sub.since !== undefined) : null;
        if (first) this.asking = waiting.filter((sub) => sub.since === first.since);
        else this.asking = this.position && !alone ? [] : waiting;
        return first || this.asking.length ? first?.since : this.position ?? undefined;
    }

    // Does it have to be asked for once more?
    isUnfit(wantsPresence = this.presence) { return this.waiting.some((sub) => sub.since !== undefined) || (wantsPresence && !this.toldPresence); }
}

// ---- lines ----

// Gives frames of the WebSocket contract to on.frame(), and says on.down(error, wasOpen) once; error.isFinal: not to come again.
class Line {
    isOpen = false;
    constructor(on) { this.on = on; }

    watch(ms, late) {
        clearTimeout(this.timer);
        this.timer = setTimeout(late, ms);
    }

    take(frame) {
        this.isOpen = true;
        this.on?.frame(frame);
    }

    end(error) {
        const { on, isOpen } = this;
        if (!on) return;
        this.close(true);
        on.down(error, isOpen);
    }
}

class SocketLine extends Line {
    constructor(hub, on) {
        super(on);
        const { WebSocket, client, ping, timeout } = hub.options;
        if (!WebSocket) throw new CarillonError('unsupported', 'there is no WebSocket here: give one by the option `WebSocket`', { isFinal: true });
        const url = hub.urlOf('/ws', client ? [['client', client]] : []);
        url.protocol = url.protocol.replace('http', 'ws');
        this.pingMs = ping;
        this.socket = new WebSocket(url.href, 'carillon.v1');
        this.socket.onmessage = ({ data }) => this.#read(data);
        this.socket.onclose = ({ code, reason }) => this.#closed(code, reason);
        this.socket.onerror = () => {};      // onclose follows
        this.watch(timeout, () => this.end(lost('the hub did not answer')));
    }

    #read(data) {
        let frame;
        try { frame = JSON.parse(data); } catch { return this.end(lost('what came was not of a hub')); }
        this.watch(this.pingMs, () => this.ping());
        if (frame.ref !== undefined) this.#expect(null);
        this.take(frame);
    }

    // What is sent is answered, if only by and by: a line may be dead in this direction alone.
    #expect(late, ms) {
        clearTimeout(this.doubt);
        this.doubt = late && setTimeout(late, ms);
    }

    // A line that died in silence is told by a ping without an answer: pages do not see those of the protocol.
    // A page that slept over it may not have heard the answer yet: it asks once more.
    ping(ms = Math.min(PONG_MS, this.pingMs), isAgain = false) {
        if (!this.isOpen) return;
        clearTimeout(this.timer);
        this.socket.send('{"type":"ping","ref":"ping"}');
        const due = Date.now() + ms;
        this.#expect(() => (Date.now() > due + 5000 && !isAgain ? this.ping(ms, true) : this.end(lost('the line is dead'))), ms);
    }

    send(frame) {
        this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
        if (!this.doubt) this.#expect(() => this.ping(), this.pingMs);
    }

    #closed(code, reason) {
        const isFinal = code >= 4100 && code < 4200;
        this.end(new CarillonError(isFinal ? 'refused' : code === 1009 ? 'frame_too_large' : 'unreachable', `the line was closed: ${code} ${reason}`.trim(), { isFinal }));
    }

    close(isDead) {
        clearTimeout(this.timer);
        clearTimeout(this.doubt);
        this.on = null;
        this.socket.onmessage = this.socket.onclose = null;
        if (isDead && this.socket.terminate) this.socket.terminate();
        else if (this.socket.readyState < 2) this.socket.close(1000);
    }
}

// Where WebSockets do not get through: a stream of events, read by fetch(). It cannot be spoken to, so other channels are another
// stream; it has one position, so what begins somewhere of its own is polled up to the present before it.
class StreamLine extends Line {
    isStream = true;
    #abort = new AbortController();

    // `isKnock`: only to know whether the hub can be reached by HTTP.
    constructor(hub, on, isKnock) {
        super(on);
        this.hub = hub;
        this.silentMs = 1.8 * hub.options.ping;      // three heartbeats
        (isKnock ? this.#knock('reachable') : this.#run()).then(() => this.end(lost()), (error) => this.end(error instanceof CarillonError ? error : lost(error.message)));
    }

    async #run() {
        for (let groups; this.on && (groups = this.hub.groups(this)).length;)
            for (const { since, channels } of groups) await this.#prime(channels, since);
        if (!this.on) return;
        const names = this.hub.names();
        if (!names.length) return this.#knock('ready');
        const query = [['format', 'envelope'], ...names.map((name) => ['channel', name])];
        if (this.hub.tellsPresence()) query.push(['presence', 'true']);
        const response = await this.#get('/sse', query, { 'Last-Event-ID': this.hub.position });
        if (!/^text\/event-stream/.test(response.headers.get('Content-Type'))) throw lost('what answers there is no hub');
        this.#listen();
        await this.#blocks(response.body.pipeThrough(new TextDecoderStream()));
    }

    async #get(path, query, headers) {
        const { client, credentials, timeout } = this.hub.options;
        this.watch(timeout, () => this.end(lost('the hub did not answer')));
        const url = this.hub.urlOf(path, client ? [...query, ['client', client]] : query);
        const response = await fetch(url, { headers: { ...headers, ...this.hub.authorization() }, credentials, cache: 'no-store', signal: this.#abort.signal });
        if (!response.ok) throw await problemOf(response);
        return response;
    }

    async #prime(channels, since) {
        const query = [['timeout', '0'], ...channels.map(({ name }) => ['channel', name])];
        if (since !== undefined) query.push(['since', since]);
        try {
            const page = await (await this.#get('/poll', query)).json();
            if (this.on) this.hub.primed(channels, page);
        } catch (error) {
            if (error.status !== 400 && error.status !== 403) throw error;
            if (channels.length === 1) return this.hub.refuse(channels[0], error);
            for (const channel of channels) await this.#prime([channel], since);
        }
    }

    // Nothing to listen to: that a hub is there is all there is to know.
    async #knock(type) {
        await this.#get('/poll', [['timeout', '0']]).catch((error) => { if (error.code !== 'no_channel') throw error; });
        clearTimeout(this.timer);
        this.take({ type, channels: [] });
        await new Promise((resolve) => { this.#abort.signal.onabort = resolve; });
    }

    async #blocks(text) {
        const reader = text.getReader();      // Safari has no async iterator of streams
        let rest = '';
        for (let piece; !(piece = await reader.read()).done;) {
            this.#listen();
            const blocks = (rest + piece.value).split('\n\n');
            rest = blocks.pop();
            for (const block of blocks) this.#block(block);
        }
    }

    #block(block) {
        const fields = { data: [] };
        for (const line of block.split('\n')) {
            const [, name, value] = /^(\w+): ?(.*)$/s.exec(line) ?? [];
            if (name === 'data') fields.data.push(value);
            else if (name) fields[name] = value;
        }
        if (fields.retry) this.take({ type: 'retry', retry_ms: Number(fields.retry) });
        if (fields.data.length) this.take(JSON.parse(fields.data.join('\n')));
        else if (fields.id) this.take({ type: 'position', position: fields.id });
    }

    #listen() {
        this.heardAt = Date.now();
        this.watch(this.silentMs, () => this.end(lost('the line is dead')));
    }

    // It can only be listened to: one that has been quiet for more than a heartbeat is not trusted any more.
    ping() { if (Date.now() - this.heardAt > this.silentMs / 2) this.end(lost('the line is dead')); }

    close() {
        clearTimeout(this.timer);
        this.on = null;
        this.#abort.abort();
    }
}

async function problemOf(response) {
    const { status } = response, problem = await response.json().catch(() => ({}));
    const isFinal = Boolean(problem.code) && status < 500 && status !== 408 && status !== 429;
    return new CarillonError(problem.code ?? 'unreachable', problem.detail ?? `what answers there is no hub: ${status}`,
        { status, position: problem.position, retryAfter: Number(response.headers.get('Retry-After')) || undefined, isFinal });
}

// ---- the hub ----

let takes;      // what is done with each type of frame

class Hub {
    state = 'idle';             // idle · connecting · open · waiting · closed
    user = null;
    #handlers = new Map();
    #channels = new Map();      // name → Channel
    #patterns = new Set();
    #commands = new Map();      // ref → a command without an answer: { frame, text, again, tries, isSent, resolve, reject }
    #subscribing = new Map();   // ref → channels of a `subscribe` without an answer
    #refs = 0;
    #line = null;
    #isOn = false;              // the line may be spoken to: the hub has said hello, and took the credentials
    #at = null;                 // the position of the line
    #bye = null;                // why the hub is about to end the line
    #attempt = 0;
    #failures = 0;              // attempts in vain, one after the other
    #kind;                      // of the line: socket, stream, or a knock that tells whether it is the hub or only WebSockets that cannot be reached
    #socketsFail = false;
    #isReachable = false;       // has just been found by a knock
    #blocked = 0;               // sockets in vain although the hub is there
    #againMs = AGAIN_MS;
    #socketAgainAt = 0;
    #againTimer;
    #hasBeenOn = false;
    #hasRenewed = false;
    #retryMs = 0;               // how long the hub wants us to stay away
    #token;
    #timer;
    #listeners = [];

    constructor(url, options = {}) {
        try {
            this.base = new URL(url, globalThis.location?.href);
            this.base.protocol = this.base.protocol.replace('ws', 'http');
            this.base.hash = '';
        } catch { /* told below */ }
        if (!/^https?:$/.test(this.base?.protocol)) throw new CarillonError('bad_url', `not the address of a hub: ${url}`);
        this.options = { transport: 'auto', queue: 1000, ping: PING_MS, timeout: TIMEOUT_MS, WebSocket: globalThis.WebSocket, ...options };
        this.#listen(globalThis, 'online', () => this.#hurry());
        this.#listen(globalThis, 'offline', () => this.#line?.ping(3000));
        this.#listen(globalThis, 'pageshow', ({ persisted }) => persisted && this.#hurry());
        this.#listen(globalThis.document, 'visibilitychange', () => document.visibilityState === 'visible' && this.#hurry());
    }

    #listen(target, name, fn) {
        if (!target?.addEventListener) return;
        target.addEventListener(name, fn);
        this.#listeners.push(() => target.removeEventListener(name, fn));
    }

    on(name, fn) {
        if (!this.#handlers.has(name)) this.#handlers.set(name, new Set());
        this.#handlers.get(name).add(fn);
        return () => void this.#handlers.get(name).delete(fn);
    }

    tell(name, ...args) {
        const handlers = this.#handlers.get(name);
        const report = name === 'error' ? (error) => console.error(error) : (error) => this.tell('error', error);
        for (const fn of handlers ?? []) call(fn, args, report);
        if (name === 'error' && !handlers?.size) console.error(...args);
    }

    // With a listener it begins at once; without, when it is iterated.
    subscribe(name, listener, options) {
        if (typeof listener !== 'function') [listener, options] = [null, listener];
        const sub = new Subscription(this, String(name), listener, options ?? {});
        return listener ? sub.start() : sub;
    }

    // Asked again by itself until it is answered: the hub knows it by its key, and publishes it once. `key: false` where that is not worth it.
    publish(channel, data, { event, exclude, ttl, key = newKey(), ifPosition } = {}) {
        return this.#ask({ type: 'publish', channel, data: data ?? null, event, exclude, ttl, idempotency_key: key || undefined,
            if_position: ifPosition === null ? 'none' : ifPosition }, Boolean(key));
    }

    history(channel, { since, limit } = {}) { return this.#ask({ type: 'history', channel, since, limit }, true); }
    presence(channel, { limit, cursor } = {}) { return this.#ask({ type: 'presence', channel, limit, cursor }, true); }

    open() {
        if (this.state === 'idle') this.#connect();
        return this;
    }

    close() { if (this.state !== 'closed') this.#finish(); }

    // Whoever comes back with it misses nothing of any subscription: the oldest of theirs.
    get position() {
        const isOlder = (a, b) => (isSameEpoch(a, b) ? isNewer(b, a) : this.#at && isSameEpoch(b, this.#at));
        let oldest = null;
        for (const channel of this.#channels.values()) {
            const position = channel.upTo(this.#at);
            if (position && (!oldest || isOlder(position, oldest))) oldest = position;
        }
        return oldest ?? this.#at;
    }

    // ---- for lines ----

    urlOf(path, query) {
        const url = new URL(this.base);
        url.pathname = url.pathname.replace(/\/$/, '') + path;
        for (const [name, value] of query) url.searchParams.append(name, value);
        return url;
    }

    names() { return [...this.#channels.keys()]; }

    // A stream tells it of all its channels, or of none.
    tellsPresence() {
        const wanted = [...this.#channels.values()].filter((channel) => channel.presence).length;
        if (wanted && wanted < this.#channels.size) this.tell('error', new CarillonError('unsupported', 'a stream tells who comes and goes only where all its channels are asked about'));
        return wanted > 0 && wanted === this.#channels.size;
    }

    authorization() { return this.#token ? { Authorization: `Bearer ${this.#token}` } : {}; }

    // ---- lines come and go ----

    #move(state, error) {
        if (this.state === state) return;
        this.state = state;
        this.tell('state', state, error);
    }

    async #askToken() {
        const { token } = this.options;
        try {
            const got = typeof token === 'function' ? await within(token(), TOKEN_MS) : token;
            if (got && typeof got !== 'string') throw new TypeError('it is no string');
            return got;
        } catch (cause) {
            throw new CarillonError('no_token', `there is no token: ${cause?.message ?? cause}`, { cause });
        }
    }

    // A hub that is down is no reason for a stream; that its sockets fail and it is there all the same, twice, is.
    #nextKind() {
        const { transport, WebSocket } = this.options;
        if (transport !== 'auto') return transport === 'sse' ? 'stream' : 'socket';
        if (!WebSocket || Date.now() < this.#socketAgainAt) return 'stream';
        return this.#socketsFail && !this.#isReachable ? 'knock' : 'socket';
    }

    #socketFailed() {
        this.#socketsFail = true;
        this.#blocked += this.#isReachable;
        this.#isReachable = false;
        if (this.#blocked < 2) return;
        this.#blocked = 0;
        this.#socketAgainAt = Date.now() + this.#againMs;
        this.#againMs = Math.min(2 * this.#againMs, AGAIN_MOST_MS);
    }

    // At once, and with the token it has.
    #connectAnew() {
        this.#leave();
        this.#connect(this.#token);
    }

    async #connect(known) {
        clearTimeout(this.#timer);
        const attempt = ++this.#attempt;
        if (globalThis.navigator?.onLine === false && this.base.hostname !== 'localhost') return this.#move('waiting');      // the event `online` goes on
        if (this.state !== 'open') this.#move('connecting');
        try {
            const token = known ?? await this.#askToken();
            if (attempt !== this.#attempt) return;
            this.#token = token;
            const on = { frame: (frame) => takes[frame.type]?.call(this, frame), down: (error, wasOpen) => this.#down(error, wasOpen) };
            this.#kind = this.#nextKind();
            this.#line = this.#kind === 'socket' ? new SocketLine(this, on) : new StreamLine(this, on, this.#kind === 'knock');
        } catch (error) {
            if (attempt !== this.#attempt) return;
            if (error.code === 'no_token') this.tell('error', error);
            this.#down(error instanceof CarillonError ? error : new CarillonError('bad_url', error.message, { isFinal: true }), true);
        }
    }

    #greeted(frame) {
        this.#at = frame.position;
        this.user = frame.user ?? null;
        this.#retryMs = frame.retry_ms ?? this.#retryMs;
        this.#socketsFail = this.#isReachable = false;
        this.#blocked = 0;
        this.#againMs = AGAIN_MS;
        if (this.#token) this.#line.send({ type: 'auth', ref: 'auth', token: this.#token });
        else this.#on();
    }

    #on() {
        this.#isOn = this.#hasBeenOn = true;
        this.#failures = 0;
        this.#hasRenewed = false;
        this.#move('open');
        if (!this.#line) return;      // a listener of `state` has closed it
        if (!this.#line.isStream) this.#subscribe([...this.#channels.values()]);
        else if (this.#socketAgainAt) this.#againTimer = setTimeout(() => this.#connectAnew(), Math.max(0, this.#socketAgainAt - Date.now()));
        this.#flush();
    }

    // What was not answered goes back; each channel keeps how far it was read.
    #leave() {
        clearTimeout(this.#timer);
        clearTimeout(this.#againTimer);
        this.#attempt++;
        this.#line?.close();
        for (const channel of this.#channels.values()) Object.assign(channel, { position: channel.upTo(this.#at), state: 'off', ref: null, asking: [], apart: null });
        this.#line = this.#bye = null;
        this.#isOn = false;
        this.#subscribing.clear();
        for (const [ref, command] of this.#commands) {
            if (!command.isSent || command.isApi) continue;
            command.isSent = false;
            if (!command.again) this.#answer(ref, new CarillonError('outcome_unknown', 'the line was lost before the hub had answered'));
        }
    }

    #down(error, wasOpen) {
        if (this.#bye) error = Object.assign(this.#bye, { isFinal: error.isFinal || this.#bye.isFinal });
        if (error.code === 'frame_too_large') this.#dropLargest(error);
        if (!wasOpen && this.#kind === 'socket') this.#socketFailed();
        this.#leave();
        if (error.isFinal && !this.#mayRenew(error)) this.#finish(error);
        else this.#wait(error);
    }

    // Else it would be sent, and end the line, for ever.
    #dropLargest(error) {
        const [largest] = [...this.#commands].filter(([, { isSent }]) => isSent).sort(([, a], [, b]) => b.text.length - a.text.length);
        if (largest) this.#answer(largest[0], new CarillonError(error.code, 'the hub takes no frame as large as this'));
    }

    // A callback may have handed out a token that it had kept for too long: once more, not again and again.
    #mayRenew({ code }) {
        const may = typeof this.options.token === 'function' && RENEWABLE.has(code) && !this.#hasRenewed;
        this.#hasRenewed = true;
        return may;
    }

    // As long as the hub has said, which has drawn it for this connection alone; else, and after several attempts in vain, by chance.
    #wait(error) {
        const own = this.#retryMs && !this.#failures ? 0 : Math.random() * Math.min(WAIT_MOST_MS, WAIT_MS * 2 ** this.#failures);
        this.#failures++;
        this.#timer = setTimeout(() => this.#connect(), Math.max(own, this.#retryMs, 1000 * (error.retryAfter ?? 0)));
        this.#move('waiting', error);
        if (!this.#hasBeenOn && this.#failures === 1 && error.code === 'unreachable') this.tell('error', error);      // it may be a mistake
    }

    // The page is seen again, the network is back.
    #hurry() {
        if (this.state === 'waiting') {
            clearTimeout(this.#timer);
            this.#timer = setTimeout(() => this.#connect(), Math.random() * 500);
        } else {
            this.#line?.ping(3000);
        }
    }

    #finish(error) {
        this.#leave();
        for (const stop of this.#listeners) stop();
        this.#move('closed', error);
        for (const ref of [...this.#commands.keys()]) this.#answer(ref, error ?? closed());
        for (const channel of [...this.#channels.values()]) for (const sub of [...channel.subs]) sub.end(error, true);
        if (error) this.tell('error', error);
    }

    // ---- commands ----

    #ask(frame, again) {
        const ref = ++this.#refs;
        let text;
        try { text = JSON.stringify({ type: frame.type, ref, ...frame }); } catch (cause) { return this.#no('bad_json', cause.message, { cause }); }
        if (this.state === 'closed') return this.#no('closed', 'the connection was closed');
        if (text.length * 3 > FRAME_BYTES && new TextEncoder().encode(text).length > FRAME_BYTES) return this.#no('message_too_large', 'no hub takes more than 1 MiB');
        if (this.#commands.size >= this.options.queue) return this.#no('queue_full', `${this.options.queue} commands have no answer yet`);
        const promise = new Promise((resolve, reject) => this.#commands.set(ref, { frame, text, again, tries: 0, resolve, reject }));
        if (this.#isOn) this.#send(ref);
        else this.open();
        return quiet(promise);
    }

    #no(...why) { return quiet(Promise.reject(new CarillonError(...why))); }

    #send(ref) {
        const command = this.#commands.get(ref);
        command.isSent = true;
        if (this.#line.isStream) this.#sendApi(ref, command);
        else this.#line.send(command.text);
    }

    #flush() {
        for (const [ref, { isSent }] of this.#commands) if (this.#isOn && !isSent) this.#send(ref);
    }

    #answer(ref, error, frame) {
        const command = this.#commands.get(ref);
        if (!command) return;
        if (error && command.again && SOON.has(error.code) && this.state !== 'closed' && ++command.tries < SOON_TRIES) {
            setTimeout(() => { command.isSent = command.isApi = false; this.#flush(); }, 100 + 400 * Math.random());
            return;
        }
        this.#commands.delete(ref);
        if (error) command.reject(error);
        else command.resolve(frame);
    }

    // On a stream of events what has to be asked goes to the API, where there is one.
    async #sendApi(ref, command) {
        const { api, WebSocket } = this.options;
        const why = WebSocket ? 'WebSockets do not get through here' : 'there is no WebSocket here (Node has one from 22 on: before that give the one of npm `ws` by the option `WebSocket`)';
        if (!api) return this.#answer(ref, new CarillonError('unsupported', `${why}, and no \`api\` is known that could be asked instead`));
        const token = this.#token;
        command.isApi = true;
        try {
            this.#answer(ref, null, await this.#fetchApi(command.frame, api));
        } catch (error) {
            if (RENEWABLE.has(error.code) && typeof this.options.token === 'function') return this.#askAgainWithOther(token, command, error);
            if (error instanceof CarillonError) return this.#answer(ref, error);
            this.#answer(ref, new CarillonError('outcome_unknown', `the API did not answer: ${error.message}`));
        }
    }

    // The token has ended before the stream was told so, which comes back with another.
    #askAgainWithOther(token, command, error) {
        command.isSent = command.isApi = false;
        if (token === this.#token && this.#isOn) this.#line.end(Object.assign(error, { isFinal: true }));
        else this.#flush();
    }

    async #fetchApi({ type, channel, data, event, exclude, ttl, idempotency_key: key, if_position: position, since, limit, cursor }, api) {
        const url = new URL(`v1/channels/${encodeURIComponent(channel)}/${type === 'presence' ? 'presence' : 'messages'}`, new URL(`${api}/`, globalThis.location?.href));
        for (const [name, value] of Object.entries({ since, limit, cursor })) if (value !== undefined) url.searchParams.set(name, value);
        const headers = this.authorization(), init = { headers, credentials: this.options.credentials, signal: AbortSignal.timeout(3 * this.options.timeout) };
        if (type === 'publish') {
            headers['Content-Type'] = 'application/json';
            if (key) headers['Idempotency-Key'] = key;
            if (position !== undefined) headers['If-Position'] = position;
            Object.assign(init, { method: 'POST', body: JSON.stringify({ data, event, exclude, ttl }) });
        }
        const response = await fetch(url, init);
        if (!response.ok) throw await problemOf(response);
        const answer = await response.json();
        return type === 'history' ? { channel, messages: answer.data, position: answer.position, gap: answer.gap } : { channel, ...answer };
    }

    // ---- subscribing ----

    add(sub) {
        if (sub.state === 'closed') return;
        if (this.state === 'closed') return sub.end(closed(), true);
        let channel = this.#channels.get(sub.name);
        if (!channel) {
            this.#channels.set(sub.name, channel = new Channel(sub.name));
            if (sub.name.includes('*')) this.#patterns.add(channel);
        }
        channel.subs.add(sub);
        if (this.#line?.isStream) this.#restart();
        else if (!this.#isOn) this.open();
        else if (channel.state === 'off') this.#subscribe([channel]);
        else if (channel.state !== 'asked' && channel.isUnfit(sub.options.presence)) this.#subscribeAnew(channel);
        else if (channel.state === 'live') this.#goLive(channel);
    }

    drop(sub) {
        const channel = this.#channels.get(sub.name);
        if (!channel?.subs.delete(sub) || channel.subs.size) return;
        this.#channels.delete(sub.name);
        this.#patterns.delete(channel);
        if (channel.state === 'off') return;
        if (this.#line.isStream) this.#restart();
        else this.#line.send({ type: 'unsubscribe', ref: 'none', channels: [channel.name] });
    }

    // Another set of channels is another stream: one for all that change in this moment.
    #restart() {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#connectAnew(), 20);
    }

    // What begins at one place goes into one request; but `-20` would be the newest twenty of all its channels together, and what is
    // answered to one who has just come must be of that channel alone, to know what it means for the others.
    #grouped(channels, isNext, alone) {
        const groups = new Map();
        for (const channel of channels) {
            const since = channel.ask(isNext, alone), { presence } = channel, key = JSON.stringify([since, presence, (/^-/.test(since) || (channel.position && channel.asking.length > 0)) && channel.name]);
            if (!groups.has(key)) groups.set(key, { since, presence, channels: [] });
            groups.get(key).channels.push(channel);
        }
        return [...groups.values()];
    }

    // Of a stream what has a place of its own to begin at. Before that whoever was in such a channel already, and at last what is of another
    // epoch than the rest: a gap is for those who come from before it alone.
    groups(line) {
        const all = [...this.#channels.values()], waiting = all.filter((channel) => channel.waiting.length);
        const shared = waiting.filter((channel) => channel.live.length && channel.line !== line);
        const old = all.filter(({ position }) => position && !isSameEpoch(position, this.#at));
        for (const channel of shared) Object.assign(channel, { line, asking: [] });
        if (shared.length) return shared.map((channel) => ({ since: channel.position, channels: [channel] }));
        return this.#grouped(waiting.length ? waiting : old, true, true);
    }

    #subscribe(channels, isNext) {
        for (const { since, presence, channels: all } of this.#grouped(channels, isNext))
            while (all.length) this.#subscribeGroup(all.splice(0, FRAME_CHANNELS), since, presence);
    }

    #subscribeGroup(channels, since, presence) {
        const ref = `s${++this.#refs}`;
        for (const channel of channels) Object.assign(channel, { state: 'asked', ref, apart: null, hasGap: false, toldPresence: presence });
        this.#subscribing.set(ref, new Set(channels));
        this.#line.send({ type: 'subscribe', ref, channels: channels.map(({ name }) => name), since, presence });
    }

    // A name is subscribed to once, so who wants more of it than it had has it begin anew. The others notice nothing: to them it comes twice.
    #subscribeAnew(channel) {
        Object.assign(channel, { position: channel.upTo(this.#at), state: 'off' });
        this.#line.send({ type: 'unsubscribe', ref: 'none', channels: [channel.name] });
        this.#subscribe([channel], true);
    }

    #began(channel, answer) {
        const { position, replay } = answer, before = channel.position, { asking } = channel;
        // One that has just come began behind the place the others are at, or gets the newest of each channel alone; or has a gap, of
        // whichever channel of a pattern (one channel has all that is behind it).
        const hasHoles = asking[0]?.since === 'last' || (channel.hasGap && this.#patterns.has(channel));
        const isApart = before && asking.length > 0 && (hasHoles || isNewer(position, before));
        for (const sub of asking) sub.begin(position);
        for (const sub of channel.live) sub.resolve(answer);
        Object.assign(channel, {
            answer, asking: [], apart: isApart ? { subs: asking, before } : null,
            state: replay ? 'replaying' : 'live', began: position, position: isApart ? older(position, before) : position,
        });
        if (isApart) return;
        if (channel.isUnfit()) this.#subscribeAnew(channel);
        else if (!replay) this.#goLive(channel);
    }

    #goLive(channel) {
        const position = channel.upTo(this.#at);
        for (const sub of channel.waiting) {
            sub.begin(position);
            sub.resolve({ ...channel.answer, position, recovered: false });
        }
    }

    // A stream is to begin: up to page.position these have had everything.
    primed(channels, page) {
        const { messages, position } = page, begin = messages.length ? justBefore(messages[0].id) : position;
        const gap = page.gap && { type: 'gap', ...page.gap, replay: true, channels: channels.map(({ name }) => name), position: begin };
        this.#at = position;
        for (const channel of channels) {
            const { asking } = channel, subs = asking.length ? asking : channel.live;
            for (const sub of asking) sub.begin(begin);
            for (const sub of gap ? subs : []) sub.call(sub.options.onGap, gap);
            for (const message of messages.filter((each) => matches(channel.name, each.channel)))
                for (const sub of subs) sub.take({ ...message, replay: true });
            for (const sub of subs) sub.last = position;
            if (!channel.position || !asking.length) channel.position = position;
            channel.asking = [];
        }
        if (gap) this.tell('gap', gap);
    }

    // A `subscribe` was refused, and with it all its channels.
    #refused(channels, error) {
        for (const channel of channels) channel.state = 'off';
        if (LATER.has(error.code)) {
            const line = this.#line, wanted = () => [...channels].filter((channel) => channel.state === 'off' && channel.subs.size);
            setTimeout(() => line === this.#line && this.#subscribe(wanted()), 1000 * (error.retryAfter ?? 1));
        } else if (channels.size > 1) {
            for (const channel of channels) if (channel.subs.size) this.#subscribe([channel]);
        } else {
            for (const channel of channels) this.refuse(channel, error);
        }
    }

    refuse(channel, error) {
        const subs = [...channel.subs], isSome = (some) => some.length > 0 && some.length < subs.length;
        if (error.code === 'already_subscribed') return this.#subscribeAnew(channel);      // by its token; not from where we were
        const guilty = [subs.filter((sub) => sub.options.presence), channel.asking, subs].find((some) => isSome(some) || some === subs);
        for (const sub of guilty) sub.end(error);
        if (channel.subs.size && this.#isOn) this.#subscribe([channel]);
    }

    // ---- what comes ----

    *#channelsOf(name) {
        const channel = this.#channels.get(name);
        if (channel) yield channel;
        for (const pattern of this.#patterns) if (matches(pattern.name, name)) yield pattern;
    }

    static {
        const answered = function (frame) { this.#answer(frame.ref, null, frame); };
        const members = function (frame) { for (const sub of this.#channels.get(frame.channel)?.subs ?? []) sub.call(sub.options.onPresence, frame); };
        takes = {
            welcome(frame) { this.#greeted(frame); },
            retry(frame) { this.#retryMs = frame.retry_ms; },
            reachable() { this.#isReachable = true; this.#connectAnew(); },
            ready(frame) {      // a stream: all of it is live
                this.#at = frame.position ?? this.#at;
                for (const answer of frame.channels) {
                    const channel = this.#channels.get(answer.channel);
                    if (!channel) continue;
                    Object.assign(channel, { state: 'live', began: channel.position, answer });
                    for (const sub of channel.subs) if (sub.state === 'live') sub.resolve({ ...answer, position: sub.began });      // others came since: another stream is on its way
                }
                this.#on();
            },
            subscribed(frame) {
                const channel = this.#channels.get(frame.channel), group = this.#subscribing.get(frame.ref);
                if (channel && group?.delete(channel)) this.#began(channel, frame);
                if (group?.size === 0) this.#subscribing.delete(frame.ref);
            },
            unsubscribed(frame) {
                const channel = this.#channels.get(frame.channel);
                if (!channel || (frame.ref === undefined ? !['live', 'replaying'].includes(channel.state) : frame.ref !== channel.ref)) return;
                this.#subscribing.get(frame.ref)?.delete(channel);
                channel.state = 'off';
                const code = frame.code === 'normal' ? 'removed' : frame.code;
                for (const sub of [...channel.subs]) sub.end(new CarillonError(code, 'the hub has ended this subscription'));
            },
            message(frame) {
                const wanted = frame.replay ? 'replaying' : 'live';
                if (!frame.replay) this.#at = frame.id;
                for (const channel of this.#channelsOf(frame.channel)) {
                    if (channel.state !== wanted) continue;
                    const { apart } = channel;
                    if (frame.replay) channel.position = apart ? older(frame.id, apart.before) : frame.id;
                    else if (!isNewer(frame.id, channel.began)) continue;
                    for (const sub of apart?.subs ?? channel.subs) sub.take(frame);
                }
                this.tell('message', frame);
            },
            position(frame) {
                const channel = this.#channels.get(frame.channel);
                if (frame.channel === undefined) this.#at = frame.position;
                if (channel?.state !== 'replaying') return;
                if (channel.apart) {
                    channel.position = channel.apart.before;
                    return this.#subscribeAnew(channel);
                }
                Object.assign(channel, { state: 'live', began: frame.position });
                this.#goLive(channel);
            },
            gap(frame) {
                if (!frame.replay) this.#at = frame.position;
                for (const channel of frame.channels.map((name) => this.#channels.get(name)).filter(Boolean)) {
                    if (frame.replay && channel.state === 'replaying' && !channel.apart) channel.position = frame.position;
                    for (const sub of this.#concerned(channel)) sub.call(sub.options.onGap, frame);
                }
                this.tell('gap', frame);
            },
            bye(frame) {
                this.#retryMs = frame.retry_ms ?? this.#retryMs;
                this.#bye = told(frame, { isFinal: this.#line.isStream && (frame.close ? frame.close >= 4100 && frame.close < 4200 : LASTING.has(frame.code)) });
            },
            error(frame) {
                const error = told(frame), group = this.#subscribing.get(frame.ref);
                this.#subscribing.delete(frame.ref);
                if (frame.ref === 'auth') this.#refusedToken(error);
                else if (group) this.#refused(group, error);
                else if (frame.ref !== undefined) this.#answer(frame.ref, error);
                else if (this.#line.isStream) this.tell('error', error);
                else this.#bye = error;
            },
            ok(frame) {
                if (frame.ref !== 'auth') return this.#answer(frame.ref, null, frame);
                this.user = frame.user ?? null;
                if (!this.#isOn) this.#on();
            },
            'token-expiring'() { this.#renew(); },
            history: answered, presence: answered,
            'member-joined': members, 'member-left': members, 'members-changed': members,
        };
    }

    // Of what one asks who has just come, the others need not hear.
    #concerned(channel) {
        const { asking, apart, live } = channel;
        channel.hasGap = true;
        return apart?.subs ?? (asking.length ? asking : live);
    }

    // On a connection that is on, the token before it still counts until it ends.
    #refusedToken(error) {
        if (this.#isOn) this.tell('error', error);
        else this.#line.end(Object.assign(error, { isFinal: LASTING.has(error.code) || error.code === 'token_expired' }));
    }

    // A stream cannot be handed another token: it ends, and comes back with one.
    async #renew() {
        if (typeof this.options.token !== 'function' || this.#line.isStream) return;
        const line = this.#line;
        try {
            const token = await this.#askToken();
            if (token && line === this.#line && this.#isOn) line.send({ type: 'auth', ref: 'auth', token });
        } catch (error) {
            this.tell('error', error);
        }
    }
}

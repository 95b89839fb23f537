// carillon.js — the client of Carillon for browsers and Node (20 or newer), without dependencies.
//
//   const hub = connect('https://hub.example', { token: () => fetch('/token').then((r) => r.text()) });
//   const chat = hub.subscribe('chat.lobby', (message) => show(message.data), { since: '-20' });
//   for await (const message of hub.subscribe('orders.*')) …
//   await hub.publish('chat.lobby', { text: 'hello' });
//
// One connection for everything, made when it is first needed. It comes back by itself and resumes: each subscription gets every message
// once and in order, or `onGap` says where some may be missing. The wire contract is PROTOCOL.md; types are in carillon.d.ts.
//
//   connect ──> Hub: subscriptions, commands, the position ──> a line: WebSocket, or a stream of events where that is blocked
//                └ waits and tries again <── the line is lost ──┘

const PING_MS = 25_000, PONG_MS = 10_000, CONNECT_MS = 15_000, FRAME_CHANNELS = 500;
const MAY_RETRY = new Set(['busy', 'keys_pending', 'out_of_memory', 'rate_limited', 'redis_away', 'store_failed', 'timeout', 'too_many_connections']);

export class CarillonError extends Error {
    constructor(code, message = code, more = {}) {
        super(message);
        this.name = 'CarillonError';
        this.code = code;
        Object.assign(this, more);
    }
}

export const connect = (url, options) => new Hub(url, options);

// ---- positions: <epoch>.<number> ----

const numberOf = (position) => BigInt(position.slice(position.indexOf('.') + 1));
const epochOf = (position) => position.slice(0, position.indexOf('.'));
// Of another epoch it is newer than anything: positions are only compared along one stream.
const isNewer = (a, b) => !b || epochOf(a) !== epochOf(b) || numberOf(a) > numberOf(b);

// `*` is one segment, `**` at the end one or more.
function matches(name, channel) {
    if (!name.includes('*')) return name === channel;
    const wanted = name.split('.'), has = channel.split('.');
    return wanted.every((segment, i) => i < has.length && (segment === '*' || segment === '**' || segment === has[i])) &&
        (wanted.at(-1) === '**' || wanted.length === has.length);
}

// ---- lines ----

// Each gives frames of the WebSocket contract to on.frame(), and says on.down(code, wasOpen) once.
class SocketLine {
    constructor(hub, on) {
        this.on = on;
        this.url = hub.urlOf('/ws', hub.options.client && [['client', hub.options.client]]);
        this.url.protocol = this.url.protocol === 'http:' ? 'ws:' : 'wss:';
        this.socket = new hub.options.WebSocket(this.url);
        this.socket.onopen = () => { this.isOpen = true; on.open(); };
        this.socket.onmessage = ({ data }) => this.#take(data);
        this.socket.onclose = ({ code }) => this.#end(code);
        this.socket.onerror = () => {};      // onclose follows
        this.timer = setTimeout(() => this.#end(0), CONNECT_MS);
    }

    #take(data) {
        this.#watch();
        this.on.frame(JSON.parse(data));
    }

    // A line that died in silence is told by a ping without an answer: pages do not see those of the protocol.
    #watch(ms = PING_MS) {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.ping(PONG_MS), ms);
    }

    ping(ms) {
        if (!this.isOpen) return;
        this.send({ type: 'ping' });
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.#end(0), ms);
    }

    send(frame) { this.socket.send(JSON.stringify(frame)); }

    #end(code) {
        if (!this.on) return;
        const { on, socket } = this;
        this.close();
        on.down(code, Boolean(this.isOpen), socket);
    }

    close() {
        clearTimeout(this.timer);
        this.on = null;
        this.socket.onmessage = this.socket.onclose = null;
        if (this.socket.readyState < 2) this.socket.close(1000);
    }
}

// Where WebSockets do not get through: a stream of events, read by fetch(). It cannot be spoken to: other channels are another stream.
class StreamLine {
    constructor(hub, on) {
        this.on = on;
        this.abort = new AbortController();
        this.#read(hub).then(() => this.#end(0), (error) => this.#end(error.code ?? 0));
    }

    async #read(hub) {
        const query = [['format', 'envelope'], ...hub.names().map((name) => ['channel', name])];
        if (hub.options.client) query.push(['client', hub.options.client]);
        const headers = { ...await hub.authorization(), ...(hub.position && { 'Last-Event-ID': hub.position }) };
        const timer = setTimeout(() => this.close(), CONNECT_MS);
        const response = await fetch(hub.urlOf('/sse', query), { headers, cache: 'no-store', signal: this.abort.signal });
        clearTimeout(timer);
        if (!response.ok) throw await problemOf(response);
        this.isOpen = true;
        this.on?.open();
        this.#watch();
        await this.#blocks(response.body.pipeThrough(new TextDecoderStream()));
    }

    async #blocks(text) {
        let rest = '';
        for await (const piece of iterate(text)) {
            this.#watch();
            rest += piece.replaceAll('\r', '');
            const blocks = rest.split('\n\n');
            rest = blocks.pop();
            for (const block of blocks) this.#block(block);
        }
    }

    #block(block) {
        const data = [];
        let id;
        for (const line of block.split('\n')) {
            if (line.startsWith('id: ')) id = line.slice(4);
            else if (line.startsWith('data: ')) data.push(line.slice(6));
        }
        if (data.length) this.on?.frame(JSON.parse(data.join('\n')), id);
        else if (id) this.on?.frame({ type: 'position', position: id });
    }

    #watch() {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.#end(0), 2 * PING_MS);      // two heartbeats
    }

    ping() {}

    #end(code) {
        const { on } = this;
        if (!on) return;
        this.close();
        on.down(code, Boolean(this.isOpen));
    }

    close() {
        clearTimeout(this.timer);
        this.on = null;
        this.abort.abort();
    }
}

async function* iterate(stream) {      // Safari has no async iterator of streams
    const reader = stream.getReader();
    for (let piece; !(piece = await reader.read()).done;) yield piece.value;
}

async function problemOf(response) {
    const problem = await response.json().catch(() => ({}));
    return new CarillonError(problem.code ?? 'unreachable', problem.detail ?? `the hub answered ${response.status}`,
        { status: response.status, position: problem.position, retryAfter: Number(response.headers.get('Retry-After')) || undefined });
}

// ---- subscriptions ----

// What a page holds in its hand. Several of one name share the hub's subscription.
class Subscription {
    constructor(hub, name, listener, options) {
        Object.assign(this, { hub, name, listener, options, state: 'waiting' });
        this.ready = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
        this.ready.catch(() => {});      // who does not look is told by onEnd and the event `error`
    }

    close() { this.end(); }

    end(error) {
        if (this.state === 'closed') return;
        this.state = 'closed';
        this.reject(error ?? new CarillonError('closed', 'the subscription was closed'));
        this.wake?.();
        this.error = error;
        this.hub.drop(this);
        if (error) this.call(this.options.onEnd, error);
    }

    call(fn, ...args) {
        try {
            const result = fn?.(...args);
            result?.catch?.((error) => this.hub.tell('error', error));
        } catch (error) {
            this.hub.tell('error', error);
        }
    }

    begin(answer) {
        this.last ??= answer.position;
        if (this.state === 'closed') return;
        this.state = 'live';
        this.resolve(answer);
    }

    take(message) {
        if (this.state === 'closed' || !isNewer(message.id, this.last)) return;
        if (this.held) return void this.held.push(message);
        this.last = message.id;
        this.call(this.listener, message);
    }

    // A second subscription of a name that is live already gets what it wants from before by itself.
    async replay(since) {
        this.held = [];
        try {
            for (let page; !page || page.messages.length;) {
                page = await this.hub.history(this.name, { since: page?.position ?? since, limit: 1000 });
                if (page.gap) this.call(this.options.onGap, { ...page.gap, channels: [this.name], position: page.position });
                for (const message of page.messages) {
                    this.last = message.id;
                    this.call(this.listener, message);
                }
            }
        } catch (error) {
            this.end(error);
        }
        const held = this.held;
        this.held = null;
        for (const message of held) this.take(message);
    }

    async *[Symbol.asyncIterator]() {
        const waiting = [], most = this.options.buffer ?? 1000;
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

    start() {
        if (this.started) return;
        this.started = true;
        this.hub.add(this);
    }
}

// ---- the hub ----

let takes;      // what is done with each type of frame

class Hub {
    #handlers = new Map();
    #channels = new Map();      // name -> { subs: Set, began, replay: where its replay stands, answer }
    #waiting = new Map();       // ref -> { frame, resolve, reject, again }
    #queue = [];                // refs that are not on the line yet
    #line = null;
    #isOn = false;              // the line may be spoken to: open, and the credentials were taken
    #refs = 0;
    #failures = 0;
    #sockets = 0;               // sockets in vain, one after the other: then a stream is tried
    #retryMs = 0;
    #timer;
    #listeners = [];
    state = 'idle';             // idle · connecting · open · waiting · closed
    position = null;
    user = null;

    constructor(url, options = {}) {
        this.base = new URL(url, globalThis.location?.href);
        this.base.protocol = this.base.protocol.replace('ws', 'http');
        this.options = { transport: 'auto', queue: 100, WebSocket: globalThis.WebSocket, ...options };
        const on = (target, name, fn) => target?.addEventListener && (target.addEventListener(name, fn), this.#listeners.push([target, name, fn]));
        on(globalThis, 'online', () => this.#hurry());
        on(globalThis.document, 'visibilitychange', () => document.visibilityState === 'visible' && this.#hurry());
    }

    on(name, fn) {
        if (!this.#handlers.has(name)) this.#handlers.set(name, new Set());
        this.#handlers.get(name).add(fn);
        return () => this.#handlers.get(name).delete(fn);
    }

    tell(name, ...args) {
        const handlers = this.#handlers.get(name);
        for (const fn of handlers ?? [])
            try { fn(...args); } catch (error) { console.error(error); }
        if (name === 'error' && !handlers?.size) console.error(args[0]);
    }

    // With a listener it begins at once; without, when it is iterated.
    subscribe(name, listener, options = {}) {
        if (listener && typeof listener !== 'function') [listener, options] = [null, listener];
        const sub = new Subscription(this, String(name), listener, options);
        if (listener) sub.start();
        return sub;
    }

    // Sent again by itself until it is answered: the hub knows it by its key, and publishes it once. `key: false` for what is not worth it.
    publish(channel, data, { event, exclude, ttl, key = crypto.randomUUID(), ifPosition } = {}) {
        const frame = { type: 'publish', channel, data: data ?? null, event, exclude, ttl, idempotency_key: key || undefined, if_position: ifPosition };
        return this.#ask(frame, Boolean(key));
    }

    history(channel, { since, limit } = {}) { return this.#ask({ type: 'history', channel, since, limit }, true); }
    presence(channel, { limit, cursor } = {}) { return this.#ask({ type: 'presence', channel, limit, cursor }, true); }

    open() {
        if (this.state === 'idle') this.#connect();
        return this;
    }

    close() {
        if (this.state === 'closed') return;
        this.#finish(new CarillonError('closed', 'the connection was closed'), true);
    }

    // ---- for lines ----

    urlOf(path, query = []) {
        const url = new URL(this.base);
        url.pathname = url.pathname.replace(/\/$/, '') + path;
        for (const [name, value] of query || []) url.searchParams.append(name, value);
        return url;
    }

    names() { return [...this.#channels.keys()]; }

    async #token() {
        const { token } = this.options;
        return typeof token === 'function' ? token() : token;
    }

    async authorization() {
        const token = await this.#token();
        return token ? { Authorization: `Bearer ${token}` } : {};
    }

    // ---- the line, and when it is lost ----

    #move(state, error) {
        if (this.state === state) return;
        this.state = state;
        this.tell('state', state, error);
    }

    #usesStream() {
        const { transport, WebSocket } = this.options;
        return transport === 'sse' || !WebSocket || (transport === 'auto' && this.#sockets >= 2 && this.#sockets % 2 === 0 && this.#channels.size > 0);
    }

    #connect() {
        clearTimeout(this.#timer);
        if (this.#usesStream() && !this.#channels.size) return void (this.state = 'idle');      // a stream needs a channel
        this.#move('connecting');
        const Line = this.#usesStream() ? StreamLine : SocketLine;
        const on = {
            open: () => this.#opened(),
            frame: (frame, id) => this.#take(frame, id),
            down: (code, wasOpen) => this.#down(code, wasOpen),
        };
        try {
            this.#line = new Line(this, on);
        } catch (error) {
            this.#finish(error);
        }
    }

    get #isStream() { return this.#line instanceof StreamLine; }

    async #opened() {
        const line = this.#line;
        if (this.#isStream) return this.#on();
        try {
            const token = await this.#token();
            if (line !== this.#line) return;
            if (!token) return this.#on();
            const { user } = await this.#askNow({ type: 'auth', token });
            this.user = user;
            if (line === this.#line) this.#on();
        } catch (error) {
            if (line === this.#line) this.#failed(error);
        }
    }

    #failed(error) {
        this.tell('error', error);
        if (this.#line) {
            this.#line.close();
            this.#down(0, true);
        }
    }

    #on() {
        this.#isOn = true;
        this.#failures = this.#isStream ? 0 : this.#failures;
        if (!this.#isStream) this.#sockets = 0;
        this.#move('open');
        if (!this.#isStream) {
            this.#subscribe(this.names());
            const queue = this.#queue.splice(0);
            for (const ref of queue) this.#put(ref);
        }
    }

    #down(code, wasOpen) {
        const error = this.#bye;
        this.#bye = null;
        this.#line = null;
        this.#isOn = false;
        if (!wasOpen) this.#sockets++;
        this.#again();
        const isFinal = typeof code === 'string' ? !MAY_RETRY.has(code) : code >= 4100 && code < 4200;
        if (code === 1000 && !error) return this.#idle();
        if (isFinal && !this.#mayRenew(error?.code ?? code))
            return this.#finish(error ?? new CarillonError(typeof code === 'string' ? code : 'refused', 'the hub refuses this connection'));
        this.#wait(error);
    }
    #bye = null;

    #idle() { this.#move(this.#channels.size || this.#queue.length ? 'waiting' : 'idle'); if (this.state === 'waiting') this.#wait(); }

    // A token that has ended is no reason to give up while there is somebody who makes new ones.
    #mayRenew(code) { return typeof this.options.token === 'function' && /^token_expired$|^bad_token$/.test(code) && this.#failures < 3; }

    #wait(error) {
        const own = Math.min(30_000, 500 * 2 ** Math.min(this.#failures, 6)) * (0.5 + Math.random());
        const ms = this.#retryMs ? this.#retryMs * Math.min(1 + this.#failures, 8) : own;
        this.#failures++;
        this.#move('waiting', error);
        this.#timer = setTimeout(() => this.#connect(), ms);
        this.#timer.unref?.();
        if (this.#channels.size || this.#queue.length) this.#timer.ref?.();
    }

    // The page is seen again, the network is back.
    #hurry() {
        if (this.state === 'waiting') {
            clearTimeout(this.#timer);
            this.#timer = setTimeout(() => this.#connect(), Math.random() * 500);
        } else if (this.state === 'open') {
            this.#line.ping(3000);
        }
    }

    // What was asked and has no answer: again, or nobody knows.
    #again() {
        for (const [ref, asked] of this.#waiting) {
            if (this.#queue.includes(ref)) continue;
            if (asked.again) this.#queue.push(ref);
            else this.#settle(ref, new CarillonError('outcome_unknown', 'the connection was lost before the hub had answered'));
        }
        for (const channel of this.#channels.values()) channel.asked = false;
    }

    #finish(error, isOwn) {
        clearTimeout(this.#timer);
        this.#line?.close();
        this.#line = null;
        this.#isOn = false;
        for (const [target, name, fn] of this.#listeners) target.removeEventListener(name, fn);
        this.#queue = [];
        this.#move('closed', isOwn ? undefined : error);
        for (const ref of [...this.#waiting.keys()]) this.#settle(ref, error);
        for (const channel of [...this.#channels.values()])
            for (const sub of [...channel.subs]) sub.end(isOwn ? undefined : error);
        if (!isOwn) this.tell('error', error);
    }

    // ---- commands ----

    #ask(frame, again) {
        if (this.state === 'closed') return Promise.reject(new CarillonError('closed', 'the connection was closed'));
        if (this.#line && this.#isStream) return this.#askApi(frame);
        if (!this.#isOn && this.#queue.length >= this.options.queue)
            return Promise.reject(new CarillonError('queue_full', `${this.options.queue} commands are waiting for the connection`));
        return new Promise((resolve, reject) => {
            const ref = ++this.#refs;
            this.#waiting.set(ref, { frame, resolve, reject, again });
            if (this.#isOn) return this.#put(ref);
            this.#queue.push(ref);
            this.open();
        });
    }

    #askNow(frame) {
        return new Promise((resolve, reject) => {
            const ref = ++this.#refs;
            this.#waiting.set(ref, { frame, resolve, reject, again: false });
            this.#put(ref);
        });
    }

    #put(ref) {
        const { frame } = this.#waiting.get(ref) ?? {};
        if (frame) this.#line.send({ type: frame.type, ref, ...frame });
    }

    #settle(ref, error, answer) {
        const asked = this.#waiting.get(ref);
        if (!asked) return;
        this.#waiting.delete(ref);
        if (error) asked.reject(error);
        else asked.resolve(answer);
    }

    // On a stream of events what has to be asked goes to the API, where there is one.
    async #askApi({ type, channel, data, event, exclude, ttl, idempotency_key: key, if_position: position, since, limit, cursor }) {
        if (!this.options.api) throw new CarillonError('unsupported', 'WebSockets do not get through here, and no `api` is known that could be asked instead');
        const url = new URL(`v1/channels/${encodeURIComponent(channel)}/${type === 'presence' ? 'presence' : 'messages'}`, new URL(this.options.api + '/'));
        for (const [name, value] of Object.entries({ since, limit, cursor })) if (value !== undefined) url.searchParams.set(name, value);
        const headers = { ...await this.authorization() };
        const init = { headers };
        if (type === 'publish') {
            if (key) headers['Idempotency-Key'] = key;
            if (position !== undefined) headers['If-Position'] = position;
            Object.assign(init, { method: 'POST', body: JSON.stringify({ data, event, exclude, ttl }) });
            headers['Content-Type'] = 'application/json';
        }
        const response = await fetch(url, init);
        if (!response.ok) throw await problemOf(response);
        return response.json();
    }

    // ---- subscriptions ----

    add(sub) {
        if (this.state === 'closed') return sub.end(new CarillonError('closed', 'the connection was closed'));
        let channel = this.#channels.get(sub.name);
        if (!channel) this.#channels.set(sub.name, channel = { subs: new Set(), since: sub.options.since, presence: false });
        const isNew = channel.subs.size === 0;
        channel.subs.add(sub);
        const asksAnew = sub.options.presence && !channel.presence;
        channel.presence ||= Boolean(sub.options.presence);
        if (channel.answer && !asksAnew) {
            if (sub.options.since) sub.replay(sub.options.since);
            sub.begin(channel.answer);
        } else if (this.#isOn && this.#isStream) {
            this.#restart();
        } else if (this.#isOn && (isNew || asksAnew)) {
            this.#subscribe([sub.name], asksAnew && !isNew);
        } else {
            this.open();
        }
    }

    drop(sub) {
        const channel = this.#channels.get(sub.name);
        if (!channel?.subs.delete(sub) || channel.subs.size) return;
        this.#channels.delete(sub.name);
        if (!this.#isOn) return;
        if (this.#isStream) this.#restart();
        else this.#askNow({ type: 'unsubscribe', channels: [sub.name] }).catch(() => {});
    }

    // Another set of channels is another stream: one for all that change in this moment.
    #restart() {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => {
            this.#line?.close();
            this.#line = null;
            this.#isOn = false;
            this.#connect();
        }, 20);
    }

    // Each goes on where it was: those in the middle of a replay there, all others at the position of the connection.
    #subscribe(names) {
        const groups = new Map();
        for (const name of names) {
            const channel = this.#channels.get(name);
            if (!channel || channel.asked) continue;
            channel.asked = true;
            const since = channel.replay ?? (channel.answer ? channel.from ?? this.position ?? undefined : channel.since);
            const key = JSON.stringify([since, channel.presence]);
            if (!groups.has(key)) groups.set(key, []);
            groups.get(key).push(name);
        }
        for (const [key, group] of groups) {
            const [since, presence] = JSON.parse(key);
            while (group.length) this.#subscribeGroup(group.splice(0, FRAME_CHANNELS), since ?? undefined, presence);
        }
    }

    #subscribeGroup(names, since, presence) {
        for (const name of names) this.#channels.get(name).replay = since ?? null;
        this.#askNow({ type: 'subscribe', channels: names, since, presence: presence || undefined }).catch((error) => {
            if (error.code === 'outcome_unknown' || error.code === 'closed') return;
            if (names.length > 1) for (const name of names) this.#channels.has(name) && this.#subscribeGroup([name], since, presence);
            else if (error.code === 'already_subscribed') this.#began(names[0], { position: this.position, recovered: false, resumable: true });
            else for (const sub of [...this.#channels.get(names[0])?.subs ?? []]) sub.end(error);
        });
    }

    #began(name, answer) {
        const channel = this.#channels.get(name);
        if (!channel) return;
        channel.answer = answer;
        for (const sub of channel.subs) sub.begin(answer);
    }

    // ---- what comes ----

    #take(frame, id) {
        const take = takes[frame.type];
        if (take) take.call(this, frame, id);
    }

    static {
        const answered = function (frame) { this.#settle(frame.ref, null, frame); };
        const members = function (frame) { this.#toSubs([frame.channel], (sub) => sub.call(sub.options.onPresence, frame)); };
        takes = {
            welcome(frame) { this.#retryMs = frame.retry_ms ?? 0; this.#welcome = frame.position; this.user = frame.user ?? null; this.#failures = 0; },
            retry(frame) { this.#retryMs = frame.retry_ms; },
            ready(frame) {
                this.position = frame.position;
                for (const answer of frame.channels) this.#began(answer.channel, { ...answer, position: frame.position });
            },
            subscribed(frame) {
                this.#settle(frame.ref, null, frame);
                this.#began(frame.channel, frame);
                this.#advance(this.#welcome);
            },
            unsubscribed(frame) {
                this.#settle(frame.ref, null, frame);
                if (frame.code === 'normal') return;
                for (const sub of [...this.#channels.get(frame.channel)?.subs ?? []]) sub.end(new CarillonError(frame.code, 'the hub has ended this subscription'));
            },
            message(frame) {
                for (const [name, channel] of this.#channels) {
                    if (!matches(name, frame.channel)) continue;
                    if (frame.replay && channel.replay != null) channel.replay = frame.id;
                    for (const sub of channel.subs) sub.take(frame);
                }
                if (!frame.replay) this.position = frame.id;
                this.tell('message', frame);
            },
            position(frame) {
                if (!frame.channel) return void (this.position = frame.position);
                const channel = this.#channels.get(frame.channel);
                if (channel) channel.replay = null;
            },
            gap(frame) {
                if (!frame.replay) this.position = frame.position;
                this.#toSubs(frame.channels, (sub) => sub.call(sub.options.onGap, frame));
                this.tell('gap', frame);
            },
            bye(frame) { this.#retryMs = frame.retry_ms ?? this.#retryMs; this.#bye = new CarillonError(frame.code, frame.reason); },
            error(frame) {
                const error = new CarillonError(frame.code, frame.message, { position: frame.position, retryAfter: frame.retry_after });
                if (frame.ref === undefined) this.#bye = error;
                else this.#settle(frame.ref, error);
            },
            'token-expiring'() { this.#renew(); },
            ok: answered, history: answered, presence: answered,
            'member-joined': members, 'member-left': members, 'members-changed': members,
        };
    }
    #welcome = null;

    // The position of the connection is the new line's as soon as every subscription is on it.
    #advance(position) {
        if (!position || [...this.#channels.values()].some((channel) => !channel.asked)) return;
        if (!this.position || epochOf(position) !== epochOf(this.position) || isNewer(position, this.position)) this.position = position;
    }

    #toSubs(names, fn) {
        for (const name of names) for (const sub of this.#channels.get(name)?.subs ?? []) fn(sub);
    }

    async #renew() {
        if (typeof this.options.token !== 'function' || this.#isStream) return;      // a stream is ended, and comes back with another
        try {
            const token = await this.#token();
            if (token && this.#isOn) await this.#askNow({ type: 'auth', token });
        } catch (error) {
            this.tell('error', error);
        }
    }
}

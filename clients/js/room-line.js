// room-line.js — the WebSocket of one member of a room: it comes back by itself as the same member, and nothing is lost on the way.
//
//   idle ──open()──> connecting ──users-in-room──> open ──lost──> waiting ──> connecting …     any ──close(), left, a refusal──> closed
//
// What comes has a number of the hub's (`seq`): after a break the line asks for all behind the last one. What goes has one of ours (`n`) and
// stays in the outbox until the hub has answered it: after a break what the hub has not taken is sent again, in order. When the hub does not know
// the member any more (it was away for too long, or the hub began anew) the member joins again as somebody new, and what was in the outbox has failed.
// PROTOCOL.md §6, Signaling, is what is spoken here.

const PING_MS = 15_000, PONG_MS = 5_000, TIMEOUT_MS = 10_000, TOKEN_MS = 15_000;
const WAIT_MS = 500, WAIT_MOST_MS = 10_000, TAKEN_MS = 2_000;
const OUTBOX_FRAMES = 1000, OUTBOX_CHARS = 4 * 1024 * 1024;

// A join that is refused so is asked for again.
const LATER = new Set(['busy', 'draining', 'out_of_memory', 'rate_limited', 'timeout', 'internal', 'keys_pending', 'redis_away']);
// Another token may help.
const RENEWABLE = new Set(['bad_token', 'token_expired', 'token_revoked']);

export class RoomError extends Error {
    constructor(code, message = code, more = {}) {
        super(message);
        this.name = 'RoomError';
        this.code = code;
        Object.assign(this, more);
    }
}

const told = ({ code, message, reason, retry_after: retryAfter, to }) => new RoomError(code, message ?? reason, { retryAfter, to });
const lost = (message = 'the line was lost') => new RoomError('unreachable', message);

// Nobody has to look at a promise of ours.
function quiet(promise) {
    promise.catch(() => {});
    return promise;
}

function socketUrl(address) {
    let url;
    try { url = new URL(address, globalThis.location?.href); } catch { /* told below */ }
    if (!/^(https?|wss?):$/.test(url?.protocol)) throw new RoomError('bad_url', `not the address of a hub: ${address}`);
    url.protocol = url.protocol.replace('http', 'ws');
    url.pathname = `${url.pathname.replace(/\/$/, '')}/ws`;
    url.hash = '';
    return url.href;
}

// on: { state(state, error), joined(frame), frame(frame), ended(error) }. The error of `closed` is null when it was our own wish.
export class RoomLine {
    state = 'idle';
    ticket = null;              // brings this member back
    #seq = 0;                   // the newest that came
    #n = 0;                     // our newest
    #outbox = new Map();        // n → { text, resolve, reject }: not answered yet
    #outboxChars = 0;
    #asked = new Map();         // ref → { resolve, reject }: commands that are not asked again
    #refs = 0;
    #socket = null;
    #attempt = 0;
    #failures = 0;
    #retryMs = 0;
    #bye = null;
    #isAsking = false;          // a join was sent and is not answered yet
    #isUnsure = false;          // a join was sent on a line that died before the answer: the hub may have us already
    #hasRenewed = false;
    #timer;
    #watch;
    #doubt;

    // member: { user_id, info, state } of a join; state is a function, because it is what is so then. `ticket`: of a page that was loaded again.
    constructor(address, room, member, options, on) {
        const { WebSocket = globalThis.WebSocket, token, ping = PING_MS, timeout = TIMEOUT_MS, ticket = null } = options;
        if (!WebSocket) throw new RoomError('unsupported', 'there is no WebSocket here: give one by the option `WebSocket`');
        Object.assign(this, { url: socketUrl(address), room, member, on, WebSocket, token, pingMs: ping, timeoutMs: timeout, ticket, isFresh: ticket !== null });
    }

    open() { if (this.state === 'idle') this.#connect(); }

    // Relayed by the hub, in order; resolves with its `ok`, whatever becomes of the line meanwhile.
    send(type, members) {
        if (this.state === 'closed') return quiet(Promise.reject(new RoomError('closed', 'the room was left')));
        if (this.#outbox.size >= OUTBOX_FRAMES || this.#outboxChars >= OUTBOX_CHARS) return quiet(Promise.reject(new RoomError('queue_full', 'too much waits for the connection')));
        const n = ++this.#n, text = JSON.stringify({ type, ref: n, room: this.room, n, ...members });
        this.#outboxChars += text.length;
        const promise = new Promise((resolve, reject) => this.#outbox.set(n, { text, resolve, reject }));
        if (this.state === 'open') this.#write(text);
        return quiet(promise);
    }

    // A command with an answer of its own; fails when the line is lost before it.
    ask(type, members) {
        if (this.state !== 'open') return quiet(Promise.reject(lost('there is no connection now')));
        const ref = `c${++this.#refs}`;
        const promise = new Promise((resolve, reject) => this.#asked.set(ref, { resolve, reject }));
        this.#write(JSON.stringify({ type, ref, room: this.room, ...members }));
        return quiet(promise);
    }

    // The others are told at once, where the line is there to tell them.
    close() {
        if (this.state === 'open') this.#socket.send(JSON.stringify({ type: 'leave', room: this.room }));
        this.#finish(null);
    }

    // The network may have changed: is the line still one?
    hurry() {
        if (this.state === 'waiting') {
            clearTimeout(this.#timer);
            this.#timer = setTimeout(() => this.#connect(), Math.random() * 300);
        } else if (this.state === 'open') {
            this.#ping(3000);
        }
    }

    // ---- the socket comes and goes ----

    async #connect() {
        const attempt = ++this.#attempt;
        clearTimeout(this.#timer);
        this.#move('connecting');
        try {
            const token = await this.#askToken();
            if (attempt !== this.#attempt) return;
            const socket = this.#socket = new this.WebSocket(this.url, 'carillon.v1');
            socket.onmessage = ({ data }) => this.#read(data, token);
            socket.onclose = ({ code, reason }) => this.#closed(code, reason);
            socket.onerror = () => {};      // onclose follows
            this.#watchFor(this.timeoutMs, () => this.#down(lost('the hub did not answer')));
        } catch (error) {
            if (attempt === this.#attempt) this.#down(error instanceof RoomError ? error : new RoomError('bad_url', error.message, { isFinal: true }));
        }
    }

    async #askToken() {
        if (typeof this.token !== 'function') return this.token;
        let timer;
        const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error('it took too long')), TOKEN_MS); });
        try {
            return await Promise.race([this.token(), late]);
        } catch (cause) {
            throw new RoomError('no_token', `there is no token: ${cause?.message ?? cause}`, { cause });
        } finally {
            clearTimeout(timer);
        }
    }

    #closed(code, reason) {
        const isFinal = code >= 4100 && code < 4200;
        this.#down(new RoomError(code === 4109 ? 'replaced' : isFinal ? 'refused' : 'unreachable', `the line was closed: ${code} ${reason}`.trim(), { isFinal }));
    }

    #down(error) {
        if (this.state === 'closed') return;
        const why = this.#bye && error.code !== 'replaced' ? Object.assign(this.#bye, { isFinal: error.isFinal }) : error;
        this.#drop();
        if (why.isFinal && !this.#mayRenew(why)) this.#finish(why);
        else this.#wait(why);
    }

    #drop() {
        for (const timer of [this.#watch, this.#doubt, this.#timer]) clearTimeout(timer);
        this.#doubt = undefined;
        this.#attempt++;
        this.#bye = null;
        const socket = this.#socket;
        this.#socket = null;
        if (socket) {
            socket.onmessage = socket.onclose = null;
            if (socket.readyState < 2) socket.close(1000);
        }
        for (const { reject } of this.#asked.values()) reject(lost('the line was lost before the hub had answered'));
        this.#asked.clear();
    }

    // As long as the hub has said; after attempts in vain longer, by chance.
    #wait(error) {
        const own = this.#retryMs && !this.#failures ? 0 : Math.random() * Math.min(WAIT_MOST_MS, WAIT_MS * 2 ** this.#failures);
        this.#failures++;
        this.#timer = setTimeout(() => this.#connect(), Math.max(own, this.#retryMs, 1000 * (error.retryAfter ?? 0)));
        this.#move('waiting', error);
    }

    #mayRenew({ code }) {
        const may = typeof this.token === 'function' && RENEWABLE.has(code) && !this.#hasRenewed;
        this.#hasRenewed = true;
        return may;
    }

    #finish(error) {
        if (this.state === 'closed') return;
        this.#drop();
        this.ticket = null;
        this.#move('closed', error);
        this.#failOutbox(error ?? new RoomError('closed', 'the room was left'));
        this.on.ended(error);
    }

    #failOutbox(error) {
        for (const { reject } of this.#outbox.values()) reject(error);
        this.#outbox.clear();
        this.#outboxChars = 0;
    }

    #move(state, error = null) {
        if (this.state === state) return;
        this.state = state;
        this.on.state(state, error);
    }

    // ---- is it alive ----

    #watchFor(ms, late) {
        clearTimeout(this.#watch);
        this.#watch = setTimeout(late, ms);
    }

    // Whatever is written is answered: without an answer a ping asks, and without one to that the line is dead. Pages do not see the pings of the protocol.
    #write(text) {
        this.#socket.send(text);
        this.#doubt ??= setTimeout(() => this.#ping(PONG_MS), PONG_MS);
    }

    #ping(ms) {
        clearTimeout(this.#doubt);
        this.#socket.send('{"type":"ping","ref":"ping"}');
        this.#doubt = setTimeout(() => this.#down(lost('the line is dead')), ms);
    }

    // ---- joining ----

    #join() {
        const { user_id, info, state } = this.member;
        const resume = this.ticket ? { resume: this.ticket, ...(this.isFresh ? { fresh: true } : { last_seq: this.#seq }) } : {};
        if (!this.ticket || this.isFresh) this.#seq = 0;
        this.#socket.send(JSON.stringify({ type: 'join', ref: 'join', room: this.room, user_id, info, state: state(), ...resume }));
        this.#isAsking = true;
    }

    #joined(frame) {
        const { you, resumed } = frame;
        this.#isAsking = this.isFresh = this.#isUnsure = this.#hasRenewed = false;
        this.#failures = 0;
        this.ticket = you.resume;
        this.#seq = Math.max(this.#seq, you.seq ?? 0);
        if (!resumed) {
            this.#failOutbox(new RoomError('not_in_room', 'the hub did not know this member any more'));
            this.#n = 0;
        }
        for (const [n, { resolve }] of this.#outbox) if (n <= you.n && !you.missing.includes(n)) this.#settle(n, () => resolve({ type: 'ok', room: this.room, duplicate: true }));
        for (const { text } of this.#outbox.values()) this.#write(text);
        this.#move('open');
        this.on.joined(frame);
    }

    #refusedJoin(error) {
        const { code } = error;
        this.#isAsking = false;
        if (code === 'resume_failed') {
            this.ticket = null;
            this.isFresh = false;
            return this.#join();
        }
        // It may be ourselves, on a line that died before it could say so: gone when its grace is over.
        if (code === 'user_taken' && this.#isUnsure) return this.#joinLater(TAKEN_MS);
        if (LATER.has(code)) return this.#joinLater(1000 * (error.retryAfter ?? 1));
        this.#finish(error);
    }

    #joinLater(ms) {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#join(), ms);
    }

    // ---- what comes ----

    #read(data, token) {
        let frame;
        try { frame = JSON.parse(data); } catch { return this.#down(lost('what came was not of a hub')); }
        this.#watchFor(this.pingMs, () => (this.state === 'open' ? this.#ping(PONG_MS) : this.#down(lost('the hub did not answer'))));
        if (frame.ref !== undefined) {
            clearTimeout(this.#doubt);
            this.#doubt = undefined;
        }
        if (Object.hasOwn(this.#takes, frame.type)) this.#takes[frame.type](frame, token);
        else if (frame.room === this.room) this.#take(frame);
    }

    #take(frame) {
        if (frame.seq !== undefined) {
            if (frame.seq <= this.#seq) return;
            this.#seq = frame.seq;
        }
        this.on.frame(frame);
    }

    #settle(n, how) {
        const entry = this.#outbox.get(n);
        if (!entry) return;
        this.#outbox.delete(n);
        this.#outboxChars -= entry.text.length;
        how(entry);
    }

    #answer(frame) {
        const waits = this.#asked.get(frame.ref);
        this.#asked.delete(frame.ref);
        if (frame.type === 'error') waits?.reject(told(frame));
        else waits?.resolve(frame);
        return Boolean(waits);
    }

    #takes = {
        welcome: (frame, token) => {
            this.#retryMs = frame.retry_ms ?? this.#retryMs;
            this.#isUnsure ||= this.#isAsking && (!this.ticket || this.isFresh);
            this.#isAsking = false;
            if (token) this.#socket.send(JSON.stringify({ type: 'auth', ref: 'auth', token }));
            else this.#join();
        },
        retry: (frame) => { this.#retryMs = frame.retry_ms; },
        bye: (frame) => {
            this.#retryMs = frame.retry_ms ?? this.#retryMs;
            this.#bye = told(frame);
        },
        'users-in-room': (frame) => { if (frame.ref === 'join') this.#joined(frame); },
        ok: (frame) => {
            if (frame.ref === 'auth') { if (this.state !== 'open') this.#join(); }
            else if (!this.#answer(frame)) this.#settle(frame.ref, ({ resolve }) => resolve(frame));
        },
        error: (frame) => {
            if (frame.ref === 'join') return this.#refusedJoin(told(frame));
            if (frame.ref === 'auth' && this.state !== 'open') return this.#down(Object.assign(told(frame), { isFinal: !LATER.has(frame.code) }));
            if (frame.ref === undefined) this.#bye = told(frame);      // the close code follows
            else if (!this.#answer(frame)) this.#settle(frame.ref, ({ reject }) => reject(told(frame)));
        },
        left: (frame) => {
            if (frame.room === this.room) this.#finish(new RoomError(frame.reason, frame.message ?? `the member is not in the room any more: ${frame.reason}`));
        },
        'ice-servers': (frame) => {
            this.#answer(frame);
            this.on.frame(frame);
        },
        'token-expiring': async () => {
            const socket = this.#socket;
            if (typeof this.token !== 'function') return;
            const token = await this.#askToken().catch(() => null);      // then the line ends with it, and asks again
            if (token && socket === this.#socket) socket.send(JSON.stringify({ type: 'auth', ref: 'auth', token }));
        },
    };
}

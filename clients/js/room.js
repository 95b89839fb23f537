// room.js — calls between the members of a room of Carillon, for browsers: everybody with everybody else (a mesh), made and kept over a hub.
//
//   const room = new Room('https://hub.example', 'class.7', { token: () => fetch('/token').then((r) => r.text()) });
//   room.on('peer', (peer) => { video.srcObject = peer.stream; });
//   room.on('message', (peer, data) => show(peer.userId, data));
//   await room.media.open();
//   await room.join();
//   room.send({ text: 'hello' });
//
// It has a WebSocket of its own, apart from that of carillon.js, which is not needed for it: a call is noticed to be cut sooner than a page that
// waits for news, and its end is the end of the membership.
//
//   Room ──> RoomLine       (room-line.js)   the member on the hub: resumes, numbers, sends again
//    ├─ Media               (room-media.js)  microphone, camera, screen
//    └─ Peer, each          (room-peer.js)   one RTCPeerConnection ──> FileChannel (room-files.js): one file
//
// The wire contract is PROTOCOL.md §6, Signaling; the types are in room.d.ts; what can be done with it is in README.md.
import { RoomError, RoomLine } from './room-line.js';
import { Media } from './room-media.js';
import { Peer } from './room-peer.js';

export { RoomError };

const ORPHAN_MS = 20_000;       // a call without the hub: its members are given so long to be back in the room
const STATE_MS = 50;            // what changes together is told together

export class Room {
    state = 'idle';             // idle · connecting · open · waiting · closed
    userId = null;
    metadata = null;
    peers = new Map();          // user → Peer, in the order in which they came
    media = null;
    line;
    config = {};                // of each RTCPeerConnection
    #handlers = new Map();
    #own = {};                  // the application's part of the state
    #shown;                     // the state that the others see, as text
    #joinsWith;
    #stateTimer;
    #orphanTimer;
    #joined;
    #listeners = [];
    #keeps;

    constructor(address, room, options = {}) {
        const { user, info, media = true, reload = true, RTCPeerConnection = globalThis.RTCPeerConnection, rtc = {}, ...more } = options;
        if (!RTCPeerConnection) throw new RoomError('unsupported', 'there is no WebRTC here');
        Object.assign(this, { name: room, RTCPeerConnection, rtc });
        if (media) this.media = new Media((kind) => this.#mediaChanged(kind), (error) => this.tell('error', error));
        this.#keeps = reload && globalThis.sessionStorage ? `carillon.room ${address} ${room} ${user ?? ''}` : null;
        const member = { user_id: user, info, state: () => JSON.parse(this.#joinsWith = JSON.stringify(this.#wholeState())) };
        this.line = new RoomLine(address, room, member, { ...more, ticket: this.#ticket() }, {
            state: (state, error) => this.#move(state, error),
            joined: (frame) => this.#isIn(frame),
            frame: (frame) => { if (Object.hasOwn(this.#takes, frame.type)) this.#takes[frame.type](frame); },
            ended: (error) => this.#end(error),
        });
    }

    on(name, fn) {
        if (!this.#handlers.has(name)) this.#handlers.set(name, new Set());
        this.#handlers.get(name).add(fn);
        return () => void this.#handlers.get(name).delete(fn);
    }

    // Whatever a handler throws is told and harms nobody.
    tell(name, ...args) {
        const handlers = this.#handlers.get(name);
        for (const fn of handlers ?? []) {
            try { fn(...args)?.catch?.((error) => console.error(error)); } catch (error) { console.error(error); }
        }
        if (name === 'error' && !handlers?.size) console.error(...args);
    }

    // Resolves when the hub has let us in; from then on everything comes back by itself. Once: who has left is another Room when he comes again.
    join() {
        if (this.#joined) return this.#joined.promise;
        this.#joined = {};
        this.#joined.promise = new Promise((resolve, reject) => Object.assign(this.#joined, { resolve, reject }));
        this.#joined.promise.catch(() => {});
        const network = () => this.#networkChanged();
        this.#listen(globalThis, 'online', network);
        this.#listen(globalThis.navigator?.connection, 'change', network);
        this.#listen(globalThis, 'pagehide', () => this.#keepTicket());
        this.#listen(globalThis, 'pageshow', ({ persisted }) => { if (persisted) { this.#ticket(); network(); } });
        this.#listen(globalThis.document, 'visibilitychange', () => document.visibilityState === 'visible' && this.line.hurry());
        this.line.open();
        return this.#joined.promise;
    }

    // The others are told at once. The devices are given back, too.
    leave() { this.line.close(); }

    // Over the data channels, to all or to one: anything that JSON can say. False: somebody's channel is not open, and too much waits for it already.
    send(data, to) { return this.#those(to).map((peer) => peer.send(data)).every(Boolean); }

    // A transfer for each: its `done` is a promise, the event `progress` tells how far it is.
    sendFile(file, to) { return this.#those(to).filter((peer) => peer.connectionState === 'connected').map((peer) => peer.sendFile(file)); }

    // Over the hub, to one or to all: also to those who are away, and before there is a connection.
    signal(to, data) { return this.line.send('signal', { to, data }); }
    broadcast(data) { return this.line.send('broadcast', { data }); }

    // What others see of this member beside camera and microphone, also those who come later.
    setState(some) {
        Object.assign(this.#own, some);
        this.#stateChanged();
    }

    kick(userId, message) { return this.line.ask('kick', { user_id: userId, message }); }
    async refreshServers() { await this.line.ask('ice-servers', {}); }

    #those(to) { return to === undefined ? [...this.peers.values()] : [this.peers.get(to)].filter(Boolean); }

    #listen(target, name, fn) {
        if (!target?.addEventListener) return;
        target.addEventListener(name, fn);
        this.#listeners.push(() => target.removeEventListener(name, fn));
    }

    // ---- a page that is loaded again is the same member ----

    // Kept only while the page is not there: a tab that was made from this one finds nothing to take away.
    #keepTicket() {
        try { if (this.#keeps && this.line.ticket) sessionStorage.setItem(this.#keeps, this.line.ticket); } catch { /* then it is somebody new */ }
    }

    #ticket() {
        if (!this.#keeps) return null;
        try {
            const ticket = sessionStorage.getItem(this.#keeps);
            sessionStorage.removeItem(this.#keeps);
            return ticket;
        } catch {
            return null;
        }
    }

    // ---- the line ----

    #move(state, error) {
        this.state = state;
        this.tell('state', state, error);
    }

    // The present truth. Who is not in it has left while we could not hear it; after a restart of the hub he may still be on his way back.
    #isIn(frame) {
        const { users, you, resumed, recovered } = frame, isAnew = !resumed && this.userId !== null;
        this.userId = you.user_id;
        this.#setMetadata(frame.metadata);
        this.#setServers(frame);
        const here = new Set(users.map(({ user_id: userId }) => userId));
        for (const peer of [...this.peers.values()]) {
            if (here.has(peer.userId)) continue;
            if (isAnew) peer.isOrphan = true;
            else this.#remove(peer, 'timeout');
        }
        for (const user of users) this.#isHere(user, isAnew);
        if (recovered === false) for (const peer of this.peers.values()) peer.renegotiate();
        clearTimeout(this.#orphanTimer);
        this.#orphanTimer = setTimeout(() => this.#dropOrphans(), ORPHAN_MS);
        if (!resumed) this.#shown = this.#joinsWith;
        this.#showState();
        this.tell('joined', { resumed, recovered: resumed ? recovered : false });
        this.#joined.resolve(this);
    }

    #isHere(user, isAnew) {
        const peer = this.peers.get(user.user_id);
        if (!peer) return this.#add(user);
        if (isAnew || peer.isOrphan) return peer.adopt(user);
        Object.assign(peer, { info: user.info, state: user.state, isAway: Boolean(user.away) });
        this.tell('change', peer);
    }

    #dropOrphans() {
        for (const peer of [...this.peers.values()]) if (peer.isOrphan) this.#remove(peer, 'timeout');
    }

    #add(user) {
        const peer = new Peer(this, user);
        this.peers.set(peer.userId, peer);
        this.tell('peer', peer);
        peer.start();
    }

    #remove(peer, reason) {
        this.peers.delete(peer.userId);
        peer.close();
        this.tell('left', peer, reason);
    }

    #end(error) {
        for (const stop of this.#listeners) stop();
        clearTimeout(this.#stateTimer);
        clearTimeout(this.#orphanTimer);
        for (const peer of [...this.peers.values()]) this.#remove(peer, 'left');
        this.media?.close();
        this.#joined?.reject(error ?? new RoomError('closed', 'the room was left'));
        this.tell('ended', error);
    }

    #networkChanged() {
        this.line.hurry();
        for (const peer of this.peers.values()) peer.restart();
    }

    // ---- what the hub says ----

    #setMetadata(metadata) {
        if (JSON.stringify(metadata) === JSON.stringify(this.metadata)) return;
        this.metadata = metadata;
        this.tell('metadata', metadata);
    }

    // Credentials for the servers end: calls that are under way get the new ones, for whenever ICE begins anew.
    #setServers({ ice_servers: iceServers, rtc_config: config }) {
        this.config = { ...this.config, ...config, iceServers, ...this.rtc };
        for (const peer of this.peers.values()) peer.configure();
    }

    #from(frame, fn) {
        const peer = this.peers.get(frame.from);
        if (peer) fn(peer);
    }

    #takes = {
        'user-joined': (frame) => this.#isHere(frame, false),
        'user-left': (frame) => {
            const peer = this.peers.get(frame.user_id);
            if (peer) this.#remove(peer, frame.reason);
        },
        'user-away': (frame) => this.#setAway(frame, true),
        'user-back': (frame) => this.#setAway(frame, false),
        offer: (frame) => this.#from(frame, (peer) => peer.take(frame)),
        answer: (frame) => this.#from(frame, (peer) => peer.take(frame)),
        'ice-candidate': (frame) => this.#from(frame, (peer) => peer.take(frame)),
        signal: (frame) => this.tell('signal', frame.from, frame.data),
        broadcast: (frame) => this.tell('broadcast', frame.from, frame.data),
        state: (frame) => this.#from(frame, (peer) => {
            peer.state = frame.state;
            this.tell('change', peer);
        }),
        'room-updated': (frame) => this.#setMetadata(frame.metadata),
        'ice-servers': (frame) => {
            this.#setServers(frame);
            this.tell('servers', frame.ice_servers, frame.ice_expires_ms);
        },
    };

    #setAway({ user_id: userId }, isAway) {
        const peer = this.peers.get(userId);
        if (!peer) return;
        peer.isAway = isAway;
        this.tell('change', peer);
    }

    // ---- the own state ----

    #wholeState() { return { ...this.#own, ...this.media?.state }; }

    #mediaChanged(kind) {
        for (const peer of this.peers.values()) peer.setTrack(kind, this.media.track(kind));
        this.#stateChanged();
        this.tell('media', this.media.state);
    }

    #stateChanged() { this.#stateTimer ??= setTimeout(() => this.#showState(), STATE_MS); }

    #showState() {
        clearTimeout(this.#stateTimer);
        this.#stateTimer = undefined;
        const state = this.#wholeState(), text = JSON.stringify(state);
        if (this.userId === null || this.state === 'closed' || text === this.#shown) return;
        this.#shown = text;
        this.line.send('state', { state }).catch((error) => {
            this.#shown = undefined;
            if (error.code === 'rate_limited') this.#stateTimer = setTimeout(() => this.#showState(), 1000 * (error.retryAfter ?? 1));
            else if (!['closed', 'not_in_room'].includes(error.code)) this.tell('error', error);
        });
    }
}

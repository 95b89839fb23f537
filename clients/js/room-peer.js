// room-peer.js — another member of the room, and the call with it: one RTCPeerConnection, negotiated by the "perfect negotiation" of the WebRTC
// specification. Who was there first offers, and is the impolite side; the newcomer waits for that first offer, and is polite.
//
// Beside the description an offer has `id`, which its answer repeats as `re`, and both have `pc`, the name of the connection it is about. So an
// answer to an offer that has been taken back is known as one, and so is a side that has begun anew: a call goes on through a restart of the hub when
// both still have their connections, and is made again when one has not. Who does not say them (other clients) is believed as it is.
import { FileChannel } from './room-files.js';
import { RoomError } from './room-line.js';

const CANDIDATES_MS = 30;                               // those of one burst travel together
const DISCONNECTED_MS = 4000, POLITE_MS = 2000;         // before ICE begins anew; the polite side gives the other the chance
const AGAIN_MS = 1000, AGAIN_MOST_MS = 30_000;          // and again, when that did not help
const ANSWER_MS = 12_000, ANSWER_MOST_MS = 60_000;      // an answer is waited for so long, then the offer is sent again
const SAID_MOST = 100, FILES_MOST = 16;                 // messages that wait for the channel to open; files at a time
const CHANNEL = { label: 'carillon', id: 0 };           // both sides make it: there is nothing to agree about

const newName = () => Array.from(crypto.getRandomValues(new Uint8Array(9)), (byte) => byte.toString(36).padStart(2, '0')).join('');

// A description as clients write it: sdp as a text or an object, or under its own name.
function sdpOf({ type, sdp, description, ...more }) {
    const found = sdp ?? description ?? more[type];
    return typeof found === 'object' ? found?.sdp : found;
}

// room: what the peer needs of it: tell(event, …), line, config, media (null: data only), RTCPeerConnection.
export class Peer {
    stream = new MediaStream();     // the first audio and the first video that come; others are told by `track`
    connection = null;              // the RTCPeerConnection; another one after one side has begun anew
    isOrphan = false;               // of a hub that has forgotten us: it may come back
    #room;
    #name;
    #remoteName;
    #offers = 0;
    #isOffering = false;
    #ignores = false;
    #hasRemote = false;
    #before = Promise.resolve();    // frames are taken one after the other
    #candidates = [];
    #candidatesTimer;
    #answerTimer;
    #restartTimer;
    #restarts = 0;
    #senders = new Map();           // kind → RTCRtpSender
    #channel = null;
    #said = [];
    #files = new Map();             // RTCDataChannel → FileChannel

    constructor(room, { user_id: userId, info, state, polite, away = false }) {
        this.#room = room;
        Object.assign(this, { userId, info, state, isPolite: polite, isAway: away });
    }

    get connectionState() { return this.connection?.connectionState ?? 'new'; }

    // The newcomer waits for the offer.
    start() { if (!this.isPolite) this.#begin(); }

    // Anything that JSON can say, over the data channel; waits until there is one.
    send(data) {
        const text = JSON.stringify(data);
        if (this.#channel?.readyState === 'open') this.#channel.send(text);
        else if (this.#said.length < SAID_MOST) this.#said.push(text);
        else return false;
        return true;
    }

    sendFile(file) {
        if (this.#channel?.readyState !== 'open') throw new RoomError('not_connected', 'there is no connection yet');
        if (this.#files.size >= FILES_MOST) throw new RoomError('too_many_files', `${FILES_MOST} files are on their way already`);
        return this.#addFile(this.connection.createDataChannel('file', { protocol: 'carillon-file' }), file);
    }

    // ICE looks for a way again; the call goes on meanwhile, as far as it can.
    restart() {
        if (this.#hasRemote) this.connection.restartIce();      // an offer that is under way comes first
        this.#repeat();
    }

    configure() {
        const { connection } = this;
        try { connection?.setConfiguration(this.#room.config); } catch (error) { this.#room.tell('error', error); }
    }

    // No negotiation is needed for that: both directions are there from the beginning.
    setTrack(kind, track) {
        return this.#senders.get(kind)?.replaceTrack(track).catch((error) => this.connection?.signalingState !== 'closed' && this.#room.tell('error', error));
    }

    // The hub has forgotten both: the connection may live, so it is only asked whether it does.
    adopt(user) {
        Object.assign(this, { info: user.info, state: user.state, isPolite: user.polite, isAway: Boolean(user.away), isOrphan: false });
        if (this.isPolite) return;
        if (this.#hasRemote) this.restart();
        else this.#begin();
    }

    // Frames were lost between the two: whatever the other has, it gets an offer.
    renegotiate() {
        if (this.connection) this.restart();
        else this.start();
    }

    take(frame) {
        this.#before = this.#before.then(() => this.#takes[frame.type](frame)).catch((error) => {
            if (this.connection?.signalingState !== 'closed') this.#room.tell('error', error);
        });
    }

    close() {
        for (const timer of [this.#candidatesTimer, this.#answerTimer, this.#restartTimer]) clearTimeout(timer);
        this.#candidatesTimer = this.#answerTimer = undefined;
        this.#candidates = [];
        const { connection } = this;
        this.connection = this.#channel = null;
        connection?.close();
        for (const file of this.#files.values()) file.lost();
        this.#files.clear();
    }

    // ---- the connection ----

    #begin(isAnswer, sdp) {
        this.close();
        const { RTCPeerConnection, config } = this.#room, connection = new RTCPeerConnection(config);
        Object.assign(this, { connection });
        this.#name = newName();
        this.#remoteName = undefined;
        this.#hasRemote = this.#isOffering = this.#ignores = false;
        this.#senders.clear();
        const mine = (fn) => (event) => connection === this.connection && fn(event);
        connection.ontrack = mine((event) => this.#gotTrack(event));
        connection.onicecandidate = mine(({ candidate }) => candidate && this.#gotCandidate(candidate));
        connection.onconnectionstatechange = mine(() => this.#moved());
        connection.ondatachannel = mine(({ channel }) => this.#gotChannel(channel));
        if (!isAnswer || /^m=application/m.test(sdp)) this.#open(connection);
        if (isAnswer) return;
        connection.onnegotiationneeded = mine(() => this.#offer());
        for (const [kind, track] of this.#room.media?.outgoing() ?? [])
            this.#senders.set(kind, connection.addTransceiver(track ?? kind, { direction: 'sendrecv', streams: [this.#room.media.stream] }).sender);
    }

    // What the first offer has places for gets our tracks before it is answered, so that nothing is left to negotiate.
    async #attach() {
        const { connection } = this, all = connection.getTransceivers();
        connection.onnegotiationneeded = () => connection === this.connection && this.#offer();
        const placed = [];
        for (const [kind, track] of this.#room.media?.outgoing() ?? []) {
            const place = all.find(({ receiver, sender }) => receiver.track.kind === kind && !sender.track);
            if (!place && !track) continue;
            const { sender } = place ?? connection.addTransceiver(track, { streams: [this.#room.media.stream] });
            this.#senders.set(kind, sender);
            if (!place) continue;
            place.direction = 'sendrecv';
            sender.setStreams?.(this.#room.media.stream);
            placed.push(this.setTrack(kind, track));
        }
        // A track that is replaced meanwhile finds its sender, and comes after this one.
        await Promise.all(placed);
    }

    #open(connection) {
        const channel = this.#channel = connection.createDataChannel(CHANNEL.label, { negotiated: true, id: CHANNEL.id });
        channel.onopen = () => { for (const text of this.#said.splice(0)) channel.send(text); };
        channel.onmessage = ({ data }) => {
            try { data = JSON.parse(data); } catch { return; }
            this.#room.tell('message', this, data);
        };
    }

    #gotChannel(channel) {
        if (channel.protocol === 'carillon-file' && this.#files.size >= FILES_MOST) channel.close();
        else if (channel.protocol === 'carillon-file') this.#addFile(channel, null);
        else this.#room.tell('channel', this, channel);
    }

    #addFile(channel, file) {
        const one = new FileChannel(channel, file, this, (event) => this.#room.tell(event, this, one));
        this.#files.set(channel, one);
        one.done.finally(() => this.#files.delete(channel)).catch(() => {});
        return one;
    }

    #gotTrack({ track, streams, transceiver }) {
        const isFirst = this.connection.getTransceivers().find(({ receiver }) => receiver.track.kind === track.kind) === transceiver;
        if (isFirst) {
            for (const old of this.stream.getTracks()) if (old.kind === track.kind) this.stream.removeTrack(old);
            this.stream.addTrack(track);
        }
        this.#room.tell('track', this, track, streams);
    }

    #moved() {
        const { connectionState } = this.connection;
        clearTimeout(this.#restartTimer);
        if (connectionState === 'connected') this.#restarts = 0;
        if (connectionState === 'failed') this.#restartIn(Math.min(AGAIN_MOST_MS, AGAIN_MS * 2 ** this.#restarts++));
        if (connectionState === 'disconnected') this.#restartIn(DISCONNECTED_MS);
        this.#room.tell('change', this);
    }

    #restartIn(ms) {
        clearTimeout(this.#restartTimer);
        this.#restartTimer = setTimeout(() => this.restart(), ms + (this.isPolite ? POLITE_MS : 0));
    }

    // ---- what we say ----

    async #offer() {
        const { connection } = this;
        try {
            this.#isOffering = true;
            await connection.setLocalDescription();
        } catch (error) {
            if (connection === this.connection) this.#room.tell('error', error);
            return;
        } finally {
            if (connection === this.connection) this.#isOffering = false;
        }
        // A remote offer may have come between: then that is answered.
        if (connection === this.connection && connection.localDescription?.type === 'offer' && connection.signalingState === 'have-local-offer') this.#sayOffer();
    }

    #sayOffer() {
        const id = ++this.#offers;
        this.#say('offer', { sdp: this.connection.localDescription.sdp, id, pc: this.#name });
        if (!this.#answerTimer) this.#waitForAnswer(ANSWER_MS);
    }

    // What the hub refuses for the moment is offered again; what it can give to nobody is not, the member has left.
    #say(type, members) {
        const { connection } = this;
        this.#room.line.send(type, { to: this.userId, ...members }).catch((error) => {
            if (connection !== this.connection || !connection) return;
            const { code, retryAfter = 1 } = error;
            if (['rate_limited', 'peer_busy', 'queue_full'].includes(code)) this.#restartIn(1000 * retryAfter);
            else if (!['peer_unavailable', 'not_in_room', 'closed'].includes(code)) this.#room.tell('error', error);
        });
    }

    #waitForAnswer(ms) {
        clearTimeout(this.#answerTimer);
        this.#answerTimer = setTimeout(() => {
            this.#answerTimer = undefined;
            if (this.connection?.signalingState !== 'have-local-offer') return;
            this.#waitForAnswer(Math.min(2 * ms, ANSWER_MOST_MS));
            if (this.#room.line.state === 'open' && !this.isAway) this.#repeat();
        }, ms);
    }

    // The same offer, with all candidates that were found since: whoever had it already answers once more.
    #repeat() {
        if (this.connection?.signalingState === 'have-local-offer') this.#sayOffer();
    }

    #gotCandidate(candidate) {
        this.#candidates.push(candidate.toJSON());
        this.#candidatesTimer ??= setTimeout(() => this.#sayCandidates(), CANDIDATES_MS);
    }

    #sayCandidates() {
        const all = this.#candidates.splice(0);
        this.#candidatesTimer = undefined;
        if (all.length) this.#say('ice-candidate', all.length === 1 ? { candidate: all[0] } : { candidates: all });
    }

    // ---- what the other says ----

    #takes = {
        offer: async (frame) => {
            const sdp = sdpOf(frame), isAnother = frame.pc !== undefined && this.#remoteName !== undefined && frame.pc !== this.#remoteName;
            if (!this.connection || isAnother) this.#begin(true, sdp);
            const { connection } = this, isFirst = !this.#hasRemote;
            this.#ignores = !this.isPolite && (this.#isOffering || connection.signalingState !== 'stable');
            if (this.#ignores) return;
            await connection.setRemoteDescription({ type: 'offer', sdp });
            this.#hasRemote = true;
            this.#remoteName = frame.pc;
            if (isFirst && !this.#senders.size) await this.#attach();
            await connection.setLocalDescription();
            if (connection === this.connection) this.#say('answer', { sdp: connection.localDescription.sdp, re: frame.id, pc: this.#name });
        },
        answer: async (frame) => {
            const { connection } = this;
            if (!connection || connection.signalingState !== 'have-local-offer' || (frame.re !== undefined && frame.re !== this.#offers)) return;
            clearTimeout(this.#answerTimer);
            this.#answerTimer = undefined;
            if (frame.pc !== undefined && this.#remoteName !== undefined && frame.pc !== this.#remoteName) return this.#begin();
            await connection.setRemoteDescription({ type: 'answer', sdp: sdpOf(frame) });
            this.#hasRemote = true;
            this.#remoteName = frame.pc;
        },
        'ice-candidate': async ({ candidate, candidates = [candidate] }) => {
            const { connection } = this;
            for (const one of candidates) {
                if (!connection?.remoteDescription) return;
                try {
                    await connection.addIceCandidate(typeof one === 'string' ? { candidate: one, sdpMLineIndex: 0 } : one ?? undefined);
                } catch (error) {
                    if (!this.#ignores && connection === this.connection && one) this.#room.tell('error', error);
                }
            }
        },
    };
}

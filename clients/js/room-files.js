// room-files.js — one file on its way from one member to another, over a data channel of its own.
//
//   sender                                       receiver
//   {"name","size","type"}         ──────────>   event `file`: accept() or reject()
//                                  <──────────   {"accept":true}, or the channel is closed
//   bytes, as fast as they leave   ──────────>   progress
//                                  <──────────   {"got":size}
//
// What waits in the channel stays below HIGH: the file is read as it goes, never as a whole.

import { RoomError } from './room-line.js';

const CHUNK = 64 * 1024, HIGH = 1024 * 1024, LOW = 256 * 1024, HEAD_CHARS = 4096, PROGRESS_MS = 100;

// The name is somebody else's: no folders, nothing that is not shown.
const plainName = (name) => String(name).replace(/^.*[/\\]/s, '').replace(/[\p{C}]/gu, '').slice(0, 200) || 'file';

export class FileChannel {
    state = 'offered';          // offered · moving · done · failed
    moved = 0;
    blob = null;                // what has come, when it is done
    #channel;
    #file;
    #parts = [];
    #toldAt = 0;
    #resolve;
    #reject;

    // file: what is to be sent (a File or Blob); null: one that comes. tell('file') once when there is something to decide, tell('progress') meanwhile.
    constructor(channel, file, peer, tell) {
        Object.assign(this, { peer, tell, isOutgoing: file !== null });
        this.#channel = channel;
        this.#file = file;
        this.done = new Promise((resolve, reject) => { this.#resolve = resolve; this.#reject = reject; });
        this.done.catch(() => {});      // it is told by the event, too
        channel.binaryType = 'arraybuffer';
        channel.bufferedAmountLowThreshold = LOW;
        channel.onmessage = ({ data }) => this.#take(data);
        channel.onclose = () => this.lost();
        if (!file) return;
        Object.assign(this, { name: plainName(file.name ?? 'file'), size: file.size, type: file.type });
        const offer = () => channel.send(JSON.stringify({ name: this.name, size: this.size, type: this.type }));
        if (channel.readyState === 'open') offer();
        else channel.onopen = offer;
    }

    accept() {
        if (this.isOutgoing || this.state !== 'offered') return this.done;
        this.#move('moving');
        this.#channel.send('{"accept":true}');
        this.#finishIfWhole();
        return this.done;
    }

    reject() { this.#fail('rejected', 'it was not accepted'); }
    cancel() { this.#fail('cancelled', 'it was cancelled'); }
    lost() { this.#fail('lost', this.state === 'offered' && this.isOutgoing ? 'it was not accepted' : 'the connection was lost'); }

    #move(state) {
        this.state = state;
        this.tell('progress');
    }

    #fail(code, message) {
        if (this.state === 'done' || this.state === 'failed') return;
        this.error = new RoomError(code, message);
        this.#parts = [];
        this.#move('failed');
        this.#channel.close();
        this.#reject(this.error);
    }

    #finish() {
        this.#move('done');
        if (this.isOutgoing) this.#channel.close();
        this.#resolve(this);
    }

    #take(data) {
        if (typeof data !== 'string') return this.#takeBytes(data);
        let said;
        try { said = data.length <= HEAD_CHARS ? JSON.parse(data) : null; } catch { /* told below */ }
        if (said === null || typeof said !== 'object') this.#fail('bad_file', 'the other side said what is not understood');
        else if (!this.isOutgoing) this.#offered(said);
        else if (said.accept && this.state === 'offered') this.#send();
        else if (said.got === this.size && this.moved === this.size) this.#finish();
    }

    #offered({ name, size, type }) {
        if (this.name !== undefined || !Number.isSafeInteger(size) || size < 0) return this.#fail('bad_file', 'what was offered is no file');
        Object.assign(this, { name: plainName(name), size, type: typeof type === 'string' ? type.slice(0, 100) : '' });
        this.tell('file');
    }

    #takeBytes(bytes) {
        if (this.isOutgoing || this.state !== 'moving' || this.moved + bytes.byteLength > this.size) return this.#fail('bad_file', 'more came than was offered');
        this.#parts.push(bytes);
        this.#count(bytes.byteLength);
        // Blobs may live on the disk: a large file is not held in memory.
        if (this.#parts.length >= 256) this.#parts = [new Blob(this.#parts)];
        this.#finishIfWhole();
    }

    #finishIfWhole() {
        if (this.moved !== this.size) return;
        this.blob = new Blob(this.#parts, { type: this.type });
        this.#parts = [];
        this.#channel.send(JSON.stringify({ got: this.size }));
        this.#finish();
    }

    #count(bytes) {
        this.moved += bytes;
        if (performance.now() - this.#toldAt < PROGRESS_MS) return;
        this.#toldAt = performance.now();
        this.tell('progress');
    }

    async #send() {
        this.#move('moving');
        try {
            for (let at = 0; at < this.size && this.state === 'moving'; at += CHUNK) {
                const bytes = await this.#file.slice(at, at + CHUNK).arrayBuffer();
                if (this.#channel.bufferedAmount > HIGH) await this.#drained();
                if (this.state !== 'moving') return;
                this.#channel.send(bytes);
                this.#count(bytes.byteLength);
            }
        } catch (error) {
            this.#fail(error.name === 'NotReadableError' ? 'unreadable' : 'lost', error.message);
        }
    }

    #drained() {
        return new Promise((resolve) => {
            this.#channel.onbufferedamountlow = resolve;
            this.done.catch(() => {}).then(resolve);
        });
    }
}

// room-media.js — what this member sends: one audio track (the microphone) and one video track (the camera, or the screen in its place). Peers are given
// another track in the place of the old one, so nothing of this has to be negotiated.

const KINDS = { audio: 'audioinput', video: 'videoinput' };

// changed(kind): there is another track, or another state; failed(error): a device went away and could not be replaced.
export class Media {
    stream = new MediaStream();         // what goes out, for the own picture; peers see its id
    isMuted = false;
    #devices = { audio: undefined, video: undefined };
    #constraints = { audio: {}, video: {} };
    #tracks = { audio: null, camera: null, screen: null };
    #before = Promise.resolve();
    #isClosed = false;

    constructor(changed, failed) { Object.assign(this, { changed, failed }); }

    // Shown to the others as the member's state.
    get state() { return { microphone: Boolean(this.#tracks.audio) && !this.isMuted, camera: Boolean(this.#tracks.camera), screen: Boolean(this.#tracks.screen) }; }
    track(kind) { return kind === 'audio' ? this.#tracks.audio : this.#tracks.screen ?? this.#tracks.camera; }
    outgoing() { return ['audio', 'video'].map((kind) => [kind, this.track(kind)]); }

    // Asks for both at once, which is one question to the person. Constraints are those of getUserMedia(); false: none of that kind.
    open({ audio = true, video = true } = {}) {
        return this.#next(async () => {
            for (const [kind, wanted] of Object.entries({ audio, video })) if (typeof wanted === 'object') this.#constraints[kind] = wanted;
            const stream = await navigator.mediaDevices.getUserMedia({ audio: audio && this.#wanted('audio'), video: video && this.#wanted('video') });
            for (const track of stream.getTracks()) this.#set(track.kind === 'audio' ? 'audio' : 'camera', track);
        });
    }

    // At once, and the microphone stays ours: to speak again takes no time.
    mute(isMuted = true) {
        this.isMuted = isMuted;
        if (this.#tracks.audio) this.#tracks.audio.enabled = !isMuted;
        this.changed('audio');
    }

    // Off, its light is off too.
    setCamera(isOn) {
        return this.#next(async () => {
            if (isOn === Boolean(this.#tracks.camera)) return;
            if (isOn) await this.#get('video');
            else this.#set('camera', null);
        });
    }

    // Another device from now on; `deviceId` as of enumerateDevices(). A device that is off stays off until it is wanted.
    use(kind, deviceId) {
        return this.#next(async () => {
            const before = this.#devices[kind];
            this.#devices[kind] = deviceId;
            if (!this.#tracks[kind === 'audio' ? 'audio' : 'camera']) return;
            try {
                await this.#get(kind);
            } catch (error) {
                this.#devices[kind] = before;
                throw error;
            }
        });
    }

    async devices() {
        const all = await navigator.mediaDevices.enumerateDevices(), of = (kind) => all.filter((device) => device.kind === KINDS[kind]);
        return { audio: of('audio'), video: of('video') };
    }
    deviceOf(kind) { return this.#tracks[kind === 'audio' ? 'audio' : 'camera']?.getSettings().deviceId; }

    shareScreen(constraints = { video: true }) {
        return this.#next(async () => {
            const [track] = (await navigator.mediaDevices.getDisplayMedia(constraints)).getVideoTracks();
            track.contentHint = 'detail';
            this.#set('screen', track);
        });
    }
    stopScreen() { return this.#next(async () => this.#set('screen', null)); }

    // A track of the application's own, such as of a canvas; it is stopped as ours are.
    setTrack(kind, track) { return this.#next(async () => this.#set(kind === 'audio' ? 'audio' : 'camera', track)); }

    close() {
        this.#isClosed = true;
        for (const name of Object.keys(this.#tracks)) this.#set(name, null);
    }

    // One after the other: a camera that is asked for twice is opened once.
    #next(fn) {
        const now = this.#before.then(fn);
        this.#before = now.catch(() => {});
        return now;
    }

    #wanted(kind) {
        const deviceId = this.#devices[kind];
        return { ...this.#constraints[kind], ...(deviceId && { deviceId: { exact: deviceId } }) };
    }

    async #get(kind) {
        const name = kind === 'audio' ? 'audio' : 'camera';
        const [track] = (await navigator.mediaDevices.getUserMedia({ [kind]: this.#wanted(kind) })).getTracks();
        this.#set(name, track);
    }

    #set(name, track) {
        const before = this.#tracks[name], kind = name === 'audio' ? 'audio' : 'video';
        if (track && this.#isClosed) return track.stop();
        this.#tracks[name] = track;
        if (before && before !== track) {
            before.onended = null;
            before.stop();
        }
        if (track) track.onended = () => this.#ended(name, kind);
        if (track && name === 'audio') track.enabled = !this.isMuted;
        const now = this.track(kind);
        for (const old of this.stream.getTracks()) if (old.kind === kind && old !== now) this.stream.removeTrack(old);
        if (now) this.stream.addTrack(now);
        this.changed(kind);
    }

    // Sharing was ended in the browser's own bar; or a device was pulled out, and there may be another one.
    #ended(name, kind) {
        this.#set(name, null);
        if (name === 'screen' || this.#isClosed) return;
        const { deviceId, groupId, ...others } = this.#constraints[kind];      // the one that has gone
        this.#devices[kind] = undefined;
        this.#constraints[kind] = others;
        this.#next(() => this.#get(kind)).catch((error) => this.failed(error));
    }
}

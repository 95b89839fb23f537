// room.d.ts — the types of room.js. What each member of a frame means is in PROTOCOL.md §6, Signaling.

/** What these files say themselves; every other code is the hub's (PROTOCOL.md §10). */
export type OwnCode = 'bad_url' | 'bad_file' | 'cancelled' | 'closed' | 'lost' | 'no_token' | 'not_connected' | 'queue_full' | 'refused' | 'rejected' | 'too_many_files'
    | 'unreachable' | 'unreadable' | 'unsupported' | 'left' | 'kicked' | 'replaced' | 'ended' | 'timeout';

export class RoomError extends Error {
    constructor(code: string, message?: string, more?: object);
    code: OwnCode | (string & {});
    /** Seconds to wait before it is worth trying again. */
    retryAfter?: number;
    /** Whom it could not be given to. */
    to?: string | string[];
}

export interface RoomOptions {
    /** Who it is, where no token says so. */
    user?: string;
    /** What the others see of this member; a token's `info` counts instead. */
    info?: unknown;
    /** A token or API key, or a function that makes one: asked for each connection, and before the one in use ends. */
    token?: string | (() => string | Promise<string>);
    /** False: no audio and video, data only. */
    media?: boolean;
    /** The page that is loaded again takes the place of this member (default true; the ticket is in sessionStorage while the page is not there). */
    reload?: boolean;
    /** Counts over what the hub says: `{ iceTransportPolicy: 'relay' }`. */
    rtc?: RTCConfiguration;
    /** Milliseconds of silence after which the line is probed: 15000. */
    ping?: number;
    /** Milliseconds the hub may take to answer when it is connected to: 10000. */
    timeout?: number;
    WebSocket?: unknown;
    RTCPeerConnection?: typeof RTCPeerConnection;
}

export type RoomState = 'idle' | 'connecting' | 'open' | 'waiting' | 'closed';
export interface MediaState { microphone: boolean; camera: boolean; screen: boolean }
export type Kind = 'audio' | 'video';

/** What this member sends. */
export interface Media {
    /** For the own picture. */
    readonly stream: MediaStream;
    readonly state: MediaState;
    readonly isMuted: boolean;
    /** Asks for microphone and camera, at once. */
    open(constraints?: { audio?: boolean | MediaTrackConstraints; video?: boolean | MediaTrackConstraints }): Promise<void>;
    mute(isMuted?: boolean): void;
    setCamera(isOn: boolean): Promise<void>;
    shareScreen(constraints?: DisplayMediaStreamOptions): Promise<void>;
    stopScreen(): Promise<void>;
    /** Another device from now on. */
    use(kind: Kind, deviceId: string): Promise<void>;
    devices(): Promise<{ audio: MediaDeviceInfo[]; video: MediaDeviceInfo[] }>;
    deviceOf(kind: Kind): string | undefined;
    /** A track of the application's own; null: none. */
    setTrack(kind: Kind, track: MediaStreamTrack | null): Promise<void>;
    track(kind: Kind): MediaStreamTrack | null;
}

export interface FileTransfer {
    readonly name: string;
    readonly size: number;
    readonly type: string;
    readonly peer: Peer;
    readonly isOutgoing: boolean;
    readonly state: 'offered' | 'moving' | 'done' | 'failed';
    /** Bytes so far. */
    readonly moved: number;
    /** What has come, when it is done. */
    readonly blob: Blob | null;
    readonly error?: RoomError;
    readonly done: Promise<FileTransfer>;
    accept(): Promise<FileTransfer>;
    reject(): void;
    cancel(): void;
}

export interface Peer<State = any, Info = any> {
    readonly userId: string;
    readonly info: Info;
    /** What the member shows of itself: MediaState, and what setState() was given there. Null: nothing. */
    readonly state: State | null;
    /** Our role towards it. */
    readonly isPolite: boolean;
    /** Its connection to the hub has ended, and it may come back. The call may go on all the same. */
    readonly isAway: boolean;
    /** Its first audio and its first video. The same object for as long as the member is there. */
    readonly stream: MediaStream;
    readonly connection: RTCPeerConnection | null;
    readonly connectionState: RTCPeerConnectionState;
    send(data: unknown): boolean;
    sendFile(file: Blob): FileTransfer;
    /** ICE looks for a way again. Happens by itself when the connection fails or the network changes. */
    restart(): void;
}

export interface RoomEvents {
    state: (state: RoomState, error: RoomError | null) => void;
    /** The hub has let us in, or knows us again. */
    joined: (how: { resumed: boolean; recovered: boolean }) => void;
    /** Somebody is there. */
    peer: (peer: Peer) => void;
    /** `left`, `timeout`, `kicked`, `replaced` (it comes again as `peer`), `disconnected`. */
    left: (peer: Peer, reason: string) => void;
    /** Its state, whether it is away, or its connection. */
    change: (peer: Peer) => void;
    track: (peer: Peer, track: MediaStreamTrack, streams: readonly MediaStream[]) => void;
    message: (peer: Peer, data: any) => void;
    /** A file is offered: accept() or reject() it. */
    file: (peer: Peer, file: FileTransfer) => void;
    progress: (peer: Peer, file: FileTransfer) => void;
    /** A data channel that the application of the other side has made. */
    channel: (peer: Peer, channel: RTCDataChannel) => void;
    /** `from` is null when it is of your backend. */
    signal: (from: string | null, data: any) => void;
    broadcast: (from: string | null, data: any) => void;
    metadata: (metadata: any) => void;
    /** Other STUN and TURN servers, or other credentials for them; the calls have them already. */
    servers: (servers: RTCIceServer[], expiresMs?: number) => void;
    /** What this member sends has changed. */
    media: (state: MediaState) => void;
    /** It is over, for good: null when leave() was called. */
    ended: (error: RoomError | null) => void;
    error: (error: Error) => void;
}

export class Room {
    constructor(url: string | URL, room: string, options?: RoomOptions);
    readonly name: string;
    readonly state: RoomState;
    readonly userId: string | null;
    readonly metadata: any;
    readonly peers: Map<string, Peer>;
    /** Null with `media: false`. */
    readonly media: Media | null;
    /** Of each connection. */
    readonly config: RTCConfiguration;
    on<Name extends keyof RoomEvents>(name: Name, fn: RoomEvents[Name]): () => void;
    join(): Promise<Room>;
    leave(): void;
    /** Over the data channels, to all or to one. */
    send(data: unknown, to?: string): boolean;
    sendFile(file: Blob, to?: string): FileTransfer[];
    /** Over the hub, to one, also when it is away. */
    signal(to: string, data: unknown): Promise<{ delivered?: number; duplicate?: true }>;
    broadcast(data: unknown): Promise<{ delivered?: number; duplicate?: true }>;
    setState(some: Record<string, unknown>): void;
    /** Needs the grant `kick`. */
    kick(userId: string, message?: string): Promise<object>;
    /** By itself before credentials end; this is for who cannot wait. */
    refreshServers(): Promise<void>;
}

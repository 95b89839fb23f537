// carillon.d.ts — the types of carillon.js. What each member of a frame means is in PROTOCOL.md.

/** `<epoch>.<number>`: a place in the hub's sequence of messages. Store it, send it back. */
export type Position = string;
/** Where to begin: a position, `all`, `last`, `-20`, a moment (RFC 3339) or how long ago (`10m`). */
export type Since = Position | 'all' | 'last' | (string & {});

export interface Message<T = unknown> {
    type: 'message';
    /** It comes in a replay: it was published before the subscription began, or while the line was lost. */
    replay?: true;
    channel: string;
    id: Position;
    event?: string;
    /** Binary data is a string of base64. */
    encoding?: 'base64';
    data: T;
    /** When the hub accepted it, in milliseconds since 1970. */
    time: number;
}

export interface Gap {
    type: 'gap';
    reason: 'history' | 'epoch' | 'conflated';
    channels: string[];
    position: Position;
    replay?: true;
}

export interface Subscribed {
    channel: string;
    /** Where it begins. Every publish whose request is sent from now on will come. */
    position: Position;
    recovered: boolean;
    /** False: the channel keeps no history, so nothing of it comes again after a cut. */
    resumable: boolean;
}

export interface PresenceChange {
    /** `members-changed`: some changes were lost, ask for the list again. */
    type: 'member-joined' | 'member-left' | 'members-changed';
    channel: string;
    user?: string;
    info?: unknown;
}

export interface Member { user: string; info: unknown; connections: number; since: string | number }
export interface PresencePage { channel: string; data: Member[]; count: number; next_cursor: string | null }
export interface HistoryPage<T = unknown> { channel: string; messages: Message<T>[]; position: Position; gap?: Pick<Gap, 'reason'> }
export interface Published { id: Position; channel: string; time: number; subscribers: number; replayed?: true }

/** What the client says itself; every other code is the hub's (PROTOCOL.md §10). */
export type OwnCode = 'bad_url' | 'closed' | 'no_token' | 'outcome_unknown' | 'queue_full' | 'refused' | 'unreachable' | 'unsupported';

export class CarillonError extends Error {
    constructor(code: string, message?: string, more?: object);
    code: OwnCode | (string & {});
    /** Of an answer over HTTP. */
    status?: number;
    /** Seconds to wait before it is worth trying again. */
    retryAfter?: number;
    /** Of `position_changed`: the newest message, or null. */
    position?: Position | null;
    cause?: unknown;
}

type Token = string | null | undefined;

export interface Options {
    /** A token or API key, or what makes one: asked each time it connects, and before the one in use ends. */
    token?: Token | (() => Token | Promise<Token>);
    /** The API's address: publish, history and presence go there when WebSockets do not get through. */
    api?: string;
    /** `auto`: WebSocket, and a stream of events where sockets fail though the hub is there. */
    transport?: 'auto' | 'ws' | 'sse';
    /** A name for this client that stays over reconnects (`exclude` knows it). */
    client?: string;
    /** Commands without an answer at most; 1000. Beyond it: `queue_full`. */
    queue?: number;
    /** Milliseconds of silence after which the line is probed; 25000. A stream must hear its hub's heartbeat (15 s) within 1.8 times that. */
    ping?: number;
    /** Milliseconds a hub may take to answer when it is connected to, the API three times as long; 10000. */
    timeout?: number;
    /** Of fetch(), for streams and the API: `include` takes cookies to a hub of another origin. */
    credentials?: 'omit' | 'same-origin' | 'include';
    /** A WebSocket for Node before 22, such as npm `ws`; without one it uses a stream there. */
    WebSocket?: unknown;
}

export interface SubscribeOptions {
    /** Without it: from now on. */
    since?: Since | null;
    /** Be told who comes and goes. */
    presence?: boolean;
    /** Some messages may be missing before those that come next. */
    onGap?: (gap: Gap) => unknown;
    onPresence?: (change: PresenceChange) => unknown;
    /** It has ended, and not by close(). Without it the event `error` is told. */
    onEnd?: (error: CarillonError) => unknown;
    /** Messages that wait for an iterator at most; 1000. Beyond it: `slow_consumer`. */
    buffer?: number;
}

export interface PublishOptions {
    event?: string;
    /** A client id that is not to get it. */
    exclude?: string;
    /** A duration such as `10m`. */
    ttl?: string;
    /** The idempotency key, with which it is asked again until it is answered, and published once; false: neither. Without it one is made. */
    key?: string | false;
    /** Only if this is the newest message of the channel; null: only if it has none. */
    ifPosition?: Position | null;
}

export interface Subscription<T = unknown> extends AsyncIterable<Message<T>> {
    readonly name: string;
    readonly state: 'waiting' | 'live' | 'closed';
    /** It has begun; rejected when it ends before that. Nobody has to look. */
    readonly ready: Promise<Subscribed>;
    close(): void;
    [Symbol.asyncIterator](): AsyncGenerator<Message<T>, void, void>;
}

export type State = 'idle' | 'connecting' | 'open' | 'waiting' | 'closed';

export interface Hub {
    readonly state: State;
    /** Whoever begins here misses nothing of any subscription. */
    readonly position: Position | null;
    readonly user: string | null;
    /** A channel or a pattern (`orders.*`, `orders.**`). With a listener it begins at once, */
    subscribe<T = unknown>(name: string, listener: (message: Message<T>) => unknown, options?: SubscribeOptions): Subscription<T>;
    /** without one when it is iterated: `for await (const message of hub.subscribe(name))`. */
    subscribe<T = unknown>(name: string, options?: SubscribeOptions): Subscription<T>;
    publish(channel: string, data: unknown, options?: PublishOptions): Promise<Published>;
    history<T = unknown>(channel: string, options?: { since?: Since; limit?: number }): Promise<HistoryPage<T>>;
    presence(channel: string, options?: { limit?: number; cursor?: string }): Promise<PresencePage>;
    /** Each gives what takes it off again. */
    on(name: 'state', fn: (state: State, error?: CarillonError) => unknown): () => void;
    /** Every message as it comes, those of channels that the token names too; what is replayed may come again. */
    on(name: 'message', fn: (message: Message) => unknown): () => void;
    on(name: 'gap', fn: (gap: Gap) => unknown): () => void;
    /** What nobody else is told; without a listener it goes to the console. */
    on(name: 'error', fn: (error: Error) => unknown): () => void;
    /** Connects now, not when it is first needed. */
    open(): this;
    close(): void;
}

/** @throws CarillonError `bad_url` */
export function connect(url: string | URL, options?: Options): Hub;

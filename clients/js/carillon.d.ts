// carillon.d.ts — the types of carillon.js. What each member of a frame means is in PROTOCOL.md.

/** `<epoch>.<number>`: a place in the hub's sequence of messages. Store it, send it back. */
export type Position = string;
/** Where to begin: a position, `all`, `last`, `-20`, a moment (RFC 3339) or how long ago (`10m`). */
export type Since = Position | 'all' | 'last' | (string & {});

export interface Message<T = unknown> {
    type: 'message';
    channel: string;
    id: Position;
    event?: string;
    data: T;
    encoding?: 'text' | 'base64';
    client?: string;
    time: number;
    replay?: true;
}

export interface Gap {
    reason: 'history' | 'epoch' | 'conflated';
    channels: string[];
    position: Position;
    replay?: true;
}

export interface Subscribed {
    channel: string;
    position: Position;
    recovered: boolean;
    resumable: boolean;
}

export interface PresenceChange {
    type: 'member-joined' | 'member-left' | 'members-changed';
    channel: string;
    user?: string;
    info?: unknown;
}

export interface Member { user: string; info: unknown; connections: number; since: number | string }
export interface PresencePage { channel: string; data: Member[]; count: number; next_cursor: string | null }
export interface HistoryPage<T = unknown> { channel: string; messages: Message<T>[]; position: Position; gap?: Pick<Gap, 'reason'> }
export interface Published { id: Position; channel: string; time: number; subscribers: number; replayed?: true }

/** `code` is one of PROTOCOL.md §10, or of the client's own: `closed`, `queue_full`, `unsupported`, `outcome_unknown`, `unreachable`, `refused`. */
export class CarillonError extends Error {
    code: string;
    status?: number;
    retryAfter?: number;
    position?: Position | null;
}

export interface Options {
    /** A token or API key, or what makes one: asked for each time it connects, and before the one in use ends. */
    token?: string | (() => string | undefined | Promise<string | undefined>);
    /** The API's address: publishes, history and presence go there when WebSockets do not get through. */
    api?: string;
    /** `auto`: WebSocket, and a stream of events when two attempts came to nothing. */
    transport?: 'auto' | 'ws' | 'sse';
    /** A name for this client that stays over reconnects (`exclude` knows it). */
    client?: string;
    /** Commands that wait for the connection at most; 100. Beyond it: `queue_full`. */
    queue?: number;
    /** A WebSocket for Node before 22, such as npm `ws`. */
    WebSocket?: unknown;
}

export interface SubscribeOptions {
    since?: Since;
    /** Be told who comes and goes. */
    presence?: boolean;
    onGap?: (gap: Gap) => void;
    onPresence?: (change: PresenceChange) => void;
    /** It has ended, and not by close(). */
    onEnd?: (error: CarillonError) => void;
    /** Messages that wait for an iterator at most; 1000. Beyond it: `slow_consumer`. */
    buffer?: number;
}

export interface PublishOptions {
    event?: string;
    exclude?: string | string[];
    ttl?: string | number;
    /** The idempotency key, with which it is sent again until it is answered and published once; false: neither. */
    key?: string | false;
    ifPosition?: Position | null;
}

export interface Subscription<T = unknown> extends AsyncIterable<Message<T>> {
    readonly name: string;
    readonly state: 'waiting' | 'live' | 'closed';
    readonly ready: Promise<Subscribed>;
    close(): void;
}

export type State = 'idle' | 'connecting' | 'open' | 'waiting' | 'closed';

export interface Hub {
    readonly state: State;
    readonly position: Position | null;
    readonly user: string | null;
    subscribe<T = unknown>(name: string, listener: (message: Message<T>) => void | Promise<void>, options?: SubscribeOptions): Subscription<T>;
    subscribe<T = unknown>(name: string, options?: SubscribeOptions): Subscription<T>;
    publish(channel: string, data: unknown, options?: PublishOptions): Promise<Published>;
    history<T = unknown>(channel: string, options?: { since?: Since; limit?: number }): Promise<HistoryPage<T>>;
    presence(channel: string, options?: { limit?: number; cursor?: string }): Promise<PresencePage>;
    /** Each gives what takes it off again. */
    on(name: 'state', fn: (state: State, error?: CarillonError) => void): () => void;
    on(name: 'message', fn: (message: Message) => void): () => void;
    on(name: 'gap', fn: (gap: Gap) => void): () => void;
    on(name: 'error', fn: (error: CarillonError | Error) => void): () => void;
    open(): this;
    close(): void;
}

export function connect(url: string | URL, options?: Options): Hub;

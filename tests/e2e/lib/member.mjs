// member.mjs — a member of a room on a plain WebSocket: what it was told of the room, and what the next connection needs to go on.
import { WsClient } from './ws.mjs';

export class Member {
    lastSeq = 0;

    constructor(scope, hub, room, user, { path = '/ws', options } = {}) { Object.assign(this, { scope, hub, room, user, path, options }); }

    async connect() {
        this.client = new WsClient(this.hub.public ?? this.hub, this.path, this.options);
        const { client } = this;
        this.scope.defer(() => client.terminate());
        await client.opened();
        return this;
    }

    async join(more = {}) {
        this.joined = await this.client.ask({ type: 'join', room: this.room, ...(this.user && { user_id: this.user }), ...more });
        if (this.joined.type === 'users-in-room') this.ticket = this.joined.you.resume;
        return this.joined;
    }

    // On a new connection, with the last number that the old one has seen.
    async resume(more = {}) {
        this.lastSeq = Math.max(this.lastSeq, ...this.client.frames.filter((f) => f.room === this.room).map((f) => f.seq ?? 0));
        await this.connect();
        return this.join({ resume: this.ticket, last_seq: this.lastSeq, ...more });
    }

    say(type, members = {}) { this.client.send({ type, room: this.room, ...members }); }
    ask(type, members = {}) { return this.client.ask({ type, room: this.room, ...members }); }
    get(match) { return this.client.get(match); }
}

export async function member(scope, hub, room, user, options) {
    const one = await new Member(scope, hub, room, user, options).connect();
    await one.join(options?.join);
    return one;
}

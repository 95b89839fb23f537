// visitors.mjs — users who come to some channels and leave again, on any hub, all the time; and all of them at once, to be told of.
import { WsClient } from '../../e2e/lib/ws.mjs';
import { pause } from './load.mjs';

export const HALLS = ['come.1', 'come.2'], USERS = ['u0', 'u1', 'u2', 'u3'];
const IN_MS = 5000;

export class Visitors {
    #running = false;
    #busy = new Set();
    #open = new Set();

    // as: the query of a user's credentials.
    constructor(hubs, chance, as) { Object.assign(this, { hubs, chance, as }); }

    async enter(channel, user) {
        const socket = new WsClient(this.chance.one(this.hubs).public, `/ws?channel=${channel}&${this.as(user)}`);
        this.#open.add(socket);
        await socket.waitFor(() => {
            if (socket.closed) throw new Error('it was closed');
            return socket.frames.find(({ type }) => type === 'subscribed');
        }, 'a visitor to be subscribed', IN_MS);
        return socket;
    }
    #leave(socket) {
        this.#open.delete(socket);
        if (this.chance.below(2)) socket.terminate();
        else socket.socket.close();
    }

    async #visit(user) {
        while (this.#running) {
            await pause(this.chance.below(1500));
            const socket = await this.enter(this.chance.one(HALLS), user).catch(() => null);      // its hub is down, or knows nobody now
            await pause(this.chance.below(800));
            if (socket) this.#leave(socket);
        }
    }

    begin() {
        this.#running = true;
        for (const user of USERS) {
            const one = this.#visit(user).finally(() => this.#busy.delete(one));
            this.#busy.add(one);
        }
    }
    async end() {
        this.#running = false;
        for (const socket of this.#open) this.#leave(socket);
        await Promise.all(this.#busy);
    }
    all() { return Promise.all(HALLS.flatMap((channel) => USERS.map((user) => this.enter(channel, user)))); }
    leave() { for (const socket of this.#open) this.#leave(socket); }
    close() { this.#running = false; for (const socket of this.#open) socket.terminate(); }
}

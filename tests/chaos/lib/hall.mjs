// hall.mjs — members of a channel on several hubs, and one who is told who comes and goes: each once, and in turns.
import { request } from '../../e2e/lib/http.mjs';
import { WsClient } from '../../e2e/lib/ws.mjs';

export class Hall {
    #sockets = [];

    constructor(name) { this.name = name; }

    async #enter(hub, user, query = '') {
        const socket = new WsClient(hub.public, `/ws?channel=${this.name}&user=${user}${query}`);
        this.#sockets.push(socket);
        await socket.get('subscribed');
        return socket;
    }
    async watch(hub) { this.watcher = await this.#enter(hub, 'watcher', '&presence=true'); }
    async enter(hub, users) { await Promise.all(users.map((user) => this.#enter(hub, user))); }

    // What was told of a user so far: ['joined', 'left', …]
    told(user) { return this.watcher.frames.filter((f) => f.user === user && f.type.startsWith('member-')).map((f) => f.type.slice(7)); }
    becomes(users, told, ms) {
        const wanted = told.join();
        return this.watcher.waitFor(() => users.every((user) => this.told(user).join() === wanted), `${users} to be told as ${wanted}`, ms);
    }
    async listed(hub) {
        const answer = await request(hub, `/v1/channels/${this.name}/presence?limit=1000`);
        return answer.status === 200 ? answer.json.data.map(({ user }) => user).sort() : [`${answer.status} ${answer.text}`];
    }
    close() { for (const socket of this.#sockets) socket.terminate(); }
}

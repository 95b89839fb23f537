// webhooks.mjs — a hub whose webhooks may go to receivers on this machine, and what tests ask of its API.
//
//   const { hub, webhooks, receiver } = await withReceiver(scope, ['--webhooks.retry=0,50ms']);
//   const { id, secret } = await webhooks.make({ url: receiver.url('/hook'), events: ['*'] });
//   await webhooks.tell('order.created', { order: 1 });
import { request } from './http.mjs';
import { Receiver } from './receiver.mjs';
import { eventually } from './wait.mjs';

export const LOCAL = ['--webhooks.allow_http=true', '--webhooks.allow_networks=127.0.0.0/8'];

export class Webhooks {
    constructor(hub, headers = {}) { Object.assign(this, { hub, headers }); }

    ask(method, path, body, headers = {}) { return request(this.hub, path, { method, body, headers: { ...this.headers, ...headers } }); }

    async #good(status, ...asked) {
        const answer = await this.ask(...asked);
        if (answer.status !== status) throw new Error(`${asked[0]} ${asked[1]} answered ${answer.status}: ${answer.text}`);
        return answer.text && answer.json;
    }

    make(document) { return this.#good(201, 'POST', '/v1/webhooks', document); }
    show(id) { return this.#good(200, 'GET', `/v1/webhooks/${id}`); }
    change(id, patch) { return this.#good(200, 'PATCH', `/v1/webhooks/${id}`, patch); }
    remove(id) { return this.#good(204, 'DELETE', `/v1/webhooks/${id}`); }
    rotate(id, document) { return this.#good(200, 'POST', `/v1/webhooks/${id}/rotate-secret`, document); }
    test(id) { return this.#good(202, 'POST', `/v1/webhooks/${id}/test`); }
    replay(id, document) { return this.#good(202, 'POST', `/v1/webhooks/${id}/replay`, document); }
    tell(type, data, more = {}, headers = {}) { return this.#good(201, 'POST', '/v1/events', { type, data, ...more }, headers); }
    event(id) { return this.#good(200, 'GET', `/v1/events/${id}`); }
    delivery(id) { return this.#good(200, 'GET', `/v1/deliveries/${id}`); }
    redeliver(id) { return this.#good(202, 'POST', `/v1/deliveries/${id}/redeliver`); }

    // All pages of a list.
    async list(path) {
        const all = [];
        for (let cursor = ''; cursor !== null;) {
            const page = await this.#good(200, 'GET', path + (cursor && `${path.includes('?') ? '&' : '?'}cursor=${cursor}`));
            all.push(...page.data);
            cursor = page.next_cursor;
        }
        return all;
    }

    // Waits until the webhook is as `like` says: { pending: 0 }.
    until(id, like) {
        let seen;
        const fits = async () => {
            seen = await this.show(id);
            return Object.entries(like).every(([name, value]) => seen[name] === value) && seen;
        };
        return eventually(fits, `webhook ${JSON.stringify(like)}`, undefined, () => JSON.stringify(seen));
    }

    // The only delivery of an event, when it stands so.
    async settled(event, status) {
        let seen;
        return eventually(async () => {
            seen = (await this.event(event)).deliveries;
            return seen[0].status === status && this.delivery(seen[0].id);
        }, `${event} to be ${status}`, undefined, () => JSON.stringify(seen));
    }
}

export async function withReceiver(scope, args = [], options = {}) {
    const hub = await scope.hub({ args: [...LOCAL, ...args], ...options });
    return { hub, webhooks: new Webhooks(hub), receiver: await Receiver.start(scope) };
}

export const bodyOf = (delivered) => JSON.parse(delivered.body.toString());
export const idsOf = (requests) => requests.map((one) => bodyOf(one).id);

// client.mjs — the JavaScript client as a test uses it: closed when the test ends, with what it told kept.
import WebSocket from 'ws';
import { connect } from '../../../clients/js/carillon.js';
import { Watched } from './wait.mjs';

export class Client extends Watched {
    states = [];
    errors = [];
    gaps = [];

    constructor(scope, url, options) {
        super();
        this.hub = connect(url, { WebSocket, ...options });
        this.hub.on('state', (state, error) => { this.states.push(error ? `${state} ${error.code}` : state); this.changed(); });
        this.hub.on('error', (error) => { this.errors.push(error); this.changed(); });
        this.hub.on('gap', (gap) => { this.gaps.push(gap); this.changed(); });
        scope.defer(() => this.hub.close());
    }

    // A subscription that keeps what it gets: { got, gaps, ends, sub }.
    listen(name, options) {
        const kept = { got: [], gaps: [], ends: [], members: [] };
        kept.sub = this.hub.subscribe(name, (message) => { kept.got.push(message); this.changed(); }, {
            onGap: (gap) => { kept.gaps.push(gap); this.changed(); },
            onEnd: (error) => { kept.ends.push(error.code); this.changed(); },
            onPresence: (change) => { kept.members.push(`${change.type} ${change.user}`); this.changed(); },
            ...options,
        });
        Object.defineProperty(kept, 'data', { get: () => kept.got.map((message) => message.data) });
        return kept;
    }

    // Until one of them has had so many, or this as its last.
    has(kept, what) {
        const isThere = typeof what === 'number' ? () => kept.got.length >= what : () => kept.got.at(-1)?.data === what;
        return this.waitFor(isThere, `${JSON.stringify(what)} on ${kept.sub.name}; it has ${JSON.stringify(kept.got.slice(-5).map(({ id, data }) => [id, data]))}`);
    }

    state() { return `states=${this.states.join(', ')} errors=${this.errors.map((error) => error.code ?? error).join(', ')}`; }
    until(state) { return this.waitFor(() => this.hub.state === state, `the state ${state}`); }
}

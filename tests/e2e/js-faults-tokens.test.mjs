// carillon.js while credentials end: tokens of seconds, a callback that fails, a user who is revoked; through a line that fails.
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { ActorWorld, HUB_ARGS, connect } from './lib/actor-world.mjs';
import { Chance, anySeed } from './lib/chance.mjs';
import { publish, request } from './lib/http.mjs';
import { scenario } from './lib/scope.mjs';
import { bearer, inSeconds, sign, tokenHub } from './lib/tokens.mjs';
import { Watched } from './lib/wait.mjs';

const { JS_ROUNDS = '1', SEED = String(anySeed()) } = process.env;
const GRANTS = { subscribe: ['**'], publish: ['**'], history: ['**'] };
const SHORT = ['--tokens.leeway=0s', '--tokens.warn=1s'];
const token = (seconds, more = {}) => sign({ sub: 'ann', iat: inSeconds(0), exp: inSeconds(seconds), carillon: GRANTS, ...more });

// A hub that everything is allowed to by tokens; the publisher of the test has one that lasts.
async function hubOf(scope) {
    const hub = await tokenHub(scope, '', { args: [...HUB_ARGS, ...SHORT] });
    hub.admin = bearer(await sign({ sub: 'admin', carillon: { ...GRANTS, admin: ['**'] } }));
    return hub;
}

// What a subscription and its connection tell.
class Told extends Watched {
    texts = [];
    states = [];
    errors = [];
    constructor(scope, hub, where, options) {
        super();
        this.client = connect(where.url(), { WebSocket, ping: 1200, timeout: 1500, ...options });
        scope.defer(() => this.client.close());
        this.client.on('state', (state) => { this.states.push(state); this.changed(); });
        this.client.on('error', (error) => { this.errors.push(error.code); this.changed(); });
        this.sub = this.client.subscribe('news', (message) => { this.texts.push(message.data); this.changed(); }, {
            onGap: (gap) => { this.texts.push(`gap ${gap.reason}`); this.changed(); },
            onEnd: (error) => { this.ended = error.code; this.changed(); },
        });
    }
    state() { return `${this.states} errors ${this.errors} ended ${this.ended}: ${this.texts}`; }
    has(text) { return this.waitFor(() => this.texts.at(-1) === text, `the message ${text}`); }
}

for (const transport of ['ws', 'sse'])
    scenario(`${transport}: a user who is revoked is told, and does not come again`, async (scope) => {
        const hub = await hubOf(scope), { line } = await ActorWorld.on(scope, hub, { seed: 1 }), kept = await token(600);
        let asked = 0;
        const some = [new Told(scope, hub, line, { transport, token: kept }), new Told(scope, hub, line, { transport, token: () => { asked++; return kept; } })];
        await Promise.all(some.map((told) => told.sub.ready));
        await publish(hub, 'news', 'before', { headers: hub.admin });
        await Promise.all(some.map((told) => told.has('before')));
        assert.equal((await request(hub, '/v1/tokens/revoke', { method: 'POST', body: { user: 'ann' }, headers: hub.admin })).status, 201);
        await Promise.all(some.map((told) => told.waitFor(() => told.ended, 'the end')));
        assert.deepEqual(some.map((told) => [told.client.state, told.ended, told.texts]), [['closed', 'token_revoked', ['before']], ['closed', 'token_revoked', ['before']]]);
        for (const told of some) await assert.rejects(told.client.publish('news', 'x'), { code: 'closed' });
        assert.equal(asked, 2, 'whoever makes tokens is asked for another once');
    });

// Tokens of five seconds, made by somebody who is away now and then.
function shortLived(name, chance) {
    return async () => {
        if (chance.below(4) === 0) throw new Error('nobody makes tokens now');
        return token(5, { sub: name });
    };
}

scenario('tokens of seconds, whose maker is away now and then, on lines that fail: nothing missing, nothing twice (WebSocket and stream)', { timeout: 60_000 + 60_000 * Number(JS_ROUNDS) }, async (scope) => {
    const hub = await hubOf(scope), world = await ActorWorld.on(scope, hub, { seed: Number(SEED) });
    world.headers = hub.admin;
    for (let round = 0; round < Number(JS_ROUNDS); round++) {
        const crew = ['ws', 'sse', 'auto'].map((transport) => world.local(transport, { token: shortLived(`user-${transport}`, new Chance(world.chance.next())) }));
        const sums = await world.round({ crew, ms: 6000 });
        if (process.env.VERBOSE) console.log(JSON.stringify(sums));
    }
});

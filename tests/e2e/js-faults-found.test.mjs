// carillon.js: what rounds of faults (js-faults.test.mjs) have found, each by itself.
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { HUB_ARGS, connect } from './lib/actor-world.mjs';
import { BadLine } from './lib/bad-line.mjs';
import { publish, publishAll } from './lib/http.mjs';
import { scenario } from './lib/scope.mjs';
import { bearer, inSeconds, sign, tokenHub } from './lib/tokens.mjs';
import { eventually } from './lib/wait.mjs';

function open(scope, line, options) {
    const client = connect(line.url(), { WebSocket, ...options });
    scope.defer(() => client.close());
    return client;
}

scenario('js: who joins a name with the newest alone takes nothing from who is being told all', async (scope) => {
    const hub = await scope.hub({ args: HUB_ARGS }), client = open(scope, await BadLine.to(scope, hub.public));
    await publish(hub, 'p.a', 'a');
    const texts = Array.from({ length: 10 }, (_, i) => `${i}`), all = [], newest = [];
    await publishAll(hub, 'p.b', texts);
    const subs = [client.subscribe('p.*', (message) => all.push(message.data), { since: 'all' }), client.subscribe('p.*', (message) => newest.push(message.data), { since: 'last' })];
    await Promise.all(subs.map((sub) => sub.ready));
    await publish(hub, 'p.b', 'end');
    await eventually(() => all.at(-1) === 'end' && newest.at(-1) === 'end', 'the end', undefined, () => `${all} and ${newest}`);
    assert.deepEqual([all, newest], [['a', ...texts, 'end'], ['a', '9', 'end']]);
});

scenario('js: who joins a name while its stream begins is not ready before it is part of it', async (scope) => {
    const hub = await scope.hub({ args: HUB_ARGS }), client = open(scope, await BadLine.to(scope, hub.public), { transport: 'sse' }), { fetch } = globalThis;
    scope.defer(() => { globalThis.fetch = fetch; });
    for (let round = 0; round < 5; round++) {
        const name = `s${round}`, got = [];
        let second = null;
        globalThis.fetch = (url, init) => {      // who will be on the stream has been asked where it begins: one more, now
            if (url.pathname === '/sse' && url.searchParams.getAll('channel').includes(name)) second ??= client.subscribe(name, (message) => got.push(message.data));
            return fetch(url, init);
        };
        await client.subscribe(name, () => {}).ready;
        await second.ready;
        await publish(hub, name, 'sent when it was ready');
        await eventually(() => got.length, 'what was sent when it was ready', undefined, () => JSON.stringify(got));
        assert.deepEqual(got, ['sent when it was ready']);
    }
});

scenario('js: what is asked of the API with a token that has ended is asked again with another', async (scope) => {
    const hub = await tokenHub(scope, '', { args: [...HUB_ARGS, '--tokens.leeway=0s'] }), line = await BadLine.to(scope, hub.public), api = await BadLine.to(scope, hub.api);
    const grants = { subscribe: ['**'], publish: ['**'], history: ['**'] };
    let made = 0;
    const client = open(scope, line, { transport: 'sse', ping: 60_000, api: api.url(), token: () => { made++; return sign({ sub: 'ann', exp: inSeconds(made === 1 ? 2 : 600), carillon: grants }); } });
    const got = [], sent = [];
    await client.subscribe('news', (message) => got.push(message.data)).ready;
    line.do('hold');      // the stream does not hear that its token has ended
    while (made < 2) {
        sent.push(`${sent.length}`);
        await client.publish('news', sent.at(-1));
    }
    await eventually(() => got.length === sent.length, 'all of them', undefined, () => `${got.length} of ${sent.length}`);
    assert.deepEqual(got, sent);
    await publish(hub, 'news', 'end', { headers: bearer(await sign({ sub: 'backend', carillon: grants })) });
    await eventually(() => got.at(-1) === 'end', 'the end');
});

// `exclude` of a publish: one client id never gets the message, live or later, by whatever way; its position moves on past it all the same.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { post, publish, request } from './lib/http.mjs';

const without = async (hub, channel, data, exclude) => {
    const answer = await post(hub, channel, { data, exclude });
    assert.equal(answer.status, 201, answer.text);
    return answer.json.id;
};
const texts = (messages) => messages.map((m) => JSON.parse(m.data));

scenario('a live message goes to all but the client that is excluded, on all its connections', async (scope) => {
    const hub = await scope.hub();
    const open = async (client) => { const stream = await scope.sse(hub, `/sse?channel=a&client=${client}`); await stream.ready(); return stream; };
    const mine = [await open('me'), await open('me')], other = await open('you');
    const ws = await scope.ws(hub, '/ws?channel=a&client=me');
    await ws.get((frame) => frame.type === 'subscribed');
    for (let i = 0; i < 20; i++) await without(hub, 'a', i, i % 3 ? 'me' : i % 2 ? 'you' : 'nobody');
    const all = Array.from({ length: 20 }, (_, i) => i), mineOnly = all.filter((i) => i % 3 === 0);
    for (const stream of mine) assert.deepEqual(texts(await stream.take(mineOnly.length)), mineOnly);
    assert.deepEqual((await ws.take(mineOnly.length)).map((m) => m.data), mineOnly);
    const yours = all.filter((i) => i % 3 || i % 2 === 0);
    assert.deepEqual(texts(await other.take(yours.length)), yours);
    const { id } = await publish(hub, 'a', '"end"');
    for (const stream of [...mine, ws]) assert.equal((await stream.take(mineOnly.length + 1)).at(-1).id, id, 'nothing else came before');
    assert.equal((await other.take(yours.length + 1)).at(-1).id, id);
});

scenario('a resume leaves out what is not for this client, also when others share the batch, and after a kill', async (scope) => {
    const hub = await scope.hub();
    const first = (await publish(hub, 'a', '"first"')).id;
    for (let i = 0; i < 30; i++) await without(hub, 'a', i, i % 2 ? 'me' : 'you');
    await publish(hub, 'a', '"end"');
    const all = Array.from({ length: 30 }, (_, i) => i);
    const wanted = { me: all.filter((i) => i % 2 === 0), you: all.filter((i) => i % 2), else: all };
    const check = async () => {
        const streams = [];
        for (const channels of ['channel=a', 'channel=a&channel=b'])
            for (const client of ['me', 'you', 'else', 'me'])
                streams.push([client, await scope.sse(hub, `/sse?${channels}&client=${client}&format=bare`, { lastEventId: first })]);
        for (const [client, stream] of streams) {
            assert.deepEqual(texts(await stream.take(wanted[client].length + 1)), [...wanted[client], 'end'], client);
            stream.close();
        }
    };
    await check();
    await hub.kill9();
    await hub.restart();
    await check();
});

scenario('who was excluded from the newest message resumes exactly', async (scope) => {
    const hub = await scope.hub({ args: ['--sse.heartbeat=1s', '--history.size=3'] });
    const stream = await scope.sse(hub, '/sse?channel=a&client=me');
    await stream.ready();
    let last;
    for (let i = 0; i < 10; i++) last = await without(hub, 'a', i, 'me');
    await stream.waitFor(() => stream.blocks.some((block) => block.id === last), 'a heartbeat with the newest position');
    stream.close();
    const { id } = await publish(hub, 'a', '"next"');
    const again = await scope.sse(hub, '/sse?channel=a&client=me', { lastEventId: last });
    assert.deepEqual((await again.take(1)).map((m) => m.id), [id]);
    assert.ok(!again.blocks.some((block) => block.event === 'hub.gap'), 'no gap: nothing for it was given up');
});

scenario('history of a WebSocket is without what is not for its client; the API shows all', async (scope) => {
    const hub = await scope.hub();
    await without(hub, 'a', 1, 'me');
    await without(hub, 'a', 2, 'you');
    const last = await without(hub, 'a', 3, 'me');
    const ws = await scope.ws(hub, '/ws?client=me');
    const answer = await ws.ask({ type: 'history', channel: 'a' });
    assert.deepEqual([answer.messages.map((m) => m.data), answer.position], [[2], last]);
    const replay = await scope.ws(hub, '/ws?client=you');
    const subscribed = await replay.ask({ type: 'subscribe', channels: ['a'], since: 'non.sense' });
    assert.equal(subscribed.type, 'subscribed');
    assert.deepEqual((await replay.take(2)).map((m) => m.data), [1, 3]);
    const kept = await request(hub, '/v1/channels/a/messages');
    assert.deepEqual(kept.json.data.map((m) => m.data), [1, 2, 3]);
});

scenario('a poll of the excluded client passes over the message and waits on', async (scope) => {
    const hub = await scope.hub();
    const poll = (query) => request(hub.public, `/poll?channel=a&${query}`);
    const { json: { position } } = await poll('timeout=0');
    const last = await without(hub, 'a', 1, 'me');
    assert.deepEqual((await poll(`client=me&timeout=0&since=${position}`)).json, { messages: [], position: last });
    assert.deepEqual((await poll(`client=you&timeout=0&since=${position}`)).json.messages.map((m) => m.data), [1]);
    const answer = poll(`client=me&since=${last}`);
    await without(hub, 'a', 2, 'me');
    await publish(hub, 'a', '3');
    assert.deepEqual((await answer).json.messages.map((m) => m.data), ['3']);
});

scenario('an exclude of nobody excludes nobody; nonsense is refused', async (scope) => {
    const hub = await scope.hub();
    const stream = await scope.sse(hub, '/sse?channel=a');
    await stream.ready();
    await without(hub, 'a', 1, 'who-is-not-here');
    assert.deepEqual(texts(await stream.take(1)), [1]);
    for (const exclude of ['', 'a b', 'x'.repeat(65), 7]) assert.equal((await post(hub, 'a', { data: 1, exclude })).status, 400, `${exclude}`);
});

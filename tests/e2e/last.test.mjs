// `last = yes` in a channel's rule: who subscribes by name and without a position first gets the newest message.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { post, publish, publishAll, request } from './lib/http.mjs';
import { eventually } from './lib/wait.mjs';

async function ruled(scope) {
    const ini = path.join(scope.dir(), 'carillon.ini');
    writeFileSync(ini, '[channel "price.*"]\nlast = yes\n[channel "gone.*"]\nlast = yes\nhistory.size = 0\n');
    const hub = await scope.hub({ args: ['--config', ini] });
    for (const channel of ['price.a', 'price.b', 'gone.a', 'chat']) await publishAll(hub, channel, ['old', `new ${channel}`]);
    return hub;
}

scenario('the newest message comes first: on SSE, a WebSocket and a poll, then what follows', async (scope) => {
    const hub = await ruled(scope);
    const query = 'channel=price.a&channel=price.b&channel=gone.a&channel=chat&channel=price.*';
    const stream = await scope.sse(hub, `/sse?${query}`), socket = await scope.ws(hub, `/ws?${query}`);
    const ready = JSON.parse((await stream.ready()).data);
    assert.ok(ready.channels.every((c) => !c.recovered), JSON.stringify(ready));
    await socket.waitFor(() => socket.of('subscribed').length === 5, 'all subscribed');
    const poll = (await request(hub.public, `/poll?${query}&timeout=30`)).json;
    assert.deepEqual(poll.messages.map((m) => m.data), ['new price.a', 'new price.b']);
    await publish(hub, 'chat', 'next');
    const wanted = ['new price.a', 'new price.b', 'next'];
    assert.deepEqual((await stream.take(3)).map((b) => JSON.parse(b.data).data), wanted);
    assert.deepEqual((await socket.take(3)).map((m) => m.data), wanted);
    assert.ok(socket.messages.every((m) => !m.replay) && socket.of('gap').length + stream.control('gap').length === 0);
    assert.deepEqual((await request(hub.public, `/poll?${query}&since=${poll.position}&timeout=0`)).json.messages.map((m) => m.data), ['next']);
});

scenario('whoever has a position, or says where to begin, gets that and nothing more', async (scope) => {
    const hub = await ruled(scope);
    const { id } = await publish(hub, 'chat', 'here');
    const stream = await scope.sse(hub, '/sse?channel=price.a&channel=chat', { lastEventId: id });
    assert.ok(JSON.parse((await stream.ready()).data).channels.every((c) => c.recovered));
    const all = await scope.ws(hub, '/ws?channel=price.a&since=all');
    assert.deepEqual((await all.take(2)).map((m) => m.data), ['old', 'new price.a']);
    await publish(hub, 'chat', 'next');
    assert.deepEqual((await stream.take(1)).map((b) => JSON.parse(b.data).data), ['next']);
});

scenario('subscribing on a live WebSocket: the newest message is marked as replay, then the channel is live', async (scope) => {
    const hub = await ruled(scope);
    const socket = await scope.ws(hub, '/ws?channel=chat');
    await socket.get('subscribed');
    socket.send({ type: 'subscribe', channels: ['price.a'] });
    await socket.waitFor(() => socket.of('position').some((f) => f.channel === 'price.a'), 'the end of the replay');
    assert.deepEqual(socket.messages.map((m) => [m.data, m.replay]), [['new price.a', true]]);
    socket.send({ type: 'subscribe', channels: ['gone.a', 'price.*'], ref: 2 });
    await socket.waitFor(() => socket.of('subscribed').filter((f) => f.ref === 2).length === 2, 'both subscribed');
    await publish(hub, 'price.a', 'live');
    assert.deepEqual((await socket.take(2)).map((m) => m.data), ['new price.a', 'live']);
    assert.equal(socket.messages.at(-1).replay, undefined);
});

scenario('a newest message that has ended is not the newest any more', async (scope) => {
    const hub = await ruled(scope);
    assert.equal((await post(hub, 'price.a', { data: 'short', ttl: '300ms' })).status, 201);
    await eventually(async () => (await request(hub, '/v1/channels/price.a')).json.messages === 2, 'its end');
    const socket = await scope.ws(hub, '/ws?channel=price.a');
    assert.deepEqual((await socket.take(1)).map((m) => m.data), ['new price.a']);
});

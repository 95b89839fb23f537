// `ttl` of a publish: after it the message is nowhere, and that is no gap.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { messagesPath, post, request } from './lib/http.mjs';
import { eventually } from './lib/wait.mjs';

const put = async (hub, channel, data, ttl) => {
    const answer = await post(hub, channel, { data, ttl });
    assert.equal(answer.status, 201, answer.text);
    return answer.json.id;
};
const kept = async (hub, channel) => {
    const answer = await request(hub, `/v1/channels/${channel}`);
    return answer.status === 404 ? 0 : answer.json.messages;
};
const untilKept = (hub, channel, n) => eventually(async () => await kept(hub, channel) === n, `${channel} keeps ${n} messages`);

// What each way in has of channel a after `since`, when `n` are to come.
async function everywhere(scope, hub, since, n) {
    const stream = await scope.sse(hub, `/sse?channel=a&since=${since}`), socket = await scope.ws(hub, `/ws?channel=a&since=${since}`);
    const live = await scope.ws(hub, '/ws');
    live.send({ type: 'subscribe', channels: ['a'], since });
    await live.waitFor(() => live.of('position').length === 1, 'the end of the replay');
    const page = (await request(hub, messagesPath('a', `?since=${since}`))).json, poll = (await request(hub.public, `/poll?channel=a&since=${since}&timeout=0`)).json;
    const history = await live.ask({ type: 'history', channel: 'a', since });
    assert.ok(!page.gap && !poll.gap && !history.gap && live.of('gap').length + socket.of('gap').length + stream.control('gap').length === 0);
    return [(await stream.take(n)).map((b) => JSON.parse(b.data)), (await socket.take(n)).map((m) => m.data), live.data, page.data.map((m) => m.data),
        poll.messages.map((m) => m.data), history.messages.map((m) => m.data)];
}

async function assertEverywhere(scope, hub, since, wanted) {
    for (const got of await everywhere(scope, hub, since, wanted.length)) assert.deepEqual(got, wanted, `since ${since}`);
}

scenario('a message is delivered live, kept for its ttl, and then gone everywhere, without a gap', async (scope) => {
    const hub = await scope.hub();
    const reader = await scope.ws(hub, '/ws?channel=a');
    await reader.get('subscribed');
    const first = await put(hub, 'a', 1);
    await put(hub, 'a', 2, '400ms');
    await put(hub, 'a', 3);
    await put(hub, 'a', 4, '300ms');
    await put(hub, 'a', 5, '1h');
    await put(hub, 'a', 6, 1);
    assert.deepEqual((await reader.take(6)).map((m) => m.data), [1, 2, 3, 4, 5, 6]);
    await untilKept(hub, 'a', 3);
    await assertEverywhere(scope, hub, first, [3, 5]);
    await assertEverywhere(scope, hub, 'all', [1, 3, 5]);
    await assertEverywhere(scope, hub, 'last', [5]);
    await assertEverywhere(scope, hub, '-2', [3, 5]);
});

scenario('nobody gets it from what another reader was sent a moment ago', async (scope) => {
    const hub = await scope.hub();
    const first = await put(hub, 'a', 1);
    await put(hub, 'a', 2, '700ms');
    const early = await scope.sse(hub, '/sse?channel=a', { lastEventId: first });
    const had = (await early.take(1))[0];
    await untilKept(hub, 'a', 1);
    const late = await scope.sse(hub, '/sse?channel=a', { lastEventId: first });
    await late.ready();
    const { id } = (await post(hub, 'a', { data: 3 })).json;
    assert.equal(had.data, '2');
    assert.equal((await late.take(1))[0].id, id);
    assert.equal(late.control('gap').length, 0);
});

scenario('after a kill -9 what has ended stays gone, what still runs ends, and neither is a gap', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=3'] });
    const start = await put(hub, 'a', 0);
    await put(hub, 'b', 'before');
    await put(hub, 'a', 1, '200ms');
    const passed = await put(hub, 'a', 2, '3s');
    await put(hub, 'a', 3);
    await untilKept(hub, 'a', 2);
    await hub.kill9();
    await hub.restart();
    await assertEverywhere(scope, hub, start, [2, 3]);
    const page = async () => (await request(hub, messagesPath('a', `?since=${start}`))).json.data.length;
    await eventually(async () => await page() === 1, 'the end of the other ttl');
    await assertEverywhere(scope, hub, start, [3]);
    await assertEverywhere(scope, hub, passed, [3]);
});

scenario('a ttl that is none is refused, and nothing is published', async (scope) => {
    const hub = await scope.hub();
    for (const ttl of ['0', 0, '-1s', 'soon', '5 s', true, [], '1e3'])
        assert.equal((await post(hub, 'a', { data: 1, ttl })).json.code, 'bad_field', JSON.stringify(ttl));
    assert.equal((await post(hub, 'a', 'raw', { query: '?ttl=never', headers: { 'Content-Type': 'text/plain' } })).status, 400);
    assert.equal(await kept(hub, 'a'), 0);
});

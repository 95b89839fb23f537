// Channels that come and go while a connection lives, where they meet something else: a poll that waits, a replay that is cut or ended.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { publish, publishAll, request } from './lib/http.mjs';
import { eventually } from './lib/wait.mjs';

const ROOMY = ['--history.size=100000', '--history.bytes=100MiB'];
const numbers = (n, from = 0) => Array.from({ length: n }, (_, i) => `${from + i}`);
const change = async (hub, id, body) => {
    const answer = await request(hub, `/v1/connections/${id}/channels`, { method: 'POST', body });
    assert.equal(answer.status, 200, answer.text);
};
const lateOf = (socket) => socket.messages.filter((m) => m.channel === 'late');

async function waitingPoll(hub, query) {
    const answer = request(hub.public, `/poll?${query}&timeout=60`);
    const [one] = await eventually(async () => {
        const list = (await request(hub, '/v1/connections')).json.data.filter((c) => c.transport === 'poll');
        return list.length === 1 && list;
    }, 'a poll that waits');
    return { answer, id: one.id };
}

scenario('a poll that waits is given a channel and loses one; its position is that of what it asked for', async (scope) => {
    const hub = await scope.hub();
    const { answer, id } = await waitingPoll(hub, 'channel=a&channel=b');
    await change(hub, id, { add: ['x'], remove: ['b'] });
    await publish(hub, 'b', 'taken away');
    const given = await publish(hub, 'x', 'given');
    const { messages, position } = (await answer).json;
    assert.deepEqual(messages.map((m) => [m.channel, m.data]), [['x', 'given']]);
    assert.equal(position, given.id);
    await publish(hub, 'a', 'later');
    const next = (await request(hub.public, `/poll?channel=a&channel=b&since=${position}`)).json;
    assert.deepEqual(next.messages.map((m) => m.data), ['later'], 'the next poll has the channels it names');
});

scenario('a replay that is cut goes on from the last id of its channel, beside a stream that resumes: nothing is missing, nothing comes twice', async (scope) => {
    const hub = await scope.hub({ args: ROOMY });
    const before = await publish(hub, 'late', 'before');
    await publishAll(hub, 'late', numbers(1500));
    const socket = await scope.ws(hub, '/ws?channel=live');
    await socket.get('subscribed');
    await publish(hub, 'live', 'L0');
    await socket.take(1);
    socket.send({ type: 'subscribe', channels: ['late'], since: before.id });
    await socket.waitFor(() => lateOf(socket).length >= 100, 'a part of the replay');
    await socket.close();
    const seen = lateOf(socket), live = socket.messages.filter((m) => m.channel === 'live');
    await publishAll(hub, 'live', ['L1', 'L2']);
    await publishAll(hub, 'late', numbers(10, 1500));
    const again = await scope.ws(hub, `/ws?channel=live&last_event_id=${live.at(-1).id}`);
    await again.get('subscribed');
    again.send({ type: 'subscribe', channels: ['late'], since: seen.at(-1).id });
    await again.get((f) => f.type === 'position' && f.channel === 'late');
    assert.deepEqual([...seen, ...lateOf(again)].map((m) => m.data), numbers(1510));
    assert.ok(lateOf(again).every((m) => m.replay), 'all of it is marked');
    assert.deepEqual(again.messages.filter((m) => m.channel === 'live').map((m) => m.data), ['L1', 'L2']);
});

scenario('who unsubscribes in the middle of a replay gets nothing of it behind the answer, and may begin anew', async (scope) => {
    const hub = await scope.hub({ args: ROOMY });
    const before = await publish(hub, 'late', 'before');
    await publishAll(hub, 'late', numbers(1500));
    const socket = await scope.ws(hub, '/ws?channel=live');
    await socket.get('subscribed');
    let gone;
    for (let round = 1; round <= 3; round++) {
        socket.send({ type: 'subscribe', channels: ['late'], since: before.id });
        gone = await socket.ask({ type: 'unsubscribe', channels: ['late'] });      // a subscribe that has no answer yet has its own `unsubscribed`
    }
    const end = socket.frames.lastIndexOf(gone);
    socket.send({ type: 'subscribe', channels: ['late'], since: before.id });
    const last = await socket.waitFor(() => {
        const after = socket.frames.slice(end + 1).filter((f) => f.channel === 'late');
        return after.at(-1)?.type === 'position' && after;
    }, 'the end of the last replay');
    assert.deepEqual(last.map((f) => f.type === 'message' ? f.data : f.type), ['subscribed', ...numbers(1500), 'position']);
});

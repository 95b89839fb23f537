// WebSocket: every command and its answer.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { post, publish, publishAll } from './lib/http.mjs';
import { memberText } from './lib/ws.mjs';

const POSITION = /^[a-z2-7]{8}\.\d+$/;
const numberOf = (position) => Number(position.split('.')[1]);

scenario('the first frame is welcome, with who one is and where the stream begins', async (scope) => {
    const hub = await scope.hub();
    const { id } = await publish(hub, 'a', 'before');
    const socket = await scope.ws(hub, '/ws?client=page-1&user=ann');
    const welcome = await socket.get((f) => f);
    assert.deepEqual(Object.keys(welcome), ['type', 'connection', 'client', 'user', 'position', 'retry_ms']);
    assert.deepEqual([welcome.type, welcome.client, welcome.user], ['welcome', 'page-1', 'ann']);
    assert.match(welcome.position, POSITION);
    assert.ok(numberOf(welcome.position) >= numberOf(id));
    const other = await scope.ws(hub);
    const second = await other.get('welcome');
    assert.equal(second.user, null);
    assert.equal(second.client, second.connection);
    assert.notEqual(second.connection, welcome.connection);
});

scenario('the subprotocol carillon.v1 is chosen when it is offered, and none is needed', async (scope) => {
    const hub = await scope.hub();
    for (const [offered, chosen] of [[['carillon.v1'], 'carillon.v1'], [['other', 'carillon.v1'], 'carillon.v1'], [[], '']]) {
        const socket = await scope.ws(hub, '/ws', { protocols: offered });
        await socket.get('welcome');
        assert.equal(socket.socket.protocol, chosen);
    }
    await assert.rejects(scope.ws(hub, '/ws', { protocols: ['unknown.v9'] }), /refused with 400.*bad_request/);
});

scenario('?channel= subscribes at once: welcome, subscribed for each, then messages', async (scope) => {
    const hub = await scope.hub();
    const socket = await scope.ws(hub, '/ws?channel=a&channel=b%2Fc&channel=a');
    await socket.waitFor(() => socket.of('subscribed').length === 2, 'both subscribed');
    assert.deepEqual(socket.frames.map((f) => f.type), ['welcome', 'subscribed', 'subscribed']);
    const [first] = socket.of('subscribed');
    assert.deepEqual(Object.keys(first), ['type', 'channel', 'position', 'recovered', 'resumable']);
    assert.deepEqual(new Set(socket.of('subscribed').map((f) => f.channel)), new Set(['a', 'b/c']));
    await publish(hub, 'b/c', 'x');
    assert.equal((await socket.take(1))[0].channel, 'b/c');
});

scenario('1,000 channels with the longest names are subscribed and unsubscribed in one frame each', async (scope) => {
    const hub = await scope.hub();
    const socket = await scope.ws(hub);
    const channels = Array.from({ length: 1000 }, (_, i) => `${i}.`.padEnd(200, 'x'));
    const ref = 'r'.repeat(200);
    for (const [type, answer] of [['subscribe', 'subscribed'], ['unsubscribe', 'unsubscribed']]) {
        socket.send({ type, ref, channels });
        await socket.waitFor(() => socket.of(answer).length === channels.length, `every one ${answer}`);
    }
    assert.equal(socket.closed, null);
});

scenario('subscribe begins now, unsubscribe ends it, and each channel is answered with the ref', async (scope) => {
    const hub = await scope.hub();
    await publish(hub, 'a', 'before');
    const socket = await scope.ws(hub);
    socket.send({ type: 'subscribe', ref: 's', channels: ['a', 'b'] });
    await socket.waitFor(() => socket.of('subscribed').length === 2, 'both');
    for (const frame of socket.of('subscribed')) {
        assert.deepEqual(Object.keys(frame), ['type', 'ref', 'channel', 'position', 'recovered', 'resumable']);
        assert.deepEqual([frame.ref, frame.recovered, frame.resumable], ['s', false, true]);
    }
    await publish(hub, 'a', 'one');
    await socket.take(1);
    socket.send({ type: 'unsubscribe', ref: 'u', channels: ['a'] });
    assert.deepEqual(await socket.get('unsubscribed'), { type: 'unsubscribed', ref: 'u', channel: 'a', code: 'normal' });
    assert.equal((await publish(hub, 'a', 'not heard')).subscribers, 0);
    await publish(hub, 'b', 'two');
    await socket.take(2);
    assert.deepEqual(socket.data, ['one', 'two']);
    await socket.ask({ type: 'subscribe', channels: ['a'] });
    await publish(hub, 'a', 'three');
    await socket.take(3);
    assert.deepEqual(socket.data, ['one', 'two', 'three'], 'again from now on, without what was missed');
});

scenario('publish is answered with the id, and a subscriber gets its own message', async (scope) => {
    const hub = await scope.hub();
    const socket = await scope.ws(hub, '/ws?channel=chat');
    const other = await scope.ws(hub, '/ws?channel=chat');
    await Promise.all([socket.get('subscribed'), other.get('subscribed')]);
    const ok = await socket.ask({ type: 'publish', channel: 'chat', event: 'say', data: { text: 'hi' } });
    assert.deepEqual(Object.keys(ok), ['type', 'ref', 'id', 'channel', 'time', 'subscribers']);
    assert.deepEqual([ok.type, ok.channel, ok.subscribers], ['ok', 'chat', 2]);
    for (const one of [socket, other]) {
        const [message] = await one.take(1);
        assert.deepEqual(message, { type: 'message', channel: 'chat', id: ok.id, event: 'say', data: { text: 'hi' }, time: ok.time });
    }
    const unsubscribed = await scope.ws(hub);
    assert.equal((await unsubscribed.ask({ type: 'publish', channel: 'nobody', data: null })).subscribers, 0);
});

scenario('data of a publish keeps its bytes', async (scope) => {
    const hub = await scope.hub();
    const socket = await scope.ws(hub, '/ws?channel=exact');
    const stream = await scope.sse(hub, '/sse?channel=exact');
    await Promise.all([socket.get('subscribed'), stream.ready()]);
    const values = ['0.10', '12345678901234567890', '{"b" : 1,\t"a":[ ]}', '"\\u00e9\\/é\\ud83d\\ude00"', '-0.0', '1E400', '{"a":1,"a":2}', 'null', '""', `"${'x'.repeat(65000)}"`];
    for (const value of values) socket.send(`{"data":${value} , "channel":"exact","type":"publish"}`);
    await Promise.all([socket.take(values.length), stream.take(values.length)]);
    assert.deepEqual(socket.textsOf('message').map((text) => memberText(text, 'data')), values);
    assert.deepEqual(stream.data, values);
});

scenario('ref may be any JSON value and comes back as the same bytes, second after type', async (scope) => {
    const hub = await scope.hub();
    const socket = await scope.ws(hub);
    await socket.get('welcome');
    const refs = ['1', '0.10', '12345678901234567890', 'null', 'false', '"a\\u0041\\/"', '{"n" : [1, {"x":null}]}', '[]', '""', '-0', `"${'r'.repeat(254)}"`];
    for (const ref of refs) {
        const from = socket.texts.length;
        socket.send(`{"type":"ping","ref":${ref}}`);
        socket.send(`{"ref": ${ref} ,"type":"publish","channel":"a","data":1}`);
        socket.send(`{"type":"nonsense","ref":${ref}}`);
        socket.send(`{"type":"history","channel":"a","ref":${ref}}`);
        await socket.waitFor(() => socket.texts.length === from + 4, `four answers with ref ${ref}`);
        for (const text of socket.texts.slice(from)) {
            assert.match(text, /^\{"type":"(pong|ok|error|history)","ref":/);
            assert.equal(memberText(text, 'ref'), ref);
        }
    }
    const from = socket.texts.length;
    socket.send('{"type":"ping"}');
    await socket.waitFor(() => socket.texts.length > from, 'pong');
    assert.equal(socket.texts.at(-1), '{"type":"pong"}', 'no ref, none back');
});

scenario('history gives what is kept, from a position, with a limit, and says where to ask on', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=10'] });
    const socket = await scope.ws(hub);
    const ids = await publishAll(hub, 'h', Array.from({ length: 15 }, (_, i) => `${i}`));
    const all = await socket.ask({ type: 'history', channel: 'h' });
    assert.deepEqual([all.type, all.channel], ['history', 'h']);
    assert.deepEqual(all.messages.map((m) => [m.type, m.channel, m.id, m.data]), ids.slice(5).map((id, i) => ['message', 'h', id, `${i + 5}`]));
    assert.equal(all.position, ids[14]);
    assert.ok(!('gap' in all));
    const page = await socket.ask({ type: 'history', channel: 'h', since: ids[7], limit: 3 });
    assert.deepEqual([page.messages.map((m) => m.id), page.position], [ids.slice(8, 11), ids[10]]);
    const rest = await socket.ask({ type: 'history', channel: 'h', since: page.position });
    assert.deepEqual(rest.messages.map((m) => m.id), ids.slice(11));
    assert.deepEqual((await socket.ask({ type: 'history', channel: 'h', since: ids[0] })).gap, { reason: 'history' });
    const foreign = await socket.ask({ type: 'history', channel: 'h', since: 'non.sense' });
    assert.deepEqual([foreign.gap, foreign.messages.length], [{ reason: 'epoch' }, 10]);
    const none = await socket.ask({ type: 'history', channel: 'never' });
    assert.deepEqual(none.messages, []);
    assert.equal(socket.messages.length, 0, 'history is an answer, not a subscription');
});

scenario('subscribe with since on a live connection is a marked replay that ends with position', async (scope) => {
    const hub = await scope.hub();
    const socket = await scope.ws(hub, '/ws?channel=live');
    await socket.get('subscribed');
    const before = await publish(hub, 'late', 'not asked for');
    await publishAll(hub, 'late', ['1', '2', '3']);
    const live = await publish(hub, 'live', 'L1');
    await socket.take(1);
    socket.send({ type: 'subscribe', ref: 7, channels: ['late'], since: before.id });
    const end = await socket.get((f) => f.type === 'position' && f.channel === 'late');
    const from = socket.frames.findIndex((f) => f.type === 'subscribed' && f.channel === 'late');
    assert.deepEqual([socket.frames[from].recovered, socket.frames[from].position, socket.frames[from].ref], [true, before.id, 7]);
    const replay = socket.frames.slice(from + 1, socket.frames.indexOf(end)).filter((f) => f.type === 'message');
    assert.deepEqual(replay.map((m) => [m.replay, m.channel, m.data]), [[true, 'late', '1'], [true, 'late', '2'], [true, 'late', '3']]);
    assert.deepEqual(Object.keys(replay[0]).slice(0, 3), ['type', 'replay', 'channel']);
    assert.ok(numberOf(end.position) >= numberOf(live.id));
    await publish(hub, 'late', '4');
    await publish(hub, 'live', 'L2');
    const after = (await socket.take(6)).slice(4);
    assert.deepEqual(after.map((m) => [m.replay, m.data]), [[undefined, '4'], [undefined, 'L2']]);
});

scenario('a marked replay under heavy publishing has every message once, and order within the channel', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=100000', '--history.bytes=100MiB'] });
    const socket = await scope.ws(hub, '/ws?channel=live');
    await socket.get('subscribed');
    const first = await publish(hub, 'late', 'first');
    const count = 2000;
    const publishing = [publishAll(hub, 'late', Array.from({ length: count }, (_, i) => `${i}`)), publishAll(hub, 'live', Array.from({ length: count }, (_, i) => `${i}`))];
    await socket.take(count / 4);
    socket.send({ type: 'subscribe', channels: ['late'], since: first.id });
    await Promise.all(publishing);
    await socket.take(2 * count, 60_000);
    for (const channel of ['late', 'live']) {
        assert.deepEqual(socket.messages.filter((m) => m.channel === channel).map((m) => m.data), Array.from({ length: count }, (_, i) => `${i}`), channel);
    }
    const endAt = socket.frames.findIndex((f) => f.type === 'position' && f.channel === 'late');
    assert.ok(endAt > 0, 'the replay has ended');
    for (const [at, frame] of socket.frames.entries()) if (frame.type === 'message' && frame.channel === 'late') assert.equal(frame.replay === true, at < endAt, `frame ${at} of ${endAt}`);
    let position = 0;
    for (const frame of socket.frames) {
        if (frame.type !== 'message' || frame.replay) continue;
        assert.ok(numberOf(frame.id) > position, 'unmarked messages never go back');
        position = numberOf(frame.id);
    }
});

scenario('subscribe since a position that is gone is a marked gap, then what is kept', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=3'] });
    const ids = await publishAll(hub, 'late', ['0', '1', '2', '3', '4', '5']);
    for (const [since, reason] of [[ids[0], 'history'], ['non.sense', 'epoch']]) {
        const socket = await scope.ws(hub, '/ws?channel=live');
        await socket.get('subscribed');
        socket.send({ type: 'subscribe', channels: ['late'], since });
        await socket.get((f) => f.type === 'position' && f.channel === 'late');
        assert.deepEqual(socket.of('gap').map((g) => [g.replay, g.reason, g.channels]), [[true, reason, ['late']]]);
        assert.equal(socket.of('subscribed')[1].recovered, false);
        assert.deepEqual(socket.messages.map((m) => [m.replay, m.data]), [[true, '3'], [true, '4'], [true, '5']]);
        socket.terminate();
    }
});

scenario('a quiet connection is told its position, and pinged', async (scope) => {
    const hub = await scope.hub({ args: ['--ws.ping=1s'] });
    const socket = await scope.ws(hub, '/ws?channel=quiet');
    await socket.get('subscribed');
    const { id } = await publish(hub, 'elsewhere', 'x');
    const told = await socket.get((f) => f.type === 'position' && f.position === id);
    assert.deepEqual(Object.keys(told), ['type', 'position']);
    await socket.waitFor(() => socket.pings >= 4 || socket.closed, 'more pings than may be left unanswered');
    assert.equal(socket.closed, null, 'who answers pings stays connected');
});

scenario('a connection that leaves two pings unanswered is closed with 4000', async (scope) => {
    const hub = await scope.hub({ args: ['--ws.ping=1s'] });
    const deaf = await scope.ws(hub, '/ws?channel=a', { autoPong: false });
    const { code } = await deaf.end();
    assert.equal(code, 4000);
    assert.equal(deaf.of('bye')[0]?.code, 'ping_timeout');
});

scenario('a close is answered with the same code, and the hub pongs with the payload of a ping', async (scope) => {
    const hub = await scope.hub();
    const socket = await scope.ws(hub, '/ws');
    await socket.get('welcome');
    socket.socket.ping('are you there');
    await socket.waitFor(() => socket.lastPong?.toString() === 'are you there', 'the pong');
    assert.equal((await socket.close(1000)).code, 1000);
    const own = await scope.ws(hub, '/ws');
    assert.equal((await own.close(4567)).code, 4567);
    assert.equal((await post(hub, 'a', 'x')).json.subscribers, 0);
});

// WebSocket: bad input is answered clearly, closes with the right code where it closes, and touches nobody else.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { publish, request } from './lib/http.mjs';
import { reset } from './lib/line.mjs';
import { eventually } from './lib/wait.mjs';

// A neighbour on the same hub that must not notice anything.
async function withNeighbour(scope, hub) {
    const neighbour = await scope.ws(hub, '/ws?channel=neighbour');
    await neighbour.get('subscribed');
    return async () => {
        await publish(hub, 'neighbour', 'still here');
        await neighbour.get((f) => f.data === 'still here');
        assert.equal(neighbour.closed, null);
    };
}

async function errorFor(socket, text) {
    const from = socket.frames.length;
    socket.send(text);
    return socket.waitFor(() => socket.frames.slice(from).find((f) => f.type === 'error'), `an error for ${String(text).slice(0, 120)}`);
}

scenario('a frame that makes no sense is answered by an error with a code, never by a disconnect', async (scope) => {
    const hub = await scope.hub();
    const unharmed = await withNeighbour(scope, hub);
    const socket = await scope.ws(hub, '/ws?channel=a');
    await socket.get('subscribed');
    for (const [text, code] of [
        ['', 'bad_json'], ['hello', 'bad_json'], ['{"type":"ping"', 'bad_json'], ['{"type":"ping"}}', 'bad_json'], ['{"type":"publish","channel":"a","data":[1 2]}', 'bad_json'], ["{'type':'ping'}", 'bad_json'],
        ['{"type":"publish","channel":"a","data":01}', 'bad_json'], ['\0', 'bad_json'],
        ['[]', 'bad_request'], ['5', 'bad_request'], ['"ping"', 'bad_request'], ['null', 'bad_request'], ['{}', 'bad_request'], ['{"type":5}', 'bad_request'], ['{"ref":1,"type":null}', 'bad_request'],
        ['{"type":"nonsense"}', 'unknown_type'], ['{"type":""}', 'unknown_type'], ['{"type":"Ping"}', 'unknown_type'], ['{"type":"message","channel":"a"}', 'unknown_type'], ['{"type":"welcome"}', 'unknown_type'],
        ['{"type":"subscribe"}', 'bad_field'], ['{"type":"subscribe","channels":"a"}', 'bad_field'], ['{"type":"subscribe","channels":[]}', 'bad_field'], ['{"type":"subscribe","channels":[5]}', 'bad_field'],
        ['{"type":"subscribe","channels":["b"],"since":5}', 'bad_field'], ['{"type":"subscribe","channels":["b c"]}', 'bad_channel'], ['{"type":"subscribe","channels":["b*"]}', 'bad_pattern'], ['{"type":"subscribe","channels":[""]}', 'bad_channel'],
        ['{"type":"subscribe","channels":["a"]}', 'already_subscribed'], ['{"type":"unsubscribe","channels":["never"]}', 'not_subscribed'], ['{"type":"unsubscribe"}', 'bad_field'],
        ['{"type":"publish","data":1}', 'bad_field'], ['{"type":"publish","channel":"a"}', 'bad_field'], ['{"type":"publish","channel":5,"data":1}', 'bad_field'], ['{"type":"publish","channel":"a b","data":1}', 'bad_channel'],
        ['{"type":"publish","channel":"a","data":1,"event":"a b"}', 'bad_event'], ['{"type":"publish","channel":"a","data":1,"event":"hub.bye"}', 'bad_event'], ['{"type":"publish","channel":"a","data":1,"event":5}', 'bad_field'],
        [`{"type":"ping","ref":"${'r'.repeat(255)}"}`, 'bad_field'], [`{"type":"subscribe","channels":${'['.repeat(200)}${']'.repeat(200)}}`, 'bad_json'],
        [`{"type":"ping"${Array.from({ length: 40 }, (_, i) => `,"m${i}":1`).join('')}}`, 'bad_request'],
        ['{"type":"history"}', 'bad_field'], ['{"type":"history","channel":"a b"}', 'bad_channel'], ['{"type":"history","channel":"a","limit":0}', 'bad_field'], ['{"type":"history","channel":"a","limit":1001}', 'bad_field'], ['{"type":"history","channel":"a","limit":"5"}', 'bad_field'],
    ]) {
        const error = await errorFor(socket, text);
        assert.equal(error.code, code, `${text}: ${JSON.stringify(error)}`);
        assert.ok(error.message.length > 5);
    }
    const withRef = await socket.ask({ type: 'nonsense' });
    assert.deepEqual(Object.keys(withRef).slice(0, 3), ['type', 'ref', 'code']);
    assert.equal((await socket.ask({ type: 'ping' })).type, 'pong', 'still connected');
    assert.equal(socket.closed, null);
    assert.deepEqual((await request(hub, '/v1/channels')).json.data.filter((c) => c.messages), [], 'nothing was published');
    await unharmed();
});

scenario('if one channel of a command cannot be done, nothing of it is', async (scope) => {
    const hub = await scope.hub();
    const socket = await scope.ws(hub, '/ws?channel=a');
    await socket.get('subscribed');
    assert.equal((await socket.ask({ type: 'subscribe', channels: ['b', 'a b', 'c'] })).code, 'bad_channel');
    assert.equal((await socket.ask({ type: 'subscribe', channels: ['b', 'a'] })).code, 'already_subscribed');
    assert.equal((await socket.ask({ type: 'unsubscribe', channels: ['a', 'b'] })).code, 'not_subscribed');
    assert.equal((await publish(hub, 'b', 'x')).subscribers, 0);
    assert.equal((await publish(hub, 'a', 'y')).subscribers, 1);
    assert.equal(socket.of('subscribed').length, 1);
    assert.equal(socket.of('unsubscribed').length, 0);
});

scenario('a connection has at most limits.channels channels', async (scope) => {
    const hub = await scope.hub({ args: ['--limits.channels=3'] });
    const socket = await scope.ws(hub, '/ws?channel=a&channel=b');
    await socket.waitFor(() => socket.of('subscribed').length === 2, 'two');
    assert.equal((await socket.ask({ type: 'subscribe', channels: ['c', 'd'] })).code, 'too_many_channels');
    assert.equal((await socket.ask({ type: 'subscribe', channels: ['c'] })).type, 'subscribed');
    assert.equal((await socket.ask({ type: 'subscribe', channels: ['d'] })).code, 'too_many_channels');
    await socket.ask({ type: 'unsubscribe', channels: ['a'] });
    assert.equal((await socket.ask({ type: 'subscribe', channels: ['d'] })).type, 'subscribed');
});

scenario('a mistake in the query is told by an error frame and a close code that a browser can see', async (scope) => {
    const hub = await scope.hub();
    const many = Array.from({ length: 1001 }, (_, i) => `channel=c${i}`).join('&');
    for (const [query, code] of [['?channel=a%20b', 'bad_channel'], ['?channel=', 'bad_channel'], ['?channel=ok&channel=%00', 'bad_channel'], ['?channel=news*', 'bad_pattern'], ['?client=a%20b', 'bad_client'], [`?${many}`, 'too_many_channels']]) {
        const socket = await scope.ws(hub, `/ws${query}`);
        const end = await socket.end();
        assert.equal(end.code, 4100, `${query.slice(0, 40)}: ${JSON.stringify(end)}`);
        assert.ok([...socket.of('error'), ...socket.of('bye')].some((f) => f.code === code), socket.state());
    }
});

scenario('a plain GET of /ws is 400 bad_request', async (scope) => {
    const hub = await scope.hub();
    const answer = await request(hub.public, '/ws?channel=a');
    assert.equal(answer.status, 400);
    assert.equal(answer.json.code, 'bad_request');
});

scenario('data over limits.message is an error, and the connection lives on', async (scope) => {
    const hub = await scope.hub();
    const socket = await scope.ws(hub, '/ws?channel=a');
    await socket.get('subscribed');
    assert.equal((await socket.ask({ type: 'publish', channel: 'a', data: 'x'.repeat(65535) })).code, 'message_too_large');
    assert.equal((await socket.ask({ type: 'publish', channel: 'a', data: 'x'.repeat(1_000_000) })).code, 'message_too_large');
    assert.equal((await socket.ask({ type: 'publish', channel: 'a', data: 'x'.repeat(65534) })).type, 'ok');
    assert.equal((await socket.take(1))[0].data.length, 65534);
});

scenario('a message over public.max_frame closes with 1009, fragments together', async (scope) => {
    const hub = await scope.hub();
    const unharmed = await withNeighbour(scope, hub);
    const whole = await scope.ws(hub);
    whole.send({ type: 'ping', filler: 'x'.repeat(1024 * 1024 + 4096) });
    assert.equal((await whole.end()).code, 1009);
    const fits = await scope.ws(hub);
    assert.equal((await fits.ask({ type: 'ping', filler: 'x'.repeat(1024 * 1024) })).type, 'pong');
    const small = await scope.hub({ args: ['--public.max_frame=1KiB'] });
    const pieces = await scope.ws(small);
    for (let i = 0; i < 20 && !pieces.closed; i++) pieces.socket.send(`${'x'.repeat(100)}`, { fin: false });
    assert.equal((await pieces.end()).code, 1009);
    const neighbour = await scope.ws(small);
    assert.equal((await neighbour.ask({ type: 'ping' })).type, 'pong');
    await unharmed();
});

scenario('a command in many fragments is one command', async (scope) => {
    const hub = await scope.hub();
    const socket = await scope.ws(hub, '/ws?channel=a');
    await socket.get('subscribed');
    const bytes = Buffer.from('{"type":"publish","channel":"a","data":"é😀"}');
    for (let i = 0; i < bytes.length; i++) socket.socket.send(bytes.subarray(i, i + 1), { fin: i === bytes.length - 1, binary: false });
    assert.equal((await socket.take(1))[0].data, 'é😀');
});

scenario('text that is not UTF-8 closes with 1007, also when it only ends inside a character', async (scope) => {
    const hub = await scope.hub();
    const unharmed = await withNeighbour(scope, hub);
    for (const hex of ['ff', 'c3', 'c328', 'c0af', 'eda080', 'f4908080', '61e282', '80']) {
        const bytes = Buffer.concat([Buffer.from('{"type":"ping","x":"'), Buffer.from(hex, 'hex'), Buffer.from('"}')]);
        const whole = await scope.ws(hub);
        whole.send(bytes);
        assert.equal((await whole.end()).code, 1007, hex);
        const pieces = await scope.ws(hub);
        pieces.socket.send(bytes.subarray(0, 21), { fin: false, binary: false });
        pieces.socket.send(bytes.subarray(21), { fin: true, binary: false });
        assert.equal((await pieces.end()).code, 1007, `${hex} in two fragments`);
    }
    const cut = await scope.ws(hub);
    cut.send(Buffer.from('7b22e2', 'hex'));
    assert.equal((await cut.end()).code, 1007);
    await unharmed();
});

scenario('a binary frame closes with 1003', async (scope) => {
    const hub = await scope.hub();
    const socket = await scope.ws(hub);
    socket.socket.send(Buffer.from('{"type":"ping"}'), { binary: true });
    assert.equal((await socket.end()).code, 1003);
});

scenario('frames that break RFC 6455 close with 1002 or end the connection, and harm nobody', async (scope) => {
    const hub = await scope.hub();
    const unharmed = await withNeighbour(scope, hub);
    for (const bytes of [[0xf1, 0x80, 0, 0, 0, 0], [0x83, 0x80, 0, 0, 0, 0], [0x8f, 0x80, 0, 0, 0, 0], [0x09, 0x80, 0, 0, 0, 0], [0x80, 0x80, 0, 0, 0, 0], [0x89, 0xfe, 0, 200, 0, 0, 0, 0], [0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]]) {
        const socket = await scope.ws(hub);
        await socket.get('welcome');
        socket.socket._socket.write(Buffer.from([...bytes, ...Array(300).fill(0)]));
        const { code } = await socket.end();
        assert.ok([1002, 1006, 1009].includes(code), `${bytes.map((b) => b.toString(16))}: ${code}`);
    }
    await unharmed();
});

scenario('a client that sends commands faster than they are answered is slowed down, not dropped', async (scope) => {
    const hub = await scope.hub({ args: ['--limits.commands=4', '--history.size=3000'] });
    const socket = await scope.ws(hub, '/ws?channel=flood');
    await socket.get('subscribed');
    for (let i = 0; i < 2000; i++) socket.send(`{"type":"publish","ref":${i},"channel":"flood","data":${i}}`);
    await socket.waitFor(() => socket.messages.length === 2000, '2,000 messages');
    await socket.waitFor(() => socket.of('ok').length === 2000, '2,000 answers');
    assert.deepEqual(socket.data, Array.from({ length: 2000 }, (_, i) => i));
    assert.deepEqual(socket.of('ok').map((f) => f.ref), Array.from({ length: 2000 }, (_, i) => i), 'answers of one channel are in order');
});

scenario('clients that vanish in the middle of a frame leave nothing behind', async (scope) => {
    const hub = await scope.hub();
    for (let i = 0; i < 30; i++) {
        const socket = await scope.ws(hub, `/ws?channel=gone`);
        await socket.get('subscribed');
        socket.socket._socket.write(Buffer.from([0x81, 0xfe, 0x10, 0x00, 1, 2, 3, 4, 9, 9]));
        if (i % 2) reset(socket.socket._socket); else socket.socket._socket.end();
    }
    await eventually(async () => (await request(hub, '/v1/channels')).json.data.length === 0, 'the channel to have no subscriber');
    await publish(hub, 'gone', 'x');
});

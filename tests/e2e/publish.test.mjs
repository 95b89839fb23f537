// Publishing: every form a body may have, what comes back, and that the payload arrives as the bytes that were sent.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { messagesPath, post, publish, request } from './lib/http.mjs';
import { memberText } from './lib/ws.mjs';

const ID = /^[a-z2-7]{8}\.[1-9][0-9]*$/;
const JSON_TYPE = { 'Content-Type': 'application/json' };

// One subscriber of each kind to a channel of its own.
async function listeners(scope, hub, channel) {
    const query = `channel=${encodeURIComponent(channel)}`;
    const bare = await scope.sse(hub, `/sse?${query}`);
    const envelope = await scope.sse(hub, `/sse?${query}&format=envelope`);
    const socket = await scope.ws(hub, `/ws?${query}`);
    await Promise.all([bare.ready(), envelope.ready(), socket.get('subscribed')]);
    return { bare, envelope, socket };
}

// Without line ends, which the bare format may not keep.
const EXACT_JSON = [
    '0.1', '0.10', '1.0', '-0', '-0.0', '1e400', '1E+2', '1e-7', '12345678901234567890', '-98765432109876543210.000000000000000000001',
    'true', 'null', '""', '"hello"', '"0.1"', '[]', '{}', '{ }', '[ 1 ,\t2 ]', '{"b":1,"a":2}', '{"a":1,"a":2}', '{"a" : {"b" :[ 1,2 ]} }',
    '"\\u0041\\u00e9\\ud83d\\ude00\\/\\n\\r\\t\\u0000\\b\\f"', '"é😀\u2028\u2029"', '"\\" \\\\ \'"', '"\u007f"', '{"":""}', '"</script>&amp;"',
    `"${'x'.repeat(60000)}"`, '['.repeat(30) + ']'.repeat(30),
];

scenario('a JSON payload reaches SSE bare, SSE envelope, WebSocket and history as the bytes that were sent', async (scope) => {
    const hub = await scope.hub();
    const { bare, envelope, socket } = await listeners(scope, hub, 'exact');
    for (const json of EXACT_JSON) {
        const answer = await post(hub, 'exact', `{"data":${json}}`, { headers: JSON_TYPE });
        assert.equal(answer.status, 201, `${json.slice(0, 80)}: ${answer.text}`);
    }
    const count = EXACT_JSON.length;
    await Promise.all([bare.take(count), envelope.take(count), socket.take(count)]);
    const kept = await request(hub, messagesPath('exact'));
    const historyTexts = kept.text.split('{"type":"message"').slice(1).map((rest) => `{"type":"message"${rest}`);
    for (const [i, json] of EXACT_JSON.entries()) {
        assert.equal(bare.data[i], json, 'SSE bare');
        assert.equal(memberText(envelope.data[i], 'data'), json, 'SSE envelope');
        assert.equal(memberText(socket.textsOf('message')[i], 'data'), json, 'WebSocket');
        assert.equal(memberText(historyTexts[i], 'data'), json, 'history');
    }
});

scenario('white space around data is not part of it, and members in any order and unknown ones are fine', async (scope) => {
    const hub = await scope.hub();
    const { bare } = await listeners(scope, hub, 'a');
    for (const body of ['{"data": 1 }', ' {\n"x":[{"data":9}],"event":"e" ,\r\n"data"\t:\t{"y": 2}\n}\n', '{"data":1,"data":3}']) {
        assert.equal((await post(hub, 'a', body, { headers: JSON_TYPE })).status, 201, body);
    }
    await bare.take(3);
    assert.deepEqual(bare.data, ['1', '{"y": 2}', '3']);
    assert.equal(bare.messages[1].event, 'e');
});

scenario('line ends inside a JSON payload are kept on WebSocket and become LF on SSE', async (scope) => {
    const hub = await scope.hub();
    const { bare, envelope, socket } = await listeners(scope, hub, 'lines');
    const json = '{\r\n  "a": 1,\n\r  "b": [\r]\n}';
    await post(hub, 'lines', `{"data":${json}}`, { headers: JSON_TYPE });
    await Promise.all([bare.take(1), envelope.take(1), socket.take(1)]);
    assert.equal(memberText(socket.textsOf('message')[0], 'data'), json);
    assert.equal(bare.data[0], json.replace(/\r\n|\r/g, '\n'));
    assert.deepEqual(JSON.parse(envelope.data[0]).data, { a: 1, b: [] });
});

scenario('a text body arrives as that text', async (scope) => {
    const hub = await scope.hub();
    const { bare, envelope, socket } = await listeners(scope, hub, 'text');
    const texts = ['hello', '', ' ', '  two before, two after  ', '"quoted" \\ back', '{"not":"parsed"', 'é😀\u2028', 'tab\tand\u0001control\u007f', ':colon', 'data: x', '\ufeffmark', 'nul\0in it',
        'x'.repeat(65536)];
    for (const text of texts) await publish(hub, 'text', text);
    await Promise.all([bare.take(texts.length), envelope.take(texts.length), socket.take(texts.length)]);
    assert.deepEqual(bare.data, texts);
    assert.deepEqual(envelope.data.map((text) => JSON.parse(text).data), texts);
    assert.deepEqual(socket.data, texts);
    assert.ok(!socket.messages.some((m) => 'encoding' in m || 'event' in m || 'replay' in m), 'only members that say something');
});

scenario('a text with line ends is split into data lines that an EventSource joins with LF', async (scope) => {
    const hub = await scope.hub();
    const { bare, envelope, socket } = await listeners(scope, hub, 'text');
    const texts = ['a\nb', 'a\r\nb', 'a\rb', '\n', '\n\n', 'a\n', '\na', 'a\n\r\n\rb'];
    for (const text of texts) await publish(hub, 'text', text);
    await Promise.all([bare.take(texts.length), envelope.take(texts.length), socket.take(texts.length)]);
    assert.deepEqual(bare.data, texts.map((text) => text.replace(/\r\n|\r/g, '\n')));
    assert.deepEqual(envelope.data.map((text) => JSON.parse(text).data), texts);
    assert.deepEqual(socket.data, texts);
});

scenario('any other content type, and none, is binary and travels as base64', async (scope) => {
    const hub = await scope.hub();
    const { bare, envelope, socket } = await listeners(scope, hub, 'bin');
    const payloads = [Buffer.from(Array.from({ length: 256 }, (_, i) => i)), Buffer.alloc(0), Buffer.from([0xff]), Buffer.from('ab'), Buffer.from('plain text')];
    for (const [i, bytes] of payloads.entries()) {
        const headers = i % 2 ? {} : { 'Content-Type': 'application/octet-stream' };
        assert.equal((await post(hub, 'bin', bytes, { headers })).status, 201);
    }
    await Promise.all([bare.take(5), envelope.take(5), socket.take(5)]);
    for (const [i, bytes] of payloads.entries()) {
        const base64 = bytes.toString('base64');
        assert.equal(bare.data[i], base64);
        for (const message of [JSON.parse(envelope.data[i]), socket.messages[i]]) {
            assert.equal(message.encoding, 'base64');
            assert.equal(message.data, base64);
        }
    }
});

scenario('a form with a data field publishes that field, and its other fields count', async (scope) => {
    const hub = await scope.hub();
    const { socket } = await listeners(scope, hub, 'form');
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const forms = ['data=a+b%26c%3D%C3%A9', 'event=news&data=1', 'data=', 'x=1&data=%22q%22&event=', 'data=two%0D%0Alines&data=not+this'];
    for (const form of forms) assert.equal((await post(hub, 'form', form, { headers })).status, 201, form);
    await socket.take(5);
    assert.deepEqual(socket.data, ['a b&c=é', '1', '', '"q"', 'two\r\nlines']);
    assert.equal(socket.messages[1].event, 'news');
});

scenario('a form without a data field is the payload itself, so curl -d works', async (scope) => {
    const hub = await scope.hub();
    const { bare } = await listeners(scope, hub, 'form');
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const bodies = ['hello', 'a=1&b=%20', 'one+two', '{"a":1}', 'mydata=5'];
    for (const body of bodies) assert.equal((await post(hub, 'form', body, { headers })).status, 201, body);
    await bare.take(5);
    assert.deepEqual(bare.data, bodies);
});

scenario('the event name comes from the JSON body, the form or the query, and arrives as event', async (scope) => {
    const hub = await scope.hub();
    const { bare, socket } = await listeners(scope, hub, 'ev');
    await post(hub, 'ev', { data: 1, event: 'from.json' });
    await post(hub, 'ev', 'data=2&event=from-form', { headers: { 'Content-Type': 'application/x-www-form-urlencoded' }, query: '?event=not-this' });
    await publish(hub, 'ev', '3', { query: '?event=from:query_1' });
    await post(hub, 'ev', 'raw', { headers: { 'Content-Type': 'application/octet-stream' }, query: `?event=${'e'.repeat(64)}` });
    await publish(hub, 'ev', '5');
    const names = ['from.json', 'from-form', 'from:query_1', 'e'.repeat(64), undefined];
    await Promise.all([bare.take(5), socket.take(5)]);
    assert.deepEqual(bare.messages.map((b) => b.event), names);
    assert.deepEqual(socket.messages.map((m) => m.event), names);
});

scenario('201 has id, channel, time and subscribers, and the id is the position of the message', async (scope) => {
    const hub = await scope.hub();
    const { socket, bare, envelope } = await listeners(scope, hub, 'orders/eu+42');
    const before = Date.now();
    const answer = await post(hub, 'orders/eu+42', 'x');
    const after = Date.now();
    assert.equal(answer.status, 201);
    assert.match(answer.headers['content-type'], /^application\/json/);
    assert.deepEqual(Object.keys(answer.json), ['id', 'channel', 'time', 'subscribers']);
    const { id, channel, time, subscribers } = answer.json;
    assert.match(id, ID);
    assert.equal(channel, 'orders/eu+42');
    assert.ok(Number.isInteger(time) && time >= before - 1000 && time <= after + 1000);
    assert.equal(subscribers, 3);
    const [message] = await socket.take(1);
    await Promise.all([bare.take(1), envelope.take(1)]);
    assert.deepEqual([message.id, message.channel, message.time], [id, channel, time]);
    assert.equal(bare.messages[0].id, id);
    assert.deepEqual(Object.keys(JSON.parse(envelope.data[0])), ['type', 'channel', 'id', 'encoding', 'data', 'time']);
    assert.equal((await publish(hub, 'nobody', 'x')).subscribers, 0);
});

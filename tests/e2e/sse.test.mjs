// SSE as PROTOCOL.md says it, byte by byte: head, blocks, formats, control events, heartbeats.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { post, problemOf, publish, request } from './lib/http.mjs';

const POSITION = /^[a-z2-7]{8}\.\d+$/;
const get = (hub, where, headers) => request(hub.public, where, { headers });

scenario('the head of a stream is what proxies and browsers need', async (scope) => {
    const hub = await scope.hub();
    for (const path of ['/sse?channel=a', '/events?channel=a']) {
        const stream = await scope.sse(hub, path);
        assert.equal(stream.status, 200);
        assert.match(stream.headers['content-type'], /^text\/event-stream/);
        assert.match(stream.headers['cache-control'], /\bno-store\b/);
        assert.match(stream.headers['cache-control'], /\bno-transform\b/);
        assert.equal(stream.headers['x-accel-buffering'], 'no');
        assert.equal(stream.headers['content-length'], undefined);
        await stream.ready();
    }
});

scenario('a stream begins with retry, then hub.ready with its position, then messages', async (scope) => {
    const hub = await scope.hub();
    const stream = await scope.sse(hub, '/sse?channel=news');
    const ready = await stream.ready();
    assert.equal(stream.bytes[0] === 0xef, false, 'no byte order mark');
    assert.match(stream.raw, /^retry: ?\d+\n\nid: ?[a-z2-7]{8}\.\d+\nevent: ?hub\.ready\ndata: ?\{.*\}\n\n$/);
    const told = JSON.parse(ready.data);
    assert.equal(told.type, 'ready');
    assert.equal(told.position, ready.id);
    assert.match(told.position, POSITION);
    assert.ok(typeof told.connection === 'string' && told.connection.length > 0);
    assert.deepEqual(told.channels, [{ channel: 'news', recovered: false, resumable: true }]);
    const { id } = await publish(hub, 'news', 'x', { query: '?event=headline' });
    const [message] = await stream.take(1);
    assert.deepEqual([message.id, message.event, message.data], [id, 'headline', 'x']);
    assert.ok(!stream.raw.includes('\r'), 'lines end with LF');
});

scenario('retry is drawn for each connection, so that clients do not come back all at once', async (scope) => {
    const hub = await scope.hub();
    const seen = new Set();
    for (let i = 0; i < 12; i++) {
        const stream = await scope.sse(hub, '/sse?channel=a');
        await stream.ready();
        const retry = Number(stream.blocks[0].retry);
        assert.ok(Number.isInteger(retry) && retry >= 500 && retry <= 6000, `${retry} ms around the 2 s of sse.retry`);
        seen.add(retry);
    }
    assert.ok(seen.size > 4, `${[...seen]}`);
});

scenario('one channel is bare, several are envelopes, and format= forces either', async (scope) => {
    const hub = await scope.hub();
    const paths = { bare: '/sse?channel=a', twice: '/sse?channel=a&channel=a', forcedEnvelope: '/sse?channel=a&format=envelope', several: '/sse?channel=a&channel=b', forcedBare: '/sse?channel=a&channel=b&format=bare' };
    const streams = {};
    for (const [name, path] of Object.entries(paths)) { streams[name] = await scope.sse(hub, path); await streams[name].ready(); }
    const { id, time } = (await post(hub, 'a', { data: { x: 1 }, event: 'e' })).json;
    const object = `{"type":"message","channel":"a","id":"${id}","event":"e","data":{"x":1},"time":${time}}`;
    for (const [name, expected] of Object.entries({ bare: '{"x":1}', twice: '{"x":1}', forcedEnvelope: object, several: object, forcedBare: '{"x":1}' })) {
        const [message] = await streams[name].take(1);
        assert.equal(message.data, expected, name);
        assert.equal(message.event, 'e', name);
        assert.equal(message.id, id, name);
    }
    problemOf(await get(hub, '/sse?channel=a&format=fancy'), 400, 'bad_field');
});

scenario('a stream of several channels has all their messages in order of publishing, and no others', async (scope) => {
    const hub = await scope.hub();
    const stream = await scope.sse(hub, '/sse?channel=a&channel=b%2Fc&channel=d%2Be&channel=a');
    const ready = JSON.parse((await stream.ready()).data);
    assert.deepEqual(new Set(ready.channels.map((c) => c.channel)), new Set(['a', 'b/c', 'd+e']));
    assert.equal(ready.channels.length, 3, 'a name that is there twice counts once');
    const sent = [];
    for (let i = 0; i < 60; i++) {
        const channel = ['a', 'b/c', 'd+e', 'other'][i % 4];
        await publish(hub, channel, `${i}`);
        if (channel !== 'other') sent.push([channel, `${i}`]);
    }
    await stream.take(45);
    assert.deepEqual(stream.data.map((text) => JSON.parse(text)).map((m) => [m.channel, m.data]), sent);
});

scenario('a stream may have 1,000 channels and not one more', async (scope) => {
    const hub = await scope.hub();
    const query = (count) => Array.from({ length: count }, (_, i) => `channel=c${i}`).join('&');
    const stream = await scope.sse(hub, `/sse?${query(1000)}`);
    assert.equal(JSON.parse((await stream.ready()).data).channels.length, 1000);
    await publish(hub, 'c999', 'last');
    await publish(hub, 'c0', 'first');
    await stream.take(2);
    assert.deepEqual(stream.data.map((text) => JSON.parse(text).channel), ['c999', 'c0']);
    problemOf(await get(hub, `/sse?${query(1001)}`), 400, 'too_many_channels');
    const again = await scope.sse(hub, `/sse?${query(1000)}`, { lastEventId: stream.messages[0].id });
    await again.take(1);
    assert.equal(JSON.parse(again.data[0]).channel, 'c0');
});

scenario('a request that cannot become a stream is a problem with a status that is final', async (scope) => {
    const hub = await scope.hub();
    for (const [path, status, code] of [
        ['/sse', 400, 'no_channel'], ['/sse?x=1', 400, 'no_channel'], ['/sse?channel=', 400, 'bad_channel'], ['/sse?channel=a%20b', 400, 'bad_channel'], ['/sse?channel=a+b', 400, 'bad_channel'],
        ['/sse?channel=a&channel=%00', 400, 'bad_channel'], ['/sse?channel=news*', 400, 'bad_pattern'], ['/sse?channel=a&client=a%20b', 400, 'bad_client'], [`/sse?channel=a&client=${'x'.repeat(65)}`, 400, 'bad_client'],
        ['/sse/x?channel=a', 404, 'not_found'], ['/nothing', 404, 'not_found'], ['/v1/channels', 404, 'not_found'],
    ]) problemOf(await get(hub, path), status, code);
});

scenario('a quiet stream gets heartbeats: a block of an id alone, which moves with the whole hub', async (scope) => {
    const hub = await scope.hub({ args: ['--sse.heartbeat=1s'] });
    const stream = await scope.sse(hub, '/sse?channel=quiet');
    const ready = await stream.ready();
    const { id } = await publish(hub, 'elsewhere', 'x');
    const beat = await stream.waitFor(() => stream.blocks.find((b) => b.id === id), 'a heartbeat with the newest position');
    assert.deepEqual(beat.lines.map((line) => line.split(':')[0]), ['id'], 'nothing but an id');
    assert.equal(stream.messages.length, 0);
    assert.notEqual(beat.id, ready.id);
    stream.close();
    await publish(hub, 'quiet', 'while away');
    const again = await scope.sse(hub, '/sse?channel=quiet', { lastEventId: stream.lastId });
    await again.take(1);
    assert.deepEqual(again.data, ['while away']);
    assert.deepEqual(again.control('gap'), []);
});

scenario('a heartbeat is never ahead of a message that is still to come', async (scope) => {
    const hub = await scope.hub({ args: ['--sse.heartbeat=1s', '--history.size=100000', '--history.bytes=100MiB'] });
    const stream = await scope.sse(hub, '/sse?channel=busy&channel=other');
    await stream.ready();
    const beats = () => stream.blocks.filter((b) => b.id && b.data === undefined).length;
    let count = 0;
    while (beats() < 2) {      // bursts with pauses long enough for a heartbeat
        for (let i = 0; i < 50; i++, count++) await publish(hub, i % 2 ? 'busy' : 'other', `${count}`);
        const seen = beats();
        await stream.waitFor(() => beats() > seen, 'the next heartbeat');
    }
    await stream.take(count);
    const numbers = stream.blocks.filter((b) => b.id).map((b) => Number(b.id.split('.')[1]));
    for (let i = 1; i < numbers.length; i++) assert.ok(numbers[i] >= numbers[i - 1], `${numbers[i]} after ${numbers[i - 1]}`);
    assert.deepEqual(stream.data.map((text) => JSON.parse(text).data), Array.from({ length: count }, (_, i) => `${i}`));
});

scenario('neither an event name nor a payload can forge a field or an event', async (scope) => {
    const hub = await scope.hub();
    const bare = await scope.sse(hub, '/sse?channel=a');
    const envelope = await scope.sse(hub, '/sse?channel=a&format=envelope');
    await Promise.all([bare.ready(), envelope.ready()]);
    const attacks = ['\n\nevent: hub.bye\ndata: {}\n\n', '\r\rid: forged.1\r\r', '\r\nid: forged.2\r\nevent: x\r\n\r\n', 'x\n\nretry: 1\n\n', ':comment\n\n', '\n', '\r', '\r\n\r\n', 'a\u2028b\u0085c\vd\fe', '\0\n\nid: 0'];
    for (const text of attacks) {
        await publish(hub, 'a', text);
        await post(hub, 'a', { data: text });
    }
    for (const event of ['a\nid: forged', 'a\r\n\r\ndata: x', 'hub.bye', 'a\rb', 'message\0', 'é']) {
        assert.equal((await post(hub, 'a', { data: 1, event })).status, 400, JSON.stringify(event));
        assert.equal((await post(hub, 'a', 'x', { headers: { 'Content-Type': 'text/plain' }, query: `?event=${encodeURIComponent(event)}` })).status, 400);
    }
    await Promise.all([bare.take(2 * attacks.length), envelope.take(2 * attacks.length)]);
    for (const stream of [bare, envelope]) {
        assert.ok(!stream.blocks.some((b) => /forged|^0$/.test(b.id ?? '')), 'no forged id');
        assert.equal(stream.control('bye').length, 0);
        assert.equal(stream.blocks.filter((b) => b.retry !== undefined).length, 1, 'no forged retry');
        assert.equal(stream.blocks.flatMap((b) => b.comments).length, 0);
        assert.equal(stream.messages.length, 2 * attacks.length);
    }
    assert.deepEqual(bare.data, attacks.flatMap((text) => [text.replace(/\r\n|\r/g, '\n'), JSON.stringify(text)]));
    assert.deepEqual(envelope.data.map((text) => JSON.parse(text).data), attacks.flatMap((text) => [text, text]));
});

scenario('only the own host and the origins of the configuration may open a stream from a page', async (scope) => {
    const hub = await scope.hub({ dev: false, args: ['--access.publish=**', '--access.subscribe=**', '--public.origins=https://app.example.com https://*.example.org'] });
    const own = hub.publicUrl('');
    for (const origin of [own, 'https://app.example.com', 'https://x.example.org']) {
        const stream = await scope.sse(hub, '/sse?channel=a', { headers: { Origin: origin } });
        await stream.ready();
        if (origin !== own) assert.equal(stream.headers['access-control-allow-origin'], origin);
        const socket = await scope.ws(hub, '/ws?channel=a', { headers: { Origin: origin } });
        await socket.get('welcome');
    }
    for (const origin of ['https://evil.example', 'http://app.example.com', 'https://app.example.com:444', 'https://app.example.com.evil.example', 'https://example.org', 'null', 'http://127.0.0.2:1']) {
        problemOf(await get(hub, '/sse?channel=a', { Origin: origin }), 403, 'bad_origin');
        await assert.rejects(scope.ws(hub, '/ws?channel=a', { headers: { Origin: origin } }), /refused with 403.*bad_origin/, origin);
    }
});

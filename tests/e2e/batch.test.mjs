// POST /v1/messages: many publishes in one request, as one document and as a stream of lines without end.
import assert from 'node:assert/strict';
import http from 'node:http';
import { scenario } from './lib/scope.mjs';
import { messagesPath, publish, request } from './lib/http.mjs';
import { to } from './lib/line.mjs';
import { within } from './lib/wait.mjs';

const JSON_TYPE = { 'Content-Type': 'application/json' };
const LINES_TYPE = { 'Content-Type': 'application/x-ndjson' };
const send = (hub, body, headers = JSON_TYPE) => request(hub, '/v1/messages', { method: 'POST', headers, body });
const lines = (text) => text.trimEnd().split('\n').map((line) => JSON.parse(line));
const kept = async (hub, channel) => (await request(hub, messagesPath(channel, '?limit=1000'))).json.data.map((m) => m.data);

// A request whose body is written line by line, and whose results are read meanwhile.
class Stream {
    results = [];
    text = '';
    constructor(hub) {
        this.request = http.request({ ...to(hub.api), path: '/v1/messages', method: 'POST', headers: LINES_TYPE });
        this.ended = new Promise((resolve, reject) => {
            this.request.on('error', reject);
            this.request.on('response', (response) => {
                this.status = response.statusCode;
                response.on('data', (chunk) => this.#take(chunk.toString()));
                response.on('end', resolve);
                response.on('error', reject);
            });
        });
        this.ended.catch(() => {});
    }
    #take(text) {
        this.text += text;
        const parts = this.text.split('\n');
        this.text = parts.pop();
        this.results.push(...parts.map((line) => JSON.parse(line)));
        this.wake?.();
    }
    write(item) { this.request.write(`${typeof item === 'string' ? item : JSON.stringify(item)}\n`); }
    end() { this.request.end(); return within(this.ended, 'the end of the results'); }
    async take(count) {
        await within((async () => { while (this.results.length < count) await new Promise((resolve) => { this.wake = resolve; }); })(), `${count} results`);
    }
}

scenario('an array of messages: results in order, 207 when some failed, and what is wrong with one stops no other', async (scope) => {
    const hub = await scope.hub();
    const good = await send(hub, '[{"channel":"a","data":0.10},{"channel":"b","data":"x","event":"e"}]');
    assert.equal(good.status, 200);
    assert.deepEqual(good.json.results.map((r) => [r.index, r.status, r.channel]), [[0, 201, 'a'], [1, 201, 'b']]);
    assert.deepEqual(good.json.summary, { total: 2, successful: 2, failed: 0 });
    const mixed = await send(hub, '[{"channel":"a","data":1},{"channel":"b c","data":2},{"data":3},7,{"channel":"a"},{"channel":"a","user":"u","data":1},{"channel":"a","data":4}]');
    assert.equal(mixed.status, 207);
    assert.deepEqual(mixed.json.results.map((r) => r.code ?? r.status), [201, 'bad_channel', 'no_channel', 'bad_request', 'bad_field', 'bad_field', 201]);
    assert.deepEqual(mixed.json.summary, { total: 7, successful: 2, failed: 5 });
    assert.deepEqual(await kept(hub, 'a'), [0.1, 1, 4]);
});

scenario('one message to many channels, to a user, and to all channels that match a pattern', async (scope) => {
    const hub = await scope.hub({ args: ['--limits.publish_channels=3'] });
    const many = await send(hub, { channels: ['o.1', 'o.2'], data: 'x' });
    assert.deepEqual(many.json.results.map((r) => r.channel), ['o.1', 'o.2']);
    const user = await send(hub, { user: 'ann', data: 1 });
    assert.equal(user.json.results[0].channel, 'user.ann');
    const two = (await send(hub, { pattern: 'o.*', data: 'p' })).json.results[0];
    assert.deepEqual([two.channels, two.successful, two.capped], [2, 2, false]);
    assert.deepEqual(await kept(hub, 'o.2'), ['x', 'p']);
    for (const name of ['o.3', 'o.4']) await publish(hub, name, 'x');
    const capped = (await send(hub, { pattern: 'o.*', data: 'q' })).json.results[0];
    assert.deepEqual([capped.channels, capped.capped], [3, true]);
    const none = (await send(hub, { pattern: 'nobody.**', data: 1 })).json.results[0];
    assert.deepEqual([none.status, none.channels], [201, 0]);
});

scenario('too many messages in one document are refused as a whole, and nothing is published', async (scope) => {
    const hub = await scope.hub();
    const item = { channel: 'a', data: 1 };
    for (const body of [Array(1001).fill(item), [...Array(2).fill({ channels: Array(501).fill('a'), data: 1 })], { channels: Array(1001).fill('a'), data: 1 }]) {
        const answer = await send(hub, body);
        assert.deepEqual([answer.status, answer.json.code], [413, 'too_many_items']);
    }
    for (const body of ['[{"channel":"a","data":1}', '[{"channel":"a","data":1}]x', '7', '']) assert.equal((await send(hub, body)).status, 400, body);
    assert.deepEqual(await kept(hub, 'a'), []);
    assert.equal((await send(hub, Array(1000).fill(item))).json.summary.successful, 1000);
});

scenario('each item needs its own grant', async (scope) => {
    const hub = await scope.hub({ dev: false, args: ['--access.publish=a.*', '--access.history=**'] });
    const answer = await send(hub, [{ channel: 'a.1', data: 1 }, { channel: 'b', data: 2 }, { pattern: 'a.*', data: 3 }, { pattern: 'a.**', data: 4 }, { channels: ['b', 'a.2'], data: 5 }]);
    assert.deepEqual(answer.json.results.map((r) => r.status), [201, 401, 201, 401, 401, 201]);
});

scenario('lines: results come while the body is still being sent, and a broken line stops nothing', async (scope) => {
    const hub = await scope.hub();
    const stream = new Stream(hub);
    stream.write({ channel: 'a', data: 1 });
    await stream.take(1);
    assert.equal(stream.status, 200);
    stream.write('broken');
    stream.write('');
    stream.write(`{"channel":"a","data":"${'x'.repeat(300000)}"}`);
    stream.write({ channel: 'a', data: 2 });
    await stream.take(4);
    stream.request.write('{"channel":"a","data":3}');
    await stream.end();
    assert.deepEqual(stream.results.slice(0, 5).map((r) => r.code ?? r.status), [201, 'bad_json', 'message_too_large', 201, 201]);
    assert.deepEqual(stream.results.slice(0, 5).map((r) => r.index), [0, 1, 2, 3, 4]);
    assert.deepEqual(stream.results.at(-1), { summary: { total: 5, successful: 3, failed: 2 } });
    assert.deepEqual(await kept(hub, 'a'), [1, 2, 3]);
});

scenario('100,000 lines in one body, to 1,000 channels: every one has its result, in order', async (scope) => {
    const hub = await scope.hub();
    const count = 100000;
    const body = Array.from({ length: count }, (_, i) => `{"channel":"c${i % 1000}","data":${i}}\n`).join('');
    const answer = await send(hub, body, LINES_TYPE);
    const results = lines(answer.text);
    assert.equal(results.length, count + 1);
    assert.ok(results.slice(0, count).every((r, i) => r.index === i && r.status === 201 && r.channel === `c${i % 1000}`));
    assert.deepEqual(results.at(-1).summary, { total: count, successful: count, failed: 0 });
});

scenario('SIGTERM in the middle of a stream: it is told that the hub drains, and ends', async (scope) => {
    const hub = await scope.hub();
    const stream = new Stream(hub);
    stream.write({ channel: 'a', data: 1 });
    await stream.take(1);
    process.kill(hub.pid, 'SIGTERM');
    await within(stream.ended, 'the end of the results');
    assert.equal(stream.results.at(-1).code, 'draining');
    assert.deepEqual(stream.results.at(-1).summary, { total: 1, successful: 1, failed: 0 });
});

scenario('kill -9 in the middle of a stream: every acknowledged line is there afterwards', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=100000'] });
    const stream = new Stream(hub);
    for (let i = 0; i < 20000; i++) stream.write({ channel: 'a', data: i });
    await stream.take(500);
    await hub.kill9();
    await stream.ended.catch(() => {});
    const acknowledged = stream.results.filter((r) => r.status === 201).length;
    await hub.restart();
    const channel = (await request(hub, '/v1/channels/a')).json;
    assert.ok(channel.messages >= acknowledged, `${channel.messages} kept, ${acknowledged} acknowledged`);
});

scenario('a client that leaves in the middle of a stream harms nobody', async (scope) => {
    const hub = await scope.hub();
    for (let i = 0; i < 20; i++) {
        const stream = new Stream(hub);
        stream.write({ channel: 'a', data: i });
        stream.request.write('{"channel":"a","da');
        await stream.take(1);
        stream.request.destroy();
    }
    assert.equal((await send(hub, { channel: 'a', data: 'last' })).status, 200);
    assert.equal((await kept(hub, 'a')).length, 21);
});

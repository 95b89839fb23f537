// POST /v1/messages as one document: many publishes in one request, to channels, users and patterns. Streams are in ndjson.test.mjs.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { unmeasured } from './lib/sanitized.mjs';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, kept, keptMessages, post, publish, request } from './lib/http.mjs';
import { residentMiB } from './lib/proc.mjs';

const JSON_TYPE = { 'Content-Type': 'application/json' };
const KEY = `ck_${'5a'.repeat(32)}`;
const WITH_KEY = { ...JSON_TYPE, Authorization: `Bearer ${KEY}` };
const ROOMY = ['--history.size=1000000', '--history.bytes=1GiB', '--history.max_bytes=1GiB', '--history.ttl=1h'];
const send = (hub, body, headers = JSON_TYPE) => request(hub, '/v1/messages', { method: 'POST', headers, body });
const only = async (hub, item, headers) => (await send(hub, item, headers)).json.results[0];

// A hub with a key of a backend, which may do everything, and these settings.
async function ruled(scope, text) {
    const ini = path.join(scope.dir(), 'carillon.ini');
    writeFileSync(ini, `[keys]\nbackend = sha256:${createHash('sha256').update(KEY).digest('hex')}\n${text}`);
    return scope.hub({ dev: false, args: ['--config', ini] });
}

scenario('an array of messages: results in order, 207 when some failed, and what is wrong with one stops no other', async (scope) => {
    const hub = await scope.hub();
    const good = await send(hub, '[{"channel":"a","data":0.10},{"channel":"b","data":"x","event":"e","ttl":"10m"}]');
    assert.equal(good.status, 200);
    assert.deepEqual(good.json.results.map((r) => [r.index, r.status, r.channel]), [[0, 201, 'a'], [1, 201, 'b']]);
    assert.deepEqual(good.json.summary, { total: 2, successful: 2, failed: 0 });
    assert.equal((await keptMessages(hub, 'b'))[0].event, 'e');
    const mixed = await send(hub, '[{"channel":"a","data":1},{"channel":"b c","data":2},{"data":3},7,{"channel":"a"},{"channel":"a","user":"u","data":1},' +
        '{"channel":"a","data":1,"event":"hub.x"},{"channel":"a","data":1,"ttl":"soon"},{"channel":"a","data":1,"exclude":"no one"},{"channel":"a","data":4}]');
    assert.equal(mixed.status, 207);
    assert.deepEqual(mixed.json.results.map((r) => r.code ?? r.status),
        [201, 'bad_channel', 'no_channel', 'bad_request', 'bad_field', 'bad_field', 'bad_event', 'bad_field', 'bad_client', 201]);
    assert.deepEqual(mixed.json.results.map((r) => r.index), [...Array(10).keys()]);
    assert.deepEqual(mixed.json.results[1].field, 'channel');
    assert.deepEqual(mixed.json.summary, { total: 10, successful: 2, failed: 8 });
    assert.deepEqual(await kept(hub, 'a'), [0.1, 1, 4]);
    assert.deepEqual((await send(hub, [])).json, { results: [], summary: { total: 0, successful: 0, failed: 0 } });
});

scenario('one message to many channels, to a user, and to all channels that match a pattern', async (scope) => {
    const hub = await scope.hub({ args: ['--limits.publish_channels=3'] });
    const many = await send(hub, { channels: ['o.1', 'o 2', 3, 'o.2'], data: 'x' });
    assert.deepEqual(many.json.results.map((r) => [r.index, r.channel ?? r.code]), [[0, 'o.1'], [0, 'bad_channel'], [0, 'bad_channel'], [0, 'o.2']]);
    assert.equal((await only(hub, { user: 'ann', data: 1 })).channel, 'user.ann');
    assert.deepEqual([(await only(hub, { user: '', data: 1 })).field, (await only(hub, { channels: [], data: 1 })).code], ['user', 'no_channel']);
    const two = await only(hub, { pattern: 'o.*', data: 'p', event: 'e' });
    assert.deepEqual(two, { index: 0, status: 201, pattern: 'o.*', channels: 2, successful: 2, failed: 0, replayed: 0, capped: false });
    assert.deepEqual((await keptMessages(hub, 'o.2')).map((m) => [m.event, m.data]), [[undefined, 'x'], ['e', 'p']]);
    await publish(hub, 'o.3', 'x');
    assert.equal((await only(hub, { pattern: 'o.*', data: 'q' })).capped, false);
    await publish(hub, 'o.4', 'x');
    const capped = await only(hub, { pattern: 'o.*', data: 'q' });
    assert.deepEqual([capped.channels, capped.capped], [3, true]);
    const none = await only(hub, { pattern: 'nobody.**', data: 1 });
    assert.deepEqual([none.status, none.channels], [201, 0]);
    assert.deepEqual([(await only(hub, { pattern: 'a.**.b', data: 1 })).code, (await only(hub, { pattern: '', data: 1 })).field], ['bad_pattern', 'pattern']);
});

scenario('a pattern of 10,000 channels reaches each of them once, and a subscriber without messages too', async (scope) => {
    const hub = await scope.hub({ args: [...ROOMY, '--limits.publish_channels=100000'] });
    for (let i = 0; i < 10; i++) await send(hub, { channels: Array.from({ length: 1000 }, (_, n) => `p.${i}.${n}`), data: 0 });
    await send(hub, { channels: Array.from({ length: 500 }, (_, n) => `q.${n}`), data: 0 });
    const socket = await scope.ws(hub, '/ws?channel=p.listener');
    const result = await only(hub, { pattern: 'p.**', data: 1 });
    assert.deepEqual([result.channels, result.successful, result.capped], [10001, 10001, false]);
    await socket.take(1);
    for (const channel of ['p.0.0', 'p.3.777', 'p.9.999']) assert.deepEqual(await kept(hub, channel), [0, 1]);
    assert.deepEqual(await kept(hub, 'q.7'), [0]);
    const { messages } = (await request(hub, '/v1/channels?prefix=p.&limit=1000')).json.data.reduce((sum, c) => ({ messages: sum.messages + c.messages }), { messages: 0 });
    assert.equal(messages, 2000);
});

scenario('messages to many channels wait for one another: 60 MB of them with 12 MiB under way, and a caller who may have 64 KiB', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=1', '--history.max_bytes=8MiB'] });
    const channels = Array.from({ length: 1000 }, (_, n) => `c.${n}`), data = 'x'.repeat(60000);
    await send(hub, { channels, data: 0 });
    const before = residentMiB(hub.pid);
    assert.deepEqual((await send(hub, { channels, data })).json.summary, { total: 1000, successful: 1000, failed: 0 });
    const result = await only(hub, { pattern: 'c.*', data });
    assert.ok(result.successful === result.channels && result.channels > 0, JSON.stringify(result));
    const grown = residentMiB(hub.pid) - before;
    assert.ok(unmeasured || grown < 60, `${grown.toFixed(1)} MiB more`);
    const tight = await scope.hub({ args: ['--limits.caller_bytes=64KiB'] });
    const items = Array.from({ length: 100 }, (_, n) => ({ channel: 'a', data: `${n}`.padEnd(10000, '.') }));
    assert.equal((await send(tight, items)).json.summary.successful, 100);
    assert.deepEqual((await kept(tight, 'a')).map(parseFloat), [...Array(100).keys()]);
});

scenario('too many messages in one document are refused as a whole, and nothing is published', async (scope) => {
    const hub = await scope.hub({ args: ['--limits.batch=200KiB'] });
    const item = { channel: 'a', data: 1 };
    for (const body of [Array(1001).fill(item), [...Array(2).fill({ channels: Array(501).fill('a'), data: 1 })], { channels: Array(1001).fill('a'), data: 1 }])
        apiProblemOf(await send(hub, body), 413, 'too_many_items');
    apiProblemOf(await send(hub, Array(1000).fill({ ...item, data: 'x'.repeat(200) })), 413, 'body_too_large');
    for (const body of ['[{"channel":"a","data":1}', '[{"channel":"a","data":1}]x', '7', '', 'null', '"a"', '{"channel":"a","data":"\xff"}'])
        assert.equal((await send(hub, Buffer.from(body, 'latin1'))).status, 400, body);
    assert.deepEqual(await kept(hub, 'a'), []);
    assert.equal((await send(hub, Array(1000).fill(item))).json.summary.successful, 1000);
});

scenario('each message needs its own grant, and its channel\'s rule', async (scope) => {
    const hub = await ruled(scope, `[access]\npublish = a.*, r.**\nhistory = **\nsubscribe = **\n[channel "r.no"]\npublish = no\n[channel "r.short"]\nmessage = 5\n[channel "r.long"]\nmessage = 100KiB\n`);
    const answer = await send(hub, [{ channel: 'a.1', data: 1 }, { channel: 'b', data: 2 }, { pattern: 'a.*', data: 3 }, { pattern: 'a.**', data: 4 }, { channels: ['b', 'a.2'], data: 5 }]);
    assert.deepEqual(answer.json.results.map((r) => r.status), [201, 401, 201, 401, 401, 201]);
    const long = 'x'.repeat(90000);
    const rules = [{ channel: 'r.no', data: 1 }, { channel: 'r.short', data: 12345 }, { channel: 'r.short', data: 123456 }, { channel: 'r.long', data: long }, { channel: 'r.other', data: long },
        { channels: ['r.no', 'r.short', 'r.other'], data: 1234567 }];
    const codes = (await send(hub, rules)).json.results.map((r) => r.code ?? r.status);
    assert.deepEqual(codes, ['publish_disabled', 201, 'message_too_large', 201, 'message_too_large', 'publish_disabled', 'message_too_large', 201]);
    assert.deepEqual((await send(hub, rules, WITH_KEY)).json.results.map((r) => r.code ?? r.status),
        [201, 201, 'message_too_large', 201, 'message_too_large', 201, 'message_too_large', 201], 'publish = no is for clients');
});

scenario('a pattern asks the rule of each channel: who may not publish to some of them reaches the others', async (scope) => {
    const hub = await ruled(scope, `[access]\npublish = **\nhistory = **\nsubscribe = **\n[channel "r.no"]\npublish = no\n`);
    for (const channel of ['r.no', 'r.a', 'r.b']) assert.equal((await only(hub, { channel, data: 0 }, WITH_KEY)).status, 201);
    const mine = await only(hub, { pattern: 'r.*', data: 1 });
    assert.deepEqual([mine.status, mine.code, mine.channels, mine.successful, mine.failed], [207, 'publish_disabled', 3, 2, 1]);
    const backend = await only(hub, { pattern: 'r.*', data: 2 }, WITH_KEY);
    assert.deepEqual([backend.status, backend.channels, backend.successful], [201, 3, 3]);
    assert.deepEqual(await kept(hub, 'r.no'), [0, 2]);
});

scenario('keys of items: the array again publishes nothing twice, also after kill -9; what was missing is made up for', async (scope) => {
    const hub = await scope.hub({ args: ROOMY });
    const items = Array.from({ length: 200 }, (_, n) => ({ channel: `c${n % 7}`, data: n, idempotency_key: `k${n}` }));
    const first = await send(hub, items.slice(0, 150));
    assert.deepEqual(first.json.results.filter((r) => r.replayed), []);
    for (const again of [async () => {}, () => hub.kill9().then(() => hub.restart())]) {
        await again();
        const replay = await send(hub, items.slice(0, 150));
        assert.equal(replay.headers['idempotency-replay'], 'true');
        assert.deepEqual(replay.json.results, first.json.results.map((r) => ({ ...r, replayed: true })));
    }
    const all = await send(hub, items);
    assert.deepEqual([all.status, all.headers['idempotency-replay']], [200, undefined]);
    assert.deepEqual(all.json.results.map((r) => Boolean(r.replayed)), items.map((_, n) => n < 150));
    for (let c = 0; c < 7; c++) assert.deepEqual(await kept(hub, `c${c}`), items.map((i) => i.data).filter((n) => n % 7 === c));
    const other = await only(hub, { ...items[3], data: 'other' });
    assert.deepEqual([other.status, other.code, other.channel], [422, 'idempotency_mismatch', 'c3']);
    const twice = (await send(hub, Array(2).fill({ channel: 'a', data: 1, idempotency_key: 'twice' }))).json.results;
    assert.deepEqual(twice.map((r) => r.code ?? r.status), [201, hub.onRedis ? 201 : 'idempotency_in_progress']);      // a script ends before the next begins
    assert.equal(twice[1].id ?? twice[0].id, twice[0].id);
    for (const idempotency_key of ['', 'é', 'k'.repeat(256), 'a\nb']) assert.equal((await only(hub, { channel: 'a', data: 1, idempotency_key })).code, 'bad_idempotency_key');
});

scenario('a key is one key, whether it comes with a single publish, in its body, or in a batch', async (scope) => {
    const hub = await scope.hub();
    const single = await post(hub, 'a', { data: 1 }, { headers: { 'Idempotency-Key': 'k' } });
    const inBody = await post(hub, 'a', { data: 1, idempotency_key: 'k' });
    assert.equal(inBody.text, single.text);
    const item = await only(hub, { channel: 'a', data: 1, idempotency_key: 'k' });
    assert.deepEqual([item.id, item.replayed], [single.json.id, true]);
    apiProblemOf(await post(hub, 'a', { data: 1, idempotency_key: 'k' }, { headers: { 'Idempotency-Key': 'k' } }), 400, 'bad_idempotency_key');
    apiProblemOf(await post(hub, 'a', { data: 2, if_position: 'none' }), 412, 'position_changed');
    assert.equal((await post(hub, 'a', { data: 2, if_position: single.json.id })).status, 201);
    assert.deepEqual(await kept(hub, 'a'), [1, 2]);
});

scenario('Idempotency-Key of the whole request is one for each item, also of channels and patterns', async (scope) => {
    const hub = await scope.hub({ args: ROOMY });
    const headers = { ...JSON_TYPE, 'Idempotency-Key': 'job 1' };
    const items = [{ channel: 'a', data: 1 }, { channels: ['a', 'b'], data: 2 }, { channel: 'b', data: 3, idempotency_key: 'own' }, { pattern: '*', data: 4 }];
    const first = await send(hub, items, headers);
    assert.equal(first.status, 200);
    await hub.kill9();
    await hub.restart();
    await publish(hub, 'c', 'born meanwhile');
    const again = await send(hub, items, headers);
    assert.deepEqual(again.json.results.slice(0, 4), first.json.results.slice(0, 4).map((r) => ({ ...r, replayed: true })));
    const { missing, ...whole } = again.json.results[4];
    assert.ok(!missing || hub.onRedis, 'there, who was killed is missed until its lease ends');
    assert.deepEqual(whole, { index: 3, status: 201, pattern: '*', channels: 3, successful: 3, failed: 0, replayed: 2, capped: false });
    assert.equal(again.headers['idempotency-replay'], undefined, 'c was new');
    assert.equal((await send(hub, items, headers)).headers['idempotency-replay'], 'true');
    assert.deepEqual([await kept(hub, 'a'), await kept(hub, 'b'), await kept(hub, 'c')], [[1, 2, 4], [2, 3, 4], ['born meanwhile', 4]]);
    const moved = (await send(hub, [{ channel: 'x', data: 0 }, ...items], headers)).json.results;
    assert.deepEqual(moved.map((r) => r.code ?? (r.replayed ? 'replayed' : r.status)), [201, 'idempotency_mismatch', 201, 201, 'replayed', 201]);
    for (const key of ['', 'é', ['a', 'b']]) apiProblemOf(await send(hub, items, { ...JSON_TYPE, 'Idempotency-Key': key }), 400, 'bad_idempotency_key');
    apiProblemOf(await send(hub, items, { ...JSON_TYPE, 'If-Position': 'none' }), 400, 'bad_position');
});

scenario('if_position of items: onto the newest only, and the result says what that is', async (scope) => {
    const hub = await scope.hub();
    const { id } = await publish(hub, 'a', 'x');
    const items = [{ channel: 'a', data: 1, if_position: 'none' }, { channel: 'a', data: 2, if_position: id }, { channel: 'a', data: 3, if_position: id }, { channel: 'b', data: 4, if_position: id },
        { user: 'u', data: 5, if_position: 'none' }];
    const results = (await send(hub, items)).json.results;
    assert.deepEqual(results.map((r) => r.code ?? r.status), ['position_changed', 201, 'position_changed', 'position_changed', 201]);
    assert.deepEqual(results.filter((r) => r.code).map((r) => [r.status, r.position]), [[412, id], [412, results[1].id], [412, null]]);
    const wrong = [{ channel: 'a', if_position: 'any' }, { channel: 'a', if_position: '' }, { channel: 'a', if_position: 7 }, { channels: ['a'], if_position: 'none' }, { pattern: 'a', if_position: id }];
    assert.deepEqual((await send(hub, wrong.map((item) => ({ ...item, data: 1 })))).json.results.map((r) => [r.code, r.field]),
        [['bad_position', 'if_position'], ['bad_position', 'if_position'], ['bad_field', 'if_position'], ['bad_field', 'if_position'], ['bad_field', 'if_position']]);
});

scenario('exclude of an item keeps it from that client, in every channel that it goes to', async (scope) => {
    const hub = await scope.hub();
    const [mine, other] = await Promise.all(['mine', 'other'].map((client) => scope.ws(hub, `/ws?channel=a&channel=b&client=${client}`)));
    await Promise.all([mine.get('subscribed'), other.get('subscribed')]);
    await send(hub, [{ channels: ['a', 'b'], data: 1, exclude: 'mine' }, { pattern: '*', data: 2, exclude: 'mine' }, { channel: 'a', data: 3 }]);
    await other.take(5);
    await mine.take(1);
    assert.deepEqual([other.data, mine.data], [[1, 1, 2, 2, 3], [3]]);
});

scenario('limits of rate count each message: what is beyond them is its own 429, and a pattern stops there', async (scope) => {
    const hub = await ruled(scope, `[rates]\npublishes_per_key = 5/1h burst 5\n[access]\nhistory = **\n`);
    const results = (await send(hub, [{ channels: ['a', 'b', 'c'], data: 1 }, { pattern: '*', data: 2 }, { channel: 'a', data: 3 }], WITH_KEY)).json.results;
    assert.deepEqual(results.map((r) => r.code ?? r.status), [201, 201, 201, 'rate_limited', 'rate_limited']);
    assert.deepEqual([results[3].channels, results[3].successful, results[3].pattern], [2, 2, '*']);
    assert.ok(results[3].retry_after > 0 && results[4].retry_after > 0);
    assert.equal((await Promise.all(['a', 'b', 'c'].map((channel) => kept(hub, channel)))).flat().length, 5);
    const few = await ruled(scope, `[rates]\ncommands_per_key = 1/1h burst 2\n`);
    for (const status of [400, 200]) assert.equal((await send(few, status === 200 ? [] : 'rubbish', WITH_KEY)).status, status);
    const refused = await send(few, { channel: 'a', data: 1 }, WITH_KEY);
    assert.equal(apiProblemOf(refused, 429, 'rate_limited').limit, 'commands_per_key', 'a request without messages counts too');
    assert.ok(Number(refused.headers['retry-after']) > 0);
});

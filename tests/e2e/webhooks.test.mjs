// Webhooks as an administrator has them: registered, shown, changed, removed; events of the application's own; who may; all that can be wrong.
import assert from 'node:assert/strict';
import { SUITE_TLS } from './lib/line.mjs';
import { scenario } from './lib/scope.mjs';
import { problemOf, publish } from './lib/http.mjs';
import { bearer, sign, tokenHub } from './lib/tokens.mjs';
import { LOCAL, Webhooks, bodyOf, withReceiver } from './lib/webhooks.mjs';

const GOOD = { url: 'https://partner.example/hook', events: ['order.*'] };
scenario('a webhook is registered, shown, listed, changed and removed', async (scope) => {
    const hub = await scope.hub();
    const webhooks = new Webhooks(hub);
    const made = await webhooks.ask('POST', '/v1/webhooks', { ...GOOD, metadata: { partner: 7 }, headers: { 'X-Partner': 'a b' }, retry: ['0', '5s'], description: 'Ours' });
    assert.equal(made.status, 201);
    const { id, secret, durable, ...rest } = made.json;
    assert.deepEqual([made.headers.location, made.headers.etag, durable], [`/v1/webhooks/${id}`, '"1"', true]);
    assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
    assert.deepEqual([rest.metadata, rest.headers, rest.retry, rest.signature, rest.enabled, rest.breaker], [{ partner: 7 }, { 'X-Partner': 'a b' }, '0,5s', 'standard', true, 'closed']);

    const shown = await webhooks.ask('GET', `/v1/webhooks/${id}`);
    assert.deepEqual([shown.headers.etag, shown.json], ['"1"', { id, ...rest, secret: `${secret.slice(0, 10)}…` }], 'the secret is shown once');
    const changed = await webhooks.change(id, { paused: true, description: null, rate: 5 });
    assert.deepEqual([changed.paused, changed.description, changed.rate, changed.url, changed.metadata, changed.version], [true, null, 5, GOOD.url, { partner: 7 }, 2]);
    assert.equal(changed.secret, `${secret.slice(0, 10)}…`);

    const more = [];
    for (let i = 0; i < 4; i++) more.push((await webhooks.make(GOOD)).id);
    assert.deepEqual((await webhooks.list('/v1/webhooks?limit=2')).map((one) => one.id).sort(), [id, ...more].sort());
    const page = await webhooks.ask('GET', '/v1/webhooks?limit=2');
    assert.equal(page.headers.link, `</v1/webhooks?limit=2&cursor=${page.json.next_cursor}>; rel="next"`);

    await hub.kill9();
    await hub.restart();
    assert.deepEqual(await webhooks.show(id).then(({ version, rate, paused }) => ({ version, rate, paused })), { version: 2, rate: 5, paused: true });
    await webhooks.remove(id);
    for (const [method, path, body] of [['GET', ''], ['PATCH', '', {}], ['DELETE', ''], ['POST', '/rotate-secret'], ['POST', '/test'], ['POST', '/replay'], ['GET', '/replays'], ['GET', '/replays/rp_1'], ['DELETE', '/replays/rp_1']])
        problemOf(await webhooks.ask(method, `/v1/webhooks/${id}${path}`, body), 404, 'not_found');
});

scenario('what a pattern of events or all channels come to is shown, and told', async (scope) => {
    const { webhooks, receiver } = await withReceiver(scope);
    const make = (more) => webhooks.make({ url: receiver.url('/hook'), events: ['order.*'], ...more });
    const shown = async (more) => { const { events, channels } = await make(more); return { events, channels }; };
    assert.deepEqual(await shown({}), { events: ['order.*'], channels: ['**'] });
    assert.deepEqual(await shown({ events: ['*', 'order.x'], channels: ['a', '**'] }), { events: ['*', 'order.x'], channels: ['**'] });
    const { id } = await make({ url: receiver.url('/told'), events: ['channel.occupied', 'webhook.*'], channels: ['a.*'] });
    assert.deepEqual(await webhooks.show(id).then(({ events, channels }) => ({ events, channels })), { events: ['channel.occupied', 'webhook.*'], channels: ['a.*'] });
    receiver.answer('/gone', 410);
    const gone = await make({ url: receiver.url('/gone'), channels: null });
    await webhooks.test(gone.id);
    const [told] = await receiver.requests('/told');
    assert.deepEqual([bodyOf(told).type, bodyOf(told).data.webhook], ['webhook.disabled', gone.id]);
    problemOf(await webhooks.ask('POST', '/v1/webhooks', { url: 'partner.example', events: ['a'] }), 400, 'bad_field');
    assert.match((await webhooks.ask('POST', '/v1/webhooks', { url: 'partner.example', events: ['a'] })).json.detail, /https:\/\/ or http:\/\//, 'because allow_http is on');
});

scenario('a change says which version it is of', async (scope) => {
    const webhooks = new Webhooks(await scope.hub());
    const { id } = await webhooks.make(GOOD), where = `/v1/webhooks/${id}`;
    const patch = (tag, type = 'application/json') => webhooks.ask('PATCH', where, '{"rate":1}', { 'Content-Type': type, ...(tag && { 'If-Match': tag }) });
    assert.equal((await patch('"1"', 'application/merge-patch+json')).headers.etag, '"2"');
    for (const other of ['"1"', '"3"', 'W/"2"', '"x"', '""', '"4294967295"', '"99999999999999999999"']) problemOf(await patch(other), 412, 'version_changed');
    for (const none of ['2', '"1", "2"', '"', 'W/', '**']) problemOf(await patch(none), 400, 'bad_field');
    assert.deepEqual([(await patch('*')).status, (await patch()).status], [200, 200]);
    const { headers } = await webhooks.ask('OPTIONS', where, undefined, { Origin: `${SUITE_TLS ? 'https' : 'http'}://localhost:3000`, 'Access-Control-Request-Method': 'PATCH' });
    assert.equal(headers['access-control-allow-methods'], 'GET, HEAD, PATCH, DELETE, OPTIONS', 'a page may');
    assert.match(headers['access-control-allow-headers'], /\bIf-Match\b/);
    problemOf(await webhooks.ask('DELETE', where, undefined, { 'If-Match': '"2"' }), 412, 'version_changed');
    assert.equal((await webhooks.ask('DELETE', where, undefined, { 'If-Match': '"4"' })).status, 204);
});

const long = (n) => 'x'.repeat(n);
const many = (n, make) => Array.from({ length: n }, (_, i) => make(i));
// [member, value, code]
const MISTAKES = [
    ...['', 'partner.example', 'ftp://partner.example/', 'https://', 'https:///x', 'https://user:pass@partner.example/', 'https://partner.example:0/', 'https://partner.example:99999/', 'https://partner.example/a b',
        'https://partner.example/\r\nX: y', 'https://partner.example/ä', 'https://partner.example/#part', 'https://[::1', `https://partner.example/${long(2048)}`, 'http://partner.example/', 'javascript:alert(1)', 'file:///etc/passwd',
        'https://127.0.0.1/', 'https://127.1/', 'https://2130706433/', 'https://0x7f000001/', 'https://0177.0.0.1/', 'https://10.1.2.3/', 'https://169.254.169.254/latest/meta-data', 'https://[::1]/', 'https://[::ffff:10.0.0.1]/',
        'https://[64:ff9b::a00:1]/', 'https://[2002:a00:1::]/', 'https://[fd00::1]/', 'https://0.0.0.0/', 'https://192.168.0.1:8443/', 'https://%6c/', 5, ['x']].map((url) => ['url', url]),
    ['events', []], ['events', 'order.created'], ['events', ['order created'], 'bad_event'], ['events', ['message.sent'], 'bad_event'], ['events', ['webhook.*x'], 'bad_event'], ['events', [''], 'bad_event'], ['events', [long(65)], 'bad_event'],
    ['events', [7]], ['events', many(65, (i) => `e.${i}`)], ['events', ['hub.x'], 'bad_event'],
    ['channels', 'news'], ['channels', ['a b'], 'bad_channel'], ['channels', ['a.*b'], 'bad_pattern'], ['channels', ['a.**.b'], 'bad_pattern'], ['channels', many(101, (i) => `c${i}`)],
    ['message_events', ['a b'], 'bad_event'], ['message_events', {}],
    ['secret', 'whsec_c2hvcnQ='], ['secret', 'whsec_!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!'], ['secret', long(40)], ['secret', `whsec_${Buffer.alloc(65).toString('base64')}`], ['secret', 7], ['secret', long(257)],
    ['signature', 'md5'], ['signature', 1],
    ['headers', { Host: 'x' }], ['headers', { 'Content-Length': '1' }], ['headers', { 'content-type': 'x' }], ['headers', { 'Webhook-Id': 'x' }], ['headers', { 'X-Hub-Signature-256': 'x' }], ['headers', { 'User-Agent': 'x' }], ['headers', { Traceparent: 'x' }],
    ['headers', { 'X-A': 'b\r\nX-C: d' }], ['headers', { 'X-A': 'b\n' }], ['headers', { 'X-A': '\u0000' }], ['headers', { 'X A': 'b' }], ['headers', { 'X-A:': 'b' }], ['headers', { '': 'b' }], ['headers', { 'X-A': 5 }], ['headers', { 'X-A': long(1001) }],
    ['headers', Object.fromEntries(many(21, (i) => [`X-${i}`, 'y']))], ['headers', []],
    ['enabled', 'yes'], ['paused', 1], ['ordered', 'true'], ['rate', -1], ['rate', 1.5], ['rate', 100001], ['rate', '5'], ['concurrency', 0], ['concurrency', 257],
    ['after_last', 'retry'], ['retry', ''], ['retry', 'soon'], ['retry', ['0', 'x']], ['retry', '8d'], ['retry', many(33, () => '1s')], ['retry', []], ['retry', 5],
    ['description', long(501)], ['description', 1], ['metadata', []], ['metadata', 'x'], ['metadata', { x: long(4096) }], ['colour', 'red'], ['id', 'wh_0000000000000001'], ['version', 7],
];

scenario('whatever is wrong with a document is told, member by member, and nothing is registered', async (scope) => {
    const webhooks = new Webhooks(await scope.hub());
    const { id } = await webhooks.make(GOOD);
    for (const [member, value, code = 'bad_field'] of MISTAKES) {
        const what = `${member}: ${JSON.stringify(value)}`;
        const problem = problemOf(await webhooks.ask('POST', '/v1/webhooks', { ...GOOD, [member]: value }), 400, code);
        assert.deepEqual(problem.errors?.map(({ field }) => field), [member], what);
        const change = problemOf(await webhooks.ask('PATCH', `/v1/webhooks/${id}`, { [member]: value }), 400);
        assert.ok(change.errors.some(({ field }) => field === member), what);
    }
    for (const missing of ['url', 'events']) {
        const { [missing]: gone, ...rest } = GOOD;
        assert.deepEqual(problemOf(await webhooks.ask('POST', '/v1/webhooks', rest), 400, 'bad_field').errors.map(({ field }) => field), [missing]);
        problemOf(await webhooks.ask('PATCH', `/v1/webhooks/${id}`, { [missing]: null }), 400, 'bad_field');
    }
    problemOf(await webhooks.ask('PATCH', `/v1/webhooks/${id}`, { secret: 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD' }), 400, 'bad_field');
    const all = problemOf(await webhooks.ask('POST', '/v1/webhooks', { url: 'x', events: ['a b'], rate: -1 }), 400);
    assert.deepEqual(all.errors.map(({ field, code }) => [field, code]), [['url', 'bad_field'], ['events', 'bad_event'], ['rate', 'bad_field']]);
    for (const [body, code] of [['', 'bad_json'], ['[]', 'bad_request'], ['{', 'bad_json'], [Buffer.from('{"url":"\xff"}', 'latin1'), 'bad_utf8'], ['"x"', 'bad_request'], ['null', 'bad_request']])
        for (const [method, path] of [['POST', '/v1/webhooks'], ['PATCH', `/v1/webhooks/${id}`]]) problemOf(await webhooks.ask(method, path, body), 400, code);
    problemOf(await webhooks.ask('POST', '/v1/webhooks', { ...GOOD, metadata: { x: long(33000) } }), 413, 'body_too_large');
    problemOf(await webhooks.ask('POST', '/v1/webhooks', GOOD, { 'Idempotency-Key': 'k' }), 400, 'bad_idempotency_key');
    assert.deepEqual((await webhooks.list('/v1/webhooks')).map((one) => [one.id, one.version]), [[id, 1]]);
});

scenario('there are no more webhooks than there may be, and ids that do not exist are not found', async (scope) => {
    const webhooks = new Webhooks(await scope.hub({ args: ['--webhooks.endpoints=2'] }));
    const [{ id }] = [await webhooks.make(GOOD), await webhooks.make(GOOD)];
    problemOf(await webhooks.ask('POST', '/v1/webhooks', GOOD), 409, 'too_many_webhooks');
    for (const path of ['/v1/webhooks/wh_0000000000000001', '/v1/webhooks/wh_1', '/v1/webhooks/x', `/v1/webhooks/${id.toUpperCase()}`, '/v1/webhooks/wh_ffffffffffffffff', '/v1/events/evt_k3q7x2ab_1', '/v1/events/x', '/v1/events/evt_k3q7x2ab_0',
        '/v1/deliveries/dlv_1', '/v1/deliveries/dlv_01', '/v1/deliveries/1', '/v1/dead-letters/dlv_ff', '/v1/dead-letters/x', `/v1/webhooks/${id}/replays/rp_1`, `/v1/webhooks/${id}/replays/x`]) problemOf(await webhooks.ask('GET', path), 404, 'not_found');
    for (const path of ['/v1/deliveries/dlv_1/redeliver', '/v1/dead-letters/x/redeliver']) problemOf(await webhooks.ask('POST', path), 404, 'not_found');
    problemOf(await webhooks.ask('POST', '/v1/dead-letters/redeliver', { webhook: 'wh_0000000000000001' }), 404, 'not_found');
    for (const body of [{}, { webhook: 'x' }, { webhook: 7 }, { webhook: id, more: 1 }, { webhook: id, endpoint: id }, { endpoint: 'x' }, undefined]) problemOf(await webhooks.ask('POST', '/v1/dead-letters/redeliver', body), 400, 'bad_field');
    problemOf(await webhooks.ask('DELETE', '/v1/dead-letters/dlv_1'), 404, 'not_found');
    for (const query of ['', '?webhook=', '?webhok=x', '?webhook=x']) problemOf(await webhooks.ask('DELETE', `/v1/dead-letters${query}`), 400, 'bad_field');
    for (const query of ['webhook=x', 'status=lost', 'since=yesterday', 'event=x', 'cursor=x', 'limit=0', 'limit=1001', 'webhook=%', 'endpoint=x', 'endpoint=wh_0000000000000001&webhook=wh_0000000000000002']) problemOf(await webhooks.ask('GET', `/v1/deliveries?${query}`), 400, 'bad_field');
    for (const body of [{ since: '2026-01-02T00:00:00Z', until: '2026-01-01T00:00:00Z' }, { since: 'x' }, { until: 5 }, { status: 'dead' }, { sicne: '2026-01-01T00:00:00Z' }]) problemOf(await webhooks.ask('POST', `/v1/webhooks/${id}/replay`, body), 400, 'bad_field');
    for (const body of [{ overlap: '31d' }, { overlap: 'x' }, { secret: 'short' }, { secret: 7 }, { overlp: '1h' }]) problemOf(await webhooks.ask('POST', `/v1/webhooks/${id}/rotate-secret`, body), 400, 'bad_field');
});

scenario('moments count to the millisecond; endpoint is another name of webhook', async (scope) => {
    const { webhooks, receiver } = await withReceiver(scope, ['--webhooks.retry=0', '--webhooks.breaker=0']);
    const make = async () => (await webhooks.make({ url: receiver.url('/hook'), events: ['a'] })).id;
    const [id, other] = [await make(), await make()];
    receiver.answer('/hook', 500);
    const { id: event } = await webhooks.tell('a', 1);
    for (const one of [id, other]) await webhooks.until(one, { dead_letters: 1 });
    const [{ timestamp }] = await webhooks.list(`/v1/dead-letters?endpoint=${id}`);
    assert.deepEqual((await webhooks.list(`/v1/deliveries?endpoint=${id}&since=${timestamp}`)).map((one) => [one.webhook, one.event]), [[id, event]]);
    const after = new Date(Date.parse(timestamp) + 1).toISOString();
    assert.deepEqual(await webhooks.list(`/v1/deliveries?since=${after}`), []);
    receiver.answer('/hook', 200);
    const replay = await webhooks.replay(id, { since: timestamp, until: timestamp });
    assert.deepEqual([replay.since, replay.until].map(Date.parse), [timestamp, timestamp].map(Date.parse));
    await webhooks.settled(event, 'delivered');
    assert.equal((await webhooks.ask('POST', '/v1/dead-letters/redeliver', { endpoint: other })).status, 202);
    await webhooks.until(other, { dead_letters: 0, pending: 0 });
    assert.deepEqual((await webhooks.ask('DELETE', `/v1/dead-letters?endpoint=${other}`)).json, { removed: 0 });
});

// ---- events of the application's own ----

scenario('an event of your own arrives once, is read with its deliveries, and is safe to retry', async (scope) => {
    const { hub, webhooks, receiver } = await withReceiver(scope);
    await webhooks.make({ url: receiver.url('/orders'), events: ['order.*'] });
    await webhooks.make({ url: receiver.url('/eu'), events: ['*'], channels: ['orders.eu'] });
    const key = { 'Idempotency-Key': 'o-1' }, body = '{"type":"order.created","data":{ "price" : 1.10, "n":12345678901234567890 },"channel":"orders.eu"}';
    const first = await webhooks.ask('POST', '/v1/events', body, { ...key, 'Content-Type': 'application/json' });
    assert.deepEqual([first.status, first.headers.location, first.json.type], [201, `/v1/events/${first.json.id}`, 'order.created']);
    const again = await webhooks.ask('POST', '/v1/events', body, key);
    assert.deepEqual([again.status, again.json, again.headers['idempotency-replay']], [201, first.json, 'true']);
    problemOf(await webhooks.ask('POST', '/v1/events', { type: 'order.created', data: 2 }, key), 422, 'idempotency_mismatch');
    await publish(hub, 'POST /v1/events'.replace(' ', ''), 'no event of this name', { headers: key });

    const [delivered] = await receiver.requests('/orders');
    assert.ok(delivered.body.toString().endsWith('"channel":"orders.eu","data":{ "price" : 1.10, "n":12345678901234567890 }}'), delivered.body.toString());
    assert.deepEqual([bodyOf(delivered).id, bodyOf(delivered).type, bodyOf(delivered).event], [first.json.id, 'order.created', 'order.created']);
    await receiver.requests('/eu');
    await webhooks.settled(first.json.id, 'delivered');
    const { deliveries, ...event } = await webhooks.event(first.json.id);
    assert.deepEqual([event, deliveries.length], [bodyOf(delivered), 2]);

    const last = await webhooks.tell('user.created', undefined, { channel: 'users' });
    const nobody = await webhooks.event(last.id);
    assert.deepEqual([nobody.data, nobody.deliveries], [null, []], 'nobody wants it, and it is kept');
    problemOf(await webhooks.ask('GET', `/v1/events/${last.id.replace(/_[a-z2-7]{8}_/, '_aaaaaaab_')}`), 404, 'not_found');
    await webhooks.tell('order.created', 'of no channel, so that all have it');
    await receiver.requests('/orders', 2);
    await receiver.requests('/eu', 2);
    assert.deepEqual([receiver.of('/orders').length, receiver.of('/eu').length], [2, 2], 'each once');
    for (const bad of [{}, { type: 'a b' }, { type: 'message.x' }, { type: 'webhook.test' }, { type: 'hub.x' }, { type: 5 }, { type: long(65) }, { type: 'a', channel: 'a b' }, { type: 'a', channel: 5 }, { type: 'a', colour: 1 }])
        problemOf(await webhooks.ask('POST', '/v1/events', bad), 400);
    problemOf(await webhooks.ask('POST', '/v1/events', { type: 'a', data: long(70000) }), 413);
    const types = (await webhooks.list('/v1/event-types')).map(({ type }) => type);
    for (const type of ['message.published', 'channel.occupied', 'member.left', 'webhook.disabled']) assert.ok(types.includes(type), type);
});

scenario('administrators may; a key may tell events about channels that it may publish to, a user\'s token may not', async (scope) => {
    const hub = await tokenHub(scope, '', { args: LOCAL });
    const admin = new Webhooks(hub, bearer(await sign({ sub: 'root', carillon: { admin: ['**'], publish: ['**'] } })));
    const { key } = (await admin.ask('POST', '/v1/keys', { name: 'shop', scopes: ['publish:orders.*'] })).json;
    const shop = new Webhooks(hub, bearer(key)), user = new Webhooks(hub, bearer(await sign({ sub: 'ann', carillon: { publish: ['orders.*'] } }))), nobody = new Webhooks(hub);
    const { id } = await admin.make(GOOD);
    await shop.tell('order.created', 1, { channel: 'orders.eu' });
    await admin.tell('order.created', 1);
    for (const [who, body] of [[shop, { type: 'order.created' }], [shop, { type: 'order.created', channel: 'news' }], [user, { type: 'order.created', channel: 'orders.eu' }]]) problemOf(await who.ask('POST', '/v1/events', body), 403, 'forbidden');
    problemOf(await nobody.ask('POST', '/v1/events', { type: 'order.created', channel: 'orders.eu' }), 401, 'unauthenticated');
    for (const [method, path, body] of [['GET', '/v1/webhooks'], ['POST', '/v1/webhooks', GOOD], ['GET', `/v1/webhooks/${id}`], ['PATCH', `/v1/webhooks/${id}`, {}], ['DELETE', `/v1/webhooks/${id}`], ['POST', `/v1/webhooks/${id}/rotate-secret`],
        ['POST', `/v1/webhooks/${id}/test`], ['POST', `/v1/webhooks/${id}/replay`], ['GET', '/v1/deliveries'], ['GET', '/v1/dead-letters'], ['DELETE', '/v1/dead-letters?webhook=*'], ['GET', '/v1/events/evt_k3q7x2ab_1'], ['GET', '/v1/event-types']]) {
        problemOf(await shop.ask(method, path, body), 403, 'forbidden');
        problemOf(await nobody.ask(method, path, body), 401, 'unauthenticated');
    }
});

// Bad input on the API gets a clear error, and nothing else is affected.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, messagesPath, post, publish, request } from './lib/http.mjs';
import { reset } from './lib/line.mjs';
import { RawConnection } from './lib/raw.mjs';

const JSON_TYPE = { 'Content-Type': 'application/json' };
const HEAD = 'POST /v1/channels/a/messages HTTP/1.1\r\nHost: e2e\r\nContent-Type: text/plain\r\n';

function raw(scope, hub, text) {
    const connection = new RawConnection(hub.api);
    scope.defer(() => connection.close());
    if (text !== undefined) connection.write(text);
    return connection;
}

// Nothing was published anywhere by what the test did, and a good publish still works.
async function unharmed(hub) {
    assert.deepEqual((await request(hub, '/v1/channels')).json.data, []);
    await publish(hub, 'still', 'works');
}

// The answer to one raw request, after which the hub must close: what follows in the stream is not to be trusted.
async function refusedAndClosed(scope, hub, text, statuses, code) {
    const connection = raw(scope, hub, text);
    await connection.end();
    assert.equal(connection.answers.length, 1, `one answer and the end, for ${JSON.stringify(text.slice(0, 300))}: ${connection.state()}`);
    const [{ status, headers, body }] = connection.answers;
    assert.ok([statuses].flat().includes(status), `${status} ${body} for ${JSON.stringify(text.slice(0, 300))}`);
    assert.match(headers['content-type'], /^application\/problem\+json/);
    if (code) assert.equal(JSON.parse(body).code, code, `for ${JSON.stringify(text.slice(0, 300))}`);
}

scenario('a channel name that breaks a rule is refused, for each rule', async (scope) => {
    const hub = await scope.hub();
    const names = ['a%20b', 'a%22b', 'a%5Cb', 'a%2Ab', '%2A', 'a%00', '%00', 'a%0Ab', 'a%0D', 'a%09', 'a%7F', '%C3%A9', 'a%FF', '%1F', 'a'.repeat(201), '%41'.repeat(201)];
    for (const name of names) {
        const answer = await request(hub, `/v1/channels/${name}/messages`, { method: 'POST', body: 'x' });
        const problem = apiProblemOf(answer, 400, 'bad_channel');
        assert.match(problem.detail, /channel name/);
    }
    for (const broken of ['a%2', 'a%', 'a%zz', '%u0041']) {
        const answer = await request(hub, `/v1/channels/${broken}/messages`, { method: 'POST', body: 'x' });
        assert.equal(answer.status, 400, broken);
        assert.ok(['bad_channel', 'bad_request'].includes(apiProblemOf(answer, 400).code), broken);
    }
    const empty = await request(hub, '/v1/channels//messages', { method: 'POST', body: 'x' });
    assert.ok([400, 404].includes(empty.status));
    await unharmed(hub);
});

scenario('a channel name may have everything else, and %2F belongs to the name', async (scope) => {
    const hub = await scope.hub();
    const names = ['a/b', '/', '..', '.', '../x', 'a'.repeat(200), "!#$%&'()+,-./0:;<=>?@A[]^_`a{|}~", 'a%2Fb', 'hub.x', 'a..b', '%'];
    for (const name of names) assert.equal((await publish(hub, name, 'x')).channel, name);
    const listed = (await request(hub, '/v1/channels')).json.data.map((c) => c.channel);
    assert.deepEqual(listed, [...names].sort((a, b) => (a < b ? -1 : 1)));
    for (const name of names) assert.equal((await request(hub, messagesPath(name))).json.data.length, 1, name);
});

scenario('broken JSON is refused as bad_json', async (scope) => {
    const hub = await scope.hub();
    const bodies = ['', '{', '{"data":', '{"data":1', '{"data":1}x', '{"data":1}{}', '{"data":[1 2]}', "{'data':1}", '{data:1}', '{"data":01}', '{"data":.5}', '{"data":1.}',
        '{"data":+1}', '{"data":1e}', '{"data":-}', '{"data":0x1}', '{"data":1,}', '{"data":[1,]}', '{"data":{"a"}}', '{"data":{"a":}}', '{"data":"\u0001"}', '{"data":"a\nb"}',
        '{"data":"\\x"}', '{"data":"\\u12"}', '{"data":tru}', '{"data":True}', '{"data":NaN}', '{"data":Infinity}', '{"data":"x}', '{"data":[}', '{"data":]}', '{"data" 1}',
        '{"data":1 "event":"e"}', '{1:2,"data":1}', '{"data":1,"event":"e"', '\0', '{"data":1}\0'];
    for (const body of bodies) {
        const answer = await post(hub, 'a', body, { headers: JSON_TYPE });
        assert.equal(answer.status, 400, `${JSON.stringify(body)}: ${answer.status}`);
        apiProblemOf(answer, 400, 'bad_json');
    }
    await unharmed(hub);
});

scenario('JSON nested as deep as a body can be does no harm', async (scope) => {
    const hub = await scope.hub();
    for (const depth of [1000, 30000]) {
        for (const body of [`{"data":${'['.repeat(depth)}${']'.repeat(depth)}}`, `{"data":${'{"a":'.repeat(depth / 4)}1${'}'.repeat(depth / 4)}}`, `{"data":${'['.repeat(depth)}`]) {
            assert.ok([201, 400].includes((await post(hub, 'deep', body, { headers: JSON_TYPE })).status));
        }
    }
    assert.ok(hub.alive);
    await publish(hub, 'a', 'x');
});

scenario('JSON that is not an object with data is refused with the field that is wrong', async (scope) => {
    const hub = await scope.hub();
    for (const body of ['[1]', '5', '"x"', 'null', 'true']) {
        const answer = await post(hub, 'a', body, { headers: JSON_TYPE });
        assert.ok(['bad_json', 'bad_field', 'bad_request'].includes(apiProblemOf(answer, 400).code), body);
    }
    for (const [body, code, field] of [
        ['{}', 'bad_field', 'data'], ['{"event":"e"}', 'bad_field', 'data'], ['{"data":1,"event":"a b"}', 'bad_event', 'event'], ['{"data":1,"event":"hub.ready"}', 'bad_event', 'event'],
        ['{"data":1,"event":""}', 'bad_event', 'event'], [`{"data":1,"event":"${'e'.repeat(65)}"}`, 'bad_event', 'event'], ['{"data":1,"event":"a\\nid: 9"}', 'bad_event', 'event'],
        ['{"data":1,"ttl":"soon"}', 'bad_field', 'ttl'], ['{"data":1,"ttl":-1}', 'bad_field', 'ttl'], ['{"data":1,"exclude":"a b"}', 'bad_client', 'exclude'],
    ]) {
        const problem = apiProblemOf(await post(hub, 'a', body, { headers: JSON_TYPE }), 400, code);
        assert.ok(problem.detail.includes(field) || problem.errors?.some((e) => e.field === field) || code !== 'bad_field', `${body}: ${JSON.stringify(problem)}`);
    }
    for (const body of ['{"data":1,"event":5}', '{"data":1,"event":["e"]}', '{"data":1,"ttl":{}}', '{"data":1,"exclude":7}']) assert.equal((await post(hub, 'a', body, { headers: JSON_TYPE })).status, 400, body);
    for (const query of ['?event=a%20b', '?event=hub.x', '?event=a%0Ab', '?ttl=x', '?exclude=%22']) {
        assert.equal((await post(hub, 'a', 'x', { headers: { 'Content-Type': 'text/plain' }, query })).status, 400, query);
    }
    await unharmed(hub);
});

scenario('a problem lists all that is wrong, not the first', async (scope) => {
    const hub = await scope.hub();
    const answer = await request(hub, '/v1/channels/a%20b/messages', { method: 'POST', body: { event: 'a b', ttl: 'soon' } });
    const { errors } = apiProblemOf(answer, 400, 'bad_channel');
    assert.deepEqual(Object.fromEntries(errors.map((e) => [e.field, e.code])), { channel: 'bad_channel', event: 'bad_event', data: 'bad_field', ttl: 'bad_field' });
    for (const error of errors) assert.ok(error.detail.length > 5);
});

scenario('text that is not UTF-8 is refused, and binary is not looked at', async (scope) => {
    const hub = await scope.hub();
    const broken = ['ff', 'c3', 'c328', 'c0af', 'e08080', 'eda080', 'f0808080', 'f4908080', 'f8888080', '61e282', '80', 'fe'].map((hex) => Buffer.from(hex, 'hex'));
    for (const bytes of broken) {
        for (const [type, body] of [
            ['text/plain', bytes], ['text/html; charset=utf-8', Buffer.concat([Buffer.from('a'), bytes, Buffer.from('b')])],
            ['application/json', Buffer.concat([Buffer.from('{"data":"'), bytes, Buffer.from('"}')])], ['application/x-www-form-urlencoded', bytes],
            ['application/x-www-form-urlencoded', `data=${[...bytes].map((b) => `%${b.toString(16)}`).join('')}`],
        ]) apiProblemOf(await post(hub, 'a', body, { headers: { 'Content-Type': type } }), 400, 'bad_utf8');
    }
    assert.equal((await post(hub, 'a', 'x', { headers: { 'Content-Type': 'text/plain; charset=latin1' } })).status, 400);
    await unharmed(hub);
    for (const charset of ['utf-8', '"UTF-8"', 'Utf-8']) assert.equal((await post(hub, 'a', 'x', { headers: { 'Content-Type': `text/plain;charset=${charset}` } })).status, 201, charset);
    for (const bytes of broken) assert.equal((await post(hub, 'b', bytes, { headers: { 'Content-Type': 'application/octet-stream' } })).status, 201);
});

scenario('a payload of limits.message passes and one byte more does not', async (scope) => {
    const hub = await scope.hub();
    const text = { headers: { 'Content-Type': 'text/plain' } };
    assert.equal((await post(hub, 'a', 'x'.repeat(65536), text)).status, 201);
    assert.equal((await post(hub, 'a', 'x'.repeat(65537), text)).status, 413);
    assert.equal((await post(hub, 'a', `{"data":"${'x'.repeat(65534)}"}`, { headers: JSON_TYPE })).status, 201);
    apiProblemOf(await post(hub, 'a', `{"data":"${'x'.repeat(65535)}"}`, { headers: JSON_TYPE }), 413, 'message_too_large');
});

scenario('a body over the limit is answered before it is read whole, and the connection closed', async (scope) => {
    const hub = await scope.hub();
    await refusedAndClosed(scope, hub, `${HEAD}Content-Length: 104857600\r\n\r\n`, 413, 'body_too_large');
    await refusedAndClosed(scope, hub, `${HEAD}Content-Length: 104857600\r\n\r\n${'x'.repeat(100000)}`, 413, 'body_too_large');
    const endless = raw(scope, hub, `${HEAD}Transfer-Encoding: chunked\r\n\r\n`);
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
    let sent = 0;
    for (; sent < 1000 && !endless.ended && endless.answers.length === 0; sent++) {
        await new Promise((resolve) => endless.socket.write(chunk, resolve));
        await new Promise(setImmediate);      // a hub that reads as fast as we write would otherwise keep us from seeing its answer
    }
    const [answer] = await endless.take(1);
    assert.equal(answer.status, 413);
    assert.ok(sent < 900, `${sent} chunks of 16 KiB were taken before the answer`);
    await endless.end();
    await unharmed(hub);
});

scenario('a body whose length is not certain is 400, closed, and nothing in it is taken for a request', async (scope) => {
    const hub = await scope.hub();
    const inside = 'GET /v1/channels HTTP/1.1\r\nHost: e2e\r\n\r\n';
    const chunked = `${inside.length.toString(16)}\r\n${inside}\r\n0\r\n\r\n`;
    await refusedAndClosed(scope, hub, `${HEAD}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`, 400, 'length_conflict');
    await refusedAndClosed(scope, hub, `${HEAD}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n${chunked}`, 400, 'length_conflict');
    for (const headers of ['Content-Length: 5\r\nContent-Length: 6', 'Content-Length: 5, 6', 'Content-Length: -1', 'Content-Length: +5', 'Content-Length: 5x', 'Content-Length: 0x5', 'Content-Length:',
        'Content-Length: 99999999999999999999999', 'Content-Length : 5', 'Transfer-Encoding: gzip, chunked', 'Transfer-Encoding: chunked, gzip', 'Transfer-Encoding: identity', 'Transfer-Encoding: xchunked',
        'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', 'Transfer-Encoding : chunked']) {
        await refusedAndClosed(scope, hub, `${HEAD}${headers}\r\n\r\n${inside}${inside}`, [400, 413, 501]);
    }
    for (const body of ['5x\r\nhello\r\n0\r\n\r\n', '-5\r\nhello\r\n0\r\n\r\n', '0x5\r\nhello\r\n0\r\n\r\n', 'ffffffffffffffffff\r\nhello', '\r\nhello']) {
        await refusedAndClosed(scope, hub, `${HEAD}Transfer-Encoding: chunked\r\n\r\n${body}`, [400, 413]);
    }
    await unharmed(hub);
});

scenario('what is not HTTP/1.1 is answered with a problem and closed', async (scope) => {
    const hub = await scope.hub();
    for (const text of ['hello\r\n\r\n', 'GET\r\n\r\n', 'GET /v1/channels\r\n\r\n', 'GET /v1/channels HTTP/2.0\r\nHost: a\r\n\r\n', 'GET /v1/channels HTTP/1.1\r\n\r\n', 'GET /v1/channels HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
        'GET /v1/channels HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n', 'GET /v1/channels HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n', 'GET /v1/ch annels HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /v1/channels HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n',
        'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n']) {
        await refusedAndClosed(scope, hub, text, [400, 405, 501, 505]);
    }
    await unharmed(hub);
});

scenario('a request head that is too large is 431 and closed', async (scope) => {
    const hub = await scope.hub();
    await refusedAndClosed(scope, hub, `GET /v1/channels HTTP/1.1\r\nHost: e2e\r\nX: ${'x'.repeat(200000)}\r\n\r\n`, 431, 'head_too_large');
    await refusedAndClosed(scope, hub, `GET /${'x'.repeat(200000)} HTTP/1.1\r\nHost: e2e\r\n\r\n`, [431, 414]);
    await refusedAndClosed(scope, hub, `GET / HTTP/1.1\r\nHost: e2e\r\n${'X: y\r\n'.repeat(50000)}\r\n`, 431, 'head_too_large');
    await unharmed(hub);
});

scenario('clients that leave in the middle of a request, or never finish one, disturb nobody', async (scope) => {
    const hub = await scope.hub({ args: ['--limits.handshake_timeout=300ms', '--limits.request_timeout=300ms'] });
    for (const text of ['', 'POST /v1/chan', `${HEAD}Content-Length: 10\r\n\r\nhalf`, `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhe`]) {
        for (let i = 0; i < 20; i++) {
            const connection = raw(scope, hub, text);
            connection.socket.once('opened', () => reset(connection.socket));
        }
        const waiting = raw(scope, hub, text);
        await waiting.end();
        assert.ok(waiting.answers.every((a) => a.status === 408), waiting.state());
    }
    await unharmed(hub);
});

scenario('limit, cursor and since that make no sense', async (scope) => {
    const hub = await scope.hub();
    for (const where of ['/v1/channels', messagesPath('a')]) {
        for (const limit of ['0', '-1', '1001', 'x', '1x', '', '99999999999999999999']) apiProblemOf(await request(hub, `${where}?limit=${limit}`), 400, 'bad_field');
    }
    for (const cursor of ['x', '%00', 'aaaaaaaa.x', '..']) apiProblemOf(await request(hub, messagesPath('a', `?cursor=${cursor}`)), 400, 'bad_position');
    for (const since of ['x', '%00', '-0', '-10001', '--1', '-1x', '10y', 'ALL', '2026-02-30T10:08:00Z', '2026-11-21', '9223372036854775807d']) {
        apiProblemOf(await request(hub, messagesPath('a', `?since=${since}`)), 400, 'bad_field');
        const stream = await request(hub.public, `/sse?channel=a&since=${since}`);
        assert.deepEqual([stream.status, stream.json.code], [400, 'bad_field'], `since=${since}: ${stream.text}`);
    }
    for (const since of ['aaaaaaaa.1', 'x.', '.', 'aaaaaaaa.99999999999999999999999']) {
        const answer = await request(hub, messagesPath('a', `?since=${since}`));
        assert.equal(answer.status, 200, `since=${since}`);
        assert.deepEqual(answer.json.gap, { reason: 'epoch' }, `since=${since}: ${answer.text}`);
    }
});

// The API as an HTTP server: pipelining, keep-alive, chunked bodies, 100-continue, unix socket, headers of every answer.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, messagesPath, post, publish, request } from './lib/http.mjs';
import { KeepAlive } from './lib/line.mjs';
import { RawConnection, publishBytes } from './lib/raw.mjs';

function raw(scope, hub) {
    const connection = new RawConnection(hub.api);
    scope.defer(() => connection.close());
    return connection;
}

const numberOf = (id) => Number(id.split('.')[1]);
const HEAD = (channel) => `POST /v1/channels/${channel}/messages HTTP/1.1\r\nHost: e2e\r\nContent-Type: text/plain\r\n`;

scenario('400 pipelined publishes are answered in order, each with the next number', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=1000'] });
    const connection = raw(scope, hub);
    connection.write(Array.from({ length: 400 }, (_, i) => publishBytes('pipe', `message ${i}`)).join(''));
    const answers = await connection.take(400);
    assert.deepEqual([...new Set(answers.map((a) => a.status))], [201]);
    const numbers = answers.map((a) => numberOf(JSON.parse(a.body).id));
    for (let i = 1; i < 400; i++) assert.ok(numbers[i] > numbers[i - 1], `${numbers[i]} after ${numbers[i - 1]}`);
    const kept = await request(hub, messagesPath('pipe', '?limit=1000'));
    assert.deepEqual(kept.json.data.map((m) => m.data), Array.from({ length: 400 }, (_, i) => `message ${i}`));
});

scenario('400 pipelined publishes with store.sync=each share their syncs instead of waiting for one another', async (scope) => {
    const hub = await scope.hub({ args: ['--store.sync=each', '--history.size=1000'] });
    const connection = raw(scope, hub);
    connection.write(Array.from({ length: 400 }, (_, i) => publishBytes(`each.${i % 7}`, `message ${i}`)).join(''));
    const answers = await connection.take(400);
    assert.deepEqual([...new Set(answers.map((a) => a.status))], [201]);
    assert.deepEqual(answers.map((a) => JSON.parse(a.body).channel), Array.from({ length: 400 }, (_, i) => `each.${i % 7}`));
});

scenario('pipelined requests of all kinds, good and bad, are answered in the order they were sent', async (scope) => {
    const hub = await scope.hub();
    const connection = raw(scope, hub);
    const get = (where) => `GET ${where} HTTP/1.1\r\nHost: e2e\r\n\r\n`;
    connection.write([
        publishBytes('a', 'one'), get('/health/live'), publishBytes('a b', 'bad name'), publishBytes('a', 'two'), get('/nothing'),
        publishBytes('a', '{"data":', { 'Content-Type': 'application/json' }), get('/v1/channels/a/messages'), publishBytes('a', 'three'),
    ].join(''));
    const answers = await connection.take(8);
    assert.deepEqual(answers.map((a) => a.status), [201, 200, 400, 201, 404, 400, 200, 201]);
    assert.deepEqual(JSON.parse(answers[6].body).data.map((m) => m.data).slice(0, 2), ['one', 'two']);
});

scenario('a request that comes byte by byte is understood', async (scope) => {
    const hub = await scope.hub();
    const connection = raw(scope, hub);
    for (const byte of publishBytes('slow', '{"data":{"x":0.10}}', { 'Content-Type': 'application/json' })) {
        await new Promise((resolve) => connection.socket.write(byte, resolve));
    }
    assert.equal((await connection.take(1))[0].status, 201);
});

scenario('a connection is kept alive, and closed when the client asks for it', async (scope) => {
    const hub = await scope.hub();
    const agent = new KeepAlive();
    scope.defer(() => agent.destroy());
    for (let i = 0; i < 5; i++) await publish(hub, 'a', `${i}`, { agent });
    assert.equal(Object.values(agent.freeSockets).flat().length, 1);
    assert.equal(Object.values(agent.freeSockets).flat()[0].bytesRead > 5 * 100, true, 'all five answers came on one socket');
    const connection = raw(scope, hub);
    connection.write(publishBytes('a', 'last', { 'Content-Type': 'text/plain', Connection: 'close' }));
    assert.equal((await connection.take(1))[0].status, 201);
    await connection.end();
    const old = raw(scope, hub);
    old.write('GET /health/live HTTP/1.0\r\n\r\n');
    assert.equal((await old.take(1))[0].status, 200);
    await old.end();
});

scenario('a chunked body is a body, whatever its chunks look like', async (scope) => {
    const hub = await scope.hub();
    const connection = raw(scope, hub);
    connection.write(`${HEAD('chunks')}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;ext=1;b="x"\r\n \r\n0005\r\nworld\r\n0\r\n\r\n`);
    connection.write(`${HEAD('chunks')}Transfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(500)}0\r\nTrailer: ignored\r\n\r\n`);
    connection.write(`${HEAD('chunks')}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`);
    const answers = await connection.take(3);
    assert.deepEqual(answers.map((a) => a.status), [201, 201, 201]);
    const kept = await request(hub, messagesPath('chunks'));
    assert.deepEqual(kept.json.data.map((m) => m.data), ['hello world', 'x'.repeat(500), '']);
});

scenario('Expect: 100-continue is answered before the body, and the publish after it', async (scope) => {
    const hub = await scope.hub();
    const connection = raw(scope, hub);
    connection.write(`${HEAD('expect')}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n`);
    assert.equal((await connection.take(1))[0].status, 100);
    connection.write('hello');
    assert.equal((await connection.take(2))[1].status, 201);
});

scenario('a body that is too large is refused instead of 100-continue, and another expectation with 417', async (scope) => {
    const hub = await scope.hub();
    const large = raw(scope, hub);
    large.write(`${HEAD('expect')}Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n`);
    const [answer] = await large.take(1);
    assert.equal(answer.status, 413);
    assert.equal(JSON.parse(answer.body).code, 'body_too_large');
    await large.end();
    const strange = raw(scope, hub);
    strange.write(`${HEAD('expect')}Expect: a-miracle\r\nContent-Length: 5\r\n\r\n`);
    const [refused] = await strange.take(1);
    assert.equal(refused.status, 417);
    assert.equal(JSON.parse(refused.body).code, 'expectation_failed');
});

scenario('the API can listen on a unix socket, and takes over the file that a killed hub left', async (scope) => {
    const socketPath = path.join(scope.dir(), 'api.sock');
    const dir = scope.dir();
    const args = ['--api.listen=unix:' + socketPath];
    const hub = await scope.hub({ dir, args });
    assert.deepEqual(hub.api, { socketPath });
    const { id } = await publish(hub, 'unix', 'one');
    await hub.kill9();
    assert.ok(existsSync(socketPath));
    const again = await scope.hub({ dir, args });
    const kept = await request(again, messagesPath('unix'));
    assert.deepEqual(kept.json.data.map((m) => m.id), [id]);
    const second = await scope.carillon(['serve', '--public.listen=127.0.0.1:0', ...args, '--store.dir=', '--log.level=error']);
    assert.equal(second.code, 1, 'a socket that a living hub listens on is not taken away');
    await publish(again, 'unix', 'two');
});

scenario('every answer has a request id, the one of the request if it is a good one', async (scope) => {
    const hub = await scope.hub();
    const ids = new Set();
    for (const where of ['/health/live', '/v1/channels', '/nothing', '/metrics']) {
        const answer = await request(hub, where);
        assert.match(answer.headers['x-request-id'], /^[A-Za-z0-9._:-]{1,128}$/, where);
        ids.add(answer.headers['x-request-id']);
    }
    assert.equal(ids.size, 4);
    const given = await post(hub, 'a b', 'x', { headers: { 'X-Request-Id': 'my-request.1:2_3' } });
    assert.equal(given.headers['x-request-id'], 'my-request.1:2_3');
    assert.equal(apiProblemOf(given, 400, 'bad_channel').request_id, 'my-request.1:2_3');
    for (const bad of ['a b', 'x'.repeat(129), '"quoted"', 'é']) {
        const answer = await request(hub, '/health/live', { headers: { 'X-Request-Id': Buffer.from(bad).toString('latin1') } });
        assert.equal(answer.status, 200);
        assert.match(answer.headers['x-request-id'], /^[A-Za-z0-9._:-]{1,128}$/);
        assert.notEqual(answer.headers['x-request-id'], bad);
    }
});

scenario('every answer forbids sniffing and storing', async (scope) => {
    const hub = await scope.hub();
    for (const answer of [await post(hub, 'a', 'x'), await request(hub, '/v1/channels'), await request(hub, '/nothing'), await post(hub, 'a b', 'x')]) {
        assert.equal(answer.headers['x-content-type-options'], 'nosniff');
        assert.equal(answer.headers['cache-control'], 'no-store');
    }
});

scenario('an address that is not there is 404, and a method that it does not know 405 with what it knows', async (scope) => {
    const hub = await scope.hub();
    for (const where of ['/v1', '/v1/', '/v1/channel', '/v1/channels/a/b', '/v2/channels', '/V1/channels', '/v1/channels/a/messages/x']) {
        const answer = await request(hub, where);
        assert.ok(answer.status === 404, `${where}: ${answer.status}`);
        apiProblemOf(answer, 404, 'not_found');
    }
    for (const [method, where, allowed] of [['DELETE', '/v1/channels', 'GET'], ['PUT', '/v1/channels/a/messages', 'POST'], ['POST', '/metrics', 'GET'], ['POST', '/v1/channels/a', 'GET']]) {
        const answer = await request(hub, where, { method });
        apiProblemOf(answer, 405, 'method_not_allowed');
        assert.ok(answer.headers.allow.split(/,\s*/).includes(allowed), `${method} ${where}: Allow: ${answer.headers.allow}`);
    }
});

scenario('HEAD is GET without the body, OPTIONS names the methods, and / lists the routes', async (scope) => {
    const hub = await scope.hub();
    await publish(hub, 'a', 'x');
    for (const where of ['/health/live', '/v1/channels', '/v1/channels/a', messagesPath('a')]) {
        const [get, head] = [await request(hub, where), await request(hub, where, { method: 'HEAD' })];
        assert.deepEqual([head.status, head.body.length, head.headers['content-type']], [get.status, 0, get.headers['content-type']], where);
        const options = await request(hub, where, { method: 'OPTIONS' });
        assert.ok([200, 204].includes(options.status), `${where}: ${options.status}`);
        assert.match(options.headers.allow, /\bGET\b/);
    }
    const connection = raw(scope, hub);
    connection.write('HEAD /v1/channels/a HTTP/1.1\r\nHost: e2e\r\nConnection: close\r\n\r\n');
    await connection.end();
    assert.match(connection.unparsed.toString('latin1'), /\r\n\r\n$/, 'nothing after the head');
    const root = await request(hub, '/');
    assert.equal(root.status, 200);
    for (const route of ['/v1/channels', '/metrics', '/health/ready']) assert.ok(root.text.includes(route), route);
});

scenario('100 connections that publish at once are all served', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=2000'] });
    const agent = new KeepAlive(100);
    scope.defer(() => agent.destroy());
    const answers = await Promise.all(Array.from({ length: 1000 }, (_, i) => publish(hub, 'many', `${i}`, { agent })));
    assert.equal(new Set(answers.map((a) => a.id)).size, 1000);
    const kept = await request(hub, messagesPath('many', '?limit=1000'));
    assert.deepEqual(new Set(kept.json.data.map((m) => m.id)), new Set(answers.map((a) => a.id)));
});

scenario('clients that end behind their request get the answer, however many do so at once', async (scope) => {
    const hub = await scope.hub({ memory: true });
    for (let round = 0; round < 5; round++) {
        const clients = Array.from({ length: 60 }, () => raw(scope, hub));
        await Promise.all(clients.map((client) => client.waitFor(() => client.open, 'a connection')));
        for (const client of clients) client.socket.end(publishBytes('ends', 'x'));
        await Promise.all(clients.map((client) => client.waitFor(() => client.answers.length === 1 && client.ended, 'the answer and the end')));
        assert.deepEqual(new Set(clients.map((client) => client.answers[0].status)), new Set([201]));
    }
});

scenario('on one connection anything can be asked after anything: a request has nothing of those before it', async (scope) => {
    const hub = await scope.hub(), agent = new KeepAlive();
    scope.defer(() => agent.destroy());
    const asked = [() => request(hub, messagesPath('a', '?limit=1000'), { agent }), () => request(hub, '/v1/channels', { agent }), () => request(hub, '/v1/connections', { agent }),
        () => request(hub, '/v1/keys', { agent }), () => request(hub, messagesPath('a'), { method: 'DELETE', agent }), () => request(hub, '/v1/channels/a/presence', { agent })];
    for (const ask of asked) {
        assert.ok((await ask()).status < 300);
        await publish(hub, 'a', 'behind it', { agent });
        const { json } = await post(hub, 'a', { data: 'with a key' }, { headers: { 'Idempotency-Key': `${Math.random()}` }, agent });
        assert.equal(json.subscribers, 0);
    }
});

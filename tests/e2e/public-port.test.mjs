// The public port meets untrusted clients: whatever they send is answered or closed, costs nothing, and leaves nothing.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { publish } from './lib/http.mjs';
import { connect, reset } from './lib/line.mjs';
import { RawConnection } from './lib/raw.mjs';
import { metricsOf, total } from './lib/metrics.mjs';
import { cpuShare, openFiles } from './lib/proc.mjs';
import { eventually } from './lib/wait.mjs';

function raw(scope, hub, text) {
    const connection = new RawConnection(hub.public);
    scope.defer(() => connection.close());
    if (text) connection.write(text);
    return connection;
}

// A spinning edge uses a whole core; a well one next to nothing. In between is a wide field.
async function doesNotSpin(hub, what) {
    const share = await cpuShare(hub.pid, 1000);
    assert.ok(share < 0.3, `${what}: the hub uses ${(share * 100).toFixed(0)} % of a core with nothing to do`);
}

async function stillServes(scope, hub) {
    const stream = await scope.sse(hub, '/sse?channel=check');
    await stream.ready();
    await publish(hub, 'check', 'x');
    await stream.take(1);
    stream.close();
}

const openOf = async (hub, transport) => total(await metricsOf(hub), 'carillon_connections', { transport });

scenario('any method with a body is answered and the connection closed', async (scope) => {
    const hub = await scope.hub();
    for (const path of ['/sse?channel=a', '/events?channel=a', '/ws?channel=a', '/', '/nothing']) {
        for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'GET', 'HEAD', 'PROPFIND']) {
            for (const body of ['Content-Length: 5\r\n\r\nhello', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n']) {
                const connection = raw(scope, hub, `${method} ${path} HTTP/1.1\r\nHost: e2e\r\n${body}`);
                await connection.end();
                const head = connection.answers[0] ?? /^HTTP\/1\.1 (?<status>\d+)/.exec(connection.unparsed.toString('latin1'))?.groups;
                const status = Number(head?.status ?? 0);
                assert.ok([400, 403, 404, 405, 413, 501].includes(status) || (status === 0 && method === 'PROPFIND'), `${method} ${path} ${body.slice(0, 20)}: ${connection.state()}`);
            }
        }
    }
    await doesNotSpin(hub, 'after bodies');
    await stillServes(scope, hub);
});

scenario('a body on the public port is told as no_body_here', async (scope) => {
    const hub = await scope.hub();
    const connection = raw(scope, hub, 'POST /sse?channel=a HTTP/1.1\r\nHost: e2e\r\nContent-Length: 5\r\n\r\nhello');
    await connection.end();
    const [answer] = connection.answers;
    assert.ok([405, 413].includes(answer?.status), connection.state());
    assert.match(answer.headers['content-type'], /^application\/problem\+json/);
    const get = raw(scope, hub, 'GET /sse?channel=a HTTP/1.1\r\nHost: e2e\r\nContent-Length: 5\r\n\r\nhello');
    await get.end();
    assert.equal(get.answers[0]?.status, 413, get.state());
    assert.equal(JSON.parse(get.answers[0].body).code, 'no_body_here');
});

scenario('methods without a body are answered with 405', async (scope) => {
    const hub = await scope.hub();
    for (const [method, path] of [['POST', '/sse?channel=a'], ['DELETE', '/sse?channel=a'], ['PUT', '/ws'], ['POST', '/ws']]) {
        const connection = raw(scope, hub, `${method} ${path} HTTP/1.1\r\nHost: e2e\r\nContent-Length: 0\r\n\r\n`);
        const [answer] = await connection.take(1);
        assert.equal(answer.status, 405, `${method} ${path}: ${answer.status}`);
        assert.match(answer.headers.allow ?? '', /GET/);
    }
});

scenario('three pipelined POSTs do not make the hub spin', async (scope) => {
    const hub = await scope.hub();
    for (const path of ['/sse?channel=a', '/', '/ws', '/nothing']) {
        const post = `POST ${path} HTTP/1.1\r\nHost: e2e\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello`;
        const connection = raw(scope, hub, post.repeat(3));
        await connection.end();
    }
    await doesNotSpin(hub, 'after three pipelined POSTs');
    await stillServes(scope, hub);
});

scenario('requests pipelined behind a stream do not make the hub spin', async (scope) => {
    const hub = await scope.hub();
    const get = 'GET /sse?channel=a HTTP/1.1\r\nHost: e2e\r\n\r\n';
    const connections = [raw(scope, hub, get.repeat(20)), raw(scope, hub, get + 'POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n')];
    await connections[0].waitFor(() => connections[0].ended || connections[0].unparsed.includes('hub.ready'), 'the first stream or the end');
    await doesNotSpin(hub, 'with requests behind a stream');
    await stillServes(scope, hub);
});

scenario('an SSE client that sends bytes costs nothing and is not told anything wrong', async (scope) => {
    const hub = await scope.hub();
    const streams = [];
    for (let i = 0; i < 20; i++) {
        const connection = raw(scope, hub, 'GET /sse?channel=a HTTP/1.1\r\nHost: e2e\r\n\r\n');
        await connection.waitFor(() => connection.unparsed.includes('hub.ready'), 'hub.ready');
        connection.write(i % 2 ? 'x' : 'junk '.repeat(2000));
        streams.push(connection);
    }
    await doesNotSpin(hub, 'with junk on streams');
    await publish(hub, 'a', 'after the junk');
    for (const connection of streams) await connection.waitFor(() => connection.ended || connection.unparsed.includes('after the junk'), 'the message, or the end of the stream');
    for (const connection of streams) connection.close();
    await eventually(async () => (await openOf(hub, 'sse')) === 0, 'all of them to be gone');
});

scenario('clients that leave are closed at once: no spin, and connections and descriptors go back', async (scope) => {
    const hub = await scope.hub();
    await stillServes(scope, hub);
    await eventually(async () => (await openOf(hub, 'sse')) === 0, 'the first stream to be gone');
    const clients = [];
    for (let i = 0; i < 25; i++) {
        clients.push(await scope.sse(hub, '/sse?channel=a'), await scope.ws(hub, '/ws?channel=a'));
    }
    await eventually(async () => (await openOf(hub, 'sse')) === 25 && (await openOf(hub, 'websocket')) === 25, '25 of each in the metrics');
    const most = openFiles(hub.pid);
    for (const [i, client] of clients.entries()) {
        const socket = client.socket._socket ?? client.socket;
        if (i % 4 < 2) reset(socket); else socket.end();
        if (i % 4 >= 2) socket.destroySoon();
    }
    await eventually(async () => (await openOf(hub, 'sse')) === 0 && (await openOf(hub, 'websocket')) === 0, 'none of them in the metrics');
    await eventually(async () => total(await metricsOf(hub), 'carillon_subscriptions') === 0, 'no subscription left');
    await eventually(() => openFiles(hub.pid) <= most - clients.length, 'the descriptors to be closed');
    await doesNotSpin(hub, 'after clients that left');
});

scenario('a head that never ends, is too long or is no HTTP is closed without harm', async (scope) => {
    const hub = await scope.hub({ args: ['--limits.handshake_timeout=500ms'] });
    for (const text of ['GET /sse?chan', 'G', '', 'GET /sse?channel=a HTTP/1.1\r\nHost: e2e\r\nX: y', `GET /sse?channel=a HTTP/1.1\r\nX: ${'x'.repeat(70000)}\r\n\r\n`, `GET /sse?channel=${'x'.repeat(70000)} HTTP/1.1\r\nHost: e2e\r\n\r\n`,
        'hello\r\n\r\n', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', '\0\0\0\0', '\r\n\r\n\r\n', 'GET\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n']) {
        const connection = raw(scope, hub, text);
        await connection.end();
    }
    await doesNotSpin(hub, 'after broken heads');
    await stillServes(scope, hub);
});

scenario('hundreds of half-sent heads keep nobody else waiting', async (scope) => {
    const hub = await scope.hub();
    const half = Array.from({ length: 300 }, () => raw(scope, hub, 'GET /sse?channel=a HTTP/1.1\r\nHost: e'));
    await Promise.all(half.map((c) => c.waitFor(() => c.open || c.ended, 'a connection')));
    await stillServes(scope, hub);
    for (const connection of half) connection.close();
});

scenario('one connection carries one request: the page is sent and the connection closed', async (scope) => {
    const hub = await scope.hub();
    const connection = raw(scope, hub, 'GET / HTTP/1.1\r\nHost: e2e\r\n\r\n'.repeat(3));
    await connection.end();
    assert.equal(connection.answers.length, 1, connection.state());
    const [{ status, headers, body }] = connection.answers;
    assert.equal(status, 200);
    assert.match(headers['content-type'], /^text\/html/);
    assert.ok(body.length > 1000);
    await doesNotSpin(hub, 'after the page');
});

scenario('a head that is too large, broken or late is told so', async (scope) => {
    const hub = await scope.hub({ args: ['--limits.handshake_timeout=500ms'] });
    for (const [text, status, code] of [
        [`GET /sse?channel=a HTTP/1.1\r\nHost: e2e\r\nX: ${'x'.repeat(70000)}\r\n\r\n`, 431, 'head_too_large'], [`GET /sse?channel=${'x'.repeat(70000)} HTTP/1.1\r\nHost: e2e\r\n\r\n`, 431, 'head_too_large'],
        ['GET /sse?channel=a HTTP/1.1\r\nHost: e2e\r\nX: y\r\n', 408, 'timeout'], ['GET / HTTP/1.1\r\nHost: e2e\r\nno colon\r\n\r\n', 400, 'bad_request'], ['GET /sse?channel=a HTTP/1.1\r\nHost: e2e\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n', 400, 'length_conflict'],
    ]) {
        const connection = raw(scope, hub, text);
        await connection.end();
        assert.equal(connection.answers[0]?.status, status, `${text.slice(0, 60)}: ${connection.state()}`);
        assert.equal(JSON.parse(connection.answers[0].body).code, code);
    }
    const silent = raw(scope, hub);
    await silent.end();
    assert.equal(silent.answers.length, 0, 'who said nothing is just closed');
});

scenario('limits.connections_per_address closes one connection too many and keeps the others', async (scope) => {
    const hub = await scope.hub({ args: ['--limits.connections_per_address=5'] });
    const streams = [];
    for (let i = 0; i < 5; i++) { streams.push(await scope.sse(hub, '/sse?channel=a')); await streams[i].ready(); }
    const sixth = connect(hub.public);
    scope.defer(() => sixth.destroy());
    const end = new Promise((resolve) => { sixth.on('close', resolve); sixth.on('error', () => {}); sixth.resume(); });
    sixth.write('GET /sse?channel=a HTTP/1.1\r\nHost: e2e\r\n\r\n');
    await end;
    streams[0].close();
    await eventually(async () => {
        try { const stream = await scope.sse(hub, '/sse?channel=a'); await stream.ready(200); return true; } catch { return false; }
    }, 'room for another');
    assert.ok(streams.slice(1).every((s) => s.ended === null));
});

// How deliveries leave: through an egress proxy, from an address of the operator's choice, over HTTP/2 where the receiver has it.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { once } from 'node:events';
import { scenario } from './lib/scope.mjs';
import { Receiver, identities } from './lib/receiver.mjs';
import { Webhooks, idsOf, withReceiver } from './lib/webhooks.mjs';

async function listening(scope, server) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    scope.defer(() => { server.closeAllConnections(); server.close(); });
    return server.address().port;
}

// What a proxy for leaving a network does: http:// as a request for the whole URL, https:// as a tunnel. It knows where partners are; others it refuses.
async function egressProxy(scope, partners) {
    const asked = [];
    const server = http.createServer((request, response) => {
        const { host, pathname } = new URL(request.url), port = partners[host];
        asked.push(`${request.method} ${request.url} ${request.headers['proxy-authorization'] ?? ''}`.trim());
        if (!port) return response.writeHead(403).end();
        request.pipe(http.request({ port, path: pathname, method: request.method, headers: request.headers }, (answer) => answer.pipe(response.writeHead(answer.statusCode))));
    });
    server.on('connect', (request, socket) => {
        const port = partners[request.url];
        asked.push(`CONNECT ${request.url}`);
        socket.on('error', () => {});
        if (!port) return socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
        const through = net.connect(port, '127.0.0.1', () => { socket.write('HTTP/1.1 200 OK\r\n\r\n'); socket.pipe(through).pipe(socket); });
        through.on('error', () => socket.destroy());
    });
    return { asked, port: await listening(scope, server) };
}

scenario('through an egress proxy: it finds the partners, and refuses, which is said when the hub starts', async (scope) => {
    const identity = identities(scope.dir());
    const plain = await Receiver.start(scope), secure = await Receiver.start(scope, { tls: identity.good });
    const proxy = await egressProxy(scope, { 'partner.test': plain.port, [`localhost:${secure.port}`]: secure.port });
    const hub = await scope.hub({ args: ['--webhooks.allow_http=yes', '--webhooks.retry=0', `--webhooks.ca=${identity.authority.file}`, `--webhooks.proxy=http://user:sesame@127.0.0.1:${proxy.port}`] });
    const webhooks = new Webhooks(hub);
    assert.match(hub.log, new RegExp(`deliveries go through the proxy 127\\.0\\.0\\.1:${proxy.port}: it has to refuse forbidden addresses`));
    assert.ok(!hub.log.includes('sesame'));
    const urls = { plain: 'http://partner.test/hook', secure: `https://localhost:${secure.port}/hook`, refused: 'http://metadata.internal/x', refusedTls: 'https://metadata.internal/x' }, ids = {};
    for (const [type, url] of Object.entries(urls)) {
        await webhooks.make({ url, events: [type] });
        ids[type] = (await webhooks.tell(type, 1)).id;
    }
    for (const [type, receiver] of Object.entries({ plain, secure })) {
        await webhooks.settled(ids[type], 'delivered');
        assert.deepEqual(idsOf(receiver.of('/hook')), [ids[type]]);
    }
    const refused = await webhooks.settled(ids.refused, 'dead'), refusedTls = await webhooks.settled(ids.refusedTls, 'dead');
    assert.deepEqual([refused.last_status, refusedTls.last_error], [403, 'connect']);
    assert.ok(proxy.asked.includes(`POST http://partner.test/hook Basic ${Buffer.from('user:sesame').toString('base64')}`), proxy.asked.join('\n'));
});

scenario('deliveries come from the address that is set', async (scope) => {
    const { webhooks } = await withReceiver(scope, ['--webhooks.source_address=127.0.0.77']);
    const from = [];
    const port = await listening(scope, http.createServer((request, response) => { from.push(request.socket.remoteAddress); request.resume(); response.end(); }));
    await webhooks.make({ url: `http://127.0.0.1:${port}/`, events: ['a'] });
    await webhooks.settled((await webhooks.tell('a')).id, 'delivered');
    assert.deepEqual(from, ['127.0.0.77']);
});

scenario('a source address that this machine has not is an attempt that could not connect', async (scope) => {
    const { webhooks, receiver } = await withReceiver(scope, ['--webhooks.source_address=192.0.2.1', '--webhooks.retry=0']);
    await webhooks.make({ url: receiver.url('/hook'), events: ['a'] });
    const { attempts } = await webhooks.settled((await webhooks.tell('a')).id, 'dead');
    assert.deepEqual([attempts[0].error, receiver.connections], ['connect', 0], JSON.stringify(attempts));
});

scenario('over HTTP/2 where it is offered, many on one connection', async (scope) => {
    const identity = identities(scope.dir());
    const { webhooks } = await withReceiver(scope, [`--webhooks.ca=${identity.authority.file}`]);
    const two = await Receiver.start(scope, { tls: identity.good, http2: true }), one = await Receiver.start(scope, { tls: identity.good });
    for (const receiver of [two, one]) await webhooks.make({ url: receiver.url('/hook'), events: ['a'] });
    const ids = [(await webhooks.tell('a', 0)).id];
    for (const receiver of [two, one]) await receiver.requests('/hook');
    ids.push(...(await Promise.all(Array.from({ length: 7 }, (_, i) => webhooks.tell('a', i + 1)))).map(({ id }) => id));
    const requests = await two.requests('/hook', 8);
    assert.deepEqual([new Set(idsOf(requests)), new Set(requests.map(({ version }) => version)), new Set(requests.map(({ connection }) => connection))], [new Set(ids), new Set([2]), new Set([1])]);
    assert.match(requests[0].headers.traceparent, /^00-/);
    assert.match(`${(await one.requests('/hook', 8))[0].head}`, / HTTP\/1\.1\r\n/);
});

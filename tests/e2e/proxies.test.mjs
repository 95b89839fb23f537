// Behind a proxy: whose address counts, and whose word on it is not taken. The tests are the proxy: they come from 127.0.0.1.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { problemOf, request } from './lib/http.mjs';
import { SseStream } from './lib/sse.mjs';

const TRUSTING = ['--public.trusted_proxies=127.0.0.0/8 ::1', '--api.trusted_proxies=127.0.0.0/8 ::1'];
const LIMITED = '--limits.connections_per_address=2';
const xff = (value) => ({ headers: { 'X-Forwarded-For': value } });

// Two seats of this address are taken; one stream of each kind more is told, in the way its client understands.
async function isFull(scope, hub, options) {
    const stream = new SseStream(hub.public, '/sse?channel=a', options);
    scope.defer(() => stream.close());
    await stream.opened();
    assert.equal(stream.status, 200, 'an EventSource gives up at any other status');
    const bye = await stream.bye();
    assert.ok(JSON.parse(bye.data).retry_ms > 0);
    await stream.end();
    const refused = await scope.ws(hub, '/ws?channel=a', options).then(() => assert.fail('the WebSocket was let in'), (error) => error);
    assert.equal(refused.status, 429);
    assert.equal(JSON.parse(refused.body).code, 'too_many_connections');
    assert.ok(Number(refused.headers['retry-after']) > 0);
}

scenario('behind a trusted proxy each client has its own seats', async (scope) => {
    const hub = await scope.hub({ args: [LIMITED, ...TRUSTING] });
    for (const address of ['203.0.113.1', '203.0.113.2', '2001:db8:0:1::1']) {
        await (await scope.sse(hub, '/sse?channel=a', xff(address))).ready();
        const last = await scope.ws(hub, '/ws?channel=a', xff(`198.51.100.77, ${address}`));
        await last.get('welcome');
        await isFull(scope, hub, xff(address));
        if (address === '203.0.113.2') {
            await last.close();
            await (await scope.ws(hub, '/ws?channel=a', xff(address))).get('welcome');
        }
    }
    await isFull(scope, hub, xff('2001:db8:0:1:ffff::9'));      // the same network of 64 bits
    await (await scope.ws(hub, '/ws', xff('2001:db8:0:2::1'))).get('welcome');
});

scenario('the address of a trusted proxy itself is not counted, and neither is what it passes on without one', async (scope) => {
    const hub = await scope.hub({ args: [LIMITED, ...TRUSTING] });
    for (const value of [undefined, undefined, undefined, 'unknown', 'rubbish', '', '203.0.113.1, 300.1.1.1']) {
        await (await scope.ws(hub, '/ws', value === undefined ? {} : xff(value))).get('welcome');
    }
});

scenario('who is not trusted stays who he is, whatever he says', async (scope) => {
    for (const args of [[], ['--public.trusted_proxies=10.0.0.0/8 unix'], ['--public.trusted_proxies=127.0.0.2']]) {
        const hub = await scope.hub({ args: [LIMITED, ...args] });
        for (let i = 0; i < 2; i++) await (await scope.ws(hub, '/ws', xff(`203.0.113.${i}`))).get('welcome');
        await assert.rejects(scope.ws(hub, '/ws', xff('203.0.113.9')), 'closed before anything is read');
    }
});

scenario('only the header that the settings name is believed', async (scope) => {
    const both = (forged, real) => ({ headers: { 'X-Forwarded-For': forged, Forwarded: `for="${real}:4711";proto=https` } });
    const hub = await scope.hub({ args: [LIMITED, ...TRUSTING, '--public.proxy_header=forwarded'] });
    for (let i = 0; i < 2; i++) await (await scope.ws(hub, '/ws', both(`198.51.100.${i}`, '203.0.113.1'))).get('welcome');
    await isFull(scope, hub, both('198.51.100.9', '203.0.113.1'));
    await (await scope.ws(hub, '/ws', both('198.51.100.1', '203.0.113.2'))).get('welcome');
});

scenario('what is logged is the client: of a stream, of a request, of a refusal', async (scope) => {
    const hub = await scope.hub({ args: [...TRUSTING, '--log.level=debug'] });
    await (await scope.sse(hub, '/sse?channel=a', xff('203.0.113.50'))).ready();
    await (await scope.ws(hub, '/ws', xff('203.0.113.51'))).get('welcome');
    problemOf(await request(hub.public, '/sse?channel=*x', xff('203.0.113.52')), 400, 'bad_pattern');
    problemOf(await request(hub, '/v1/channels?limit=x', xff('203.0.113.53')), 400, 'bad_field');
    await hub.run.waitFor(() => /transport=sse.* peer=203\.0\.113\.50\b/.test(hub.log) && /transport=websocket.* peer=203\.0\.113\.51\b/.test(hub.log) &&
        /203\.0\.113\.52.*request refused/.test(hub.log) && /from=203\.0\.113\.53 /.test(hub.log), 'the clients in the log');
    const open = await scope.hub({ args: ['--log.level=debug'] });
    problemOf(await request(open, '/v1/channels?limit=x', xff('203.0.113.54')), 400, 'bad_field');
    await open.run.waitFor(() => /status=400 from=127\.0\.0\.1 /.test(open.log), 'the address of the socket');
    assert.doesNotMatch(open.log, /203\.0\.113\.54/);
});

scenario('a proxy on a unix socket is trusted when the settings say so', async (scope) => {
    const socketPath = path.join(scope.dir(), 'p.sock');
    const hub = await scope.hub({ args: [LIMITED, `--public.listen=unix:${socketPath}`, '--public.trusted_proxies=unix'] });
    for (let i = 0; i < 2; i++) await (await scope.sse(hub, '/sse?channel=a', xff('203.0.113.1'))).ready();
    const third = await scope.sse(hub, '/sse?channel=a', xff('203.0.113.1'));
    await third.bye();
    await (await scope.sse(hub, '/sse?channel=a', xff('203.0.113.2'))).ready();
});

scenario('check-config tells what is no network', async (scope) => {
    const ini = path.join(scope.dir(), 'c.ini');
    for (const [value, why] of [['10.1.2.3/8', /goes on behind the bits/], ['10.0.0.0/33', /from 0 to 32/], ['proxy.example', /is not a network/], ['10.0.0.0/8, ::/129', /from 0 to 128/]]) {
        writeFileSync(ini, `[public]\ntrusted_proxies = ${value}\n`);
        const { code, stdout, stderr } = await scope.carillon(['check-config', ini]);
        assert.notEqual(code, 0, value);
        assert.match(stdout + stderr, why, value);
    }
});

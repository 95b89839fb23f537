// The JavaScript client in Chromium: a page of another origin imports it from the hub, and is used as pages are: offline, hidden, frozen.
import assert from 'node:assert/strict';
import http from 'node:http';
import { findChromium, openPage } from './lib/browser.mjs';
import { FrameProxy } from './lib/frames.mjs';
import { checkExactlyOnce } from './lib/ledger.mjs';
import { publish } from './lib/http.mjs';
import { scenario } from './lib/scope.mjs';
import { eventually } from './lib/wait.mjs';

const options = { skip: !findChromium() && 'there is no Chromium on this machine', timeout: 180_000 };

async function application(scope) {
    const server = http.createServer((request, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>An application</title>'));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => { server.closeAllConnections(); server.close(); });
    return `http://127.0.0.1:${server.address().port}`;
}

// `url` is what the page connects to; got, states, errors of the page are its own.
async function open(scope, hub, origin, url, more = {}) {
    const page = await openPage(scope, origin);
    await page.run(`(async () => {
        Object.assign(window, { got: {}, states: [], errors: [], rejections: 0 });
        addEventListener('unhandledrejection', () => rejections++);
        const { connect } = await import(${JSON.stringify(hub.publicUrl('/carillon.js'))});
        window.hub = connect(${JSON.stringify(url)}, ${JSON.stringify(more)});
        hub.on('state', (state) => states.push(state));
        hub.on('error', (error) => errors.push(error.code));
        window.listen = (name, options) => hub.subscribe(name, (m) => (got[name] ??= []).push({ id: m.id, text: m.data }), options).ready.then(() => 0);
    })()`);
    return page;
}

const fine = async (page) => assert.deepEqual([await page.run('rejections'), await page.run('errors'), page.problems], [0, [], []]);

scenario('js browser: a page of another origin imports the client, and misses nothing over kill -9, on both transports', options, async (scope) => {
    const origin = await application(scope);
    const hub = await scope.hub({ args: ['--sse.retry=100ms', '--history.size=10000', `--public.origins=${origin}`, `--api.origins=${origin}`] });
    const page = await open(scope, hub, origin, hub.publicUrl(''));
    await page.run(`(async () => {
        await listen('t.a');
        await listen('t.*');
        window.streaming = hub.constructor && (await import(${JSON.stringify(hub.publicUrl('/carillon.js'))})).connect(${JSON.stringify(hub.publicUrl(''))}, { transport: 'sse', api: ${JSON.stringify(hub.apiUrl(''))} });
        await streaming.subscribe('t.a', (m) => (got.stream ??= []).push({ id: m.id, text: m.data })).ready;
        window.iterated = [];
        const words = hub.subscribe('t.b');
        (async () => { for await (const m of words) iterated.push(m.data); })();
        await words.ready;
    })()`);
    const sent = { a: [], b: [] };
    const say = async (channel, text) => sent[channel].push([text, (await publish(hub, `t.${channel}`, text)).id]);
    for (let round = 0; round < 2; round++) {
        for (let i = 0; i < 10; i++) await say(i % 3 ? 'a' : 'b', `${round}.${i} é"`);
        await hub.kill9();
        await hub.restart();
        await say('a', `${round} away`);
    }
    const { id } = await page.run("hub.publish('t.a', 'from the page')"), other = await page.run("streaming.publish('t.a', 'from the stream')");
    sent.a.push(['from the page', id], ['from the stream', other.id]);
    await page.until("['t.a', 't.*', 'stream'].every((kind) => got[kind].at(-1)?.text === 'from the stream')", 'the last message everywhere', 60_000);
    const got = await page.run('got'), both = [...sent.a, ...sent.b];
    checkExactlyOnce(got['t.a'], sent.a, 'a channel');
    checkExactlyOnce(got['t.*'], both, 'a pattern');
    checkExactlyOnce(got.stream, sent.a, 'a stream');
    assert.deepEqual([got['t.a'].length, got['t.*'].length, got.stream.length], [sent.a.length, both.length, sent.a.length]);
    await page.until(`iterated.length === ${sent.b.length}`, 'the iterator');
    assert.equal((await page.run("hub.history('t.a', { since: 'last' })")).messages[0].data, 'from the stream');
    await page.run('hub.close(), streaming.close()');
    await fine(page);
});

scenario('js browser: offline it waits for the network; a page that is seen again looks at its line at once', options, async (scope) => {
    const origin = await application(scope);
    const hub = await scope.hub({ args: ['--sse.retry=100ms'] });
    const proxy = await FrameProxy.listen(scope, hub);
    const page = await open(scope, hub, origin, proxy.url);
    await page.run("listen('a')");
    await page.call('Network.enable');
    const offline = (is) => page.call('Network.emulateNetworkConditions', { offline: is, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });

    const pings = () => proxy.of('client', 'ping').length;
    for (const event of ["document.dispatchEvent(new Event('visibilitychange'))", "dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))"]) {
        const before = pings();
        await page.run(event);
        await proxy.waitFor(() => pings() > before, `a ping after ${event}`);
    }
    await offline(true);
    await page.until('!navigator.onLine', 'the browser to be offline');
    proxy.cut();
    await page.until("hub.state === 'waiting'", 'the line to be lost');
    const published = page.run("hub.publish('a', 'said offline')");
    await publish(hub, 'a', 'meanwhile');
    await page.run('new Promise((resolve) => setTimeout(resolve, 700))');      // several times as long as it would wait
    assert.deepEqual(await page.run('states'), ['connecting', 'open', 'waiting']);
    await offline(false);
    await published;
    await page.until("got.a?.length === 2", 'both messages');
    assert.deepEqual((await page.run('got.a')).map(({ text }) => text), ['meanwhile', 'said offline']);
    assert.deepEqual(await page.run('states'), ['connecting', 'open', 'waiting', 'connecting', 'open']);
    await eventually(() => proxy.open === 1, 'one connection');
    await fine(page);
});

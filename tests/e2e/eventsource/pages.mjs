// pages.mjs — EventSource and fetch in pages: of other origins (Fetch standard, CORS), with cookies, many at once, and pages that go away.
//
// { name, run(stage) }. A stage has `hub`, which knows tokens, lets anybody into open.** and lists the origin of `home`, with credentials; `home` and
// `foreign`, which bring pages; `door` before the hub, and `anyDoor` before one that lists *; open(url, options), a listener of Chromium in the page of
// `home` unless options say otherwise; `engines` and `scope`.
import assert from 'node:assert/strict';
import { publish, request } from '../lib/http.mjs';
import { bearer, sign } from '../lib/tokens.mjs';
import { gone } from './engines.mjs';

const admin = async () => ({ headers: bearer(await sign({ carillon: { admin: ['**'], publish: ['**'], history: ['**'] } })) });
const say = async (hub, channel, text) => publish(hub, channel, text, await admin());
const methods = (front) => front.requests.map((r) => r.method);
const PER_HOST = 6;       // connections to one host, of HTTP/1.1

// A page of its own that listens as an application would.
async function listening(engines, home, url) {
    const page = await engines.newPage(home.page);
    await page.run(`Object.assign(self, { heard: [], shown: [], gaps: 0, last: '', ready: 0 });
        addEventListener('pageshow', (e) => shown.push(e.persisted));
        self.listen = (url) => {
            self.source = new EventSource(url);
            source.onmessage = (e) => { heard.push(e.data); last = e.lastEventId; };
            source.addEventListener('hub.ready', (e) => { ready++; last = e.lastEventId; });
            source.addEventListener('hub.gap', () => gaps++);
        };
        listen(${JSON.stringify(url)})`);
    await page.until('ready === 1', 'hub.ready');
    return page;
}

export const PAGES = [
    { name: 'a listed page hears a hub elsewhere, and comes back, without a preflight', async run({ hub, home, door, open }) {
        const listener = await open(door.url('/sse?channel=open.a'));
        await listener.ready();
        const { id } = await say(hub, 'open.a', 'one');
        await listener.took(1);
        door.cut();
        await listener.ready(2);
        assert.deepEqual(methods(door), ['GET', 'GET']);
        assert.deepEqual(door.requests.map((r) => r.headers.origin), [home.origin, home.origin]);
        assert.deepEqual(door.requests.map((r) => r.headers['last-event-id']), [undefined, id]);
        assert.equal(listener.messages[0].origin, door.origin);
    } },
    { name: 'without anything between page and hub', async run({ hub, open }) {
        const listener = await open(hub.publicUrl('/sse?channel=open.a'));
        const { connection } = JSON.parse((await listener.ready()).data);
        await say(hub, 'open.a', 'one');
        await listener.took(1);
        assert.equal((await request(hub, `/v1/connections/${connection}?code=4000`, { method: 'DELETE', ...await admin() })).status, 204);
        await listener.ready(2);
        await say(hub, 'open.a', 'two');
        assert.deepEqual((await listener.took(2)).map((e) => e.data), ['one', 'two']);
        assert.equal(JSON.parse(listener.of('hub.ready')[1].data).channels[0].recovered, true);
    } },
    { name: 'a page that is not listed is told nothing, for good', async run({ foreign, door, open, engines }) {
        const listener = await open(door.url('/sse?channel=open.a'), { page: foreign.page });
        await listener.failed();
        assert.deepEqual(listener.course, ['new 0', 'error 2']);
        const page = await engines.page(foreign.page);
        assert.equal(await page.run(`fetch(${JSON.stringify(door.url('/sse?channel=open.a'))}).then(() => 'read', (e) => e.name)`), 'TypeError');
        assert.ok(door.requests.every((r) => r.text.includes('"code":"bad_origin"')), door.state());
    } },
    { name: 'a page without an origin (a sandboxed frame) is let in by * alone', async run({ home, door, anyDoor, engines }) {
        const page = await engines.page(home.page);
        const inFrame = (url) => page.run(`new Promise((resolve) => {
            const frame = document.createElement('iframe');
            frame.sandbox = 'allow-scripts';
            frame.srcdoc = '<script>const s = new EventSource(' + ${JSON.stringify(JSON.stringify(url))} + '); s.onopen = () => { s.close(); parent.postMessage("open", "*"); }; s.onerror = () => parent.postMessage("error " + s.readyState, "*");</' + 'script>';
            onmessage = (e) => { frame.remove(); resolve(e.data); };
            document.body.append(frame);
        })`);
        assert.equal(await inFrame(door.url('/sse?channel=open.a')), 'error 2');
        assert.equal(await inFrame(anyDoor.url('/sse?channel=open.a')), 'open');
        assert.equal(anyDoor.requests[0].headers.origin, 'null');
    } },
    { name: 'withCredentials the cookie is a token, also when it comes back', async run({ hub, home, door, open, engines }) {
        const page = await engines.page(home.page), where = door.url('/sse?channel=private.a&format=envelope');
        await page.run(`document.cookie = 'token=${await sign({ sub: 'ann', carillon: { subscribe: ['private.*'] } })}; path=/'`);
        const listener = await open(where, { init: { withCredentials: true } });
        assert.deepEqual(JSON.parse((await listener.ready()).data).channels.map((c) => c.channel), ['private.a', 'user.ann']);
        door.cut();
        await listener.ready(2);
        await say(hub, 'user.ann', 'hello');
        await listener.took(1);
        const without = await open(where);
        await without.failed();
        assert.deepEqual([methods(door), door.requests.map((r) => /token=/.test(r.headers.cookie ?? ''))], [['GET', 'GET', 'GET'], [true, true, false]]);
        await page.run("document.cookie = 'token=; path=/; max-age=0'");
        const anonymous = await open(where, { init: { withCredentials: true } });
        await anonymous.failed();
    } },
    { name: 'where only * lets a page in, withCredentials fails', async run({ anyDoor, open }) {
        await (await open(anyDoor.url('/sse?channel=open.a'))).ready();
        const listener = await open(anyDoor.url('/sse?channel=open.a'), { init: { withCredentials: true } });
        await listener.failed();
    } },
    { name: 'fetch reads a stream with a token in a header, after one preflight', async run({ hub, home, door, open }) {
        const token = await sign({ sub: 'bob', carillon: { subscribe: ['private.*'] } });
        const listener = await open(door.url('/sse?channel=private.b'), { engine: 'fetch of Chromium', init: { headers: { Authorization: `Bearer ${token}`, 'Cache-Control': 'no-cache' } } });
        await listener.ready();
        const { id } = await say(hub, 'private.b', 'one');
        await listener.took(1);
        door.cut();
        await listener.ready(2);
        await say(hub, 'private.b', 'two');
        assert.deepEqual((await listener.took(2)).map((e) => e.data), ['one', 'two']);
        // One for the first request, one more for the header that comes with the second.
        assert.deepEqual(methods(door).filter((m) => m === 'GET').length, 2);
        for (const { headers } of door.requests.filter((r) => r.method === 'OPTIONS')) assert.equal(headers['access-control-request-method'], 'GET');
        assert.equal(door.requests.at(-1).headers['last-event-id'], id);
        await listener.close();
        await gone(door, '/sse');
        assert.equal(home.origin, door.requests[0].headers.origin);
    } },
    { name: 'fetch polls, and can read what tells it to wait and where it is', async run({ hub, home, door, engines }) {
        const page = await engines.page(home.page);
        const { id } = await say(hub, 'open.p', 'one');
        const poll = (query, headers = {}) => page.run(`(async () => {
            const answer = await fetch(${JSON.stringify(door.url(`/poll?channel=open.p&timeout=0${query}`))}, { headers: ${JSON.stringify(headers)} });
            const text = await answer.text();
            return { status: answer.status, etag: answer.headers.get('etag'), type: answer.headers.get('content-type'), json: text && JSON.parse(text) };
        })()`);
        const first = await poll('&since=all');
        assert.deepEqual([first.status, first.etag, first.type, first.json.position, first.json.messages.map((m) => m.data)], [200, `"${id}"`, 'application/json', id, ['one']]);
        assert.equal((await poll(`&since=${id}`, { 'If-None-Match': first.etag })).status, 304);
        assert.deepEqual([(await poll('&since=x')).status, (await poll('&since=x')).json.code], [400, 'bad_field'], 'a page can read what was wrong');
    } },
    { name: 'a redirect from the page\'s own site to the hub is followed, one between other sites is not', async run({ hub, home, door, open }) {
        home.rule('/moved', (request, response) => response.writeHead(307, { Location: door.url('/sse?channel=open.r') }).end());
        const listener = await open(home.url('/moved'));
        assert.equal((await listener.ready()).origin, door.origin);
        assert.equal(door.requests[0].headers.origin, home.origin);
        door.rule('/moved', (request, response) => response.writeHead(307, { Location: hub.publicUrl('/sse?channel=open.r'), 'Access-Control-Allow-Origin': home.origin }).end());
        const other = await open(door.url('/moved'));      // its Origin is null then
        await other.failed();
    } },
    { name: 'six streams of one host are open at once, the seventh waits for one to end, and so does all but a WebSocket', async run({ hub, home, open, engines }) {
        const page = await engines.page(home.page), listeners = [], at = (where) => JSON.stringify(hub.publicUrl(where));
        for (let i = 0; i < PER_HOST; i++) listeners.push(await open(hub.publicUrl(`/sse?channel=open.${i}`)));
        for (const listener of listeners) await listener.ready();
        const seventh = await open(hub.publicUrl('/sse?channel=open.7'));
        await page.run(`self.polled = 0; fetch(${at('/poll?channel=open.7&timeout=0')}).then(() => { polled++; }); 0`);
        await page.run(`new Promise((resolve) => { const socket = new WebSocket(${JSON.stringify(hub.wsUrl('/ws?channel=open.7'))}); socket.onmessage = () => { socket.close(); resolve(); }; })`);
        for (let i = 0; i < PER_HOST; i++) await say(hub, `open.${i}`, 'still heard');
        for (const listener of listeners) await listener.took(1);
        assert.deepEqual([seventh.course, await page.run('polled')], [['new 0'], 0]);
        await listeners[0].close();
        await seventh.ready();
        await listeners[1].close();
        await page.until('polled === 1', 'the poll');
        const one = await open(hub.publicUrl(`/sse?${listeners.map((_, i) => `channel=open.${i}`).join('&')}`));      // what to do instead
        await one.ready();
    } },
    { name: 'a SharedWorker is one connection for all pages, and goes with the last of them', async run({ hub, home, door, engines }) {
        const pages = [await engines.newPage(home.page), await engines.newPage(home.page)], [first, second] = pages;
        for (const page of pages) await page.run(`new Promise((resolve) => {
            self.heard = [];
            const { port } = new SharedWorker('shared.mjs', { type: 'module' });
            port.onmessage = ({ data }) => { heard.push(data); resolve(); };
            port.postMessage(${JSON.stringify(door.url('/sse?channel=open.s'))});
        })`);
        await say(hub, 'open.s', 'for both');
        for (const page of pages) await page.until("heard.includes('for both')", 'the message');
        assert.equal(door.of('/sse').length, 1);
        await first.close();
        await say(hub, 'open.s', 'for one');
        await second.until("heard.includes('for one')", 'the message');
        await second.close();
        await gone(door, '/sse');
    } },
    { name: 'a page that is kept for the way back keeps its stream, and has missed nothing', async run({ hub, home, foreign, door, engines }) {
        const page = await listening(engines, home, door.url('/sse?channel=open.k'));
        await say(hub, 'open.k', 'one');
        await page.until('heard.length === 1', 'the first message');
        await page.go(foreign.page);
        await say(hub, 'open.k', 'two');
        await page.run('history.back(); 0');
        await page.until(`location.href === ${JSON.stringify(home.page)} && document.readyState === 'complete'`, 'the page again');
        if (await page.run('self.shown?.includes(true) ?? false')) await page.until("heard.join() === 'one,two'", 'both messages');      // else it has begun anew
        await page.close();
        await gone(door, '/sse');
    } },
    { name: 'a page that closes on pagehide holds nothing while it is away, and resumes on pageshow', async run({ hub, home, foreign, door, engines }) {
        const url = door.url('/sse?channel=open.h'), page = await listening(engines, home, url);
        await page.run(`addEventListener('pagehide', () => source.close());
            addEventListener('pageshow', (e) => { if (e.persisted) listen(${JSON.stringify(url)} + '&last_event_id=' + last); }); 0`);
        await say(hub, 'open.h', 'one');
        await page.until('heard.length === 1', 'the first message');
        await page.go(foreign.page);
        await gone(door, '/sse');
        await say(hub, 'open.h', 'two');
        await page.run('history.back(); 0');
        await page.until(`location.href === ${JSON.stringify(home.page)} && document.readyState === 'complete'`, 'the page again');
        if (await page.run('self.shown?.includes(true) ?? false')) await page.until("heard.join() === 'one,two' && !gaps", 'both messages');
        await page.close();
        await gone(door, '/sse');
    } },
];

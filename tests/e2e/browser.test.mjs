// Chromium itself, on the hub's own page: plain EventSource and plain WebSocket over a kill -9, and the page as a person uses it.
import assert from 'node:assert/strict';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { findChromium, openPage } from './lib/browser.mjs';
import { checkExactlyOnce } from './lib/ledger.mjs';
import { messagesPath, publish, publishAll, request } from './lib/http.mjs';

const options = { skip: !findChromium() && 'there is no Chromium on this machine', timeout: 180_000 };
const QUICK = ['--sse.retry=200ms', '--history.size=10000'];

scenario('a plain EventSource and a plain WebSocket of a page miss nothing over kill -9 and restart', options, async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const page = await openPage(scope, hub.publicUrl('/'));
    // What an application would write, no library: the browser resumes the EventSource; the WebSocket takes five lines.
    await page.run(`
        window.got = { bare: [], several: [], ws: [], gaps: 0, opens: 0 };
        const bare = new EventSource('/sse?channel=t.a');
        bare.onmessage = (e) => got.bare.push({ id: e.lastEventId, text: e.data });
        bare.addEventListener('named', (e) => got.bare.push({ id: e.lastEventId, text: e.data }));
        bare.addEventListener('hub.gap', () => got.gaps++);
        bare.onopen = () => got.opens++;
        const several = new EventSource('/sse?channel=t.a&channel=t.b');
        several.onmessage = (e) => { const m = JSON.parse(e.data); got.several.push({ id: m.id, text: m.data }); };
        several.addEventListener('named', several.onmessage);
        several.addEventListener('hub.gap', () => got.gaps++);
        several.addEventListener('hub.ready', () => got.severalReady = (got.severalReady ?? 0) + 1);
        bare.addEventListener('hub.ready', () => got.bareReady = (got.bareReady ?? 0) + 1);
        let last = '';
        (function connect() {
            const ws = new WebSocket(location.origin.replace(/^http/, 'ws') + '/ws?channel=t.a&channel=t.b' + (last && '&last_event_id=' + last));
            ws.onmessage = (e) => {
                const f = JSON.parse(e.data);
                if (f.type === 'welcome') last = f.position;
                if (f.type === 'subscribed') got.wsReady = (got.wsReady ?? 0) + 1;
                if (f.type === 'gap') got.gaps++;
                if (f.type === 'message') { last = f.id; got.ws.push({ id: f.id, text: f.data }); }
            };
            ws.onclose = () => setTimeout(connect, 100);
        })();
        0`);
    await page.until('got.bareReady && got.severalReady && got.wsReady === 2', 'all three to be ready');
    const acknowledged = { a: [], b: [] };
    for (let round = 0; round < 3; round++) {
        for (let i = 0; i < 40; i++) {
            const channel = i % 2 ? 'a' : 'b';
            const text = `${round}.${i} é"\\n`;
            acknowledged[channel].push([text, (await publish(hub, `t.${channel}`, text, { query: i % 5 ? '' : '?event=named' })).id]);
        }
        await page.until(`got.bareReady > ${round} && got.severalReady > ${round} && got.wsReady > ${2 * round}`, `all three to be back for the ${round + 1}. time`, 60_000);
        await hub.kill9();
        await hub.restart();
        acknowledged.a.push([`${round} away`, (await publish(hub, 't.a', `${round} away`)).id]);
    }
    await page.until("['bare', 'several', 'ws'].every((kind) => got[kind].at(-1)?.text === '2 away')", 'the last message everywhere', 60_000);
    const got = await page.run('got');
    const both = [...acknowledged.a, ...acknowledged.b];
    checkExactlyOnce(got.bare, acknowledged.a, 'EventSource of one channel');
    checkExactlyOnce(got.several, both, 'EventSource of two channels');
    checkExactlyOnce(got.ws, both, 'WebSocket');
    assert.deepEqual([got.bare.length, got.several.length, got.ws.length], [acknowledged.a.length, both.length, both.length]);
    assert.equal(got.gaps, 0);
    assert.ok(got.opens >= 4, `the browser connected ${got.opens} times`);
});

scenario('an EventSource waits as the bye of a stopping hub tells it, and resumes', options, async (scope) => {
    const hub = await scope.hub({ args: [...QUICK, '--drain.timeout=1s'] });
    const page = await openPage(scope, hub.publicUrl('/'));
    await page.run(`
        window.got = []; window.byes = 0; window.ready = 0;
        const source = new EventSource('/sse?channel=t');
        source.onmessage = (e) => got.push(e.data);
        source.addEventListener('hub.bye', () => byes++);
        source.addEventListener('hub.ready', () => ready++);
        0`);
    await page.until('ready === 1', 'hub.ready');
    await publish(hub, 't', 'one');
    assert.equal((await hub.terminate()).code, 0);
    await page.until('byes === 1', 'the bye');
    await hub.restart();
    await publish(hub, 't', 'two');
    await page.until('got.length === 2', 'both messages', 60_000);
    assert.deepEqual(await page.run('got'), ['one', 'two']);
});

scenario('the page shows what is published, publishes by itself, and resumes after a cut', options, async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const page = await openPage(scope, hub.publicUrl('/#tower'));
    const texts = (panel) => `[...document.querySelectorAll('#${panel} .body')].map((e) => e.textContent).reverse()`;
    const shows = (panel, expected, ms) => page.until(`JSON.stringify(${texts(panel)}) === ${JSON.stringify(JSON.stringify(expected))}`, `${panel} to show ${JSON.stringify(expected)}`, ms);
    const bothShow = (expected, ms) => Promise.all([shows('sse', expected, ms), shows('ws', expected, ms)]);
    await page.until("document.querySelector('#sse.live') && document.querySelector('#ws.live')", 'both panels to be live');
    assert.equal(await page.run('document.title'), 'Carillon');
    assert.equal(await page.run("document.querySelector('#curl-publish').textContent"), `curl -d 'hello' '${hub.apiUrl(messagesPath('tower'))}'`);

    const { id } = await publish(hub, 'tower', 'from the API');
    await bothShow(['from the API']);
    assert.ok(await page.run(`document.querySelector('#ws .meta').textContent.includes(${JSON.stringify(id)})`), 'with its id');

    await page.type('#data', '{"price": 0.10}');
    await page.press('Enter', 13);
    await page.until("/^Acknowledged as/.test(document.querySelector('#told').textContent)", 'the acknowledgement');
    await bothShow(['from the API', '{"price": 0.10}']);

    for (const panel of ['sse', 'ws']) await page.click(`#${panel} .cut`);
    await publishAll(hub, 'tower', ['while cut', '<b>not markup</b>']);
    assert.equal(await page.run(`${texts('sse')}.length + ${texts('ws')}.length`), 4, 'a cut panel shows nothing new');
    for (const panel of ['sse', 'ws']) await page.click(`#${panel} .cut`);
    const all = ['from the API', '{"price": 0.10}', 'while cut', '<b>not markup</b>'];
    await bothShow(all);
    assert.equal(await page.run("document.querySelectorAll('.body b').length"), 0, 'text stays text');

    await hub.kill9();
    await page.until("document.querySelector('#sse.wait') && document.querySelector('#ws.wait')", 'both panels to notice');
    await hub.restart();
    await publish(hub, 'tower', 'after kill -9');
    await bothShow([...all, 'after kill -9'], 60_000);
    assert.equal(await page.run("document.querySelectorAll('li.gap').length"), 0);
    if (process.env.SCREENSHOTS) await page.screenshot(path.join(process.env.SCREENSHOTS, 'page.png'));
    assert.deepEqual(page.problems, []);
});

scenario('the page shows messages that have an event name too', options, async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const page = await openPage(scope, hub.publicUrl('/#named'));
    await page.until("document.querySelector('#sse.live') && document.querySelector('#ws.live')", 'both panels to be live');
    await publish(hub, 'named', 'with a name', { query: '?event=headline' });
    for (const panel of ['ws', 'sse']) await page.until(`[...document.querySelectorAll('#${panel} .body')].some((e) => e.textContent === 'with a name')`, `${panel} to show it`);
});

scenario('the page is HTML in UTF-8, and HEAD of it has no body', async (scope) => {
    const hub = await scope.hub();
    const page = await request(hub.public, '/');
    assert.equal(page.status, 200);
    assert.match(page.headers['content-type'], /^text\/html; ?charset=utf-8/i);
    const head = await request(hub.public, '/', { method: 'HEAD' });
    assert.deepEqual([head.status, head.body.length], [200, 0]);
});

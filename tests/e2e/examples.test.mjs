// The pages of clients/examples and the README's chat, used as people use them; the demo; tokens as a backend makes them.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createServer } from 'node:http';
import { scenario } from './lib/scope.mjs';
import { findChromium, openPage } from './lib/browser.mjs';
import { BINARY } from './lib/hub.mjs';
import { keptMessages, messagesPath, problemOf, publish, request } from './lib/http.mjs';
import { SUITE_TLS } from './lib/line.mjs';
import { isAlive } from './lib/proc.mjs';
import { Watched, eventually } from './lib/wait.mjs';
import { addressed, pageServer } from '../../clients/examples/demo_pages.mjs';
import { Progress } from '../../clients/examples/job.mjs';
import { CHAT, signToken } from '../../clients/examples/token.mjs';

const EXAMPLES = new URL('../../clients/examples/', import.meta.url).pathname;
const QUICK = ['--sse.retry=200ms', '--history.size=1000'];
const options = {
    skip: (!findChromium() && 'there is no Chromium on this machine') || (Boolean(SUITE_TLS) && 'pages of http:// may not ask over TLS; the client over TLS has tests of its own'),
    timeout: 180_000,
};

const local = (url) => url.replace('127.0.0.1', 'localhost');
const addressesOf = (hub) => ({ hub: local(hub.publicUrl('')), api: local(hub.apiUrl('')) });

async function listening(scope, server) {
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }));
    return `http://localhost:${server.address().port}`;
}

// Pages of the examples that talk to this hub: open('chat.html').
async function visitor(scope, hub) {
    const at = await listening(scope, pageServer(addressesOf(hub)));
    return (where) => openPage(scope, new URL(where, at).href);
}

const post = (hub, where, data) => request(hub, where, { method: 'POST', body: { data } });
const tell = async (hub, channel, data) => assert.equal((await post(hub, messagesPath(channel), data)).status, 201);
const textOf = (selector) => `document.querySelector(${JSON.stringify(selector)})?.textContent`;
const textsOf = (selector) => `[...document.querySelectorAll(${JSON.stringify(selector)})].map((e) => e.textContent)`;
const shows = (page, selector, expected) => page.until(`JSON.stringify(${textsOf(selector)}) === ${JSON.stringify(JSON.stringify(expected))}`, `${selector} to be ${JSON.stringify(expected)}`);
const picture = async (page, name) => process.env.SCREENSHOTS && page.screenshot(path.join(process.env.SCREENSHOTS, `${name}.png`));

async function reload(page) {
    await page.call('Page.reload');
    await eventually(() => page.run("document.readyState === 'complete' && performance.getEntriesByType('navigation')[0].type === 'reload'").catch(() => false), 'the page to be loaded again');
}

// A hub that is killed and comes back without what it had: its positions are of another epoch.
async function forget(hub) {
    await hub.kill9();
    for (const tail of ['', '-wal', '-shm']) rmSync(path.join(hub.dir, `carillon.db${tail}`), { force: true });
    await hub.restart();
}

// ---- chat.html ----

async function comeIn(open, name, where = 'chat.html') {
    const page = await open(where);
    await page.type('#name', name);
    await page.press('Enter', 13);
    await page.until("document.querySelector('.pill.live')", `${name} to be connected`);
    return page;
}
async function say(page, text) {
    await page.type('#say textarea', text);
    await page.press('Enter', 13);
}
const clickRoom = (page, name) => page.run(`[...document.querySelectorAll('.rooms button')].find((e) => e.querySelector('span').textContent === ${JSON.stringify(name)}).click()`);

scenario('examples, chat: two people see each other, write, open a room, and miss nothing while the hub is away', options, async (scope) => {
    const hub = await scope.hub({ args: QUICK }), open = await visitor(scope, hub);
    const ann = await comeIn(open, 'Ann'), bob = await comeIn(open, 'Böb');
    for (const page of [ann, bob]) await page.until(`document.querySelectorAll('#members li').length === 2`, 'both to be here');
    assert.deepEqual(await ann.run(textsOf('#members li')), ['AAnnyou', 'BBöb']);

    await ann.type('#say textarea', 'Hel');
    await bob.until(`${textOf('#typing')} === 'Ann is writing'`, 'Ann to be seen writing');
    await say(ann, 'Hello!');
    await shows(bob, '.line .text', ['Hello!']);
    await bob.until(`${textOf('#typing')} === ''`, 'Ann not to write any more');
    await ann.until("document.querySelectorAll('.line.own.sent').length === 1", 'her own message, sent');
    assert.deepEqual((await keptMessages(hub, 'chat.lobby')).map(({ data }) => [data.by, data.text]), [['Ann', 'Hello!']]);

    await say(bob, '<img src=x onerror="document.title=1"> https://example.com/a?b=1. javascript:alert(1)');
    await ann.until("document.querySelectorAll('.line').length === 2", "Bob's message");
    assert.deepEqual(await ann.run("[document.querySelectorAll('.text img').length, [...document.querySelectorAll('.text a')].map((a) => [a.href, a.rel])]"),
        [0, [['https://example.com/a?b=1', 'noopener noreferrer']]]);

    await ann.type('#create input', 'Bell Töwer!');
    await ann.press('Enter', 13);
    await ann.until(`${textOf('#room')} === 'bell-tower'`, 'the new room');
    await say(ann, 'up here');
    await bob.until("document.querySelector('.rooms .badge')?.textContent === '1'", 'an unread message in the other room');
    await clickRoom(bob, 'bell-tower');
    await shows(bob, '.note, .line .text', ['Ann opened this room', 'up here']);
    assert.equal(await bob.run("document.querySelectorAll('.rooms .badge').length"), 0);

    await hub.kill9();
    for (const page of [ann, bob]) await page.until(`!document.querySelector('#banner').hidden && /no connection/.test(${textOf('#banner')})`, 'both to be told');
    await say(bob, 'written while it was away');
    await bob.until(`/waits for the connection/.test(${textOf('.sending .fate')})`, 'what waits to be seen waiting');
    await picture(bob, 'chat-away');
    await hub.restart();
    await tell(hub, 'chat.bell-tower', { by: 'Clara', text: 'said before they were back', id: 'c1' });
    for (const page of [ann, bob]) {
        await page.until(`${textsOf('.line .text')}.length === 3 && !document.querySelector('.sending')`, 'all messages', 60_000);
        assert.deepEqual((await page.run(textsOf('.line .text'))).sort(), ['said before they were back', 'up here', 'written while it was away']);
        assert.equal(await page.run("document.querySelectorAll('.gap').length"), 0);
        await page.until("document.querySelector('.pill.live') && document.querySelectorAll('#members li').length === 2", 'both to be here again');
    }
    assert.equal((await keptMessages(hub, 'chat.bell-tower')).filter(({ data }) => data.text === 'written while it was away').length, 1);
    for (const page of [ann, bob]) assert.deepEqual(page.problems, []);
});

scenario('examples, chat: what was refused is told and can be tried again; a gap is told; who comes back sees what was said', { ...options, ownEngine: 'its store is taken away' }, async (scope) => {
    const ini = path.join(scope.dir(), 'carillon.ini');
    const rule = (bytes) => writeFileSync(ini, `[channel "chat.lobby"]\nmessage = ${bytes}\n`);
    rule('100');
    const hub = await scope.hub({ args: [...QUICK, '--config', ini] }), open = await visitor(scope, hub);
    const ann = await comeIn(open, 'Ann');
    await say(ann, 'long '.repeat(40));
    await ann.until(`/^Not sent: /.test(${textOf('.failed .fate')})`, 'the refusal');
    await picture(ann, 'chat-refused');
    await say(ann, 'short');
    await shows(ann, '.line.sent .text', ['short']);
    rule('4KiB');
    hub.run.signal('SIGHUP');
    await eventually(async () => {
        await ann.run("document.querySelector('.failed .fate button')?.click()");
        return ann.run("document.querySelectorAll('.line.sent').length === 2");
    }, 'the long message to be sent');
    assert.equal((await keptMessages(hub, 'chat.lobby')).length, 2);

    await forget(hub);
    await ann.until(`/begun anew.*may be missing/.test(${textOf('.gap')})`, 'the gap', 60_000);
    await say(ann, 'after the gap');
    await ann.until("document.querySelectorAll('.line.sent').length === 3", 'it to be sent');
    await reload(ann);
    await shows(ann, '.line .text', ['after the gap']);
    assert.equal(await ann.run(textOf('#my-name')), 'Ann');
    const many = Array.from({ length: 700 }, (_, i) => ({ channel: 'chat.lobby', data: { by: `p${i % 3}`, text: `${i}`, id: `m${i}` } }));
    assert.equal((await request(hub, '/v1/messages', { method: 'POST', body: JSON.stringify(many), headers: { 'Content-Type': 'application/json' } })).status, 200);
    for (const again of [() => {}, () => reload(ann)]) {
        await again();
        await ann.until(`${textsOf('.line .text')}.length === 500 && ${textsOf('.line .text')}.at(-1) === '699'`, 'the newest of many');
        assert.equal(await ann.run("document.querySelector('#messages').scrollHeight - document.querySelector('#messages').scrollTop - document.querySelector('#messages').clientHeight < 60"), true, 'at the bottom');
    }
    assert.deepEqual(ann.problems, []);
});

// ---- dashboard.html ----

const valuesOf = "Object.fromEntries([...document.querySelectorAll('article')].map((e) => [e.querySelector('h2').textContent, e.querySelector('.value').textContent]))";
const showsValues = (page, values) => page.until(`JSON.stringify(${valuesOf}) === ${JSON.stringify(JSON.stringify(values))}`, `the values ${JSON.stringify(values)}`, 60_000);

scenario('examples, dashboard: charts live, catches up after a restart, and shows a gap', { ...options, ownEngine: 'its store is taken away' }, async (scope) => {
    const hub = await scope.hub({ args: QUICK }), open = await visitor(scope, hub);
    await tell(hub, 'metrics.orders', 41);
    const page = await open('dashboard.html');
    await showsValues(page, { orders: '41' });
    for (const value of [7, 9.25]) await tell(hub, 'metrics.load', value);
    await tell(hub, 'metrics.orders', 42);
    await tell(hub, 'metrics.orders', 'not a number');
    await showsValues(page, { orders: '42', load: '9.25' });
    const drawn = "[...document.querySelectorAll('canvas')].every((c) => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; return d.some((v, i) => i % 4 === 3 && v === 255); })";
    await page.until(drawn, 'both curves');
    const counts = textsOf('dd');
    assert.deepEqual((await page.run(counts)).slice(1), ['0', '0']);

    await hub.kill9();
    await page.until(`${textOf('.pill')} === 'Reconnecting'`, 'the page to notice');
    await hub.restart();
    await tell(hub, 'metrics.orders', 99);
    await showsValues(page, { orders: '99', load: '9.25' });
    await page.until(`JSON.stringify(${counts}.slice(1)) === '["1","0"]'`, 'one reconnect and no gap');
    await forget(hub);
    await page.until(`JSON.stringify(${counts}.slice(1)) === '["2","1"]'`, 'a gap', 60_000);
    await tell(hub, 'metrics.orders', 3);
    await showsValues(page, { orders: '3', load: '9.25' });
    await picture(page, 'dashboard-gap');
    assert.deepEqual(page.problems, []);
});

// ---- job-progress.html ----

const jobOf = (id) => `(() => { const e = document.getElementById(${JSON.stringify(id)}); return e && [e.className, e.querySelector('.percent').textContent, ...[...e.querySelectorAll('li span')].map((l) => l.textContent)].join('|'); })()`;
const showsJob = (page, id, expected) => page.until(`${jobOf(id)} === ${JSON.stringify(expected)}`, `the job ${id} to be ${expected}`, 60_000);

scenario('examples, jobs: a page that is loaded in the middle goes on where the job is, and the log is whole', options, async (scope) => {
    const hub = await scope.hub({ args: QUICK }), open = await visitor(scope, hub);
    const job = new Progress('import', 'Importing', 200, { url: hub.apiUrl('') });
    job.log('opened');
    const page = await open('job-progress.html');
    await showsJob(page, 'import', 'running|0 %|opened');
    job.tell(50);
    job.log('a quarter <b>done</b>');
    await showsJob(page, 'import', 'running|25 %|opened|a quarter <b>done</b>');
    await reload(page);
    await showsJob(page, 'import', 'running|25 %|opened|a quarter <b>done</b>');
    await hub.kill9();
    for (let done = 60; done <= 150; done++) job.tell(done);
    job.log('nobody was there');
    await hub.restart();
    await showsJob(page, 'import', 'running|75 %|opened|a quarter <b>done</b>|nobody was there');
    assert.ok((await keptMessages(hub, 'jobs.import')).length < 10, 'only the newest progress is told to a hub that comes back');
    await job.end('done', 200);
    await showsJob(page, 'import', 'done|100 %|opened|a quarter <b>done</b>|nobody was there');

    const script = spawn(process.execPath, ['job.mjs', 'primes', '10000'], { cwd: EXAMPLES, env: { ...process.env, CARILLON_URL: hub.apiUrl('') }, stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    script.stdout.setEncoding('utf8').on('data', (text) => { said += text; });
    await new Promise((resolve) => script.on('close', resolve));
    assert.equal(said, 'watch it: job-progress.html#primes\n1229 primes\n');
    await page.until(`/^done\\|100 %\\|.*1,229 primes below 10,000$/.test(${jobOf('primes')})`, 'the job of the script');
    assert.deepEqual(page.problems, []);
});

// ---- notifications.html ----

scenario('examples, notifications: what is published to a user rings in all tabs, what is read in one is read in all', options, async (scope) => {
    const hub = await scope.hub({ args: QUICK }), open = await visitor(scope, hub);
    const notify = async (user, title) => assert.equal((await post(hub, `/v1/users/${user}/messages`, { title, text: '<i>text</i>' })).status, 201);
    await notify('ann', 'before she came');
    const tabs = [await open('notifications.html?user=ann'), await open('notifications.html?user=ann')], other = await open('notifications.html?user=bob');
    const counts = (count) => Promise.all(tabs.map((page) => page.until(`${textOf('#count')} === '${count}'`, `${count} unread`, 60_000)));
    await counts(1);
    await notify('ann', 'second');
    await counts(2);
    await hub.kill9();
    await hub.restart();
    await notify('ann', 'while she was away');
    await counts(3);
    await tabs[0].click('#bell');
    assert.deepEqual(await tabs[0].run(textsOf('#panel li b')), ['while she was away', 'second', 'before she came']);
    assert.equal(await tabs[0].run("document.querySelectorAll('#panel li i').length"), 0);
    await picture(tabs[0], 'notifications-panel');
    await tabs[0].click('#all');
    for (const page of tabs) await page.until("document.querySelector('#count').hidden", 'nothing unread');
    await notify('bob', 'for him');
    await other.until(`${textOf('#count')} === '1'`, 'his own');
    for (const page of [...tabs, other]) assert.deepEqual(page.problems, []);
});

// ---- the chat of the README ----

scenario('README, "Build a chat in five minutes": the page as it stands there', options, async (scope) => {
    const text = /^```html\n([^]*?)^```$/m.exec(readFileSync(new URL('../../README.md', import.meta.url), 'utf8').split('## Build a chat in five minutes\n')[1])[1];
    const hub = await scope.hub({ args: [...QUICK, '--public.origins=null'] }), file = path.join(scope.dir(), 'chat.html');
    writeFileSync(file, addressed(text, addressesOf(hub)));
    const at = await listening(scope, createServer((req, res) => res.writeHead(200, { 'Content-Type': 'text/html' }).end(readFileSync(file))));
    await tell(hub, 'chat.lobby', { from: 'Clara', text: 'I was here before' });
    // One from a server, one opened as a file, for which `null` is in public.origins.
    const pages = await Promise.all([`${at}/chat.html`, `file://${file}`].map((where) => openPage(scope, where)));
    for (const page of pages) await shows(page, '#messages li', ['Clara: I was here before']);
    await pages[0].type('#name', 'Ann');
    await pages[0].type('#text', 'Hello <b>all</b>');
    await pages[0].press('Enter', 13);
    for (const page of pages) await shows(page, '#messages li', ['Clara: I was here before', 'Ann: Hello <b>all</b>']);
    await hub.kill9();
    await pages[1].type('#text', 'sent while it is away');
    await pages[1].press('Enter', 13);
    await hub.restart();
    for (const page of pages) await page.until(`/: sent while it is away$/.test(${textsOf('#messages li')}.at(-1))`, 'what was sent meanwhile', 60_000);
    for (const page of pages) assert.deepEqual(page.problems, []);
    await picture(pages[0], 'readme-chat');
});

// ---- tokens as a backend makes them ----

scenario('examples, token.mjs and "Before it goes live": a page may do what its token grants and nothing else', async (scope) => {
    const dir = scope.dir(), ini = path.join(dir, 'carillon.ini'), secret = 'a secret of enough bytes for HS256, at least 32 of them';
    const rules = /^ *```ini\n([^]*?)^ *```$/m.exec(readFileSync(path.join(EXAMPLES, 'README.md'), 'utf8'))[1];
    writeFileSync(path.join(dir, 'token.secret'), `${secret}\n`, { mode: 0o600 });
    writeFileSync(ini, `[signers]\napp = HS256 file:token.secret\n${rules.replace(/^ +/gm, '')}`);
    const hub = await scope.hub({ dev: false, args: ['--config', ini], cwd: dir });
    const made = spawn(process.execPath, [path.join(EXAMPLES, 'token.mjs'), 'token.secret', 'ann'], { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] });
    let token = '';
    for await (const text of made.stdout.setEncoding('utf8')) token += text;
    const publishing = (channel, as) => request(hub, messagesPath(channel), { method: 'POST', body: { data: 1 }, headers: { Authorization: `Bearer ${as.trim()}` } });
    assert.equal((await publishing('chat.lobby', token)).status, 201);
    problemOf(await publishing('metrics.orders', token), 403, 'forbidden');
    problemOf(await publishing('chat.lobby', signToken('another secret, which the hub does not know', 'ann', CHAT)), 401, 'bad_token');
    problemOf(await publishing('chat.lobby', signToken(secret, 'ann', CHAT, -3600)), 401, 'token_expired');
    const author = signToken(secret, 'ann', { publish: ['chat.*.{user}'] });
    assert.equal((await publishing('chat.lobby.ann', author)).status, 201);
    problemOf(await publishing('chat.lobby.bob', author), 403, 'forbidden');
    const socket = await scope.ws(hub, `/ws?token=${token.trim()}`);
    assert.equal((await socket.get('welcome')).user, 'ann');
});

// ---- make demo ----

class Demo extends Watched {
    said = '';
    constructor(scope) {
        super();
        this.child = spawn(process.execPath, [path.join(EXAMPLES, 'demo.mjs'), BINARY], { stdio: ['ignore', 'pipe', 'pipe'],
            env: { ...process.env, PORT: 0, API_PORT: 0, PAGES_PORT: 0, DISPLAY: '', WAYLAND_DISPLAY: '', TMPDIR: scope.dir() } });
        for (const stream of [this.child.stdout, this.child.stderr]) stream.setEncoding('utf8').on('data', (text) => { this.said += text; this.changed(); });
        this.child.on('close', (code) => { this.code = code; this.changed(); });
        scope.defer(() => this.child.kill('SIGKILL'));
    }
    state() { return this.said; }
    find(pattern, what) { return this.waitFor(() => pattern.exec(this.said) ?? (this.code === undefined ? null : assert.fail(this.said)), what); }
    get api() { return { host: '127.0.0.1', port: Number(/API http:\/\/localhost:(\d+)/.exec(this.said)[1]) }; }
}

scenario('make demo: everything is fed, a hub that is killed comes back, and nothing is left', { skip: Boolean(SUITE_TLS) && 'it has no TLS' }, async (scope) => {
    const demo = new Demo(scope), pid = Number((await demo.find(/ {2}kill -9 (\d+)/, 'it to be ready'))[1]);
    const [, pages] = /chat +(http:\/\/localhost:\d+)\/chat\.html/.exec(demo.said);
    for (const name of ['chat', 'dashboard', 'job-progress', 'notifications']) assert.match(await (await fetch(`${pages}/${name}.html`)).text(), new RegExp(`const HUB = 'http://localhost:(?!8000)\\d+'`));
    assert.equal((await fetch(`${pages}/demo.mjs`)).status, 404);
    const feeds = async (channel) => eventually(async () => (await request(demo.api, `/v1/channels/${channel}`).catch(() => ({}))).json?.messages > 0, `something in ${channel}`);
    for (const channel of ['chat.lobby', 'metrics.orders', 'jobs.nightly-1', 'user.ann']) await feeds(channel);
    assert.deepEqual((await request(demo.api, '/v1/channels/chat.lobby/presence')).json.data.map(({ user }) => user), ['Ada', 'Basil', 'Clara']);
    process.kill(pid, 'SIGKILL');
    const again = Number((await demo.find(/the hub is back, pid (\d+)/, 'the hub to be back'))[1]);
    const kept = (await keptMessages(demo.api, 'metrics.orders')).length;
    await eventually(async () => (await keptMessages(demo.api, 'metrics.orders')).length > kept, 'the figures to go on');
    demo.child.kill('SIGINT');
    await demo.waitFor(() => demo.code !== undefined, 'its end');
    assert.equal(demo.code, 0, demo.said);
    assert.ok(!isAlive(again));
});

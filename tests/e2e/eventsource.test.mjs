// EventSource as browsers and libraries have it, against a hub: how they read streams, what a hub's payloads become, and the life of a source, with
// one table of cases for all engines (eventsource/). Written from the HTML Living Standard §9.2 and the Fetch standard. One browser for all.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { SUITE_TLS } from './lib/line.mjs';
import { Scope, scenario } from './lib/scope.mjs';
import { tokenHub } from './lib/tokens.mjs';
import { ENGINES, Engines } from './eventsource/engines.mjs';
import { Front } from './eventsource/front.mjs';
import { brief } from './eventsource/listen.mjs';
import { LIVES } from './eventsource/lives.mjs';
import { PAGES } from './eventsource/pages.mjs';
import { PAYLOADS, send } from './eventsource/payloads.mjs';
import { STREAMS, eventOf } from './eventsource/streams.mjs';

const SETTINGS = ['--sse.retry=100ms', '--sse.heartbeat=1s', '--history.size=1000', '--history.bytes=100MiB', '--limits.message=1MiB',
    '--public.trusted_proxies=127.0.0.1', '--limits.connections_per_address=1'];

// The longest is for the bytes alone: engines take seconds for it.
const ROWS = PAYLOADS.filter((row) => row.got.length < 1 << 20);

const engines = new Engines(), common = new Scope(), fronts = {};      // what all tests share
let shared, pages, channels = 0;
after(async () => {
    await engines.close();
    await common.cleanUp();
});

// A test of one engine, which has a front of its own, on a hub that all share.
function onStage(engine, name, not, run) {
    const skip = not?.[engine] ?? ENGINES[engine].missing ?? false;
    scenario(`${engine}: ${name}`, { skip, timeout: 120_000 }, async (scope) => {
        const hub = await (shared ??= common.hub({ args: SETTINGS })), front = fronts[engine] ??= await Front.start(common, hub);
        scope.shares(hub);
        front.reset();
        const open = async (where, options) => {
            const listener = await engines.open(engine, front.url(where), { page: front.page, ...options });
            scope.defer(() => listener.close());
            return listener;
        };
        await run({ scope, hub, front, open, channel: `t${++channels}` });
    });
}

// The pieces in which a stream is sent: a CR is the end of one, so that nobody knows whether an LF follows.
const pieces = (bytes) => Buffer.from(bytes).toString('latin1').split(/(?<=\r)/).map((text) => Buffer.from(text, 'latin1'));

async function sendIn(response, all) {
    for (const piece of all) await new Promise((resolve) => response.write(piece, () => setImmediate(resolve)));
    response.end();
}

// The stream once, then 204, which is the end.
function serve(front, i, row) {
    front.rule(`/stream/${i}`, (request, response) => {
        if (front.of(`/stream/${i}`).length > 1) { response.writeHead(204).end(); return; }
        response.writeHead(200, { 'Content-Type': 'text/event-stream' });
        const bytes = Buffer.from(row.bytes), line = /[\r\n]$/.test(bytes.toString('latin1')) ? '' : '\n';
        sendIn(response, [...pieces(bytes), Buffer.from(`${line}retry: 1\n`)]);
    });
}

for (const engine of Object.keys(ENGINES)) {
    if (SUITE_TLS && ENGINES[engine].alike) continue;      // one of Chromium is enough to see lines of TLS end
    onStage(engine, 'it reads streams as the standard says, but for what it is known for', null, async ({ front, open }) => {
        const names = [...new Set(STREAMS.flatMap((row) => row.events.map((wanted) => eventOf(wanted).type)))].filter((name) => name !== 'message');
        await Promise.all(STREAMS.map(async (row, i) => {
            const [why, events, next] = row.not?.[engine] ?? ['', row.events, row.next];
            if (!events || (row.large && ENGINES[engine].slow)) return;
            serve(front, i, row);
            const listener = await open(`/stream/${i}`, { names });
            await listener.failed();
            assert.deepEqual(listener.messages.map((e) => ({ type: e.type, data: e.data, lastEventId: e.id })), events.map((e) => ({ ...eventOf(e), data: brief(eventOf(e).data) })), `${row.name} ${why}`);
            const header = front.of(`/stream/${i}`).map((r) => r.headers['last-event-id'] ?? '');
            assert.deepEqual(header, ['', next ?? row.next ?? ''], `${row.name}: what it comes back with`);
        }));
    });

    onStage(engine, 'every payload arrives, live and bare, and in envelopes later', null, async ({ hub, channel, open }) => {
        const rows = ROWS.filter((row) => !row.large || !ENGINES[engine].slow);
        const names = [...new Set(rows.map((row) => row.event))].filter((name) => name && !['message', 'open', 'error'].includes(name));
        const live = await open(`/sse?channel=${channel}`, { names });
        await live.ready();
        const sent = [];
        for (const row of rows) sent.push(await send(hub, channel, row));
        const later = await open(`/sse?channel=${channel}&format=envelope&since=all`, { names });
        const [bare, envelopes] = [await live.took(rows.length), await later.took(rows.length)];
        for (const [i, row] of rows.entries()) {
            for (const got of [bare[i], envelopes[i]]) assert.deepEqual([got.type, got.id], [row.event ?? 'message', sent[i].id], row.name);
            assert.equal(bare[i].data, brief(row.got), row.name);
            if (row.member.length < 500) assert.deepEqual(JSON.parse(envelopes[i].data).data, JSON.parse(row.member), row.name);
        }
        assert.deepEqual([bare.length, envelopes.length], [rows.length, rows.length]);
    });

    for (const { name, not, run } of LIVES) onStage(engine, name, not, run);
}

// ---- pages ----

// Two hubs, each with a door, for all of them; the page of `home` has the only origin that is listed by name.
async function pageStage() {
    const [home, foreign, door, anyDoor] = await Promise.all([1, 2, 3, 4].map(() => Front.start(common)));
    const [quick, access] = [['--sse.retry=100ms'], '[access]\nsubscribe = open.**\n[public]\n'];
    const hub = door.hub = await tokenHub(common, `${access}cors_credentials = yes\norigins = ${home.origin}\n`, { args: quick });
    anyDoor.hub = await tokenHub(common, `${access}origins = *\n`, { args: quick });
    return { hub, home, foreign, door, anyDoor };
}

for (const { name, run } of PAGES) {
    scenario(`Chromium: ${name}`, { skip: ENGINES.Chromium.missing, timeout: 120_000 }, async (scope) => {
        const stage = await (pages ??= pageStage()), { hub, home, foreign, door, anyDoor } = stage;
        for (const each of [hub, anyDoor.hub]) scope.shares(each);
        for (const front of [home, foreign, door, anyDoor]) front.reset();
        const open = async (url, { engine = 'Chromium', ...options } = {}) => {
            const listener = await engines.open(engine, url, { page: home.page, ...options });
            scope.defer(() => listener.close());
            return listener;
        };
        await run({ ...stage, scope, open, engines });
    });
}

// The JavaScript client (clients/js) on a WebSocket: what it promises, and what happens when something is wrong.
import assert from 'node:assert/strict';
import http from 'node:http';
import { CarillonError, connect } from '../../clients/js/carillon.js';
import { Client } from './lib/client.mjs';
import { FrameProxy } from './lib/frames.mjs';
import { publish, publishAll, request } from './lib/http.mjs';
import { scenario } from './lib/scope.mjs';
import { inSeconds, sign, tokenHub } from './lib/tokens.mjs';
import { eventually } from './lib/wait.mjs';

const QUICK = ['--sse.retry=100ms', '--history.size=10000'];
const code = (expected) => (error) => error instanceof CarillonError && error.code === expected;
const client = (scope, hub, options) => new Client(scope, typeof hub === 'string' ? hub : hub.publicUrl(''), options);
const subscribersOf = async (hub, channel) => (await request(hub, `/v1/channels/${channel}`)).json?.subscribers ?? 0;
const texts = (n, from = 1) => Array.from({ length: n }, (_, i) => String(i + from));

scenario('js: subscribe, publish, history, presence, iterate, close', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const page = client(scope, hub), { hub: mine } = page;
    const news = page.listen('news');
    const { position } = await news.sub.ready;
    const published = await mine.publish('news', { price: 0.1 }, { event: 'tick' });
    await page.has(news, 1);
    const { id, data, event, channel } = news.got[0];
    assert.deepEqual({ id, data, event, channel }, { id: published.id, data: { price: 0.1 }, event: 'tick', channel: 'news' });
    assert.equal(mine.position, id);
    assert.deepEqual((await mine.history('news', { since: position, limit: 10 })).messages.map((m) => m.id), [id]);
    assert.deepEqual(page.states, ['connecting', 'open']);

    const seen = [];
    const reading = (async () => { for await (const message of mine.subscribe('news', { since: 'all' })) { seen.push(message.data); if (message.data === 'last') break; } })();
    await mine.publish('news', 'last');
    await reading;
    assert.deepEqual(seen, [{ price: 0.1 }, 'last']);
    assert.equal(await subscribersOf(hub, 'news'), 1, 'two of one name are one to the hub');
    news.sub.close();
    await assert.rejects(client(scope, hub).hub.subscribe('a b', () => {}, { onEnd() {} }).ready, code('bad_channel'));
    await eventually(async () => (await subscribersOf(hub, 'news')) === 0, 'the last of the name to take the subscription along');
    assert.deepEqual(page.errors, []);
});

scenario('js: every `since` begins where PROTOCOL.md says, for channels, patterns and a second subscription of a name', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const ids = await publishAll(hub, 't.a', texts(6));
    const page = client(scope, hub);
    const first = page.listen('t.a');
    await first.sub.ready;
    for (const [since, expected] of [['all', texts(6)], ['last', ['6']], ['-2', texts(2, 5)], [ids[2], texts(3, 4)], [ids[5], []], ['10m', texts(6)],
        [new Date(Date.now() - 60_000).toISOString().slice(0, 19) + 'Z', texts(6)], [undefined, []]])
        for (const name of ['t.a', 't.*', 't.**']) {
            const kept = page.listen(name, { since });
            await kept.sub.ready;
            await publish(hub, 't.a', `${since} ${name}`);
            await page.has(kept, `${since} ${name}`);
            const old = kept.data.filter((text) => /^\d$/.test(text));
            if (since === 'last' || since === '-2') assert.equal(old.length, 0, 'newer ones have come since');
            else assert.deepEqual(old, expected, `${name} since ${since}`);
            assert.deepEqual(kept.gaps, []);
        }
    await page.has(first, 'undefined t.**');
    assert.equal(new Set(first.data).size, 24, 'who was there before has everything once');
    assert.equal(first.got.length, 24);
    await publishAll(hub, 't.b', texts(3));
    for (const options of [{}, { WebSocket: undefined }]) {
        const fresh = client(scope, hub, options);
        const listed = [['t.a', 'last', 1], ['t.a', '-3', 3], ['t.b', '-3', 3], ['t.b', 'last', 1]].map(([name, since, n]) => [fresh.listen(name, { since }), n]);
        for (const [kept, n] of listed) {
            await fresh.has(kept, n);
            assert.deepEqual(kept.data, (kept.sub.name === 't.a' ? first.data : texts(3)).slice(-n), 'each has its own newest');
        }
    }
    assert.deepEqual(page.errors, []);
});

scenario('js: a rule that begins with the newest message does so', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    await publishAll(hub, 'state', ['old', 'new']);
    const ini = scope.dir() + '/carillon.ini';
    (await import('node:fs')).writeFileSync(ini, '[channel "state"]\nlast = yes\n');
    const ruled = await scope.hub({ args: [...QUICK, '--config', ini] });
    await publishAll(ruled, 'state', ['old', 'new']);
    const page = client(scope, ruled);
    const all = page.listen('*');
    await all.sub.ready;
    const kept = page.listen('state');
    await page.has(kept, 'new');
    await publish(ruled, 'state', 'newer');
    await page.has(kept, 'newer');
    await page.has(all, 'newer');
    assert.deepEqual([kept.data, all.data], [['new', 'newer'], ['newer']]);
});

scenario('js: wherever the line is cut, each subscription has everything once and in order', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const ids = { 'x.a': await publishAll(hub, 'x.a', texts(5)), 'x.b': await publishAll(hub, 'x.b', texts(5)) };
    const say = async (channel, text) => ids[channel].push((await publish(hub, channel, text)).id);
    const proxy = await FrameProxy.listen(scope, hub);
    let n = 10, frames = 0, cutAt = 1;
    proxy.onFrame = (frame, side) => { if (side === 'hub' && cutAt && ++frames >= cutAt) { frames = 0; return 'cut'; } return undefined; };
    const page = client(scope, proxy.url);
    const all = [page.listen('x.a', { since: 'all' }), page.listen('x.*', { since: 'all' }), page.listen('x.b', { since: '-3' })];
    for (cutAt = 2; cutAt <= 24; cutAt += 2) {
        const line = proxy.connections;
        if (cutAt === 12) all.push(page.listen('x.b', { since: 'all' }));      // in the middle of it
        while (proxy.connections === line) for (const channel of ['x.a', 'x.b', 'x.a']) await say(channel, String(++n));
    }
    cutAt = 0;
    for (const channel of ['x.a', 'x.b']) await say(channel, 'end');
    const { 'x.a': a, 'x.b': b } = ids;
    const both = [...a, ...b].sort((p, q) => p.split('.')[1] - q.split('.')[1]);
    for (const [each, expected] of [[all[0], a], [all[1], both], [all[3], b]]) {
        await page.waitFor(() => each.got.at(-1)?.id === expected.at(-1), `the last message of ${each.sub.name}`);
        assert.deepEqual(each.got.map((m) => m.id), expected, each.sub.name);
    }
    await page.waitFor(() => all[2].got.at(-1)?.id === b.at(-1), 'the last message');
    assert.deepEqual(all[2].got.map((m) => m.id), b.slice(-all[2].got.length), 'whatever it began with, nothing is missing from there on');
    assert.deepEqual([page.gaps, page.errors.filter((e) => e.code !== 'unreachable')], [[], []]);
    assert.ok(proxy.connections >= 10, `${proxy.connections} connections`);
});

scenario('js: who comes second and wants few misses nothing of what came meanwhile for the first', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const proxy = await FrameProxy.listen(scope, hub);
    const page = client(scope, proxy.url);
    const first = page.listen('n');
    await first.sub.ready;
    let go;
    proxy.onFrame = (frame, side) => (side === 'client' && frame.type === 'subscribe' && !go ? new Promise((resolve) => { go = resolve; }) : undefined);
    const second = page.listen('n', { since: '-1' });
    await eventually(() => go, 'its subscribe');
    await publishAll(hub, 'n', texts(4));      // while the name is not subscribed to at all
    go();
    await page.has(first, '4');
    await page.has(second, '4');
    assert.deepEqual([first.data, second.data], [texts(4), ['4']]);

    await publish(hub, 'm.old', 'kept');
    const all = page.listen('m.*');
    await all.sub.ready;
    go = null;
    const newest = page.listen('m.*', { since: 'last' });
    await eventually(() => go, 'its subscribe');
    for (const [channel, text] of [['m.a', 'a1'], ['m.b', 'b1'], ['m.a', 'a2']]) await publish(hub, channel, text);
    go();
    await page.has(all, 'a2');
    await page.has(newest, 'a2');
    await publish(hub, 'm.a', 'live');
    for (const kept of [all, newest]) await page.has(kept, 'live');
    assert.deepEqual([all.data, newest.data], [['a1', 'b1', 'a2', 'live'], ['kept', 'b1', 'a2', 'live']]);
    assert.deepEqual(page.gaps, []);
});

scenario('js: a name is given up and wanted again while its replay runs', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    await publishAll(hub, 'r', texts(20));
    const proxy = await FrameProxy.listen(scope, hub);
    const page = client(scope, proxy.url);
    let second, seen = 0;
    const first = page.listen('r', { since: 'all' });
    page.hub.on('message', () => { if (++seen === 5) { first.sub.close(); second = page.listen('r', { since: 'all' }); } });
    await page.waitFor(() => second?.got.length === 20, 'all of it again');
    assert.deepEqual([first.data, second.data], [texts(5), texts(20)]);
    await assert.doesNotReject(first.sub.ready);
    assert.equal(second.sub.state, 'live');
});

scenario('js: a gap is told where something may be missing, and only there', async (scope) => {
    const hub = await scope.hub({ args: ['--sse.retry=100ms', '--history.size=5'] });
    const proxy = await scope.proxy(hub.public);
    const page = client(scope, `http${hub.public.tls ? 's' : ''}://127.0.0.1:${proxy.port}`);
    const [narrow, wide, quiet] = [page.listen('g'), page.listen('g'), page.listen('q')];
    await Promise.all([narrow, wide, quiet].map((kept) => kept.sub.ready));
    await publish(hub, 'g', '0');
    await page.has(narrow, '0');
    proxy.refusing = true;
    proxy.cut();
    await publish(hub, 'q', 'kept');      // what is missing of `g` comes after it
    await publishAll(hub, 'g', texts(9));
    proxy.refusing = false;
    await page.has(narrow, '9');
    assert.deepEqual([narrow.data, wide.data], [['0', ...texts(5, 5)], ['0', ...texts(5, 5)]]);
    assert.deepEqual([narrow, wide, quiet].map((kept) => kept.gaps.map((gap) => gap.reason)), [['history'], ['history'], []]);
    assert.deepEqual(quiet.data, ['kept']);

    const foreign = page.listen('g', { since: 'aaaaaaaa.1' });
    await page.has(foreign, '9');
    assert.deepEqual([foreign.gaps.map((gap) => gap.reason), foreign.data], [['epoch'], texts(5, 5)]);
    assert.equal(narrow.gaps.length, 1, 'the others miss nothing');
    assert.deepEqual(page.errors, []);
});

scenario('js: a publish is sent again until it is answered, and published once', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const proxy = await FrameProxy.listen(scope, hub);
    const page = client(scope, proxy.url, { queue: 4 }), { hub: mine } = page;
    const first = mine.publish('p', 'before it connects');
    assert.equal((await first).channel, 'p');
    let cuts = 3;
    proxy.onFrame = (frame, side) => (side === 'hub' && frame.type === 'ok' && frame.channel && cuts-- > 0 ? 'cut' : undefined);
    const { replayed } = await mine.publish('p', 'whose answer is lost');
    assert.equal(replayed, true);
    cuts = 1;
    await assert.rejects(mine.publish('p', 'without a key', { key: false }), code('outcome_unknown'));
    await page.until('open');
    assert.deepEqual((await mine.history('p')).messages.map((m) => m.data), ['before it connects', 'whose answer is lost', 'without a key']);

    proxy.refusing = true;
    proxy.cut();
    await page.until('waiting');
    const queued = texts(4).map((text) => mine.publish('p', text));
    await assert.rejects(mine.publish('p', 'one too many'), code('queue_full'));
    proxy.refusing = false;
    await Promise.all(queued);
    assert.deepEqual((await mine.history('p', { since: '-4' })).messages.map((m) => m.data), texts(4), 'in order');
    const ifPosition = (await mine.history('p', { since: 'last' })).position;
    await mine.publish('p', 'the newest is known', { ifPosition });
    await assert.rejects(mine.publish('p', 'x', { ifPosition }), (error) => code('position_changed')(error) && error.position > ifPosition);
    await assert.rejects(mine.publish('p', 'x', { ifPosition: null }), code('position_changed'));
    await mine.publish('fresh', 'x', { ifPosition: null });
});

scenario('js: what cannot be published is refused, and the connection stays', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const page = client(scope, hub), { hub: mine } = page;
    const circle = {};
    circle.circle = circle;
    for (const [data, expected] of [[circle, 'bad_json'], [{ n: 1n }, 'bad_json'], ['x'.repeat(100 * 1024), 'message_too_large'], ['x'.repeat(1024 * 1024), 'message_too_large'],
        ['é'.repeat(600 * 1024), 'message_too_large']])
        await assert.rejects(mine.publish('p', data), code(expected));
    for (const channel of ['', 'a b', '*', 'x'.repeat(201)]) await assert.rejects(mine.publish(channel, 1), code('bad_channel'));
    await assert.rejects(mine.publish('p', 1, { event: 'a b' }), code('bad_event'));
    await assert.rejects(mine.presence('p', { limit: -1 }), code('bad_field'));
    assert.equal((await mine.publish('p', undefined)).channel, 'p');
    void mine.publish('a b', 'nobody looks at this promise');
    assert.deepEqual(page.states, ['connecting', 'open']);

    const narrow = await scope.hub({ args: [...QUICK, '--public.max_frame=8KiB', '--limits.message=4KiB'] });
    const other = client(scope, narrow);
    const [large, small] = [other.hub.publish('p', 'x'.repeat(100 * 1024)), other.hub.publish('p', 'small')];
    await assert.rejects(large, code('frame_too_large'));
    assert.equal((await small).channel, 'p');
});

scenario('js: a callback that throws harms nobody, and is told', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const page = client(scope, hub), { hub: mine } = page;
    const thrown = new Error('of a callback');
    mine.subscribe('c', () => { throw thrown; });
    mine.subscribe('c', async () => { throw thrown; });
    mine.on('state', () => { throw thrown; });
    mine.on('message', async () => { throw thrown; });
    const kept = page.listen('c', { onEnd() { throw thrown; } });
    await kept.sub.ready;
    await mine.publish('c', 1);
    await mine.publish('c', 2);
    await page.has(kept, 2);
    await page.waitFor(() => page.errors.length === 7, 'all of them');
    assert.ok(page.errors.every((error) => error === thrown));
    const said = [];
    const { error: before } = console;
    console.error = (error) => said.push(error);
    try {
        mine.on('error', () => { throw new Error('of the handler of errors'); });
        await mine.publish('c', 3);
        await page.has(kept, 3);
        mine.close();
        await eventually(() => said.length === 4, 'what nobody else takes');
    } finally {
        console.error = before;
    }
    assert.deepEqual(kept.data, [1, 2, 3]);
});

scenario('js: what the hub does not allow ends the subscription alone', async (scope) => {
    const hub = await tokenHub(scope, '[presence]\nmembers = yes\n', { args: QUICK });
    const page = client(scope, hub, { token: await sign({ sub: 'ann', carillon: { subscribe: ['a', 'b'] } }) });
    const [a, b, c, who] = [page.listen('a'), page.listen('b'), page.listen('c'), page.listen('a', { presence: true })];
    await page.waitFor(() => c.ends.length && who.ends.length, 'two to end');
    await Promise.all([a, b].map((kept) => kept.sub.ready));
    assert.deepEqual([a.ends, b.ends, c.ends, who.ends], [[], [], ['forbidden'], ['forbidden']]);
    await assert.rejects(page.hub.publish('a', 1), code('forbidden'));
    await assert.rejects((async () => { for await (const _ of page.hub.subscribe('c')); })(), code('forbidden'));
    assert.equal(page.hub.user, 'ann');
    page.hub.subscribe('d', () => {});
    await page.waitFor(() => page.errors.length, 'who has no onEnd is told by `error`');
    assert.deepEqual(page.errors.map((error) => error.code), ['forbidden']);
    assert.deepEqual(page.states, ['connecting', 'open']);
});

scenario('js: a refused token ends it; a callback is asked once more, not without end', async (scope) => {
    const hub = await tokenHub(scope, '[tokens]\nleeway = 0\n', { args: QUICK });
    const expired = await sign({ sub: 'ann' }, {}), old = await sign({ sub: 'ann', exp: inSeconds(-60) });
    assert.ok(expired);
    for (const [token, expected, most] of [['nonsense', 'unauthenticated', 1], [`${expired}x`, 'bad_token', 1], [old, 'token_expired', 1]]) {
        for (const isCallback of [false, true]) {
            let asked = 0;
            const page = client(scope, hub, { token: isCallback ? async () => { asked++; return token; } : token });
            const kept = page.listen('a');
            const queued = page.hub.publish('a', 1);
            await page.until('closed');
            assert.deepEqual([page.errors.map((e) => e.code), kept.ends], [[expected], [expected]]);
            await assert.rejects(kept.sub.ready, code(expected));
            await assert.rejects(queued, code(expected));
            assert.ok(asked <= most + 1, `${expected}: asked ${asked} times`);
            await assert.rejects(page.hub.publish('a', 1), code('closed'));
        }
    }
});

scenario('js: a token callback that fails is told and asked again; one that was stale is forgiven', async (scope) => {
    const hub = await tokenHub(scope, '[tokens]\nleeway = 0\n', { args: QUICK });
    const good = await sign({ sub: 'ann', carillon: { subscribe: ['a'] } }), old = await sign({ sub: 'ann', exp: inSeconds(-60) });
    const answers = [() => { throw new Error('thrown'); }, async () => { throw new Error('rejected'); }, () => new Promise(() => {}), async () => ({ no: 'string' }), async () => old, async () => good];
    const { setTimeout: before } = globalThis;
    globalThis.setTimeout = (fn, ms, ...more) => before(fn, ms === 15_000 ? 30 : ms, ...more);      // its deadline for tokens
    const { random } = Math;
    Math.random = () => 0.02;      // and how long it waits between attempts
    scope.defer(() => { globalThis.setTimeout = before; Math.random = random; });
    const page = client(scope, hub, { token: () => answers.shift()() });
    const kept = page.listen('a');
    await kept.sub.ready;
    assert.equal(page.hub.user, 'ann');
    assert.deepEqual(page.errors.map((error) => error.code), ['no_token', 'no_token', 'no_token', 'no_token']);
    assert.equal(answers.length, 0);
});

scenario('js: before a token ends another takes its place; one that ended is replaced on the next connection', async (scope) => {
    const hub = await tokenHub(scope, '[tokens]\nleeway = 0\n', { args: QUICK });
    const made = [];
    const make = (seconds) => sign({ sub: 'ann', exp: inSeconds(seconds), carillon: { subscribe: ['a'], publish: ['a'] } });
    const page = client(scope, hub, { token: async () => { made.push(1); return make(made.length === 1 ? 2 : 600); } });
    const kept = page.listen('a');
    await kept.sub.ready;
    await eventually(() => made.length === 2, 'a second token');
    await page.hub.publish('a', 'after the renewal');
    await page.has(kept, 1);
    assert.deepEqual(page.states, ['connecting', 'open'], 'without interruption');

    let first = await make(2);
    const other = client(scope, hub, { token: () => { const token = first ?? make(600); first = null; if (other.hub.state === 'open') throw new Error('no renewal'); return token; } });
    const listener = other.listen('a');
    await listener.sub.ready;
    first = undefined;
    await other.waitFor(() => other.states.includes('waiting token_expired'), '4001');
    await page.hub.publish('a', 'while it was away, or not');
    await other.has(listener, 'while it was away, or not');
    assert.deepEqual(listener.gaps, []);
});

scenario('js: the channels of a token are resumed too when they are subscribed to', async (scope) => {
    const hub = await tokenHub(scope, '', { args: QUICK });
    const backend = { headers: { Authorization: `Bearer ${await sign({ carillon: { publish: ['**'] } })}` } };
    const proxy = await FrameProxy.listen(scope, hub);
    const page = client(scope, proxy.url, { token: await sign({ sub: 'ann', carillon: { channels: ['news'] } }) });
    const kept = [page.listen('user.ann'), page.listen('news')];
    await Promise.all(kept.map(({ sub }) => sub.ready));
    for (let i = 0; i < 3; i++) {
        proxy.refusing = true;
        proxy.cut();
        for (const channel of ['user.ann', 'news']) await publish(hub, channel, String(i), backend);
        proxy.refusing = false;
        for (const each of kept) await page.has(each, String(i));
    }
    assert.deepEqual(kept.map((each) => each.data), [texts(3, 0), texts(3, 0)]);
    assert.deepEqual([page.gaps, page.errors], [[], []]);
});

scenario('js: a hub that is down at the start is waited for, and told once', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    await hub.kill9();
    const page = client(scope, hub);
    const kept = page.listen('a'), published = page.hub.publish('a', 'early');
    await page.waitFor(() => page.states.filter((state) => state === 'connecting').length >= 2, 'several attempts');
    assert.deepEqual(page.errors.map((error) => error.code), ['unreachable']);
    await hub.restart();
    await published;
    await kept.sub.ready;
    await publish(hub, 'a', 'late');
    await page.has(kept, 'late');
    assert.equal(page.errors.length, 1);
});

scenario('js: wrong addresses', async (scope) => {
    for (const url of ['nonsense', '', 'ftp://example.com', 'mailto:a@b.c']) assert.throws(() => connect(url), code('bad_url'), url);
    const hub = await scope.hub({ args: QUICK });
    const wrongPath = client(scope, `${hub.publicUrl('')}/nothing/here`);
    wrongPath.listen('a');
    await wrongPath.until('closed');
    assert.deepEqual(wrongPath.errors.map((error) => error.code), ['unreachable', 'not_found']);

    const server = http.createServer((request, response) => response.writeHead(404, { 'Content-Type': 'text/html' }).end('<h1>404</h1>'));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => { server.closeAllConnections(); server.close(); });
    const elsewhere = client(scope, `http://127.0.0.1:${server.address().port}`);
    elsewhere.listen('a');
    await elsewhere.waitFor(() => elsewhere.states.filter((state) => state === 'waiting unreachable').length >= 3, 'attempts');
    assert.deepEqual(elsewhere.errors.map((error) => error.code), ['unreachable'], 'it goes on trying: another may answer there tomorrow');
});

scenario('js: close() settles everything, at any time', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    for (const moment of ['at once', 'connecting', 'open']) {
        const page = client(scope, hub, { token: moment === 'connecting' ? () => new Promise(() => {}) : undefined }), { hub: mine } = page;
        const kept = page.listen('a');
        const reading = (async () => { for await (const _ of mine.subscribe('b')); return 'ended'; })();
        if (moment === 'connecting') await page.until('connecting');
        if (moment === 'open') await kept.sub.ready;
        const asked = [mine.publish('a', 1), mine.history('a'), mine.presence('a')];
        mine.close();
        mine.close();
        for (const promise of asked) await assert.rejects(promise, code('closed'));
        assert.equal(await reading, 'ended');
        if (moment !== 'open') await assert.rejects(kept.sub.ready, code('closed'));
        assert.deepEqual([kept.sub.state, mine.state, page.errors, kept.ends], ['closed', 'closed', [], []]);
        await assert.rejects(mine.subscribe('a', () => {}).ready, code('closed'));
        await assert.rejects(mine.publish('a', 1), code('closed'));
    }
    await eventually(async () => (await subscribersOf(hub, 'a')) === 0, 'nothing to be left at the hub');
});

scenario('js: an iterator that nobody reads ends with slow_consumer, after what it has', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const page = client(scope, hub), { hub: mine } = page;
    const sub = mine.subscribe('s', { buffer: 3 });
    const iterator = sub[Symbol.asyncIterator]();
    const first = iterator.next();
    await sub.ready;
    for (const text of texts(6)) await mine.publish('s', text);
    assert.equal((await first).value.data, '1');
    const rest = [];
    await assert.rejects(async () => { for (let step; !(step = await iterator.next()).done;) rest.push(step.value.data); }, code('slow_consumer'));
    assert.deepEqual(rest, ['2', '3', '4']);
    await assert.rejects(sub[Symbol.asyncIterator]().next(), TypeError);
});

scenario('js: who comes and goes, also when it is asked for later, and again after a cut', async (scope) => {
    const hub = await scope.hub({ args: [...QUICK, '--presence.grace=0'] });
    const join = async (user) => scope.ws(hub, `/ws?channel=room&user=${user}`);
    const proxy = await FrameProxy.listen(scope, hub);
    const page = client(scope, proxy.url);
    const plain = page.listen('room');
    await plain.sub.ready;
    const kept = page.listen('room', { presence: true });
    await kept.sub.ready;
    await join('ann');
    await page.waitFor(() => kept.members.length === 1, 'ann');
    proxy.cut();
    await page.until('waiting');
    await page.until('open');
    await eventually(async () => (await subscribersOf(hub, 'room')) === 2, 'it to be back');
    await page.hub.presence('room');      // behind its `subscribe`
    (await join('bob')).terminate();
    await page.waitFor(() => kept.members.length === 3, 'bob');
    assert.deepEqual(kept.members, ['member-joined ann', 'member-joined bob', 'member-left bob']);
    assert.deepEqual((await page.hub.presence('room')).data.map((member) => member.user), ['ann']);
    assert.equal((await page.hub.presence('room', { limit: 0 })).count, 1);
});

scenario('js: a line that died in silence is noticed by a ping without an answer', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const proxy = await FrameProxy.listen(scope, hub);
    const page = client(scope, proxy.url, { ping: 60 });
    const kept = page.listen('a');
    await kept.sub.ready;
    let isDead = true;
    const line = proxy.connections;
    proxy.onFrame = () => (isDead && proxy.connections === line ? 'drop' : undefined);
    const published = page.hub.publish('a', 'into the hole');
    await page.waitFor(() => page.states.includes('waiting unreachable'), 'it to be noticed');
    isDead = false;
    await published;
    await page.has(kept, 'into the hole');
    assert.equal(kept.got.length, 1);
});

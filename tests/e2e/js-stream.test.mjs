// The JavaScript client where WebSockets do not get through: streams of events, and the API for what has to be asked.
import assert from 'node:assert/strict';
import { CarillonError } from '../../clients/js/carillon.js';
import { Client } from './lib/client.mjs';
import { FrameProxy } from './lib/frames.mjs';
import { publish, publishAll, request } from './lib/http.mjs';
import { scenario } from './lib/scope.mjs';
import { inSeconds, sign, tokenHub } from './lib/tokens.mjs';
import { eventually } from './lib/wait.mjs';

const QUICK = ['--sse.retry=100ms', '--history.size=10000'];
const code = (expected) => (error) => error instanceof CarillonError && error.code === expected;
const texts = (n, from = 1) => Array.from({ length: n }, (_, i) => String(i + from));
// Node 20 has no WebSocket, and needs no package for this.
const streaming = (scope, hub, options) => new Client(scope, typeof hub === 'string' ? hub : hub.publicUrl(''), { WebSocket: undefined, ...options });
const through = (proxy) => `http${proxy.tls ? 's' : ''}://127.0.0.1:${proxy.port}`;

scenario('js stream: every `since`, of channels and patterns, also when one comes later', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const ids = await publishAll(hub, 't.a', texts(6));
    const page = streaming(scope, hub), listed = [];
    for (const [since, expected] of [['all', texts(6)], ['last', ['6']], ['-2', texts(2, 5)], [ids[2], texts(3, 4)], [ids[5], []], ['10m', texts(6)], [undefined, []]])
        for (const name of ['t.a', 't.*']) listed.push([page.listen(name, { since }), expected]);
    await Promise.all(listed.map(([kept]) => kept.sub.ready));
    await publish(hub, 't.a', 'live');
    for (const [kept, expected] of listed) {
        await page.has(kept, 'live');
        assert.deepEqual(kept.data, [...expected, 'live'], `${kept.sub.name} since ${kept.sub.since}`);
    }
    const late = page.listen('t.a', { since: 'all' }), now = page.listen('other');
    await Promise.all([late, now].map((kept) => kept.sub.ready));
    await page.has(late, 'live');
    assert.deepEqual(late.data, [...texts(6), 'live']);
    late.sub.close();
    for (const channel of ['t.a', 'other']) await publish(hub, channel, 'end');
    for (const kept of [listed[0][0], now]) await page.has(kept, 'end');
    assert.equal(listed[0][0].got.length, 8);
    assert.deepEqual([late.got.length, page.gaps, page.errors], [7, [], []]);
    assert.deepEqual(page.states, ['connecting', 'open'], 'another stream is no interruption to speak of');
});

scenario('js stream: cut anywhere, and with subscriptions that come and go, everything once and in order', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const ids = { 'x.a': [], 'x.b': [] };
    const say = async (channel, text) => ids[channel].push((await publish(hub, channel, text)).id);
    for (const text of texts(5)) for (const channel of ['x.a', 'x.b']) await say(channel, text);
    const proxy = await scope.proxy(hub.public);
    const page = streaming(scope, through(proxy));
    const a = page.listen('x.a', { since: 'all' }), all = page.listen('x.*', { since: 'all' });
    let late, n = 5;
    for (let round = 0; round < 6; round++) {
        for (let i = 0; i < 3; i++) for (const channel of ['x.a', 'x.b']) await say(channel, String(++n));
        if (round === 2) late = page.listen('x.b', { since: 'all' });
        const passing = page.listen(`x.${round}`, { since: round % 2 ? 'last' : undefined });
        if (round % 3 === 0) await passing.sub.ready;
        proxy.cut();
        for (let i = 0; i < 3; i++) for (const channel of ['x.a', 'x.b']) await say(channel, String(++n));
        if (round % 3) await passing.sub.ready;
        passing.sub.close();
    }
    for (const channel of ['x.a', 'x.b']) await say(channel, 'end');
    const both = [...ids['x.a'], ...ids['x.b']].sort((p, q) => p.split('.')[1] - q.split('.')[1]);
    for (const [kept, expected] of [[a, ids['x.a']], [all, both], [late, ids['x.b']]]) {
        await page.waitFor(() => kept.got.at(-1)?.id === expected.at(-1), `the last of ${kept.sub.name}`);
        assert.deepEqual(kept.got.map((m) => m.id), expected, kept.sub.name);
    }
    assert.deepEqual(page.gaps, []);
});

scenario('js stream: over kill -9; a gap is told to whom it concerns', async (scope) => {
    const hub = await scope.hub({ args: ['--sse.retry=100ms', '--history.size=5'] });
    const page = streaming(scope, hub);
    const [kept, quiet] = [page.listen('g'), page.listen('q')];
    await Promise.all([kept, quiet].map(({ sub }) => sub.ready));
    await publish(hub, 'g', 'before');
    await page.has(kept, 'before');
    await hub.kill9();
    await hub.restart();
    await publishAll(hub, 'g', texts(9));
    await page.has(kept, '9');
    const [, first] = kept.data;      // it may have been back before history was full
    assert.deepEqual(kept.data, ['before', ...texts(10 - first, Number(first))]);
    assert.deepEqual([kept.gaps.map(({ reason }) => reason), quiet.gaps], [first === '1' ? [] : ['history'], []]);
    const foreign = page.listen('g', { since: 'aaaaaaaa.1' });
    await page.has(foreign, '9');
    assert.deepEqual([foreign.gaps.map(({ reason }) => reason), foreign.data, quiet.gaps], [['epoch'], texts(5, 5), []]);
});

scenario('js stream: what is asked goes to the API, or is `unsupported`', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const page = streaming(scope, hub, { api: hub.apiUrl('') }), { hub: mine } = page;
    const early = mine.publish('p', 'without a subscription');
    assert.equal((await early).channel, 'p');
    const kept = page.listen('p', { since: 'all' });
    const { id } = await mine.publish('p', { price: 0.1 }, { event: 'tick', key: 'once' });
    assert.equal((await mine.publish('p', { price: 0.1 }, { event: 'tick', key: 'once' })).id, id);
    await page.has(kept, 2);
    assert.deepEqual([kept.got[1].data, kept.got[1].event], [{ price: 0.1 }, 'tick']);
    const { messages, position, channel } = await mine.history('p', { since: '-1' });
    assert.deepEqual([messages.map((m) => m.id), position, channel], [[id], id, 'p']);
    assert.deepEqual((await mine.presence('p')).data, []);
    await assert.rejects(mine.publish('p', 1, { ifPosition: null }), (error) => code('position_changed')(error) && error.position === id && error.status === 412);
    await assert.rejects(mine.publish('a b', 1), code('bad_channel'));
    const mute = streaming(scope, hub);
    for (const asked of [mute.hub.publish('p', 1), mute.hub.history('p'), mute.hub.presence('p')]) await assert.rejects(asked, code('unsupported'));
    assert.equal(mute.hub.state, 'open');

    const away = streaming(scope, hub, { api: 'http://127.0.0.1:1' });
    await assert.rejects(away.hub.publish('p', 1, { key: false }), code('outcome_unknown'));
});

scenario('js stream: a name that is refused ends alone; tokens travel in a header and are replaced when they have ended', async (scope) => {
    const hub = await tokenHub(scope, '[tokens]\nleeway = 0\n[presence]\nmembers = yes\n', { args: QUICK });
    const make = (seconds) => sign({ sub: 'ann', exp: inSeconds(seconds), carillon: { subscribe: ['a', 'b'], presence: ['a', 'b'] } });
    const backend = { headers: { Authorization: `Bearer ${await sign({ carillon: { publish: ['**'] } })}` } };
    let seconds = 2;
    const page = streaming(scope, hub, { token: async () => make(seconds) });
    const [a, b, c, bad] = [page.listen('a'), page.listen('b'), page.listen('c'), page.listen('a b')];
    await Promise.all([a, b].map(({ sub }) => sub.ready));
    assert.deepEqual([c.ends, bad.ends, page.errors], [['forbidden'], ['bad_channel'], []]);
    seconds = 600;
    await page.waitFor(() => page.states.includes('waiting token_expired'), 'its end');
    await publish(hub, 'a', 'meanwhile', backend);
    await page.has(a, 'meanwhile');
    assert.deepEqual(a.gaps, []);

    const wrong = streaming(scope, hub, { token: 'wrong' });
    const kept = wrong.listen('a');
    await wrong.until('closed');
    assert.deepEqual([kept.ends, wrong.errors.map((error) => error.code)], [['unauthenticated'], ['unauthenticated']]);
});

scenario('js stream: it is chosen when sockets fail and the hub is there, and given up when they do not', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const proxy = await FrameProxy.listen(scope, hub);
    proxy.refusing = true;
    const { random } = Math, { now } = Date;
    Math.random = () => 0.02;      // how long it waits between attempts
    scope.defer(() => Object.assign(Math, { random }) && Object.assign(Date, { now }));
    const page = new Client(scope, proxy.url, { api: hub.apiUrl('') });
    const kept = page.listen('f'), published = page.hub.publish('f', '1');
    await kept.sub.ready;
    await published;
    await page.has(kept, '1');
    assert.equal(proxy.connections, 0);

    proxy.refusing = false;
    Date.now = () => now() + 61_000;
    proxy.server.closeAllConnections();
    await proxy.waitFor(() => proxy.connections === 1, 'a WebSocket');
    await publish(hub, 'f', '2');
    await page.has(kept, '2');
    assert.deepEqual([kept.data, page.gaps, page.errors.map((error) => error.code)], [['1', '2'], [], ['unreachable']]);
});

scenario('js stream: who comes and goes, where all channels are asked about', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const page = streaming(scope, hub);
    const kept = page.listen('room', { presence: true });
    await kept.sub.ready;
    await scope.ws(hub, '/ws?channel=room&user=ann');
    await page.waitFor(() => kept.members.length === 1, 'ann');
    assert.deepEqual([kept.members, page.errors], [['member-joined ann'], []]);
    page.listen('plain');
    await page.waitFor(() => page.errors.length === 1, 'it to be told');
    assert.equal(page.errors[0].code, 'unsupported');
});

scenario('js stream: one that is silent is given up, and one that is closed leaves nothing', async (scope) => {
    const hub = await scope.hub({ args: [...QUICK, '--sse.heartbeat=30s'] });
    const page = streaming(scope, hub, { ping: 100 });
    const kept = page.listen('s');
    await kept.sub.ready;
    await page.waitFor(() => page.states.includes('waiting unreachable'), 'the silence to be noticed');
    await publish(hub, 's', '1');
    await page.has(kept, '1');
    page.hub.close();
    await eventually(async () => !(await request(hub, '/v1/channels/s')).json?.subscribers, 'no subscriber');
});

// Patterns as their users meet them: orders.* and orders.** on SSE, WebSocket and poll, live and after a break, beside channels that they match.
import assert from 'node:assert/strict';
import { EventSource } from 'eventsource';
import { scenario } from './lib/scope.mjs';
import { Pipeline } from './lib/pipeline.mjs';
import { SseReader, WsReader } from './lib/reader.mjs';
import { checkExactlyOnce, numberOf } from './lib/ledger.mjs';
import { apiProblemOf, post, problemOf, publish, publishAll, request } from './lib/http.mjs';
import { bearer, sign, tokenHub } from './lib/tokens.mjs';
import { Watched, eventually } from './lib/wait.mjs';

const envelopes = (messages) => messages.map((m) => JSON.parse(m.data));
const shown = (messages) => messages.map((m) => `${m.channel}:${m.data}`);
const poll = (hub, query) => request(hub.public, `/poll?${query}`);
const subscribe = (socket, channels, more = {}) => socket.ask({ type: 'subscribe', channels, ...more });

async function send(hub, names) {
    const ids = [];
    for (const name of names) ids.push((await publish(hub, name, name)).id);
    return ids;
}

scenario('a star is one segment, two stars are one or more, and no segment is none', async (scope) => {
    const hub = await scope.hub();
    const names = ['orders', 'orders.eu', 'orders.us', 'orders.eu.42', 'order', 'ordersx.eu', 'orders..eu', 'orders.', 'x.orders.eu', 'EU', 'orders.eu.42.a'];
    const wanted = {
        'orders.*': ['orders.eu', 'orders.us', 'orders.'],
        'orders.**': ['orders.eu', 'orders.us', 'orders.eu.42', 'orders..eu', 'orders.', 'orders.eu.42.a'],
        '*': ['orders', 'order', 'EU'],
        '*.eu': ['orders.eu', 'ordersx.eu'],
        '*.*.*': ['orders.eu.42', 'orders..eu', 'x.orders.eu'],
        'orders.*.42': ['orders.eu.42'],
        'orders.eu.**': ['orders.eu.42', 'orders.eu.42.a'],
        '**': names,
    };
    const streams = {}, sockets = {};
    for (const pattern of Object.keys(wanted)) {
        streams[pattern] = await scope.sse(hub, `/sse?channel=${encodeURIComponent(pattern)}`);
        await streams[pattern].ready();
        sockets[pattern] = await scope.ws(hub, '/ws');
        assert.equal((await subscribe(sockets[pattern], [pattern])).channel, pattern);
    }
    await send(hub, [...names, 'orders.end']);
    for (const [pattern, expected] of Object.entries(wanted)) {
        assert.deepEqual(envelopes(await streams[pattern].take(expected.length)).map((m) => m.channel), expected, pattern);
        assert.deepEqual((await sockets[pattern].take(expected.length)).map((m) => m.channel), expected, pattern);
    }
    assert.deepEqual((await poll(hub, 'channel=orders.*&since=all')).json.messages.map((m) => m.channel), [...wanted['orders.*'], 'orders.end']);
});

for (const Kind of [SseReader, WsReader]) {
    scenario(`${Kind.name}: channels born while the line was cut, and while the hub was killed, come in order and once, beside a channel and patterns that overlap`, async (scope) => {
        const hub = await scope.hub({ args: ['--history.size=10000', '--sse.retry=100ms'] });
        const proxy = await scope.proxy(hub.public);
        const one = new Kind(proxy, ['orders.*', 'orders.eu', '**', 'orders.**']), narrow = new Kind(proxy, ['orders.*']);
        scope.defer(() => { one.close(); narrow.close(); });
        await Promise.all([one.ready(), narrow.ready()]);
        const all = [], orders = [];
        const say = async (channel, text) => {
            const { id } = await publish(hub, channel, text);
            all.push([text, id]);
            if (/^orders\.[^.]*$/.test(channel)) orders.push([text, id]);
        };
        for (let cut = 0; cut < 3; cut++) {
            const before = one.connections, alike = narrow.connections;
            await say('orders.eu', `eu ${cut}`);
            proxy.cut();
            for (let i = 0; i < 20; i++) await say(i % 3 ? `orders.new${cut}-${i}` : i % 2 ? 'elsewhere' : `orders.deep.${i}`, `away ${cut} ${i}`);
            await Promise.all([one.waitFor(() => one.connections > before, 'it to come back'), narrow.waitFor(() => narrow.connections > alike, 'it to come back')]);
        }
        proxy.cut();
        for (let i = 0; i < 10; i++) await say(`orders.unborn${i}`, `killed ${i}`);
        await hub.kill9();
        await hub.restart();
        await say('orders.after', 'after the kill');
        await say('orders.end', 'end');
        await Promise.all([one.has('end', 30_000), narrow.has('end', 30_000)]);
        checkExactlyOnce(one.received, all);
        assert.equal(one.received.length, all.length);
        checkExactlyOnce(narrow.received, orders);
        assert.equal(narrow.received.length, orders.length, 'nothing that does not match');
        assert.deepEqual([...one.gaps, ...narrow.gaps], []);
    });
}

scenario('while publishers go on, cuts and all, each message comes once to a reader with a channel and a pattern that matches it', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=100000', '--history.bytes=64MiB', '--edge.ring_bytes=16KiB'] });
    const proxy = await scope.proxy(hub.public);
    const readers = [new SseReader(proxy, ['load.1', 'load.*']), new WsReader(proxy, ['**', 'load.2', 'load.*'])];
    for (const reader of readers) scope.defer(() => reader.close());
    await Promise.all(readers.map((r) => r.ready()));
    const publishers = [1, 2, 3].map((n) => new Pipeline(hub, `load.${n}`, { window: 50, total: 2000, text: (i) => `${n} ${i}` }));
    for (const publisher of publishers) scope.defer(() => publisher.close());
    for (let cut = 1; cut <= 3; cut++) {
        await Promise.all(publishers.map((p) => p.reached(400 * cut, 60_000)));
        proxy.cut();
        await Promise.all(readers.map((r) => r.ready(cut + 1)));
    }
    await Promise.all(publishers.map((p) => p.finished(60_000)));
    const acknowledged = publishers.flatMap((p) => [...p.acknowledged].map(([n, id]) => [p.text(n), id]));
    acknowledged.push(['end', (await publish(hub, 'load.1', 'end')).id]);
    for (const reader of readers) {
        await reader.has('end', 60_000);
        checkExactlyOnce(reader.received, acknowledged);
        assert.deepEqual(reader.gaps, []);
    }
});

scenario('npm eventsource resumes a pattern by itself, over channels that nobody had used before', async (scope) => {
    const hub = await scope.hub({ args: ['--sse.retry=100ms', '--history.size=1000'] });
    const got = new (class extends Watched { list = []; ready = 0; state() { return JSON.stringify(this.list); } })();
    const source = new EventSource(hub.publicUrl('/sse?channel=orders.*'));
    scope.defer(() => source.close());
    source.onmessage = (event) => { got.list.push(JSON.parse(event.data)); got.changed(); };
    source.addEventListener('hub.ready', () => { got.ready++; got.changed(); });
    source.onerror = () => {};
    await got.waitFor(() => got.ready === 1, 'hub.ready');
    await send(hub, ['orders.a', 'other', 'orders.b']);
    await got.waitFor(() => got.list.length === 2, 'two messages');
    await hub.kill9();
    await hub.restart();
    await send(hub, ['orders.born', 'orders.a', 'orders.c.d', 'orders.b']);
    await got.waitFor(() => got.list.length === 5, 'what came meanwhile');
    assert.deepEqual(shown(got.list), ['orders.a', 'orders.b', 'orders.born', 'orders.a', 'orders.b'].map((c) => `${c}:${c}`));
});

scenario('the stream of a pattern is an envelope, tells what it began with, and its gap names the pattern', async (scope) => {
    const hub = await scope.hub({ args: ['--history.size=2'] });
    const first = (await publish(hub, 'orders.a', '0')).id;
    await publishAll(hub, 'orders.a', ['1', '2', '3', '4']);
    const { id } = await publish(hub, 'orders.b', 'b');
    const stream = await scope.sse(hub, '/sse?channel=orders.*', { lastEventId: first });
    const ready = JSON.parse((await stream.ready()).data), gap = JSON.parse((await stream.gap()).data);
    assert.deepEqual([gap.reason, gap.channels], ['history', ['orders.*']]);
    assert.deepEqual(ready.channels, [{ channel: 'orders.*', recovered: false, resumable: true }]);
    assert.deepEqual(shown(envelopes(await stream.take(3))), ['orders.a:3', 'orders.a:4', 'orders.b:b']);
    assert.equal(numberOf(gap.position), numberOf(envelopes(stream.messages)[0].id) - 1);
    const whole = await scope.ws(hub, `/ws?channel=orders.*&last_event_id=${envelopes(stream.messages)[0].id}`);
    assert.deepEqual([(await whole.get('subscribed')).recovered, shown(await whole.take(2))], [true, ['orders.a:4', 'orders.b:b']]);
    const bare = await scope.sse(hub, '/sse?channel=orders.*&format=bare&since=last');
    assert.deepEqual((await bare.take(2)).map((m) => m.data), ['4', 'b']);
    const other = await scope.sse(hub, `/sse?channel=others.*`, { lastEventId: first });
    await other.ready();
    assert.equal(other.control('gap').length, 0, 'what other channels gave up is no gap');
    const next = await poll(hub, `channel=orders.*&since=${id}&timeout=0`);
    assert.deepEqual([next.json.messages, next.json.gap], [[], undefined]);
});

scenario('where to begin: all, the newest of each channel, a count, a time', async (scope) => {
    const hub = await scope.hub();
    await send(hub, ['o.a', 'x', 'o.b', 'o.a', 'o.c', 'x', 'o.b']);
    const all = ['o.a', 'o.b', 'o.a', 'o.c', 'o.b'];
    for (const [since, wanted] of [['all', all], ['last', ['o.a', 'o.c', 'o.b']], ['-2', ['o.c', 'o.b']], ['-100', all], ['10m', all]]) {
        assert.deepEqual((await poll(hub, `channel=o.*&since=${since}`)).json.messages.map((m) => m.channel), wanted, since);
        const socket = await scope.ws(hub, '/ws');
        await socket.get('welcome');
        const told = await subscribe(socket, ['o.*'], { since });
        assert.deepEqual([told.type, told.recovered], ['subscribed', false], JSON.stringify(told));
        assert.deepEqual((await socket.take(wanted.length)).map((m) => [m.channel, m.replay]), wanted.map((c) => [c, true]), since);
        await socket.get((f) => f.type === 'position' && f.channel === 'o.*');
    }
});

scenario('a pattern comes and goes on a live WebSocket; its replay is marked, and what a channel brings too comes once', async (scope) => {
    const hub = await scope.hub();
    const [first] = await send(hub, ['o.a', 'o.b', 'o.a']);
    const socket = await scope.ws(hub, '/ws?channel=o.a');
    await socket.get('subscribed');
    const told = await subscribe(socket, ['o.*', 'o.**'], { since: first });
    assert.deepEqual([told.channel, told.recovered], ['o.*', true]);
    const ends = await Promise.all(['o.*', 'o.**'].map((c) => socket.get((f) => f.type === 'position' && f.channel === c)));
    assert.deepEqual(socket.messages.map((m) => [m.channel, m.replay]), [['o.b', true], ['o.a', true]]);
    assert.equal(numberOf(ends[0].position), numberOf(first) + 2);
    assert.equal((await subscribe(socket, ['o.*'])).code, 'already_subscribed');
    await send(hub, ['o.a', 'o.x', 'o.y.z']);
    assert.deepEqual((await socket.take(5)).slice(2).map((m) => [m.channel, m.replay]), [['o.a', undefined], ['o.x', undefined], ['o.y.z', undefined]]);
    assert.deepEqual((({ type, channel, code }) => [type, channel, code])(await socket.ask({ type: 'unsubscribe', channels: ['o.**'] })), ['unsubscribed', 'o.**', 'normal']);
    await send(hub, ['o.y.z', 'o.x']);
    assert.equal((await socket.take(6)).at(-1).channel, 'o.x', 'o.y.z was of the pattern that is gone');
    await socket.ask({ type: 'unsubscribe', channels: ['o.*'] });
    assert.equal((await socket.ask({ type: 'unsubscribe', channels: ['o.*'] })).code, 'not_subscribed');
    await send(hub, ['o.x', 'o.a']);
    assert.equal((await socket.take(7)).at(-1).channel, 'o.a', 'the channel stays, and only it');
});

scenario('a message is kept from the client it excludes, also where only a pattern wants it', async (scope) => {
    const hub = await scope.hub();
    const { id } = await publish(hub, 'o.a', 'first');
    const me = await scope.ws(hub, '/ws?channel=o.*&channel=o.a&client=me'), you = await scope.sse(hub, '/sse?channel=o.*&client=you');
    await Promise.all([me.get('subscribed'), you.ready()]);
    for (const exclude of ['me', 'you', undefined]) assert.equal((await post(hub, 'o.a', { data: exclude ?? 'all', exclude })).status, 201);
    assert.deepEqual((await me.take(2)).map((m) => m.data), ['you', 'all']);
    assert.deepEqual(envelopes(await you.take(2)).map((m) => m.data), ['me', 'all']);
    const again = await scope.ws(hub, `/ws?channel=o.*&client=me&last_event_id=${id}`);
    assert.deepEqual((await again.take(2)).map((m) => m.data), ['you', 'all']);
    const messages = (await poll(hub, `channel=o.*&client=you&since=${id}`)).json.messages;
    assert.deepEqual(messages.map((m) => m.data), ['me', 'all']);
});

scenario('an administrator sees patterns, finds who hears a channel, gives a pattern and takes it away', async (scope) => {
    const hub = await scope.hub({ args: ['--limits.patterns=3'] });
    const stream = await scope.sse(hub, '/sse?channel=o.*'), other = await scope.ws(hub, '/ws?channel=o.a&channel=p');
    const id = JSON.parse((await stream.ready()).data).connection, otherId = (await other.get('welcome')).connection;
    const found = async (channel) => (await request(hub, `/v1/connections?channel=${encodeURIComponent(channel)}`)).json.data.map((c) => c.id).sort();
    assert.deepEqual(await found('o.a'), [id, otherId].sort());
    assert.deepEqual([await found('o.b'), await found('o.*'), await found('**'), await found('p')], [[id], [id], [], [otherId]]);
    assert.deepEqual((await request(hub, `/v1/connections/${id}`)).json.channels, ['o.*']);
    apiProblemOf(await request(hub, '/v1/connections?channel=o*'), 400, 'bad_pattern');
    const change = (who, body) => request(hub, `/v1/connections/${who}/channels`, { method: 'POST', body });
    assert.equal((await change(id, { add: ['q.**', 'o.a'] })).json.connections, 1);
    const told = await stream.waitFor(() => stream.control('subscribed').length === 2 && stream.control('subscribed').map((b) => JSON.parse(b.data).channel), 'hub.subscribed');
    assert.deepEqual(told.sort(), ['o.a', 'q.**']);
    await send(hub, ['q.r.s', 'o.a']);
    assert.deepEqual(shown(envelopes(await stream.take(2))), ['q.r.s:q.r.s', 'o.a:o.a']);
    apiProblemOf(await change(id, { add: ['r.*', 's.*'] }), 400, 'too_many_patterns');
    assert.equal((await change(id, { add: ['q.**', 'o.*', 'r.*'] })).json.connections, 1, 'what it has is not counted again');
    assert.equal((await change(id, { remove: ['o.*', 'never.*'] })).json.connections, 1);
    const ended = JSON.parse((await stream.waitFor(() => stream.control('unsubscribed')[0], 'hub.unsubscribed')).data);
    assert.deepEqual([ended.channel, ended.code], ['o.*', 'removed']);
    await send(hub, ['o.b', 'o.a']);
    assert.equal(envelopes(await stream.take(3)).at(-1).channel, 'o.a');
    await eventually(async () => (await found('o.b')).length === 0, 'nobody hears o.b any more');
});

scenario('a pattern needs a grant that covers it entirely; a token may name patterns, with its user in them', async (scope) => {
    const hub = await tokenHub(scope, '[access]\nsubscribe = news.*\n');
    const of = async (carillon, sub = 'ann') => ({ headers: bearer(await sign({ sub, carillon })) });
    const wide = await of({ subscribe: ['orders.**'] });
    for (const pattern of ['orders.**', 'orders.*', 'orders.*.*', 'news.*']) await (await scope.sse(hub, `/sse?channel=${pattern}`, wide)).ready();
    for (const pattern of ['**', '*', '*.*', 'order.**', 'news.**']) problemOf(await request(hub.public, `/sse?channel=${pattern}`, wide), 403, 'forbidden');
    problemOf(await request(hub.public, '/sse?channel=orders.*&channel=elsewhere', wide), 403, 'forbidden');
    await (await scope.sse(hub, '/sse?channel=news.*')).ready();
    problemOf(await request(hub.public, '/sse?channel=news.**'), 401, 'unauthenticated');
    const named = await scope.ws(hub, '/ws', await of({ channels: ['inbox.{user}.*'], publish: ['**'] }));
    await named.get((f) => f.type === 'subscribed' && f.channel === 'inbox.ann.*');
    for (const channel of ['inbox.bob.x', 'inbox.ann.x']) assert.equal((await named.ask({ type: 'publish', channel, data: 1 })).type, 'ok');
    assert.deepEqual((await named.take(1)).map((m) => m.channel), ['inbox.ann.x']);
});

const BAD = [
    ['a*', 'bad_pattern'], ['*a', 'bad_pattern'], ['a.b*.c', 'bad_pattern'], ['***', 'bad_pattern'], ['**.a', 'bad_pattern'], ['a.**.b', 'bad_pattern'], ['**.**', 'bad_pattern'],
    ['a.** b', 'bad_channel'], ['', 'bad_channel'], [`${'*.'.repeat(100)}*`, 'bad_channel'], ['a.*\0', 'bad_channel'],
];

scenario('what is no pattern is told so everywhere, and nothing of the request is done', async (scope) => {
    const hub = await scope.hub();
    const socket = await scope.ws(hub, '/ws');
    for (const [pattern, code] of BAD) {
        const query = `channel=fine.*&channel=${encodeURIComponent(pattern)}`;
        problemOf(await request(hub.public, `/sse?${query}`), 400, code);
        problemOf(await poll(hub, query), 400, code);
        assert.equal((await (await scope.ws(hub, `/ws?${query}`)).get('error')).code, code, pattern);
        const answer = await subscribe(socket, ['fine.*', pattern]);
        assert.deepEqual([answer.type, answer.code], ['error', code], pattern);
        assert.ok(answer.message.length > 20);
    }
    assert.notEqual((await subscribe(socket, ['a*'])).message, (await subscribe(socket, ['**.a'])).message, 'each rule has its text');
    for (const type of ['publish', 'history', 'presence']) assert.equal((await socket.ask({ type, channel: 'a.*', data: 1 })).code, 'bad_channel', type);
    apiProblemOf(await request(hub, '/v1/channels/a.*/messages'), 400, 'bad_channel');
    assert.equal((await subscribe(socket, ['a.*'], { presence: true })).code, 'pattern_not_allowed');
    problemOf(await request(hub.public, '/sse?channel=a.*&presence=true'), 400, 'pattern_not_allowed');
    assert.equal((await subscribe(socket, ['fine.*'])).type, 'subscribed', 'it was not subscribed before');
});

scenario('ten thousand patterns on one connection are refused, at once and one by one; channels are no patterns', async (scope) => {
    const hub = await scope.hub({ args: ['--limits.channels=100000', '--rates.subscriptions_per_connection=off'] });
    const socket = await scope.ws(hub, '/ws');
    const many = Array.from({ length: 10_000 }, (_, i) => `p${i}.*`);
    assert.equal((await subscribe(socket, many)).code, 'too_many_patterns');
    assert.equal((await subscribe(socket, many.slice(0, 100))).type, 'subscribed');
    assert.equal((await subscribe(socket, ['one.more.*'])).code, 'too_many_patterns');
    assert.equal((await subscribe(socket, Array.from({ length: 1000 }, (_, i) => `c${i}`))).type, 'subscribed');
    await socket.ask({ type: 'unsubscribe', channels: ['p7.*'] });
    assert.equal((await subscribe(socket, ['one.more.*'])).type, 'subscribed');
    problemOf(await request(hub.public, `/sse?${many.slice(0, 101).map((p) => `channel=${p}`).join('&')}`), 400, 'too_many_patterns');
    await send(hub, ['p8.x', 'one.more.x']);
    assert.deepEqual((await socket.take(2)).map((m) => m.channel), ['p8.x', 'one.more.x']);
});

scenario('who has a pattern is no member of the channels it matches', async (scope) => {
    const hub = await scope.hub();
    const above = await scope.ws(hub, '/ws?channel=room.*&user=ann');
    await above.get((f) => f.type === 'subscribed' && f.channel === 'room.*');
    const inside = await scope.ws(hub, '/ws?channel=room.1&user=bob');
    await inside.get((f) => f.type === 'subscribed' && f.channel === 'room.1');
    const members = (await request(hub, '/v1/channels/room.1/presence')).json;
    assert.deepEqual(members.data.map((m) => m.user), ['bob']);
    assert.equal((await publish(hub, 'room.1', 'x')).subscribers, 2, 'but it hears what is said');
});

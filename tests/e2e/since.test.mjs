// Where to begin: every form of `since`, on every way in, over restarts and kill -9.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { messagesPath, publish, request } from './lib/http.mjs';
import { eventually } from './lib/wait.mjs';

const query = (since) => `since=${encodeURIComponent(since)}`;
const texts = (messages) => messages.map((m) => m.data);

// Each way in: what a client that begins at `since` gets of channel a (and b), until it has `n` messages.
const ways = {
    async sse(scope, hub, since, n) {
        const stream = await scope.sse(hub, `/sse?channel=a&channel=b&${query(since)}`);
        const ready = JSON.parse((await stream.ready()).data);
        assert.ok(ready.channels.every((c) => !c.recovered && c.resumable), JSON.stringify(ready));
        return texts((await stream.take(n)).map((block) => JSON.parse(block.data)));
    },
    async ws(scope, hub, since, n) {
        const socket = await scope.ws(hub, `/ws?channel=a&channel=b&${query(since)}`);
        await socket.waitFor(() => socket.of('subscribed').length === 2, 'both subscribed');
        assert.ok(socket.of('subscribed').every((f) => !f.recovered) && socket.of('gap').length === 0, socket.state());
        return texts(await socket.take(n));
    },
    async subscribe(scope, hub, since, n) {
        const socket = await scope.ws(hub, '/ws');
        await socket.get('welcome');
        socket.send({ type: 'subscribe', channels: ['a', 'b'], since });
        const messages = await socket.take(n);
        assert.ok(messages.every((m) => m.replay) && socket.of('gap').length === 0, socket.state());
        await socket.waitFor(() => socket.of('position').length === 2, 'the end of the replay');
        return texts(socket.messages);
    },
    async history(scope, hub, since) {
        const socket = await scope.ws(hub, '/ws');
        await socket.get('welcome');
        socket.send({ type: 'history', ref: 1, channel: 'a', since });
        const { messages, gap } = await socket.get('history');
        assert.equal(gap, undefined);
        return texts(messages);
    },
    async poll(scope, hub, since) {
        const { json } = await request(hub.public, `/poll?channel=a&channel=b&${query(since)}`);
        assert.equal(json.gap, undefined);
        return texts(json.messages);
    },
    async page(scope, hub, since) {
        const { json } = await request(hub, messagesPath('a', `?${query(since)}`));
        assert.equal(json.gap, undefined);
        return texts(json.data);
    },
};

// Messages 1–4 are published in other seconds than 5 and 6.
async function fill(hub) {
    for (const [channel, text] of [['a', '1'], ['b', '2'], ['a', '3'], ['a', '4']]) await publish(hub, channel, text);
    const second = Math.floor(Date.now() / 1000);
    await eventually(() => Math.floor(Date.now() / 1000) > second + 1, 'another second');
    const moment = new Date((second + 1) * 1000).toISOString().replace('.000', '');
    await publish(hub, 'b', '5');
    await publish(hub, 'a', '6');
    return moment;
}

async function checkAll(scope, hub, moment) {
    const cases = [      // since, of both channels, of a alone
        ['all', '1 2 3 4 5 6', '1 3 4 6'],
        ['last', '5 6', '6'],
        ['-1', '6', '6'],
        ['-3', '4 5 6', '3 4 6'],
        ['-10000', '1 2 3 4 5 6', '1 3 4 6'],
        [moment, '5 6', '6'],
        ['1d', '1 2 3 4 5 6', '1 3 4 6'],
        ['3600', '1 2 3 4 5 6', '1 3 4 6'],
    ];
    for (const [since, both, one] of cases)
        for (const [name, begin] of Object.entries(ways)) {
            const wanted = (name === 'history' || name === 'page' ? one : both).split(' ');
            assert.deepEqual(await begin(scope, hub, since, wanted.length), wanted, `${name} since ${since}`);
        }
}

scenario('each form of since begins where it says, on every way in', async (scope) => {
    const hub = await scope.hub();
    const moment = await fill(hub);
    await checkAll(scope, hub, moment);
});

for (const [what, signal] of [['a restart', 'SIGTERM'], ['kill -9', 'SIGKILL']])
    scenario(`each form of since begins at the same place after ${what}`, async (scope) => {
        const hub = await scope.hub({ args: ['--store.sync=each'] });
        const moment = await fill(hub);
        if (signal === 'SIGTERM') await hub.terminate();
        else await hub.kill9();
        await hub.restart();
        await checkAll(scope, hub, moment);
    });

scenario('what comes afterwards comes too, in order, and a client that is cut goes on from its position', async (scope) => {
    const hub = await scope.hub();
    for (let i = 1; i <= 5; i++) await publish(hub, 'a', `${i}`);
    const stream = await scope.sse(hub, '/sse?channel=a&since=-2');
    await stream.ready();
    await publish(hub, 'a', '6');
    const blocks = await stream.take(3);
    assert.deepEqual(blocks.map((b) => b.data), ['4', '5', '6']);
    const back = await scope.sse(hub, '/sse?channel=a&since=-2', { headers: { 'Last-Event-ID': blocks[0].id } });
    const ready = JSON.parse((await back.ready()).data);
    assert.equal(ready.channels[0].recovered, true);
    assert.deepEqual((await back.take(2)).map((b) => b.data), ['5', '6']);
});

scenario('a history longer than one batch comes whole, whatever it began with', async (scope) => {
    const hub = await scope.hub();
    const long = 'x'.repeat(60_000);
    for (let i = 0; i < 12; i++) await publish(hub, i % 2 ? 'a' : 'b', `${i} ${long}`);
    for (const [since, first] of [['all', 0], ['-9', 3], ['1h', 0]]) {
        const socket = await scope.ws(hub, `/ws?channel=a&channel=b&since=${since}`);
        const wanted = Array.from({ length: 12 - first }, (_, i) => `${i + first}`);
        assert.deepEqual(texts(await socket.take(wanted.length)).map((t) => t.split(' ')[0]), wanted, since);
    }
    const answer = await request(hub, messagesPath('a', '?since=-5&limit=2'));
    assert.deepEqual(texts(answer.json.data).map((t) => t.split(' ')[0]), ['3', '5']);
    const next = await request(hub, messagesPath('a', `?cursor=${answer.json.next_cursor}`));
    assert.deepEqual(texts(next.json.data).map((t) => t.split(' ')[0]), ['7', '9', '11']);
});

scenario('who begins with the newest gets no others, also right after somebody else asked the same', async (scope) => {
    const hub = await scope.hub();
    for (const since of ['-2', 'last']) {
        const channel = `newest.${since}`, count = since === 'last' ? 1 : 2;
        for (let round = 0; round < 3; round++) {
            for (let i = 0; i < 3; i++) await publish(hub, channel, `${round}.${i}`);
            for (const name of [channel, 'newest.*']) {
                const socket = await scope.ws(hub, '/ws');
                await socket.get('welcome');
                socket.send({ type: 'subscribe', channels: [name], since });
                await socket.get('position');
                assert.deepEqual(texts(socket.messages).slice(-count), ['1', '2'].slice(-count).map((i) => `${round}.${i}`));
                assert.equal(socket.messages.filter((m) => m.channel === channel).length, count, `${since} of ${name}: ${socket.texts.join('\n')}`);
            }
        }
    }
});

// History by the rules of channels: how much each keeps, channels that keep none, and what becomes of it when the rules change.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { messagesPath, publish, request } from './lib/http.mjs';
import { eventually } from './lib/wait.mjs';

const RULES = `[history]\nsize = 50\n[channel "log.*"]\nhistory.size = 0\n[channel "chat.*"]\nhistory.size = 3\nhistory.ttl = 10m\n`;

async function ruled(scope, text = RULES, args = []) {
    const ini = path.join(scope.dir(), 'carillon.ini');
    const write = (rules) => writeFileSync(ini, rules);
    write(text);
    const hub = await scope.hub({ args: ['--config', ini, ...args] });
    let reloads = 0;
    const reload = async (rules) => {
        write(rules);
        hub.run.signal('SIGHUP');
        reloads++;
        await eventually(() => hub.log.split('reloaded').length > reloads, 'the reload');
    };
    return { hub, write, reload };
}

const fill = async (hub, channel, n) => {
    const ids = [];
    for (let i = 0; i < n; i++) ids.push((await publish(hub, channel, `${i}`)).id);
    return ids;
};
const inspect = async (hub, channel) => (await request(hub, `/v1/channels/${channel}`)).json;
// How a stream of these channels begins after a position: each channel's `recovered/resumable`, the gap's channels, and n messages.
async function resume(scope, hub, channels, lastEventId, n = 0) {
    const stream = await scope.sse(hub, `/sse?${channels.map((c) => `channel=${c}`).join('&')}&format=envelope`, { lastEventId });
    const ready = JSON.parse((await stream.ready()).data), [gap] = stream.control('gap');
    const messages = (await stream.take(n)).map((b) => { const m = JSON.parse(b.data); return `${m.channel} ${m.data}`; });
    stream.close();
    return { how: ready.channels.map((c) => `${c.channel} ${c.recovered}/${c.resumable}`), gap: gap ? JSON.parse(gap.data).channels : [], messages };
}

scenario('each channel keeps what its rule says, and GET shows what is in force', async (scope) => {
    const { hub } = await ruled(scope);
    for (const channel of ['log.a', 'chat.a', 'other']) await fill(hub, channel, 5);
    const counts = {};
    for (const channel of ['chat.a', 'other']) counts[channel] = (await request(hub, messagesPath(channel))).json.data.map((m) => m.data);
    assert.deepEqual(counts, { 'chat.a': ['2', '3', '4'], other: ['0', '1', '2', '3', '4'] });
    assert.equal((await request(hub, '/v1/channels/log.a')).status, 404, 'it keeps nothing, and nobody is there');
    const reader = await scope.sse(hub, '/sse?channel=log.a');
    await reader.ready();
    const { history, rule, resumable, messages } = await inspect(hub, 'log.a');
    assert.deepEqual({ history, rule, resumable, messages }, { history: { size: 0, ttl_ms: 300_000, bytes: 1 << 20 }, rule: 'log.*', resumable: false, messages: 0 });
    const chat = await inspect(hub, 'chat.a'), other = await inspect(hub, 'other');
    assert.deepEqual([chat.history, chat.rule, chat.messages], [{ size: 3, ttl_ms: 600_000, bytes: 1 << 20 }, 'chat.*', 3]);
    assert.deepEqual([other.history.size, other.rule], [50, null]);
});

scenario('a resume over channels with and without history: only those with it recover, and only they tell a gap', async (scope) => {
    const { hub } = await ruled(scope);
    const [first] = await fill(hub, 'other', 1);
    await fill(hub, 'log.a', 3);
    await fill(hub, 'chat.a', 3);
    const whole = { how: ['log.a false/false', 'chat.a true/true', 'other true/true'], gap: [], messages: ['chat.a 0', 'chat.a 1', 'chat.a 2'] };
    assert.deepEqual(await resume(scope, hub, ['log.a', 'chat.a', 'other'], first, 3), whole);
    await hub.kill9();
    await hub.restart();
    assert.deepEqual(await resume(scope, hub, ['log.a', 'chat.a', 'other'], first, 3), whole);
    await fill(hub, 'chat.a', 4);
    const gapped = await resume(scope, hub, ['log.a', 'chat.a', 'other'], first, 3);
    assert.deepEqual([gapped.how, gapped.gap], [['log.a false/false', 'chat.a false/true', 'other true/true'], ['chat.a']]);
    const foreign = await resume(scope, hub, ['log.a', 'other'], 'aaaaaaaa.7', 1);
    assert.deepEqual([foreign.how, foreign.gap], [['log.a false/false', 'other false/true'], ['other']]);
    assert.deepEqual(await resume(scope, hub, ['log.a'], 'aaaaaaaa.7'), { how: ['log.a false/false'], gap: [], messages: [] });
    const socket = await scope.ws(hub, '/ws');
    socket.send({ type: 'subscribe', channels: ['log.a', 'other'], since: first });
    await socket.waitFor(() => socket.of('position').length === 2, 'the end of the replay');
    assert.deepEqual(socket.of('subscribed').map((f) => `${f.channel} ${f.recovered}/${f.resumable}`), ['log.a false/false', 'other true/true']);
});

scenario('channels without history raise no floor: a quiet channel that was forgotten is no gap for their sake', async (scope) => {
    const { hub } = await ruled(scope, '[history]\nttl = 1s\n[channel "log.*"]\nhistory.size = 0\nhistory.ttl = 0\n');
    const [first] = await fill(hub, 'other', 1);
    await fill(hub, 'log.a', 20);
    await eventually(async () => (await request(hub, '/v1/channels/other')).status === 404, 'the message of other is too old');
    await eventually(async () => /^carillon_channels 0$/m.test((await request(hub, '/metrics')).text), 'all channels are forgotten');
    assert.deepEqual(await resume(scope, hub, ['other'], first), { how: ['other true/true'], gap: [], messages: [] });
});

scenario('a reload: smaller limits count at once, off drops what is kept, and on begins, with a gap for who was away', { ownEngine: 'in Redis what is kept already follows the rule of the next message' }, async (scope) => {
    const { hub, reload } = await ruled(scope, '[history]\nsize = 50\n');
    const before = await fill(hub, 'a.x', 5), other = await fill(hub, 'b', 2);
    await reload('[history]\nsize = 50\n[channel "a.*"]\nhistory.size = 2\n');
    assert.equal((await inspect(hub, 'a.x')).messages, 2);
    await reload('[history]\nsize = 50\n[channel "a.*"]\nhistory.size = 0\n');
    assert.equal((await request(hub, '/v1/channels/a.x')).status, 404);
    assert.deepEqual(await resume(scope, hub, ['a.x', 'b'], before[0], 2), { how: ['a.x false/false', 'b true/true'], gap: [], messages: ['b 0', 'b 1'] });
    const [unkept] = await fill(hub, 'a.x', 1);
    await reload('[history]\nsize = 50\n');
    const [after] = await fill(hub, 'a.x', 1);
    for (const position of [before[4], other[1]])
        assert.deepEqual((await resume(scope, hub, ['a.x'], position, 1)).gap, ['a.x'], 'what came while it was off is missing');
    assert.deepEqual((await resume(scope, hub, ['a.x'], unkept, 1)).gap, []);
    assert.deepEqual((await resume(scope, hub, ['b'], other[0], 1)).gap, [], 'others are not concerned');
    assert.deepEqual((await resume(scope, hub, ['a.x'], after)).how, ['a.x true/true']);
});

scenario('rules that change over a restart: what was never kept is told, whatever rows there are from before', async (scope) => {
    const on = '[history]\nsize = 50\n', off = `${on}[channel "a.*"]\nhistory.size = 0\n`;
    const { hub, write } = await ruled(scope, on);
    const [kept] = await fill(hub, 'a.x', 1), [other] = await fill(hub, 'b', 1);
    for (const rules of [off, on]) {
        await hub.kill9();
        write(rules);
        await hub.restart();
        if (rules === off) await fill(hub, 'a.x', 1);
    }
    const back = await resume(scope, hub, ['a.x', 'b'], kept, 1);
    assert.deepEqual([back.how, back.gap, back.messages], [['a.x false/true', 'b true/true'], ['a.x'], ['b 0']]);
    assert.deepEqual((await resume(scope, hub, ['b'], other)).how, ['b true/true']);
    await fill(hub, 'a.x', 1);
    await hub.kill9();
    await hub.restart();
    assert.deepEqual((await request(hub, messagesPath('a.x'))).json.data.map((m) => m.data), ['0'], 'what is kept since then is kept');
});

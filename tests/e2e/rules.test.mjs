// Rules of channels: [channel "PATTERN"] sections, the first that matches counts.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, post, publish } from './lib/http.mjs';
import { eventually } from './lib/wait.mjs';

const KEY = `ck_${'5a'.repeat(32)}`;
const ACCESS = `[keys]\nbackend = sha256:${createHash('sha256').update(KEY).digest('hex')}\n[access]\nsubscribe = **\npublish = **\nhistory = **\n`;
const RULES = `${ACCESS}
[channel "chat.lobby"]
message = 20
[channel "chat.**"]
publish = no
[channel "large"]
message = 200KiB
[channel "club.**"]
anonymous = no
`;

async function ruled(scope, text = RULES, args = []) {
    const ini = path.join(scope.dir(), 'carillon.ini');
    writeFileSync(ini, text);
    const hub = await scope.hub({ dev: false, args: ['--config', ini, ...args] });
    return { hub, ini };
}

scenario('the largest payload is the one of the channel, on the API and on a WebSocket', async (scope) => {
    const { hub } = await ruled(scope);
    const socket = await scope.ws(hub, '/ws?channel=large');
    const say = async (channel, n) => (await socket.ask({ type: 'publish', channel, data: 'x'.repeat(n - 2) })).code ?? 'ok';
    assert.deepEqual([await say('chat.lobby', 20), await say('chat.lobby', 21)], ['ok', 'message_too_large']);
    assert.deepEqual([await say('large', 204_800), await say('large', 204_801), await say('other', 65_537)], ['ok', 'message_too_large', 'message_too_large']);
    await publish(hub, 'large', 'y'.repeat(150_000));
    apiProblemOf(await post(hub, 'chat.lobby', 'y'.repeat(21)), 413, 'message_too_large');
    apiProblemOf(await post(hub, 'large', 'y'.repeat(204_801)), 413, 'message_too_large');
    await socket.take(2);
    assert.deepEqual(socket.data.map((d) => d.length), [204_798, 150_000]);
});

scenario('publish = no: clients may not, whatever they may otherwise; a backend with a key may', async (scope) => {
    const { hub } = await ruled(scope);
    const socket = await scope.ws(hub, '/ws?channel=chat.a');
    assert.equal((await socket.ask({ type: 'publish', channel: 'chat.a', data: 1 })).code, 'publish_disabled');
    assert.equal((await socket.ask({ type: 'publish', channel: 'chat.lobby', data: 1 })).type, 'ok', 'an earlier rule counts, and does not say no');
    apiProblemOf(await post(hub, 'chat.a', '1'), 403, 'publish_disabled');
    assert.equal((await post(hub, 'chat.a', '"from a backend"', { headers: { Authorization: `Bearer ${KEY}` } })).status, 201);
    await socket.take(1);
});

scenario('anonymous = no: who has no credentials may nothing there, though [access] opens everything', async (scope) => {
    const { hub } = await ruled(scope);
    const socket = await scope.ws(hub, '/ws');
    for (const channel of ['club.a', 'club.a.b']) {
        assert.equal((await socket.ask({ type: 'subscribe', channels: [channel] })).code, 'unauthenticated');
        assert.equal((await socket.ask({ type: 'publish', channel, data: 1 })).code, 'unauthenticated');
    }
    assert.equal((await socket.ask({ type: 'subscribe', channels: ['club'] })).type, 'subscribed');
});

scenario('rules are read again on SIGHUP', async (scope) => {
    const { hub, ini } = await ruled(scope);
    const socket = await scope.ws(hub, '/ws');
    const code = async () => (await socket.ask({ type: 'publish', channel: 'chat.x', data: 1 })).code;
    assert.equal(await code(), 'publish_disabled');
    writeFileSync(ini, ACCESS);
    hub.run.signal('SIGHUP');
    await eventually(async () => (await code()) === undefined, 'the rule to be gone');
    writeFileSync(ini, `${ACCESS}[channel "chat.*"]\npublsh = no\n`);
    hub.run.signal('SIGHUP');
    await eventually(() => /publsh is not a setting of channels; did you mean publish\?/.test(hub.log), 'the mistake to be told');
    assert.equal(await code(), undefined, 'a wrong file changes nothing');
});

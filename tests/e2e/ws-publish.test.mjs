// What a publish on a WebSocket may say beside its data: whom it is not for, how long it lives, and how it is safe to retry.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { kept, post } from './lib/http.mjs';

const say = (socket, more, data = 1) => socket.ask({ type: 'publish', channel: 'a', data, ...more });

scenario('a retry with the same key is answered like the first and marked, on another connection and after kill -9 too', async (scope) => {
    const hub = await scope.hub();
    const open = () => scope.ws(hub, '/ws?client=tab');
    const socket = await open();
    const first = await say(socket, { idempotency_key: 'k' });
    assert.deepEqual([first.type, first.replayed], ['ok', undefined]);
    const { id, channel, time, subscribers } = first;
    for (const again of [async () => socket, open, async () => { await hub.kill9(); await hub.restart(); return open(); }]) {
        const { type, ref, ...replay } = await say(await again(), { idempotency_key: 'k' });
        assert.deepEqual([type, replay], ['ok', { id, channel, time, subscribers, replayed: true }]);
    }
    const now = await open();
    assert.equal((await say(now, { idempotency_key: 'k' }, 2)).code, 'idempotency_mismatch');
    assert.equal((await say(now, { idempotency_key: 'k', event: 'e' })).code, 'idempotency_mismatch');
    const stranger = await scope.ws(hub, '/ws?client=other');
    assert.equal((await say(stranger, { idempotency_key: 'k' }, 3)).replayed, undefined, 'a key is of its client where nobody has credentials');
    assert.deepEqual(await kept(hub, 'a'), [1, 3]);
});

scenario('a user has its keys on every way in: a WebSocket repeats what the API has published', async (scope) => {
    const hub = await scope.hub({ args: ['--access.publish=**'] });
    const socket = await scope.ws(hub);
    const published = await post(hub, 'a', { data: 1 }, { headers: { 'Idempotency-Key': 'k' } });
    const replay = await say(socket, { idempotency_key: 'k' });
    assert.deepEqual([replay.id, replay.replayed], [published.json.id, true]);
});

scenario('if_position: one wins, the others are told the newest', async (scope) => {
    const hub = await scope.hub();
    const socket = await scope.ws(hub);
    const first = await say(socket, { if_position: 'none' });
    assert.equal(first.type, 'ok');
    const late = await say(socket, { if_position: 'none' });
    assert.deepEqual([late.type, late.code, late.position], ['error', 'position_changed', first.id]);
    const answers = await Promise.all([1, 2, 3, 4].map((data) => say(socket, { if_position: first.id }, data)));
    const won = answers.filter((answer) => answer.type === 'ok');
    assert.equal(won.length, 1);
    for (const lost of answers.filter((answer) => answer !== won[0])) assert.deepEqual([lost.code, lost.position], ['position_changed', won[0].id]);
    const unknown = await socket.ask({ type: 'publish', channel: 'b', data: 1, if_position: first.id });
    assert.deepEqual([unknown.code, unknown.position], ['position_changed', null]);
    assert.equal((await kept(hub, 'a')).length, 2);
});

scenario('exclude keeps it from that client; what is wrong with any of them is an error with its code, and nothing is published', async (scope) => {
    const hub = await scope.hub();
    const [mine, other] = await Promise.all(['mine', 'other'].map((client) => scope.ws(hub, `/ws?channel=a&client=${client}`)));
    await Promise.all([mine.get('subscribed'), other.get('subscribed')]);
    assert.equal((await say(mine, { exclude: 'mine' }, 'for others')).type, 'ok');
    assert.equal((await say(mine, { exclude: 'nobody', ttl: '10m' }, 'for all')).type, 'ok');
    assert.equal((await say(mine, { exclude: null, ttl: 5, idempotency_key: null, if_position: null, event: null }, 'for all too')).type, 'ok');
    await other.take(3);
    await mine.take(2);
    assert.deepEqual([mine.data, other.data], [['for all', 'for all too'], ['for others', 'for all', 'for all too']]);
    const wrong = [[{ exclude: 'no one' }, 'bad_client'], [{ exclude: 7 }, 'bad_field'], [{ ttl: 'soon' }, 'bad_field'], [{ ttl: 0 }, 'bad_field'], [{ ttl: true }, 'bad_field'],
        [{ idempotency_key: '' }, 'bad_idempotency_key'], [{ idempotency_key: 'a\tb' }, 'bad_idempotency_key'], [{ idempotency_key: {} }, 'bad_field'],
        [{ if_position: 'any' }, 'bad_position'], [{ if_position: 1 }, 'bad_field'], [{ channel: undefined, channels: ['a'] }, 'bad_field']];
    for (const [more, code] of wrong) assert.equal((await say(mine, more, 'never')).code, code, JSON.stringify(more));
    assert.equal((await kept(hub, 'a')).length, 3);
});

// Rooms as a backend sees them: /v1/rooms, /v1/ice-servers, and the webhooks that tell of them.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { scenario } from './lib/scope.mjs';
import { member } from './lib/member.mjs';
import { apiProblemOf, request } from './lib/http.mjs';
import { bodyOf, withReceiver } from './lib/webhooks.mjs';

const send = (hub, method, where, body) => request(hub, where, { method, headers: { 'Content-Type': 'application/json' }, body: body && JSON.stringify(body) });

scenario('a backend makes rooms, sees who is in them, changes and ends them', async (scope) => {
    const hub = await scope.hub();
    const made = await send(hub, 'POST', '/v1/rooms', { room: 'a/b', capacity: 2, metadata: { n: 1 }, empty_timeout: '1m' });
    assert.equal(made.status, 201, made.text);
    apiProblemOf(await send(hub, 'POST', '/v1/rooms', { room: 'a/b' }), 409, 'room_exists');
    apiProblemOf(await send(hub, 'POST', '/v1/rooms', { room: 'a b' }), 400, 'bad_room');
    apiProblemOf(await send(hub, 'POST', '/v1/rooms', { room: 'c', capacity: 0 }), 400, 'bad_field');
    apiProblemOf(await send(hub, 'POST', '/v1/rooms', { room: 'c', metadata: 'x'.repeat(20000) }), 413, 'message_too_large');
    const ann = await member(scope, hub, 'a/b', 'ann', { join: { info: 1, state: { mic: true } } });
    assert.deepEqual(ann.joined.metadata, { n: 1 });
    const bob = await member(scope, hub, 'a/b', 'bob');
    bob.client.terminate();
    await ann.get('user-away');
    const shown = (await request(hub, '/v1/rooms/a%2Fb')).json;
    assert.deepEqual([shown.members, shown.away, shown.capacity, shown.empty_timeout_ms, shown.grace_ms], [2, 1, 2, 60000, 15000]);
    assert.deepEqual(shown.users.map(({ user_id, info, state, away }) => [user_id, info, state, away]), [['ann', 1, { mic: true }, false], ['bob', null, null, true]]);
    const changed = await send(hub, 'PATCH', '/v1/rooms/a%2Fb', { metadata: null, capacity: null });
    assert.deepEqual([changed.json.metadata, changed.json.capacity, changed.json.empty_timeout_ms], [null, 100, 60000]);
    assert.equal((await ann.get('room-updated')).metadata, null);
    for (const name of ['z', 'y', 'x']) assert.equal((await send(hub, 'POST', '/v1/rooms', { room: name })).status, 201);
    const seen = [];
    for (let where = '/v1/rooms?limit=3'; where;) {
        const page = await request(hub, where);
        seen.push(...page.json.data.map((room) => room.room));
        where = /<([^>]*)>; rel="next"/.exec(page.headers.link ?? '')?.[1];
    }
    assert.deepEqual(seen, ['a/b', 'x', 'y', 'z']);
    assert.deepEqual((await request(hub, '/v1/rooms?prefix=a')).json.data.map((room) => room.room), ['a/b']);
    assert.equal((await send(hub, 'DELETE', '/v1/rooms/a%2Fb')).status, 204);
    assert.equal((await ann.get('left')).reason, 'ended');
    apiProblemOf(await request(hub, '/v1/rooms/a%2Fb'), 404, 'not_found');
    apiProblemOf(await request(hub, '/v1/rooms/a%20b'), 400, 'bad_room');
});

scenario('a backend speaks to one, to some, to all, and puts members out', async (scope) => {
    const hub = await scope.hub();
    const [ann, bob] = [await member(scope, hub, 'r', 'ann'), await member(scope, hub, 'r', 'bob')];
    const tell = (body) => send(hub, 'POST', '/v1/rooms/r/signals', body);
    assert.deepEqual((await tell({ data: { all: 0.10 } })).json, { delivered: 2 });
    assert.deepEqual((await tell({ to: 'bob', data: 1 })).json, { delivered: 1 });
    assert.deepEqual((await tell({ to: ['ann', 'nobody'], data: null })).json, { delivered: 1 });
    apiProblemOf(await tell({ to: ['nobody'], data: 1 }), 404, 'peer_unavailable');
    apiProblemOf(await tell({ to: [], data: 1 }), 400, 'bad_field');
    apiProblemOf(await tell({ to: 'ann' }), 400, 'bad_field');
    apiProblemOf(await tell({ data: 'x'.repeat(140_000) }), 413, 'message_too_large');
    apiProblemOf(await send(hub, 'POST', '/v1/rooms/none/signals', { data: 1 }), 404, 'not_found');
    assert.deepEqual(await bob.get('signal'), { type: 'signal', room: 'r', from: null, seq: 2, data: 1 });
    assert.deepEqual((await ann.get('signal')).data, null);
    assert.deepEqual((await ann.get('broadcast')).from, null);
    assert.equal((await send(hub, 'DELETE', '/v1/rooms/r/members/bob?message=enough')).status, 204);
    assert.deepEqual(await bob.get('left'), { type: 'left', room: 'r', user_id: 'bob', reason: 'kicked', message: 'enough' });
    assert.equal((await ann.get('user-left')).message, 'enough');
    apiProblemOf(await send(hub, 'DELETE', '/v1/rooms/r/members/bob'), 404, 'not_found');
});

scenario('TURN credentials are those that a server with the same secret computes', async (scope) => {
    const hub = await scope.hub({ args: ['--ice.turn=turn:a.example turns:b.example', '--ice.secrets=new old', '--ice.policy=relay', '--ice.bundle=balanced'] });
    const { json } = await send(hub, 'POST', '/v1/ice-servers', { user: 'ann:x', ttl: '90s' });
    assert.ok(json.ice_expires_ms > 88_000 && json.ice_expires_ms <= 90_000, json.ice_expires_ms);
    assert.deepEqual(json.rtc_config, { iceTransportPolicy: 'relay', bundlePolicy: 'balanced' });
    for (const [i, secret] of ['new', 'old'].entries()) {
        const { urls, username, credential } = json.ice_servers[i];
        assert.deepEqual(urls, ['turn:a.example', 'turns:b.example']);
        const [ends, ...user] = username.split(':');
        assert.equal(user.join(':'), 'ann%3Ax');
        assert.ok(Math.abs(Number(ends) - Date.now() / 1000 - 90) < 5);
        assert.equal(credential, createHmac('sha1', secret).update(username).digest('base64'));
    }
    apiProblemOf(await send(hub, 'POST', '/v1/ice-servers', { ttl: '1s' }), 400, 'bad_field');
    const fixed = await scope.hub({ args: ['--ice.stun=stun:s.example', '--ice.turn=turn:a.example', '--ice.user=u', '--ice.password=p'] });
    assert.deepEqual((await send(fixed, 'POST', '/v1/ice-servers')).json.ice_servers, [{ urls: ['stun:s.example'] }, { urls: ['turn:a.example'], username: 'u', credential: 'p' }]);
});

scenario('webhooks are told of rooms, in order', async (scope) => {
    const { hub, webhooks, receiver } = await withReceiver(scope, ['--rooms.grace=100ms', '--rooms.empty_timeout=100ms']);
    await webhooks.make({ url: receiver.url('/hook'), events: ['room.*'], channels: ['class.*'], ordered: true });
    const ann = await member(scope, hub, 'class.1', 'ann', { join: { info: { name: 'Ann' } } });
    await member(scope, hub, 'other', 'cat');
    const bob = await member(scope, hub, 'class.1', 'bob');
    ann.client.terminate();
    await bob.get('user-left');
    await bob.ask('leave');
    const told = (await receiver.requests('/hook', 6)).map((one) => bodyOf(one)).map(({ type, channel, data }) => [type, channel, data]);
    assert.deepEqual(told, [
        ['room.started', 'class.1', { room: 'class.1' }],
        ['room.joined', 'class.1', { room: 'class.1', user_id: 'ann', info: { name: 'Ann' } }],
        ['room.joined', 'class.1', { room: 'class.1', user_id: 'bob', info: null }],
        ['room.left', 'class.1', { room: 'class.1', user_id: 'ann', reason: 'timeout' }],
        ['room.left', 'class.1', { room: 'class.1', user_id: 'bob', reason: 'left' }],
        ['room.ended', 'class.1', { room: 'class.1', reason: 'empty' }],
    ]);
});

// Rooms of WebRTC signaling (PROTOCOL.md, "Signaling"), with plain WebSockets: joining, relaying, coming back, and who may what.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { scenario } from './lib/scope.mjs';
import { member, Member } from './lib/member.mjs';
import { metricsOf, total } from './lib/metrics.mjs';
import { apiProblemOf, request } from './lib/http.mjs';
import { sign, tokenHub } from './lib/tokens.mjs';
import { eventually } from './lib/wait.mjs';

const is = (type, more = {}) => (f) => f.type === type && Object.entries(more).every(([name, value]) => f[name] === value);

scenario('members find each other, and what they say arrives as it was sent, from whom the hub says', async (scope) => {
    const hub = await scope.hub({ args: ['--edge.threads=2', '--ice.stun=stun:stun.example:3478', '--ice.turn=turn:turn.example:3478', '--ice.secrets=north south'] });
    const ann = await member(scope, hub, 'class.7', 'ann', { join: { info: { name: 'Ann "A"' } } });
    assert.deepEqual(ann.joined.users, []);
    const bob = await member(scope, hub, 'class.7', 'bob', { join: { state: { mic: false } } });
    assert.deepEqual(bob.joined.users, [{ user_id: 'ann', info: { name: 'Ann "A"' }, state: null, polite: true }]);
    assert.deepEqual([bob.joined.resumed, bob.joined.metadata, bob.joined.you.user_id], [false, null, 'bob']);
    assert.deepEqual(bob.joined.rtc_config, { iceTransportPolicy: 'all', bundlePolicy: 'max-bundle' });
    assert.deepEqual(bob.joined.ice_servers.map((s) => s.urls[0]), ['stun:stun.example:3478', 'turn:turn.example:3478', 'turn:turn.example:3478']);
    assert.match(bob.joined.ice_servers[1].username, /^\d+:bob$/);
    assert.deepEqual(await ann.get('user-joined'), { type: 'user-joined', room: 'class.7', seq: 1, user_id: 'bob', info: null, state: { mic: false }, polite: false });

    ann.client.send('{"type":"offer","to":"bob","from":"eve","fr\\u006fm":"eve","user_id":"eve","seq":99,"sdp" : {"a": 0.10,  "b":"\\u00e9"},"n":1}');
    await bob.get('offer');
    assert.deepEqual(bob.client.textsOf('offer'), ['{"type":"offer","room":"class.7","from":"ann","seq":1,"to":"bob","sdp":{"a": 0.10,  "b":"\\u00e9"},"n":1}']);
    bob.say('answer', { to: 'ann', sdp: 'v=0' });
    bob.say('ice-candidate', { to: 'ann', candidate: null });
    bob.say('ice-candidate', { to: 'ann', candidates: [{ candidate: 'c1' }, { candidate: 'c2' }] });
    assert.deepEqual(await bob.ask('ice-candidate', { to: 'ann', candidate: '' }), { type: 'ok', ref: bob.client.frames.at(-1).ref, room: 'class.7', delivered: 1 });
    await ann.get(is('ice-candidate', { seq: 5 }));
    assert.deepEqual(ann.client.frames.filter((f) => f.seq > 1).map(({ type, seq, from }) => [type, seq, from]),
        [['answer', 2, 'bob'], ['ice-candidate', 3, 'bob'], ['ice-candidate', 4, 'bob'], ['ice-candidate', 5, 'bob']]);

    const cat = await member(scope, hub, 'class.7', 'cat');
    assert.equal((await cat.ask('broadcast', { data: ['hello'] })).delivered, 2);
    await cat.ask('state', { state: { hand: true } });
    assert.deepEqual((await ann.get(is('state'))).state, { hand: true });
    assert.deepEqual((await ann.get('broadcast')).data, ['hello']);
    assert.equal((await cat.ask('signal', { to: 'nobody', data: 1 })).code, 'peer_unavailable');
    assert.equal((await cat.ask('signal', { to: 'nobody', data: 1 })).to, 'nobody');
    assert.equal((await cat.ask('leave')).reason, 'left');
    assert.equal((await ann.get('user-left')).reason, 'left');
    const fresh = await ann.ask('ice-servers');
    assert.equal(fresh.type, 'ice-servers');
    assert.ok(fresh.ice_expires_ms > 3_590_000 && fresh.ice_expires_ms <= 3_600_000);

    const families = await metricsOf(hub);
    assert.equal(total(families, 'carillon_room_members'), 2);
    assert.equal(total(families, 'carillon_room_frames_total', { type: 'ice-candidate' }), 3);
    assert.equal(total(families, 'carillon_room_undelivered_total', { reason: 'peer_unavailable' }), 2);
});

scenario('frames of tutorials work as they are', async (scope) => {
    const hub = await scope.hub();
    const [one, two] = [await scope.ws(hub), await scope.ws(hub)];
    one.send({ type: 'join', room: 'demo', user_id: 17 });
    assert.deepEqual((await one.get('users-in-room')).you.user_id, '17');
    two.send({ type: 'join', room: 'demo', user_id: 'two' });
    await one.get(is('user-joined', { user_id: 'two' }));
    one.send({ type: 'offer', room: 'demo', from: 17, offer: { type: 'offer', sdp: 'v=0' } });      // to nobody in particular
    assert.deepEqual((await two.get('offer')).offer, { type: 'offer', sdp: 'v=0' });
    two.send({ type: 'answer', from: 'two', to: 17, answer: { type: 'answer', sdp: 'v=0' } });      // no room
    assert.equal((await one.get('answer')).from, 'two');
    two.send({ type: 'ice-candidate', to: '17', candidate: { candidate: '', sdpMid: '0' } });
    assert.deepEqual((await one.get('ice-candidate')).candidate, { candidate: '', sdpMid: '0' });
    two.send({ type: 'leave', room: 'demo' });
    assert.equal((await one.get('user-left')).user_id, 'two');
    assert.equal(one.of('ok').length + two.of('ok').length, 0, 'who gives no ref is not answered');
});

scenario('who loses its socket comes back as the same member, and has everything once and in order', async (scope) => {
    const hub = await scope.hub({ args: ['--edge.threads=3', '--rooms.grace=2s'] });
    const proxy = await scope.proxy(hub.public);
    const ann = await member(scope, hub, 'r', 'ann');
    const bob = await member(scope, { public: proxy, tls: hub.public.tls }, 'r', 'bob');
    const sent = [];
    const send = async (n) => { for (let i = 0; i < n; i++) { sent.push(sent.length); assert.equal((await ann.ask('signal', { to: 'bob', data: sent.at(-1) })).type, 'ok'); } };
    const got = [];
    const collect = () => { for (const f of bob.client.frames) if (f.type === 'signal') got.push([f.seq, f.data]); };
    for (let round = 0; round < 3; round++) {
        await send(5);
        await bob.client.waitFor(() => bob.client.of('signal').length > 1, 'something to have come');
        proxy.cut();
        await send(3);
        collect();
        const back = await bob.resume();
        assert.deepEqual([back.type, back.resumed, back.recovered], ['users-in-room', true, true]);
        assert.ok(bob.client.of('signal').every((f) => f.replay === true), 'what comes before the answer is marked');
    }
    await send(2);
    await bob.client.waitFor(() => bob.client.of('signal').at(-1)?.data === sent.length - 1, 'the last one');
    collect();
    assert.deepEqual(got.map(([, data]) => data), sent);
    assert.deepEqual(got.map(([seq]) => seq), [...new Set(got.map(([seq]) => seq))].sort((a, b) => a - b));

    // its socket still seems to be there: the old one is closed and cannot take the place back
    const old = bob.client;
    await bob.resume();
    assert.deepEqual(await old.end(), { code: 4109, reason: 'replaced' });
    assert.equal((await bob.ask('signal', { to: 'ann', data: 'still here' })).type, 'ok');
    assert.equal((await ann.get(is('signal'))).data, 'still here');

    // somebody else's token, and grace that is over
    const eve = await new Member(scope, hub, 'r', 'bob').connect();
    assert.equal((await eve.join({ resume: ann.ticket })).code, 'resume_failed');
    assert.equal((await eve.join()).code, 'user_taken');
    bob.client.terminate();
    await ann.get(is('user-left', { user_id: 'bob' }));
    assert.equal(ann.client.of('user-left')[0].reason, 'timeout');
    assert.equal((await bob.resume()).code, 'resume_failed');
    assert.equal((await bob.join()).resumed, false);
    assert.ok(total(await metricsOf(hub), 'carillon_room_resumes_total') >= 4);
});

scenario('who may join, open and kick is said by tokens, [access] and rules; a user with a token is himself wherever he comes from', async (scope) => {
    const hub = await tokenHub(scope, `
[access]
join = open.** small.*
[room "small.*"]
capacity = 1
[room "made.**"]
create = api
[room "open.users.*"]
create = users
[keys]
`);
    const with_ = async (claims) => ({ path: `/ws?token=${await sign(claims)}` });
    const ann = await new Member(scope, hub, 'class.1', '', await with_({ sub: 'ann', carillon: { join: ['class.*', 'made.*'], kick: ['class.*'], info: { name: 'Ann' } } })).connect();
    const bob = await new Member(scope, hub, 'class.1', '', await with_({ sub: 'bob', carillon: { join: ['class.*'] } })).connect();
    const nobody = await new Member(scope, hub, 'open.1', 'guest').connect();
    assert.equal((await ann.join({ user_id: 'bob' })).code, 'user_mismatch');
    assert.equal((await ann.join({ info: 'mine' })).you.user_id, 'ann');
    assert.deepEqual((await bob.join()).users.map((u) => u.info), [{ name: 'Ann' }], 'what the token says of a user counts');
    assert.equal((await nobody.join({ room: 'class.1' })).code, 'unauthenticated');
    assert.equal((await bob.join({ room: 'other.1' })).code, 'forbidden');
    assert.equal((await ann.join({ room: 'made.1' })).code, 'no_such_room');
    assert.equal((await nobody.join({ room: 'open.users.1' })).code, 'no_such_room');
    assert.equal((await bob.join({ room: 'open.users.1' })).type, 'users-in-room');
    assert.equal((await nobody.join({ room: 'open.users.1' })).type, 'users-in-room', 'once it is open');
    assert.equal((await nobody.join({ room: 'small.1' })).type, 'users-in-room');
    assert.equal((await bob.join({ room: 'small.1' })).code, 'room_full');

    assert.equal((await bob.ask('kick', { user_id: 'ann' })).code, 'forbidden');
    assert.equal((await ann.ask('kick', { user_id: 'bob', message: 'enough' })).type, 'ok');
    const { reason, message } = await bob.get('left');
    assert.deepEqual([reason, message], ['kicked', 'enough']);
    assert.equal((await ann.get('user-left')).reason, 'kicked');

    // the same subject on another connection takes the place of the first
    await bob.join();
    const again = await new Member(scope, hub, 'class.1', '', await with_({ sub: 'bob', carillon: { join: ['class.*'] } })).connect();
    assert.equal((await again.join()).type, 'users-in-room');
    assert.equal((await bob.get(is('left', { reason: 'replaced' }))).user_id, 'bob');
    assert.equal((await bob.client.ask({ type: 'ping' })).type, 'pong', 'it stays open');
    assert.equal(bob.client.closed, null);
});

scenario('other credentials end the rooms that they do not grant', async (scope) => {
    const hub = await tokenHub(scope);
    const grants = (sub, ...join) => sign({ sub, carillon: { join } });
    const enter = async (...who) => member(scope, hub, 'a.1', undefined, { path: `/ws?token=${await grants(...who)}` });
    const bob = await enter('bob', '**'), ann = await enter('ann', 'a.*', 'b.*');
    assert.equal((await ann.client.ask({ type: 'join', room: 'b.1' })).type, 'users-in-room');
    assert.equal((await ann.client.ask({ type: 'auth', token: await grants('ann', 'b.*') })).type, 'ok');
    assert.equal((await ann.get(is('left'))).reason, 'forbidden');
    assert.deepEqual((await bob.get(is('user-left'))).reason, 'forbidden');
    assert.equal((await ann.ask('broadcast', { data: 1 })).code, 'not_in_room');
    assert.equal((await ann.client.ask({ type: 'broadcast', data: 1 })).room, 'b.1');
    assert.equal((await ann.join()).code, 'forbidden');
});

scenario('an administrator closes a connection: its member has left at once', async (scope) => {
    const hub = await scope.hub();
    const ann = await member(scope, hub, 'r', 'ann');
    const bob = await member(scope, hub, 'r', 'bob');
    const id = (await bob.get('welcome')).connection;
    assert.equal((await request(hub, `/v1/connections/${id}`, { method: 'DELETE' })).status, 204);
    assert.equal((await ann.get('user-left')).reason, 'disconnected');
    assert.equal(ann.client.of('user-away').length, 0);
});

scenario('rooms go on under new settings', async (scope) => {
    const hub = await tokenHub(scope, '[access]\njoin = **\n');
    const ann = await member(scope, hub, 'r', 'ann');
    writeFileSync(hub.ini, '[access]\njoin = **\n[room "r"]\ncapacity = 1\n');
    process.kill(hub.pid, 'SIGHUP');
    const joins = await new Member(scope, hub, 'r', 'bob').connect();
    await eventually(async () => {
        const answer = await joins.join();
        if (answer.type === 'users-in-room') await joins.ask('leave');
        return answer.code === 'room_full';
    }, 'the new capacity');
    assert.equal((await ann.ask('broadcast', { data: 1 })).type, 'ok');
});

scenario('a frame that was refused is known to be missing by who comes back, and counts when it is sent again', async (scope) => {
    const hub = await scope.hub();
    const ann = await member(scope, hub, 'r', 'ann');
    assert.equal((await ann.ask('signal', { to: 'bob', n: 1, data: 'early' })).code, 'peer_unavailable');
    const bob = await member(scope, hub, 'r', 'bob');
    for (const n of [2, 3]) assert.equal((await ann.ask('signal', { to: 'bob', n, data: n })).delivered, 1);
    ann.client.terminate();
    await bob.get(is('user-away', { user_id: 'ann' }));
    assert.deepEqual((({ n, missing }) => ({ n, missing }))((await ann.resume()).you), { n: 3, missing: [1] });
    assert.equal((await ann.ask('signal', { to: 'bob', n: 1, data: 1 })).delivered, 1);
    for (const n of [1, 2, 3]) assert.equal((await ann.ask('signal', { to: 'bob', n, data: n })).duplicate, true);
    await bob.get(is('signal', { data: 1 }));
    assert.deepEqual(bob.client.frames.filter(is('signal')).map((f) => f.data), [2, 3, 1]);
});

// Webhooks over several hubs: any of them may be asked and told, one at a time sends to an endpoint, and another goes on when that one ends.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { messagesPath, request } from './lib/http.mjs';
import { nodes } from './lib/nodes.mjs';
import { Receiver } from './lib/receiver.mjs';
import { eventually } from './lib/wait.mjs';
import { LOCAL, Webhooks, bodyOf, idsOf } from './lib/webhooks.mjs';

async function shared(scope, n, args = []) {
    const { redis, hubs, open } = await nodes(scope, n, { args: ['--dev', '--redis.lease=3s', ...LOCAL, ...args] });
    const receiver = await Receiver.start(scope);
    return { redis, hubs, open, receiver, of: hubs.map((hub) => new Webhooks(hub)) };
}

const publish = async (hub, channel, data) => {
    const answer = await request(hub, messagesPath(channel), { method: 'POST', body: data, headers: { 'Content-Type': 'text/plain' } });
    assert.equal(answer.status, 201, answer.text);
    return `evt_${answer.json.id.replace('.', '_')}`;
};
const number = (id) => BigInt(`0x${BigInt(id.slice(4).split('_')[1]).toString(16)}`);
const inOrder = (ids) => ids.toSorted((a, b) => (number(a) < number(b) ? -1 : 1));
const sending = async (hubs) => {      // which hub sends to which endpoint, by their metrics: attempts so far
    const all = await Promise.all(hubs.map((hub) => request(hub, '/metrics')));
    return all.map(({ text }) => [...text.matchAll(/^carillon_webhook_attempts_total\{.*\} (\d+)$/gm)].reduce((sum, [, n]) => sum + Number(n), 0));
};

scenario('whichever hub is told, and whichever is asked: each event arrives once, in order where that was asked for', async (scope) => {
    const { hubs, of: [a, b, c], receiver } = await shared(scope, 3);
    const { id } = await a.make({ url: receiver.url('/all'), events: ['message.published', 'order.*'] });
    const ordered = await b.make({ url: receiver.url('/ordered'), events: ['message.published'], ordered: true });
    await eventually(async () => (await c.ask('GET', `/v1/webhooks/${ordered.id}`)).status === 200, 'both to be known everywhere');
    const ids = [];
    for (let i = 0; i < 60; i++) ids.push(i % 4 === 3 ? (await [a, b, c][i % 3].tell('order.created', i)).id : await publish(hubs[i % 3], 'room', `${i}`));
    const messages = ids.filter((_, i) => i % 4 !== 3);
    assert.deepEqual(inOrder(idsOf(await receiver.requests('/all', 60))), inOrder(ids));
    assert.deepEqual(idsOf(await receiver.requests('/ordered', messages.length)), inOrder(messages));
    for (const one of [a, b, c]) await one.until(id, { pending: 0, dead_letters: 0 });
    assert.deepEqual((await c.event(ids[0])).deliveries.map(({ status }) => status), ['delivered', 'delivered']);
    assert.equal((await b.list(`/v1/deliveries?webhook=${id}`)).length, 60);
    assert.equal((await receiver.requests('/all', 60)).length, 60, 'once each');
});

scenario('the hub that sends is killed: another goes on, with what was tried and what was not', async (scope) => {
    const { hubs, of, receiver } = await shared(scope, 2, ['--webhooks.retry=0,100ms,100ms,100ms,100ms,100ms,100ms,100ms,100ms,100ms,100ms,100ms']);
    const { id } = await of[0].make({ url: receiver.url('/hook'), events: ['a'], ordered: true });
    receiver.answer('/hook', 500);
    const ids = [];
    for (let i = 0; i < 5; i++) ids.push((await of[i % 2].tell('a', i, { channel: 'room' })).id);
    await receiver.requests('/hook', 3);      // the third of the first event: two attempts have been written down
    const counts = await sending(hubs), who = counts[0] > 0 ? 0 : 1;
    assert.deepEqual(counts.filter((n) => n > 0).length, 1, 'one of them sends');
    await hubs[who].kill9();
    const rest = of[1 - who];
    ids.push((await rest.tell('a', 5, { channel: 'room' })).id);
    receiver.answer('/hook', 200);
    await rest.until(id, { pending: 0, dead_letters: 0 });
    const arrived = idsOf(receiver.all.filter(({ path }) => path === '/hook'));
    assert.deepEqual([...new Set(arrived)], ids, 'in order, none left out');
    const first = (await rest.event(ids[0])).deliveries[0];
    assert.ok((await rest.delivery(first.id)).attempts.length >= 3, 'attempts of both hubs are in the log');
});

scenario('a hub that stops ends what it has begun, and one that comes takes its share: nothing is sent twice', async (scope) => {
    const { hubs, open, of, receiver } = await shared(scope, 2);
    receiver.answer('/hook', (exchange) => receiver.later(60, () => exchange.answer({ status: 200 })));
    for (let i = 0; i < 8; i++) await of[0].make({ url: receiver.url('/hook'), events: ['a'], concurrency: 2 });
    await eventually(async () => (await of[1].list('/v1/webhooks')).length === 8, 'all to be known');
    const tell = async (one, n) => { for (let i = 0; i < n; i++) await one.tell('a', i); };
    await tell(of[1], 10);
    const third = await open();
    await third.ready();
    await tell(of[1], 10);
    const ended = hubs[0].terminate();
    await tell(of[1], 10);
    await ended;
    await receiver.requests('/hook', 240, 30000);
    for (const { id } of await of[1].list('/v1/webhooks')) await of[1].until(id, { pending: 0, sending: 0 });
    const came = receiver.all.map((one) => `${bodyOf(one).id} ${one.headers['webhook-signature']}`);
    assert.equal(came.length, 240);
    assert.equal(new Set(came).size, 240, 'once each');
    assert.ok((await sending([third]))[0] > 0, 'the new one sends too');
});

scenario('who comes, who leaves, and which channels are occupied is told once for all hubs', async (scope) => {
    const { hubs: [a, b], of, receiver } = await shared(scope, 2, ['--webhooks.vacated_after=200ms', '--presence.grace=100ms']);
    await of[0].make({ url: receiver.url('/hook'), events: ['channel.occupied', 'channel.vacated', 'member.*'], channels: ['room'] });
    await eventually(async () => (await of[1].list('/v1/webhooks')).length === 1, 'it to be known');
    const open = async (hub, user) => { const socket = await scope.ws(hub, `/ws?channel=room&user=${user}`); await socket.get('subscribed'); return socket; };
    const said = () => receiver.all.map((one) => { const { type, data } = bodyOf(one); return data.user ? `${type} ${data.user}` : type; });
    const hears = (...expected) => eventually(() => said().length >= expected.length, `${expected}`, undefined, () => said().join()).then(() => assert.deepEqual(said().toSorted(), expected.toSorted()));
    const first = await open(a, 'ann'), second = await open(b, 'ann');
    await hears('channel.occupied', 'member.joined ann');
    first.close();
    const third = await open(b, 'bob');
    await hears('channel.occupied', 'member.joined ann', 'member.joined bob');
    second.close();
    third.close();
    await hears('channel.occupied', 'member.joined ann', 'member.joined bob', 'member.left ann', 'member.left bob', 'channel.vacated');
});

scenario('subscribers of a hub that is killed leave, and their channels are vacated', async (scope) => {
    const { hubs: [a, b], of: [, ofB], receiver } = await shared(scope, 2, ['--webhooks.vacated_after=200ms', '--presence.grace=100ms']);
    await ofB.make({ url: receiver.url('/hook'), events: ['channel.vacated', 'member.left'], channels: ['room'] });
    await eventually(async () => (await new Webhooks(a).list('/v1/webhooks')).length === 1, 'it to be known');
    const socket = await scope.ws(a, '/ws?channel=room&user=ann');
    await socket.get('subscribed');
    await eventually(async () => (await request(b, '/v1/channels/room/presence')).json.data?.length === 1, 'ann to be known');
    await a.kill9();
    const came = await receiver.requests('/hook', 2, 30000);
    assert.deepEqual(came.map((one) => [bodyOf(one).type, bodyOf(one).channel]).toSorted(), [['channel.vacated', 'room'], ['member.left', 'room']]);
});

scenario('a replay is shown and stopped on any hub, and what is removed is gone on all', async (scope) => {
    const { of: [a, b], receiver } = await shared(scope, 2, ['--webhooks.retry=0']);
    const { id } = await a.make({ url: receiver.url('/hook'), events: ['a'] });
    receiver.answer('/hook', ...Array(6).fill(500), 200);
    for (let i = 0; i < 6; i++) await a.tell('a', i);
    await a.until(id, { dead_letters: 6 });
    const { id: replay } = await a.replay(id, { status: 'failed' });
    const shown = (one) => one.ask('GET', `/v1/webhooks/${id}/replays/${replay}`);
    await eventually(async () => (await shown(b)).json.status === 'done', 'the replay to be done, as the other hub says');
    assert.equal((await shown(b)).json.sent, 6);
    assert.deepEqual((await b.ask('GET', `/v1/webhooks/${id}/replays`)).json.data.map((one) => one.id), [replay]);
    assert.equal((await b.ask('DELETE', `/v1/webhooks/${id}/replays/${replay}`)).status, 200);
    assert.equal((await b.ask('GET', `/v1/webhooks/${id}/replays/rp_1`)).status, 404);
    await b.until(id, { pending: 0, dead_letters: 0 });
    assert.equal((await receiver.requests('/hook', 12)).length, 12);
    await b.remove(id);
    await eventually(async () => (await a.ask('GET', `/v1/webhooks/${id}`)).status === 404, 'it to be gone');
    await eventually(async () => (await a.list('/v1/deliveries')).length === 0, 'its deliveries to be gone');
});

scenario('while Redis is away nothing is lost: what is under way is settled when it is back', async (scope) => {
    const { redis, of: [a], receiver } = await shared(scope, 2);
    const { id } = await a.make({ url: receiver.url('/hook'), events: ['a'] });
    let answer = null;
    receiver.answer('/hook', (exchange) => { answer = exchange; });
    const told = await a.tell('a', 1);
    await eventually(() => answer, 'the attempt');
    redis.say('client', 'kill', 'type', 'normal', 'skipme', 'yes');
    redis.child.kill('SIGSTOP');
    answer.answer({ status: 200 });
    await eventually(async () => (await a.ask('GET', '/health/ready')).status === 503, 'Redis to be missed', 20000);
    redis.child.kill('SIGCONT');
    await eventually(async () => (await a.ask('GET', '/health/ready')).status === 200, 'Redis to be back', 20000);
    await a.until(id, { pending: 0 });
    assert.equal((await a.event(told.id)).deliveries[0].status, 'delivered');
});

scenario('a hub that stands still for longer than its lease, and goes on: what it had begun does not count any more, and it is not sent again', async (scope) => {
    const { hubs, of, receiver } = await shared(scope, 2, ['--webhooks.retry=0,50ms,50ms,50ms', '--webhooks.timeout=1m']);
    const { id } = await of[0].make({ url: receiver.url('/hook'), events: ['a'], ordered: true, after_last: 'block' });
    let held = null;
    receiver.answer('/hook', (exchange) => { held = exchange; }, 200);
    const first = await of[0].tell('a', 1, { channel: 'room' });
    await eventually(() => held, 'the first attempt');
    await eventually(async () => (await Promise.all(of.map((one) => one.show(id)))).every(({ sending }) => sending === 1), 'both to say that it is being sent');
    const says = async (hub, metric) => (await request(hub, '/metrics')).text.includes(`\ncarillon_webhook_${metric} 1\n`);
    const who = await says(hubs[0], 'queue{state="sending"}') ? 0 : 1;
    hubs[who].run.signal('SIGSTOP');
    const other = of[1 - who];
    await receiver.requests('/hook', 2, 30000);
    const second = await other.tell('a', 2, { channel: 'room' });
    await other.until(id, { pending: 0, sending: 0 });
    hubs[who].run.signal('SIGCONT');
    await eventually(() => says(hubs[who], 'endpoints{state="enabled"}'), 'the endpoint to be its own again', 30000);
    held.answer({ status: 500 });
    for (const one of [of[who], other]) await one.until(id, { pending: 0, sending: 0, dead_letters: 0 });
    const third = await of[who].tell('a', 3, { channel: 'room' });
    await other.settled(third.id, 'delivered');
    assert.deepEqual(idsOf(await receiver.requests('/hook', 4)), [first.id, first.id, second.id, third.id]);
    const { status, tries } = (await other.event(first.id)).deliveries[0];
    assert.deepEqual([status, tries], ['delivered', 1], 'as the other hub has settled it');
});

scenario('where Redis has lost its data, which channels are occupied is told again, and that they are vacated once', async (scope) => {
    const { redis, hubs: [a, b], of: [ofA], receiver } = await shared(scope, 2, ['--webhooks.vacated_after=200ms']);
    await ofA.make({ url: receiver.url('/hook'), events: ['channel.*'], channels: ['room.*'] });
    await eventually(async () => (await new Webhooks(b).list('/v1/webhooks')).length === 1, 'it to be known');
    const open = async (hub, room) => { const socket = await scope.ws(hub, `/ws?channel=${room}`); await socket.get('subscribed'); return socket; };
    const hears = (...expected) => receiver.requests('/hook', expected.length, 30000).then((came) =>
        assert.deepEqual(came.map((one) => `${bodyOf(one).channel} ${bodyOf(one).type.slice(8)}`).toSorted(), expected.toSorted()));
    const sockets = [await open(a, 'room.1'), await open(b, 'room.1'), await open(b, 'room.2')];
    await hears('room.1 occupied', 'room.2 occupied');
    redis.say('flushall');
    await hears('room.1 occupied', 'room.2 occupied', 'room.1 occupied', 'room.2 occupied');
    for (const socket of sockets) socket.close();
    await hears('room.1 occupied', 'room.2 occupied', 'room.1 occupied', 'room.2 occupied', 'room.1 vacated', 'room.2 vacated');
});

// Webhooks as a partner has them: what arrives, how it is signed, and what comes of it when it does not.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { verify as verifyGithub } from '@octokit/webhooks-methods';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import Stripe from 'stripe';
import { Webhook as SvixWebhook } from 'svix';
import { Chance } from './lib/chance.mjs';
import { scenario } from './lib/scope.mjs';
import { problemOf, publish } from './lib/http.mjs';
import { Receiver, identities, retryAfter } from './lib/receiver.mjs';
import { eventually } from './lib/wait.mjs';
import { Webhooks, bodyOf, idsOf, withReceiver } from './lib/webhooks.mjs';

const QUICK = ['--webhooks.retry=0,20ms,20ms', '--webhooks.breaker=0'];

// ---- what arrives ----

const hex = (secret, text) => createHmac('sha256', secret).update(text).digest('hex');
// scheme -> whether a request is signed with the secret, as the partner's own library sees it
const PARTNERS = {
    standard: ({ body, headers }, secret) => { new StandardWebhook(secret).verify(body, headers); new SvixWebhook(secret).verify(body, headers); return true; },
    github: ({ body, headers }, secret) => verifyGithub(secret, body.toString(), headers['x-hub-signature-256']),
    stripe: ({ body, headers }, secret) => new Stripe('sk_test').webhooks.constructEvent(body, headers['stripe-signature'], secret).id === JSON.parse(body).id,
    'x-webhook': ({ body, headers }, secret) => headers['x-webhook-signature'] === hex(secret, body) && headers['x-webhook-event'] === 'message.published' && headers['x-webhook-id'] === JSON.parse(body).id,
    'x-webhook-sha256': ({ body, headers }, secret) => headers['x-webhook-signature'] === `sha256=${hex(secret, body)}`,
    timestamped: ({ body, headers }, secret) => headers['x-signature'] === `sha256=${hex(secret, `${headers['x-timestamp']}.${body}`)}`,
};

scenario('a published message arrives, signed as the libraries of partners want it', async (scope) => {
    const { hub, webhooks, receiver } = await withReceiver(scope);
    const secrets = {};
    for (const signature of Object.keys(PARTNERS)) {
        const given = signature === 'standard' ? {} : { secret: 'It\'s a Secret to Everybody' };
        secrets[signature] = (await webhooks.make({ url: receiver.url(`/${signature}`), events: ['message.published'], signature, headers: { 'X-Partner': 'a b' }, ...given })).secret;
    }
    const { id, channel, time } = await publish(hub, 'news', '{"price" : 0.10,  "ü":[1e2, 12345678901234567890]}', { headers: { 'Content-Type': 'text/plain' } });
    for (const [signature, check] of Object.entries(PARTNERS)) {
        const [delivered] = await receiver.requests(`/${signature}`);
        assert.equal(await check(delivered, secrets[signature]), true, signature);
        const forged = { ...delivered, body: Buffer.from(delivered.body.toString().replace('news', 'mews')) };
        assert.notEqual(await Promise.resolve().then(() => check(forged, secrets[signature])).catch(() => false), true, `${signature}, forged`);
        assert.deepEqual([delivered.method, delivered.headers['content-type'], delivered.headers['x-partner']], ['POST', 'application/json', 'a b']);
        assert.match(delivered.headers['user-agent'], /^carillon\//);
        assert.deepEqual(bodyOf(delivered), { id: `evt_${id.replace('.', '_')}`, type: 'message.published', event: 'message.published', timestamp: new Date(time).toISOString(), channel,
            message: { id }, data: '{"price" : 0.10,  "ü":[1e2, 12345678901234567890]}' });
    }
});

scenario('the payload is the publisher\'s, byte for byte, and only what was asked for arrives', async (scope) => {
    const { hub, webhooks, receiver } = await withReceiver(scope);
    await webhooks.make({ url: receiver.url('/all'), events: ['message.published'] });
    await webhooks.make({ url: receiver.url('/some'), events: ['message.published'], channels: ['orders.*', 'news'], message_events: ['tick'] });
    await webhooks.make({ url: receiver.url('/off'), events: ['*'], enabled: false });
    const json = '{ "price":0.10, "n":12345678901234567890, "s":"\\u00e4\\/" }';
    await publish(hub, 'orders.eu', `{"event":"tick","data":${json}}`, { headers: { 'Content-Type': 'application/json' } });
    await publish(hub, 'orders.eu', 'no event name', { headers: { 'Content-Type': 'text/plain' } });
    await publish(hub, 'orders.eu.berlin', 'x', { headers: { 'Content-Type': 'text/plain' }, query: '?event=tick' });
    await publish(hub, 'news', Buffer.from([0, 1, 254, 255]), { headers: { 'Content-Type': 'application/octet-stream' }, query: '?event=tick' });
    const some = await receiver.requests('/some', 2), all = await receiver.requests('/all', 4);
    assert.ok(all.some(({ body }) => body.toString().endsWith(`"data":${json}}`)));
    const byChannel = Object.fromEntries(some.map((one) => [bodyOf(one).channel, bodyOf(one)]));
    assert.deepEqual([byChannel['orders.eu'].message.event, byChannel.news.encoding, byChannel.news.data], ['tick', 'base64', 'AAH+/w==']);
    assert.deepEqual([receiver.of('/some').length, receiver.of('/off').length], [2, 0]);
});

scenario('channels that are occupied and vacated, and members that come and leave, are told', async (scope) => {
    const { hub, webhooks, receiver } = await withReceiver(scope, ['--presence.members=true', '--presence.grace=50ms', '--webhooks.vacated_after=50ms']);
    await webhooks.make({ url: receiver.url('/hook'), events: ['channel.occupied', 'channel.vacated', 'member.joined', 'member.left'], channels: ['room'] });
    const socket = await scope.ws(hub, '/ws?channel=room&channel=other&user=ann');
    await socket.get('subscribed');
    await receiver.requests('/hook', 2);
    socket.close();
    const told = (await receiver.requests('/hook', 4)).map(bodyOf);
    assert.deepEqual(told.map(({ type, channel }) => `${type} ${channel}`).sort(), ['channel.occupied room', 'channel.vacated room', 'member.joined room', 'member.left room']);
    assert.deepEqual(told.filter(({ type }) => type.startsWith('member.')).map(({ data }) => data.user), ['ann', 'ann']);
});

// ---- when it does not arrive ----

scenario('what fails is tried again, then a dead letter, which is told, read, sent again, removed', async (scope) => {
    const { webhooks, receiver } = await withReceiver(scope, QUICK);
    const { id } = await webhooks.make({ url: receiver.url('/hook'), events: ['order.*'] });
    await webhooks.make({ url: receiver.url('/told'), events: ['webhook.dead_lettered'] });
    receiver.answer('/hook', { status: 500, body: 'no\u0001 "time"' }, 'resetInHead', { status: 302, headers: { Location: receiver.url('/elsewhere') } }, 200);
    const event = await webhooks.tell('order.created', { n: 1 }, { channel: 'orders' });
    const dead = await webhooks.settled(event.id, 'dead');
    assert.deepEqual(dead.attempts.map(({ status, error }) => status ?? error), [500, 'http', 302]);
    assert.equal(dead.attempts[0].body, 'no\u0001 "time"');
    assert.match(dead.attempts[0].head, /^HTTP\/1\.1 500 /);
    assert.deepEqual([dead.tries, dead.last_status, dead.next_attempt, dead.payload], [3, 302, null, bodyOf(receiver.of('/hook')[0])]);
    assert.deepEqual([idsOf(receiver.of('/hook')), receiver.of('/elsewhere')], [Array(3).fill(event.id), []], 'the same id each time, and redirects are not followed');
    const told = bodyOf((await receiver.requests('/told'))[0]);
    assert.deepEqual([told.type, told.channel, told.data], ['webhook.dead_lettered', 'orders', { webhook: id, event: event.id, type: 'order.created', attempts: 3 }]);

    assert.deepEqual((await webhooks.list(`/v1/dead-letters?webhook=${id}`)).map((one) => one.id), [dead.id]);
    assert.deepEqual((await webhooks.ask('GET', `/v1/dead-letters/${dead.id}`)).json, dead);
    assert.equal((await webhooks.ask('POST', `/v1/dead-letters/${dead.id}/redeliver`)).status, 202);
    const arrived = await webhooks.settled(event.id, 'delivered');
    assert.deepEqual([arrived.tries, arrived.last_status, arrived.attempts.length], [1, 200, 4]);
    problemOf(await webhooks.ask('GET', `/v1/dead-letters/${dead.id}`), 404, 'not_found');
    problemOf(await webhooks.ask('DELETE', `/v1/dead-letters/${dead.id}`), 404, 'not_found');
    await webhooks.redeliver(dead.id);
    await receiver.requests('/hook', 5);

    receiver.answer('/hook', 404);
    const lost = [];
    for (let i = 0; i < 5; i++) lost.push((await webhooks.tell('order.created', i)).id);
    await webhooks.until(id, { dead_letters: 5, pending: 0 });
    const letters = await webhooks.list(`/v1/dead-letters?webhook=${id}&limit=2`);
    assert.deepEqual(letters.map((one) => one.event), [...lost].reverse(), 'newest first, page by page');
    assert.deepEqual((await webhooks.list('/v1/dead-letters?limit=3')).map((one) => one.id), letters.map((one) => one.id));
    assert.equal((await webhooks.ask('DELETE', `/v1/dead-letters/${letters[0].id}`)).status, 204);
    receiver.answer('/hook', 200);
    const replay = (await webhooks.ask('POST', '/v1/dead-letters/redeliver', { webhook: id })).json;
    await webhooks.until(id, { dead_letters: 0, pending: 0 });
    assert.deepEqual(new Set(idsOf(receiver.accepted('/hook').slice(-4))), new Set(lost.slice(0, 4)));
    await eventually(async () => (await webhooks.ask('GET', `/v1/webhooks/${id}/replays/${replay.id}`)).json.status === 'done', 'the replay to be done');
    assert.equal((await webhooks.list(`/v1/webhooks/${id}/replays`)).at(-1).sent, 4);
});

scenario('dead letters are removed for one webhook or for all', async (scope) => {
    const { webhooks, receiver } = await withReceiver(scope, ['--webhooks.retry=0', '--webhooks.breaker=0']);
    receiver.answer('/hook', 500);
    const [a, b] = [await webhooks.make({ url: receiver.url('/hook'), events: ['a.*'] }), await webhooks.make({ url: receiver.url('/hook'), events: ['*'] })];
    for (let i = 0; i < 3; i++) await webhooks.tell('a.x', i);
    await webhooks.until(a.id, { dead_letters: 3 });
    await webhooks.until(b.id, { pending: 0 });
    assert.deepEqual((await webhooks.ask('DELETE', `/v1/dead-letters?webhook=${a.id}`)).json, { removed: 3 });
    assert.deepEqual([(await webhooks.show(a.id)).dead_letters, (await webhooks.list(`/v1/dead-letters?webhook=${a.id}`)).length], [0, 0]);
    const left = (await webhooks.list('/v1/dead-letters')).length;
    assert.ok(left >= 3);
    assert.deepEqual((await webhooks.ask('DELETE', '/v1/dead-letters?webhook=*')).json, { removed: left });
    assert.deepEqual([await webhooks.list('/v1/dead-letters'), (await webhooks.show(b.id)).dead_letters], [[], 0]);
});

// misdeed of the receiver -> [status, error] of its attempt
const MISDEEDS = { hangUp: [undefined, 'http'], reset: [undefined, 'http'], resetInHead: [undefined, 'http'], garbage: [undefined, 'http'], endlessHead: [undefined, 'too_large'],
    noStatus: [undefined, 'http'], endlessContinue: [undefined, 'too_large'] };
const SILENT = { never: [undefined, 'timeout'], dripHead: [undefined, 'timeout'] };
// what is accepted by its status, whatever comes behind it
const TAKEN = ['twoLengths', 'resetInBody', 'cut', 'drip', 'endless', 'gigabyte', 'close'];

// One endpoint for each of them, and one event.
async function misbehave(webhooks, receiver, misdeeds) {
    for (const misdeed of misdeeds) {
        receiver.answer(`/${misdeed}`, misdeed);
        await webhooks.make({ url: receiver.url(`/${misdeed}`), events: [misdeed] });
    }
}

// expected: type -> [status, error] of its only attempt
async function areDead(webhooks, told, expected) {
    for (const [type, [status, error]] of Object.entries(expected)) {
        const { attempts, last_error } = await webhooks.settled(told[type], 'dead');
        assert.deepEqual([attempts.length, attempts[0].status, attempts[0].error, last_error], [1, status, error, error], `${type}: ${JSON.stringify(attempts)}`);
        assert.ok(attempts[0].reason, type);
    }
}

scenario('a receiver that misbehaves costs an attempt, with its class, and delays nobody else', async (scope) => {
    const { webhooks, receiver } = await withReceiver(scope, ['--webhooks.retry=0', '--webhooks.timeout=5m', '--webhooks.connect_timeout=5m', '--webhooks.breaker=0']);
    const good = await webhooks.make({ url: receiver.url('/good'), events: ['good'] });
    await misbehave(webhooks, receiver, Object.keys({ ...MISDEEDS, ...SILENT }));
    await webhooks.make({ url: 'http://127.0.0.1:1/', events: ['connect'] });
    await webhooks.make({ url: 'https://nowhere.invalid/', events: ['dns'] });
    const { unknown, misnamed } = identities(scope.dir());
    for (const [type, tls] of Object.entries({ tls: unknown, misnamed })) await webhooks.make({ url: (await Receiver.start(scope, { tls })).url('/'), events: [type] });
    const all = { ...MISDEEDS, connect: [undefined, 'connect'], dns: [undefined, 'dns'], tls: [undefined, 'tls'], misnamed: [undefined, 'tls'] }, told = {};
    for (const type of Object.keys({ ...SILENT, ...all })) told[type] = (await webhooks.tell(type)).id;
    const { id } = await webhooks.tell('good');
    await webhooks.settled(id, 'delivered');
    await areDead(webhooks, told, all);
    assert.equal((await webhooks.show(good.id)).dead_letters, 0);
    for (const type of Object.keys(SILENT)) assert.deepEqual((await webhooks.event(told[type])).deliveries.map(({ settled }) => !settled), [true], type);
});

scenario('a receiver that does not come to its status has as long as the setting says; one that has said it is believed', async (scope) => {
    const { webhooks, receiver } = await withReceiver(scope, ['--webhooks.retry=0', '--webhooks.timeout=3s', '--webhooks.breaker=0']);
    const told = {};
    await misbehave(webhooks, receiver, Object.keys(SILENT));
    for (const type of Object.keys(SILENT)) told[type] = (await webhooks.tell(type)).id;
    for (const misdeed of TAKEN) {
        receiver.answer(`/${misdeed}`, misdeed);
        await webhooks.make({ url: receiver.url(`/${misdeed}`), events: ['taken'] });
    }
    const taken = await webhooks.tell('taken');
    const settled = await eventually(async () => { const { deliveries } = await webhooks.event(taken.id); return deliveries.every(({ settled }) => settled) && deliveries; }, 'all to be settled');
    assert.deepEqual(settled.map(({ status, tries, last_status }) => [status, tries, last_status]), TAKEN.map(() => ['delivered', 1, 200]));
    await areDead(webhooks, told, SILENT);
});

scenario('of many attempts the newest are kept', async (scope) => {
    const { webhooks, receiver } = await withReceiver(scope, [`--webhooks.retry=${Array(30).fill('0').join()}`, '--webhooks.breaker=0']);
    await webhooks.make({ url: receiver.url('/hook'), events: ['a'] });
    receiver.answer('/hook', ...Array.from({ length: 30 }, (_, i) => ({ status: 500 + i, body: '\u0001'.repeat(2000) })));
    const { tries, attempts, last_status } = await webhooks.settled((await webhooks.tell('a')).id, 'dead');
    assert.deepEqual([tries, last_status, attempts.at(-1).status, attempts.at(-1).body, attempts[0].body_cut], [30, 529, 529, '\u0001'.repeat(1024), true]);
    assert.ok(attempts.length > 5 && attempts.length < 30 && attempts.every(({ status }, i) => status === 530 - attempts.length + i), JSON.stringify(attempts.map(({ status }) => status)));
});

scenario('where a name leads is looked at when it is connected to', async (scope) => {
    const webhooks = new Webhooks(await scope.hub({ args: ['--webhooks.retry=0', '--webhooks.allow_http=true'] })), receiver = await Receiver.start(scope);
    await webhooks.make({ url: receiver.url('/hook', 'localhost'), events: ['a'] });
    const { id } = await webhooks.tell('a');
    const { attempts } = await webhooks.settled(id, 'dead');
    assert.deepEqual([attempts[0].error, receiver.connections], ['blocked_address', 0], JSON.stringify(attempts));
});

// ---- again, later, in order ----

scenario('a replay sends once more what happened in a span of time, dead or all of it, and can be stopped', async (scope) => {
    const { webhooks, receiver } = await withReceiver(scope, ['--webhooks.retry=0', '--webhooks.breaker=0']);
    const { id } = await webhooks.make({ url: receiver.url('/hook'), events: ['a.*'] });
    receiver.answer('/hook', 200, 500, 200);
    const ids = [];
    for (let i = 0; i < 3; i++) {
        ids.push((await webhooks.tell('a.x', i)).id);
        await webhooks.until(id, { pending: 0 });
    }
    const future = new Date(Date.now() + 3600e3).toISOString().replace(/\.\d+/, ''), past = new Date(Date.now() - 3600e3).toISOString().replace(/\.\d+/, '');
    const done = async (replay) => eventually(async () => {
        const now = (await webhooks.ask('GET', `/v1/webhooks/${id}/replays/${replay.id}`)).json;
        return now.status === 'done' && now;
    }, 'the replay to be done');
    assert.equal((await done(await webhooks.replay(id, { since: future }))).sent, 0);
    assert.equal((await done(await webhooks.replay(id, { until: past, status: 'all' }))).sent, 0);
    assert.equal((await done(await webhooks.replay(id))).sent, 1, 'what has failed');
    assert.deepEqual(idsOf((await receiver.requests('/hook', 4)).slice(3)), [ids[1]]);
    await webhooks.until(id, { pending: 0, dead_letters: 0 });
    assert.equal((await done(await webhooks.replay(id, { since: past, until: future, status: 'all' }))).sent, 3);
    assert.deepEqual(new Set(idsOf((await receiver.requests('/hook', 7)).slice(4))), new Set(ids));
    const stopped = (await webhooks.ask('DELETE', `/v1/webhooks/${id}/replays/${(await webhooks.replay(id, { status: 'all' })).id}`)).json;
    assert.ok(['stopped', 'done'].includes(stopped.status));
});

scenario('while a webhook is paused its events are kept, up to a bound, and sent when it goes on', async (scope) => {
    const { hub, webhooks, receiver } = await withReceiver(scope, ['--webhooks.queue=5']);
    const { id } = await webhooks.make({ url: receiver.url('/hook'), events: ['message.published'], paused: true });
    const ids = [];
    for (let i = 0; i < 7; i++) ids.push(`evt_${(await publish(hub, 'news', `n${i}`)).id.replace('.', '_')}`);
    const waiting = await webhooks.show(id);
    assert.deepEqual([waiting.pending, waiting.dead_letters, receiver.all.length], [5, 2, 0]);
    await hub.kill9();
    await hub.restart();
    await webhooks.until(id, { pending: 5, dead_letters: 2 });
    await webhooks.change(id, { paused: false });
    assert.deepEqual(new Set(idsOf(await receiver.requests('/hook', 5))), new Set(ids.slice(0, 5)));
    await webhooks.until(id, { pending: 0, dead_letters: 2 });
});

scenario('a secret that is rotated signs beside the old one for as long as was said', async (scope) => {
    const { webhooks, receiver } = await withReceiver(scope);
    const verifies = ({ body, headers }, secret) => { try { new StandardWebhook(secret).verify(body, headers); return true; } catch { return false; } };
    const { id, secret } = await webhooks.make({ url: receiver.url('/hook'), events: ['a'] });
    const second = await webhooks.rotate(id, {});
    assert.ok(second.old_secret_until && second.secret !== secret && second.version === 2);
    await webhooks.tell('a');
    const [both] = await receiver.requests('/hook');
    assert.deepEqual([verifies(both, secret), verifies(both, second.secret)], [true, true]);
    const third = await webhooks.rotate(id, { secret: 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD', overlap: '0' });
    assert.deepEqual([third.secret, third.old_secret_until], ['whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD', null]);
    await webhooks.tell('a');
    const one = (await receiver.requests('/hook', 2))[1];
    assert.deepEqual([verifies(one, secret), verifies(one, second.secret), verifies(one, third.secret)], [false, false, true]);
});

// The signature of the old secret, where it is in a header of its own, as a request that is signed with that one alone.
const asBefore = ({ headers, ...others }) => ({ ...others, headers: { ...headers,
    ...Object.fromEntries(Object.entries(headers).filter(([name]) => name.endsWith('-previous')).map(([name, value]) => [name.slice(0, -'-previous'.length), value])) } });

scenario('in every scheme a rotated secret and the one before it are both good, for as long as was said', async (scope) => {
    const { hub, webhooks, receiver } = await withReceiver(scope), made = {};
    for (const signature of Object.keys(PARTNERS)) made[signature] = await webhooks.make({ url: receiver.url(`/${signature}`), events: ['message.published'], signature });
    const rotated = {};
    for (const [signature, { id }] of Object.entries(made)) rotated[signature] = (await webhooks.rotate(id, {})).secret;
    await publish(hub, 'news', 'while both are valid');
    for (const [signature, check] of Object.entries(PARTNERS)) {
        const [both] = await receiver.requests(`/${signature}`), old = made[signature].secret;
        assert.notEqual(rotated[signature], old);
        assert.deepEqual([await check(both, rotated[signature]), await check(asBefore(both), old)], [true, true], `${signature}: ${JSON.stringify(both.headers)}`);
        await webhooks.rotate(made[signature].id, { secret: old, overlap: '0' });
    }
    await publish(hub, 'news', 'with the first one alone');
    for (const [signature, check] of Object.entries(PARTNERS)) {
        const alone = (await receiver.requests(`/${signature}`, 2))[1];
        assert.equal(await check(alone, made[signature].secret), true, signature);
        assert.notEqual(await Promise.resolve().then(() => check(alone, rotated[signature])).catch(() => false), true, signature);
        assert.ok(!Object.keys(alone.headers).some((name) => name.endsWith('-previous')), signature);
    }
});

scenario('an ordered webhook has each channel in order: the others wait for the head, other channels do not', async (scope) => {
    const { hub, webhooks, receiver } = await withReceiver(scope, ['--webhooks.retry=0,300ms,1ms', '--webhooks.breaker=0']);
    const { id } = await webhooks.make({ url: receiver.url('/hook'), events: ['message.published'], ordered: true });
    receiver.answer('/hook', 500, 200);
    const order = [];
    for (let i = 0; i < 20; i++) order.push((await publish(hub, i % 5 ? 'a' : 'b', `${i}`)).id);
    const seen = (await receiver.requests('/hook', 21)).map(bodyOf);
    for (const channel of ['a', 'b']) {
        const got = seen.filter((one) => one.channel === channel).map(({ data }) => Number(data));
        const wanted = order.map((_, i) => i).filter((i) => (i % 5 ? 'a' : 'b') === channel);
        assert.deepEqual(channel === 'b' ? got.slice(1) : got, wanted, channel);      // the first of b was refused once
    }
    assert.ok(seen.findLastIndex((one) => one.channel === 'b' && one.data === '0') > seen.findIndex((one) => one.channel === 'a'), 'a did not wait for b');
    await webhooks.until(id, { pending: 0 });
});

scenario('after the last attempt an ordered webhook goes on, or waits until somebody acts', async (scope) => {
    const { webhooks, receiver } = await withReceiver(scope, ['--webhooks.retry=0,1ms', '--webhooks.breaker=0']);
    const skip = await webhooks.make({ url: receiver.url('/skip'), events: ['a'], ordered: true }), block = await webhooks.make({ url: receiver.url('/block'), events: ['a'], ordered: true, after_last: 'block' });
    for (const path of ['/skip', '/block']) receiver.answer(path, 500, 500, 200);
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push((await webhooks.tell('a', i, { channel: 'c' })).id);
    assert.deepEqual(idsOf(await receiver.requests('/skip', 4)), [ids[0], ids[0], ids[1], ids[2]]);
    await webhooks.until(skip.id, { pending: 0, dead_letters: 1 });
    const head = await eventually(async () => (await webhooks.list(`/v1/deliveries?webhook=${block.id}&event=${ids[0]}`)).find((one) => one.waits_for === 'redelivery'), 'the head to be blocked');
    const others = await webhooks.list(`/v1/deliveries?webhook=${block.id}&status=pending`);
    assert.deepEqual(others.map((one) => [one.event, one.waits_for]), [[ids[2], 'others'], [ids[1], 'others'], [ids[0], 'redelivery']]);
    assert.equal(receiver.of('/block').length, 2);
    await webhooks.redeliver(head.id);
    assert.deepEqual(idsOf(await receiver.requests('/block', 5)), [ids[0], ids[0], ...ids]);
    await webhooks.until(block.id, { pending: 0, dead_letters: 0 });
});

scenario('410 switches a webhook off, which the others are told; switched on again it gets what waits', async (scope) => {
    const { webhooks, receiver } = await withReceiver(scope, QUICK);
    const { id } = await webhooks.make({ url: receiver.url('/gone'), events: ['a'] });
    await webhooks.make({ url: receiver.url('/told'), events: ['webhook.disabled'] });
    receiver.answer('/gone', 410);
    const first = await webhooks.tell('a', 1);
    const off = await webhooks.until(id, { enabled: false });
    assert.deepEqual([off.disabled_reason, off.pending], ['gone', 1]);
    assert.deepEqual(bodyOf((await receiver.requests('/told'))[0]).data, { webhook: id, reason: 'gone', url: receiver.url('/gone') });
    const second = await webhooks.tell('a', 2);
    assert.deepEqual((await webhooks.event(second.id)).deliveries, [], 'what happens meanwhile is not for it');
    receiver.answer('/gone', 200);
    const on = await webhooks.change(id, { enabled: true });
    assert.deepEqual([on.enabled, on.disabled_reason], [true, null]);
    assert.equal(bodyOf((await receiver.requests('/gone', 2))[1]).id, first.id);
    await webhooks.until(id, { pending: 0 });
});

scenario('Retry-After leaves the whole endpoint alone for so long', async (scope) => {
    const { webhooks, receiver } = await withReceiver(scope, ['--webhooks.retry=0,1ms,1ms', '--webhooks.breaker=0']);
    const { id } = await webhooks.make({ url: receiver.url('/hook'), events: ['a'] });
    receiver.answer('/hook', retryAfter(429, 1), 200);
    await webhooks.tell('a', 1);
    await receiver.requests('/hook', 1);
    const asked = await eventually(async () => { const now = await webhooks.show(id); return now.asked_to_wait_until && now; }, 'the endpoint to be left alone');
    await webhooks.tell('a', 2);
    assert.equal((await webhooks.show(id)).pending, 2);
    const [first, ...later] = await receiver.requests('/hook', 3);
    for (const one of later) assert.ok(one.at - first.at >= 900, `after ${one.at - first.at} ms, asked until ${asked.asked_to_wait_until}`);
    await webhooks.until(id, { pending: 0, asked_to_wait_until: null });
});

scenario('an endpoint that only fails is left alone: one probe at a time, until it answers', async (scope) => {
    const { webhooks, receiver } = await withReceiver(scope, ['--webhooks.retry=0,1ms,1ms,1ms,1ms,1ms,1ms,1ms,1ms,1ms,1ms,1ms', '--webhooks.breaker=3', '--webhooks.breaker_pause=100ms', '--webhooks.breaker_pause_max=100ms']);
    const { id } = await webhooks.make({ url: receiver.url('/hook'), events: ['a'], concurrency: 1 });
    receiver.answer('/hook', 500);
    const ids = [];
    for (let i = 0; i < 10; i++) ids.push((await webhooks.tell('a', i)).id);
    await webhooks.until(id, { breaker: 'open' });
    await receiver.requests('/hook', 5);
    const tried = (await webhooks.list(`/v1/deliveries?webhook=${id}`)).reduce((sum, { tries }) => sum + tries, 0);
    assert.ok(tried <= receiver.all.length && (await webhooks.show(id)).dead_letters === 0, 'no attempt is spent but by those that were sent');
    receiver.answer('/hook', 200);
    await webhooks.until(id, { breaker: 'closed', pending: 0 });
    assert.deepEqual(new Set(idsOf(receiver.accepted('/hook'))), new Set(ids));
});

const TRACE = '0af7651916cd43dd8448eb211c80319c', PARENT = 'b7ad6b7169203331';

scenario('attempts are of the publisher\'s trace, or of one of their own, also when the hub was killed between them', async (scope) => {
    const { hub, webhooks, receiver } = await withReceiver(scope, ['--webhooks.retry=0,20ms,20ms', '--webhooks.breaker=0']);
    const { id } = await webhooks.make({ url: receiver.url('/hook'), events: ['*'], concurrency: 1 });
    await webhooks.make({ url: receiver.url('/other'), events: ['*'] });
    receiver.answer('/hook', 500, 500, 200);
    const traceparent = `00-${TRACE}-${PARENT}-00`;
    const told = await webhooks.tell('a', 1, {}, { traceparent });
    const attempts = (await receiver.requests('/hook', 3)).concat(await receiver.requests('/other')).map(({ headers }) => headers.traceparent.split('-'));
    assert.deepEqual(attempts.map(([version, trace, , flags]) => [version, trace, flags]), Array(4).fill(['00', TRACE, '00']));
    assert.equal(new Set([...attempts.map(([, , parent]) => parent), PARENT, '0'.repeat(16)]).size, 6, 'each has a parent id of its own');
    assert.equal((await webhooks.delivery((await webhooks.event(told.id)).deliveries[0].id)).trace, TRACE);

    await webhooks.change(id, { paused: true });
    const items = await webhooks.ask('POST', '/v1/messages', [{ channel: 'm', data: 2 }, { channels: ['n'], data: 3 }, { pattern: 'm', data: 4 }], { traceparent });
    assert.equal(items.status, 200, items.text);
    await publish(hub, 'p', '5', { headers: { traceparent } });
    const without = [await publish(hub, 'p', '6'), await publish(hub, 'p', '7', { headers: { traceparent: `00-${TRACE}-${'0'.repeat(16)}-01` } })].map((one) => `evt_${one.id.replace('.', '_')}`);
    await hub.kill9();
    await hub.restart();
    await webhooks.change(id, { paused: false });
    const traceOf = ({ headers }) => headers.traceparent.split('-')[1];
    const later = (await receiver.requests('/hook', 9)).slice(3);
    for (const one of later) assert.equal(traceOf(one) === TRACE, !without.includes(bodyOf(one).id), one.body.toString());
    const own = later.filter((one) => without.includes(bodyOf(one).id));
    assert.equal(new Set(own.map(traceOf)).size, 2);
    for (const one of own) {
        assert.match(one.headers.traceparent, /-01$/);
        const beside = await eventually(() => receiver.of('/other').find((other) => bodyOf(other).id === bodyOf(one).id), 'the other webhook to have it too');
        assert.equal(traceOf(beside), traceOf(one), 'the same for every webhook, and after the restart');
    }
});

scenario('a test arrives whatever events are asked for; one that is removed is sent nothing more', async (scope) => {
    const { webhooks, receiver } = await withReceiver(scope);
    const { id } = await webhooks.make({ url: receiver.url('/hook'), events: ['a'], channels: ['x'] });
    const test = await webhooks.test(id);
    const [{ id: event, type, data }] = (await receiver.requests('/hook')).map(bodyOf);
    assert.deepEqual([type, data.webhook, event, test.webhook], ['webhook.test', id, test.id, id]);
    assert.equal((await webhooks.settled(test.id, 'delivered')).id, test.delivery);
    await webhooks.change(id, { paused: true });
    await webhooks.tell('a', 1, { channel: 'x' });
    assert.equal((await webhooks.list(`/v1/deliveries?webhook=${id}`)).length, 2);
    await webhooks.remove(id);
    await eventually(async () => (await webhooks.list('/v1/deliveries')).length === 0, 'its deliveries to be gone');
    assert.equal(receiver.all.length, 1);
});

// ---- kill -9 ----

scenario('a hub that is killed in the middle of it loses no event', async (scope) => {
    const { hub, webhooks, receiver } = await withReceiver(scope, ['--webhooks.retry=0,50ms,50ms,50ms,50ms,50ms']);
    await webhooks.make({ url: receiver.url('/hook'), events: ['message.published', 'order.*'] });
    const acknowledged = [];
    for (let round = 0; round < 3; round++) {
        const sent = Array.from({ length: 60 }, (_, i) => (i % 2 ? publish(hub, `c${i % 7}`, `${i}`).then(({ id }) => `evt_${id.replace('.', '_')}`) : webhooks.tell('order.created', i).then(({ id }) => id)));
        const killed = receiver.requests('/hook', receiver.all.length + 10).then(() => hub.kill9());
        for (const one of await Promise.allSettled(sent)) if (one.status === 'fulfilled') acknowledged.push(one.value);
        await killed;
        await hub.restart();
    }
    assert.ok(acknowledged.length >= 30, `${acknowledged.length} acknowledged`);
    await receiver.waitFor(() => { const seen = new Set(idsOf(receiver.accepted('/hook'))); return acknowledged.every((id) => seen.has(id)); }, 'every event that was acknowledged');
});

// ---- all of it at once ----

const fickle = (chance) => function sometimes(x) { x.answer({ status: chance.below(2) ? 200 : 500, delay: chance.below(10) }); };

// Somebody who sends again, replays, pauses and rotates, over and over.
async function meddle(webhooks, ids, chance, goesOn) {
    const again = async (list, path) => { const { data } = (await webhooks.ask('GET', list)).json; if (data.length) await webhooks.ask('POST', path(chance.one(data).id)); };
    while (goesOn()) {
        const id = chance.one(ids);
        await chance.one([
            () => webhooks.change(id, { paused: chance.below(2) === 0, concurrency: 1 + chance.below(8) }), () => webhooks.rotate(id, {}), () => webhooks.replay(id, { status: chance.one(['failed', 'all']) }),
            () => again(`/v1/dead-letters?webhook=${id}&limit=5`, (one) => `/v1/dead-letters/${one}/redeliver`), () => again(`/v1/deliveries?webhook=${id}&limit=20`, (one) => `/v1/deliveries/${one}/redeliver`),
            () => webhooks.ask('POST', '/v1/dead-letters/redeliver', { webhook: id }),
        ])();
    }
}

scenario('whatever administrators do meanwhile, nothing is lost and nothing is counted twice', async (scope) => {
    const SEED = Number(process.env.SEED ?? 1), chance = new Chance(SEED);
    const { webhooks, receiver } = await withReceiver(scope, ['--webhooks.retry=0,5ms', '--webhooks.breaker=4', '--webhooks.breaker_pause=10ms', '--webhooks.breaker_pause_max=10ms']);
    const kinds = { plain: {}, ordered: { ordered: true }, one: { concurrency: 1 } }, ids = [], told = [];
    for (const [kind, more] of Object.entries(kinds)) {
        receiver.answer(`/${kind}`, fickle(chance));
        ids.push((await webhooks.make({ url: receiver.url(`/${kind}`), events: ['a'], ...more })).id);
    }
    let going = true;
    const meddlers = Array.from({ length: 3 }, () => meddle(webhooks, ids, chance, () => going));
    for (let i = 0; i < 200; i++) told.push((await webhooks.tell('a', i, { channel: `c${i % 5}` })).id);
    going = false;
    await Promise.all(meddlers);
    for (const kind of Object.keys(kinds)) receiver.answer(`/${kind}`, 200);
    for (const id of ids) await webhooks.change(id, { paused: false });
    for (const id of ids) await eventually(async () => (await webhooks.list(`/v1/webhooks/${id}/replays`)).every(({ status }) => status !== 'running'), 'the replays to be over');
    for (const [i, kind] of Object.keys(kinds).entries()) {
        const { pending } = await webhooks.until(ids[i], { pending: 0 });
        const letters = await webhooks.list(`/v1/dead-letters?webhook=${ids[i]}`), seen = new Set(idsOf(receiver.of(`/${kind}`)));
        assert.deepEqual([pending, (await webhooks.show(ids[i])).dead_letters], [0, letters.length], `SEED=${SEED} ${kind}`);
        assert.ok(told.every((id) => seen.has(id)), `SEED=${SEED} ${kind}`);
    }
});

// Memory that runs out in what a client can size: that client pays, nobody else, and the hub lives on.
// Each session is run as often as it makes allocations, and every time another one of them fails, in whatever thread it is (over TLS,
// whose handshakes make hundreds, every so many-th).
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { messagesPath, publish, request } from './lib/http.mjs';
import { KeepAlive, SUITE_TLS } from './lib/line.mjs';
import { SUITE_REDIS } from './lib/redis.mjs';
import { Scarce, sanitizer } from './lib/scarce.mjs';
import { RawConnection, publishBytes } from './lib/raw.mjs';
import { SseReader, WsReader } from './lib/reader.mjs';
import { SseStream } from './lib/sse.mjs';
import { TimedOut, eventually } from './lib/wait.mjs';
import { SECRET, bearer, inSeconds, sign } from './lib/tokens.mjs';
import { WsClient } from './lib/ws.mjs';

// A reply of Redis that finds no memory costs the link to it. Who loses it again and again waits up to a second before each next one.
const MOST_RUNS = SUITE_REDIS ? 40 : 300;

let serial = 0;
class Paid extends Error {}      // the client's connection was ended: that is what memory may cost it

// What look() finds, or Paid when the connection ended before. A connection that neither answers nor ends is a fault.
const settled = (client, look, what) => client.waitFor(() => {
    const found = look();
    if (!found && (client.closed || client.refused || client.ended || client.error)) throw new Paid(what);
    return found;
}, what);

// An answer, or Paid.
async function asked(hub, method, path, body, headers) {
    try { return await request(hub, path, { method, body, headers }); } catch (error) {
        throw error instanceof TimedOut ? error : new Paid(`${method} ${path}: ${error.message}`);
    }
}

async function webSocket(hub) {
    const client = new WsClient(hub.public, '/ws?channel=a');
    const answer = (ref) => settled(client, () => client.frames.find((f) => f.ref === ref), `an answer to ${ref}`);
    try {
        await settled(client, () => client.frames.find((f) => f.type === 'subscribed'), 'subscribed');
        for (const [ref, command] of Object.entries({
            more: { type: 'subscribe', channels: ['b', 'c'] }, back: { type: 'subscribe', channels: ['d'], since: client.frames[0].position },
            less: { type: 'unsubscribe', channels: ['b'] }, old: { type: 'history', channel: 'a' }, ping: { type: 'ping' }, wrong: { type: 'nothing' },
        })) {
            client.send({ ...command, ref });
            await answer(ref);
        }
        client.send({ type: 'publish', channel: 'a', data: 'from a socket', exclude: 'x', idempotency_key: `k${++serial}`, ref: 'publish' });
        const { id } = await answer('publish');
        if (id) await settled(client, () => client.frames.find((f) => f.id === id && f.type === 'message'), `its message ${id}`);
        client.socket.close();
        await client.end();
    } finally { client.terminate(); }
}

async function sseStream(hub) {
    const stream = new SseStream(hub.public, '/sse?channel=a&channel=e&last_event_id=nonsense');
    try {
        await settled(stream, () => stream.control('ready')[0], 'hub.ready');
        const answer = await asked(hub, 'POST', messagesPath('e'), 'x');
        if (answer.status === 201) await settled(stream, () => stream.messages.find((m) => m.id === answer.json.id), `the message ${answer.text}`);
    } finally { stream.close(); }
}

const REQUESTS = [
    ['POST', messagesPath('a'), { data: { n: 1 }, event: 'e' }], ['POST', messagesPath('a'), 'data=a+form&event=x', { 'Content-Type': 'application/x-www-form-urlencoded' }],
    ['POST', messagesPath('a'), 'x'.repeat(70_000)], ['GET', '/v1/channels'], ['GET', '/v1/channels/a'], ['GET', messagesPath('a')], ['GET', '/metrics'],
    ['GET', '/health/ready'], ['GET', '/nowhere'],
];
async function backendSession(hub) {
    let paid;
    for (const one of REQUESTS) await asked(hub, ...one).catch((error) => { if (!(error instanceof Paid)) throw error; paid = error; });
    if (paid) throw paid;
}

// Each message of a request is told what came of it: published, or that there was no memory for it.
async function batchSession(hub) {
    const items = [{ channel: 'm.a', data: 1, event: 'e', idempotency_key: `k${++serial}`, exclude: 'x' }, { channels: ['m.a', 'm.b', 'm.c'], data: 'two' }, { user: 'u', data: 3 }, { pattern: 'm.*', data: 4, idempotency_key: `p${serial}` }];
    const key = { 'Idempotency-Key': `whole ${serial}` };
    const answers = [await asked(hub, 'POST', '/v1/messages', items, key),
        await asked(hub, 'POST', '/v1/messages', items.map((item) => `${JSON.stringify(item)}\n`).join(''), { ...key, 'Content-Type': 'application/x-ndjson' })];
    for (const answer of answers) {
        const results = answer.status >= 400 ? [{ status: answer.status, code: 'refused' }] : answer.headers['content-type'] === 'application/json' ? answer.json.results : answer.text.trimEnd().split('\n').slice(0, -1).map((line) => JSON.parse(line));
        for (const result of results) assert.ok([201, 207, 503].includes(result.status) || result.code === 'idempotency_in_progress', JSON.stringify(result));
        if (results.some((result) => result.code)) throw new Paid(answer.text);
    }
}

// Where who is who matters: what the witness and the publisher do is open to everybody.
const WITH_TOKENS = { dev: false, args: [
    '--edge.threads=1', '--rates.failed_logins_per_address=off', `--signers.app=HS256 secret:${SECRET}`,
    ...['subscribe', 'publish', 'history'].map((op) => `--access.${op}=witness`)] };

// A key is made, used and replaced. Whatever fails meanwhile, the secret that was replaced opens nothing.
async function keySession(hub, admin) {
    const made = await asked(hub, 'POST', '/v1/keys', { name: 'k', scopes: ['publish:a'], expires_in: '1h' }, admin);
    if (made.status !== 201) throw new Paid(made.text);
    const turned = await asked(hub, 'POST', `/v1/keys/${made.json.id}/rotate`, { overlap: 0 }, admin);
    const used = await asked(hub, 'POST', messagesPath('a'), 'x', bearer(turned.status === 200 ? turned.json.key : made.json.key));
    const stale = await asked(hub, 'POST', messagesPath('a'), 'x', bearer(turned.status === 200 ? made.json.key : `${made.json.key}0`));
    assert.ok(stale.status === 401 || stale.status === 503, `a secret that is no secret of any key: ${stale.status}`);
    const unknown = turned.json?.code === 'outcome_unknown';      // it may have been replaced: the answer was lost on its way from Redis
    assert.ok([201, 503, ...(unknown ? [401] : [])].includes(used.status), `the secret of a key: ${used.status} ${used.text} after ${turned.text}`);
    await asked(hub, 'DELETE', `/v1/keys/${made.json.id}`, undefined, admin);
}

// What was answered with 201 is so: the holder of a revoked token is thrown out, and does not come in again.
async function tokenSession(hub) {
    const tokenOf = (claims) => sign({ sub: 'ann', iat: inSeconds(-5), ...claims });
    const admin = bearer(await tokenOf({ sub: 'root', carillon: { admin: ['**'], publish: ['**'], subscribe: ['**'] } }));
    const jti = `t${++serial}`, renewed = await tokenOf({ jti, carillon: { channels: ['mine'], subscribe: ['room.{user}'] } });
    const client = new WsClient(hub.public, `/ws?channel=room.ann&token=${await tokenOf({ carillon: { subscribe: ['room.{user}'] } })}`);
    let later;
    try {
        await settled(client, () => client.frames.find((f) => f.type === 'subscribed'), 'subscribed');
        client.send({ type: 'auth', token: renewed, ref: 'auth' });
        const renewal = await settled(client, () => client.frames.find((f) => f.ref === 'auth'), 'an answer to auth');
        await keySession(hub, admin);
        const revoked = await asked(hub, 'POST', '/v1/tokens/revoke', { jti }, admin);
        if (revoked.status !== 201) throw new Paid(revoked.text);
        if (renewal.type === 'ok') await client.end();
        later = new WsClient(hub.public, `/ws?channel=room.ann&token=${renewed}`);
        await settled(later, () => later.closed || later.refused || later.frames.some((f) => f.type === 'subscribed'), 'an answer');
        assert.ok(!later.frames.some((f) => f.type === 'subscribed'), 'a revoked token was let in');
        await asked(hub, 'DELETE', `/v1/tokens/revocations/${revoked.json.id}`, undefined, admin);
    } finally {
        client.terminate();
        later?.terminate();
    }
}

// Who meets no memory is told so, or loses its connection; the room goes on for the other.
async function roomSession(hub) {
    const clients = [], room = `m${++serial}`;
    const open = async () => {
        const client = new WsClient(hub.public, '/ws');
        clients.push(client);
        await settled(client, () => client.frames.find((f) => f.type === 'welcome'), 'welcome');
        return client;
    };
    const ask = async (client, frame) => {
        const ref = `r${++serial}`;
        client.send({ ...frame, ref });
        const answer = await settled(client, () => client.frames.find((f) => f.ref === ref), `an answer to ${frame.type}`);
        if (answer.type === 'error') throw new Paid(answer.code);
        return answer;
    };
    try {
        const ann = await open(), bob = await open();
        const joined = await ask(ann, { type: 'join', room, user_id: 'ann', info: { x: 1 }, state: 1 });
        await ask(bob, { type: 'join', room, user_id: 'bob' });
        await ask(ann, { type: 'offer', to: 'bob', sdp: 'x'.repeat(1000) });
        await ask(bob, { type: 'broadcast', data: 1, n: 1 });
        await ask(bob, { type: 'state', state: { y: 2 } });
        ann.terminate();
        await ask(bob, { type: 'signal', to: 'ann', data: 2 });
        const again = await open();
        assert.equal((await ask(again, { type: 'join', room, resume: joined.you.resume, last_seq: 0 })).resumed, true);
        await ask(again, { type: 'ice-servers' });
        await ask(bob, { type: 'kick', room, user_id: 'ann' });
        await ask(bob, { type: 'leave' });
    } finally { clients.forEach((client) => client.terminate()); }
}

async function runs(session, hub) {
    try { await session(hub); } catch (error) {
        if (!(error instanceof Paid)) throw error;
        return false;
    }
    return true;
}

// With Redis behind the hub: what the run before has cost is there again. Without it a session would be refused at the door, and ask for nothing.
const whole = (hub) => hub.onRedis && hub.ready();

async function tell(hub, text, agent) {
    await whole(hub);
    await publish(hub, 'witness', text, { agent });
}

async function oneByOne(scope, session, many, hubOptions) {
    const memory = new Scarce(scope);
    const hub = await scope.hub({ env: memory.env, args: ['--edge.threads=1', '--ws.ping=1h'], ...hubOptions });      // what is pinged asks for memory too, which may be what fails
    const witness = await scope.ws(hub, '/ws?channel=witness');
    await witness.get('subscribed');
    const agent = new KeepAlive();
    scope.defer(() => agent.destroy());
    assert.ok(await runs(session, hub), 'it works while there is memory');
    memory.count();
    assert.ok(await runs(session, hub));
    const { count } = memory.stop();
    let paid = 0, refused = 0, run = 0;
    for (let first = 1; first <= count; first += Math.ceil(count / MOST_RUNS)) {
        await whole(hub);
        memory.fail({ first, many });
        paid += await runs(session, hub).then((served) => !served);
        refused += memory.stop().failed > 0;
        assert.ok(hub.alive, `allocation ${first} of ${count} ended the hub: ${JSON.stringify(hub.run.ended)}`);
        if (++run % 10 === 0) await tell(hub, `${run}`, agent);
    }
    await tell(hub, 'last', agent);
    await witness.waitFor(() => witness.data.at(-1) === 'last', 'the last message');
    assert.deepEqual(witness.data.slice(0, -1), Array.from({ length: Math.floor(run / 10) }, (_, i) => `${10 * (i + 1)}`), 'the others miss nothing');
    assert.ok(await runs(session, hub), 'the next one is served');
    assert.ok(refused > run / 2, `${refused} of ${run} runs met a failing allocation`);
    assert.deepEqual(await hub.terminate(), { code: 0, signal: null }, 'it ends as always: nothing hangs on');
    return { count, run, paid, refused };
}

const skip = sanitizer() === 'thread' && 'its allocator cannot be stood before';
const SESSIONS = [['a WebSocket', webSocket], ['an SSE stream', sseStream], ['a backend', backendSession], ['a backend with many messages', batchSession], ['a holder of tokens, and who takes them back', tokenSession, WITH_TOKENS]];
// What TLS adds are the allocations of its lines: one way for each kind of them. On Redis there is no store to have.
const WAYS = SUITE_REDIS ? [[1, true], [8, true]] : [[1, false], [1, true], [8, true]];
for (const [name, session, options] of SUITE_TLS ? SESSIONS.slice(0, 3) : SESSIONS)
    for (const [many, memory] of SUITE_TLS ? WAYS.slice(0, 1) : WAYS)
        scenario(`${name} whose every allocation fails once (${many} in a row, ${memory ? 'in memory only' : 'with a store'}) ends alone`, { skip }, async (scope, t) => {
            const seen = await oneByOne(scope, session, many, { memory, ...options });
            t.diagnostic(JSON.stringify(seen));
        });

scenario('a member of rooms whose every allocation fails once ends alone', { skip: skip || (SUITE_TLS ? 'TLS adds nothing of rooms' : false) }, async (scope, t) => {
    t.diagnostic(JSON.stringify(await oneByOne(scope, roomSession, 1, { memory: true })));
});

scenario('a hub without any memory at all lives on, and when there is some again its readers miss nothing that was acknowledged', { skip }, async (scope, t) => {
    const memory = new Scarce(scope);
    const hub = await scope.hub({ env: memory.env, args: ['--edge.threads=1', '--sse.heartbeat=1s', '--ws.ping=1s'] });
    const readers = [new WsReader(hub, ['a']), new SseReader(hub, ['a'])];
    readers.forEach((reader) => scope.defer(() => reader.close()));
    await Promise.all(readers.map((reader) => reader.ready()));
    await publish(hub, 'a', '0');
    const backend = new RawConnection(hub.api);
    scope.defer(() => backend.close());
    await backend.write(publishBytes('a', '1')).take(1);

    memory.fail({ first: 1, many: 2 ** 52 });
    backend.write(publishBytes('a', '2'));
    await backend.waitFor(() => backend.answers.length > 1 || backend.ended, 'an answer or an end');
    for (let i = 0; i < 20; i++) await runs(i % 2 ? webSocket : sseStream, hub).then((served) => assert.ok(!served, 'nobody can be served'));
    await eventually(() => memory.failed > 50, 'it to ask for memory again and again');
    const { failed } = memory.stop();
    assert.ok(hub.alive, JSON.stringify(hub.run.ended));
    t.diagnostic(JSON.stringify({ failed, answers: backend.answers.map((a) => a.status), connections: readers.map((reader) => reader.connections) }));

    await eventually(() => publish(hub, 'a', 'end').catch(() => null), 'a publish that is taken');
    const acknowledged = ['0', '1', ...(backend.answers[1]?.status === 201 ? ['2'] : [])];
    for (const reader of readers) {
        await reader.waitFor(() => reader.texts.at(-1) === 'end', 'the last message');
        assert.deepEqual(reader.texts.slice(0, -1), acknowledged);
        assert.deepEqual(reader.gaps, []);
    }
    assert.ok(await runs(webSocket, hub) && await runs(sseStream, hub) && await runs(backendSession, hub), 'everybody is served again');
    assert.deepEqual(await hub.terminate(), { code: 0, signal: null });
});

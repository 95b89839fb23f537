// Who is in a channel, asked for and told in every wrong way and in numbers: tables/members.mjs, crowds of members, storms of comings and goings.
import assert from 'node:assert/strict';
import { scenario } from '../e2e/lib/scope.mjs';
import { request } from '../e2e/lib/http.mjs';
import { metricsOf, total } from '../e2e/lib/metrics.mjs';
import { SECRET, bearer, inSeconds, tokenHub } from '../e2e/lib/tokens.mjs';
import { eventually } from '../e2e/lib/wait.mjs';
import { chosen } from './lib/chosen.mjs';
import { crowd } from './lib/crowd.mjs';
import { forge, hmac } from './lib/forge.mjs';
import { Watch } from './lib/watch.mjs';
import { commands, infos, queries } from './tables/members.mjs';

const GRACELESS = ['--presence.grace=0'];
const path = (channel, query = '') => `/v1/channels/${channel}/presence${query}`;
const listed = async (hub, channel, query) => (await request(hub, path(channel, query))).json;
const count = async (hub, channel) => (await listed(hub, channel, '?count=true')).count;
const countIs = (hub, channel, n) => eventually(async () => await count(hub, channel) === n, `${n} members of ${channel}`);
const nobodyIsLeft = (hub) => eventually(async () => total(await metricsOf(hub), 'carillon_members') === 0, 'no members');

async function roomOfThree(scope, args = GRACELESS) {
    const hub = await scope.hub({ args });
    const sockets = [];
    for (const user of ['ann', 'mia', 'zoe']) sockets.push(await scope.ws(hub, `/ws?channel=room&user=${user}`));
    await countIs(hub, 'room', 3);
    return { hub, sockets };
}

scenario('presence: every case of the tables of queries and commands', async (scope, t) => {
    const { hub, sockets } = await roomOfThree(scope);
    const watch = await Watch.over(scope, hub);
    for (const [what, query, expected] of chosen(queries))
        await t.test(what, async () => {
            const answer = await request(hub, path('room', query));
            assert.deepEqual([answer.status, answer.json.code ?? answer.json.data.length], [typeof expected === 'number' ? 200 : 400, expected], answer.text);
        });
    const asked = await scope.ws(hub, '/ws');
    for (const [i, [what, text, expected]] of chosen(commands).entries())
        await t.test(what, async () => {
            asked.send(`{"type":"presence","ref":${i},${text}}`);
            const answer = await asked.waitFor(() => asked.frames.find((f) => f.ref === i), 'an answer');
            assert.equal(answer.code ?? answer.data.length, expected, JSON.stringify(answer));
        });
    await watch.unharmed('queries and commands');
    for (const socket of [...sockets, asked]) socket.close();
    await watch.over('presence', 24, t);
});

scenario('presence: info is what it says, or the token is none', async (scope, t) => {
    const hub = await tokenHub(scope, '[access]\nsubscribe = **\npresence = **\npublish = **\nhistory = **\n[presence]\nmembers = yes\ngrace = 0\nmax_info = 64\n');
    for (const [what, json, good] of chosen(infos))
        await t.test(what, async () => {
            const claims = `{"sub":"ann","exp":${inSeconds(3600)},"carillon":{"subscribe":["**"],"info":${json}}}`;
            const token = forge({ alg: 'HS256', kid: 'app' }, claims, hmac(SECRET));
            const watcher = await scope.ws(hub, '/ws?channel=room&presence=true');
            await watcher.get('subscribed');
            const answer = await request(hub.public, '/poll?channel=room&timeout=0', { headers: bearer(token) });
            assert.deepEqual([answer.status, answer.json.code], good ? [200, undefined] : [401, 'bad_token'], answer.text);
            if (good) {
                const joined = await watcher.waitFor(() => watcher.of('member-joined')[0], 'ann');
                assert.deepEqual(joined.info, JSON.parse(json));
            }
            watcher.close();
        });
});

scenario('presence: 40,000 members are counted, listed a page at a time, and gone with their connections', async (scope, t) => {
    const hub = await scope.hub({ args: GRACELESS });
    const watch = await Watch.over(scope, hub);
    const query = Array.from({ length: 400 }, (_, i) => `channel=c${i}`).join('&');
    const peers = await crowd(scope, hub.public, 100, (i) => `GET /sse?${query}&user=user-${String(i).padStart(3, '0')} HTTP/1.1\r\nHost: attack\r\n\r\n`);
    await Promise.all(peers.map((peer) => peer.has('hub.ready')));
    await countIs(hub, 'c399', 100);
    assert.equal(total(await metricsOf(hub), 'carillon_members'), 40100, 'and those of the channels of their own');
    watch.uses(96, '40,000 members');
    assert.equal(await count(hub, 'c7'), 100);
    const seen = [];
    for (let cursor = ''; cursor !== null;) {
        const page = await listed(hub, 'c399', `?limit=7&cursor=${cursor}`);
        seen.push(...page.data.map((m) => m.user));
        cursor = page.next_cursor;
    }
    assert.equal(new Set(seen).size, 100);
    assert.deepEqual(seen, seen.toSorted?.() ?? [...seen].sort());
    await watch.unharmed('members');
    for (const peer of peers) peer.drop();
    await nobodyIsLeft(hub);
    await watch.over('40,000 members', 40, t);
});

scenario('presence: a storm of comings and goings is told in turn to those who read, and costs those who do not', async (scope, t) => {
    const hub = await scope.hub({ args: [...GRACELESS, '--edge.mail_bytes=256KiB'] });
    const watch = await Watch.over(scope, hub);
    const watcher = await scope.ws(hub, '/ws?channel=room&user=watcher&presence=true');
    const deaf = await crowd(scope, hub.public, 20, (i) => `GET /sse?channel=room&presence=true&user=deaf-${i} HTTP/1.1\r\nHost: attack\r\n\r\n`, { reads: false });
    await countIs(hub, 'room', 21);
    const comers = await Promise.all(Array.from({ length: 10 }, (_, i) => scope.ws(hub, `/ws?user=comer-${i}`)));
    for (let round = 0; round < 300; round++)
        for (const comer of comers) {
            comer.send('{"type":"subscribe","channels":["room"]}');
            comer.send('{"type":"unsubscribe","channels":["room"]}');
        }
    await Promise.all(comers.map((comer) => comer.waitFor(() => comer.of('unsubscribed').length === 300, 'all answers')));
    await countIs(hub, 'room', 21);
    await watch.unharmed('a storm of members');
    const told = watcher.frames.filter((f) => /^member/.test(f.type) && (f.user ?? 'comer').startsWith('comer'));
    for (const comer of comers.map((_, i) => `comer-${i}`)) {
        let here = null;
        for (const { type, user } of told) {
            if (type === 'members-changed') here = null;
            else if (user === comer) { assert.notEqual(here, type, `${comer} twice in a row`); here = type; }
        }
        assert.ok(here === null || here === 'member-left', `${comer} is not there, told last: ${here}`);
    }
    assert.ok(told.some((f) => f.type === 'member-joined'), 'something was told');
    for (const peer of [watcher, ...comers]) peer.close();
    for (const peer of deaf) peer.drop();
    await watch.over('a storm of members', 32, t);
});

// Attacks on who counts as whom: addresses that are made up, wrong keys, strangers by the hundred thousand, commands without end.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from '../e2e/lib/scope.mjs';
import { post, request } from '../e2e/lib/http.mjs';
import { connect } from '../e2e/lib/line.mjs';
import { Watched } from '../e2e/lib/wait.mjs';
import { RawConnection } from '../e2e/lib/raw.mjs';
import { chosen } from './lib/chosen.mjs';
import { RawWs, handshake, text } from './lib/raw_ws.mjs';
import { Watch } from './lib/watch.mjs';
import { forwarded } from './tables/forwarded.mjs';

const KEY = `ck_${randomBytes(32).toString('hex')}`;
const ADMIN = { Authorization: `Bearer ${KEY}` };

// Open to everybody, but metered; the watch has a key of its own.
async function metered(scope, { trusted = '127.0.0.1 10.0.0.0/8', rates = {}, args = [] } = {}) {
    const ini = path.join(scope.dir(), 'carillon.ini');
    const lines = Object.entries(rates).map(([name, value]) => `${name} = ${value}\n`).join('');
    const proxies = trusted && `trusted_proxies = ${trusted}\n`;
    writeFileSync(ini, `[public]\n${proxies}[api]\n${proxies}[access]\npublish = **\nsubscribe = **\n[rates]\n${lines}[keys]\nwatch = sha256:${createHash('sha256').update(KEY).digest('hex')}\n`);
    const hub = await scope.hub({ dev: false, args: ['--config', ini, ...args] });
    return { hub, watch: await Watch.over(scope, hub, ADMIN) };
}

const clientOf = async (scope, hub, lines, id) => {
    const connection = new RawConnection(hub.api);
    scope.defer(() => connection.close());
    connection.write(`GET /v1/nowhere HTTP/1.1\r\nHost: attack\r\nX-Request-Id: ${id}\r\n${lines}\r\n`);
    const [answer] = await connection.take(1);
    assert.equal(answer.status, 404);
    connection.close();
    const logged = await hub.run.waitFor(() => new RegExp(`request=${id} status=404 from=(\\S+) `).exec(hub.log), 'its line in the log');
    return logged[1];
};

scenario('rates: an address that is made up is nobody\'s: the table of forwarded lines, from a proxy and from a stranger', async (scope, t) => {
    for (const [peer, trusted] of [['a proxy', '127.0.0.1 10.0.0.0/8'], ['a stranger', '']]) {
        const { hub, watch } = await metered(scope, { trusted, args: ['--log.level=debug'] });
        for (const [i, [what, lines, client]] of chosen(forwarded).entries()) {
            await t.test(`${peer}: ${what}`, async () => {
                assert.equal(await clientOf(scope, hub, lines, `case${i}.`), trusted ? client : '127.0.0.1');
            });
        }
        await watch.unharmed('forwarded lines');
    }
});

// Requests one behind the other on one connection; counts the answers by status.
class Flood extends Watched {
    statuses = {};
    answered = 0;
    constructor(where) {
        super();
        this.socket = connect(where);
        this.rest = '';
        this.socket.on('error', () => {}).on('data', (bytes) => {
            const all = this.rest + bytes.toString('latin1');
            let counted = 0;
            for (const found of all.matchAll(/HTTP\/1\.1 (\d{3}) /g)) {
                this.statuses[found[1]] = (this.statuses[found[1]] ?? 0) + 1;
                this.answered++;
                counted = found.index + found[0].length;
            }
            this.rest = all.slice(Math.max(counted, all.length - 12));
            this.changed();
        });
    }
    state() { return JSON.stringify(this.statuses); }
    async send(n, requestOf) {
        for (let i = 0; i < n; i += 1000) {
            const until = this.answered + Math.min(1000, n - i);
            this.socket.write(Array.from({ length: Math.min(1000, n - i) }, (_, j) => requestOf(i + j)).join(''));
            await this.waitFor(() => this.answered >= until, `${until} answers`);
        }
        return this.statuses;
    }
}

const publishFrom = (address, headers = '') => `POST /v1/channels/flood/messages HTTP/1.1\r\nHost: attack\r\nX-Forwarded-For: ${address}\r\n${headers}Content-Length: 1\r\n\r\nx`;

scenario('rates: 20,000 wrong keys from one address are hardly looked at, and everybody else is served', async (scope, t) => {
    const { hub, watch } = await metered(scope, { rates: { failed_logins_per_address: '1/1h burst 50' } });
    const flood = new Flood(hub.api);
    scope.defer(() => flood.socket.destroy());
    const statuses = await flood.send(20000, (i) => publishFrom('203.0.113.66', `X-API-Key: ck_${i}\r\n`));
    assert.deepEqual(statuses, { 401: 50, 429: 19950 });
    assert.equal((await request(hub.public, `/sse?channel=a&token=${KEY}`, { headers: { 'X-Forwarded-For': '203.0.113.66' } })).status, 429, 'the other port too');
    assert.equal((await post(hub, 'a', 'x', { headers: { ...ADMIN, 'X-Forwarded-For': '203.0.113.67' } })).status, 201);
    assert.equal(hub.log.match(/failed_logins_per_address is reached/g)?.length, 1, 'one line in the log');
    flood.socket.destroy();
    await watch.over('20,000 wrong keys', 16, t);
});

scenario('rates: 100,000 addresses that publish once do not help the one that publishes most, and cost no memory', async (scope, t) => {
    const { hub, watch } = await metered(scope, { rates: { publishes_per_address: '1/1h burst 3' }, args: ['--history.size=0'] });
    const flood = new Flood(hub.api);
    scope.defer(() => flood.socket.destroy());
    assert.deepEqual(await flood.send(1000, () => publishFrom('198.51.100.1')), { 201: 3, 429: 997 });
    const strangers = await flood.send(100000, (i) => publishFrom(`100.${i >> 16}.${(i >> 8) & 255}.${i & 255}`));
    assert.deepEqual(strangers, { 201: 100003, 429: 997 }, 'no stranger is mistaken for another');
    assert.equal((await post(hub, 'flood', 'x', { headers: { 'X-Forwarded-For': '198.51.100.1' } })).status, 429);
    flood.socket.destroy();
    await watch.over('100,000 addresses', 24, t);
});

scenario('rates: offenders by the thousand are not lines of the log by the thousand', async (scope, t) => {
    const { hub, watch } = await metered(scope, { rates: { publishes_per_address: '1/1h burst 1' }, args: ['--history.size=0'] });
    const flood = new Flood(hub.api);
    scope.defer(() => flood.socket.destroy());
    assert.deepEqual(await flood.send(4000, (i) => publishFrom(`100.0.${(i >> 9) & 255}.${(i >> 1) & 255}`)), { 201: 2000, 429: 2000 });
    flood.socket.destroy();
    await watch.over('2,000 offenders', 16, t);
    const told = hub.log.match(/publishes_per_address is reached/g).length;
    assert.ok(told >= 1 && told <= 110, `${told} lines`);
});

scenario('rates: 20,000 commands of one WebSocket are answered one by one, it stays, and publishes no more than it may', async (scope, t) => {
    const { hub, watch } = await metered(scope, { rates: { publishes_per_connection: '1/1h burst 100', commands_per_connection: '1/1h burst 100' } });
    const socket = new RawWs(hub.public, handshake());
    scope.defer(() => socket.drop());
    await socket.opened();
    for (let i = 0; i < 20000; i += 500) {
        socket.send(Buffer.concat(Array.from({ length: 500 }, (_, j) => text(JSON.stringify(j % 2 ? { type: 'publish', channel: 'flood', data: j } : { type: 'ping' })))));
        await socket.waitFor(() => socket.json.length >= i + 501 || socket.ended, 'answers');
    }
    const answers = socket.json.slice(1);
    const n = (type, code) => answers.filter((f) => f.type === type && f.code === code).length;
    assert.deepEqual([n('ok'), n('pong'), n('error', 'rate_limited')], [100, 100, 19800]);
    assert.equal(socket.ended, false);
    socket.drop();
    await watch.over('20,000 commands', 24, t);
});

// Ways around the keys: tables/credentials.mjs, against a hub that is closed but for what its configuration opens.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from '../e2e/lib/scope.mjs';
import { RawConnection } from '../e2e/lib/raw.mjs';
import { chosen } from './lib/chosen.mjs';
import { RawWs, handshake, text } from './lib/raw_ws.mjs';
import { Watch } from './lib/watch.mjs';
import { commands, credentials } from './tables/credentials.mjs';

const newKey = () => `ck_${randomBytes(32).toString('hex')}`;
const digest = (key) => `sha256:${createHash('sha256').update(key).digest('hex')}`;
const KEYS = { W: newKey(), R: newKey(), X: newKey(), admin: newKey() };

const CONFIG = `[keys]
writer = ${digest(KEYS.W)} publish:open.**
reader = ${digest(KEYS.R)} subscribe:open.** history:open.**
watch = ${digest(KEYS.admin)}
[access]
subscribe = lobby
`;

// {W}, {W upper}, {digest of W}, {base64 text with {W} in it}
function filled(bytes) {
    return bytes.replace(/\{([WRX])\}/g, (_, name) => KEYS[name])
        .replace(/\{([WRX]) upper\}/g, (_, name) => KEYS[name].toUpperCase())
        .replace(/\{digest of ([WRX])\}/g, (_, name) => digest(KEYS[name]).slice(7))
        .replace(/\{base64 ([^}]*)\}/g, (_, inner) => Buffer.from(inner).toString('base64'));
}

async function guarded(scope, args = []) {
    const ini = path.join(scope.dir(), 'carillon.ini');
    writeFileSync(ini, CONFIG);
    const hub = await scope.hub({ dev: false, args: ['--config', ini, ...args] });
    return { hub, watch: await Watch.over(scope, hub, { Authorization: `Bearer ${KEYS.admin}` }) };
}

// 'STATUS:code', 'STATUS:' without one
function told({ status, headers, body }) {
    const isDocument = /json/.test(headers['content-type'] ?? '') && body.length > 0;
    return `${status}:${isDocument ? JSON.parse(body).code : ''}`;
}

// What has come in `connection`; a stream, and the answer to HEAD, do not end with a body.
function seenOn(connection, isHead) {
    const unparsed = connection.unparsed.toString('latin1');
    if (unparsed.includes('hub.ready') || (isHead && unparsed.includes('\r\n\r\n'))) return [`${unparsed.slice(9, 12)}:`];
    return connection.answers.map(told);
}

async function ask(scope, hub, port, bytes, expected) {
    const connection = new RawConnection(hub[port]);
    scope.defer(() => connection.close());
    connection.write(Buffer.from(filled(bytes), 'latin1'));
    const choices = [expected].flat().map((words) => words.split(' '));
    const look = () => seenOn(connection, bytes.startsWith('HEAD '));
    await connection.waitFor(() => look().length >= choices[0].length || connection.ended, 'an answer');
    const seen = look();
    const isAs = (answer, word) => (word.includes(':') ? answer === word : answer.startsWith(`${word}:`));
    const fits = (words) => words.length === seen.length && words.every((word, i) => isAs(seen[i], word));
    assert.ok(choices.some(fits), `expected ${JSON.stringify(expected)}, got ${seen}: ${connection.state()}`);
    connection.close();
}

scenario('credentials: what a key may not do it cannot be talked into, and without one next to nothing is possible', async (scope, t) => {
    const { hub, watch } = await guarded(scope);
    for (const [port, what, bytes, expected] of chosen(credentials)) {
        await t.test(`${port}: ${what}`, async () => {
            await ask(scope, hub, port, bytes, expected);
            await watch.unharmed(what);
        });
    }
    for (const [key, command, expected] of chosen(commands)) {
        const what = `${{ '': 'nobody', '{R}': 'a reader', '{W}': 'a writer' }[key]}: ${JSON.stringify(command)}`;
        await t.test(what, async () => {
            const socket = new RawWs(hub.public, handshake(key ? { Authorization: `Bearer ${filled(key)}` } : {}));
            scope.defer(() => socket.drop());
            (await socket.opened()).send(text(filled(JSON.stringify(command))));
            await socket.waitFor(() => socket.json.length > 1 || socket.ended, 'an answer');
            assert.equal(socket.json[1].code ?? socket.json[1].type, expected, socket.state());
            socket.drop();
            await watch.unharmed(what);
        });
    }
    for (const key of Object.values(KEYS)) assert.doesNotMatch(hub.log, new RegExp(key), 'no key is in the log');
    await watch.over('ways around the keys', 16, t);
});

scenario('credentials: 20,000 guesses on 20 connections open nothing and keep nobody waiting', async (scope, t) => {
    const { hub, watch } = await guarded(scope, ['--api.trusted_proxies=127.0.0.1']);
    const guesses = Array.from({ length: 20 }, () => {
        const connection = new RawConnection(hub.api);
        scope.defer(() => connection.close());
        for (let i = 0; i < 1000; i++) connection.write(`GET /v1/channels HTTP/1.1\r\nHost: attack\r\nX-Forwarded-For: 203.0.113.66\r\nAuthorization: Bearer ${newKey()}\r\n\r\n`);
        return connection;
    });
    await watch.answers();
    let looked = 0;
    for (const connection of guesses) {
        const answers = await connection.take(1000);
        looked += answers.filter((answer) => answer.status === 401).length;
        assert.ok(answers.every((answer) => answer.status === 401 || answer.status === 429));
        connection.close();
    }
    assert.ok(looked >= 200 && looked < 400, `${looked} were looked at (rates.failed_logins_per_address)`);
    await watch.over('guesses', 24, t);
});

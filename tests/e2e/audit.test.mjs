// The audit log: a line for every administrative action, also for those that were refused, and no secret in it; and no secret anywhere.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { post, request } from './lib/http.mjs';
import { eventually } from './lib/wait.mjs';
import { bearer, sign, tokenHub } from './lib/tokens.mjs';

const linesOf = (file) => readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
const admin = (hub, token) => (method, where, body) => request(hub, where, { method, headers: { ...bearer(token), 'X-Request-Id': 'audited-1' }, body });

async function audited(scope, options = {}) {
    const file = path.join(scope.dir(), 'audit.jsonl');
    const hub = await tokenHub(scope, `[log]\naudit = ${file}\n`, options);
    return { hub, file, root: await sign({ sub: 'root', jti: 'r', carillon: { admin: ['**'], subscribe: ['**'], publish: ['**'] } }) };
}

scenario('every administrative action has a line: who, from where, what, on what, and what came of it', async (scope) => {
    const { hub, file, root } = await audited(scope);
    const call = admin(hub, root);
    const { id, key } = (await call('POST', '/v1/keys', { name: 'ci', scopes: ['publish'] })).json;
    await call('POST', '/v1/keys', { name: 'ci', scopes: ['history'] });
    await call('POST', `/v1/keys/${id}/rotate`, {});
    const { id: revocation } = (await call('POST', '/v1/tokens/revoke', { user: 'eve' })).json;
    await call('DELETE', `/v1/tokens/revocations/${revocation}`);
    await call('DELETE', '/v1/tokens/revocations/rv_0');
    await call('DELETE', `/v1/keys/${id}`);
    await call('POST', '/v1/users/ann/disconnect', {});
    await call('DELETE', '/v1/connections/c100');
    await call('GET', '/v1/keys');
    await post(hub, 'a', 'x', { headers: bearer(root) });
    await request(hub, '/v1/keys', { method: 'POST', headers: bearer(await sign({ sub: 'ann', carillon: { publish: ['**'] } })), body: {} });
    for (let i = 0; i < 5; i++) await request(hub, '/v1/keys', { method: 'POST', headers: bearer('ck_wrong'), body: {} });
    await request(hub.public, '/sse?channel=a', { headers: bearer('ck_wrong') });
    await (await scope.ws(hub, '/ws?token=ck_wrong')).end();
    const lines = linesOf(file).filter((line) => line.action !== 'login');      // those are told once in a while: below
    assert.deepEqual(lines.map(({ action, target, result }) => [action, target, result]), [
        ['POST /v1/keys', id, 'ok'], ['POST /v1/keys', undefined, 'forbidden'], ['POST /v1/keys/{key}/rotate', id, 'ok'],
        ['POST /v1/tokens/revoke', revocation, 'ok'], ['DELETE /v1/tokens/revocations/{revocation}', revocation, 'ok'],
        ['DELETE /v1/tokens/revocations/{revocation}', 'rv_0', 'not_found'], ['DELETE /v1/keys/{key}', id, 'ok'],
        ['POST /v1/users/{user}/disconnect', 'ann', 'ok'], ['DELETE /v1/connections/{connection}', 'c100', 'not_found'], ['POST /v1/keys', undefined, 'forbidden'],
    ]);
    for (const line of lines.slice(0, -1)) assert.deepEqual([line.who, line.address, line.request_id], ['user root', '127.0.0.1', 'audited-1']);
    assert.equal(lines.at(-1).who, 'user ann');
    assert.ok(Math.abs(Date.parse(lines[0].time) - Date.now()) < 60000);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    await hub.terminate();
    const logins = linesOf(file).filter((line) => line.action === 'login');
    assert.ok(logins.every(({ address, result }) => address === '127.0.0.1' && result === 'unauthenticated'));
    assert.equal(logins.reduce((sum, { times }) => sum + times, 0), 7, 'told together, at the latest at the end');
    assert.ok(logins.length < 7);
    assert.ok(!readFileSync(file, 'utf8').includes(key.slice(3)) && !readFileSync(file, 'utf8').includes(root.split('.')[2]), 'no secret is in it');
});

scenario('SIGHUP opens it again, and has a line itself', async (scope) => {
    const { hub, file, root } = await audited(scope);
    const call = admin(hub, root);
    await call('POST', '/v1/tokens/revoke', { jti: 'a' });
    renameSync(file, `${file}.1`);
    await call('POST', '/v1/tokens/revoke', { jti: 'b' });
    hub.run.signal('SIGHUP');
    await eventually(() => existsSync(file) && linesOf(file).length === 1);
    await call('POST', '/v1/tokens/revoke', { jti: 'c' });
    assert.deepEqual(linesOf(`${file}.1`).map((line) => line.action), ['POST /v1/tokens/revoke', 'POST /v1/tokens/revoke']);
    assert.deepEqual(linesOf(file).map(({ who, action, result }) => [who, action, result]), [['signal', 'reload', 'ok'], ['user root', 'POST /v1/tokens/revoke', 'ok']]);
    hub.rewrite('[log]\naudit = /nowhere/at/all\n');
    hub.run.signal('SIGHUP');
    await hub.run.waitFor(() => /audit: \/nowhere\/at\/all cannot be opened/.test(hub.log), 'the log says so');
    await call('POST', '/v1/tokens/revoke', { jti: 'd' });
    assert.equal(linesOf(file).at(-1).action, 'POST /v1/tokens/revoke', 'it goes where it went before');
});

scenario('a hub whose audit log cannot be opened does not start', async (scope) => {
    const { code, stderr } = await scope.carillon(['serve', '--dev', '--public.listen=:0', '--api.listen=127.0.0.1:0', '--store.dir=', '--log.audit=/nowhere/at/all']);
    assert.equal(code, 1);
    assert.match(stderr, /audit: \/nowhere\/at\/all cannot be opened/);
});

scenario('no secret is in the log, the metrics, an error or the command line, however it was carried', async (scope) => {
    const { hub, file, root } = await audited(scope);
    const { id, key } = (await admin(hub, root)('POST', '/v1/keys', { name: 'ci', scopes: ['publish', 'subscribe'] })).json;
    const rotated = (await admin(hub, root)('POST', `/v1/keys/${id}/rotate`, {})).json.key;
    const stale = await sign({ sub: 'ann', jti: 'stale', exp: 1000, carillon: {} }), alien = await sign({ sub: 'ann' }, { key: new TextEncoder().encode('k'.repeat(64)) });
    const answers = [];
    for (const credential of [key, rotated, root, stale, alien, `${key}x`, `${root}x`, 'ck_0123456789abcdef', 'eyJhbGciOiJub25lIn0.e30.c2VjcmV0']) {
        for (const headers of [bearer(credential), { 'X-API-Key': credential }, { Cookie: `token=${credential}` }, { Authorization: `Basic ${credential}` }]) {
            answers.push(await request(hub.public, '/sse?channel=%00', { headers }), await request(hub, '/v1/channels', { headers }), await post(hub, 'a b', 'x', { headers }));
            await (await scope.ws(hub, '/ws?channel=**', { headers })).close();
        }
        answers.push(await request(hub.public, `/sse?channel=%00&token=${credential}`), await request(hub, `/v1/keys/${credential}?token=${credential}`), await admin(hub, root)('DELETE', `/v1/keys/${credential}`));
        const socket = await scope.ws(hub, `/ws?token=${credential}&channel=a`);
        await socket.close();
    }
    await admin(hub, root)('POST', '/v1/tokens/revoke', { jti: 'stale' });
    await admin(hub, root)('DELETE', `/v1/keys/${id}`);
    const said = [hub.log, (await request(hub, '/metrics')).text, readFileSync(file, 'utf8'), readFileSync(`/proc/${hub.pid}/cmdline`, 'latin1'),
        readFileSync(`/proc/${hub.pid}/comm`, 'latin1'), ...answers.map((answer) => `${JSON.stringify(answer.headers)} ${answer.text}`)];
    const secrets = [key, rotated, root.split('.')[2], root.split('.')[1], stale.split('.')[2], alien.split('.')[2], '0123456789abcdef', 'e2e-0123456789'];
    for (const secret of secrets) for (const text of said) assert.ok(!text.includes(secret.replace(/^ck_/, '')), `${secret} in: ${text.slice(Math.max(0, text.indexOf(secret) - 200))}`);
});

scenario('settings with a secret that everybody on the machine can read are told, and so is a secret on the command line', async (scope) => {
    const { hub } = await audited(scope);
    const told = /signers\.app: everybody on this machine can read \S*carillon\.ini; chmod 640/;
    assert.doesNotMatch(hub.log, told);
    chmodSync(hub.ini, 0o644);
    hub.run.signal('SIGHUP');
    await hub.run.waitFor(() => told.test(hub.log), 'the warning');
    chmodSync(hub.ini, 0o640);
    const other = await tokenHub(scope, '', { signers: '', args: [`--signers.app=HS256 secret:${'s'.repeat(64)}`] });
    assert.match(other.log, /signers\.app: everybody on this machine can read the command line/);
});

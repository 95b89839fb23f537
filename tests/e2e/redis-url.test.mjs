// redis.url may hold a password, so it may stand in a file of its own, or be a credential of systemd's.
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';

scenario('redis.url is read from a file or a credential, and what is wrong with it is told without its password', async (scope) => {
    const dir = scope.dir(), url = path.join(dir, 'redis.url'), ini = path.join(dir, 'c.ini');
    const check = async (value, content, { mode = 0o600, env = {} } = {}) => {
        writeFileSync(url, content);
        chmodSync(url, mode);
        writeFileSync(ini, `[redis]\nurl = ${value}\n`);
        const { code, stdout, stderr } = await scope.carillon(['check-config', ini], { env });
        assert.doesNotMatch(stdout + stderr, /pa55/);
        return { code, said: stdout + stderr };
    };
    const good = 'redis://hub:pa55@127.0.0.1:1/2\n', credentials = { env: { CREDENTIALS_DIRECTORY: dir } };
    assert.deepEqual(await check(`file:${url}`, good), { code: 0, said: 'ok\n' });
    assert.deepEqual(await check('credential:redis.url', good, credentials), { code: 0, said: 'ok\n' });
    assert.match((await check(`file:${url}`, good, { mode: 0o644 })).said, /everybody on this machine can read .*redis\.url; chmod 640/);
    for (const [value, content, why, options] of [
        [`file:${url}`, 'http://hub:pa55@h', /redis\.url begins with none of redis:/],
        [`file:${url}`, '', /redis\.url begins with none of redis:/],
        [`file:${url}`, `redis://hub:pa55@h/${'x'.repeat(20000)}`, /redis\.url: .*redis\.url cannot be read: File too large/],
        [`file:${url}-not`, good, /redis\.url-not cannot be read: No such file/],
        ['credential:redis.url', good, /\$CREDENTIALS_DIRECTORY is not set/],
        ['credential:no/such', good, /a credential's name has no slash/, credentials],
        ['credential:other', good, /other cannot be read: No such file/, credentials],
    ]) {
        const { code, said } = await check(value, content, options);
        assert.notEqual(code, 0, value);
        assert.match(said, why);
    }
});

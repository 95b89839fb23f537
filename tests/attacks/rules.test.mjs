// Rules of channels that are none, told by `carillon check-config`: tables/rules.mjs. It says so in a line and ends; it never falls over them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from '../e2e/lib/scope.mjs';
import { BINARY } from '../e2e/lib/hub.mjs';
import { chosen } from './lib/chosen.mjs';
import { channels, files } from './tables/rules.mjs';

function check(ini, ...more) {
    const { status, signal, stdout, stderr } = spawnSync(BINARY, ['check-config', ini, ...more], { encoding: 'utf8', timeout: 60000 });
    assert.equal(signal, null, `ended by a signal: ${stderr}`);
    return { status, stdout, stderr };
}

scenario('rules: a file of settings is fine, or each mistake is a line with its number', async (scope, t) => {
    const ini = path.join(scope.dir(), 'carillon.ini');
    for (const [what, text, expected] of chosen(files))
        await t.test(what, () => {
            writeFileSync(ini, text);
            const { status, stdout, stderr } = check(ini);
            assert.equal(status, expected === null ? 0 : 1, stderr);
            if (expected === null) assert.equal(stdout, 'ok\n');
            else assert.ok(stderr.includes(expected) && /^.*carillon\.ini:\d+: /m.test(stderr), stderr.slice(0, 2000));
            assert.ok(stderr.length < 256 * 1024, 'what is told is bounded');
        });
});

scenario('rules: --channel takes channels and nothing else', async (scope, t) => {
    const ini = path.join(scope.dir(), 'carillon.ini');
    writeFileSync(ini, '[channel "news"]\npublish = no\n[channel "**"]\nmessage = 10\n');
    for (const [what, name, expected] of chosen(channels))
        await t.test(what, () => {
            const { status, stdout, stderr } = check(ini, '--channel', name);
            assert.equal(status, expected, stdout + stderr);
            if (expected === 0) assert.ok(stdout.includes(name === 'news' ? 'news' : '**'), stdout);
        });
    assert.equal(check(ini, '--channel').status, 2);
});

// check-config and help: what an operator asks before starting.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { configKeys } from './lib/files.mjs';

function iniFile(scope, text) {
    const file = path.join(scope.dir(), 'carillon.ini');
    writeFileSync(file, text);
    return file;
}

scenario('check-config accepts a good file', async (scope) => {
    const file = iniFile(scope, '[public]\nlisten = :8000\n[history]\nsize = 500\nttl = 1h\n[store]\nsync = each\n[access]\nsubscribe = news.** chat.*\n');
    const { code, stdout, stderr } = await scope.carillon(['check-config', file]);
    assert.equal(code, 0, stdout + stderr);
});

scenario('check-config tells all mistakes at once, with line numbers and the nearest key', async (scope) => {
    const file = iniFile(scope, [
        '[history]', 'sise = 5', 'ttl = soon', 'bytes = 1XiB', '[stroe]', 'dir = data', '[store]', 'sync = sometimes',
        '[public]', 'listen = nowhere', '[limits]', 'message = 2MiB', '[access]', 'subscribe = a**b', ''].join('\n'));
    const { code, stdout, stderr } = await scope.carillon(['check-config', file]);
    const told = stdout + stderr;
    assert.equal(code, 1, told);
    const lineOf = (number) => told.split('\n').find((line) => line.includes(`carillon.ini:${number}:`)) ?? assert.fail(`line ${number} is not told in:\n${told}`);
    assert.match(lineOf(2), /history\.sise.*history\.size/);
    assert.match(lineOf(3), /history\.ttl/);
    assert.match(lineOf(4), /history\.bytes/);
    assert.match(lineOf(6), /stroe\.dir.*store\.dir/);
    assert.match(lineOf(8), /store\.sync.*off.*batch.*each/s, 'the values that are allowed are named');
    assert.match(lineOf(10), /public\.listen/);
    assert.match(lineOf(12), /limits\.message.*1\s?MiB/, 'the range that is allowed is named');
    assert.match(lineOf(14), /access\.subscribe/);
});

scenario('check-config of a file that is not there is one sentence and exit status 1', async (scope) => {
    const { code, stdout, stderr } = await scope.carillon(['check-config', path.join(scope.dir(), 'none.ini')]);
    assert.equal(code, 1);
    assert.match(stdout + stderr, /none\.ini/);
});

scenario('--help shows every subcommand and every key of the table', async (scope) => {
    const { code, stdout } = await scope.carillon(['--help']);
    assert.equal(code, 0);
    assert.ok(configKeys().length > 30);
    for (const { key } of configKeys()) assert.ok(stdout.includes(key), key);
    for (const command of ['serve', 'pub', 'sub', 'key', 'check-config', 'help']) assert.match(stdout, new RegExp(`\\b${command}\\b`));
});

scenario('help KEY tells what every key is and its default', async (scope) => {
    for (const { key, what, default: value } of configKeys()) {
        const { code, stdout } = await scope.carillon(['help', key]);
        assert.equal(code, 0, key);
        const flat = stdout.replace(/\s+/g, ' ');
        assert.ok(flat.includes(what.replace(/\\(.)/g, '$1').slice(0, 30)), `help ${key}: ${stdout}`);
        assert.ok(flat.includes(value), `help ${key} does not show the default ${value}: ${stdout}`);
    }
});

scenario('help of a section lists its keys, and help of a wrong key names the nearest', async (scope) => {
    const section = await scope.carillon(['help', 'history']);
    assert.equal(section.code, 0);
    for (const { key, section: name } of configKeys()) if (name === 'history') assert.ok(section.stdout.includes(key.split('.')[1]));
    const wrong = await scope.carillon(['help', 'history.sise']);
    assert.equal(wrong.code, 1);
    assert.match(wrong.stdout + wrong.stderr, /history\.size/);
});

scenario('an unknown subcommand, and none, show how it is used', async (scope) => {
    const wrong = await scope.carillon(['sevre']);
    assert.notEqual(wrong.code, 0);
    assert.match(wrong.stderr, /sevre/);
    assert.match(wrong.stderr, /serve/);
    const none = await scope.carillon([]);
    assert.match(none.stdout + none.stderr, /serve/);
});

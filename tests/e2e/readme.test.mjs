// README's "In the shell", "Webhooks on your own machine", "Webhooks in five minutes", "A video call in five minutes" and "Who may do what", followed to the letter from an empty folder. Only the ports are other ones.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { BINARY } from './lib/hub.mjs';
import { Receiver } from './lib/receiver.mjs';
import { SUITE_TLS } from './lib/line.mjs';
import { LOCAL } from './lib/webhooks.mjs';
import { within } from './lib/wait.mjs';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
// The shell blocks of a part of the README, up to the next heading.
const blocks = (heading) => [...readme.split(`${heading}\n`)[1].split(/^##/m)[0].matchAll(/^```sh\n([^]*?)^```$/gm)].map((m) => m[1]);

function bash(script, cwd, env = {}) {
    const child = spawn('bash', ['-c', script], { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    return within(new Promise((resolve) => {
        let stdout = '', stderr = '';
        child.stdout.on('data', (text) => { stdout += text; });
        child.stderr.on('data', (text) => { stderr += text; });
        child.on('close', (code) => resolve({ code, stdout, stderr }));
    }), 'the end of the README\'s commands').finally(() => child.kill('SIGKILL'));
}

// A port that nobody has.
async function freed(scope) {
    const receiver = await Receiver.start(scope);
    await receiver.stop();
    return receiver;
}

function clone(scope) {
    const dir = scope.dir();
    mkdirSync(path.join(dir, 'build'));
    symlinkSync(BINARY, path.join(dir, 'build', 'carillon'));
    return dir;
}

scenario('README, "In the shell": what is published is followed, kept, copied and counted as it says', async (scope) => {
    const hub = await scope.hub();
    const dir = clone(scope);
    const env = { CARILLON_URL: hub.publicUrl(''), CARILLON_API_URL: hub.apiUrl(''), ...(SUITE_TLS && { CARILLON_CACERT: SUITE_TLS.caFile }) };
    const [live, piped, back] = blocks('## In the shell');
    // the follower is there before the first message, and ends with the shell
    const first = await bash(`trap 'kill %1' EXIT\n${live.replace(/^(carillon sub .*) &.*$/m, '$1 --for 20s >followed & until curl -s "$CARILLON_API_URL/v1/channels" | grep -q news; do :; done')}
        until [ "$(grep -ac . followed)" -ge 8 ]; do :; done`, dir, env);
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /^([a-z2-7]{8}\.\d+\n){8}$/);
    assert.match(readFileSync(path.join(dir, 'followed'), 'latin1'), /^hello\n\{"order":7\}\n1\n2\n3\n4\n5\n/);
    const second = await bash(`PATH="$PWD/build:$PATH"\n${piped.replaceAll('--idle 1s', '--idle 300ms').replace('--for 2s', '--for 1s')}`, dir, env);
    assert.deepEqual([second.stdout, second.code], ['orders.us\t\t3\norders.us\t\t4\norders.us\t\t5\nfewer: status 3\n', 0], second.stderr);
    const third = await bash(`PATH="$PWD/build:$PATH"\n${back}`, dir, env);
    assert.deepEqual([third.stdout, third.code], ['nothing twice\n', 0], third.stderr);
    assert.match(third.stderr, /6 published\n[^]*6 published \(6 of them before[^]*orders\.\*: 2 channels\n/);
});

scenario('README, "Webhooks on your own machine": what is published comes to the server', async (scope) => {
    const hub = await scope.hub(), receiver = await Receiver.start(scope);
    const [commands] = blocks('### Webhooks on your own machine');
    const script = commands.replace('http://localhost:3000/hook', receiver.url('/hook')).replace(/ &$/m, ' --count 1 &');
    const env = { CARILLON_URL: hub.publicUrl(''), CARILLON_API_URL: hub.apiUrl(''), ...(SUITE_TLS && { CARILLON_CACERT: SUITE_TLS.caFile }) };
    const { stdout, stderr } = await bash(`PATH="$PWD/build:$PATH"\n${script}wait`, clone(scope), env);
    assert.match(stdout, /^\S+ message\.published orders\.eu evt_\w+ 200 \d+ ms$/m, stderr);
    assert.deepEqual(JSON.parse(receiver.of('/hook')[0].body).data, { order: 7 });
});

scenario('README, "Webhooks in five minutes": a partner is told, breaks, and gets what it has missed', async (scope) => {
    const hub = await scope.hub({ args: LOCAL }), { port } = await freed(scope);
    const dir = clone(scope);
    const [run, receiver, register, tell, broken] = blocks('## Webhooks in five minutes');
    assert.deepEqual(run.match(/^(CARILLON_WEBHOOKS_ALLOW_HTTP=true) (CARILLON_WEBHOOKS_ALLOW_NETWORKS=127\.0\.0\.0\/8) make run$/m)?.length, 3);
    const quickly = (script) => script.replace('http://localhost:8001', hub.apiUrl('')).replaceAll(':3000', `:${port}`).replaceAll(', 3000', `, ${port}`).replace('0,1s,1s', '0,20ms,20ms');
    const waits = broken.replace('sleep 4', `until curl -s "$api/v1/dead-letters?webhook=$webhook" | grep -q '"tries":3'; do :; done`);
    assert.notEqual(waits, broken);
    const { code, stdout, stderr } = await bash(`trap 'kill %1' EXIT\n${quickly(receiver)}${quickly(register).replace(' &', ' >told &')}
        until (echo >/dev/tcp/127.0.0.1/${port}) 2>/dev/null; do :; done\n${tell}\n until [ $(grep -c ^204 told) = 3 ]; do :; done\n${waits}
        until [ $(grep -c ^204 told) = 4 ]; do :; done`, dir);
    assert.equal(code, 0, stderr);
    const told = readFileSync(path.join(dir, 'told'), 'utf8').trim().split('\n').map((line) => [line.slice(0, 3), JSON.parse(line.slice(4))]);
    const said = told.map(([status, { type }]) => `${status} ${type}`);
    assert.deepEqual([...said.slice(0, 3).sort(), ...said.slice(3)], ['204 message.published', '204 order.created', '204 webhook.test', '500 order.paid', '500 order.paid', '500 order.paid', '204 order.paid']);
    assert.match(stdout, /"type":"order\.paid".*"status":"dead","tries":3,"last_status":500[^]*"status":"running"/);
});

scenario('README, "A video call in five minutes": a backend makes a room, sees it, speaks in it and ends it', async (scope) => {
    const hub = await scope.hub(), [text] = blocks('## A video call in five minutes');
    const { stdout, code, stderr } = await bash(text.replace('http://localhost:8001', hub.apiUrl('')), scope.dir(), SUITE_TLS ? { CURL_CA_BUNDLE: SUITE_TLS.caFile } : {});
    assert.equal(code, 0, stderr);
    const [made, shown, told] = stdout.trim().split(/\n|(?<=\})(?=\{)/).map((line) => JSON.parse(line));
    assert.deepEqual([made.room, made.capacity, made.metadata], ['class.7', 30, { topic: 'bells' }]);
    assert.deepEqual([shown.users, told.delivered], [[], 0]);
});

scenario('README, "Who may do what": the settings are right and the tokens do what it says', async (scope) => {
    const folderOf = clone(scope);
    const [settings, serve] = blocks('## Who may do what'), [tokens, pair] = blocks('### Tokens'), [keys] = blocks('### Keys, and taking back');
    assert.match(serve, /^carillon serve --config carillon\.ini &$/m);
    const begun = await bash(settings, folderOf);
    assert.deepEqual([begun.code, begun.stdout, begun.stderr], [0, 'ok\n', '']);
    const folder = path.join(folderOf, 'try');
    const hub = await scope.hub({ dev: false, args: ['--config', path.join(folder, 'carillon.ini')], cwd: folder });
    const done = await bash(`PATH="$PWD/../build:$PATH"\n${(tokens + keys).replaceAll('http://localhost:8001', hub.apiUrl(''))}`, folder);
    const signed = await bash(`PATH="$PWD/../build:$PATH"\n${pair}`, folder);
    assert.match(signed.stdout, /^eyJ[\w-]+\.[\w-]+\.[\w-]{86}\n$/, signed.stderr);
    const [explained, answers] = done.stdout.split(/(?<=^valid\n)/m);
    assert.match(explained, /signed by the key app \(HS256\)[^]*subscribe +user\.ann chat\.\* room\.ann\.\*\*\n[^]*\nvalid\n$/);
    const told = answers.trim().split(/(?<=\})\s*(?=\{)/).map((text) => JSON.parse(text));
    assert.deepEqual(told.map((answer) => answer.code ?? (answer.key ? 'made' : answer.user ? 'revoked' : 'published')),
        ['published', 'forbidden', 'unauthenticated', 'published', 'made', 'revoked', 'token_revoked'], done.stderr);
});

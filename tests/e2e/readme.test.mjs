// README's "Who may do what", followed to the letter from an empty folder. Only the ports are other ones.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { BINARY } from './lib/hub.mjs';
import { within } from './lib/wait.mjs';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
// The shell blocks of a part of the README, up to the next heading.
const blocks = (heading) => [...readme.split(`${heading}\n`)[1].split(/^##/m)[0].matchAll(/^```sh\n([^]*?)^```$/gm)].map((m) => m[1]);

function bash(script, cwd) {
    const child = spawn('bash', ['-c', script], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    return within(new Promise((resolve) => {
        let stdout = '', stderr = '';
        child.stdout.on('data', (text) => { stdout += text; });
        child.stderr.on('data', (text) => { stderr += text; });
        child.on('close', (code) => resolve({ code, stdout, stderr }));
    }), 'the end of the README\'s commands');
}

scenario('README, "Who may do what": the settings are right and the tokens do what it says', async (scope) => {
    const clone = scope.dir();
    mkdirSync(path.join(clone, 'build'));
    symlinkSync(BINARY, path.join(clone, 'build', 'carillon'));
    const [settings, serve] = blocks('## Who may do what'), [tokens, pair] = blocks('### Tokens'), [keys] = blocks('### Keys, and taking back');
    assert.match(serve, /^carillon serve --config carillon\.ini &$/m);
    const begun = await bash(settings, clone);
    assert.deepEqual([begun.code, begun.stdout, begun.stderr], [0, 'ok\n', '']);
    const folder = path.join(clone, 'try');
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

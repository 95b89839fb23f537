// The JavaScript client as a package: how large it is, what TypeScript makes of it, and that it can be installed.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { minify } from 'terser';
import { SUITE_TLS } from './lib/line.mjs';
import { scenario } from './lib/scope.mjs';

const HERE = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const CLIENT = path.join(HERE, '../../clients/js');
const once = { skip: SUITE_TLS ? 'it is the same file over TLS' : false };
const MOST = 8 * 1024;
const USES = ['usage.ts', 'room-usage.ts'];

scenario('js package: minified and compressed it is less than 8 KiB', once, async (scope, t) => {
    const source = readFileSync(path.join(CLIENT, 'carillon.js'), 'utf8');
    const { code } = await minify(source, { module: true, ecma: 2022, compress: { passes: 2 } });
    const bytes = gzipSync(code, { level: 9 }).length;
    t.diagnostic(`${source.length} bytes, ${code.length} minified, ${bytes} compressed`);
    assert.ok(bytes < MOST, `${bytes} bytes`);
});

// As npm would install it.
function install(scope) {
    const dir = scope.dir(), target = path.join(dir, 'node_modules/carillon-client');
    const { files } = JSON.parse(readFileSync(path.join(CLIENT, 'package.json')));
    mkdirSync(target, { recursive: true });
    for (const file of [...files, 'package.json']) cpSync(path.join(CLIENT, file), path.join(target, file));
    return dir;
}

scenario('js package: it is imported by its name, and TypeScript agrees with every use of it', once, async (scope) => {
    const dir = install(scope);
    writeFileSync(path.join(dir, 'use.mjs'), "import * as carillon from 'carillon-client'; console.log(Object.keys(carillon).sort().join(' '));");
    assert.equal(execFileSync(process.execPath, ['use.mjs'], { cwd: dir, encoding: 'utf8' }).trim(), 'CarillonError connect');
    writeFileSync(path.join(dir, 'package.json'), '{"type":"module"}');
    for (const file of USES) cpSync(path.join(HERE, 'js', file), path.join(dir, file));
    const tsc = path.join(HERE, '../node_modules/typescript/bin/tsc');
    try {
        execFileSync(process.execPath, [tsc, '--strict', '--noEmit', '--skipDefaultLibCheck', '--module', 'nodenext', '--target', 'es2022', '--lib', 'es2022,dom', ...USES], { cwd: dir, encoding: 'utf8' });
    } catch (error) {
        assert.fail(error.stdout);
    }
});

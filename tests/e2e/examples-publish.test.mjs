// clients/examples/publish: the same program in five languages. Each publishes once, whatever happens on the way.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect as connectTcp, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { before } from 'node:test';
import { scenario } from './lib/scope.mjs';
import { keptMessages, messagesPath, request } from './lib/http.mjs';
import { SUITE_TLS } from './lib/line.mjs';
import { within } from './lib/wait.mjs';

const FOLDER = new URL('../../clients/examples/publish/', import.meta.url).pathname;
const LANGUAGES = {
    curl:   ['bash', 'publish.sh'],
    Python: ['python3', 'publish.py'],
    Node:   [process.execPath, 'publish.mjs'],
    PHP:    ['php', 'publish.php'],
    Go:     null,
};

// Built once for this file, before anything else runs: a program waits ten seconds for an answer, some of which come from this process.
const goFolder = mkdtempSync(path.join(tmpdir(), 'carillon-e2e-'));
process.on('exit', () => rmSync(goFolder, { recursive: true, force: true }));
before(() => {
    LANGUAGES.Go = [path.join(goFolder, 'publish')];
    execFileSync('go', ['build', '-o', LANGUAGES.Go[0], 'publish.go'], { cwd: FOLDER, env: { ...process.env, GOTOOLCHAIN: 'local', CGO_ENABLED: '0' } });
});

// What each of them uses to learn whom to believe.
const TRUST = SUITE_TLS ? { SSL_CERT_FILE: SUITE_TLS.caFile, CURL_CA_BUNDLE: SUITE_TLS.caFile, NODE_EXTRA_CA_CERTS: SUITE_TLS.caFile } : {};

class Program {
    constructor(scope, language, url, args, env = {}) {
        const [program, ...rest] = LANGUAGES[language];
        const { CARILLON_KEY, ...own } = process.env;
        this.child = spawn(program, [...rest, ...args], { cwd: FOLDER, stdio: ['ignore', 'pipe', 'pipe'], env: { ...own, ...TRUST, CARILLON_URL: url, CARILLON_PATIENCE: '3600', ...env } });      // here it is the test that gives up
        this.stdout = this.stderr = '';
        this.child.stdout.setEncoding('utf8').on('data', (text) => { this.stdout += text; });
        this.child.stderr.setEncoding('utf8').on('data', (text) => { this.stderr += text; });
        this.ended = new Promise((resolve, reject) => { this.child.on('error', reject).on('close', resolve); });
        scope.defer(() => this.child.kill('SIGKILL'));
    }
    async end() {
        this.code = await within(this.ended, 'the end of the program', 120_000);
        return this;
    }
}

// The same for all of them, at once.
const forEach = (fn) => Promise.all(Object.keys(LANGUAGES).map(fn));
const run = (scope, language, url, args, env) => new Program(scope, language, url, args, env).end();

const idOf = (program) => program.stdout.trim();
const only = async (hub, channel) => (await keptMessages(hub, channel)).map(({ id, data }) => [id, data]);

async function guarded(scope) {
    const told = (await scope.carillon(['key', 'new', '--name', 'k', '--scope', 'publish:ok.**'])).stdout;
    const ini = path.join(scope.dir(), 'carillon.ini');
    writeFileSync(ini, `[keys]\n${/^k = sha256:.*$/m.exec(told)[0]}\nreader = sha256:${createHash('sha256').update('ck_reader').digest('hex')} history\n`, { mode: 0o600 });
    return { hub: await scope.hub({ dev: false, args: ['--config', ini] }), key: /\bck_[0-9a-f]{64}\b/.exec(told)[0] };
}

scenario('examples, publish: each publishes byte for byte, prints the id, and tells what was refused and why', async (scope) => {
    const { hub, key } = await guarded(scope), as = { CARILLON_KEY: key };
    await forEach(async (language) => {
        const channel = `ok.${language}/+~%?#&`, value = `{"price":0.10, "of":"${language} é"}`;
        const done = await run(scope, language, hub.apiUrl(''), [channel, value], as);
        assert.deepEqual([done.code, done.stderr], [0, ''], language);
        const page = await request(hub, messagesPath(channel), { headers: { Authorization: 'Bearer ck_reader' } });
        assert.equal(page.json.data[0].id, idOf(done));
        assert.ok(page.text.includes(`"data":${value},`), `${language}: ${page.text}`);
    });
    await forEach(async (language) => {
        for (const [args, env, told] of [[['other', '1'], as, /^forbidden: these credentials do not allow this/],
            [['ok.x', '{'], as, /^bad_json: /], [['ok.x', '1'], {}, /^unauthenticated: /]]) {
            const refused = await run(scope, language, hub.apiUrl(''), args, env);
            assert.deepEqual([refused.code, refused.stdout], [1, ''], language);
            assert.match(refused.stderr, told, language);
        }
        const misused = await run(scope, language, hub.apiUrl(''), ['only']);
        assert.equal(misused.code, 2, language);
        assert.match(misused.stderr, /^usage: /);
    });
});

scenario('examples, publish: with the same KEY it is the same message', async (scope) => {
    const hub = await scope.hub();
    const ids = await forEach(async (language) => idOf(await run(scope, language, hub.apiUrl(''), ['orders', '{"id":42}', 'order-42'])));
    assert.deepEqual(await only(hub, 'orders'), [[ids[0], { id: 42 }]]);
    assert.deepEqual(new Set(ids).size, 1);
});

scenario('examples, publish: a hub that is down at first gets the message once; who has waited long enough gives up', async (scope) => {
    const hub = await scope.hub();
    await hub.kill9();
    const begun = Object.keys(LANGUAGES).map((language) => [language, new Program(scope, language, hub.apiUrl(''), [`late.${language}`, '"here"'])]);
    await forEach(async (language) => {
        const gone = await run(scope, language, hub.apiUrl(''), ['a', '1'], { CARILLON_PATIENCE: '1' });
        assert.deepEqual([gone.code, gone.stdout], [1, ''], language);
        assert.match(gone.stderr, /^given up: no answer/, language);
    });
    await hub.restart();
    for (const [language, program] of begun) {
        await program.end();
        assert.deepEqual([program.code, program.stderr], [0, ''], language);
        assert.deepEqual(await only(hub, `late.${language}`), [[idOf(program), 'here']], language);
    }
});

// Passes a request on, and cuts the line instead of the first answer; then it is an honest line.
async function forgetful(scope, target) {
    const state = { cuts: 0 };
    const server = createTcpServer((client) => {
        const hub = connectTcp(target.port, target.host);
        for (const socket of [client, hub]) socket.on('error', () => {}).on('close', () => { client.destroy(); hub.destroy(); });
        client.pipe(hub);
        if (state.cuts) return void hub.pipe(client);
        hub.once('data', () => { state.cuts++; client.resetAndDestroy(); hub.destroy(); });
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => server.close());
    return { url: `http://127.0.0.1:${server.address().port}`, state };
}

scenario('examples, publish: a line that is cut when the hub has the message leads to one message, not two', { skip: Boolean(SUITE_TLS) && 'what is cut must be seen' }, async (scope) => {
    const hub = await scope.hub();
    await forEach(async (language) => {
        const line = await forgetful(scope, hub.api);
        const done = await run(scope, language, line.url, [`cut.${language}`, '"once"']);
        assert.deepEqual([done.code, done.stderr, line.state.cuts], [0, '', 1], language);
        assert.deepEqual(await only(hub, `cut.${language}`), [[idOf(done), 'once']], language);
    });
});

// Answers as a hub that has too much to do, then as a proxy without a hub, then takes it.
async function busy(scope) {
    const seen = [];
    const server = createServer((req, res) => {
        const [status, headers, body] = [[429, { 'Retry-After': '1', 'Content-Type': 'application/problem+json' }, '{"code":"too_many_requests","detail":"later"}'],
            [502, { 'Content-Type': 'text/html' }, '<h1>Bad Gateway</h1>'], [409, {}, '{"code":"idempotency_in_progress","detail":"wait"}'],
            [201, { 'Content-Type': 'application/json' }, '{"id":"aaaaaaaa.7"}'], [500, {}, '']][seen.length] ?? [500, {}, ''];
        seen.push({ at: performance.now(), key: req.headers['idempotency-key'], target: req.url, as: req.headers.authorization });
        req.resume().on('end', () => res.writeHead(status, headers).end(body));
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => server.close());
    return { url: `http://127.0.0.1:${server.address().port}`, seen };
}

scenario('examples, publish: 429, 502 and 409 are tried again, not before Retry-After, with the same key', { skip: Boolean(SUITE_TLS) && 'no hub is asked' }, async (scope) => {
    await forEach(async (language) => {
        const { url, seen } = await busy(scope);
        const done = await run(scope, language, url, ['a/b', '1'], { CARILLON_KEY: 'ck_x' });
        assert.deepEqual([done.code, done.stdout, done.stderr], [0, 'aaaaaaaa.7\n', ''], language);
        assert.equal(seen.length, 4, language);
        assert.ok(seen[1].at - seen[0].at >= 990, `${language} came back too early`);
        assert.deepEqual([...new Set(seen.map((one) => `${one.target} ${one.as}`))], ['/v1/channels/a%2Fb/messages Bearer ck_x'], language);
        assert.equal(new Set(seen.map((one) => one.key)).size, 1, language);
        assert.ok(seen[0].key.length >= 32);
    });
});

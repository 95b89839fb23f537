// carillon sub in the shell: formats, terminals, when it ends and with which status, patterns over a restart, mistakes in words.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { BINARY } from './lib/hub.mjs';
import { post, publish, request } from './lib/http.mjs';
import { SUITE_TLS } from './lib/line.mjs';
import { atTerminal, noTerminal, press } from './lib/pty.mjs';
import { bearer, sign, tokenHub } from './lib/tokens.mjs';
import { within } from './lib/wait.mjs';

const QUICK = ['--sse.retry=100ms'];
const linesOf = (run) => run.stdout.split('\n').slice(0, -1);
const sub = (scope, hub, args, options) => scope.carillon(['sub', `--url=${hub.publicUrl('')}`, ...args], options);
const started = (scope, hub, args, options) => scope.run(['sub', `--url=${hub.publicUrl('')}`, ...args], options);
const JSON_TYPE = { 'Content-Type': 'application/json' };

scenario('sub --format: the object, the payload, lines for people, or a template', async (scope) => {
    const hub = await scope.hub();
    const { id, time } = await publish(hub, 'a', 'two\nlines', { query: '?event=tick' });
    await post(hub, 'a', '{"data":{"n" : 0.10}}', { headers: JSON_TYPE });
    await publish(hub, 'a.b', Buffer.from([0, 27, 255]), { headers: { 'Content-Type': 'application/octet-stream' } });
    const out = async (...args) => (await sub(scope, hub, ['a', 'a.*', '--since=all', '--count=3', ...args], { env: { TZ: 'UTC' } })).stdout;
    const iso = new Date(time).toISOString(), clock = iso.slice(11, 19);
    const objects = (await out('--format', 'json')).trim().split('\n').map((line) => JSON.parse(line));
    assert.deepEqual(objects[0], { type: 'message', channel: 'a', id, event: 'tick', data: 'two\nlines', time });
    assert.deepEqual(objects[2].encoding, 'base64');
    assert.equal(await out('--json'), await out('--format=ndjson'));
    assert.equal((await out('--count=2')), 'two\nlines\n{"n" : 0.10}\n');
    assert.equal(await out('--count=1', '--format=text', '--color=never'), `${clock} a [tick] two\n         lines\n`);
    assert.equal(await out('--count=1', '--format', '{time}\\t{ms} {channel} {id} {event} {size}{user}\\n\\x7e'), `${iso}\t${time} a ${id} tick 9\n~`);
    assert.equal(await out('--format={channel}\\0'), 'a\0a\0a.b\0');
    assert.match(await out('--json', '--pretty', '--count=1'), /^\{\n {2}"type": "message",\n/);
    assert.match(await out('--format=text', '--color=always', '--count=1'), /^\x1b\[2m..:..:..\x1b\[0m \x1b\[\d+ma\x1b\[0m \[\x1b\[1mtick\x1b\[0m\] two\n/);
    assert.equal(await out('--format=text', '--count=1', '--color=auto'), `${clock} a [tick] two\n         lines\n`, 'no colours into a pipe');
});

scenario('sub on a terminal: colours, and nothing that a publisher wrote does anything to it', { skip: noTerminal }, async (scope) => {
    const hub = await scope.hub();
    await publish(hub, 'news', '\x1b]0;owned\x07\x1b[2Jhello\r\x9b31m \u202egnp');
    const seen = async (args, env) => (await sub(scope, hub, ['news', '--since=all', '--count=1', ...args], atTerminal({ env }))).stdout.replaceAll('\r\n', '\n');
    const data = '\\u001b]0;owned\\u0007\\u001b[2Jhello\\u000d\\u009b31m \\u202egnp\n';
    const coloured = await seen([]);
    assert.match(coloured, /^\x1b\[2m\d\d:\d\d:\d\d\x1b\[0m \x1b\[\d+mnews\x1b\[0m /);
    assert.ok(coloured.endsWith(data), JSON.stringify(coloured));
    const [json, plain] = await Promise.all([seen(['--format=json']), seen([], { NO_COLOR: '1' })]);
    assert.match(plain, /^\d\d:\d\d:\d\d news /);
    assert.ok(plain.endsWith(data) && !plain.includes('\x1b'), JSON.stringify(plain));
    assert.ok(!/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/.test(json), JSON.stringify(json));
    assert.equal(JSON.parse(json).data, '\x1b]0;owned\x07\x1b[2Jhello\r\x9b31m \u202egnp');
});

scenario('ctrl-C at a terminal: status 130, and where to go on', { skip: noTerminal }, async (scope) => {
    const hub = await scope.hub();
    const { id } = await publish(hub, 'news', 'hello');
    const run = started(scope, hub, ['news', '--since=all'], atTerminal());
    await run.waitFor(() => run.stdout.includes('hello'), 'the message');
    press(run, '\x03');
    assert.equal((await run.end()).code, 130, run.state());
    assert.match(run.stdout, new RegExp(`to go on from here: --since ${id.replace('.', '\\.')}`));
    const later = await publish(hub, 'news', 'later');
    assert.deepEqual(JSON.parse((await sub(scope, hub, ['news', `--since=${id}`, '--json', '--count=1'])).stdout).id, later.id);
});

scenario('sub ends as it was asked: --count, --for, --idle, a reader that has gone', async (scope) => {
    const hub = await scope.hub();
    for (let i = 1; i <= 5; i++) await publish(hub, 'n', `${i}`);
    const [few, two, last, idle] = await Promise.all([['--since=all', '--count=6', '--for=3s'], ['--since=-2', '--idle=2s'], ['--since=last', '--for=3s'], ['--since=all', '--idle=2s', '--count=9']]
        .map((options) => sub(scope, hub, ['n', ...options])));      // --for begins with the command, connecting included
    assert.deepEqual([few.code, few.stdout], [3, '1\n2\n3\n4\n5\n'], few.stderr);
    assert.deepEqual([two, last], [{ code: 0, stdout: '4\n5\n', stderr: '' }, { code: 0, stdout: '5\n', stderr: '' }]);
    assert.equal(idle.code, 3);
    const env = { ...process.env, URL: hub.publicUrl(''), CARILLON: BINARY, ...(SUITE_TLS && { CARILLON_CACERT: SUITE_TLS.caFile }) };
    const script = '"$CARILLON" sub n --since all --url "$URL" | head -2; echo "${PIPESTATUS[*]}"';
    const child = spawn('bash', ['-c', script], { env, stdio: ['ignore', 'pipe', 'pipe'] });      // it has nothing more to write when head goes
    let out = '', err = '';
    child.stdout.on('data', (text) => { out += text; });
    child.stderr.on('data', (text) => { err += text; });
    await within(new Promise((resolve) => child.on('close', resolve)), 'the end of the pipeline');
    assert.deepEqual([out, err], ['1\n2\n0 0\n', '']);
});

scenario('sub follows channels and patterns over kill -9 and a restart: nothing missing, nothing twice, no gap', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const run = started(scope, hub, ['orders.*', 'orders.eu', 'deep.**', 'plain', '--format', '{channel} {data}\\n', '--since=all'], {});
    const expected = [];
    const say = async (channel, data) => { expected.push(`${channel} ${data}`); await publish(hub, channel, data); };
    for (let round = 0; round < 2; round++) {
        for (const channel of ['orders.eu', `orders.new${round}`, 'deep.a.b', 'plain']) await say(channel, `${round}.1`);
        await publish(hub, 'orders.eu.no', 'x');
        await run.waitFor(() => linesOf(run).length > 4 * round, 'some lines');
        await hub.kill9();
        await hub.restart();
        for (const channel of ['plain', `orders.born${round}`]) await say(channel, `${round}.2`);
    }
    await say('plain', 'end');
    await run.waitFor(() => linesOf(run).includes('plain end'), 'the last line');
    assert.deepEqual(linesOf(run), expected);
    assert.match(run.stderr, /connected again/);
    assert.doesNotMatch(run.stderr, /gap/);
});

scenario('sub goes to the next of several hubs when one is away', async (scope) => {
    const hub = await scope.hub();
    await publish(hub, 'a', 'x');
    const gone = await scope.hub();
    await gone.kill9();
    const { code, stdout, stderr } = await scope.carillon(['sub', `--url=${gone.publicUrl('/')}, ${hub.publicUrl('')}`, 'a', '--since=all', '--count=1']);
    assert.deepEqual([code, stdout], [0, 'x\n'], stderr);
    assert.match(stderr, /is a hub running there/);
});

scenario('sub --members tells who comes and goes; --user counts as one in --dev', async (scope) => {
    const hub = await scope.hub({ args: ['--presence.grace=100ms'] });
    const run = started(scope, hub, ['room', '--members', '--format', '{event} {channel} {user}\\n', '--since=all']);
    await publish(hub, 'room', 'begin');
    await run.waitFor(() => linesOf(run).length === 1, 'that it listens');
    const ann = await sub(scope, hub, ['room', '--user=ann', '--idle=100ms']);
    assert.equal(ann.code, 0);
    await run.waitFor(() => linesOf(run).length === 3, 'that ann came and went');
    assert.deepEqual(linesOf(run), [' room ', 'member-joined room ann', 'member-left room ann']);
});

scenario('credentials: from the command line, a file, the environment; refusals in words', async (scope) => {
    const hub = await tokenHub(scope, '');
    const token = await sign({ sub: 'ann', carillon: { subscribe: ['chat.*'], publish: ['chat.*'] } });
    const file = path.join(scope.dir(), 'token');
    writeFileSync(file, `${token}\n`, { mode: 0o600 });
    assert.equal((await post(hub, 'chat.a', 'x', { headers: bearer(token) })).status, 201);
    const args = ['chat.a', '--since=all', '--count=1'];
    for (const [more, env] of [[[`--token=${token}`]], [[`--token=@${file}`]], [[`--key=@${file}`]], [[], { CARILLON_TOKEN: token }], [[], { CARILLON_KEY: token }],
        [[`--token=${token}`], { CARILLON_KEY: 'ck_wrong' }]])
        assert.equal((await sub(scope, hub, [...args, ...more], { env })).stdout, 'x\n', JSON.stringify([more, env]));
    const cases = [[[...args], 1, /forbidden|unauthenticated/, /--key or --token \(CARILLON_KEY, CARILLON_TOKEN\)/], [['news', `--token=@${file}`], 1, /403 forbidden/, /these credentials do not allow/],
        [[...args, '--token=x.y.z'], 1, /401 bad_token/, /token/], [[...args, '--token=@/nowhere/at/all'], 2, /no credential to be read in the file \/nowhere\/at\/all/, /usage/],
        [[...args, `--url=${hub.apiUrl('')}`], 1, /404 not_found/, /is this the hub's public listener\? --url and CARILLON_URL/]];
    for (const [more, code, ...words] of cases) {
        const refused = await sub(scope, hub, more);
        assert.equal(refused.code, code, refused.stderr);
        for (const word of words) assert.match(refused.stderr, word);
    }
});

scenario('a token in a file is read again for each connection, so that it can be changed while sub runs', async (scope) => {
    const hub = await tokenHub(scope, '', { args: QUICK });
    const claims = { sub: 'ann', carillon: { subscribe: ['a'], publish: ['a'] } }, other = 'another-0123456789abcdef0123456789abcdef0123456789abcdef';
    const file = path.join(scope.dir(), 'token');
    const first = await sign(claims), second = await sign(claims, { key: Buffer.from(other) });
    writeFileSync(file, first);
    const run = started(scope, hub, ['a', '--since=all', `--token=@${file}`]);
    await post(hub, 'a', 'one', { headers: bearer(first) });
    await run.waitFor(() => linesOf(run).length === 1, 'the first message');
    hub.rewrite('', `app = HS256 secret:${other}\n`);
    writeFileSync(file, second);
    await hub.kill9();
    await hub.restart();
    assert.equal((await post(hub, 'a', 'two', { headers: bearer(second) })).status, 201);
    await run.waitFor(() => linesOf(run).length === 2, 'the second message');
    assert.deepEqual(linesOf(run), ['one', 'two']);
});

scenario('what the hub says of itself is a sentence on standard error', async (scope) => {
    const hub = await scope.hub();
    const run = started(scope, hub, ['a', 'b', '--format={channel} {data}\\n', '--since=all']);
    await publish(hub, 'a', '1');
    await run.waitFor(() => linesOf(run).length === 1, 'that it listens');
    const { id } = (await request(hub, '/v1/connections')).json.data[0];
    await request(hub, `/v1/connections/${id}/channels`, { method: 'POST', body: { add: ['more.*'], remove: ['b'] } });
    await publish(hub, 'more.x', '2');
    await run.waitFor(() => linesOf(run).length === 2, 'the message of the further channel');
    assert.match(run.stderr, /the hub has subscribed this stream to more\.\* too\n/);
    assert.match(run.stderr, /the hub has ended the subscription to b \(removed\)\n/);
    await request(hub, `/v1/connections/${id}`, { method: 'DELETE', body: { code: 4150, reason: 'enough \u001b[2J' } });
    assert.equal((await run.end()).code, 1, run.state());
    assert.match(run.stderr, /disconnected: enough \\u001b\[2J\n$/);
});

scenario('deploy/carillon.bash completes subcommands and the options that there are', async () => {
    const file = new URL('../../deploy/carillon.bash', import.meta.url).pathname;
    const completed = (...words) => execFileSync('bash', ['-c', '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _carillon "$1"; echo "${COMPREPLY[*]}"', file, BINARY, ...words], { encoding: 'utf8' }).trim();
    assert.equal(completed('s'), 'serve sub');
    assert.equal(completed('pub', 'news', '--if'), '--if-position');
    assert.equal(completed('sub', '--co'), '--count --color');
    assert.match(completed('pub', '--'), /^--event .*--help$/);
});

scenario('what cannot be is said in one line, before anything is sent', async (scope) => {
    const cases = [[['sub'], /CHANNEL\.\.\. is missing/], [['sub', 'a', '--formt=x'], /no option --formt; did you mean --format\?/], [['sub', 'a', '--format={dat}'], /no \{dat\}; did you mean \{data\}\?/],
        [['sub', 'a', '--for=soon'], /--for needs a time such as/], [['sub', 'a', '--color=red'], /--color needs auto\|always\|never, not "red"/], [['sub', 'a', '--url=localhost:8000'], /begins with http/],
        [['pub', 'a', 'b', 'c'], /"c" is one word too many/], [['pub'], /which channel\?/], [['pub', 'a', 'x', '--rate=5'], /--rate is for many/], [['pub', 'a', '--lines', '--repeat=2'], /--repeat is for one/],
        [['pub', 'a', '--lines', 'x'], /not from "x"/], [['pub', 'a', '--lines', '--ndjson'], /exclude/], [['pub', 'a', 'x', '--repeat=2', '--rate=fast'], /--rate is a number/]];
    for (const [args, words] of cases) {
        const { code, stderr, stdout } = await scope.carillon(args);
        assert.deepEqual([code, stdout], [2, ''], stderr);
        assert.match(stderr, words);
        assert.match(stderr, /usage: carillon (sub|pub) .* --help lists them\n$/);
    }
    for (const command of ['sub', 'pub']) {
        const { code, stdout } = await scope.carillon([command, '--help']);
        assert.equal(code, 0);
        assert.match(stdout, /--url URL[^]*Exit status: 0/);
    }
});

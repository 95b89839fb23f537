// carillon webhook listen: a hub's messages on a developer's own machine, as the webhooks that the hub would send; with a server that is
// away, says no, takes its time, and a hub that is killed meanwhile. What is signed as Standard Webhooks is verified by the library of that
// name, as a partner would, the other schemes by carillon webhook verify.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Webhook } from 'standardwebhooks';
import { scenario } from './lib/scope.mjs';
import { BINARY } from './lib/hub.mjs';
import { post, publish, request } from './lib/http.mjs';
import { atTerminal, noTerminal, press } from './lib/pty.mjs';
import { Receiver, redirect, retryAfter, slowly } from './lib/receiver.mjs';
import { bearer, sign, tokenHub } from './lib/tokens.mjs';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const QUICK = ['--sse.retry=100ms'];
const words = (hub, to, args) => ['webhook', 'listen', `--url=${hub.publicUrl('')}`, `--forward-to=${to}`, ...args];
const listen = (scope, hub, to, args, options) => scope.carillon(words(hub, to, args), options);
const started = (scope, hub, to, args, options) => scope.run(words(hub, to, args), options);
const eventId = (id) => `evt_${id.replace('.', '_')}`;
const linesOf = ({ stdout }) => stdout.split('\n').slice(0, -1);
const JSON_TYPE = { 'Content-Type': 'application/json' };

// Throws when it is not.
const standardIsGood = ({ headers, body }, secret) => new Webhook(secret).verify(body.toString(), headers);

scenario('listen posts messages as the hub\'s own webhooks: body, id, headers, in every signature scheme', async (scope) => {
    const hub = await scope.hub(), receiver = await Receiver.start(scope), dir = scope.dir();
    const text = await publish(hub, 'orders.eu', 'two\n<lines>', { query: '?event=tick' });
    await post(hub, 'orders.us', '{"data":{"n" : 0.10}}', { headers: JSON_TYPE });
    await publish(hub, 'elsewhere', 'not asked for');
    await publish(hub, 'plain', Buffer.from([0, 27, 255]), { headers: { 'Content-Type': 'application/octet-stream' } });
    const args = ['--channel=orders.*', '--channel', 'plain', '--since=all', '--count=3'];
    const { code, stdout, stderr } = await listen(scope, hub, receiver.url('/hook?a=1,2'), [...args, '--secret', SECRET]);
    assert.equal(code, 0, stderr);
    const [first, second, third] = receiver.all, id = eventId(text.id);
    assert.equal(first.body.toString(), `{"id":"${id}","type":"message.published","event":"message.published","timestamp":"${new Date(text.time).toISOString()}",`
        + `"channel":"orders.eu","message":{"id":"${text.id}","event":"tick"},"data":"two\\n\\u003clines>"}`);
    assert.match(second.body.toString(), /,"data":\{"n" : 0\.10\}\}$/);
    assert.match(third.body.toString(), /"channel":"plain",.*,"encoding":"base64","data":"ABv\/"\}$/);
    assert.deepEqual([first.method, first.path, first.headers['content-type'], first.headers['webhook-id']], ['POST', '/hook?a=1,2', 'application/json', id]);
    assert.match(first.headers['user-agent'], /^carillon\//);
    assert.equal(third.connection, 1, 'one connection for all');
    for (const request of receiver.all) standardIsGood(request, SECRET);
    assert.match(stdout.split('\n')[0], new RegExp(`^\\d\\d:\\d\\d:\\d\\d message\\.published orders\\.eu ${id} 200 \\d+ ms$`));
    assert.match(stderr, /3 delivered, 0 given up, 0 tried again\n/);

    writeFileSync(path.join(dir, 'secret'), `${SECRET}\n`, { mode: 0o600 });
    for (const scheme of ['standard', 'x-webhook', 'x-webhook-sha256', 'timestamped', 'github', 'stripe']) {
        const ran = await listen(scope, hub, receiver.url(`/${scheme}`), ['--channel=plain', '--since=all', '--count=1', `--signature=${scheme}`, `--secret=@${dir}/secret`]);
        assert.equal(ran.code, 0, ran.stderr);
        const [{ head, body }] = receiver.of(`/${scheme}`);
        writeFileSync(path.join(dir, 'head'), head);
        const said = await scope.carillon(['webhook', 'verify', `--secret=${dir}/secret`, `--headers=${dir}/head`], { input: body });
        assert.match(said.stdout, /^good .*: the signature is good\n$/, scheme);
    }
});

scenario('what listen posts is what the hub itself posts to an endpoint, byte for byte', { ownEngine: 'it has no webhooks' }, async (scope) => {
    const hub = await scope.hub({ args: ['--webhooks.allow_http=yes', '--webhooks.allow_networks=127.0.0.0/8'] }), receiver = await Receiver.start(scope);
    const made = await request(hub.api, '/v1/webhooks', { method: 'POST', body: { url: receiver.url('/hub'), secret: SECRET, events: ['message.published'] } });
    assert.equal(made.status, 201, made.text);
    await publish(hub, 'a', 'text "<&\u2028', { query: '?event=x.y' });
    await post(hub, 'a', '{"data":  {"n" :\n 1e2, "s":"\\u00e9\\/"} }', { headers: JSON_TYPE });
    await publish(hub, 'a/<b>', Buffer.from([0, 255]), { headers: { 'Content-Type': 'application/octet-stream' } });
    const { code, stderr } = await listen(scope, hub, receiver.url('/own'), ['--since=all', '--count=3', '--secret', SECRET]);
    assert.equal(code, 0, stderr);
    const own = receiver.of('/own'), ofHub = await receiver.requests('/hub', 3);
    for (const { headers, body } of own) {
        const other = ofHub.find((one) => one.headers['webhook-id'] === headers['webhook-id']);
        assert.equal(body.toString(), other.body.toString());
        const same = ({ 'webhook-timestamp': time, 'webhook-signature': signature, traceparent, ...rest }) => ({ ...rest, trace: traceparent.slice(0, 35) });
        assert.deepEqual(same(headers), same(other.headers));
    }
});

scenario('listen makes a secret and tells it, takes one of the environment, and shows nobody its credentials', async (scope) => {
    const hub = await tokenHub(scope, ''), receiver = await Receiver.start(scope);
    const token = await sign({ sub: 'ann', carillon: { subscribe: ['**'], publish: ['**'] } });
    assert.equal((await post(hub, 'a.b.c', 'x', { headers: bearer(token) })).status, 201);
    const all = ['--since=all', '--count=1'];
    const made = await listen(scope, hub, receiver.url('/made'), all, { env: { CARILLON_TOKEN: token } });
    const [, secret] = /made for this run .*: (whsec_[A-Za-z0-9+/]{43}=)\n/.exec(made.stderr);
    standardIsGood(receiver.of('/made')[0], secret);
    assert.ok(!receiver.of('/made')[0].head.includes(token));
    const given = await listen(scope, hub, receiver.url('/given'), all, { env: { CARILLON_TOKEN: token, CARILLON_WEBHOOK_SECRET: SECRET } });
    assert.ok(!given.stderr.includes('whsec_'), given.stderr);
    standardIsGood(receiver.of('/given')[0], SECRET);
});

scenario('listen over a server that is away at first and a hub that is killed: everything comes, in order, with one id each', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const gone = await Receiver.start(scope), { port } = gone;
    await gone.stop();
    const ids = [];
    const say = async (channel, n) => { ids.push(eventId((await publish(hub, channel, `${n}`)).id)); };
    await say('orders.eu', 1);
    const run = started(scope, hub, gone.url('/hook'), ['--channel=orders.**', '--since=all', '--secret', SECRET]);
    await run.waitFor(() => /connect[^]*; again in 1 s/i.test(run.stderr), 'the first attempt in vain');
    const receiver = await Receiver.start(scope, { port });
    await say('orders.us.new', 2);
    await receiver.requests('/hook', 2);
    await hub.kill9();
    await hub.restart();
    for (let n = 3; n <= 6; n++) await say('orders.eu', n);
    await run.waitFor(() => linesOf(run).length === 6, 'six lines');
    assert.deepEqual([...new Set(receiver.all.map(({ headers }) => headers['webhook-id']))], ids);
    assert.deepEqual([...new Set(receiver.all.map(({ body }) => JSON.parse(body).data))], ['1', '2', '3', '4', '5', '6']);
    for (const request of receiver.all) standardIsGood(request, SECRET);
    assert.match(linesOf(run)[0], /orders\.eu evt_\w+ 200 \d+ ms, attempt 2$/);
    run.signal('SIGINT');
    assert.equal((await run.end()).code, 130, run.state());
    assert.match(run.stderr, /connected again\n[^]*6 delivered, 0 given up, 1 tried again\n/);
    const [, since] = /to go on from here: --since (\S+)\n/.exec(run.stderr);
    await say('orders.eu', 7);
    const before = receiver.all.length;
    assert.equal((await listen(scope, hub, receiver.url('/hook'), ['--channel=orders.**', `--since=${since}`, '--count=1'])).code, 0);
    assert.deepEqual(receiver.all.slice(before).map(({ headers }) => headers['webhook-id']), [ids[6]]);
});

scenario('listen gives up what its server does not take, says why, and goes on', async (scope) => {
    const hub = await scope.hub(), receiver = await Receiver.start(scope);
    receiver.answer('/hook', 500, 'reset', 'reset', redirect(302, '/elsewhere'), 'never', 'endless', 'garbage', slowly(20), 204);
    for (let n = 1; n <= 8; n++) await publish(hub, 'a', `${n}`);      // the second goes once more at once: it may have met a connection that was dead
    const { code, stdout, stderr } = await listen(scope, hub, receiver.url('/hook'), ['--since=all', '--count=8', '--attempts=1', '--timeout=3s']);
    const outcomes = stdout.trim().split('\n').map((line) => line.split(' ').slice(4).join(' ').replace(/ \d+ ms/, ''));
    assert.deepEqual(outcomes.map((outcome) => outcome.replace(/: .*/, '')), ['500, given up after 1 attempt', '-, given up after 1 attempt', '302, given up after 1 attempt',
        '-, given up after 1 attempt', '200', '-, given up after 1 attempt', '200', '204']);
    assert.match(outcomes[1], /reset/i);
    assert.match(outcomes[3], /timed out/i);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /3 delivered, 5 given up, 0 tried again\n/);
    assert.deepEqual(receiver.of('/elsewhere'), []);
    await receiver.stop();
    const nobody = await listen(scope, hub, receiver.url('/hook'), ['--since=last', '--idle=1s', '--attempts=2']);
    assert.equal(nobody.code, 1);
    assert.match(nobody.stderr, /again in 1 s\n/);
    assert.match(nobody.stdout, /^\S+ message\.published a evt_\w+ - \d+ ms, given up after 2 attempts: .*connect/i);
});

scenario('listen --events posts what was asked for, and --state goes on behind it, also behind what was passed over', async (scope) => {
    const hub = await scope.hub(), receiver = await Receiver.start(scope), dir = scope.dir(), state = path.join(dir, 'state');
    const say = (n, event) => publish(hub, 'orders', `${n}`, { query: event ? `?event=${event}` : '' });
    const told = () => receiver.of('/hook').map(({ body }) => JSON.parse(body).data);
    for (const [n, event] of [[1, 'created'], [2, 'order.paid'], [3, 'other'], [4, '']]) await say(n, event);
    const run = (...args) => listen(scope, hub, receiver.url('/hook'), [`--state=${state}`, '--idle=1s', ...args]);
    const first = await run('--since=all', '--events=created, order.*', '--events', 'nothing');
    assert.deepEqual([told(), first.code], [['1', '2'], 0], first.stderr);
    const { id } = await say(5, 'order.sent');
    const second = await run('--since=all', '--events=order.*');
    assert.deepEqual([told(), readFileSync(state, 'utf8')], [['1', '2', '5'], `${id}\n`], second.stderr);
    assert.match(second.stderr, /goes on behind \S+ \(.*state\)/);
    await say(6);
    await run('--events=message.*');
    assert.deepEqual(told(), ['1', '2', '5', '6']);
    assert.equal((await run('--events=*')).code, 0);
    assert.deepEqual([told().length, readdirSync(dir)], [4, ['state']]);
    writeFileSync(state, 'nonsense\n');
    const refused = await run();
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /there is no position in it/);
});

scenario('listen waits as long as its server asks it to', async (scope) => {
    const hub = await scope.hub(), receiver = await Receiver.start(scope);
    receiver.answer('/hook', retryAfter(503, '77'), retryAfter(429, '1'), 200);
    await publish(hub, 'a', '1');
    const run = started(scope, hub, receiver.url('/hook'), ['--since=all']);
    await run.waitFor(() => /the answer was 503; again in 77 s/.test(run.stderr), 'what was asked for to be told');
    run.signal('SIGINT');
    assert.equal((await run.end()).code, 130);
    await publish(hub, 'a', '2');
    const { code, stdout, stderr } = await listen(scope, hub, receiver.url('/hook'), ['--since=all', '--count=2', '--attempts=1']);
    assert.deepEqual([code, stdout.trim().split('\n').map((line) => line.split(' ')[4])], [1, ['429', '200']], stderr);
    const [, asked, next] = receiver.of('/hook');
    assert.ok(next.at - asked.at >= 900, 'the next one waits too');
});

scenario('listen --members: who comes and goes, in the words of the hub\'s webhooks', async (scope) => {
    const hub = await scope.hub({ args: ['--presence.grace=100ms'] }), receiver = await Receiver.start(scope);
    await publish(hub, 'room', 'begin');
    const run = started(scope, hub, receiver.url('/hook'), ['--channel=room', '--members', '--since=all', '--secret', SECRET]);
    await receiver.requests('/hook', 1);
    await scope.carillon(['sub', `--url=${hub.publicUrl('')}`, 'room', '--user=ann', '--idle=100ms']);
    const [, joined, left] = await receiver.requests('/hook', 3);
    await run.waitFor(() => linesOf(run).length === 3, 'three lines');
    const bodies = [joined, left].map(({ body }) => JSON.parse(body));
    assert.deepEqual(bodies.map(({ type, event, channel, data }) => ({ type, event, channel, data })), ['member.joined', 'member.left'].map((type) =>
        ({ type, event: type, channel: 'room', data: { user: 'ann', info: null } })));
    assert.notEqual(bodies[0].id, bodies[1].id);
    for (const request of [joined, left]) standardIsGood(request, SECRET);
    assert.match(linesOf(run)[1], /^\S+ member\.joined room evt_\w+ 200 /);
});

scenario('listen on a terminal: colours, and ctrl-C in the middle of a webhook says where to go on', { skip: noTerminal }, async (scope) => {
    const hub = await scope.hub(), receiver = await Receiver.start(scope);
    receiver.answer('/hook', 200, 'never');
    const { id } = await publish(hub, 'a', '1');
    await publish(hub, 'a', '2');
    const run = started(scope, hub, receiver.url('/hook'), ['--since=all'], atTerminal());
    await receiver.requests('/hook', 2);
    press(run, '\x03');
    assert.equal((await run.end()).code, 130, run.state());
    assert.match(run.stdout, /\x1b\[2m\d\d:\d\d:\d\d\x1b\[0m \x1b\[1mmessage\.published\x1b\[0m \x1b\[\d+ma\x1b\[0m evt_\w+ \x1b\[32m200\x1b\[0m \d+ ms\r\n/);
    assert.match(run.stdout, /1 delivered, 0 given up/);
    assert.match(run.stdout, new RegExp(`to go on from here: --since ${id.replace('.', '\\.')}`));
});

scenario('listen: what cannot be is said in one line; refusals of the hub; help', async (scope) => {
    const to = '--forward-to=http://127.0.0.1:9/hook';
    const cases = [[[], /--forward-to is missing/], [['--forward-to=localhost:3000'], /--forward-to is not a URL.*http:\/\/ or https:\/\//], [['--forward-to=ftp://localhost/x'], /not a URL/],
        [[to, '--signature=md5'], /md5 is none; there are standard x-webhook .* stripe/], [[to, '--secret=short', '--signature=github'], /the secret is shorter than 16/],
        [[to, '--secret=0123456789abcdef'], /does not begin with whsec_/], [[to, '--secret=@/nowhere'], /@\/nowhere: No such file/], [[to, '--attempts=0'], /--attempts is 1 to 3/],
        [[to, '--timeout=0'], /--timeout is 1ms/], [[to, '--members'], /--members needs --channel/], [[to, '--events=member.left'], /--events member\.\* needs --channel/], [[to, '--events', 'a b'], /"a b" is no name/], [[to, '--events=a,,b'], /"" is no name/],
        [[to, '--events=order.*,channel.*'], /channel\.\* is not in the hub's streams/], [[to, '--state=/dev/null/x'], /--state \/dev\/null\/x: Not a directory/], [[to, 'orders.*'], /one word too many/], [[to, '--chanel=a'], /did you mean --channel\?/]];
    for (const [args, says] of cases) {
        const { code, stdout, stderr } = await scope.carillon(['webhook', 'listen', ...args]);
        assert.deepEqual([code, stdout], [2, ''], stderr);
        assert.match(stderr, says);
    }
    const hub = await scope.hub();
    const refused = await listen(scope, hub, 'http://127.0.0.1:9/hook', ['--channel=orders.*x']);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /400 /);
    const help = await scope.carillon(['webhook', 'listen', '--help']);
    assert.equal(help.code, 0);
    assert.match(help.stdout, /--forward-to URL[^]*--url URL[^]*webhook\.\*[^]*stripe +as Stripe signs[^]*Exit status: 0/);
    for (const args of [['webhook', '--help'], ['help', 'webhook'], ['webhook', 'verify', '--help']])
        assert.match((await scope.carillon(args)).stdout, /^usage: carillon webhook listen --forward-to URL.*\| verify /, args.join(' '));
    const completed = execFileSync('bash', ['-c', '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _carillon "$1"; echo "${COMPREPLY[*]}"',
        new URL('../../deploy/carillon.bash', import.meta.url).pathname, BINARY, 'webhook', 'listen', '--se'], { encoding: 'utf8' }).trim();
    assert.equal(completed, '--secret');
});

// carillon pub and carillon sub, as somebody at a terminal uses them.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { messagesPath, publish, request } from './lib/http.mjs';
import { memberText } from './lib/ws.mjs';

const QUICK = ['--sse.retry=100ms'];
const linesOf = (run) => run.stdout.split('\n').slice(0, -1);
const apiFlag = (hub) => `--url=${hub.apiUrl('')}`;
const publicFlag = (hub) => `--url=${hub.publicUrl('')}`;

async function pub(scope, hub, args, options) {
    return scope.carillon(['pub', apiFlag(hub), ...args], options);
}

scenario('pub publishes its argument and prints the id', async (scope) => {
    const hub = await scope.hub();
    const { code, stdout, stderr } = await pub(scope, hub, ['news/eu', 'hello é']);
    assert.equal(code, 0, stderr);
    const { data } = (await request(hub, messagesPath('news/eu'))).json;
    assert.deepEqual(data.map((m) => m.data), ['hello é']);
    assert.equal(stdout, `${data[0].id}\n`);
});

scenario('pub reads standard input with - and without DATA, as text or binary', async (scope) => {
    const hub = await scope.hub();
    assert.equal((await pub(scope, hub, ['in', '-'], { input: 'two\nlines\n' })).code, 0);
    assert.equal((await pub(scope, hub, ['in'], { input: 'no operand' })).code, 0);
    assert.equal((await pub(scope, hub, ['in', '-'], { input: Buffer.from([0, 255, 1]) })).code, 0);
    const { data } = (await request(hub, messagesPath('in'))).json;
    assert.deepEqual(data.map((m) => [m.data, m.encoding]), [['two\nlines\n', undefined], ['no operand', undefined], ['AP8B', 'base64']]);
});

scenario('pub --json keeps the bytes of the value, and --event names it', async (scope) => {
    const hub = await scope.hub();
    const value = '{"price" : 0.10, "n":12345678901234567890}';
    assert.equal((await pub(scope, hub, ['--json', '--event=tick', 'json', value])).code, 0);
    const { text, json } = await request(hub, messagesPath('json'));
    assert.equal(memberText(text.slice(text.indexOf('{"type"')), 'data'), value);
    assert.equal(json.data[0].event, 'tick');
});

scenario('pub tells why it failed, with a status for it', async (scope) => {
    const hub = await scope.hub();
    const refused = await pub(scope, hub, ['a b', 'x']);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /bad_channel/);
    assert.equal(refused.stdout, '');
    const misused = await scope.carillon(['pub', '--nonsense', 'a', 'b']);
    assert.equal(misused.code, 2);
    assert.match(misused.stderr, /--nonsense/);
    await hub.kill9();
    const away = await pub(scope, hub, ['a', 'x']);
    assert.equal(away.code, 1);
    assert.match(away.stderr, new RegExp(`${hub.api.port}`));
});

scenario('sub prints each message as a line, also those after --since, and ends after --count', async (scope) => {
    const hub = await scope.hub();
    const { id } = await publish(hub, 'a', 'before');
    await publish(hub, 'a', 'kept');
    const run = scope.run(['sub', publicFlag(hub), 'a', 'b/+', `--since=${id}`, '--count=3']);
    await run.waitFor(() => linesOf(run).length === 1, 'the kept message');
    await publish(hub, 'b/+', '{"live":0.10}', { headers: { 'Content-Type': 'text/plain' } });
    await publish(hub, 'a', 'last');
    assert.equal((await run.end()).code, 0, run.stderr);
    assert.deepEqual(linesOf(run), ['kept', '{"live":0.10}', 'last']);
});

scenario('sub --json prints the message object', async (scope) => {
    const hub = await scope.hub();
    const first = await publish(hub, 'a', 'before');
    const { id, time } = await publish(hub, 'a', 'x', { query: '?event=tick' });
    const { code, stdout } = await scope.carillon(['sub', publicFlag(hub), '--json', '--count', '1', '--since', first.id, 'a']);
    assert.equal(code, 0);
    assert.deepEqual(JSON.parse(stdout), { type: 'message', channel: 'a', id, event: 'tick', data: 'x', time });
});

scenario('sub comes back after kill -9 and restart of the hub and misses nothing', async (scope) => {
    const hub = await scope.hub({ args: QUICK });
    const { id } = await publish(hub, 'a', 'before');
    const run = scope.run(['sub', publicFlag(hub), 'a', `--since=${id}`]);
    const expected = [];
    for (let round = 0; round < 3; round++) {
        for (let i = 0; i < 20; i++) { expected.push(`${round}.${i}`); await publish(hub, 'a', `${round}.${i}`); }
        if (round === 1) await run.waitFor(() => linesOf(run).length > 5, 'some lines');
        await hub.kill9();
        await hub.restart();
    }
    await publish(hub, 'a', 'end');
    await run.waitFor(() => linesOf(run).includes('end'), 'the last line');
    assert.deepEqual(linesOf(run), [...expected, 'end']);
    assert.doesNotMatch(run.stderr, /gap/);
});

scenario('sub comes back after SIGTERM and restart of the hub and misses nothing', async (scope) => {
    const hub = await scope.hub({ args: [...QUICK, '--drain.timeout=1s'] });
    const { id } = await publish(hub, 'a', 'before');
    const run = scope.run(['sub', publicFlag(hub), 'a', `--since=${id}`]);
    await publish(hub, 'a', 'one');
    await run.waitFor(() => linesOf(run).length === 1, 'the first line');
    assert.equal((await hub.terminate()).code, 0);
    await run.waitFor(() => /draining/.test(run.stderr), 'the bye in words');
    await hub.restart();
    await publish(hub, 'a', 'two');
    await run.waitFor(() => linesOf(run).length === 2, 'the second line');
    assert.deepEqual(linesOf(run), ['one', 'two']);
});

scenario('sub tells a gap on standard error when a hub without a store was restarted', { ownEngine: 'a hub in memory' }, async (scope) => {
    const hub = await scope.hub({ memory: true, args: QUICK });
    const { id } = await publish(hub, 'a', 'before');
    const run = scope.run(['sub', publicFlag(hub), 'a', `--since=${id}`]);
    await publish(hub, 'a', 'one');
    await run.waitFor(() => linesOf(run).length === 1, 'the first line');
    await hub.kill9();
    await hub.restart();
    await run.waitFor(() => /gap \(epoch\)/.test(run.stderr), 'the gap in words');
});

scenario('sub ends with a reason when the hub refuses it for good', async (scope) => {
    const hub = await scope.hub();
    const { code, stderr } = await scope.carillon(['sub', publicFlag(hub), 'a b']);
    assert.equal(code, 1);
    assert.match(stderr, /bad_channel/);
});

// POST /v1/messages as a stream of lines without end: results come back meanwhile, whoever is at the other side and however it goes.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { unmeasured } from './lib/sanitized.mjs';
import { scenario } from './lib/scope.mjs';
import { kept, messagesPath, publish, request } from './lib/http.mjs';
import { Idp } from './lib/jwks.mjs';
import { LINES_TYPE, LineStream, parseLines } from './lib/lines.mjs';
import { residentMiB } from './lib/proc.mjs';
import { RawConnection } from './lib/raw.mjs';
import { bearer, inSeconds, sign, tokenHub } from './lib/tokens.mjs';
import { eventually, within } from './lib/wait.mjs';

const noCurl = spawnSync('curl', ['--version']).status !== 0 && 'there is no curl on this machine';
const ROOMY = ['--history.size=1000000', '--history.bytes=1GiB', '--history.max_bytes=1GiB', '--history.ttl=1h'];
const send = (hub, body, headers = {}) => request(hub, '/v1/messages', { method: 'POST', headers: { ...LINES_TYPE, ...headers }, body });
const text = (items) => items.map((item) => `${JSON.stringify(item)}\n`).join('');
const head = (more, version = '1.1') => `POST /v1/messages HTTP/${version}\r\nHost: e2e\r\nContent-Type: application/x-ndjson\r\n${more}\r\n`;

function stream(scope, hub, options) {
    const made = new LineStream(hub, options);
    scope.defer(() => made.close());
    return made;
}

function raw(scope, hub, bytes) {
    const connection = new RawConnection(hub.api);
    scope.defer(() => connection.close());
    return connection.write(bytes);
}

scenario('lines: results come while the body is still being sent, and a broken line stops nothing', async (scope) => {
    const hub = await scope.hub();
    const lines = stream(scope, hub);
    lines.write({ channel: 'a', data: 1 });
    await lines.take(1);
    assert.equal(lines.status, 200);
    for (const line of ['broken', '', ' \t\r', `{"channel":"a","data":"${'x'.repeat(300000)}"}`, `{"channel":"a","data":"${'x'.repeat(70000)}"}`, '{"channel":"a","data":2']) lines.write(line);
    lines.write({ channels: ['a', 'b'], data: 2 });
    await lines.take(7);
    lines.request.write('{"channel":"a","data":3}');
    const last = await lines.end();
    const results = lines.results.slice(0, -1);
    assert.deepEqual(results.map((r) => r.code ?? r.status), [201, 'bad_json', 'message_too_large', 'message_too_large', 'bad_json', 201, 201, 201]);
    assert.deepEqual(results.map((r) => r.index), [0, 1, 2, 3, 4, 5, 5, 6]);
    assert.deepEqual(last, { summary: { total: 8, successful: 4, failed: 4 } });
    assert.deepEqual(await kept(hub, 'a'), [1, 2, 3]);
});

scenario('100,000 lines in one body, to 1,000 channels: every one has its result, in order', async (scope) => {
    const hub = await scope.hub();
    const count = 100000;
    const body = Array.from({ length: count }, (_, i) => `{"channel":"c${i % 1000}","data":${i}}\n`).join('');
    const results = parseLines((await send(hub, body)).text);
    assert.equal(results.length, count + 1);
    assert.ok(results.slice(0, count).every((r, i) => r.index === i && r.status === 201 && r.channel === `c${i % 1000}`));
    assert.deepEqual(results.at(-1).summary, { total: count, successful: count, failed: 0 });
});

scenario('order holds between lines, lists of channels and patterns', async (scope) => {
    const hub = await scope.hub({ args: ROOMY });
    const items = Array.from({ length: 300 }, (_, n) => [{ channel: `c.${n % 50}`, data: n }, { pattern: 'c.*', data: n }, { channels: ['c.0', 'c.1', `d.${n}`], data: n }]).flat();
    const results = parseLines((await send(hub, text(items))).text);
    assert.equal(results.at(-1).summary.failed, 0);
    assert.deepEqual(results.filter((r) => r.pattern).map((r) => r.channels), Array.from({ length: 300 }, (_, n) => Math.min(50, Math.max(n + 1, 2))).map((n, i) => (i === 0 ? 1 : n)));
    const data = await kept(hub, 'c.0');
    assert.deepEqual(data, data.toSorted((a, b) => a - b));
    assert.equal(data.length, 6 + 300 + 300);
});

scenario('curl -T and fetch with half duplex send lines and read results', { skip: noCurl }, async (scope) => {
    const hub = await scope.hub();
    const curlArgs = (from) => ['-sSN', '--no-progress-meter', '-T', from, '-X', 'POST', '-H', 'Content-Type: application/x-ndjson', hub.apiUrl('/v1/messages')];
    const whole = execFileSync('curl', curlArgs('-'), { encoding: 'utf8', input: '{"channel":"b","data":1}\n{"channel":"b","data":2}' });
    assert.deepEqual(parseLines(whole).at(-1), { summary: { total: 2, successful: 2, failed: 0 } });
    const curl = spawn('curl', curlArgs('.'), { stdio: ['pipe', 'pipe', 'inherit'] });       // `.`: reads results while it waits for lines
    scope.defer(() => curl.kill('SIGKILL'));
    let out = '';
    curl.stdout.setEncoding('utf8').on('data', (chunk) => { out += chunk; });
    curl.stdin.write('{"channel":"a","data":1}\n');
    await eventually(() => out.includes('"index":0'), 'the first result at curl');
    curl.stdin.end('{"channel":"a","data":2}\n');
    await within(new Promise((resolve) => curl.on('close', resolve)), 'the end of curl');
    assert.deepEqual(parseLines(out).at(-1), { summary: { total: 2, successful: 2, failed: 0 } });

    let more;
    const body = new ReadableStream({ start(controller) { more = (item) => (item ? controller.enqueue(Buffer.from(text([item]))) : controller.close()); } });
    const answering = fetch(hub.apiUrl('/v1/messages'), { method: 'POST', headers: LINES_TYPE, body, duplex: 'half' });
    more({ channel: 'a', data: 3 });
    const response = await within(answering, 'the head of the answer while the body is open');
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    assert.match((await within(reader.read(), 'a result')).value, /"index":0,"status":201/);
    more({ channel: 'a', data: 4 });
    more(null);
    let rest = '';
    for (let part; !(part = await within(reader.read(), 'the rest')).done;) rest += part.value;
    assert.deepEqual(parseLines(rest).at(-1).summary, { total: 2, successful: 2, failed: 0 });
    assert.deepEqual(await kept(hub, 'a'), [1, 2, 3, 4]);
});

scenario('Expect: 100-continue, a length, HTTP/1.0, and what comes behind it on the same connection', async (scope) => {
    const hub = await scope.hub();
    const body = text([{ channel: 'a', data: 1 }, { channel: 'a', data: 2 }]);
    const expecting = raw(scope, hub, head(`Content-Length: ${body.length}\r\nExpect: 100-continue\r\n`));
    assert.equal((await expecting.take(1))[0].status, 100);
    expecting.write(`${body}GET /health/live HTTP/1.1\r\nHost: e2e\r\n\r\n`);
    const [, lines, live] = await expecting.take(3);
    assert.deepEqual([lines.status, parseLines(lines.body.toString()).at(-1).summary.successful, live.status], [200, 2, 200]);

    const old = raw(scope, hub, head(`Content-Length: ${body.length}\r\nConnection: keep-alive\r\n`, '1.0') + body);
    await old.end();
    assert.equal(old.answers[0].headers['transfer-encoding'], undefined);
    assert.deepEqual(parseLines(old.answers[0].body.toString()).at(-1).summary.successful, 2);

    const none = raw(scope, hub, head(''));
    assert.deepEqual(parseLines((await none.take(1))[0].body.toString()), [{ summary: { total: 0, successful: 0, failed: 0 } }]);
});

scenario('who has sent all and shuts its side gets all results; who shuts it in the middle gets those of whole lines', async (scope) => {
    const hub = await scope.hub();
    const items = text(Array.from({ length: 5000 }, (_, n) => ({ channel: 'a', data: n })));
    for (const [body, total, code] of [[`Content-Length: ${items.length}\r\n\r\n${items}`, 5000], [`Content-Length: ${items.length + 9}\r\n\r\n${items}{"chan`, 5000, 'gone'],
        [`Transfer-Encoding: chunked\r\n\r\n${items.length.toString(16)}\r\n${items}\r\n`, 5000, 'gone']]) {
        const connection = new RawConnection(hub.api);
        scope.defer(() => connection.close());
        connection.socket.end(head(body.split('\r\n')[0] + '\r\n') + body.slice(body.indexOf('\r\n\r\n') + 4));
        await connection.end();
        const last = parseLines(connection.answers[0].body.toString()).at(-1);
        assert.deepEqual([last.summary.total, last.summary.failed, last.code], [total, 0, code]);
    }
});

scenario('who does not read its results is not read: the hub stays small and serves others, and nothing is lost when it reads on', async (scope) => {
    const hub = await scope.hub({ args: ['--limits.request_timeout=60s'] });
    const item = { channel: 'slow', data: 'x'.repeat(500) };
    const before = residentMiB(hub.pid);
    const lazy = Array.from({ length: 4 }, () => stream(scope, hub));
    for (const one of lazy) one.write(item);
    await Promise.all(lazy.map((one) => one.take(1)));
    for (const one of lazy) one.response.pause();
    const sent = lazy.map(() => 1);
    await Promise.all(lazy.map(async (one, n) => {
        for (let stuck = 0; stuck < 3;) {        // until the hub has not read for three turns of 100 ms
            const drained = new Promise((resolve) => one.request.once('drain', () => resolve(true)));
            let room = true;
            for (; room; sent[n]++) room = one.write(item);
            stuck = (await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, 100))])) ? 0 : stuck + 1;
            assert.ok(sent[n] < 1e6, 'the hub reads without end');
        }
    }));
    const grown = residentMiB(hub.pid) - before;
    assert.ok(unmeasured || grown < 60, `${grown} MiB more`);
    for (let i = 0; i < 20; i++) await publish(hub, 'other', `${i}`);
    for (const one of lazy) one.response.resume();
    for (const [n, one] of lazy.entries()) assert.deepEqual((await one.end()).summary, { total: sent[n], successful: sent[n], failed: 0 });
});

scenario('who takes no results for limits.request_timeout is cut; who is quiet for as long is told, and a blank line keeps it open', async (scope) => {
    const hub = await scope.hub({ args: ['--limits.request_timeout=1200ms'] });
    const quiet = stream(scope, hub), alive = stream(scope, hub), deaf = stream(scope, hub);
    for (const one of [quiet, alive, deaf]) one.write({ channel: 'a', data: 1 });
    await Promise.all([quiet, alive, deaf].map((one) => one.take(1)));
    deaf.response.pause();
    const filling = setInterval(() => { for (let i = 0; i < 5000 && !deaf.over; i++) if (!deaf.write({ channel: 'a', data: 'x'.repeat(100) })) break; }, 5);
    const blank = setInterval(() => alive.write(''), 100);
    scope.defer(() => { clearInterval(filling); clearInterval(blank); });
    const last = await quiet.ended();
    assert.deepEqual([last.code, last.summary], ['timeout', { total: 1, successful: 1, failed: 0 }]);
    await deaf.waitFor(() => deaf.over, 'the end of the one that takes nothing');
    clearInterval(blank);
    alive.write({ channel: 'a', data: 2 });
    assert.deepEqual((await alive.end()).summary, { total: 2, successful: 2, failed: 0 });
});

scenario('SIGTERM in the middle of a stream: it is told that the hub drains, and ends', async (scope) => {
    const hub = await scope.hub();
    const lines = stream(scope, hub);
    lines.write({ channel: 'a', data: 1 });
    await lines.take(1);
    hub.run.signal('SIGTERM');
    const last = await lines.ended();
    assert.deepEqual([last.code, last.summary], ['draining', { total: 1, successful: 1, failed: 0 }]);
});

scenario('a stream whose key is taken back is told so, and what comes after that is not published', async (scope) => {
    const KEY = `ck_${'5a'.repeat(32)}`, admin = { Authorization: `Bearer ${KEY}` };
    const hub = await scope.hub({ dev: false, args: [`--keys.root=sha256:${createHash('sha256').update(KEY).digest('hex')}`] });
    const made = (await request(hub, '/v1/keys', { method: 'POST', headers: admin, body: { name: 'n', scopes: ['publish:**'] } })).json;
    const lines = stream(scope, hub, { headers: { Authorization: `Bearer ${made.key}` } });
    lines.write({ channel: 'a', data: 1 });
    await lines.take(1);
    assert.equal((await request(hub, `/v1/keys/${made.id}`, { method: 'DELETE', headers: admin })).status, 204);
    lines.write({ channel: 'a', data: 2 });
    assert.equal((await lines.ended()).code, 'key_revoked');
    assert.deepEqual((await request(hub, messagesPath('a'), { headers: admin })).json.data.map((m) => m.data), [1]);
});

scenario('a stream whose token ends is told so, though blank lines keep it open', async (scope) => {
    const hub = await tokenHub(scope, '[tokens]\nleeway = 0s\n');
    const lines = stream(scope, hub, { headers: bearer(await sign({ exp: inSeconds(3), carillon: { publish: ['**'] } })) });
    lines.write({ channel: 'a', data: 1 });
    await lines.take(1);
    const blank = setInterval(() => lines.write(''), 50);
    scope.defer(() => clearInterval(blank));
    const last = await lines.ended();
    assert.deepEqual([last.code, last.summary], ['token_expired', { total: 1, successful: 1, failed: 0 }]);
});

scenario('lines behind a token whose key is not known yet wait for it', async (scope) => {
    const idp = await Idp.start(scope);
    const hub = await tokenHub(scope, `[tokens]\njwks = ${idp.url}\n[access]\nhistory = **\n`);
    await eventually(async () => (await request(hub, '/health/ready')).status === 200, 'keys');
    await idp.rotate();
    idp.mode = 'slow';
    const lines = stream(scope, hub, { headers: bearer(await idp.token({ sub: 'ann', carillon: { publish: ['**'] } })) });
    for (let n = 0; n < 50; n++) lines.write({ channel: 'a', data: n });
    await eventually(async () => /^carillon_token_keys_waiting 1$/m.test((await request(hub, '/metrics')).text), 'it to wait');
    assert.equal(lines.status, null);
    assert.deepEqual((await lines.end()).summary, { total: 50, successful: 50, failed: 0 });
    assert.deepEqual(await kept(hub, 'a'), [...Array(50).keys()]);
});

scenario('a stream is judged by the settings of now: what [access] does not open any more is refused line by line', async (scope) => {
    const hub = await tokenHub(scope, '[access]\npublish = **\n');
    const anybody = stream(scope, hub), ann = stream(scope, hub, { headers: bearer(await sign({ sub: 'ann', carillon: { publish: ['mine'] } })) });
    for (const lines of [anybody, ann]) lines.write({ channel: 'a', data: 1 });
    await Promise.all([anybody.take(1), ann.take(1)]);
    hub.rewrite('[access]\npublish = b\n');
    hub.run.signal('SIGHUP');
    await eventually(() => { anybody.write({ channel: 'a', data: 2 }); return anybody.results.at(-1).code; }, 'a refusal');
    ann.write({ channels: ['a', 'b', 'mine'], data: 2 });
    await ann.take(4);
    assert.deepEqual([anybody.results.at(-1).code, ...ann.results.map((r) => r.code ?? r.status)], ['unauthenticated', 201, 'forbidden', 201, 201]);
});

scenario('kill -9 in the middle of streams whose lines have keys: sent again until every line has its result, each is there once', async (scope) => {
    const hub = await scope.hub({ args: ROOMY });
    const COUNT = 3000, WRITERS = 3, KILLS = 2;
    // Whole requests with one key, and lines with keys of their own. The body is still open, and lines are under way, when the hub dies.
    const writers = Array.from({ length: WRITERS }, (_, w) => ({
        headers: w > 0 ? {} : { 'Idempotency-Key': 'writer 0' },
        items: Array.from({ length: COUNT }, (__, n) => ({ channel: `c${n % 10}`, data: `${w} ${n}`, ...(w > 0 && { idempotency_key: `${w}-${n}` }) })),
    }));
    for (let kill = 1; kill <= KILLS; kill++) {
        const streams = writers.map(({ headers }) => stream(scope, hub, { headers }));
        for (const [w, lines] of streams.entries()) for (const item of writers[w].items.slice(0, kill * COUNT / (KILLS + 1))) lines.write(item);
        await Promise.all(streams.map((lines) => lines.take(100)));
        await hub.kill9();
        for (const lines of streams) assert.equal(await lines.ended(), undefined, 'cut without a last line');
        await hub.restart();
    }
    for (const { headers, items } of writers) {
        const lines = stream(scope, hub, { headers });
        for (const item of items) lines.write(item);
        assert.deepEqual((await lines.end()).summary, { total: COUNT, successful: COUNT, failed: 0 });
        const replayed = lines.results.filter((result) => result.replayed).length;
        assert.ok(replayed >= 100 && replayed < COUNT, `${replayed} replayed`);
    }
    const all = (await Promise.all(Array.from({ length: 10 }, (_, c) => kept(hub, `c${c}`)))).flat();
    assert.deepEqual([all.length, new Set(all).size], [COUNT * WRITERS, COUNT * WRITERS]);
});

scenario('a client that leaves in the middle of a stream harms nobody', async (scope) => {
    const hub = await scope.hub({ args: ROOMY });
    for (let i = 0; i < 20; i++) {
        const lines = stream(scope, hub);
        lines.write({ channel: 'a', data: i });
        lines.request.write('{"channel":"a","da');
        await lines.take(1);
        lines.close();
    }
    const busy = stream(scope, hub);
    for (let i = 0; i < 3000; i++) busy.write({ pattern: 'a', data: i });
    await busy.take(1);
    busy.close();
    assert.equal((await send(hub, text([{ channel: 'b', data: 'last' }]))).status, 200);
    assert.deepEqual((await kept(hub, 'a')).slice(0, 20), [...Array(20).keys()]);
});

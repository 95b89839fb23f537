// Heads, bodies and smuggling on both ports: tables/http.mjs, case by case, over raw sockets.
import assert from 'node:assert/strict';
import { scenario } from '../e2e/lib/scope.mjs';
import { RawConnection } from '../e2e/lib/raw.mjs';
import { publish } from '../e2e/lib/http.mjs';
import { chosen } from './lib/chosen.mjs';
import { Watch } from './lib/watch.mjs';
import { http, API, BOTH, PUBLIC } from './tables/http.mjs';

const TARGET = { [API]: '/v1/channels', [PUBLIC]: '/sse?channel=table' };
const AFTER = 'GET /health/live HTTP/1.1\r\nHost: attack\r\nX-Request-Id: after\r\n\r\n';
let streams = 0;

const aimed = (bytes, port) => Buffer.from(bytes.toString('latin1').replaceAll('@', TARGET[port]), 'latin1');

// '200*2 4xx closed' -> { answers: ['200', '200', '4xx'], end: 'closed' }
function read(expected) {
    const words = expected.split(' ');
    const end = words.pop();
    return { answers: words.flatMap((word) => { const [what, times = 1] = word.split('*'); return Array(Number(times)).fill(what); }), end };
}

function isAnswer({ status, headers, body }, expected, port) {
    const [code, problem] = expected.split(':');
    if (code.endsWith('xx') ? String(status)[0] !== code[0] : status !== Number(code)) return false;
    if (status < 400) return true;
    const document = JSON.parse(body);
    assert.match(headers['content-type'], /^application\/problem\+json/);
    assert.equal(document.status, status);
    if (port === API) {
        assert.match(headers['x-request-id'], /^[A-Za-z0-9._:-]{1,128}$/);
        assert.equal(headers['x-content-type-options'], 'nosniff');
    }
    return !problem || document.code === problem;
}

const ENDS = {
    async closed(connection) { await connection.end(); },
    async open(connection, answers) {
        connection.write(AFTER);
        await connection.take(answers + 1);
        assert.equal(connection.answers.pop().headers['x-request-id'], 'after', 'one more request, one more answer');
    },
    async stream(connection, _, hub) {
        const mark = `mark ${++streams}`;
        await connection.waitFor(() => connection.unparsed.includes('hub.ready') || connection.ended, 'hub.ready');
        await publish(hub, 'table', mark);
        await connection.waitFor(() => connection.unparsed.includes(mark) || connection.ended, 'a message');
        assert.equal(connection.unparsed.toString('latin1').match(/HTTP\/1\.1/g)?.length, 1, 'one answer');
        assert.match(connection.unparsed.toString('latin1'), /^HTTP\/1\.1 200 OK\r\n/);
        assert.ok(!connection.ended, 'the stream goes on');
    },
};

// How many answers come is not known before: wait for what the longest of the expectations needs, or the end.
async function settle(connection, choices) {
    const most = Math.max(...choices.map((choice) => choice.answers.length));
    await connection.waitFor(() => connection.ended || connection.answers.length >= most || connection.unparsed.includes('hub.ready') ||
        (connection.answers.length && choices.length > 1), 'an answer');
}

async function attack(scope, hub, port, bytes, expected) {
    const connection = new RawConnection(port === API ? hub.api : hub.public);
    scope.defer(() => connection.close());
    connection.write(aimed(bytes, port));
    const choices = [expected === 'good' ? (port === API ? '200 open' : 'stream') : expected].flat().map(read);
    await settle(connection, choices);
    const status = connection.answers.find((answer) => answer.status >= 200)?.status;
    const fits = choices.filter(({ answers }) => answers.length <= connection.answers.length && answers.every((one, i) => isAnswer(connection.answers[i], one, port)));
    assert.ok(fits.length, `expected ${JSON.stringify(expected)}, got ${status}: ${connection.state()}`);
    // `closed` and `open` of one status: what the hub says of the connection decides.
    const says = connection.answers.at(-1)?.headers.connection === 'close' ? 'closed' : 'open';
    const choice = fits.find(({ end }) => end === says) ?? fits[0];
    await ENDS[choice.end](connection, choice.answers.length, hub);
    assert.equal(connection.answers.length, choice.answers.length, `answers: ${connection.answers.map((a) => a.status)}`);
    for (const { headers } of connection.answers) assert.equal(headers['set-cookie'], undefined);
    connection.close();
}

scenario('HTTP: every case of the table, and after each the hub answers, idles, and took no request out of a body', async (scope, t) => {
    const hub = await scope.hub();
    const watch = await Watch.over(scope, hub);
    for (const [ports, what, bytes, expected] of chosen(http)) {
        for (const port of ports === BOTH ? [API, PUBLIC] : [ports]) {
            await t.test(`${port}: ${what}`, async () => {
                await attack(scope, hub, port, bytes, expected);
                await watch.unharmed(what);
            });
        }
    }
    await t.test('memory and descriptors have returned', async (test) => test.diagnostic(`${(await watch.memoryReturned(16)).toFixed(1)} MiB more than before`));
});

// Keys, conditions and exclusions of publishes, wrong and in numbers: tables/retries.mjs; keys without end; one key for many bodies at once.
import assert from 'node:assert/strict';
import { scenario } from '../e2e/lib/scope.mjs';
import { keptMessages, post, publish } from '../e2e/lib/http.mjs';
import { metricsOf, total } from '../e2e/lib/metrics.mjs';
import { RawConnection } from '../e2e/lib/raw.mjs';
import { eventually } from '../e2e/lib/wait.mjs';
import { chosen } from './lib/chosen.mjs';
import { crowd } from './lib/crowd.mjs';
import { Watch } from './lib/watch.mjs';
import { exclusions, headers } from './tables/retries.mjs';

const keysOf = async (hub) => total(await metricsOf(hub), 'carillon_idempotency_keys');
const percent = (text) => Array.from(Buffer.from(text, 'latin1'), (byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');

async function answerTo(scope, hub, lines) {
    const connection = new RawConnection(hub.api);
    scope.defer(() => connection.close());
    const head = ['POST /v1/channels/room/messages HTTP/1.1', 'Host: attack', 'Content-Type: text/plain', 'Content-Length: 1', ...lines];
    connection.write(Buffer.from(`${head.join('\r\n')}\r\n\r\nx`, 'latin1'));
    await connection.waitFor(() => connection.answers.length || connection.ended, 'an answer');
    const [answer] = connection.answers;
    connection.close();
    return `${answer.status} ${JSON.parse(answer.body).code ?? ''}`;
}

const fits = (said, expected) => expected instanceof RegExp ? assert.match(said, expected) : assert.equal(said, expected);

scenario('retries: every case of the table of headers; what is refused is not published', async (scope, t) => {
    const hub = await scope.hub();
    const watch = await Watch.over(scope, hub);
    await publish(hub, 'room', 'first');
    for (const [what, lines, expected] of chosen(headers))
        await t.test(what, async () => {
            const before = await keptMessages(hub, 'room'), [epoch, number] = before.at(-1).id.split('.');
            const said = await answerTo(scope, hub, lines.map((line) => line.replaceAll('E.N', `${epoch}.${number}`).replaceAll('E.', `${epoch}.`)));
            fits(said, expected);
            assert.equal((await keptMessages(hub, 'room')).length, before.length + said.startsWith('201'));
        });
    await watch.over('headers of retries', 16, t);
});

scenario('retries: an exclusion of nobody excludes nobody, and none that is no client id is taken', async (scope, t) => {
    const hub = await scope.hub();
    const reader = await scope.sse(hub, '/sse?channel=room');
    await reader.ready();
    for (const [what, value, expected] of chosen(exclusions))
        await t.test(what, async () => {
            const answer = await post(hub, 'room', what, { query: `?exclude=${percent(value)}`, headers: { 'Content-Type': 'text/plain' } });
            assert.equal(`${answer.status} ${answer.json.code ?? ''}`, expected);
            if (answer.status === 201) await reader.waitFor(() => reader.data.at(-1) === what, 'the message');
        });
});

// Another key with each publish, on a few connections, as fast as they go.
function keyed(n, from, body = 'x') {
    let text = '';
    for (let i = 0; i < n; i++) text += `POST /v1/channels/keys/messages HTTP/1.1\r\nHost: attack\r\nContent-Type: text/plain\r\nIdempotency-Key: key-${from + i}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    return text;
}

scenario('retries: 100,000 keys cost what publish.idempotency_keys allows', async (scope, t) => {
    const hub = await scope.hub({ args: ['--history.size=10', '--publish.idempotency_keys=1000'] });
    const watch = await Watch.over(scope, hub);
    const EACH = 10000, WRITERS = 10;
    const peers = await crowd(scope, hub.api, WRITERS, (i) => keyed(EACH, i * EACH));
    await eventually(async () => total(await metricsOf(hub), 'carillon_messages_published_total') >= WRITERS * EACH, 'all publishes', 60000);
    assert.equal(await keysOf(hub), 1000);
    watch.uses(96, '100,000 publishes with keys');
    for (const peer of peers) peer.drop();
    await watch.over('100,000 keys', 40, t);
});

scenario('retries: of 200 bodies that come at once with one key one is published', async (scope) => {
    const hub = await scope.hub();
    for (let round = 0; round < 3; round++) {
        const channel = `at-once-${round}`, answers = await Promise.all(Array.from({ length: 200 }, (_, i) =>
            post(hub, channel, `body ${i % 50}`, { headers: { 'Content-Type': 'text/plain', 'Idempotency-Key': 'the-key' } })));
        const messages = await keptMessages(hub, channel);
        assert.equal(messages.length, 1);
        for (const [i, answer] of answers.entries()) {
            const same = messages[0].data === `body ${i % 50}`;
            assert.ok(same ? [201, 409].includes(answer.status) : answer.status === 422, `${answer.status} ${answer.text}`);
            if (answer.status === 201) assert.equal(answer.json.id, messages[0].id);
        }
        assert.ok(answers.some((answer) => answer.status === 201));
    }
});

// Polls, wrong and in numbers: a table of timeouts, 3,000 that wait, half-open ones, answers nobody takes.
import assert from 'node:assert/strict';
import { scenario } from '../e2e/lib/scope.mjs';
import { publish, request } from '../e2e/lib/http.mjs';
import { metricsOf, total } from '../e2e/lib/metrics.mjs';
import { eventually } from '../e2e/lib/wait.mjs';
import { chosen } from './lib/chosen.mjs';
import { crowd } from './lib/crowd.mjs';
import { Watch } from './lib/watch.mjs';

// [what it is, ?timeout=, status]; 200 comes at once, because there is something to tell
const timeouts = [
    ['none', '', 200], ['zero', '0', 200], ['a second', '1s', 200], ['a bare number is seconds', '60', 200], ['the most', '60s', 200], ['one above it', '61', 400],
    ['61 s in milliseconds', '60001ms', 400], ['a minute', '1m', 200], ['an hour', '1h', 400], ['a negative one', '-1', 400], ['a plus', '%2B1', 400], ['a fraction', '1.5', 400],
    ['an exponent', '1e1', 400], ['more than 64 bits', '18446744073709551617', 400], ['64 bits of milliseconds', '9223372036854775807ms', 400], ['a word', 'long', 400],
    ['a unit alone', 's', 400], ['a blank', '%20', 400], ['NUL', '1%00', 400], ['1,000 digits', '1'.repeat(1000), 400], ['two of them: the last or the first, no third', '0&timeout=1', 200],
];

const poll = (query) => `GET /poll?channel=room${query} HTTP/1.1\r\nHost: attack\r\n\r\n`;
const pollers = async (hub) => total(await metricsOf(hub), 'carillon_connections', { transport: 'poll' });

scenario('polls: every case of the table of timeouts', async (scope, t) => {
    const hub = await scope.hub();
    const watch = await Watch.over(scope, hub);
    await publish(hub, 'room', 'x');
    for (const [what, timeout, status] of chosen(timeouts))
        await t.test(what, async () => {
            const answer = await request(hub.public, `/poll?channel=room&since=all&timeout=${timeout}`);
            assert.deepEqual([answer.status, answer.json.code ?? answer.json.messages.length], [status, status === 200 ? 1 : 'bad_field'], answer.text);
        });
    await watch.over('timeouts', 16, t);
});

scenario('polls: 3,000 wait, all are answered by one message, and what they held is free', async (scope, t) => {
    const hub = await scope.hub();
    const watch = await Watch.over(scope, hub);
    const peers = await crowd(scope, hub.public, 3000, poll('&timeout=60s'));
    await eventually(async () => await pollers(hub) === 3000, '3,000 polls that wait');
    await watch.answers();
    watch.uses(64, '3,000 polls');
    await publish(hub, 'room', 'for all of them');
    await Promise.all(peers.map((peer) => peer.has('for all of them')));
    await Promise.all(peers.map((peer) => peer.end()));
    for (const peer of peers) peer.drop();
    await watch.over('3,000 polls', 24, t);
});

scenario('polls: whoever shuts its side, resets, writes on or takes no answer leaves nothing', async (scope, t) => {
    const hub = await scope.hub({ args: ['--limits.handshake_timeout=1s', '--history.bytes=4MiB'] });
    const watch = await Watch.over(scope, hub);
    for (let i = 0; i < 20; i++) await publish(hub, 'large', `${i}`.padEnd(60000, '.'));
    const waiting = await crowd(scope, hub.public, 400, (i) => i % 4 === 3 ? poll('').slice(0, -4) : poll('&timeout=60s'));
    await eventually(async () => await pollers(hub) === 300, 'polls that wait');
    const deaf = await crowd(scope, hub.public, 100, poll('&channel=large&since=all'), { reads: false });
    for (const [i, peer] of waiting.entries()) {
        if (i % 4 === 0) peer.socket.end();
        else if (i % 4 === 1) peer.reset();
        else if (i % 4 === 2) peer.socket.write('POST / HTTP/1.1\r\nHost: attack\r\nContent-Length: 100000\r\n\r\n');
    }
    await watch.unharmed('half-open polls');
    await publish(hub, 'room', 'the end');
    await Promise.all(waiting.filter((_, i) => i % 4 === 2).map((peer) => peer.has('the end')));
    for (const peer of [...waiting, ...deaf]) peer.drop();
    await watch.over('half-open polls', 40, t);
});

// What /metrics says of webhooks: how many wait and how long, how attempts ended, which endpoints are left alone, what it all takes.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { request } from './lib/http.mjs';
import { eventually } from './lib/wait.mjs';
import { withReceiver } from './lib/webhooks.mjs';

// Series of webhooks by name and labels, without the common beginning.
async function figures(hub) {
    const { text } = await request(hub, '/metrics');
    return Object.fromEntries([...text.matchAll(/^carillon_webhook_(\S+) (\S+)$/gm)].map(([, name, value]) => [name, Number(value)]));
}

scenario('attempts by outcome, and endpoints by their state, follow what happens', async (scope) => {
    const { hub, webhooks, receiver } = await withReceiver(scope, ['--webhooks.retry=0,1h', '--webhooks.breaker=2', '--webhooks.breaker_pause=1h', '--webhooks.timeout=3s']);
    const make = (path, more) => webhooks.make({ url: receiver.url(path), events: [path.slice(1)], ...more });
    const outcomes = { delivered: 204, '3xx': 302, '4xx': 404, '5xx': 503, http: 'garbage', timeout: 'never' };
    for (const [outcome, answer] of Object.entries(outcomes)) {
        receiver.answer(`/${outcome}`, answer);
        await make(`/${outcome}`);
        await webhooks.tell(outcome, 1);
    }
    await make('/paused', { paused: true });
    const off = await make('/off', { enabled: false });
    const broken = await make('/broken', { retry: '0' });
    receiver.answer('/broken', 500);
    for (let i = 0; i < 2; i++) await webhooks.tell('broken', i);
    await webhooks.until(broken.id, { breaker: 'open' });
    let seen;
    await eventually(async () => (seen = await figures(hub))['attempts_total{outcome="timeout"}'] === 1, 'all attempts to have ended');
    for (const outcome of Object.keys(outcomes)) assert.equal(seen[`attempts_total{outcome="${outcome}"}`], outcome === '5xx' ? 3 : 1, outcome);
    const of = (family) => Object.fromEntries(Object.entries(seen).filter(([name]) => name.startsWith(`${family}{`)).map(([name, value]) => [name.match(/"(.*)"/)[1], value]));
    assert.deepEqual(of('endpoints'), { enabled: 7, paused: 1, disabled: 1 });
    assert.deepEqual(of('breakers'), { closed: 8, open: 1, half_open: 0 });
    assert.deepEqual(of('queue'), { pending: 5, dead: 2, sending: 0 });
    assert.deepEqual([seen.dead_letters_total, seen.attempt_seconds_count, seen.delivery_seconds_count], [2, 8, 1]);

    await webhooks.change(broken.id, { enabled: false });
    await webhooks.change(off.id, { enabled: true });
    await webhooks.change(broken.id, { enabled: true });
    await eventually(async () => (seen = await figures(hub))['breakers{state="open"}'] === 0, 'the breaker to be closed by who enabled it');
    await webhooks.remove(broken.id);
    await eventually(async () => (seen = await figures(hub))['queue{state="dead"}'] === 0, 'its dead letters to be gone');
    assert.deepEqual([of('endpoints'), of('breakers')], [{ enabled: 7, paused: 1, disabled: 0 }, { closed: 8, open: 0, half_open: 0 }]);
});

scenario('how long the oldest has waited, and what all of it takes; dead letters that are dropped are counted no more', async (scope) => {
    const { hub, webhooks, receiver } = await withReceiver(scope, ['--webhooks.retry=0', '--webhooks.breaker=0', '--webhooks.max_bytes=1MiB']);
    receiver.answer('/dead', { status: 500, body: 'x'.repeat(1000) });
    const { id } = await webhooks.make({ url: receiver.url('/dead'), events: ['dead'] });
    await webhooks.make({ url: receiver.url('/paused'), events: ['paused'], paused: true });
    await webhooks.tell('paused', 'p'.repeat(50000));
    for (let i = 0; i < 25; i++) await webhooks.tell('dead', 'd'.repeat(60000));
    await webhooks.until(id, { dead_letters: 25 });
    await hub.kill9();
    await hub.restart();
    const seen = await eventually(async () => { const now = await figures(hub); return now.store_bytes > 0 && now.dead_letters_dropped_total > 0 && now; }, 'the store to have been looked at');
    assert.ok(seen.store_bytes <= 1 << 20 && seen.store_bytes > 900000, `${seen.store_bytes}`);
    assert.ok(seen['oldest_seconds{state="pending"}'] > 0 && seen['oldest_seconds{state="pending"}'] < 60);
    assert.ok(seen['oldest_seconds{state="dead"}'] > 0 && seen['oldest_seconds{state="dead"}'] <= seen['oldest_seconds{state="pending"}']);
    const left = (await webhooks.list(`/v1/dead-letters?webhook=${id}`)).length;
    assert.equal(left, 25 - seen.dead_letters_dropped_total);
    await webhooks.until(id, { dead_letters: left });
});

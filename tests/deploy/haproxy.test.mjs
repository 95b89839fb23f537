// deploy/haproxy.cfg with real traffic.
import assert from 'node:assert/strict';
import { metricsOf, total } from '../e2e/lib/metrics.mjs';
import { request } from '../e2e/lib/http.mjs';
import { scenario } from '../e2e/lib/scope.mjs';
import { Front } from './lib/front.mjs';
import { throughProxy } from './lib/through.mjs';
import { eventually } from '../e2e/lib/wait.mjs';

throughProxy('haproxy');

scenario('haproxy: who is not ready gets nobody, unless nobody is', async (scope) => {
    const ready = await scope.hub({ memory: true, tls: null });
    const unready = await scope.hub({ memory: true, tls: null, args: ['--tokens.jwks=http://127.0.0.1:1/keys'] });
    assert.equal((await request(unready, '/health/ready')).status, 503);
    const both = await Front.start(scope, 'haproxy', [ready, unready]), only = await Front.start(scope, 'haproxy', [unready]);
    // HAProxy counts a server as there until its first checks have failed
    await eventually(async () => {
        const answers = await Promise.all([1, 2, 3, 4].map(() => request(both.api, '/health/ready')));
        return answers.every((answer) => answer.status === 200);
    }, 'requests that go to the hub that is ready');
    const before = total(await metricsOf(unready), 'carillon_connections', { transport: 'sse' });
    for (let i = 0; i < 4; i++) await (await scope.sse(both, '/sse?channel=a')).ready();
    assert.equal(total(await metricsOf(unready), 'carillon_connections', { transport: 'sse' }), before);
    await eventually(async () => (await request(only.api, '/health/ready')).headers['content-type'] === 'application/json', 'the word of the hub itself');
    await (await scope.sse(only, '/sse?channel=a')).ready();
});

// Pages of elsewhere: who is let in at both ports, what their browsers are told, and what every answer says for safety.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';
import { messagesPath, problemOf, request } from './lib/http.mjs';

const APP = 'https://app.example.com', ORG = 'https://x.example.org';
const LISTED = `${APP} https://*.example.org`;
// Look-alikes of the two above, and what no browser writes.
const FOREIGN = ['null', 'NULL', 'https://evil.example', 'http://app.example.com', 'https://app.example.com:444', 'https://app.example.com:443',
    'https://app.example.com.evil.net', 'https://evilapp.example.com', 'https://app.example.com.', 'https://APP.example.com', 'HTTPS://app.example.com',
    'https://evil.net@app.example.com', 'https://app.example.com@evil.net', 'https://app.example.com/', 'https://app.example.com,https://app.example.com',
    'https://example.org', 'https://.example.org', 'https://evilexample.org', 'https://x.example.org.evil.net', 'https://x.example.org:8443', 'app.example.com', '*'];

const listing = (...more) => ({ args: [`--public.origins=${LISTED}`, `--api.origins=${LISTED}`, ...more] });
const publishing = (hub, headers) => request(hub, messagesPath('a'), { method: 'POST', body: 'x', headers: { 'Content-Type': 'text/plain', ...headers } });
const preflight = (where, target, method, origin) => request(where, target, { method: 'OPTIONS', headers: { Origin: origin, 'Access-Control-Request-Method': method } });
const corsLines = (answer) => Object.keys(answer.headers).filter((name) => name.startsWith('access-control-'));
const words = (line) => line.split(/,\s*/);

scenario('pages that are not listed are refused at every door, and their browsers are told nothing', async (scope) => {
    const hub = await scope.hub(listing());
    for (const origin of FOREIGN) {
        for (const answer of [await publishing(hub, { Origin: origin }), await request(hub, '/health/live', { headers: { Origin: origin } }),
            await request(hub.public, '/sse?channel=a', { headers: { Origin: origin } }),
            await preflight(hub, messagesPath('a'), 'POST', origin), await preflight(hub.public, '/sse', 'GET', origin)]) {
            problemOf(answer, 403, 'bad_origin');
            assert.deepEqual(corsLines(answer), [], origin);
        }
        await assert.rejects(scope.ws(hub, '/ws?channel=a', { headers: { Origin: origin } }), /refused with 403.*bad_origin/, origin);
    }
    assert.equal((await request(hub, '/v1/channels/a')).status, 404, 'nothing was published');
});

scenario('listed pages may publish, listen and read what the answers say', async (scope) => {
    const hub = await scope.hub(listing());
    for (const origin of [APP, ORG]) {
        const published = await publishing(hub, { Origin: origin });
        assert.equal(published.status, 201);
        assert.equal(published.headers['access-control-allow-origin'], origin);
        assert.equal(published.headers['access-control-allow-credentials'], undefined);
        for (const name of ['X-Request-Id', 'Retry-After', 'Link', 'Location', 'RateLimit', 'RateLimit-Policy']) {
            assert.ok(words(published.headers['access-control-expose-headers']).includes(name), name);
        }
        const problem = await request(hub, '/v1/channels?limit=x', { headers: { Origin: origin } });
        assert.equal(problem.headers['access-control-allow-origin'], origin, 'a page can read what was wrong');
        const stream = await scope.sse(hub, '/sse?channel=a', { headers: { Origin: origin } });
        await stream.ready();
        assert.equal(stream.headers['access-control-allow-origin'], origin);
        await (await scope.ws(hub, '/ws?channel=a', { headers: { Origin: origin } })).get('welcome');
    }
});

scenario('a preflight is told the methods and headers of its path, and for how long', async (scope) => {
    const hub = await scope.hub(listing('--api.cors_max_age=90s', '--public.cors_max_age=0'));
    const post = await preflight(hub, messagesPath('a'), 'POST', APP);
    assert.equal(post.status, 204);
    assert.deepEqual(words(post.headers['access-control-allow-methods']).sort(), ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST']);
    for (const name of ['Authorization', 'Content-Type', 'X-API-Key']) assert.ok(words(post.headers['access-control-allow-headers']).includes(name), name);
    assert.equal(post.headers['access-control-max-age'], '90');
    assert.match(post.headers.vary, /\bOrigin\b/);
    const read = await preflight(hub, '/v1/channels', 'GET', APP);
    assert.ok(!words(read.headers['access-control-allow-methods']).includes('POST'));
    assert.ok(!words(read.headers['access-control-allow-headers']).includes('Content-Type'), 'a route without a body');
    const stream = await preflight(hub.public, '/sse', 'GET', ORG);
    assert.equal(stream.status, 204);
    assert.equal(stream.headers['access-control-allow-origin'], ORG);
    assert.ok(words(stream.headers['access-control-allow-headers']).includes('Last-Event-ID'));
    assert.equal(stream.headers['access-control-max-age'], '0');
    problemOf(await preflight(hub.public, '/nothing', 'GET', ORG), 404, 'not_found');
});

scenario('with * every page may ask, without cookies; in credentials mode the listed ones with them', async (scope) => {
    const open = await scope.hub({ args: ['--public.origins=*', '--api.origins=*'] });
    for (const origin of ['https://any.example', 'null']) {
        const answer = await publishing(open, { Origin: origin });
        assert.equal(answer.headers['access-control-allow-origin'], '*');
        assert.equal(answer.headers['access-control-allow-credentials'], undefined);
    }
    const trusting = await scope.hub(listing('--api.cors_credentials=yes', '--public.cors_credentials=yes'));
    for (const answer of [await publishing(trusting, { Origin: APP }), await preflight(trusting, messagesPath('a'), 'POST', APP), await preflight(trusting.public, '/sse', 'GET', APP)]) {
        assert.equal(answer.headers['access-control-allow-origin'], APP);
        assert.equal(answer.headers['access-control-allow-credentials'], 'true');
    }
});

scenario('check-config refuses cookies for everybody', async (scope) => {
    const ini = path.join(scope.dir(), 'c.ini');
    for (const text of ['[public]\norigins = *\ncors_credentials = yes\n', '[api]\norigins = https://a.example null\ncors_credentials = yes\n']) {
        writeFileSync(ini, text);
        const { code, stderr, stdout } = await scope.carillon(['check-config', ini]);
        assert.notEqual(code, 0);
        assert.match(stdout + stderr, /cors_credentials: cannot be on while (public|api)\.origins has/);
    }
});

scenario('with --dev pages of this machine may ask, from any port; pages of elsewhere and without it may not', async (scope) => {
    const hub = await scope.hub(), strict = await scope.hub({ dev: false, args: ['--access.publish=**', '--access.subscribe=**'] });
    const scheme = hub.public.tls ? 'https' : 'http';
    for (const host of ['localhost:5173', '127.0.0.1:3000', '[::1]:8080', 'localhost']) {
        const origin = `${scheme}://${host}`;
        const published = await publishing(hub, { Origin: origin });
        assert.deepEqual([published.status, published.headers['access-control-allow-origin']], [201, origin]);
        const stream = await scope.sse(hub, '/sse?channel=a', { headers: { Origin: origin } });
        assert.equal(stream.headers['access-control-allow-origin'], origin);
        await (await scope.ws(hub, '/ws?channel=a', { headers: { Origin: origin } })).get('welcome');
        problemOf(await publishing(strict, { Origin: origin }), 403, 'bad_origin');
        problemOf(await request(strict.public, '/sse?channel=a', { headers: { Origin: origin } }), 403, 'bad_origin');
    }
    for (const origin of ['null', 'https://evil.example', 'http://localhost.evil.example', 'http://localhost@evil.example']) {
        problemOf(await publishing(hub, { Origin: origin }), 403, 'bad_origin');
        problemOf(await request(hub.public, '/sse?channel=a', { headers: { Origin: origin } }), 403, 'bad_origin');
        await hub.run.waitFor(() => hub.log.includes(`a page of ${origin} is turned away: name it in public.origins`), 'the log to say why a page does not connect');
    }
    assert.doesNotMatch(strict.log, /turned away/, 'what strangers send is not logged');
});

scenario('over TLS a page of the same host that came in the clear is foreign', async (scope) => {
    const hub = await scope.hub();
    const own = (scheme) => `${scheme}://${hub.api.host}:${hub.api.port}`;
    assert.equal((await publishing(hub, { Origin: own('https') })).status, 201);
    assert.equal((await publishing(hub, { Origin: own('http') })).status, hub.api.tls ? 403 : 201);
});

scenario('every answer of both ports says how it is to be treated', async (scope) => {
    const hub = await scope.hub();
    const stream = await scope.sse(hub, '/sse?channel=a');
    for (const [what, answer] of Object.entries({
        published: await publishing(hub), refused: await request(hub, '/v1/channels?limit=x'), missing: await request(hub, '/nothing'),
        figures: await request(hub, '/metrics'), options: await request(hub, '/', { method: 'OPTIONS' }),
        page: await request(hub.public, '/'), lost: await request(hub.public, '/nothing'), wrong: await request(hub.public, '/sse?channel=*x'), stream,
    })) {
        assert.equal(answer.headers['x-content-type-options'], 'nosniff', what);
        assert.equal(answer.headers['referrer-policy'], 'no-referrer', what);
        assert.match(answer.headers['content-security-policy'] ?? '', /default-src 'none'.*frame-ancestors 'none'/, what);
        assert.equal(answer.headers['cross-origin-resource-policy'], 'same-origin', what);
        assert.match(answer.headers['cache-control'] ?? '', what === 'page' ? /no-cache/ : /no-store/, what);
        assert.match(answer.headers.vary ?? '', /\bOrigin\b/, what);
    }
});

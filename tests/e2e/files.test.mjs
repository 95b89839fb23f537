// Files of the public port: the JavaScript client and its types, for every page; the page of --dev.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { scenario } from './lib/scope.mjs';
import { problemOf, request } from './lib/http.mjs';

const source = (name) => readFileSync(new URL(`../../clients/js/${name}`, import.meta.url));
const NAMES = ['carillon.js', 'carillon.d.ts', 'room.js', 'room-line.js', 'room-peer.js', 'room-media.js', 'room-files.js', 'room.d.ts'];
const FILES = NAMES.map((name) => [`/${name}`, name.endsWith('.js') ? 'text/javascript; charset=utf-8' : 'text/plain; charset=utf-8', source(name)]);
const get = (hub, path, headers, method) => request(hub.public, path, { headers, method });
const OPEN = { dev: false, args: ['--access.subscribe=**'] };

scenario('the client, its Room and their types are served as they are, also without --dev; a browser that has them is told so', async (scope) => {
    const hub = await scope.hub(OPEN);
    for (const [path, type, bytes] of FILES) {
        const file = await get(hub, path);
        assert.equal(file.status, 200);
        assert.ok(file.body.equals(bytes), path);
        assert.deepEqual([file.headers['content-type'], file.headers['cache-control'], file.headers['x-content-type-options']], [type, 'no-cache', 'nosniff']);
        const { etag } = file.headers;
        assert.match(etag, /^"[0-9a-f]{32}"$/);
        for (const named of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
            const known = await get(hub, path, { 'If-None-Match': named });
            assert.deepEqual([known.status, known.body.length, known.headers.etag, known.headers['content-length']], [304, 0, etag, undefined], named);
        }
        assert.equal((await get(hub, path, { 'If-None-Match': '"x"' })).status, 200);
        assert.equal((await get(hub, `${path}?v=1`)).status, 200);
        const head = await get(hub, path, {}, 'HEAD');
        assert.deepEqual([head.status, head.body.length, head.headers['content-length'], head.headers.etag], [200, 0, String(bytes.length), etag]);
    }
    problemOf(await get(hub, '/'), 404, 'not_found');
    problemOf(await get(hub, '/carillon.mjs'), 404, 'not_found');
});

scenario('a page of any origin may import the client; that it may connect is another matter', async (scope) => {
    const hub = await scope.hub(OPEN);
    for (const origin of ['https://elsewhere.example', 'null', hub.publicUrl('')]) {
        const file = await get(hub, '/carillon.js', { Origin: origin });
        assert.deepEqual([file.status, file.headers['access-control-allow-origin'], file.headers['access-control-allow-credentials']], [200, '*', undefined], origin);
        assert.equal(file.headers['cross-origin-resource-policy'], 'cross-origin');
        const known = await get(hub, '/carillon.js', { Origin: origin, 'If-None-Match': file.headers.etag });
        assert.deepEqual([known.status, known.headers['access-control-allow-origin']], [304, '*']);
        const asked = await get(hub, '/carillon.js', { Origin: origin, 'Access-Control-Request-Method': 'GET' }, 'OPTIONS');
        assert.deepEqual([asked.status, asked.headers.allow, asked.headers['access-control-allow-methods']], [204, 'GET, HEAD, OPTIONS', 'GET, HEAD, OPTIONS']);
    }
    problemOf(await get(hub, '/sse?channel=a', { Origin: 'https://elsewhere.example' }), 403, 'bad_origin');
});

scenario('whatever else is asked of a file is refused as everywhere', async (scope) => {
    const hub = await scope.hub(OPEN);
    for (const [path] of FILES) {
        for (const method of ['POST', 'PUT', 'DELETE']) problemOf(await get(hub, path, { 'Content-Length': '0' }, method), 405, 'method_not_allowed');
        problemOf(await request(hub.public, path, { body: 'x' }), 413, 'no_body_here');
    }
});

scenario('the page of --dev has an ETag too, and is for pages of its own origin', async (scope) => {
    const hub = await scope.hub();
    const page = await get(hub, '/');
    assert.equal(page.status, 200);
    assert.equal((await get(hub, '/', { 'If-None-Match': page.headers.etag })).status, 304);
    problemOf(await get(hub, '/', { Origin: 'https://elsewhere.example' }), 403, 'bad_origin');
});

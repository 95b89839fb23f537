// The API describes itself: /openapi.json is what a linter accepts, every example in it happens as told, and it says all there is to say.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import Ajv from 'ajv/dist/2020.js';
import { scenario } from './lib/scope.mjs';
import { Chance } from './lib/chance.mjs';
import { request } from './lib/http.mjs';
import { Contract } from './lib/openapi.mjs';
import { Maker } from './lib/openapi_chance.mjs';
import { SUITE_REDIS } from './lib/redis.mjs';
import { mistake } from './lib/schema.mjs';
import { Story, shape, targetOf } from './lib/story.mjs';
import { bearer, sign, tokenHub } from './lib/tokens.mjs';

const contract = Contract.ofBinary();
const ROUTES = readFileSync(new URL('../../hub/api/api_routes.def', import.meta.url), 'utf8').matchAll(/^ROUTE\((\w+),\s*"([^"]+)"/gm);
const ALL = { subscribe: ['**'], publish: ['**'], history: ['**'], presence: ['**'], join: ['**'], admin: ['**'] };

// What the linter says of a WebSocket is no mistake: a handshake is answered with 101, and no 2xx.
const KNOWN = (problem) => problem.ruleId === 'operation-2xx-response' && problem.location[0].pointer.includes('~1ws/');

test('a linter finds neither an error nor anything to warn of', async () => {
    const config = await createConfig({ extends: ['recommended-strict'] });
    const problems = await lintFromString({ source: JSON.stringify(contract.document), config });
    const told = problems.filter((problem) => !KNOWN(problem)).map(({ ruleId, message, location }) => `${ruleId}: ${message} ${location[0].pointer}`);
    assert.deepEqual(told, []);
    assert.ok(problems.length <= 1);
});

test('every route is described, and nothing else but the public port', () => {
    const described = contract.operations.filter(({ operation }) => !contract.isPublic(operation)).map(({ method, path }) => `${method} ${path}`);
    assert.deepEqual(described.sort(), [...ROUTES].map(([, method, path]) => `${method} ${path}`).sort());
    const ids = contract.operations.map(({ operation }) => operation.operationId);
    assert.equal(new Set(ids).size, ids.length);
});

test('every operation has an example that succeeds, but for streams', () => {
    for (const { method, path, operation } of contract.operations) {
        if (['sse', 'events', 'ws'].includes(operation.operationId)) continue;
        const examples = operation['x-examples'] ?? [];
        assert.ok(examples.some(({ status }) => status < 300), `${method} ${path}`);
        for (const { name, status } of examples) assert.ok(operation.responses[status], `${method} ${path} ${name}`);
    }
});

scenario('the hub serves what was built, and not twice to who has it', async (scope) => {
    const origin = 'https://app.example';
    const hub = await scope.hub({ dev: false, args: [`--api.origins=${origin}`] });
    const answer = await request(hub, '/openapi.json', { headers: { Origin: origin } });
    assert.deepEqual(answer.json, contract.document);
    assert.equal(answer.headers['access-control-allow-origin'], origin, 'tools in pages may read it too');
    assert.match(answer.headers['content-type'], /^application\/json/);
    assert.match(answer.headers['cache-control'], /^no-cache$/);
    assert.match(answer.headers['content-security-policy'], /^default-src 'none'/);
    const { etag } = answer.headers;
    for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
        const again = await request(hub, '/openapi.json', { headers: { 'If-None-Match': known } });
        assert.deepEqual([again.status, again.headers.etag, again.headers['content-length'], again.body.length], [304, etag, undefined, 0], known);
    }
    for (const other of ['"x"', etag.slice(1, -1), '', `${etag}x`, ',,,']) assert.equal((await request(hub, '/openapi.json', { headers: { 'If-None-Match': other } })).status, 200, other);
    const head = await request(hub, '/openapi.json', { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers.etag, Number(head.headers['content-length'])], [200, etag, answer.body.length]);
});

scenario('the list of routes at / is that of the document', async (scope) => {
    const hub = await scope.hub();
    const { links, version } = (await request(hub, '/')).json;
    assert.equal(version, contract.document.info.version);
    for (const { method, href, title } of links) assert.equal(contract.document.paths[href][method.toLowerCase()].summary, title);
});

// ---- examples ----

async function toldHub(scope) {
    const hub = await tokenHub(scope, '', { args: ['--presence.members=true', '--access.subscribe=**', '--webhooks.queue=1'] });
    const of = (claims) => sign({ sub: 'ann', carillon: { subscribe: ['news'], join: ['class.*'], info: { name: 'Ann' } }, ...claims });
    const socket = await scope.ws(hub, '/ws?channel=news&client=tab-7', { headers: bearer(await of({})) });
    await socket.get('subscribed');
    await socket.ask({ type: 'join', room: 'class.8' });
    const story = new Story(hub, bearer(await sign({ sub: 'admin', carillon: ALL })));
    story.stands('eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl', await of({ exp: Math.floor(Date.now() / 1000) + 600 }));
    return { hub, story, socket };
}

// First what makes and shows, then what takes away, a webhook after its dead letters; the connection of the story, which is in a room, ends last.
const ENDS = ['DELETE', 'removeWebhook', 'disconnectUser'];
const place = ({ method, operation }) => operation.operationId === 'expelMember' ? -1 : Math.max(ENDS.indexOf(method), ENDS.indexOf(operation.operationId));

scenario('every example happens as it is told, and its answer is of the same form', { ownEngine: 'with Redis a connection names its node' }, async (scope) => {
    const { hub, story, socket } = await toldHub(scope);
    let told = 0;
    for (const { method, path, operation } of contract.operations.sort((a, b) => place(a) - place(b))) {
        const where = contract.isPublic(operation) ? hub.public : hub;
        if (operation.operationId === 'disconnectUser') {
            assert.equal((await socket.end()).code, 4199, 'as the example of closeConnection says');
            const again = await scope.ws(hub, '/ws?channel=news', { headers: bearer(await sign({ sub: 'ann', carillon: {} })) });
            await again.get('subscribed');
        }
        for (const example of operation['x-examples'] ?? []) {
            const answer = await story.tell({ method, path, example, where });
            const what = `${method} ${path} "${example.name}": ${answer.text}`;
            assert.equal(contract.complaint(method, targetOf(path, example), answer, { onPublic: where === hub.public }), null, what);
            if (typeof example.answer === 'object') assert.deepEqual(shape(answer.json), shape(example.answer), what);
            if (typeof example.answer === 'string') assert.deepEqual(answer.text.trim().split('\n').map(JSON.parse).map(shape), example.answer.trim().split('\n').map(JSON.parse).map(shape), what);
            if (answer.status >= 400) assert.deepEqual([answer.json.code, answer.json.detail, answer.json.errors], [example.answer.code, example.answer.detail, example.answer.errors], what);
            told++;
        }
    }
    assert.ok(told > 50, `${told} examples`);
});

scenario('examples of parameters are values that are taken', async (scope) => {
    const { story } = await toldHub(scope);
    for (const { method, path, operation } of contract.operations.filter(({ method: m, operation: o }) => m === 'GET' && !contract.isPublic(o))) {
        for (const parameter of operation.parameters.map((one) => contract.resolve(one))) {
            if (parameter.example === undefined || parameter.in === 'path' || (SUITE_REDIS && operation.tags.includes('Rooms'))) continue;
            const values = Object.fromEntries(operation.parameters.map((one) => contract.resolve(one)).filter((one) => one.in === 'path').map((one) => [one.name, one.example]));
            const known = !/connection|key|revocation|webhook|event|delivery|replay|room/.test(Object.keys(values).join());
            const example = { name: parameter.name, path: values, status: known ? 200 : 404, [parameter.in === 'query' ? 'query' : 'headers']: { [parameter.name]: String(parameter.example) } };
            await story.tell({ method, path, example });
        }
    }
});

// ---- the checker of all other tests ----

test('the suite\'s own reading of schemas is that of ajv', () => {
    const ajv = new Ajv({ strict: false, validateFormats: false, validateSchema: false });
    ajv.addSchema(contract.strict, 'api');
    const maker = new Maker(contract, new Chance(8));
    let good = 0, bad = 0;
    for (const name of Object.keys(contract.strict.components.schemas)) {
        const validate = ajv.getSchema(`api#/components/schemas/${name}`), schema = contract.strict.components.schemas[name];
        for (let i = 0; i < 60; i++) {
            const value = i % 2 ? maker.value(schema) : maker.spoil(maker.value(schema));
            const wrong = mistake(schema, value, contract.strict);
            assert.equal(wrong === null, validate(value), `${name}: ${JSON.stringify(value).slice(0, 400)}: ${wrong}, ${ajv.errorsText(validate.errors)}`);
            if (wrong) bad++; else good++;
        }
    }
    assert.ok(good > 500 && bad > 500, `${good} good, ${bad} bad`);
});

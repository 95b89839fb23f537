// Payloads of every kind by JSON: `encoding` says what the string `data` is, in a publish, in a batch and on a WebSocket.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { apiProblemOf, keptMessages, post, request } from './lib/http.mjs';

const JSON_TYPE = { 'Content-Type': 'application/json' };
const BYTES = Buffer.from([0, 255, 1, 10]);
const ITEMS = [
    [{ data: 'two\nlines "é" ', encoding: 'text' }, 'two\nlines "é" ', undefined, 'two\nlines "é" '],
    [{ data: BYTES.toString('base64'), encoding: 'base64' }, BYTES.toString('base64'), 'base64', null],
    [{ data: '', encoding: 'base64' }, '', 'base64', null],
    [{ data: 'quoted', encoding: 'json' }, 'quoted', undefined, '"quoted"'],
    [{ data: 'quoted', encoding: null }, 'quoted', undefined, '"quoted"'],
];

scenario('text and bytes arrive as what they are, by whichever way JSON was sent', async (scope) => {
    const hub = await scope.hub();
    const bare = await scope.sse(hub, '/sse?channel=kinds');
    await bare.ready();
    const ws = await scope.ws(hub);
    for (const [item] of ITEMS) {
        assert.equal((await post(hub, 'kinds', JSON.stringify(item), { headers: JSON_TYPE })).status, 201);
        assert.equal((await request(hub, '/v1/messages', { method: 'POST', body: { channel: 'kinds', ...item } })).json.results[0].status, 201);
        assert.equal((await ws.ask({ type: 'publish', channel: 'kinds', ...item })).type, 'ok');
    }
    const messages = await keptMessages(hub, 'kinds');
    assert.deepEqual(messages.map((m) => [m.data, m.encoding]), ITEMS.flatMap(([, data, encoding]) => Array(3).fill([data, encoding])));
    const seen = (await bare.take(messages.length)).map((m) => m.data);
    ITEMS.forEach(([, , , shown], n) => { if (shown !== null) assert.deepEqual(seen.slice(3 * n, 3 * n + 3), Array(3).fill(shown)); });
});

scenario('an encoding that is none, or data that is not in it, is a mistake in that field', async (scope) => {
    const hub = await scope.hub();
    const cases = [[{ data: 'x', encoding: 'utf8' }, 'encoding'], [{ data: 'x', encoding: 1 }, 'encoding'], [{ data: 'A', encoding: 'base64' }, 'data'],
        [{ data: 'AB==', encoding: 'base64' }, 'data'], [{ data: 1, encoding: 'base64' }, 'data'], [{ data: {}, encoding: 'text' }, 'data'], [{ encoding: 'text' }, 'data']];
    for (const [item, field] of cases) {
        const problem = apiProblemOf(await post(hub, 'kinds', JSON.stringify(item), { headers: JSON_TYPE }), 400);
        assert.deepEqual(problem.errors.map((e) => [e.field, e.code]), [[field, 'bad_field']], JSON.stringify(item));
    }
    assert.deepEqual(await keptMessages(hub, 'kinds'), []);
});

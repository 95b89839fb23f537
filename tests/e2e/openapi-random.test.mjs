// Requests by chance, made of the description of the API: whatever comes, no answer is one that is not described, and the hub lives on.
// REQUESTS=n, SEED=n (a failure tells it).
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { Chance } from './lib/chance.mjs';
import { publish, request } from './lib/http.mjs';
import { KeepAlive, SUITE_TLS } from './lib/line.mjs';
import { Contract } from './lib/openapi.mjs';
import { Requests } from './lib/openapi_chance.mjs';
import { bearer, sign, tokenHub } from './lib/tokens.mjs';

const REQUESTS = Number(process.env.REQUESTS ?? (SUITE_TLS ? 1000 : 4000)), SEED = Number(process.env.SEED ?? 1), LANES = 8;
const SETTINGS = '[rates]\nfailed_logins_per_address = off\ncommands_per_key = off\n';
const contract = Contract.ofBinary();

// What answers say that later requests may speak of; not too much of it.
const REMEMBERED = 20;
function remember(known, answer) {
    const found = { position: /"(?:id|position)":"([a-z2-7]{8}\.\d+)"/, key: /"id":"(key_[0-9a-f]+)"/, revocation: /"id":"(rv_[0-9a-f]+)"/, cursor: /"next_cursor":"([^"]+)"/,
        webhook: /"id":"(wh_[0-9a-f]+)"/, event: /"id":"(evt_\w+)"/, delivery: /"id":"(dlv_[0-9a-f]+)"/, replay: /"id":"(rp_\d+)"/ };
    for (const [kind, pattern] of Object.entries(found)) {
        const value = pattern.exec(answer.text)?.[1];
        if (!value || known[kind].includes(value)) continue;
        known[kind].push(value);
        if (known[kind].length > REMEMBERED) known[kind].shift();
    }
}

// { key, line }: a key that may do everything, and its line for [keys].
async function newKey(scope) {
    const { stdout, stderr } = await scope.carillon(['key', 'new', '--name', 'admin']);
    return { key: /\bck_[0-9a-f]{64}\b/.exec(stdout + stderr)[0], line: `admin = ${/\bsha256:[0-9a-f]{64}\b/.exec(stdout + stderr)[0]}` };
}

async function connected(scope, hub, known) {
    for (const user of ['ann', 'bob']) {
        const socket = await scope.ws(hub, '/ws?channel=news&channel=a.**', { headers: bearer(await sign({ sub: user, carillon: { subscribe: ['**'] } })) });
        known.connection.push((await socket.get('welcome')).connection);
    }
}

scenario('requests by chance find no fault, and no answer that is not described', async (scope) => {
    const { key, line } = await newKey(scope);
    const hub = await tokenHub(scope, `${SETTINGS}[keys]\n${line}\n`, { args: ['--presence.members=true', '--log.level=error'] });
    const known = { channel: ['news', 'a'], user: ['ann', 'bob'], connection: [], position: [], key: ['key_00'], revocation: ['rv_00'], cursor: [],
        webhook: [], event: [], delivery: [], replay: [] };
    await connected(scope, hub, known);
    const admin = bearer(key);      // no revocation is of it
    const credentials = [admin, bearer(await sign({ sub: 'ann', carillon: { publish: ['news'], history: ['a'] } })), bearer('ck_0000'), bearer('a.b.c'), {}, { Authorization: 'Basic eDp5' }, { 'X-API-Key': 'x' }];
    const requests = new Requests(contract, new Chance(SEED), known, credentials, contract.operations), seen = new Map();
    const all = Array.from({ length: REQUESTS }, () => requests.next());
    const lane = async () => {
        const agent = new KeepAlive();
        scope.defer(() => agent.destroy());
        for (let one; (one = all.shift());) {
            const { path, ...options } = one;
            const what = () => `SEED=${SEED}: ${options.method} ${path} ${JSON.stringify(options.headers)} ${options.body?.toString().slice(0, 2000)}`;
            const answer = await request(hub, path, { ...options, agent }).catch((error) => { throw new Error(`${what()}\n${error.message}`); });
            assert.ok(answer.status < 500 || answer.status === 503 || answer.status === 501, `${what()}\n${answer.status} ${answer.text}`);
            seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1);
            remember(known, answer);
        }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    assert.ok(seen.get(201) > REQUESTS / 50 && seen.get(200) > REQUESTS / 20 && seen.get(400) > REQUESTS / 20, JSON.stringify([...seen]));
    await publish(hub, 'after', 'all of it', { headers: admin });
    const page = await request(hub, '/v1/channels/after/messages', { headers: admin });
    assert.deepEqual(page.json.data.map((m) => m.data), ['all of it']);
    assert.equal((await request(hub, '/health/ready')).status, 200);
});

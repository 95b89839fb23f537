// What no table thought of: the lines of all tables, mangled by chance and sent in pieces. Whatever it is, what comes back is HTTP or
// WebSocket, the hub does not fail inside (500, 1011), and it serves everybody else.
//
//   SEED=7 ROUNDS=500 make attacks T=mangled        // a round is 40 connections; a failure prints the seed of its round
import assert from 'node:assert/strict';
import { Chance } from '../e2e/lib/chance.mjs';
import { scenario } from '../e2e/lib/scope.mjs';
import { RawWs, OP, handshake } from './lib/raw_ws.mjs';
import { inPieces, mangled } from './lib/mangle.mjs';
import { Peer } from './lib/crowd.mjs';
import { SMUGGLED, Watch } from './lib/watch.mjs';
import { http } from './tables/http.mjs';
import { frames, handshakes } from './tables/websocket.mjs';

const SEED = Number(process.env.SEED ?? 1), ROUNDS = Number(process.env.ROUNDS ?? 15), CONNECTIONS = 40;
const TARGETS = {
    api: ['/v1/channels', '/', '/metrics', '/v1/channels/table', '/v1/channels/table/messages?limit=2'],
    public: ['/sse?channel=table', '/ws?channel=table', '/', '/events?channel=a&channel=b'],
};
const SHORT = 4096;      // mangling a header of 100 KB changes nothing that matters

// A mangled length may turn what was hidden in a body into a request of its own, and rightly so.
const harmless = (bytes) => Buffer.from(Buffer.from(bytes).toString('latin1').replaceAll(SMUGGLED, 'revealed'), 'latin1');
const heads = [...http, ...handshakes].map(([, , bytes]) => harmless(bytes)).filter((bytes) => bytes.length < SHORT);
const messages = frames.map(([, , list]) => harmless(Buffer.concat(list))).filter((bytes) => bytes.length < SHORT);

async function sendAll(socket, pieces) {
    for (const piece of pieces) if (!socket.destroyed) await new Promise((resolve) => socket.write(piece, resolve));
}

// One connection that says its mangled bytes and shuts, resets, or waits for what comes.
async function request(scope, chance, hub, port) {
    const target = chance.one(TARGETS[port]);
    const bytes = mangled(chance, chance.one(heads), heads);
    const peer = new Peer(hub[port], '');
    scope.defer(() => peer.drop());
    await sendAll(peer.socket, inPieces(chance, Buffer.from(bytes.toString('latin1').replaceAll('@', target), 'latin1')));
    const ending = chance.below(4);
    if (ending === 0) peer.reset();
    else peer.socket.end();
    await peer.waitFor(() => peer.ended || peer.socket.destroyed || peer.head.includes('hub.ready'), 'the end, or a stream');
    peer.drop();
    assert.match(peer.head, /^(HTTP\/1\.1 \d{3} |$)/, peer.state());
    assert.doesNotMatch(peer.head, /HTTP\/1\.1 (500|502|503|504)/, peer.state());
}

async function socket(scope, chance, hub) {
    const bytes = mangled(chance, chance.one(messages), messages);
    const ws = new RawWs(hub.public, handshake({}, 'GET /ws?channel=table HTTP/1.1'));
    scope.defer(() => ws.drop());
    await ws.opened();
    await sendAll(ws.socket, inPieces(chance, bytes));
    if (chance.below(4) === 0) ws.socket.resetAndDestroy(); else ws.socket.end();
    await ws.waitFor(() => ws.ended || ws.socket.destroyed, 'the end');
    ws.drop();
    assert.equal(ws.broken, null, ws.state());
    assert.ok(!ws.frames.some((f) => f.op === OP.CLOSE && f.payload.subarray(2).toString() === 'internal'), ws.state());
}

const doors = [(...all) => request(...all, 'api'), (...all) => request(...all, 'public'), socket];

scenario('mangled: the cases of all tables, changed by chance, in pieces', async (scope, t) => {
    const hub = await scope.hub({ args: ['--limits.handshake_timeout=1s', '--limits.request_timeout=1s'] });
    const watch = await Watch.over(scope, hub);
    for (let round = 0; round < ROUNDS; round++) {
        const seed = SEED + round;
        const chances = Array.from({ length: CONNECTIONS }, (_, i) => new Chance(seed * 1000 + i));
        try {
            await Promise.all(chances.map((chance, i) => doors[i % doors.length](scope, chance, hub)));
            await watch.unharmed('mangled cases');
        } catch (error) { throw new Error(`SEED=${seed} ROUNDS=1: ${error.message}`, { cause: error }); }
    }
    t.diagnostic(`${ROUNDS * CONNECTIONS} connections`);
    await watch.over('mangled cases', 24, t);
});

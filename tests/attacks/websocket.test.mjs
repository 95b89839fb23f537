// Handshakes and frames that break RFC 6455 or nearly do: tables/websocket.mjs, case by case, over raw sockets.
import assert from 'node:assert/strict';
import { scenario } from '../e2e/lib/scope.mjs';
import { chosen } from './lib/chosen.mjs';
import { RawWs, ACCEPT, OP, text } from './lib/raw_ws.mjs';
import { Watch } from './lib/watch.mjs';
import { frames, handshakes } from './tables/websocket.mjs';

// The case's connection, dropped at its end whatever the outcome.
async function withSocket(hub, first, use) {
    const socket = new RawWs(hub.public, first);
    try { await use(socket); } finally { socket.drop(); }
}

const fitsHead = (socket, expected) => expected === socket.head.status ||
    (typeof expected === 'string' && expected === `${socket.head.status}:${JSON.parse(socket.body || '{}').code}`);

async function shake(socket, expected) {
    const choices = [expected].flat();
    await socket.waitFor(() => socket.head || socket.ended, 'an answer');
    if (socket.head?.status >= 400) await socket.waitFor(() => socket.ended, 'the end');
    assert.ok(socket.head && choices.some((choice) => fitsHead(socket, choice)), `expected ${choices}, got ${socket.state()} ${socket.body}`);
    assert.equal(socket.head.headers['sec-websocket-extensions'], undefined, 'no extension (§9.1)');
    if (socket.head.status === 101) {
        await socket.opened();
        assert.equal(socket.head.headers['sec-websocket-accept'], ACCEPT);
        assert.match(socket.head.headers.upgrade, /^websocket$/i);
        assert.match(socket.head.headers.connection, /^upgrade$/i);
    }
}

const isClose = (expected) => expected.startsWith('close ');

function happened(socket, expected) {
    const [what, ...rest] = expected.split(' ');
    const more = rest.join(' ');
    if (what === 'close') return socket.closeCode !== null && socket.ended;
    if (what === 'error') return socket.json.some((f) => f.type === 'error' && f.code === more);
    if (what === 'echo') return socket.frames.some((f) => f.op === OP.PONG && f.payload.toString() === more);
    return what === 'alive' || socket.json.some((f) => f.type === what);
}

async function lives(socket) {
    socket.send(text('{"type":"ping","ref":"still"}'));
    await socket.waitFor(() => socket.ended || socket.json.some((f) => f.type === 'pong' && f.ref === 'still'), 'an answer to a ping');
    assert.ok(!socket.ended, `it lives: ${socket.state()}`);
}

async function attack(socket, bytes, expected) {
    const pongFirst = String(expected).startsWith('now, ');
    const choices = [expected].flat().map((one) => one.replace('now, ', ''));
    await socket.opened();
    if (bytes.every((one) => one.length === 1)) for (const one of bytes) await new Promise((resolve) => socket.socket.write(one, resolve));
    else socket.send(...bytes);
    await socket.waitFor(() => socket.ended || choices.some((choice) => happened(socket, choice)), `${choices}`);
    const choice = choices.find((one) => happened(socket, one));
    assert.ok(choice, `expected ${choices}, got ${socket.state()}`);
    if (isClose(choice)) assert.ok(choice.slice(6).split('|').includes(String(socket.closeCode)), `expected ${choice}, got ${socket.state()}`);
    else await lives(socket);
    if (pongFirst) assert.ok(socket.json.some((f) => f.type === 'pong'), 'what came before is answered before the close');
    assert.equal(socket.broken, null, 'what the hub sends is RFC 6455');
}

scenario('WebSocket: every handshake and frame of the tables, and after each the hub answers and idles', async (scope, t) => {
    const hub = await scope.hub();
    const watch = await Watch.over(scope, hub);
    for (const [section, what, bytes, expected] of chosen(handshakes)) {
        await t.test(`${section} ${what}`, async () => {
            await withSocket(hub, bytes, (socket) => shake(socket, expected));
            await watch.unharmed(what);
        });
    }
    for (const [section, what, bytes, expected] of chosen(frames)) {
        await t.test(`${section} ${what}`, async () => {
            await withSocket(hub, undefined, (socket) => attack(socket, bytes, expected));
            await watch.unharmed(what);
        });
    }
    await t.test('memory and descriptors have returned', async (test) => test.diagnostic(`${(await watch.memoryReturned(16)).toFixed(1)} MiB more than before`));
});

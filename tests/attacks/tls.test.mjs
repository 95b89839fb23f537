// TLS from outside: tables/tls.mjs on both ports, and what can be done behind a good handshake. Neighbours and newcomers speak TLS meanwhile.
import assert from 'node:assert/strict';
import net from 'node:net';
import nodeTls from 'node:tls';
import { Authority } from '../e2e/lib/certificate.mjs';
import { scenario } from '../e2e/lib/scope.mjs';
import { request } from '../e2e/lib/http.mjs';
import { chosen } from './lib/chosen.mjs';
import { Peer, crowd } from './lib/crowd.mjs';
import { alertIn, clientHello } from './lib/hello.mjs';
import { Watch } from './lib/watch.mjs';
import { PLAIN, tls } from './tables/tls.mjs';

const H = 'Host: attack\r\n';

async function watched(scope, args = []) {
    const tls = new Authority(scope.dir()).issue('hub');
    const hub = await scope.hub({ args: ['--limits.handshake_timeout=500ms', '--limits.request_timeout=500ms', ...args], tls });
    return { hub, watch: await Watch.over(scope, hub) };
}

const plainly = ({ host, port }) => ({ host, port });

// Only records of TLS: handshake, ChangeCipherSpec, alert, encrypted data.
function isTls(bytes) {
    let at = 0;
    while (at + 5 <= bytes.length && bytes[at] >= 20 && bytes[at] <= 23 && bytes[at + 1] === 3) at += 5 + bytes.readUInt16BE(at + 3);
    return at >= bytes.length;
}

scenario('TLS: handshakes that are none are closed in time, and none is served', { concurrency: true }, async (scope, t) => {
    const { hub, watch } = await watched(scope);
    await Promise.all(chosen(tls).flatMap(([what, first, rest, answer]) => ['public', 'api'].map((port) => t.test(`${port}: ${what}`, async () => {
        const peer = new Peer(plainly(hub[port]), Buffer.from(first, 'latin1'));
        scope.defer(() => peer.drop());
        if (rest.length) peer.dribble(Buffer.from(rest));
        await peer.end();
        const said = Buffer.from(peer.head, 'latin1');
        if (answer === PLAIN) { assert.ok(peer.head.startsWith(PLAIN), peer.state()); return; }
        assert.ok(isTls(said), `it said what is no TLS: ${peer.state()}`);
        if (answer !== null && said.length) assert.equal(alertIn(said), answer, said.toString('hex'));
    }))));
    await watch.over('handshakes that are none', 16, t);
});

scenario('TLS: 500 hellos on each port that are not gone on with keep nobody out, and are gone after their time', async (scope, t) => {
    const { hub, watch } = await watched(scope, ['--limits.handshake_timeout=2s']);
    const hello = await clientHello();
    const peers = [...await crowd(scope, plainly(hub.public), 500, (i) => hello.subarray(0, i % 3 ? hello.length : 100), { reads: false }),
        ...await crowd(scope, plainly(hub.api), 500, (i) => hello.subarray(0, i % 3 ? hello.length : 100), { reads: false })];
    await watch.answers();
    await watch.over('hellos', 48, t);
    for (const peer of peers) peer.drop();
});

// ---- behind a good handshake ----

async function encrypted(scope, where, options = {}) {
    const socket = nodeTls.connect({ ...plainly(where), ca: where.tls.ca, ALPNProtocols: ['http/1.1'], ...options });
    scope.defer(() => socket.destroy());
    const seen = { socket, text: '', ended: false };
    socket.on('error', () => {}).on('close', () => { seen.ended = true; }).on('data', (chunk) => { seen.text += chunk.toString('latin1'); });
    await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    return seen;
}

scenario('TLS: nobody may renegotiate, which costs the hub ten times what it costs the client', async (scope, t) => {
    const { hub, watch } = await watched(scope);
    for (const port of ['public', 'api']) {
        const { socket } = await encrypted(scope, hub[port], { maxVersion: 'TLSv1.2' });
        const error = await new Promise((resolve) => { socket.once('error', resolve); socket.renegotiate({}, resolve); });
        assert.ok(error, `${port}: it renegotiated`);
    }
    await watch.over('renegotiation', 16, t);
});

const CUT = `POST /v1/channels/cut/messages HTTP/1.1\r\n${H}Content-Type: text/plain\r\n`;

scenario('TLS: a request that is cut off without close_notify is no request', async (scope, t) => {
    const { hub, watch } = await watched(scope);
    for (const [sent, cut] of [[`${CUT}Content-Length: 10\r\n\r\nhalf`, 'half a body'], [`${CUT}Content-Length: 0\r\n`, 'half a head']]) {
        const raw = net.connect(plainly(hub.api));
        scope.defer(() => raw.destroy());
        const socket = nodeTls.connect({ socket: raw, host: hub.api.host, ca: hub.api.tls.ca });
        socket.on('error', () => {});
        raw.on('error', () => {});
        await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
        await new Promise((resolve) => socket.write(sent, resolve));
        await new Promise((resolve) => raw.once('close', resolve).end());
        assert.equal((await request(hub, '/v1/channels/cut')).status, 404, cut);
    }
    await watch.over('truncation', 16, t);
});

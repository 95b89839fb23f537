// TLS on both ports: what is spoken and refused, certificates that are renewed under way, slow and broken clients, what it costs.
import assert from 'node:assert/strict';
import { copyFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import tls from 'node:tls';
import { Authority } from './lib/certificate.mjs';
import { post, problemOf, publish, request } from './lib/http.mjs';
import { KeepAlive, connect } from './lib/line.mjs';
import { metricsOf, total } from './lib/metrics.mjs';
import { cpuShare, openFiles, residentMiB } from './lib/proc.mjs';
import { RawConnection, publishBytes } from './lib/raw.mjs';
import { unmeasured } from './lib/sanitized.mjs';
import { Scarce, sanitizer } from './lib/scarce.mjs';
import { scenario } from './lib/scope.mjs';
import { Watched, eventually } from './lib/wait.mjs';

const MiB = 1024 * 1024;
const DEEP = ['--history.size=100000', '--history.bytes=1GiB', '--history.max_bytes=1GiB', '--edge.ring_bytes=256KiB'];
const IMPATIENT = ['--limits.handshake_timeout=300ms'];
const GET = 'GET /health/live HTTP/1.1\r\nHost: e2e\r\n\r\n';

// A hub with a certificate of its own, whatever the suite runs with.
async function encrypted(scope, options) {
    const identity = new Authority(scope.dir()).issue('hub');
    return scope.hub({ tls: identity, ...options });
}

function raw(scope, where, text = '') {
    const connection = new RawConnection(where);
    scope.defer(() => connection.close());
    if (text) connection.write(text);
    return connection;
}

// One handshake: what was agreed on, or how it failed. options: of node:tls.
class Handshake extends Watched {
    outcome = null;
    closed = false;
    constructor(scope, where, options) {
        super();
        this.line = connect(where, options);
        scope.defer(() => this.line.destroy());
        this.line.resume();
        this.line.on('secureConnect', () => this.#settle({ protocol: this.line.getProtocol(), alpn: this.line.alpnProtocol, serial: this.line.getPeerCertificate().serialNumber }));
        this.line.on('error', (error) => this.#settle({ error: error.code ?? error.message }));
        this.line.on('close', () => { this.closed = true; this.#settle({ error: 'closed' }); });
    }
    #settle(outcome) { this.outcome ??= outcome; this.changed(); }
    state() { return JSON.stringify(this.outcome); }
    done() { return this.waitFor(() => this.outcome, 'the end of the handshake'); }
    end() { return this.waitFor(() => this.closed, 'the hub to close'); }
}
const shake = (scope, where, options) => new Handshake(scope, where, options).done();
const serialOf = async (scope, where) => (await shake(scope, where)).serial;

// Bytes of a real client's first flight.
async function clientHello(scope) {
    const { default: net } = await import('node:net');
    const server = net.createServer();
    scope.defer(() => new Promise((resolve) => server.close(resolve)));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const hello = new Promise((resolve) => server.once('connection', (socket) => socket.once('data', (bytes) => { resolve(bytes); socket.destroy(); })));
    tls.connect({ host: '127.0.0.1', port: server.address().port }).on('error', () => {});
    return hello;
}

/* ---- what is spoken ---- */

scenario('both ports speak TLS 1.2 and 1.3 and nothing older', async (scope) => {
    const hub = await encrypted(scope);
    for (const where of [hub.public, hub.api]) {
        for (const version of ['TLSv1.2', 'TLSv1.3']) assert.equal((await shake(scope, where, { minVersion: version, maxVersion: version })).protocol, version);
        const old = await shake(scope, where, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' });
        assert.match(old.error, /PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|ECONNRESET/, 'TLS 1.1');
    }
    assert.equal((await request(hub, '/health/ready')).status, 200);
});

scenario('ALPN chooses http/1.1, and a client that speaks h2 only is told so', async (scope) => {
    const hub = await encrypted(scope);
    for (const where of [hub.public, hub.api]) {
        assert.equal((await shake(scope, where, { ALPNProtocols: ['h2', 'http/1.1'] })).alpn, 'http/1.1');
        assert.equal((await shake(scope, where, { ALPNProtocols: [] })).alpn, false, 'who does not ask is not told');
        assert.match((await shake(scope, where, { ALPNProtocols: ['h2'] })).error, /NO_APPLICATION_PROTOCOL/);
    }
});

scenario('plain HTTP on a TLS port is answered with 400 tls_required', async (scope) => {
    const hub = await encrypted(scope);
    for (const { tls: identity, ...where } of [hub.public, hub.api]) {
        for (const [method, place] of [['GET', '/sse?channel=a'], ['POST', '/v1/channels/a/messages']]) {
            const answer = await request(where, place, { method, body: method === 'POST' ? 'x' : undefined });
            assert.match(problemOf(answer, 400, 'tls_required').detail, /https/);
        }
        const rubbish = raw(scope, where, 'hello');
        await rubbish.end();
        assert.equal(rubbish.unparsed.toString('latin1').includes('HTTP/'), false, 'no HTTP, no answer');
    }
    assert.equal((await request(hub, '/health/ready')).status, 200);
});

scenario('tls.api=no leaves the API in the clear', async (scope) => {
    const hub = await encrypted(scope, { args: ['--tls.api=no'] });
    assert.equal(hub.api.tls, undefined);
    const stream = await scope.sse(hub, '/sse?channel=a');
    await stream.ready();
    await publish(hub, 'a', 'x');
    await stream.take(1);
});

scenario('a unix socket is in the clear, on either port', async (scope) => {
    const dir = scope.dir();
    const hub = await encrypted(scope, { args: [`--api.listen=unix:${path.join(dir, 'api.sock')}`] });
    const socket = await scope.ws(hub, '/ws?channel=a');
    await socket.get('subscribed');
    await publish(hub, 'a', 'x');
    await socket.take(1);
    const behind = await encrypted(scope, { args: [`--public.listen=unix:${path.join(dir, 'public.sock')}`] });
    const stream = await scope.sse(behind, '/sse?channel=a');
    await stream.ready();
    await publish(behind, 'a', 'x');
    await stream.take(1);
});

scenario('a client that renegotiates TLS 1.2 is refused, and costs nothing', async (scope) => {
    const hub = await encrypted(scope);
    for (const where of [hub.public, hub.api]) {
        const handshake = new Handshake(scope, where, { maxVersion: 'TLSv1.2' });
        assert.equal((await handshake.done()).protocol, 'TLSv1.2');
        const refused = await new Promise((resolve) => {
            handshake.line.once('error', resolve).once('close', () => resolve(new Error('closed')));
            handshake.line.renegotiate({}, (error) => resolve(error));
        });
        assert.ok(refused instanceof Error, 'the hub shook hands again');
    }
    assert.equal((await request(hub, '/health/ready')).status, 200);
});

/* ---- certificates that change ---- */

// A hub whose settings are a file, with a certificate that can be exchanged.
async function renewable(scope) {
    const dir = scope.dir();
    const authority = new Authority(dir);
    const [old, next] = [authority.issue('old'), authority.issue('next')];
    const file = path.join(dir, 'hub.ini');
    const show = ({ cert, key }) => { copyFileSync(cert, path.join(dir, 'cert.pem')); copyFileSync(key, path.join(dir, 'key.pem')); };
    const on = `[tls]\ncert = ${path.join(dir, 'cert.pem')}\nkey = ${path.join(dir, 'key.pem')}\n`;
    show(old);
    writeFileSync(file, on);
    const hub = await scope.hub({ tls: null, args: ['--config', file, '--sse.heartbeat=1s'] });
    const encrypt = (yes) => { for (const where of [hub.public, hub.api]) if (yes) where.tls = old; else delete where.tls; };
    encrypt(true);
    return { hub, dir, next, show, encrypt, write: (text) => writeFileSync(file, text), on };
}

// Somebody connected in every way; unharmed() tells whether all of them are still served on the connections they had.
async function company(scope, hub, channel = 'a') {
    const stream = await scope.sse(hub, `/sse?channel=${channel}`);
    const socket = await scope.ws(hub, `/ws?channel=${channel}`);
    const api = raw(scope, hub.api, GET);
    await Promise.all([stream.ready(), socket.get('subscribed'), api.take(1)]);
    let texts = 0;
    return async () => {
        const text = `still here ${++texts}`;
        api.write(publishBytes(channel, text));
        assert.equal((await api.take(texts + 1)).at(-1).status, 201);
        await Promise.all([stream.take(texts), socket.take(texts)]);
        assert.deepEqual([stream.data.at(-1), socket.data.at(-1)], [text, text]);
        socket.socket.ping(text);
        await socket.waitFor(() => socket.lastPong?.toString() === text, 'the pong');
    };
}

scenario('a renewed certificate is shown to newcomers after SIGHUP, and nobody is dropped', async (scope) => {
    const { hub, next, show } = await renewable(scope);
    const unharmed = await company(scope, hub);
    const before = await serialOf(scope, hub.public);
    show(next);
    assert.equal(await serialOf(scope, hub.public), before, 'not before the signal');
    hub.run.signal('SIGHUP');
    for (const where of [hub.public, hub.api]) await eventually(async () => (await serialOf(scope, where)) !== before, 'the new certificate');
    await unharmed();
    await unharmed();
});

scenario('a broken certificate on SIGHUP is told in the log, and the old one stays', async (scope) => {
    const { hub, dir, next, show } = await renewable(scope);
    const unharmed = await company(scope, hub);
    const before = await serialOf(scope, hub.public);
    const breakages = [
        [() => writeFileSync(path.join(dir, 'cert.pem'), 'half a cert'), /tls\.cert: .*cert\.pem/],
        [() => { show(next); writeFileSync(path.join(dir, 'key.pem'), '-----BEGIN PRIVATE KEY-----\nAAAA\n'); }, /tls\.key: .*key\.pem/],
        [() => { show(next); copyFileSync(path.join(dir, 'old.key'), path.join(dir, 'key.pem')); }, /does not belong to the certificate/],
    ];
    for (const [harm, told] of breakages) {
        harm();
        hub.run.signal('SIGHUP');
        await hub.run.waitFor((run) => told.test(run.stderr), `${told} in the log`);
        for (const where of [hub.public, hub.api]) assert.equal(await serialOf(scope, where), before);
        await unharmed();
    }
    show(next);
    hub.run.signal('SIGHUP');
    await eventually(async () => (await serialOf(scope, hub.public)) !== before, 'the new certificate when it is whole');
});

scenario('SIGHUP takes TLS away and brings it back, and nobody is dropped', async (scope) => {
    const { hub, encrypt, write, on } = await renewable(scope);
    const answers = () => request(hub, '/health/live').then((answer) => answer.status === 200, () => false);
    const encryptedCompany = await company(scope, hub, 'encrypted');
    encrypt(false);
    write('');
    hub.run.signal('SIGHUP');
    await eventually(answers, 'the API in the clear');
    const plainCompany = await company(scope, hub, 'plain');
    encrypt(true);
    write(on);
    hub.run.signal('SIGHUP');
    await eventually(answers, 'TLS again');
    for (const unharmed of [encryptedCompany, plainCompany, await company(scope, hub, 'again')]) await unharmed();
});

/* ---- slow and broken clients ---- */

scenario('a handshake that says nothing, or half of it, is closed within limits.handshake_timeout', async (scope) => {
    const hub = await encrypted(scope, { args: IMPATIENT });
    const hello = await clientHello(scope);
    const before = openFiles(hub.pid);
    for (const { tls: identity, ...where } of [hub.public, hub.api]) {
        const waiting = ['', hello.subarray(0, 1), hello.subarray(0, hello.length - 1), hello].map((bytes) => raw(scope, where, bytes));
        const half = shake(scope, { ...where, tls: identity });      // a whole one, and no request behind it
        for (const connection of waiting) await connection.end();
        assert.equal((await half).protocol, 'TLSv1.3');
    }
    await eventually(() => openFiles(hub.pid) <= before, 'the descriptors to be closed');
});

scenario('a WebSocket message of limits.message passes both ways', async (scope) => {
    const hub = await encrypted(scope, { args: ['--limits.message=1MiB', '--history.bytes=8MiB'] });
    const socket = await scope.ws(hub, '/ws?channel=large');
    await socket.get('subscribed');
    const text = 'x0123456789abcdef'.repeat(MiB / 16).slice(0, MiB - 2);      // limits.message counts the quotes
    for (let i = 0; i < 3; i++) {
        const answer = await socket.ask({ type: 'publish', channel: 'large', data: text });
        assert.equal(answer.type, 'ok', JSON.stringify(answer));
    }
    await socket.take(3);
    for (const { data } of socket.messages) assert.ok(data === text, 'as it was sent');
    assert.equal((await socket.ask({ type: 'publish', channel: 'large', data: `${text}x` })).code, 'message_too_large');
    await publish(hub, 'large', text);
    await socket.take(4);
});

scenario('readers over TLS that stop while 10 MB are published catch up without a loss, and others are not kept waiting', async (scope) => {
    const hub = await encrypted(scope, { args: DEEP });
    const agent = new KeepAlive();
    scope.defer(() => agent.destroy());
    const stream = await scope.sse(hub, '/sse?channel=a');
    const socket = await scope.ws(hub, '/ws?channel=a');
    const fast = await scope.ws(hub, '/ws?channel=a');
    await Promise.all([stream.ready(), socket.get('subscribed'), fast.get('subscribed')]);
    stream.pause();
    socket.pause();
    const all = Array.from({ length: 350 }, (_, i) => `${i}`.padEnd(60_000, '.'));      // 20 MB: the kernel's buffers take some of it
    for (const text of all) await publish(hub, 'a', text, { agent });
    await fast.take(all.length, 60_000);
    assert.ok(socket.messages.length < all.length && stream.messages.length < all.length, 'they are behind');
    stream.resume();
    socket.resume();
    await Promise.all([stream.take(all.length, 60_000), socket.take(all.length, 60_000)]);
    for (const reader of [stream, socket, fast]) assert.deepEqual(reader.data.map((text) => Number.parseInt(text, 10)), all.map((_, i) => i));
    assert.deepEqual([...stream.control('gap'), ...socket.of('gap')], []);
});

// Frames of RFC 6455 §5.2 with a mask of zeros.
const pings = (count) => Buffer.concat(Array.from({ length: count }, (_, i) => {
    const payload = Buffer.from(`${i}`.padEnd(100, '.'));
    return Buffer.concat([Buffer.from([0x89, 0x80 | payload.length, 0, 0, 0, 0]), payload]);
}));

scenario('a client that sends a hundred thousand pings and never reads costs no memory', { skip: unmeasured }, async (scope, t) => {
    const hub = await encrypted(scope);
    const socket = await scope.ws(hub, '/ws?channel=a');
    await socket.get('subscribed');
    const mib = residentMiB(hub.pid);
    const { _socket: line } = socket.socket;
    socket.pause();
    const thousand = pings(1000);
    for (let i = 0; i < 100; i++) line.write(thousand);
    while (line.writableLength > 0 && await cpuShare(hub.pid, 300) > 0.05);      // until the hub has them all, or takes no more
    const left = line.writableLength;
    const grown = residentMiB(hub.pid) - mib;
    t.diagnostic(`${left} bytes not taken, ${grown.toFixed(1)} MiB`);
    assert.ok(grown < 6, `${grown.toFixed(1)} MiB more`);
    await publish(hub, 'a', 'x');
    socket.resume();
    await socket.waitFor(() => socket.messages.length === 1 || socket.closed, 'the message, or the end');
    assert.deepEqual(socket.data, ['x']);
});

// Our side of TLS ends, the line below does not: what close_notify without a FIN looks like. Or the other way round.
const endings = {
    'a close_notify without a FIN': (line) => { line.tcp.end = () => {}; line.tcp._handle.shutdown = () => 0; line.end(); },
    'a FIN without a close_notify': (line) => line.tcp.end(),
};
for (const [what, end] of Object.entries(endings))
    scenario(`${what} ends a connection: what was asked before is answered, and nothing is left`, async (scope) => {
        const hub = await encrypted(scope, { args: IMPATIENT });
        let before;
        await eventually(() => before === (before = openFiles(hub.pid)), 'connections that come and go at the start to be gone');
        const api = raw(scope, hub.api, GET);
        const stream = raw(scope, hub.public, 'GET /sse?channel=a HTTP/1.1\r\nHost: e2e\r\n\r\n');
        const socket = await scope.ws(hub, '/ws?channel=a');
        await Promise.all([api.take(1), stream.waitFor(() => stream.unparsed.includes('hub.ready'), 'hub.ready'), socket.get('subscribed')]);
        assert.equal(openFiles(hub.pid), before + 5, 'a WebSocket over TLS takes three descriptors');
        api.write(publishBytes('b', 'last'));
        await new Promise((resolve) => api.socket.write('', resolve));
        for (const line of [api.socket, stream.socket, socket.socket._socket]) end(line);
        await Promise.all([api.take(2), api.end(), stream.end(), socket.end()]);
        assert.equal(api.answers[1].status, 201);
        await eventually(() => openFiles(hub.pid) <= before, 'the descriptors to be closed');
        assert.ok(await cpuShare(hub.pid, 500) < 0.3, 'it does not spin');
    });

/* ---- what it costs ---- */

scenario('when there is no memory for a record, who only listens goes on listening', { skip: sanitizer() && 'its allocator has memory of its own' }, async (scope) => {
    const memory = new Scarce(scope);
    const hub = await encrypted(scope, { env: memory.env, memory: true });
    const agent = new KeepAlive();
    scope.defer(() => agent.destroy());
    const stream = await scope.sse(hub, '/sse?channel=a');
    const socket = await scope.ws(hub, '/ws?channel=a');
    await Promise.all([stream.ready(), socket.get('subscribed'), publish(hub, 'b', 'x', { agent })]);
    memory.fail({ first: 1, many: 1e6, minBytes: 16 * 1024 });
    for (let i = 1; i <= 20; i++) {
        await eventually(async () => (await post(hub, 'a', `${i}`, { agent })).status === 201, 'a publish while no record has memory');
        await Promise.all([stream.take(i), socket.take(i)]);
    }
    assert.ok(memory.stop().failed >= 20, 'allocations did fail');
    assert.deepEqual([stream.ended, socket.closed], [null, null]);
});

scenario('a client that comes back with its session shakes hands in short', async (scope) => {
    const hub = await encrypted(scope);
    for (const where of [hub.public, hub.api]) {
        const first = new Handshake(scope, where);
        const session = await new Promise((resolve) => first.line.once('session', resolve));
        const again = new Handshake(scope, where, { session });
        await again.done();
        assert.equal(again.line.isSessionReused(), true);
    }
});

scenario('handshakes that failed are counted', async (scope) => {
    const hub = await encrypted(scope);
    const failed = async () => total(await metricsOf(hub), 'carillon_tls_handshakes_failed_total');
    assert.equal(await failed(), 0);
    for (const where of [hub.public, hub.api]) await shake(scope, where, { ALPNProtocols: ['h2'] });
    assert.equal(await failed(), 2);
});

/* ---- pub and sub ---- */

const UNTOLD = { env: { CARILLON_CACERT: '' } };      // whom the machine trusts: not us

scenario('pub and sub trust whom --cacert or CARILLON_CACERT names', async (scope) => {
    const hub = await encrypted(scope);
    const { caFile } = hub.public.tls;
    const first = await scope.carillon(['pub', `--url=${hub.apiUrl('')}`, `--cacert=${caFile}`, 'a', 'one'], UNTOLD);
    assert.equal(first.code, 0, first.stderr);
    const second = await scope.carillon(['pub', `--url=${hub.apiUrl('')}`, 'a', 'two'], { env: { CARILLON_CACERT: caFile } });
    assert.equal(second.code, 0, second.stderr);
    const third = await scope.carillon(['sub', `--url=${hub.publicUrl('')}`, '--cacert', caFile, `--since=${first.stdout.trim()}`, '--count=1', 'a'], UNTOLD);
    assert.deepEqual([third.code, third.stdout], [0, 'two\n'], third.stderr);
});

scenario('pub and sub end with a sentence that names --cacert when the certificate is not trusted', async (scope) => {
    const hub = await encrypted(scope);
    const stranger = new Authority(scope.dir());
    for (const args of [['pub', `--url=${hub.apiUrl('')}`, 'a', 'x'], ['sub', `--url=${hub.publicUrl('')}`, 'a']]) {
        const untold = await scope.carillon(args, UNTOLD);
        assert.equal(untold.code, 1);
        assert.match(untold.stderr, /certificate.*--cacert FILE/, args[0]);
        const wrong = await scope.carillon([...args, `--cacert=${stranger.file}`], UNTOLD);
        assert.match(wrong.stderr, /certificate.*--cacert FILE/, args[0]);
        assert.equal(wrong.code, 1);
        const missing = await scope.carillon([...args, '--cacert=/nowhere.pem'], UNTOLD);
        assert.match(missing.stderr, /nowhere\.pem.*--cacert/, args[0]);
        assert.equal(missing.code, 1);
    }
    assert.equal((await request(hub, '/v1/channels/a')).status, 404, 'nothing was published');
});

scenario('pub and sub say so when the URL has the wrong scheme', async (scope) => {
    const hub = await encrypted(scope);
    const plain = await scope.hub({ tls: null });
    const swap = (url) => url.startsWith('https') ? url.replace('https', 'http') : url.replace('http', 'https');
    for (const args of [['pub', `--url=${swap(hub.apiUrl(''))}`, 'a', 'x'], ['sub', `--url=${swap(hub.publicUrl(''))}`, 'a']]) {
        const { code, stderr } = await scope.carillon(args);
        assert.equal(code, 1);
        assert.match(stderr, /tls_required.*https:\/\//, args[0]);
    }
    const encryptedOnPlain = await scope.carillon(['pub', `--url=${swap(plain.apiUrl(''))}`, 'a', 'x']);
    assert.equal(encryptedOnPlain.code, 1);
    assert.match(encryptedOnPlain.stderr, /http:\/\//);
});

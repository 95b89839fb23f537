// jwks.mjs — an identity provider: it makes keys and tokens (npm jose), serves its JWK set over HTTP, and does worse on demand.
//
//   const idp = await Idp.start(scope);               // idp.url: for tokens.jwks
//   await idp.rotate();                               // a new key, which signs from now on; idp.keep old ones are served beside it
//   const token = await idp.token({ sub: 'ann' });    // signed by the newest key; idp.tokenOf(key, claims) by any
//   idp.mode = 'broken';                              // how it answers from now on: a name in `modes`
import http from 'node:http';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { Watched } from './wait.mjs';
import { inSeconds } from './tokens.mjs';

const JSON_HEAD = { 'Content-Type': 'application/jwk-set+json' };

export const modes = {
    fine: (idp, request, response) => response.writeHead(200, { ...JSON_HEAD, ...idp.headers }).end(idp.document),
    slow: (idp, request, response) => { idp.later(() => modes.fine(idp, request, response), idp.slowMs); },
    silent: () => {},
    status500: (idp, request, response) => response.writeHead(500, JSON_HEAD).end(idp.document),
    notFound: (idp, request, response) => response.writeHead(404).end('not here'),
    redirect: (idp, request, response) => response.writeHead(302, { Location: '/moved' }).end(),
    rubbish: (idp, request, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end('<html>please sign in</html>'),
    broken: (idp, request, response) => response.writeHead(200, JSON_HEAD).end(idp.document.slice(0, -2)),
    empty: (idp, request, response) => response.writeHead(200, JSON_HEAD).end('{"keys":[]}'),
    huge: (idp, request, response) => response.writeHead(200, JSON_HEAD).end(Buffer.concat([Buffer.alloc(64 << 20, 0x20), Buffer.from(idp.document)])),
    endless: (idp, request, response) => {
        response.writeHead(200, JSON_HEAD);
        const more = () => { while (!response.destroyed && response.write('          '.repeat(1000))); };
        response.on('drain', more);
        more();
    },
    cut: (idp, request, response) => {
        response.writeHead(200, { ...JSON_HEAD, 'Content-Length': idp.document.length });
        response.write(idp.document.slice(0, 20), () => response.destroy());
    },
    hangUp: (idp, request, response) => response.destroy(),
};

export class Idp extends Watched {
    mode = 'fine';
    slowMs = 300;
    headers = {};
    keep = 1;             // how many keys the document has
    fetches = 0;          // requests for /jwks so far
    moved = 0;            // … and for where the redirect leads
    keys = [];            // { kid, privateKey, jwk }, the newest last
    #nextKid = 1;
    #timers = new Set();

    static async start(scope, { alg = 'ES256' } = {}) {
        const idp = new Idp();
        idp.alg = alg;
        await idp.rotate();
        idp.server = http.createServer((request, response) => idp.#answer(request, response));
        await new Promise((resolve) => { idp.server.listen(0, '127.0.0.1', resolve); });
        idp.port = idp.server.address().port;
        scope.defer(() => idp.stop());
        return idp;
    }

    get url() { return `http://127.0.0.1:${this.port}/jwks`; }
    get newest() { return this.keys.at(-1); }
    get document() { return JSON.stringify({ keys: this.keys.slice(-this.keep).map(({ jwk }) => jwk) }); }
    state() { return `mode=${this.mode} fetches=${this.fetches} keys=${this.keys.map(({ kid }) => kid)}`; }

    #answer(request, response) {
        response.on('error', () => {});
        if (request.url !== '/jwks') this.moved++;
        else this.fetches++;
        this.changed();
        (request.url === '/jwks' ? modes[this.mode] : modes.fine)(this, request, response);
    }

    later(act, ms) {
        const timer = setTimeout(() => { this.#timers.delete(timer); act(); }, ms);
        this.#timers.add(timer);
    }

    async makeKey(kid = `k${this.#nextKid++}`, alg = this.alg) {
        const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
        return { kid, alg, privateKey, publicKey, jwk: { ...await exportJWK(publicKey), kid, alg, use: 'sig' } };
    }

    // The new key is served before any token is signed with it.
    async rotate() {
        const key = await this.makeKey();
        this.keys.push(key);
        return key;
    }

    tokenOf(key, claims = {}, header = {}) {
        return new SignJWT({ exp: inSeconds(3600), carillon: { subscribe: ['**'], publish: ['**'] }, ...claims })
            .setProtectedHeader({ alg: key.alg, kid: key.kid, ...header }).sign(key.privateKey);
    }
    token(claims) { return this.tokenOf(this.newest, claims); }

    fetched(more = 1) {
        const before = this.fetches;
        return this.waitFor(() => this.fetches >= before + more, `${more} more fetches of the keys`, 60_000);
    }

    // The port stays the same, and nobody listens there.
    async goAway() {
        this.server.closeAllConnections();
        await new Promise((resolve) => { this.server.close(resolve); });
    }
    comeBack() { return new Promise((resolve, reject) => { this.server.once('error', reject).listen(this.port, '127.0.0.1', resolve); }); }

    async stop() {
        for (const timer of this.#timers) clearTimeout(timer);
        this.server.closeAllConnections();
        if (this.server.listening) await new Promise((resolve) => { this.server.close(resolve); });
    }
}

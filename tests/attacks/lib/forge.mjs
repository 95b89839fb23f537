// forge.mjs — tokens byte by byte, as no library would make them: header and claims are any text, the signature is whatever is asked for.
//
//   forge(header, claims, signature)     signature: what a signer gives, or any bytes
//   signers(scope): { app, rsa, ec, ed } with .header, .sign(text, options) and what a hub needs to know them
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

const text = (part) => Buffer.isBuffer(part) ? part : Buffer.from(typeof part === 'string' ? part : JSON.stringify(part));
export const b64 = (part) => text(part).toString('base64url');

// `by`: bytes, or a function of the text that is signed.
export function forge(header, claims, by = Buffer.alloc(0)) {
    const signed = `${b64(header)}.${b64(claims)}`;
    return `${signed}.${b64(typeof by === 'function' ? by(signed) : by)}`;
}

export const hmac = (secret) => (signed) => createHmac('sha256', secret).update(signed).digest();

function pair(kind, options) { return generateKeyPairSync(kind, options); }

export class Signer {
    constructor(kid, alg, keys, signWith) { Object.assign(this, { kid, alg, ...keys, signWith }); }
    get header() { return { alg: this.alg, kid: this.kid }; }
    get pem() { return this.publicKey.export({ type: 'spki', format: 'pem' }); }
    get jwk() { return { ...this.publicKey.export({ format: 'jwk' }), kid: this.kid, alg: this.alg, use: 'sig' }; }
    get sign() { return (signed) => this.signWith(Buffer.from(signed), this.privateKey); }
    token(claims, header = {}) { return forge({ ...this.header, ...header }, claims, this.sign); }
    lineFor(dir) {
        const file = path.join(dir, `${this.kid}.pem`);
        writeFileSync(file, this.pem);
        return `${this.kid} = ${this.alg} file:${file}\n`;
    }
}

export const rs256 = (kid, bits = 2048) => new Signer(kid, 'RS256', pair('rsa', { modulusLength: bits }), (bytes, key) => sign('sha256', bytes, key));
export const es256 = (kid) => new Signer(kid, 'ES256', pair('ec', { namedCurve: 'P-256' }), (bytes, key) => sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }));
export const ed25519 = (kid) => new Signer(kid, 'EdDSA', pair('ed25519'), (bytes, key) => sign(null, bytes, key));
export const derOf = (signer) => (signed) => sign('sha256', Buffer.from(signed), { key: signer.privateKey, dsaEncoding: 'der' });

export class Secret {
    kid = 'app';
    alg = 'HS256';
    secret = 'attacks-0123456789abcdef0123456789abcdef';
    header = { alg: 'HS256', kid: 'app' };
    get sign() { return hmac(this.secret); }
    token(claims, header = {}) { return forge({ ...this.header, ...header }, claims, this.sign); }
    get line() { return `app = HS256 secret:${this.secret}\n`; }
}

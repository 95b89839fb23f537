// tokens.mjs — tokens as the users' own servers and identity providers make them (npm jose), and hubs that know their keys.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { SignJWT, exportPKCS8, exportSPKI, generateKeyPair } from 'jose';

export const SECRET = 'e2e-0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab';      // 64 bytes: enough for HS512
export const ALGORITHMS = ['HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA'];

export const bearer = (credential) => ({ Authorization: `Bearer ${credential}` });
export const inSeconds = (seconds) => Math.floor(Date.now() / 1000) + seconds;

// claims: what goes in, `exp` in an hour unless it says otherwise (exp: undefined leaves it out).
export function sign(claims, { alg = 'HS256', kid = 'app', key = new TextEncoder().encode(SECRET), header = {} } = {}) {
    const { ...all } = { exp: inSeconds(3600), ...claims };
    return new SignJWT(JSON.parse(JSON.stringify(all))).setProtectedHeader({ alg, ...(kid && { kid }), ...header }).sign(key);
}

// A token whose parts are given as text or objects, signed by nobody in particular.
export const unsigned = (header, claims, signature = '') =>
    [header, claims].map((part) => Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')).join('.') + `.${signature}`;

// { sign, line }: a signer of that algorithm, and its line for [signers]; the files go to `dir`.
export async function signer(dir, alg, name = `k-${alg}`) {
    if (alg.startsWith('HS')) return { line: `${name} = ${alg} secret:${SECRET}\n`, sign: (claims, options) => sign(claims, { alg, kid: name, ...options }) };
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const file = path.join(dir, `${name}.pem`), secret = path.join(dir, `${name}-private.pem`);
    writeFileSync(file, await exportSPKI(publicKey));
    writeFileSync(secret, await exportPKCS8(privateKey), { mode: 0o600 });
    return { line: `${name} = ${alg} file:${file}\n`, file, secret, publicKey, privateKey, sign: (claims, options) => sign(claims, { alg, kid: name, key: privateKey, ...options }) };
}

// A hub without --dev that knows the signer `app`; `settings` is more of its file.
export async function tokenHub(scope, settings = '', { signers = `app = HS256 secret:${SECRET}\n`, args = [] } = {}) {
    const ini = path.join(scope.dir(), 'carillon.ini');
    const write = (text, lines = signers) => writeFileSync(ini, `[signers]\n${lines}\n${text}`, { mode: 0o600 });
    write(settings);
    const hub = await scope.hub({ dev: false, args: ['--config', ini, '--log.level=debug', ...args] });
    return Object.assign(hub, { ini, rewrite: write });
}

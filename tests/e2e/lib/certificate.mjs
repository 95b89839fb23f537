// certificate.mjs — certificates of the tests' own, made with the openssl command.
//
//   const authority = new Authority(dir);                   // dir/ca.pem, which clients are given
//   authority.issue('hub', { days: 30 });                   // { cert, key }: files; for localhost, 127.0.0.1 and ::1
//
// `node certificate.mjs DIR` makes the certificate of a run of the whole suite over TLS (make e2e-tls).
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const NAMES = 'DNS:localhost,IP:127.0.0.1,IP:::1';
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

function openssl(...args) { return execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] }); }

export class Authority {
    constructor(dir) {
        mkdirSync(dir, { recursive: true });
        this.dir = dir;
        this.file = path.join(dir, 'ca.pem');
        this.key = path.join(dir, 'ca.key');
        openssl('req', '-x509', ...NEW_KEY, '-keyout', this.key, '-out', this.file, '-subj', '/CN=Carillon tests', '-days', '30',
            '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign');
    }

    issue(name, { days = 30, subject = '/CN=localhost', names = NAMES } = {}) {
        const cert = path.join(this.dir, `${name}.pem`), key = path.join(this.dir, `${name}.key`);
        openssl('req', '-x509', ...NEW_KEY, '-keyout', key, '-out', cert, '-CA', this.file, '-CAkey', this.key, '-subj', subject, '-days', `${days}`,
            '-addext', `subjectAltName=${names}`, '-addext', 'basicConstraints=critical,CA:FALSE', '-addext', 'extendedKeyUsage=serverAuth');
        return new Identity(this.dir, name);
    }
}

// What a hub shows: `cert` and `key` are files, `ca` is what clients trust.
export class Identity {
    constructor(dir, name) {
        this.cert = path.join(dir, `${name}.pem`);
        this.key = path.join(dir, `${name}.key`);
        this.caFile = path.join(dir, 'ca.pem');
        this.ca = readFileSync(this.caFile);
    }

    // For Node's servers.
    get files() { return { cert: readFileSync(this.cert), key: readFileSync(this.key) }; }

    // The hash of its public key, by which Chromium can be told to trust it.
    get pin() {
        const der = execFileSync('openssl', ['pkey', '-in', this.key, '-pubout', '-outform', 'DER']);
        return execFileSync('openssl', ['dgst', '-sha256', '-binary'], { input: der }).toString('base64');
    }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) new Authority(process.argv[2]).issue('hub');

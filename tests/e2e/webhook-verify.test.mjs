// carillon webhook verify, as somebody uses it whose receiver says "invalid signature". What is signed here is signed by Node.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scenario } from './lib/scope.mjs';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const BODY = '{"id":"evt_1","type":"order.created","data":{"total":9.90}}';
const TIME = 1_700_000_000;

const standardOf = (secret) => `v1,${createHmac('sha256', Buffer.from(secret.slice(6), 'base64')).update(`evt_1.${TIME}.${BODY}`).digest('base64')}`;
const HEADERS = { 'webhook-id': 'evt_1', 'webhook-timestamp': `${TIME}`, 'webhook-signature': standardOf(SECRET) };
const linesOf = (headers) => Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('');

// What it says, of files that are written as told.
async function verify(scope, { headers = linesOf(HEADERS), body = BODY, secret = SECRET, args = [], now = TIME + 10, env } = {}) {
    const dir = scope.dir(), file = (name, text) => { writeFileSync(path.join(dir, name), text); return path.join(dir, name); };
    const secretArgs = secret === null ? [] : ['--secret', file('secret', `${secret}\n`)];
    const { code, stdout, stderr } = await scope.carillon(['webhook', 'verify', '--headers', file('headers', headers), ...secretArgs, `--now=${now}`, ...args], { input: body, env });
    return { code, said: stdout.trim() || stderr.trim() };
}

scenario('webhook verify: what is signed is good, with headers as lines, as curl -v shows them and as JSON', async (scope) => {
    const curlLike = `> POST /hook HTTP/1.1\n> Host: x\n${Object.entries(HEADERS).map(([name, value]) => `> ${name}: ${value}\n`).join('')}>\n`;
    for (const headers of [linesOf(HEADERS), `POST /hook HTTP/1.1\r\n${linesOf(HEADERS)}`, curlLike, JSON.stringify(HEADERS, null, 2)]) {
        const { code, said } = await verify(scope, { headers });
        assert.equal(said, 'good (standard): the signature is good');
        assert.equal(code, 0);
    }
    assert.equal((await verify(scope, { secret: null, env: { CARILLON_WEBHOOK_SECRET: SECRET } })).code, 0);
});

scenario('webhook verify tells clock, secret, changed body and missing header apart', async (scope) => {
    const old = { ...HEADERS, 'webhook-signature': standardOf('whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=') };
    const cases = [
        [{ now: TIME + 301 }, 1, /^clock .*301 s ago/],
        [{ now: TIME - 301 }, 1, /^clock .*ahead/],
        [{ now: TIME + 301, args: ['--tolerance=10m'] }, 0, /^good/],
        [{ secret: SECRET.slice(6) }, 1, /^secret .*decoded from base64/],
        [{ body: `${BODY}\n` }, 1, /^body changed .*newline at its end/],
        [{ body: JSON.stringify(JSON.parse(BODY.replace('9.90', '"9.90"')), null, 2).replace('"9.90"', '9.90') }, 1, /^body changed .*written again/],
        [{ body: BODY.replace('9.90', '9.91') }, 1, /^different/],
        [{ headers: linesOf(old) }, 1, /^different/],
        [{ headers: linesOf({ ...HEADERS, 'webhook-id': '' }).replace(/^webhook-id.*\r\n/, '') }, 1, /^header missing .*webhook-id/],
        [{ headers: linesOf({ 'X-Hub-Signature-256': `sha256=${'0'.repeat(64)}` }), args: ['--scheme=standard'] }, 1, /^header missing .*scheme github/],
        [{ args: ['--scheme=md5'] }, 2, /there are standard/],
        [{ secret: null }, 2, /the secret is missing/],
    ];
    for (const [how, expected, says] of cases) {
        const { code, said } = await verify(scope, how);
        assert.match(said, says);
        assert.equal(code, expected, said);
    }
});

scenario('webhook verify finds the scheme by its headers', async (scope) => {
    const hex = (text) => createHmac('sha256', SECRET).update(text).digest('hex');
    const schemes = {
        github: { 'X-Hub-Signature-256': `sha256=${hex(BODY)}` },
        'x-webhook': { 'X-Webhook-Signature': hex(BODY) },
        'x-webhook-sha256': { 'X-Webhook-Signature': `sha256=${hex(BODY)}` },
        timestamped: { 'X-Signature': `sha256=${hex(`${TIME}.${BODY}`)}`, 'X-Timestamp': `${TIME}` },
        stripe: { 'Stripe-Signature': `t=${TIME},v1=${hex(`${TIME}.${BODY}`)},v0=old` },
    };
    for (const [name, headers] of Object.entries(schemes)) {
        const { code, said } = await verify(scope, { headers: linesOf(headers) });
        assert.equal(said, `good (${name}): the signature is good`);
        assert.equal(code, 0);
    }
});

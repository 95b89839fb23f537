// tokens.mjs: keys and tokens for the rows that show some, made once per run by openssl and the hub's own `carillon token new`.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runDir } from './server.mjs';

const KEY_OPTIONS = { RS256: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'], ES256: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  EdDSA: ['-algorithm', 'ED25519'] };
const made = {};

// { flags: what makes a hub know the key, token }
export function tokenOf(alg) {
  if (made[alg]) return made[alg];
  const file = join(runDir(), `${alg}.key`);
  if (KEY_OPTIONS[alg]) execFileSync('openssl', ['genpkey', ...KEY_OPTIONS[alg], '-out', file], { stdio: 'ignore' });
  else writeFileSync(file, '0123456789abcdef'.repeat(2), { mode: 0o600 });
  const token = execFileSync(process.env.CARILLON, ['token', 'new', '--key', file, '--alg', alg, '--kid', 'k', '--sub', 'ann', '--exp', '1d', '--subscribe', 'bench',
    '--subscribe', 'room.{user}.**', '--publish', 'chat.*'], { encoding: 'utf8' }).trim();
  return made[alg] = { flags: [`--signers.k=${alg} file:${file}`], token };
}

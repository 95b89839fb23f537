#!/usr/bin/env node
// token.mjs SECRET_FILE USER: the token that your server hands to a page when somebody has logged in. Node, nothing to install.
//
//   head -c 32 /dev/urandom | base64 > token.secret         # in the hub's settings: [signers]  app = HS256 file:token.secret
//   node token.mjs token.secret ann
//
// What the user may do is in `carillon`: here all of chat. user.ann needs no grant.
import { createHmac } from 'node:crypto';
import { readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

export function signToken(secret, user, grants, seconds = 3600) {
    const text = `${part({ alg: 'HS256', typ: 'JWT', kid: 'app' })}.${part({ sub: user, exp: Math.floor(Date.now() / 1000) + seconds, carillon: grants })}`;
    return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

export const CHAT = { subscribe: ['chat.*', 'typing.*'], publish: ['chat.*', 'typing.*'], presence: ['chat.*'] };

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
    const [file, user] = process.argv.slice(2);
    if (!user) {
        console.error('usage: token.mjs SECRET_FILE USER');
        process.exit(2);
    }
    console.log(signToken(readFileSync(file, 'utf8').trim(), user, CHAT));
}

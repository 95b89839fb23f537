#!/usr/bin/env node
// demo.mjs CARILLON: a hub, these pages, and something that happens in them: `make demo`. Runs until Ctrl-C and leaves nothing behind.
//
//   PORT=8000 API_PORT=8001 PAGES_PORT=8080: where it listens; a port that is taken is replaced by a free one
//
// Who kills the hub sees what the pages make of it: it is started again after two seconds, with what it had.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { feed } from './demo_feed.mjs';
import { pageServer } from './demo_pages.mjs';

const AGAIN_MS = 2000;

const carillon = process.argv[2];
if (!carillon) {
    console.error('usage: demo.mjs CARILLON');
    process.exit(2);
}
const dir = mkdtempSync(path.join(tmpdir(), 'carillon-demo-'));
let hub, isEnding = false;

function end(code) {
    if (isEnding) return;
    isEnding = true;
    hub?.once('exit', () => process.exit(code));
    if (!hub?.kill('SIGTERM')) process.exit(code);
}
process.on('exit', () => {
    hub?.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(0));

// ---- ports ----

function listens(server, port) {
    return new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', () => resolve(server.address().port)));
}
const orFree = (server, port) => listens(server, port).catch(() => listens(server, 0));

async function freePort(wanted) {
    const server = createServer();
    const port = await orFree(server, wanted);
    await new Promise((resolve) => server.close(resolve));
    return port;
}

// ---- the hub ----

// The kernel ends it should this process be killed.
function startHub(ports) {
    const settings = ['--dev', `--public.listen=127.0.0.1:${ports.public}`, `--api.listen=127.0.0.1:${ports.api}`, `--store.dir=${dir}`,
        '--history.ttl=1h', '--history.size=1000', '--drain.timeout=1s', '--log.level=warn'];
    hub = spawn('setpriv', ['--pdeathsig', 'TERM', carillon, 'serve', ...settings], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    hub.stderr.setEncoding('utf8').on('data', (text) => { said = (said + text).slice(-2000); });
    return new Promise((resolve) => {
        hub.stdout.once('data', () => resolve(hub.pid));
        hub.once('exit', (code, signal) => {
            if (isEnding) return;
            if (code !== null && code !== 0) {
                console.error(said);
                end(1);
                return;
            }
            console.log(`the hub has ended (${signal ?? code}); it is started again in ${AGAIN_MS / 1000} s`);
            setTimeout(() => !isEnding && startHub(ports).then((pid) => console.log(`the hub is back, pid ${pid}`)), AGAIN_MS);
        });
    });
}

function openInBrowser(...urls) {
    const opener = (process.env.PATH ?? '').split(':').map((one) => path.join(one, 'xdg-open')).find(existsSync);
    if (!opener || !(process.env.DISPLAY || process.env.WAYLAND_DISPLAY)) return;
    for (const url of urls) spawn(opener, [url], { stdio: 'ignore', detached: true }).on('error', () => {}).unref();
}

const { PORT = 8000, API_PORT = 8001, PAGES_PORT = 8080 } = process.env;
const ports = { public: await freePort(Number(PORT)), api: await freePort(Number(API_PORT)) };
const pid = await startHub(ports);
const pages = pageServer({ hub: `http://localhost:${ports.public}`, api: `http://localhost:${ports.api}` });
const at = `http://localhost:${await orFree(pages, Number(PAGES_PORT))}`;
feed({ hub: `http://127.0.0.1:${ports.public}`, api: `http://127.0.0.1:${ports.api}` });

console.log(`demo: ready. Ctrl-C stops all.

  chat           ${at}/chat.html              twice, under two names; others are there already
  dashboard      ${at}/dashboard.html
  jobs           ${at}/job-progress.html      load it again in the middle
  notifications  ${at}/notifications.html
  call           ${at}/call.html              in two tabs, under two names

  hub            http://localhost:${ports.public}/   API http://localhost:${ports.api}/   pid ${pid}

Try it:
  curl -H 'Content-Type: application/json' -d '{"data":42}' http://localhost:${ports.api}/v1/channels/metrics.mine/messages      a line more on the dashboard
  kill -9 ${pid}      the hub: it is started again after ${AGAIN_MS / 1000} s; nobody misses anything
`);
openInBrowser(`${at}/chat.html`, `${at}/dashboard.html`);

// demo_pages.mjs — a server of the pages of this folder, and of nothing else. Where they say http://localhost:8000 and :8001 they get the addresses of the hub
// that is meant; apart from that they are the files.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

export const PAGES = ['chat', 'dashboard', 'job-progress', 'notifications', 'call', 'sample-call'];

export const addressed = (text, { hub, api }) => text.replaceAll('http://localhost:8000', hub).replaceAll('http://localhost:8001', api);

// listen() is the caller's.
export function pageServer(addresses) {
    return createServer((req, res) => {
        const name = /^\/([\w-]+)\.html(?:\?|$)/.exec(req.url)?.[1];
        if (req.url === '/') return void res.writeHead(302, { Location: '/chat.html' }).end();
        if (!PAGES.includes(name)) return void res.writeHead(404).end();
        res.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store' });
        res.end(addressed(readFileSync(new URL(`${name}.html`, import.meta.url), 'utf8'), addresses));
    });
}

// calls.mjs — pages with the Room of room.js in one Chromium with made-up devices: what they tell is in window.told, peers under window.room.
import http from 'node:http';
import https from 'node:https';
import { after } from 'node:test';
import { Browser, CALLS, CALLS_MS } from './browser.mjs';
import { SUITE_TLS } from './line.mjs';

const BLANK = '<!doctype html><title>A call</title><link rel="icon" href="data:,">';
const SMALL = { audio: true, video: { width: 320, height: 180, frameRate: 10 } };      // pictures cost: two cores, four pages

// One browser for all of a file.
let browser;
after(() => browser?.then((one) => one.close()));

export class Calls {
    constructor(scope, browser, origin) { Object.assign(this, { scope, browser, origin }); }

    // trusts: of the browser, which is the first one's.
    static async start(scope, trusts = []) {
        const create = SUITE_TLS ? https.createServer.bind(https, SUITE_TLS.files) : http.createServer;      // a page of http:// may not ask over TLS
        const server = create((request, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end(BLANK));
        await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
        scope.defer(() => { server.closeAllConnections(); server.close(); });
        browser ??= Browser.start(CALLS, { deadlineMs: CALLS_MS, trusts });
        return new Calls(scope, await browser, `http${SUITE_TLS ? 's' : ''}://127.0.0.1:${server.address().port}`);
    }

    // A member: `hub` is where room.js comes from, url where it connects to.
    async member(hub, user, { room = 'call', url = hub.publicUrl(''), media = true, options = {} } = {}) {
        const page = await this.browser.open(this.origin);
        this.scope.defer(() => page.close());
        page.enter = () => page.run(`(async () => {
            const { Room } = await import(${JSON.stringify(hub.publicUrl('/room.js'))});
            window.told = [];
            const room = window.room = new Room(${JSON.stringify(url)}, ${JSON.stringify(room)}, { user: ${JSON.stringify(user)}, ...${JSON.stringify({ ...options, media })} });
            const tell = (...what) => { if (told.length < 10_000) told.push(what); };
            room.on('state', (state) => tell('state', state));
            room.on('joined', (how) => tell('joined', how.resumed, how.recovered));
            room.on('peer', (peer) => tell('peer', peer.userId));
            room.on('left', (peer, reason) => tell('left', peer.userId, reason));
            room.on('message', (peer, data) => tell('message', peer.userId, data));
            room.on('signal', (from, data) => tell('signal', from, data));
            room.on('broadcast', (from, data) => tell('broadcast', from, data));
            room.on('error', (error) => tell('error', error.name, error.code, error.message));
            room.on('ended', (error) => tell('ended', error?.code ?? null));
            room.on('servers', (servers) => tell('servers', servers));
            room.on('file', (peer, file) => tell('file', peer.userId, (window.file = file).name));
            window.all = (...names) => names.every((name) => room.peers.get(name)?.connectionState === 'connected');
            window.stats = async (name) => [...(await room.peers.get(name).connection.getStats()).values()];
            window.decoded = async (name) => (await stats(name)).find((s) => s.type === 'inbound-rtp' && s.trackIdentifier === room.peers.get(name).stream.getVideoTracks()[0]?.id)?.framesDecoded ?? 0;
            window.heard = async (name) => (await stats(name)).find((s) => s.type === 'inbound-rtp' && s.kind === 'audio')?.packetsReceived ?? 0;
            if (${media}) await room.media.open(${JSON.stringify(SMALL)});
            await room.join();
        })()`);
        await page.enter();
        page.user = user;
        return page;
    }

    async reload(page) {
        await page.reload();
        await page.enter();
    }
}

// Everybody is connected with everybody else, and sees the picture of each.
export async function allSeeAll(pages, users = pages.map(({ user }) => user)) {
    for (const page of pages) {
        const others = users.filter((user) => user !== page.user);
        await page.until(`all(...${JSON.stringify(others)})`, `${page.user} to be connected with ${others}`);
        for (const other of others) await sees(page, other);
    }
}

// More pictures than there were when this was asked.
export async function sees(page, other, more = 3) {
    const before = await page.run(`decoded(${JSON.stringify(other)})`);
    await page.until(`decoded(${JSON.stringify(other)}).then((n) => n >= ${before + more})`, `${page.user} to see ${other}`);
}

export const toldOf = (page, kind) => page.run(`told.filter(([kind]) => kind === ${JSON.stringify(kind)})`);

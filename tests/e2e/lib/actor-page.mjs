// actor-page.mjs — actors (actor.mjs) in a page of headless Chromium, seen from here like those of this process.
//
//   const page = await ActorPage.open(scope);
//   await world.round({ crew: [page.actor(world, 'ws')] });
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { CLIENT, SETTLE_MS } from './actor-world.mjs';
import { Browser } from './browser.mjs';
import { patient } from './sanitized.mjs';

const own = (name) => new URL(name, import.meta.url).pathname;
const FILES = { '/carillon.js': CLIENT, '/actor.mjs': own('actor.mjs'), '/chance.mjs': own('chance.mjs') };
const PAGE = `<!doctype html><meta charset="utf-8"><title>actors</title><script type="module">
    import { connect } from '/carillon.js';
    import { Actor } from '/actor.mjs';
    const actors = new Map();
    window.begin = (url, options, program) => { actors.set(program.name, new Actor(connect, url, options, program)); };
    window.of = (name) => actors.get(name);
    window.settle = (name) => { of(name).settled().then(() => { of(name).isSettled = true; }); };
</script>`;

// As seen from here; what takes long is asked for again and again, because an answer of the browser has a deadline.
class RemoteActor {
    constructor(page, name) { Object.assign(this, { page, name }); }
    #run(text) { return this.page.run(`of(${JSON.stringify(this.name)}).${text}`); }
    live(ms) { return this.#run(`live(${ms})`); }
    async settled() {
        await this.page.run(`settle(${JSON.stringify(this.name)})`);
        await this.page.until(`of(${JSON.stringify(this.name)}).isSettled`, 'everything answered', SETTLE_MS);
    }
    isCaughtUp(last) { return this.#run(`isCaughtUp(${JSON.stringify(last)})`); }
    report() { return this.#run('report()'); }
    close() { return this.#run('close()'); }
}

export class ActorPage {
    static async open(scope) {
        const server = http.createServer((request, response) => {
            const file = FILES[request.url];
            response.writeHead(200, { 'Content-Type': file ? 'text/javascript' : 'text/html' }).end(file ? readFileSync(file) : PAGE);
        });
        await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
        scope.defer(() => { server.closeAllConnections(); server.close(); });
        const browser = await Browser.start(), it = new ActorPage();
        scope.defer(() => browser.close());
        it.page = await browser.open(`http://127.0.0.1:${server.address().port}/`);
        await it.page.until('window.begin !== undefined', 'the page to be loaded');
        return it;
    }

    get problems() { return this.page.problems; }

    actor(world, transport, more = {}) {
        return async (program) => {
            const options = { ping: patient(1200), timeout: patient(1500), transport, api: world.apiLine.url(), ...more };
            await this.page.run(`begin(${[world.line.url(), options, program].map((part) => JSON.stringify(part)).join()})`);
            return new RemoteActor(this.page, program.name);
        };
    }
}

// engines.mjs — all that can listen to a hub as an EventSource does, behind one door.
//
//   const engines = new Engines(); … await engines.close();
//   const listener = await engines.open('Chromium', url, { page: front.page, names: ['headline'] });      // a name of ENGINES
//   await listener.ready(); listener.messages; listener.states; await listener.close();
//
// A case that cannot run on an engine says why in its table; an engine that is not on this machine says why here.
import { createRequire } from 'node:module';
import { EventSource as EventSource3 } from 'eventsource';
import { Browser, findChromium } from '../lib/browser.mjs';
import { Watched, eventually } from '../lib/wait.mjs';
import { listen } from './listen.mjs';
import { ReferenceSource } from './source.mjs';

const EventSource2 = createRequire(import.meta.url)('eventsource2');
const noChromium = !findChromium() && 'there is no Chromium on this machine';

// Source: a class of this process. kind: how the page knows it. alike: its lines are those of another.
export const ENGINES = {
    'the letter of the standard': { Source: ReferenceSource },
    // error comes before readyState is 2, and twice when a line breaks; large events take it seconds, in which this process does nothing else
    'npm eventsource 2': { Source: EventSource2, hasty: true, slow: true },
    'npm eventsource 3': { Source: EventSource3 },
    "Node's own": { Source: globalThis.EventSource, missing: !globalThis.EventSource && 'this Node has none' },
    Chromium: { kind: 'window', missing: noChromium },
    'a Worker of Chromium': { kind: 'worker', alike: true, missing: noChromium },
    'a SharedWorker of Chromium': { kind: 'shared', alike: true, missing: noChromium },
    'fetch of Chromium': { kind: 'fetch', alike: true, missing: noChromium },
};

// Events of the hub that every listener hears.
const CONTROL = ['ready', 'gap', 'bye', 'error', 'subscribed', 'unsubscribed', 'token-expiring', 'member-joined', 'member-left', 'members-changed'].map((name) => `hub.${name}`);

class Listener extends Watched {
    log = [];
    constructor(what, source, hasty) {
        super();
        Object.assign(this, { what, source, hasty });
    }
    take(told) {
        this.log.push(told);
        this.changed();
        if (this.hasty) queueMicrotask(() => this.changed());
    }
    state() { return `${this.what}: ${JSON.stringify(this.log.slice(-12), null, 1)}`; }
    of(type) { return this.log.filter((e) => e.type === type); }
    get messages() { return this.log.filter((e) => e.data !== undefined && !e.type.startsWith('hub.')); }
    get data() { return this.messages.map((e) => e.data); }
    get readyState() { return this.source?.readyState ?? this.log.at(-1).state; }
    // What it went through, as words: an event that is no message, and readyState in its handler.
    get course() {
        const words = this.log.filter((e) => e.data === undefined).map((e) => `${e.type} ${e.state}`);
        return this.hasty ? words.filter((word, i) => word !== 'error 0' || words[i - 1] !== word) : words;
    }

    took(count) { return this.waitFor(() => this.messages.length >= count && this.messages, `${count} messages`); }
    told(type, times = 1) { return this.waitFor(() => this.of(type)[times - 1], `the ${times}. ${type}`); }
    ready(times = 1) { return this.told('hub.ready', times); }
    failed() { return this.waitFor(() => this.log.at(-1)?.type === 'error' && this.readyState === 2, 'to fail for good'); }
}

export class Engines {
    #nextKey = 1;
    #listeners = new Map();
    #pages = new Map();       // by their address

    browser() { return this.started ??= Browser.start(); }

    // A page that obeys; `url` is that of a Front.
    async newPage(url) {
        const tellTest = (text) => { const { key, ...told } = JSON.parse(text); this.#listeners.get(key)?.take(told); };
        const page = await (await this.browser()).open(url, { expose: { tellTest } });
        await page.until('self.order', 'its script');
        return page;
    }

    // One for each address.
    page(url) {
        if (!this.#pages.has(url)) this.#pages.set(url, this.newPage(url));
        return this.#pages.get(url);
    }

    // options: names (events), page (for those in Chromium: which page listens, or its address), init, closeOn, handlers (listen.mjs).
    async open(name, url, { names = [], page, ...options } = {}) {
        const { Source, kind, hasty } = ENGINES[name], listener = new Listener(`${name} on ${url}`, null, hasty);
        const all = { ...options, names: [...CONTROL, ...names] };
        if (Source) {
            const source = listener.source = listen(Source, url, all, (told) => listener.take(told));
            listener.close = () => { source.close(); listener.take({ type: 'closed', state: source.readyState }); };
            return listener;
        }
        const key = this.#nextKey++, opener = typeof page === 'string' ? await this.page(page) : page;
        const order = (what) => opener.run(`order(${JSON.stringify(kind)}, ${JSON.stringify({ key, ...what })})`);
        this.#listeners.set(key, listener);
        listener.close = async () => {
            const times = listener.of('closed').length;
            await order({});
            await listener.told('closed', times + 1);
        };
        await order({ url, ...all });
        return listener;
    }

    async close() { await (await this.started)?.close(); }
}

// For what ends some time after a listener has been closed.
export const gone = (front, path) => eventually(() => front.of(path).every((r) => r.ended), `the requests for ${path} to end`, undefined, () => front.state());

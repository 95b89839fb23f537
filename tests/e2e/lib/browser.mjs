// browser.mjs — headless Chromium, driven over the DevTools protocol by the WebSocket client the tests have anyway.
//
//   const page = await openPage(scope, 'http://…/');  // of the one browser that a test file has; closed with the scope
//   await page.run('document.title');                 // any expression; promises are waited for
//   await page.until('window.got.length >= 3', 'three messages');
import { after } from 'node:test';
import { spawn, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import WebSocket from 'ws';
import { SUITE_TLS } from './line.mjs';
import { DEADLINE_MS, eventually, within } from './wait.mjs';

const START_MS = 60_000;      // a browser that starts beside other tests on two cores

export function findChromium() {
    for (const name of [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']) if (name && existsSync(name)) return name;
    try { return execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim(); } catch { return null; }
}

// To start one costs more than most tests that want one.
let common;
after(() => common?.then((browser) => browser.close()));

export async function openPage(scope, url, options) {
    const page = await (await (common ??= Browser.start())).open(url, options);
    scope.defer(() => page.close());
    return page;
}

// Cameras (the second one measures depth: no picture) and microphones that are made up, nobody asked, and connections within this machine.
export const CALLS = ['--use-fake-device-for-media-stream=device-count=3', '--use-fake-ui-for-media-stream', '--auto-select-desktop-capture-source=Entire screen', '--allow-loopback-in-peer-connection',
    '--disable-features=WebRtcHideLocalIpsWithMdns', '--autoplay-policy=no-user-gesture-required'];
// Four pages code and decode the pictures of each other on two cores that others use too: what takes two seconds may take a hundred.
export const CALLS_MS = 120_000, CALL_TEST_MS = 10 * 60_000;

export class Browser {
    #nextId = 1;
    #waiting = new Map();
    #pages = new Map();      // by the id of their session
    #open = 0;
    stderr = '';

    // flags: more of Chromium's own. deadlineMs: of whatever is waited for in its pages. trusts: identities (certificate.mjs), beside the hubs'.
    static async start(flags = [], { deadlineMs = DEADLINE_MS, trusts = [] } = {}) {
        const browser = Object.assign(new Browser(), { deadlineMs }), pins = [SUITE_TLS, ...trusts].filter(Boolean).map(({ pin }) => pin);
        browser.profile = mkdtempSync(path.join(tmpdir(), 'carillon-e2e-chromium-'));
        // A group of its own, because Chromium is many processes.
        browser.child = spawn(findChromium(), ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-extensions',
            '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-proxy-server', '--mute-audio',
            ...(pins.length ? [`--ignore-certificate-errors-spki-list=${pins}`] : []), ...flags, '--remote-debugging-port=0', `--user-data-dir=${browser.profile}`, 'about:blank'], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
        browser.child.on('exit', () => { browser.exited = true; });
        process.once('exit', browser.killNow = () => browser.#kill());
        const devtools = new Promise((resolve, reject) => {
            browser.child.on('error', reject);
            browser.child.on('exit', (code) => reject(new Error(`chromium ended with ${code}: ${browser.stderr.slice(-2000)}`)));
            browser.child.stderr.setEncoding('utf8').on('data', (text) => {
                browser.stderr += text;
                const found = /DevTools listening on (ws:\S+)/.exec(browser.stderr);
                if (found) resolve(found[1]);
            });
        });
        try { await browser.#connect(await within(devtools, 'chromium to start', START_MS)); } catch (error) { await browser.close(); throw error; }
        return browser;
    }

    async #connect(url) {
        this.socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: 256 * 1024 * 1024 });
        this.socket.on('message', (text) => this.#onMessage(JSON.parse(text)));
        await within(new Promise((resolve, reject) => this.socket.once('open', resolve).once('error', reject)), 'the DevTools connection');
    }

    #onMessage({ id, result, error, method, params, sessionId }) {
        if (method) { this.#pages.get(sessionId)?.onEvent(method, params); return; }
        const waiter = this.#waiting.get(id);
        this.#waiting.delete(id);
        if (error) waiter?.reject(new Error(`${waiter.method}: ${error.message}`)); else waiter?.resolve(result);
    }

    call(method, params = {}, sessionId) {
        const id = this.#nextId++;
        const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject, method }));
        this.socket.send(JSON.stringify({ id, method, params, sessionId }));
        return within(answer, `an answer to ${method}${params.expression ? ` (${params.expression.slice(0, 200)})` : ''}`, this.deadlineMs);
    }

    // expose: { name: fn }, functions that the page may call with one string.
    async open(url, { expose = {} } = {}) {
        // One behind another would be hidden; a window of its own costs as much as all else of a page.
        const { targetId } = await this.call('Target.createTarget', { url: 'about:blank', newWindow: this.#open++ > 0 });
        const { sessionId } = await this.call('Target.attachToTarget', { targetId, flatten: true });
        const page = new Page(this, targetId, sessionId, expose);
        this.#pages.set(sessionId, page);
        await page.call('Page.enable');
        await page.call('Runtime.enable');
        for (const name of Object.keys(expose)) await page.call('Runtime.addBinding', { name });
        await page.go(url);
        return page;
    }

    shut({ targetId, sessionId }) {
        this.#open--;
        this.#pages.delete(sessionId);
        return this.call('Target.closeTarget', { targetId });
    }

    #kill() { if (!this.exited) try { process.kill(-this.child.pid, 'SIGKILL'); } catch { /* gone already */ } }

    async close() {
        process.removeListener('exit', this.killNow);
        this.socket?.terminate();
        this.#kill();
        await eventually(() => this.exited, 'chromium to end');
        rmSync(this.profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    }
}

class Page {
    problems = [];       // exceptions and console errors of the page
    #loaded = () => {};

    constructor(browser, targetId, sessionId, exposed) { Object.assign(this, { browser, targetId, sessionId, exposed }); }

    onEvent(method, params) {
        if (method === 'Runtime.exceptionThrown') this.problems.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
        if (method === 'Page.loadEventFired') this.#loaded();
        if (method === 'Runtime.bindingCalled') this.exposed[params.name]?.(params.payload);
    }
    call(method, params) { return this.browser.call(method, params, this.sessionId); }

    async go(url) {
        await this.call('Page.navigate', { url });
        await this.until("location.href !== 'about:blank' && document.readyState === 'complete'", `the page ${url}`);
    }
    async reload() {
        const loaded = new Promise((resolve) => { this.#loaded = resolve; });
        await this.call('Page.reload');
        await within(loaded, 'the page to be loaded again', this.browser.deadlineMs);
    }
    close() { return this.browser.shut(this); }

    async run(expression) {
        const { result, exceptionDetails } = await this.call('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
        if (exceptionDetails) throw new Error(`in the page: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
        return result.value;
    }
    until(expression, what, ms = this.browser.deadlineMs) { return eventually(() => this.run(expression), `${what} (${expression})`, ms); }

    // Real input events, as of a person.
    async type(selector, text) {
        await this.run(`(() => { const e = document.querySelector(${JSON.stringify(selector)}); e.focus(); e.select?.(); })()`);
        await this.call('Input.insertText', { text });
    }
    async press(key, code) {
        for (const type of ['keyDown', 'keyUp']) await this.call('Input.dispatchKeyEvent', { type, key, code: key, windowsVirtualKeyCode: code, text: type === 'keyDown' && key === 'Enter' ? '\r' : undefined });
    }
    async click(selector) {
        const { x, y } = await this.run(`(() => { const e = document.querySelector(${JSON.stringify(selector)}); e.scrollIntoView({ block: 'center' }); const r = e.getBoundingClientRect(); return { x: r.x + r.width / 2, y: r.y + r.height / 2 }; })()`);
        for (const type of ['mousePressed', 'mouseReleased']) await this.call('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: 1 });
    }
    async screenshot(file) {
        const { data } = await this.call('Page.captureScreenshot', { format: 'png' });
        writeFileSync(file, Buffer.from(data, 'base64'));
    }
}

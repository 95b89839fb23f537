// The reference page at /docs of the API: everything of /openapi.json is on it, and a request can be tried. SCREENSHOTS=dir keeps pictures.
import assert from 'node:assert/strict';
import path from 'node:path';
import { findChromium, openPage } from './lib/browser.mjs';
import { request } from './lib/http.mjs';
import { Contract } from './lib/openapi.mjs';
import { scenario } from './lib/scope.mjs';
import { bearer, sign, tokenHub } from './lib/tokens.mjs';

const contract = Contract.ofBinary();
const NARROW = { width: 360, height: 740, deviceScaleFactor: 2, mobile: true };
const WIDE = { width: 1280, height: 860, deviceScaleFactor: 1, mobile: false };
const picture = async (page, name) => { if (process.env.SCREENSHOTS) await page.screenshot(path.join(process.env.SCREENSHOTS, `${name}.png`)); };
const open = async (scope, hub) => {
    const page = await openPage(scope, hub.apiUrl('/docs'));
    await page.call('Emulation.setDeviceMetricsOverride', WIDE);
    await page.until("document.querySelectorAll('.operation').length > 0", 'the operations');
    return page;
};
const OPENED = ['publish', 'publishBatch', 'listConnections', 'makeKey', 'sse', 'ready'];
const OPEN = `for (let all; (all = ${JSON.stringify(OPENED)}.flatMap((id) => [...document.querySelectorAll('#' + id + ':not([open]), #' + id + ' details:not([open])')])).length;)
    for (const one of all) { one.open = true; one.dispatchEvent(new Event('toggle')); }`;

scenario('the page is one file, whose policy lets in its own script and style only', async (scope) => {
    const hub = await scope.hub({ dev: false });
    const answer = await request(hub, '/docs');
    assert.equal(answer.status, 200);
    assert.match(answer.headers['content-type'], /^text\/html; charset=utf-8/);
    assert.ok(answer.body.length < 40 * 1024, `${answer.body.length} bytes`);
    assert.match(answer.headers['content-security-policy'], /^default-src 'none';.* script-src 'sha256-[A-Za-z0-9+/]{43}='; style-src 'sha256-[A-Za-z0-9+/]{43}='$/);
    assert.doesNotMatch(answer.text, /(?:src|href)="(?:https?:)?\/\//, 'nothing from elsewhere');
    assert.equal((await request(hub, '/docs', { headers: { 'If-None-Match': answer.headers.etag } })).status, 304);
    for (const href of ['/docs', '/openapi.json']) assert.ok((await request(hub, '/')).json.links.some((link) => link.href === href), href);
});

scenario('everything that is described is on the page, can be searched, and fits on a phone', { skip: !findChromium() && 'no Chromium here' }, async (scope) => {
    const hub = await scope.hub();
    const page = await open(scope, hub);
    assert.deepEqual((await page.run("[...document.querySelectorAll('.operation')].map((one) => one.id)")).sort(), contract.operations.map(({ operation }) => operation.operationId).sort());
    await picture(page, 'docs');
    assert.deepEqual(await page.run("performance.getEntriesByType('resource').map((one) => one.name)"), [hub.apiUrl('/openapi.json')]);
    await page.type('#search', 'idempotency mismatch');
    assert.deepEqual(await page.run("[...document.querySelectorAll('.operation:not([hidden])')].map((one) => one.id)"), ['publish', 'publishToUser', 'tellEvent']);
    await page.run("document.querySelector('#search').value = ''; document.querySelector('#search').dispatchEvent(new Event('input'))");
    await page.run(OPEN);
    const text = await page.run('document.body.innerText');
    for (const word of ['publish_disabled', 'If-Position', 'X-RateLimit-Remaining', 'old_until', 'text/event-stream', 'curl -i']) assert.ok(text.includes(word), word);
    await page.call('Emulation.setDeviceMetricsOverride', NARROW);
    assert.ok(await page.run('document.documentElement.scrollWidth') <= NARROW.width, 'nothing stands out on a phone');
    await page.run("document.querySelector('#publish').scrollIntoView()");
    await picture(page, 'docs-narrow');
    assert.deepEqual(page.problems, []);
});

scenario('a request can be tried with a key, which stays in the page', { skip: !findChromium() && 'no Chromium here' }, async (scope) => {
    const hub = await tokenHub(scope);
    const page = await open(scope, hub);
    const result = "(document.querySelector('#publish .result')?.innerText ?? '')";
    await page.run("location.hash = '#publish'");
    await page.until("document.querySelector('#publish form')", 'the operation that the address names');
    await page.run("[...document.querySelectorAll('#publish button')].find((one) => one.textContent === 'Take over below').click()");
    await page.run("document.querySelector('#publish button.first').click()");
    await page.until(`${result}.includes('401') && ${result}.includes('unauthenticated')`, 'to be refused without a key');
    const token = await sign({ sub: 'ann', carillon: { publish: ['news'], history: ['news'] } });
    await page.type('#key', token);
    await page.run("document.querySelector('#publish button.first').click()");
    await page.until(`${result}.includes('201')`, 'a publish');
    await page.call('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: 'dark' }] });
    await page.run("document.querySelector('#publish form').scrollIntoView()");
    await picture(page, 'docs-dark');
    assert.deepEqual((await request(hub, '/v1/channels/news/messages', { headers: bearer(token) })).json.data.map((m) => m.data), [{ price: 0.1 }]);
    assert.equal(await page.run('localStorage.length + sessionStorage.length'), 0);
    assert.equal(await page.run('location.href'), hub.apiUrl('/docs#publish'));
    assert.deepEqual(page.problems, []);
});

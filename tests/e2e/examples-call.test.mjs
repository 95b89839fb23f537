// clients/examples/call.html and sample-call.html, used as people use them, with made-up cameras. SCREENSHOTS=dir has pictures of it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after } from 'node:test';
import path from 'node:path';
import { Browser, CALLS, CALLS_MS, CALL_TEST_MS, findChromium } from './lib/browser.mjs';
import { SUITE_TLS } from './lib/line.mjs';
import { member } from './lib/member.mjs';
import { scenario } from './lib/scope.mjs';
import { pageServer } from '../../clients/examples/demo_pages.mjs';

const options = {
    skip: (!findChromium() && 'there is no Chromium on this machine') || (Boolean(SUITE_TLS) && 'pages of http:// may not ask over TLS'),
    timeout: CALL_TEST_MS,
};
let browser;
after(() => browser?.then((one) => one.close()));

// open('call.html') of a server of the examples; pages that talk to this hub.
async function visitor(scope, hub) {
    browser ??= Browser.start(CALLS, { deadlineMs: CALLS_MS });
    const local = (url) => url.replace('127.0.0.1', 'localhost'), server = pageServer({ hub: local(hub.publicUrl('')), api: local(hub.apiUrl('')) });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => { server.close(); server.closeAllConnections(); });
    const one = await browser;
    return async (where) => {
        const page = await one.open(`http://localhost:${server.address().port}/${where}`);
        scope.defer(() => page.close());
        return page;
    };
}

const picture = async (page, name) => process.env.SCREENSHOTS && page.screenshot(path.join(process.env.SCREENSHOTS, `${name}.png`));
const sized = (page, width, height, mobile = false) => page.call('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile });
const inDark = (page, is) => page.call('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: is ? 'dark' : 'light' }] });

// Somebody who joins, by the form.
async function comeIn(open, name, where = 'call.html#team') {
    const page = await open(where);
    await sized(page, 1100, 700);
    await page.type('#name', name);
    await page.press('Enter', 13);
    return page;
}
// A picture that moves, in a tile: frames are counted, and the video is shown.
const sees = (page, name) => page.until(`(() => { const tile = document.querySelector('.tile[aria-label="${name}"]'); return tile?.matches('.camera, .screen') && tile.querySelector('video').getVideoPlaybackQuality().totalVideoFrames > 5; })()`, `a picture of ${name}`);
const textsOf = (page, selector) => page.run(`[...document.querySelectorAll(${JSON.stringify(selector)})].map((e) => e.textContent)`);

scenario('call.html: two meet, talk, send a file, record, and one loads the page again', options, async (scope) => {
    const hub = await scope.hub({ args: ['--sse.retry=200ms'] });
    const open = await visitor(scope, hub);
    const ann = await comeIn(open, 'Ann Berg');
    await ann.until("document.querySelector('.pill.live') && !document.querySelector('#alone').hidden", 'ann to wait');
    const bob = await comeIn(open, 'Bob');
    await sees(ann, 'Bob');
    await sees(bob, 'Ann Berg');
    await ann.until("/direct · \\d+ ms/.test(document.querySelector('.way.live')?.textContent)", 'how the connection is');
    await picture(ann, 'call-two');

    await ann.click('#mic');
    await bob.until("getComputedStyle(document.querySelector('.tile[aria-label=\"Ann Berg\"] .label svg')).display !== 'none'", 'bob to see that ann is muted');
    await ann.click('#hand');
    await bob.until("document.querySelector('.tile.hand .raised:not([hidden])')", 'the hand');
    await ann.click('#chat');
    await ann.type('#say input', 'Hello <b>Bob</b>');
    await ann.press('Enter', 13);
    await bob.until("document.querySelector('#chat .badge').textContent === '1'", 'an unread message');
    await bob.click('#chat');
    assert.deepEqual(await textsOf(bob, '#log li:not(.note) span'), ['Hello <b>Bob</b>']);
    await bob.run(`(() => { const input = document.querySelector('#files'), data = new DataTransfer(); data.items.add(new File([new Uint8Array(3_000_000)], 'plans.pdf')); input.files = data.files; input.onchange(); })()`);
    await ann.until("document.querySelector('.file button')?.textContent === 'Accept'", 'a file that is offered');
    await ann.click('.file button');
    await ann.until("document.querySelector('.file a')?.download === 'plans.pdf'", 'the file');
    assert.equal(await ann.run("fetch(document.querySelector('.file a').href).then((r) => r.blob()).then((b) => b.size)"), 3_000_000);
    await bob.until("document.querySelector('.file small').textContent === '3.0 MB, done'", 'bob to know that it has come');
    await picture(ann, 'call-chat');

    await records(ann, bob);

    await bob.reload();
    await ann.until("[...document.querySelectorAll('#log .note')].filter((note) => note.textContent.startsWith('Bob')).map((note) => note.textContent.slice(4)).join() === 'is here,has left and comes back,is here'", 'ann to see bob go and come');
    await sees(bob, 'Ann Berg');
    await sees(ann, 'Bob');
    await inDark(bob, true);
    await sized(bob, 360, 740, true);
    await bob.until("document.querySelectorAll('#bar button').length === 8 && document.documentElement.scrollWidth <= 360", 'nothing to be wider than a phone');
    await picture(bob, 'call-phone');
    await inDark(ann, true);
    await picture(ann, 'call-dark');
    const other = await comeIn(open, 'Bob');
    await other.until("/Somebody of this name/.test(document.querySelector('#greeting.bad')?.textContent) && document.querySelector('#app').hidden", 'a name that is taken to be told');
    await other.type('#name', 'Cat');
    await other.press('Enter', 13);
    await sees(other, 'Ann Berg');
    await other.click('#hangup');
    await ann.until("document.querySelectorAll('.tile').length === 2", 'the third to be gone');
    await recordsToTheEnd(bob);
    await ann.until("document.querySelectorAll('.tile').length === 1", 'ann to be alone');
    assert.deepEqual([ann.problems, bob.problems, other.problems], [[], [], []]);
});

// What is in the last file that was recorded: pictures, and what was said meanwhile.
const recorded = (page) => page.run(`(async () => {
    const blob = await (await fetch([...document.querySelectorAll('a')].filter((a) => a.download.startsWith('call-')).at(-1).href)).blob(), video = document.createElement('video');
    const picture = await new Promise((resolve) => {
        video.onloadeddata = video.onerror = () => resolve(video.error?.message ?? [video.videoWidth, video.videoHeight]);
        video.src = URL.createObjectURL(blob);
    });
    const sound = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(await blob.arrayBuffer()).catch(() => null);
    return { picture, isSilent: sound?.getChannelData(0).every((sample) => sample === 0) ?? true };
})()`);

async function records(page, other) {
    await page.call('Browser.setDownloadBehavior', { behavior: 'deny' }).catch(() => {});
    await page.run("for (let i = 0; i < 2; i++) document.querySelector('#record').click()");
    await page.until("document.querySelector('#log li:last-child').textContent === 'Nothing was recorded.' && document.querySelector('#rec').hidden", 'a recording that was ended at once to be told');
    await page.click('#record');
    assert.equal(await page.run("document.querySelector('#rec').textContent"), '00:00');
    await page.until("document.querySelector('#rec').textContent >= '00:01'", 'a second of recording');
    await other.until("document.querySelector('.records:not([hidden])') && document.querySelector('#log .note:last-child').textContent === 'Ann Berg records the call'", 'who is recorded to know it');
    await page.click('#record');
    await page.until("[...document.querySelectorAll('#log a')].some((a) => a.download.startsWith('call-'))", 'the recording');
    assert.deepEqual(await recorded(page), { picture: [1280, 720], isSilent: false });
}

// In a browser that lets nothing be heard; and who leaves while he records keeps what he has.
async function recordsToTheEnd(page) {
    await page.call('Browser.setDownloadBehavior', { behavior: 'deny' }).catch(() => {});
    await page.run('window.AudioContext = class extends AudioContext { constructor() { super(); this.suspend(); } resume() { return new Promise(() => {}); } }, 0');
    await page.click('#record');
    await page.until("document.querySelector('#rec').textContent >= '00:01'", 'a recording without sound');
    assert.match((await textsOf(page, '#log .note')).at(-1), /no sound/);
    await page.click('#hangup');
    await page.until("document.querySelector('#app').hidden && document.querySelector('#kept a')", 'what was recorded before the end');
    assert.deepEqual(await recorded(page), { picture: [1280, 720], isSilent: true });
}

// Devices that are there, or not, or may not be used: fails is the name of the error, and for which.
const devicesOf = (page, fails) => page.run(`(() => {
    const { mediaDevices } = navigator, ask = mediaDevices.getUserMedia.bind(mediaDevices), list = mediaDevices.enumerateDevices.bind(mediaDevices), fails = ${JSON.stringify(fails)};
    window.hasCamera = false;
    mediaDevices.getUserMedia = (wanted) => fails.kinds.some((kind) => wanted[kind]) ? Promise.reject(new DOMException('not here', fails.name)) : ask(wanted);
    mediaDevices.enumerateDevices = async () => (await list()).filter(({ kind }) => hasCamera || kind !== 'videoinput');
})()`);
const says = (page, selector, what) => page.until(`${what}.test(document.querySelector('${selector}')?.textContent) && !document.querySelector('${selector}').closest('[hidden]')`, `${selector} to say ${what}`);

scenario('call.html: the seventh is told that there is no place; whose camera is missing, or refused, what the others have of him', options, async (scope) => {
    const hub = await scope.hub(), open = await visitor(scope, hub), guests = [];
    for (let n = 1; n <= 6; n++) guests.push(await member(scope, hub, 'call.team', `guest ${n}`));
    const ann = await open('call.html#team');
    await devicesOf(ann, { name: 'NotFoundError', kinds: ['video'] });
    await ann.type('#name', 'Ann');
    await ann.press('Enter', 13);
    await says(ann, '#greeting.bad', /Six people are in this call already/);
    await guests[0].ask('leave');
    await ann.click('#welcome .first');
    await ann.until("document.querySelectorAll('.tile').length === 6 && document.querySelector('.pill.live')", 'a place that has become free');
    await says(ann, '#toast', /no camera that works here: the others hear you/);
    await ann.until("!document.querySelector('#mic.off') && document.querySelector('#cam.off')", 'the microphone alone');
    await ann.click('#devices');
    await ann.until("document.querySelector('#video-device:disabled')?.textContent === 'There is no camera'", 'no camera to be chosen');
    await ann.run("hasCamera = true, navigator.mediaDevices.dispatchEvent(new Event('devicechange'))");
    await ann.until("document.querySelector('#video-device:enabled')?.options.length > 1", 'cameras that were plugged in');
    await ann.press('Escape', 27);
    await guests[1].ask('kick', { user_id: 'Ann' });
    await says(ann, '#greeting.bad', /You were asked to leave/);

    const bob = await open('call.html#other');
    await devicesOf(bob, { name: 'NotAllowedError', kinds: ['audio', 'video'] });
    await bob.type('#name', 'Bob');
    await bob.press('Enter', 13);
    await says(bob, '#toast', /may not use your camera and microphone/);
    await bob.until("document.querySelector('#mic.off') && document.querySelector('#cam.off') && document.querySelector('.pill.live')", 'bob to be in without them');
    await sized(bob, 360, 740, true);
    await picture(bob, 'call-refused');
    assert.deepEqual([ann.problems, bob.problems], [[], []]);
});

scenario('sample-call.html: the code of a tutorial makes a call', options, async (scope) => {
    const hub = await scope.hub(), open = await visitor(scope, hub);
    const join = async () => {
        const page = await open('sample-call.html');
        await page.click('#form button');
        return page;
    };
    const first = await join();
    await first.until("document.querySelector('#status').textContent === 'waiting for somebody'", 'the first to be in');
    const second = await join();
    for (const page of [first, second]) await page.until("document.querySelector('video:not(#local)')?.getVideoPlaybackQuality().totalVideoFrames > 5", 'the other picture');
    await picture(second, 'sample-call');
    for (const page of [first, second]) assert.equal(await page.run("document.querySelector('#status').textContent"), 'with 1 other');
    await second.click('#leave');
    await first.until("document.querySelectorAll('video').length === 1 && document.querySelector('#status').textContent === 'waiting for somebody'", 'the other to be gone');
    assert.deepEqual([first.problems, second.problems], [[], []]);
});

scenario('README, "A video call in five minutes": the page as it stands there', options, async (scope) => {
    const hub = await scope.hub({ args: ['--sse.retry=200ms'] });
    const text = /^```html\n([^]*?)^```$/m.exec(readFileSync(new URL('../../README.md', import.meta.url), 'utf8').split('## A video call in five minutes\n')[1])[1];
    const server = createServer((req, res) => res.writeHead(200, { 'Content-Type': 'text/html' }).end(text.replaceAll('http://localhost:8000', hub.publicUrl('').replace('127.0.0.1', 'localhost'))));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    scope.defer(() => { server.close(); server.closeAllConnections(); });
    browser ??= Browser.start(CALLS);
    const open = async () => {
        const page = await (await browser).open(`http://localhost:${server.address().port}/call.html`);
        scope.defer(() => page.close());
        return page;
    };
    const seesOther = (page) => page.until("document.querySelectorAll('video').length === 2 && document.querySelectorAll('video')[1].getVideoPlaybackQuality().totalVideoFrames > 5", 'the other picture', 60_000);
    const [ann, bob] = [await open(), await open()];
    await Promise.all([seesOther(ann), seesOther(bob)]);
    await picture(ann, 'readme-call');
    await bob.call('Page.reload');
    await Promise.all([seesOther(bob), seesOther(ann)]);
    assert.equal(await ann.run("document.querySelector('#state').textContent"), 'open, with 1 more');
    assert.deepEqual([ann.problems, bob.problems], [[], []]);
});

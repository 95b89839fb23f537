// room.js in Chromium: members of a room see and hear each other, whatever happens to their lines, their pages and their devices meanwhile.
import assert from 'node:assert/strict';
import { CALL_TEST_MS, findChromium } from './lib/browser.mjs';
import { Calls, allSeeAll, sees, toldOf } from './lib/calls.mjs';
import { FrameProxy } from './lib/frames.mjs';
import { SUITE_REDIS } from './lib/redis.mjs';
import { scenario } from './lib/scope.mjs';

const options = { skip: !findChromium() && 'there is no Chromium on this machine', timeout: CALL_TEST_MS };
const noErrors = async (...pages) => { for (const page of pages) assert.deepEqual([await toldOf(page, 'error'), page.problems], [[], []], page.user); };
const same = async (page, name) => page.run(`room.peers.get('${name}').connection === window.before`);

// What a person does while two see each other, in one call: a page, and a browser, are dear.
scenario('calls: two pages see and hear each other; glare, screen, devices, data and files, a reload, the end', options, async (scope) => {
    const hub = await scope.hub({ args: ['--sse.retry=200ms', '--rooms.grace=2m', '--ice.turn=turn:127.0.0.1:9', '--ice.secrets=north', '--ice.ttl=10s'] });
    const proxy = await FrameProxy.listen(scope, hub), calls = await Calls.start(scope);
    const ann = await calls.member(hub, 'ann', { url: proxy.url, options: { info: { name: 'Ann' } } }), bob = await calls.member(hub, 'bob', { url: proxy.url });
    await allSeeAll([ann, bob]);
    await bob.until("heard('ann').then((packets) => packets > 5)", 'bob to hear ann');
    assert.deepEqual(await bob.run("[room.peers.get('ann').isPolite, room.peers.get('ann').info, room.peers.get('ann').state]"), [true, { name: 'Ann' }, { microphone: true, camera: true, screen: false }]);
    assert.equal(await ann.run("(window.before = room.peers.get('bob').connection) && room.peers.get('bob').isPolite"), false);

    await bothOffer(proxy, ann, bob);
    await devices(ann, bob);
    await dataAndFiles(ann, bob);
    await ann.until("told.some(([kind]) => kind === 'servers')", 'other credentials for TURN');
    const [servers, inUse] = await ann.run("[told.findLast(([kind]) => kind === 'servers')[1], room.peers.get('bob').connection.getConfiguration().iceServers].map((all) => all.map((s) => s.username))");
    assert.deepEqual(inUse, servers, 'they are in the call that is under way');
    assert.ok(await same(ann, 'bob'), 'all that in one connection');

    await calls.reload(bob);
    await bob.run('room.media.setCamera(false), room.media.setCamera(true)');      // while the first offer is being answered
    await allSeeAll([ann, bob]);
    await ann.run("window.fragment = () => /a=ice-ufrag:(.*)/.exec(room.peers.get('bob').connection.currentLocalDescription.sdp)[1], window.old = fragment(), dispatchEvent(new Event('online'))");
    await ann.until('fragment() !== old', 'ICE to begin anew when the network changes');
    await allSeeAll([ann, bob]);
    assert.deepEqual(await toldOf(ann, 'left'), [['left', 'bob', 'replaced']], 'at once, not after a grace');
    assert.deepEqual(await bob.run("room.peers.get('ann').isPolite"), true);
    await noErrors(ann, bob);
    await bob.run('room.leave()');
    await ann.until("told.some(([kind, user, reason]) => kind === 'left' && user === 'bob' && reason === 'left')", 'ann to see bob go');
    assert.deepEqual([await ann.run('room.peers.size'), await bob.run('told.at(-1)'), await bob.run('room.media.stream.getTracks().length')], [0, ['ended', null], 0]);
    await noErrors(ann, bob);
});

// Both change something in the same moment, several times, and no offer arrives before both have been said: both changes are in the call afterwards.
async function bothOffer(proxy, ann, bob) {
    const change = (name) => `(() => { const { connection } = room.peers.get('${name}'); connection.addTransceiver('video'); connection.restartIce(); })()`;
    for (let round = 1; round <= 3; round++) {
        let offers = 0, bothSaid;
        const both = new Promise((resolve) => { bothSaid = resolve; });
        proxy.onFrame = ({ type }, side) => {
            if (side !== 'client' || type !== 'offer' || ++offers > 2) return undefined;
            if (offers === 2) bothSaid();
            return both;
        };
        await Promise.all([ann.run(change('bob')), bob.run(change('ann'))]);
        for (const [page, other] of [[ann, 'bob'], [bob, 'ann']])
            await page.until(`(({ connection }) => connection.signalingState === 'stable' && connection.getTransceivers().filter((t) => t.mid !== null && t.receiver.track.kind === 'video').length === ${1 + 2 * round})(room.peers.get('${other}'))`, `both changes of round ${round} to be in ${page.user}'s call`);
        assert.ok(offers >= 3, 'the polite side has offered its change again');
    }
    proxy.onFrame = () => {};
    await allSeeAll([ann, bob]);
}

async function devices(ann, bob) {
    const offers = await ann.run("room.peers.get('bob').connection.localDescription.sdp");
    await ann.run('room.media.mute()');
    await bob.until("room.peers.get('ann').state.microphone === false", 'bob to know that ann is muted');
    await ann.run('room.media.setCamera(false)');
    await bob.until("room.peers.get('ann').state.camera === false", 'bob to know that the camera is off');
    await ann.run('room.media.setCamera(true), room.media.mute(false)');
    await sees(bob, 'ann');
    const [, , other] = (await ann.run('room.media.devices()')).video;
    await ann.run(`(async () => room.media.use('video', (await room.media.devices()).video[2].deviceId))()`);
    assert.equal(await ann.run("room.media.deviceOf('video') === null"), false);
    assert.ok(other, 'there are other cameras');
    await sees(bob, 'ann');
    await pulledOut(ann, bob);
    await ann.run('room.media.shareScreen()');
    await bob.until("room.peers.get('ann').state.screen === true", 'bob to know of the screen');
    await sees(bob, 'ann', 1);
    await ann.run('room.media.stopScreen()');
    await bob.until("room.peers.get('ann').state.screen === false && room.peers.get('ann').state.camera", 'the camera again');
    await sees(bob, 'ann');
    await ann.run('room.setState({ hand: true })');
    await bob.until("room.peers.get('ann').state.hand === true", 'what the application shows');
    assert.equal(await ann.run("room.peers.get('bob').connection.localDescription.sdp"), offers, 'none of it was negotiated');
}

// The browser says so by the end of the track: another device is taken, and asked for by no name; where there is none that is told, and everything else goes on.
async function pulledOut(ann, bob) {
    await ann.run(`(async () => {
        const { mediaDevices } = navigator, ask = mediaDevices.getUserMedia.bind(mediaDevices);
        window.asked = [], window.hasDevices = true;
        mediaDevices.getUserMedia = (wanted) => { asked.push(wanted); return hasDevices ? ask(wanted) : Promise.reject(new DOMException('Requested device not found', 'NotFoundError')); };
        window.pull = (kind) => { const [track] = room.media.stream.getTracks().filter((one) => one.kind === kind); track.stop(), track.dispatchEvent(new Event('ended')); };
        await room.media.open({ audio: true, video: { width: 320, deviceId: { exact: room.media.deviceOf('video') } } });
    })()`);
    await ann.run("pull('video')");
    await ann.until('asked.length === 2 && room.media.state.camera', 'another camera');
    assert.deepEqual(await ann.run('asked[1]'), { video: { width: 320 } });
    await sees(bob, 'ann');
    await ann.run("hasDevices = false, pull('audio')");
    await ann.until("told.some(([kind, name]) => kind === 'error' && name === 'NotFoundError')", 'ann to be told that there is no microphone');
    await bob.until("room.peers.get('ann').state.microphone === false && room.peers.get('ann').state.camera", 'bob to know it');
    await sees(bob, 'ann');
    await ann.run("hasDevices = true, told.splice(told.findIndex(([kind]) => kind === 'error'), 1), room.media.open({ audio: true, video: false })");
    await bob.until("room.peers.get('ann').state.microphone", 'another microphone that was plugged in');
    const before = await bob.run("heard('ann')");
    await bob.until(`heard('ann').then((packets) => packets > ${before})`, 'bob to hear ann again');
}

async function dataAndFiles(ann, bob) {
    await ann.run("room.send({ text: 'one' }), room.send({ text: 'two' }, 'bob'), room.broadcast({ by: 'hub' }), room.signal('bob', 'straight')");
    await bob.until("told.filter(([kind]) => ['message', 'broadcast', 'signal'].includes(kind)).length === 4", 'all that ann says');
    assert.deepEqual(await toldOf(bob, 'message'), [['message', 'ann', { text: 'one' }], ['message', 'ann', { text: 'two' }]]);
    assert.deepEqual([await toldOf(bob, 'broadcast'), await toldOf(bob, 'signal')], [[['broadcast', 'ann', { by: 'hub' }]], [['signal', 'ann', 'straight']]]);
    // 5 MB that say where they are: what waits in the channel stays small, and all of it comes, in order.
    await ann.run(`(() => {
        const bytes = new Uint32Array(1_250_000).map((_, i) => i * 2654435761);
        window.most = 0, window.progress = [];
        const create = RTCDataChannel.prototype.send;
        RTCDataChannel.prototype.send = function (data) { create.call(this, data); most = Math.max(most, this.bufferedAmount); };
        room.on('progress', (peer, file) => progress.push(file.moved));
        [window.sent] = room.sendFile(new File([bytes], '../up/rep\\u202eort.bin', { type: 'application/x' }), 'bob');
    })()`);
    await bob.until('window.file', 'a file to be offered');
    assert.deepEqual(await bob.run('[file.name, file.size, file.type, file.state]'), ['report.bin', 5_000_000, 'application/x', 'offered']);
    assert.ok(await bob.run('file.accept().then(async ({ blob }) => { const got = new Uint32Array(await blob.arrayBuffer()); return got.length === 1_250_000 && got.every((x, i) => x === i * 2654435761 % 4294967296); })'));
    assert.deepEqual(await ann.run('sent.done.then(({ state, moved }) => [state, moved])'), ['done', 5_000_000]);
    const { most, progress } = await ann.run('({ most, progress })');
    assert.ok(most <= 1024 * 1024 + 2 * 64 * 1024, `${most} bytes waited`);
    assert.ok(progress.length >= 2 && progress.at(-1) === 5_000_000 && progress.every((n, i) => !i || n >= progress[i - 1]), String(progress));
    await ann.run("delete window.sent, [window.sent] = room.sendFile(new File(['x'], 'no.txt'), 'bob'), 0");
    await bob.until("file.name === 'no.txt'", 'the next file');
    await bob.run('file.reject()');
    assert.equal(await ann.run('sent.done.catch(({ code }) => code)'), 'lost');
}

// The line of one ends at every place of a negotiation: the offer, the answer and the candidates come all the same, once and in order.
scenario('calls: sockets are cut in the middle of negotiation, the hub is killed in the middle of a call: the call is made, and goes on', options, async (scope) => {
    const hub = await scope.hub({ args: ['--sse.retry=200ms'] });
    const proxy = await FrameProxy.listen(scope, hub), calls = await Calls.start(scope);
    const cuts = { offer: 2, answer: 2, 'ice-candidate': 2 };
    // every other one before it has got through, the others after it
    proxy.onFrame = (frame, side) => {
        if (side !== 'client' || !cuts[frame.type]) return undefined;
        return cuts[frame.type]-- === 2 ? 'cut' : void setTimeout(() => proxy.cut());
    };
    const [ann, bob] = await Promise.all(['ann', 'bob'].map((user) => calls.member(hub, user, { url: proxy.url })));
    await ann.run("room.peers.get('bob')?.connection?.restartIce()");
    await allSeeAll([ann, bob]);
    assert.ok((await toldOf(ann, 'joined')).length + (await toldOf(bob, 'joined')).length > 4, 'lines came back');
    assert.equal((await toldOf(ann, 'left')).length + (await toldOf(bob, 'left')).length, 0, 'nobody has left');
    for (const [page, other] of [[ann, 'bob'], [bob, 'ann']]) await page.run(`window.before = room.peers.get('${other}').connection, window.joins = told.filter(([kind]) => kind === 'joined').length, 0`);

    await hub.kill9();
    for (const [page, other] of [[ann, 'bob'], [bob, 'ann']]) {
        await page.until("room.state === 'waiting' || room.state === 'connecting'", 'the hub to be missed');
        await sees(page, other);
    }
    await hub.restart();
    for (const page of [ann, bob]) await page.until("room.state === 'open' && told.filter(([kind]) => kind === 'joined').length > joins", `${page.user} to be in the room again`);
    for (const page of [ann, bob]) assert.equal((await toldOf(page, 'joined')).at(-1)[1], SUITE_REDIS, 'rooms on Redis outlive a hub, so it is the same member');
    await allSeeAll([ann, bob]);
    for (const [page, other] of [[ann, 'bob'], [bob, 'ann']]) {
        await page.until(`room.peers.get('${other}').connection.signalingState === 'stable'`, 'both to agree');
        assert.ok(await same(page, other), 'the connection is the one from before');
    }
    await noErrors(ann, bob);
});

scenario('calls: four pages, each with each', options, async (scope) => {
    const hub = await scope.hub();
    const calls = await Calls.start(scope);
    const pages = await Promise.all(['ann', 'bob', 'cat', 'dan'].map((user) => calls.member(hub, user)));
    await allSeeAll(pages);
    await pages[0].run('room.leave()');
    for (const page of pages.slice(1)) await page.until('room.peers.size === 2', 'one to be gone');
    await allSeeAll(pages.slice(1));
    await pages[3].run("room.kick('bob', 'enough')");
    await pages[1].until("told.at(-1)[0] === 'ended'", 'bob to be told');
    assert.deepEqual(await pages[1].run("[told.at(-1), room.state, room.media.stream.getTracks().length]"), [['ended', 'kicked'], 'closed', 0]);
    for (const page of pages.slice(2)) {
        await page.until('room.peers.size === 1', 'bob to be out');
        assert.deepEqual((await toldOf(page, 'left')).at(-1), ['left', 'bob', 'kicked']);
    }
    assert.equal(await pages[3].run("room.kick('nobody').catch(({ code }) => code)"), 'peer_unavailable');
    await noErrors(...pages);
});

// Calls under faults drawn by chance: CALL_ROUNDS=20 node --test e2e/calls-chance.test.mjs; part of make soak. Several at a time, then everybody sees everybody.
import { CALL_TEST_MS, findChromium } from './lib/browser.mjs';
import { Calls, allSeeAll } from './lib/calls.mjs';
import { Chance, anySeed } from './lib/chance.mjs';
import { FrameProxy } from './lib/frames.mjs';
import { scenario } from './lib/scope.mjs';

const ROUNDS = Number(process.env.CALL_ROUNDS ?? 0), USERS = ['ann', 'bob', 'cat'];
const options = { skip: (!findChromium() && 'there is no Chromium on this machine') || (!ROUNDS && 'CALL_ROUNDS is not set'), timeout: CALL_TEST_MS * (1 + ROUNDS) };

const others = (page) => USERS.filter((user) => user !== page.user);

// Each takes { pages, page, hub, proxy, chance }.
const faults = {
    'the line of all': ({ proxy }) => proxy.cut(),
    'a line at the next frame of a negotiation'({ proxy, chance }) {
        const type = chance.one(['offer', 'answer', 'ice-candidate']), side = chance.one(['client', 'hub']);
        proxy.onFrame = (frame, from) => {
            if (frame.type !== type || from !== side) return undefined;
            proxy.onFrame = () => {};
            return 'cut';
        };
    },
    'a page loaded again': ({ page, calls }) => calls.reload(page),
    'the hub killed': async ({ hub }) => { await hub.kill9(); await hub.restart(); },
    'ICE anew, on both sides': ({ pages }) => Promise.all(pages.map((one) => one.run('for (const peer of room.peers.values()) peer.restart()'))),
    'another network': ({ page }) => page.run("dispatchEvent(new Event('online'))"),
    'more to negotiate': ({ page }) => page.run("for (const { connection } of room.peers.values()) connection?.addTransceiver('audio')"),
    'the camera off and on': ({ page }) => page.run('room.media.setCamera(false), room.media.setCamera(true)'),
};

scenario('calls by chance: whatever happens, in the end everybody sees everybody', options, async (scope, t) => {
    const seed = Number(process.env.SEED ?? anySeed()), chance = new Chance(seed);
    t.diagnostic(`SEED=${seed}`);
    const hub = await scope.hub({ args: ['--sse.retry=200ms'] }), proxy = await FrameProxy.listen(scope, hub), calls = await Calls.start(scope);
    const pages = await Promise.all(USERS.map((user) => calls.member(hub, user, { url: proxy.url })));
    await allSeeAll(pages);
    for (let round = 0; round < ROUNDS; round++) {
        const drawn = Array.from({ length: 1 + chance.below(3) }, () => [chance.one(Object.keys(faults)), chance.one(pages)]);
        t.diagnostic(`${round}: ${drawn.map(([name, { user }]) => `${name} (${user})`).join(', ')}`);
        for (const [name, page] of drawn) await faults[name]({ pages, page, hub, proxy, calls, chance });
        try {
            for (const page of pages) await page.until("room.state === 'open'", `${page.user} to be in the room`);
            for (const page of pages) await page.until(`${JSON.stringify(others(page))}.every((user) => room.peers.get(user)?.connection?.signalingState === 'stable')`, `${page.user} to agree with all`);
            await allSeeAll(pages);
        } catch (error) {
            for (const page of pages) t.diagnostic(`${page.user}: ${await page.run("JSON.stringify([told.slice(-12), [...room.peers.values()].map((p) => [p.userId, p.isPolite, p.isAway, p.isOrphan, p.connectionState, p.connection?.signalingState, p.connection?.iceConnectionState])])").catch(String)}`);
            t.diagnostic(proxy.state());
            throw error;
        }
    }
});

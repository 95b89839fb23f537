// TURN: the hub's credentials against a real coturn with the settings of deploy/coturn; and a call that goes through it alone.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after } from 'node:test';
import { CALL_TEST_MS, findChromium } from './lib/browser.mjs';
import { Calls, toldOf } from './lib/calls.mjs';
import { Authority } from './lib/certificate.mjs';
import { ownDir } from './lib/hub.mjs';
import { member } from './lib/member.mjs';
import { scenario } from './lib/scope.mjs';
import { allocate, coturn, credential, hasCoturn } from './lib/turn.mjs';

const options = { skip: !hasCoturn() && 'there is no coturn on this machine', timeout: CALL_TEST_MS };
const pages = { ...options, skip: options.skip || (!findChromium() && 'there is no Chromium on this machine') };
const dir = ownDir();
after(() => rmSync(dir, { recursive: true, force: true }));
const identity = pages.skip ? null : new Authority(dir).issue('turn');
const inSeconds = (seconds) => Math.floor(Date.now() / 1000) + seconds;

// Two of a room that have reached each other; data alone is cheaper, and goes the same way.
async function relayedCall(scope, hub) {
    const calls = await Calls.start(scope, [identity]);
    const ann = await calls.member(hub, 'ann', { media: false }), bob = await calls.member(hub, 'bob', { media: false });
    for (const [page, other] of [[ann, 'bob'], [bob, 'ann']]) await page.until(`all('${other}')`, `${page.user} to be connected`);      // what is said to nobody is lost
    let said = 0;
    const bothSpeak = async () => {
        said++;
        for (const page of [ann, bob]) await page.run(`room.send('round ${said}')`);
        for (const page of [ann, bob]) await page.until(`told.filter(([kind]) => kind === 'message').at(-1)?.[2] === 'round ${said}'`, `${page.user} to hear the other`);
    };
    await bothSpeak();
    // what both ends of bob's way are, and what he speaks with the relay
    const way = () => bob.run(`stats('ann').then((all) => {
        const of = (id) => all.find((s) => s.id === id), pair = of(all.find(({ type }) => type === 'transport').selectedCandidatePairId), local = of(pair.localCandidateId);
        return [local.candidateType, of(pair.remoteCandidateId).candidateType, local.relayProtocol];
    })`);
    return { ann, bob, bothSpeak, way };
}

scenario('TURN: coturn grants an allocation for the credentials of a join, and none for expired or forged ones', options, async (scope) => {
    const turn = await coturn(scope, ['south', 'west']);
    const hub = await scope.hub({ args: [`--ice.turn=turn:127.0.0.1:${turn.port}?transport=udp`, '--ice.secrets=north south'] });
    const { joined } = await member(scope, hub, 'r', 'ann.ü');
    const [north, south] = joined.ice_servers;
    assert.equal(await allocate(turn, south.username, south.credential), 'granted', 'the secret that coturn knows');
    assert.equal(await allocate(turn, north.username, north.credential), 401, 'one that it is still to be told');
    assert.match(south.username, /^\d+:ann\.%C3%BC$/);
    for (const user of ["Ann O'Neil", '"ann"\\:%', '😀'.repeat(50)]) {
        const own = (await member(scope, hub, 'r', user)).joined.ice_servers[1];
        assert.equal(await allocate(turn, own.username, own.credential), 'granted', `${user}: ${own.username}`);
    }
    assert.doesNotMatch(turn.log, /bad configuration|unknown|unrecognized|invalid/i, 'coturn knows every line of the settings');

    const [until, user] = south.username.split(/:(.*)/s), later = `${Number(until) + 3600}:${user}`, past = `${inSeconds(-2)}:${user}`;
    assert.equal(await allocate(turn, later, south.credential), 401, 'a later end, with the credential of another');
    assert.equal(await allocate(turn, `${until}:eve`, south.credential), 401, "somebody else's");
    assert.equal(await allocate(turn, south.username, credential('guessed', south.username)), 401, 'another secret');
    assert.equal(await allocate(turn, later, credential('south', later)), 'granted', 'who has the secret makes them as the hub does');
    assert.equal(await allocate(turn, past, credential('south', past)), 401, 'right, but over');
    assert.equal(credential('south', south.username), south.credential);
});

scenario('TURN: a call that may go through the relay alone; the credentials are renewed in it', pages, async (scope) => {
    const turn = await coturn(scope, ['north']);
    const hub = await scope.hub({ args: [`--ice.turn=turn:127.0.0.1:${turn.port}?transport=udp`, '--ice.secrets=north', '--ice.policy=relay', '--ice.ttl=20s'] });
    const call = await relayedCall(scope, hub), { ann, bob } = call;
    assert.deepEqual(await call.way(), ['relay', 'relay', 'udp']);
    // ICE begins anew with what was sent in the running call: the credentials of the join are over by then
    const first = await bob.run("room.config.iceServers[0].username");
    await bob.until(`room.config.iceServers[0].username !== ${JSON.stringify(first)} && Date.now() > 1000 * ${JSON.stringify(first)}.split(':')[0]`, 'the first credentials to be over');
    await ann.until("told.some(([kind]) => kind === 'servers')", 'fresh ones for ann too');
    const fragment = "/a=ice-ufrag:(.*)/.exec(room.peers.get('ann').connection.currentLocalDescription.sdp)[1]", before = await bob.run(fragment);
    await bob.run("room.peers.get('ann').restart()");
    await bob.until(`${fragment} !== ${JSON.stringify(before)}`, 'ICE to begin anew');
    await bob.until("all('ann')", 'the call to go on');
    await call.bothSpeak();
    assert.deepEqual(await call.way(), ['relay', 'relay', 'udp']);
    assert.deepEqual([await toldOf(ann, 'error'), await toldOf(bob, 'error')], [[], []]);
});

for (const [how, scheme, which] of [['TCP', 'turn', 'port'], ['TLS', 'turns', 'tlsPort']]) scenario(`TURN: a call where nothing but ${how} gets to the relay`, pages, async (scope) => {
    const turn = await coturn(scope, ['north'], { identity });
    const hub = await scope.hub({ args: [`--ice.turn=${scheme}:localhost:${turn[which]}?transport=tcp`, '--ice.secrets=north', '--ice.policy=relay'] });
    const { way } = await relayedCall(scope, hub);
    assert.deepEqual(await way(), ['relay', 'relay', how.toLowerCase()]);
});

scenario('TURN: the relay ends in the middle of a call: ICE fails, and begins anew until there is a relay again', pages, async (scope) => {
    const turn = await coturn(scope, ['north']);
    const hub = await scope.hub({ args: [`--ice.turn=turn:127.0.0.1:${turn.port}?transport=udp`, '--ice.secrets=north', '--ice.policy=relay'] });
    const { ann, bob, way, bothSpeak } = await relayedCall(scope, hub), both = [[ann, 'bob'], [bob, 'ann']];
    for (const [page, other] of both) await page.run(`window.before = room.peers.get('${other}').connection, window.states = [], room.on('change', (peer) => states.push(peer.connectionState)), 0`);
    await turn.end();
    for (const [page] of both) await page.until("states.includes('failed')", `ICE to fail for ${page.user}`);
    await coturn(scope, ['north'], { port: turn.port });
    for (const [page, other] of both) await page.until(`all('${other}')`, `${page.user} to be connected again`);
    await bothSpeak();
    assert.deepEqual(await way(), ['relay', 'relay', 'udp']);
    for (const [page, other] of both) {
        assert.ok(await page.run(`room.peers.get('${other}').connection === before`), 'the same connection');
        assert.deepEqual([await toldOf(page, 'left'), await toldOf(page, 'error')], [[], []]);
    }
});

// room.js and a second, independent stack of WebRTC: werift, in Node, speaking the frames of PROTOCOL.md by itself.
import assert from 'node:assert/strict';
import { RTCPeerConnection, RTCRtpCodecParameters } from 'werift';
import { CALLS_MS, CALL_TEST_MS, findChromium } from './lib/browser.mjs';
import { Calls, toldOf } from './lib/calls.mjs';
import { member } from './lib/member.mjs';
import { scenario } from './lib/scope.mjs';
import { eventually } from './lib/wait.mjs';

const options = { skip: !findChromium() && 'there is no Chromium on this machine', timeout: CALL_TEST_MS };
const CODECS = {
    audio: [new RTCRtpCodecParameters({ mimeType: 'audio/opus', clockRate: 48000, channels: 2 })],
    video: [new RTCRtpCodecParameters({ mimeType: 'video/VP8', clockRate: 90000, rtcpFeedback: [{ type: 'nack' }, { type: 'nack', parameter: 'pli' }] })],
};

// A member of the room with a connection of werift: it answers, and sends and takes candidates one by one, as plain clients do.
async function weriftMember(scope, hub, user) {
    const one = await member(scope, hub, 'call', user), connection = new RTCPeerConnection({ codecs: CODECS, iceUseIpv6: false, iceAdditionalHostAddresses: ['127.0.0.1'] });
    scope.defer(() => connection.close());
    const got = { packets: { audio: 0, video: 0 }, data: [], offers: 0 };
    connection.onTrack.subscribe((track) => track.onReceiveRtp.subscribe(() => { got.packets[track.kind]++; }));
    connection.onIceCandidate.subscribe((candidate) => candidate && one.say('ice-candidate', { to: 'ann', candidate: candidate.toJSON() }));
    const channel = connection.createDataChannel('carillon', { negotiated: true, id: 0 });
    channel.onMessage.subscribe((text) => got.data.push(JSON.parse(String(text))));
    const takes = {
        async offer({ sdp, id }) {
            got.offers++;
            await connection.setRemoteDescription({ type: 'offer', sdp });
            await connection.setLocalDescription(await connection.createAnswer());
            one.say('answer', { to: 'ann', sdp: connection.localDescription.sdp, re: id });
        },
        async 'ice-candidate'({ candidate, candidates = [candidate] }) { for (const each of candidates) if (each?.candidate) await connection.addIceCandidate(each); },
    };
    let before = Promise.resolve();
    const failed = [];
    one.client.socket.on('message', (bytes) => {
        const frame = JSON.parse(bytes.toString());
        if (frame.from === 'ann' && takes[frame.type]) before = before.then(() => takes[frame.type](frame)).catch((error) => failed.push(error));
    });
    return { ...got, got, one, connection, channel, failed };
}

scenario('calls: Chromium and werift agree: pictures and sound arrive, data goes both ways', options, async (scope) => {
    const hub = await scope.hub(), calls = await Calls.start(scope);
    const ann = await calls.member(hub, 'ann'), bob = await weriftMember(scope, hub, 'bob');
    await ann.until("all('bob')", 'ann to be connected with werift');
    await eventually(() => bob.got.packets.video > 5 && bob.got.packets.audio > 5, 'pictures and sound in werift', CALLS_MS, () => JSON.stringify([bob.got, bob.failed.map(String)]));
    await ann.run("room.send({ text: 'hello werift' })");
    await eventually(() => bob.got.data.length === 1, 'what ann says', CALLS_MS);
    assert.deepEqual(bob.got.data, [{ text: 'hello werift' }]);
    bob.channel.send(JSON.stringify({ text: 'hello Chromium' }));
    await ann.until("told.some(([kind]) => kind === 'message')", 'what werift says');
    assert.deepEqual(await toldOf(ann, 'message'), [['message', 'bob', { text: 'hello Chromium' }]]);
    assert.deepEqual([bob.failed, await toldOf(ann, 'error'), bob.got.offers], [[], [], 1]);
});

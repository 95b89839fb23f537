// What TypeScript makes of uses of room.js: compiled, not run (js-package.test.mjs).
import { Room, RoomError, type FileTransfer, type Peer } from 'carillon-client/room';

const room = new Room('https://hub.example', 'class.7', { token: async () => 'token', info: { name: 'Ann' }, rtc: { iceTransportPolicy: 'relay' } });
const off = room.on('peer', (peer: Peer) => { document.querySelector('video')!.srcObject = peer.stream; });
room.on('state', (state, error) => { const waits: boolean = state === 'waiting'; if (error instanceof RoomError) console.log(waits, error.code, error.retryAfter); });
room.on('left', (peer, reason) => console.log(peer.userId.length, reason.length));
room.on('file', async (peer, file) => { const { blob }: FileTransfer = await file.accept(); console.log(peer.info, blob?.size, file.moved / file.size); });
room.on('track', (peer, track, streams) => console.log(peer.state?.camera, track.kind, streams[0]?.id));
await room.media?.open({ audio: true, video: { width: 640 } });
await room.join();
room.setState({ hand: true });
const isSaid: boolean = room.send({ text: 'hello' }, 'bob');
const [one] = room.sendFile(new Blob(['x']));
await one?.done;
await room.media?.use('video', (await room.media.devices()).video[0]!.deviceId);
console.log(isSaid, (await room.signal('bob', 1)).delivered, room.peers.get('bob')?.connection?.connectionState);
off();
room.leave();
// @ts-expect-error: no such event
room.on('nothing', () => {});
// @ts-expect-error: a name is a text
room.signal(7, null);

// peerjs.mjs: the PeerJS server of npm, as one starts it from a program, on a free port of 127.0.0.1; says where like the other servers do.
import { PeerServer } from 'peer';

PeerServer({ host: '127.0.0.1', port: 0, path: '/' }, server => {
  const address = `127.0.0.1:${server.address().port}`;
  console.log(`ready public=${address} api=${address} pid=${process.pid}`);
});

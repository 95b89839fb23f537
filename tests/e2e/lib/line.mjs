// line.mjs — connections to a hub, plain or TLS as the hub is, and whether the whole suite runs over TLS.
//
// `where` everywhere is { host, port } or { socketPath }; with `tls`, the Identity (certificate.mjs) of the hub, it is encrypted,
// and the hub's certificate is verified. A test that needs a plain hub says so: scope.hub({ tls: null }).
import http from 'node:http';
import net from 'node:net';
import tls from 'node:tls';
import { Identity } from './certificate.mjs';

// make e2e-tls names a folder with a certificate; every hub of the suite shows it then.
export const SUITE_TLS = process.env.E2E_TLS ? new Identity(process.env.E2E_TLS, 'hub') : null;

// options: of node:net, and of node:tls for an encrypted line. `opened` is emitted when bytes can flow.
export function connect(where, { allowHalfOpen = false, ...options } = {}) {
    const { socketPath, host, port, tls: identity } = where;
    const socket = net.connect(socketPath ? { path: socketPath, allowHalfOpen } : { host, port, allowHalfOpen });
    socket.once('connect', () => socket.emit('opened'));
    if (!identity) return socket;
    const line = tls.connect({ socket, host, ca: identity.ca, ALPNProtocols: ['http/1.1'], ...options });
    line.setNoDelay = (on) => { socket.setNoDelay(on); return line; };
    line.once('secureConnect', () => line.emit('opened'));
    line.tcp = socket;
    return line;
}

// The other side sees a reset, as when a machine has gone.
export function reset(socket) { (socket.tcp ?? socket).resetAndDestroy(); }

// Requests on one connection after the other: http.request({ ...to(where), path }).
export function to(where) {
    return { host: where.host ?? 'localhost', port: where.port, createConnection: () => connect(where) };
}

// Requests on connections that are kept: request(hub, path, { agent }).
export class KeepAlive extends http.Agent {
    constructor(maxSockets = 1) { super({ keepAlive: true, maxSockets }); }
    createConnection({ where }) { return connect(where); }
}

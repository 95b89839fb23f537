// front.mjs — nginx or HAProxy before hubs, with the settings of deploy/: only addresses, files and times are other ones.
//
//   const front = await Front.start(scope, 'nginx', [hub], { timeout: '3s', tls: identity });
//   front.public, front.api: as a hub has them
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { Watched, eventually } from '../../e2e/lib/wait.mjs';

export const DEPLOY = new URL('../../../deploy/', import.meta.url).pathname;
export const settings = (name) => readFileSync(path.join(DEPLOY, name), 'utf8');

// Every replacement must find something: a test of other settings than those of deploy/ would prove nothing.
export function adapted(text, replacements) {
    return replacements.reduce((so_far, [from, to]) => {
        const now = so_far.replace(from, to);
        if (now === so_far) throw new Error(`nothing in these settings matches ${from}`);
        return now;
    }, text);
}

export async function freePort() {
    const server = net.createServer();
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address();
    await new Promise((resolve) => server.close(resolve));
    return port;
}

const KINDS = {
    nginx: {
        command: (dir) => ['nginx', '-p', dir, '-c', path.join(dir, 'conf'), '-e', 'stderr'],
        settings: (dir, front, { hubs, timeout, tls }) => adapted(settings('nginx.conf'), [
            [/^user .*/m, 'daemon off; pid nginx.pid;'],
            [/worker_processes auto/, 'worker_processes 2'],
            [/http \{/, `http { ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((what) => `${what}_temp_path bodies;`).join(' ')}`],
            [/\/var\/log\/nginx\/access\.log/, 'access.log'],
            [/server 10\.0\.0\.11:8000(.*)\n[^]*?\}/, (_, more) => `${hubs.map((hub) => `server 127.0.0.1:${hub.public.port}${more}`).join('\n')}\n}`],
            [/server 10\.0\.0\.11:8001(.*)\n[^]*?keepalive/, (_, more) => `${hubs.map((hub) => `server 127.0.0.1:${hub.api.port}${more}`).join('\n')}\nkeepalive`],
            ...(timeout ? [[/(proxy_(?:read|send)_timeout) 75s/g, `$1 ${timeout}`]] : []),
            ...(tls ? [[/listen 80 .*/, ''], [/#(listen 443|ssl_)/g, '$1'], [/\/etc\/ssl\/carillon\/cert\.pem/, tls.cert], [/\/etc\/ssl\/carillon\/key\.pem/, tls.key],
                [/listen 443/, `listen 127.0.0.1:${front.public.port}`]] : [[/listen 80/, `listen 127.0.0.1:${front.public.port}`]]),
            [/listen 127\.0\.0\.1:8001/, `listen 127.0.0.1:${front.api.port}`],
        ]),
    },
    haproxy: {
        command: (dir) => ['haproxy', '-W', '-f', path.join(dir, 'conf')],
        settings: (dir, front, { hubs, timeout, tls }) => {
            const servers = (port, more) => hubs.map((hub, i) => `    server hub${i + 1} 127.0.0.1:${hub[port].port}${more(hub)}\n`).join('');
            if (tls) writeFileSync(path.join(dir, 'both.pem'), readFileSync(tls.cert, 'utf8') + readFileSync(tls.key, 'utf8'));
            return adapted(settings('haproxy.cfg'), [
                [/^ +(log \/dev\/log|user|group) .*\n/gm, ''], [/^ +log global\n/m, ''], [/maxconn 100000/, 'maxconn 1000'],
                [/(?: +server hub\d 10\.0\.0\.1\d:8000 check port 8001\n)+/, servers('public', (hub) => ` check port ${hub.api.port}`)],
                [/(?: +server hub\d 10\.0\.0\.1\d:8000\n)+/, servers('public', () => '')],
                [/(?: +server hub\d 10\.0\.0\.1\d:8001 check\n)+/, servers('api', () => ' check')],
                [/(?: +server hub\d 10\.0\.0\.1\d:8001\n)+/, servers('api', () => '')],
                ...(timeout ? [[/(timeout (?:client|server|tunnel)) 75s/g, `$1 ${timeout}`]] : []),
                ...(tls ? [[/ +bind :80\n/, ''], [/#bind :443/, 'bind :443'], [/\/etc\/haproxy\/carillon\.pem/, path.join(dir, 'both.pem')],
                    [/bind :443/, `bind 127.0.0.1:${front.public.port}`]] : [[/bind :80/, `bind 127.0.0.1:${front.public.port}`]]),
                [/bind 127\.0\.0\.1:8001/, `bind 127.0.0.1:${front.api.port}`],
            ]);
        },
    },
};

export class Front extends Watched {
    said = '';
    ended = null;

    static async start(scope, kind, hubs, options = {}) {
        const front = new Front();
        front.dir = scope.dir();
        front.public = { host: '127.0.0.1', port: await freePort(), ...(options.tls && { tls: options.tls }) };
        front.api = { host: '127.0.0.1', port: await freePort() };
        writeFileSync(path.join(front.dir, 'conf'), KINDS[kind].settings(front.dir, front, { hubs, ...options }));
        const [name, ...args] = KINDS[kind].command(front.dir);
        front.child = spawn(name, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } });
        for (const stream of [front.child.stdout, front.child.stderr]) stream.setEncoding('utf8').on('data', (text) => { front.said += text; front.changed(); });
        front.child.on('close', (code) => { front.ended = { code }; front.changed(); });
        scope.defer(() => front.stop());
        const accepts = () => new Promise((resolve) => {
            const socket = net.connect(front.api.port, front.api.host, () => { socket.destroy(); resolve(true); }).on('error', () => resolve(false));
        });
        await eventually(async () => {
            if (front.ended) throw new Error(`${kind} has ended: ${front.said}`);
            return accepts();
        }, `${kind} that accepts`);
        return front;
    }

    state() { return `ended=${JSON.stringify(this.ended)} ${this.said.slice(-1500)}`; }
    async stop() {
        const signal = (name) => { try { process.kill(-this.child.pid, name); } catch { /* it has ended */ } };
        signal('SIGTERM');
        await this.waitFor(() => this.ended, 'the end of the proxy').finally(() => signal('SIGKILL'));
    }
}

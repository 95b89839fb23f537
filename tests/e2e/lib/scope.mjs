// scope.mjs — scenario(): a test that owns what it starts.
//
// The function of a scenario gets a Scope: hubs, clients and directories made through it are ended and removed after
// the test, whatever its outcome, in the opposite order of their making. When the test fails, the logs of its hubs are
// printed: a failure without the hub's side of the story is half a report.
import { test } from 'node:test';
import { rmSync } from 'node:fs';
import { Hub, Run, ownDir } from './hub.mjs';
import { SseStream } from './sse.mjs';
import { WsClient } from './ws.mjs';
import { CutProxy } from './proxy.mjs';
import { SUITE_REDIS } from './redis.mjs';

const LOG_TAIL = 6000;

export class Scope {
    #cleanups = [];
    #hubs = [];

    defer(cleanup) { this.#cleanups.push(cleanup); }

    dir() {
        const dir = ownDir();
        this.defer(() => rmSync(dir, { recursive: true, force: true }));
        return dir;
    }

    async hub(options) {
        const hub = await Hub.start(options);
        this.#hubs.push(hub);
        this.defer(() => hub.dispose());
        return hub;
    }

    // A hub of several tests, which somebody else ends: its log is told when this one fails.
    shares(hub) { this.#hubs.push(hub); }

    // Any other use of the binary; it is killed at the end if it still runs.
    run(args, options) {
        const run = new Run(args, options);
        this.defer(() => run.kill9());
        return run;
    }

    // A subcommand that ends by itself.
    async carillon(args, options) {
        const run = this.run(args, options);
        await run.end();
        return { code: run.ended.code, stdout: run.stdout, stderr: run.stderr };
    }

    // `where` is a hub, or anything with { host, port }; the stream is open when this resolves.
    async sse(where, path, options) {
        const stream = new SseStream(where.public ?? where, path, options);
        this.defer(() => stream.close());
        await stream.opened();
        return stream;
    }

    async ws(where, path = '/ws', options) {
        const client = new WsClient(where.public ?? where, path, options);
        this.defer(() => client.terminate());
        await client.opened();
        return client;
    }

    async proxy(target) {
        const proxy = new CutProxy(target);
        await proxy.listen();
        this.defer(() => proxy.close());
        return proxy;
    }

    tellLogs() {
        for (const hub of this.#hubs) {
            console.log(`---- log of hub ${hub.pid} ${hub.run.ended ? JSON.stringify(hub.run.ended) : '(running)'} ----`);
            console.log(hub.log.slice(-LOG_TAIL));
        }
    }

    async cleanUp() {
        const failures = [];
        for (const cleanup of this.#cleanups.reverse()) {
            try { await cleanup(); } catch (error) { failures.push(error); }
        }
        if (failures.length) throw failures[0];
    }
}

// ownEngine: why this is only of a hub that is its own engine; left out when the suite's hubs have Redis.
export function scenario(name, options, fn) {
    if (typeof options === 'function') [options, fn] = [{}, options];
    const { ownEngine, ...others } = options;
    if (ownEngine && SUITE_REDIS) options = { ...others, skip: `not on Redis: ${ownEngine}` };
    test(name, options, async (t) => {
        const scope = new Scope();
        try {
            await fn(scope, t);
        } catch (error) {
            scope.tellLogs();
            await scope.cleanUp().catch(() => {});
            throw error;
        }
        await scope.cleanUp();
    });
}

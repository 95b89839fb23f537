// watch.mjs — what must be true after every attack: the hub answers on every door, does nothing, and has its memory back.
//
//   const watch = await Watch.over(scope, hub);
//   … an attack …
//   await watch.unharmed('what was sent');          // after each case
//   watch.uses(96, 'what it is for');               // while it lasts: at most 96 MiB more than at the beginning
//   await watch.over('what was done', 24, t);       // at the end: connections are gone, all is well, at most 24 MiB more are left
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { publish, request } from '../../e2e/lib/http.mjs';
import { KeepAlive } from '../../e2e/lib/line.mjs';
import { metricsOf, total } from '../../e2e/lib/metrics.mjs';
import { openFiles, residentMiB } from '../../e2e/lib/proc.mjs';
import { unmeasured } from '../../e2e/lib/sanitized.mjs';
import { eventually, windowOf } from '../../e2e/lib/wait.mjs';

const GLANCE_MS = 20, LOOK_MS = 500;      // a thread that spins is seen in either; the second is for a hub that is still tidying up
const SPINS = 0.25;                       // of a core; an idle hub is below 0.01

export const SMUGGLED = 'smuggled';       // attacks try to publish here by bytes that are no request; nobody else does

// Nanoseconds on a CPU of all threads (/proc/PID/task/*/schedstat: finer than the ticks of stat).
export function cpuNanoseconds(pid) {
    const dir = `/proc/${pid}/task`;
    return readdirSync(dir).reduce((sum, task) => sum + Number(readFileSync(`${dir}/${task}/schedstat`, 'latin1').split(' ')[0]), 0);
}

async function shareOver(pid, ms) {
    const cpu = cpuNanoseconds(pid), begun = process.hrtime.bigint();
    await windowOf(ms);
    return (cpuNanoseconds(pid) - cpu) / Number(process.hrtime.bigint() - begun);
}

export class Watch {
    #n = 0;

    // headers: credentials that open everything, where the hub asks for some
    static async over(scope, hub, headers = {}) {
        const watch = new Watch();
        Object.assign(watch, { scope, hub, headers, agent: new KeepAlive() });
        scope.defer(() => watch.agent.destroy());
        watch.stream = await scope.sse(hub, '/sse?channel=neighbour', { headers });
        watch.socket = await scope.ws(hub, '/ws?channel=neighbour', { headers });
        await Promise.all([watch.stream.ready(), watch.socket.get('subscribed')]);
        await watch.answers();
        watch.files = openFiles(hub.pid);
        watch.mib = residentMiB(hub.pid);
        return watch;
    }

    // A neighbour's connections go on, and newcomers are served on both ports.
    async answers() {
        const text = `still here ${++this.#n}`;
        await publish(this.hub, 'neighbour', text, { agent: this.agent, headers: this.headers });
        await this.stream.waitFor(() => this.stream.data.at(-1) === text, `${text} on SSE`);
        await this.socket.waitFor(() => this.socket.data.at(-1) === text, `${text} on WebSocket`);
        assert.equal((await request(this.hub, '/health/ready')).status, 200);
        const newcomer = await this.scope.sse(this.hub, '/sse?channel=newcomer', { headers: this.headers });
        await newcomer.ready();
        newcomer.close();
    }

    async idles() {
        if (await shareOver(this.hub.pid, GLANCE_MS) < SPINS) return;
        const isIdle = async () => await shareOver(this.hub.pid, LOOK_MS) < SPINS;
        const settled = await eventually(isIdle, 'the hub to be idle').catch(() => false);
        assert.ok(settled, `the hub spins: more than ${SPINS * 100} % of a core with nothing to do`);
    }

    async unharmed(what) {
        try {
            assert.ok(this.hub.alive, 'the hub runs');
            await this.answers();
            const smuggled = await request(this.hub, `/v1/channels/${SMUGGLED}`, { agent: this.agent, headers: this.headers });
            assert.equal(smuggled.status, 404, 'nothing was smuggled');
            await this.idles();
        } catch (error) { throw new Error(`after "${what}": ${error.message}`, { cause: error }); }
    }

    // Connections, subscriptions and descriptors are those of the neighbour again.
    async connectionsReturned() {
        await eventually(async () => {
            const families = await metricsOf(this.hub);
            return total(families, 'carillon_connections') === 2 && total(families, 'carillon_subscriptions') === 2;
        }, 'the connections and subscriptions of the attack to be gone');
        await eventually(() => openFiles(this.hub.pid) <= this.files + 2, `the descriptors to be closed (${this.files} before)`);
    }

    uses(mostMiB, what) {
        const mib = residentMiB(this.hub.pid) - this.mib;
        assert.ok(unmeasured || mib <= mostMiB, `${mib.toFixed()} MiB for ${what}`);
    }

    async memoryReturned(mostMiB) {
        await this.connectionsReturned();
        const more = () => residentMiB(this.hub.pid) - this.mib;
        await eventually(() => unmeasured || more() <= mostMiB, 'its memory').catch(() => {});     // free pages leave every few seconds (hub/tidy.h)
        assert.ok(unmeasured || more() <= mostMiB, `memory: ${this.mib.toFixed(1)} MiB before, ${more().toFixed(1)} MiB more after`);
        return more();
    }

    async over(what, mostMiB, t) {
        await this.connectionsReturned();
        await this.unharmed(what);
        const mib = await this.memoryReturned(mostMiB);
        t?.diagnostic(`${mib.toFixed(1)} MiB more than before`);
    }
}

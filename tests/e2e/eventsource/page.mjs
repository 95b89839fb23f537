// page.mjs — what runs in the test's page: orders go to the page itself or to a worker, what EventSources do goes to the test (tellTest).
import { obey } from './listen.mjs';
import { ReferenceSource } from './source.mjs';

const sources = new Map();
const tell = (what) => self.tellTest(JSON.stringify(what));
const workers = {
    worker: () => new Worker('worker.mjs', { type: 'module' }),
    shared: () => new SharedWorker('worker.mjs', { type: 'module' }).port,
};
const ports = {};

function portOf(kind) {
    if (!ports[kind]) (ports[kind] = workers[kind]()).onmessage = ({ data }) => tell(data);
    return ports[kind];
}

self.order = (kind, what) => {
    if (workers[kind]) portOf(kind).postMessage(what); else obey(sources, what, kind === 'fetch' ? ReferenceSource : EventSource, tell);
};

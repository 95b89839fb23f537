// worker.mjs — a Worker or SharedWorker that opens EventSources as it is told.
import { obey } from './listen.mjs';

const sources = new Map();
const serve = (port) => { port.onmessage = ({ data }) => obey(sources, data, EventSource, (what) => port.postMessage(what)); };

if (typeof SharedWorkerGlobalScope === 'undefined') serve(self); else self.onconnect = ({ ports: [port] }) => serve(port);

// shared.mjs — a SharedWorker with one EventSource for all pages of a site, as an application would write it.
let source;
const ports = [];

self.onconnect = ({ ports: [port] }) => {
    ports.push(port);
    port.onmessage = ({ data: url }) => {
        if (source?.readyState === EventSource.OPEN) port.postMessage('open');
        if (source) return;
        source = new EventSource(url);
        source.onopen = () => { for (const each of ports) each.postMessage('open'); };
        source.onmessage = (event) => { for (const each of ports) each.postMessage(event.data); };
    };
};

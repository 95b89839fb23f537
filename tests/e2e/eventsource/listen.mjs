// listen.mjs — listens to an EventSource and tells everything that it does; in Node, in a page and in workers alike.
//
// What is told: { type, state } of each event, state being readyState at that moment; of messages also { data, id, origin }.
const LONG = 1000;

// Long data as a few words that differ when it does: what is told travels as JSON, many times.
export function brief(data) {
    if (data.length <= LONG) return data;
    let sum = 0;
    for (let i = 0; i < data.length; i++) sum = (Math.imul(sum, 31) + data.charCodeAt(i)) | 0;
    return `${data.length} units, ${sum}: ${data.slice(0, 20)}…${data.slice(-20)}`;
}

// names: events to listen to beside open, message and error; these by onopen … with `handlers`. closeOn: close() in the handler of such an event.
export function listen(Source, url, { names = [], init, closeOn, handlers } = {}, tell) {
    const source = new Source(url, init);
    const told = (event) => {
        const message = event.data !== undefined && { data: brief(event.data), id: event.lastEventId, origin: event.origin };
        tell({ type: event.type, ...message, state: source.readyState });
        if (event.type === closeOn) source.close();
    };
    if (handlers) source.onopen = source.onmessage = source.onerror = told;
    for (const name of [...(handlers ? [] : ['open', 'message', 'error']), ...names]) source.addEventListener(name, told);
    tell({ type: 'new', state: source.readyState });
    return source;
}

// Orders of a test to a page or a worker: { key, url, … } opens, { key } alone closes.
export function obey(sources, { key, url, ...options }, Source, tell) {
    if (url) {
        sources.set(key, listen(Source, url, options, (what) => tell({ key, ...what })));
        return;
    }
    sources.get(key).close();
    tell({ key, type: 'closed', state: sources.get(key).readyState });
}

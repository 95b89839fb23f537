// story.mjs — the examples of /openapi.json, told to a real hub one after the other: what one answers, the next ones speak of.
//
// The document has ids that nobody will ever be given again. Where an answer of the hub has another id than the example, the example's stands for
// it from then on: `key_01a1…` of POST /v1/keys is a real key when GET /v1/keys/key_01a1… comes.
import { request } from './http.mjs';

const IS_ID = /^(key_|rv_|ck_|c2f01$|k3q7x2ab\.|wh_|evt_|dlv_|rp_)/;

export function bodyOf({ type, body }) {
    if (body === undefined || typeof body === 'string') return body;
    return type === 'application/x-www-form-urlencoded' ? new URLSearchParams(body).toString() : JSON.stringify(body);
}

export function targetOf(template, { path = {}, query = {} }) {
    const where = template.replace(/\{(\w+)\}/g, (whole, name) => encodeURIComponent(path[name]));
    const text = new URLSearchParams(Object.entries(query).flatMap(([name, value]) => [value].flat().map((one) => [name, String(one)]))).toString();
    return text ? `${where}?${text}` : where;
}

export class Story {
    #names = new Map();       // an id of the document -> what it stands for

    constructor(hub, headers) {
        this.hub = hub;
        this.headers = headers;
    }

    stands(name, value) { this.#names.set(name, value); }

    #real(example) {
        let text = JSON.stringify(example);
        for (const [name, value] of this.#names) text = text.replaceAll(JSON.stringify(name).slice(1, -1), JSON.stringify(value).slice(1, -1));
        return JSON.parse(text);
    }

    #learn(told, answered) {
        if (typeof told === 'string' && IS_ID.test(told) && !this.#names.has(told)) this.#names.set(told, answered);
        if (told !== null && typeof told === 'object' && answered !== null && typeof answered === 'object')
            for (const name of Object.keys(told)) if (name in answered) this.#learn(told[name], answered[name]);
    }

    // Resolves with the answer, which has the status of the example.
    async tell({ method, path, example, where = this.hub }) {
        const { headers = {}, type, status, ...rest } = this.#real(example);
        const target = targetOf(path, rest);
        const answer = await request(where, target, { method, headers: { ...this.headers, ...(type && { 'Content-Type': type }), ...headers }, body: bodyOf({ type, ...rest }) });
        if (answer.status !== status) throw new Error(`${method} ${target} answered ${answer.status}, the example "${example.name}" says ${status}: ${answer.text}`);
        const type_ = answer.headers['content-type'] ?? '';
        if (example.answer !== undefined && type_.includes('json') && !type_.includes('ndjson')) this.#learn(example.answer, answer.json);
        return answer;
    }
}

// What a document consists of: names and types, not values. Two arrays are alike when they are as long and their items are alike.
export function shape(value) {
    if (Array.isArray(value)) return value.map(shape);
    if (value === null || typeof value !== 'object') return value === null ? 'null' : typeof value;
    return Object.fromEntries(Object.keys(value).sort().map((name) => [name, shape(value[name])]));
}

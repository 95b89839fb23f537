// http.mjs — requests to the hub as a backend would send them (node:http), and publish() on top.
import http from 'node:http';
import { KeepAlive, to } from './line.mjs';
import { Contract } from './openapi.mjs';
import { within } from './wait.mjs';

// Whatever a hub answers to any test is held against its own description, /openapi.json: all of the API, and what is described of the public port.
let contract;
function holdToContract(target, method, path, answer) {
    if (!target.which) return;
    contract ??= Contract.ofBinary();
    const onPublic = target.which === 'public';
    if (onPublic && !contract.isDescribedOnPublic(method, path)) return;
    const complaint = contract.complaint(method, path, answer, { onPublic });
    if (complaint) throw new Error(`${method} ${path} answered ${answer.status}, and /openapi.json says otherwise: ${complaint}\n${answer.text.slice(0, 1000)}`);
}

// options: method, headers, body (string, Buffer or object = JSON), agent.
// Resolves with { status, headers, body (Buffer), text, json } whatever the status is.
export function request(where, path, { method = 'GET', headers = {}, body, agent } = {}) {
    const target = where.api ?? where;
    const sent = { ...headers };
    let bytes = body;
    if (body !== undefined && typeof body !== 'string' && !Buffer.isBuffer(body)) {
        bytes = JSON.stringify(body);
        sent['Content-Type'] ??= 'application/json';
    }
    if (bytes !== undefined) sent['Content-Length'] ??= Buffer.byteLength(bytes);
    const answered = within(new Promise((resolve, reject) => {
        const req = http.request({ ...(agent ? { ...target, where: target, agent } : to(target)), path, method, headers: sent }, (response) => {
            const chunks = [];
            response.on('data', (chunk) => chunks.push(chunk));
            response.on('error', reject);
            response.on('end', () => resolve(new Answer(response, Buffer.concat(chunks))));
        });
        req.on('error', reject);
        req.end(bytes);
    }), `an answer to ${method} ${path}`);
    return answered.then((answer) => { holdToContract(target, method, path, answer); return answer; });
}

export class Answer {
    constructor(response, body) {
        this.status = response.statusCode;
        this.headers = response.headers;
        this.body = body;
    }
    get text() { return this.body.toString('utf8'); }
    get json() { return JSON.parse(this.text); }
}

export function messagesPath(channel, query = '') {
    return `/v1/channels/${encodeURIComponent(channel)}/messages${query}`;
}

// Any publish: `headers` and `query` as given. Resolves with the Answer.
export function post(where, channel, body, { headers = {}, query = '', agent } = {}) {
    return request(where, messagesPath(channel, query), { method: 'POST', headers, body, agent });
}

// A publish that must be accepted. Raw text; resolves with { id, channel, time, subscribers }.
export async function publish(where, channel, data, { headers = {}, query = '', agent } = {}) {
    const answer = await post(where, channel, data, { headers: { 'Content-Type': 'text/plain', ...headers }, query, agent });
    if (answer.status !== 201) throw new Error(`publish answered ${answer.status}: ${answer.text}`);
    return answer.json;
}

// Several one after the other on one keep-alive connection; resolves with their ids.
export async function publishAll(where, channel, texts) {
    const agent = new KeepAlive();
    try {
        const ids = [];
        for (const text of texts) ids.push((await publish(where, channel, text, { agent })).id);
        return ids;
    } finally { agent.destroy(); }
}

// All that history has of a channel, page by page, oldest first: messages, and what they say.
export async function keptMessages(where, channel, headers = {}) {
    const messages = [];
    for (let query = '?limit=1000'; query;) {
        const page = (await request(where, messagesPath(channel, query), { headers })).json;
        messages.push(...page.data);
        query = page.next_cursor ? `?limit=1000&cursor=${encodeURIComponent(page.next_cursor)}` : null;
    }
    return messages;
}
export const kept = async (where, channel) => (await keptMessages(where, channel)).map((m) => m.data);

// A problem+json answer (RFC 9457), checked as far as every problem is alike. Resolves with its document.
export function problemOf(answer, status, code) {
    const seen = `${answer.status} ${answer.headers['content-type']} ${answer.text}`;
    if (answer.status !== status) throw new Error(`expected ${status} ${code}, got ${seen}`);
    if (!/^application\/problem\+json\b/.test(answer.headers['content-type'] ?? '')) throw new Error(`not problem+json: ${seen}`);
    const problem = answer.json;
    if (code && problem.code !== code) throw new Error(`expected code ${code}, got ${seen}`);
    if (problem.status !== status) throw new Error(`status in the document differs: ${seen}`);
    if (!problem.title || !problem.detail) throw new Error(`no title or detail: ${seen}`);
    return problem;
}

// The same of the API, which also says under which request id its log has it.
export function apiProblemOf(answer, status, code) {
    const problem = problemOf(answer, status, code);
    if (!problem.request_id || problem.request_id !== answer.headers['x-request-id']) throw new Error(`request_id is not X-Request-Id: ${answer.text}`);
    return problem;
}

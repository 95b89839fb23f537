// openapi.mjs — the hub's own description of its API, as tests use it: which operation a request is, and whether an answer is what it says.
//
//   const contract = Contract.ofBinary();
//   contract.find('GET', '/v1/keys/key_1?x')          // { operation, path, values }, or null: nothing is described there
//   contract.complaint('GET', '/v1/keys', answer)     // a sentence, or null: the answer is as described
//
// Documents of answers are checked more strictly than they are described: what is not described must not be there, so that nothing is forgotten.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { BINARY } from './binary.mjs';
import { find, mistake } from './schema.mjs';

const METHODS = ['post', 'get', 'patch', 'delete'];
const escaped = (part) => part.replaceAll('~', '~0').replaceAll('/', '~1');

// A copy in which objects have the members that are described and no others.
function closed(schema) {
    if (Array.isArray(schema)) return schema.map(closed);
    if (schema === null || typeof schema !== 'object') return schema;
    const copy = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, closed(value)]));
    if (copy.type === 'object' && copy.properties && copy.additionalProperties === undefined) copy.additionalProperties = false;
    return copy;
}

const matcher = (template) => new RegExp(`^${template.replace(/[.*+?^$|()[\]\\]/g, '\\$&').replace(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`);
const typeOf = (header) => (header ?? '').split(';')[0].trim().toLowerCase();

export class Contract {
    static ofBinary() {
        return new Contract(JSON.parse(readFileSync(path.join(path.dirname(BINARY), 'openapi.json'), 'utf8')));
    }

    constructor(document) {
        this.document = document;
        this.strict = { ...document, components: { ...document.components, schemas: closed(document.components.schemas) } };
        this.paths = Object.entries(document.paths).map(([template, item]) => ({ template, item, matches: matcher(template) }));
    }

    // Every operation: { method, path, operation }.
    get operations() {
        return this.paths.flatMap(({ template, item }) => METHODS.filter((m) => item[m]).map((m) => ({ method: m.toUpperCase(), path: template, operation: item[m] })));
    }

    isPublic(operation) { return Boolean(operation.servers); }

    resolve(thing) {
        if (!thing?.$ref) return thing;
        return this.resolve(find(this.document, thing.$ref.slice(1)));
    }

    find(method, target) {
        const where = target.split('?')[0];
        const all = this.paths.filter(({ matches }) => matches.test(where));
        const found = all.find(({ item }) => item[method.toLowerCase()]) ?? all[0];      // /v1/dead-letters/redeliver is not {delivery}
        const operation = found?.item[method.toLowerCase()];
        return operation ? { operation, path: found.template, values: { ...found.matches.exec(where).groups } } : null;
    }

    isDescribedOnPublic(method, target) { const found = this.find(method, target); return found !== null && this.isPublic(found.operation); }

    knowsPath(target) { return this.paths.some(({ matches }) => matches.test(target.split('?')[0])); }

    // What is wrong with a value by the schema at a pointer of the document ("/components/schemas/Key"); null: nothing.
    mistake(pointer, value) { return mistake(find(this.strict, pointer), value, this.strict); }

    // Where in the document it says what this status answers: { response, pointer }, or null.
    response(found, method, status) {
        const own = found.operation.responses[status];
        if (!own) return null;
        const pointer = own.$ref ? own.$ref.slice(1) : `/paths/${escaped(found.path)}/${method.toLowerCase()}/responses/${status}`;
        return { response: this.resolve(own), pointer };
    }

    #headers(response, answer) {
        for (const [name, header] of Object.entries(response.headers ?? {})) {
            const { required, schema } = this.resolve(header);
            const value = answer.headers[name.toLowerCase()];
            if (required && value === undefined) return `the header ${name} is missing`;
            if (value !== undefined && schema.type === 'integer' && !/^[0-9]+$/.test(value)) return `the header ${name} is no number: ${value}`;
        }
        return null;
    }

    #body(response, pointer, answer) {
        const type = typeOf(answer.headers['content-type']);
        const media = response.content?.[type];
        if (!response.content) return answer.body.length ? `there is a body: ${answer.text.slice(0, 200)}` : null;
        if (!media) return `nothing is said of the type ${type || '(none)'}`;
        const at = `${pointer}/content/${escaped(type)}`;
        if (media['x-item-schema']) return answer.text.split('\n').filter(Boolean).map((line) => this.mistake(`${at}/x-item-schema`, JSON.parse(line))).find(Boolean) ?? null;
        return type.endsWith('json') && media.schema ? this.mistake(`${at}/schema`, answer.json) : null;
    }

    #ofNoRoute(method, target, answer) {
        const expected = this.knowsPath(target) ? 405 : 404;
        if (method === 'OPTIONS') return answer.status === 204 || answer.status >= 400 ? null : `OPTIONS answers ${answer.status}`;
        if (answer.status === expected && answer.body.length) return this.mistake('/components/schemas/Problem', answer.json);
        return answer.status === expected || [400, 403, 408, 417, 431, 501, 503].includes(answer.status) ? null : `nothing is described there, and it answers ${answer.status}`;
    }

    // onPublic: it was the public port that answered.
    complaint(method, target, answer, { onPublic = false } = {}) {
        const asked = method === 'HEAD' ? 'GET' : method;
        const found = this.find(asked, target);
        if (!found || this.isPublic(found.operation) !== onPublic) return this.#ofNoRoute(method, target, answer);
        const described = this.response(found, asked, answer.status);
        if (!described) return `its status is not described`;
        return this.#headers(described.response, answer) ?? (method === 'HEAD' ? null : this.#body(described.response, described.pointer, answer));
    }
}

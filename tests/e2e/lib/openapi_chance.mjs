// openapi_chance.mjs — requests by chance from the description of the API: as it says, and then spoiled.
//
// Maker draws values of schemas and spoils them; Requests draws whole requests of a contract, each with `how`, which says what was done to it.
// The same seed gives the same requests, as long as the hub's answers put the same ids into `known`.

const ODD = ['', ' ', 'a', 'news', 'a.b.c', 'user.ann', '*', '**', 'a.*', 'a.**', 'a*', '..', '.', 'hub.x', 'null', 'true', '-1', '0', '1e9', '18446744073709551616', 'ä', '日本', '\u{1f600}',
    '\u0000', '\u007f', '\ud800', '"', '\\', '<script>', '%', '%2', '%zz', '%00', 'a/b', '../..', 'a b', '\r\nX: y', 'x'.repeat(200), 'x'.repeat(201), 'é'.repeat(120), '/'.repeat(50), '{channel}', '{user}',
    '2026-11-21T10:08:00Z', '9999-12-31T23:59:59Z', '1969-12-31T23:59:59Z', '2026-13-01T00:00:00Z', '10m', '0', '250ms', '99999999999d', 'aaaaaaaa.1', 'aaaaaaaa.0', 'aaaaaaaa.18446744073709551615', 'none', 'all', 'last', '-20', '-0'];
const NUMBERS = [0, -0, 1, -1, 2, 100, 999, 1000, 1001, 3999, 4000, 4104, 4199, 4200, 65535, 2 ** 31, 2 ** 32, 2 ** 53, 253402300799, 253402300800, 1e100, -1e-7, 0.5];
const LETTERS = 'abcxyzABZ0189._:-';

export class Maker {
    constructor(contract, chance, known = {}) {
        this.contract = contract;
        this.chance = chance;
        this.known = known;       // kind -> values that mean something to the hub
    }

    odd() { return this.chance.one(ODD); }
    word(most = 12) { return Array.from({ length: 1 + this.chance.below(most) }, () => this.chance.one([...LETTERS])).join(''); }

    // Strings of the few forms that the document has.
    #string(schema) {
        const made = {
            ChannelName: () => this.chance.one(['news', 'a', `c.${this.word(3)}`, 'user.ann', 'a/b+c', '!#~']), ChannelOrPattern: () => this.chance.one(['news', 'a', 'a.*', '**', `c.${this.word(3)}`]),
            EventName: () => `e${this.word()}`, ClientId: () => this.word(), KeyName: () => this.word().replaceAll(':', '_'), RequestId: () => this.word(), IdempotencyKey: () => this.word(30),
            Position: () => this.chance.one([...this.known.position ?? [], 'k3q7x2ab.7']), Condition: () => this.chance.one(['none', ...this.known.position ?? []]),
            Duration: () => `${1 + this.chance.below(900)}${this.chance.one(['', 'ms', 's', 'm', 'h', 'd'])}`, Instant: () => this.chance.one(['2027-01-02T03:04:05Z', '2020-01-01T00:00:00Z']),
            Scope: () => this.chance.one(['publish', 'publish:a.*', '*', 'history:**', 'admin']), NodeNumber: () => '00ff00ff00ff00ff',
        }[schema.named];
        if (made) return made();
        if (schema.pattern?.startsWith('^key_')) return 'key_00ff';
        if (schema.pattern?.startsWith('^rv_')) return 'rv_00ff';
        if (schema.pattern?.startsWith('^https')) return 'https://partner.invalid/hook';
        const text = this.word(schema.maxLength ?? 20);
        return text.padEnd(schema.minLength ?? 0, 'x');
    }

    #number({ minimum = -5, maximum = 2 ** 40 }) {
        return this.chance.one([minimum, maximum, minimum + this.chance.below(Math.min(1000, maximum - minimum + 1))]);
    }

    #object(schema, depth) {
        const value = {}, properties = Object.entries(schema.properties ?? {});
        const needed = [...schema.required ?? [], ...(schema.oneOf ? this.chance.one(schema.oneOf).required : [])];
        const barred = schema.oneOf ? schema.oneOf.flatMap((one) => one.required).filter((name) => !needed.includes(name)) : [];
        for (const [name, member] of properties) if (needed.includes(name) || (!barred.includes(name) && this.chance.below(3) === 0)) value[name] = this.value(member, depth + 1);
        return value;
    }

    any(depth = 0) {
        const kind = this.chance.below(depth > 3 ? 5 : 7);
        if (kind < 5) return [null, true, this.odd(), this.chance.one(NUMBERS), this.word()][kind];
        const inside = Array.from({ length: this.chance.below(4) }, () => this.any(depth + 1));
        return kind === 5 ? inside : Object.fromEntries(inside.map((value) => [this.word(), value]));
    }

    // Of the schema, as far as chance can see to it.
    value(schema, depth = 0) {
        if (schema.$ref) return this.value({ named: schema.$ref.split('/').at(-1), ...this.contract.resolve(schema) }, depth);
        if ('const' in schema) return schema.const;
        if (schema.enum) return this.chance.one(schema.enum);
        const choices = schema.anyOf ?? schema.allOf ?? (schema.properties ? null : schema.oneOf);
        if (choices) return this.value(this.chance.one(choices), depth);
        switch (this.chance.one([schema.type].flat())) {
        case 'string': return this.#string(schema);
        case 'integer': case 'number': return this.#number(schema);
        case 'boolean': return this.chance.below(2) === 1;
        case 'null': return null;
        case 'array': return Array.from({ length: Math.max(schema.minItems ?? 0, this.chance.below(4)) }, () => this.value(schema.items ?? {}, depth + 1));
        case 'object': return this.#object(schema, depth);
        default: return this.any(depth);
        }
    }

    // The same with something wrong in it, anywhere.
    spoil(value) {
        if (value !== null && typeof value === 'object' && this.chance.below(3)) {
            const copy = Array.isArray(value) ? [...value] : { ...value }, names = Object.keys(copy), name = names.length && this.chance.one(names);
            const ways = [
                () => { if (names.length) copy[name] = this.spoil(copy[name]); },
                () => { if (Array.isArray(copy)) copy.splice(Number(name), 1); else delete copy[name]; },
                () => { if (Array.isArray(copy)) copy.push(this.any()); else copy[this.chance.one([this.word(), this.odd(), 'data', 'channel', 'code'])] = this.any(); },
                () => { if (Array.isArray(copy)) copy.push(...Array(1 + this.chance.below(1100)).fill(copy[0] ?? 'x')); else copy[name] = this.any(); },
            ];
            this.chance.one(ways)();
            return copy;
        }
        return this.any();
    }
}

// ---- whole requests ----

const TYPES = ['application/json', 'application/json; charset=utf-8', 'application/json; charset=latin1', 'APPLICATION/JSON', 'text/plain', 'text/plain; charset=utf-16', 'text/', '/', ';', 'application/x-ndjson',
    'application/jsonl', 'application/x-www-form-urlencoded', 'application/octet-stream', 'multipart/form-data; boundary=x', 'application/json,text/plain', ''];
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'];
const inHeader = (text) => text.replace(/[^\t\x20-\x7e\x80-\xff]/g, '?');      // what node lets through

export class Requests {
    constructor(contract, chance, known, credentials, operations = contract.operations) {
        this.maker = new Maker(contract, chance, known);
        this.chance = chance;
        this.contract = contract;
        this.known = known;
        this.credentials = credentials;      // header objects: the first one may do everything
        this.operations = operations.filter(({ operation }) => !contract.isPublic(operation));
    }

    #seldom(n = 6) { return this.chance.below(n) === 0; }

    #path(path) {
        return path.replace(/\{(\w+)\}/g, (whole, name) => {
            const value = this.#seldom(4) ? this.maker.odd() : this.chance.one([...this.known[name] ?? [], this.maker.word()]);
            if (this.#seldom(30)) return this.chance.one(['%', '%zz', '%ff%fe', '%00', 'a%2Fb', '%F0%9F', '.', '%2e%2e', "';--", 'x'.repeat(2000)]);
            return encodeURIComponent(value.toWellFormed?.() ?? value.replace(/[\ud800-\udfff]/g, '?')) || 'x';
        });
    }

    #query(parameters) {
        const pairs = [];
        for (const { name, schema } of parameters) {
            if (!this.chance.below(2)) continue;
            const value = this.#seldom(3) ? this.maker.odd() : name === 'cursor' ? this.chance.one([...this.known.cursor ?? [], 'x']) : name === 'since' ? this.chance.one(['all', 'last', '-20', '10m']) : String(this.maker.value(schema));
            pairs.push(`${name}=${this.#seldom(12) ? value.replace(/[^!-~]/g, '') : encodeURIComponent(value.replace(/[\ud800-\udfff]/g, '?'))}`);
            if (this.#seldom(10)) pairs.push(`${name}=${this.maker.word()}`);
        }
        if (this.#seldom()) pairs.push(this.chance.one(['x=y', '=', '&&', 'limit', 'limit=%', '%6cimit=3', 'a=%ff', '?', 'event=%0a', 'since=']));
        return pairs.length ? `?${pairs.join('&').replace(/[#]/g, '%23')}` : '';
    }

    #headers(parameters) {
        const headers = {};
        for (const { name, schema } of parameters) {
            if (this.chance.below(3)) continue;
            headers[name] = inHeader(this.#seldom(3) ? this.maker.odd() : String(this.maker.value(schema)));
            if (this.#seldom(8)) headers[name] = [headers[name], this.maker.word()];
        }
        if (this.#seldom(20)) headers[this.chance.one(['Accept', 'Accept-Encoding', 'Content-Encoding', 'Origin', 'Range', 'If-Match', 'X-Forwarded-For', 'X-HTTP-Method-Override', 'Expect'])] = inHeader(this.maker.odd());
        return headers;
    }

    #text(type, media) {
        const made = media.schema ? this.maker.value(media['x-item-schema'] ?? media.schema) : this.maker.word();
        const value = this.#seldom(2) ? this.maker.spoil(made) : made;
        if (type.includes('ndjson') || type.includes('jsonl')) return Array.from({ length: this.chance.below(4) }, () => JSON.stringify(this.#seldom(4) ? this.maker.spoil(value) : value)).join(this.chance.one(['\n', '\r\n', '\n\n']));
        if (type.includes('json')) return JSON.stringify(value) ?? '';
        if (type.includes('form')) return typeof value === 'object' && value ? Object.entries(value).map(([n, v]) => `${encodeURIComponent(n.replace(/[\ud800-\udfff]/g, '?'))}=${encodeURIComponent(String(v).replace(/[\ud800-\udfff]/g, '?'))}`).join('&') : String(value);
        return String(value);
    }

    // Bytes that are not quite what was meant.
    #broken(text) {
        const bytes = Buffer.from(text);
        return this.chance.one([
            () => bytes.subarray(0, this.chance.below(bytes.length + 1)), () => Buffer.concat([bytes, Buffer.from([0xff, 0xfe])]), () => Buffer.concat([Buffer.from('\ufeff'), bytes]),
            () => Buffer.alloc(0), () => Buffer.from('['.repeat(1 + this.chance.below(80))), () => Buffer.from(text.replace(/"/, '"\\ud800')), () => Buffer.from(`{"data":1,"data":2,"x":"${'y'.repeat(this.chance.below(70000))}"}`),
            () => Buffer.from('{"data":1e999999,"ttl":1e3}'), () => Buffer.from(text.replace(/\d+/, '99999999999999999999')), () => Buffer.from(`${text}${text}`), () => Buffer.from(Array.from({ length: 60 }, () => this.chance.below(256))),
        ])();
    }

    next() {
        const { method, path, operation } = this.chance.one(this.operations);
        const parameters = operation.parameters.map((one) => this.contract.resolve(one));
        const request = {
            method: this.#seldom(25) ? this.chance.one(METHODS) : method,
            path: this.#path(path) + this.#query(parameters.filter((p) => p.in === 'query')),
            headers: { ...this.#headers(parameters.filter((p) => p.in === 'header')), ...(this.#seldom(15) ? this.chance.one(this.credentials) : this.credentials[0]) },
        };
        const content = Object.entries(operation.requestBody?.content ?? {});
        if (content.length && !this.#seldom(10)) {
            const [type, media] = this.chance.one(content);
            request.body = this.#text(type, media);
            if (this.#seldom()) request.body = this.#broken(request.body);
            const said = this.#seldom(8) ? this.chance.one(TYPES) : type.replace('*/*', 'application/x-thing').replace('text/*', 'text/html');
            if (said) request.headers['Content-Type'] = said;
        } else if (this.#seldom(20)) {
            request.body = this.maker.word();
        }
        return request;
    }
}

// schema.mjs — is a value what a JSON Schema (2020-12) says? As much of it as /openapi.json uses, and an exception for more.
//
// Every answer in every test is asked about, in some sixty processes: ajv takes longer to load than all of it. openapi.test.mjs holds this against ajv.

const is = {
    null: (v) => v === null,
    boolean: (v) => typeof v === 'boolean',
    string: (v) => typeof v === 'string',
    number: (v) => typeof v === 'number',
    integer: (v) => Number.isInteger(v),
    array: (v) => Array.isArray(v),
    object: (v) => v !== null && typeof v === 'object' && !Array.isArray(v),
};
const show = (v) => JSON.stringify(v)?.slice(0, 80);
const length = (text) => [...text].length;
const patterns = new Map();
const pattern = (text) => { if (!patterns.has(text)) patterns.set(text, new RegExp(text, 'u')); return patterns.get(text); };
const ignored = ['$ref', 'description', 'default', 'example', 'examples', 'format', 'title'];

function items(rule, value, at, root) {
    if (!is.array(value)) return null;
    for (let i = 0; i < value.length; i++) { const wrong = mistake(rule, value[i], root, `${at}/${i}`); if (wrong) return wrong; }
    return null;
}

function members(schema, value, at, root) {
    if (!is.object(value)) return null;
    for (const [name, member] of Object.entries(value)) {
        const rule = Object.hasOwn(schema.properties ?? {}, name) ? schema.properties[name] : schema.additionalProperties ?? true;
        const wrong = rule === false ? `${at} has a member ${name}` : rule === true ? null : mistake(rule, member, root, `${at}/${name}`);
        if (wrong) return wrong;
    }
    return null;
}

// keyword -> what is wrong with the value, or null
const keywords = {
    type: (rule, v, at) => ([rule].flat().some((type) => is[type](v)) ? null : `${at} is not ${rule}: ${show(v)}`),
    const: (rule, v, at) => (v === rule ? null : `${at} is not ${show(rule)}: ${show(v)}`),
    enum: (rule, v, at) => (rule.includes(v) ? null : `${at} is none of ${rule}: ${show(v)}`),
    pattern: (rule, v, at) => (!is.string(v) || pattern(rule).test(v) ? null : `${at} does not match ${rule}: ${show(v)}`),
    minLength: (rule, v, at) => (!is.string(v) || length(v) >= rule ? null : `${at} is shorter than ${rule}`),
    maxLength: (rule, v, at) => (!is.string(v) || length(v) <= rule ? null : `${at} is longer than ${rule}`),
    minimum: (rule, v, at) => (!is.number(v) || v >= rule ? null : `${at} is less than ${rule}: ${v}`),
    maximum: (rule, v, at) => (!is.number(v) || v <= rule ? null : `${at} is more than ${rule}: ${v}`),
    minItems: (rule, v, at) => (!is.array(v) || v.length >= rule ? null : `${at} has less than ${rule} items`),
    maxItems: (rule, v, at) => (!is.array(v) || v.length <= rule ? null : `${at} has more than ${rule} items`),
    required: (rule, v, at) => { const missing = is.object(v) && rule.find((name) => !Object.hasOwn(v, name)); return missing ? `${at} has no ${missing}` : null; },
    items: (rule, v, at, root) => items(rule, v, at, root),
    properties: (rule, v, at, root, schema) => members(schema, v, at, root),
    additionalProperties: (rule, v, at, root, schema) => (schema.properties ? null : members(schema, v, at, root)),
    allOf: (rule, v, at, root) => rule.map((one) => mistake(one, v, root, at)).find(Boolean) ?? null,
    anyOf: (rule, v, at, root) => { const wrong = rule.map((one) => mistake(one, v, root, at)); return wrong.includes(null) ? null : `${at}: ${wrong.join('; or ')}`; },
    oneOf: (rule, v, at, root) => { const wrong = rule.map((one) => mistake(one, v, root, at)); const n = wrong.filter((w) => w === null).length; return n === 1 ? null : `${at} is ${n} of one: ${wrong.filter(Boolean).join('; or ')}`; },
};

// What a pointer of the document ("/components/schemas/Key") leads to.
export const find = (root, pointer) => pointer.slice(1).split('/').reduce((at, part) => at[part.replaceAll('~1', '/').replaceAll('~0', '~')], root);

// A sentence, or null: it is. `root` is the document that $refs are into.
export function mistake(schema, value, root, at = 'it') {
    if (schema.$ref) {
        const wrong = mistake(find(root, schema.$ref.slice(1)), value, root, at);
        if (wrong) return wrong;
    }
    for (const [keyword, rule] of Object.entries(schema)) {
        if (ignored.includes(keyword)) continue;
        if (!keywords[keyword]) throw new Error(`schema.mjs does not know "${keyword}"`);
        const wrong = keywords[keyword](rule, value, at, root, schema);
        if (wrong) return wrong;
    }
    return null;
}

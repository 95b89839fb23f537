// metrics.mjs — reads Prometheus text (exposition format 0.0.4) strictly: what it accepts, Prometheus accepts.
import { request } from './http.mjs';

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`);
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(?:,|$)/y;
const TYPES = new Set(['counter', 'gauge', 'histogram', 'summary', 'untyped']);

function parseLabels(text) {
    const labels = {};
    LABEL.lastIndex = 0;
    while (LABEL.lastIndex < text.length) {
        const found = LABEL.exec(text);
        if (!found) throw new Error(`bad labels: ${text}`);
        if (found[1] in labels) throw new Error(`label twice: ${text}`);
        labels[found[1]] = found[2];
    }
    return labels;
}

function parseValue(text) {
    if (text === '+Inf') return Infinity;
    if (text === '-Inf') return -Infinity;
    if (text === 'NaN') return NaN;
    if (!/^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(text)) throw new Error(`not a number: ${text}`);
    return Number(text);
}

// -> Map of family name -> { type, help, samples: [{ name, labels, value }] }
export function parseMetrics(text) {
    if (!text.endsWith('\n')) throw new Error('the last line has no line feed');
    const families = new Map();
    const seen = new Set();
    let family = null;
    for (const line of text.split('\n').slice(0, -1)) {
        const meta = new RegExp(`^# (HELP|TYPE) (${NAME}) (.*)$`).exec(line);
        if (meta) {
            const [, kind, name, rest] = meta;
            if (family?.name !== name) {
                if (families.has(name)) throw new Error(`family ${name} comes twice`);
                family = { name, type: 'untyped', help: undefined, samples: [] };
                families.set(name, family);
            }
            if (family.samples.length) throw new Error(`${kind} of ${name} after its samples`);
            if (kind === 'TYPE' && !TYPES.has(rest)) throw new Error(`unknown type: ${line}`);
            family[kind === 'TYPE' ? 'type' : 'help'] = rest;
            continue;
        }
        if (line === '' || line.startsWith('#')) continue;
        const found = SAMPLE.exec(line);
        if (!found) throw new Error(`not a sample: ${line}`);
        const sample = { name: found[1], labels: parseLabels(found[2] ?? ''), value: parseValue(found[3]) };
        const suffixes = family?.type === 'histogram' ? ['_bucket', '_sum', '_count'] : family?.type === 'summary' ? ['', '_sum', '_count'] : [''];
        if (!family || !suffixes.some((suffix) => sample.name === family.name + suffix)) throw new Error(`sample outside its family: ${line}`);
        const key = `${sample.name}{${found[2] ?? ''}}`;
        if (seen.has(key)) throw new Error(`sample twice: ${line}`);
        seen.add(key);
        family.samples.push(sample);
    }
    for (const one of families.values()) if (one.type === 'histogram') checkHistogram(one);
    return families;
}

// Buckets grow, the last is +Inf, and it equals _count (for every set of other labels).
function checkHistogram(family) {
    const series = new Map();
    for (const { name, labels, value } of family.samples) {
        const { le, ...rest } = labels;
        const key = JSON.stringify(Object.entries(rest).sort());
        const one = series.get(key) ?? { buckets: [] };
        if (name.endsWith('_bucket')) one.buckets.push([parseValue(le), value]); else one[name.slice(family.name.length)] = value;
        series.set(key, one);
    }
    for (const [key, one] of series) {
        const bad = (why) => { throw new Error(`histogram ${family.name}${key}: ${why}`); };
        if (!one.buckets.length || one.buckets.at(-1)[0] !== Infinity) bad('no +Inf bucket at the end');
        for (let i = 1; i < one.buckets.length; i++) {
            if (one.buckets[i][0] <= one.buckets[i - 1][0]) bad('bounds do not grow');
            if (one.buckets[i][1] < one.buckets[i - 1][1]) bad('buckets are not cumulative');
        }
        if (one._count !== one.buckets.at(-1)[1]) bad('_count is not the +Inf bucket');
        if (one._sum === undefined) bad('no _sum');
    }
}

export async function metricsOf(hub) {
    const answer = await request(hub, '/metrics');
    if (answer.status !== 200) throw new Error(`/metrics answered ${answer.status}: ${answer.text}`);
    return parseMetrics(answer.text);
}

// The sum of a family's samples whose labels include `labels`.
export function total(families, name, labels = {}) {
    const family = families.get(name);
    if (!family) throw new Error(`no metric ${name}; there are: ${[...families.keys()].join(' ')}`);
    return family.samples
        .filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
        .reduce((sum, sample) => sum + sample.value, 0);
}

// files.mjs — what tests know about the project's own tables, read from the source so that nothing is kept twice.
import { readFileSync } from 'node:fs';

const root = new URL('../../../', import.meta.url);
const strings = /"((?:[^"\\]|\\.)*)"/g;

// Every key of hub/config/config.def: [{ key: 'history.size', section, what, default }]
export function configKeys() {
    const text = readFileSync(new URL('hub/config/config.def', root), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
    return [...text.matchAll(/^CONFIG\((\w+),\s*(\w+),(.*)\)$/gm)].map(([, section, key, rest]) => {
        const values = [...rest.replace(/^\s*\w+\([^)]*\)/, '').matchAll(strings)].map((m) => m[1]);
        return { key: `${section}.${key}`, section, default: values[0], what: values.at(-1) };
    });
}

// Every metric family of hub/metrics.def.
export function metricFamilies() {
    const text = readFileSync(new URL('hub/metrics.def', root), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
    return [...new Set([...text.matchAll(/^METRIC\(\w+,\s*\w+,\s*"(\w+)"/gm)].map((m) => m[1]))];
}

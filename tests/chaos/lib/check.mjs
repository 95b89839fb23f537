// check.mjs — the promises, held against what publishers were answered and readers were told. Each returns what is wrong, as sentences.
import { epochOf, numberOf } from '../../e2e/lib/ledger.mjs';

const DEAF_MS = 6000;      // redis_bus.h: three seconds without a heartbeat, and the beat before

// Numbers grow; another epoch only comes with a gap in between.
export function order(reader) {
    const wrong = [];
    let before = reader.newest;
    for (const message of reader.came) {
        if (before && epochOf(message.id) === epochOf(before.id) && numberOf(message.id) <= numberOf(before.id))
            wrong.push(`${reader.label}: ${message.id} (${message.text}) after ${before.id} (${before.text})`);
        if (before && epochOf(message.id) !== epochOf(before.id) && message.after === before.after)
            wrong.push(`${reader.label}: ${message.id} after ${before.id}: another epoch, and no gap was told`);
        before = message;
    }
    reader.newest = before && { ...before, after: 0 };
    return wrong;
}

// A gap of a name that covers the channel, told between positions around this one.
export function wasTold(reader, { id, channel }) {
    return reader.missed.some(({ from, to, channels }) => {
        if (!channels.some((name) => reader.names.includes(name)) || !reader.wants(channel)) return false;
        const after = !from || epochOf(from) !== epochOf(id) || numberOf(id) > numberOf(from);
        const before = epochOf(to) !== epochOf(id) || numberOf(id) <= numberOf(to);
        return after && before && (!from || epochOf(from) === epochOf(id) || epochOf(to) === epochOf(id) || epochOf(from) !== epochOf(to));
    });
}

// After a gap of reason epoch all that is kept comes, also what came before: under its number, which is of the new epoch then.
const came = (reader, text) => reader.came.filter((message) => message.text === text);
const isAgain = (message, first) => numberOf(message.id) === numberOf(first.id) && epochOf(message.id) !== epochOf(first.id) && message.after > 0;

export function acknowledged(reader, records) {
    const wrong = [];
    for (const record of records) {
        if (record.state !== 'acknowledged' || !reader.wants(record.channel)) continue;
        const ids = reader.texts.get(record.text) ?? [];
        if (ids.length === 0 && !wasTold(reader, record)) wrong.push(`${reader.label}: ${record.text} = ${record.id} of ${record.channel} did not come, and no gap was told`);
        if (ids.length > 0 && !ids.includes(record.id) && !came(reader, record.text).some((message) => isAgain(message, record)))
            wrong.push(`${reader.label}: ${record.text} came as ${ids}, its publisher was told ${record.id}`);
    }
    return wrong;
}

// A key is forgotten with the data: then a message that was sent again may come in both epochs.
export function once(reader, records) {
    const wrong = [], of = new Map(records.map((record) => [record.text, record]));
    for (const [text, ids] of reader.texts) {
        const record = of.get(text);
        if (record?.state === 'refused') wrong.push(`${reader.label}: ${text} came as ${ids}, its publisher was told that it was refused (${record.said})`);
        if (ids.length < 2) continue;
        const [first, ...later] = came(reader, text);
        const wasSentAgain = record?.maybe && new Set(ids.map(epochOf)).size === ids.length;
        if (!wasSentAgain && !later.every((message) => isAgain(message, first))) wrong.push(`${reader.label}: ${text} came as ${ids.join(' and ')}`);
    }
    return wrong;
}

// Nobody who was connected waits for long on a hub that says it is well.
export function notDeaf(reader, health, records) {
    const wrong = [];
    if (!reader.home) return wrong;
    const cameAt = new Map([...reader.came].reverse().map(({ text, at }) => [text, at]));      // for the first time
    for (const record of records) {
        const { text, id, channel, state, at } = record;
        if (state !== 'acknowledged' || !reader.wants(channel) || (!cameAt.has(text) && wasTold(reader, record))) continue;
        const late = (cameAt.get(text) ?? Infinity) - at;
        if (late > DEAF_MS && Date.now() - at > DEAF_MS && reader.wasUp(at - 1, at + DEAF_MS) && !health.wasRed(at - 1000, at + DEAF_MS))
            wrong.push(`${reader.label}: ${text} = ${id} came ${late} ms after it was acknowledged, and the hub was ready all the time`);
    }
    return wrong;
}

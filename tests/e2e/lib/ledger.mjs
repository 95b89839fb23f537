// ledger.mjs — the promise of resume, checked: what was acknowledged against what a reader has got.
import assert from 'node:assert/strict';

export const numberOf = (id) => Number(id.slice(id.indexOf('.') + 1));
export const epochOf = (id) => id.slice(0, id.indexOf('.'));

// `received`: [{ id, text }] in order of arrival over all connections of one reader.
// `acknowledged`: iterable of [text, id]. Everything acknowledged is there exactly once, under the id its publisher was
// told; nothing came twice; the order is that of the numbers. What was sent but never answered may be there or not.
export function checkExactlyOnce(received, acknowledged, what = 'reader') {
    for (let i = 1; i < received.length; i++) {
        assert.ok(numberOf(received[i].id) > numberOf(received[i - 1].id),
            `${what}: ${received[i].id} (${received[i].text}) after ${received[i - 1].id} (${received[i - 1].text}), arrival ${i}`);
    }
    const texts = new Map(received.map(({ id, text }) => [text, id]));
    assert.equal(texts.size, received.length, `${what}: a text came twice`);
    const lost = [];
    for (const [text, id] of acknowledged) {
        if (!texts.has(text)) lost.push(`${text}=${id}`);
        else assert.equal(texts.get(text), id, `${what}: ${text} came under another id than its publisher was told`);
    }
    assert.deepEqual(lost.slice(0, 10), [], `${what}: ${lost.length} acknowledged messages are missing`);
}

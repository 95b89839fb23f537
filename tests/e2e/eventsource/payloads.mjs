// payloads.mjs — every kind of payload: how it is published, its bytes on a stream, and what an EventSource makes of them (PROTOCOL.md §5).
//
// { name, text | json | binary: the payload, event?, lines: its lines in the bare format, got: the data of its event there,
//   member: `data` of the envelope, as bytes; large: it is not fed at every offset }
import { post } from '../lib/http.mjs';

// As the hub writes strings: \n, \r and \t are short, all other control characters are not, nor is what begins a tag.
const SHORT = { '"': '\\"', '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };
const quoted = (text) => `"${text.replace(/[\0-\x1f\x7f"\\<]/g, (c) => SHORT[c] ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`;
const text = (name, payload, lines, got, more = {}) => ({ name, text: payload, lines: lines.map((l) => `data: ${l}`), got, member: quoted(payload), ...more });
const same = (name, payload, more) => text(name, payload, [payload], payload, more);
const json = (name, payload, more = {}) => ({ name, json: payload, lines: [`data: ${payload}`], got: payload, member: payload, ...more });
const binary = (name, bytes) => ({ name, binary: Buffer.from(bytes), lines: [`data: ${Buffer.from(bytes).toString('base64')}`], got: Buffer.from(bytes).toString('base64'), member: quoted(Buffer.from(bytes).toString('base64')) });

export const PAYLOADS = [
    same('a word', 'hello'),
    same('nothing', ''),
    // spaces and colons: one space is the standard's, the rest is ours
    same('a leading space', ' a'), same('two of them', '  a'), same('a trailing one', 'a '), same('a space', ' '), same('a tab', '\ta\t'),
    same('a colon', ':'), same('a colon first', ': no comment'), same('a field', 'data: x'), same('an id', 'id: forged.1'), same('a delay', 'retry: 1'), same('an event', 'event: hub.bye'), same('a bare name', 'data'),
    // line ends
    text('LF', 'a\nb', ['a', 'b'], 'a\nb'), text('CR', 'a\rb', ['a', 'b'], 'a\nb'), text('CRLF', 'a\r\nb', ['a', 'b'], 'a\nb'),
    text('LF CR', 'a\n\rb', ['a', '', 'b'], 'a\n\nb'), text('CR CR LF', 'a\r\r\nb', ['a', '', 'b'], 'a\n\nb'), text('two LF', 'a\n\nb', ['a', '', 'b'], 'a\n\nb'),
    text('a trailing LF', 'a\n', ['a', ''], 'a\n'), text('a trailing CR', 'a\r', ['a', ''], 'a\n'), text('a trailing CRLF', 'a\r\n', ['a', ''], 'a\n'), text('a leading LF', '\na', ['', 'a'], '\na'),
    text('only LF', '\n', ['', ''], '\n'), text('only CR', '\r', ['', ''], '\n'), text('only CRLF twice', '\r\n\r\n', ['', '', ''], '\n\n'),
    text('a forged block', 'a\n\nid: forged.1\nevent: hub.bye\ndata: {}\n\n', ['a', '', 'id: forged.1', 'event: hub.bye', 'data: {}', '', ''], 'a\n\nid: forged.1\nevent: hub.bye\ndata: {}\n\n'),
    same('what ends lines elsewhere', 'a\vb\fc\x1cd\x1de\x1ef\x85g\u2028h\u2029i'),
    // characters
    same('NUL', '\0'), same('NUL inside', 'a\0b'), same('control characters', '\x01\x02\x1b\x7f'),
    same('a byte order mark first', '\uFEFFa'), same('a byte order mark', '\uFEFF'), same('one in the middle', 'a\uFEFFb'),
    same('two, three and four bytes', 'é€𝄞'), same('joined emoji', '👩‍👩‍👧‍👦🇩🇪'), same('what combines', 'e\u0301\u0327'), same('right to left', 'שלום \u202Eabc\u202C'),
    same('the ends of Unicode', '\uFFFD\uFFFE\uFFFF\u{1FFFE}\u{10FFFF}'), same('quotes and backslashes', '"\\"/\'<b>&amp;'),
    // lengths
    same('one line of 1 MiB', 'x'.repeat(1 << 20), { large: true }), same('a long line of astral characters', '😀'.repeat(30_000), { large: true }),
    text('20,000 lines', '\n'.repeat(19_999), Array(20_000).fill(''), '\n'.repeat(19_999), { large: true }),
    // JSON keeps its bytes
    json('a number', '0.10'), json('a large number', '12345678901234567890'), json('a string', '"a"'), json('an empty string', '""'), json('null', 'null'), json('true', 'true'),
    json('an object', '{"b":1,"a":[1 , 2],"b":2}'), json('escapes', '"\\u0000\\n\\ud83d\\ude00\\/"'), json('characters as they are', '"é€𝄞\u2028\uFEFF"'),
    { ...json('line ends between tokens', '{\r\n "a":\n1,\r"b": 2 }'), lines: ['data: {', 'data:  "a":', 'data: 1,', 'data: "b": 2 }'], got: '{\n "a":\n1,\n"b": 2 }' },
    // binary
    binary('a byte', [0xff]), binary('no bytes', []), binary('line ends as bytes', [10, 13, 10, 13, 0]), binary('all bytes', Array.from({ length: 256 }, (_, i) => i)),
    // names of events
    same('an event of its own', 'a', { event: 'headline' }), same('all that a name may have', 'a', { event: `AZaz09._:-${'x'.repeat(54)}` }), same('the name of the default', 'a', { event: 'message' }),
    same('the name of an event of every EventSource', 'a', { event: 'open' }), same('and the other', 'a', { event: 'error' }), same('a name of every object', 'a', { event: 'constructor' }),
    same('nearly one of the hub', 'a', { event: 'hub' }), same('a field as a name', 'a', { event: 'data:' }), same('an event without data', '', { event: 'headline' }),
];

// What could not be told: publishing it is refused with this code.
const bad = (bytes) => ({ body: Buffer.from(bytes), headers: { 'Content-Type': 'text/plain' }, code: 'bad_utf8' });
const named = (name) => ({ name: `the event ${JSON.stringify(name)}`, body: 'x', headers: { 'Content-Type': 'text/plain' }, query: `?event=${encodeURIComponent(name)}`, code: 'bad_event' });
export const REFUSED = [
    { name: 'a byte of no character', ...bad([0x61, 0xff]) }, { name: 'half a character', ...bad([0xe2, 0x82]) }, { name: 'too long a form', ...bad([0xc0, 0x80]) }, { name: 'half of a pair', ...bad([0xed, 0xa0, 0x80]) },
    { name: 'beyond Unicode', ...bad([0xf4, 0x90, 0x80, 0x80]) }, { name: 'a byte in JSON', ...bad([...Buffer.from('{"data":"'), 0xff, ...Buffer.from('"}')]), headers: { 'Content-Type': 'application/json' } },
    { name: 'half of a pair as an escape', body: '{"data":"\\ud800"}', headers: { 'Content-Type': 'application/json' }, code: 'bad_json' },
    ...['hub.ready', 'hub.', 'hub.x', 'a b', ' a', 'a\nb', 'a\rid: 1', 'a\0', 'é', '\uFEFFa', 'x'.repeat(65)].map(named),
];

export async function send(hub, channel, { text, json, binary, event }) {
    const query = event ? `?event=${encodeURIComponent(event)}` : '';
    const answer = json === undefined ? await post(hub, channel, text ?? binary, { headers: { 'Content-Type': text === undefined ? 'application/octet-stream' : 'text/plain' }, query })
        : await post(hub, channel, `{"data":${json}${event ? `,"event":"${event}"` : ''}}`, { headers: { 'Content-Type': 'application/json' } });
    if (answer.status !== 201) throw new Error(`${answer.status} ${answer.text}`);
    return answer.json;
}

function envelopeOf({ binary, event, member }, channel, id, time) {
    const before = `{"type":"message","channel":"${channel}","id":"${id}"${event ? `,"event":"${event}"` : ''}${binary ? ',"encoding":"base64"' : ''},"data":`;
    return `${before}${member},"time":${time}}`.split(/\r\n|\r|\n/).map((line) => `data: ${line}`);
}

export function wireOf(row, format, channel, id, time) {
    const lines = format === 'bare' ? row.lines : envelopeOf(row, channel, id, time);
    return [`id: ${id}`, ...(row.event ? [`event: ${row.event}`] : []), ...lines, '', ''].join('\n');
}

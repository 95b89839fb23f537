// streams.mjs — event streams and what they mean, from the HTML Living Standard §9.2.5 and §9.2.6. They are not a hub's: they are how we know that
// our reader of streams (lib/event-stream.mjs) and the engines read as the standard says, and where an engine does not.
//
// { name, bytes, events: [data, or [data, type, lastEventId]], next: the id it comes back with ('' unless said),
//   retry: the reconnection time, ignored: lines without a meaning, not: { engine: [why, the events that it makes of it] } }

const BOM = '\uFEFF';
const V2 = 'npm eventsource 2', V3 = 'npm eventsource 3';
const NO_COLON = 'a line without a colon is no field to it';
const ID_OF_ITS_OWN = 'an event without an id: has an empty lastEventId';

export const STREAMS = [
    // data
    { name: 'lines of data are joined by LF', bytes: 'data: first\ndata: second\ndata\ndata: fourth\n\n', events: ['first\nsecond\n\nfourth'], not: { [V2]: [NO_COLON, ['first\nsecond\nfourth']] } },
    { name: 'a field without a colon is empty, and empty data is an event', bytes: 'data\n\ndata\ndata\n\ndata:\n\ndata:', events: ['', '\n', ''], not: { [V2]: [NO_COLON, ['']] } },
    { name: 'one space after the colon is taken away, and only one', bytes: 'data:a\n\ndata: b\n\ndata:  c\n\ndata:\td\n\ndata: \n\n', events: ['a', 'b', ' c', '\td', ''] },
    { name: 'later colons and trailing spaces are data', bytes: 'data::a\n\ndata: : b : \n\n', events: [':a', ': b : '] },
    { name: 'what was not ended by an empty line is no event', bytes: 'data: a\n\ndata: b\n', events: ['a'] },
    { name: 'empty lines and blocks without data are no events', bytes: '\n\n\n:\n\nevent: x\n\ndata: a\n\n\n\n', events: ['a'] },
    { name: 'NUL is data like any other', bytes: 'data: a\0b\n\ndata: \0\n\n', events: ['a\0b', '\0'] },
    { name: 'a line of 200,000 characters', bytes: `data: ${'long '.repeat(40_000)}\n\n`, events: ['long '.repeat(40_000)], large: true },
    { name: '5,000 lines of one event', bytes: `${'data: line\n'.repeat(5000)}\n`, events: ['line\n'.repeat(5000).slice(0, -1)], large: true },
    // line ends
    { name: 'LF, CR and CRLF end lines, in any mixture', bytes: 'data: a\rdata: b\r\ndata: c\n\rdata: d\n\r\ndata: e\r\n\rdata: f\r\r', events: ['a\nb\nc', 'd', 'e', 'f'] },
    { name: 'CRLF is one line end', bytes: 'data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n', events: ['a\nb', 'c'] },
    { name: 'a CR is a line end as soon as it has come', bytes: 'data: a\r\rdata: b\r\r', events: ['a', 'b'] },
    { name: 'nothing else ends a line', bytes: 'data: a\vb\fc\x85d\u2028e\u2029f\x1cg\x1eh\n\n', events: ['a\vb\fc\x85d\u2028e\u2029f\x1cg\x1eh'] },
    // UTF-8
    { name: 'a byte order mark at the beginning is no part of it', bytes: `${BOM}data: a\n\ndata: b\n\n`, events: ['a', 'b'] },
    { name: 'a second one is', bytes: `${BOM}${BOM}data: a\n\ndata: b\n\n`, events: ['b'], ignored: [`${BOM}data:a`] },
    { name: 'and so is one in the middle', bytes: `data: a\n\n${BOM}data: b\n\ndata: ${BOM}c\n\n`, events: ['a', `${BOM}c`], ignored: [`${BOM}data:b`] },
    { name: 'characters of two, three and four bytes', bytes: 'data: é€𝄞😀👩‍👩‍👧‍👦 \u{10ffff}\n\n', events: ['é€𝄞😀👩‍👩‍👧‍👦 \u{10ffff}'] },
    { name: 'bytes that are not UTF-8 are replaced', bytes: Buffer.from([...Buffer.from('data: a'), 0xff, 0xc0, 0x80, ...Buffer.from('b\n\ndata: '), 0xe2, 0x82, ...Buffer.from('\n\n')]), events: ['a\uFFFD\uFFFD\uFFFDb', '\uFFFD'] },
    // names of fields
    { name: 'names count to the letter', bytes: 'Data: a\nDATA: b\n data: c\ndata : d\ndatas: e\nda\0ta: f\ndata: g\n\n', events: ['g'], ignored: ['Data:a', 'DATA:b', ' data:c', 'data :d', 'datas:e', 'da\0ta:f'] },
    { name: 'fields that nobody knows mean nothing', bytes: 'x: 1\nx\ndata: a\nidx: 5\nevents: b\n\n', events: ['a'], ignored: ['x:1', 'x:', 'idx:5', 'events:b'] },
    { name: 'comments mean nothing', bytes: ':\n: data: a\n::\ndata: b\n:data: c\n\n', events: ['b'] },
    // event
    { name: 'event: names one event', bytes: 'event: add\ndata: a\n\ndata: b\n\n', events: [['a', 'add'], 'b'] },
    { name: 'the last event: counts, an empty one is none', bytes: 'event: one\nevent: add\ndata: a\n\nevent: add\nevent:\ndata: b\n\nevent: add\nevent\ndata: c\n\n', events: [['a', 'add'], 'b', 'c'], not: { [V2]: [NO_COLON, [['a', 'add'], 'b', ['c', 'add']]] } },
    { name: 'a block without data keeps no name for the next', bytes: 'event: add\n\ndata: a\n\n', events: ['a'] },
    { name: 'event: message is what it is without', bytes: 'event: message\ndata: a\n\n', events: ['a'] },
    // id
    { name: 'an id holds until another comes', bytes: 'id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: c\n\n', events: [['a', 'message', '1'], ['b', 'message', '1'], ['c', 'message', '2']], next: '2', not: { [V3]: [ID_OF_ITS_OWN, [['a', 'message', '1'], 'b', ['c', 'message', '2']]] } },
    { name: 'an empty id takes it away', bytes: 'id: 1\ndata: a\n\nid:\ndata: b\n\n', events: [['a', 'message', '1'], 'b'] },
    { name: 'and so does one without a colon', bytes: 'id: 1\ndata: a\n\nid\ndata: b\n\n', events: [['a', 'message', '1'], 'b'], not: { [V2]: [NO_COLON, [['a', 'message', '1'], ['b', 'message', '1']], '1'] } },
    { name: 'an id with NUL is none', bytes: 'id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n', events: [['a', 'message', '1'], ['b', 'message', '1']], next: '1', ignored: ['id:2\0'],
        not: { [V2]: ['it takes it, and cannot send it back', null], [V3]: [ID_OF_ITS_OWN, [['a', 'message', '1'], 'b']] } },
    { name: 'an id alone is kept, and is no event', bytes: 'id: 7\n\ndata: a\n\nid: 8\n\n', events: [['a', 'message', '7']], next: '8', not: { [V3]: ['it keeps ids of events only', ['a'], ''] } },
    { name: 'the id of a block that was cut is not kept', bytes: 'id: 1\ndata: a\n\nid: 2\ndata: b\n', events: [['a', 'message', '1']], next: '1', not: { [V2]: ['it keeps an id when its line has come', [['a', 'message', '1']], '2'] } },
    // retry
    { name: 'retry: takes digits', bytes: 'retry: 1000\nretry: 007\n\n', events: [], retry: 7 },
    { name: 'and nothing else', bytes: 'retry: 5\nretry: 1.5\nretry: -1\nretry: 1e3\nretry: 0x10\nretry: 9 \nretry:\nretry\ndata: a\n\n', events: ['a'], retry: 5,
        ignored: ['retry:1.5', 'retry:-1', 'retry:1e3', 'retry:0x10', 'retry:9 ', 'retry:', 'retry:'] },
];

export const eventOf = (wanted) => { const [data, type = 'message', lastEventId = ''] = [wanted].flat(); return { type, data, lastEventId }; };

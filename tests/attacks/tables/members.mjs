// tables/members.mjs — presence at its doors.
//
// queries    GET /v1/channels/room/presence  [what it is, query, what comes of it]: the number of members listed, or a code of a 400
// commands   WebSocket `presence`            [what it is, members of the frame beside type and ref, the same]
// The channel has three members, whose names are in order; the greatest is zoe. PROTOCOL.md §6 (Presence) and §8.
// infos      the claim carillon.info, at most presence.max_info = 64 bytes  [what it is, JSON, taken?]: not taken is bad_token
const long = (n) => 'a'.repeat(n);

export const queries = [
    ['no query', '', 3],
    ['a limit of none: only the count', '?limit=0', 0],
    ['a limit of one', '?limit=1', 1],
    ['the largest limit', '?limit=1000', 3],
    ['one above it', '?limit=1001', 'bad_field'],
    ['a negative limit', '?limit=-1', 'bad_field'],
    ['a limit with a plus', '?limit=%2B1', 'bad_field'],
    ['hexadecimal', '?limit=0x10', 'bad_field'],
    ['a fraction', '?limit=1.5', 'bad_field'],
    ['more than 64 bits', '?limit=18446744073709551617', 'bad_field'],
    ['words', '?limit=all', 'bad_field'],
    ['an empty limit', '?limit=', 'bad_field'],
    ['NUL in a limit', '?limit=1%00', 'bad_field'],
    ['an empty cursor: from the beginning', '?cursor=', 3],
    ['a cursor that is a member', '?cursor=ann', 2],
    ['a cursor that is nobody', '?cursor=b', 2],
    ['a cursor behind all', '?cursor=zzz', 0],
    ['a cursor with NUL', '?cursor=%00', 3],
    ['a cursor that is no UTF-8', '?cursor=%ff%fe', 0],
    ['a cursor of a thousand bytes', `?cursor=${long(1000)}`, 'bad_position'],
    ['a cursor of markup', '?cursor=%3Cscript%3E', 3],
    ['a cursor that is a position', '?cursor=k3q7x2ab.1842', 2],
    ['count=true', '?count=true', 0],
    ['a count that is neither', '?count=maybe', 'bad_field'],
];

export const commands = [
    ['only a channel', '"channel":"room"', 3],
    ['a limit of none', '"channel":"room","limit":0', 0],
    ['one above the largest limit', '"channel":"room","limit":1001', 'bad_field'],
    ['a negative limit', '"channel":"room","limit":-1', 'bad_field'],
    ['a limit as text', '"channel":"room","limit":"1"', 'bad_field'],
    ['a limit that is a fraction', '"channel":"room","limit":1.5', 'bad_field'],
    ['a limit with an exponent', '"channel":"room","limit":1e2', 'bad_field'],
    ['a limit of 400 digits', `"channel":"room","limit":${'9'.repeat(400)}`, 'bad_field'],
    ['a limit of null: none is given', '"channel":"room","limit":null', 3],
    ['a cursor that is a number', '"channel":"room","cursor":7', 'bad_field'],
    ['a cursor that is an object', '"channel":"room","cursor":{"user":"ann"}', 'bad_field'],
    ['a cursor with NUL', '"channel":"room","cursor":"\\u0000"', 3],
    ['a cursor of 10,000 bytes', `"channel":"room","cursor":"${long(10000)}"`, 'bad_field'],
    ['no channel', '"limit":1', 'bad_field'],
    ['a channel that is none', '"channel":"a b"', 'bad_channel'],
    ['a pattern', '"channel":"**"', 'bad_channel'],
    ['a list of channels', '"channel":["room"]', 'bad_field'],
    ['an empty channel', '"channel":"empty"', 0],
];

export const infos = [
    ['none', 'null', true],
    ['64 bytes', JSON.stringify(long(62)), true],
    ['65 bytes', JSON.stringify(long(63)), false],
    ['5,000 bytes', JSON.stringify(long(5000)), false],
    ['an object', '{"name":"Ann"}', true],
    ['markup', '"<script>alert(1)</script>"', true],
    ['line ends', '"a\\r\\nevent: hub.bye"', true],
    ['a line separator', '"\\u2028"', true],
    ['NUL', '"\\u0000"', false],
    ['half a pair', '"\\ud800"', false],
    ['20 deep', '['.repeat(20) + ']'.repeat(20), true],
    ['a number of 60 digits', '9'.repeat(60), false],
    ['the same member twice', '{"a":1,"a":2}', false],
    ['__proto__', '{"__proto__":{"a":1}}', true],
];

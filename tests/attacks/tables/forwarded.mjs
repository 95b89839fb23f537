// tables/forwarded.mjs — what clients and proxies may write about addresses. One line a case: [what it is, header lines, client].
//
// The request comes from 127.0.0.1, which is trusted, and so is 10.0.0.0/8; the header believed is X-Forwarded-For.
// client   whose request it is then. From a peer that is not trusted all of these are requests of that peer.
// Sources  PROTOCOL.md §4 ("Behind a proxy"); RFC 7239; de facto X-Forwarded-For.
const PROXY = '127.0.0.1', CLIENT = '203.0.113.7';
const X = (...values) => values.map((value) => `X-Forwarded-For: ${value}\r\n`).join('');

export const forwarded = [
    ['nothing', '', PROXY],
    ['a client', X(CLIENT), CLIENT],
    ['one that was made up before it', X(`198.51.100.1, ${CLIENT}`), CLIENT],
    ['the proxy itself, made up before it', X(`127.0.0.1, ${CLIENT}`), CLIENT],
    ['a whole chain made up before it', X(`198.51.100.1, 10.0.0.9, ${CLIENT}, 10.0.0.1`), CLIENT],
    ['a line of its own made up before it', X('198.51.100.1', CLIENT), CLIENT],
    ['a line of its own behind it', X(CLIENT, '10.0.0.1'), CLIENT],
    ['other letters in its name', `x-forwarded-FOR: ${CLIENT}\r\n`, CLIENT],
    ['IPv6', X('2001:db8::7'), '2001:db8::7'],
    ['IPv6 in brackets with a port', X('[2001:db8::7]:443'), '2001:db8::7'],
    ['IPv4 mapped into IPv6', X(`::ffff:${CLIENT}`), CLIENT],
    ['a port', X(`${CLIENT}:4711`), CLIENT],
    ['the header that is not believed', `Forwarded: for=198.51.100.1\r\n${X(CLIENT)}`, CLIENT],
    ['only the header that is not believed', 'Forwarded: for=198.51.100.1\r\n', PROXY],
    ['others of its kind', `X-Real-IP: 198.51.100.1\r\nX-Client-IP: 198.51.100.1\r\nTrue-Client-IP: 198.51.100.1\r\nCF-Connecting-IP: 198.51.100.1\r\n`, PROXY],
    ['an empty value', X(''), PROXY],
    ['commas alone', X(',,,,'), PROXY],
    ['a word', X('localhost'), PROXY],
    ['unknown', X('198.51.100.1, unknown'), PROXY],
    ['rubbish before a proxy', X(`${CLIENT}, rubbish, 10.0.0.1`), '10.0.0.1'],
    ['a network', X('203.0.113.0/24'), PROXY],
    ['the unspecified address', X('0.0.0.0'), PROXY],
    ['octal', X('0313.0.0161.07'), PROXY],
    ['hexadecimal', X('0xcb007107'), PROXY],
    ['one number', X('3405803783'), PROXY],
    ['three parts', X('203.0.113'), PROXY],
    ['a zone', X('fe80::1%eth0'), PROXY],
    ['a space inside', X('203.0.113.7 10.0.0.1'), PROXY],
    ['a quote left open', X(`"198.51.100.1, ${CLIENT}`), CLIENT],
    ['markup', X(`<script>, ${CLIENT}`), CLIENT],
    ['a NUL written out', X('203.0.113.7%00'), PROXY],
    ['three thousand proxies', X(Array(3000).fill('10.0.0.1').join(',')), '10.0.0.1'],
    ['three thousand clients', X(Array(2000).fill('198.51.100.1').concat(CLIENT).join(',')), CLIENT],
    ['twenty-five kilobytes in one', X('1'.repeat(25000)), PROXY],
];

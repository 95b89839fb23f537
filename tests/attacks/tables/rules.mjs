// tables/rules.mjs — settings of channels as they should not be, for `carillon check-config`.
//
// files      [what it is, text of the file, what standard error says; null: it is fine]      a mistake: status 1, one line each, with its number
// channels   [what it is, the word behind --channel, status]      2: that is no channel
const rule = (pattern, ...lines) => `[channel "${pattern}"]\n${lines.join('\n')}\n`;
const long = (n) => 'a'.repeat(n);

export const files = [
    ['nothing', '', null],
    ['a rule without lines', rule('a'), null],
    ['every kind of pattern', rule('a') + rule('a.*') + rule('*.b') + rule('a.*.c.**') + rule('**'), null],
    ['no pattern', '[channel]\npublish = no\n', 'for which channels'],
    ['an empty pattern', rule('', 'publish = no'), 'for which channels'],
    ['only dots', rule('...', 'publish = no'), null],
    ['a star inside a segment', rule('a*', 'publish = no'), 'not a pattern'],
    ['three stars', rule('***', 'publish = no'), 'not a pattern'],
    ['two stars that do not end it', rule('**.a', 'publish = no'), 'not a pattern'],
    ['a blank', rule('a b', 'publish = no'), 'not a pattern'],
    ['a control byte', rule('a\x01b', 'publish = no'), ':1: '],
    ['a byte that is no UTF-8', Buffer.from(rule('a\xff', 'publish = no'), 'latin1'), 'not a pattern'],
    ['201 bytes', rule(long(201), 'publish = no'), 'not a pattern'],
    ['100,000 bytes', rule(long(100000), 'publish = no'), ':1: '],
    ['a quote that does not end', '[channel "a]\npublish = no\n', ':1: '],
    ['no quotes', '[channel a]\npublish = no\n', ':1: '],
    ['a bracket too few', '[channel "a"\npublish = no\n', ':1: '],
    ['the same pattern twice', rule('a', 'publish = no') + rule('a', 'publish = yes'), 'has a section already'],
    ['a setting that does not exist', rule('a', 'publsh = no'), 'did you mean publish?'],
    ['a setting of the hub', rule('a', 'api.listen = 0.0.0.0:1'), 'not a setting of channels'],
    ['neither yes nor no', rule('a', 'publish = perhaps'), ':2: '],
    ['a size of nothing', rule('a', 'message ='), ':2: '],
    ['a negative size', rule('a', 'message = -1'), ':2: '],
    ['a size of 30 digits', rule('a', `message = ${'9'.repeat(30)}`), ':2: '],
    ['a unit that is none', rule('a', 'message = 1XB'), ':2: '],
    ['a policy that is none', rule('a', 'lag.policy = explode'), ':2: '],
    ['a history of a fraction', rule('a', 'history.size = 0.5'), ':2: '],
    ['a history without end', rule('a', `history.ttl = ${'9'.repeat(25)}d`), ':2: '],
    ['a history of nothing', rule('a', 'history.size = 0', 'history.ttl = 0', 'history.bytes = 0'), null],
    ['neither last nor not', rule('a', 'last = newest'), ':2: '],
    ['a line without a value', rule('a', 'publish'), ':2: '],
    ['NUL in the middle', `${rule('a', 'publish = no')}\0${rule('b')}`, 'not text'],
    ['1,000 rules of mistakes', Array.from({ length: 1000 }, (_, i) => rule(`a*${i}`, 'x = y')).join(''), 'not a pattern'],
];

export const channels = [
    ['a channel', 'news', 0],
    ['200 bytes', long(200), 0],
    ['201 bytes', long(201), 2],
    ['empty', '', 2],
    ['a blank', 'a b', 2],
    ['a line end', 'a\nb', 2],
    ['a pattern', 'a.*', 2],
    ['a byte that is no ASCII', '\u00e9', 2],
    ['100,000 bytes', long(100000), 2],
    ['the name of an option', '--channel', 0],
    ['a format', '%s%n', 0],
    ['the way to /etc/passwd', '../../etc/passwd', 0],
];

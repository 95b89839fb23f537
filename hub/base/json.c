#include "hub/base/json.h"

#include "hub/base/err.h"

#include <endian.h>

/* ---- UTF-8 ---- */

/* Length of the character at `s`, 0 when it is none. The second byte's range is what excludes overlong forms (E0, F0),
 * surrogates (ED) and numbers above U+10FFFF (F4): RFC 3629 §4. */
static size_t utf8_char(const unsigned char *s, size_t left)
{
    unsigned char c = s[0], low = 0x80, high = 0xbf;
    size_t len;
    if (c < 0x80)
        return 1;
    if (c < 0xc2)
        return 0;
    if (c < 0xe0) {
        len = 2;
    } else if (c < 0xf0) {
        len = 3;
        low = c == 0xe0 ? 0xa0 : 0x80;
        high = c == 0xed ? 0x9f : 0xbf;
    } else if (c < 0xf5) {
        len = 4;
        low = c == 0xf0 ? 0x90 : 0x80;
        high = c == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if (left < len || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

bool utf8_valid(struct slice s)
{
    const unsigned char *at = (const unsigned char *)s.at;
    size_t i = 0;
    while (i < s.len) {
        uint64_t eight;
        while (s.len - i >= sizeof eight) {     /* most text is ASCII: eight bytes at a time */
            memcpy(&eight, at + i, sizeof eight);
            if (eight & UINT64_C(0x8080808080808080))
                break;
            i += sizeof eight;
        }
        if (i == s.len)
            break;
        size_t len = utf8_char(at + i, s.len - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

/* ---- one pass: each skip_ returns where its part of the grammar ends, or NULL ---- */

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

static bool hex4(const char *p, const char *end, unsigned *ret)
{
    unsigned n = 0;
    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(p[i]);
        if (digit < 0)
            return false;
        n = n << 4 | (unsigned)digit;
    }
    *ret = n;
    return true;
}

/* After the `\u` of an escape: one number, or two that make a pair of surrogates. */
static const char *skip_unicode_escape(const char *p, const char *end, unsigned *ret_char)
{
    unsigned high, low;
    if (!hex4(p, end, &high))
        return NULL;
    p += 4;
    if (high < 0xd800 || high > 0xdfff) {
        *ret_char = high;
        return p;
    }
    if (high > 0xdbff || end - p < 6 || p[0] != '\\' || p[1] != 'u' || !hex4(p + 2, end, &low) || low < 0xdc00 || low > 0xdfff)
        return NULL;
    *ret_char = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return p + 6;
}

/* Of eight bytes, the highest bit of each that is a quote, a backslash or a control character; of those behind the first it may be set in vain: a byte
 * that is less than what is subtracted from it borrows from the next one. */
static uint64_t not_plain(uint64_t eight)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highest = UINT64_C(0x8080808080808080);
    uint64_t quote = eight ^ ones * '"', backslash = eight ^ ones * '\\';
    return (((eight - ones * 0x20) & ~eight) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) & highest;
}

/* To the first such byte, or the end. */
static const char *skip_plain(const char *p, const char *end)
{
    uint64_t eight;
    for (; end - p >= (ptrdiff_t)sizeof eight; p += sizeof eight) {
        memcpy(&eight, p, sizeof eight);
        uint64_t found = not_plain(le64toh(eight));
        if (found)
            return p + __builtin_ctzll(found) / 8;
    }
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
        p++;
    return p;
}

/* After a backslash. */
static const char *skip_escape(const char *p, const char *end)
{
    unsigned ignored;
    if (p == end)
        return NULL;
    switch (*p) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        return p + 1;
    case 'u':
        return skip_unicode_escape(p + 1, end, &ignored);
    default:
        return NULL;
    }
}

/* After the opening quote; returns behind the closing one. */
static const char *skip_string(const char *p, const char *end)
{
    while (p && (p = skip_plain(p, end)) < end) {
        if (*p == '"')
            return p + 1;
        p = *p == '\\' ? skip_escape(p + 1, end) : NULL;
    }
    return NULL;
}

static const char *skip_digits(const char *p, const char *end)
{
    const char *start = p;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p > start ? p : NULL;
}

static const char *skip_number(const char *p, const char *end)
{
    if (p < end && *p == '-')
        p++;
    if (p < end && *p == '0')
        p++;
    else
        p = skip_digits(p, end);
    if (p && p < end && *p == '.')
        p = skip_digits(p + 1, end);
    if (p && p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        p = skip_digits(p, end);
    }
    return p;
}

static const char *skip_word(const char *p, const char *end, struct slice word)
{
    return (size_t)(end - p) >= word.len && !memcmp(p, word.at, word.len) ? p + word.len : NULL;
}

static const char *skip_value(const char *p, const char *end, int depth);

/* `"name" : value` of an object. */
static const char *skip_member(const char *p, const char *end, int depth, struct json_member *ret_member)
{
    if (p == end || *p != '"')
        return NULL;
    const char *name = ++p;
    p = skip_string(p, end);
    if (!p)
        return NULL;
    ret_member->name = slice(name, (size_t)(p - 1 - name));
    p = skip_space(p, end);
    if (p == end || *p != ':')
        return NULL;
    const char *value = skip_space(p + 1, end);
    p = skip_value(value, end, depth);
    if (p)
        ret_member->value = slice(value, (size_t)(p - value));
    return p;
}

/* Behind an item of an array or object: returns behind the comma (*ret_more) or behind the closing bracket. */
static const char *skip_after_item(const char *p, const char *end, char close, bool *ret_more)
{
    p = skip_space(p, end);
    if (p == end || (*p != ',' && *p != close))
        return NULL;
    *ret_more = *p == ',';
    return *ret_more ? skip_space(p + 1, end) : p + 1;
}

/* After the opening bracket or brace. */
static const char *skip_items(const char *p, const char *end, char close, int depth)
{
    struct json_member ignored;
    bool more = true;
    if (depth > JSON_DEPTH_MAX)
        return NULL;
    p = skip_space(p, end);
    if (p < end && *p == close)
        return p + 1;
    while (p && more) {
        p = close == '}' ? skip_member(p, end, depth, &ignored) : skip_value(p, end, depth);
        if (p)
            p = skip_after_item(p, end, close, &more);
    }
    return p;
}

static const char *skip_value(const char *p, const char *end, int depth)
{
    if (p == end)
        return NULL;
    switch (*p) {
    case '{': return skip_items(p + 1, end, '}', depth + 1);
    case '[': return skip_items(p + 1, end, ']', depth + 1);
    case '"': return skip_string(p + 1, end);
    case 't': return skip_word(p, end, SLICE("true"));
    case 'f': return skip_word(p, end, SLICE("false"));
    case 'n': return skip_word(p, end, SLICE("null"));
    default:  return skip_number(p, end);
    }
}

/* ---- what others call ---- */

int json_check(struct slice text, struct slice *ret_value)
{
    const char *end = text.at + text.len, *start = skip_space(text.at, end);
    if (!utf8_valid(text))
        return ERR_BAD_UTF8;
    const char *p = skip_value(start, end, 0);
    if (!p || skip_space(p, end) != end)
        return ERR_BAD_JSON;
    *ret_value = slice(start, (size_t)(p - start));
    return 0;
}

int json_object_parse(struct slice text, struct json_object *ret_object)
{
    const char *end = text.at + text.len, *p = skip_space(text.at, end);
    struct json_member member;
    struct slice whole;
    bool more = true, fits = true;
    ret_object->n = 0;
    if (p == end || *p != '{') {
        int err = json_check(text, &whole);
        return err ? err : ERR_BAD_REQUEST;
    }
    if (!utf8_valid(text))
        return ERR_BAD_UTF8;
    p = skip_space(p + 1, end);
    if (p < end && *p == '}') {
        p++;
        more = false;
    }
    while (more) {
        p = skip_member(p, end, 1, &member);
        p = p ? skip_after_item(p, end, '}', &more) : NULL;
        if (!p)
            return ERR_BAD_JSON;
        fits = fits && ret_object->n < JSON_MEMBERS_MAX;
        if (fits)
            ret_object->members[ret_object->n++] = member;
    }
    if (skip_space(p, end) != end)
        return ERR_BAD_JSON;
    return fits ? 0 : ERR_BAD_REQUEST;
}

struct slice json_member_find(const struct json_object *object, const char *name)
{
    struct slice wanted = slice_of(name);
    for (size_t i = object->n; i-- > 0;)
        if (slice_is(object->members[i].name, wanted))
            return object->members[i].value;
    return slice(NULL, 0);
}

static void add_utf8(struct buf *out, unsigned c)
{
    char bytes[4];
    size_t n = 0;
    if (c < 0x80) {
        bytes[n++] = (char)c;
    } else if (c < 0x800) {
        bytes[n++] = (char)(0xc0 | c >> 6);
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        bytes[n++] = (char)(0xe0 | c >> 12);
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        bytes[n++] = (char)(0xf0 | c >> 18);
        bytes[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    }
    buf_add(out, bytes, n);
}

static char unescaped(char c)
{
    switch (c) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default:  return c;
    }
}

int json_unquote(struct slice value, struct buf *out)
{
    const char *p = value.at, *end = value.at + value.len;
    unsigned c = 0;
    if (value.len < 2 || *p != '"' || skip_string(p + 1, end) != end)
        return ERR_BAD_FIELD;
    p++;
    end--;
    while (p < end) {
        const char *backslash = memchr(p, '\\', (size_t)(end - p));
        const char *plain_end = backslash ? backslash : end;
        buf_add(out, p, (size_t)(plain_end - p));
        if (!backslash)
            break;
        if (backslash[1] == 'u') {
            p = skip_unicode_escape(backslash + 2, end, &c);
            add_utf8(out, c);
        } else {
            buf_add_char(out, unescaped(backslash[1]));
            p = backslash + 2;
        }
    }
    return 0;
}

int json_array_each(struct slice value, int (*each)(void *arg, struct slice value), void *arg)
{
    const char *p = value.at, *end = value.at + value.len;
    bool more = true;
    if (value.len < 2 || *p != '[')
        return ERR_BAD_FIELD;
    p = skip_space(p + 1, end);
    if (p < end && *p == ']')
        return 0;
    while (more) {
        const char *start = p;
        p = skip_value(p, end, 1);
        if (!p)
            return ERR_BAD_FIELD;
        struct slice item = slice(start, (size_t)(p - start));
        p = skip_after_item(p, end, ']', &more);
        int err = p ? each(arg, item) : ERR_BAD_FIELD;
        if (err)
            return err;
    }
    return 0;
}

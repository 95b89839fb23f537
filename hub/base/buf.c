#include "hub/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool slice_begins(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || !memcmp(s.at, prefix.at, prefix.len));
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

bool slice_same_letters(struct slice a, struct slice b)
{
    for (size_t i = 0; i < a.len; i++)
        if (a.at[i] != b.at[i] && lower(a.at[i]) != lower(b.at[i]))
            return false;
    return true;
}

struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && (*s.at == ' ' || *s.at == '\t'))
        s = slice(s.at + 1, s.len - 1);
    while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

bool slice_u64(struct slice s, uint64_t *ret)
{
    uint64_t n = 0;
    if (s.len == 0 || s.len > 20)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(s.at[i] - '0');
        if (digit > 9 || n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *ret = n;
    return true;
}

char *slice_copy(struct slice s)
{
    char *copy = malloc(s.len + 1);
    if (!copy)
        return NULL;
    if (s.len > 0)
        memcpy(copy, s.at, s.len);
    copy[s.len] = '\0';
    return copy;
}

int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void buf_fini(struct buf *b)
{
    free(b->at);
    *b = (struct buf){ 0 };
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

char *buf_room(struct buf *b, size_t n)
{
    if (b->failed)
        return NULL;
    if (n <= b->cap - b->len && b->at)
        return b->at + b->len;
    size_t need = b->len + n, cap = b->cap ? b->cap : 64;
    while (cap < need && cap < SIZE_MAX / 2)
        cap *= 2;
    char *at = need < b->len ? NULL : realloc(b->at, cap);
    if (!at) {
        b->failed = true;
        return NULL;
    }
    b->at = at;
    b->cap = cap;
    return at + b->len;
}

void buf_advance(struct buf *b, size_t n) { b->len += n; }

void buf_add_slowly(struct buf *b, const void *bytes, size_t n)
{
    char *room = buf_room(b, n);
    if (!room)
        return;
    memcpy(room, bytes, n);
    b->len += n;
}

void buf_add_u64(struct buf *b, uint64_t n)
{
    char digits[20];
    int i = sizeof digits;
    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    buf_add(b, digits + i, sizeof digits - (size_t)i);
}

void buf_addf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *room = n < 0 ? NULL : buf_room(b, (size_t)n + 1);
    if (!room)
        return;
    va_start(args, format);
    vsnprintf(room, (size_t)n + 1, format, args);
    va_end(args);
    b->len += (size_t)n;
}

void buf_drop_front(struct buf *b, size_t n)
{
    if (n == 0)
        return;      /* there may be no memory at all */
    b->len -= n;
    memmove(b->at, b->at + n, b->len);
}

char *buf_take(struct buf *b)
{
    buf_add_char(b, '\0');
    char *at = b->failed ? NULL : b->at;
    if (!at)
        free(b->at);
    *b = (struct buf){ 0 };
    return at;
}

void buf_add_json(struct buf *b, struct slice s)
{
    static const char hex[] = "0123456789abcdef";
    char *out = buf_room(b, s.len * 6 + 2);
    if (!out)
        return;
    char *start = out;
    *out++ = '"';
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != '<' && c != 0x7f) {
            *out++ = (char)c;
            continue;
        }
        *out++ = '\\';
        switch (c) {
        case '"': case '\\': *out++ = (char)c; break;
        case '\n': *out++ = 'n'; break;
        case '\r': *out++ = 'r'; break;
        case '\t': *out++ = 't'; break;
        default:
            memcpy(out, "u00", 3);
            out[3] = hex[c >> 4];
            out[4] = hex[c & 15];
            out += 5;
        }
    }
    *out++ = '"';
    b->len += (size_t)(out - start);
}

void buf_add_base64(struct buf *b, const void *bytes, size_t n)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *in = bytes;
    char *out = buf_room(b, (n + 2) / 3 * 4);
    if (!out)
        return;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16 | (i + 1 < n ? (uint32_t)in[i + 1] << 8 : 0) | (i + 2 < n ? in[i + 2] : 0);
        *out++ = letters[v >> 18];
        *out++ = letters[v >> 12 & 63];
        *out++ = i + 1 < n ? letters[v >> 6 & 63] : '=';
        *out++ = i + 2 < n ? letters[v & 63] : '=';
    }
    b->len += (n + 2) / 3 * 4;
}

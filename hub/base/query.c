#include "hub/base/query.h"

bool percent_decode(struct slice in, bool plus_is_space, struct buf *out)
{
    char *room = buf_room(out, in.len), *to = room;
    bool good = true;
    if (!room)
        return true;     /* out->failed tells */
    for (size_t i = 0; i < in.len; i++) {
        char c = in.at[i];
        if (c == '%') {
            bool whole = in.len - i > 2;
            int high = whole ? hex_value(in.at[i + 1]) : -1, low = whole ? hex_value(in.at[i + 2]) : -1;
            good = high >= 0 && low >= 0;
            if (!good)
                break;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        *to++ = c;
    }
    buf_advance(out, (size_t)(to - room));
    return good;
}

void percent_encode(struct slice in, struct buf *out)
{
    static const char hex[] = "0123456789ABCDEF";
    char *room = buf_room(out, in.len * 3), *to = room;
    if (!room)
        return;
    for (size_t i = 0; i < in.len; i++) {
        unsigned char c = (unsigned char)in.at[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~') {
            *to++ = (char)c;
        } else {
            *to++ = '%';
            *to++ = hex[c >> 4];
            *to++ = hex[c & 15];
        }
    }
    buf_advance(out, (size_t)(to - room));
}

bool query_next(struct slice *rest, struct slice *ret_name, struct slice *ret_value)
{
    while (rest->len > 0) {
        const char *end = memchr(rest->at, '&', rest->len);
        struct slice pair = slice(rest->at, end ? (size_t)(end - rest->at) : rest->len);
        *rest = end ? slice(end + 1, rest->len - pair.len - 1) : slice(rest->at + rest->len, 0);
        if (pair.len == 0)
            continue;
        const char *equals = memchr(pair.at, '=', pair.len);
        *ret_name = slice(pair.at, equals ? (size_t)(equals - pair.at) : pair.len);
        *ret_value = equals ? slice(equals + 1, pair.len - ret_name->len - 1) : slice(pair.at + pair.len, 0);
        return true;
    }
    return false;
}

enum query_found query_find(struct slice query, const char *name, struct buf *out)
{
    struct slice wanted = slice_of(name), rest = query, pair_name, value;
    while (query_next(&rest, &pair_name, &value))
        if (slice_is(pair_name, wanted))
            return percent_decode(value, true, out) ? QUERY_FOUND : QUERY_BROKEN;
    return QUERY_ABSENT;
}

struct slice cookie_find(struct slice cookies, struct slice name)
{
    while (cookies.len > 0) {
        const char *end = memchr(cookies.at, ';', cookies.len);
        struct slice pair = slice(cookies.at, end ? (size_t)(end - cookies.at) : cookies.len);
        cookies = slice(cookies.at + pair.len + (end != NULL), cookies.len - pair.len - (end != NULL));
        while (pair.len > 0 && *pair.at == ' ')
            pair = slice(pair.at + 1, pair.len - 1);
        if (slice_begins(pair, name) && pair.len > name.len && pair.at[name.len] == '=')
            return slice(pair.at + name.len + 1, pair.len - name.len - 1);
    }
    return slice("", 0);
}

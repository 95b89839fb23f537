#include "hub/base/etag.h"

bool etag_is_named(struct slice if_none_match, struct slice etag)
{
    struct slice rest = if_none_match;
    while (rest.len > 0) {
        const char *comma = memchr(rest.at, ',', rest.len);
        size_t len = comma ? (size_t)(comma - rest.at) : rest.len;
        struct slice tag = slice_trim(slice(rest.at, len));
        if (slice_begins(tag, SLICE("W/")))
            tag = slice(tag.at + 2, tag.len - 2);
        if (slice_is(tag, etag) || slice_is(tag, SLICE("*")))
            return true;
        rest = slice(rest.at + len + (comma != NULL), rest.len - len - (comma != NULL));
    }
    return false;
}

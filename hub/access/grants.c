#define _GNU_SOURCE      /* memmem */
#include "hub/access/grants.h"

#include "hub/base/name.h"

#include <stdlib.h>

static const struct slice placeholder = SLICE("{user}");

struct grants {
    uint32_t end[GRANT_LISTS];      /* of each list in bytes; it begins where the one before ends */
    char     bytes[];
};

static const char *find_placeholder(struct slice text)
{
    return memmem(text.at, text.len, placeholder.at, placeholder.len);
}

/* `pattern` with the user in it, for at most a channel name of bytes; 0: void. */
static size_t put_in(struct slice pattern, struct slice user, char out[CHANNEL_NAME_MAX])
{
    size_t len = 0;
    bool last = find_placeholder(pattern) == pattern.at + pattern.len - placeholder.len;
    if (channel_name_check(user) || (memchr(user.at, '.', user.len) && !last))
        return 0;
    while (pattern.len > 0) {
        const char *found = find_placeholder(pattern);
        size_t before = found ? (size_t)(found - pattern.at) : pattern.len, taken = before + (found ? placeholder.len : 0);
        size_t more = before + (found ? user.len : 0);
        if (more > CHANNEL_NAME_MAX - len)
            return 0;
        memcpy(out + len, pattern.at, before);
        if (found)
            memcpy(out + len + before, user.at, user.len);
        len += more;
        pattern = slice(pattern.at + taken, pattern.len - taken);
    }
    return len;
}

enum grant_fault grants_add(struct grants_builder *builder, int list, struct slice pattern)
{
    char filled[CHANNEL_NAME_MAX];
    if (pattern_check(pattern))
        return GRANT_NO_PATTERN;
    if (find_placeholder(pattern))
        pattern = slice(filled, put_in(pattern, builder->user, filled));
    if (pattern.len == 0)
        return GRANT_VOID;
    if (builder->n == GRANTS_MAX)
        return GRANT_TOO_MANY;
    builder->n++;
    buf_add_char(&builder->lists[list], (char)pattern.len);
    buf_add_slice(&builder->lists[list], pattern);
    return GRANT_FINE;
}

void grants_builder_fini(struct grants_builder *builder)
{
    for (int list = 0; list < GRANT_LISTS; list++)
        buf_fini(&builder->lists[list]);
    builder->n = 0;
}

struct grants *grants_take(struct grants_builder *builder)
{
    size_t total = 0;
    bool failed = false;
    for (int list = 0; list < GRANT_LISTS; list++) {
        total += builder->lists[list].len;
        failed = failed || builder->lists[list].failed;
    }
    struct grants *grants = failed ? NULL : malloc(sizeof *grants + total);
    total = 0;
    for (int list = 0; grants && list < GRANT_LISTS; list++) {
        struct slice bytes = buf_slice(&builder->lists[list]);
        memcpy(grants->bytes + total, bytes.at, bytes.len);
        grants->end[list] = (uint32_t)(total += bytes.len);
    }
    grants_builder_fini(builder);
    return grants;
}

bool grants_next(const struct grants *grants, int list, size_t *at, struct slice *ret_pattern)
{
    size_t begin = (list > 0 ? grants->end[list - 1] : 0) + *at;
    if (begin >= grants->end[list])
        return false;
    *ret_pattern = slice(grants->bytes + begin + 1, (unsigned char)grants->bytes[begin]);
    *at += 1 + ret_pattern->len;
    return true;
}

bool grants_cover(const struct grants *grants, enum access_op op, struct slice wanted)
{
    struct slice pattern;
    for (size_t at = 0; grants_next(grants, (int)op, &at, &pattern);)
        if (pattern_covers(pattern, wanted.len > 0 ? wanted : SLICE("**")))
            return true;
    return false;
}

/* grants.h — what a token grants, compiled: patterns per operation, with {user} put in.
 *
 * {user} stands for the token's `sub`. It must not reach further than it looks: a user named a.b would turn room.{user}.* into the
 * room of somebody else's making. So a grant with {user} is void
 *   when there is no user, or one that cannot stand in a channel name (printable ASCII without space, ", \ and *);
 *   when the user has a dot and {user} is not the last thing of the pattern, and the only one;
 *   when the pattern becomes longer than a channel name may be.
 * A void grant grants nothing and is no mistake of the token: others of its grants hold.
 *
 * Lifetime   a builder collects, grants_take makes the final block of it and leaves it empty; grants_builder_fini otherwise.
 * Threading  pure functions; grants are immutable.
 * Limits     GRANTS_MAX patterns. About as many bytes as the patterns have. */
#pragma once
#include "hub/base/buf.h"
#include "hub/config/access_op.h"

enum { GRANTS_MAX = 500 };
enum grant_list { GRANT_CHANNELS = ACCESS_OPS, GRANT_LISTS };     /* enum access_op, and what is subscribed to at once */
enum grant_fault { GRANT_FINE, GRANT_VOID, GRANT_NO_PATTERN, GRANT_TOO_MANY };

struct grants;

struct grants_builder {
    struct slice user;                   /* of the token; empty: none. Borrowed */
    struct buf   lists[GRANT_LISTS];     /* patterns: a byte that says how long, then that many */
    size_t       n;
};

/* No memory is told by grants_take. */
enum grant_fault grants_add(struct grants_builder *builder, int list, struct slice pattern);
struct grants   *grants_take(struct grants_builder *builder);      /* malloc'ed; NULL: no memory */
void             grants_builder_fini(struct grants_builder *builder);

/* Is there a grant that covers all of `wanted`, a channel or a pattern? Empty: only ** does. */
bool grants_cover(const struct grants *grants, enum access_op op, struct slice wanted);
/* Walks a list: *at is 0 at first; false after the last. */
bool grants_next(const struct grants *grants, int list, size_t *at, struct slice *ret_pattern);

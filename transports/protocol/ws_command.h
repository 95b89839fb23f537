/* ws_command.h — one frame of a client, taken apart: what ws_commands.c hands to whoever runs it.
 *
 * A command is checked completely before anything happens, so that it is done or answered with one `error`; it never disconnects.
 * Lifetime: while it runs; what outlives that is copied. Threading: the edge's thread. */
#pragma once
#include "hub/access/rates.h"
#include "hub/base/json.h"

struct conn;

struct command {
    struct conn             *conn;
    const struct json_object object;
    size_t                   size;          /* of the frame */
    struct slice             ref;
    struct rate_verdict      verdict;       /* of ERR_RATE_LIMITED */
};

typedef int run_fn(struct command *command);     /* 0: answered, or will be; else it is answered with this error */

static inline bool is_given(struct slice value) { return value.at && !slice_is(value, SLICE("null")); }
/* A member that must be a string; what it stands for is appended. 0 or ERR_BAD_FIELD. */
int string_member(const struct command *command, const char *name, struct buf *out);

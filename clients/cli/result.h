/* result.h — what the hub says of one item of POST /v1/messages (PROTOCOL.md §8), a line of its answer.
 * Lifetime: embedded; result_read to result_fini; `text` is borrowed. Threading: whoever owns it. */
#pragma once
#include "hub/base/buf.h"

struct result {
    struct slice text;                          /* the line */
    uint64_t     index, status;
    uint64_t     retry_s;                       /* 0: not said */
    uint64_t     channels;                      /* of a pattern */
    struct buf   id, code, detail, pattern;     /* empty: not there */
    bool         replayed;
};

bool result_read(struct slice line, struct result *ret_result);         /* false: it is none, and nothing is to be freed */
void result_fini(struct result *result);
bool result_is_good(const struct result *result);
bool result_is_passing(const struct result *result);                    /* the same item may be taken later */
/* The hub's words with the number of the item's line instead of its index, which is one of several streams. */
void result_print(const struct result *result, uint64_t line, struct buf *out);

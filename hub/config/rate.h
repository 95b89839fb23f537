/* rate.h — how often something may happen, as the settings write it: `100/1s burst 200`, `60/1m`, `5/h`, `off`.
 *
 * Each time takes one of `burst` tokens, which come back at `amount` in `per`. Without `burst` there are as many as `amount`.
 * Threading: pure functions. */
#pragma once
#include "hub/base/buf.h"

struct rate {
    uint64_t amount;       /* 0: no limit */
    int64_t  per_ms;
    uint64_t burst;        /* at least 1 */
};

/* NULL, or the end of a sentence about what is wrong. */
const char *rate_read(struct slice text, struct rate *ret_rate);
void        rate_print(const struct rate *rate, struct buf *out);
/* Time for one token to come back; a whole burst comes back within 30 days, so that neither overflows. */
int64_t     rate_token_ns(const struct rate *rate);

/* retry.h — may it be tried again, and after how long? For a publisher, whose patience has an end.
 *
 * What had begun and broke is tried again for `patience_ms` from its first failure on, and anew after something went well. What never began
 * is a mistake of whoever typed it more often than a hub that is just starting, and fails at once, unless patience was asked for.
 * Waits double from 100 ms to 2 s, each a half to one and a half of that by chance; a hub's own wish counts instead.
 * Lifetime: embedded; patience_ms and from_start are set, all else is zero. Threading: whoever owns it; time is the caller's. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct retry {
    int64_t  patience_ms;       /* 0: none at all */
    bool     from_start;        /* also what never began */
    int64_t  failed_ms;         /* when it failed first, since something went well */
    unsigned failures;          /* since then */
};

void    retry_went_well(struct retry *retry);
/* It failed: how long to wait, or -1: give up. `begun`: something of it had begun. `wish_ms`: what the hub asked for, 0: nothing. */
int64_t retry_wait_ms(struct retry *retry, int64_t now_ms, bool begun, int64_t wish_ms);

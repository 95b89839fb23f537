/* retry.h — may it be tried again, and after how long? For a publisher, whose patience has an end.
 *
 * What had begun and broke is tried again for `patience_ms` after the last thing that went well. What never began is a mistake of
 * whoever typed it more often than a hub that is just starting, and fails at once, unless patience was asked for.
 * Waits double from 100 ms to 2 s, each a half to one and a half of that by chance; a hub's own wish counts instead.
 * Lifetime: embedded. Threading: whoever owns it; time is the caller's. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct retry {
    int64_t  patience_ms;       /* 0: none at all */
    bool     from_start;        /* also what never began */
    int64_t  well_ms;           /* when something last went well, or the beginning */
    unsigned failures;          /* since then */
};

void    retry_begin(struct retry *retry, int64_t now_ms);
void    retry_went_well(struct retry *retry, int64_t now_ms);
/* It failed: how long to wait, or -1: give up. `begun`: something of it had begun. `wish_ms`: what the hub asked for, 0: nothing. */
int64_t retry_wait_ms(struct retry *retry, int64_t now_ms, bool begun, int64_t wish_ms);

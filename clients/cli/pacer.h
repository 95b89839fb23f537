/* pacer.h — when the next of many messages may go: `--rate 100/s`.
 *
 * Evenly, the first one at once. Who is late catches up with at most PACER_LATE_MS of what was missed, so the rate holds in the long run
 * and a machine that stood still makes no burst. (GCRA, ITU-T I.371, seen from the sender's side.)
 * Lifetime: embedded; zero-filled there is no rate. Threading: pure functions of their arguments; time is the caller's. */
#pragma once
#include "hub/base/buf.h"

enum { PACER_LATE_MS = 100 };

struct pacer {
    int64_t interval_ns;    /* from one message to the next; 0: none */
    int64_t next_ns;        /* when the next one is due */
};

/* "100", "100/s", "30/m", "5/h", "1/250ms": so many each. False: anything else, none at all, and more than a million a second. */
bool    pacer_parse(struct slice text, struct pacer *ret_pacer);
int64_t pacer_wait_ns(const struct pacer *pacer, int64_t now_ns);   /* 0: one may go now */
void    pacer_take(struct pacer *pacer, int64_t now_ns);            /* one goes */

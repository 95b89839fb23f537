/* schedule.h — when a delivery is tried again.
 *
 * The delays before each attempt stand in a list (`webhooks.retry`, or an endpoint's own): "0,5s,30s,2m,…" is at once, 5 s after
 * the first has failed, and so on; its length is the number of attempts. Each delay is lengthened or shortened by up to a fifth, so
 * that what failed together does not come back together. A receiver may name its own time (Retry-After).
 *
 * Threading: pure functions; chance and time come from the caller. Limits: SCHEDULE_MAX attempts, a week between two. */
#pragma once
#include "hub/base/buf.h"

enum { SCHEDULE_MAX = 32, SCHEDULE_JITTER_PERCENT = 20 };
#define SCHEDULE_DELAY_MAX_MS ((int64_t)7 * 24 * 3600 * 1000)

struct schedule {
    unsigned n;                            /* attempts, 1 … */
    int64_t  delay_ms[SCHEDULE_MAX];       /* before attempt 1, 2, … */
};

/* Delays parted by commas or blanks. NULL, or the end of a sentence about what is wrong. */
const char *schedule_parse(struct slice text, struct schedule *ret_schedule);
/* Before attempt `attempt` (1 … n), since the one before has ended; `chance` is any 32 random bits. */
int64_t     schedule_delay_ms(const struct schedule *schedule, unsigned attempt, uint32_t chance);

/* Retry-After (RFC 9110 §10.2.3): seconds, or a date in one of its three forms. True: how long to wait from now, at most `max_ms`,
 * 0 when the date has passed. False: it is neither, and is to be ignored. */
bool        retry_after_parse(struct slice value, int64_t now_ms, int64_t max_ms, int64_t *ret_wait_ms);

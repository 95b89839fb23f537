/* duration.h — lengths of time as users write them: 250ms, 5s, 10m, 2h, 7d; a bare number is seconds.
 * Threading: pure function. */
#pragma once
#include "hub/base/buf.h"

/* Milliseconds; false for anything else, also for what does not fit in an int64_t. */
bool duration_parse(struct slice text, int64_t *ret_ms);

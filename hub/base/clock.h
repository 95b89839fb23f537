/* clock.h — port: what time it is. Tests have one that they move by hand.
 *
 * mono_ms never goes back and is for deadlines; wall_ms is milliseconds since 1970 and is for people and histories.
 * Threading: clock_real() any thread; a test's clock the test's thread. */
#pragma once
#include <stdint.h>

struct clock {
    int64_t (*mono_ms)(const struct clock *clock);
    int64_t (*wall_ms)(const struct clock *clock);
};

const struct clock *clock_real(void);
int64_t clock_mono_us(void);      /* the real one, to measure how long something took */
static inline int64_t clock_mono_ms(const struct clock *c) { return c->mono_ms(c); }
static inline int64_t clock_wall_ms(const struct clock *c) { return c->wall_ms(c); }

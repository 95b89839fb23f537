#include "hub/base/clock.h"

#include <time.h>

static int64_t now_ms(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t real_mono_ms(const struct clock *clock) { (void)clock; return now_ms(CLOCK_MONOTONIC); }
static int64_t real_wall_ms(const struct clock *clock) { (void)clock; return now_ms(CLOCK_REALTIME); }

int64_t clock_mono_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

const struct clock *clock_real(void)
{
    static const struct clock real = { real_mono_ms, real_wall_ms };
    return &real;
}

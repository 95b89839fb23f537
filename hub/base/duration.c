#include "hub/base/duration.h"

static const struct { const char *name; int64_t ms; } units[] = {
    { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
};

bool duration_parse(struct slice text, int64_t *ret_ms)
{
    size_t digits = 0;
    uint64_t n;
    while (digits < text.len && text.at[digits] >= '0' && text.at[digits] <= '9')
        digits++;
    if (!slice_u64(slice(text.at, digits), &n))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (!slice_is(slice(text.at + digits, text.len - digits), slice_of(units[i].name)))
            continue;
        if (n > (uint64_t)(INT64_MAX / units[i].ms))
            return false;
        *ret_ms = (int64_t)n * units[i].ms;
        return true;
    }
    return false;
}

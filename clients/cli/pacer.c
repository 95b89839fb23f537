#include "clients/cli/pacer.h"

#include "hub/base/duration.h"

#define NS_PER_MS INT64_C(1000000)

enum { LONGEST_MS = 86400000, SHORTEST_NS = 1000 };

/* What stands behind the slash: "s", "10s", "250ms". */
static bool parse_each(struct slice text, int64_t *ret_ms)
{
    char with_number[24];
    if (text.len == 0 || text.len > sizeof with_number - 2)
        return false;
    bool has_number = text.at[0] >= '0' && text.at[0] <= '9';
    with_number[0] = '1';
    memcpy(with_number + 1, text.at, text.len);
    return duration_parse(has_number ? text : slice(with_number, text.len + 1), ret_ms) && *ret_ms > 0 && *ret_ms <= LONGEST_MS;
}

bool pacer_parse(struct slice text, struct pacer *ret_pacer)
{
    const char *slash = text.len ? memchr(text.at, '/', text.len) : NULL;
    struct slice number = slash ? slice(text.at, (size_t)(slash - text.at)) : text;
    uint64_t n;
    int64_t each_ms = 1000;
    if (!slice_u64(number, &n) || n == 0)
        return false;
    if (slash && !parse_each(slice(slash + 1, text.len - number.len - 1), &each_ms))
        return false;
    if (n > (uint64_t)(each_ms * NS_PER_MS / SHORTEST_NS))
        return false;
    *ret_pacer = (struct pacer){ .interval_ns = each_ms * NS_PER_MS / (int64_t)n, .next_ns = INT64_MIN };
    return true;
}

int64_t pacer_wait_ns(const struct pacer *pacer, int64_t now_ns)
{
    return pacer->interval_ns == 0 || now_ns >= pacer->next_ns ? 0 : pacer->next_ns - now_ns;
}

void pacer_take(struct pacer *pacer, int64_t now_ns)
{
    bool first = pacer->next_ns == INT64_MIN;
    int64_t oldest = now_ns - PACER_LATE_MS * NS_PER_MS;
    if (first || pacer->next_ns < oldest)
        pacer->next_ns = first ? now_ns : oldest;
    pacer->next_ns += pacer->interval_ns;
}

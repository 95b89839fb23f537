#include "hub/config/rate.h"

#include "hub/base/duration.h"

#define MOST UINT64_C(1000000000)

static const char form[] = "is not a rate: write 100/1s, 60/1m burst 200 or off";
static const int64_t day_ms = 86400000, refill_max_ns = 30 * INT64_C(86400000) * 1000000;

/* Takes the words before `mark` off the front; {NULL,0}: it is not there. */
static struct slice before(struct slice *rest, char mark)
{
    const char *at = rest->len ? memchr(rest->at, mark, rest->len) : NULL;
    if (!at)
        return slice(NULL, 0);
    struct slice front = slice(rest->at, (size_t)(at - rest->at));
    *rest = slice_trim(slice(at + 1, rest->len - front.len - 1));
    return slice_trim(front);
}

/* 1s, 250ms, and s, m, h, d for one of them. */
static bool read_per(struct slice text, int64_t *ret_ms)
{
    static const struct { struct slice unit; int64_t ms; } units[] = {
        { SLICE("s"), 1000 }, { SLICE("m"), 60000 }, { SLICE("h"), 3600000 }, { SLICE("d"), 86400000 },
    };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (slice_is(text, units[i].unit)) {
            *ret_ms = units[i].ms;
            return true;
        }
    return duration_parse(text, ret_ms);
}

int64_t rate_token_ns(const struct rate *rate) { return rate->per_ms * 1000000 / (int64_t)rate->amount; }

static bool is_off(struct slice text)
{
    return slice_is(text, SLICE("off")) || slice_is(text, SLICE("0")) || slice_is(text, SLICE("no"));
}

const char *rate_read(struct slice text, struct rate *ret_rate)
{
    struct rate rate = { 0 };
    struct slice rest = slice_trim(text);
    if (is_off(rest)) {
        *ret_rate = (struct rate){ .per_ms = 1000, .burst = 1 };
        return NULL;
    }
    if (!slice_u64(before(&rest, '/'), &rate.amount))
        return form;
    struct slice per = before(&rest, ' ');
    if (per.at ? !slice_begins(rest, SLICE("burst ")) : false)
        return form;
    if (!read_per(per.at ? per : rest, &rate.per_ms))
        return form;
    rate.burst = rate.amount;
    if (per.at && !slice_u64(slice_trim(slice(rest.at + 6, rest.len - 6)), &rate.burst))
        return form;
    if (rate.amount == 0 || rate.burst == 0 || rate.amount > MOST || rate.burst > MOST)
        return "has numbers that are not from 1 to 1000000000; write off for no limit";
    if (rate.per_ms < 1 || rate.per_ms > day_ms)
        return "counts over less than 1ms or more than 1d";
    if (rate_token_ns(&rate) > refill_max_ns / (int64_t)rate.burst)
        return "would take more than 30 days for its burst to come back";
    *ret_rate = rate;
    return NULL;
}

void rate_print(const struct rate *rate, struct buf *out)
{
    static const struct { const char *unit; int64_t ms; } units[] = { { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 } };
    size_t i = 0;
    if (rate->amount == 0) {
        buf_add_str(out, "off");
        return;
    }
    while (rate->per_ms % units[i].ms)
        i++;
    buf_addf(out, "%llu/%lld%s", (unsigned long long)rate->amount, (long long)(rate->per_ms / units[i].ms), units[i].unit);
    if (rate->burst != rate->amount)
        buf_addf(out, " burst %llu", (unsigned long long)rate->burst);
}

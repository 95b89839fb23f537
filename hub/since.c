#include "hub/since.h"

#include "hub/base/duration.h"
#include "hub/base/err.h"
#include "hub/base/instant.h"

/* Each form in turn, from the most particular on: a moment may have a dot too. */
static bool read_word(struct slice text, int64_t wall_ms, struct since *since)
{
    (void)wall_ms;
    if (slice_is(text, SLICE("all")))
        since->from = FETCH_ALL;
    else if (slice_is(text, SLICE("last")))
        since->from = FETCH_LATEST;
    else
        return false;
    return true;
}

static bool read_count(struct slice text, int64_t wall_ms, struct since *since)
{
    uint64_t count;
    (void)wall_ms;
    if (text.len < 2 || text.at[0] != '-' || !slice_u64(slice(text.at + 1, text.len - 1), &count) || count == 0 || count > SINCE_COUNT_MAX)
        return false;
    since->from = FETCH_COUNT;
    since->count = (uint32_t)count;
    return true;
}

static bool read_moment(struct slice text, int64_t wall_ms, struct since *since)
{
    int64_t s;
    (void)wall_ms;
    if (!instant_parse(text, &s))
        return false;
    since->from = FETCH_TIME;
    since->time_ms = s * 1000;
    return true;
}

static bool read_duration(struct slice text, int64_t wall_ms, struct since *since)
{
    int64_t ms;
    if (!duration_parse(text, &ms))
        return false;
    int64_t begin = ms < wall_ms ? wall_ms - ms : 0;
    since->from = FETCH_TIME;
    since->time_ms = begin - begin % 1000;
    return true;
}

static bool read_position(struct slice text, int64_t wall_ms, struct since *since)
{
    (void)wall_ms;
    if (!memchr(text.at, '.', text.len))
        return false;
    since->from = FETCH_AFTER;
    since->after = position_parse(text);
    return true;
}

static bool (*const forms[])(struct slice text, int64_t wall_ms, struct since *since) = {
    read_word, read_count, read_moment, read_duration, read_position,
};

int since_read(struct slice text, int64_t wall_ms, struct since *ret_since)
{
    *ret_since = (struct since){ 0 };
    if (text.len == 0)
        return ERR_BAD_FIELD;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (forms[i](text, wall_ms, ret_since))
            return 0;
    return ERR_BAD_FIELD;
}

#include "webhooks/schedule.h"

#include "hub/base/duration.h"
#include "hub/base/instant.h"

static bool is_parting(char c) { return c == ',' || c == ' ' || c == '\t'; }

/* Empty: there is none left. */
static struct slice take_word(struct slice *rest)
{
    if (rest->len == 0)
        return *rest;
    while (rest->len > 0 && is_parting(*rest->at))
        *rest = slice(rest->at + 1, rest->len - 1);
    struct slice word = slice(rest->at, 0);
    while (word.len < rest->len && !is_parting(rest->at[word.len]))
        word.len++;
    *rest = slice(rest->at + word.len, rest->len - word.len);
    return word;
}

const char *schedule_parse(struct slice text, struct schedule *ret_schedule)
{
    struct schedule schedule = { 0 };
    for (struct slice word; (word = take_word(&text)).len > 0; schedule.n++) {
        if (schedule.n == SCHEDULE_MAX)
            return "has more than 32 delays";
        if (!duration_parse(word, &schedule.delay_ms[schedule.n]))
            return "is no list of delays such as 0,5s,30s,2m,1h";
        if (schedule.delay_ms[schedule.n] > SCHEDULE_DELAY_MAX_MS)
            return "has a delay of more than 7d";
    }
    if (schedule.n == 0)
        return "is empty: it has a delay for each attempt, the first before the first one";
    *ret_schedule = schedule;
    return NULL;
}

int64_t schedule_delay_ms(const struct schedule *schedule, unsigned attempt, uint32_t chance)
{
    int64_t delay_ms = schedule->delay_ms[attempt - 1], most_ms = delay_ms * SCHEDULE_JITTER_PERCENT / 100;
    return delay_ms - most_ms + (int64_t)((uint64_t)chance * (uint64_t)(2 * most_ms + 1) >> 32);
}

bool retry_after_parse(struct slice value, int64_t now_ms, int64_t max_ms, int64_t *ret_wait_ms)
{
    struct slice text = slice_trim(value);
    size_t digits = 0;
    int64_t at_s, wait_ms;
    uint64_t seconds;
    while (digits < text.len && text.at[digits] >= '0' && text.at[digits] <= '9')
        digits++;
    if (digits > 0 && digits == text.len)         /* a number that does not fit is a long time too */
        wait_ms = slice_u64(text, &seconds) && seconds < (uint64_t)max_ms / 1000 ? (int64_t)seconds * 1000 : max_ms;
    else if (instant_parse_http(text, now_ms / 1000, &at_s))
        wait_ms = at_s > INT64_MAX / 1000 ? max_ms : at_s * 1000 - now_ms;
    else
        return false;
    *ret_wait_ms = wait_ms < 0 ? 0 : wait_ms > max_ms ? max_ms : wait_ms;
    return true;
}

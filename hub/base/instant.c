#include "hub/base/instant.h"

#include <time.h>

static bool take_number(struct slice *rest, size_t digits, int *ret)
{
    uint64_t n;
    if (rest->len < digits || !slice_u64(slice(rest->at, digits), &n))
        return false;
    *rest = slice(rest->at + digits, rest->len - digits);
    *ret = (int)n;
    return true;
}

static bool take_one_of(struct slice *rest, const char *any, char *ret)
{
    if (rest->len == 0 || !*rest->at || !strchr(any, *rest->at))
        return false;
    *ret = *rest->at;
    *rest = slice(rest->at + 1, rest->len - 1);
    return true;
}

static bool take_date_and_time(struct slice *rest, struct tm *tm)
{
    char c;
    bool good = take_number(rest, 4, &tm->tm_year) && take_one_of(rest, "-", &c) && take_number(rest, 2, &tm->tm_mon) &&
                take_one_of(rest, "-", &c) && take_number(rest, 2, &tm->tm_mday) && take_one_of(rest, "Tt ", &c) &&
                take_number(rest, 2, &tm->tm_hour) && take_one_of(rest, ":", &c) && take_number(rest, 2, &tm->tm_min) &&
                take_one_of(rest, ":", &c) && take_number(rest, 2, &tm->tm_sec);
    tm->tm_year -= 1900;
    tm->tm_mon -= 1;
    bool exists = good && tm->tm_hour <= 23 && tm->tm_min <= 59 && tm->tm_sec <= 60;
    tm->tm_sec -= tm->tm_sec == 60;      /* a leap second */
    return exists;
}

static bool skip_fraction(struct slice *rest)
{
    char c;
    if (!take_one_of(rest, ".", &c))
        return true;
    size_t digits = 0;
    while (take_one_of(rest, "0123456789", &c))
        digits++;
    return digits > 0;
}

static bool take_offset(struct slice *rest, int *ret_s)
{
    int hours, minutes;
    char sign, colon;
    if (!take_one_of(rest, "Zz+-", &sign))
        return false;
    *ret_s = 0;
    if (sign == 'Z' || sign == 'z')
        return true;
    if (!take_number(rest, 2, &hours) || !take_one_of(rest, ":", &colon) || !take_number(rest, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_s = (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

bool instant_parse(struct slice text, int64_t *ret_s)
{
    struct tm tm = { 0 };
    int offset_s;
    if (!take_date_and_time(&text, &tm) || !skip_fraction(&text) || !take_offset(&text, &offset_s) || text.len > 0)
        return false;
    struct tm same = tm;
    int64_t s = timegm(&same);      /* puts what does not exist, the 31st of April, elsewhere */
    s -= offset_s;
    if (same.tm_mday != tm.tm_mday || same.tm_mon != tm.tm_mon || s < 0)
        return false;
    *ret_s = s;
    return true;
}

static void add_seconds(struct buf *out, int64_t s)
{
    struct tm tm;
    char text[32];
    time_t seconds = (time_t)s;
    size_t len = gmtime_r(&seconds, &tm) ? strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm) : 0;
    buf_add(out, text, len);
}

void buf_add_instant(struct buf *out, int64_t s)
{
    add_seconds(out, s);
    buf_add_char(out, 'Z');
}

void buf_add_instant_ms(struct buf *out, int64_t ms)
{
    add_seconds(out, ms / 1000);
    buf_addf(out, ".%03dZ", (int)(ms % 1000));
}

void buf_add_instant_member(struct buf *out, const char *name, int64_t s)
{
    buf_addf(out, ",\"%s\":", name);
    if (s == INT64_MAX) {
        buf_add_str(out, "null");
        return;
    }
    buf_add_char(out, '"');
    buf_add_instant(out, s);
    buf_add_char(out, '"');
}

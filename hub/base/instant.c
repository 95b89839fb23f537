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

static bool exists(struct tm *tm)
{
    bool good = tm->tm_hour <= 23 && tm->tm_min <= 59 && tm->tm_sec <= 60;
    tm->tm_sec -= tm->tm_sec == 60;      /* a leap second */
    return good;
}

/* False: a day that does not exist, or before 1970. */
static bool to_seconds(const struct tm *tm, int offset_s, int64_t *ret_s)
{
    struct tm same = *tm;
    int64_t s = timegm(&same) - offset_s;      /* puts what does not exist, the 31st of April, elsewhere */
    if (same.tm_mday != tm->tm_mday || same.tm_mon != tm->tm_mon || s < 0)
        return false;
    *ret_s = s;
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
    return good && exists(tm);
}

/* Thousandths; what is smaller is dropped. */
static bool take_fraction(struct slice *rest, int *ret_ms)
{
    char c;
    *ret_ms = 0;
    if (!take_one_of(rest, ".", &c))
        return true;
    size_t digits = 0;
    for (int each = 100; take_one_of(rest, "0123456789", &c); each /= 10, digits++)
        *ret_ms += (c - '0') * each;
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

bool instant_parse_ms(struct slice text, int64_t *ret_ms)
{
    struct tm tm = { 0 };
    int64_t s;
    int offset_s, ms;
    if (!take_date_and_time(&text, &tm) || !take_fraction(&text, &ms) || !take_offset(&text, &offset_s) || text.len > 0 || !to_seconds(&tm, offset_s, &s))
        return false;
    *ret_ms = s * 1000 + ms;
    return true;
}

bool instant_parse(struct slice text, int64_t *ret_s)
{
    int64_t ms;
    bool parsed = instant_parse_ms(text, &ms);
    if (parsed)
        *ret_s = ms / 1000;
    return parsed;
}

/* ---- dates of HTTP ---- */

/* One of `names`, each of as many letters, without a difference between capital and small ones; which one it is. */
static bool take_name(struct slice *rest, const char *const *names, size_t n, int *ret)
{
    for (size_t i = 0; i < n; i++) {
        struct slice name = slice_of(names[i]);
        if (rest->len >= name.len && slice_is_nocase(slice(rest->at, name.len), name)) {
            *rest = slice(rest->at + name.len, rest->len - name.len);
            *ret = (int)i;
            return true;
        }
    }
    return false;
}

static bool take_text(struct slice *rest, const char *text)
{
    int which;
    return take_name(rest, &text, 1, &which);
}

static bool take_month(struct slice *rest, struct tm *tm)
{
    static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    return take_name(rest, months, 12, &tm->tm_mon);
}

static bool take_clock(struct slice *rest, struct tm *tm)
{
    return take_number(rest, 2, &tm->tm_hour) && take_text(rest, ":") && take_number(rest, 2, &tm->tm_min) && take_text(rest, ":") &&
           take_number(rest, 2, &tm->tm_sec);
}

/* 06 Nov 1994 08:49:37 GMT */
static bool take_fixdate(struct slice *rest, struct tm *tm)
{
    return take_number(rest, 2, &tm->tm_mday) && take_text(rest, " ") && take_month(rest, tm) && take_text(rest, " ") &&
           take_number(rest, 4, &tm->tm_year) && take_text(rest, " ") && take_clock(rest, tm) && take_text(rest, " GMT");
}

/* 06-Nov-94 08:49:37 GMT */
static bool take_rfc850(struct slice *rest, int64_t now_s, struct tm *tm)
{
    time_t now = (time_t)now_s;
    struct tm today;
    if (!take_number(rest, 2, &tm->tm_mday) || !take_text(rest, "-") || !take_month(rest, tm) || !take_text(rest, "-") ||
        !take_number(rest, 2, &tm->tm_year) || !take_text(rest, " ") || !take_clock(rest, tm) || !take_text(rest, " GMT") || !gmtime_r(&now, &today))
        return false;
    int this_year = today.tm_year + 1900;
    tm->tm_year += this_year / 100 * 100;
    tm->tm_year += tm->tm_year > this_year + 50 ? -100 : tm->tm_year <= this_year - 50 ? 100 : 0;
    return true;
}

/* Nov  6 08:49:37 1994 */
static bool take_asctime(struct slice *rest, struct tm *tm)
{
    return take_month(rest, tm) && take_text(rest, " ") && (take_text(rest, " ") ? take_number(rest, 1, &tm->tm_mday) : take_number(rest, 2, &tm->tm_mday)) &&
           take_text(rest, " ") && take_clock(rest, tm) && take_text(rest, " ") && take_number(rest, 4, &tm->tm_year);
}

bool instant_parse_http(struct slice text, int64_t now_s, int64_t *ret_s)
{
    static const char *const long_days[] = { "Sunday, ", "Monday, ", "Tuesday, ", "Wednesday, ", "Thursday, ", "Friday, ", "Saturday, " };
    static const char *const days[] = { "Sun, ", "Mon, ", "Tue, ", "Wed, ", "Thu, ", "Fri, ", "Sat, " };
    static const char *const bare_days[] = { "Sun ", "Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat " };
    struct tm tm = { 0 };
    int day;
    bool good = take_name(&text, days, 7, &day)        ? take_fixdate(&text, &tm)
                : take_name(&text, long_days, 7, &day) ? take_rfc850(&text, now_s, &tm)
                                                       : take_name(&text, bare_days, 7, &day) && take_asctime(&text, &tm);
    tm.tm_year -= 1900;
    return good && text.len == 0 && exists(&tm) && to_seconds(&tm, 0, ret_s);
}

/* ---- printing ---- */

/* With noughts in front; strftime costs more than all else of an event's body. */
static char *put_digits(char *to, int n, int digits)
{
    for (int i = digits; i-- > 0; n /= 10)
        to[i] = (char)('0' + n % 10);
    return to + digits;
}

static char *put_parted(char *to, int n, int digits, char parting)
{
    to = put_digits(to, n, digits);
    *to = parting;
    return to + 1;
}

enum { SECONDS_TEXT = 40 };      /* what follows the seconds too */

static char *put_seconds(char *to, int64_t s)
{
    struct tm tm;
    time_t seconds = (time_t)s;
    if (!gmtime_r(&seconds, &tm))
        return to;
    to = put_parted(to, tm.tm_year + 1900, 4, '-');
    to = put_parted(to, tm.tm_mon + 1, 2, '-');
    to = put_parted(to, tm.tm_mday, 2, 'T');
    to = put_parted(to, tm.tm_hour, 2, ':');
    to = put_parted(to, tm.tm_min, 2, ':');
    return put_digits(to, tm.tm_sec, 2);
}

void buf_add_instant(struct buf *out, int64_t s)
{
    char text[SECONDS_TEXT], *end = put_seconds(text, s);
    *end++ = 'Z';
    buf_add(out, text, (size_t)(end - text));
}

void buf_add_instant_ms(struct buf *out, int64_t ms)
{
    char text[SECONDS_TEXT], *end = put_seconds(text, ms / 1000);
    *end++ = '.';
    end = put_parted(end, (int)(ms % 1000), 3, 'Z');
    buf_add(out, text, (size_t)(end - text));
}

void buf_add_moment_member(struct buf *out, const char *name, int64_t ms)
{
    buf_addf(out, ",\"%s\":", name);
    if (ms == INT64_MAX) {
        buf_add_str(out, "null");
        return;
    }
    buf_add_char(out, '"');
    if (ms % 1000)
        buf_add_instant_ms(out, ms);
    else
        buf_add_instant(out, ms / 1000);
    buf_add_char(out, '"');
}

void buf_add_instant_member(struct buf *out, const char *name, int64_t s)
{
    buf_add_moment_member(out, name, s == INT64_MAX ? s : s * 1000);
}

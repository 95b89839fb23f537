/* When a delivery is tried again: lists of delays, their jitter, and what receivers may say about it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "webhooks/schedule.h"

#include <string.h>

static const int64_t hour = 3600 * 1000;

static void the_usual_list_is_read(void **state)
{
    static const int64_t expected[] = { 0, 5000, 30000, 120000, 600000, 3600000, 10800000, 21600000, 43200000, 86400000 };
    struct schedule schedule;
    (void)state;
    assert_null(schedule_parse(SLICE("0,5s,30s,2m,10m,1h,3h,6h,12h,24h"), &schedule));
    assert_int_equal(schedule.n, 10);
    assert_memory_equal(schedule.delay_ms, expected, sizeof expected);
    assert_null(schedule_parse(SLICE(" 250ms, 7d 0 "), &schedule));
    assert_int_equal(schedule.n, 3);
    assert_true(schedule.delay_ms[0] == 250 && schedule.delay_ms[1] == 7 * 24 * hour && schedule.delay_ms[2] == 0);
}

static void what_is_no_list_of_delays_is_told(void **state)
{
    static const struct { const char *text, *says; } bad[] = {
        { "", "empty" }, { " , ", "empty" }, { "soon", "list of delays" }, { "0,-5s", "list of delays" }, { "1s;2s", "list of delays" }, { "0,8d", "7d" },
        { "99999999999999999999s", "list of delays" }, { "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0", "32" },
    };
    struct schedule schedule = { .n = 77 };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *wrong = schedule_parse(slice_of(bad[i].text), &schedule);
        if (!wrong || !strstr(wrong, bad[i].says))
            fail_msg("%s: %s", bad[i].text, wrong ? wrong : "is good");
        assert_int_equal(schedule.n, 77);
    }
}

static void a_delay_varies_by_a_fifth_to_both_sides_and_no_more(void **state)
{
    struct schedule schedule;
    (void)state;
    assert_null(schedule_parse(SLICE("0,5s,7d,3ms"), &schedule));
    assert_int_equal(schedule_delay_ms(&schedule, 1, 0), 0);
    assert_int_equal(schedule_delay_ms(&schedule, 1, UINT32_MAX), 0);
    assert_int_equal(schedule_delay_ms(&schedule, 2, 0), 4000);
    assert_int_equal(schedule_delay_ms(&schedule, 2, UINT32_MAX), 6000);
    assert_int_equal(schedule_delay_ms(&schedule, 2, UINT32_MAX / 2 + 1), 5000);
    assert_true(schedule_delay_ms(&schedule, 3, 0) == 7 * 24 * hour / 5 * 4);
    assert_true(schedule_delay_ms(&schedule, 3, UINT32_MAX) <= 7 * 24 * hour / 5 * 6);
    assert_int_equal(schedule_delay_ms(&schedule, 4, UINT32_MAX), 3);
}

/* 2026-11-21T10:08:00Z */
static const int64_t now_ms = 1795255680 * (int64_t)1000;

static void retry_after_is_read_in_all_its_forms(void **state)
{
    static const struct { const char *value; int64_t wait_s; } good[] = {
        { "0", 0 }, { "120", 120 }, { " 7 ", 7 }, { "86400", 3600 }, { "99999999999999999999999999", 3600 }, { "18446744073709551615", 3600 },
        { "Sat, 21 Nov 2026 10:09:00 GMT", 60 }, { "Saturday, 21-Nov-26 10:09:00 GMT", 60 }, { "Sat Nov 21 10:09:00 2026", 60 },
        { "sat, 21 nov 2026 10:09:00 gmt", 60 }, { "Sun, 22 Nov 2026 10:08:00 GMT", 3600 }, { "Sun, 06 Nov 1994 08:49:37 GMT", 0 },
        { "Sunday, 06-Nov-94 08:49:37 GMT", 0 }, { "Sun Nov  6 08:49:37 1994", 0 }, { "Fri, 31 Dec 9999 23:59:59 GMT", 3600 }, { "Sat, 21 Nov 2026 10:08:60 GMT", 59 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t wait_ms = -1;
        if (!retry_after_parse(slice_of(good[i].value), now_ms, hour, &wait_ms) || wait_ms != good[i].wait_s * 1000)
            fail_msg("%s: %lld", good[i].value, (long long)wait_ms);
    }
}

static void rubbish_in_retry_after_is_ignored(void **state)
{
    static const char *const bad[] = {
        "", " ", "-1", "+1", "1.5", "1e3", "0x10", "5s", "soon", "12 34", "Sat, 21 Nov 2026", "Sat, 31 Nov 2026 10:09:00 GMT", "Sat, 21 Nov 2026 25:09:00 GMT",
        "Sat, 21 Nov 2026 10:09:00 PST", "Sat, 21 Nov 2026 10:09:00", "Sat, 21 Nov 2026 10:09:00 GMT ,", "21 Nov 2026 10:09:00 GMT", "Sat, 1 Nov 2026 10:09:00 GMT",
        "2026-11-21T10:09:00Z", "Sat Nov 21 10:09:00 26", "Xyz, 21 Nov 2026 10:09:00 GMT", "Sat, 21 Foo 2026 10:09:00 GMT", "Saturday, 21-Nov-2026 10:09:00 GMT",
        "Thu, 01 Jan 1950 00:00:00 GMT",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t wait_ms = -1;
        if (retry_after_parse(slice_of(bad[i]), now_ms, hour, &wait_ms) || wait_ms != -1)
            fail_msg("%s: %lld", bad[i], (long long)wait_ms);
    }
    int64_t wait_ms;
    assert_false(retry_after_parse(slice(NULL, 0), now_ms, hour, &wait_ms));
    assert_false(retry_after_parse(SLICE("1\0"), now_ms, hour, &wait_ms));
}

/* RFC 9110: 50 years ahead at most, else in the past. */
static void a_year_of_two_digits_is_near(void **state)
{
    int64_t wait_ms;
    (void)state;
    assert_true(retry_after_parse(SLICE("Saturday, 21-Nov-76 10:09:00 GMT"), now_ms, INT64_MAX, &wait_ms));
    assert_true(wait_ms / hour / 24 / 365 == 50);
    assert_true(retry_after_parse(SLICE("Saturday, 21-Nov-77 10:09:00 GMT"), now_ms, INT64_MAX, &wait_ms));
    assert_int_equal(wait_ms, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_usual_list_is_read),
        cmocka_unit_test(what_is_no_list_of_delays_is_told),
        cmocka_unit_test(a_delay_varies_by_a_fifth_to_both_sides_and_no_more),
        cmocka_unit_test(retry_after_is_read_in_all_its_forms),
        cmocka_unit_test(rubbish_in_retry_after_is_ignored),
        cmocka_unit_test(a_year_of_two_digits_is_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

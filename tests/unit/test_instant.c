/* Moments as RFC 3339 has them: read, refused, printed. */
#include "hub/base/instant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void moments_are_read_with_any_offset_and_fraction(void **state)
{
    (void)state;
    static const struct { const char *text; int64_t s; } good[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "2026-11-21T10:08:00Z", 1795255680 },
        { "2026-11-21t10:08:00z", 1795255680 },
        { "2026-11-21 10:08:00.123456Z", 1795255680 },
        { "2026-11-21T12:08:00+02:00", 1795255680 },
        { "2026-11-21T04:38:00-05:30", 1795255680 },
        { "2024-02-29T00:00:00Z", 1709164800 },
        { "2016-12-31T23:59:60Z", 1483228799 },      /* a leap second is the one before */
        { "9999-12-31T23:59:59Z", 253402300799 },
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t s = -1;
        if (!instant_parse(slice_of(good[i].text), &s) || s != good[i].s)
            fail_msg("%s is read as %lld", good[i].text, (long long)s);
    }
}

static void thousandths_of_a_second_count_where_they_are_asked_for(void **state)
{
    static const struct { const char *text; int ms; } of[] = { { "1970-01-01T00:00:01Z", 1000 }, { "1970-01-01T00:00:01.5Z", 1500 },
        { "1970-01-01T00:00:01.025+00:00", 1025 }, { "1970-01-01T00:00:01.9999999Z", 1999 } };
    (void)state;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        int64_t ms = -1;
        assert_true(instant_parse_ms(slice_of(of[i].text), &ms));
        assert_int_equal(ms, of[i].ms);
    }
}

static void what_is_no_moment_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "2026", "2026-11-21", "2026-11-21T10:08:00", "2026-11-21T10:08Z", "2026-11-31T10:08:00Z", "2025-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:61Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+2:00", "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+0200", "2026-01-01T00:00:00Zx", " 2026-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "+026-01-01T00:00:00Z",
        "2026-01-01T00:00:-1Z", "1970-01-01T00:00:00+00:01",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t s = -1;
        if (instant_parse(slice_of(bad[i]), &s) || s != -1)
            fail_msg("\"%s\" is read as %lld", bad[i], (long long)s);
    }
    int64_t s;
    assert_false(instant_parse(slice("2026-01-01T00:00:00\0Z", 21), &s));
}

static void what_is_printed_is_read_back(void **state)
{
    (void)state;
    for (int64_t s = 0; s < 253402300799; s = s * 3 + 1234567) {
        struct buf text = { 0 };
        int64_t again = -1;
        buf_add_instant(&text, s);
        assert_true(instant_parse(buf_slice(&text), &again) && again == s);
        buf_fini(&text);
    }
}

static void each_part_has_its_digits(void **state)
{
    struct buf out = { 0 };
    (void)state;
    buf_add_instant_ms(&out, 981173106009);
    buf_add_char(&out, ' ');
    buf_add_instant_ms(&out, 253402300799999);
    assert_true(slice_is(buf_slice(&out), SLICE("2001-02-03T04:05:06.009Z 9999-12-31T23:59:59.999Z")));
    buf_fini(&out);
}

static void a_member_of_an_object_is_quoted_and_never_is_null(void **state)
{
    struct buf out = { 0 };
    (void)state;
    buf_add_instant_member(&out, "since", 0);
    buf_add_instant_member(&out, "until", INT64_MAX);
    assert_true(slice_is(buf_slice(&out), SLICE(",\"since\":\"1970-01-01T00:00:00Z\",\"until\":null")));
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_read_with_any_offset_and_fraction),
        cmocka_unit_test(thousandths_of_a_second_count_where_they_are_asked_for),
        cmocka_unit_test(what_is_no_moment_is_refused),
        cmocka_unit_test(what_is_printed_is_read_back), cmocka_unit_test(each_part_has_its_digits),
        cmocka_unit_test(a_member_of_an_object_is_quoted_and_never_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

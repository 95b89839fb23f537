#include "hub/base/err.h"
#include "hub/since.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static const int64_t NOW = 1795255680999;      /* 2026-11-21T10:08:00.999Z */

static void every_form_is_read(void **state)
{
    static const struct { const char *text; struct since since; } cases[] = {
        { "all", { .from = FETCH_ALL } },
        { "last", { .from = FETCH_LATEST } },
        { "-1", { .from = FETCH_COUNT, .count = 1 } },
        { "-20", { .from = FETCH_COUNT, .count = 20 } },
        { "-10000", { .from = FETCH_COUNT, .count = SINCE_COUNT_MAX } },
        { "2026-11-21T10:08:00Z", { .from = FETCH_TIME, .time_ms = 1795255680000 } },
        { "2026-11-21T12:08:00.5+02:00", { .from = FETCH_TIME, .time_ms = 1795255680000 } },
        { "1970-01-01T00:00:00Z", { .from = FETCH_TIME } },
        { "10m", { .from = FETCH_TIME, .time_ms = 1795255680000 - 600000 } },
        { "60", { .from = FETCH_TIME, .time_ms = 1795255680000 - 60000 } },
        { "1ms", { .from = FETCH_TIME, .time_ms = 1795255680000 } },
        { "0", { .from = FETCH_TIME, .time_ms = 1795255680000 } },
        { "99999d", { .from = FETCH_TIME } },
        { "aaaaaaab.3", { .from = FETCH_AFTER, .after = { 1, 3 } } },
        { "aaaaaaab.", { .from = FETCH_AFTER } },
        { "aaaaaaab.99999999999999999999999", { .from = FETCH_AFTER } },
        { "what.ever", { .from = FETCH_AFTER } },
        { ".", { .from = FETCH_AFTER } },
        { "2026-02-30T10:08:00.5Z", { .from = FETCH_AFTER } },      /* no such day; but it has a dot */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct since got, wanted = cases[i].since;
        assert_int_equal(since_read(slice_of(cases[i].text), NOW, &got), 0);
        if (got.from != wanted.from || got.after.epoch != wanted.after.epoch || got.after.seq != wanted.after.seq ||
            got.count != wanted.count || got.time_ms != wanted.time_ms)
            fail_msg("%s: from %d, after %lu.%lu, count %u, time %ld", cases[i].text, (int)got.from, got.after.epoch, got.after.seq,
                     got.count, got.time_ms);
    }
}

static void everything_else_is_a_bad_field(void **state)
{
    static const char *const texts[] = {
        "", "x", "ALL", "All", "all ", " all", "last1", "-", "-0", "-00", "-10001", "--5", "-5 ", "+5", "-5m", "-99999999999999999999999",
        "10x", "10 m", "m", "9223372036854775807d", "99999999999999999999999", "2026-11-21", "2026-11-21T10:08:00", "2026-02-30T10:08:00Z",
        "1969-12-31T23:59:59Z", "now", "null", "\x01", "*",
    };
    struct since since;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (since_read(slice_of(texts[i]), NOW, &since) != ERR_BAD_FIELD)
            fail_msg("%s was read", texts[i]);
    assert_int_equal(since_read(slice("a\0l", 3), NOW, &since), ERR_BAD_FIELD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_is_read),
        cmocka_unit_test(everything_else_is_a_bad_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

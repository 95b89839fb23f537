/* carillon pub --rate, with a clock that is moved by hand; and how long its patience is (clients/cli/pacer.h, retry.h). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "clients/cli/pacer.h"
#include "clients/cli/retry.h"

#define MS INT64_C(1000000)
#define S  (1000 * MS)

static int64_t interval_of(const char *text)
{
    struct pacer pacer = { .interval_ns = -1 };
    return pacer_parse(slice_of(text), &pacer) ? pacer.interval_ns : -1;
}

static void a_rate_is_a_number_and_what_it_is_for(void **state)
{
    (void)state;
    assert_int_equal(interval_of("1"), S);
    assert_int_equal(interval_of("100"), 10 * MS);
    assert_int_equal(interval_of("100/s"), 10 * MS);
    assert_int_equal(interval_of("30/m"), 2 * S);
    assert_int_equal(interval_of("1/250ms"), 250 * MS);
    assert_int_equal(interval_of("5/10s"), 2 * S);
    assert_int_equal(interval_of("1/h"), 3600 * S);
    assert_int_equal(interval_of("1000000/s"), 1000);
    static const char *const bad[] = { "", "0", "-1", "1.5", "x", "/s", "5/", "5/x", "5/0s", "5/s/s", "1000001/s", "2000/1ms", "1/1000d", "5/99999999999999999999999s" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (interval_of(bad[i]) != -1)
            fail_msg("%s was taken", bad[i]);
}

/* Takes all it may at `now`. */
static int take_all(struct pacer *pacer, int64_t now)
{
    int n = 0;
    for (; pacer_wait_ns(pacer, now) == 0; n++)
        pacer_take(pacer, now);
    return n;
}

static void the_first_goes_at_once_and_the_others_evenly(void **state)
{
    struct pacer pacer;
    (void)state;
    assert_true(pacer_parse(SLICE("10/s"), &pacer));
    assert_int_equal(take_all(&pacer, 5 * S), 1);
    assert_int_equal(pacer_wait_ns(&pacer, 5 * S), 100 * MS);
    assert_int_equal(pacer_wait_ns(&pacer, 5 * S + 60 * MS), 40 * MS);
    assert_int_equal(take_all(&pacer, 5 * S + 99 * MS), 0);
    assert_int_equal(take_all(&pacer, 5 * S + 100 * MS), 1);
}

static void who_looks_late_loses_nothing_of_the_rate(void **state)
{
    struct pacer pacer;
    int taken = 0;
    (void)state;
    assert_true(pacer_parse(SLICE("1000/s"), &pacer));
    for (int64_t now = 0; now <= 2 * S; now += 7 * MS)      /* seldom, and never on time */
        taken += take_all(&pacer, now);
    assert_in_range(taken, 1993, 2001);
}

static void who_stood_still_makes_no_burst(void **state)
{
    struct pacer pacer;
    (void)state;
    assert_true(pacer_parse(SLICE("1000/s"), &pacer));
    take_all(&pacer, 0);
    assert_in_range(take_all(&pacer, 60 * S), PACER_LATE_MS, PACER_LATE_MS + 1);
    assert_int_equal(take_all(&pacer, 60 * S), 0);
}

static void without_a_rate_everything_goes(void **state)
{
    struct pacer pacer = { 0 };
    (void)state;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(pacer_wait_ns(&pacer, 0), 0);
        pacer_take(&pacer, 0);
    }
}

static void what_never_began_is_not_tried_again_unless_it_was_asked_for(void **state)
{
    struct retry retry = { .patience_ms = 1000 }, asked = { .patience_ms = 1000, .from_start = true }, none = { 0 };
    (void)state;
    assert_int_equal(retry_wait_ms(&retry, 0, false, 0), -1);
    assert_in_range(retry_wait_ms(&retry, 0, true, 0), 50, 150);
    assert_in_range(retry_wait_ms(&asked, 0, false, 0), 50, 150);
    assert_int_equal(retry_wait_ms(&none, 0, true, 0), -1);
}

static void waits_double_until_patience_ends_and_begin_anew_after_what_went_well(void **state)
{
    struct retry retry = { .patience_ms = 10000 };
    (void)state;
    for (int i = 0, base = 100; i < 8; i++, base = base < 2000 ? base * 2 : base) {
        int64_t wait = retry_wait_ms(&retry, 1000000, true, 0);      /* whenever it fails first */
        int most = base < 2000 ? base : 2000;
        assert_in_range(wait, most / 2, most + most / 2);
    }
    assert_int_equal(retry_wait_ms(&retry, 1000000, true, 3000), 3000);      /* the hub's wish */
    assert_int_equal(retry_wait_ms(&retry, 1008000, true, 3000), 2000);      /* once more at the very end */
    assert_int_equal(retry_wait_ms(&retry, 1010000, true, 0), -1);
    retry_went_well(&retry);
    assert_in_range(retry_wait_ms(&retry, 2000000, true, 0), 50, 150);
    assert_in_range(retry_wait_ms(&retry, 2009000, true, 0), 100, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rate_is_a_number_and_what_it_is_for),
        cmocka_unit_test(the_first_goes_at_once_and_the_others_evenly),
        cmocka_unit_test(who_looks_late_loses_nothing_of_the_rate),
        cmocka_unit_test(who_stood_still_makes_no_burst),
        cmocka_unit_test(without_a_rate_everything_goes),
        cmocka_unit_test(what_never_began_is_not_tried_again_unless_it_was_asked_for),
        cmocka_unit_test(waits_double_until_patience_ends_and_begin_anew_after_what_went_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The breaker of an endpoint: when it opens, its probe, pauses that grow, and attempts that end late. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "webhooks/breaker.h"

static const struct breaker_rule rule = { .failures = 10, .pause_ms = 30000, .pause_max_ms = 600000 };

static void fail_times(struct breaker *breaker, unsigned n, int64_t now_ms)
{
    for (unsigned i = 0; i < n; i++)
        assert_false(breaker_failed(breaker, &rule, false, now_ms));
}

static struct breaker opened_at(int64_t now_ms)
{
    struct breaker breaker = { 0 };
    fail_times(&breaker, 9, now_ms);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_true(breaker_failed(&breaker, &rule, false, now_ms));
    assert_int_equal(breaker.state, BREAKER_OPEN);
    return breaker;
}

static void ten_failures_in_a_row_open_it(void **state)
{
    (void)state;
    struct breaker breaker = opened_at(1000);
    assert_int_equal(breaker_ask(&breaker, 1000), BREAKER_WAIT);
    assert_int_equal(breaker_due_ms(&breaker), 31000);
}

static void a_success_in_between_begins_the_count_anew(void **state)
{
    struct breaker breaker = { 0 };
    (void)state;
    for (int i = 0; i < 5; i++) {
        fail_times(&breaker, 9, 0);
        assert_int_equal(breaker_ask(&breaker, 0), BREAKER_GO);
        assert_false(breaker_succeeded(&breaker));
    }
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_true(breaker_due_ms(&breaker) == INT64_MIN);
}

static void after_the_pause_one_probe_goes_and_no_other(void **state)
{
    (void)state;
    struct breaker breaker = opened_at(0);
    assert_int_equal(breaker_ask(&breaker, 29999), BREAKER_WAIT);
    assert_int_equal(breaker_ask(&breaker, 30000), BREAKER_PROBE);
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
    assert_int_equal(breaker_ask(&breaker, 99999), BREAKER_WAIT);
    assert_true(breaker_due_ms(&breaker) == INT64_MAX);
    assert_true(breaker_succeeded(&breaker));
    assert_int_equal(breaker_ask(&breaker, 99999), BREAKER_GO);
    fail_times(&breaker, 9, 0);
}

static void each_probe_that_fails_doubles_the_pause_up_to_a_bound(void **state)
{
    static const int64_t pauses[] = { 30000, 60000, 120000, 240000, 480000, 600000, 600000 };
    int64_t now_ms = 0;
    (void)state;
    struct breaker breaker = opened_at(0);
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        assert_int_equal(breaker_due_ms(&breaker) - now_ms, pauses[i]);
        now_ms = breaker_due_ms(&breaker);
        assert_int_equal(breaker_ask(&breaker, now_ms), BREAKER_PROBE);
        now_ms += 10000;
        assert_false(breaker_failed(&breaker, &rule, true, now_ms));
        assert_int_equal(breaker.state, BREAKER_OPEN);
    }
    breaker_ask(&breaker, breaker_due_ms(&breaker));
    breaker_succeeded(&breaker);
    fail_times(&breaker, 9, now_ms);
    assert_true(breaker_failed(&breaker, &rule, false, now_ms));
    assert_int_equal(breaker_due_ms(&breaker) - now_ms, 30000);      /* short again */
}

static void attempts_that_began_before_say_nothing_new_when_they_fail(void **state)
{
    (void)state;
    struct breaker breaker = opened_at(0);
    fail_times(&breaker, 50, 20000);
    assert_int_equal(breaker_due_ms(&breaker), 30000);
    assert_int_equal(breaker_ask(&breaker, 30000), BREAKER_PROBE);
    fail_times(&breaker, 50, 30001);
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
}

static void attempts_that_began_before_close_it_when_they_succeed(void **state)
{
    (void)state;
    struct breaker breaker = opened_at(0);
    assert_true(breaker_succeeded(&breaker));
    assert_int_equal(breaker_ask(&breaker, 1), BREAKER_GO);
    breaker = opened_at(0);
    breaker_ask(&breaker, 30000);
    assert_true(breaker_succeeded(&breaker));
    assert_false(breaker_failed(&breaker, &rule, true, 40000));      /* the probe itself, later: one failure */
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void a_probe_that_was_given_up_may_be_sent_again_at_once(void **state)
{
    (void)state;
    struct breaker breaker = opened_at(0);
    breaker_ask(&breaker, 30000);
    breaker_gave_up(&breaker, false, 30001);
    assert_int_equal(breaker_ask(&breaker, 30001), BREAKER_WAIT);
    breaker_gave_up(&breaker, true, 30001);
    assert_int_equal(breaker_ask(&breaker, 30001), BREAKER_PROBE);
    assert_false(breaker_failed(&breaker, &rule, true, 30002));
    assert_int_equal(breaker_due_ms(&breaker), 90002);
}

static void without_a_number_of_failures_it_never_opens(void **state)
{
    struct breaker breaker = { 0 };
    struct breaker_rule never = rule;
    (void)state;
    never.failures = 0;
    for (int i = 0; i < 1000; i++)
        assert_false(breaker_failed(&breaker, &never, false, 0));
    assert_int_equal(breaker_ask(&breaker, 0), BREAKER_GO);
}

static void states_have_the_names_of_the_api(void **state)
{
    (void)state;
    assert_string_equal(breaker_state_name(BREAKER_CLOSED), "closed");
    assert_string_equal(breaker_state_name(BREAKER_OPEN), "open");
    assert_string_equal(breaker_state_name(BREAKER_HALF_OPEN), "half_open");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_failures_in_a_row_open_it),
        cmocka_unit_test(a_success_in_between_begins_the_count_anew),
        cmocka_unit_test(after_the_pause_one_probe_goes_and_no_other),
        cmocka_unit_test(each_probe_that_fails_doubles_the_pause_up_to_a_bound),
        cmocka_unit_test(attempts_that_began_before_say_nothing_new_when_they_fail),
        cmocka_unit_test(attempts_that_began_before_close_it_when_they_succeed),
        cmocka_unit_test(a_probe_that_was_given_up_may_be_sent_again_at_once),
        cmocka_unit_test(without_a_number_of_failures_it_never_opens),
        cmocka_unit_test(states_have_the_names_of_the_api),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* pace.h: which turns are followed by a wait, and how long. */
#include "transports/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static int64_t wait_after(struct pace *pace, int64_t took_us, uint64_t messages)
{
    pace_begin(pace, 1000, 500);
    pace_end(pace, 1000 + took_us, 500 + messages);
    return pace->wait_us;
}

static void a_turn_that_was_long_and_carried_many_is_followed_by_a_wait_of_half_of_it(void **state)
{
    struct pace pace = { 0 };
    (void)state;
    assert_int_equal(wait_after(&pace, 6000, 200), 3000);
    assert_int_equal(wait_after(&pace, PACE_LONG_US, PACE_MANY), PACE_LONG_US / 2);
    assert_int_equal(wait_after(&pace, 1000000, 200), PACE_WAIT_MAX_US);
}

static void lone_messages_and_short_turns_never_wait(void **state)
{
    struct pace pace = { 0 };
    (void)state;
    assert_int_equal(pace.wait_us, 0);
    assert_int_equal(wait_after(&pace, 70000, 1), 0);
    assert_int_equal(wait_after(&pace, 70000, PACE_MANY - 1), 0);
    assert_int_equal(wait_after(&pace, PACE_LONG_US - 1, 200), 0);
}

static void a_short_turn_ends_the_waiting(void **state)
{
    struct pace pace = { 0 };
    (void)state;
    assert_int_equal(wait_after(&pace, 6000, 200), 3000);
    assert_int_equal(wait_after(&pace, 6000, 1), 0);
}

static void a_turn_without_mail_changes_nothing(void **state)
{
    struct pace pace = { 0 };
    (void)state;
    wait_after(&pace, 6000, 200);
    pace_end(&pace, 900000, 500);
    assert_int_equal(pace.wait_us, 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_that_was_long_and_carried_many_is_followed_by_a_wait_of_half_of_it),
        cmocka_unit_test(lone_messages_and_short_turns_never_wait),
        cmocka_unit_test(a_short_turn_ends_the_waiting),
        cmocka_unit_test(a_turn_without_mail_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

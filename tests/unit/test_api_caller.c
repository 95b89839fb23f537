#include "hub/api/api_caller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void a_name_is_one_caller_as_long_as_somebody_holds_it(void **state)
{
    struct api_caller *callers = NULL;
    (void)state;
    struct api_caller *a = api_caller_get(&callers, SLICE("key a"));
    assert_non_null(a);
    assert_ptr_equal(api_caller_get(&callers, SLICE("key a")), a);
    for (int i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "key %d", i);
        struct api_caller *other = api_caller_get(&callers, slice_of(name));
        assert_ptr_not_equal(other, a);
        api_caller_unref(other);
    }
    assert_true(api_caller_take(a, 60, 100));
    api_caller_unref(a);
    struct api_caller *again = api_caller_get(&callers, SLICE("key a"));
    assert_ptr_equal(again, a);
    assert_false(api_caller_take(again, 60, 100));      /* it still knows */
    api_caller_unref(again);
    assert_non_null(callers);
    api_caller_unref(again);
    assert_null(callers);
    api_caller_unref(NULL);
}

static void a_caller_may_have_the_most_under_way_and_not_a_byte_more(void **state)
{
    struct api_caller *callers = NULL;
    (void)state;
    struct api_caller *a = api_caller_get(&callers, SLICE("a")), *b = api_caller_get(&callers, SLICE("b"));
    assert_true(api_caller_take(a, 60, 100));
    assert_true(api_caller_take(a, 40, 100));
    assert_false(api_caller_take(a, 1, 100));
    assert_false(api_caller_take(a, SIZE_MAX, 100));
    assert_true(api_caller_take(b, 100, 100));
    api_caller_give_back(a, 60);
    assert_false(api_caller_take(a, 61, 100));
    assert_true(api_caller_take(a, 60, 100));
    assert_false(api_caller_take(a, 1, 50));      /* the limit was lowered */
    api_caller_unref(a);
    api_caller_unref(b);
    assert_null(callers);
}

struct guest {
    struct api_caller_waiter waiter;       /* first */
    struct api_caller       *caller;
    unsigned                 called, takes;
};

static void take_and_wait_again(struct api_caller_waiter *waiter)
{
    struct guest *guest = (struct guest *)waiter;
    guest->called++;
    while (guest->takes > 0 && api_caller_may_take(guest->caller, 10, 50, waiter)) {
        assert_true(api_caller_take(guest->caller, 10, SIZE_MAX));
        guest->takes--;
    }
}

static void who_waits_is_called_when_there_is_room_those_first_who_wait_longest(void **state)
{
    struct api_caller *callers = NULL;
    (void)state;
    struct api_caller *a = api_caller_get(&callers, SLICE("a"));
    struct guest guests[3];
    assert_true(api_caller_take(a, 100, 100));
    for (unsigned i = 0; i < 3; i++) {
        guests[i] = (struct guest){ .waiter.go_on = take_and_wait_again, .caller = a, .takes = 2 };
        link_init(&guests[i].waiter.link);
        assert_false(api_caller_may_take(a, 10, 50, &guests[i].waiter));
        assert_false(api_caller_may_take(a, 10, 50, &guests[i].waiter));
    }
    link_remove(&guests[1].waiter.link);
    api_caller_give_back(a, 50);
    assert_int_equal(guests[0].called, 0);
    api_caller_give_back(a, 10);
    assert_int_equal(guests[0].called + 10 * guests[0].takes, 11);
    assert_int_equal(guests[2].called, 0);
    api_caller_give_back(a, 20);
    assert_int_equal(guests[2].called + 10 * guests[2].takes, 1);
    assert_int_equal(guests[0].called, 1);
    api_caller_give_back(a, 10);
    assert_int_equal(guests[0].takes + guests[2].takes, 0);
    api_caller_give_back(a, 50);
    assert_int_equal(guests[0].called + guests[1].called + guests[2].called, 3);
    assert_true(api_caller_may_take(a, 10, 50, &guests[1].waiter));
    api_caller_unref(a);
}

static void one_publish_alone_is_never_too_much(void **state)
{
    struct api_caller *callers = NULL;
    (void)state;
    struct api_caller *a = api_caller_get(&callers, SLICE("a"));
    assert_true(api_caller_take(a, 1000, 100));
    assert_false(api_caller_take(a, 1, 100));
    api_caller_give_back(a, 1000);
    assert_true(api_caller_take(a, 1000, 100));
    api_caller_unref(a);
    assert_null(callers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_one_caller_as_long_as_somebody_holds_it),
        cmocka_unit_test(a_caller_may_have_the_most_under_way_and_not_a_byte_more),
        cmocka_unit_test(who_waits_is_called_when_there_is_room_those_first_who_wait_longest),
        cmocka_unit_test(one_publish_alone_is_never_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

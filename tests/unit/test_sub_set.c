/* The subscriptions of a connection, against a plain array: whatever is added and removed, each is found by its feed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "transports/edge/feed.h"
#include "transports/edge/sub_set.h"

#include <stdlib.h>

enum { FEEDS = 300, STEPS = 20000 };

static struct feed feeds[FEEDS];
static struct sub  subs[FEEDS];

/* Hashes that collide often: `kinds` different ones. */
static void make_feeds(uint32_t kinds)
{
    for (uint32_t i = 0; i < FEEDS; i++) {
        feeds[i].hash = i % kinds * 7919;
        subs[i].feed = &feeds[i];
    }
}

static void add(struct sub_set *set, uint32_t i) { assert_int_equal(sub_set_add(set, &subs[i]), 0); }

static void one_subscription_needs_no_memory(void **state)
{
    struct sub_set set = { 0 };
    uint32_t at = 0;
    (void)state;
    make_feeds(FEEDS);
    assert_null(sub_set_find(&set, &feeds[0]));
    assert_null(sub_set_next(&set, &at));
    add(&set, 0);
    assert_int_equal(set.size, 0);
    assert_ptr_equal(sub_set_find(&set, &feeds[0]), &subs[0]);
    assert_null(sub_set_find(&set, &feeds[1]));
    assert_ptr_equal(sub_set_next(&set, &at), &subs[0]);
    assert_null(sub_set_next(&set, &at));
    sub_set_remove(&set, &subs[0]);
    assert_null(sub_set_find(&set, &feeds[0]));
    assert_int_equal(set.n, 0);
}

static void check_against(const struct sub_set *set, const bool there[FEEDS])
{
    bool seen[FEEDS] = { 0 };
    uint32_t at = 0, n = 0;
    for (const struct sub *sub; (sub = sub_set_next(set, &at)); n++) {
        assert_false(seen[sub - subs]);
        seen[sub - subs] = true;
    }
    for (uint32_t i = 0; i < FEEDS; i++) {
        assert_int_equal(seen[i], there[i]);
        assert_ptr_equal(sub_set_find(set, &feeds[i]), there[i] ? &subs[i] : NULL);
    }
    assert_int_equal(set->n, n);
}

static void run(uint32_t kinds, uint32_t seed)
{
    struct sub_set set = { 0 };
    bool there[FEEDS] = { 0 };
    make_feeds(kinds);
    for (uint32_t step = 0; step < STEPS; step++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t i = (seed >> 8) % (1 + (step / 100) % FEEDS);
        if (there[i])
            sub_set_remove(&set, &subs[i]);
        else
            add(&set, i);
        there[i] = !there[i];
        if (step % 97 == 0)
            check_against(&set, there);
    }
    check_against(&set, there);
    uint32_t at = 0, left = set.n;
    for (struct sub *sub; (sub = sub_set_next(&set, &at)); sub_set_again(&at), left--)
        sub_set_remove(&set, sub);
    assert_int_equal(left, 0);
    assert_int_equal(set.n, 0);
    assert_int_equal(set.size, 0);
}

static void each_is_found_whatever_was_added_and_removed(void **state)
{
    (void)state;
    run(FEEDS, 1);
    run(40, 2);
    run(3, 3);
    run(1, 4);
}

static void a_large_set_is_at_most_three_quarters_full_and_not_much_too_large(void **state)
{
    struct sub_set set = { 0 };
    (void)state;
    make_feeds(FEEDS);
    for (uint32_t i = 0; i < FEEDS; i++) {
        add(&set, i);
        assert_true(set.size == 0 || (set.n * 4 <= set.size * 3 && set.size < set.n * 3));
    }
    for (uint32_t i = 0; i < FEEDS; i++)
        sub_set_remove(&set, &subs[i]);
    assert_int_equal(set.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_subscription_needs_no_memory),
        cmocka_unit_test(each_is_found_whatever_was_added_and_removed),
        cmocka_unit_test(a_large_set_is_at_most_three_quarters_full_and_not_much_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What the tables of hub/access stand on: things in order of their ids, and chains by hash. */
#include "hub/access/roll.h"
#include "hub/base/chains.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { THINGS = 500 };

static void a_roll_keeps_everything_in_order_of_ids_whatever_comes_and_goes(void **state)
{
    (void)state;
    static struct roll_item items[THINGS];
    bool on[THINGS] = { 0 };
    struct roll roll = { 0 };
    for (int i = 0; i < THINGS; i++)
        snprintf(items[i].id, sizeof items[i].id, "%c%03d", 'a' + i % 3, i);
    for (unsigned step = 0, dice = 7; step < 20000; step++) {
        dice = dice * 1103515245 + 12345;
        int i = (int)(dice >> 8) % THINGS;
        struct slice id = slice_of(items[i].id);
        assert_ptr_equal(roll_find(&roll, id), on[i] ? &items[i] : NULL);
        if (on[i]) {
            assert_ptr_equal(roll_take(&roll, id), &items[i]);
        } else {
            assert_int_equal(roll_reserve(&roll, roll.n + 1), 0);
            assert_null(roll_put(&roll, &items[i]));
        }
        on[i] = !on[i];
        if (step % 100 == 0)
            for (size_t k = 0; k < roll.n; k++) {
                assert_true(k == 0 || strcmp(roll.at[k - 1]->id, roll.at[k]->id) < 0);
                assert_int_equal(roll_after(&roll, slice_of(roll.at[k]->id)), k + 1);
            }
    }
    assert_null(roll_take(&roll, SLICE("nothing")));
    assert_int_equal(roll_after(&roll, SLICE("")), 0);
    assert_int_equal(roll_after(&roll, SLICE("z")), roll.n);
    roll_fini(&roll);
}

static void what_has_the_same_id_takes_the_place(void **state)
{
    (void)state;
    struct roll_item a = { "a" }, again = { "a" }, longer = { "ab" };
    struct roll roll = { 0 };
    assert_int_equal(roll_reserve(&roll, 3), 0);
    assert_null(roll_put(&roll, &a));
    assert_null(roll_put(&roll, &longer));
    assert_ptr_equal(roll_put(&roll, &again), &a);
    assert_int_equal(roll.n, 2);
    assert_ptr_equal(roll_find(&roll, SLICE("a")), &again);
    roll_fini(&roll);
}

static void chains_find_all_of_a_hash_and_nothing_else_while_they_grow(void **state)
{
    (void)state;
    static struct chain_link links[THINGS];
    struct chains chains = { 0 };
    assert_null(chains_first(&chains, 1));
    for (size_t i = 0; i < THINGS; i++) {
        assert_int_equal(chains_reserve(&chains, chains.n + 1), 0);
        chains_add(&chains, &links[i], i % 7 * 16);      /* the same chain at first */
    }
    for (size_t i = 0; i < THINGS; i += 2)
        chains_remove(&chains, &links[i]);
    for (uint64_t hash = 0; hash < 7 * 16; hash++) {
        size_t n = 0, expected = 0;
        for (size_t i = 1; i < THINGS; i += 2)
            expected += i % 7 * 16 == hash;
        for (struct chain_link *link = chains_first(&chains, hash); link; link = chains_next(link), n++)
            assert_true(link->hash == hash && (size_t)(link - links) % 2 == 1);
        assert_int_equal(n, expected);
    }
    assert_int_equal(chains.n, THINGS / 2);
    chains_fini(&chains);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_roll_keeps_everything_in_order_of_ids_whatever_comes_and_goes),
        cmocka_unit_test(what_has_the_same_id_takes_the_place),
        cmocka_unit_test(chains_find_all_of_a_hash_and_nothing_else_while_they_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

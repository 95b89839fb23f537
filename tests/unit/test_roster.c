/* The connections of an edge by id, against a plain array of who is there. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "transports/edge/conn.h"
#include "transports/edge/roster.h"

#include <stdlib.h>

enum { CONNS = 3000 };

static struct conn conns[CONNS];
static bool        there[CONNS];

static void add(struct roster *roster, size_t i)
{
    conns[i].id = (i + 1) << 8 | 3;
    there[i] = true;
    assert_int_equal(roster_add(roster, &conns[i]), 0);
}

static void drop(struct roster *roster, size_t i)
{
    there[i] = false;
    roster_remove(roster, &conns[i]);
}

static void check(const struct roster *roster, size_t upto)
{
    size_t at = 0, n = 0;
    for (size_t i = 0; i < upto; i++) {
        assert_ptr_equal(roster_find(roster, conns[i].id), there[i] ? &conns[i] : NULL);
        if (!there[i])
            continue;
        assert_ptr_equal(roster_next(roster, &at), &conns[i]);
        n++;
    }
    assert_null(roster_next(roster, &at));
    assert_true(roster->n <= 2 * n + 1);
    assert_true(roster->cap <= 64 || roster->cap <= 8 * (n + 1));
}

static void an_empty_one_knows_nobody_and_owns_nothing(void **state)
{
    struct roster roster = { 0 };
    size_t at = 0;
    (void)state;
    assert_null(roster_find(&roster, 256));
    assert_null(roster_next(&roster, &at));
    add(&roster, 0);
    assert_null(roster_find(&roster, conns[0].id + 1));
    assert_null(roster_find(&roster, 0));
    drop(&roster, 0);
    assert_null(roster.at);
}

static void whoever_comes_and_goes_is_found_while_there_and_walked_in_order_of_id(void **state)
{
    struct roster roster = { 0 };
    (void)state;
    srand(7);
    for (size_t i = 0; i < CONNS; i++) {
        add(&roster, i);
        for (int tries = rand() % 3; tries > 0; tries--) {
            size_t gone = (size_t)rand() % (i + 1);
            if (there[gone])
                drop(&roster, gone);
        }
        if (i % 97 == 0)
            check(&roster, i + 1);
    }
    check(&roster, CONNS);
    for (size_t i = 0; i < CONNS; i++)
        if (there[i] && i % 5)
            drop(&roster, i);
    check(&roster, CONNS);
    for (size_t i = 0; i < CONNS; i++)
        if (there[i])
            drop(&roster, i);
    assert_null(roster.at);
}

static void a_walk_begins_behind_any_id(void **state)
{
    struct roster roster = { 0 };
    (void)state;
    for (size_t i = 0; i < 100; i++)
        add(&roster, i);
    for (size_t i = 0; i < 100; i += 3)
        drop(&roster, i);
    for (size_t i = 0; i < 100; i++) {
        size_t at = roster_after(&roster, conns[i].id), next = i + 1;
        while (next < 100 && !there[next])
            next++;
        assert_ptr_equal(roster_next(&roster, &at), next < 100 ? &conns[next] : NULL);
    }
    roster_fini(&roster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one_knows_nobody_and_owns_nothing),
        cmocka_unit_test(whoever_comes_and_goes_is_found_while_there_and_walked_in_order_of_id),
        cmocka_unit_test(a_walk_begins_behind_any_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

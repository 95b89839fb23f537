/* The reserve with a malloc that has nothing when the test says so. */
#include <stdlib.h>
static int have_memory = 1;
static void *test_malloc(size_t n)           { return have_memory ? malloc(n) : NULL; }
static void *test_realloc(void *p, size_t n) { return have_memory ? realloc(p, n) : NULL; }
#define malloc test_malloc
#define realloc test_realloc
#include "hub/base/reserve.c"
#undef malloc
#undef realloc

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static int with_memory(void **state)
{
    (void)state;
    have_memory = 1;
    return 0;
}

static void while_malloc_has_memory_the_reserve_is_not_used(void **state)
{
    (void)state;
    char *p = reserve_malloc(100);
    assert_non_null(p);
    assert_false(is_ours(p));
    p = reserve_realloc(p, 100000);
    assert_false(is_ours(p));
    assert_int_equal(reserve_used(), 0);
    assert_null(reserve_realloc(p, 0));
    reserve_free(NULL);
}

static void without_memory_blocks_come_from_the_reserve_and_do_not_overlap(void **state)
{
    enum { N = 1000 };
    unsigned char *p[N];
    (void)state;
    have_memory = 0;
    for (int i = 0; i < N; i++) {
        size_t size = 1 + (size_t)i * 7 % 3000;
        assert_non_null(p[i] = reserve_malloc(size));
        assert_true(is_ours(p[i]));
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        memset(p[i], i & 255, size);
    }
    assert_true(reserve_used() > 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(p[i][0], i & 255);
        assert_int_equal(p[i][(size_t)i * 7 % 3000], i & 255);
        reserve_free(p[i]);
    }
    assert_int_equal(reserve_used(), 0);
}

static void what_came_back_in_any_order_can_be_given_again_in_one_piece(void **state)
{
    enum { N = 5000, SIZE = 1000 };
    void *p[N];
    int n = 0;
    (void)state;
    have_memory = 0;
    while (n < N && (p[n] = reserve_malloc(SIZE)))
        n++;
    assert_in_range(n, RESERVE_BYTES / (SIZE + 64), RESERVE_BYTES / SIZE);
    for (int i = 1; i < n; i += 2)
        reserve_free(p[i]);
    assert_null(reserve_malloc(2 * SIZE + 100));
    for (int i = 0; i < n; i += 2)
        reserve_free(p[i]);
    void *large = reserve_malloc(RESERVE_BYTES / 2);
    assert_non_null(large);
    assert_null(reserve_malloc(RESERVE_BYTES));
    reserve_free(large);
    assert_int_equal(reserve_used(), 0);
}

static void a_block_that_grows_keeps_its_bytes_wherever_it_goes(void **state)
{
    (void)state;
    char *p = reserve_malloc(10);
    memcpy(p, "123456789", 10);
    have_memory = 0;
    p = reserve_realloc(p, 5000);
    assert_true(is_ours(p));
    assert_string_equal(p, "123456789");
    p = reserve_realloc(p, 20000);
    assert_true(is_ours(p));
    assert_string_equal(p, "123456789");
    assert_null(reserve_realloc(p, RESERVE_BYTES));
    assert_string_equal(p, "123456789");      /* what cannot grow stays */
    have_memory = 1;
    p = reserve_realloc(p, 30000);
    assert_false(is_ours(p));                  /* back to malloc when there is some */
    assert_string_equal(p, "123456789");
    reserve_free(p);
    assert_int_equal(reserve_used(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(while_malloc_has_memory_the_reserve_is_not_used, with_memory),
        cmocka_unit_test_setup(without_memory_blocks_come_from_the_reserve_and_do_not_overlap, with_memory),
        cmocka_unit_test_setup(what_came_back_in_any_order_can_be_given_again_in_one_piece, with_memory),
        cmocka_unit_test_setup(a_block_that_grows_keeps_its_bytes_wherever_it_goes, with_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

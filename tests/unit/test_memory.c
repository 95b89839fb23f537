/* The guard of memory, with a machine and a reserve that say what the test wants. */
#include "hub/base/machine.h"
#include "hub/base/reserve.h"
#include "hub/config/config.h"
#include "hub/health.h"
#include "hub/memory.h"
#include "hub/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { MIB = 1024 * 1024 };

static size_t resident, used;

size_t machine_memory(void)   { return (size_t)1000 * MIB; }
size_t machine_resident(void) { return resident; }
size_t reserve_used(void)     { return used; }

static struct config config;

static int enough(void **state)
{
    (void)state;
    config.limits_memory = (size_t)800 * MIB;
    resident = used = 0;
    memory_check(&config);
    memory_check(&config);
    return memory_level() != MEMORY_ENOUGH;
}

static void check(size_t mib, enum memory_level expected)
{
    resident = mib * MIB;
    memory_check(&config);
    assert_int_equal(memory_level(), expected);
    assert_int_equal(health_ready(), expected == MEMORY_ENOUGH);
    assert_int_equal(metric_sum(METRIC_memory_short), expected != MEMORY_ENOUGH);
}

static void it_is_short_above_the_limit_and_enough_again_an_eighth_below_it(void **state)
{
    (void)state;
    check(800, MEMORY_ENOUGH);
    check(801, MEMORY_SHORT);
    check(750, MEMORY_SHORT);
    check(701, MEMORY_SHORT);
    check(700, MEMORY_ENOUGH);
    check(750, MEMORY_ENOUGH);
}

static void it_is_out_an_eighth_above_the_limit(void **state)
{
    (void)state;
    check(901, MEMORY_OUT);
    check(900, MEMORY_SHORT);
    check(901, MEMORY_OUT);
    check(700, MEMORY_ENOUGH);
}

static void without_a_limit_it_is_four_fifths_of_what_there_is(void **state)
{
    (void)state;
    config.limits_memory = 0;
    check(800, MEMORY_ENOUGH);
    check(801, MEMORY_SHORT);
}

static void it_is_out_while_half_of_the_reserve_is_used(void **state)
{
    (void)state;
    used = RESERVE_BYTES / 2 + 1;
    check(10, MEMORY_OUT);
    check(10, MEMORY_OUT);
    used--;      /* what a library keeps of it for ever is no reason */
    check(10, MEMORY_ENOUGH);
}

static void history_that_grows_by_a_thirty_second_of_the_limit_is_looked_at_at_once(void **state)
{
    (void)state;
    check(10, MEMORY_ENOUGH);
    resident = (size_t)801 * MIB;
    memory_grew(&config, (size_t)25 * MIB);
    assert_int_equal(memory_level(), MEMORY_ENOUGH);
    memory_grew(&config, (size_t)25 * MIB + 1);
    assert_int_equal(memory_level(), MEMORY_SHORT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_is_short_above_the_limit_and_enough_again_an_eighth_below_it, enough),
        cmocka_unit_test_setup(it_is_out_an_eighth_above_the_limit, enough),
        cmocka_unit_test_setup(without_a_limit_it_is_four_fifths_of_what_there_is, enough),
        cmocka_unit_test_setup(it_is_out_while_half_of_the_reserve_is_used, enough),
        cmocka_unit_test_setup(history_that_grows_by_a_thirty_second_of_the_limit_is_looked_at_at_once, enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

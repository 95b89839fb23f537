#include "hub/base/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { MIB = 1024 * 1024 };

static void memory_is_that_of_the_machine_or_less(void **state)
{
    (void)state;
    size_t physical = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    assert_in_range(machine_memory(), 16 * MIB, physical);
}

static void memory_that_is_written_to_is_resident(void **state)
{
    (void)state;
    size_t before = machine_resident();
    char *bytes = malloc(64 * MIB);
    assert_non_null(bytes);
    assert_true(before > 0);
    memset(bytes, 1, 64 * MIB);
    assert_true(machine_resident() >= before + 60 * MIB);      /* the kernel counts a few pages late */
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_that_of_the_machine_or_less),
        cmocka_unit_test(memory_that_is_written_to_is_resident),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

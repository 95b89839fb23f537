/* If-None-Match against one tag. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/base/etag.h"

static void a_tag_is_named_alone_in_a_list_weak_or_by_a_star(void **state)
{
    static const char *const named[] = { "\"e.1\"", " \"e.1\" ", "W/\"e.1\"", "\"x\", \"e.1\"", "\"x\",W/\"e.1\",\"y\"", ",\"e.1\"", "*", "\"x\" , *" };
    static const char *const others[] = { "", ",", "e.1", "\"e.1", "e.1\"", "\"e.10\"", "x\"e.1\"", "\"e.1\"x", "w/\"e.1\"", "W/", "W/ \"e.1\"", "\"*\"", "\"x\" \"e.1\"" };
    (void)state;
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        assert_true(etag_is_named(slice_of(named[i]), SLICE("\"e.1\"")));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(etag_is_named(slice_of(others[i]), SLICE("\"e.1\"")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tag_is_named_alone_in_a_list_weak_or_by_a_star),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

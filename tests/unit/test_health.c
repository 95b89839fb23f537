#include "hub/health.h"

#include "hub/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void assert_printed(const char *expected)
{
    struct buf text = { 0 };
    health_print(&text);
    buf_add_char(&text, 0);
    assert_string_equal(text.at, expected);
    buf_fini(&text);
}

static int all_well(void **state)
{
    (void)state;
    for (int part = 0; part < HEALTH_PARTS; part++)
        health_set((enum health_part)part, NULL);
    return 0;
}

static void it_is_ready_when_every_part_is_well(void **state)
{
    (void)state;
    assert_true(health_ready());
    assert_printed("{\"status\":\"ok\",\"checks\":"
                   "{\"hub\":{\"status\":\"ok\"},\"store\":{\"status\":\"ok\"},\"redis\":{\"status\":\"ok\"},\"memory\":{\"status\":\"ok\"},\"tokens\":{\"status\":\"ok\"},\"drain\":{\"status\":\"ok\"}}}");
}

static void one_part_that_is_not_well_makes_it_unavailable_and_tells_why(void **state)
{
    (void)state;
    health_set(HEALTH_STORE, "disk \"a\" is full");
    assert_false(health_ready());
    assert_printed("{\"status\":\"unavailable\",\"checks\":{\"hub\":{\"status\":\"ok\"},\"store\":{\"status\":\"unavailable\","
                   "\"reason\":\"disk \\\"a\\\" is full\"},\"redis\":{\"status\":\"ok\"},\"memory\":{\"status\":\"ok\"},\"tokens\":{\"status\":\"ok\"},\"drain\":{\"status\":\"ok\"}}}");
    health_set(HEALTH_DRAIN, "going away");
    health_set(HEALTH_STORE, NULL);
    assert_false(health_ready());
    health_set(HEALTH_DRAIN, NULL);
    assert_true(health_ready());
}

static void an_empty_reason_is_still_a_reason(void **state)
{
    (void)state;
    health_set(HEALTH_HUB, "");
    assert_false(health_ready());
}

static void a_long_reason_is_cut_between_characters(void **state)
{
    (void)state;
    for (size_t before = 190; before < 203; before++) {
        char reason[300];
        struct buf text = { 0 };
        memset(reason, 'x', before);
        strcpy(reason + before, "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac");      /* three bytes each */
        health_set(HEALTH_STORE, reason);
        health_print(&text);
        buf_add_char(&text, 0);
        char *end = strstr(text.at, "\"},\"redis\"");
        size_t kept = (size_t)(end - strchr(text.at, 'x'));
        size_t whole = before >= 200 ? 200 : before + (200 - before) / 3 * 3;
        assert_int_equal(kept, whole < before + 9 ? whole : before + 9);
        buf_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_ready_when_every_part_is_well, all_well, all_well),
        cmocka_unit_test_setup_teardown(one_part_that_is_not_well_makes_it_unavailable_and_tells_why, all_well, all_well),
        cmocka_unit_test_setup_teardown(an_empty_reason_is_still_a_reason, all_well, all_well),
        cmocka_unit_test_setup_teardown(a_long_reason_is_cut_between_characters, all_well, all_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* With --dev pages of this machine are let in, and nothing that only looks like one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/access/cors.h"
#include "hub/config/config.h"

static void every_port_of_this_machine_is_local(void **state)
{
    static const char *const local[] = { "http://localhost", "http://localhost:5173", "http://127.0.0.1:1", "http://[::1]:65535", "https://localhost:8443" };
    (void)state;
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        assert_true(origin_is_local(slice_of(local[i]), false));
    assert_true(origin_is_local(SLICE("https://localhost:8443"), true));
    assert_false(origin_is_local(SLICE("http://localhost:8443"), true));
}

static void what_looks_like_it_is_not(void **state)
{
    static const char *const foreign[] = {
        "null", "", "*", "localhost", "http://", "http://localhos", "http://localhost.", "http://localhost.evil.net", "http://localhost.evil.net:80", "http://localhostevil.net",
        "http://localhost@evil.net", "http://localhost:80@evil.net", "http://localhost:", "http://localhost:8a", "http://localhost:123456", "http://localhost/",
        "http://evil.net", "http://evil.localhost", "http://127.0.0.1.evil.net", "http://127.0.0.11", "http://127.0.0.2", "http://[::1", "http://[::1].evil.net", "http://[::11]",
        "HTTP://localhost", "http://LOCALHOST", "file://", "ftp://localhost", "http://192.168.0.1:5173",
    };
    (void)state;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (origin_is_local(slice_of(foreign[i]), false))
            fail_msg("%s", foreign[i]);
}

static enum origin_kind judge(bool dev, const char *origin)
{
    struct config config = { .dev = dev };
    struct cors there = cors_judge(cors_port_public(&config), slice_of(origin), SLICE("localhost:8000"), false);
    struct cors api = cors_judge(cors_port_api(&config), slice_of(origin), SLICE("localhost:8000"), false);
    assert_int_equal(there.kind, api.kind);
    return there.kind;
}

static void they_are_let_in_with_dev_only(void **state)
{
    (void)state;
    assert_int_equal(judge(true, "http://localhost:5173"), ORIGIN_LISTED);
    assert_int_equal(judge(false, "http://localhost:5173"), ORIGIN_FOREIGN);
    assert_int_equal(judge(false, "http://localhost:8000"), ORIGIN_OWN);
    assert_int_equal(judge(true, "https://evil.net"), ORIGIN_FOREIGN);
    assert_int_equal(judge(true, "null"), ORIGIN_FOREIGN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_port_of_this_machine_is_local),
        cmocka_unit_test(what_looks_like_it_is_not),
        cmocka_unit_test(they_are_let_in_with_dev_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

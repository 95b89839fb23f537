/* Which pages may connect. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/config/config.h"
#include "transports/origin.h"

static bool allowed(const char *listed, const char *origin, const char *host)
{
    const char *at[] = { listed };
    struct words words = { at, listed ? 1 : 0 };
    return origin_allowed(&words, slice_of(origin), slice_of(host));
}

static void who_sends_no_origin_is_no_browser_and_may(void **state)
{
    (void)state;
    assert_true(allowed(NULL, "", "h"));
}

static void pages_of_the_host_itself_may(void **state)
{
    (void)state;
    assert_true(allowed(NULL, "http://h.example:8000", "h.example:8000"));
    assert_true(allowed(NULL, "https://H.example", "h.EXAMPLE"));
    assert_false(allowed(NULL, "http://h.example:8001", "h.example:8000"));
    assert_false(allowed(NULL, "http://h.example", ""));
    assert_false(allowed(NULL, "null", "null"));
    assert_false(allowed(NULL, "h.example", "h.example"));
}

static void a_listed_origin_is_matched_as_a_whole(void **state)
{
    (void)state;
    assert_true(allowed("https://app.example", "https://app.example", "h"));
    assert_true(allowed("https://app.example:444", "https://APP.example:444", "h"));
    assert_false(allowed("https://app.example", "http://app.example", "h"));
    assert_false(allowed("https://app.example", "https://app.example:444", "h"));
    assert_false(allowed("https://app.example", "https://app.example.evil", "h"));
    assert_false(allowed("https://app.example", "https://xapp.example", "h"));
    assert_true(allowed("*", "null", "h"));
    assert_true(allowed("*", "https://any", "h"));
}

static void a_star_stands_for_subdomains_only(void **state)
{
    (void)state;
    assert_true(allowed("https://*.example.org", "https://a.example.org", "h"));
    assert_true(allowed("https://*.example.org", "https://a.b.example.org", "h"));
    assert_false(allowed("https://*.example.org", "https://example.org", "h"));
    assert_false(allowed("https://*.example.org", "https://.example.org", "h"));
    assert_false(allowed("https://*.example.org", "http://a.example.org", "h"));
    assert_false(allowed("https://*.example.org", "https://aexample.org", "h"));
    assert_false(allowed("https://*.example.org", "https://a.example.org:1", "h"));
    assert_false(allowed("https://*.example.org", "https://evil/.example.org", "h"));
    assert_true(allowed("http://*.example.org:81", "http://a.example.org:81", "h"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_sends_no_origin_is_no_browser_and_may),
        cmocka_unit_test(pages_of_the_host_itself_may),
        cmocka_unit_test(a_listed_origin_is_matched_as_a_whole),
        cmocka_unit_test(a_star_stands_for_subdomains_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

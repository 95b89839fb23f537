/* Whose page asks, and what its browser is told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/access/cors.h"
#include "hub/config/config.h"

static enum origin_kind judge(const char *listed, const char *origin, const char *host)
{
    const char *at[] = { listed };
    struct words words = { at, listed ? 1 : 0 };
    return origin_judge(&words, slice_of(origin), slice_of(host), false);
}

static void without_the_header_nobody_is_foreign(void **state)
{
    struct words none = { 0 };
    (void)state;
    assert_int_equal(origin_judge(&none, slice(NULL, 0), SLICE("h"), false), ORIGIN_NONE);
    assert_int_equal(origin_judge(&none, SLICE(""), SLICE("h"), false), ORIGIN_FOREIGN);
}

static void pages_of_the_host_itself_are_its_own(void **state)
{
    static const struct { const char *origin, *host; enum origin_kind kind; } cases[] = {
        { "http://h.example:8000", "h.example:8000", ORIGIN_OWN },
        { "https://h.example", "h.EXAMPLE", ORIGIN_OWN },
        { "https://h.example", "h.example:443", ORIGIN_OWN },
        { "http://h.example", "h.example:80", ORIGIN_OWN },
        { "http://[::1]:8000", "[::1]:8000", ORIGIN_OWN },
        { "http://h.example", "h.example:443", ORIGIN_FOREIGN },
        { "https://h.example", "h.example:80", ORIGIN_FOREIGN },
        { "http://h.example:8001", "h.example:8000", ORIGIN_FOREIGN },
        { "ftp://h.example", "h.example", ORIGIN_FOREIGN },
        { "http://h.example", "", ORIGIN_FOREIGN },
        { "null", "null", ORIGIN_FOREIGN },
        { "h.example", "h.example", ORIGIN_FOREIGN },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(judge(NULL, cases[i].origin, cases[i].host), cases[i].kind);
}

static void over_tls_a_page_of_the_host_came_by_tls_too(void **state)
{
    struct words none = { 0 };
    (void)state;
    assert_int_equal(origin_judge(&none, SLICE("https://h"), SLICE("h"), true), ORIGIN_OWN);
    assert_int_equal(origin_judge(&none, SLICE("http://h"), SLICE("h"), true), ORIGIN_FOREIGN);
}

static void a_listed_origin_is_matched_as_a_whole(void **state)
{
    static const char *const foreign[] = {
        "http://app.example", "https://app.example:444", "https://app.example:443", "https://app.example.", "https://app.example.evil", "https://xapp.example",
        "https://evil@app.example", "https://app.example@evil", "https://APP.example", "HTTPS://app.example", "https://app.example/", "https://app.example?",
        "https://app.example#", "https://app.example evil", "https://app.example,https://app.example", "https:app.example", "https://app%2eexample",
        "https://app.example:", "https://app.example:+1", "https://", "https://[app.example]", "app.example", "null", "NULL", "*", "",
    };
    (void)state;
    assert_int_equal(judge("https://app.example", "https://app.example", "h"), ORIGIN_LISTED);
    assert_int_equal(judge("https://APP.example", "https://app.example", "h"), ORIGIN_LISTED);
    assert_int_equal(judge("https://app.example:444", "https://app.example:444", "h"), ORIGIN_LISTED);
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        assert_int_equal(judge("https://app.example", foreign[i], "h"), ORIGIN_FOREIGN);
}

static void null_and_any_are_what_they_say(void **state)
{
    (void)state;
    assert_int_equal(judge("null", "null", "h"), ORIGIN_LISTED);
    assert_int_equal(judge("*", "null", "h"), ORIGIN_ANY);
    assert_int_equal(judge("*", "https://any", "h"), ORIGIN_ANY);
    assert_int_equal(judge("*", "https://any\xff", "h"), ORIGIN_FOREIGN);
}

static void a_star_stands_for_subdomains_only(void **state)
{
    static const char *const foreign[] = {
        "https://example.org", "https://.example.org", "http://a.example.org", "https://aexample.org", "https://a.example.org:1", "https://evil/.example.org",
        "https://a.example.org.", "https://a.example.org.evil", "https://evil:1.example.org", "https://evil@.example.org", "https://[::1].example.org",
        "https://..example.org",
    };
    (void)state;
    assert_int_equal(judge("https://*.example.org", "https://a.example.org", "h"), ORIGIN_LISTED);
    assert_int_equal(judge("https://*.example.org", "https://a.b.example.org", "h"), ORIGIN_LISTED);
    assert_int_equal(judge("http://*.example.org:81", "http://a.example.org:81", "h"), ORIGIN_LISTED);
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        assert_int_equal(judge("https://*.example.org", foreign[i], "h"), ORIGIN_FOREIGN);
}

/* ---- cors.h ---- */

static struct cors asked(const char *listed, bool credentials, const char *origin)
{
    static const char *at[1];
    static struct words words;
    at[0] = listed;
    words = (struct words){ at, 1 };
    return cors_judge((struct cors_port){ .origins = &words, .credentials = credentials, .max_age_ms = 600000, .exposed = "Link" },
                      origin ? slice_of(origin) : slice(NULL, 0), SLICE("h"), false);
}

static void expect_lines(void (*add)(struct buf *out, const struct cors *cors), struct cors cors, const char *lines)
{
    struct buf out = { 0 };
    add(&out, &cors);
    buf_add_char(&out, '\0');
    assert_string_equal(out.at, lines);
    buf_fini(&out);
}

static void a_page_that_is_let_in_may_read_the_answer(void **state)
{
    (void)state;
    expect_lines(cors_add, asked("https://a", false, "https://a"), "Access-Control-Allow-Origin: https://a\r\nAccess-Control-Expose-Headers: Link\r\n");
    expect_lines(cors_add, asked("https://a", true, "https://a"),
                 "Access-Control-Allow-Origin: https://a\r\nAccess-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: Link\r\n");
    expect_lines(cors_add, asked("*", false, "https://b"), "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Link\r\n");
    expect_lines(cors_add, asked("*", true, "https://b"), "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Link\r\n");
    expect_lines(cors_add, asked("https://a", true, "https://b"), "");
    expect_lines(cors_add, asked("https://a", true, "http://h"), "");
    expect_lines(cors_add, asked("https://a", true, NULL), "");
}

static void add_preflight(struct buf *out, const struct cors *cors) { cors_add_preflight(out, cors, SLICE("GET"), SLICE("X")); }

static void a_preflight_is_told_methods_headers_and_for_how_long(void **state)
{
    (void)state;
    expect_lines(add_preflight, asked("*", false, "https://b"), "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: GET\r\n"
                 "Access-Control-Allow-Headers: X\r\nAccess-Control-Max-Age: 600\r\n");
    expect_lines(add_preflight, asked("https://a", true, "https://b"), "");
}

static void cookies_count_for_own_pages_and_those_named_in_credentials_mode(void **state)
{
    static const struct { const char *listed; bool credentials; const char *origin, *site; bool counts; } cases[] = {
        { "https://a", false, "http://h", NULL, true },       { "https://a", false, "https://a", NULL, false },
        { "https://a", true, "https://a", "cross-site", true }, { "https://a", true, "https://b", NULL, false },
        { "*", true, "https://b", NULL, false },              { "https://a", false, NULL, NULL, true },
        { "https://a", true, NULL, "cross-site", false },     { "https://a", true, NULL, "same-site", false },
        { "https://a", false, NULL, "same-origin", true },    { "https://a", false, NULL, "none", true },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cors cors = asked(cases[i].listed, cases[i].credentials, cases[i].origin);
        struct slice site = cases[i].site ? slice_of(cases[i].site) : slice(NULL, 0);
        assert_int_equal(cors_cookie_counts(&cors, site), cases[i].counts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_the_header_nobody_is_foreign),
        cmocka_unit_test(pages_of_the_host_itself_are_its_own),
        cmocka_unit_test(over_tls_a_page_of_the_host_came_by_tls_too),
        cmocka_unit_test(a_listed_origin_is_matched_as_a_whole),
        cmocka_unit_test(null_and_any_are_what_they_say),
        cmocka_unit_test(a_star_stands_for_subdomains_only),
        cmocka_unit_test(a_page_that_is_let_in_may_read_the_answer),
        cmocka_unit_test(a_preflight_is_told_methods_headers_and_for_how_long),
        cmocka_unit_test(cookies_count_for_own_pages_and_those_named_in_credentials_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

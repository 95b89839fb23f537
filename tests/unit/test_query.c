#include "hub/base/query.h"

#include "hub/base/duration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void escapes_are_undone_and_plus_is_a_space_in_queries_only(void **state)
{
    (void)state;
    struct buf out = { 0 };
    assert_true(percent_decode(SLICE("a%2Fb%00%c3%A9+"), false, &out));
    assert_true(slice_is(buf_slice(&out), SLICE("a/b\0\xc3\xa9+")));
    buf_reset(&out);
    assert_true(percent_decode(SLICE("a+b%2B%25"), true, &out));
    assert_true(slice_is(buf_slice(&out), SLICE("a b+%")));
    buf_fini(&out);
}

static void broken_escapes_are_told(void **state)
{
    (void)state;
    static const char *const bad[] = { "%", "%2", "a%", "a%4", "%zz", "%4z", "%z4", "%%41", "%u0041" };
    struct buf out = { 0 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (percent_decode(slice_of(bad[i]), false, &out))
            fail_msg("accepted: %s", bad[i]);
    buf_fini(&out);
}

static void what_is_encoded_is_decoded_to_the_same_bytes(void **state)
{
    (void)state;
    struct buf encoded = { 0 }, decoded = { 0 };
    char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    percent_encode(slice(all, 256), &encoded);
    assert_null(memchr(encoded.at, '/', encoded.len));
    assert_null(memchr(encoded.at, '&', encoded.len));
    assert_true(percent_decode(buf_slice(&encoded), true, &decoded));
    assert_true(slice_is(buf_slice(&decoded), slice(all, 256)));
    buf_fini(&encoded);
    buf_fini(&decoded);
}

static void pairs_are_found_by_name(void **state)
{
    (void)state;
    struct buf out = { 0 };
    struct slice query = SLICE("&&a=1&b&c=x=y&a=2&d=%zz&=e");
    assert_int_equal(query_find(query, "a", &out), QUERY_FOUND);
    assert_int_equal(query_find(query, "b", &out), QUERY_FOUND);
    assert_int_equal(query_find(query, "c", &out), QUERY_FOUND);
    assert_true(slice_is(buf_slice(&out), SLICE("1x=y")));
    assert_int_equal(query_find(query, "d", &out), QUERY_BROKEN);
    assert_int_equal(query_find(query, "e", &out), QUERY_ABSENT);
    assert_int_equal(query_find(SLICE(""), "a", &out), QUERY_ABSENT);
    buf_fini(&out);
}

static void durations_have_units_and_bare_numbers_are_seconds(void **state)
{
    (void)state;
    static const struct { const char *text; int64_t ms; } good[] = {
        { "0", 0 }, { "5", 5000 }, { "250ms", 250 }, { "5s", 5000 }, { "10m", 600000 }, { "2h", 7200000 }, { "7d", 604800000 },
    };
    static const char *const bad[] = { "", "s", "-1", "+1", "1.5s", "5 s", "5S", "5y", "ms", "99999999999999999999", "9223372036854775807d", "1s1" };
    int64_t ms;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(duration_parse(slice_of(good[i].text), &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (duration_parse(slice_of(bad[i]), &ms))
            fail_msg("accepted: %s", bad[i]);
}

static void a_cookie_is_found_by_its_whole_name(void **state)
{
    (void)state;
    static const struct { const char *cookies, *value; } cases[] = {
        { "token=a", "a" },          { "x=1; token=a.b.c; y=2", "a.b.c" }, { "xtoken=1; tokens=2; token=3", "3" }, { "token=1; token=2", "1" },
        { "x=1;token=a", "a" },      { "token=a=b", "a=b" },               { "x=token=1", "" },                    { "token", "" },
        { "token=", "" },            { "Token=1", "" },                    { "", "" },                             { ";;; ;token=a;", "a" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!slice_is(cookie_find(slice_of(cases[i].cookies), SLICE("token")), slice_of(cases[i].value)))
            fail_msg("%s", cases[i].cookies);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_are_undone_and_plus_is_a_space_in_queries_only),
        cmocka_unit_test(broken_escapes_are_told),
        cmocka_unit_test(what_is_encoded_is_decoded_to_the_same_bytes),
        cmocka_unit_test(pairs_are_found_by_name),
        cmocka_unit_test(durations_have_units_and_bare_numbers_are_seconds),
        cmocka_unit_test(a_cookie_is_found_by_its_whole_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What `carillon sub` prints of a message object. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "clients/cli/payload.h"
#include "hub/base/err.h"

static void check(const char *data_members, struct slice want)
{
    struct buf object = { 0 }, payload = { 0 };
    buf_addf(&object, "{\"type\":\"message\",\"channel\":\"data\",\"id\":\"e.1\",\"event\":\"encoding\",%s,\"time\":1700000000000}", data_members);
    assert_int_equal(payload_of_message(buf_slice(&object), &payload), 0);
    assert_int_equal(payload.len, want.len);
    if (want.len)
        assert_memory_equal(payload.at, want.at, want.len);
    buf_fini(&object);
    buf_fini(&payload);
}

static void json_keeps_its_bytes(void **state)
{
    (void)state;
    check("\"data\":0.1", SLICE("0.1"));
    check("\"data\":12345678901234567890123", SLICE("12345678901234567890123"));
    check("\"data\":{\"b\":1, \"a\":[ 0.10,\"\\u00e9\" ],\"data\":{}}", SLICE("{\"b\":1, \"a\":[ 0.10,\"\\u00e9\" ],\"data\":{}}"));
    check("\"data\":null", SLICE("null"));
}

static void text_comes_without_quotes_and_escapes(void **state)
{
    (void)state;
    check("\"data\":\"hello\"", SLICE("hello"));
    check("\"data\":\"\"", SLICE(""));
    check("\"data\":\"a\\n\\\"b\\\" \\u003c \\ud83d\\ude00\"", SLICE("a\n\"b\" < \xF0\x9F\x98\x80"));
    check("\"data\":\"nul \\u0000 inside\"", SLICE("nul \0 inside"));
}

static void binary_is_decoded(void **state)
{
    (void)state;
    check("\"encoding\":\"base64\",\"data\":\"AP/+\"", SLICE("\x00\xFF\xFE"));
    check("\"encoding\":\"base64\",\"data\":\"AP8=\"", SLICE("\x00\xFF"));
    check("\"encoding\":\"base64\",\"data\":\"AA==\"", SLICE("\x00"));
    check("\"encoding\":\"base64\",\"data\":\"\"", SLICE(""));
}

static void what_is_no_message_object_is_refused_and_adds_nothing(void **state)
{
    (void)state;
    const char *wrong[] = { "", "x", "[1]", "{}", "{\"x\":{\"data\":1}}", "{\"data\":", "{\"encoding\":\"base64\",\"data\":\"A\"}", "{\"data\":\"\\ud800\"}",
                            "{\"data\":1} {}", "{\"data\":01}" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct buf payload = { 0 };
        assert_int_equal(payload_of_message(slice_of(wrong[i]), &payload), ERR_BAD_JSON);
        assert_int_equal(payload.len, 0);
        buf_fini(&payload);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_keeps_its_bytes),
        cmocka_unit_test(text_comes_without_quotes_and_escapes),
        cmocka_unit_test(binary_is_decoded),
        cmocka_unit_test(what_is_no_message_object_is_refused_and_adds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

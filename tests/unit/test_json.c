#include "hub/base/json.h"

#include "hub/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* A copy that ends where memory ends, so that a sanitizer sees every byte read too far. */
static struct slice exact(const char *bytes, size_t len)
{
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    return slice(copy, len);
}

static int check_bytes(const char *bytes, size_t len)
{
    struct slice text = exact(bytes, len), value;
    int err = json_check(text, &value);
    free((char *)text.at);
    return err;
}

static void everything_rfc_8259_allows_is_accepted(void **state)
{
    (void)state;
    static const char *const good[] = {
        "0", "-0", "0.1", "-1.5e+10", "1E5", "12345678901234567890123", "true", "false", "null", "\"\"", "[]", "{}", " [ ] ", "\t{\n}\r",
        "[1,2,3]", "[[],[[]]]", "{\"a\":1,\"b\":[{}]}", "{\"a\":1,\"a\":2}", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", "\"\\ud83d\\ude00\"",
        "\"\x7f\"", "\"\xc3\xa9\"", "\"\xf0\x9f\x98\x80\"", "{\"\":0}", "[ 1 , 2 ]", "{ \"a\" : 1 , \"b\" : 2 }", "\"\\u0000\"",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (check_bytes(good[i], strlen(good[i])) != 0)
            fail_msg("refused: %s", good[i]);
}

static void everything_else_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", " ", "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x10", "NaN", "Infinity", "tru", "truex", "nul", "True", "'a'", "\"", "\"a", "\"\\\"",
        "\"\\x41\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\ud800\\ud800\"", "\"a\nb\"", "\"a\tb\"",
        "[", "]", "[1", "[1 2]", "[1,]", "[,1]", "[1,,2]", "[1}", "{", "}", "{\"a\"}", "{\"a\":}", "{\"a\" 1}", "{a:1}", "{1:2}", "{\"a\":1,}",
        "{,}", "{\"a\":1 \"b\":2}", "{\"a\":1]", "1 2", "{} {}", "[]x", "\"a\" \"b\"", "/* */ 1", "1 // x", "{\"a\":1}\f",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (check_bytes(bad[i], strlen(bad[i])) != ERR_BAD_JSON)
            fail_msg("accepted: %s", bad[i]);
    assert_int_equal(check_bytes("\"a\0b\"", 5), ERR_BAD_JSON);
    assert_int_equal(check_bytes("1\0", 2), ERR_BAD_JSON);
}

/* Strings are read eight bytes at a time: what ends them, or may not be in them, is found wherever it stands. */
static void every_byte_counts_at_every_place_of_a_string(void **state)
{
    (void)state;
    char text[42];
    for (size_t len = 2; len <= sizeof text; len++)
        for (size_t place = 1; place + 1 < len; place++)
            for (int byte = 0; byte < 256; byte++) {
                memset(text, 'a', len);
                text[0] = text[len - 1] = '"';
                text[place] = (char)byte;
                int wanted = byte >= 0x80 ? ERR_BAD_UTF8 : byte < 0x20 || byte == '"' || byte == '\\' ? ERR_BAD_JSON : 0;
                if (check_bytes(text, len) != wanted)
                    fail_msg("%d at %zu of %zu", byte, place, len);
            }
}

static void broken_utf8_is_told_apart_from_broken_json(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\"\x80\"", "\"\xc0\xaf\"", "\"\xc3\"", "\"\xe0\x9f\x80\"", "\"\xed\xa0\x80\"", "\"\xf0\x8f\xbf\xbf\"", "\"\xf4\x90\x80\x80\"",
        "\"\xf5\x80\x80\x80\"", "\"\xff\"", "\"\xe2\x82\"", "\"aaaaaaaaaaaaaaaaaaaaaaa\xc3\"",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (check_bytes(bad[i], strlen(bad[i])) != ERR_BAD_UTF8)
            fail_msg("accepted: case %zu", i);
}

static unsigned decode_slowly(const unsigned char *s, size_t left, size_t *ret_len)
{
    static const unsigned least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t len = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    unsigned c = len == 1 ? s[0] : s[0] & (0xffu >> (len + 1));
    *ret_len = 0;
    if (len == 0 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if (s[i] >> 6 != 2)
            return 0;
        c = c << 6 | (s[i] & 63u);
    }
    if (c < least[len] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
        return 0;
    *ret_len = len;
    return c;
}

static void utf8_agrees_with_a_slow_decoder_on_random_bytes(void **state)
{
    (void)state;
    static const unsigned char often[] = { 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5 };
    unsigned seed = 7;
    for (int round = 0; round < 300000; round++) {
        unsigned char bytes[24];
        size_t len = (size_t)(rand_r(&seed) % 24), i = 0, step = 1;
        for (size_t k = 0; k < len; k++)
            bytes[k] = rand_r(&seed) % 3 ? 'a' : often[(unsigned)rand_r(&seed) % sizeof often];
        while (i < len && step > 0) {
            decode_slowly(bytes + i, len - i, &step);
            i += step;
        }
        bool valid = step > 0 || len == 0;
        assert_int_equal(utf8_valid(slice((const char *)bytes, len)), valid);
    }
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    char text[2 * JSON_DEPTH_MAX + 2];
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_int_equal(check_bytes(text, sizeof text), ERR_BAD_JSON);
    assert_int_equal(check_bytes(text + 1, sizeof text - 2), 0);
    size_t many = 1000000;
    char *open = malloc(many);
    memset(open, '[', many);
    assert_int_equal(check_bytes(open, many), ERR_BAD_JSON);
    free(open);
}

static void the_value_comes_back_without_the_space_around_it(void **state)
{
    (void)state;
    struct slice value;
    assert_int_equal(json_check(SLICE(" \n 0.10\t"), &value), 0);
    assert_true(slice_is(value, SLICE("0.10")));
}

static void members_are_slices_of_the_bytes_as_sent(void **state)
{
    (void)state;
    struct json_object object;
    struct slice text = SLICE(" { \"data\" : {\"b\" : 0.10, \"a\":12345678901234567890} ,\"event\":\"x\\n\" , \"s\": \"{\\\"data\\\":1}\" } ");
    assert_int_equal(json_object_parse(text, &object), 0);
    assert_int_equal(object.n, 3);
    assert_true(slice_is(json_member_find(&object, "data"), SLICE("{\"b\" : 0.10, \"a\":12345678901234567890}")));
    assert_true(slice_is(json_member_find(&object, "event"), SLICE("\"x\\n\"")));
    assert_null(json_member_find(&object, "b").at);
    assert_null(json_member_find(&object, "dat").at);
    assert_int_equal(json_object_parse(SLICE("{}"), &object), 0);
    assert_int_equal(object.n, 0);
}

static void of_a_member_that_is_there_twice_the_last_counts(void **state)
{
    (void)state;
    struct json_object object;
    assert_int_equal(json_object_parse(SLICE("{\"data\":1,\"data\":2}"), &object), 0);
    assert_true(slice_is(json_member_find(&object, "data"), SLICE("2")));
}

static void what_is_no_object_or_too_large_a_one_is_a_bad_request_and_broken_text_bad_json(void **state)
{
    (void)state;
    struct json_object object;
    struct buf text = { 0 };
    assert_int_equal(json_object_parse(SLICE("[1]"), &object), ERR_BAD_REQUEST);
    assert_int_equal(json_object_parse(SLICE(" 1 "), &object), ERR_BAD_REQUEST);
    assert_int_equal(json_object_parse(SLICE(""), &object), ERR_BAD_JSON);
    assert_int_equal(json_object_parse(SLICE("[1"), &object), ERR_BAD_JSON);
    assert_int_equal(json_object_parse(SLICE("{\"a\":1"), &object), ERR_BAD_JSON);
    assert_int_equal(json_object_parse(SLICE("{\"a\":1}}"), &object), ERR_BAD_JSON);
    assert_int_equal(json_object_parse(SLICE("{\"a\":\"\xff\"}"), &object), ERR_BAD_UTF8);
    for (int i = 0; i <= JSON_MEMBERS_MAX; i++)
        buf_addf(&text, "%s\"m%d\":0", i ? "," : "{", i);
    assert_int_equal(json_object_parse(buf_slice(&text), &object), ERR_BAD_JSON);
    buf_add_char(&text, '}');
    assert_int_equal(json_object_parse(buf_slice(&text), &object), ERR_BAD_REQUEST);
    buf_fini(&text);
}

static void a_string_loses_its_quotes_and_escapes(void **state)
{
    (void)state;
    struct buf out = { 0 };
    assert_int_equal(json_unquote(SLICE("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\ud83d\\ude00z\""), &out), 0);
    assert_true(slice_is(buf_slice(&out), SLICE("a\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z")));
    buf_reset(&out);
    assert_int_equal(json_unquote(SLICE("\"\""), &out), 0);
    assert_int_equal(out.len, 0);
    assert_int_equal(json_unquote(SLICE("1"), &out), ERR_BAD_FIELD);
    assert_int_equal(json_unquote(SLICE("[\"a\"]"), &out), ERR_BAD_FIELD);
    assert_int_equal(json_unquote(slice(NULL, 0), &out), ERR_BAD_FIELD);
    buf_fini(&out);
}

static int collect(void *arg, struct slice value)
{
    buf_add_slice(arg, value);
    buf_add_char(arg, '|');
    return slice_is(value, SLICE("stop")) || slice_is(value, SLICE("false")) ? ERR_BAD_CHANNEL : 0;
}

static void an_array_is_walked_one_level(void **state)
{
    (void)state;
    struct buf out = { 0 };
    assert_int_equal(json_array_each(SLICE("[ \"a\" ,[1,2], {\"x\":[3]} ]"), collect, &out), 0);
    assert_true(slice_is(buf_slice(&out), SLICE("\"a\"|[1,2]|{\"x\":[3]}|")));
    buf_reset(&out);
    assert_int_equal(json_array_each(SLICE("[1,false,2]"), collect, &out), ERR_BAD_CHANNEL);
    assert_true(slice_is(buf_slice(&out), SLICE("1|false|")));
    assert_int_equal(json_array_each(SLICE("[]"), collect, &out), 0);
    assert_int_equal(json_array_each(SLICE("{}"), collect, &out), ERR_BAD_FIELD);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_rfc_8259_allows_is_accepted),
        cmocka_unit_test(everything_else_is_refused),
        cmocka_unit_test(every_byte_counts_at_every_place_of_a_string),
        cmocka_unit_test(broken_utf8_is_told_apart_from_broken_json),
        cmocka_unit_test(utf8_agrees_with_a_slow_decoder_on_random_bytes),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(the_value_comes_back_without_the_space_around_it),
        cmocka_unit_test(members_are_slices_of_the_bytes_as_sent),
        cmocka_unit_test(of_a_member_that_is_there_twice_the_last_counts),
        cmocka_unit_test(what_is_no_object_or_too_large_a_one_is_a_bad_request_and_broken_text_bad_json),
        cmocka_unit_test(a_string_loses_its_quotes_and_escapes),
        cmocka_unit_test(an_array_is_walked_one_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

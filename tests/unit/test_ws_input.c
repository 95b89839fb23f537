/* Pieces and fragments of WebSocket messages become whole, bounded, checked texts. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/base/err.h"
#include "transports/protocol/ws_input.h"

#include <stdlib.h>

enum { MOST = 1000 };

static int add(struct ws_input *input, struct slice bytes, size_t remaining, bool last, struct slice *ret_text)
{
    struct ws_piece piece = { .bytes = bytes, .remaining = remaining, .last = last };
    return ws_input_add(input, &piece, MOST, ret_text);
}

static void a_message_in_one_piece_is_not_copied(void **state)
{
    (void)state;
    struct ws_input input = { 0 };
    struct slice in = SLICE("{\"type\":\"ping\"}"), text;
    assert_int_equal(add(&input, in, 0, true, &text), 1);
    assert_ptr_equal(text.at, in.at);
    assert_null(input.message);
    assert_int_equal(add(&input, SLICE(""), 0, true, &text), 1);
    assert_int_equal(text.len, 0);
}

static void pieces_are_put_together_and_their_memory_is_given_back(void **state)
{
    (void)state;
    struct ws_input input = { 0 };
    struct slice text;
    assert_int_equal(add(&input, SLICE("one "), 4, false, &text), 0);
    assert_int_equal(add(&input, SLICE("two "), 0, false, &text), 0);
    assert_int_equal(add(&input, SLICE(""), 0, false, &text), 0);
    assert_int_equal(add(&input, SLICE("three"), 0, true, &text), 1);
    assert_true(slice_is(text, SLICE("one two three")));
    ws_input_done(&input);
    assert_null(input.message);
}

static void a_character_may_be_cut_by_pieces_but_not_by_the_end(void **state)
{
    (void)state;
    struct ws_input input = { 0 };
    struct slice text;
    assert_int_equal(add(&input, SLICE("\xe2\x82"), 1, false, &text), 0);
    assert_int_equal(add(&input, SLICE("\xac"), 0, true, &text), 1);
    assert_true(slice_is(text, SLICE("\xe2\x82\xac")));
    ws_input_done(&input);
    assert_int_equal(add(&input, SLICE("\xe2\x82"), 0, true, &text), ERR_BAD_UTF8);
    assert_int_equal(add(&input, SLICE("ok \xc0\xaf"), 0, true, &text), ERR_BAD_UTF8);
}

static void exactly_the_limit_passes_and_one_byte_more_does_not(void **state)
{
    (void)state;
    struct ws_input input = { 0 };
    struct slice text;
    char *bytes = malloc(MOST + 1);
    memset(bytes, 'x', MOST + 1);
    assert_int_equal(add(&input, slice(bytes, MOST), 0, true, &text), 1);
    assert_int_equal(add(&input, slice(bytes, MOST + 1), 0, true, &text), ERR_FRAME_TOO_LARGE);
    assert_int_equal(add(&input, slice(bytes, MOST - 1), 0, false, &text), 0);
    assert_int_equal(add(&input, slice(bytes, 2), 0, true, &text), ERR_FRAME_TOO_LARGE);
    assert_int_equal(add(&input, slice(bytes, 1), 0, true, &text), 1);
    assert_int_equal(text.len, MOST);
    ws_input_done(&input);
    free(bytes);
}

static void a_frame_that_announces_too_much_is_refused_at_its_first_piece(void **state)
{
    (void)state;
    struct ws_input input = { 0 };
    struct slice text;
    assert_int_equal(add(&input, SLICE("x"), MOST, false, &text), ERR_FRAME_TOO_LARGE);
    assert_int_equal(add(&input, SLICE("x"), SIZE_MAX, false, &text), ERR_FRAME_TOO_LARGE);
    assert_null(input.message);
}

static void binary_is_refused(void **state)
{
    (void)state;
    struct ws_input input = { 0 };
    struct slice text;
    struct ws_piece piece = { .bytes = SLICE("x"), .last = true, .binary = true };
    assert_int_equal(ws_input_add(&input, &piece, MOST, &text), ERR_BINARY_FRAME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_in_one_piece_is_not_copied),
        cmocka_unit_test(pieces_are_put_together_and_their_memory_is_given_back),
        cmocka_unit_test(a_character_may_be_cut_by_pieces_but_not_by_the_end),
        cmocka_unit_test(exactly_the_limit_passes_and_one_byte_more_does_not),
        cmocka_unit_test(a_frame_that_announces_too_much_is_refused_at_its_first_piece),
        cmocka_unit_test(binary_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What somebody else wrote does nothing to a terminal but be read (clients/cli/terminal.h). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "clients/cli/terminal.h"

static void check(struct slice text, const char *want)
{
    struct buf out = { 0 };
    terminal_add(&out, text);
    buf_add_char(&out, '\0');
    assert_string_equal(out.at, want);
    buf_fini(&out);
}

static void what_is_to_be_read_stays_as_it_is(void **state)
{
    (void)state;
    check(SLICE(""), "");
    check(SLICE("plain, \xC3\xA9, \xE2\x82\xAC, \xF0\x9F\x98\x80\tand\nlines"), "plain, \xC3\xA9, \xE2\x82\xAC, \xF0\x9F\x98\x80\tand\nlines");
    check(SLICE("\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D \xC2\xA0"), "\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D \xC2\xA0");
}

static void control_characters_are_shown_as_escapes(void **state)
{
    (void)state;
    check(SLICE("\x1b[2J\x1b]0;title\a"), "\\u001b[2J\\u001b]0;title\\u0007");
    check(SLICE("over\rwritten\b\x7f"), "over\\u000dwritten\\u0008\\u007f");
    check(slice("nul\0nul", 7), "nul\\u0000nul");
    check(SLICE("\xC2\x9B" "31m \xC2\x80\xC2\x9F"), "\\u009b31m \\u0080\\u009f");        /* CSI as one character of Latin-1 */
}

static void characters_that_turn_the_direction_are_shown_as_escapes(void **state)
{
    (void)state;
    check(SLICE("a\xE2\x80\xAE" "b\xE2\x81\xA6" "c\xE2\x80\xA8" "d\xD8\x9C"), "a\\u202eb\\u2066c\\u2028d\\u061c");
}

static void bytes_that_are_no_utf_8_are_shown_one_by_one(void **state)
{
    (void)state;
    check(SLICE("\x9b" "31m\xff\xfe"), "\\x9b31m\\xff\\xfe");       /* CSI of an 8-bit terminal */
    check(SLICE("\xC3"), "\\xc3");
    check(SLICE("\xC0\x9B \xE2\x82 \xF4\x90\x80\x80 \xED\xA0\x80"), "\\xc0\\x9b \\xe2\\x82 \\xf4\\x90\\x80\\x80 \\xed\\xa0\\x80");
}

static void no_color_and_dumb_terminals_count_only_where_nothing_else_was_said(void **state)
{
    (void)state;
    assert_true(terminal_has_colours(-1, COLOUR_ALWAYS));
    assert_false(terminal_has_colours(-1, COLOUR_NEVER));
    assert_false(terminal_has_colours(-1, COLOUR_AUTO));      /* no terminal */
    setenv("NO_COLOR", "1", 1);
    assert_true(terminal_has_colours(-1, COLOUR_ALWAYS));
}

static void a_name_always_has_the_same_colour(void **state)
{
    (void)state;
    assert_string_equal(terminal_colour_of(SLICE("news")), terminal_colour_of(SLICE("news")));
    size_t different = 0;
    for (char c = 'a'; c < 'q'; c++)
        different += strcmp(terminal_colour_of(slice(&c, 1)), terminal_colour_of(SLICE("news"))) != 0;
    assert_true(different > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_to_be_read_stays_as_it_is),
        cmocka_unit_test(control_characters_are_shown_as_escapes),
        cmocka_unit_test(characters_that_turn_the_direction_are_shown_as_escapes),
        cmocka_unit_test(bytes_that_are_no_utf_8_are_shown_one_by_one),
        cmocka_unit_test(no_color_and_dumb_terminals_count_only_where_nothing_else_was_said),
        cmocka_unit_test(a_name_always_has_the_same_colour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

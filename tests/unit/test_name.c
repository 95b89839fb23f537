#include "hub/base/name.h"

#include "hub/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static void a_channel_name_is_printable_ascii_without_four_bytes(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char name[3] = { 'a', (char)c, 'b' };
        bool allowed = c > 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '*';
        assert_int_equal(channel_name_check(slice(name, 3)), allowed ? 0 : ERR_BAD_CHANNEL);
    }
}

static void a_channel_name_has_1_to_200_bytes(void **state)
{
    (void)state;
    char name[CHANNEL_NAME_MAX + 1];
    memset(name, 'x', sizeof name);
    assert_int_equal(channel_name_check(slice(name, 0)), ERR_BAD_CHANNEL);
    assert_int_equal(channel_name_check(slice(name, 1)), 0);
    assert_int_equal(channel_name_check(slice(name, CHANNEL_NAME_MAX)), 0);
    assert_int_equal(channel_name_check(slice(name, CHANNEL_NAME_MAX + 1)), ERR_BAD_CHANNEL);
    assert_int_equal(channel_name_check(SLICE("..")), 0);
    assert_int_equal(channel_name_check(SLICE("hub.ready")), 0);
}

static void an_event_name_cannot_be_the_hubs_nor_break_a_line(void **state)
{
    (void)state;
    char name[EVENT_NAME_MAX + 1];
    memset(name, 'x', sizeof name);
    assert_int_equal(event_name_check(SLICE("price.update:v1_2-3")), 0);
    assert_int_equal(event_name_check(SLICE("hub")), 0);
    assert_int_equal(event_name_check(SLICE("hubs.x")), 0);
    assert_int_equal(event_name_check(slice(name, EVENT_NAME_MAX)), 0);
    assert_int_equal(event_name_check(slice(name, EVENT_NAME_MAX + 1)), ERR_BAD_EVENT);
    assert_int_equal(event_name_check(SLICE("")), ERR_BAD_EVENT);
    assert_int_equal(event_name_check(SLICE("hub.ready")), ERR_BAD_EVENT);
    assert_int_equal(event_name_check(SLICE("hub.")), ERR_BAD_EVENT);
    for (const char *bad = "\n\r \t\"\\/<>*,;\x7f\xc3"; *bad; bad++) {
        char text[3] = { 'a', *bad, 'b' };
        assert_int_equal(event_name_check(slice(text, 3)), ERR_BAD_EVENT);
    }
    assert_int_equal(event_name_check(slice("a\0b", 3)), ERR_BAD_EVENT);
}

static void a_client_id_has_the_letters_of_an_event_and_may_begin_as_it_likes(void **state)
{
    (void)state;
    assert_int_equal(client_id_check(SLICE("hub.x")), 0);
    assert_int_equal(client_id_check(SLICE("")), ERR_BAD_CLIENT);
    assert_int_equal(client_id_check(SLICE("a b")), ERR_BAD_CLIENT);
}

static void stars_stand_for_whole_segments_and_two_of_them_only_at_the_end(void **state)
{
    (void)state;
    static const char *const good[] = { "a", "*", "**", "a.*", "*.a", "a.*.b", "a.**", "*.**", "a..*", "a.b" };
    static const char *const bad[] = { "", "a*", "*a", "a.b*", "***", "**.a", "a.**.b", "a b", "a\"", "a.**.", "**.**" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (pattern_check(slice_of(good[i])) != 0)
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (pattern_check(slice_of(bad[i])) != ERR_BAD_CHANNEL)
            fail_msg("accepted: %s", bad[i]);
}

static void a_pattern_matches_what_it_says(void **state)
{
    (void)state;
    static const struct { const char *pattern, *name; bool matches; } cases[] = {
        { "orders.*", "orders.eu", true },      { "orders.*", "orders.eu.42", false }, { "orders.*", "orders", false },
        { "orders.**", "orders.eu", true },     { "orders.**", "orders.eu.42", true }, { "orders.**", "orders", false },
        { "orders.**", "ordersx.eu", false },   { "**", "a", true },                   { "**", "a.b.c", true },
        { "*", "a", true },                     { "*", "a.b", false },                 { "a.*.c", "a.b.c", true },
        { "a.*.c", "a.b.d", false },            { "a", "a", true },                    { "a", "a.b", false },
        { "a.b", "a", false },                  { "*.b", "a.b", true },                { "a.*", "a.", true },
        { "a", "b", false },                    { "a.b", "aab", false },               { "*.**", "a", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (pattern_matches(slice_of(cases[i].pattern), slice_of(cases[i].name)) != cases[i].matches)
            fail_msg("%s and %s", cases[i].pattern, cases[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_channel_name_is_printable_ascii_without_four_bytes),
        cmocka_unit_test(a_channel_name_has_1_to_200_bytes),
        cmocka_unit_test(an_event_name_cannot_be_the_hubs_nor_break_a_line),
        cmocka_unit_test(a_client_id_has_the_letters_of_an_event_and_may_begin_as_it_likes),
        cmocka_unit_test(stars_stand_for_whole_segments_and_two_of_them_only_at_the_end),
        cmocka_unit_test(a_pattern_matches_what_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

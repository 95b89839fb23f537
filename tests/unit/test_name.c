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
    static const struct { const char *pattern; int err; } bad[] = {
        { "", ERR_BAD_CHANNEL },            { "a b", ERR_BAD_CHANNEL },          { "a\"", ERR_BAD_CHANNEL },        { "a*. ", ERR_BAD_CHANNEL },
        { "a*", ERR_STAR_IN_SEGMENT },      { "*a", ERR_STAR_IN_SEGMENT },       { "a.b*", ERR_STAR_IN_SEGMENT },   { "***", ERR_STAR_IN_SEGMENT },
        { "**.a", ERR_STARS_INSIDE },       { "a.**.b", ERR_STARS_INSIDE },      { "a.**.", ERR_STARS_INSIDE },     { "**.**", ERR_STARS_INSIDE },
        { "a*.**.b", ERR_STAR_IN_SEGMENT }, { "**.a*", ERR_STARS_INSIDE },
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (pattern_check(slice_of(good[i])) != 0)
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (pattern_check(slice_of(bad[i].pattern)) != bad[i].err)
            fail_msg("%s: %s", bad[i].pattern, err_code(pattern_check(slice_of(bad[i].pattern))));
    assert_int_equal(channel_name_check(SLICE("a.*")), ERR_BAD_CHANNEL);
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

static void a_pattern_covers_another_when_nothing_of_it_is_left_out(void **state)
{
    (void)state;
    static const struct { const char *granted, *wanted; bool covers; } cases[] = {
        { "chat.*", "chat.*", true },    { "chat.**", "chat.*", true },   { "chat.**", "chat.**", true }, { "chat.*", "chat.**", false },
        { "chat.*", "**", false },       { "**", "**", true },            { "**", "chat.*.x", true },     { "*", "**", false },
        { "*", "*", true },              { "chat.a", "chat.*", false },   { "chat.*", "chat.a", true },   { "*.a", "chat.*", false },
        { "*.*", "chat.*", true },       { "*.*", "chat.**", false },     { "*.**", "chat.**", true },    { "*.**", "**", false },
        { "chat.**", "chat", false },    { "chat.**", "**", false },      { "chat", "chat", true },       { "chat", "chat.a", false },
        { "a.*.c", "a.*.c", true },      { "a.*.c", "a.**", false },      { "a.**", "a.*.c", true },      { "chat.*", "chat.*.x", false },
        { "a.*", "a.", true },           { "a.**", "a..**", true },       { "chat.**", "chatter.*", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (pattern_covers(slice_of(cases[i].granted), slice_of(cases[i].wanted)) != cases[i].covers)
            fail_msg("%s and %s", cases[i].granted, cases[i].wanted);
}

/* Against the definition: all patterns of up to three segments of {a, b, *, **}, and all names of up to four of {a, b, c}. */
static size_t all_texts(const char *const *segments, size_t n, int most, bool patterns, char (*texts)[32], size_t max)
{
    size_t count = 0, begin = 0;
    for (int length = 1; length <= most; length++) {
        size_t end = count;
        for (size_t i = begin; length == 1 ? i == 0 : i < end; i++)
            for (size_t s = 0; s < n && count < max; s++) {
                snprintf(texts[count], 32, length == 1 ? "%.0s%s" : "%s.%s", length == 1 ? "" : texts[i], segments[s]);
                count += !patterns || pattern_check(slice_of(texts[count])) == 0;
            }
        begin = end;
    }
    return count;
}

static void covering_is_what_matching_says(void **state)
{
    static const char *const pieces[] = { "a", "b", "*", "**" }, *const letters[] = { "a", "b", "c" };
    static char patterns[100][32], names[200][32];
    (void)state;
    size_t n_patterns = all_texts(pieces, 4, 3, true, patterns, 100), n_names = all_texts(letters, 3, 4, false, names, 200);
    assert_int_equal(n_patterns, 4 + 3 * 4 + 9 * 4);
    assert_int_equal(n_names, 3 + 9 + 27 + 81);
    for (size_t p = 0; p < n_patterns; p++)
        for (size_t w = 0; w < n_patterns; w++) {
            bool covers = true;
            for (size_t i = 0; i < n_names; i++)
                covers = covers && (!pattern_matches(slice_of(patterns[w]), slice_of(names[i])) || pattern_matches(slice_of(patterns[p]), slice_of(names[i])));
            if (covers != pattern_covers(slice_of(patterns[p]), slice_of(patterns[w])))
                fail_msg("%s and %s: %s", patterns[p], patterns[w], covers ? "covers" : "does not cover");
        }
}

static void patterns_overlap_iff_one_name_matches_both(void **state)
{
    static const char *const patterns[] = { "a", "*", "**", "a.b", "a.*", "*.b", "a.**", "*.**", "a.b.**", "*.*", "b.*", "a.*.c", "", ".a" };
    static const char *const names[] = { "a", "b", "a.b", "b.a", "b.b", "a.c", "a.b.c", "a.c.c", "a.b.d", "b.b.c", "a.b.c.d", "c.d.e", "c.", ".a" };
    enum { PATTERNS = sizeof patterns / sizeof patterns[0], NAMES = sizeof names / sizeof names[0] };
    (void)state;
    for (size_t i = 1; i < PATTERNS * PATTERNS; i++) {
        struct slice a = slice_of(patterns[i / PATTERNS]), b = slice_of(patterns[i % PATTERNS]);
        bool both = false;
        for (size_t n = 0; a.len && b.len && n < NAMES; n++)
            both |= pattern_matches(a, slice_of(names[n])) && pattern_matches(b, slice_of(names[n]));
        if (a.len && b.len && pattern_overlaps(a, b) != both)
            fail_msg("%s and %s: %d", a.at, b.at, !both);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_overlap_iff_one_name_matches_both),
        cmocka_unit_test(a_channel_name_is_printable_ascii_without_four_bytes),
        cmocka_unit_test(a_channel_name_has_1_to_200_bytes),
        cmocka_unit_test(an_event_name_cannot_be_the_hubs_nor_break_a_line),
        cmocka_unit_test(a_client_id_has_the_letters_of_an_event_and_may_begin_as_it_likes),
        cmocka_unit_test(stars_stand_for_whole_segments_and_two_of_them_only_at_the_end),
        cmocka_unit_test(a_pattern_matches_what_it_says),
        cmocka_unit_test(a_pattern_covers_another_when_nothing_of_it_is_left_out),
        cmocka_unit_test(covering_is_what_matching_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

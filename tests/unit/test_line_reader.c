/* Lines out of pieces: the same lines however the bytes are cut, and never more kept than a line may have. */
#include "hub/base/line_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

/* All lines of `text`, fed in pieces of `step`, as "a|b|" with ! for one that is too long. */
static void split(const char *text, size_t step, size_t max, char *out, size_t size)
{
    struct line_reader lines = { 0 };
    struct slice line;
    size_t len = strlen(text), n = 0;
    enum line_found what;
    for (size_t at = 0; at < len; at += step) {
        struct slice piece = slice(text + at, len - at < step ? len - at : step);
        while ((what = line_reader_next(&lines, &piece, max, &line)) != LINE_NONE) {
            n += (size_t)(what == LINE_WHOLE ? snprintf(out + n, size - n, "%.*s|", (int)line.len, line.at) : snprintf(out + n, size - n, "!|"));
            assert_true(lines.kept.len <= max);
        }
        assert_int_equal(piece.len, 0);
    }
    if (line_reader_last(&lines, &line) == LINE_WHOLE)
        n += (size_t)snprintf(out + n, size - n, "%.*s|", (int)line.len, line.at);
    assert_int_equal(line_reader_last(&lines, &line), LINE_NONE);
    line_reader_fini(&lines);
    out[n] = '\0';
}

static void lines_are_the_same_however_the_bytes_are_cut(void **state)
{
    static const struct { const char *text, *lines; } cases[] = {
        { "", "" }, { "a", "a|" }, { "a\n", "a|" }, { "\n", "|" }, { "\n\n", "||" }, { "a\n\nb", "a||b|" }, { "a\r\nb\r\n", "a\r|b\r|" },
        { "12345678\n", "12345678|" }, { "12345678", "12345678|" }, { "123456789\n", "!|" }, { "123456789", "!|" },
        { "123456789abcdefghijklmnop\nb\n", "!|b|" }, { "a\n123456789\n\nb", "a|!||b|" }, { "123456789\n123456789\nc", "!|!|c|" },
    };
    char out[256];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step <= 32; step++) {
            split(cases[i].text, step, 8, out, sizeof out);
            assert_string_equal(out, cases[i].lines);
        }
}

static void a_line_that_is_whole_in_its_piece_is_not_copied(void **state)
{
    struct line_reader lines = { 0 };
    const char text[] = "one\ntwo\n";
    struct slice piece = slice(text, 8), line;
    (void)state;
    assert_int_equal(line_reader_next(&lines, &piece, 100, &line), LINE_WHOLE);
    assert_ptr_equal(line.at, text);
    assert_int_equal(line_reader_next(&lines, &piece, 100, &line), LINE_WHOLE);
    assert_ptr_equal(line.at, text + 4);
    assert_int_equal(lines.kept.cap, 0);
    line_reader_fini(&lines);
}

static void memory_of_a_long_line_is_given_back(void **state)
{
    static char text[100000];
    struct line_reader lines = { 0 };
    struct slice piece = slice(text, sizeof text), line;
    (void)state;
    memset(text, 'x', sizeof text);
    assert_int_equal(line_reader_next(&lines, &piece, sizeof text, &line), LINE_NONE);
    piece = SLICE("\ny");
    assert_int_equal(line_reader_next(&lines, &piece, sizeof text, &line), LINE_WHOLE);
    assert_int_equal(line.len, sizeof text);
    assert_int_equal(line_reader_next(&lines, &piece, sizeof text, &line), LINE_NONE);
    assert_true(lines.kept.cap < sizeof text);
    line_reader_fini(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_the_same_however_the_bytes_are_cut),
        cmocka_unit_test(a_line_that_is_whole_in_its_piece_is_not_copied),
        cmocka_unit_test(memory_of_a_long_line_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

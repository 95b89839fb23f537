/* The SSE parser of the command line client against the standard's own words (WHATWG HTML §9.2.6). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "clients/cli/sse_parser.h"
#include "hub/base/err.h"

enum { ROOMY = 1 << 20 };

struct heard {
    struct buf text;        /* "type|data|id;" for each event */
    int        stop_with;   /* what the callback returns */
};

static int on_event(void *arg, const struct sse_event *event)
{
    struct heard *heard = arg;
    buf_add_slice(&heard->text, event->type);
    buf_add_char(&heard->text, '|');
    buf_add_slice(&heard->text, event->data);
    buf_add_char(&heard->text, '|');
    buf_add_slice(&heard->text, event->id);
    buf_add_char(&heard->text, ';');
    return heard->stop_with;
}

static void assert_slice(struct slice got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.at, want, got.len);
}

/* The stream in pieces of `piece` bytes gives the events and leaves the last id. */
static void check_pieces(struct slice stream, size_t piece, const char *events, const char *last_id)
{
    struct heard heard = { 0 };
    struct sse_parser parser;
    sse_parser_init(&parser, ROOMY, on_event, &heard);
    for (size_t at = 0; at < stream.len; at += piece)
        assert_int_equal(sse_parser_feed(&parser, stream.at + at, stream.len - at < piece ? stream.len - at : piece), 0);
    assert_slice(buf_slice(&heard.text), events);
    assert_slice(buf_slice(&parser.last_id), last_id);
    sse_parser_fini(&parser);
    buf_fini(&heard.text);
}

static void check(struct slice stream, const char *events, const char *last_id)
{
    for (size_t piece = 1; piece <= stream.len; piece++)
        check_pieces(stream, piece, events, last_id);
}

static void a_block_becomes_an_event_with_type_data_and_id(void **state)
{
    (void)state;
    check(SLICE("id: e.1\nevent: headline\ndata: hello\n\n"), "headline|hello|e.1;", "e.1");
    check(SLICE("data: hello\n\ndata: again\n\n"), "message|hello|;message|again|;", "");
}

static void lines_end_with_lf_cr_or_crlf_also_when_cut_between_them(void **state)
{
    (void)state;
    check(SLICE("data: a\r\ndata: b\r\n\r\ndata: c\r\rdata: d\n\n"), "message|a\nb|;message|c|;message|d|;", "");
    check(SLICE("data: a\r\n\rdata: b\n\r\n"), "message|a|;message|b|;", "");
}

static void several_data_lines_are_joined_by_lf_and_the_last_one_adds_none(void **state)
{
    (void)state;
    check(SLICE("data: YHOO\ndata: +2\ndata: 10\n\n"), "message|YHOO\n+2\n10|;", "");
    check(SLICE("data\ndata\n\n"), "message|\n|;", "");
}

static void an_empty_data_line_fires_an_empty_event(void **state)
{
    (void)state;
    check(SLICE("data\n\n"), "message||;", "");
    check(SLICE("data:\n\n"), "message||;", "");
}

static void one_space_after_the_colon_is_skipped_and_no_more(void **state)
{
    (void)state;
    check(SLICE("data:test\n\ndata: test\n\ndata:  test\n\n"), "message|test|;message|test|;message| test|;", "");
    check(SLICE("data: a:b: c\n\n"), "message|a:b: c|;", "");
}

static void a_block_without_data_fires_nothing_but_its_id_counts(void **state)
{
    (void)state;
    check(SLICE("id: e.7\n\n"), "", "e.7");
    check(SLICE("id: e.7\nevent: lost\n\ndata: x\n\n"), "message|x|e.7;", "e.7");
}

static void an_id_stays_until_another_comes_and_an_empty_one_clears_it(void **state)
{
    (void)state;
    check(SLICE("data: 1\nid: e.1\n\ndata: 2\n\ndata: 3\nid\n\n"), "message|1|e.1;message|2|e.1;message|3|;", "");
}

static void an_id_with_nul_is_ignored(void **state)
{
    (void)state;
    check(SLICE("id: e.1\ndata: a\n\nid: e\0.2\ndata: b\n\n"), "message|a|e.1;message|b|e.1;", "e.1");
}

static void a_block_that_was_cut_counts_for_nothing(void **state)
{
    (void)state;
    check(SLICE("id: e.1\ndata: a\n\nid: e.2\ndata: b\n"), "message|a|e.1;", "e.1");
    check(SLICE("id: e.1\ndata: a\n\nid: e.2"), "message|a|e.1;", "e.1");
}

static void comments_and_unknown_fields_are_nothing(void **state)
{
    (void)state;
    check(SLICE(": heartbeat\n\n:\nfoo: bar\nDATA: x\ndata : y\ndata: z\n\n"), "message|z|;", "");
}

static void a_byte_order_mark_is_skipped_at_the_beginning_only(void **state)
{
    (void)state;
    check(SLICE("\xEF\xBB\xBF" "data: a\n\n"), "message|a|;", "");
    check(SLICE("data: a\n\n\xEF\xBB\xBF" "data: b\n\n"), "message|a|;", "");
    check(SLICE("\xEF\xBB\xBF\xEF\xBB\xBF" "data: a\n\n"), "", "");
}

static void retry_takes_digits_and_nothing_else(void **state)
{
    (void)state;
    struct heard heard = { 0 };
    struct sse_parser parser;
    struct { struct slice line; int64_t want; } steps[] = {
        { SLICE(": nothing yet\n"), -1 }, { SLICE("retry: 1500\n"), 1500 }, { SLICE("retry: 1.5\n"), 1500 }, { SLICE("retry: -2\n"), 1500 },
        { SLICE("retry:\n"), 1500 }, { SLICE("retry: 99999999999999999999999\n"), 1500 }, { SLICE("retry:0\n"), 0 },
    };
    sse_parser_init(&parser, ROOMY, on_event, &heard);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(sse_parser_feed(&parser, steps[i].line.at, steps[i].line.len), 0);
        assert_int_equal(parser.retry_ms, steps[i].want);
    }
    sse_parser_fini(&parser);
}

static void a_new_connection_keeps_the_last_id_and_forgets_the_block_that_was_cut(void **state)
{
    (void)state;
    struct heard heard = { 0 };
    struct sse_parser parser;
    struct slice cut = SLICE("retry: 5\nid: e.1\ndata: a\n\nid: e.2\nevent: x\ndata: lost\nda"), next = SLICE("\xEF\xBB\xBF" "data: b\n\n");
    sse_parser_init(&parser, ROOMY, on_event, &heard);
    assert_int_equal(sse_parser_feed(&parser, cut.at, cut.len), 0);
    sse_parser_restart(&parser);
    assert_int_equal(sse_parser_feed(&parser, next.at, next.len), 0);
    assert_slice(buf_slice(&heard.text), "message|a|e.1;message|b|e.1;");
    assert_int_equal(parser.retry_ms, 5);
    sse_parser_fini(&parser);
    buf_fini(&heard.text);
}

static void the_callback_can_stop_the_stream(void **state)
{
    (void)state;
    struct heard heard = { .stop_with = 42 };
    struct sse_parser parser;
    struct slice two = SLICE("data: a\nid: 1\n\ndata: b\nid: 2\n\n");
    sse_parser_init(&parser, ROOMY, on_event, &heard);
    assert_int_equal(sse_parser_feed(&parser, two.at, two.len), 42);
    assert_slice(buf_slice(&heard.text), "message|a|1;");
    assert_slice(buf_slice(&parser.last_id), "1");
    sse_parser_fini(&parser);
    buf_fini(&heard.text);
}

static void a_line_or_a_block_over_the_limit_is_refused(void **state)
{
    (void)state;
    struct heard heard = { 0 };
    struct sse_parser parser;
    char sixteen[16];
    memset(sixteen, 'x', sizeof sixteen);

    sse_parser_init(&parser, 64, on_event, &heard);
    for (int i = 0; i < 4; i++)
        assert_int_equal(sse_parser_feed(&parser, sixteen, sizeof sixteen), 0);
    assert_int_equal(sse_parser_feed(&parser, sixteen, 1), ERR_MESSAGE_TOO_LARGE);
    sse_parser_fini(&parser);

    sse_parser_init(&parser, 8, on_event, &heard);
    assert_int_equal(sse_parser_feed(&parser, "data:abc\n", 9), 0);
    assert_int_equal(sse_parser_feed(&parser, "data:abcd\n", 10), ERR_MESSAGE_TOO_LARGE);
    sse_parser_fini(&parser);
    assert_int_equal(heard.text.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_becomes_an_event_with_type_data_and_id),
        cmocka_unit_test(lines_end_with_lf_cr_or_crlf_also_when_cut_between_them),
        cmocka_unit_test(several_data_lines_are_joined_by_lf_and_the_last_one_adds_none),
        cmocka_unit_test(an_empty_data_line_fires_an_empty_event),
        cmocka_unit_test(one_space_after_the_colon_is_skipped_and_no_more),
        cmocka_unit_test(a_block_without_data_fires_nothing_but_its_id_counts),
        cmocka_unit_test(an_id_stays_until_another_comes_and_an_empty_one_clears_it),
        cmocka_unit_test(an_id_with_nul_is_ignored),
        cmocka_unit_test(a_block_that_was_cut_counts_for_nothing),
        cmocka_unit_test(comments_and_unknown_fields_are_nothing),
        cmocka_unit_test(a_byte_order_mark_is_skipped_at_the_beginning_only),
        cmocka_unit_test(retry_takes_digits_and_nothing_else),
        cmocka_unit_test(a_new_connection_keeps_the_last_id_and_forgets_the_block_that_was_cut),
        cmocka_unit_test(the_callback_can_stop_the_stream),
        cmocka_unit_test(a_line_or_a_block_over_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Where the messages of `carillon pub` come from, and how they become lines of NDJSON (clients/cli/source.h, item.h). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

#include "clients/cli/item.h"
#include "clients/cli/source.h"
#include "hub/base/err.h"

static void check_text(struct buf *out, const char *want)
{
    assert_int_equal(out->len, strlen(want));
    assert_memory_equal(out->at, want, out->len);
    buf_fini(out);
}

static void check_payload(struct item_terms terms, struct slice payload, const char *want)
{
    struct buf out = { 0 };
    assert_int_equal(item_add_payload(&out, &terms, payload, 7), 0);
    check_text(&out, want);
}

static void check_object(struct item_terms terms, const char *object, const char *want)
{
    struct buf out = { 0 };
    bool many;
    assert_int_equal(item_add_object(&out, &terms, slice_of(object), 7, &many), 0);
    check_text(&out, want);
}

static void a_payload_is_text_or_bytes_or_json(void **state)
{
    struct buf out = { 0 };
    (void)state;
    check_payload((struct item_terms){ .channel = "a" }, SLICE("h\"i\n\xC3\xA9"), "{\"channel\":\"a\",\"encoding\":\"text\",\"data\":\"h\\\"i\\n\xC3\xA9\"}\n");
    check_payload((struct item_terms){ .channel = "a" }, SLICE("\xff\x00"), "{\"channel\":\"a\",\"encoding\":\"base64\",\"data\":\"/wA=\"}\n");
    check_payload((struct item_terms){ .channel = "a", .kind = ITEM_JSON }, SLICE(" {\"x\":\n0.10}\n"), "{\"channel\":\"a\",\"data\":{\"x\": 0.10}}\n");
    check_payload((struct item_terms){ .channel = "a" }, SLICE(""), "{\"channel\":\"a\",\"encoding\":\"text\",\"data\":\"\"}\n");
    assert_int_equal(item_add_payload(&out, &(struct item_terms){ .kind = ITEM_JSON }, SLICE("{} {}"), 1), ERR_BAD_JSON);
    assert_int_equal(item_add_payload(&out, &(struct item_terms){ .kind = ITEM_TEXT }, SLICE("\xff"), 1), ERR_BAD_UTF8);
    assert_int_equal(out.len, 0);
}

static void the_command_line_says_where_and_how(void **state)
{
    (void)state;
    check_payload((struct item_terms){ .channel = "o.*", .event = "e", .exclude = "c", .ttl = "5s", .key = "k\"" }, SLICE("x"),
                  "{\"pattern\":\"o.*\",\"event\":\"e\",\"exclude\":\"c\",\"ttl\":\"5s\",\"idempotency_key\":\"k\\\"-7\",\"encoding\":\"text\",\"data\":\"x\"}\n");
    check_payload((struct item_terms){ .user = "ann" }, SLICE("x"), "{\"user\":\"ann\",\"encoding\":\"text\",\"data\":\"x\"}\n");
}

static void an_item_has_the_last_word(void **state)
{
    const struct item_terms terms = { .channel = "a", .event = "e", .key = "k" };
    (void)state;
    check_object(terms, " { \"data\" : 1}\r", "{\"channel\":\"a\",\"event\":\"e\",\"idempotency_key\":\"k-7\", \"data\" : 1}\r\n");
    check_object(terms, "{\"channel\":\"b\",\"event\":\"own\",\"data\":1}", "{\"event\":\"e\",\"idempotency_key\":\"k-7\",\"channel\":\"b\",\"event\":\"own\",\"data\":1}\n");
    check_object(terms, "{\"user\":\"u\",\"data\":1}", "{\"event\":\"e\",\"idempotency_key\":\"k-7\",\"user\":\"u\",\"data\":1}\n");
    check_object(terms, "{\"pattern\":\"p.*\",\"data\":1}", "{\"event\":\"e\",\"idempotency_key\":\"k-7\",\"pattern\":\"p.*\",\"data\":1}\n");
    check_object((struct item_terms){ 0 }, "{\"channel\":\"b\",\"data\":1}", "{\"channel\":\"b\",\"data\":1}\n");
}

static void only_channels_have_several_results(void **state)
{
    struct buf out = { 0 };
    bool many = false;
    (void)state;
    assert_int_equal(item_add_object(&out, &(struct item_terms){ 0 }, SLICE("{\"channels\":[\"a\",\"b\"],\"data\":1}"), 1, &many), 0);
    assert_true(many);
    assert_int_equal(item_add_object(&out, &(struct item_terms){ 0 }, SLICE("{\"pattern\":\"a.*\",\"data\":1}"), 1, &many), 0);
    assert_false(many);
    buf_fini(&out);
}

static void what_is_no_object_goes_as_it_is(void **state)
{
    const struct item_terms terms = { .channel = "a", .key = "k" };
    (void)state;
    check_object(terms, "broken", "broken\n");
    check_object(terms, "[1]", "[1]\n");
    check_object(terms, "{}", "{}\n");
    check_object(terms, "{\"data\":1} x", "{\"data\":1} x\n");
}

/* ---- sources ---- */

static void say(int fd, const char *text) { assert_int_equal(write(fd, text, strlen(text)), strlen(text)); }

static void expect_item(struct source *source, const char *want, uint64_t number)
{
    struct slice item;
    assert_int_equal(source_next(source, &item), SOURCE_ITEM);
    assert_int_equal(item.len, strlen(want));
    assert_memory_equal(item.at, want, item.len);
    assert_int_equal(source->number, number);
}

static void lines_come_as_they_are_written_and_reading_never_waits(void **state)
{
    struct source source;
    struct slice item;
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    source_lines(&source, ends[0], false);
    assert_int_equal(source_next(&source, &item), SOURCE_WAIT);
    assert_true(source_wants_input(&source));
    say(ends[1], "one\n\ntw");
    expect_item(&source, "one", 1);
    expect_item(&source, "", 2);
    assert_int_equal(source_next(&source, &item), SOURCE_WAIT);
    say(ends[1], "o\r\nlast");
    expect_item(&source, "two\r", 3);
    assert_int_equal(source_next(&source, &item), SOURCE_WAIT);
    close(ends[1]);
    expect_item(&source, "last", 4);
    assert_int_equal(source_next(&source, &item), SOURCE_END);
    assert_false(source_wants_input(&source));
    source_fini(&source);
    close(ends[0]);
}

static void blank_lines_are_counted_but_are_no_items(void **state)
{
    struct source source;
    struct slice item;
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    source_lines(&source, ends[0], true);
    say(ends[1], "\n \t\r\n{}\n\n[]");
    close(ends[1]);
    expect_item(&source, "{}", 3);
    expect_item(&source, "[]", 5);
    assert_int_equal(source_next(&source, &item), SOURCE_END);
    source_fini(&source);
    close(ends[0]);
}

static void a_source_that_is_stopped_has_nothing_more(void **state)
{
    struct source source;
    struct slice item;
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    source_lines(&source, ends[0], false);
    say(ends[1], "one\ntwo\nhalf");
    expect_item(&source, "one", 1);
    source_stop(&source);
    assert_int_equal(source_next(&source, &item), SOURCE_END);
    source_fini(&source);
    close(ends[0]);
    close(ends[1]);
    source_repeat(&source, SLICE("x"), 3);
    expect_item(&source, "x", 1);
    expect_item(&source, "x", 2);
    source_stop(&source);
    assert_int_equal(source_next(&source, &item), SOURCE_END);
}

static void what_is_repeated_has_an_end_or_none(void **state)
{
    struct source source;
    struct slice item;
    (void)state;
    source_repeat(&source, SLICE("x"), 2);
    expect_item(&source, "x", 1);
    expect_item(&source, "x", 2);
    assert_int_equal(source_next(&source, &item), SOURCE_END);
    source_repeat(&source, SLICE("x"), 0);
    for (uint64_t i = 1; i < 100; i++)
        expect_item(&source, "x", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_payload_is_text_or_bytes_or_json),
        cmocka_unit_test(the_command_line_says_where_and_how),
        cmocka_unit_test(an_item_has_the_last_word),
        cmocka_unit_test(only_channels_have_several_results),
        cmocka_unit_test(what_is_no_object_goes_as_it_is),
        cmocka_unit_test(lines_come_as_they_are_written_and_reading_never_waits),
        cmocka_unit_test(blank_lines_are_counted_but_are_no_items),
        cmocka_unit_test(a_source_that_is_stopped_has_nothing_more),
        cmocka_unit_test(what_is_repeated_has_an_end_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

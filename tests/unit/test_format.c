/* How `carillon sub` writes messages (clients/cli/format.h, pretty.h). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "clients/cli/format.h"
#include "clients/cli/pretty.h"
#include "hub/base/err.h"

#define MESSAGE(members) "{\"type\":\"message\",\"channel\":\"news\",\"id\":\"k3q7x2ab.7\"," members ",\"time\":1700000000123}"
#define JOINED "{\"type\":\"member-joined\",\"channel\":\"room\",\"user\":\"ann\",\"info\":{\"n\":1}}"

static struct format parsed(const char *text)
{
    struct format format;
    struct buf wrong = { 0 };
    if (format_parse(text, &format, &wrong))
        fail_msg("%s: %.*s", text, (int)wrong.len, wrong.at);
    return format;
}

static void check_out(struct format format, const char *object, struct slice want)
{
    struct buf out = { 0 };
    assert_int_equal(format_add(&format, slice_of(object), 1600000000000, &out), 0);
    if (!slice_is(buf_slice(&out), want))
        fail_msg("\"%.*s\" and not \"%.*s\"", (int)out.len, buf_slice(&out).at, (int)want.len, want.at);
    buf_fini(&out);
    format_fini(&format);
}

static void check(const char *template, const char *object, struct slice want) { check_out(parsed(template), object, want); }

static void check_wrong(const char *template, const char *why)
{
    struct format format;
    struct buf wrong = { 0 };
    assert_int_equal(format_parse(template, &format, &wrong), ERR_BAD_FIELD);
    buf_add_char(&wrong, '\0');
    if (!strstr(wrong.at, why))
        fail_msg("%s: \"%s\" says nothing of \"%s\"", template, wrong.at, why);
    buf_fini(&wrong);
}

static void a_template_has_fields_and_everything_else_as_it_is(void **state)
{
    (void)state;
    check("{channel}={data}", MESSAGE("\"data\":\"hello\""), SLICE("news=hello"));
    check("{time} {ms} {id} [{event}] {size}\\n", MESSAGE("\"event\":\"e.1\",\"data\":{\"a\" : 0.10}"),
          SLICE("2023-11-14T22:13:20.123Z 1700000000123 k3q7x2ab.7 [e.1] 12\n"));
    check("{event}{user}|", MESSAGE("\"data\":1"), SLICE("|"));
    check("%s } {json}", MESSAGE("\"data\":\n[1,\n2]"), SLICE("%s } " MESSAGE("\"data\": [1, 2]")));
    check("{clock}\\n", MESSAGE("\"data\":1"), SLICE("22:13:20\n"));
}

static void a_template_ends_lines_where_it_says_so_and_has_escapes(void **state)
{
    (void)state;
    check("\\t\\r\\n\\\\\\{x\\}\\x41\\xfF{data}\\0", MESSAGE("\"data\":\"a\\nb\""), SLICE("\t\r\n\\{x}A\xff" "a\nb\0"));
    check("\\0", MESSAGE("\"data\":1"), SLICE("\0"));
}

static void what_is_wrong_with_a_template_is_said(void **state)
{
    (void)state;
    check_wrong("{chanel}", "did you mean {channel}?");
    check_wrong("{}", "there is no {}");
    check_wrong("{zzzzzzzzzzzz}", "--help");
    check_wrong("a {data", "has no }");
    check_wrong("\\q", "\\q is no escape");
    check_wrong("\\x4", "no escape");
    check_wrong("\\", "no escape");
    check_wrong("jsn", "neither");
    check_wrong("", "neither");
    char many[FORMAT_PIECES * 6 + 32] = "";
    for (int i = 0; i <= FORMAT_PIECES; i++)
        strcat(many, "{id}");
    check_wrong(many, "at most");
}

static void presets_are_the_payload_the_object_or_a_line_for_people(void **state)
{
    (void)state;
    check("data", MESSAGE("\"data\":\"hello\""), SLICE("hello\n"));
    check("data", MESSAGE("\"encoding\":\"base64\",\"data\":\"AP8B\""), SLICE("\0\xff\x01\n"));
    check("json", MESSAGE("\"data\":{\n}"), SLICE(MESSAGE("\"data\":{ }") "\n"));
    check("ndjson", MESSAGE("\"data\":{\n}"), SLICE(MESSAGE("\"data\":{ }") "\n"));
    check("text", MESSAGE("\"data\":\"hello\""), SLICE("22:13:20 news hello\n"));
    check("text", MESSAGE("\"event\":\"tick\",\"data\":[1, 2]"), SLICE("22:13:20 news [tick] [1, 2]\n"));
}

static void no_payload_can_pass_for_a_line_of_its_own_in_text(void **state)
{
    (void)state;
    check("text", MESSAGE("\"data\":\"a\\n22:13:21 bank pay\\n\""), SLICE("22:13:20 news a\n         22:13:21 bank pay\n         \n"));
}

static void members_come_and_go_as_events_of_the_hub(void **state)
{
    (void)state;
    check("{event} {channel} {user} {data}\\n", JOINED, SLICE("member-joined room ann {\"n\":1}\n"));
    check("data", JOINED, SLICE(JOINED "\n"));
    check("json", JOINED, SLICE(JOINED "\n"));
    check("text", JOINED, SLICE("12:26:40 room [member-joined] ann {\"n\":1}\n"));
}

static void a_terminal_gets_escapes_and_a_pipe_every_byte(void **state)
{
    (void)state;
    struct format format = parsed("{data}|\\x1b[m");
    format.terminal = true;
    check_out(format, MESSAGE("\"data\":\"\\u001b[31m\\u009b\\n\""), SLICE("\\u001b[31m\\u009b\n|\x1b[m"));
    format = parsed("json");
    format.terminal = true;
    check_out(format, MESSAGE("\"data\":\"\xE2\x80\xAE\x7f\""), SLICE(MESSAGE("\"data\":\"\\u202e\\u007f\"") "\n"));
    format = parsed("text");
    format.terminal = true;
    check_out(format, "{\"type\":\"message\",\"channel\":\"n\\u001bw\",\"id\":\"k3q7x2ab.7\",\"event\":\"\\u0007\",\"data\":\"\\r\",\"time\":1700000000123}",
              SLICE("22:13:20 n\\u001bw [\\u0007] \\u000d\n"));
    check("{data}", MESSAGE("\"data\":\"\\u001b[31m\""), SLICE("\x1b[31m"));
}

static void colours_are_around_what_is_not_data(void **state)
{
    (void)state;
    struct format format = parsed("text");
    struct buf out = { 0 };
    format.colours = format.terminal = true;
    assert_int_equal(format_add(&format, SLICE(MESSAGE("\"event\":\"tick\",\"data\":\"hello\"")), 0, &out), 0);
    buf_add_char(&out, '\0');
    assert_non_null(strstr(out.at, "\x1b[2m22:13:20\x1b[0m \x1b["));
    assert_non_null(strstr(out.at, "mnews\x1b[0m [\x1b[1mtick\x1b[0m] hello\n"));
    buf_fini(&out);
}

static void pretty_json_keeps_its_tokens(void **state)
{
    static const struct { struct slice json, want; } cases[] = {
        { SLICE("{\"a\":[1,{\"b\" : \"x,{\\\"}\"}],\"c\":{ },\"d\":[\n]}"),
          SLICE("{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x,{\\\"}\"\n    }\n  ],\n  \"c\": {},\n  \"d\": []\n}") },
        { SLICE(" 0.10 "), SLICE("0.10") },
        { SLICE("\"\\\\\""), SLICE("\"\\\\\"") },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = { 0 };
        pretty_add(&out, cases[i].json);
        assert_int_equal(out.len, cases[i].want.len);
        assert_memory_equal(out.at, cases[i].want.at, out.len);
        buf_fini(&out);
    }
    struct format format = parsed("data");
    format.pretty = true;
    check_out(format, MESSAGE("\"data\":[1]"), SLICE("[\n  1\n]\n"));
    format = parsed("data");
    format.pretty = true;
    check_out(format, MESSAGE("\"data\":\"[1]\""), SLICE("[1]\n"));       /* a text is none */
}

static void what_is_no_message_adds_nothing(void **state)
{
    static const char *const bad[] = { "", "[]", "{\"type\":\"message\"}", "{\"data\":", MESSAGE("\"encoding\":\"base64\",\"data\":\"A\"") };
    struct format format = parsed("text");
    struct buf out = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(format_add(&format, slice_of(bad[i]), 0, &out), ERR_BAD_JSON);
        assert_int_equal(out.len, 0);
    }
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_template_has_fields_and_everything_else_as_it_is),
        cmocka_unit_test(a_template_ends_lines_where_it_says_so_and_has_escapes),
        cmocka_unit_test(what_is_wrong_with_a_template_is_said),
        cmocka_unit_test(presets_are_the_payload_the_object_or_a_line_for_people),
        cmocka_unit_test(no_payload_can_pass_for_a_line_of_its_own_in_text),
        cmocka_unit_test(members_come_and_go_as_events_of_the_hub),
        cmocka_unit_test(a_terminal_gets_escapes_and_a_pipe_every_byte),
        cmocka_unit_test(colours_are_around_what_is_not_data),
        cmocka_unit_test(pretty_json_keeps_its_tokens),
        cmocka_unit_test(what_is_no_message_adds_nothing),
    };
    setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

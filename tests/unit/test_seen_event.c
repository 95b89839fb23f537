/* What a stream tells, made into the event that a webhook is about (clients/cli/seen_event.h): the body must be the one that the hub
 * itself would send, byte for byte. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "clients/cli/seen_event.h"
#include "hub/base/err.h"
#include "hub/envelope.h"
#include "hub/event_body.h"
#include "hub/position.h"

enum { EPOCH = 0x123456789a, NOW = 1700000000123 };

static void same(struct buf *a, struct buf *b)
{
    buf_add_char(a, '\0');
    buf_add_char(b, '\0');
    assert_false(a->failed || b->failed);
    assert_string_equal(a->at, b->at);
    buf_fini(a);
    buf_fini(b);
}

static void the_body_of_a_message_is_the_hubs_own(void **state)
{
    static const struct { const char *event; enum msg_kind kind; struct slice data; } messages[] = {
        { "tick", MSG_JSON, { "{\"price\" : 0.10, \"a\":\"\\u00e9\\/\"}", 32 } },
        { "", MSG_JSON, { "[1,\n2]", 6 } },
        { "", MSG_JSON, { "\"text\"", 6 } },
        { "a.b:c_d-e", MSG_TEXT, { "two\nlines \"<b>\" \x01 \xc3\xa9", 22 } },
        { "", MSG_TEXT, { "", 0 } },
        { "raw", MSG_BINARY, { "\x00\x1b\xff\xfe", 4 } },
        { "", MSG_BINARY, { "", 0 } },
    };
    (void)state;
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        const struct msg_parts parts = { .channel = SLICE("orders.eu<1>"), .event = slice_of(messages[i].event), .data = messages[i].data, .kind = messages[i].kind };
        struct msg *m = msg_new(&parts);
        struct seen_event seen;
        struct seen_ids ids = { 0 };
        struct buf object = { 0 }, expected = { 0 }, body = { 0 };
        m->epoch = EPOCH;
        m->seq = 42 + i;
        m->time_ms = NOW;
        envelope_add(&object, m, SLICE("message"), i % 2);
        event_body_add(&expected, EVENT_MESSAGE_PUBLISHED, m);
        assert_int_equal(seen_event_read(buf_slice(&object), 5, &ids, &seen), 0);
        assert_int_equal(seen.type, EVENT_MESSAGE_PUBLISHED);
        event_body_add(&body, seen.type, seen.msg);
        same(&body, &expected);
        assert_int_equal(ids.last, 0);
        seen_event_fini(&seen);
        msg_unref(m);
        buf_fini(&object);
    }
}

static void members_have_ids_of_this_run_and_the_hubs_words(void **state)
{
    static const char *const objects[] = {
        "{\"type\":\"member-joined\",\"channel\":\"room\",\"user\":\"an\\\"n\",\"info\":{\"n\" : 1}}",
        "{\"type\":\"member-left\",\"channel\":\"room\",\"user\":\"an\\\"n\",\"info\":null}",
    };
    static const char *const types[] = { "member.joined", "member.left" }, *const infos[] = { "{\"n\" : 1}", "null" };
    struct seen_ids ids = { 0 };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct seen_event seen;
        struct buf body = { 0 }, expected = { 0 };
        char position[POSITION_TEXT];
        assert_int_equal(seen_event_read(slice_of(objects[i]), NOW, &ids, &seen), 0);
        assert_int_equal(ids.last, i + 1);
        position_print(position, (struct position){ ids.epoch, ids.last });
        position[8] = '_';
        event_body_add(&body, seen.type, seen.msg);
        buf_addf(&expected, "{\"id\":\"evt_%s\",\"type\":\"%s\",\"event\":\"%s\",\"timestamp\":\"2023-11-14T22:13:20.123Z\",\"channel\":\"room\","
                 "\"data\":{\"user\":\"an\\\"n\",\"info\":%s}}", position, types[i], types[i], infos[i]);
        same(&body, &expected);
        seen_event_fini(&seen);
    }
}

static void what_no_hub_says_is_refused(void **state)
{
    static const char *const objects[] = {
        "", "[]", "{}", "{\"type\":\"message\"}", "{\"type\":\"gap\",\"channel\":\"a\",\"id\":\"aaaaaaab.1\",\"data\":1}",
        "{\"type\":\"message\",\"channel\":\"a\",\"data\":1}", "{\"type\":\"message\",\"channel\":\"a\",\"id\":\"aaaaaaab.1\"}",
        "{\"type\":\"message\",\"channel\":\"a b\",\"id\":\"aaaaaaab.1\",\"data\":1}", "{\"type\":\"message\",\"channel\":\"a\",\"id\":\"none\",\"data\":1}",
        "{\"type\":\"message\",\"channel\":\"a\",\"id\":\"aaaaaaab.1\",\"event\":\"a\\\"b\",\"data\":1}",
        "{\"type\":\"message\",\"channel\":\"a\",\"id\":\"aaaaaaab.1\",\"encoding\":\"base64\",\"data\":\"?\"}",
        "{\"type\":\"message\",\"channel\":\"a\",\"id\":\"aaaaaaab.1\",\"data\":1,\"time\":-1}",
        "{\"type\":\"member-joined\",\"channel\":\"a\"}", "{\"type\":\"member-joined\",\"user\":\"ann\"}",
    };
    struct seen_ids ids = { 0 };
    struct seen_event seen;
    (void)state;
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        assert_int_equal(seen_event_read(slice_of(objects[i]), NOW, &ids, &seen), ERR_BAD_JSON);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_body_of_a_message_is_the_hubs_own),
        cmocka_unit_test(members_have_ids_of_this_run_and_the_hubs_words),
        cmocka_unit_test(what_no_hub_says_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

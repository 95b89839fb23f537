#include "hub/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static char *envelope(enum msg_kind kind, struct slice event, struct slice data, struct slice type, bool replay)
{
    struct buf out = { 0 };
    struct msg *m = msg_new(&(struct msg_parts){ .channel = SLICE("news"), .event = event, .client = SLICE("c1"), .kind = kind, .data = data });
    m->epoch = 1;
    m->seq = 7;
    m->time_ms = 1700000000000;
    envelope_add(&out, m, type, replay);
    msg_unref(m);
    return buf_take(&out);
}

static void the_message_object_has_its_members_in_order(void **state)
{
    (void)state;
    char *text = envelope(MSG_JSON, SLICE("tick"), SLICE("{\"price\": 0.10}"), SLICE("message"), true);
    assert_string_equal(text, "{\"type\":\"message\",\"replay\":true,\"channel\":\"news\",\"id\":\"aaaaaaab.7\",\"event\":\"tick\","
                              "\"data\":{\"price\": 0.10},\"time\":1700000000000}");
    free(text);
    text = envelope(MSG_TEXT, SLICE(""), SLICE("a\"b\n"), SLICE("message"), false);
    assert_string_equal(text, "{\"type\":\"message\",\"channel\":\"news\",\"id\":\"aaaaaaab.7\",\"data\":\"a\\\"b\\n\",\"time\":1700000000000}");
    free(text);
    text = envelope(MSG_BINARY, SLICE("e"), SLICE("\xff\x00\x01\x02"), SLICE(""), false);
    assert_string_equal(text, "{\"channel\":\"news\",\"id\":\"aaaaaaab.7\",\"event\":\"e\",\"encoding\":\"base64\",\"data\":\"/wABAg==\","
                              "\"time\":1700000000000}");
    free(text);
    text = envelope(MSG_TEXT, SLICE(""), SLICE(""), SLICE(""), false);
    assert_string_equal(text, "{\"channel\":\"news\",\"id\":\"aaaaaaab.7\",\"data\":\"\",\"time\":1700000000000}");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_message_object_has_its_members_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

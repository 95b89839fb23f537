/* From the bytes of a request to what a stream is asked for. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/base/err.h"
#include "transports/request/head.h"
#include "transports/request/http_head.h"
#include "transports/request/stream_request.h"

#include <stdio.h>
#include <stdlib.h>

struct asked {
    struct http_head      http;
    struct head           head;
    struct stream_request request;
};

static struct asked ask(const char *target, const char *headers)
{
    struct asked asked = { 0 };
    struct buf text = { 0 };
    size_t used;
    buf_addf(&text, "GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n", target, headers);
    assert_int_equal(http_head_feed(&asked.http, buf_slice(&text), 64 * 1024, &used), HTTP_HEAD_DONE);
    buf_fini(&text);
    assert_int_equal(head_read(&asked.http, &asked.head), 0);
    assert_int_equal(stream_request_init(&asked.request, &asked.head, SLICE("peer")), 0);
    return asked;
}

static void done(struct asked *asked)
{
    stream_request_fini(&asked->request);
    http_head_fini(&asked->http);
}

static void expect_channel(const char *encoded, struct slice wanted)
{
    char target[512];
    snprintf(target, sizeof target, "/sse?channel=%s", encoded);
    struct asked asked = ask(target, "");
    assert_int_equal(asked.request.n_channels, 1);
    assert_int_equal(asked.request.channels[0].len, wanted.len);
    assert_memory_equal(asked.request.channels[0].at, wanted.at, wanted.len);
    done(&asked);
}

static void values_are_decoded_byte_by_byte(void **state)
{
    (void)state;
    expect_channel("news", SLICE("news"));
    expect_channel("a%2Fb%26c%3Dd%2B", SLICE("a/b&c=d+"));
    expect_channel("a+b", SLICE("a b"));
    expect_channel("%00", SLICE("\0"));
    expect_channel("%e2%82%AC", SLICE("\xe2\x82\xac"));
    expect_channel("a;b/../c?d", SLICE("a;b/../c?d"));
    expect_channel("a=b", SLICE("a=b"));
    expect_channel("", SLICE(""));
}

static void a_percent_sign_without_two_digits_stays_as_it_is(void **state)
{
    (void)state;
    expect_channel("100%", SLICE("100%"));
    expect_channel("a%2", SLICE("a%2"));
    expect_channel("a%zz%20", SLICE("a%zz%20"));
}

static void the_same_name_twice_counts_once_and_order_stays(void **state)
{
    (void)state;
    struct asked asked = ask("/sse?channel=b&channel=a&x=1&channel=%62&channel=&channel=a&channel=c&&channel=", "");
    static const char *const wanted[] = { "b", "a", "", "c" };
    assert_int_equal(asked.request.n_channels, 4);
    for (size_t i = 0; i < 4; i++)
        assert_true(slice_is(asked.request.channels[i], slice_of(wanted[i])));
    done(&asked);
}

static void thousands_of_names_are_all_there(void **state)
{
    (void)state;
    struct buf target = { 0 };
    buf_add_str(&target, "/sse?x");
    for (int i = 0; i < 3000; i++)
        buf_addf(&target, "&channel=c%%%02x%d", 'a' + i % 2, i / 2 * 2);
    buf_add_char(&target, '\0');
    struct asked asked = ask(target.at, "");
    assert_int_equal(asked.request.n_channels, 3000);
    assert_true(slice_is(asked.request.channels[0], SLICE("ca0")));
    assert_true(slice_is(asked.request.channels[2999], SLICE("cb2998")));
    done(&asked);
    buf_fini(&target);
}

static void the_header_wins_over_the_query_because_an_eventsource_repeats_its_url(void **state)
{
    (void)state;
    struct asked asked = ask("/sse?last_event_id=a.1", "Last-Event-ID: b.2\r\n");
    assert_true(asked.request.has_position);
    assert_true(slice_is(asked.request.position, SLICE("b.2")));
    done(&asked);
    asked = ask("/sse?lastEventID=a.1", "LAST-event-id:\r\n");
    assert_true(slice_is(asked.request.position, SLICE("a.1")));
    done(&asked);
    asked = ask("/sse?last_event_id=", "");
    assert_false(asked.request.has_position);
    done(&asked);
}

static void keys_come_from_headers_or_the_query(void **state)
{
    (void)state;
    static const struct { const char *target, *headers, *key; } cases[] = {
        { "/ws", "", "" },
        { "/ws?token=k1", "", "k1" },
        { "/ws?token=k1", "X-API-Key: k2\r\n", "k2" },
        { "/ws", "Authorization: bearer k3\r\nX-API-Key: k2\r\n", "k3" },
        { "/ws", "Authorization: Basic dTpw\r\n", "Basic dTpw" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct asked asked = ask(cases[i].target, cases[i].headers);
        assert_true(slice_is(asked.request.key, slice_of(cases[i].key)));
        done(&asked);
    }
}

static void the_target_is_split_before_anything_is_decoded(void **state)
{
    (void)state;
    static const struct { const char *target, *path, *query; } cases[] = {
        { "/sse?a=b?c", "/sse", "a=b?c" }, { "/", "/", "" }, { "/?", "/", "" }, { "/sse%3Fx", "/sse%3Fx", "" },
        { "http://any.host:1/ws?x", "/ws", "x" }, { "http://any.host", "/", "" }, { "https://any.host?x=1", "/", "x=1" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct asked asked = ask(cases[i].target, "");
        assert_true(slice_is(asked.head.path, slice_of(cases[i].path)));
        assert_true(slice_is(asked.head.query, slice_of(cases[i].query)));
        done(&asked);
    }
}

static void an_upgrade_needs_both_of_its_headers(void **state)
{
    (void)state;
    static const struct { const char *headers; bool upgrade; } cases[] = {
        { "Upgrade: WebSocket\r\nConnection: keep-alive , UPGRADE\r\n", true },
        { "Upgrade: websocket\r\n", false },
        { "Connection: upgrade\r\n", false },
        { "Upgrade: h2c\r\nConnection: Upgrade\r\n", false },
        { "Upgrade: websockets\r\nConnection: Upgrade\r\n", false },
        { "Upgrade: h2c, websocket\r\nConnection: close\r\nConnection: Upgrade\r\n", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct asked asked = ask("/ws", cases[i].headers);
        assert_int_equal(asked.head.upgrade_websocket, cases[i].upgrade);
        done(&asked);
    }
    struct asked asked = ask("/ws", "Sec-WebSocket-Protocol: other\r\nSec-WebSocket-Protocol: x,carillon.v1 , y\r\n");
    assert_true(asked.head.offers_protocols && asked.head.offers_carillon);
    done(&asked);
    asked = ask("/ws", "Sec-WebSocket-Protocol: carillon.v10\r\n");
    assert_true(asked.head.offers_protocols && !asked.head.offers_carillon);
    done(&asked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_decoded_byte_by_byte),
        cmocka_unit_test(a_percent_sign_without_two_digits_stays_as_it_is),
        cmocka_unit_test(the_same_name_twice_counts_once_and_order_stays),
        cmocka_unit_test(thousands_of_names_are_all_there),
        cmocka_unit_test(the_header_wins_over_the_query_because_an_eventsource_repeats_its_url),
        cmocka_unit_test(keys_come_from_headers_or_the_query),
        cmocka_unit_test(the_target_is_split_before_anything_is_decoded),
        cmocka_unit_test(an_upgrade_needs_both_of_its_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Heads and bodies as they come over the wire, and what is not a request, or two. */
#include "http_stage.h"

/* ---- bodies ---- */

static void a_request_that_comes_byte_by_byte_is_understood(void **state)
{
    struct stage *s = *state;
    static const char text[] = "\r\n" POST_TO("a") "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n02;x=y\r\nde\r\n0\r\nT: x\r\n\r\n";
    raise_curtain(s);
    struct client c = connect_client(s);
    assert_int_equal(setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)), 0);
    for (size_t i = 0; i < sizeof text - 1; i++)
        say_bytes(&c, text + i, 1);
    struct publish_call *publish = must_publish(s);
    assert_true(slice_is(msg_data(publish->msg), SLICE("abcde")));
    answer_publish(s, publish);
    expect_status(&c, 201);
    hang_up(&c);
}

static void a_chunked_body_must_be_chunked_exactly(void **state)
{
    struct stage *s = *state;
    static const char *const bad[] = {
        "5x\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "\r\nhello", " 5\r\nhello\r\n", "5\nhello\r\n0\r\n\r\n", "5\rXhello",
        "5\r\nhelloXX0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello\r\r0\r\n\r\n", "5\r\nhelloo\r\n0\r\n\r\n", "10000000000000000\r\n", ";\r\n", "0\r\nA: b\n\r\n", "0\r\nA\x01: b\r\n\r\n", "0\r\n\rX",
    };
    raise_curtain(s);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct client c = connect_client(s);
        say(&c, POST_TO("a") "Transfer-Encoding: chunked\r\n\r\n");
        say(&c, bad[i]);
        struct answer a = take(&c, false);
        if (a.status != 400)
            fail_msg("%d for %s", a.status, bad[i]);
        answer_free(&a);
        expect_end(&c);
        hang_up(&c);
    }
    expect_no_call_but_this(s);
}

static void a_body_over_the_limit_is_refused_before_it_is_read(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct client c = connect_client(s);
    say(&c, POST_TO("a") "Content-Length: 104857600\r\n\r\n");
    expect_status(&c, 413);
    expect_end(&c);
    hang_up(&c);
    c = connect_client(s);
    say(&c, POST_TO("a") "Transfer-Encoding: chunked\r\n\r\nFFFFFF\r\n");
    expect_status(&c, 413);
    expect_end(&c);
    hang_up(&c);
    c = connect_client(s);
    for (int i = 0; i < 2; i++)
        say(&c, i ? "" : POST_TO("a") "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 70 * 1024 / 1000 + 1; i++) {
        char chunk[1010];
        memset(chunk, 'x', sizeof chunk);
        memcpy(chunk, "3e8\r\n", 5);
        memcpy(chunk + 1005, "\r\n", 2);
        say_bytes(&c, chunk, 1007);
    }
    expect_status(&c, 413);
    expect_end(&c);
    hang_up(&c);
    expect_no_call_but_this(s);
}

static void a_refused_request_with_a_small_body_does_not_cost_the_connection(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct client c = connect_client(s);
    say(&c, "POST /nothing HTTP/1.1\r\nHost: t\r\nContent-Length: 40\r\n\r\nGET /health/live HTTP/1.1\r\nHost: t\r\n\r\n  "
            "GET /health/live HTTP/1.1\r\nHost: t\r\n\r\n");
    expect_status(&c, 404);
    expect_status(&c, 200);
    say(&c, "POST /nothing HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n12345");
    expect_status(&c, 404);      /* before the body is here */
    say(&c, "67890GET /health/live HTTP/1.1\r\nHost: t\r\n\r\n");
    expect_status(&c, 200);
    hang_up(&c);
}

static void one_hundred_continue_is_said_when_it_is_allowed_and_its_turn(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct client c = connect_client(s);
    say(&c, POST_TO("a") "Content-Length: 1\r\n\r\nx" POST_TO("a") "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n");
    struct publish_call *first = must_publish(s);
    answer_publish(s, first);
    expect_status(&c, 201);
    expect_status(&c, 100);
    say(&c, "y");
    answer_publish(s, must_publish(s));
    expect_status(&c, 201);
    say(&c, POST_TO("a%20b") "Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n");
    expect_status(&c, 413);
    expect_end(&c);
    hang_up(&c);
    c = connect_client(s);
    say(&c, POST_TO("a") "Expect: a-miracle\r\nContent-Length: 1\r\n\r\n");
    expect_status(&c, 417);
    expect_end(&c);
    hang_up(&c);
}

/* ---- what is not a request, or two ---- */

#define INSIDE "GET /v1/channels HTTP/1.1\r\nHost: t\r\n\r\n"
#define P "POST /v1/channels/a/messages HTTP/1.1\r\nHost: t\r\n"
#define G "GET /v1/channels HTTP/1.1\r\n"
static const struct { const char *text; int status; } unreadable[] = {
        { P "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" INSIDE, 400 },
        { P "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" INSIDE, 400 },
        { P "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello" INSIDE, 400 },
        { P "Content-Length: 5\r\nContent-Length: 6\r\n\r\n" INSIDE, 400 },
        { P "Content-Length: 5, 5\r\n\r\n" INSIDE, 400 },
        { P "Content-Length:\r\n\r\n" INSIDE, 400 },
        { P "Content-Length: +5\r\n\r\n" INSIDE, 400 },
        { P "Content-Length: -1\r\n\r\n" INSIDE, 400 },
        { P "Content-Length: 0x5\r\n\r\n" INSIDE, 400 },
        { P "Content-Length: 5x\r\n\r\n" INSIDE, 400 },
        { P "Content-Length: 99999999999999999999999\r\n\r\n" INSIDE, 400 },
        { P "Content-Length : 5\r\n\r\n" INSIDE, 400 },
        { P "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" INSIDE, 400 },
        { P "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" INSIDE, 400 },
        { P "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" INSIDE, 400 },
        { P "Transfer-Encoding: identity\r\n\r\n" INSIDE, 400 },
        { P "Transfer-Encoding: xchunked\r\n\r\n" INSIDE, 400 },
        { P "Transfer-Encoding:\r\n\r\n" INSIDE, 400 },
        { P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" INSIDE, 400 },
        { P "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" INSIDE, 400 },
        { P "Transfer-Encoding: \x0b" "chunked\r\n\r\n0\r\n\r\n" INSIDE, 400 },
        { P "X: a\r\n Content-Length: 5\r\n\r\n" INSIDE, 400 },
        { P "Authorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n" INSIDE, 400 },
        { P "X-API-Key: a\r\nX-Api-Key: b\r\n\r\n" INSIDE, 400 },
        { P "X: a\r\n\tb\r\n\r\n" INSIDE, 400 },
        { P "X: a\nContent-Length: 5\r\n\r\n" INSIDE, 400 },
        { P "X: a\rContent-Length: 5\r\n\r\n" INSIDE, 400 },
        { "POST /v1/channels/a/messages HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" INSIDE, 400 },
        { "GET /v1/channels HTTP/1.1\nHost: t\n\n", 400 },
        { G "\r\n", 400 },
        { G "Host: a\r\nHost: a\r\n\r\n", 400 },
        { G "Host: a b\r\n\r\n", 400 },
        { G "Host: a/b\r\n\r\n", 400 },
        { G "Host: u@a\r\n\r\n", 400 },
        { G "Host: t\r\nno colon\r\n\r\n", 400 },
        { G "Host: t\r\n: empty\r\n\r\n", 400 },
        { G "Host: t\r\nA B: c\r\n\r\n", 400 },
        { G "Host: t\r\nA(b): c\r\n\r\n", 400 },
        { G "Host: t\r\nContent-Length: 5\r\n\r\nhello" INSIDE, 400 },
        { "HEAD /v1/channels HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello" INSIDE, 400 },
        { "HEAD /v1/channels HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" INSIDE, 400 },
        { "GET /a\xff HTTP/1.1\r\nHost: t\r\n\r\n", 400 },
        { "GET /a\x7f HTTP/1.1\r\nHost: t\r\n\r\n", 400 },
        { "GET /a#b HTTP/1.1\r\nHost: t\r\n\r\n", 400 },
        { "GET /a b HTTP/1.1\r\nHost: t\r\n\r\n", 400 },
        { "GET  /a HTTP/1.1\r\nHost: t\r\n\r\n", 400 },
        { "GET /a  HTTP/1.1\r\nHost: t\r\n\r\n", 400 },
        { "GET /a HTTP/1.1 \r\nHost: t\r\n\r\n", 501 },
        { "GET\t/a HTTP/1.1\r\nHost: t\r\n\r\n", 501 },
        { "GET /v1/channels\r\n\r\n", 501 },
        { "GET /v1/channels HTTP/0.9\r\nHost: t\r\n\r\n", 501 },
        { "GET /v1/channels HTTP/2.0\r\nHost: t\r\n\r\n", 501 },
        { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 501 },
        { "CONNECT a:1 HTTP/1.1\r\nHost: t\r\n\r\n", 501 },
        { "TRACE / HTTP/1.1\r\nHost: t\r\n\r\n", 501 },
        { "BREW /pot HTTP/1.1\r\nHost: t\r\n\r\n", 501 },
        { "\x16\x03\x01\x02", 400 },
        { "\n\n", 400 },
};
#undef INSIDE
#undef P
#undef G

static void nothing_that_two_readers_might_read_differently_is_read(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    for (size_t i = 0; i < sizeof unreadable / sizeof *unreadable; i++) {
        struct client c = connect_client(s);
        say(&c, unreadable[i].text);
        bool head_only = !strncmp(unreadable[i].text, "HEAD", 4);
        struct answer a = take(&c, head_only);
        if (a.status != unreadable[i].status)
            fail_msg("%d instead of %d for %s", a.status, unreadable[i].status, unreadable[i].text);
        assert_non_null(strstr(a.head, "\r\nContent-Type: application/problem+json\r\n"));
        assert_non_null(strstr(a.head, "\r\nConnection: close\r\n"));
        answer_free(&a);
        expect_end(&c);
        hang_up(&c);
    }
    expect_no_call_but_this(s);
}

static void nul_bytes_are_refused(void **state)
{
    struct stage *s = *state;
    static const char texts[][64] = { "GET /v1/channels HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n", "GET /v1\0 HTTP/1.1\r\nHost: t\r\n\r\n" };
    raise_curtain(s);
    for (size_t i = 0; i < 2; i++) {
        struct client c = connect_client(s);
        say_bytes(&c, texts[i], sizeof texts[i]);
        expect_status(&c, 400);
        expect_end(&c);
        hang_up(&c);
    }
}

static void bytes_behind_a_last_request_are_not_read(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct client c = connect_client(s);
    say(&c, POST_TO("a") "Connection: close\r\nContent-Length: 1\r\n\r\nx" POST_TO("b") "Content-Length: 1\r\n\r\nx");
    struct publish_call *publish = must_publish(s);
    assert_true(slice_is(msg_channel(publish->msg), SLICE("a")));
    expect_no_call_but_this(s);
    answer_publish(s, publish);
    expect_status(&c, 201);
    expect_end(&c);
    hang_up(&c);
}

static void http_1_0_is_understood(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct client c = connect_client(s);
    say(&c, "GET /health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    struct answer a = take(&c, false);
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.head, "\r\nConnection: keep-alive\r\n"));
    answer_free(&a);
    say(&c, "GET /health/live HTTP/1.0\r\n\r\n");
    expect_status(&c, 200);
    expect_end(&c);
    hang_up(&c);
}

static void a_head_that_is_too_large_is_431(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct buf large = { 0 }, many = { 0 };
    buf_add_str(&large, "GET / HTTP/1.1\r\nHost: t\r\nX: ");
    for (int i = 0; i < 40000; i++)
        buf_add_char(&large, 'x');
    buf_add_str(&many, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 120; i++)
        buf_addf(&many, "X-%d: y\r\n", i);
    buf_add_str(&many, "Host: t\r\n\r\n");
    struct buf *texts[] = { &large, &many };
    for (size_t i = 0; i < 2; i++) {
        struct client c = connect_client(s);
        say_bytes(&c, texts[i]->at, texts[i]->len);
        expect_status(&c, 431);
        expect_end(&c);
        hang_up(&c);
        buf_fini(texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(a_request_that_comes_byte_by_byte_is_understood),
        ON_STAGE(a_chunked_body_must_be_chunked_exactly),
        ON_STAGE(a_body_over_the_limit_is_refused_before_it_is_read),
        ON_STAGE(a_refused_request_with_a_small_body_does_not_cost_the_connection),
        ON_STAGE(one_hundred_continue_is_said_when_it_is_allowed_and_its_turn),
        ON_STAGE(nothing_that_two_readers_might_read_differently_is_read),
        ON_STAGE(nul_bytes_are_refused),
        ON_STAGE(bytes_behind_a_last_request_are_not_read),
        ON_STAGE(http_1_0_is_understood),
        ON_STAGE(a_head_that_is_too_large_is_431),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

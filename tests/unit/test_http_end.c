/* How connections of the API end, and the front with them: clients that leave, drip or take nothing; draining; stopping. */
#include "http_stage.h"

static void a_client_that_leaves_does_not_disturb_what_is_at_the_hub(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    for (int round = 0; round < 20; round++) {
        struct client c = connect_client(s);
        for (int i = 0; i < 3; i++)
            say_publish(&c, "", "x");
        say(&c, POST_TO("a") "Content-Length: 10\r\n\r\nhalf");
        struct publish_call *calls[3];
        for (int i = 0; i < 3; i++)
            calls[i] = must_publish(s);
        struct linger reset = { 1, 0 };
        setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        hang_up(&c);
        for (int i = 0; i < 3; i++)
            answer_publish(s, calls[i]);
    }
    expect_no_call_but_this(s);
}

static void a_client_that_shuts_its_side_gets_its_answers(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct client c = connect_client(s);
    say(&c, POST_TO("a") "Content-Length: 1\r\n\r\nx" POST_TO("a") "Content-Length: 1\r\n\r\ny" POST_TO("a") "Content-Length: 5\r\n\r\nha");
    shutdown(c.fd, SHUT_WR);
    struct publish_call *first = must_publish(s), *second = must_publish(s);
    expect_no_call_but_this(s);
    answer_publish(s, first);
    answer_publish(s, second);
    expect_status(&c, 201);
    expect_status(&c, 201);
    expect_end(&c);
    hang_up(&c);
}

static void slow_heads_and_bodies_end_with_408_and_idle_connections_quietly(void **state)
{
    struct stage *s = *state;
    s->config.limits_handshake_timeout_ms = 100;
    s->config.limits_request_timeout_ms = 100;
    raise_curtain(s);
    static const struct { const char *text; int status; } cases[] = {
        { "", 0 }, { "POST /v1/chan", 408 }, { POST_TO("a") "Content-Length: 10\r\n\r\nhalf", 408 }, { POST_TO("a") "Transfer-Encoding: chunked\r\n\r\n5\r\nhe", 408 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client c = connect_client(s);
        say(&c, cases[i].text);
        if (cases[i].status)
            expect_status(&c, cases[i].status);
        expect_end(&c);
        hang_up(&c);
    }
    struct client skipping = connect_client(s);
    say(&skipping, "POST /nothing HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nhalf");
    expect_status(&skipping, 404);
    expect_end(&skipping);
    hang_up(&skipping);
}

static void a_head_that_drips_is_not_given_more_time(void **state)
{
    struct stage *s = *state;
    s->config.limits_handshake_timeout_ms = 200;
    raise_curtain(s);
    struct client c = connect_client(s);
    int64_t start = clock_mono_ms(clock_real());
    struct pollfd p = { c.fd, POLLIN, 0 };
    say(&c, "GET / HTTP/1.1\r\nHost: t\r\n");
    while (poll(&p, 1, 20) == 0 && clock_mono_ms(clock_real()) - start < WAIT_MS)
        say(&c, "X: y\r\n");
    expect_status(&c, 408);
    hang_up(&c);
}

/* They may stand before a request (RFC 9112 §2.2), but are none. */
static void empty_lines_for_ever_are_an_idle_connection(void **state)
{
    struct stage *s = *state;
    s->config.limits_handshake_timeout_ms = 200;
    raise_curtain(s);
    static const char *const drops[] = { "\r\n", "\r", "\n" };
    struct client c = connect_client(s);
    struct pollfd p = { c.fd, POLLIN, 0 };
    int64_t start = clock_mono_ms(clock_real());
    for (int i = 0; poll(&p, 1, 20) == 0; i++) {
        assert_true(clock_mono_ms(clock_real()) - start < WAIT_MS);
        send(c.fd, drops[i % 3], strlen(drops[i % 3]), MSG_NOSIGNAL);
    }
    hang_up(&c);
}

static void an_answer_that_is_not_taken_ends_the_connection(void **state)
{
    struct stage *s = *state;
    s->config.limits_request_timeout_ms = 100;
    raise_curtain(s);
    struct client c = connect_client(s);
    assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int)), 0);
    struct buf text = { 0 };
    for (int i = 0; i < 20000; i++)
        buf_add_str(&text, "GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n");
    struct pollfd p = { c.fd, POLLOUT, 0 };
    size_t said = 0;
    int64_t start = clock_mono_ms(clock_real());
    bool broken = false;
    while (!broken && clock_mono_ms(clock_real()) - start < WAIT_MS) {
        size_t at = said % text.len;
        ssize_t n = send(c.fd, text.at + at, text.len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        said += n > 0 ? (size_t)n : 0;
        broken = (n < 0 && errno != EAGAIN) || (n < 0 && poll(&p, 1, 50) > 0 && (p.revents & (POLLHUP | POLLERR)));
    }
    assert_true(broken);
    assert_true(said < 32 * 1024 * 1024);      /* the kernel's buffers; it was not read on without end */
    buf_fini(&text);
    hang_up(&c);
}

static bool until_done(struct stage *s)
{
    for (int64_t start = clock_mono_ms(clock_real()); clock_mono_ms(clock_real()) - start < WAIT_MS; poll(NULL, 0, 1))
        if (http_front_done(s->front))
            return true;
    return false;
}

static void draining_answers_what_is_under_way_and_then_ends(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct client idle = connect_client(s), busy = connect_client(s), half = connect_client(s);
    say(&idle, "GET /health/live HTTP/1.1\r\nHost: t\r\n\r\n");
    expect_status(&idle, 200);
    say(&half, POST_TO("a") "Content-Length: 4\r\n\r\nha");
    say(&busy, POST_TO("a") "Content-Length: 1\r\n\r\nx" POST_TO("a") "Content-Length: 1\r\n\r\ny");
    struct publish_call *first = must_publish(s), *second = must_publish(s);
    http_front_drain(s->front);
    expect_end(&idle);
    hang_up(&idle);
    answer_publish(s, first);
    answer_publish(s, second);
    struct answer a = take(&busy, false);
    assert_int_equal(a.status, 201);
    assert_null(strstr(a.head, "Connection: close"));
    answer_free(&a);
    a = take(&busy, false);
    assert_int_equal(a.status, 201);
    assert_non_null(strstr(a.head, "\r\nConnection: close\r\n"));
    answer_free(&a);
    expect_end(&busy);
    hang_up(&busy);
    assert_false(http_front_done(s->front));
    say(&half, "lf");
    answer_publish(s, must_publish(s));
    a = take(&half, false);
    assert_int_equal(a.status, 201);
    assert_non_null(strstr(a.head, "\r\nConnection: close\r\n"));
    answer_free(&a);
    expect_end(&half);
    hang_up(&half);
    assert_true(until_done(s));
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port_of(s)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), -1);
    close(fd);
}

static void stopping_with_calls_under_way_frees_everything(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct client c = connect_client(s);
    for (int i = 0; i < 3; i++)
        say_publish(&c, "", "x");
    struct publish_call *first = must_publish(s);
    must_publish(s);
    must_publish(s);
    http_front_stop(s->front);
    expect_end(&c);
    answer_publish(s, first);      /* too late: taken by http_front_free, which also frees the two that are never answered */
    hang_up(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(a_client_that_leaves_does_not_disturb_what_is_at_the_hub),
        ON_STAGE(a_client_that_shuts_its_side_gets_its_answers),
        ON_STAGE(slow_heads_and_bodies_end_with_408_and_idle_connections_quietly),
        ON_STAGE(a_head_that_drips_is_not_given_more_time),
        ON_STAGE(empty_lines_for_ever_are_an_idle_connection),
        ON_STAGE(an_answer_that_is_not_taken_ends_the_connection),
        ON_STAGE(draining_answers_what_is_under_way_and_then_ends),
        ON_STAGE(stopping_with_calls_under_way_frees_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

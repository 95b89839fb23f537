/* Requests of one connection that are under way together: order, bounds, whose turn it is. */
#include "http_stage.h"

/* ---- the queue ---- */

static void pipelined_requests_are_all_under_way_at_once_and_answered_in_order(void **state)
{
    enum { N = 400 };
    struct stage *s = *state;
    struct publish_call *calls[N];
    struct buf text = { 0 };
    raise_curtain(s);
    struct client c = connect_client(s);
    for (int i = 0; i < N; i++)
        buf_addf(&text, POST_TO("c%d") "X-Request-Id: r%d\r\nContent-Length: 1\r\n\r\nx", i, i);
    say_bytes(&c, text.at, text.len);
    for (int i = 0; i < N; i++)
        calls[i] = must_publish(s);
    for (int i = N; i-- > 0;)
        answer_publish(s, calls[i]);
    for (int i = 0; i < N; i++) {
        char id[32];
        struct answer a = take(&c, false);
        snprintf(id, sizeof id, "\r\nX-Request-Id: r%d\r\n", i);
        assert_int_equal(a.status, 201);
        assert_non_null(strstr(a.head, id));
        answer_free(&a);
    }
    buf_fini(&text);
    hang_up(&c);
}

static void good_and_bad_requests_are_answered_in_the_order_they_were_sent(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct client c = connect_client(s);
    say(&c, POST_TO("a") "Content-Length: 1\r\n\r\nx"
            "GET /health/live HTTP/1.1\r\nHost: t\r\n\r\n"
            "GET /nothing HTTP/1.1\r\nHost: t\r\n\r\n"
            POST_TO("a%20b") "Content-Length: 1\r\n\r\nx"
            POST_TO("a") "Content-Length: 1\r\n\r\ny");
    struct publish_call *first = must_publish(s), *second = must_publish(s);
    answer_publish(s, second);
    answer_publish(s, first);
    static const int statuses[] = { 201, 200, 404, 400, 201 };
    for (size_t i = 0; i < 5; i++)
        expect_status(&c, statuses[i]);
    hang_up(&c);
}

static void a_read_waits_for_the_writes_before_it_and_no_write_waits_for_a_read(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct client c = connect_client(s);
    say(&c, POST_TO("a") "Content-Length: 1\r\n\r\nx"
            "GET /v1/channels/a HTTP/1.1\r\nHost: t\r\n\r\n"
            POST_TO("a") "Content-Length: 1\r\n\r\ny");
    struct publish_call *first = must_publish(s), *second = must_publish(s);
    expect_no_call_but_this(s);
    answer_publish(s, first);
    struct call *inspect = must_call(s, CALL_CHANNELS);
    answer(s, inspect, ERR_NOT_FOUND);
    answer_publish(s, second);
    expect_status(&c, 201);
    expect_status(&c, 404);
    expect_status(&c, 201);
    hang_up(&c);
}

static void more_requests_than_limits_pipeline_are_not_read_until_earlier_ones_are_answered(void **state)
{
    struct stage *s = *state;
    struct publish_call *calls[30];
    s->config.limits_pipeline = 10;
    raise_curtain(s);
    struct client c = connect_client(s);
    for (int i = 0; i < 30; i++)
        say_publish(&c, "", "x");
    for (int i = 0; i < 10; i++)
        calls[i] = must_publish(s);
    expect_no_call_but_this(s);
    answer_publish(s, calls[0]);
    calls[10] = must_publish(s);
    expect_no_call_but_this(s);
    for (int i = 1; i < 30; i++) {
        answer_publish(s, calls[i]);
        if (i < 20)
            calls[i + 10] = must_publish(s);
    }
    for (int i = 0; i < 30; i++)
        expect_status(&c, 201);
    hang_up(&c);
}

static void a_caller_with_too_much_under_way_gets_429_on_every_connection_and_others_do_not(void **state)
{
    struct stage *s = *state;
    char body[1001];
    struct publish_call *calls[3];
    memset(body, 'x', 1000);
    body[1000] = '\0';
    s->config.limits_caller_bytes = 2500;
    s->config.dev = false;
    static const char *const everything[] = { "**" };
    static struct api_key key = { .name = "other" };
    s->config.access_publish = (struct words){ .at = everything, .count = 1 };
    api_key_digest(slice_of("secret"), key.sha256);
    s->config.keys = &key;
    s->config.key_count = 1;
    raise_curtain(s);
    struct client a = connect_client(s), b = connect_client(s), other = connect_client(s);
    say_publish(&a, "", body);
    calls[0] = must_publish(s);
    say_publish(&b, "", body);
    calls[1] = must_publish(s);
    say_publish(&b, "", body);      /* the third of the same caller, behind one that is under way */
    say_publish(&other, "X-API-Key: secret\r\n", body);
    calls[2] = must_publish(s);
    answer_publish(s, calls[1]);
    expect_status(&b, 201);
    struct answer refused = take(&b, false);
    assert_int_equal(refused.status, 429);
    assert_non_null(strstr(refused.body, "\"code\":\"too_many_requests\""));
    assert_non_null(strstr(refused.head, "\r\nRetry-After: 1\r\n"));
    answer_free(&refused);
    say_publish(&b, "", body);      /* there is room again */
    answer_publish(s, must_publish(s));
    expect_status(&b, 201);
    answer_publish(s, calls[0]);
    answer_publish(s, calls[2]);
    expect_status(&a, 201);
    expect_status(&other, 201);
    hang_up(&a);
    hang_up(&b);
    hang_up(&other);
}

static void large_bodies_under_way_are_bounded_too(void **state)
{
    struct stage *s = *state;
    struct buf text = { 0 };
    char *body = calloc(1, 65536);
    memset(body, 'x', 65536);
    raise_curtain(s);
    struct client c = connect_client(s);
    assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_SNDBUF, &(int){ 16 * 1024 * 1024 }, sizeof(int)), 0);
    int under_way = 0;
    for (int i = 0; i < 20; i++) {
        buf_addf(&text, POST_TO("big") "Content-Length: 65536\r\n\r\n");
        buf_add(&text, body, 65536);
    }
    struct publish_call *calls[20];
    size_t said = 0;
    while (under_way < 20) {
        ssize_t n = said < text.len ? send(c.fd, text.at + said, text.len - said, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
        said += n > 0 ? (size_t)n : 0;
        struct call *call = next_call(s, 100);
        if (call)
            calls[under_way++] = (struct publish_call *)(void *)call;
    }
    for (int i = 0; i < 20; i++)
        answer_publish(s, calls[i]);
    for (int i = 0; i < 20; i++)
        expect_status(&c, 201);
    free(body);
    buf_fini(&text);
    hang_up(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(pipelined_requests_are_all_under_way_at_once_and_answered_in_order),
        ON_STAGE(good_and_bad_requests_are_answered_in_the_order_they_were_sent),
        ON_STAGE(a_read_waits_for_the_writes_before_it_and_no_write_waits_for_a_read),
        ON_STAGE(more_requests_than_limits_pipeline_are_not_read_until_earlier_ones_are_answered),
        ON_STAGE(a_caller_with_too_much_under_way_gets_429_on_every_connection_and_others_do_not),
        ON_STAGE(large_bodies_under_way_are_bounded_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

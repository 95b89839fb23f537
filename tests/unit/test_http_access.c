/* Who may use the API. */
#include "http_stage.h"

static void set_keys(struct stage *s)
{
    static const char *const scopes[] = { "publish:news" };
    s->config.dev = false;
    s->keys[0] = (struct api_key){ .name = "all" };
    s->keys[1] = (struct api_key){ .name = "news", .scopes = { scopes, 1 } };
    SHA256((const unsigned char *)"ck_all", 6, s->keys[0].sha256);
    SHA256((const unsigned char *)"ck_news", 7, s->keys[1].sha256);
    s->config.keys = s->keys;
    s->config.key_count = 2;
}

static void keys_and_access_decide_who_may(void **state)
{
    struct stage *s = *state;
    static const char *const open[] = { "open.*" };
    static const struct { const char *line, *headers; int status; } cases[] = {
        { "POST /v1/channels/news/messages", "", 401 },
        { "POST /v1/channels/news/messages", "Authorization: Bearer ck_wrong\r\n", 401 },
        { "POST /v1/channels/news/messages", "Authorization: Bearer\r\n", 401 },
        { "POST /v1/channels/news/messages", "Authorization: Basic Y2tfYWxs\r\n", 401 },
        { "POST /v1/channels/news/messages", "Authorization: Bearer ck_all\r\n", 201 },
        { "POST /v1/channels/news/messages", "authorization: bearer ck_all\r\n", 201 },
        { "POST /v1/channels/news/messages", "X-API-Key: ck_news\r\n", 201 },
        { "POST /v1/channels/other/messages", "X-API-Key: ck_news\r\n", 403 },
        { "GET /v1/channels", "X-API-Key: ck_news\r\n", 403 },
        { "POST /v1/channels/open.a/messages", "", 201 },
        { "POST /v1/channels/open.a/messages", "X-API-Key: ck_wrong\r\n", 401 },
        { "POST /v1/channels/news/messages", "", 401 },
        { "GET /v1/channels", "", 401 },
        { "GET /v1/channels/news/messages", "", 401 },
        { "GET /health/live", "", 200 },
        { "GET /metrics", "", 200 },
    };
    set_keys(s);
    s->config.access_publish = (struct words){ open, 1 };
    raise_curtain(s);
    struct client c = connect_client(s);     /* all on one connection: what it was found to be must not stick */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: t\r\n%s\r\n", cases[i].line, cases[i].headers);
        say(&c, text);
        if (cases[i].status == 201)
            answer_publish(s, must_publish(s));
        struct answer a = take(&c, false);
        if (a.status != cases[i].status)
            fail_msg("case %zu: %d instead of %d", i, a.status, cases[i].status);
        assert_int_equal(strstr(a.head, "\r\nWWW-Authenticate: Bearer\r\n") != NULL, a.status == 401);
        answer_free(&a);
    }
    hang_up(&c);
}

static void with_dev_a_page_of_another_host_may_not_use_the_api(void **state)
{
    struct stage *s = *state;
    static const struct { const char *origin; int status; } cases[] = {
        { "Origin: https://evil.example\r\n", 403 }, { "Origin: null\r\n", 403 }, { "Origin: http://t\r\n", 200 }, { "", 200 },
    };
    raise_curtain(s);
    struct client c = connect_client(s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        snprintf(text, sizeof text, "GET /health/live HTTP/1.1\r\nHost: t\r\n%s\r\n", cases[i].origin);
        say(&c, text);
        expect_status(&c, cases[i].status);
    }
    hang_up(&c);
}

static void a_key_that_was_taken_away_is_worth_nothing_on_an_open_connection(void **state)
{
    struct stage *s = *state;
    set_keys(s);
    raise_curtain(s);
    struct client c = connect_client(s);
    say_publish(&c, "X-API-Key: ck_all\r\n", "x");
    answer_publish(s, must_publish(s));
    expect_status(&c, 201);
    struct config reloaded = s->config;
    reloaded.key_count = 0;
    struct config_letter *letter = calloc(1, sizeof *letter);
    letter->letter.kind = LETTER_CONFIG;
    letter->config = &reloaded;
    say_publish(&c, "X-API-Key: ck_all\r\n", "still good");
    struct publish_call *publish = must_publish(s);
    post_put(&s->to_front, &letter->letter, 1);      /* before the answer, so it is there when the answer is */
    answer_publish(s, publish);
    expect_status(&c, 201);
    say_publish(&c, "X-API-Key: ck_all\r\n", "x");
    expect_status(&c, 401);
    hang_up(&c);
    http_front_stop(s->front);      /* before `reloaded` goes */
}

static void who_may_not_is_not_asked_for_a_body(void **state)
{
    struct stage *s = *state;
    set_keys(s);
    raise_curtain(s);
    struct client c = connect_client(s);
    say(&c, POST_TO("news") "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    expect_status(&c, 401);
    expect_end(&c);
    hang_up(&c);
    c = connect_client(s);
    say(&c, POST_TO("news") "X-API-Key: ck_news\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    expect_status(&c, 100);
    hang_up(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(keys_and_access_decide_who_may),
        ON_STAGE(with_dev_a_page_of_another_host_may_not_use_the_api),
        ON_STAGE(a_key_that_was_taken_away_is_worth_nothing_on_an_open_connection),
        ON_STAGE(who_may_not_is_not_asked_for_a_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

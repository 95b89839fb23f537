/* The API's front: publishing, the other routes, and the addresses it is reached at. */
#include "http_stage.h"

/* ---- publishing ---- */

static void a_publish_becomes_a_call_with_the_bytes_that_were_sent(void **state)
{
    struct stage *s = *state;
    static const struct { const char *headers, *body, *data, *event; enum msg_kind kind; } cases[] = {
        { "Content-Type: application/json\r\n", " {\"event\":\"t\\u0069ck\", \"data\" : {\"b\" : 0.10,\"a\":12345678901234567890} }", "{\"b\" : 0.10,\"a\":12345678901234567890}", "tick", MSG_JSON },
        { "content-type:application/json;charset=\"UTF-8\"\r\n", "{\"data\":\"text\"}", "\"text\"", "", MSG_JSON },
        { "Content-Type: application/x-www-form-urlencoded\r\n", "hello", "hello", "", MSG_TEXT },
        { "Content-Type: application/x-www-form-urlencoded\r\n", "a=1&b=%20", "a=1&b=%20", "", MSG_TEXT },
        { "Content-Type: application/x-www-form-urlencoded\r\n", "event=e1&data=a+b%26&event=e2", "a b&", "e1", MSG_TEXT },
        { "Content-Type: text/plain\r\n", "", "", "", MSG_TEXT },
        { "Content-Type: text/csv; charset=utf-8; header=present\r\n", "a,b", "a,b", "", MSG_TEXT },
        { "Content-Type: image/png\r\n", "\xff\xfe", "\xff\xfe", "", MSG_BINARY },
        { "", "raw", "raw", "", MSG_BINARY },
    };
    raise_curtain(s);
    struct client c = connect_client(s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        say_publish(&c, cases[i].headers, cases[i].body);
        struct publish_call *publish = must_publish(s);
        assert_true(slice_is(msg_channel(publish->msg), SLICE("news")));
        if (!slice_is(msg_data(publish->msg), slice_of(cases[i].data)))
            fail_msg("case %zu: %.*s", i, (int)msg_data(publish->msg).len, msg_data(publish->msg).at);
        assert_true(slice_is(msg_event(publish->msg), slice_of(cases[i].event)));
        assert_int_equal(publish->msg->kind, cases[i].kind);
        answer_publish(s, publish);
        expect_status(&c, 201);
    }
    hang_up(&c);
}

static void the_answer_to_a_publish_has_id_channel_time_and_subscribers(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct client c = connect_client(s);
    say(&c, "POST /v1/channels/a%2Fb%25/messages?event=e HTTP/1.1\r\nHost: t\r\nX-Request-Id: mine.1\r\nContent-Length: 1\r\n\r\nx");
    struct publish_call *publish = must_publish(s);
    assert_true(slice_is(msg_channel(publish->msg), SLICE("a/b%")));
    assert_true(slice_is(msg_event(publish->msg), SLICE("e")));
    answer_publish(s, publish);
    struct answer a = take(&c, false);
    assert_int_equal(a.status, 201);
    assert_string_equal(a.body, "{\"id\":\"aaaaaaab.1\",\"channel\":\"a/b%\",\"time\":1700000000000,\"subscribers\":2}\n");
    assert_non_null(strstr(a.head, "\r\nX-Request-Id: mine.1\r\n"));
    assert_non_null(strstr(a.head, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(a.head, "\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(a.head, "\r\nDate: "));
    answer_free(&a);
    hang_up(&c);
}

static void what_the_hub_refuses_is_told_with_status_and_retry(void **state)
{
    struct stage *s = *state;
    static const struct { int err, status; const char *code; bool retry; } cases[] = {
        { ERR_STORE_FAILED, 503, "store_failed", true }, { ERR_BUSY, 503, "busy", true }, { ERR_DRAINING, 503, "draining", true },
        { ERR_MEMORY, 503, "out_of_memory", true }, { ERR_INTERNAL, 500, "internal", false },
    };
    raise_curtain(s);
    struct client c = connect_client(s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        say_publish(&c, "", "x");
        answer(s, must_call(s, CALL_PUBLISH), cases[i].err);
        struct answer a = take(&c, false);
        char code[64];
        snprintf(code, sizeof code, "\"code\":\"%s\"", cases[i].code);
        assert_int_equal(a.status, cases[i].status);
        assert_non_null(strstr(a.body, code));
        assert_int_equal(strstr(a.head, "\r\nRetry-After: ") != NULL, cases[i].retry);
        answer_free(&a);
    }
    hang_up(&c);
}

static void all_that_is_wrong_is_told_and_nothing_reaches_the_hub(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct client c = connect_client(s);
    say(&c, "POST /v1/channels/a%20b/messages HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 43\r\n\r\n"
            "{\"event\":\"hub.x\",\"ttl\":\"soon\",\"exclude\":7 }");
    struct answer a = take(&c, false);
    assert_int_equal(a.status, 400);
    assert_non_null(strstr(a.body, "\"status\":400,\"code\":\"bad_channel\""));
    static const char *const errors[] = {
        "{\"field\":\"channel\",\"code\":\"bad_channel\"", "{\"field\":\"data\",\"code\":\"bad_field\"", "{\"field\":\"event\",\"code\":\"bad_event\"",
        "{\"field\":\"ttl\",\"code\":\"bad_field\"", "{\"field\":\"exclude\",\"code\":\"bad_field\"",
    };
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        assert_non_null(strstr(a.body, errors[i]));
    answer_free(&a);
    expect_no_call_but_this(s);
    hang_up(&c);
}

/* ---- routes ---- */

static void head_options_and_unknown_methods_are_answered_as_they_should(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct client c = connect_client(s);
    say(&c, "HEAD /health/live HTTP/1.1\r\nHost: t\r\n\r\n");
    struct answer a = take(&c, true);
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.head, "\r\nContent-Length: 15\r\n"));
    answer_free(&a);
    static const struct { const char *line; int status; const char *allow; } cases[] = {
        { "OPTIONS /v1/channels/a/messages", 204, "\r\nAllow: POST, GET, HEAD, DELETE, OPTIONS\r\n" },
        { "OPTIONS *", 204, "\r\nAllow: " },
        { "OPTIONS /nothing", 404, NULL },
        { "DELETE /v1/channels", 405, "\r\nAllow: GET, HEAD, OPTIONS\r\n" },
        { "PUT /v1/channels/a/messages", 405, "\r\nAllow: POST, GET, HEAD, DELETE, OPTIONS\r\n" },
        { "GET http://elsewhere/health/live", 200, NULL },
        { "GET /v1/channels/", 404, NULL },
        { "GET /v1/channels//messages", 404, NULL },
        { "GET /v1/channels/a/b/messages", 404, NULL },
        { "GET /V1/channels", 404, NULL },
        { "GET *", 400, NULL },
        { "GET health/live", 400, NULL },
        { "GET /v1/channels/a%00/messages", 400, NULL },
        { "GET /v1/channels/a%zz/messages", 400, NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client one = connect_client(s);     /* some of them end it */
        char text[256];
        snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: t\r\n\r\n", cases[i].line);
        say(&one, text);
        a = take(&one, false);
        if (a.status != cases[i].status || (cases[i].allow && !strstr(a.head, cases[i].allow)))
            fail_msg("%s: %s%s", cases[i].line, a.head, a.body);
        answer_free(&a);
        hang_up(&one);
    }
    expect_no_call_but_this(s);
    hang_up(&c);
}

static void a_page_of_messages_tells_gap_position_and_where_it_goes_on(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct client c = connect_client(s);
    say(&c, "GET /v1/channels/a%2Fb/messages?since=aaaaaaab.3&limit=2 HTTP/1.1\r\nHost: t\r\n\r\n");
    struct fetch_call *fetch = (struct fetch_call *)(void *)must_call(s, CALL_FETCH);
    assert_int_equal(fetch->n_channels, 1);
    assert_true(slice_is(fetch->channels[0].name, SLICE("a/b")));
    assert_int_equal(fetch->from, FETCH_AFTER);
    assert_true(fetch->after.epoch == 1 && fetch->after.seq == 3 && fetch->max_count == 2);
    fetch->msgs = calloc(2, sizeof *fetch->msgs);
    for (int i = 0; i < 2; i++) {
        fetch->msgs[i] = msg_new(&(struct msg_parts){ .channel = SLICE("a/b"), .kind = MSG_JSON, .data = SLICE("0.10") });
        fetch->msgs[i]->epoch = 1;
        fetch->msgs[i]->seq = 5 + (uint64_t)i;
        fetch->msgs[i]->time_ms = 7;
    }
    fetch->n_msgs = 2;
    fetch->more = true;
    fetch->gap = GAP_HISTORY;
    fetch->upto = (struct position){ 1, 6 };
    answer(s, &fetch->call, 0);
    struct answer a = take(&c, false);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{\"data\":[{\"type\":\"message\",\"channel\":\"a/b\",\"id\":\"aaaaaaab.5\",\"data\":0.10,\"time\":7},"
                                "{\"type\":\"message\",\"channel\":\"a/b\",\"id\":\"aaaaaaab.6\",\"data\":0.10,\"time\":7}],"
                                "\"position\":\"aaaaaaab.6\",\"gap\":{\"reason\":\"history\"},\"next_cursor\":\"aaaaaaab.6\"}\n");
    assert_non_null(strstr(a.head, "\r\nLink: </v1/channels/a%2Fb/messages?limit=2&cursor=aaaaaaab.6>; rel=\"next\"\r\n"));
    answer_free(&a);
    say(&c, "GET /v1/channels/a/messages HTTP/1.1\r\nHost: t\r\n\r\n");
    fetch = (struct fetch_call *)(void *)must_call(s, CALL_FETCH);
    assert_int_equal(fetch->from, FETCH_ALL);
    fetch->upto = (struct position){ 1, 9 };
    answer(s, &fetch->call, 0);
    a = take(&c, false);
    assert_string_equal(a.body, "{\"data\":[],\"position\":\"aaaaaaab.9\",\"next_cursor\":null}\n");
    answer_free(&a);
    hang_up(&c);
}

static void a_page_of_channels_has_a_cursor_and_a_link(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct client c = connect_client(s);
    say(&c, "GET /v1/channels?limit=1&prefix=a&cursor=a%2F1 HTTP/1.1\r\nHost: t\r\n\r\n");
    struct channels_call *channels = (struct channels_call *)(void *)must_call(s, CALL_CHANNELS);
    assert_true(slice_is(channels->prefix, SLICE("a")) && slice_is(channels->after, SLICE("a/1")) && channels->limit == 1);
    channels->infos = calloc(1, sizeof *channels->infos);
    *channels->infos = (struct channel_info){ .name = "a/2+", .name_len = 4, .subscribers = 3, .members = 2, .kept = 2, .kept_bytes = 8, .last = { 1, 7 }, .resumable = true };
    channels->n_infos = 1;
    channels->more = true;
    channels->upto_len = 4;
    memcpy(channels->upto, "a/2+", 4);
    answer(s, &channels->call, 0);
    struct answer a = take(&c, false);
    assert_string_equal(a.body, "{\"data\":[{\"channel\":\"a/2+\",\"subscribers\":3,\"members\":2,\"messages\":2,\"bytes\":8,\"position\":\"aaaaaaab.7\",\"resumable\":true}],"
                                "\"next_cursor\":\"a/2+\"}\n");
    assert_non_null(strstr(a.head, "\r\nLink: </v1/channels?limit=1&prefix=a&cursor=a%2F2%2B>; rel=\"next\"\r\n"));
    answer_free(&a);
    hang_up(&c);
}

/* ---- addresses ---- */

static void a_unix_socket_is_taken_over_from_the_dead_and_never_from_the_living(void **state)
{
    struct stage *s = *state;
    char path[OWN_FILE_MAX], text[OWN_FILE_MAX + 16], why[256] = "";
    assert_int_equal(own_dir_make(&s->dir), 0);
    own_dir_file(&s->dir, "api.sock", path);
    snprintf(text, sizeof text, "unix:%s", path);
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    strcpy(at.sun_path, path);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (struct sockaddr *)&at, sizeof at), 0);
    close(dead);      /* the file stays, as after kill -9 */
    s->config.api_listen = (struct address){ .text = text, .host = path, .is_unix = true };
    raise_curtain(s);
    assert_string_equal(http_front_address(s->front), text);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    struct http_front *second = NULL;
    assert_int_equal(http_front_new(&s->config, clock_real(), s->authority, &second, why, sizeof why), ERR_ADDRESS);
    assert_non_null(strstr(why, "in use"));
    struct client c = { .fd = socket(AF_UNIX, SOCK_STREAM, 0) };
    assert_int_equal(connect(c.fd, (struct sockaddr *)&at, sizeof at), 0);
    say_publish(&c, "", "x");
    answer_publish(s, must_publish(s));
    expect_status(&c, 201);
    hang_up(&c);
    http_front_stop(s->front);
    assert_int_equal(stat(path, &st), -1);
}

static void an_address_that_cannot_be_had_is_one_sentence(void **state)
{
    struct stage *s = *state;
    char why[256] = "", text[64];
    struct http_front *second = NULL;
    raise_curtain(s);
    snprintf(text, sizeof text, "127.0.0.1:%d", port_of(s));
    struct config taken = s->config;
    taken.api_listen = (struct address){ .text = text, .host = "127.0.0.1", .port = (uint16_t)port_of(s) };
    assert_int_equal(http_front_new(&taken, clock_real(), s->authority, &second, why, sizeof why), ERR_ADDRESS);
    assert_non_null(strstr(why, text));
    assert_non_null(strstr(why, "in use"));
    struct config open = s->config;
    open.api_listen = (struct address){ .text = "0.0.0.0:0", .host = "0.0.0.0" };
    assert_int_equal(http_front_new(&open, clock_real(), s->authority, &second, why, sizeof why), ERR_ADDRESS);
    assert_non_null(strstr(why, "loopback"));
    struct config both = s->config;
    both.api_listen = (struct address){ .text = "[::1]:0", .host = "::1" };
    if (http_front_new(&both, clock_real(), s->authority, &second, why, sizeof why) == 0) {     /* where there is one */
        assert_memory_equal(http_front_address(second), "[::1]:", 6);
        http_front_free(second);
    }
    assert_null(strchr(why, '\n'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(a_publish_becomes_a_call_with_the_bytes_that_were_sent),
        ON_STAGE(the_answer_to_a_publish_has_id_channel_time_and_subscribers),
        ON_STAGE(what_the_hub_refuses_is_told_with_status_and_retry),
        ON_STAGE(all_that_is_wrong_is_told_and_nothing_reaches_the_hub),
        ON_STAGE(head_options_and_unknown_methods_are_answered_as_they_should),
        ON_STAGE(a_page_of_messages_tells_gap_position_and_where_it_goes_on),
        ON_STAGE(a_page_of_channels_has_a_cursor_and_a_link),
        ON_STAGE(a_unix_socket_is_taken_over_from_the_dead_and_never_from_the_living),
        ON_STAGE(an_address_that_cannot_be_had_is_one_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

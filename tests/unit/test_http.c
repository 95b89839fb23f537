#define _GNU_SOURCE /* memmem, strcasestr */
/* The API's front over loopback, with a hub that is played by the test: it sees each call and answers when it likes. */
#include "hub/base/clock.h"
#include "hub/access/authority.h"
#include "hub/base/err.h"
#include "hub/config/api_key.h"
#include "hub/config/config.h"
#include "transports/http/http_front.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/sha.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

enum { WAIT_MS = 5000, PEER = 3 };

/* ---- the hub that is played ---- */

struct stage {
    struct config      config;
    struct api_key     keys[2];
    struct authority  *authority;
    struct http_front *front;
    struct mailbox     hub;           /* calls come here */
    struct post        to_front;
    struct letter     *taken;         /* came together, not handed out yet */
    uint64_t           seq;
    char               dir[64];       /* "" or a folder of its own */
};

/* The next call; NULL: none came within `ms`. */
static struct call *next_call(struct stage *s, int ms)
{
    if (!s->taken) {
        struct pollfd p = { s->hub.fd, POLLIN, 0 };
        if (poll(&p, 1, ms) <= 0)
            return NULL;
        s->taken = mailbox_take(&s->hub);
    }
    struct letter *letter = s->taken;
    if (!letter)
        return NULL;
    s->taken = letter->next;
    letter_done(letter);
    return (struct call *)(void *)letter;
}

static struct call *must_call(struct stage *s, uint32_t kind)
{
    struct call *call = next_call(s, WAIT_MS);
    if (!call)
        fail_msg("no call came");
    assert_int_equal(call->letter.kind, kind);
    assert_int_equal(call->from, PEER);
    return call;
}

static struct publish_call *must_publish(struct stage *s) { return (struct publish_call *)(void *)must_call(s, CALL_PUBLISH); }

static void answer(struct stage *s, struct call *call, int err)
{
    call->err = err;
    post_put(&s->to_front, &call->letter, 1);
    post_flush(&s->to_front);
}

static void answer_publish(struct stage *s, struct publish_call *publish)
{
    publish->msg->epoch = 1;
    publish->msg->seq = ++s->seq;
    publish->msg->time_ms = 1700000000000;
    publish->subscribers = 2;
    answer(s, &publish->call, 0);
}

/* ---- the client ---- */

struct answer {
    int   status;
    char *head, *body;       /* terminated, NUL in heads are errors anyway */
    size_t body_len;
};

struct client {
    int        fd;
    struct buf in;           /* received, not taken yet */
    bool       ended;
};

static int port_of(const struct stage *s) { return atoi(strrchr(http_front_address(s->front), ':') + 1); }

static struct client connect_client(struct stage *s)
{
    struct client c = { .fd = socket(AF_INET, SOCK_STREAM, 0) };
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port_of(s)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_int_equal(connect(c.fd, (struct sockaddr *)&at, sizeof at), 0);
    return c;
}

static void say_bytes(struct client *c, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(c->fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0)
            return;     /* closed meanwhile: what came back tells */
        bytes += n;
        len -= (size_t)n;
    }
}

static void say(struct client *c, const char *text) { say_bytes(c, text, strlen(text)); }

static bool receive(struct client *c)
{
    struct pollfd p = { c->fd, POLLIN, 0 };
    if (poll(&p, 1, WAIT_MS) <= 0)
        fail_msg("nothing came; so far: %.*s", (int)c->in.len, c->in.at ? c->in.at : "");
    char *room = buf_room(&c->in, 65536);
    ssize_t n = recv(c->fd, room, 65536, 0);
    if (n <= 0) {
        c->ended = true;
        return false;
    }
    buf_advance(&c->in, (size_t)n);
    return true;
}

static char *copy_of(const char *at, size_t len)
{
    char *copy = malloc(len + 1);
    memcpy(copy, at, len);
    copy[len] = '\0';
    return copy;
}

static void answer_free(struct answer *a)
{
    free(a->head);
    free(a->body);
}

/* The next answer; status 0: the connection ended instead. `head_only`: it is one to HEAD. */
static struct answer take(struct client *c, bool head_only)
{
    struct answer a = { 0 };
    char *end = NULL;
    while (!(end = c->in.len ? memmem(c->in.at, c->in.len, "\r\n\r\n", 4) : NULL))
        if (!receive(c))
            return a;
    size_t head_len = (size_t)(end - c->in.at) + 4;
    a.head = copy_of(c->in.at, head_len);
    assert_int_equal(sscanf(a.head, "HTTP/1.1 %d ", &a.status), 1);
    const char *length = strcasestr(a.head, "\r\nContent-Length: ");
    a.body_len = length && !head_only ? (size_t)atol(length + 18) : 0;
    while (c->in.len < head_len + a.body_len)
        if (!receive(c))
            fail_msg("the connection ended inside an answer: %s", a.head);
    a.body = copy_of(c->in.at + head_len, a.body_len);
    buf_drop_front(&c->in, head_len + a.body_len);
    return a;
}

static void hang_up(struct client *c)
{
    close(c->fd);
    buf_fini(&c->in);
}

/* Takes one answer, which must have this status; keeps nothing of it. */
static void expect_status(struct client *c, int status)
{
    struct answer a = take(c, false);
    if (a.status != status)
        fail_msg("%d instead of %d: %s%s", a.status, status, a.head ? a.head : "", a.body ? a.body : "");
    answer_free(&a);
}

static void expect_end(struct client *c)
{
    struct answer a = take(c, false);
    if (a.status)
        fail_msg("an answer too many: %s", a.head);
    assert_true(c->ended);
    assert_int_equal(c->in.len, 0);
}

#define POST_TO(channel) "POST /v1/channels/" channel "/messages HTTP/1.1\r\nHost: t\r\n"

static void say_publish(struct client *c, const char *headers, const char *body)
{
    char text[4096];
    snprintf(text, sizeof text, POST_TO("news") "%sContent-Length: %zu\r\n\r\n%s", headers, strlen(body), body);
    say(c, text);
}

/* Everything sent before on other connections has been read when this one's publish is at the hub: the front is one thread. */
static void expect_no_call_but_this(struct stage *s)
{
    struct client c = connect_client(s);
    say(&c, POST_TO("sentinel") "Content-Length: 0\r\n\r\n");
    struct publish_call *publish = must_publish(s);
    assert_true(slice_is(msg_channel(publish->msg), SLICE("sentinel")));
    answer_publish(s, publish);
    expect_status(&c, 201);
    hang_up(&c);
}

/* ---- the stage ---- */

static void set_config(struct stage *s)
{
    s->config = *config_defaults();
    s->authority = authority_new();
    s->config.dev = true;
    s->config.api_listen = (struct address){ .text = "127.0.0.1:0", .host = "127.0.0.1" };
}

static void raise_curtain(struct stage *s)
{
    char why[256] = "";
    assert_int_equal(mailbox_init(&s->hub, true), 0);
    if (http_front_new(&s->config, clock_real(), s->authority, &s->front, why, sizeof why))
        fail_msg("%s", why);
    http_front_connect(s->front, &s->hub, PEER);
    post_init(&s->to_front, http_front_mailbox(s->front), SIZE_MAX);
    assert_int_equal(http_front_start(s->front), 0);
}

static int set_stage(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    *state = s;
    set_config(s);
    return 0;
}

static int clear_stage(void **state)
{
    struct stage *s = *state;
    if (s->front) {
        http_front_stop(s->front);
        http_front_free(s->front);
        mailbox_fini(&s->hub);
    }
    authority_free(s->authority);
    if (s->dir[0]) {
        char path[128];
        snprintf(path, sizeof path, "%s/api.sock", s->dir);
        unlink(path);
        rmdir(s->dir);
    }
    free(s);
    return 0;
}

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

static void nothing_that_two_readers_might_read_differently_is_read(void **state)
{
    struct stage *s = *state;
#define INSIDE "GET /v1/channels HTTP/1.1\r\nHost: t\r\n\r\n"
#define P "POST /v1/channels/a/messages HTTP/1.1\r\nHost: t\r\n"
#define G "GET /v1/channels HTTP/1.1\r\n"
    static const struct { const char *text; int status; } cases[] = {
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
    raise_curtain(s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client c = connect_client(s);
        say(&c, cases[i].text);
        bool head_only = !strncmp(cases[i].text, "HEAD", 4);
        struct answer a = take(&c, head_only);
        if (a.status != cases[i].status)
            fail_msg("%d instead of %d for %s", a.status, cases[i].status, cases[i].text);
        assert_non_null(strstr(a.head, "\r\nContent-Type: application/problem+json\r\n"));
        assert_non_null(strstr(a.head, "\r\nConnection: close\r\n"));
        answer_free(&a);
        expect_end(&c);
        hang_up(&c);
    }
    expect_no_call_but_this(s);
#undef INSIDE
#undef P
#undef G
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
        { "OPTIONS /v1/channels/a/messages", 204, "\r\nAllow: POST, GET, HEAD, OPTIONS\r\n" },
        { "OPTIONS *", 204, "\r\nAllow: " },
        { "OPTIONS /nothing", 404, NULL },
        { "DELETE /v1/channels", 405, "\r\nAllow: GET, HEAD, OPTIONS\r\n" },
        { "PUT /v1/channels/a/messages", 405, "\r\nAllow: POST, GET, HEAD, OPTIONS\r\n" },
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
    answer(s, &channels->call, 0);
    struct answer a = take(&c, false);
    assert_string_equal(a.body, "{\"data\":[{\"channel\":\"a/2+\",\"subscribers\":3,\"members\":2,\"messages\":2,\"bytes\":8,\"position\":\"aaaaaaab.7\",\"resumable\":true}],"
                                "\"next_cursor\":\"a/2+\"}\n");
    assert_non_null(strstr(a.head, "\r\nLink: </v1/channels?limit=1&prefix=a&cursor=a%2F2%2B>; rel=\"next\"\r\n"));
    answer_free(&a);
    hang_up(&c);
}

/* ---- who may ---- */

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

/* ---- ends ---- */

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

/* ---- addresses ---- */

static void a_unix_socket_is_taken_over_from_the_dead_and_never_from_the_living(void **state)
{
    struct stage *s = *state;
    char path[128], text[160], why[256] = "";
    strcpy(s->dir, "/tmp/carillon-test-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(path, sizeof path, "%s/api.sock", s->dir);
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

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, set_stage, clear_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(a_publish_becomes_a_call_with_the_bytes_that_were_sent),
        ON_STAGE(the_answer_to_a_publish_has_id_channel_time_and_subscribers),
        ON_STAGE(what_the_hub_refuses_is_told_with_status_and_retry),
        ON_STAGE(all_that_is_wrong_is_told_and_nothing_reaches_the_hub),
        ON_STAGE(pipelined_requests_are_all_under_way_at_once_and_answered_in_order),
        ON_STAGE(good_and_bad_requests_are_answered_in_the_order_they_were_sent),
        ON_STAGE(a_read_waits_for_the_writes_before_it_and_no_write_waits_for_a_read),
        ON_STAGE(more_requests_than_limits_pipeline_are_not_read_until_earlier_ones_are_answered),
        ON_STAGE(a_caller_with_too_much_under_way_gets_429_on_every_connection_and_others_do_not),
        ON_STAGE(large_bodies_under_way_are_bounded_too),
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
        ON_STAGE(head_options_and_unknown_methods_are_answered_as_they_should),
        ON_STAGE(a_page_of_messages_tells_gap_position_and_where_it_goes_on),
        ON_STAGE(a_page_of_channels_has_a_cursor_and_a_link),
        ON_STAGE(keys_and_access_decide_who_may),
        ON_STAGE(with_dev_a_page_of_another_host_may_not_use_the_api),
        ON_STAGE(a_key_that_was_taken_away_is_worth_nothing_on_an_open_connection),
        ON_STAGE(who_may_not_is_not_asked_for_a_body),
        ON_STAGE(a_client_that_leaves_does_not_disturb_what_is_at_the_hub),
        ON_STAGE(a_client_that_shuts_its_side_gets_its_answers),
        ON_STAGE(slow_heads_and_bodies_end_with_408_and_idle_connections_quietly),
        ON_STAGE(a_head_that_drips_is_not_given_more_time),
        ON_STAGE(empty_lines_for_ever_are_an_idle_connection),
        ON_STAGE(an_answer_that_is_not_taken_ends_the_connection),
        ON_STAGE(draining_answers_what_is_under_way_and_then_ends),
        ON_STAGE(stopping_with_calls_under_way_frees_everything),
        ON_STAGE(a_unix_socket_is_taken_over_from_the_dead_and_never_from_the_living),
        ON_STAGE(an_address_that_cannot_be_had_is_one_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

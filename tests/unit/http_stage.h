/* http_stage.h — the API's front over loopback, with a hub that is played by the test: it sees each call and answers when it likes. */
#pragma once
#define _GNU_SOURCE /* memmem, strcasestr */
#include "hub/base/clock.h"
#include "hub/access/authority.h"
#include "hub/base/err.h"
#include "hub/config/api_key.h"
#include "hub/config/config.h"
#include "tests/unit/own_dir.h"
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
    struct own_dir     dir;           /* made by tests that need one */
};

/* The next call; NULL: none came within `ms`. */
static inline struct call *next_call(struct stage *s, int ms)
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

static inline struct call *must_call(struct stage *s, uint32_t kind)
{
    struct call *call = next_call(s, WAIT_MS);
    if (!call)
        fail_msg("no call came");
    assert_int_equal(call->letter.kind, kind);
    assert_int_equal(call->from, PEER);
    return call;
}

static inline struct publish_call *must_publish(struct stage *s) { return (struct publish_call *)(void *)must_call(s, CALL_PUBLISH); }

static inline void answer(struct stage *s, struct call *call, int err)
{
    call->err = err;
    post_put(&s->to_front, &call->letter, 1);
    post_flush(&s->to_front);
}

static inline void answer_publish(struct stage *s, struct publish_call *publish)
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

static inline int port_of(const struct stage *s) { return atoi(strrchr(http_front_address(s->front), ':') + 1); }

static inline struct client connect_client(struct stage *s)
{
    struct client c = { .fd = socket(AF_INET, SOCK_STREAM, 0) };
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port_of(s)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_int_equal(connect(c.fd, (struct sockaddr *)&at, sizeof at), 0);
    return c;
}

static inline void say_bytes(struct client *c, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(c->fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0)
            return;     /* closed meanwhile: what came back tells */
        bytes += n;
        len -= (size_t)n;
    }
}

static inline void say(struct client *c, const char *text) { say_bytes(c, text, strlen(text)); }

static inline bool receive(struct client *c)
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

static inline char *copy_of(const char *at, size_t len)
{
    char *copy = malloc(len + 1);
    memcpy(copy, at, len);
    copy[len] = '\0';
    return copy;
}

static inline void answer_free(struct answer *a)
{
    free(a->head);
    free(a->body);
}

/* The next answer; status 0: the connection ended instead. `head_only`: it is one to HEAD. */
static inline struct answer take(struct client *c, bool head_only)
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

static inline void hang_up(struct client *c)
{
    close(c->fd);
    buf_fini(&c->in);
}

/* Takes one answer, which must have this status; keeps nothing of it. */
static inline void expect_status(struct client *c, int status)
{
    struct answer a = take(c, false);
    if (a.status != status)
        fail_msg("%d instead of %d: %s%s", a.status, status, a.head ? a.head : "", a.body ? a.body : "");
    answer_free(&a);
}

static inline void expect_end(struct client *c)
{
    struct answer a = take(c, false);
    if (a.status)
        fail_msg("an answer too many: %s", a.head);
    assert_true(c->ended);
    assert_int_equal(c->in.len, 0);
}

#define POST_TO(channel) "POST /v1/channels/" channel "/messages HTTP/1.1\r\nHost: t\r\n"

static inline void say_publish(struct client *c, const char *headers, const char *body)
{
    char text[4096];
    snprintf(text, sizeof text, POST_TO("news") "%sContent-Length: %zu\r\n\r\n%s", headers, strlen(body), body);
    say(c, text);
}

/* Everything sent before on other connections has been read when this one's publish is at the hub: the front is one thread. */
static inline void expect_no_call_but_this(struct stage *s)
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

static inline void set_config(struct stage *s)
{
    s->config = *config_defaults();
    s->authority = authority_new();
    s->config.dev = true;
    s->config.api_listen = (struct address){ .text = "127.0.0.1:0", .host = "127.0.0.1" };
}

static inline void raise_curtain(struct stage *s)
{
    char why[256] = "";
    assert_int_equal(mailbox_init(&s->hub, true), 0);
    if (http_front_new(&s->config, clock_real(), s->authority, &s->front, why, sizeof why))
        fail_msg("%s", why);
    http_front_connect(s->front, &s->hub, PEER);
    post_init(&s->to_front, http_front_mailbox(s->front), SIZE_MAX);
    assert_int_equal(http_front_start(s->front), 0);
}

static inline int set_stage(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    *state = s;
    set_config(s);
    return 0;
}

static inline int clear_stage(void **state)
{
    struct stage *s = *state;
    if (s->front) {
        http_front_stop(s->front);
        http_front_free(s->front);
        mailbox_fini(&s->hub);
    }
    authority_free(s->authority);
    own_dir_remove(&s->dir);
    free(s);
    return 0;
}

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, set_stage, clear_stage)

/* The link to a real redis-server: what happens to it, and what those are told who use it. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "redis/link/redis_link.h"
#include "tests/unit/redis_rig.h"

#include "hub/base/err.h"

#include <openssl/ssl.h>

struct world {
    struct redis_server server;
    struct event_base  *base;
    struct redis_url    url;
    struct redis_link  *link;
    unsigned            ups, downs, fails, replies, lost, pushes;
    char                why[200], last[200];
};

static void note(char *to, const char *text) { snprintf(to, 200, "%s", text); }

static void on_up(void *owner)                         { ((struct world *)owner)->ups++; }
static void on_down(void *owner, const char *why)      { ((struct world *)owner)->downs++; note(((struct world *)owner)->why, why); }
static void on_failed(void *owner, const char *why)    { ((struct world *)owner)->fails++; note(((struct world *)owner)->why, why); }
static void on_push(void *owner, const struct redisReply *reply)
{
    struct world *world = owner;
    world->pushes++;
    note(world->last, reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 && reply->element[2]->str ? reply->element[2]->str : "?");
}

static void on_reply(void *arg, const struct redisReply *reply)
{
    struct world *world = arg;
    if (!reply) {
        world->lost++;
        return;
    }
    world->replies++;
    note(world->last, reply->str ? reply->str : "");
}

static const struct redis_link_ops ops = { .up = on_up, .down = on_down, .failed = on_failed };
static const struct redis_link_ops listening = { .up = on_up, .down = on_down, .failed = on_failed, .push = on_push };

static void open_link(struct world *world, const char *url, const struct redis_link_ops *kind, struct ssl_ctx_st *tls)
{
    assert_null(redis_url_read(slice_of(url), &world->url));
    world->link = redis_link_new(&(struct redis_link_setup){ .base = world->base, .url = &world->url, .tls = tls, .client_name = "carillon:test",
                                 .connect_ms = 1000, .command_ms = 400, .ops = kind, .owner = world });
    assert_non_null(world->link);
    redis_link_open(world->link);
}

static void close_link(struct world *world)
{
    redis_link_free(world->link);
    redis_url_fini(&world->url);
    world->link = NULL;
}

static const char *unix_url(const struct world *world)
{
    static char url[200];
    snprintf(url, sizeof url, "unix:%s", world->server.socket);
    return url;
}

static const char *tcp_url(const char *form, const struct world *world)
{
    static char url[200];
    const char *port = strstr(form, "PORT");
    snprintf(url, sizeof url, "%.*s%u%s", (int)(port - form), form, world->server.port, port + 4);
    return url;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    signal(SIGPIPE, SIG_IGN);      /* as the hub does */
    world->base = event_base_new();
    redis_begin(&world->server, true, "");
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    close_link(world);
    redis_end(&world->server);
    event_base_loop(world->base, EVLOOP_NONBLOCK);
    event_base_free(world->base);
    free(world);
    return 0;
}

static void send_words(struct world *world, const char *a, const char *b, const char *c)
{
    struct slice args[3] = { slice_of(a), slice_of(b ? b : ""), slice_of(c ? c : "") };
    assert_int_equal(redis_link_send(world->link, args, c ? 3 : b ? 2 : 1, on_reply, world), 0);
}

static void commands_are_answered_in_order_whatever_way_leads_there(void **state)
{
    struct world *world = *state;
    const char *urls[] = { unix_url(world), tcp_url("redis://127.0.0.1:PORT/2", world), NULL };
    char localhost[100];
    snprintf(localhost, sizeof localhost, "redis://localhost:%u", world->server.port);
    urls[2] = localhost;
    for (size_t i = 0; i < 3; i++) {
        world->replies = world->ups = 0;
        open_link(world, urls[i], &ops, NULL);
        loop_until(world->base, &world->ups, 1);
        assert_int_equal(redis_link_state(world->link), REDIS_UP);
        for (unsigned k = 0; k < 3000; k++) {
            char text[16];
            snprintf(text, sizeof text, "n%u", k);
            send_words(world, "ECHO", text, NULL);
        }
        loop_until(world->base, &world->replies, 3000);
        assert_string_equal(world->last, "n2999");
        close_link(world);
    }
}

static void a_link_comes_back_and_says_what_was_lost(void **state)
{
    struct world *world = *state;
    open_link(world, unix_url(world), &ops, NULL);
    loop_until(world->base, &world->ups, 1);
    kill(world->server.pid, SIGSTOP);
    send_words(world, "SET", "a", "1");
    send_words(world, "SET", "b", "1");
    redis_stop(&world->server);
    loop_until(world->base, &world->downs, 1);
    assert_int_equal(world->lost, 2);
    struct slice ping = SLICE("PING");
    assert_int_equal(redis_link_send(world->link, &ping, 1, on_reply, world), ERR_REDIS_AWAY);
    loop_until(world->base, &world->fails, 1);
    assert_true(strlen(world->why) > 0);
    redis_run(&world->server, "");
    loop_until(world->base, &world->ups, 2);
    send_words(world, "PING", NULL, NULL);
    loop_until(world->base, &world->replies, 1);
}

static void a_server_that_does_not_answer_is_left(void **state)
{
    struct world *world = *state;
    open_link(world, tcp_url("redis://127.0.0.1:PORT", world), &ops, NULL);
    loop_until(world->base, &world->ups, 1);
    kill(world->server.pid, SIGSTOP);
    send_words(world, "PING", NULL, NULL);
    loop_until(world->base, &world->downs, 1);
    assert_int_equal(world->lost, 1);
    assert_non_null(strstr(world->why, ": it does not answer"));
    loop_until(world->base, &world->fails, 1);      /* it accepts, and does not greet */
    kill(world->server.pid, SIGCONT);
    loop_until(world->base, &world->ups, 2);
}

static void what_it_is_subscribed_to_is_pushed(void **state)
{
    struct world *world = *state;
    open_link(world, unix_url(world), &listening, NULL);
    loop_until(world->base, &world->ups, 1);
    struct slice subscribe[] = { SLICE("SUBSCRIBE"), SLICE("c") };
    assert_int_equal(redis_link_send(world->link, subscribe, 2, NULL, NULL), 0);
    loop_until(world->base, &world->pushes, 1);
    struct world *other = calloc(1, sizeof *other);
    other->base = world->base;
    other->server = world->server;
    open_link(other, unix_url(world), &ops, NULL);
    loop_until(world->base, &other->ups, 1);
    send_words(other, "PUBLISH", "c", "hello");
    loop_until(world->base, &world->pushes, 2);
    assert_string_equal(world->last, "hello");
    close_link(other);
    free(other);
}

static void a_replica_a_wrong_password_and_a_wrong_database_are_no_server(void **state)
{
    struct world *world = *state;
    const struct { const char *url, *says; } cases[] = {
        { "redis://127.0.0.1:PORT", "NOAUTH" },
        { "redis://:wrong@127.0.0.1:PORT", "WRONGPASS" },
        { "redis://:right@127.0.0.1:PORT/99", "out of range" },
        { "redis://127.0.0.1:PORT", "it is a replica, not a master" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (i == 0 || i == 3) {
            redis_stop(&world->server);
            redis_run(&world->server, i == 0 ? "--requirepass right" : "--replicaof 127.0.0.1 1");
        }
        world->fails = 0;
        open_link(world, tcp_url(cases[i].url, world), &ops, NULL);
        loop_until(world->base, &world->fails, 2);
        assert_non_null(strstr(world->why, cases[i].says));
        assert_int_equal(world->ups, 0);
        close_link(world);
    }
}

static void a_user_of_an_acl_comes_in_with_his_password(void **state)
{
    struct world *world = *state;
    redis_stop(&world->server);
    redis_run(&world->server, "--user hub on >p:w allcommands allkeys allchannels --user default off");
    open_link(world, tcp_url("redis://hub:p%3Aw@127.0.0.1:PORT", world), &ops, NULL);
    loop_until(world->base, &world->ups, 1);
}

static void a_name_that_nobody_knows_and_a_port_where_nobody_listens_are_told(void **state)
{
    struct world *world = *state;
    redis_stop(&world->server);
    open_link(world, tcp_url("redis://127.0.0.1:PORT", world), &ops, NULL);
    loop_until(world->base, &world->fails, 2);
    assert_non_null(strstr(world->why, ": Connection refused"));
    close_link(world);
    open_link(world, "redis://no-such-name.invalid", &ops, NULL);
    world->fails = 0;
    loop_until(world->base, &world->fails, 1);
    assert_non_null(strstr(world->why, "name"));
}

/* ---- TLS ---- */

static void make_certificate(const struct world *world)
{
    char command[600];
    snprintf(command, sizeof command, "cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key -out cert -days 2 "
             "-subj /CN=test -addext subjectAltName=DNS:localhost >/dev/null 2>&1", world->server.dir.path);
    assert_int_equal(system(command), 0);
}

static void over_tls_the_server_must_be_who_it_says(void **state)
{
    struct world *world = *state;
    char options[200], file[100];
    make_certificate(world);
    redis_stop(&world->server);
    uint16_t plain = world->server.port, secure = free_port();
    snprintf(options, sizeof options, "--tls-port %u --tls-cert-file cert --tls-key-file key --tls-ca-cert-file cert --tls-auth-clients no", secure);
    redis_run(&world->server, options);
    snprintf(file, sizeof file, "%s/cert", world->server.dir.path);
    SSL_CTX *trusts = SSL_CTX_new(TLS_client_method()), *knows_nobody = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_load_verify_locations(trusts, file, NULL), 1);

    const struct { const char *host; SSL_CTX *tls; const char *says; uint16_t port; } cases[] = {
        { "localhost", trusts, NULL, secure },
        { "localhost", knows_nobody, "its certificate is not trusted: self-signed", secure },
        { "127.0.0.1", trusts, "its certificate is not trusted: IP address mismatch", secure },
        { "127.0.0.1", trusts, "TLS handshake", plain },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char url[100];
        snprintf(url, sizeof url, "rediss://%s:%u", cases[i].host, cases[i].port);
        world->ups = world->fails = world->replies = 0;
        open_link(world, url, &ops, cases[i].tls);
        loop_until(world->base, cases[i].says ? &world->fails : &world->ups, 1);
        if (cases[i].says && !strstr(world->why, cases[i].says))
            fail_msg("%s: %s", url, world->why);
        for (unsigned k = 0; k < 500 && !cases[i].says; k++)
            send_words(world, "ECHO", "over TLS", NULL);
        loop_until(world->base, &world->replies, cases[i].says ? 0 : 500);
        close_link(world);
    }
    SSL_CTX_free(trusts);
    SSL_CTX_free(knows_nobody);
}

/* ---- Sentinels ---- */

static void after_a_failover_the_link_is_at_the_new_master(void **state)
{
    struct world *world = *state;
    struct redis_server replica, sentinel;
    char options[100], url[200];
    snprintf(options, sizeof options, "--replicaof 127.0.0.1 %u", world->server.port);
    redis_say(&world->server, "config set repl-diskless-sync-delay 0");
    redis_begin(&replica, true, options);
    redis_await_replica(&world->server);      /* a Sentinel that hears of it now need not ask again, which takes 10 s */
    sentinel_begin(&sentinel, &world->server);
    snprintf(url, sizeof url, "redis+sentinel://127.0.0.1:%u,127.0.0.1:%u/mymaster", free_port(), sentinel.port);
    open_link(world, url, &ops, NULL);
    loop_until(world->base, &world->ups, 1);      /* the first Sentinel is not there: the second is asked */
    send_words(world, "CONFIG", "GET", "port");
    loop_until(world->base, &world->replies, 1);
    sentinel_await_replica(&sentinel);
    redis_stop(&world->server);
    loop_until(world->base, &world->ups, 2);
    send_words(world, "SET", "a", "written to the new one");
    loop_until(world->base, &world->replies, 2);
    assert_string_equal(world->last, "OK");
    redis_end(&sentinel);
    redis_end(&replica);
}

/* One that was cut off names a server that is gone, for ever. */
static void a_sentinel_that_names_no_master_does_not_hold_up_the_others(void **state)
{
    struct world *world = *state;
    struct redis_server lost = { .port = free_port() }, cut_off, sentinel;
    char url[200];
    sentinel_begin(&cut_off, &lost);
    sentinel_begin(&sentinel, &world->server);
    snprintf(url, sizeof url, "redis+sentinel://127.0.0.1:%u,127.0.0.1:%u/mymaster", cut_off.port, sentinel.port);
    open_link(world, url, &ops, NULL);
    loop_until(world->base, &world->ups, 1);
    assert_true(world->fails >= 1);
    redis_end(&sentinel);
    redis_end(&cut_off);
}

static void send_again(void *arg, const struct redisReply *reply)
{
    struct world *world = arg;
    struct slice ping[] = { SLICE("PING") };
    assert_null(reply);
    world->lost++;
    assert_int_equal(redis_link_send(world->link, ping, 1, on_reply, world), ERR_REDIS_AWAY);
}

static void who_hears_that_a_reply_is_lost_cannot_send_on_the_link_that_lost_it(void **state)
{
    struct world *world = *state;
    struct slice sleep[] = { SLICE("BLPOP"), SLICE("nothing"), SLICE("0") };
    open_link(world, unix_url(world), &ops, NULL);
    loop_until(world->base, &world->ups, 1);
    assert_int_equal(redis_link_send(world->link, sleep, 3, send_again, world), 0);
    redis_link_again(world->link, "the test wants it");
    assert_int_equal(world->lost, 1);
    loop_until(world->base, &world->ups, 2);
}

/* Freed in every state it can be in. */
static void a_link_may_end_at_any_time(void **state)
{
    struct world *world = *state;
    char url[100];
    snprintf(url, sizeof url, "redis://localhost:%u", world->server.port);
    for (int turns = 0; turns < 12; turns++) {
        open_link(world, url, &ops, NULL);
        for (int i = 0; i < turns; i++)
            event_base_loop(world->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        close_link(world);
    }
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_WORLD(commands_are_answered_in_order_whatever_way_leads_there),
        IN_WORLD(a_link_comes_back_and_says_what_was_lost),
        IN_WORLD(a_server_that_does_not_answer_is_left),
        IN_WORLD(what_it_is_subscribed_to_is_pushed),
        IN_WORLD(a_replica_a_wrong_password_and_a_wrong_database_are_no_server),
        IN_WORLD(a_user_of_an_acl_comes_in_with_his_password),
        IN_WORLD(a_name_that_nobody_knows_and_a_port_where_nobody_listens_are_told),
        IN_WORLD(over_tls_the_server_must_be_who_it_says),
        IN_WORLD(after_a_failover_the_link_is_at_the_new_master),
        IN_WORLD(a_sentinel_that_names_no_master_does_not_hold_up_the_others),
        IN_WORLD(who_hears_that_a_reply_is_lost_cannot_send_on_the_link_that_lost_it),
        IN_WORLD(a_link_may_end_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

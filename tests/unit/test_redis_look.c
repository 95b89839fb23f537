/* A link through Sentinels does not stay with a server that takes writes but is the master no more: one that stood still while another
 * was promoted, or was cut off with some of the hubs. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "redis/link/redis_link.h"
#include "tests/unit/redis_rig.h"

struct world {
    struct event_base  *base;
    struct redis_server a, b, sentinel;      /* a and b: both take writes, neither knows of the other */
    struct redis_url    url;
    struct redis_link  *link;
    unsigned            ups, downs, replies;
    char                why[200], last[64];
};

static void on_up(void *owner) { ((struct world *)owner)->ups++; }
static void on_down(void *owner, const char *why)
{
    struct world *world = owner;
    world->downs++;
    snprintf(world->why, sizeof world->why, "%s", why);
}
static void on_failed(void *owner, const char *why) { (void)owner, (void)why; }
static const struct redis_link_ops ops = { .up = on_up, .down = on_down, .failed = on_failed };

static void on_reply(void *arg, const struct redisReply *reply)
{
    struct world *world = arg;
    world->replies++;
    snprintf(world->last, sizeof world->last, "%s", reply && reply->str ? reply->str : "");
}

static void say(const struct redis_server *server, const char *words)
{
    char command[300];
    snprintf(command, sizeof command, "redis-cli -s %s %s >/dev/null", server->socket, words);
    assert_int_equal(system(command), 0);
}

static void name_master(const struct world *world, const struct redis_server *server)
{
    char words[100];
    say(&world->sentinel, "sentinel remove mymaster");
    snprintf(words, sizeof words, "sentinel monitor mymaster 127.0.0.1 %u 1", server->port);
    say(&world->sentinel, words);
}

static void ask_who(struct world *world)
{
    struct slice get[] = { SLICE("GET"), SLICE("who") };
    unsigned replies = world->replies;
    assert_int_equal(redis_link_send(world->link, get, 2, on_reply, world), 0);
    loop_until(world->base, &world->replies, replies + 1);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    char url[100];
    signal(SIGPIPE, SIG_IGN);      /* as the hub does */
    world->base = event_base_new();
    redis_begin(&world->a, true, "");
    redis_begin(&world->b, true, "");
    say(&world->a, "set who a");
    say(&world->b, "set who b");
    sentinel_begin(&world->sentinel, &world->a);
    snprintf(url, sizeof url, "redis+sentinel://127.0.0.1:%u/mymaster", world->sentinel.port);
    assert_null(redis_url_read(slice_of(url), &world->url));
    world->link = redis_link_new(&(struct redis_link_setup){ .base = world->base, .url = &world->url, .client_name = "carillon:test",
                                 .connect_ms = 1000, .command_ms = 1000, .ops = &ops, .owner = world });
    redis_link_open(world->link);
    loop_until(world->base, &world->ups, 1);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    redis_link_free(world->link);
    redis_url_fini(&world->url);
    redis_end(&world->sentinel);
    redis_end(&world->a);
    redis_end(&world->b);
    event_base_loop(world->base, EVLOOP_NONBLOCK);
    event_base_free(world->base);
    free(world);
    return 0;
}

static void a_server_that_is_the_master_no_more_is_left_though_it_works(void **state)
{
    struct world *world = *state;
    ask_who(world);
    assert_string_equal(world->last, "a");
    name_master(world, &world->b);
    loop_until(world->base, &world->ups, 2);
    assert_non_null(strstr(world->why, "the Sentinels name another master"));
    ask_who(world);
    assert_string_equal(world->last, "b");
}

static void wait_for_a_look(struct world *world)
{
    for (int64_t end = clock_mono_ms(clock_real()) + REDIS_LOOK_MS + 300; clock_mono_ms(clock_real()) < end; )
        loop_once(world->base);
}

/* The link is lost while a look is under way, and that one fails before the next try. */
static void what_a_look_brings_after_the_link_was_lost_counts_no_more(void **state)
{
    struct world *world = *state;
    kill(world->sentinel.pid, SIGSTOP);
    wait_for_a_look(world);
    redis_stop(&world->a);
    loop_until(world->base, &world->downs, 1);
    redis_stop(&world->sentinel);
    for (int i = 0; i < 20; i++)
        loop_once(world->base);
    redis_run(&world->a, "");
    redis_run(&world->sentinel, "");
    loop_until(world->base, &world->ups, 2);
    redis_stop(&world->sentinel);
    wait_for_a_look(world);
    assert_int_equal(world->downs, 1);      /* nobody to ask is no reason to leave */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_server_that_is_the_master_no_more_is_left_though_it_works, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_look_brings_after_the_link_was_lost_counts_no_more, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A node whose listener was lost, is too slow or hears nothing: what it has missed comes, in order, or its readers are told to be behind. */
#define _GNU_SOURCE     /* own_dir.h, ppoll */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/redis_proxy.h"

static void a_subscriber_that_is_killed_misses_nothing(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    uint64_t seqs[6];
    open_nodes(world, 2);
    watch(b, "c");
    watch(b, "p.*");
    seqs[0] = publish(a, "c", "x");
    assert_came(world, b, seqs, 1);
    kill_listeners(world);
    for (unsigned i = 1; i < 5; i++)
        seqs[i] = publish(a, i % 2 ? "c" : "p.q", "x");      /* also by a node whose own listener is gone */
    wait_back(world, b);
    assert_came(world, b, seqs, 5);      /* before live() */
    wait_live(world);
    seqs[5] = publish(a, "c", "x");
    assert_came(world, b, seqs, 6);
    assert_int_equal(b->behinds, 0);
    assert_non_null(strstr(b->why, "it closed the connection"));
}

static void a_subscriber_that_reads_too_slowly_for_redis_misses_nothing(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    uint64_t seqs[60];
    char text[40001];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    open_nodes(world, 2);
    watch(b, "c");
    world->config.general_rule.history_bytes = 1 << 30;
    redis_say(&world->server, "config set client-output-buffer-limit 'pubsub 200kb 0 0'");
    for (unsigned i = 0; i < 60; i++)
        seqs[i] = publish(a, "c", text);      /* b reads nothing meanwhile, and is thrown out */
    world_until(world, &b->lives, 2);      /* which is told behind the last one that was missed */
    assert_came(world, b, seqs, 60);
    assert_int_equal(b->behinds, 0);
}

static void what_history_has_given_up_meanwhile_is_told(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    world->config.general_rule.history_size = 2;
    open_nodes(world, 2);
    const char *channels[] = { "c", "enough", "off.c", "off.quiet" };
    for (unsigned i = 0; i < 4; i++) {
        watch(b, channels[i]);
        publish(a, channels[i], "x");
    }
    world_until(world, &b->n_came, 4);
    kill_listeners(world);
    uint64_t seqs[4] = { publish(a, "c", "given up"), publish(a, "c", "x"), publish(a, "c", "x"), publish(a, "enough", "x") };
    publish(a, "off.c", "not kept");
    wait_back(world, b);
    assert_int_equal(b->n_came, 7);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(b->came[4 + i]->seq, seqs[1 + i]);
    assert_int_equal(b->behinds, 2);
    assert_int_equal(b->behind_all, 0);
    assert_string_equal(b->behind, "off.c");
    assert_int_equal(redis_bus_head(b->bus).seq, seqs[3] + 1);
}

static void over_a_pattern_too_it_is_told_what_was_given_up(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    world->config.general_rule.history_size = 2;
    open_nodes(world, 2);
    watch(b, "p.*");
    watch(b, "q.*");
    kill_listeners(world);
    for (unsigned i = 0; i < 3; i++)
        publish(a, "p.new", "x");
    publish(a, "q.new", "x");
    wait_back(world, b);
    assert_int_equal(b->n_came, 3);
    assert_int_equal(b->behinds, 1);
    assert_string_equal(b->behind, "p.*");
}

static void more_than_can_be_collected_is_left_to_each_reader(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    enum { EACH = 512 * 1024, TIMES = REDIS_FILL_BYTES / EACH + 1 };
    char *text = calloc(1, EACH + 1);
    memset(text, 'x', EACH);
    world->config.general_rule.history_bytes = 1 << 30;
    open_nodes(world, 2);
    watch(b, "c");
    kill_listeners(world);
    uint64_t last = 0;
    for (unsigned i = 0; i < TIMES; i++)
        last = publish(a, "c", text);
    wait_back(world, b);
    assert_int_equal(b->behind_all, 1);
    assert_int_equal(b->n_came, 0);
    assert_int_equal(redis_bus_head(b->bus).seq, last);
    wait_live(world);
    publish(a, "c", "x");
    world_until(world, &b->n_came, 1);
    free(text);
}

static void many_channels_are_subscribed_and_filled_in_few_commands(void **state)
{
    enum { MANY = 3000, SOME = 50 };
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    static struct watch_call calls[MANY];
    static char names[MANY][16];
    uint64_t seqs[SOME];
    open_nodes(world, 2);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "c.%u", i);
        calls[i] = (struct watch_call){ .call.err = UNANSWERED, .channel = slice_of(names[i]) };
        redis_bus_subscribe(b->bus, &calls[i]);
    }
    world_until(world, &b->answers, MANY);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(calls[i].call.err, 0);
    kill_listeners(world);
    for (unsigned i = 0; i < SOME; i++)
        seqs[i] = publish(a, names[i * 7919 % MANY], "x");
    int64_t began = clock_mono_ms(clock_real());
    wait_back(world, b);
    print_message("%u channels were back after %lld ms\n", MANY, (long long)(clock_mono_ms(clock_real()) - began));
    assert_came(world, b, seqs, SOME);
    assert_int_equal(b->behinds, 0);
}

/* It cannot be proved any more by what the index holds, and need not be: the server is the one it was. */
static void a_node_that_was_away_for_longer_than_the_index_reaches_comes_back(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    world->index_length = 100;
    open_nodes(world, 2);
    watch(b, "c");
    uint64_t one = publish(a, "c", "x"), last = 0;
    world_until(world, &b->n_came, 1);
    kill_listeners(world);
    for (unsigned i = 0; i < 400; i++)
        last = publish(a, "other", "x");
    last = publish(a, "c", "x");
    wait_back(world, b);
    assert_came(world, b, (uint64_t[]){ one, last }, 2);
    assert_int_equal(a->live_head.epoch, b->live_head.epoch);
    assert_int_equal(b->behinds, 0);
}

/* Both connections stand, and what Redis says to the listener comes nowhere: nothing but the heartbeat can see it. */
static void a_listener_that_hears_nothing_is_given_up(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    struct proxy proxy;
    node_open(world, b);
    proxy_begin(&proxy, world, a);
    node_open(world, a);
    wait_live(world);
    watch(a, "c");
    uint64_t seqs[3] = { publish(b, "c", "x") };
    assert_came(world, a, seqs, 1);
    proxy.mute = true;      /* what listens now; what comes later is heard */
    seqs[1] = publish(b, "c", "into the void");
    world_until(world, &a->aways, 1);
    assert_non_null(strstr(a->why, "deaf"));
    world_until(world, &a->lives, 2);
    wait_live(world);
    seqs[2] = publish(b, "c", "x");
    assert_came(world, a, seqs, 3);
    assert_int_equal(b->aways, 0);
    proxy_end(&proxy);
    node_close(a);
}

static void a_user_that_may_not_listen_is_told_so(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    open_nodes(world, 1);
    redis_say(&world->server, "acl setuser default resetchannels '&t:{0}:m:*'");
    world_until(world, &a->aways, 1);
    WORLD_UNTIL(world, strstr(redis_bus_why(a->bus), "NOPERM"));
    redis_say(&world->server, "acl setuser default allchannels");
    wait_live(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(a_subscriber_that_is_killed_misses_nothing),
        ON_BUS(a_subscriber_that_reads_too_slowly_for_redis_misses_nothing),
        ON_BUS(what_history_has_given_up_meanwhile_is_told),
        ON_BUS(over_a_pattern_too_it_is_told_what_was_given_up),
        ON_BUS(more_than_can_be_collected_is_left_to_each_reader),
        ON_BUS(many_channels_are_subscribed_and_filled_in_few_commands),
        ON_BUS(a_node_that_was_away_for_longer_than_the_index_reaches_comes_back),
        ON_BUS(a_listener_that_hears_nothing_is_given_up),
        ON_BUS(a_user_that_may_not_listen_is_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

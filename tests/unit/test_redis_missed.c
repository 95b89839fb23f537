/* After a lost listener only channels that have had messages are asked for, when the index can tell (EXACT.md 19). */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/redis_bus_rig.h"

enum { MANY = 3000 };

static char names[MANY][16];

/* How often Redis has looked into a stream so far. */
static unsigned long stream_reads(const struct redis_server *server)
{
    char ask[600];
    unsigned long calls = 0;
    snprintf(ask, sizeof ask, "redis-cli -s %s info commandstats | sed -n 's/^cmdstat_xrange:calls=\\([0-9]*\\).*/\\1/p'", server->socket);
    FILE *said = popen(ask, "r");
    assert_non_null(said);
    assert_int_equal(fscanf(said, "%lu", &calls), 1);
    pclose(said);
    return calls;
}

static void watch_many(struct world *world, struct node *node, unsigned n)
{
    static struct watch_call calls[MANY];
    unsigned answers = node->answers;
    for (unsigned i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "c.%u", i);
        calls[i] = (struct watch_call){ .call.err = UNANSWERED, .channel = slice_of(names[i]) };
        redis_bus_subscribe(node->bus, &calls[i]);
    }
    world_until(world, &node->answers, answers + n);
}

static void assert_came_in_order(struct world *world, struct node *node, const uint64_t *seqs, unsigned n)
{
    world_until(world, &node->n_came, n);
    assert_int_equal(node->n_came, n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(node->came[i]->seq, seqs[i]);
    assert_int_equal(node->behinds, 0);
}

static void of_many_channels_those_are_asked_for_that_have_missed_something(void **state)
{
    enum { SOME = 50 };
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    uint64_t seqs[SOME];
    open_nodes(world, 2);
    watch_many(world, b, MANY);
    publish(a, "other", "makes the script known");
    redis_say(&world->server, "client kill type pubsub");
    for (unsigned i = 0; i < SOME; i++)
        seqs[i] = publish(a, names[i * 7919 % 40], "x");      /* some of them twice */
    unsigned long before = stream_reads(&world->server);
    world_until(world, &b->lives, 2);
    assert_came_in_order(world, b, seqs, SOME);
    assert_true(stream_reads(&world->server) - before < MANY / 10);
}

static void when_more_was_missed_than_there_are_channels_all_are_asked_for(void **state)
{
    enum { CHANNELS = 200, BETWEEN = 4096 - 50, SOME = 100 };
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    uint64_t seqs[SOME];
    open_nodes(world, 2);
    watch_many(world, b, CHANNELS);
    redis_say(&world->server, "client kill type pubsub");
    static struct publish_call calls[BETWEEN];
    unsigned answers = a->answers;
    for (unsigned i = 0; i < BETWEEN; i++) {
        calls[i] = publish_call("other", "x");
        publish_soon(a, &calls[i]);
    }
    world_until(world, &a->answers, answers + BETWEEN);
    for (unsigned i = 0; i < SOME; i++)
        seqs[i] = publish(a, names[i], "x");
    world_until(world, &b->lives, 2);
    assert_came_in_order(world, b, seqs, SOME);
}

static void when_the_index_does_not_reach_back_all_are_asked_for(void **state)
{
    enum { CHANNELS = 200, SOME = 100 };
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    uint64_t seqs[SOME];
    open_nodes(world, 2);
    watch_many(world, b, CHANNELS);
    redis_say(&world->server, "client kill type pubsub");
    for (unsigned i = 0; i < SOME; i++)
        seqs[i] = publish(a, names[i], "x");
    redis_say(&world->server, "xtrim 't:{0}:index' maxlen 10");
    world_until(world, &b->lives, 2);
    assert_came_in_order(world, b, seqs, SOME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(of_many_channels_those_are_asked_for_that_have_missed_something),
        ON_BUS(when_more_was_missed_than_there_are_channels_all_are_asked_for),
        ON_BUS(when_the_index_does_not_reach_back_all_are_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

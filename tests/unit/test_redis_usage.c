/* What the data in Redis takes, and what happens when Redis throws some of it away. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/metrics.h"
#include "redis/parts/redis_usage.h"
#include "tests/unit/redis_bus_rig.h"

static struct redis_usage usages[NODES];

static void open_with_usage(struct world *world, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        node_make(world, &world->nodes[i]);
        redis_usage_init(&usages[i], world->nodes[i].bus);
        redis_bus_open(world->nodes[i].bus);
    }
    wait_live(world);
}

static void close_with_usage(struct world *world, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        node_close(&world->nodes[i]);
        redis_usage_fini(&usages[i]);
    }
}

/* It looks, and has its answer. */
static void look(struct world *world, struct redis_usage *usage)
{
    while (usage->asking)
        world_turn(world);
    for (unsigned i = 0; i < REDIS_USAGE_S; i++)
        usage->part.tick(&usage->part);
    assert_true(usage->asking);
    while (usage->asking)
        world_turn(world);
}

static void what_it_takes_is_told(void **state)
{
    struct world *world = *state;
    open_with_usage(world, 1);
    for (int i = 0; i < 10; i++)
        publish(&world->nodes[0], "c", "x");
    look(world, &usages[0]);
    assert_int_equal(usages[0].index, 11);      /* and the epoch's beginning */
    assert_int_equal(metric_sum(METRIC_redis_index), 11);
    assert_true(usages[0].memory > 0);
    assert_int_equal(usages[0].limit, 0);
    assert_false(usages[0].may_evict);
    redis_say(&world->server, "config set maxmemory 1gb");
    redis_say(&world->server, "config set maxmemory-policy volatile-ttl");
    look(world, &usages[0]);
    assert_int_equal(metric_sum(METRIC_redis_limit), 1 << 30);
    assert_int_equal(metric_sum(METRIC_redis_may_evict), 1);
    redis_say(&world->server, "config set maxmemory-policy noeviction");
    look(world, &usages[0]);
    assert_int_equal(metric_sum(METRIC_redis_may_evict), 0);
    close_with_usage(world, 1);
    assert_int_equal(metric_sum(METRIC_redis_index), 0);
}

/* All keys that end by themselves go: what is known of channels is among them, the head is not. */
static void evict(struct world *world)
{
    redis_say(&world->server, "config set maxmemory-policy volatile-lru");
    redis_say(&world->server, "config set maxmemory 1");
    redis_say(&world->server, "set anything 1");
    redis_say(&world->server, "config set maxmemory 0");
}

static void what_was_thrown_away_is_a_gap_for_all_and_told_once(void **state)
{
    struct world *world = *state;
    open_with_usage(world, 2);
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    watch(b, "c");
    publish(a, "c", "x");
    uint64_t before = redis_bus_head(b->bus).epoch;
    look(world, &usages[0]);
    look(world, &usages[1]);
    evict(world);
    look(world, &usages[0]);
    assert_true(metric_sum(METRIC_redis_evicted) > 0);
    world_until(world, &a->behind_all, 1);
    world_until(world, &b->behind_all, 1);
    wait_live(world);
    uint64_t after = redis_bus_head(b->bus).epoch;
    assert_int_not_equal(after, before);
    assert_int_equal(redis_bus_head(a->bus).epoch, after);
    look(world, &usages[0]);
    look(world, &usages[1]);
    wait_live(world);
    assert_int_equal(redis_bus_head(a->bus).epoch, after);      /* not again for the same */
    uint64_t next = publish(a, "c", "y");
    world_until(world, &b->n_came, 2);
    assert_int_equal(b->came[1]->seq, next);
    close_with_usage(world, 2);
}

static void the_count_may_be_thrown_away_too(void **state)
{
    struct world *world = *state;
    open_with_usage(world, 1);
    struct node *a = &world->nodes[0];
    publish(a, "c", "x");
    uint64_t before = redis_bus_head(a->bus).epoch;
    look(world, &usages[0]);
    evict(world);
    redis_say(&world->server, "del 't:{0}:evicted'");
    look(world, &usages[0]);
    world_until(world, &a->behind_all, 1);
    wait_live(world);
    assert_int_not_equal(redis_bus_head(a->bus).epoch, before);
    close_with_usage(world, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(what_it_takes_is_told),
        ON_BUS(what_was_thrown_away_is_a_gap_for_all_and_told_once),
        ON_BUS(the_count_may_be_thrown_away_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

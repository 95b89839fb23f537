/* What nodes are subscribed to, when readers come and go while Redis is away. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/redis_bus_rig.h"

/* Nobody wants it when the node is back, so nothing will ever confirm it. */
static void a_pattern_that_lost_its_last_reader_while_redis_was_away_is_not_waited_for(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    open_nodes(world, 1);
    watch(a, "orders.*");
    watch(a, "c");
    redis_stop(&world->server);
    world_until(world, &a->aways, 1);
    redis_bus_unsubscribe(a->bus, SLICE("orders.*"));
    redis_run(&world->server, "");
    world_until(world, &a->lives, 2);
    uint64_t one = publish(a, "c", "x");
    world_until(world, &a->n_came, 1);
    assert_int_equal(a->came[0]->seq, one);
    watch(a, "orders.*");
    publish(a, "orders.eu", "x");
    world_until(world, &a->n_came, 2);
}

static void a_channel_that_lost_its_last_reader_while_redis_was_away_is_not_subscribed_to(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    char ask[200];
    open_nodes(world, 1);
    watch(a, "c");
    redis_stop(&world->server);
    world_until(world, &a->aways, 1);
    redis_bus_unsubscribe(a->bus, SLICE("c"));
    redis_run(&world->server, "");
    world_until(world, &a->lives, 2);
    snprintf(ask, sizeof ask, "test $(redis-cli -s %s pubsub numsub 't:{0}:m:c' | tail -1) = 0", world->server.socket);
    assert_int_equal(system(ask), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(a_pattern_that_lost_its_last_reader_while_redis_was_away_is_not_waited_for),
        ON_BUS(a_channel_that_lost_its_last_reader_while_redis_was_away_is_not_subscribed_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Who is there, who has died, and who takes out what the dead have left; on a real Redis. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/redis_nodes_rig.h"

/* Counts what a watcher is told; takes its time with burials when `slow`. */
static struct digger {
    struct redis_nodes_watcher watcher;
    struct redis_nodes *nodes;
    bool     slow;
    unsigned held, news, burials;
    char     lease[REDIS_LEASE_NAME];
} diggers[NODES];

static void on_held(struct redis_nodes_watcher *watcher, bool is_new, uint64_t changes)
{
    struct digger *digger = (struct digger *)watcher;
    digger->held++;
    digger->news += is_new;
    assert_int_equal(changes, 0);
}

static void on_bury(struct redis_nodes_watcher *watcher, const char *lease)
{
    struct digger *digger = (struct digger *)watcher;
    digger->burials++;
    snprintf(digger->lease, sizeof digger->lease, "%s", lease);
    if (!digger->slow)
        redis_nodes_buried(digger->nodes, lease, true);
}

static void begin(struct world *world, unsigned i)
{
    known_begin(world, i, LEASE_MS);
    diggers[i] = (struct digger){ .watcher = { .held = on_held, .bury = on_bury }, .nodes = &knows[i].nodes };
    redis_nodes_watch(&knows[i].nodes, &diggers[i].watcher);
    redis_bus_open(world->nodes[i].bus);
}

static void begin_all(struct world *world)
{
    for (unsigned i = 0; i < NODES; i++)
        begin(world, i);
    for (unsigned i = 0; i < NODES; i++)
        until_known(world, i, 7);
}

static void every_node_knows_all_others_and_what_they_say(void **state)
{
    struct world *world = *state;
    begin_all(world);
    const struct redis_node *list;
    size_t n = redis_nodes_list(&knows[1].nodes, &list);
    uint64_t numbers = 0, expected = 0;
    for (unsigned i = 0; i < NODES; i++)
        expected += redis_bus_node(world->nodes[i].bus);
    for (size_t i = 0; i < n; i++)
        numbers += list[i].number;
    assert_int_equal(numbers, expected);
    for (unsigned i = 0; i < NODES; i++)
        assert_int_equal(diggers[i].news, 1);
}

static void a_clean_stop_is_known_at_once_and_leaves_nothing(void **state)
{
    struct world *world = *state;
    begin_all(world);
    redis_nodes_leave(&knows[2].nodes);
    until_known(world, 0, 3);
    assert_true(redis_nodes_left(&knows[2].nodes));
    assert_int_equal(diggers[0].burials + diggers[1].burials, 0);      /* it had said nothing under its lease */
    redis_says(&world->server, "hlen t:{0}:nodes", "2");
    redis_says(&world->server, "zcard t:{0}:leases", "2");
    redis_says(&world->server, "exists t:{0}:burials", "0");
}

static void a_node_that_was_killed_is_buried_by_one_and_if_that_dies_too_by_another(void **state)
{
    struct world *world = *state;
    begin_all(world);
    char lease[REDIS_LEASE_NAME];
    snprintf(lease, sizeof lease, "%s", redis_nodes_lease(&knows[2].nodes));
    diggers[0].slow = diggers[1].slow = true;
    known_end(world, 2);
    expire(world, lease);
    until_known(world, 0, 3);
    until_known(world, 1, 3);
    WORLD_UNTIL(world, diggers[0].burials + diggers[1].burials != 0);
    unsigned first = diggers[0].burials ? 0 : 1, other = 1 - first;
    assert_string_equal(diggers[first].lease, lease);
    redis_say(&world->server, "eval 'redis.call(\"zincrby\", \"t:{0}:burials\", -9000, redis.call(\"zrange\", \"t:{0}:burials\", 0, 0)[1])' 0");      /* a second of its claim is left */
    uint64_t beats = knows[other].nodes.beats;
    while (knows[other].nodes.beats < beats + 2)
        world_turn(world);
    assert_int_equal(diggers[other].burials, 0);      /* while it lives it has it for its own */
    diggers[other].slow = false;
    char heir[REDIS_LEASE_NAME];
    snprintf(heir, sizeof heir, "%s", redis_nodes_lease(&knows[first].nodes));
    known_end(world, first);
    expire(world, lease);
    expire(world, heir);
    world_until(world, &diggers[other].burials, 2);      /* the dead one's, and what it had for its work */
    WORLD_UNTIL(world, !knows[other].nodes.burying[0]);
    redis_says(&world->server, "exists t:{0}:burials", "0");
}

static void a_node_that_comes_back_within_its_lease_has_it_still(void **state)
{
    struct world *world = *state;
    begin_all(world);
    char lease[REDIS_LEASE_NAME];
    snprintf(lease, sizeof lease, "%s", redis_nodes_lease(&knows[0].nodes));
    redis_say(&world->server, "client kill type normal");
    redis_say(&world->server, "client kill type pubsub");
    world_until(world, &diggers[0].held, 2);
    assert_int_equal(diggers[0].news, 1);
    assert_string_equal(lease, redis_nodes_lease(&knows[0].nodes));
}

static void who_was_cut_off_for_longer_takes_another_one(void **state)
{
    struct world *world = *state;
    begin_all(world);
    char lease[REDIS_LEASE_NAME];
    snprintf(lease, sizeof lease, "%s", redis_nodes_lease(&knows[0].nodes));
    struct event_base *base = world->nodes[0].base;
    world->nodes[0].base = NULL;      /* it does not run */
    expire(world, lease);
    until_known(world, 1, 6);
    while (diggers[1].burials + diggers[2].burials == 0)
        world_turn(world);
    world->nodes[0].base = base;
    world_until(world, &diggers[0].news, 2);
    assert_string_not_equal(lease, redis_nodes_lease(&knows[0].nodes));
    until_known(world, 1, 7);
}

static void when_redis_has_lost_everything_all_take_other_leases_and_nobody_is_buried(void **state)
{
    struct world *world = *state;
    begin_all(world);
    redis_say(&world->server, "flushall");
    for (unsigned i = 0; i < NODES; i++)
        world_until(world, &diggers[i].news, 2);
    for (unsigned i = 0; i < NODES; i++)
        until_known(world, i, 7);
    assert_int_equal(diggers[0].burials + diggers[1].burials + diggers[2].burials, 0);
}

/* As after an hour in which Redis, or all nodes, were away. */
static void time_in_which_nobody_beats_ends_no_lease(void **state)
{
    struct world *world = *state;
    begin_all(world);
    redis_say(&world->server, "eval 'local p = redis.call(\"get\", \"t:{0}:pulse\") local l, a, c = struct.unpack(\"<ddd\", p) redis.call(\"set\", \"t:{0}:pulse\", struct.pack(\"<ddd\", l - 3600000, a, c))' 0");
    redis_say(&world->server, "client kill type normal");
    for (unsigned i = 0; i < NODES; i++)
        world_until(world, &diggers[i].held, 2);
    for (unsigned i = 0; i < NODES; i++) {
        until_known(world, i, 7);
        assert_int_equal(diggers[i].news, 1);
        assert_int_equal(diggers[i].burials, 0);
    }
}

#define ON_NODES(test) cmocka_unit_test_setup_teardown(test, bus_set_up, known_tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_NODES(every_node_knows_all_others_and_what_they_say),
        ON_NODES(a_clean_stop_is_known_at_once_and_leaves_nothing),
        ON_NODES(a_node_that_was_killed_is_buried_by_one_and_if_that_dies_too_by_another),
        ON_NODES(a_node_that_comes_back_within_its_lease_has_it_still),
        ON_NODES(who_was_cut_off_for_longer_takes_another_one),
        ON_NODES(when_redis_has_lost_everything_all_take_other_leases_and_nobody_is_buried),
        ON_NODES(time_in_which_nobody_beats_ends_no_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Records under whatever happens: changes on any node between flushes, old dumps, lost links, restarts of Redis and of a node. Afterwards all
 * nodes and Redis have what was acknowledged last. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/shelf_rig.h"

enum { STEPS = 120, SOME_KEYS = 6 };

struct run {
    struct world *world;
    uint64_t      chance;
    unsigned      expected[SOME_KEYS];
};

static unsigned below(struct run *run, unsigned n)
{
    run->chance ^= run->chance << 13;
    run->chance ^= run->chance >> 7;
    run->chance ^= run->chance << 17;
    return (unsigned)(run->chance % n);
}

/* As it is told to who asked; not until it is in force everywhere: whatever comes next may come before that. But one of the two nodes
 * that stay has heard of it: what nobody knows any more is lost with Redis's data. */
static void step_change(struct run *run)
{
    unsigned node = below(run, NODES), key = below(run, SOME_KEYS), add = below(run, 3);
    struct shelf *shelf = &shelves[node];
    if (shelf->n_loaded == 0 || change(run->world, shelf, key, add))
        return;
    run->expected[key] = shelf->numbers[key];
    WORLD_UNTIL(run->world, shelves[0].numbers[key] == shelf->numbers[key]);
}

static void step_lose_links(struct run *run)
{
    static const char *const kinds[] = { "client kill type pubsub", "client kill type normal" };
    redis_say(&run->world->server, kinds[below(run, 2)]);
}

static void step_flush(struct run *run) { redis_say(&run->world->server, "flushall"); }
static void step_save(struct run *run)  { redis_say(&run->world->server, "eval \"if redis.call('exists','t:{0}:records')==1 then redis.call('copy','t:{0}:records','old','replace') end\" 0"); }

static void step_old_dump(struct run *run)
{
    redis_say(&run->world->server, "eval \"if redis.call('exists','old')==1 then redis.call('copy','old','t:{0}:records','replace') end\" 0");
    redis_say(&run->world->server, "client kill type pubsub");
}

static void step_restart_redis(struct run *run)
{
    redis_stop(&run->world->server);
    redis_run(&run->world->server, "");
}

static void step_restart_node(struct run *run)
{
    close_shelf(run->world, 2);
    node_close(&run->world->nodes[2]);
    open_shelf(run->world, 2);
}

static void step_pass(struct run *run) { world_pass(run->world, below(run, 30)); }

static void (*const steps[])(struct run *) = {
    step_change, step_change, step_change, step_change, step_change, step_change, step_change, step_change, step_pass, step_pass, step_pass,
    step_lose_links, step_flush, step_save, step_old_dump, step_restart_redis, step_restart_node,
};

static void whatever_happens_all_end_with_what_was_acknowledged_last(void **state)
{
    const char *given = getenv("SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)clock_mono_us();
    struct run run = { .world = *state, .chance = seed * 2654435761u + 1 };
    print_message("SEED=%llu\n", (unsigned long long)seed);
    open_shelves(run.world, NODES);
    for (unsigned i = 0; i < STEPS; i++)
        steps[below(&run, sizeof steps / sizeof *steps)](&run);
    redis_say(&run.world->server, "client kill type pubsub");      /* an old dump may not have been noticed yet */
    for (unsigned i = 0; i < NODES; i++)
        world_until(run.world, &shelves[i].n_loaded, 1);
    wait_live(run.world);
    for (unsigned key = 0; key < SOME_KEYS; key++)
        until_all(run.world, key, run.expected[key]);
    close_shelf(run.world, 2);
    node_close(&run.world->nodes[2]);
    open_shelf(run.world, 2);      /* who comes now has it from Redis */
    world_until(run.world, &shelves[2].n_loaded, 1);
    for (unsigned key = 0; key < SOME_KEYS; key++)
        until_all(run.world, key, run.expected[key]);
    close_shelves(run.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = { ON_BUS(whatever_happens_all_end_with_what_was_acknowledged_last) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What is left when a part of the data is lost (evicted, deleted by hand): numbers never come again, and no channel is stuck. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/redis_bus_rig.h"

enum { MANY = 20 };

/* Node 1 publishes, and node 0 has not had a turn to hear of it when keys are gone: it is the one that begins the new epoch. */
static uint64_t lose(struct world *world, const char *keys)
{
    uint64_t last = 0;
    char words[200];
    open_nodes(world, 2);
    for (int i = 0; i < MANY; i++)
        last = publish(&world->nodes[1], "c", "x");
    snprintf(words, sizeof words, "del %s", keys);
    redis_say(&world->server, words);
    for (int64_t end = clock_mono_ms(clock_real()) + REDIS_WAIT_MS; world->nodes[0].lives < 2; loop_once(world->nodes[0].base))
        assert_true(clock_mono_ms(clock_real()) < end);
    world_until(world, &world->nodes[1].lives, 2);
    wait_live(world);
    return last;
}

static void without_the_head_numbers_go_on_above_the_index(void **state)
{
    struct world *world = *state;
    uint64_t last = lose(world, "'t:{0}:head'");
    assert_true(world->nodes[0].live_head.seq > last);
    watch(&world->nodes[0], "c");
    uint64_t next = publish(&world->nodes[0], "c", "x");
    assert_true(next > last);
    world_until(world, &world->nodes[0].n_came, 1);
}

static void a_history_that_is_ahead_of_all_numbers_does_not_stop_its_channel(void **state)
{
    struct world *world = *state;
    lose(world, "'t:{0}:head' 't:{0}:index'");
    watch(&world->nodes[0], "c");
    assert_true(publish(&world->nodes[0], "c", "one") > 0);
    assert_true(publish(&world->nodes[0], "c", "two") > 0);
    world_until(world, &world->nodes[0].n_came, 2);
}

/* It is not to be met with the same refusal for ever. */
static void an_index_that_is_ahead_of_the_head_is_a_new_epoch(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    open_nodes(world, 1);
    publish(a, "c", "x");
    redis_say(&world->server, "xadd 't:{0}:index' 1000000-0 e 12345678901234567c");
    assert_int_equal(publish(a, "c", "x"), 0);
    world_until(world, &a->lives, 2);
    assert_true(publish(a, "c", "x") > 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(without_the_head_numbers_go_on_above_the_index),
        ON_BUS(a_history_that_is_ahead_of_all_numbers_does_not_stop_its_channel),
        ON_BUS(an_index_that_is_ahead_of_the_head_is_a_new_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

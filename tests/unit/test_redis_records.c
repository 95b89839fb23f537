/* Records that all nodes share: changed on one and in force on all, read by those that come, and never lost while somebody knows them. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/shelf_rig.h"

/* What Redis has: records with a value. */
static void assert_in_redis(const struct world *world, const char *key, const char *value)
{
    char test[400];
    snprintf(test, sizeof test, "test \"$(redis-cli -s %s hget 't:{0}:records' key:%s | tail -c +9 | tr -d '\\n')\" = '%s'", world->server.socket, key, value);
    assert_int_equal(system(test), 0);
}

static void what_one_changes_is_in_force_on_all_and_read_by_who_comes_later(void **state)
{
    struct world *world = *state;
    open_shelves(world, 2);
    assert_int_equal(change(world, &shelves[0], 1, 5), 0);
    assert_int_equal(shelves[0].numbers[1], 5);
    until_all(world, 1, 5);
    assert_int_equal(change(world, &shelves[1], 1, 2), 0);
    until_all(world, 1, 7);
    assert_int_equal(change(world, &shelves[1], 2, 3), 0);
    assert_int_equal(change(world, &shelves[0], 1, 0), 0);
    until_all(world, 1, GONE);
    until_all(world, 2, 3);
    open_shelf(world, 2);
    world_until(world, &shelves[2].n_loaded, 1);
    assert_int_equal(shelves[2].numbers[1], GONE);
    assert_int_equal(shelves[2].numbers[2], 3);
    assert_int_equal(change(world, &shelves[2], 1, 4), 0);      /* one that was removed is made anew by who never knew it */
    until_all(world, 1, 4);
    close_shelves(world);
}

static void of_two_that_change_one_record_at_once_the_second_begins_anew(void **state)
{
    struct world *world = *state;
    struct change changes[NODES];
    open_shelves(world, 3);
    for (unsigned round = 1; round <= 20; round++) {
        for (unsigned i = 0; i < NODES; i++)
            begin_change(&shelves[i], &changes[i], 7, 1);
        for (unsigned i = 0; i < NODES; i++)
            world_until(world, &shelves[i].n_recorded, round);
        until_all(world, 7, 3 * round);
    }
    assert_true(shelves[0].n_redone + shelves[1].n_redone + shelves[2].n_redone >= 20);
    close_shelves(world);
}

static void while_redis_is_away_each_knows_what_it_knew_and_nothing_can_be_changed(void **state)
{
    struct world *world = *state;
    open_shelves(world, 2);
    assert_int_equal(change(world, &shelves[0], 1, 5), 0);
    until_all(world, 1, 5);
    redis_stop(&world->server);
    world_until(world, &world->nodes[0].aways, 1);
    assert_int_equal(change(world, &shelves[0], 1, 1), ERR_REDIS_AWAY);
    assert_int_equal(shelves[0].numbers[1], 5);
    redis_run(&world->server, "");      /* empty */
    wait_live(world);
    until_all(world, 1, 5);
    while (change(world, &shelves[1], 1, 1))
        world_turn(world);
    until_all(world, 1, 6);
    close_shelves(world);
}

static void what_redis_loses_is_written_back_and_what_was_removed_stays_removed(void **state)
{
    struct world *world = *state;
    open_shelves(world, 2);
    for (unsigned key = 1; key <= 3; key++)
        assert_int_equal(change(world, &shelves[0], key, key), 0);
    until_all(world, 3, 3);
    redis_say(&world->server, "copy 't:{0}:records' 't:{0}:old'");
    assert_int_equal(change(world, &shelves[1], 1, 0), 0);
    assert_int_equal(change(world, &shelves[1], 2, 40), 0);
    until_all(world, 2, 42);
    until_all(world, 1, GONE);
    redis_say(&world->server, "copy 't:{0}:old' 't:{0}:records' replace");      /* as from an old dump, or a replica that lagged */
    cut_all(world);
    world_pass(world, 100);
    until_all(world, 1, GONE);
    until_all(world, 2, 42);
    assert_in_redis(world, "1", "");
    assert_in_redis(world, "2", "42");

    redis_say(&world->server, "flushall");
    unsigned behind = world->nodes[1].behind_all;
    publish(&world->nodes[0], "news", "x");      /* notices it */
    world_until(world, &world->nodes[1].behind_all, behind + 1);
    wait_live(world);
    close_shelf(world, 0);
    open_shelf(world, 2);
    world_until(world, &shelves[2].n_loaded, 1);
    until_all(world, 1, GONE);
    until_all(world, 2, 42);
    until_all(world, 3, 3);
    assert_in_redis(world, "2", "42");
    close_shelves(world);
}

static void many_are_read_in_pages_and_written_back_some_at_a_time(void **state)
{
    struct world *world = *state;
    static struct change changes[KEYS];
    open_shelves(world, 1);
    for (unsigned key = 0; key < KEYS; key++)
        begin_change(&shelves[0], &changes[key], key, key + 1);
    world_until(world, &shelves[0].n_recorded, KEYS);
    redis_say(&world->server, "del 't:{0}:records'");
    cut_all(world);
    open_shelf(world, 1);
    world_until(world, &shelves[1].n_loaded, 1);
    for (unsigned key = 0; key < KEYS; key++)
        until_all(world, key, key + 1);
    close_shelves(world);
}

static void nothing_counts_as_read_that_found_no_memory(void **state)
{
    struct world *world = *state;
    open_shelves(world, 1);
    assert_int_equal(change(world, &shelves[0], 1, 5), 0);
    open_shelf(world, 1);
    shelves[1].no_memory = true;
    world_until(world, &world->nodes[1].lives, 1);
    redis_say(&world->server, "ping");
    world_pass(world, 100);
    assert_int_equal(shelves[1].n_loaded, 0);
    shelves[1].no_memory = false;
    world_until(world, &shelves[1].n_loaded, 1);
    assert_int_equal(shelves[1].numbers[1], 5);
    shelves[1].no_memory = true;
    assert_int_equal(change(world, &shelves[0], 1, 1), 0);      /* told, and not taken in */
    world_turn(world);
    shelves[1].no_memory = false;
    until_all(world, 1, 6);
    close_shelves(world);
}

static void what_is_of_another_version_or_of_nobody_is_left_alone(void **state)
{
    struct world *world = *state;
    open_shelves(world, 2);
    redis_say(&world->server, "hset 't:{0}:records' other:1 12345678x key:9 short");
    redis_say(&world->server, "publish 't:{0}:words' K");
    redis_say(&world->server, "publish 't:{0}:words' K12345678");
    redis_say(&world->server, "publish 't:{0}:words' K12345678zkey:1");
    cut_all(world);
    assert_int_equal(change(world, &shelves[0], 1, 5), 0);
    until_all(world, 1, 5);
    assert_in_redis(world, "9", "");
    close_shelves(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(what_one_changes_is_in_force_on_all_and_read_by_who_comes_later),
        ON_BUS(of_two_that_change_one_record_at_once_the_second_begins_anew),
        ON_BUS(while_redis_is_away_each_knows_what_it_knew_and_nothing_can_be_changed),
        ON_BUS(what_redis_loses_is_written_back_and_what_was_removed_stays_removed),
        ON_BUS(many_are_read_in_pages_and_written_back_some_at_a_time),
        ON_BUS(nothing_counts_as_read_that_found_no_memory),
        ON_BUS(what_is_of_another_version_or_of_nobody_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

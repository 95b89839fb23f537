/* Records that all nodes share: changed on one and in force on all, read by those that come, and never lost while somebody knows them. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/redis_bus_rig.h"
#include "redis/redis_records.h"

enum { KEYS = 1200, GONE = 0 };

/* What a node has in force: a number for each key. */
struct shelf {
    struct redis_records *records;
    unsigned              numbers[KEYS], n_puts, n_loaded, n_recorded, n_redone;
    int                   err;          /* of the change that was answered last */
    bool                  no_memory;    /* puts find none */
};

/* Adds to the number of a key; prepared on what is in force. */
struct change {
    struct record_call call;       /* first */
    struct shelf      *shelf;
    unsigned           key, add;
    bool               remove;
    char               name[16];
};

static struct shelf shelves[NODES];

static unsigned key_of(struct slice key)
{
    uint64_t number = KEYS;
    assert_true(slice_u64(key, &number) && number < KEYS);
    return (unsigned)number;
}

static void prepare(struct change *change)
{
    change->call.remove = change->remove;
    if (!change->remove)
        buf_addf(&change->call.value, "%u", change->shelf->numbers[change->key] + change->add);
}

static int put(void *owner, struct slice kind, struct slice key, struct slice value)
{
    struct shelf *shelf = owner;
    uint64_t number = GONE;
    if (shelf->no_memory)
        return ERR_MEMORY;
    if (!slice_is(kind, SLICE("key")))
        return ERR_NOT_FOUND;
    assert_true(value.len == 0 || slice_u64(value, &number));
    shelf->numbers[key_of(key)] = (unsigned)number;
    shelf->n_puts++;
    return 0;
}

static bool print(void *owner, struct slice kind, struct slice key, struct buf *out)
{
    const struct shelf *shelf = owner;
    if (!slice_is(kind, SLICE("key")) || shelf->numbers[key_of(key)] == GONE)
        return false;
    buf_addf(out, "%u", shelf->numbers[key_of(key)]);
    return true;
}

static void recorded(void *owner, struct record_call *call, int err)
{
    struct shelf *shelf = owner;
    struct change *change = (struct change *)call;
    uint64_t number = GONE;
    shelf->n_recorded++;
    shelf->err = err;
    if (!err && !change->remove)
        assert_true(slice_u64(buf_slice(&call->value), &number));
    if (!err)
        shelf->numbers[change->key] = (unsigned)number;
    buf_fini(&call->value);
}

static void undo(void *owner, struct record_call *call)
{
    (void)owner;
    buf_reset(&call->value);
}

static void redo(void *owner, struct record_call *call)
{
    struct shelf *shelf = owner;
    shelf->n_redone++;
    prepare((struct change *)call);
    redis_records_change(shelf->records, call);
}

static void loaded(void *owner) { ((struct shelf *)owner)->n_loaded++; }

static const struct redis_records_ops ops = { .put = put, .print = print, .recorded = recorded, .undo = undo, .redo = redo, .loaded = loaded };

static void open_shelf(struct world *world, unsigned i)
{
    node_open(world, &world->nodes[i]);
    shelves[i] = (struct shelf){ .records = redis_records_new(world->nodes[i].bus, &ops, &shelves[i]) };
    assert_non_null(shelves[i].records);
}

static void close_shelf(struct world *world, unsigned i)
{
    redis_bus_free(world->nodes[i].bus);
    world->nodes[i].bus = NULL;
    redis_records_free(shelves[i].records);
    shelves[i].records = NULL;
}

static void open_shelves(struct world *world, unsigned n)
{
    memset(shelves, 0, sizeof shelves);
    for (unsigned i = 0; i < n; i++)
        open_shelf(world, i);
    for (unsigned i = 0; i < n; i++)
        world_until(world, &shelves[i].n_loaded, 1);
}

static void close_shelves(struct world *world)
{
    for (unsigned i = 0; i < NODES; i++)
        close_shelf(world, i);
}

static void begin_change(struct shelf *shelf, struct change *change, unsigned key, unsigned add)
{
    *change = (struct change){ .shelf = shelf, .key = key, .add = add, .remove = add == 0 };
    snprintf(change->name, sizeof change->name, "%u", key);
    change->call = (struct record_call){ .kind = RECORD_KEY, .key = slice_of(change->name) };
    prepare(change);
    redis_records_change(shelf->records, &change->call);
}

/* add 0: it goes. */
static int change(struct world *world, struct shelf *shelf, unsigned key, unsigned add)
{
    struct change c;
    unsigned n = shelf->n_recorded;
    begin_change(shelf, &c, key, add);
    world_until(world, &shelf->n_recorded, n + 1);
    return shelf->err;
}

static void until_all(struct world *world, unsigned key, unsigned number)
{
    for (int64_t end = clock_mono_ms(clock_real()) + REDIS_WAIT_MS;; world_turn(world)) {
        bool all = true;
        for (unsigned i = 0; i < NODES; i++)
            all &= !shelves[i].records || shelves[i].numbers[key] == number;
        if (all)
            return;
        assert_true(clock_mono_ms(clock_real()) < end);
    }
}

/* What Redis has: records with a value. */
static void assert_in_redis(const struct world *world, const char *key, const char *value)
{
    char test[400];
    snprintf(test, sizeof test, "test \"$(redis-cli -s %s hget 't:{0}:records' key:%s | tail -c +9 | tr -d '\\n')\" = '%s'", world->server.socket, key, value);
    assert_int_equal(system(test), 0);
}

/* Takes all links of all nodes away: what comes back reads all records again. */
static void cut_all(struct world *world)
{
    unsigned lives[NODES];
    for (unsigned i = 0; i < NODES; i++)
        lives[i] = world->nodes[i].lives;
    redis_say(&world->server, "client kill type pubsub");
    for (unsigned i = 0; i < NODES; i++)
        if (world->nodes[i].bus)
            world_until(world, &world->nodes[i].lives, lives[i] + 1);
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
    for (int64_t end = clock_mono_ms(clock_real()) + 100; clock_mono_ms(clock_real()) < end; )
        world_turn(world);
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
    for (int64_t end = clock_mono_ms(clock_real()) + 100; clock_mono_ms(clock_real()) < end; )
        world_turn(world);
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

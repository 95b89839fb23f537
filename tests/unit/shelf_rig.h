/* shelf_rig.h — nodes with records (redis_records.h) on a real redis-server: each has a shelf of numbers by key, where its hub's tables would be.
 * Threading: the test's thread. */
#pragma once
#include "tests/unit/redis_bus_rig.h"
#include "redis/parts/redis_records.h"

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

static inline unsigned key_of(struct slice key)
{
    uint64_t number = KEYS;
    assert_true(slice_u64(key, &number) && number < KEYS);
    return (unsigned)number;
}

static inline void prepare(struct change *change)
{
    change->call.remove = change->remove;
    if (!change->remove)
        buf_addf(&change->call.value, "%u", change->shelf->numbers[change->key] + change->add);
}

static inline int put(void *owner, struct slice kind, struct slice key, struct slice value)
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

static inline bool print(void *owner, struct slice kind, struct slice key, struct buf *out)
{
    const struct shelf *shelf = owner;
    if (!slice_is(kind, SLICE("key")) || shelf->numbers[key_of(key)] == GONE)
        return false;
    buf_addf(out, "%u", shelf->numbers[key_of(key)]);
    return true;
}

static inline void recorded(void *owner, struct record_call *call, int err)
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

static inline void undo(void *owner, struct record_call *call)
{
    (void)owner;
    buf_reset(&call->value);
}

static inline void redo(void *owner, struct record_call *call)
{
    struct shelf *shelf = owner;
    shelf->n_redone++;
    prepare((struct change *)call);
    redis_records_change(shelf->records, call);
}

static inline void loaded(void *owner) { ((struct shelf *)owner)->n_loaded++; }

static const struct redis_records_ops ops = { .put = put, .print = print, .recorded = recorded, .undo = undo, .redo = redo, .loaded = loaded };

static inline void open_shelf(struct world *world, unsigned i)
{
    node_open(world, &world->nodes[i]);
    shelves[i] = (struct shelf){ .records = redis_records_new(world->nodes[i].bus, &ops, &shelves[i]) };
    assert_non_null(shelves[i].records);
}

static inline void close_shelf(struct world *world, unsigned i)
{
    redis_bus_free(world->nodes[i].bus);
    world->nodes[i].bus = NULL;
    redis_records_free(shelves[i].records);
    shelves[i].records = NULL;
}

static inline void open_shelves(struct world *world, unsigned n)
{
    memset(shelves, 0, sizeof shelves);
    for (unsigned i = 0; i < n; i++)
        open_shelf(world, i);
    for (unsigned i = 0; i < n; i++)
        world_until(world, &shelves[i].n_loaded, 1);
}

static inline void close_shelves(struct world *world)
{
    for (unsigned i = 0; i < NODES; i++)
        close_shelf(world, i);
}

static inline void begin_change(struct shelf *shelf, struct change *change, unsigned key, unsigned add)
{
    *change = (struct change){ .shelf = shelf, .key = key, .add = add, .remove = add == 0 };
    snprintf(change->name, sizeof change->name, "%u", key);
    change->call = (struct record_call){ .kind = RECORD_KEY, .key = slice_of(change->name) };
    prepare(change);
    redis_records_change(shelf->records, &change->call);
}

/* add 0: it goes. */
static inline int change(struct world *world, struct shelf *shelf, unsigned key, unsigned add)
{
    struct change c;
    unsigned n = shelf->n_recorded;
    begin_change(shelf, &c, key, add);
    world_until(world, &shelf->n_recorded, n + 1);
    return shelf->err;
}

static inline void until_all(struct world *world, unsigned key, unsigned number)
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

/* Takes all links of all nodes away: what comes back reads all records again. */
static inline void cut_all(struct world *world)
{
    unsigned lives[NODES];
    for (unsigned i = 0; i < NODES; i++)
        lives[i] = world->nodes[i].lives;
    redis_say(&world->server, "client kill type pubsub");
    for (unsigned i = 0; i < NODES; i++)
        if (world->nodes[i].bus)
            world_until(world, &world->nodes[i].lives, lives[i] + 1);
}

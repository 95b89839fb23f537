/* redis_nodes_rig.h — nodes of redis_bus_rig.h with the part that knows of each other: struct peer beside each. Threading: the test's. */
#pragma once
#include "redis/parts/redis_nodes.h"
#include "tests/unit/redis_bus_rig.h"

enum { LEASE_MS = 10 * 1000 };      /* what ends before is ended by expire */

struct known {
    struct redis_nodes nodes;
    char     name[16];
    unsigned number;
    bool     open;
};
static struct known knows[NODES];

static inline void known_describe(void *owner, struct redis_node *node)
{
    struct known *known = owner;
    node->name = slice_of(known->name);
    node->version = SLICE("9");
    node->started_ms = 7;
    node->connections = 100 + known->number;
    node->public_address = SLICE("somewhere:1");
}

/* A bus whose parts are added by `add` before it is opened. */
static inline void known_begin(struct world *world, unsigned i, int64_t lease_ms)
{
    knows[i].number = i;
    snprintf(knows[i].name, sizeof knows[i].name, "node-%u", i);
    node_make(world, &world->nodes[i]);
    redis_nodes_init(&knows[i].nodes, &(struct redis_nodes_setup){ world->nodes[i].bus, lease_ms, known_describe, &knows[i] });
    knows[i].open = true;
}

static inline void known_end(struct world *world, unsigned i)
{
    node_close(&world->nodes[i]);
    if (knows[i].open)
        redis_nodes_fini(&knows[i].nodes);
    knows[i].open = false;
}

/* What redis-cli prints for these words. */
static inline void redis_says(const struct redis_server *server, const char *words, const char *expected)
{
    char command[600], said[200] = "";
    snprintf(command, sizeof command, "redis-cli -s %s %s", server->socket, words);
    FILE *out = popen(command, "r");
    assert_non_null(out);
    size_t len = fread(said, 1, sizeof said - 1, out);
    pclose(out);
    said[len] = '\0';
    said[strcspn(said, "\n")] = '\0';
    assert_string_equal(said, expected);
}

/* This lease is over now, and so is whoever's claim to bury it. */
static inline void expire(struct world *world, const char *lease)
{
    char words[200];
    snprintf(words, sizeof words, "eval 'redis.call(\"zadd\", \"t:{0}:leases\", \"xx\", 0, ARGV[1]) redis.call(\"zadd\", \"t:{0}:burials\", \"xx\", 0, ARGV[1])' 0 %s", lease);
    redis_say(&world->server, words);
}

/* The numbers of those that node `i` knows of, as bits; -1: one twice, or a stranger's words. */
static inline int known_by(unsigned i)
{
    const struct redis_node *list;
    size_t n = redis_nodes_list(&knows[i].nodes, &list);
    int bits = 0;
    for (size_t at = 0; at < n; at++) {
        int bit = 1 << (list[at].connections - 100);
        assert_int_equal(list[at].name.len, strlen("node-0"));
        assert_true(slice_is(list[at].public_address, SLICE("somewhere:1")) && slice_is(list[at].version, SLICE("9")));
        assert_int_equal(list[at].started_ms, 7);
        assert_true(list[at].heard_ms > 0);
        if (bits & bit)
            return -1;
        bits |= bit;
    }
    return bits;
}

static inline void until_known(struct world *world, unsigned i, int bits)
{
    for (int64_t end = clock_mono_ms(clock_real()) + REDIS_WAIT_MS; known_by(i) != bits; world_turn(world))
        if (clock_mono_ms(clock_real()) > end)
            fail_msg("node %u knows %x instead of %x", i, known_by(i), bits);
}

static inline int known_tear_down(void **state)
{
    for (unsigned i = 0; i < NODES; i++)
        known_end(*state, i);
    return bus_tear_down(state);
}

/* Channels over several nodes, on a real Redis: pages and matches are those of all of them together, each channel once. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/base/name.h"
#include "hub/hub.h"
#include "redis/parts/redis_directory.h"
#include "tests/unit/redis_bus_rig.h"

enum { CHANNELS = 60, SUBSCRIBED = 5, NAME = 16 };

static unsigned seed;
static unsigned draw(unsigned below) { return (unsigned)((seed = seed * 1103515245 + 12345) >> 8) % below; }

/* A node with a hub, whose subscriptions are its own, and kept messages all in Redis. */
struct member_node {
    struct hub            *hub;
    struct mailbox         box;
    struct post            to_hub;
    uint8_t                number;
    struct redis_asks     *asks;
    struct redis_directory directory;
};

struct cluster {
    struct world      *world;
    struct member_node nodes[NODES];
    char               names[CHANNELS][NAME];      /* sorted */
    atomic_uint        subscribers[NODES][CHANNELS];
    bool               kept[CHANNELS];
};

static void no_turn(void *arg) { (void)arg; }

static void run(struct member_node *node, struct world *world, struct call *call, enum letter_kind kind)
{
    call->letter.kind = kind;
    call->from = node->number;
    call->err = UNANSWERED;
    call_submit(&node->to_hub, call, 0);
    post_flush(&node->to_hub);
    hub_turn(node->hub);
    WORLD_UNTIL(world, call->err != UNANSWERED);
    hub_turn(node->hub);
    mailbox_take(&node->box);
}

static void node_begin(struct member_node *node, struct world *world, struct node *bus)
{
    node->hub = hub_new(&world->config, clock_real(), NULL, (struct hub_start){ .epoch = 1, .next = 1, .reserved = UINT64_MAX });
    assert_non_null(node->hub);
    assert_int_equal(mailbox_init(&node->box, false), 0);
    post_init(&node->to_hub, hub_mailbox(node->hub), SIZE_MAX);
    node->number = hub_add_peer(node->hub, &node->box, true, SIZE_MAX);
    node->asks = redis_asks_new(bus->bus);
    node->directory = (struct redis_directory){ .hub = node->hub, .bus = bus->bus, .asks = node->asks, .turn = no_turn };
    redis_directory_init(&node->directory);
    hub_use_directory(node->hub, &node->directory.port);
}

static void cluster_begin(struct cluster *cluster, struct world *world)
{
    memset(cluster, 0, sizeof *cluster);
    cluster->world = world;
    for (unsigned i = 0; i < NODES; i++) {
        node_open(world, &world->nodes[i]);
        node_begin(&cluster->nodes[i], world, &world->nodes[i]);
    }
    wait_live(world);
}

static void cluster_end(struct cluster *cluster)
{
    for (unsigned i = 0; i < NODES; i++) {
        struct member_node *node = &cluster->nodes[i];
        redis_bus_free(cluster->world->nodes[i].bus);
        cluster->world->nodes[i].bus = NULL;
        redis_asks_free(node->asks);
        hub_free(node->hub);
        mailbox_fini(&node->box);
    }
}

/* Names like "b.07.x": letters and ends repeat, so that prefixes and patterns find some. Some are subscribed to, some kept, some both. */
static void populate(struct cluster *cluster)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        snprintf(cluster->names[i], NAME, "%c.%02u.%c", 'a' + (char)(i / 15), i % 15, 'x' + (char)(i % 3));
        for (unsigned n = 0; n < NODES; n++) {
            unsigned count = draw(3) == 0 ? 1 + draw(SUBSCRIBED) : 0;
            struct slice name = slice_of(cluster->names[i]);
            struct watch_call watch = { .channel = name, .hash = hash_bytes(name), .subscribers = &cluster->subscribers[n][i] };
            atomic_store(&cluster->subscribers[n][i], count);
            if (count)
                run(&cluster->nodes[n], cluster->world, &watch.call, CALL_WATCH);
        }
        cluster->kept[i] = draw(3) == 0;
        if (cluster->kept[i])
            assert_true(publish(&cluster->world->nodes[draw(NODES)], cluster->names[i], "x"));
    }
}

static unsigned subscribers_of(const struct cluster *cluster, unsigned i)
{
    unsigned sum = 0;
    for (unsigned n = 0; n < NODES; n++)
        sum += atomic_load(&cluster->subscribers[n][i]);
    return sum;
}

static bool is_there(const struct cluster *cluster, unsigned i) { return cluster->kept[i] || subscribers_of(cluster, i) > 0; }

/* The next channel from `i` on that is there and begins so. */
static unsigned next_of(const struct cluster *cluster, unsigned i, struct slice prefix)
{
    while (i < CHANNELS && (!is_there(cluster, i) || !slice_begins(slice_of(cluster->names[i]), prefix)))
        i++;
    return i;
}

static void assert_pages(struct cluster *cluster, const char *prefix, size_t limit)
{
    struct channels_call call = { .prefix = slice_of(prefix), .limit = limit, .more = true };
    unsigned at = next_of(cluster, 0, call.prefix), pages = 0;
    while (call.more) {
        char after[200];
        memcpy(after, call.upto, call.upto_len);
        call.after = slice(after, call.upto_len);
        call.upto_len = 0;
        run(&cluster->nodes[draw(NODES)], cluster->world, &call.call, CALL_CHANNELS);
        assert_int_equal(call.call.err, 0);
        assert_int_equal(call.missing.n, 0);
        assert_true(call.n_infos <= limit && ++pages < 2 * CHANNELS);
        for (size_t i = 0; i < call.n_infos; i++, at = next_of(cluster, at + 1, call.prefix)) {
            const struct channel_info *info = &call.infos[i];
            if (at == CHANNELS || !slice_is(slice(info->name, info->name_len), slice_of(cluster->names[at])))
                fail_msg("%.*s where %s was to come", info->name_len, info->name, at < CHANNELS ? cluster->names[at] : "nothing");
            assert_int_equal(info->subscribers, subscribers_of(cluster, at));
            assert_int_equal(info->kept, cluster->kept[at]);
            assert_int_equal(info->last.seq > 0, cluster->kept[at]);
            assert_non_null(info->rule);
        }
        free(call.infos);
    }
    assert_int_equal(at, CHANNELS);
}

static void pages_are_those_of_all_nodes_and_of_what_is_kept(void **state)
{
    struct cluster *cluster = calloc(1, sizeof *cluster);
    seed = 7;
    cluster_begin(cluster, *state);
    populate(cluster);
    static const char *const prefixes[] = { "", "a", "b.", "c.0", "d.14.z", "e" };
    for (unsigned i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        for (size_t limit = 1; limit <= 1000; limit = limit * 5 + 2)
            assert_pages(cluster, prefixes[i], limit);
    cluster_end(cluster);
    free(cluster);
}

static void one_channel_is_there_or_not_found(void **state)
{
    struct cluster *cluster = calloc(1, sizeof *cluster);
    seed = 8;
    cluster_begin(cluster, *state);
    populate(cluster);
    for (unsigned i = 0; i < CHANNELS; i++) {
        struct channels_call call = { .exact = slice_of(cluster->names[i]), .limit = 1 };
        run(&cluster->nodes[i % NODES], cluster->world, &call.call, CALL_CHANNELS);
        assert_int_equal(call.call.err, is_there(cluster, i) ? 0 : ERR_NOT_FOUND);
        if (!call.call.err)
            assert_int_equal(call.infos->subscribers, subscribers_of(cluster, i));
        free(call.infos);
    }
    cluster_end(cluster);
    free(cluster);
}

static void assert_matches(struct cluster *cluster, const char *pattern, size_t limit)
{
    struct match_call call = { .pattern = slice_of(pattern), .limit = limit };
    unsigned found[CHANNELS] = { 0 }, calls = 0;
    do {
        run(&cluster->nodes[draw(NODES)], cluster->world, &call.call, CALL_MATCH);
        assert_int_equal(call.call.err, 0);
        assert_true(++calls < 4 * CHANNELS);
        for (size_t at = 0; at < call.names.len; at += 1 + (uint8_t)call.names.at[at]) {
            struct slice name = slice(call.names.at + at + 1, (uint8_t)call.names.at[at]);
            unsigned i = 0;
            while (i < CHANNELS && !slice_is(name, slice_of(cluster->names[i])))
                i++;
            assert_true(i < CHANNELS);
            found[i]++;
        }
        buf_fini(&call.names);
    } while (call.cursor);
    for (unsigned i = 0; i < CHANNELS; i++)
        if (found[i] != (is_there(cluster, i) && pattern_matches(slice_of(pattern), slice_of(cluster->names[i]))))
            fail_msg("%s is found %u times by %s", cluster->names[i], found[i], pattern);
}

static void what_matches_a_pattern_on_any_node_is_found_once(void **state)
{
    struct cluster *cluster = calloc(1, sizeof *cluster);
    seed = 9;
    cluster_begin(cluster, *state);
    populate(cluster);
    static const char *const some[] = { "**", "a.**", "*.03.*", "*.*.x", "b.*.y", "z.*", "*" };
    for (unsigned i = 0; i < sizeof some / sizeof *some; i++)
        for (size_t limit = 1; limit <= 1000; limit = limit * 9 + 4)
            assert_matches(cluster, some[i], limit);
    cluster_end(cluster);
    free(cluster);
}

/* ---- the names of what is kept ---- */

static void assert_names(struct world *world, const char *test)
{
    char ask[400];
    snprintf(ask, sizeof ask, "test $(redis-cli -s %s zcard 't:{0}:names') %s", world->server.socket, test);
    if (system(ask))
        fail_msg("zcard names is not %s", test);
}

static void publish_many(struct world *world, const char *before, unsigned n)
{
    char name[32];
    for (unsigned i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s.%u", before, i);
        assert_true(publish(&world->nodes[0], name, "x"));
    }
}

static void assert_pages_have(struct cluster *cluster, size_t limit, size_t n)
{
    struct channels_call call = { .limit = limit, .more = true };
    size_t have = 0;
    while (call.more) {
        char after[200];
        memcpy(after, call.upto, call.upto_len);
        call.after = slice(after, call.upto_len);
        call.upto_len = 0;
        run(&cluster->nodes[0], cluster->world, &call.call, CALL_CHANNELS);
        assert_int_equal(call.call.err, 0);
        have += call.n_infos;
        free(call.infos);
    }
    assert_int_equal(have, n);
}

/* Channels come and go: their names go too, though nobody asks for a list; what is left of them lists take out. */
static void names_whose_streams_have_expired_are_taken_out(void **state)
{
    struct world *world = *state;
    struct cluster *cluster = calloc(1, sizeof *cluster);
    cluster_begin(cluster, world);
    world->config.general_rule.history_ttl_ms = 40;
    publish_many(world, "brief", 400);
    char gone[300];
    snprintf(gone, sizeof gone, "test -z \"$(redis-cli -s %s --scan --pattern '*:kept:*')\"", world->server.socket);
    WORLD_UNTIL(world, !system(gone));
    world->config.general_rule.history_ttl_ms = 60000;
    publish_many(world, "long", 400);
    assert_names(world, "-ge 400");
    assert_names(world, "-le 700");
    assert_pages_have(cluster, 1000, 400);
    assert_names(world, "= 400");
    cluster_end(cluster);
    free(cluster);
}

/* More of them than one script looks at: a page ends there, and has nothing of what comes behind. */
static void a_page_ends_where_redis_has_looked_enough(void **state)
{
    struct world *world = *state;
    struct cluster *cluster = calloc(1, sizeof *cluster);
    cluster_begin(cluster, world);
    struct watch_call watch = { .channel = SLICE("zzz"), .hash = hash_bytes(SLICE("zzz")), .subscribers = &cluster->subscribers[1][0] };
    atomic_store(&cluster->subscribers[1][0], 1);
    run(&cluster->nodes[1], world, &watch.call, CALL_WATCH);
    publish_many(world, "long", 10);
    redis_say(&world->server, "eval \"for i = 1, 3000 do redis.call('ZADD', 't:{0}:names', 0, 'gone.' .. i) end\" 0");
    assert_pages_have(cluster, 30, 11);
    assert_names(world, "= 10");
    cluster_end(cluster);
    free(cluster);
}

static void without_redis_a_list_is_refused_and_not_waited_for(void **state)
{
    struct world *world = *state;
    struct cluster *cluster = calloc(1, sizeof *cluster);
    cluster_begin(cluster, world);
    unsigned aways = world->nodes[1].aways;
    redis_stop(&world->server);
    world_until(world, &world->nodes[1].aways, aways + 1);
    struct channels_call call = { .limit = 10 };
    run(&cluster->nodes[1], world, &call.call, CALL_CHANNELS);
    assert_int_equal(call.call.err, ERR_REDIS_AWAY);
    struct match_call match = { .pattern = SLICE("**"), .limit = 10 };
    run(&cluster->nodes[1], world, &match.call, CALL_MATCH);
    assert_int_equal(match.call.err, ERR_REDIS_AWAY);
    cluster_end(cluster);
    free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(pages_are_those_of_all_nodes_and_of_what_is_kept),
        ON_BUS(one_channel_is_there_or_not_found),
        ON_BUS(what_matches_a_pattern_on_any_node_is_found_once),
        ON_BUS(names_whose_streams_have_expired_are_taken_out),
        ON_BUS(a_page_ends_where_redis_has_looked_enough),
        ON_BUS(without_redis_a_list_is_refused_and_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

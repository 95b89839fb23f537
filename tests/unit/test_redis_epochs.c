/* Data that comes through a restart or a failover goes on in its epoch; data that was lost, in whole or in part, is a new one on which
 * all nodes agree (EXACT.md 17). */
#define _GNU_SOURCE     /* own_dir.h, ppoll */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/redis_bus_rig.h"

static void data_that_came_through_a_restart_goes_on_as_if_nothing_had_been(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    redis_stop(&world->server);
    redis_run(&world->server, "--appendonly yes --appendfsync always");
    open_nodes(world, 2);
    watch(a, "c");
    watch(b, "c");
    uint64_t one = publish(a, "c", "x");
    assert_came(world, b, &one, 1);
    uint64_t epoch = a->live_head.epoch;
    redis_stop(&world->server);
    world_until(world, &a->aways, 1);
    world_until(world, &b->aways, 1);
    struct publish_call refused = publish_call("c", "y");
    publish_soon(a, &refused);
    assert_int_equal(refused.call.err, ERR_REDIS_AWAY);
    msg_unref(refused.msg);
    redis_run(&world->server, "--appendonly yes --appendfsync always");
    wait_live(world);
    assert_int_equal(a->live_head.epoch, epoch);
    assert_int_equal(b->live_head.epoch, epoch);
    uint64_t two = publish(b, "c", "x");
    assert_int_equal(two, one + ((uint64_t)1 << 32) + 1);      /* others may have been given what is between (proof.lua) */
    assert_came(world, a, (uint64_t[]){ one, two }, 2);
    assert_int_equal(a->behinds, 0);
}

static void a_server_that_is_still_loading_is_waited_for(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    redis_stop(&world->server);
    redis_run(&world->server, "--appendonly yes --appendfsync always --aof-use-rdb-preamble no");
    open_nodes(world, 1);
    watch(a, "c");
    uint64_t one = publish(a, "c", "x"), epoch = a->live_head.epoch;
    assert_came(world, a, &one, 1);
    redis_stop(&world->server);
    redis_run(&world->server, "--appendonly yes --appendfsync always --aof-use-rdb-preamble no --key-load-delay 20000");
    world_until(world, &a->lives, 2);
    assert_int_equal(a->live_head.epoch, epoch);
    assert_int_equal(publish(a, "c", "x"), one + ((uint64_t)1 << 32) + 1);
}

static void lost_data_is_a_new_epoch_on_which_all_nodes_agree(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    open_nodes(world, 2);
    watch(a, "c");
    watch(b, "c");
    uint64_t one = publish(a, "c", "x"), epoch = a->live_head.epoch;
    assert_came(world, a, &one, 1);
    assert_came(world, b, &one, 1);
    redis_stop(&world->server);
    redis_run(&world->server, "");
    world_until(world, &a->lives, 2);
    world_until(world, &b->lives, 2);
    wait_live(world);
    assert_int_not_equal(a->live_head.epoch, epoch);
    assert_int_equal(a->behind_all, 1);
    assert_int_equal(b->behind_all, 1);
    uint64_t two = publish(b, "c", "x");
    assert_true(two > one);
    world_until(world, &a->n_came, 2);
    world_until(world, &b->n_came, 2);
    assert_int_equal(a->came[1]->epoch, b->came[1]->epoch);
    assert_int_equal(redis_bus_head(a->bus).epoch, a->came[1]->epoch);
}

static void flushall_is_seen_though_no_link_was_lost(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    open_nodes(world, 2);
    watch(b, "c");
    uint64_t one = publish(a, "c", "x"), epoch = a->live_head.epoch;
    assert_came(world, b, &one, 1);
    redis_say(&world->server, "flushall");
    struct publish_call call = publish_call("c", "x");
    publish_await(a, &call);
    assert_int_equal(call.call.err, ERR_REDIS_AWAY);      /* was not published */
    msg_unref(call.msg);
    world_until(world, &a->lives, 2);
    world_until(world, &b->lives, 2);
    wait_live(world);
    assert_int_not_equal(a->live_head.epoch, epoch);
    assert_int_equal(a->live_head.epoch, b->live_head.epoch);
    assert_int_equal(b->behind_all, 1);
    assert_true(publish(a, "c", "x") > one);
    world_until(world, &b->n_came, 2);
}

/* A copy of yesterday in which numbers were given that are given again: a node that knows better sees it, one that knows nothing doubts. */
static void an_old_file_is_not_taken_for_the_data(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *c = &world->nodes[2];
    open_nodes(world, 1);
    publish(a, "c", "kept in the file");
    redis_say(&world->server, "save");
    publish(a, "c", "not in it");
    uint64_t epoch = a->live_head.epoch;
    node_close(a);
    redis_stop(&world->server);
    redis_run(&world->server, "");      /* from dump.rdb */
    node_open(world, c);
    wait_live(world);
    assert_int_not_equal(c->live_head.epoch, epoch);
    struct fetch_channel channel;
    struct fetch_call call = { .from = FETCH_AFTER, .after = { epoch, 3 } };
    fetch(c, &call, &channel, NAMES("c"));
    assert_int_equal(call.gap, GAP_EPOCH);
    assert_int_equal(call.n_msgs, 1);
    fetch_answer_fini(&call);
}

/* ---- failover to a replica that lagged ---- */

/* The nodes' URL is that of a link, which leads to another server from now on. */
static void lead_to(struct world *world, const struct redis_server *server)
{
    unlink(world->url.unix_path);
    assert_int_equal(symlink(server->socket, world->url.unix_path), 0);
}

struct pair { struct redis_server replica; char link[OWN_DIR_MAX + 16]; };

static void pair_begin(struct world *world, struct pair *pair)
{
    char options[200];
    redis_stop(&world->server);
    world->server.port = free_port();
    redis_run(&world->server, "--repl-diskless-sync-delay 0");
    snprintf(options, sizeof options, "--replicaof 127.0.0.1 %u", world->server.port);
    redis_begin(&pair->replica, false, options);
    snprintf(pair->link, sizeof pair->link, "%s/link", world->server.dir.path);
    redis_url_fini(&world->url);
    char url[OWN_DIR_MAX + 32];
    snprintf(url, sizeof url, "unix:%s", pair->link);
    assert_null(redis_url_read(slice_of(url), &world->url));
    lead_to(world, &world->server);
    redis_await_replica(&world->server);
}

static void detach(struct world *world, struct pair *pair)
{
    redis_await_replica(&world->server);
    redis_say(&pair->replica, "replicaof no one");
}

static void a_replica_that_has_everything_is_taken_for_the_master(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    struct pair pair;
    pair_begin(world, &pair);
    open_nodes(world, 2);
    watch(b, "c");
    uint64_t one = publish(a, "c", "x"), epoch = a->live_head.epoch;
    detach(world, &pair);
    lead_to(world, &pair.replica);
    redis_stop(&world->server);
    world_until(world, &a->lives, 2);
    world_until(world, &b->lives, 2);
    assert_int_equal(a->live_head.epoch, epoch);
    assert_int_equal(b->live_head.epoch, epoch);
    uint64_t two = publish(a, "c", "x");
    assert_came(world, b, (uint64_t[]){ one, two }, 2);
    assert_int_equal(b->behinds, 0);
    redis_end(&pair.replica);
}

static void may_ask_who_it_is(const struct redis_server *server, bool may) { redis_say(server, may ? "acl setuser default +info" : "acl setuser default -info"); }

/* Numbers that a has seen are given again, to other messages, before it comes back: they look right, and only their proof tells. Where
 * nobody may ask whether it is another server, so that numbers leap. */
static void numbers_that_were_given_twice_are_told_by_their_proof(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    struct pair pair;
    pair_begin(world, &pair);
    may_ask_who_it_is(&world->server, false);
    open_nodes(world, 2);
    may_ask_who_it_is(&world->server, true);      /* the test itself asks */
    publish(b, "c", "both have it");
    watch(a, "c");
    detach(world, &pair);
    may_ask_who_it_is(&pair.replica, false);
    uint64_t lost = publish(a, "c", "the replica never gets it");
    loop_until(a->base, &a->n_came, 1);
    uint64_t epoch = a->live_head.epoch;
    lead_to(world, &pair.replica);
    redis_stop(&world->server);
    loop_until(b->base, &b->lives, 2);      /* a has not looked yet */
    assert_int_equal(b->live_head.epoch, epoch);
    assert_int_equal(publish(b, "c", "another message"), lost);
    assert_int_equal(publish(b, "c", "one more"), lost + 1);
    world_until(world, &a->lives, 2);
    assert_int_not_equal(a->live_head.epoch, epoch);
    assert_int_equal(a->behind_all, 1);
    world_until(world, &b->lives, 3);
    assert_int_equal(b->live_head.epoch, a->live_head.epoch);
    assert_int_equal(b->behind_all, 1);
    assert_true(publish(b, "c", "x") > lost + 1);
    world_until(world, &a->n_came, 2);
    assert_int_equal(a->behinds, 1);
    redis_end(&pair.replica);
}

static void sentinels_lead_to_the_new_master_and_nothing_is_missed(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    struct redis_server replica, sentinel;
    char options[100], url[100];
    redis_stop(&world->server);
    world->server.port = free_port();
    redis_run(&world->server, "--repl-diskless-sync-delay 0");
    snprintf(options, sizeof options, "--replicaof 127.0.0.1 %u", world->server.port);
    redis_begin(&replica, true, options);
    redis_await_replica(&world->server);
    sentinel_begin(&sentinel, &world->server);
    redis_url_fini(&world->url);
    snprintf(url, sizeof url, "redis+sentinel://127.0.0.1:%u/mymaster", sentinel.port);
    assert_null(redis_url_read(slice_of(url), &world->url));
    sentinel_await_replica(&sentinel);
    open_nodes(world, 2);
    watch(b, "c");
    uint64_t one = publish(a, "c", "x"), epoch = a->live_head.epoch;
    redis_await_replica(&world->server);
    redis_stop(&world->server);
    world_until(world, &a->lives, 2);
    world_until(world, &b->lives, 2);
    uint64_t two = publish(a, "c", "x");
    assert_came(world, b, (uint64_t[]){ one, two }, 2);
    assert_int_equal(b->live_head.epoch, epoch);
    redis_end(&sentinel);
    redis_end(&replica);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(data_that_came_through_a_restart_goes_on_as_if_nothing_had_been),
        ON_BUS(a_server_that_is_still_loading_is_waited_for),
        ON_BUS(lost_data_is_a_new_epoch_on_which_all_nodes_agree),
        ON_BUS(flushall_is_seen_though_no_link_was_lost),
        ON_BUS(an_old_file_is_not_taken_for_the_data),
        ON_BUS(a_replica_that_has_everything_is_taken_for_the_master),
        ON_BUS(numbers_that_were_given_twice_are_told_by_their_proof),
        ON_BUS(sentinels_lead_to_the_new_master_and_nothing_is_missed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

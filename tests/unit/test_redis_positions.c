/* Positions that a reader brings and Redis cannot vouch for: a gap, never a wrong "complete". */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/redis_bus_rig.h"

static enum gap_reason gap_after(struct node *node, const char *channel, struct position after)
{
    struct fetch_channel channels[1];
    struct fetch_call call = { .from = FETCH_AFTER, .after = after };
    fetch(node, &call, channels, NAMES(channel));
    enum gap_reason gap = call.gap;
    fetch_answer_fini(&call);
    return gap;
}

/* The node that gave them is gone with the server that lost them; the one that is left has not heard of them, and finds there all that it knows. */
static void positions_that_redis_has_lost_with_the_node_that_gave_them_are_gaps(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    open_nodes(world, 2);
    uint64_t kept = publish(a, "c", "in the file");
    publish(b, "d", "so that b has seen more than that");
    redis_say(&world->server, "save");
    uint64_t lost = publish(a, "c", "not in it"), newest = publish(a, "c", "nor this");
    uint64_t epoch = a->live_head.epoch;
    node_close(a);
    redis_stop(&world->server);
    redis_run(&world->server, "");      /* from dump.rdb */
    world_until(world, &b->lives, 2);
    assert_int_equal(b->live_head.epoch, epoch);
    assert_int_equal(b->behind_all, 0);
    uint64_t next = publish(b, "c", "after it");
    assert_true(publish(b, "c", "and one more") > newest && next > newest);
    assert_int_equal(gap_after(b, "c", (struct position){ epoch, lost }), GAP_EPOCH);
    assert_int_equal(gap_after(b, "c", (struct position){ epoch, newest }), GAP_EPOCH);
    assert_int_equal(gap_after(b, "*", (struct position){ epoch, newest }), GAP_EPOCH);
    assert_int_equal(gap_after(b, "c", (struct position){ epoch, kept }), GAP_NONE);
    assert_int_equal(gap_after(b, "c", (struct position){ epoch, next }), GAP_NONE);
    assert_int_equal(gap_after(b, "c", b->live_head), GAP_NONE);
}

/* redis.remember is each node's own setting, and may change with a restart. */
static void what_one_node_lets_be_forgotten_soon_another_does_not_take_for_unwritten(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    world->meta_ms = 1;
    node_open(world, a);
    wait_live(world);
    struct position before = a->live_head;
    publish(a, "c", "x");
    redis_say(&world->server, "del 't:{0}:last:c' 't:{0}:kept:c'");      /* as they expire */
    world->meta_ms = 600 * 1000;
    node_open(world, b);
    wait_live(world);
    assert_int_equal(gap_after(b, "c", before), GAP_HISTORY);
    assert_int_equal(gap_after(b, "c", redis_bus_head(b->bus)), GAP_NONE);
}

/* As usage.lua does when keys were evicted; who begins the new epoch need not know the newest numbers. */
static void numbers_go_on_above_those_of_the_index_when_the_head_is_gone(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    uint64_t newest = 0;
    open_nodes(world, 1);
    for (unsigned i = 0; i < 5; i++)
        newest = publish(a, "c", "x");
    node_close(a);
    redis_say(&world->server, "del 't:{0}:head'");
    node_open(world, b);
    wait_live(world);
    assert_true(publish(b, "c", "x") > newest);
}

/* Of a long history whose older part is too old all at once: found without reading it all. */
static void where_a_long_history_begins_to_count_is_found(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    enum { OLD = 300, YOUNG = 80, PAUSE_MS = 2000, LATE_MS = 1900 };      /* so long may the first answer take */
    world->config.general_rule.history_size = 1000;
    open_nodes(world, 1);
    uint64_t old = 0;
    for (unsigned i = 0; i < OLD; i++)
        old = publish(a, "c", "x");
    usleep(PAUSE_MS * 1000);
    int64_t began = clock_mono_ms(clock_real());
    for (unsigned i = 1; i < YOUNG; i++)
        publish(a, "c", "x");
    world->config.general_rule.history_ttl_ms = clock_mono_ms(clock_real()) - began + LATE_MS;
    publish(a, "c", "x");
    struct fetch_channel channels[1];
    struct fetch_call call = { .from = FETCH_ALL };
    fetch(a, &call, channels, NAMES("c"));
    assert_int_equal(channels[0].dropped, old);
    assert_int_equal(call.n_msgs, YOUNG);
    assert_int_equal(call.msgs[0]->seq, old + 1);
    fetch_answer_fini(&call);
    usleep((unsigned)world->config.general_rule.history_ttl_ms * 1000);
    fetch(a, &call, channels, NAMES("c"));
    assert_int_equal(channels[0].dropped, old + YOUNG);
    assert_int_equal(call.n_msgs, 0);
    fetch_answer_fini(&call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(positions_that_redis_has_lost_with_the_node_that_gave_them_are_gaps),
        ON_BUS(what_one_node_lets_be_forgotten_soon_another_does_not_take_for_unwritten),
        ON_BUS(numbers_go_on_above_those_of_the_index_when_the_head_is_gone),
        ON_BUS(where_a_long_history_begins_to_count_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

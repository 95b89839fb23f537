/* Buses on a real redis-server, as nodes: what one publishes all are given who want it. */
#define _GNU_SOURCE     /* own_dir.h, ppoll */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/redis_bus_rig.h"

static void what_a_node_publishes_comes_to_every_node_that_wants_it_also_to_itself(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    open_nodes(world, 2);
    watch(a, "news");
    watch(b, "news");
    watch(b, "sport");
    uint64_t first = publish(a, "news", "hello"), second = publish(b, "sport", "goal"), third = publish(b, "news", "again");
    assert_int_equal(second, first + 1);
    assert_came(world, a, (uint64_t[]){ first, third }, 2);
    assert_came(world, b, (uint64_t[]){ first, second, third }, 3);
    const struct msg *m = b->came[2];
    assert_true(slice_is(msg_channel(m), SLICE("news")));
    assert_true(slice_is(msg_data(m), SLICE("again")));
    assert_int_equal(m->prev, first);
    assert_int_equal(m->epoch, a->live_head.epoch);
    assert_int_equal(a->live_head.epoch, b->live_head.epoch);
    assert_int_equal(b->came[0]->prev, 0);      /* the first of its channel */
}

static void over_a_pattern_and_a_channel_a_message_comes_once(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    open_nodes(world, 1);
    watch(a, "orders.eu");
    watch(a, "orders.*");
    watch(a, "**");
    uint64_t one = publish(a, "orders.eu", "x"), two = publish(a, "orders.us", "x"), three = publish(a, "other", "x");
    assert_came(world, a, (uint64_t[]){ one, two, three }, 3);
    redis_bus_unsubscribe(a->bus, SLICE("orders.*"));
    redis_bus_unsubscribe(a->bus, SLICE("**"));
    publish(a, "other", "nobody wants it");
    uint64_t four = publish(a, "orders.eu", "x");
    assert_came(world, a, (uint64_t[]){ one, two, three, four }, 4);
}

static void a_channel_is_subscribed_to_as_long_as_somebody_wants_it_and_a_while_longer(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    open_nodes(world, 1);
    watch(a, "news");
    watch(a, "news");
    redis_bus_unsubscribe(a->bus, SLICE("news"));
    uint64_t one = publish(a, "news", "x");
    assert_came(world, a, &one, 1);
    redis_bus_unsubscribe(a->bus, SLICE("news"));
    char ask[200];
    snprintf(ask, sizeof ask, "test $(redis-cli -s %s pubsub numsub 't:{0}:m:news' | tail -1) = 0", world->server.socket);
    assert_int_not_equal(system(ask), 0);
    WORLD_UNTIL(world, !system(ask));
    watch(a, "news");
    uint64_t two = publish(a, "news", "x");
    assert_came(world, a, (uint64_t[]){ one, two }, 2);
}

/* ---- publishing ---- */

static void a_publish_with_a_key_is_answered_as_the_first_was(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    open_nodes(world, 2);
    struct publish_call first = publish_call("c", "x"), again = publish_call("c", "x"), other = publish_call("c", "y");
    first.key = again.key = other.key = (struct idempotency_key){ { 1, 2 }, { 3, 4 } };
    other.key.content[0] = 5;
    first.subscribers = 7;
    publish_await(a, &first);
    publish_await(b, &again);
    publish_await(b, &other);
    assert_int_equal(first.call.err, 0);
    assert_false(first.replayed);
    assert_int_equal(again.call.err, 0);
    assert_true(again.replayed);
    assert_int_equal(again.msg->seq, first.msg->seq);
    assert_int_equal(again.msg->epoch, first.msg->epoch);
    assert_int_equal(again.msg->time_ms, first.msg->time_ms);
    assert_int_equal(again.subscribers, 7);
    assert_int_equal(other.call.err, ERR_KEY_REUSED);
    msg_unref(first.msg);
    msg_unref(again.msg);
    msg_unref(other.msg);
}

static void a_condition_is_met_by_the_newest_message_only(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    open_nodes(world, 1);
    struct publish_call call = publish_call("c", "x");
    call.if_position = IF_NONE;
    publish_await(a, &call);
    assert_int_equal(call.call.err, 0);
    uint64_t first = call.msg->seq;
    struct position newest = { call.msg->epoch, first };
    publish_await(a, &call);
    assert_int_equal(call.call.err, ERR_POSITION_CHANGED);
    assert_int_equal(call.position.seq, first);
    assert_int_equal(call.position.epoch, newest.epoch);
    call.if_position = IF_NEWEST;
    call.position = newest;
    publish_await(a, &call);
    assert_int_equal(call.call.err, 0);
    call.position = newest;
    publish_await(a, &call);
    assert_int_equal(call.call.err, ERR_POSITION_CHANGED);
    assert_int_equal(call.position.seq, first + 1);
    call.position = (struct position){ 0, 0 };
    msg_unref(call.msg);
    call = publish_call("never", "x");
    call.if_position = IF_NEWEST;
    call.position = newest;
    publish_await(a, &call);
    assert_int_equal(call.call.err, ERR_POSITION_CHANGED);
    assert_int_equal(call.position.seq, 0);
    msg_unref(call.msg);
}

static void scripts_that_were_flushed_are_loaded_again_and_nothing_changes_its_place(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    struct publish_call calls[60];
    open_nodes(world, 1);
    watch(a, "c");
    uint64_t before = publish(a, "c", "x");
    for (unsigned i = 0; i < 60; i++)
        calls[i] = publish_call("c", "x");
    redis_say(&world->server, "script flush");
    unsigned answers = a->answers;
    for (unsigned i = 0; i < 30; i++)
        publish_soon(a, &calls[i]);
    world_turn(world);      /* they are on their way */
    world_turn(world);      /* some are refused by now */
    for (unsigned i = 30; i < 60; i++)
        publish_soon(a, &calls[i]);
    world_until(world, &a->answers, answers + 60);
    for (unsigned i = 0; i < 60; i++) {
        assert_int_equal(calls[i].call.err, 0);
        assert_int_equal(calls[i].msg->seq, before + 1 + i);
        msg_unref(calls[i].msg);
    }
    world_until(world, &a->n_came, 61);
    assert_int_equal(a->aways, 0);
}

static void a_bus_may_end_at_any_time(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    for (int turns = 0; turns < 30; turns++) {
        struct fetch_channel channels[2] = { { .name = SLICE("c") }, { .name = SLICE("c") } };
        struct fetch_call now = { .channels = &channels[0], .n_channels = 1, .from = FETCH_NOW, .max_bytes = 1000 };
        struct fetch_call all = { .channels = &channels[1], .n_channels = 1, .from = FETCH_ALL, .max_bytes = 1000 };
        struct watch_call watching = { .channel = SLICE("c") };
        struct publish_call call = publish_call("c", "x");
        node_open(world, a);
        now.patient = true;
        redis_bus_fetch(a->bus, &now);
        all.patient = true;
        redis_bus_fetch(a->bus, &all);
        redis_bus_subscribe(a->bus, &watching);
        for (int i = 0; i < turns; i++) {
            event_base_loop(a->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
            if (i == turns - 2)
                publish_soon(a, &call);
            if (i % 4 == 3)
                world_wait(world);
        }
        node_close(a);
        fetch_answer_fini(&all);
        msg_unref(call.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(what_a_node_publishes_comes_to_every_node_that_wants_it_also_to_itself),
        ON_BUS(over_a_pattern_and_a_channel_a_message_comes_once),
        ON_BUS(a_channel_is_subscribed_to_as_long_as_somebody_wants_it_and_a_while_longer),
        ON_BUS(a_publish_with_a_key_is_answered_as_the_first_was),
        ON_BUS(a_condition_is_met_by_the_newest_message_only),
        ON_BUS(scripts_that_were_flushed_are_loaded_again_and_nothing_changes_its_place),
        ON_BUS(a_bus_may_end_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

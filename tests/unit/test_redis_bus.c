/* Buses on a real redis-server, as nodes: what one publishes all are given, through whatever happens to Redis. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/redis_proxy.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

static void assert_came(struct world *world, struct node *node, const uint64_t *seqs, unsigned n)
{
    world_until(world, &node->n_came, n);
    assert_int_equal(node->n_came, n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(node->came[i]->seq, seqs[i]);
}

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
    for (int64_t end = clock_mono_ms(clock_real()) + REDIS_WAIT_MS; system(ask); ) {
        assert_true(clock_mono_ms(clock_real()) < end);
        world_turn(world);
    }
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

/* ---- faults ---- */

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

static void lost_data_is_a_new_epoch_on_which_all_nodes_agree(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    open_nodes(world, 2);
    watch(a, "c");
    watch(b, "c");
    uint64_t one = publish(a, "c", "x"), epoch = a->live_head.epoch;
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

static void kill_listeners(struct world *world) { redis_say(&world->server, "client kill type pubsub"); }

static void a_subscriber_that_is_killed_misses_nothing(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    uint64_t seqs[6];
    open_nodes(world, 2);
    watch(b, "c");
    watch(b, "p.*");
    seqs[0] = publish(a, "c", "x");
    assert_came(world, b, seqs, 1);
    kill_listeners(world);
    for (unsigned i = 1; i < 5; i++)
        seqs[i] = publish(a, i % 2 ? "c" : "p.q", "x");      /* also by a node whose own listener is gone */
    world_until(world, &b->lives, 2);
    assert_came(world, b, seqs, 5);      /* before live() */
    wait_live(world);
    seqs[5] = publish(a, "c", "x");
    assert_came(world, b, seqs, 6);
    assert_int_equal(b->behinds, 0);
    assert_non_null(strstr(b->why, "it closed the connection"));
}

static void a_subscriber_that_reads_too_slowly_for_redis_misses_nothing(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    uint64_t seqs[60];
    char text[40001];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    open_nodes(world, 2);
    watch(b, "c");
    world->config.general_rule.history_bytes = 1 << 30;
    redis_say(&world->server, "config set client-output-buffer-limit 'pubsub 200kb 0 0'");
    for (unsigned i = 0; i < 60; i++)
        seqs[i] = publish(a, "c", text);      /* b reads nothing meanwhile, and is thrown out */
    world_until(world, &b->n_came, 60);
    assert_came(world, b, seqs, 60);
    assert_int_equal(b->behinds, 0);
    assert_true(b->lives > 1);
}

static void what_history_has_given_up_meanwhile_is_told(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    world->config.general_rule.history_size = 2;
    open_nodes(world, 2);
    const char *channels[] = { "c", "enough", "off.c", "off.quiet" };
    for (unsigned i = 0; i < 4; i++) {
        watch(b, channels[i]);
        publish(a, channels[i], "x");
    }
    world_until(world, &b->n_came, 4);
    kill_listeners(world);
    uint64_t seqs[4] = { publish(a, "c", "given up"), publish(a, "c", "x"), publish(a, "c", "x"), publish(a, "enough", "x") };
    publish(a, "off.c", "not kept");
    world_until(world, &b->lives, 2);
    assert_int_equal(b->n_came, 7);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(b->came[4 + i]->seq, seqs[1 + i]);
    assert_int_equal(b->behinds, 2);
    assert_int_equal(b->behind_all, 0);
    assert_string_equal(b->behind, "off.c");
    assert_int_equal(redis_bus_head(b->bus).seq, seqs[3] + 1);
}

static void over_a_pattern_too_it_is_told_what_was_given_up(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    world->config.general_rule.history_size = 2;
    open_nodes(world, 2);
    watch(b, "p.*");
    watch(b, "q.*");
    kill_listeners(world);
    for (unsigned i = 0; i < 3; i++)
        publish(a, "p.new", "x");
    publish(a, "q.new", "x");
    world_until(world, &b->lives, 2);
    assert_int_equal(b->n_came, 3);
    assert_int_equal(b->behinds, 1);
    assert_string_equal(b->behind, "p.*");
}

static void more_than_can_be_collected_is_left_to_each_reader(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    enum { EACH = 512 * 1024, TIMES = REDIS_FILL_BYTES / EACH + 1 };
    char *text = calloc(1, EACH + 1);
    memset(text, 'x', EACH);
    world->config.general_rule.history_bytes = 1 << 30;
    open_nodes(world, 2);
    watch(b, "c");
    kill_listeners(world);
    uint64_t last = 0;
    for (unsigned i = 0; i < TIMES; i++)
        last = publish(a, "c", text);
    world_until(world, &b->lives, 2);
    assert_int_equal(b->behind_all, 1);
    assert_int_equal(b->n_came, 0);
    assert_int_equal(redis_bus_head(b->bus).seq, last);
    wait_live(world);
    publish(a, "c", "x");
    world_until(world, &b->n_came, 1);
    free(text);
}

static void a_server_that_stands_still_is_left_and_what_was_sent_is_of_unknown_outcome(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    open_nodes(world, 1);
    watch(a, "c");
    kill(world->server.pid, SIGSTOP);
    struct publish_call call = publish_call("c", "x");
    publish_await(a, &call);
    assert_int_equal(call.call.err, ERR_OUTCOME_UNKNOWN);
    world_until(world, &a->aways, 1);
    kill(world->server.pid, SIGCONT);
    wait_live(world);
    uint64_t next = publish(a, "c", "x");
    world_until(world, &a->n_came, 2);      /* it had been taken, as it may be, and comes once */
    assert_int_equal(a->came[1]->seq, next);
    assert_int_equal(a->came[0]->seq, next - 1);
    msg_unref(call.msg);
}

/* What the link does not take is answered at once, and nothing on the listener waits for it. */
static void a_question_that_the_link_does_not_take_leaves_nothing_behind(void **state)
{
    enum { LARGE = 1 << 20, MANY = REDIS_QUEUE_BYTES / LARGE + 8 };
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    struct publish_call *calls = calloc(MANY, sizeof *calls);
    char *large = malloc(LARGE);
    memset(large, 'x', LARGE - 1);
    large[LARGE - 1] = '\0';
    open_nodes(world, 1);
    watch(a, "c");
    kill(world->server.pid, SIGSTOP);
    for (unsigned i = 0; i < MANY; i++) {
        calls[i] = publish_call("off.x", large);
        publish_soon(a, &calls[i]);
    }
    struct fetch_channel channel = { .name = SLICE("c") };
    struct fetch_call call = { .call.err = UNANSWERED, .channels = &channel, .n_channels = 1, .from = FETCH_ALL, .max_bytes = 1000, .patient = true };
    redis_bus_fetch(a->bus, &call);
    assert_int_equal(call.call.err, ERR_BUSY);
    kill(world->server.pid, SIGCONT);
    world_until(world, &a->answers, 1 + MANY + 1);      /* of the watch, the publishes, the question */
    channel = (struct fetch_channel){ .name = SLICE("c") };
    fetch_await(a, &call);
    fetch_answer_fini(&call);
    publish(a, "c", "x");
    world_until(world, &a->n_came, 1);
    for (unsigned i = 0; i < MANY; i++)
        msg_unref(calls[i].msg);
    free(calls);
    free(large);
}

static void who_waits_for_redis_is_answered_when_it_is_back(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    open_nodes(world, 1);
    redis_stop(&world->server);
    world_until(world, &a->aways, 1);
    struct fetch_channel channel = { .name = SLICE("c") }, same = channel;
    struct fetch_call patient = { .call.err = UNANSWERED, .channels = &channel, .n_channels = 1, .from = FETCH_NOW, .max_bytes = 1000 };
    struct fetch_call hurried = { .call.err = UNANSWERED, .channels = &same, .n_channels = 1, .from = FETCH_ALL, .max_bytes = 1000 };
    struct watch_call watching = { .call.err = UNANSWERED, .channel = SLICE("c") };
    patient.patient = true;
    redis_bus_fetch(a->bus, &patient);
    redis_bus_fetch(a->bus, &hurried);
    redis_bus_subscribe(a->bus, &watching);
    assert_int_equal(hurried.call.err, ERR_REDIS_AWAY);
    assert_int_equal(patient.call.err, UNANSWERED);
    redis_run(&world->server, "");
    world_until(world, &a->answers, 3);
    assert_int_equal(patient.call.err, 0);
    assert_int_equal(patient.upto.epoch, a->live_head.epoch);
    assert_int_equal(watching.call.err, 0);
    uint64_t one = publish(a, "c", "x");
    assert_came(world, a, &one, 1);
}

static void who_waits_can_be_sent_away(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    open_nodes(world, 1);
    redis_stop(&world->server);
    world_until(world, &a->aways, 1);
    struct fetch_channel channel = { .name = SLICE("c") };
    struct fetch_call fetching = { .call.err = UNANSWERED, .channels = &channel, .n_channels = 1, .from = FETCH_NOW, .max_bytes = 1000 };
    struct watch_call watching = { .call.err = UNANSWERED, .channel = SLICE("c") };
    fetching.patient = true;
    redis_bus_fetch(a->bus, &fetching);
    redis_bus_subscribe(a->bus, &watching);
    redis_bus_give_up(a->bus, ERR_DRAINING);
    assert_int_equal(fetching.call.err, ERR_DRAINING);
    assert_int_equal(watching.call.err, ERR_DRAINING);
}

static void a_server_that_has_no_memory_left_refuses_and_is_not_left(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    open_nodes(world, 1);
    watch(a, "c");
    redis_say(&world->server, "config set maxmemory 1");
    assert_int_equal(publish(a, "c", "x"), 0);
    assert_int_equal(a->refusals, 1);
    assert_non_null(strstr(redis_bus_why(a->bus), "OOM"));
    struct fetch_channel channel;
    struct fetch_call call = { .from = FETCH_ALL };
    fetch(a, &call, &channel, NAMES("c"));      /* reading goes on */
    fetch_answer_fini(&call);
    redis_say(&world->server, "config set maxmemory 0");
    world_until(world, &a->accepts, 1);      /* the heartbeat sees it */
    assert_string_equal(redis_bus_why(a->bus), "");
    assert_int_not_equal(publish(a, "c", "x"), 0);
    assert_int_equal(a->aways, 0);
}

static void a_master_that_became_a_replica_is_left(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    open_nodes(world, 1);
    watch(a, "c");
    redis_say(&world->server, "replicaof 127.0.0.1 1");
    world_until(world, &a->aways, 1);
    redis_say(&world->server, "replicaof no one");
    wait_live(world);
    assert_int_not_equal(publish(a, "c", "x"), 0);
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

/* It cannot be proved any more by what the index holds, and need not be: the server is the one it was. */
static void a_node_that_was_away_for_longer_than_the_index_reaches_comes_back(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    world->index_length = 100;
    open_nodes(world, 2);
    watch(b, "c");
    uint64_t one = publish(a, "c", "x"), last = 0;
    world_until(world, &b->n_came, 1);
    kill_listeners(world);
    for (unsigned i = 0; i < 400; i++)
        last = publish(a, "other", "x");
    last = publish(a, "c", "x");
    world_until(world, &b->lives, 2);
    assert_came(world, b, (uint64_t[]){ one, last }, 2);
    assert_int_equal(a->live_head.epoch, b->live_head.epoch);
    assert_int_equal(b->behinds, 0);
}

static void many_channels_are_subscribed_and_filled_in_few_commands(void **state)
{
    enum { MANY = 3000, SOME = 50 };
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    static struct watch_call calls[MANY];
    static char names[MANY][16];
    uint64_t seqs[SOME];
    open_nodes(world, 2);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "c.%u", i);
        calls[i] = (struct watch_call){ .call.err = UNANSWERED, .channel = slice_of(names[i]) };
        redis_bus_subscribe(b->bus, &calls[i]);
    }
    world_until(world, &b->answers, MANY);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(calls[i].call.err, 0);
    kill_listeners(world);
    for (unsigned i = 0; i < SOME; i++)
        seqs[i] = publish(a, names[i * 7919 % MANY], "x");
    int64_t began = clock_mono_ms(clock_real());
    world_until(world, &b->lives, 2);
    print_message("%u channels were back after %lld ms\n", MANY, (long long)(clock_mono_ms(clock_real()) - began));
    assert_came(world, b, seqs, SOME);
    assert_int_equal(b->behinds, 0);
}

/* ---- failover to a replica that lagged (EXACT.md 17) ---- */

static void wait_for(const struct redis_server *server, const char *words)
{
    char ask[600];
    snprintf(ask, sizeof ask, "redis-cli -s %s %s >/dev/null", server->socket, words);
    for (int i = 0; system(ask); i++) {
        assert_true(i < REDIS_WAIT_MS / 20);
        usleep(20 * 1000);
    }
}

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
    wait_for(&pair->replica, "info replication | grep -q master_link_status:up");
}

static void detach(struct world *world, struct pair *pair)
{
    char same[300];
    snprintf(same, sizeof same, "info replication | grep -q \"$(redis-cli -s %s info replication | grep master_repl_offset)\"", world->server.socket);
    wait_for(&pair->replica, same);
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
    sentinel_begin(&sentinel, &world->server);
    redis_url_fini(&world->url);
    snprintf(url, sizeof url, "redis+sentinel://127.0.0.1:%u/mymaster", sentinel.port);
    assert_null(redis_url_read(slice_of(url), &world->url));
    wait_for(&sentinel, "sentinel replicas mymaster | grep -A1 master-link-status | grep -q ok");
    open_nodes(world, 2);
    watch(b, "c");
    uint64_t one = publish(a, "c", "x"), epoch = a->live_head.epoch;
    char same[300];
    snprintf(same, sizeof same, "info replication | grep -q \"$(redis-cli -s %s info replication | grep master_repl_offset)\"", world->server.socket);
    wait_for(&replica, same);
    redis_stop(&world->server);
    world_until(world, &a->lives, 2);
    world_until(world, &b->lives, 2);
    uint64_t two = publish(a, "c", "x");
    assert_came(world, b, (uint64_t[]){ one, two }, 2);
    assert_int_equal(b->live_head.epoch, epoch);
    redis_end(&sentinel);
    redis_end(&replica);
}

static void a_user_that_may_not_write_is_told_so(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    open_nodes(world, 1);
    redis_say(&world->server, "acl setuser default -xadd");
    assert_int_equal(publish(a, "c", "x"), 0);
    world_until(world, &a->refusals, 1);
    redis_say(&world->server, "acl setuser default +xadd -pexpireat");
    redis_say(&world->server, "client kill type normal");
    world_until(world, &a->aways, 1);
    assert_int_equal(a->lives, 1);
    for (int64_t end = clock_mono_ms(clock_real()) + REDIS_WAIT_MS; !strstr(redis_bus_why(a->bus), "PEXPIREAT"); world_turn(world))
        assert_true(clock_mono_ms(clock_real()) < end);
    redis_say(&world->server, "acl setuser default +pexpireat");
    wait_live(world);
    assert_int_not_equal(publish(a, "c", "x"), 0);
}

static void a_user_that_may_not_listen_is_told_so(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    open_nodes(world, 1);
    redis_say(&world->server, "acl setuser default resetchannels '&t:{0}:m:*'");
    world_until(world, &a->aways, 1);
    for (int64_t end = clock_mono_ms(clock_real()) + REDIS_WAIT_MS; !strstr(redis_bus_why(a->bus), "NOPERM"); world_turn(world))
        assert_true(clock_mono_ms(clock_real()) < end);
    redis_say(&world->server, "acl setuser default allchannels");
    wait_live(world);
}

/* Both connections stand, and what Redis says to the listener comes nowhere: nothing but the heartbeat can see it. */
static void a_listener_that_hears_nothing_is_given_up(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    struct proxy proxy;
    node_open(world, b);
    proxy_begin(&proxy, world, a);
    node_open(world, a);
    wait_live(world);
    watch(a, "c");
    uint64_t seqs[3] = { publish(b, "c", "x") };
    assert_came(world, a, seqs, 1);
    proxy.mute = true;      /* what listens now; what comes later is heard */
    seqs[1] = publish(b, "c", "into the void");
    world_until(world, &a->aways, 1);
    assert_non_null(strstr(a->why, "deaf"));
    world_until(world, &a->lives, 2);
    wait_live(world);
    seqs[2] = publish(b, "c", "x");
    assert_came(world, a, seqs, 3);
    assert_int_equal(b->aways, 0);
    proxy_end(&proxy);
    node_close(a);
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
                usleep(300);
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
        ON_BUS(data_that_came_through_a_restart_goes_on_as_if_nothing_had_been),
        ON_BUS(lost_data_is_a_new_epoch_on_which_all_nodes_agree),
        ON_BUS(flushall_is_seen_though_no_link_was_lost),
        ON_BUS(an_old_file_is_not_taken_for_the_data),
        ON_BUS(a_subscriber_that_is_killed_misses_nothing),
        ON_BUS(a_subscriber_that_reads_too_slowly_for_redis_misses_nothing),
        ON_BUS(what_history_has_given_up_meanwhile_is_told),
        ON_BUS(many_channels_are_subscribed_and_filled_in_few_commands),
        ON_BUS(a_node_that_was_away_for_longer_than_the_index_reaches_comes_back),
        ON_BUS(over_a_pattern_too_it_is_told_what_was_given_up),
        ON_BUS(more_than_can_be_collected_is_left_to_each_reader),
        ON_BUS(a_server_that_stands_still_is_left_and_what_was_sent_is_of_unknown_outcome),
        ON_BUS(a_question_that_the_link_does_not_take_leaves_nothing_behind),
        ON_BUS(who_waits_for_redis_is_answered_when_it_is_back),
        ON_BUS(who_waits_can_be_sent_away),
        ON_BUS(a_server_that_has_no_memory_left_refuses_and_is_not_left),
        ON_BUS(a_master_that_became_a_replica_is_left),
        ON_BUS(a_server_that_is_still_loading_is_waited_for),
        ON_BUS(a_replica_that_has_everything_is_taken_for_the_master),
        ON_BUS(numbers_that_were_given_twice_are_told_by_their_proof),
        ON_BUS(sentinels_lead_to_the_new_master_and_nothing_is_missed),
        ON_BUS(a_user_that_may_not_write_is_told_so),
        ON_BUS(a_user_that_may_not_listen_is_told_so),
        ON_BUS(a_listener_that_hears_nothing_is_given_up),
        ON_BUS(a_bus_may_end_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

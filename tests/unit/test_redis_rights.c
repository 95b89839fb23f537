/* Rights that are taken away while hubs are at work: a script that is refused in its middle must not leave half of what it does. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "redis/bus/redis_scripts.h"
#include "tests/unit/redis_bus_rig.h"

/* The user of the nodes and of redis-cli is the same one: he may always give back what he took. */
static void take(struct world *world, const char *right)
{
    char words[64];
    snprintf(words, sizeof words, "acl setuser default -%s", right);
    redis_say(&world->server, words);
}
static void give_back(struct world *world) { redis_say(&world->server, "acl setuser default +@all"); }

static int publish_error(struct node *node, const char *channel)
{
    struct publish_call call = publish_call(channel, "x");
    publish_await(node, &call);
    msg_unref(call.msg);
    return call.call.err;
}

static void assert_kept(struct node *node, const char *channel, unsigned n)
{
    struct fetch_channel channels[1];
    struct fetch_call call = { .from = FETCH_AFTER, .after = { redis_bus_head(node->bus).epoch, 1 } };
    fetch(node, &call, channels, NAMES(channel));
    assert_int_equal(call.n_msgs, n);
    fetch_answer_fini(&call);
}

static void who_may_not_write_streams_has_published_nothing_and_no_number_is_lost(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    open_nodes(world, 2);
    watch(b, "c");
    uint64_t one = publish(a, "c", "x"), epoch = a->live_head.epoch;
    take(world, "xadd");
    assert_int_equal(publish_error(a, "c"), ERR_REDIS_REFUSED);
    world_until(world, &a->aways, 1);
    world_until(world, &a->refusals, 1);
    assert_non_null(strstr(a->why, "XADD"));
    assert_int_equal(publish_error(a, "c"), ERR_REDIS_AWAY);
    give_back(world);
    wait_live(world);
    assert_int_equal(publish(a, "c", "x"), one + 1);
    world_until(world, &b->n_came, 2);
    assert_int_equal(redis_bus_head(b->bus).epoch, epoch);
    assert_int_equal(a->behinds + b->behinds, 0);
    assert_kept(a, "c", 2);
}

static void what_was_kept_and_could_not_be_sent_is_of_unknown_outcome_and_comes_later(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    open_nodes(world, 2);
    watch(b, "c");
    publish(a, "c", "x");
    uint64_t epoch = a->live_head.epoch;
    take(world, "publish");
    assert_int_equal(publish_error(a, "c"), ERR_OUTCOME_UNKNOWN);
    world_until(world, &a->aways, 2);
    world_until(world, &b->aways, 2);      /* by its heartbeat */
    assert_non_null(strstr(a->why, "PUBLISH"));
    assert_non_null(strstr(b->why, "PUBLISH"));
    give_back(world);
    wait_live(world);
    world_until(world, &b->n_came, 2);
    assert_int_equal(redis_bus_head(b->bus).epoch, epoch);
    assert_int_equal(a->behinds + b->behinds, 0);
    assert_kept(a, "c", 2);
}

static void what_is_trimmed_no_more_is_of_unknown_outcome_and_named(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    world->config.general_rule.history_bytes = 100;
    open_nodes(world, 2);
    watch(b, "c");
    for (int i = 0; i < 4; i++)
        publish(a, "c", "012345678901234567890123456789");
    uint64_t epoch = a->live_head.epoch;
    take(world, "xtrim");
    assert_int_equal(publish_error(a, "c"), ERR_OUTCOME_UNKNOWN);
    world_until(world, &a->aways, 2);
    assert_non_null(strstr(a->why, "XTRIM"));
    give_back(world);
    wait_live(world);
    uint64_t last = publish(a, "c", "x");
    assert_true(last > 0);
    WORLD_UNTIL(world, b->came[b->n_came - 1]->seq >= last);
    assert_int_equal(redis_bus_head(b->bus).epoch, epoch);
}

/* Alone it has to decide; while others live it waits for what they know. */
static void a_new_node_lets_those_vouch_who_know_the_data(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    redis_stop(&world->server);
    redis_run(&world->server, "--appendonly yes --appendfsync always");
    open_nodes(world, 1);
    watch(a, "c");
    publish(a, "c", "x");
    uint64_t epoch = a->live_head.epoch;
    redis_stop(&world->server);
    redis_run(&world->server, "--appendonly yes --appendfsync always");
    node_open(world, b);
    for (int64_t end = clock_mono_ms(clock_real()) + REDIS_WAIT_MS; !strstr(b->why, "waiting for one"); loop_once(b->base))
        assert_true(clock_mono_ms(clock_real()) < end);      /* nobody else has had a turn */
    wait_live(world);
    assert_int_equal(redis_bus_head(a->bus).epoch, epoch);
    assert_int_equal(redis_bus_head(b->bus).epoch, epoch);
    assert_int_equal(a->behinds, 0);
}

static void a_new_node_alone_with_old_data_takes_a_new_epoch(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    redis_stop(&world->server);
    redis_run(&world->server, "--appendonly yes --appendfsync always");
    open_nodes(world, 1);
    publish(a, "c", "x");
    uint64_t epoch = a->live_head.epoch;
    node_close(a);
    redis_stop(&world->server);
    redis_run(&world->server, "--appendonly yes --appendfsync always");
    node_open(world, b);
    wait_live(world);
    assert_int_not_equal(redis_bus_head(b->bus).epoch, epoch);
}

/* INFO may be forbidden: then a little less is found out. */
static void each_command_of_a_script_is_tried_before_a_node_is_live(void **state)
{
    char *proof = slice_copy(redis_script_text(REDIS_PROOF)), *tried = strstr(proof, "local function missing_right");
    (void)state;
    assert_non_null(tried);
    for (enum redis_script script = 0; script < REDIS_SCRIPTS; script++) {
        char *text = slice_copy(redis_script_text(script));
        for (const char *at = text; (at = strstr(at, "call('")); ) {
            char command[32];
            at += strlen("call('");
            snprintf(command, sizeof command, "'%.*s'", (int)strcspn(at, "'"), at);
            if (!strstr(tried, command) && strcmp(command, "'INFO'"))
                fail_msg("proof.lua does not try %s", command);
        }
        free(text);
    }
    free(proof);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(who_may_not_write_streams_has_published_nothing_and_no_number_is_lost),
        ON_BUS(what_was_kept_and_could_not_be_sent_is_of_unknown_outcome_and_comes_later),
        ON_BUS(what_is_trimmed_no_more_is_of_unknown_outcome_and_named),
        ON_BUS(a_new_node_lets_those_vouch_who_know_the_data),
        ON_BUS(a_new_node_alone_with_old_data_takes_a_new_epoch),
        cmocka_unit_test(each_command_of_a_script_is_tried_before_a_node_is_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A server that is away, stands still or refuses: what those are told who wait for it, and that they are served when it is back. */
#define _GNU_SOURCE     /* own_dir.h, ppoll */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/redis_bus_rig.h"

static void a_server_that_stands_still_is_left_and_what_was_sent_is_of_unknown_outcome(void **state)
{
    struct world *world = *state;
    struct node *a = &world->nodes[0];
    world->command_ms = 2500;
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
    WORLD_UNTIL(world, strstr(redis_bus_why(a->bus), "PEXPIREAT"));
    redis_say(&world->server, "acl setuser default +pexpireat");
    wait_live(world);
    assert_int_not_equal(publish(a, "c", "x"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(a_server_that_stands_still_is_left_and_what_was_sent_is_of_unknown_outcome),
        ON_BUS(a_question_that_the_link_does_not_take_leaves_nothing_behind),
        ON_BUS(who_waits_for_redis_is_answered_when_it_is_back),
        ON_BUS(who_waits_can_be_sent_away),
        ON_BUS(a_server_that_has_no_memory_left_refuses_and_is_not_left),
        ON_BUS(a_master_that_became_a_replica_is_left),
        ON_BUS(a_user_that_may_not_write_is_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

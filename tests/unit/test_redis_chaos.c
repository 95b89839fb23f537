/* Nodes that publish and listen while Redis is killed, restarted, thrown away and fails over, at random times: nothing that was acknowledged
 * is lost, doubled or out of order, unless a new epoch or a gap was told. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/redis_bus_rig.h"

enum { ROUNDS = 14, PUBLISHES = 60, CHANNELS = 4 };

static unsigned seed;
static unsigned draw(unsigned below) { return (unsigned)((seed = seed * 1103515245 + 12345) >> 8) % below; }

static const char *const channels[CHANNELS] = { "a.one", "a.two", "b.one", "off.one" };

/* A publish that nobody has looked at yet. */
struct sent {
    struct publish_call call;      /* first */
    unsigned            channel;
    bool                done;
};

struct chaos {
    struct sent sent[ROUNDS * PUBLISHES];
    unsigned    n;
};

static void send_some(struct world *world, struct chaos *chaos, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct sent *sent = &chaos->sent[chaos->n++];
        struct node *node = &world->nodes[draw(2)];
        char text[16];
        snprintf(text, sizeof text, "%u", chaos->n);
        sent->channel = draw(CHANNELS);
        sent->call = publish_call(channels[sent->channel], text);
        publish_soon(node, &sent->call);
        if (draw(4) == 0)
            world_turn(world);
    }
}

static void restart(struct world *world, const char *options)
{
    redis_stop(&world->server);
    world_pass(world, draw(20));
    redis_run(&world->server, options);
}

static void kill_with_its_data(struct world *world)     { redis_stop(&world->server); redis_run(&world->server, "--appendonly yes --appendfsync always"); }
static void kill_for_a_while(struct world *world)       { restart(world, "--appendonly yes --appendfsync always"); }
static void kill_commands(struct world *world)          { redis_say(&world->server, "client kill type normal"); }
static void flush_scripts(struct world *world)          { redis_say(&world->server, "script flush"); }
static void stand_still(struct world *world)
{
    kill(world->server.pid, SIGSTOP);
    world_pass(world, draw(40));
    kill(world->server.pid, SIGCONT);
}
static void lose_everything(struct world *world)        { redis_say(&world->server, "flushall"); }
static void nothing(struct world *world)                { (void)world; }

typedef void fault_fn(struct world *world);

static bool is_answered(const struct sent *sent) { return sent->call.call.err != UNANSWERED; }

static void settle(struct world *world, struct chaos *chaos)
{
    wait_live(world);
    for (unsigned i = 0; i < chaos->n; i++)
        WORLD_UNTIL(world, is_answered(&chaos->sent[i]));
    /* Behind a last message of each channel everything is there. */
    for (unsigned i = 0; i < CHANNELS; i++) {
        uint64_t seq;      /* a link may have been lost without having been noticed yet */
        WORLD_UNTIL(world, seq = publish(&world->nodes[0], channels[i], "last"));
        for (unsigned k = 0; k < 2; k++) {
            struct node *node = &world->nodes[k];
            WORLD_UNTIL(world, redis_bus_head(node->bus).seq >= seq);
        }
    }
}

/* Numbers only grow (node_message), so once is enough to look for. */
static bool came(const struct node *node, const struct msg *m)
{
    for (unsigned i = 0; i < node->n_came; i++)
        if (node->came[i]->seq == m->seq && node->came[i]->epoch == m->epoch)
            return slice_is(msg_data(node->came[i]), msg_data(m)) && slice_is(msg_channel(node->came[i]), msg_channel(m));
    return false;
}

/* What came before everybody was told to be behind is for readers to fetch; of the channel without history a listener that was away
 * may miss something, and is told so. */
static bool must_have_come(const struct node *node, const struct sent *sent)
{
    const struct msg *m = sent->call.msg;
    bool is_whole = !node->whole_after.epoch || (m->epoch == node->whole_after.epoch && m->seq > node->whole_after.seq);
    return sent->call.call.err == 0 && is_whole && sent->channel != CHANNELS - 1;
}

static void check(struct world *world, struct chaos *chaos)
{
    for (unsigned k = 0; k < 2; k++)
        for (unsigned i = 0; i < chaos->n; i++)
            if (must_have_come(&world->nodes[k], &chaos->sent[i]) && !came(&world->nodes[k], chaos->sent[i].call.msg))
                fail_msg("node %u misses message %llu and was not told", k, (unsigned long long)chaos->sent[i].call.msg->seq);
}

static void run(struct world *world, fault_fn *const *faults, unsigned n_faults)
{
    struct chaos *chaos = calloc(1, sizeof *chaos);
    seed = getenv("SEED") ? (unsigned)strtoul(getenv("SEED"), NULL, 10) : (unsigned)clock_mono_us();
    print_message("SEED=%u\n", seed);
    world->config.general_rule.history_size = 10000;
    redis_stop(&world->server);
    redis_run(&world->server, "--appendonly yes --appendfsync always");
    open_nodes(world, 2);
    for (unsigned i = 0; i < CHANNELS; i++)
        watch(&world->nodes[0], channels[i]);
    watch(&world->nodes[1], "a.*");
    watch(&world->nodes[1], "a.one");
    watch(&world->nodes[1], "**");
    for (unsigned round = 0; round < ROUNDS; round++) {
        send_some(world, chaos, draw(PUBLISHES));
        faults[draw(n_faults)](world);
        if (draw(3) > 0)
            wait_live(world);
    }
    settle(world, chaos);
    check(world, chaos);
    for (unsigned i = 0; i < chaos->n; i++)
        msg_unref(chaos->sent[i].call.msg);
    free(chaos);
}

static void while_its_data_stays_nothing_that_was_acknowledged_is_missed(void **state)
{
    struct world *world = *state;
    static fault_fn *const faults[] = { kill_with_its_data, kill_for_a_while, kill_listeners, kill_commands, flush_scripts, stand_still, nothing };
    run(world, faults, sizeof faults / sizeof *faults);
    assert_int_equal(world->nodes[0].behind_all + world->nodes[1].behind_all, 0);
}

static void what_is_missed_when_data_goes_is_told(void **state)
{
    struct world *world = *state;
    static fault_fn *const faults[] = { lose_everything, kill_with_its_data, kill_listeners, kill_commands, flush_scripts, nothing };
    run(world, faults, sizeof faults / sizeof *faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(while_its_data_stays_nothing_that_was_acknowledged_is_missed),
        ON_BUS(what_is_missed_when_data_goes_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

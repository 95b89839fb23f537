/* What the scripts answer to who asks for messages: the same that hub/fetch.c does (test_fetch.c, test_history.c, test_hub_patterns.c),
 * and what they leave in Redis. */
#define _GNU_SOURCE     /* own_dir.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/redis_bus_rig.h"

/* `seqs` ends with 0. */
static void assert_answer(const struct fetch_call *call, enum gap_reason gap, uint64_t begin, uint64_t upto, const uint64_t *seqs)
{
    size_t n = 0;
    assert_int_equal(call->gap, gap);
    for (; seqs[n]; n++) {
        assert_true(n < call->n_msgs);
        assert_int_equal(call->msgs[n]->seq, seqs[n]);
        assert_int_equal(call->msgs[n]->epoch, call->upto.epoch);
    }
    assert_int_equal(call->n_msgs, n);
    assert_int_equal(call->begin.seq, begin);
    assert_int_equal(call->upto.seq, upto);
}
#define SEQS(...) ((uint64_t[]){ __VA_ARGS__ __VA_OPT__(,) 0 })

/* Asks after this number of the present epoch, or from another beginning, and takes the answer apart. */
static void assert_fetch(struct node *node, const char *const *names, struct fetch_call call, enum gap_reason gap, uint64_t begin, uint64_t upto,
                         const uint64_t *seqs, struct fetch_channel *channels)
{
    struct fetch_channel own[8];
    if (call.from == FETCH_AFTER && !call.after.epoch)
        call.after.epoch = redis_bus_head(node->bus).epoch;
    fetch(node, &call, channels ? channels : own, names);
    assert_answer(&call, gap, begin, upto, seqs);
    fetch_answer_fini(&call);
}
#define AFTER(n) ((struct fetch_call){ .from = FETCH_AFTER, .after.seq = (n) })

static struct node *open_one(struct world *world)
{
    open_nodes(world, 1);
    return &world->nodes[0];
}

/* Numbers begin with 2: 1 is the epoch's own. */
static void a_position_is_complete_if_it_is_not_below_what_its_channel_has_dropped(void **state)
{
    struct world *world = *state;
    struct fetch_channel channels[2];
    world->config.general_rule.history_size = 2;
    struct node *a = open_one(world);
    for (int i = 0; i < 3; i++) {
        publish(a, "a", "x");      /* 2 4 6: 2 goes */
        publish(a, "b", "x");      /* 3 5 7: 3 goes */
    }
    assert_fetch(a, NAMES("a"), AFTER(2), GAP_NONE, 2, 7, SEQS(4, 6), channels);
    assert_false(channels[0].incomplete);
    assert_true(channels[0].resumable);
    assert_fetch(a, NAMES("a"), AFTER(1), GAP_HISTORY, 3, 7, SEQS(4, 6), channels);
    assert_true(channels[0].incomplete);
    assert_fetch(a, NAMES("b"), AFTER(2), GAP_HISTORY, 4, 7, SEQS(5, 7), NULL);
    assert_fetch(a, NAMES("never"), AFTER(1), GAP_NONE, 1, 7, SEQS(), NULL);
    publish(a, "c", "x");
    assert_fetch(a, NAMES("c", "b"), AFTER(1), GAP_HISTORY, 4, 8, SEQS(5, 7, 8), channels);      /* only those that may miss something */
    assert_false(channels[0].incomplete);
    assert_int_equal(channels[0].dropped, 1);
    assert_true(channels[1].incomplete);
    assert_int_equal(channels[1].dropped, 3);
}

static void foreign_and_future_positions_get_a_gap_and_everything_kept(void **state)
{
    struct world *world = *state;
    struct node *a = open_one(world);
    uint64_t epoch = redis_bus_head(a->bus).epoch;
    const struct position foreign[] = { { epoch + 1, 2 }, { epoch, 4 }, { epoch, UINT64_MAX } };
    publish(a, "a", "x");
    publish(a, "a", "x");
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        assert_fetch(a, NAMES("a"), (struct fetch_call){ .from = FETCH_AFTER, .after = foreign[i] }, GAP_EPOCH, 1, 3, SEQS(2, 3), NULL);
    assert_fetch(a, NAMES("**"), (struct fetch_call){ .from = FETCH_AFTER, .after = foreign[0] }, GAP_EPOCH, 1, 3, SEQS(2, 3), NULL);
    assert_fetch(a, NAMES("a"), AFTER(3), GAP_NONE, 3, 3, SEQS(), NULL);
}

static void a_beginning_may_be_a_count_a_time_or_the_newest_of_each_channel(void **state)
{
    struct world *world = *state;
    struct node *a = open_one(world);
    publish(a, "a", "x");      /* 2 */
    publish(a, "b", "x");      /* 3 */
    usleep(3000);
    struct publish_call call = publish_call("a", "x");
    publish_await(a, &call);   /* 4 */
    int64_t then = call.msg->time_ms;
    msg_unref(call.msg);
    publish(a, "a", "x");      /* 5 */
    publish(a, "c", "x");      /* 6 */
    const struct { const char *const *names; struct fetch_call call; const uint64_t *seqs; } cases[] = {
        { NAMES("a"), { .from = FETCH_COUNT, .count = 2 }, SEQS(4, 5) },
        { NAMES("b", "a"), { .from = FETCH_COUNT, .count = 3 }, SEQS(3, 4, 5) },
        { NAMES("b", "a"), { .from = FETCH_COUNT, .count = 10000 }, SEQS(2, 3, 4, 5) },
        { NAMES("b", "a"), { .from = FETCH_TIME, .time_ms = then }, SEQS(4, 5) },
        { NAMES("b", "a"), { .from = FETCH_TIME, .time_ms = then - 1 }, SEQS(4, 5) },
        { NAMES("b", "a"), { .from = FETCH_TIME, .time_ms = then + 60000 }, SEQS() },
        { NAMES("b", "a"), { .from = FETCH_TIME }, SEQS(2, 3, 4, 5) },
        { NAMES("b", "a"), { .from = FETCH_ALL }, SEQS(2, 3, 4, 5) },
        { NAMES("b", "a"), { .from = FETCH_LATEST }, SEQS(3, 5) },
        { NAMES("b", "a"), { .from = FETCH_LATEST, .after = { 0, 3 } }, SEQS(5) },
        { NAMES("b", "a"), { .from = FETCH_LATEST, .after = { 0, 5 } }, SEQS() },
        { NAMES("never"), { .from = FETCH_COUNT, .count = 5 }, SEQS() },
        { NAMES("never"), { .from = FETCH_LATEST }, SEQS() },
        { NAMES("a"), { .from = FETCH_NOW }, SEQS() },
        { NAMES("**"), { .from = FETCH_COUNT, .count = 2 }, SEQS(5, 6) },
        { NAMES("**"), { .from = FETCH_COUNT, .count = 10000 }, SEQS(2, 3, 4, 5, 6) },
        { NAMES("**", "b"), { .from = FETCH_TIME, .time_ms = then }, SEQS(4, 5, 6) },
        { NAMES("**"), { .from = FETCH_TIME, .time_ms = then + 60000 }, SEQS() },
        { NAMES("**"), { .from = FETCH_TIME }, SEQS(2, 3, 4, 5, 6) },
        { NAMES("*"), { .from = FETCH_LATEST }, SEQS(3, 5, 6) },
        { NAMES("*"), { .from = FETCH_LATEST, .after = { 0, 3 } }, SEQS(5, 6) },
        { NAMES("**"), { .from = FETCH_ALL }, SEQS(2, 3, 4, 5, 6) },
        { NAMES("nothing.*"), { .from = FETCH_ALL }, SEQS() },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fetch_call asked = cases[i].call;
        asked.after.epoch = redis_bus_head(a->bus).epoch;
        assert_fetch(a, cases[i].names, asked, GAP_NONE, cases[i].seqs[0] ? cases[i].seqs[0] - 1 : 6, 6, cases[i].seqs, NULL);
    }
}

static void without_history_no_gap_is_ever_told(void **state)
{
    struct world *world = *state;
    struct fetch_channel channel;
    struct node *a = open_one(world);
    publish(a, "off.c", "x");
    publish(a, "off.c", "x");
    assert_fetch(a, NAMES("off.c"), AFTER(1), GAP_NONE, 3, 3, SEQS(), &channel);
    assert_false(channel.resumable);
    assert_fetch(a, NAMES("off.c"), (struct fetch_call){ .from = FETCH_AFTER, .after = { 1, 1 } }, GAP_NONE, 3, 3, SEQS(), NULL);
}

/* What is kept no more must not look complete because of what was kept before. */
static void history_that_is_turned_off_gives_up_what_there_was(void **state)
{
    struct world *world = *state;
    struct node *a = open_one(world);
    size_t on = world->config.general_rule.history_size;
    publish(a, "c", "x");      /* 2 */
    world->config.general_rule.history_size = 0;
    publish(a, "c", "x");      /* 3 */
    world->config.general_rule.history_size = on;
    assert_fetch(a, NAMES("c"), AFTER(2), GAP_HISTORY, 3, 3, SEQS(), NULL);
    publish(a, "c", "x");      /* 4 */
    assert_fetch(a, NAMES("c"), AFTER(2), GAP_HISTORY, 3, 4, SEQS(4), NULL);
    assert_fetch(a, NAMES("c"), AFTER(3), GAP_NONE, 3, 4, SEQS(4), NULL);
}

static void an_answer_is_cut_at_its_bounds_and_goes_on_where_it_was_cut(void **state)
{
    struct world *world = *state;
    struct node *a = open_one(world);
    const char *channels[] = { "a.x", "b.x", "c.x" };
    const char *const *names[] = { (const char *const[]){ "a.x", "b.x", "c.x", NULL }, (const char *const[]){ "*.x", NULL } };
    for (unsigned i = 0; i < 150; i++)
        publish(a, channels[i * i % 3], "0123456789012345678901234567890123456789012345678901234567890123456789");
    for (unsigned kind = 0; kind < 4; kind++) {
        struct fetch_channel asked[3];
        struct fetch_call call = { .from = FETCH_AFTER, .after = { redis_bus_head(a->bus).epoch, 1 } };
        uint64_t next = 2;
        do {
            call.max_bytes = kind < 2 ? 2000 : 0;
            call.max_count = kind < 2 ? 0 : 7;
            fetch(a, &call, asked, names[kind % 2]);
            assert_int_equal(call.gap, GAP_NONE);
            assert_in_range(call.n_msgs, 1, 20);
            for (size_t i = 0; i < call.n_msgs; i++)
                if (call.msgs[i]->seq != next++)
                    fail_msg("kind %u: %llu instead of %llu", kind, (unsigned long long)call.msgs[i]->seq, (unsigned long long)next - 1);
            call.after = call.upto;
            bool more = call.more;
            fetch_answer_fini(&call);
            call.more = more;
        } while (call.more);
        assert_int_equal(next, 152);
    }
    struct fetch_call least = { .from = FETCH_ALL, .max_bytes = 1 };      /* one message at least */
    struct fetch_channel one;
    fetch(a, &least, &one, NAMES("a.x"));
    assert_int_equal(least.n_msgs, 1);
    assert_true(least.more);
    fetch_answer_fini(&least);
}

static void bytes_and_ages_bound_what_counts(void **state)
{
    struct world *world = *state;
    char text[1001] = { 0 };
    struct fetch_channel channel;
    struct node *a = open_one(world);
    memset(text, 'x', 1000);
    world->config.general_rule.history_bytes = 5000;
    for (unsigned i = 0; i < 30; i++)
        publish(a, "c", text);      /* 2 … 31, each of 1,033 bytes */
    assert_fetch(a, NAMES("c"), AFTER(1), GAP_HISTORY, 27, 31, SEQS(28, 29, 30, 31), &channel);
    assert_int_equal(channel.dropped, 27);
    assert_fetch(a, NAMES("c"), AFTER(27), GAP_NONE, 27, 31, SEQS(28, 29, 30, 31), NULL);
    world->config.general_rule.history_bytes = 100;
    publish(a, "c", text);      /* the newest is kept, however large */
    assert_fetch(a, NAMES("c"), AFTER(31), GAP_NONE, 31, 32, SEQS(32), &channel);
    assert_int_equal(channel.dropped, 31);

    world->config.general_rule.history_bytes = 1 << 20;
    world->config.general_rule.history_ttl_ms = 150;
    publish(a, "t", "old");      /* 33 */
    usleep(100 * 1000);
    publish(a, "t", "young");      /* 34 */
    usleep(60 * 1000);
    struct fetch_channel t;
    struct fetch_call call = { .from = FETCH_AFTER, .after = { redis_bus_head(a->bus).epoch, 32 } };
    fetch(a, &call, &t, NAMES("t"));
    assert_int_equal(call.gap, GAP_HISTORY);
    assert_in_range(t.dropped, 33, 34);      /* the young one is gone too when this machine was held up */
    fetch_answer_fini(&call);
    usleep(200 * 1000);
    assert_fetch(a, NAMES("t"), AFTER(33), GAP_HISTORY, 34, 34, SEQS(), NULL);
    assert_fetch(a, NAMES("t"), AFTER(34), GAP_NONE, 34, 34, SEQS(), NULL);
    assert_fetch(a, NAMES("*"), AFTER(33), GAP_HISTORY, 34, 34, SEQS(), NULL);
}

static void a_message_that_is_gone_by_its_own_ttl_is_no_gap(void **state)
{
    struct world *world = *state;
    struct node *a = open_one(world);
    struct publish_call call = { .msg = msg_new(&(struct msg_parts){ .channel = SLICE("c"), .kind = MSG_TEXT, .data = SLICE("x"), .ttl_ms = 30,
                                                                     .exclude = SLICE("somebody") }) };
    watch(a, "c");
    publish_await(a, &call);      /* 2 */
    msg_unref(call.msg);
    world_until(world, &a->n_came, 1);
    assert_int_equal(a->came[0]->ttl_ms, 30);
    assert_true(slice_is(msg_exclude(a->came[0]), SLICE("somebody")));
    publish(a, "c", "x");      /* 3 */
    usleep(40 * 1000);
    assert_fetch(a, NAMES("c"), AFTER(1), GAP_NONE, 1, 3, SEQS(3), NULL);
    assert_fetch(a, NAMES("*"), AFTER(1), GAP_NONE, 1, 3, SEQS(3), NULL);
    assert_fetch(a, NAMES("c"), (struct fetch_call){ .from = FETCH_COUNT, .count = 2 }, GAP_NONE, 2, 3, SEQS(3), NULL);
}

static struct purge_call purge(struct node *node, const char *channel, struct position before)
{
    struct purge_call call = { .call.err = UNANSWERED, .channel = slice_of(channel), .before = before };
    unsigned answers = node->answers;
    redis_bus_purge(node->bus, &call);
    loop_until(node->base, &node->answers, answers + 1);
    return call;
}

static void a_purge_removes_everything_or_what_came_before_a_position_and_is_told(void **state)
{
    struct world *world = *state;
    open_nodes(world, 2);
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    uint64_t epoch = redis_bus_head(a->bus).epoch;
    for (unsigned i = 0; i < 4; i++)
        publish(a, "c", "x");      /* 2 … 5 */
    struct purge_call call = purge(a, "c", (struct position){ epoch, 4 });
    assert_int_equal(call.call.err, 0);
    assert_int_equal(call.removed, 2);
    assert_int_equal(call.upto.seq, 3);
    assert_true(a->purges >= 2);
    world_until(world, &b->purges, 2);      /* once when it was live */
    assert_fetch(a, NAMES("c"), AFTER(2), GAP_HISTORY, 3, 5, SEQS(4, 5), NULL);
    assert_fetch(a, NAMES("c"), AFTER(3), GAP_NONE, 3, 5, SEQS(4, 5), NULL);
    call = purge(a, "c", (struct position){ epoch, 4 });      /* nothing is left to go */
    assert_int_equal(call.removed, 0);
    assert_int_equal(call.upto.seq, 3);
    call = purge(a, "c", (struct position){ 0, 0 });
    assert_int_equal(call.removed, 2);
    assert_int_equal(call.upto.seq, 5);
    assert_fetch(a, NAMES("c"), AFTER(4), GAP_HISTORY, 5, 5, SEQS(), NULL);
    assert_fetch(a, NAMES("*"), AFTER(4), GAP_HISTORY, 5, 5, SEQS(), NULL);
    publish(a, "c", "x");      /* 6 */
    assert_fetch(a, NAMES("c"), AFTER(5), GAP_NONE, 5, 6, SEQS(6), NULL);
    call = purge(a, "never", (struct position){ 0, 0 });
    assert_int_equal(call.call.err, 0);
    assert_int_equal(call.upto.seq, 0);
    const struct position bad[] = { { epoch + 1, 2 }, { epoch, 0 }, { epoch, 7 } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(purge(a, "c", bad[i]).call.err, ERR_BAD_POSITION);
}

/* ---- what is not known any more (EXACT.md 6) ---- */

static void of_a_channel_that_was_forgotten_the_floor_speaks(void **state)
{
    struct world *world = *state;
    struct fetch_channel channel;
    world->meta_ms = 200;
    world->config.general_rule.history_ttl_ms = 50;
    struct node *a = open_one(world);
    publish(a, "c", "x");      /* 2 */
    publish(a, "d", "x");      /* 3 */
    world_pass(world, 2400);      /* 200 + 2000: publish.lua */
    redis_say(&world->server, "exists t:{0}:last:c | grep -qx 0");
    uint64_t four = publish(a, "e.e", "x");
    assert_fetch(a, NAMES("c"), AFTER(1), GAP_HISTORY, four, four, SEQS(), &channel);
    assert_in_range(channel.dropped, 2, 3);
    assert_fetch(a, NAMES("c"), AFTER(3), GAP_NONE, 3, four, SEQS(), NULL);
    world->config.general_rule.history_ttl_ms = 60 * 1000;      /* this one stays while it is asked for */
    uint64_t five = publish(a, "c", "x");      /* born again, with what may have been */
    assert_fetch(a, NAMES("c"), AFTER(1), GAP_HISTORY, five - 1, five, SEQS(five), NULL);
    assert_fetch(a, NAMES("c"), AFTER(3), GAP_NONE, 3, five, SEQS(five), NULL);
    assert_fetch(a, NAMES("*"), AFTER(1), GAP_HISTORY, five - 1, five, SEQS(five), NULL);
}

static void beyond_what_the_index_covers_a_pattern_has_a_gap(void **state)
{
    struct world *world = *state;
    struct fetch_channel channel;
    world->index_length = 100;
    struct node *a = open_one(world);
    for (unsigned i = 0; i < 400; i++)      /* it is cut by whole nodes of 100 */
        publish(a, i % 2 ? "a.x" : "b.x", "x");
    struct fetch_call call = { .from = FETCH_AFTER, .after = { redis_bus_head(a->bus).epoch, 100 } };
    fetch(a, &call, &channel, NAMES("a.*"));
    assert_int_equal(call.gap, GAP_HISTORY);
    assert_in_range(channel.dropped, 200, 301);
    fetch_answer_fini(&call);
    call = (struct fetch_call){ .from = FETCH_AFTER, .after = { redis_bus_head(a->bus).epoch, 390 } };
    fetch(a, &call, &channel, NAMES("a.*"));
    assert_int_equal(call.gap, GAP_NONE);
    assert_int_equal(call.n_msgs, 6);
    fetch_answer_fini(&call);
}

static void an_entry_whose_message_is_gone_is_a_gap(void **state)
{
    struct world *world = *state;
    struct node *a = open_one(world);
    publish(a, "a.x", "x");      /* 2 */
    publish(a, "a.x", "x");      /* 3 */
    publish(a, "a.x", "x");      /* 4 */
    redis_say(&world->server, "xdel t:{0}:kept:a.x 3-0");
    assert_fetch(a, NAMES("a.*"), AFTER(1), GAP_HISTORY, 1, 4, SEQS(2, 4), NULL);
}

static void a_pattern_matches_by_segments(void **state)
{
    struct world *world = *state;
    struct node *a = open_one(world);
    static const char *const names[] = { "a", "a.b", "a.b.c", "a.", "a-b", "a.b%c", "x.b" };      /* 2 … 8 */
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        publish(a, names[i], "x");
    const struct { const char *pattern; const uint64_t *seqs; } cases[] = {
        { "*", SEQS(2, 6) },    { "a.*", SEQS(3, 5, 7) },  { "a.**", SEQS(3, 4, 5, 7) }, { "**", SEQS(2, 3, 4, 5, 6, 7, 8) },
        { "*.b", SEQS(3, 8) },  { "*.b.**", SEQS(4) },     { "a.*.c", SEQS(4) },         { "*.*", SEQS(3, 5, 7, 8) },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fetch(a, NAMES(cases[i].pattern), AFTER(1), GAP_NONE, 1, 8, cases[i].seqs, NULL);
}

static void a_long_index_is_walked_in_pieces(void **state)
{
    struct world *world = *state;
    struct node *a = open_one(world);
    enum { MANY = 5000 };
    static struct publish_call calls[MANY];
    unsigned answers = a->answers;
    for (unsigned i = 0; i < MANY; i++)
        calls[i] = publish_call(i == MANY - 1 ? "wanted" : "other.x", "x");
    for (unsigned i = 0; i < MANY; i++)
        publish_soon(a, &calls[i]);
    loop_until(a->base, &a->answers, answers + MANY);
    for (unsigned i = 0; i < MANY; i++)
        msg_unref(calls[i].msg);
    struct fetch_channel channel;
    struct fetch_call call = { .from = FETCH_AFTER, .after = { redis_bus_head(a->bus).epoch, 1 } };
    fetch(a, &call, &channel, NAMES("*"));
    unsigned pieces = 1;
    for (; call.more; pieces++) {
        assert_int_equal(call.n_msgs, 0);
        call.after = call.upto;
        fetch(a, &call, &channel, NAMES("*"));
    }
    assert_in_range(pieces, 3, 4);
    assert_int_equal(call.gap, GAP_NONE);
    assert_int_equal(call.n_msgs, 1);
    assert_int_equal(call.upto.seq, MANY + 1);
    fetch_answer_fini(&call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUS(a_position_is_complete_if_it_is_not_below_what_its_channel_has_dropped),
        ON_BUS(foreign_and_future_positions_get_a_gap_and_everything_kept),
        ON_BUS(a_beginning_may_be_a_count_a_time_or_the_newest_of_each_channel),
        ON_BUS(without_history_no_gap_is_ever_told),
        ON_BUS(history_that_is_turned_off_gives_up_what_there_was),
        ON_BUS(an_answer_is_cut_at_its_bounds_and_goes_on_where_it_was_cut),
        ON_BUS(bytes_and_ages_bound_what_counts),
        ON_BUS(a_message_that_is_gone_by_its_own_ttl_is_no_gap),
        ON_BUS(a_purge_removes_everything_or_what_came_before_a_position_and_is_told),
        ON_BUS(of_a_channel_that_was_forgotten_the_floor_speaks),
        ON_BUS(beyond_what_the_index_covers_a_pattern_has_a_gap),
        ON_BUS(an_entry_whose_message_is_gone_is_a_gap),
        ON_BUS(a_pattern_matches_by_segments),
        ON_BUS(a_long_index_is_walked_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

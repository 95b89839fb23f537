/* Patterns in the hub core: who is mailed what and how often, and what is missing after a position, against a plain list of all
 * that was published. */
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/hash.h"
#include "hub/base/name.h"
#include "hub/config/config.h"
#include "hub/hub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { EPOCH = 77, EDGES = 2, MESSAGES = 4000, NAMES = 12, SETS = 400 };

struct rig {
    struct clock   clock;
    int64_t        now_ms;
    struct config  config;
    struct mailbox box[EDGES];
    struct hub    *hub;
    struct post    to_hub;
    uint8_t        peer[EDGES];
    unsigned       came[EDGES];      /* messages mailed since the test looked last */
    atomic_uint    one, two;         /* counters of subscribers */
};

static struct rig *rig_of(const struct clock *clock) { return (struct rig *)(uintptr_t)clock; }
static int64_t rig_mono(const struct clock *clock)   { return rig_of(clock)->now_ms; }
static int64_t rig_wall(const struct clock *clock)   { return 1700000000000 + rig_of(clock)->now_ms; }

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    rig->clock = (struct clock){ rig_mono, rig_wall };
    rig->now_ms = 1000;
    rig->one = 1;
    rig->two = 2;
    rig->config = (struct config){ .history_size = 3, .history_ttl_ms = 60000, .history_bytes = 1 << 20, .history_max_bytes = 1 << 24 };
    config_general_rule(&rig->config);
    rig->hub = hub_new(&rig->config, &rig->clock, NULL, (struct hub_start){ EPOCH, 1, 1, 0, SLICE("") });
    assert_non_null(rig->hub);
    post_init(&rig->to_hub, hub_mailbox(rig->hub), SIZE_MAX);
    for (int i = 0; i < EDGES; i++) {
        assert_int_equal(mailbox_init(&rig->box[i], false), 0);
        rig->peer[i] = hub_add_peer(rig->hub, &rig->box[i], true, SIZE_MAX);
    }
    *state = rig;
    return 0;
}

static void take_mail(struct rig *rig)
{
    for (int i = 0; i < EDGES; i++)
        for (struct letter *letter = mailbox_take(&rig->box[i]), *next; letter; letter = next) {
            next = letter->next;
            letter_done(letter);
            if (letter->kind != LETTER_MESSAGE)
                continue;
            rig->came[i]++;
            msg_unref(((struct message_letter *)letter)->msg);
            free(letter);
        }
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    take_mail(rig);
    hub_free(rig->hub);
    for (int i = 0; i < EDGES; i++)
        mailbox_fini(&rig->box[i]);
    free(rig);
    return 0;
}

static void run(struct rig *rig, int edge, struct call *call, enum letter_kind kind)
{
    call->letter.kind = kind;
    call->from = rig->peer[edge];
    call_submit(&rig->to_hub, call, 0);
    post_flush(&rig->to_hub);
    hub_turn(rig->hub);
    take_mail(rig);
}

static void watch(struct rig *rig, int edge, const char *name, atomic_uint *subscribers, enum letter_kind kind)
{
    struct watch_call call = { .channel = slice_of(name), .hash = hash_bytes(slice_of(name)), .subscribers = subscribers };
    run(rig, edge, &call.call, kind);
    assert_int_equal(call.call.err, 0);
}

/* How many subscriptions it is on its way to. */
static uint32_t publish(struct rig *rig, const char *channel)
{
    struct publish_call call = { .msg = msg_new(&(struct msg_parts){ .channel = slice_of(channel), .kind = MSG_TEXT, .data = SLICE("x") }) };
    memset(rig->came, 0, sizeof rig->came);
    run(rig, 0, &call.call, CALL_PUBLISH);
    assert_int_equal(call.call.err, 0);
    msg_unref(call.msg);
    return call.subscribers;
}

static void an_edge_is_mailed_a_message_once_however_many_of_its_channels_and_patterns_match(void **state)
{
    struct rig *rig = *state;
    watch(rig, 0, "orders.eu", &rig->one, CALL_WATCH);
    watch(rig, 0, "orders.*", &rig->two, CALL_WATCH);
    watch(rig, 0, "**", &rig->one, CALL_WATCH);
    watch(rig, 1, "orders.**", &rig->two, CALL_WATCH);
    assert_int_equal(publish(rig, "orders.eu"), 1 + 2 + 1 + 2);
    assert_int_equal(rig->came[0], 1);
    assert_int_equal(rig->came[1], 1);
    assert_int_equal(publish(rig, "orders"), 1);
    assert_int_equal(rig->came[0], 1);
    assert_int_equal(rig->came[1], 0);
    assert_int_equal(publish(rig, "orders.eu.42"), 1 + 2);
    assert_int_equal(rig->came[1], 1);
}

static void what_is_unwatched_is_mailed_no_more_and_other_edges_still_get_it(void **state)
{
    struct rig *rig = *state;
    watch(rig, 0, "orders.*", &rig->one, CALL_WATCH);
    watch(rig, 1, "orders.*", &rig->two, CALL_WATCH);
    watch(rig, 0, "orders.*", &rig->one, CALL_UNWATCH);
    watch(rig, 0, "never.*", &rig->one, CALL_UNWATCH);
    assert_int_equal(publish(rig, "orders.eu"), 2);
    assert_int_equal(rig->came[0], 0);
    assert_int_equal(rig->came[1], 1);
    watch(rig, 1, "orders.*", &rig->two, CALL_UNWATCH);
    assert_int_equal(publish(rig, "orders.eu"), 0);
    assert_int_equal(rig->came[1], 0);
}

/* ---- fetches ---- */

static struct fetch_call fetch(struct rig *rig, struct fetch_channel *channels, size_t n, enum fetch_from from, uint64_t after)
{
    struct fetch_call call = { .channels = channels, .n_channels = n, .from = from, .after = { EPOCH, after }, .max_bytes = SIZE_MAX };
    run(rig, 0, &call.call, CALL_FETCH);
    assert_int_equal(call.call.err, 0);
    return call;
}

static struct fetch_call fetch_one(struct rig *rig, const char *pattern, enum fetch_from from, uint64_t after, struct fetch_channel *channel)
{
    *channel = (struct fetch_channel){ .name = slice_of(pattern) };
    return fetch(rig, channel, 1, from, after);
}

static void a_channel_that_was_born_after_the_position_is_in_the_answer_in_order_of_number(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channel;
    publish(rig, "orders.a");
    publish(rig, "orders.new");
    publish(rig, "other");
    publish(rig, "orders.a");
    struct fetch_call call = fetch_one(rig, "orders.*", FETCH_AFTER, 1, &channel);
    assert_int_equal(call.gap, GAP_NONE);
    assert_int_equal(call.n_msgs, 2);
    assert_int_equal(call.msgs[0]->seq, 2);
    assert_int_equal(call.msgs[1]->seq, 4);
    assert_int_equal(call.begin.seq, 1);
    assert_int_equal(call.upto.seq, 4);
    assert_true(channel.resumable);
    fetch_answer_fini(&call);
    call = fetch_one(rig, "orders.*", FETCH_NOW, 0, &channel);
    assert_int_equal(call.n_msgs, 0);
    assert_int_equal(call.begin.seq, 4);
}

static void a_forgotten_channel_is_a_gap_for_every_pattern_because_it_might_have_matched(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channel;
    publish(rig, "gone");
    rig->now_ms += 60000;
    hub_tick(rig->hub);
    struct fetch_call call = fetch_one(rig, "orders.*", FETCH_AFTER, 0, &channel);
    assert_int_equal(call.gap, GAP_NONE);      /* known still, and of no interest */
    call = fetch_one(rig, "*", FETCH_AFTER, 0, &channel);
    assert_int_equal(call.gap, GAP_HISTORY);
    assert_int_equal(channel.dropped, 1);
    rig->now_ms += 60001;
    hub_tick(rig->hub);
    call = fetch_one(rig, "orders.*", FETCH_AFTER, 0, &channel);
    assert_int_equal(call.gap, GAP_HISTORY);
    assert_int_equal(channel.dropped, 1);
    call = fetch_one(rig, "orders.*", FETCH_AFTER, 1, &channel);
    assert_int_equal(call.gap, GAP_NONE);
}

static void a_narrow_pattern_is_answered_in_pieces_that_lose_nothing(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channel;
    rig->config.history_size = rig->config.history_bytes = rig->config.history_max_bytes = 1 << 28;
    config_general_rule(&rig->config);
    for (int i = 0; i < 40000; i++)
        publish(rig, "noise");
    publish(rig, "orders.a");
    uint64_t after = 0;
    unsigned asked = 0;
    for (bool more = true; more; asked++) {
        struct fetch_call call = fetch_one(rig, "orders.*", FETCH_AFTER, after, &channel);
        assert_true(!call.more || call.upto.seq > after);
        assert_int_equal(call.n_msgs, call.more ? 0 : 1);
        after = call.upto.seq;
        more = call.more;
        fetch_answer_fini(&call);
    }
    assert_int_equal(after, 40001);
    assert_in_range(asked, 2, 4);
}

/* ---- at random ---- */

static char all[MESSAGES + 1][16];      /* what was published, by number */

static void name_at_random(char out[16])
{
    static const char *const segments[] = { "a", "b", "c" };
    int n = snprintf(out, 16, "%s", segments[rand() % 3]);
    if (rand() % 3)
        n += snprintf(out + n, 16 - (size_t)n, ".%s", segments[rand() % 3]);
    if (rand() % 3 == 0)
        snprintf(out + n, 16 - (size_t)n, ".%s", segments[rand() % 3]);
}

/* A message is kept while fewer than history_size of its channel came after it. */
static bool is_kept(uint64_t seq, uint64_t last, size_t size)
{
    size_t later = 0;
    for (uint64_t s = seq + 1; s <= last; s++)
        later += strcmp(all[s], all[seq]) == 0;
    return later < size;
}

static bool matches_any(const struct fetch_channel *asked, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (pattern_matches(asked[i].name, slice_of(name)))
            return true;
    return false;
}

static void check_answer(struct rig *rig, struct fetch_channel *asked, size_t n, uint64_t after, uint64_t last)
{
    struct fetch_call call = fetch(rig, asked, n, FETCH_AFTER, after);
    uint64_t dropped[NAMES] = { 0 };
    size_t at = 0;
    for (uint64_t seq = 1; seq <= last; seq++) {
        bool kept = is_kept(seq, last, rig->config.history_size);
        for (size_t i = 0; i < n; i++)
            if (!kept && pattern_matches(asked[i].name, slice_of(all[seq])))
                dropped[i] = seq;
        if (!kept || seq <= after || !matches_any(asked, n, all[seq]))
            continue;
        assert_true(at < call.n_msgs);
        assert_int_equal(call.msgs[at++]->seq, seq);
    }
    assert_int_equal(at, call.n_msgs);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(asked[i].incomplete, after < dropped[i]);
        if (asked[i].incomplete)
            assert_int_equal(asked[i].dropped, dropped[i]);
    }
    assert_int_equal(call.upto.seq, last);
    fetch_answer_fini(&call);
}

static size_t set_at_random(struct fetch_channel asked[NAMES])
{
    static const char *const names[NAMES] = { "a", "a.*", "*.b", "**", "b.**", "c.*.a", "*.*", "a.b.c", "a.b", "*.c.*", "c", "b.a.**" };
    size_t n = 0, limit = 1 + (size_t)rand() % 3;
    for (int i = rand() % NAMES, looked_at = 0; looked_at < NAMES && n < limit; i = (i + 1) % NAMES, looked_at++)
        if (rand() % 2)
            asked[n++] = (struct fetch_channel){ .name = slice_of(names[i]) };
    if (n == 0)
        asked[n++] = (struct fetch_channel){ .name = SLICE("**") };
    return n;
}

static void whatever_is_asked_for_the_answer_is_what_is_kept_and_a_gap_is_what_is_not(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel asked[NAMES];
    uint64_t last = 0;
    srand(3);
    for (int set = 0; set < SETS; set++) {
        for (int i = rand() % 8; i >= 0 && last < MESSAGES; i--) {
            name_at_random(all[++last]);
            publish(rig, all[last]);
        }
        size_t n = set_at_random(asked);
        uint64_t back = (uint64_t)rand() % 100;
        check_answer(rig, asked, n, last > back ? last - back : 0, last);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_edge_is_mailed_a_message_once_however_many_of_its_channels_and_patterns_match),
        TEST(what_is_unwatched_is_mailed_no_more_and_other_edges_still_get_it),
        TEST(a_channel_that_was_born_after_the_position_is_in_the_answer_in_order_of_number),
        TEST(a_forgotten_channel_is_a_gap_for_every_pattern_because_it_might_have_matched),
        TEST(a_narrow_pattern_is_answered_in_pieces_that_lose_nothing),
        TEST(whatever_is_asked_for_the_answer_is_what_is_kept_and_a_gap_is_what_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

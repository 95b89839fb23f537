/* The hub core with a store, an edge's mailbox and a clock that the test holds in its hands. */
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/hash.h"
#include "hub/config/config.h"
#include "hub/hub.h"
#include "hub/metrics.h"
#include "hub/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { EPOCH = 77, UNANSWERED = 1000 };
enum { GROUPS = 2, CAME = 64 };

struct rig {
    struct clock       clock;
    int64_t            mono_ms, wall_ms;
    struct config      config;
    struct store       store;
    struct store_group *submitted[GROUPS];      /* at the store, oldest first */
    size_t             n_submitted;
    uint64_t           generation;
    struct post        store_post;
    struct mailbox     api_box, edge_box;
    struct hub        *hub;
    struct post        to_hub;
    uint8_t            api, edge;
    struct seen { uint32_t kind; uint64_t seq; } came[CAME];      /* what the edge was mailed and the test has not looked at yet */
    size_t             n_came;
    atomic_uint        subscribers;
};

static struct rig *rig_of_clock(const struct clock *clock) { return (struct rig *)(uintptr_t)clock; }
static int64_t rig_mono(const struct clock *clock) { return rig_of_clock(clock)->mono_ms; }
static int64_t rig_wall(const struct clock *clock) { return rig_of_clock(clock)->wall_ms; }

static struct rig *rig_of_store(struct store *store) { return (struct rig *)(void *)((char *)store - offsetof(struct rig,
                                                                                                              store)); }

static void rig_submit(struct store *store, struct store_group *group)
{
    struct rig *rig = rig_of_store(store);
    assert_true(rig->n_submitted < 2);     /* store.h: at most two are under way */
    rig->submitted[rig->n_submitted++] = group;
}

static void open_hub(struct rig *rig, bool with_store, struct hub_start start, size_t mail_bytes)
{
    rig->hub = hub_new(&rig->config, &rig->clock, with_store ? &rig->store : NULL, start);
    assert_non_null(rig->hub);
    assert_int_equal(mailbox_init(&rig->edge_box, false) + mailbox_init(&rig->api_box, false), 0);
    post_init(&rig->to_hub, hub_mailbox(rig->hub), SIZE_MAX);
    post_init(&rig->store_post, hub_mailbox(rig->hub), SIZE_MAX);
    rig->edge = hub_add_peer(rig->hub, &rig->edge_box, true, mail_bytes);
    rig->api = hub_add_peer(rig->hub, &rig->api_box, false, SIZE_MAX);
}

static void open_plain(struct rig *rig) { open_hub(rig, false, (struct hub_start){ EPOCH, 1, 1, 0 }, SIZE_MAX); }

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    rig->clock = (struct clock){ rig_mono, rig_wall };
    rig->store.submit = rig_submit;
    rig->mono_ms = 1000;
    rig->wall_ms = 1700000000000;
    rig->config = (struct config){ .history_size = 100, .history_ttl_ms = 60000, .history_bytes = 1 << 20, .history_max_bytes = 1 << 24,
                                   .store_sync = STORE_SYNC_BATCH, .store_queue_bytes = 1 << 20,
                                   .publish_idempotency_keys = 1000, .publish_idempotency_ttl_ms = 60000 };
    *state = rig;
    return 0;
}

/* Takes all that the hub has mailed. Calls are the test's own, messages and losses are noted and freed. */
static void take_mail(struct rig *rig)
{
    mailbox_take(&rig->api_box);
    for (struct letter *letter = mailbox_take(&rig->edge_box), *next; letter; letter = next) {
        next = letter->next;
        uint64_t seq = letter->kind == LETTER_MESSAGE ? ((struct message_letter *)letter)->msg->seq : 0;
        assert_true(rig->n_came < CAME);
        rig->came[rig->n_came++] = (struct seen){ letter->kind, seq };
        if (letter->kind < CALL_KINDS)
            continue;
        letter_done(letter);
        if (letter->kind == LETTER_MESSAGE)
            msg_unref(((struct message_letter *)letter)->msg);
        if (letter->kind != LETTER_LOST)
            free(letter);
    }
}

static void turn(struct rig *rig)
{
    post_flush(&rig->to_hub);
    hub_turn(rig->hub);
    take_mail(rig);
}

/* The edge has been mailed exactly this since it was asked last: kind, number; … ends with kind CALL_KINDS. */
#define assert_came(rig, ...) assert_came_(rig, (const struct seen[]){ __VA_ARGS__, { CALL_KINDS, 0 } })
static void assert_came_(struct rig *rig, const struct seen *expected)
{
    size_t n = 0;
    for (; expected[n].kind != CALL_KINDS; n++) {
        assert_true(n < rig->n_came);
        assert_int_equal(rig->came[n].kind, expected[n].kind);
        assert_int_equal(rig->came[n].seq, expected[n].seq);
    }
    assert_int_equal(rig->n_came, n);
    rig->n_came = 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    take_mail(rig);
    hub_free(rig->hub);
    mailbox_fini(&rig->edge_box);
    mailbox_fini(&rig->api_box);
    free(rig);
    return 0;
}

static void submit(struct rig *rig, struct call *call, enum letter_kind kind)
{
    bool is_edges = kind == CALL_WATCH || kind == CALL_UNWATCH || kind == CALL_LOSS_SEEN;
    call->letter.kind = kind;
    call->from = is_edges ? rig->edge : rig->api;
    call->err = UNANSWERED;
    call_submit(&rig->to_hub, call, 0);
}

static void store_answers(struct rig *rig, int err)
{
    assert_true(rig->n_submitted > 0);
    struct store_group *group = rig->submitted[0];
    rig->submitted[0] = rig->submitted[1];
    rig->n_submitted--;
    group->err = group->generation < rig->generation ? ERR_STORE_FAILED : err;
    rig->generation += group->err && group->generation == rig->generation;
    group->next_generation = rig->generation;
    post_put(&rig->store_post, &group->letter, 0);
    post_flush(&rig->store_post);
    turn(rig);
}

static void publish(struct rig *rig, struct publish_call *call, const char *channel, const char *data)
{
    *call = (struct publish_call){ .msg = msg_new(&(struct msg_parts){ .channel = slice_of(channel), .kind = MSG_TEXT, .data = slice_of(data) }) };
    submit(rig, &call->call, CALL_PUBLISH);
}

/* Publishes, looks at the answer, and gives the number (0: refused). */
static uint64_t publish_one(struct rig *rig, const char *channel, const char *data)
{
    struct publish_call call;
    publish(rig, &call, channel, data);
    turn(rig);
    uint64_t seq = call.call.err ? 0 : call.msg->seq;
    msg_unref(call.msg);
    return seq;
}

/* `names` ends with NULL. The answer is to be given back with fetch_answer_fini. */
static void fetch(struct rig *rig, struct fetch_call *call, struct fetch_channel *channels, const char *const *names,
                  enum fetch_from from,
                  struct position after)
{
    *call = (struct fetch_call){ .channels = channels, .from = from, .after = after, .max_bytes = SIZE_MAX };
    for (; names[call->n_channels]; call->n_channels++)
        channels[call->n_channels] = (struct fetch_channel){ .name = slice_of(names[call->n_channels]) };
    submit(rig, &call->call, CALL_FETCH);
}

static struct fetch_call fetch_one(struct rig *rig, const char *name, enum fetch_from from, struct position after,
                                   struct fetch_channel *channel)
{
    struct fetch_call call;
    fetch(rig, &call, channel, (const char *const[]){ name, NULL }, from, after);
    turn(rig);
    assert_int_equal(call.call.err, 0);
    return call;
}

static void assert_answer(const struct fetch_call *call, enum gap_reason gap, uint64_t begin, uint64_t upto, size_t n_msgs)
{
    assert_int_equal(call->gap, gap);
    assert_int_equal(call->begin.epoch, EPOCH);
    assert_int_equal(call->begin.seq, begin);
    assert_int_equal(call->upto.seq, upto);
    assert_int_equal(call->n_msgs, n_msgs);
}

static void watch(struct rig *rig, const char *channel, struct watch_call *call, enum letter_kind kind)
{
    *call = (struct watch_call){ .channel = slice_of(channel), .hash = hash_bytes(slice_of(channel)), .subscribers = &rig->subscribers };
    submit(rig, &call->call, kind);
}

static void in_memory_a_publish_is_answered_in_the_same_turn_with_the_next_number(void **state)
{
    struct rig *rig = *state;
    open_plain(rig);
    assert_int_equal(publish_one(rig, "a", "x"), 1);
    assert_int_equal(publish_one(rig, "b", "x"), 2);
    assert_int_equal(publish_one(rig, "a", "x"), 3);
    assert_int_equal(hub_head(rig->hub).seq, 3);
    struct fetch_channel channel;
    struct fetch_call call = fetch_one(rig, "a", FETCH_ALL, (struct position){ 0, 0 }, &channel);
    assert_answer(&call, GAP_NONE, 0, 3, 2);
    assert_int_equal(call.msgs[0]->prev, 0);
    assert_int_equal(call.msgs[1]->prev, 1);
    assert_int_equal(call.msgs[1]->epoch, EPOCH);
    fetch_answer_fini(&call);
}

static void times_never_go_back_even_if_the_wall_clock_does(void **state)
{
    struct rig *rig = *state;
    struct publish_call first, second;
    open_plain(rig);
    publish(rig, &first, "a", "x");
    turn(rig);
    rig->wall_ms -= 5000;
    publish(rig, &second, "a", "x");
    turn(rig);
    assert_int_equal(second.msg->time_ms, first.msg->time_ms);
    msg_unref(first.msg);
    msg_unref(second.msg);
}

static void with_a_store_a_publish_is_answered_mailed_and_kept_only_when_its_group_is_committed(void **state)
{
    struct rig *rig = *state;
    struct publish_call call;
    struct watch_call watching;
    struct fetch_channel channel;
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1000, 0 }, SIZE_MAX);
    watch(rig, "a", &watching, CALL_WATCH);
    publish(rig, &call, "a", "x");
    turn(rig);
    assert_int_equal(call.call.err, UNANSWERED);
    assert_came(rig, { CALL_WATCH, 0 });
    struct fetch_call before = fetch_one(rig, "a", FETCH_ALL, (struct position){ 0, 0 }, &channel);
    assert_answer(&before, GAP_NONE, 0, 0, 0);
    store_answers(rig, 0);
    assert_int_equal(call.call.err, 0);
    assert_came(rig, { LETTER_MESSAGE, 1 });
    msg_unref(call.msg);
}

static void the_first_block_of_numbers_is_reserved_before_anything_can_be_published(void **state)
{
    struct rig *rig = *state;
    struct publish_call call;
    open_hub(rig, true, (struct hub_start){ EPOCH, 500, 500, 0 }, SIZE_MAX);
    assert_false(hub_can_publish(rig->hub));
    publish(rig, &call, "a", "x");
    turn(rig);
    assert_int_equal(call.call.err, ERR_BUSY);
    msg_unref(call.msg);
    assert_int_equal(rig->n_submitted, 1);
    assert_true(rig->submitted[0]->reserve > 500);
    assert_int_equal(rig->submitted[0]->n, 0);
    store_answers(rig, 0);
    assert_true(hub_can_publish(rig->hub));
    publish(rig, &call, "a", "x");
    turn(rig);
    assert_int_equal(call.msg->seq, 500);
    store_answers(rig, 0);
    msg_unref(call.msg);
}

static void numbers_end_where_the_reserved_block_does_until_the_next_one_is_committed(void **state)
{
    struct rig *rig = *state;
    rig->config.store_sync = STORE_SYNC_OFF;
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 4, 0 }, SIZE_MAX);
    for (uint64_t seq = 1; seq <= 3; seq++)
        assert_int_equal(publish_one(rig, "a", "x"), seq);
    assert_int_equal(publish_one(rig, "a", "x"), 0);
    assert_true(rig->submitted[0]->reserve > 4);
    store_answers(rig, 0);
    assert_int_equal(publish_one(rig, "a", "x"), 4);
    while (rig->n_submitted > 0)
        store_answers(rig, 0);
}

static void a_failed_group_fails_all_that_was_submitted_and_nobody_is_chained_to_it(void **state)
{
    struct rig *rig = *state;
    struct publish_call calls[4];
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 30, 0 }, SIZE_MAX);
    for (int i = 0; i < 3; i++) {      /* one in each group at the store, one still collected */
        publish(rig, &calls[i], "a", "x");
        turn(rig);
    }
    assert_int_equal(rig->n_submitted, 2);
    store_answers(rig, ERR_STORE_FAILED);
    for (int i = 0; i < 3; i++)
        assert_int_equal(calls[i].call.err, ERR_STORE_FAILED);
    publish(rig, &calls[3], "a", "x");
    turn(rig);
    store_answers(rig, 0);                                       /* the older generation: refused */
    assert_int_equal(calls[3].call.err, ERR_STORE_FAILED);       /* submitted before the hub had heard that */
    msg_unref(calls[3].msg);
    publish(rig, &calls[3], "a", "x");
    turn(rig);
    while (rig->n_submitted > 0)
        store_answers(rig, 0);
    assert_int_equal(calls[3].call.err, 0);
    assert_int_equal(calls[3].msg->seq, 5);
    assert_int_equal(calls[3].msg->prev, 0);
    struct fetch_channel channel;
    struct fetch_call all = fetch_one(rig, "a", FETCH_ALL, (struct position){ 0, 0 }, &channel);
    assert_answer(&all, GAP_NONE, 4, 5, 1);
    fetch_answer_fini(&all);
    for (int i = 0; i < 4; i++)
        msg_unref(calls[i].msg);
}

/* Found by the simulation: they were thrown away, and as the store had never seen them the next stop counted as clean. */
static void with_sync_off_rows_that_wait_behind_a_failure_still_go_to_the_store(void **state)
{
    struct rig *rig = *state;
    rig->config.store_sync = STORE_SYNC_OFF;
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 30, 0 }, SIZE_MAX);
    for (uint64_t seq = 1; seq <= 3; seq++)
        assert_int_equal(publish_one(rig, "a", "x"), seq);
    store_answers(rig, ERR_STORE_FAILED);
    store_answers(rig, 0);
    rig->mono_ms += 1000;
    turn(rig);
    assert_int_equal(rig->n_submitted, 1);
    assert_int_equal(rig->submitted[0]->n, 1);
    assert_int_equal(rig->submitted[0]->msgs[0]->seq, 3);
    store_answers(rig, 0);
    assert_true(hub_idle(rig->hub));
}

static void beyond_store_queue_bytes_publishers_are_told_busy(void **state)
{
    struct rig *rig = *state;
    struct publish_call calls[4];
    rig->config.store_queue_bytes = sizeof(struct msg) + 5;
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 30, 0 }, SIZE_MAX);
    for (int i = 0; i < 3; i++)
        publish(rig, &calls[i], "a", "xxxxx");
    turn(rig);
    assert_int_equal(calls[0].call.err, UNANSWERED);
    assert_int_equal(calls[1].call.err, ERR_BUSY);
    assert_int_equal(calls[2].call.err, ERR_BUSY);
    store_answers(rig, 0);
    assert_int_equal(calls[0].call.err, 0);
    publish(rig, &calls[3], "a", "x");
    turn(rig);
    assert_int_equal(calls[3].call.err, UNANSWERED);
    store_answers(rig, 0);
    assert_int_equal(calls[3].call.err, 0);
    for (int i = 0; i < 4; i++)
        msg_unref(calls[i].msg);
}

static void while_draining_publishes_are_refused_and_what_is_under_way_completes(void **state)
{
    struct rig *rig = *state;
    struct publish_call before, after;
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 30, 0 }, SIZE_MAX);
    publish(rig, &before, "a", "x");
    turn(rig);
    hub_drain(rig->hub);
    publish(rig, &after, "a", "x");
    turn(rig);
    assert_int_equal(after.call.err, ERR_DRAINING);
    assert_false(hub_idle(rig->hub));
    store_answers(rig, 0);
    assert_int_equal(before.call.err, 0);
    assert_true(hub_idle(rig->hub));
    msg_unref(before.msg);
    msg_unref(after.msg);
}

/* Found by reading: the channel of a publish under way was still on the list of quiet channels, and the tick freed it. */
static void a_quiet_channel_is_not_forgotten_while_a_publish_is_under_way(void **state)
{
    struct rig *rig = *state;
    struct publish_call call;
    struct watch_call watching;
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 30, 0 }, SIZE_MAX);
    watch(rig, "a", &watching, CALL_WATCH);
    turn(rig);
    watch(rig, "a", &watching, CALL_UNWATCH);
    turn(rig);
    rig->mono_ms += rig->config.history_ttl_ms - 1;
    rig->wall_ms += rig->config.history_ttl_ms - 1;
    publish(rig, &call, "a", "x");
    turn(rig);
    rig->mono_ms += 10;
    hub_tick(rig->hub);
    store_answers(rig, 0);
    assert_int_equal(call.call.err, 0);
    struct fetch_channel channel;
    struct fetch_call all = fetch_one(rig, "a", FETCH_ALL, (struct position){ 0, 0 }, &channel);
    assert_int_equal(all.n_msgs, 1);
    fetch_answer_fini(&all);
    msg_unref(call.msg);
}

static void a_position_is_complete_if_it_is_not_below_what_its_channel_has_dropped(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channel;
    rig->config.history_size = 2;
    open_plain(rig);
    for (int i = 0; i < 3; i++) {
        publish_one(rig, "a", "x");      /* 1 3 5: 1 goes */
        publish_one(rig, "b", "x");      /* 2 4 6: 2 goes */
    }
    struct fetch_call call = fetch_one(rig, "a", FETCH_AFTER, (struct position){ EPOCH, 1 }, &channel);
    assert_answer(&call, GAP_NONE, 1, 6, 2);
    assert_false(channel.incomplete);
    fetch_answer_fini(&call);
    call = fetch_one(rig, "a", FETCH_AFTER, (struct position){ EPOCH, 0 }, &channel);
    assert_answer(&call, GAP_HISTORY, 2, 6, 2);
    assert_true(channel.incomplete);
    fetch_answer_fini(&call);
    call = fetch_one(rig, "b", FETCH_AFTER, (struct position){ EPOCH, 1 }, &channel);
    assert_answer(&call, GAP_HISTORY, 3, 6, 2);
    fetch_answer_fini(&call);
    call = fetch_one(rig, "never", FETCH_AFTER, (struct position){ EPOCH, 0 }, &channel);
    assert_answer(&call, GAP_NONE, 0, 6, 0);
    fetch_answer_fini(&call);
}

static struct fetch_call fetch_since(struct rig *rig, const char *const *names, struct since since, struct fetch_channel *channels)
{
    struct fetch_call call;
    fetch(rig, &call, channels, names, since.from, since.after);
    call.count = since.count;
    call.time_ms = since.time_ms;
    turn(rig);
    assert_int_equal(call.call.err, 0);
    return call;
}

/* `seqs` ends with 0. */
static void assert_begins(struct rig *rig, const char *const *names, struct since since, const uint64_t *seqs)
{
    struct fetch_channel channels[3];
    struct fetch_call call = fetch_since(rig, names, since, channels);
    uint64_t head = hub_head(rig->hub).seq;
    size_t n = 0;
    for (; seqs[n]; n++) {
        assert_true(n < call.n_msgs);
        assert_int_equal(call.msgs[n]->seq, seqs[n]);
    }
    assert_answer(&call, GAP_NONE, n ? seqs[0] - 1 : head, head, n);
    fetch_answer_fini(&call);
}

static void a_beginning_may_be_a_count_a_time_or_the_newest_of_each_channel(void **state)
{
    struct rig *rig = *state;
    static const char *const a[] = { "a", NULL }, *const ab[] = { "b", "a", NULL }, *const none[] = { "never", NULL };
    open_plain(rig);
    publish_one(rig, "a", "x");      /* 1 */
    publish_one(rig, "b", "x");      /* 2 */
    int64_t then = rig->wall_ms += 5000;
    publish_one(rig, "a", "x");      /* 3 */
    publish_one(rig, "a", "x");      /* 4 */
    publish_one(rig, "c", "x");      /* 5 */
    assert_begins(rig, a, (struct since){ .from = FETCH_COUNT, .count = 2 }, (uint64_t[]){ 3, 4, 0 });
    assert_begins(rig, ab, (struct since){ .from = FETCH_COUNT, .count = 3 }, (uint64_t[]){ 2, 3, 4, 0 });
    assert_begins(rig, ab, (struct since){ .from = FETCH_COUNT, .count = 10000 }, (uint64_t[]){ 1, 2, 3, 4, 0 });
    assert_begins(rig, ab, (struct since){ .from = FETCH_TIME, .time_ms = then }, (uint64_t[]){ 3, 4, 0 });
    assert_begins(rig, ab, (struct since){ .from = FETCH_TIME, .time_ms = then - 1 }, (uint64_t[]){ 3, 4, 0 });
    assert_begins(rig, ab, (struct since){ .from = FETCH_TIME, .time_ms = then + 1 }, (uint64_t[]){ 0 });
    assert_begins(rig, ab, (struct since){ .from = FETCH_TIME }, (uint64_t[]){ 1, 2, 3, 4, 0 });
    assert_begins(rig, ab, (struct since){ .from = FETCH_LATEST }, (uint64_t[]){ 2, 4, 0 });
    assert_begins(rig, ab, (struct since){ .from = FETCH_LATEST, .after = { EPOCH, 2 } }, (uint64_t[]){ 4, 0 });
    assert_begins(rig, ab, (struct since){ .from = FETCH_LATEST, .after = { EPOCH, 4 } }, (uint64_t[]){ 0 });
    assert_begins(rig, none, (struct since){ .from = FETCH_COUNT, .count = 5 }, (uint64_t[]){ 0 });
    assert_begins(rig, none, (struct since){ .from = FETCH_LATEST }, (uint64_t[]){ 0 });
}

static void only_the_channels_that_may_miss_something_are_marked(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channels[2];
    struct fetch_call call;
    rig->config.history_size = 1;
    open_plain(rig);
    publish_one(rig, "a", "x");
    publish_one(rig, "b", "x");
    publish_one(rig, "b", "x");
    fetch(rig, &call, channels, (const char *const[]){ "a", "b", NULL }, FETCH_AFTER, (struct position){ EPOCH, 0 });
    turn(rig);
    assert_answer(&call, GAP_HISTORY, 0, 3, 2);
    assert_false(channels[0].incomplete);
    assert_int_equal(channels[0].dropped, 0);
    assert_true(channels[1].incomplete);
    assert_int_equal(channels[1].dropped, 2);
    fetch_answer_fini(&call);
}

static void foreign_and_future_positions_get_a_gap_and_everything_kept(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channel;
    const struct position foreign[] = { { EPOCH + 1, 1 }, { 0, 0 }, { EPOCH, 3 }, { EPOCH, UINT64_MAX } };
    open_plain(rig);
    publish_one(rig, "a", "x");
    publish_one(rig, "a", "x");
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        struct fetch_call call = fetch_one(rig, "a", FETCH_AFTER, foreign[i], &channel);
        assert_answer(&call, GAP_EPOCH, 0, 2, 2);
        fetch_answer_fini(&call);
    }
    struct fetch_call newest = fetch_one(rig, "a", FETCH_AFTER, (struct position){ EPOCH, 2 }, &channel);
    assert_answer(&newest, GAP_NONE, 2, 2, 0);
}

/* Found by the simulation: a reader who guessed such a number was sent messages that he said he had (EXACT.md 12). */
static void a_number_that_is_still_under_way_is_from_the_future(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channel;
    struct publish_call under_way;
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 30, 0 }, SIZE_MAX);
    publish(rig, &under_way, "a", "x");
    turn(rig);
    struct fetch_call call = fetch_one(rig, "a", FETCH_AFTER, (struct position){ EPOCH, 1 }, &channel);
    assert_answer(&call, GAP_EPOCH, 0, 0, 0);
    store_answers(rig, 0);
    call = fetch_one(rig, "a", FETCH_AFTER, (struct position){ EPOCH, 1 }, &channel);
    assert_answer(&call, GAP_NONE, 1, 1, 0);
    msg_unref(under_way.msg);
}

static void without_a_position_a_stream_begins_now_and_nothing_is_a_gap(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channel;
    rig->config.history_size = 1;
    open_plain(rig);
    publish_one(rig, "a", "x");
    publish_one(rig, "a", "x");
    struct fetch_call call = fetch_one(rig, "a", FETCH_NOW, (struct position){ 0, 0 }, &channel);
    assert_answer(&call, GAP_NONE, 2, 2, 0);
    assert_true(channel.resumable);
}

static void without_history_no_gap_is_ever_told(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channel;
    rig->config.history_size = 0;
    open_plain(rig);
    publish_one(rig, "a", "x");
    struct fetch_call call = fetch_one(rig, "a", FETCH_AFTER, (struct position){ EPOCH, 0 }, &channel);
    assert_int_equal(call.gap, GAP_NONE);
    assert_false(channel.resumable);
    assert_int_equal(call.begin.seq, 1);       /* it begins now: nothing comes of what was before */
    call = fetch_one(rig, "a", FETCH_AFTER, (struct position){ 1, 9 }, &channel);
    assert_int_equal(call.gap, GAP_NONE);
    assert_int_equal(call.begin.seq, 1);
}

static void an_answer_is_cut_by_bytes_and_by_count_and_says_up_to_where_it_is_complete(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channels[2];
    struct fetch_call call;
    open_plain(rig);
    for (int i = 0; i < 4; i++)
        publish_one(rig, i & 1 ? "b" : "a", "12345");
    const size_t one = sizeof(struct msg) + 6;
    const struct { size_t bytes, count, n; } cuts[] = { { 1, 0, 1 }, { 2 * one, 0, 2 }, { 3 * one - 1, 0, 2 }, { SIZE_MAX, 3, 3 }, { 4 * one, 4, 4 } };
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        fetch(rig, &call, channels, (const char *const[]){ "b", "a", NULL }, FETCH_AFTER, (struct position){ EPOCH, 0 });
        call.max_bytes = cuts[i].bytes;
        call.max_count = cuts[i].count;
        turn(rig);
        assert_answer(&call, GAP_NONE, 0, cuts[i].n, cuts[i].n);
        assert_int_equal(call.more, cuts[i].n < 4);
        for (size_t k = 0; k < call.n_msgs; k++)
            assert_int_equal(call.msgs[k]->seq, k + 1);
        fetch_answer_fini(&call);
    }
}

static void a_forgotten_channel_raises_the_floor_for_channels_nobody_knows(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channel;
    open_plain(rig);
    publish_one(rig, "a", "x");
    publish_one(rig, "a", "x");
    rig->mono_ms += rig->config.history_ttl_ms;
    rig->wall_ms += rig->config.history_ttl_ms;
    hub_tick(rig->hub);                                  /* the messages go, the channel is still known */
    struct fetch_call call = fetch_one(rig, "never", FETCH_AFTER, (struct position){ EPOCH, 1 }, &channel);
    assert_answer(&call, GAP_NONE, 1, 2, 0);
    rig->mono_ms += rig->config.history_ttl_ms;
    rig->wall_ms += rig->config.history_ttl_ms;
    hub_tick(rig->hub);
    call = fetch_one(rig, "a", FETCH_AFTER, (struct position){ EPOCH, 1 }, &channel);
    assert_answer(&call, GAP_HISTORY, 2, 2, 0);
    call = fetch_one(rig, "never", FETCH_AFTER, (struct position){ EPOCH, 1 }, &channel);
    assert_answer(&call, GAP_HISTORY, 2, 2, 0);
    call = fetch_one(rig, "a", FETCH_AFTER, (struct position){ EPOCH, 2 }, &channel);
    assert_answer(&call, GAP_NONE, 2, 2, 0);
    assert_int_equal(publish_one(rig, "a", "x"), 3);
    call = fetch_one(rig, "a", FETCH_AFTER, (struct position){ EPOCH, 2 }, &channel);
    assert_answer(&call, GAP_NONE, 2, 3, 1);
    assert_int_equal(call.msgs[0]->prev, 2);
    fetch_answer_fini(&call);
}

static struct msg *stored_row(const char *channel, uint64_t seq, uint64_t prev, int64_t time_ms)
{
    struct msg *m = msg_new(&(struct msg_parts){ .channel = slice_of(channel), .kind = MSG_TEXT, .data = SLICE("x") });
    m->epoch = EPOCH;
    m->seq = seq;
    m->prev = prev;
    m->time_ms = time_ms;
    return m;
}

static void after_a_restart_the_oldest_row_tells_what_was_dropped_before_it(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channel;
    open_hub(rig, true, (struct hub_start){ EPOCH, 100, 100, 40 }, SIZE_MAX);
    struct msg *rows[] = { stored_row("a", 50, 30, rig->wall_ms), stored_row("b", 51, 45, rig->wall_ms), stored_row("a", 60,
                                                                                                                    50, rig->wall_ms) };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(hub_restore(rig->hub, rows[i]), 0);
        msg_unref(rows[i]);
    }
    struct fetch_call call = fetch_one(rig, "a", FETCH_AFTER, (struct position){ EPOCH, 30 }, &channel);
    assert_answer(&call, GAP_NONE, 30, 99, 2);
    fetch_answer_fini(&call);
    call = fetch_one(rig, "b", FETCH_AFTER, (struct position){ EPOCH, 44 }, &channel);
    assert_answer(&call, GAP_HISTORY, 50, 99, 1);
    fetch_answer_fini(&call);
    call = fetch_one(rig, "never", FETCH_AFTER, (struct position){ EPOCH, 39 }, &channel);
    assert_answer(&call, GAP_HISTORY, 99, 99, 0);
    call = fetch_one(rig, "never", FETCH_AFTER, (struct position){ EPOCH, 99 }, &channel);
    assert_answer(&call, GAP_NONE, 99, 99, 0);
    call = fetch_one(rig, "never", FETCH_AFTER, (struct position){ EPOCH, 100 }, &channel);
    assert_int_equal(call.gap, GAP_EPOCH);
    store_answers(rig, 0);
}

/* Found by thinking: history off and on again by SIGHUP, then a kill. What came while it was off is in no row. */
static void rows_that_do_not_follow_each_other_tell_that_something_between_them_is_missing(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channel;
    open_hub(rig, true, (struct hub_start){ EPOCH, 100, 100, 0 }, SIZE_MAX);
    struct msg *rows[] = { stored_row("a", 1, 0, rig->wall_ms), stored_row("a", 2, 1, rig->wall_ms), stored_row("a", 8, 7,
                                                                                                                rig->wall_ms) };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(hub_restore(rig->hub, rows[i]), 0);
        msg_unref(rows[i]);
    }
    struct fetch_call call = fetch_one(rig, "a", FETCH_AFTER, (struct position){ EPOCH, 2 }, &channel);
    assert_answer(&call, GAP_HISTORY, 7, 99, 1);
    fetch_answer_fini(&call);
    call = fetch_one(rig, "a", FETCH_AFTER, (struct position){ EPOCH, 7 }, &channel);
    assert_answer(&call, GAP_NONE, 7, 99, 1);
    fetch_answer_fini(&call);
    store_answers(rig, 0);
}

static void rows_that_nobody_needs_are_trimmed_and_the_floor_goes_with_them(void **state)
{
    struct rig *rig = *state;
    struct publish_call calls[3];
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 30, 0 }, SIZE_MAX);
    publish(rig, &calls[0], "a", "x");
    turn(rig);
    store_answers(rig, 0);
    rig->mono_ms += 30000;
    rig->wall_ms += 30000;
    publish(rig, &calls[1], "b", "x");
    publish(rig, &calls[2], "b", "x");
    turn(rig);
    store_answers(rig, 0);
    rig->mono_ms += 30000;
    rig->wall_ms += 30000;
    hub_tick(rig->hub);
    turn(rig);
    assert_int_equal(rig->n_submitted, 1);
    assert_int_equal(rig->submitted[0]->trim, 2);
    assert_int_equal(rig->submitted[0]->floor, 1);
    store_answers(rig, 0);
    hub_tick(rig->hub);
    turn(rig);
    assert_int_equal(rig->n_submitted, 0);      /* once is enough */
    for (int i = 0; i < 3; i++)
        msg_unref(calls[i].msg);
}

static void a_floor_that_was_restored_is_never_sent_lower_to_the_store(void **state)
{
    struct rig *rig = *state;
    open_hub(rig, true, (struct hub_start){ EPOCH, 100, 1 << 30, 70 }, SIZE_MAX);
    hub_tick(rig->hub);
    turn(rig);
    assert_int_equal(rig->submitted[0]->trim, 100);
    assert_int_equal(rig->submitted[0]->floor, 70);
    store_answers(rig, 0);
}

static void an_edge_is_mailed_what_it_watches_from_the_head_it_was_told(void **state)
{
    struct rig *rig = *state;
    struct watch_call watching;
    open_plain(rig);
    publish_one(rig, "a", "x");
    watch(rig, "a", &watching, CALL_WATCH);
    atomic_store(&rig->subscribers, 3);
    turn(rig);
    assert_int_equal(watching.head.seq, 1);
    struct publish_call call;
    publish(rig, &call, "a", "x");
    publish_one(rig, "b", "x");
    assert_int_equal(call.subscribers, 3);
    assert_came(rig, { CALL_WATCH, 0 }, { LETTER_MESSAGE, 2 });
    watch(rig, "a", &watching, CALL_UNWATCH);
    assert_int_equal(publish_one(rig, "a", "x"), 4);
    assert_came(rig, { CALL_UNWATCH, 0 });
    msg_unref(call.msg);
}

static void an_edge_without_room_is_told_once_and_mailed_nothing_until_it_has_seen_it(void **state)
{
    struct rig *rig = *state;
    struct watch_call watching;
    struct call seen = { 0 };
    open_hub(rig, false, (struct hub_start){ EPOCH, 1, 1, 0 }, 2 * (sizeof(struct msg) + sizeof(struct message_letter)));
    watch(rig, "a", &watching, CALL_WATCH);
    struct publish_call calls[6];
    for (int i = 0; i < 6; i++)
        publish(rig, &calls[i], "a", "x");
    turn(rig);
    assert_came(rig, { CALL_WATCH, 0 }, { LETTER_MESSAGE, 1 }, { LETTER_MESSAGE, 2 }, { LETTER_LOST, 0 });
    publish_one(rig, "a", "x");
    assert_int_equal(rig->n_came, 0);       /* there is room again, but it has not said that it knows */
    submit(rig, &seen, CALL_LOSS_SEEN);
    publish_one(rig, "a", "x");
    assert_came(rig, { CALL_LOSS_SEEN, 0 }, { LETTER_MESSAGE, 8 });
    for (int i = 0; i < 6; i++)
        msg_unref(calls[i].msg);
}

static struct channels_call list(struct rig *rig, const char *exact, const char *prefix, const char *after, size_t limit)
{
    struct channels_call call = { .exact = slice_of(exact), .prefix = slice_of(prefix), .after = slice_of(after), .limit = limit };
    submit(rig, &call.call, CALL_CHANNELS);
    turn(rig);
    return call;
}

static void channels_are_listed_by_name_in_pages(void **state)
{
    struct rig *rig = *state;
    open_plain(rig);
    const char *names[] = { "d", "ab", "a", "c", "abc", "b" };
    for (size_t i = 0; i < 6; i++)
        publish_one(rig, names[i], "x");
    struct channels_call page = list(rig, "", "", "", 4);
    const char *expected[] = { "a", "ab", "abc", "b", "c", "d" };
    assert_int_equal(page.n_infos, 4);
    assert_true(page.more);
    for (size_t i = 0; i < 4; i++)
        assert_true(slice_is(slice(page.infos[i].name, page.infos[i].name_len), slice_of(expected[i])));
    free(page.infos);
    page = list(rig, "", "", "b", 4);
    assert_int_equal(page.n_infos, 2);
    assert_false(page.more);
    free(page.infos);
    page = list(rig, "", "ab", "", 10);
    assert_int_equal(page.n_infos, 2);
    free(page.infos);
    page = list(rig, "d", "", "", 1);
    assert_int_equal(page.infos[0].kept, 1);
    assert_int_equal(page.infos[0].last.seq, 1);
    free(page.infos);
    page = list(rig, "nope", "", "", 1);
    assert_int_equal(page.call.err, ERR_NOT_FOUND);
}

/* ---- safe to retry ---- */

static void publish_with_key(struct rig *rig, struct publish_call *call, const char *key, const char *data)
{
    struct slice content = slice_of(data);
    publish(rig, call, "a", data);
    assert_int_equal(idempotency_key_make(SLICE("ann"), SLICE("a"), slice_of(key), &content, 1, &call->key), 0);
}

static void a_key_is_in_use_until_the_message_is_stored_and_then_answers_as_the_first(void **state)
{
    struct rig *rig = *state;
    struct publish_call first, again, other, late;
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1000, 0 }, SIZE_MAX);
    publish_with_key(rig, &first, "k", "x");
    publish_with_key(rig, &again, "k", "x");
    publish_with_key(rig, &other, "k", "y");
    turn(rig);
    assert_int_equal(first.call.err, UNANSWERED);
    assert_int_equal(again.call.err, ERR_KEY_IN_USE);
    assert_int_equal(other.call.err, ERR_KEY_REUSED);
    assert_int_equal(rig->submitted[0]->n, 1);
    assert_int_equal(rig->submitted[0]->n_keys, 1);      /* in the same commit */
    store_answers(rig, 0);
    assert_int_equal(first.call.err, 0);
    rig->wall_ms += 1000;
    publish_with_key(rig, &late, "k", "x");
    turn(rig);
    assert_int_equal(late.call.err, 0);
    assert_true(late.replayed && !first.replayed);
    assert_true(late.msg->seq == first.msg->seq && late.msg->epoch == EPOCH && late.msg->time_ms == first.msg->time_ms);
    assert_int_equal(rig->n_submitted, 0);
    msg_unref(late.msg);
    rig->wall_ms += 60000;
    publish_with_key(rig, &late, "k", "x");
    turn(rig);
    assert_false(late.replayed);      /* its time is over: a first one */
    store_answers(rig, 0);
    assert_int_equal(late.msg->seq, first.msg->seq + 1);
    struct msg *all[] = { first.msg, again.msg, other.msg, late.msg };
    for (size_t i = 0; i < 4; i++)
        msg_unref(all[i]);
}

static void a_publish_that_failed_leaves_no_key(void **state)
{
    struct rig *rig = *state;
    struct publish_call first, second, again;
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 22, 0 }, SIZE_MAX);
    publish_with_key(rig, &first, "k", "x");
    turn(rig);
    publish_with_key(rig, &second, "l", "x");
    turn(rig);
    store_answers(rig, ERR_STORE_FAILED);
    assert_int_equal(first.call.err, ERR_STORE_FAILED);
    assert_int_equal(second.call.err, ERR_STORE_FAILED);
    while (rig->n_submitted > 0)
        store_answers(rig, 0);
    publish_with_key(rig, &again, "k", "x");
    turn(rig);
    while (rig->n_submitted > 0)
        store_answers(rig, 0);
    assert_int_equal(again.call.err, 0);
    assert_false(again.replayed);
    msg_unref(first.msg);
    msg_unref(second.msg);
    msg_unref(again.msg);
}

static void a_key_without_a_store_or_history_is_in_memory_or_waits_for_its_commit(void **state)
{
    struct rig *rig = *state;
    struct publish_call first, again;
    rig->config.history_size = 0;
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 22, 0 }, SIZE_MAX);
    publish_with_key(rig, &first, "k", "x");
    turn(rig);
    assert_int_equal(first.call.err, UNANSWERED);
    assert_int_equal(rig->submitted[0]->n, 0);
    assert_int_equal(rig->submitted[0]->n_keys, 1);
    store_answers(rig, 0);
    assert_int_equal(first.call.err, 0);
    publish_with_key(rig, &again, "k", "x");
    turn(rig);
    assert_true(again.replayed);
    msg_unref(first.msg);
    msg_unref(again.msg);
}

static void publish_if(struct rig *rig, struct publish_call *call, enum if_position condition, uint64_t epoch, uint64_t seq)
{
    publish(rig, call, "a", "x");
    call->if_position = condition;
    call->position = (struct position){ epoch, seq };
}

static void of_pipelined_publishes_with_one_condition_the_first_wins_and_the_rest_hear_its_position(void **state)
{
    struct rig *rig = *state;
    struct publish_call calls[6];
    static const int expected[6] = { 0, ERR_POSITION_CHANGED, 0, ERR_POSITION_CHANGED, ERR_POSITION_CHANGED, ERR_POSITION_CHANGED };
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 22, 0 }, SIZE_MAX);
    publish_if(rig, &calls[0], IF_NONE, 0, 0);
    publish_if(rig, &calls[1], IF_NONE, 0, 0);
    publish_if(rig, &calls[2], IF_NEWEST, EPOCH, 1);
    publish_if(rig, &calls[3], IF_NEWEST, EPOCH, 1);
    publish_if(rig, &calls[4], IF_NEWEST, EPOCH + 1, 2);
    publish_if(rig, &calls[5], IF_NEWEST, EPOCH, 3);
    turn(rig);
    store_answers(rig, 0);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(calls[i].call.err, expected[i]);
        if (expected[i])
            assert_true(calls[i].position.epoch == EPOCH && calls[i].position.seq == (i == 1 ? 1 : 2));
        msg_unref(calls[i].msg);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(in_memory_a_publish_is_answered_in_the_same_turn_with_the_next_number),
        TEST(times_never_go_back_even_if_the_wall_clock_does),
        TEST(with_a_store_a_publish_is_answered_mailed_and_kept_only_when_its_group_is_committed),
        TEST(the_first_block_of_numbers_is_reserved_before_anything_can_be_published),
        TEST(numbers_end_where_the_reserved_block_does_until_the_next_one_is_committed),
        TEST(a_failed_group_fails_all_that_was_submitted_and_nobody_is_chained_to_it),
        TEST(with_sync_off_rows_that_wait_behind_a_failure_still_go_to_the_store),
        TEST(beyond_store_queue_bytes_publishers_are_told_busy),
        TEST(while_draining_publishes_are_refused_and_what_is_under_way_completes),
        TEST(a_quiet_channel_is_not_forgotten_while_a_publish_is_under_way),
        TEST(a_position_is_complete_if_it_is_not_below_what_its_channel_has_dropped),
        TEST(a_beginning_may_be_a_count_a_time_or_the_newest_of_each_channel),
        TEST(only_the_channels_that_may_miss_something_are_marked),
        TEST(foreign_and_future_positions_get_a_gap_and_everything_kept),
        TEST(a_number_that_is_still_under_way_is_from_the_future),
        TEST(without_a_position_a_stream_begins_now_and_nothing_is_a_gap),
        TEST(without_history_no_gap_is_ever_told),
        TEST(an_answer_is_cut_by_bytes_and_by_count_and_says_up_to_where_it_is_complete),
        TEST(a_forgotten_channel_raises_the_floor_for_channels_nobody_knows),
        TEST(after_a_restart_the_oldest_row_tells_what_was_dropped_before_it),
        TEST(rows_that_do_not_follow_each_other_tell_that_something_between_them_is_missing),
        TEST(rows_that_nobody_needs_are_trimmed_and_the_floor_goes_with_them),
        TEST(a_floor_that_was_restored_is_never_sent_lower_to_the_store),
        TEST(an_edge_is_mailed_what_it_watches_from_the_head_it_was_told),
        TEST(an_edge_without_room_is_told_once_and_mailed_nothing_until_it_has_seen_it),
        TEST(channels_are_listed_by_name_in_pages),
        TEST(a_key_is_in_use_until_the_message_is_stored_and_then_answers_as_the_first),
        TEST(a_publish_that_failed_leaves_no_key),
        TEST(a_key_without_a_store_or_history_is_in_memory_or_waits_for_its_commit),
        TEST(of_pipelined_publishes_with_one_condition_the_first_wins_and_the_rest_hear_its_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

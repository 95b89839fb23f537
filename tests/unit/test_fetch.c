/* What the hub answers to who asks for messages: complete or a gap, where to begin, how much at once, after a restart too. */
#include "hub_rig.h"

static void a_position_is_complete_if_it_is_not_below_what_its_channel_has_dropped(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channel;
    rig->config.history_size = 2;
    config_general_rule(&rig->config);
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
    config_general_rule(&rig->config);
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
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 30, 0, SLICE("") }, SIZE_MAX);
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
    config_general_rule(&rig->config);
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
    config_general_rule(&rig->config);
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
    open_hub(rig, true, (struct hub_start){ EPOCH, 100, 100, 40, SLICE("") }, SIZE_MAX);
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
    open_hub(rig, true, (struct hub_start){ EPOCH, 100, 100, 0, SLICE("") }, SIZE_MAX);
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
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 30, 0, SLICE("") }, SIZE_MAX);
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
    open_hub(rig, true, (struct hub_start){ EPOCH, 100, 1 << 30, 70, SLICE("") }, SIZE_MAX);
    hub_tick(rig->hub);
    turn(rig);
    assert_int_equal(rig->submitted[0]->trim, 100);
    assert_int_equal(rig->submitted[0]->floor, 70);
    store_answers(rig, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RIG(a_position_is_complete_if_it_is_not_below_what_its_channel_has_dropped),
        ON_RIG(a_beginning_may_be_a_count_a_time_or_the_newest_of_each_channel),
        ON_RIG(only_the_channels_that_may_miss_something_are_marked),
        ON_RIG(foreign_and_future_positions_get_a_gap_and_everything_kept),
        ON_RIG(a_number_that_is_still_under_way_is_from_the_future),
        ON_RIG(without_a_position_a_stream_begins_now_and_nothing_is_a_gap),
        ON_RIG(without_history_no_gap_is_ever_told),
        ON_RIG(an_answer_is_cut_by_bytes_and_by_count_and_says_up_to_where_it_is_complete),
        ON_RIG(a_forgotten_channel_raises_the_floor_for_channels_nobody_knows),
        ON_RIG(after_a_restart_the_oldest_row_tells_what_was_dropped_before_it),
        ON_RIG(rows_that_do_not_follow_each_other_tell_that_something_between_them_is_missing),
        ON_RIG(rows_that_nobody_needs_are_trimmed_and_the_floor_goes_with_them),
        ON_RIG(a_floor_that_was_restored_is_never_sent_lower_to_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

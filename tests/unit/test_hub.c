/* Publishing into the hub core: numbers, the store's commits, failures, retries; what edges are mailed; the list of channels. */
#include "hub_rig.h"

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
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1000, 0, SLICE("") }, SIZE_MAX);
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
    open_hub(rig, true, (struct hub_start){ EPOCH, 500, 500, 0, SLICE("") }, SIZE_MAX);
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
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 4, 0, SLICE("") }, SIZE_MAX);
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
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 30, 0, SLICE("") }, SIZE_MAX);
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
    store_answers(rig, 0);                                   /* the older generation: refused */
    assert_int_equal(calls[3].call.err, UNANSWERED);         /* it was submitted after that, and the store will have it */
    while (rig->n_submitted > 0)
        store_answers(rig, 0);
    assert_int_equal(calls[3].call.err, 0);
    assert_int_equal(calls[3].msg->seq, 4);
    assert_int_equal(calls[3].msg->prev, 0);
    struct fetch_channel channel;
    struct fetch_call all = fetch_one(rig, "a", FETCH_ALL, (struct position){ 0, 0 }, &channel);
    assert_answer(&all, GAP_NONE, 3, 4, 1);
    fetch_answer_fini(&all);
    for (int i = 0; i < 4; i++)
        msg_unref(calls[i].msg);
}

/* Found by the simulation: they were thrown away, and as the store had never seen them the next stop counted as clean. */
static void with_sync_off_rows_that_wait_behind_a_failure_still_go_to_the_store(void **state)
{
    struct rig *rig = *state;
    rig->config.store_sync = STORE_SYNC_OFF;
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 30, 0, SLICE("") }, SIZE_MAX);
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
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 30, 0, SLICE("") }, SIZE_MAX);
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
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 30, 0, SLICE("") }, SIZE_MAX);
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
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 30, 0, SLICE("") }, SIZE_MAX);
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
    open_hub(rig, false, (struct hub_start){ EPOCH, 1, 1, 0, SLICE("") }, 2 * (sizeof(struct msg) + sizeof(struct message_letter)));
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
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1000, 0, SLICE("") }, SIZE_MAX);
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
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 22, 0, SLICE("") }, SIZE_MAX);
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
    config_general_rule(&rig->config);
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 22, 0, SLICE("") }, SIZE_MAX);
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
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 22, 0, SLICE("") }, SIZE_MAX);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RIG(in_memory_a_publish_is_answered_in_the_same_turn_with_the_next_number),
        ON_RIG(times_never_go_back_even_if_the_wall_clock_does),
        ON_RIG(with_a_store_a_publish_is_answered_mailed_and_kept_only_when_its_group_is_committed),
        ON_RIG(the_first_block_of_numbers_is_reserved_before_anything_can_be_published),
        ON_RIG(numbers_end_where_the_reserved_block_does_until_the_next_one_is_committed),
        ON_RIG(a_failed_group_fails_all_that_was_submitted_and_nobody_is_chained_to_it),
        ON_RIG(with_sync_off_rows_that_wait_behind_a_failure_still_go_to_the_store),
        ON_RIG(beyond_store_queue_bytes_publishers_are_told_busy),
        ON_RIG(while_draining_publishes_are_refused_and_what_is_under_way_completes),
        ON_RIG(a_quiet_channel_is_not_forgotten_while_a_publish_is_under_way),
        ON_RIG(an_edge_is_mailed_what_it_watches_from_the_head_it_was_told),
        ON_RIG(an_edge_without_room_is_told_once_and_mailed_nothing_until_it_has_seen_it),
        ON_RIG(channels_are_listed_by_name_in_pages),
        ON_RIG(a_key_is_in_use_until_the_message_is_stored_and_then_answers_as_the_first),
        ON_RIG(a_publish_that_failed_leaves_no_key),
        ON_RIG(a_key_without_a_store_or_history_is_in_memory_or_waits_for_its_commit),
        ON_RIG(of_pipelined_publishes_with_one_condition_the_first_wins_and_the_rest_hear_its_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

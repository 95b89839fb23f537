/* What a channel keeps is removed: in order with publishes, all or nothing, and edges hear of it first. */
#include "hub_rig.h"

static void purge(struct rig *rig, struct purge_call *call, const char *channel, uint64_t before)
{
    *call = (struct purge_call){ .channel = slice_of(channel), .hash = hash_bytes(slice_of(channel)),
                                 .before = before ? (struct position){ EPOCH, before } : (struct position){ 0 } };
    submit(rig, &call->call, CALL_PURGE);
}

static size_t kept(struct rig *rig, const char *channel)
{
    struct fetch_channel asked;
    struct fetch_call call = fetch_one(rig, channel, FETCH_ALL, (struct position){ 0 }, &asked);
    size_t n = call.n_msgs;
    fetch_answer_fini(&call);
    return n;
}

static void in_memory_it_is_done_at_once_and_edges_are_told(void **state)
{
    struct rig *rig = *state;
    struct purge_call call;
    open_plain(rig);
    for (int i = 0; i < 3; i++)
        publish_one(rig, "a", "x");
    publish_one(rig, "b", "x");
    purge(rig, &call, "a", 0);
    turn(rig);
    assert_true(call.call.err == 0 && call.removed == 3 && call.upto.seq == 3);
    assert_came(rig, { LETTER_PURGED, 0 });
    assert_true(kept(rig, "a") == 0 && kept(rig, "b") == 1);
    purge(rig, &call, "a", 0);
    turn(rig);
    assert_true(call.call.err == 0 && call.removed == 0 && call.upto.seq == 3);
    purge(rig, &call, "never", 0);
    turn(rig);
    assert_true(call.call.err == 0 && call.removed == 0 && call.upto.seq == 0);
    assert_came_(rig, (const struct seen[]){ { CALL_KINDS, 0 } });      /* nothing went */
}

static void what_was_submitted_before_goes_and_what_comes_after_stays(void **state)
{
    struct rig *rig = *state;
    struct purge_call call;
    struct publish_call before, after;
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 22, 0, SLICE("") }, SIZE_MAX);
    publish(rig, &before, "a", "before");
    purge(rig, &call, "a", 0);
    publish(rig, &after, "a", "after");
    turn(rig);
    assert_int_equal(call.call.err, UNANSWERED);
    store_answers(rig, 0);
    while (rig->n_submitted > 0)
        store_answers(rig, 0);
    assert_true(before.call.err == 0 && after.call.err == 0 && call.call.err == 0);
    assert_true(call.removed == 1 && call.upto.seq == before.msg->seq);
    assert_int_equal(kept(rig, "a"), 1);
    msg_unref(before.msg);
    msg_unref(after.msg);
}

static void when_the_store_fails_nothing_is_removed(void **state)
{
    struct rig *rig = *state;
    struct purge_call call;
    struct publish_call first;
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1 << 22, 0, SLICE("") }, SIZE_MAX);
    publish(rig, &first, "a", "first");
    turn(rig);
    while (rig->n_submitted > 0)
        store_answers(rig, 0);
    purge(rig, &call, "a", 0);
    turn(rig);
    store_answers(rig, ERR_STORE_FAILED);
    assert_int_equal(call.call.err, ERR_STORE_FAILED);
    assert_int_equal(kept(rig, "a"), 1);
    msg_unref(first.msg);
}

static void a_position_that_is_none_of_ours_removes_nothing(void **state)
{
    struct rig *rig = *state;
    struct purge_call call;
    open_plain(rig);
    publish_one(rig, "a", "x");
    purge(rig, &call, "a", 2);
    turn(rig);
    assert_int_equal(call.call.err, ERR_BAD_POSITION);
    call.before.epoch = EPOCH + 1;
    submit(rig, &call.call, CALL_PURGE);
    turn(rig);
    assert_int_equal(call.call.err, ERR_BAD_POSITION);
    assert_int_equal(kept(rig, "a"), 1);
}

static void a_purge_of_the_run_before_is_a_gap_for_who_has_an_older_position(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel asked;
    open_hub(rig, true, (struct hub_start){ EPOCH, 100, 1 << 22, 10, SLICE("") }, SIZE_MAX);
    assert_int_equal(hub_restore_purge(rig->hub, SLICE("a"), 40), 0);
    struct fetch_call call = fetch_one(rig, "a", FETCH_AFTER, (struct position){ EPOCH, 39 }, &asked);
    assert_int_equal(call.gap, GAP_HISTORY);
    fetch_answer_fini(&call);
    call = fetch_one(rig, "a", FETCH_AFTER, (struct position){ EPOCH, 40 }, &asked);
    assert_int_equal(call.gap, GAP_NONE);
    fetch_answer_fini(&call);
    call = fetch_one(rig, "b", FETCH_AFTER, (struct position){ EPOCH, 10 }, &asked);
    assert_int_equal(call.gap, GAP_NONE);
    fetch_answer_fini(&call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RIG(in_memory_it_is_done_at_once_and_edges_are_told),
        ON_RIG(what_was_submitted_before_goes_and_what_comes_after_stays),
        ON_RIG(when_the_store_fails_nothing_is_removed),
        ON_RIG(a_position_that_is_none_of_ours_removes_nothing),
        ON_RIG(a_purge_of_the_run_before_is_a_gap_for_who_has_an_older_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

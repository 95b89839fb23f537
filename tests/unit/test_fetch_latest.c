/* Fetches that conflate (lag.policy latest): of each channel the newest message after a position, and what was left out told as a gap. */
#include "hub_rig.h"

static struct fetch_call fetch_latest(struct rig *rig, const char *const *names, uint64_t after, const bool *whole, size_t max_bytes, struct fetch_channel *channels)
{
    struct fetch_call call;
    fetch(rig, &call, channels, names, FETCH_LATEST, (struct position){ EPOCH, after });
    call.conflates = true;
    call.max_bytes = max_bytes;
    for (size_t i = 0; i < call.n_channels && whole; i++)
        channels[i].whole = whole[i];
    turn(rig);
    assert_int_equal(call.call.err, 0);
    return call;
}

static void assert_gives(const struct fetch_call *call, const uint64_t *seqs)
{
    size_t n = 0;
    for (; seqs[n]; n++) {
        assert_true(n < call->n_msgs);
        assert_int_equal(call->msgs[n]->seq, seqs[n]);
    }
    assert_int_equal(call->n_msgs, n);
}

static void publish_all(struct rig *rig, const char *const *names)
{
    for (; *names; names++)
        publish_one(rig, *names, "x");
}

static const char *const stream[] = { "a.x", "b", "a.y", "a.x", "b", "a.y", "a.x", "c", NULL };      /* 1 … 8 */

static void the_newest_of_each_channel_is_given_and_what_was_left_out_is_a_gap(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channels[3];
    static const char *const names[] = { "a.x", "b", "c", NULL };
    open_plain(rig);
    publish_all(rig, stream);
    struct fetch_call call = fetch_latest(rig, names, 0, NULL, SIZE_MAX, channels);
    assert_gives(&call, (uint64_t[]){ 5, 7, 8, 0 });
    assert_answer(&call, GAP_CONFLATED, 4, 8, 3);
    assert_true(channels[0].incomplete && channels[1].incomplete && !channels[2].incomplete);
    assert_int_equal(channels[0].dropped, 4);      /* a reader that begins behind it misses nothing */
    assert_int_equal(channels[1].dropped, 2);
    fetch_answer_fini(&call);

    call = fetch_latest(rig, names, 4, NULL, SIZE_MAX, channels);
    assert_gives(&call, (uint64_t[]){ 5, 7, 8, 0 });
    assert_answer(&call, GAP_NONE, 4, 8, 3);
    fetch_answer_fini(&call);
    call = fetch_latest(rig, names, 8, NULL, SIZE_MAX, channels);
    assert_answer(&call, GAP_NONE, 8, 8, 0);
    fetch_answer_fini(&call);
}

static void a_channel_that_is_wanted_whole_is_given_whole(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channels[3];
    static const char *const names[] = { "a.x", "b", NULL };
    rig->config.history_size = 2;
    config_general_rule(&rig->config);
    open_plain(rig);
    publish_all(rig, stream);
    struct fetch_call call = fetch_latest(rig, names, 1, (bool[]){ true, false }, SIZE_MAX, channels);
    assert_gives(&call, (uint64_t[]){ 4, 5, 7, 0 });
    assert_int_equal(call.gap, GAP_CONFLATED);
    assert_true(!channels[0].incomplete && channels[1].incomplete);
    fetch_answer_fini(&call);
    call = fetch_latest(rig, names, 0, (bool[]){ true, false }, SIZE_MAX, channels);
    assert_int_equal(call.gap, GAP_HISTORY);      /* 1 is gone, which nothing excuses */
    assert_true(channels[0].incomplete);
    fetch_answer_fini(&call);
}

static void a_newest_message_that_is_gone_is_lost_history(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channels[2];
    open_plain(rig);
    publish_all(rig, stream);
    rig->wall_ms += rig->config.history_ttl_ms + 1;
    hub_tick(rig->hub);
    publish_one(rig, "b", "x");
    struct fetch_call call = fetch_latest(rig, (const char *const[]){ "a.x", "b", NULL }, 3, NULL, SIZE_MAX, channels);
    assert_gives(&call, (uint64_t[]){ 9, 0 });
    assert_int_equal(call.gap, GAP_HISTORY);
    assert_true(channels[0].incomplete && channels[1].incomplete);
    fetch_answer_fini(&call);
    call = fetch_latest(rig, (const char *const[]){ "b", NULL }, 3, NULL, SIZE_MAX, channels);
    assert_int_equal(call.gap, GAP_CONFLATED);      /* 5 is gone too, but a newer one follows */
    fetch_answer_fini(&call);
}

static void what_is_behind_a_cut_answer_is_asked_for_likewise(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channels[3];
    static const char *const names[] = { "a.x", "b", "c", NULL };
    open_plain(rig);
    publish_all(rig, stream);
    struct fetch_call call = fetch_latest(rig, names, 0, NULL, 1, channels);
    assert_gives(&call, (uint64_t[]){ 5, 0 });
    assert_true(call.more);
    assert_int_equal(call.upto.seq, 5);
    fetch_answer_fini(&call);
    publish_one(rig, "a.x", "newer");      /* 9: what was the newest before is left out now */
    call = fetch_latest(rig, names, 5, NULL, SIZE_MAX, channels);
    assert_gives(&call, (uint64_t[]){ 8, 9, 0 });
    assert_answer(&call, GAP_CONFLATED, 7, 9, 2);
    assert_true(channels[0].incomplete && !channels[1].incomplete);
    fetch_answer_fini(&call);
}

static void of_a_pattern_the_newest_of_each_channel_that_matches(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channels[3];
    open_plain(rig);
    publish_all(rig, stream);
    struct fetch_call call = fetch_latest(rig, (const char *const[]){ "a.*", "c", NULL }, 0, NULL, SIZE_MAX, channels);
    assert_gives(&call, (uint64_t[]){ 6, 7, 8, 0 });
    assert_answer(&call, GAP_CONFLATED, 5, 8, 3);
    assert_true(channels[0].incomplete && !channels[1].incomplete);
    assert_int_equal(channels[0].dropped, 4);
    fetch_answer_fini(&call);
    call = fetch_latest(rig, (const char *const[]){ "a.*", NULL }, 4, NULL, SIZE_MAX, channels);
    assert_answer(&call, GAP_NONE, 5, 8, 2);
    fetch_answer_fini(&call);
    call = fetch_latest(rig, (const char *const[]){ "a.*", "**", NULL }, 0, (bool[]){ false, true }, SIZE_MAX, channels);
    assert_int_equal(call.n_msgs, 8);      /* one of them wants all */
    assert_int_equal(call.gap, GAP_NONE);
    fetch_answer_fini(&call);
}

static void a_pattern_misses_nothing_by_what_history_gave_up_where_a_newer_one_follows(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channels[2];
    rig->config.history_size = 1;
    config_general_rule(&rig->config);
    open_plain(rig);
    publish_all(rig, stream);
    struct fetch_call call = fetch_latest(rig, (const char *const[]){ "a.*", NULL }, 1, NULL, SIZE_MAX, channels);
    assert_gives(&call, (uint64_t[]){ 6, 7, 0 });
    assert_int_equal(call.gap, GAP_CONFLATED);
    fetch_answer_fini(&call);
    rig->wall_ms += rig->config.history_ttl_ms + 1;
    hub_tick(rig->hub);
    call = fetch_latest(rig, (const char *const[]){ "a.*", NULL }, 1, NULL, SIZE_MAX, channels);
    assert_int_equal(call.gap, GAP_HISTORY);
    fetch_answer_fini(&call);
}

static void a_foreign_position_is_a_new_epoch_whatever_was_left_out(void **state)
{
    struct rig *rig = *state;
    struct fetch_channel channel = { 0 };
    open_plain(rig);
    publish_all(rig, stream);
    struct fetch_call call;
    fetch(rig, &call, &channel, (const char *const[]){ "b", NULL }, FETCH_LATEST, (struct position){ EPOCH + 1, 3 });
    call.conflates = true;
    turn(rig);
    assert_gives(&call, (uint64_t[]){ 5, 0 });
    assert_int_equal(call.gap, GAP_EPOCH);
    fetch_answer_fini(&call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RIG(the_newest_of_each_channel_is_given_and_what_was_left_out_is_a_gap),
        ON_RIG(a_channel_that_is_wanted_whole_is_given_whole),
        ON_RIG(a_newest_message_that_is_gone_is_lost_history),
        ON_RIG(what_is_behind_a_cut_answer_is_asked_for_likewise),
        ON_RIG(of_a_pattern_the_newest_of_each_channel_that_matches),
        ON_RIG(a_pattern_misses_nothing_by_what_history_gave_up_where_a_newer_one_follows),
        ON_RIG(a_foreign_position_is_a_new_epoch_whatever_was_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Coming back with a position: fetches that are shared, gaps, the seam between history and live, and mail that was lost. */
#include "edge_world.h"

/* ---- resuming ---- */

static void those_who_come_back_together_share_one_fetch(void **state)
{
    (void)state;
    struct client *c[20];
    for (int i = 0; i < 100; i++)
        publish('a');
    for (int i = 0; i < 10; i++)
        c[i] = resumer(&test_ws, "a", 40);
    settle();
    assert_int_equal(world->calls[CALL_FETCH], 1);
    for (int i = 10; i < 19; i++)
        c[i] = resumer(&test_ws, "a", 40);      /* a moment later: it is kept */
    settle();
    assert_int_equal(world->calls[CALL_FETCH], 1);
    publish('a');
    settle();
    c[19] = resumer(&test_ws, "a", 40);         /* one message later: only that is fetched */
    settle();
    assert_int_equal(world->calls[CALL_FETCH], 2);
    for (int i = 0; i < 20; i++) {
        check_complete(c[i]);
        assert_int_equal(c[i]->position, 101);
    }
    world->now_ms += 5000;
    edge_tick(world->edge);
    assert_int_equal(world->edge->kept_bytes, 0);
}

static void those_who_begin_now_share_one_fetch_however_much_is_published(void **state)
{
    (void)state;
    struct client *c[10];
    for (int i = 0; i < 10; i++) {
        c[i] = subscriber(&test_ws, "a");
        settle();
        publish('a');
    }
    settle();
    assert_int_equal(world->calls[CALL_FETCH], 1);
    for (int i = 0; i < 10; i++)
        check_complete(c[i]);
    expect_log(c[9], "subN:a:9:1 a10 ");
}

static void different_formats_and_positions_are_not_shared(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        publish('a');
    struct client *ws = resumer(&test_ws, "a", 5), *sse = resumer(&test_sse, "a", 5), *older = resumer(&test_ws, "a", 4);
    settle();
    assert_int_equal(world->calls[CALL_FETCH], 3);
    check_complete(ws);
    check_complete(sse);
    check_complete(older);
}

static void a_resume_of_several_channels_is_one_stream_and_turns_live_without_a_seam(void **state)
{
    (void)state;
    publish_each("abcabc");
    struct client *c = resumer(&test_ws, "abc", 2);
    edge_turn();
    hub_run(UINT32_MAX);       /* the answer is on its way, and messages behind it */
    publish('b');
    publish('a');
    settle();
    expect_log(c, "subA:a:2:1 subA:b:2:1 subA:c:2:1 c3 a4 b5 c6 b7 a8 ");
    check_complete(c);
}

static void messages_that_come_before_the_answer_are_not_sent_twice(void **state)
{
    (void)state;
    publish('a');
    struct client *other = subscriber(&test_ws, "a");
    settle();
    struct client *c = resumer(&test_ws, "a", 0);
    edge_turn();
    publish('a');              /* completed before the hub runs the fetch: it is in the mail and in the answer */
    settle();
    expect_log(c, "subA:a:0:1 a1 a2 ");
    check_complete(other);
}

static void a_long_resume_is_fetched_batch_by_batch_at_the_readers_pace(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++)
        publish_len('a', 50000, true);
    struct client *c = resumer(&test_ws, "a", 0);
    c->budget = 1000;
    settle();
    assert_int_equal(world->calls[CALL_FETCH], 1);
    for (int i = 0; i < 2000 && !c->conn->was_live; i++) {
        client_reads(c, 5000);
        settle();
        if (i % 50 == 0)
            publish('a');
    }
    client_reads(c, SIZE_MAX);
    settle();
    check_complete(c);
    assert_true(world->calls[CALL_FETCH] >= 8);
}

static void a_gap_comes_before_ready_and_only_where_something_may_be_missing(void **state)
{
    (void)state;
    publish_each("aabaab");
    forget('a', 1);
    struct client *c = resumer(&test_ws, "ab", 1), *b = resumer(&test_ws, "b", 1);
    settle();
    expect_log(c, "gap:a:2 subA:a:2:1 subA:b:2:1 b3 a5 b6 ");
    expect_log(b, "subA:b:1:1 b3 b6 ");
}

static void a_connection_that_is_cut_while_its_fetch_is_under_way_leaves_nothing(void **state)
{
    (void)state;
    publish('a');
    struct client *c = resumer(&test_ws, "ab", 0), *d = resumer(&test_ws, "a", 0);
    edge_turn();
    client_gone(c);
    client_gone(d);
    settle();
    assert_null(world->edge->feeds);
}

/* ---- loss ---- */

static void a_message_missed_is_noticed_by_prev_and_fetched(void **state)
{
    (void)state;
    struct client *c = subscriber(&test_ws, "ab"), *b = subscriber(&test_ws, "b");
    settle();
    publish('a');
    publish_len('a', 10, false);
    publish('b');
    publish('a');
    settle();
    check_complete(c);
    check_complete(b);
    assert_non_null(strstr(told(c), "a1 a2 b3 a4 "));
}

static void after_a_loss_it_says_so_before_it_fetches_and_everyone_misses_nothing(void **state)
{
    (void)state;
    struct client *c[6];
    for (int i = 0; i < 6; i++)
        c[i] = subscriber(&test_ws, i % 2 ? "a" : "ab");
    settle();
    publish('a');
    world->full = true;
    publish('a');
    publish('b');
    world->full = false;
    struct client *begins = subscriber(&test_ws, "a"), *resumes = resumer(&test_ws, "ab", 1);
    publish('a');
    buf_reset(&world->order);
    settle();
    publish('b');
    settle();
    for (int i = 0; i < 6; i++)
        check_complete(c[i]);
    check_complete(begins);
    check_complete(resumes);
    buf_add_char(&world->order, '\0');
    assert_true(strchr(world->order.at, 'L') < strchr(world->order.at, 'F'));
}

static void an_answer_that_was_under_way_when_mail_was_lost_is_not_the_last(void **state)
{
    (void)state;
    struct client *c = subscriber(&test_ws, "b");
    settle();
    publish('a');
    struct client *r = resumer(&test_ws, "a", 0), *n = subscriber(&test_ws, "a");
    edge_turn();
    world->full = true;
    publish('b');              /* lost: LETTER_LOST is in the mail before the answers */
    hub_run(UINT32_MAX);       /* the fetches are answered, */
    publish('a');              /* and this is lost behind them */
    world->full = false;
    settle();
    publish('a');
    settle();
    check_complete(c);
    check_complete(r);
    check_complete(n);
}

/* Without history such a position is told no gap; what was answered to it must not be answered again when the hub has got there. */
static void an_answer_to_a_position_from_the_future_is_not_kept(void **state)
{
    (void)state;
    world->resumable = false;
    world->config.edge_ring_bytes = 16 * 1024;
    world->config.lag_policy = LAG_SKIP;
    config_general_rule(&world->config);
    for (int i = 0; i < 5; i++)
        publish('a');
    struct client *c = resumer(&test_ws, "a", 7);
    c->position = 0;           /* it is of a time that is gone */
    view_of(c, 'a')->have = 5;
    settle();
    publish('a');
    publish('a');
    settle();
    expect_log(c, "subA:a:5:0 a6 a7 ");
    c->budget = 0;
    for (int i = 0; i < 40; i++) {      /* it falls out of its ring, and asks for what came after 7 */
        publish_len('a', 1000, true);
        settle();
    }
    client_reads(c, SIZE_MAX);
    settle();
    publish('a');
    settle();
    expect_log(c, "gap:a:47 a48 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(those_who_come_back_together_share_one_fetch),
        IN_WORLD(those_who_begin_now_share_one_fetch_however_much_is_published),
        IN_WORLD(different_formats_and_positions_are_not_shared),
        IN_WORLD(a_resume_of_several_channels_is_one_stream_and_turns_live_without_a_seam),
        IN_WORLD(messages_that_come_before_the_answer_are_not_sent_twice),
        IN_WORLD(a_long_resume_is_fetched_batch_by_batch_at_the_readers_pace),
        IN_WORLD(a_gap_comes_before_ready_and_only_where_something_may_be_missing),
        IN_WORLD(a_connection_that_is_cut_while_its_fetch_is_under_way_leaves_nothing),
        IN_WORLD(a_message_missed_is_noticed_by_prev_and_fetched),
        IN_WORLD(after_a_loss_it_says_so_before_it_fetches_and_everyone_misses_nothing),
        IN_WORLD(an_answer_that_was_under_way_when_mail_was_lost_is_not_the_last),
        IN_WORLD(an_answer_to_a_position_from_the_future_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

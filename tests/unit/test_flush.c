/* What an edge sends: fan-out, and frames of which the line takes a part. */
#include "edge_world.h"

/* ---- fan-out ---- */

static void each_subscriber_gets_all_messages_of_a_turn_with_one_send(void **state)
{
    (void)state;
    struct client *c[10];
    for (int i = 0; i < 10; i++)
        c[i] = subscriber(i % 2 ? &test_sse : &test_ws, "a");
    settle();
    for (int i = 0; i < 10; i++)
        c[i]->sends = 0;
    for (int i = 0; i < 5; i++)
        publish('a');
    settle();
    for (int i = 0; i < 10; i++) {
        expect_log(c[i], "subN:a:0:1 a1 a2 a3 a4 a5 ");
        assert_int_equal(c[i]->sends, 1);
    }
    assert_int_equal(world->edge->pool.used, 0);
}

static void several_feeds_are_merged_into_one_send_in_order_of_number(void **state)
{
    (void)state;
    struct client *c = subscriber(&test_ws, "abc"), *other = subscriber(&test_ws, "b");
    settle();
    c->sends = 0;
    publish_each("abacabbbc");
    settle();
    expect_log(c, "subN:a:0:1 subN:b:0:1 subN:c:0:1 a1 b2 a3 c4 a5 b6 b7 b8 c9 ");
    expect_log(other, "subN:b:0:1 b2 b6 b7 b8 ");
    assert_int_equal(c->sends, 1);
}

static void a_burst_larger_than_a_ring_is_sent_while_it_comes(void **state)
{
    (void)state;
    world->config.edge_ring_bytes = 16 * 1024;
    struct client *c = subscriber(&test_ws, "a");
    settle();
    uint32_t fetches = world->calls[CALL_FETCH];
    for (int i = 0; i < 300; i++)
        publish_len('a', 1000, true);
    settle();
    check_complete(c);
    assert_int_equal(world->calls[CALL_FETCH], fetches);
}

static void a_line_that_copies_gets_runs_of_whole_frames(void **state)
{
    (void)state;
    world->line.max_run = 500;
    struct client *c = subscriber(&test_ws, "ab");
    for (int i = 0; i < 20; i++)
        publish_len(i % 3 ? 'a' : 'b', i == 7 ? 2000 : 100, true);
    struct client *late = resumer(&test_ws, "ab", 0);
    settle();
    for (int i = 0; i < 20; i++)
        publish_len(i % 3 ? 'a' : 'b', i == 7 ? 2000 : 100, true);
    settle();
    check_complete(c);
    check_complete(late);
}

/* As when a line has room again and ends in the same turn, after mail has come: everything that was said leaves before. */
static void what_is_pending_can_leave_in_the_middle_of_a_turn(void **state)
{
    (void)state;
    struct client *stuck = subscriber(&test_ws, "ab"), *other = subscriber(&test_ws, "a");
    settle();
    stuck->budget = 0;
    publish('a');
    publish('b');
    settle();
    publish('a');
    hub_send_mail();
    edge_mail(world->edge);
    client_reads(stuck, SIZE_MAX);
    edge_send(world->edge);
    expect_log(stuck, "subN:a:0:1 subN:b:0:1 a1 b2 a3 ");
    expect_log(other, "subN:a:0:1 a1 a3 ");
}

/* The same when more has come than its ring holds. */
static void a_reader_that_falls_in_the_middle_of_a_turn_misses_nothing(void **state)
{
    (void)state;
    world->config.edge_ring_bytes = 16 * 1024;
    struct client *stuck = subscriber(&test_ws, "ab");
    subscriber(&test_ws, "a");
    settle();
    stuck->budget = 0;
    publish('a');
    publish('b');
    settle();
    for (int i = 0; i < 3; i++)
        publish_len('a', 7000, true);
    hub_send_mail();
    edge_mail(world->edge);
    client_reads(stuck, SIZE_MAX);
    edge_send(world->edge);
    settle();
    check_complete(stuck);
}

/* ---- partial sends ---- */

/* However many bytes the line takes, what is kept is the rest of one frame, and everything arrives once and in order. */
static void a_frame_that_is_cut_anywhere_is_finished_first(void **state)
{
    (void)state;
    for (size_t cut = 0; cut < 330; cut++) {
        struct client *c = subscriber(&test_ws, "ab");
        settle();
        c->budget = cut;
        publish('a');
        publish('b');
        publish('a');
        settle();
        assert_true(c->kept.len < 110);
        client_reads(c, SIZE_MAX);
        settle();
        check_complete(c);
        client_gone(c);
        settle();
    }
}

static void every_byte_that_leaves_is_counted_also_the_rest_of_a_frame_that_was_cut(void **state)
{
    (void)state;
    int64_t before = metric_sum(METRIC_bytes_out);
    struct client *c = subscriber(&test_ws, "a");
    settle();
    c->budget = 50;
    for (int i = 0; i < 5; i++)
        publish('a');
    settle();
    assert_true(c->kept.len > 0);
    client_reads(c, 30);
    settle();
    client_reads(c, SIZE_MAX);
    settle();
    check_complete(c);
    assert_int_equal(metric_sum(METRIC_bytes_out) - before, c->in.len);
}

static void what_was_unsubscribed_is_not_sent_any_more_however_much_is_pending(void **state)
{
    (void)state;
    struct client *c = subscriber(&test_ws, "ab");
    settle();
    c->budget = 0;
    publish_each("ababab");
    settle();
    unsubscribe(c, 'a');
    client_reads(c, SIZE_MAX);
    settle();
    expect_log(c, "subN:a:0:1 subN:b:0:1 b2 b4 b6 ");
    assert_int_equal(conn_unsubscribe(c->conn, SLICE("a")), ERR_NOT_SUBSCRIBED);
    assert_null(world->channels[0].subscribers);
}

static void who_unsubscribes_before_the_answer_is_told_that_it_will_not_begin(void **state)
{
    (void)state;
    struct client *c = subscriber(&test_ws, "ab");
    edge_turn();
    unsubscribe(c, 'a');
    settle();
    expect_log(c, "never:a subN:b:0:1 ");
    unsubscribe(c, 'b');
    settle();
    expect_log(c, "");
}

static void a_batch_in_hand_skips_what_was_unsubscribed(void **state)
{
    (void)state;
    publish_each("abababab");
    struct client *c = resumer(&test_ws, "ab", 0);
    c->budget = 300;
    settle();
    client_reads(c, 0);
    unsubscribe(c, 'a');
    client_reads(c, SIZE_MAX);
    settle();
    assert_null(strstr(told(c), "a7"));
    assert_non_null(strstr(told(c), "b8"));
    check_complete(c);
}

static void the_last_words_of_a_stuck_connection_follow_the_frame_that_was_cut(void **state)
{
    (void)state;
    struct client *c = subscriber(&test_ws, "a");
    settle();
    c->budget = 50;
    for (int i = 0; i < 5; i++)
        publish('a');
    settle();
    conn_close(c->conn, ERR_NORMAL);
    conn_close(c->conn, ERR_SLOW);
    settle();
    assert_true(c->finished);
    client_reads(c, 0);
    char wanted[64];
    snprintf(wanted, sizeof wanted, "subN:a:0:1 a1 bye:%d:%lld ", ERR_NORMAL, (long long)c->retry_ms);
    expect_log(c, wanted);
    assert_null(world->channels[0].subscribers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(each_subscriber_gets_all_messages_of_a_turn_with_one_send),
        IN_WORLD(several_feeds_are_merged_into_one_send_in_order_of_number),
        IN_WORLD(a_burst_larger_than_a_ring_is_sent_while_it_comes),
        IN_WORLD(a_line_that_copies_gets_runs_of_whole_frames),
        IN_WORLD(what_is_pending_can_leave_in_the_middle_of_a_turn),
        IN_WORLD(a_reader_that_falls_in_the_middle_of_a_turn_misses_nothing),
        IN_WORLD(a_frame_that_is_cut_anywhere_is_finished_first),
        IN_WORLD(every_byte_that_leaves_is_counted_also_the_rest_of_a_frame_that_was_cut),
        IN_WORLD(what_was_unsubscribed_is_not_sent_any_more_however_much_is_pending),
        IN_WORLD(who_unsubscribes_before_the_answer_is_told_that_it_will_not_begin),
        IN_WORLD(a_batch_in_hand_skips_what_was_unsubscribed),
        IN_WORLD(the_last_words_of_a_stuck_connection_follow_the_frame_that_was_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

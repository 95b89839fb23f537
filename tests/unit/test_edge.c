/* The edge between a scripted hub and clients that take what they like. What is promised to clients is checked at every
 * frame they read (edge_world.h); here are the schedules. */
#include "edge_world.h"

static int begin_world(void **state)
{
    (void)state;
    world_begin();
    return 0;
}
static int end_world(void **state)
{
    (void)state;
    if (world)
        world_end();
    return 0;
}

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
    for (const char *p = "abacabbbc"; *p; p++)
        publish(*p);
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
    for (const char *p = "ababab"; *p; p++)
        publish(*p);
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
    for (const char *p = "abababab"; *p; p++)
        publish(*p);
    struct client *c = resumer(&test_ws, "ab", 0);
    c->budget = 300;
    settle();
    client_reads(c, 0);
    unsubscribe(c, 'a');
    client_reads(c, SIZE_MAX);
    settle();
    assert_null(strstr(c->log.at, "a7"));
    assert_non_null(strstr(c->log.at, "b8"));
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
    snprintf(wanted, sizeof wanted, "subN:a:0:1 a1 bye:%d:0 ", ERR_NORMAL);
    expect_log(c, wanted);
    assert_null(world->channels[0].subscribers);
}

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
    for (const char *p = "abcabc"; *p; p++)
        publish(*p);
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
    for (const char *p = "aabaab"; *p; p++)
        publish(*p);
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

/* ---- adding channels ---- */

static void a_channel_added_later_begins_now(void **state)
{
    (void)state;
    struct client *c = subscriber(&test_ws, "a");
    settle();
    publish('b');
    publish('a');
    assert_int_equal(subscribe_from(c, "b", FETCH_NOW, 0, false), 0);
    settle();
    publish('b');
    settle();
    expect_log(c, "subN:a:0:1 a2 subN:b:2:1 b3 ");
}

static void a_replay_is_marked_until_it_reaches_the_rest_and_does_not_stop_it(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++)
        publish_len('b', 50000, true);
    struct client *c = subscriber(&test_ws, "a");
    settle();
    assert_int_equal(subscribe_from(c, "b", FETCH_AFTER, 2, true), 0);
    edge_turn();
    publish('a');
    settle();
    publish('b');
    publish('a');
    settle();
    expect_log(c, "subN:a:8:1 subR:b:2:1 b3r b4r b5r b6r b7r a9 b8r done:b:9 b10 a11 ");
    assert_int_equal(c->position, 11);
}

static void channels_added_during_a_resume_join_it(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        publish_len('a', 50000, true);
    struct client *c = resumer(&test_ws, "a", 0);
    settle();
    client_gone(c);
    c = resumer(&test_ws, "a", 0);
    c->budget = 100000;
    settle();
    assert_int_equal(subscribe_from(c, "b", FETCH_NOW, 0, false), 0);
    assert_int_equal(subscribe_from(c, "c", FETCH_AFTER, 0, true), 0);
    for (int i = 0; i < 100; i++) {
        client_reads(c, 30000);
        settle();
        publish("abc"[i % 3]);
    }
    client_reads(c, SIZE_MAX);
    settle();
    check_complete(c);
}

static void a_subscribe_is_done_for_all_names_or_for_none(void **state)
{
    (void)state;
    struct client *c = subscriber(&test_ws, "a");
    settle();
    assert_int_equal(subscribe_from(c, "bca", FETCH_NOW, 0, false), ERR_ALREADY_SUBSCRIBED);
    assert_int_equal(conn_subscribe(c->conn, (struct slice[]){ SLICE("b"), SLICE("b c") }, 2, &(struct since){ .from = FETCH_NOW }, false, NULL),
                     ERR_BAD_CHANNEL);
    world->config.limits_channels = 2;
    assert_int_equal(subscribe_from(c, "bc", FETCH_NOW, 0, false), ERR_TOO_MANY_CHANNELS);
    settle();
    assert_null(world->channels[1].subscribers);
    assert_int_equal(c->conn->subs.n, 1);
    world->config.limits_channels = 1000;
    assert_int_equal(subscribe_from(c, "bcbb", FETCH_NOW, 0, false), 0);      /* a name twice counts once */
    settle();
    assert_int_equal(c->conn->subs.n, 3);
    expect_log(c, "subN:a:0:1 subN:b:0:1 subN:c:0:1 ");
}

static void the_hub_is_told_who_watches_and_how_many(void **state)
{
    (void)state;
    struct client *c = subscriber(&test_ws, "a"), *d = subscriber(&test_ws, "a");
    settle();
    assert_int_equal(atomic_load(world->channels[0].subscribers), 2);
    unsubscribe(c, 'a');
    unsubscribe(d, 'a');
    edge_turn();                             /* UNWATCH is on its way when somebody comes */
    assert_int_equal(subscribe_from(c, "a", FETCH_NOW, 0, false), 0);
    settle();
    assert_int_equal(atomic_load(world->channels[0].subscribers), 1);
    publish('a');
    settle();
    buf_add_char(&world->order, '\0');
    assert_string_equal(world->order.at, "WFUWF");
    check_complete(c);
}

static void a_kept_answer_is_not_used_after_the_channel_was_not_watched_for_a_while(void **state)
{
    (void)state;
    publish('a');
    struct client *c = resumer(&test_ws, "a", 0), *keeper = subscriber(&test_ws, "b");
    settle();
    client_gone(c);
    settle();
    publish('a');                            /* nobody told the edge */
    c = resumer(&test_ws, "a", 0);
    settle();
    check_complete(c);
    check_complete(keeper);
}

/* ---- falling behind ---- */

static struct client *stuck_reader(const char *channels, int messages)
{
    struct client *c = subscriber(&test_ws, channels);
    settle();
    c->budget = 2000;
    for (int i = 0; i < messages; i++) {
        publish_len(channels[i % (int)strlen(channels)], 1000, true);
        settle();
    }
    return c;
}

static void a_reader_that_fell_out_of_its_ring_catches_up_from_history(void **state)
{
    (void)state;
    world->config.edge_ring_bytes = 16 * 1024;
    struct client *good = subscriber(&test_ws, "a"), *c = stuck_reader("ab", 200);
    assert_true(world->edge->pool.used <= 32 * 1024);
    client_reads(c, SIZE_MAX);
    settle();
    check_complete(c);
    check_complete(good);
    assert_int_equal(c->position, 200);
    assert_null(strstr(c->log.at, "gap"));
}

static void a_reader_that_history_cannot_serve_is_closed_as_slow(void **state)
{
    (void)state;
    world->config.edge_ring_bytes = 16 * 1024;
    struct client *c = stuck_reader("a", 100);
    forget('a', 10);
    client_reads(c, SIZE_MAX);
    settle();
    assert_int_equal(c->bye, ERR_SLOW);
    assert_true(c->finished);
}

static void one_that_reads_nothing_any_more_is_closed_as_soon_as_history_has_moved_on(void **state)
{
    (void)state;
    world->config.edge_ring_bytes = 16 * 1024;
    struct client *stuck = subscriber(&test_ws, "a"), *good = subscriber(&test_ws, "a");
    settle();
    stuck->budget = 0;
    for (int i = 0; i < 100; i++) {
        publish_len('a', 1000, true);
        settle();
    }
    for (int i = 0; i < 3; i++) {
        catchup_probe(stuck->conn);
        settle();
        assert_int_equal(stuck->conn->conn_state, CONN_OPEN);      /* history still has all of it */
        world->now_ms += 5000;
        edge_tick(world->edge);
        assert_int_equal(world->edge->batch_bytes, 0);             /* and nothing is held for it */
    }
    forget('a', 10);
    catchup_probe(stuck->conn);
    settle();
    assert_int_equal(stuck->conn->conn_state, CONN_CLOSING);
    client_reads(stuck, SIZE_MAX);
    assert_int_equal(stuck->bye, ERR_SLOW);
    catchup_probe(good->conn);
    settle();
    check_complete(good);
}

static void one_that_was_probed_reads_on_and_misses_nothing(void **state)
{
    (void)state;
    world->config.edge_ring_bytes = 16 * 1024;
    struct client *c = subscriber(&test_ws, "ab");
    settle();
    c->budget = 700;
    for (int i = 0; i < 60; i++) {
        publish_len(i % 3 ? 'a' : 'b', 1000, true);
        settle();
    }
    catchup_probe(c->conn);
    settle();
    publish('a');
    client_reads(c, SIZE_MAX);
    settle();
    check_complete(c);
}

static void or_it_is_told_a_gap_and_goes_on_when_the_policy_is_skip(void **state)
{
    (void)state;
    world->config.edge_ring_bytes = 16 * 1024;
    world->config.lag_policy = LAG_SKIP;
    struct client *c = stuck_reader("a", 100);
    forget('a', 10);
    int64_t gaps = metric_sum(METRIC_gaps);
    client_reads(c, SIZE_MAX);
    settle();
    publish('a');
    settle();
    assert_int_equal(c->bye, 0);
    assert_non_null(strstr(c->log.at, "gap:a:90 a91 a92"));
    assert_int_equal(metric_sum(METRIC_gaps), gaps + 1);
    check_complete(c);
}

static void a_reader_that_passes_lag_bytes_is_closed_although_history_could_serve_it(void **state)
{
    (void)state;
    world->config.lag_bytes = 8000;
    struct client *c = stuck_reader("a", 30);
    assert_int_equal(c->conn->conn_state, CONN_CLOSING);
    client_reads(c, SIZE_MAX);
    assert_int_equal(c->bye, ERR_SLOW);
}

static void or_it_skips_to_now_when_the_policy_says_so(void **state)
{
    (void)state;
    world->config.lag_bytes = 8000;
    world->config.lag_policy = LAG_SKIP;
    struct client *c = stuck_reader("a", 30);
    client_reads(c, SIZE_MAX);
    settle();
    publish('a');
    settle();
    assert_non_null(strstr(c->log.at, "gap:a:30 a31 "));
    check_complete(c);
}

static void lag_bytes_counts_on_when_the_reader_has_fallen_out_of_its_ring(void **state)
{
    (void)state;
    world->config.edge_ring_bytes = 16 * 1024;
    world->config.lag_bytes = 50000;
    struct client *c = stuck_reader("a", 40);
    edge_tick(world->edge);
    settle();
    assert_int_equal(c->conn->conn_state, CONN_OPEN);
    for (int i = 0; i < 20; i++)
        publish_len('a', 1000, true);
    settle();
    edge_tick(world->edge);
    settle();
    client_reads(c, SIZE_MAX);
    assert_int_equal(c->bye, ERR_SLOW);
}

static void batches_of_lines_that_take_nothing_are_given_up_when_memory_is_short(void **state)
{
    (void)state;
    struct client *c[10];
    for (int i = 0; i < 10; i++)
        publish_len('a' + (char)(i % 2), 50000, true);
    world->config.edge_pool_bytes = 1 << 20;
    for (int i = 0; i < 10; i++) {
        c[i] = resumer(&test_ws, "ab", (uint64_t)i % 3);
        c[i]->budget = 100;
    }
    for (int i = 0; i < 5; i++) {      /* marked ones too */
        struct client *live = subscriber(&test_ws, "c");
        settle();
        live->budget = 60000;
        assert_int_equal(subscribe_from(live, "ab", FETCH_AFTER, 0, true), 0);
    }
    settle();
    assert_true(world->edge->batch_bytes <= (1 << 20) + 300 * 1024);
    for (int i = 0; i < 20; i++) {
        publish("abc"[i % 3]);
        for (int j = 0; j < CLIENTS; j++)
            if (world->clients[j].conn)
                client_reads(&world->clients[j], i % 5 ? 20000 : 120000);
        settle();
    }
    for (int j = 0; j < CLIENTS; j++)
        if (world->clients[j].conn)
            client_reads(&world->clients[j], SIZE_MAX);
    settle();
    for (int j = 0; j < CLIENTS; j++)
        if (world->clients[j].conn)
            check_complete(&world->clients[j]);
}

static void answers_that_come_together_are_written_before_they_take_too_much(void **state)
{
    (void)state;
    world->config.edge_pool_bytes = 1 << 20;
    for (int i = 0; i < 10; i++)
        publish_len('a' + (char)(i % 2), 20000, true);
    for (int i = 0; i < CLIENTS; i++)
        resumer(&test_ws, "ab", 0);      /* several channels: nobody shares an answer */
    settle();
    for (int i = 0; i < CLIENTS; i++)
        check_complete(&world->clients[i]);
    assert_true(world->most_batch_bytes > 1 << 20);
    assert_true(world->most_batch_bytes < (1 << 20) + 2 * 300 * 1024);
}

static void a_channel_without_history_that_lost_messages_is_told_or_closed(void **state)
{
    (void)state;
    world->resumable = false;
    world->config.edge_ring_bytes = 16 * 1024;
    struct client *c = stuck_reader("a", 100);
    client_reads(c, SIZE_MAX);
    settle();
    assert_int_equal(c->bye, ERR_SLOW);
    struct client *back = resumer(&test_ws, "a", 50);      /* but a resume never tells a gap */
    view_of(back, 'a')->have = 100;
    settle();
    expect_log(back, "subA:a:50:0 ");
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
    assert_non_null(strstr(c->log.at, "a1 a2 b3 a4 "));
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

/* ---- errors of the hub ---- */

static void a_fetch_or_watch_that_finds_no_memory_closes_only_who_asked(void **state)
{
    (void)state;
    struct client *good = subscriber(&test_ws, "b");
    settle();
    const uint32_t kinds[] = { CALL_FETCH, CALL_WATCH };
    for (int i = 0; i < 2; i++) {
        struct client *c = connect_as(&test_ws);
        world->fail = ERR_MEMORY;
        world->fail_kind = kinds[i];
        assert_int_equal(subscribe_from(c, "a", FETCH_NOW, 0, false), 0);
        settle();
        assert_int_equal(c->bye, ERR_MEMORY);
        client_gone(c);
        settle();
    }
    publish('b');
    settle();
    check_complete(good);
    assert_int_equal(good->bye, 0);
}

static void a_client_that_lets_answers_pile_up_is_closed(void **state)
{
    (void)state;
    struct client *c = connect_as(&test_ws);
    char *big = calloc(1, 100 * 1024);
    c->budget = 0;
    for (int i = 0; i < 10 && c->conn->conn_state == CONN_OPEN; i++) {
        conn_say(c->conn, big, 100 * 1024);
        edge_turn();
    }
    free(big);
    settle();
    client_reads(c, SIZE_MAX);
    assert_int_equal(c->bye, ERR_SLOW);
}

static void much_may_be_said_at_once_to_a_client_that_reads(void **state)
{
    (void)state;
    struct client *c = connect_as(&test_ws);
    char *big = calloc(1, 100 * 1024);
    memset(big, 'x', 100 * 1024);
    memcpy(big, "note", 5);
    for (int i = 0; i < 10; i++) {
        wire_add_ws(conn_say_begin(c->conn), WS_TEXT, slice(big, 100 * 1024));
        conn_say_end(c->conn);
    }
    free(big);
    settle();
    assert_int_equal(c->conn->conn_state, CONN_OPEN);
    assert_true(c->in.len >= 10 * 100 * 1024);
}

static void on_large_answer(struct call *call)
{
    struct conn *conn = call->owner;
    char *big = calloc(1, 200 * 1024);
    memcpy(big, "note", 5);
    wire_add_ws(conn_say_begin(conn), WS_TEXT, slice(big, 200 * 1024));
    conn_say_end(conn);
    free(big);
    conn_call_done(conn);
    free(call);
}

static void large_answers_that_come_together_do_not_pile_up(void **state)
{
    (void)state;
    struct client *c = connect_as(&test_ws);
    for (int i = 0; i < 10; i++) {
        struct head_call *call = calloc(1, sizeof *call);
        call->call = (struct call){ .letter.kind = CALL_HEAD, .owner = c->conn, .answered = on_large_answer };
        assert_int_equal(conn_call(c->conn, &call->call, 0, OP_PUBLISH, SLICE("a")), 0);
    }
    settle();
    assert_int_equal(c->conn->conn_state, CONN_OPEN);
    assert_int_equal(c->sends, 5);
}

static void ask_for_a_large_answer(struct client *c)
{
    struct head_call *call = calloc(1, sizeof *call);
    call->call = (struct call){ .letter.kind = CALL_HEAD, .owner = c->conn, .answered = on_large_answer };
    assert_int_equal(conn_call(c->conn, &call->call, 0, OP_PUBLISH, SLICE("a")), 0);
}

/* What it asked for never closes it: nothing more is read from it until it has taken what waits. */
static void a_client_that_takes_no_answers_is_not_read_until_it_does(void **state)
{
    (void)state;
    struct client *c = connect_as(&test_ws);
    c->budget = 1000;
    int asked = 0;
    for (; asked < 10 && !c->paused; asked++) {
        ask_for_a_large_answer(c);
        settle();
    }
    assert_int_equal(asked, 3);      /* the rest of one is kept by the line, two wait */
    assert_int_equal(c->conn->conn_state, CONN_OPEN);
    client_reads(c, SIZE_MAX);
    settle();
    assert_false(c->paused);
    assert_int_equal(c->bye, 0);
    assert_true(c->in.len >= 3 * 200 * 1024);
}

/* A line that still has something (TLS) takes nothing at all, so nothing is cut and kept: the answers stay in the outbox. */
static void a_client_whose_line_takes_nothing_at_all_is_not_read_either(void **state)
{
    (void)state;
    struct client *c = connect_as(&test_ws);
    c->budget = 0;
    ask_for_a_large_answer(c);
    ask_for_a_large_answer(c);      /* both are said before the line is tried */
    settle();
    assert_true(c->paused);
    assert_int_equal(c->conn->conn_state, CONN_OPEN);
    client_reads(c, SIZE_MAX);
    settle();
    assert_false(c->paused);
    assert_int_equal(c->bye, 0);
    assert_true(c->in.len >= 2 * 200 * 1024);
}

static void input_that_is_held_is_not_read_however_many_calls_come_back(void **state)
{
    (void)state;
    struct client *c = connect_as(&test_ws);
    conn_hold(c->conn, true);
    assert_true(c->paused);
    ask_for_a_large_answer(c);
    settle();
    assert_true(c->paused);
    conn_hold(c->conn, false);
    assert_false(c->paused);
}

/* ---- calls, time, end ---- */

static void on_answer(struct call *call)
{
    conn_call_done(call->owner);
    free(call);
}

static void reading_stops_at_limits_commands_and_a_connection_outlives_its_calls(void **state)
{
    (void)state;
    world->config.limits_commands = 3;
    struct client *c = connect_as(&test_ws);
    for (int i = 0; i < 3; i++) {
        struct head_call *call = calloc(1, sizeof *call);
        assert_false(c->paused);
        call->call = (struct call){ .letter.kind = CALL_HEAD, .owner = c->conn, .answered = on_answer };
        assert_int_equal(conn_call(c->conn, &call->call, 0, OP_PUBLISH, SLICE("a")), 0);
    }
    assert_true(c->paused);
    edge_turn();
    hub_run(1);
    hub_send_mail();
    edge_turn();
    assert_false(c->paused);
    client_gone(c);
    edge_turn();
    assert_false(link_alone(&world->edge->doomed));
    settle();
    assert_true(link_alone(&world->edge->doomed));
}

static void who_may_not_is_told_and_nothing_is_submitted(void **state)
{
    (void)state;
    world->config.dev = false;
    world->config.access_subscribe = (struct words){ (const char *const[]){ "b" }, 1 };
    struct client *c = connect_as(&test_ws);
    struct head_call call = { .call.letter.kind = CALL_HEAD };
    assert_int_equal(subscribe_from(c, "ba", FETCH_NOW, 0, false), ERR_UNAUTHENTICATED);
    assert_int_equal(conn_call(c->conn, &call.call, 0, OP_PUBLISH, SLICE("b")), ERR_UNAUTHENTICATED);
    settle();
    assert_int_equal(world->order.len, 0);
    assert_int_equal(subscribe_from(c, "b", FETCH_NOW, 0, false), 0);
}

static void heartbeats_carry_a_fresh_head_and_cost_one_call_for_all(void **state)
{
    (void)state;
    struct client *c = subscriber(&test_ws, "a"), *d = subscriber(&test_sse, "a"), *stuck = subscriber(&test_ws, "b");
    settle();
    conn_due_in(c->conn, 5);
    conn_due_in(d->conn, 5);
    conn_due_in(stuck->conn, 70);      /* longer than the wheel goes round */
    for (int i = 0; i < 30; i++)
        publish('c');
    stuck->budget = 0;
    publish('b');
    settle();
    buf_reset(&world->order);
    for (int i = 0; i < 8; i++) {
        world->now_ms += 1000;
        edge_tick(world->edge);
        settle();
    }
    buf_add_char(&world->order, '\0');
    assert_string_equal(world->order.at, "H");
    expect_log(c, "subN:a:0:1 pos:31 ");
    expect_log(d, "subN:a:0:1 pos:31 ");
    for (int i = 0; i < 70; i++) {
        world->now_ms += 1000;
        edge_tick(world->edge);
        settle();
    }
    client_reads(stuck, SIZE_MAX);
    settle();
    expect_log(stuck, "subN:b:0:1 pos:0 b31 ");      /* its position is not ahead of what it has */
}

static void a_drain_tells_everyone_when_to_come_back_and_turns_away_who_comes_after(void **state)
{
    (void)state;
    struct client *c[8];
    int64_t least = INT64_MAX, most = 0;
    for (int i = 0; i < 8; i++)
        c[i] = subscriber(&test_ws, "a");
    settle();
    struct letter *letter = calloc(1, sizeof *letter);
    letter->kind = LETTER_DRAIN;
    post_put(&world->to_edge, letter, 0);
    settle();
    struct client *late = subscriber(&test_ws, "a");
    settle();
    assert_int_equal(late->bye, ERR_DRAINING);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(c[i]->bye, ERR_DRAINING);
        assert_true(c[i]->finished);
        least = c[i]->retry_ms < least ? c[i]->retry_ms : least;
        most = c[i]->retry_ms > most ? c[i]->retry_ms : most;
    }
    assert_true(least >= 500 && most <= 2000 && most - least > 500);
}

static struct letter *loops_letter;
static void take_letter(struct edge *edge, struct letter *letter)
{
    (void)edge;
    loops_letter = letter;
}

static void letters_of_the_loop_are_handed_to_it(void **state)
{
    (void)state;
    struct letter letter = { .kind = LETTER_STOP };
    world->edge->on_letter = take_letter;
    post_put(&world->to_edge, &letter, 0);
    settle();
    assert_ptr_equal(loops_letter, &letter);
}

static void an_idle_connection_is_small(void **state)
{
    (void)state;
    assert_true(sizeof(struct conn) <= 184);      /* both fill malloc's steps of 16 bytes less 8 exactly */
    assert_true(sizeof(struct sub) <= 88);
}

/* ---- random schedules ---- */

enum { SEEDS = 1500, STEPS = 500 };

static uint64_t random_state, running = SEEDS + 1;
static uint32_t draw(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % below;
}

static struct client *any_client(void)
{
    struct client *c = &world->clients[draw(CLIENTS)];
    return c->conn && c->conn->conn_state == CONN_OPEN ? c : NULL;
}

static void some_channels(char out[5])
{
    uint32_t n = 0;
    for (char ch = 'a'; ch < 'e'; ch++)
        if (draw(3) == 0)
            out[n++] = ch;
    if (n == 0)
        out[n++] = (char)('a' + draw(4));
    out[n] = '\0';
}

static void random_connect(void)
{
    char channels[5];
    int open = 0;
    for (int i = 0; i < CLIENTS; i++)
        open += world->clients[i].conn != NULL;
    if (open >= 10)
        return;
    some_channels(channels);
    const struct protocol *protocol = draw(2) ? &test_ws : &test_sse;
    struct client *c = draw(2) ? subscriber(protocol, channels) : resumer(protocol, channels, draw(2) ? world->head : draw((uint32_t)world->head + 1));
    c->budget = draw(3) ? SIZE_MAX : draw(20000);
}

/* Comes back with the newest position it was told; between, nothing of its channels may be missing (check_position). */
static void random_return(struct client *c)
{
    struct view views[CHANNELS];
    char channels[CHANNELS + 1];
    uint64_t position = c->position;
    const struct protocol *protocol = c->conn->protocol;
    size_t n = 0;
    check_position(c);
    memcpy(views, c->views, sizeof views);
    for (int i = 0; i < CHANNELS; i++)
        if (views[i].subscribed && views[i].begun && !views[i].replaying)
            channels[n++] = (char)('a' + i);
    channels[n] = '\0';
    client_gone(c);
    if (n == 0 || position == 0)
        return;
    c = resumer(protocol, channels, position);
    for (int i = 0; i < CHANNELS; i++)
        if (c->views[i].subscribed && views[i].have > position)      /* begun with a later number than its position */
            c->views[i].have = position;
}

static void random_subscribe(struct client *c)
{
    char channels[5];
    some_channels(channels);
    for (size_t i = 0; channels[i]; i++)
        if (view_of(c, channels[i])->subscribed)
            return;
    if (draw(2) && c->conn->format == WIRE_WS && c->position)
        subscribe_from(c, channels, FETCH_AFTER, draw((uint32_t)world->head + 1), true);
    else
        subscribe_from(c, channels, FETCH_NOW, 0, false);
}

static void random_unsubscribe(struct client *c)
{
    char name = (char)('a' + draw(4));
    if (view_of(c, name)->subscribed && c->kept.len == 0 && (!c->conn->outbox || view_of(c, name)->begun))
        unsubscribe(c, name);
}

static void random_publish(void)
{
    char name = (char)('a' + draw(5));
    if (world->channels[name - 'a'].n < MESSAGES)
        publish_len(name, draw(30) == 0 ? draw(60000) : draw(400), true);
}

static void step(void)
{
    struct client *c = any_client();
    uint32_t what = draw(100);
    if (what < 40)
        random_publish();
    else if (what < 55)
        hub_run(draw(6));
    else if (what < 70) {
        hub_send_mail();
        if (draw(4))
            edge_mail(world->edge);
    } else if (what < 82)
        edge_turn();
    else if (what < 85)
        random_connect();
    else if (what < 86)
        world->full = draw(4) == 0;
    else if (what < 87) {
        world->now_ms += draw(1500);
        edge_tick(world->edge);
    } else if (what < 88)
        forget((char)('a' + draw(4)), draw(60));
    else if (!c)
        return;
    else if (what < 94)
        client_reads(c, draw(3) ? SIZE_MAX : draw(5000));
    else if (what < 95)
        conn_due_in(c->conn, 1 + (int)draw(3));
    else if (what < 97)
        random_subscribe(c);
    else if (what < 98)
        random_unsubscribe(c);
    else if (what < 99 || c->kept.len)
        c->budget = draw(3000);
    else
        random_return(c);
}

static void run_seed(uint64_t seed)
{
    random_state = seed * 0x9e3779b97f4a7c15u + 1;
    world->config.edge_ring_bytes = 16 * 1024 + draw(2) * 200 * 1024;
    world->config.edge_pool_bytes = world->edge->pool.limit = draw(3) ? 1 << 20 : 40 * 1024;
    world->config.lag_policy = draw(2) ? LAG_SKIP : LAG_DISCONNECT;
    world->config.lag_bytes = draw(4) ? 0 : 5000 + draw(50000);
    world->line.max_run = draw(3) ? 0 : 200 + draw(4000);
    for (int i = 0; i < STEPS; i++)
        step();
    world->full = false;
    for (int i = 0; i < CLIENTS; i++)
        if (world->clients[i].conn)
            client_reads(&world->clients[i], SIZE_MAX);
    settle();
    for (char ch = 'a'; ch < 'e'; ch++)
        publish(ch);
    settle();
    for (int i = 0; i < CLIENTS; i++)
        if (world->clients[i].conn && world->clients[i].conn->conn_state == CONN_OPEN)
            check_complete(&world->clients[i]);
}

static void whatever_happens_nobody_misses_or_repeats_a_message_untold(void **state)
{
    (void)state;
    const char *one = getenv("SEED");
    for (running = one ? strtoull(one, NULL, 10) : 1; running <= SEEDS; running = one ? SEEDS + 1 : running + 1) {
        world_begin();
        run_seed(running);
        world_end();
    }
}

static int tell_seed(void **state)
{
    (void)state;
    if (running <= SEEDS)
        print_error("SEED=%llu fails\n", (unsigned long long)running);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_world, end_world)

/* ---- channels that are given from outside ---- */

/* Also when another reader has asked about the given channel already. */
static void a_channel_given_before_the_stream_began_waits_for_its_beginning(void **state)
{
    const struct slice given[] = { SLICE("b"), SLICE("a"), SLICE("b") };
    (void)state;
    subscriber(&test_sse, "b");
    edge_turn();
    struct client *c = subscriber(&test_sse, "a");
    assert_int_equal(conn_assign(c->conn, given, 3, true), 0);
    *view_of(c, 'b') = (struct view){ .subscribed = true };
    edge_turn();
    publish('a');
    publish('b');
    settle();
    publish('b');
    publish('a');
    settle();
    check_complete(c);
    expect_log(c, "subN:a:2:1 subN:b:2:1 b3 a4 ");
    assert_int_equal(c->conn->subs.n, 2);
}

static void what_is_given_is_bounded_and_all_or_nothing(void **state)
{
    const struct slice given[] = { SLICE("b"), SLICE("c"), SLICE("d") };
    (void)state;
    world->config.limits_channels = 3;
    struct client *c = subscriber(&test_ws, "a");
    settle();
    assert_int_equal(conn_assign(c->conn, given, 3, true), ERR_TOO_MANY_CHANNELS);
    assert_int_equal(c->conn->subs.n, 1);
    assert_int_equal(conn_assign(c->conn, given, 2, true), 0);
    *view_of(c, 'b') = *view_of(c, 'c') = (struct view){ .subscribed = true };
    assert_int_equal(conn_assign(c->conn, given, 2, true), 0);
    settle();
    publish('c');
    settle();
    check_complete(c);
    assert_int_equal(conn_assign(c->conn, given + 2, 1, true), ERR_TOO_MANY_CHANNELS);
    unsubscribe(c, 'a');
    assert_int_equal(conn_assign(c->conn, given + 2, 1, true), 0);
    *view_of(c, 'd') = (struct view){ .subscribed = true };
    settle();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_subscriber_gets_all_messages_of_a_turn_with_one_send),
        TEST(several_feeds_are_merged_into_one_send_in_order_of_number),
        TEST(a_burst_larger_than_a_ring_is_sent_while_it_comes),
        TEST(a_line_that_copies_gets_runs_of_whole_frames),
        TEST(what_is_pending_can_leave_in_the_middle_of_a_turn),
        TEST(a_reader_that_falls_in_the_middle_of_a_turn_misses_nothing),
        TEST(a_frame_that_is_cut_anywhere_is_finished_first),
        TEST(every_byte_that_leaves_is_counted_also_the_rest_of_a_frame_that_was_cut),
        TEST(what_was_unsubscribed_is_not_sent_any_more_however_much_is_pending),
        TEST(who_unsubscribes_before_the_answer_is_told_that_it_will_not_begin),
        TEST(a_batch_in_hand_skips_what_was_unsubscribed),
        TEST(the_last_words_of_a_stuck_connection_follow_the_frame_that_was_cut),
        TEST(those_who_come_back_together_share_one_fetch),
        TEST(those_who_begin_now_share_one_fetch_however_much_is_published),
        TEST(different_formats_and_positions_are_not_shared),
        TEST(a_resume_of_several_channels_is_one_stream_and_turns_live_without_a_seam),
        TEST(messages_that_come_before_the_answer_are_not_sent_twice),
        TEST(a_long_resume_is_fetched_batch_by_batch_at_the_readers_pace),
        TEST(a_gap_comes_before_ready_and_only_where_something_may_be_missing),
        TEST(a_connection_that_is_cut_while_its_fetch_is_under_way_leaves_nothing),
        TEST(a_channel_added_later_begins_now),
        TEST(a_replay_is_marked_until_it_reaches_the_rest_and_does_not_stop_it),
        TEST(channels_added_during_a_resume_join_it),
        TEST(a_subscribe_is_done_for_all_names_or_for_none),
        TEST(the_hub_is_told_who_watches_and_how_many),
        TEST(a_kept_answer_is_not_used_after_the_channel_was_not_watched_for_a_while),
        TEST(a_reader_that_fell_out_of_its_ring_catches_up_from_history),
        TEST(a_reader_that_history_cannot_serve_is_closed_as_slow),
        TEST(one_that_reads_nothing_any_more_is_closed_as_soon_as_history_has_moved_on),
        TEST(one_that_was_probed_reads_on_and_misses_nothing),
        TEST(or_it_is_told_a_gap_and_goes_on_when_the_policy_is_skip),
        TEST(a_reader_that_passes_lag_bytes_is_closed_although_history_could_serve_it),
        TEST(or_it_skips_to_now_when_the_policy_says_so),
        TEST(lag_bytes_counts_on_when_the_reader_has_fallen_out_of_its_ring),
        TEST(batches_of_lines_that_take_nothing_are_given_up_when_memory_is_short),
        TEST(answers_that_come_together_are_written_before_they_take_too_much),
        TEST(a_channel_without_history_that_lost_messages_is_told_or_closed),
        TEST(a_message_missed_is_noticed_by_prev_and_fetched),
        TEST(after_a_loss_it_says_so_before_it_fetches_and_everyone_misses_nothing),
        TEST(an_answer_that_was_under_way_when_mail_was_lost_is_not_the_last),
        TEST(a_fetch_or_watch_that_finds_no_memory_closes_only_who_asked),
        TEST(a_client_that_lets_answers_pile_up_is_closed),
        TEST(much_may_be_said_at_once_to_a_client_that_reads),
        TEST(large_answers_that_come_together_do_not_pile_up),
        TEST(a_client_that_takes_no_answers_is_not_read_until_it_does),
        TEST(a_client_whose_line_takes_nothing_at_all_is_not_read_either),
        TEST(input_that_is_held_is_not_read_however_many_calls_come_back),
        TEST(reading_stops_at_limits_commands_and_a_connection_outlives_its_calls),
        TEST(who_may_not_is_told_and_nothing_is_submitted),
        TEST(heartbeats_carry_a_fresh_head_and_cost_one_call_for_all),
        TEST(a_drain_tells_everyone_when_to_come_back_and_turns_away_who_comes_after),
        TEST(letters_of_the_loop_are_handed_to_it),
        TEST(an_idle_connection_is_small),
        cmocka_unit_test_teardown(whatever_happens_nobody_misses_or_repeats_a_message_untold, tell_seed),
        TEST(a_channel_given_before_the_stream_began_waits_for_its_beginning),
        TEST(what_is_given_is_bounded_and_all_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Readers that fall behind: out of their ring, past lag.bytes, past what history has. */
#include "edge_world.h"

/* ---- falling behind ---- */

static void lag(enum lag_policy policy, size_t bytes)
{
    world->config.lag_policy = policy;
    world->config.lag_bytes = bytes;
    config_general_rule(&world->config);
}

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
    assert_null(strstr(told(c), "gap"));
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
    lag(LAG_SKIP, 0);
    struct client *c = stuck_reader("a", 100);
    forget('a', 10);
    int64_t gaps = metric_sum(METRIC_gaps);
    client_reads(c, SIZE_MAX);
    settle();
    publish('a');
    settle();
    assert_int_equal(c->bye, 0);
    assert_non_null(strstr(told(c), "gap:a:90 a91 a92"));
    assert_int_equal(metric_sum(METRIC_gaps), gaps + 1);
    check_complete(c);
}

static void a_reader_that_passes_lag_bytes_is_closed_although_history_could_serve_it(void **state)
{
    (void)state;
    lag(LAG_DISCONNECT, 8000);
    struct client *c = stuck_reader("a", 30);
    assert_int_equal(c->conn->conn_state, CONN_CLOSING);
    client_reads(c, SIZE_MAX);
    assert_int_equal(c->bye, ERR_SLOW);
}

static void or_it_skips_to_now_when_the_policy_says_so(void **state)
{
    (void)state;
    lag(LAG_SKIP, 8000);
    struct client *c = stuck_reader("a", 30);
    client_reads(c, SIZE_MAX);
    settle();
    publish('a');
    settle();
    assert_non_null(strstr(told(c), "gap:a:30 a31 "));
    check_complete(c);
}

static void lag_bytes_counts_on_when_the_reader_has_fallen_out_of_its_ring(void **state)
{
    (void)state;
    world->config.edge_ring_bytes = 16 * 1024;
    lag(LAG_DISCONNECT, 50000);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_reader_that_fell_out_of_its_ring_catches_up_from_history),
        IN_WORLD(a_reader_that_history_cannot_serve_is_closed_as_slow),
        IN_WORLD(one_that_reads_nothing_any_more_is_closed_as_soon_as_history_has_moved_on),
        IN_WORLD(one_that_was_probed_reads_on_and_misses_nothing),
        IN_WORLD(or_it_is_told_a_gap_and_goes_on_when_the_policy_is_skip),
        IN_WORLD(a_reader_that_passes_lag_bytes_is_closed_although_history_could_serve_it),
        IN_WORLD(or_it_skips_to_now_when_the_policy_says_so),
        IN_WORLD(lag_bytes_counts_on_when_the_reader_has_fallen_out_of_its_ring),
        IN_WORLD(batches_of_lines_that_take_nothing_are_given_up_when_memory_is_short),
        IN_WORLD(answers_that_come_together_are_written_before_they_take_too_much),
        IN_WORLD(a_channel_without_history_that_lost_messages_is_told_or_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* lag.policy latest: what a reader gets that cannot keep up. edge_world.h checks all the time that no number goes back, that none comes
 * twice, and that what is left out was told. */
#include "edge_world.h"

#include "hub/base/hash.h"

static void lag(enum lag_policy policy, size_t bytes)
{
    world->config.lag_policy = policy;
    world->config.lag_bytes = bytes;
    config_general_rule(&world->config);
}

static void publish_round(const char *channels, int times)
{
    for (int i = 0; i < times; i++) {
        publish_len(channels[i % (int)strlen(channels)], 1000, true);
        settle();
    }
}

/* At the head, and then stuck while `times` messages of 1,000 bytes come. */
static struct client *stuck_reader(const char *channels, int times)
{
    struct client *c = subscriber(&test_ws, channels);
    settle();
    buf_reset(&c->log);
    c->budget = 2000;
    publish_round(channels, times);
    return c;
}

static void read_all(struct client *c)
{
    client_reads(c, SIZE_MAX);
    settle();
}

static void past_lag_bytes_the_newest_message_of_each_channel_follows_in_order_of_number(void **state)
{
    (void)state;
    lag(LAG_LATEST, 8000);
    int64_t before = metric_sum(METRIC_slow_conflated), gaps = metric_sum(METRIC_gaps);
    struct client *c = stuck_reader("abc", 60);
    read_all(c);
    expect_log(c, "a1 b2 cgap:cba:57 a58 b59 c60 ");
    check_complete(c);
    assert_int_equal(c->position, 60);
    assert_int_equal(metric_sum(METRIC_slow_conflated), before + 1);
    assert_int_equal(metric_sum(METRIC_gaps), gaps + 1);
    publish('b');
    settle();
    expect_log(c, "b61 ");
}

static void it_is_asked_for_when_the_line_takes_something_again_so_it_is_as_new_as_can_be(void **state)
{
    (void)state;
    lag(LAG_LATEST, 8000);
    struct client *c = stuck_reader("a", 30);
    uint32_t fetches = world->calls[CALL_FETCH];
    publish_round("a", 30);
    world->now_ms += 5000;
    edge_tick(world->edge);
    settle();
    assert_int_equal(world->calls[CALL_FETCH], fetches);
    assert_int_equal(world->edge->batch_bytes, 0);      /* nothing is held for it */
    read_all(c);
    expect_log(c, "a1 a2 cgap:a:59 a60 ");
}

static void what_was_in_hand_of_older_messages_is_put_back(void **state)
{
    (void)state;
    world->config.edge_ring_bytes = 16 * 1024;
    struct client *c = stuck_reader("a", 40);
    client_reads(c, 1500);      /* it has fallen out of the ring; one message of a batch is taken */
    settle();
    assert_true(world->edge->batch_bytes > 0);
    c->conn->edge->has_lag_bytes = true;
    lag(LAG_LATEST, 50000);
    publish_round("a", 40);
    edge_tick(world->edge);
    settle();
    read_all(c);
    check_complete(c);
    assert_non_null(strstr(told(c), "cgap:a:79 a80 "));
    assert_null(strstr(told(c), "a20 "));
}

static void where_history_has_given_up_some_the_newest_follows_whatever_the_lag(void **state)
{
    (void)state;
    lag(LAG_LATEST, 0);
    world->config.edge_ring_bytes = 16 * 1024;
    struct client *c = stuck_reader("ab", 100);
    forget('a', 10);
    read_all(c);
    expect_log(c, "a1 b2 cgap:ba:98 a99 b100 ");
    assert_int_equal(c->bye, 0);
}

static void nothing_is_told_when_nothing_was_left_out(void **state)
{
    (void)state;
    lag(LAG_LATEST, 8000);
    struct client *c = subscriber(&test_ws, "ab");
    settle();
    buf_reset(&c->log);
    c->budget = 0;
    publish_len('a', 9000, true);
    settle();
    publish('b');
    settle();
    read_all(c);
    expect_log(c, "a1 b2 ");
}

static void when_the_newest_itself_is_gone_that_is_lost_history(void **state)
{
    (void)state;
    lag(LAG_LATEST, 8000);
    struct client *c = stuck_reader("ab", 30);
    forget('a', 0);
    read_all(c);
    expect_log(c, "a1 b2 gap:ba:29 b30 ");
    assert_int_equal(c->bye, 0);
}

static void channels_of_another_policy_come_whole(void **state)
{
    (void)state;
    lag(LAG_LATEST, 8000);
    struct client *c = subscriber(&test_ws, "ab");
    settle();
    buf_reset(&c->log);
    struct channel_rule whole = world->config.general_rule;
    whole.lag_policy = LAG_DISCONNECT;
    whole.lag_bytes = 0;
    feed_find(world->edge, SLICE("b"), hash_bytes(SLICE("b")))->rule = &whole;
    c->budget = 0;
    for (int i = 0; i < 24; i++) {
        publish_len(i % 8 == 7 ? 'b' : 'a', 1000, true);
        settle();
    }
    read_all(c);
    expect_log(c, "cgap:a:7 b8 b16 a23 b24 ");
    check_complete(c);
}

static void what_skips_would_skip_in_all_so_the_strictest_counts(void **state)
{
    (void)state;
    lag(LAG_SKIP, 8000);
    struct channel_rule strict = world->config.general_rule;
    strict.lag_policy = LAG_DISCONNECT;
    strict.lag_bytes = 0;
    struct client *c = subscriber(&test_ws, "ab"), *other = subscriber(&test_ws, "a");
    settle();
    feed_find(world->edge, SLICE("b"), hash_bytes(SLICE("b")))->rule = &strict;
    c->budget = other->budget = 0;
    publish_round("a", 30);
    assert_int_equal(c->conn->conn_state, CONN_CLOSING);
    assert_int_equal(other->conn->conn_state, CONN_OPEN);
    read_all(c);
    read_all(other);
    assert_int_equal(c->bye, ERR_SLOW);
    assert_non_null(strstr(told(other), "gap:a:30 "));
}

static void a_channel_without_history_is_told_as_lost_and_nobody_is_closed(void **state)
{
    (void)state;
    lag(LAG_LATEST, 8000);
    world->resumable = false;
    struct client *c = stuck_reader("a", 30);
    read_all(c);
    publish('a');
    settle();
    expect_log(c, "a1 a2 gap:a:30 a31 ");
    assert_int_equal(c->bye, 0);
}

/* A reader that never catches up: of eight channels that change all the time it takes two messages a round. None is left behind. */
static void a_reader_that_is_behind_all_the_time_gets_every_channel_again_and_again(void **state)
{
    (void)state;
    lag(LAG_LATEST, 3000);
    unsigned got[CHANNELS] = { 0 };
    struct client *c = subscriber(&test_ws, "abcdefgh");
    settle();
    buf_reset(&c->log);
    c->budget = 0;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 16; i++)
            publish_len((char)('a' + i % 8), 1000, true);
        client_reads(c, 2200);
        settle();
    }
    buf_add_char(&c->log, '\0');
    for (const char *at = c->log.at; *at; at++)
        if (*at >= 'a' && *at <= 'h' && at[1] >= '0' && at[1] <= '9' && (at == c->log.at || at[-1] == ' '))
            got[*at - 'a']++;
    for (int i = 0; i < CHANNELS; i++)
        assert_in_range(got[i], 40, 200);
    read_all(c);
    check_complete(c);
    assert_int_equal(c->position, world->head);
}

static void one_that_is_fast_enough_gets_everything(void **state)
{
    (void)state;
    lag(LAG_LATEST, 8000);
    int64_t before = metric_sum(METRIC_slow_conflated);
    struct client *c = subscriber(&test_sse, "ab");
    settle();
    publish_round("ab", 200);
    assert_null(strstr(told(c), "gap"));
    check_complete(c);
    assert_int_equal(metric_sum(METRIC_slow_conflated), before);
}

static void a_resume_is_never_conflated(void **state)
{
    (void)state;
    lag(LAG_LATEST, 8000);
    for (int i = 0; i < 40; i++)
        publish_len('a', 1000, true);
    struct client *c = resumer(&test_ws, "a", 0);
    c->budget = 3000;
    settle();
    publish_round("a", 20);
    edge_tick(world->edge);
    settle();
    read_all(c);
    assert_null(strstr(told(c), "gap"));
    check_complete(c);
}

/* Other settings count from now on, for those who are behind already too. */
static void a_reload_changes_the_policy(void **state)
{
    (void)state;
    lag(LAG_DISCONNECT, 0);
    struct client *c = stuck_reader("a", 30);
    static struct config other;
    other = world->config;
    other.lag_policy = LAG_LATEST;
    other.lag_bytes = 8000;
    config_general_rule(&other);
    struct config_letter *letter = calloc(1, sizeof *letter);
    letter->letter.kind = LETTER_CONFIG;
    letter->config = &other;
    post_put(&world->to_edge, &letter->letter, 0);
    publish_round("a", 1);
    read_all(c);
    expect_log(c, "a1 a2 cgap:a:30 a31 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(past_lag_bytes_the_newest_message_of_each_channel_follows_in_order_of_number),
        IN_WORLD(it_is_asked_for_when_the_line_takes_something_again_so_it_is_as_new_as_can_be),
        IN_WORLD(what_was_in_hand_of_older_messages_is_put_back),
        IN_WORLD(where_history_has_given_up_some_the_newest_follows_whatever_the_lag),
        IN_WORLD(nothing_is_told_when_nothing_was_left_out),
        IN_WORLD(when_the_newest_itself_is_gone_that_is_lost_history),
        IN_WORLD(channels_of_another_policy_come_whole),
        IN_WORLD(what_skips_would_skip_in_all_so_the_strictest_counts),
        IN_WORLD(a_channel_without_history_is_told_as_lost_and_nobody_is_closed),
        IN_WORLD(a_reader_that_is_behind_all_the_time_gets_every_channel_again_and_again),
        IN_WORLD(one_that_is_fast_enough_gets_everything),
        IN_WORLD(a_resume_is_never_conflated),
        IN_WORLD(a_reload_changes_the_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

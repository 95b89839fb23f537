/* Channels of a connection that is there already: added, replayed, taken away, given from outside. */
#include "edge_world.h"

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
        IN_WORLD(a_channel_added_later_begins_now),
        IN_WORLD(a_replay_is_marked_until_it_reaches_the_rest_and_does_not_stop_it),
        IN_WORLD(channels_added_during_a_resume_join_it),
        IN_WORLD(a_subscribe_is_done_for_all_names_or_for_none),
        IN_WORLD(the_hub_is_told_who_watches_and_how_many),
        IN_WORLD(a_kept_answer_is_not_used_after_the_channel_was_not_watched_for_a_while),
        IN_WORLD(a_channel_given_before_the_stream_began_waits_for_its_beginning),
        IN_WORLD(what_is_given_is_bounded_and_all_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

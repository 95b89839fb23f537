/* The edge between a scripted hub and clients that take what they like: errors of the hub, limits, heartbeats, the end. What is
 * promised to clients is checked at every frame they read (edge_world.h). */
#include "edge_world.h"

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
    assert_true(least >= 1000 && most <= 3000 && most - least > 1000);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_fetch_or_watch_that_finds_no_memory_closes_only_who_asked),
        IN_WORLD(reading_stops_at_limits_commands_and_a_connection_outlives_its_calls),
        IN_WORLD(who_may_not_is_told_and_nothing_is_submitted),
        IN_WORLD(heartbeats_carry_a_fresh_head_and_cost_one_call_for_all),
        IN_WORLD(a_drain_tells_everyone_when_to_come_back_and_turns_away_who_comes_after),
        IN_WORLD(letters_of_the_loop_are_handed_to_it),
        IN_WORLD(an_idle_connection_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

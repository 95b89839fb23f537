/* Answers to what a client asked, and a client that does not take them. */
#include "edge_world.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_client_that_lets_answers_pile_up_is_closed),
        IN_WORLD(much_may_be_said_at_once_to_a_client_that_reads),
        IN_WORLD(large_answers_that_come_together_do_not_pile_up),
        IN_WORLD(a_client_that_takes_no_answers_is_not_read_until_it_does),
        IN_WORLD(a_client_whose_line_takes_nothing_at_all_is_not_read_either),
        IN_WORLD(input_that_is_held_is_not_read_however_many_calls_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* POST /v1/messages through the API's front, with a hub that is played: what is under way, in which order it is told, and how far a
 * pattern goes ahead. */
#include "http_stage.h"

#include "hub/api/batch.h"

#define STREAM "POST /v1/messages HTTP/1.1\r\nHost: t\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"

static void say_chunk(struct client *c, struct slice lines)
{
    char head[32];
    snprintf(head, sizeof head, "%zx\r\n", lines.len);
    say(c, head);
    say_bytes(c, lines.at, lines.len);
    say(c, "\r\n");
}

static void say_line(struct client *c, const char *line) { say_chunk(c, slice_of(line)); }

/* Waits until the client has heard it, and forgets what came before. */
static void expect_text(struct client *c, const char *text)
{
    char *found;
    while (!(found = c->in.len ? memmem(c->in.at, c->in.len, text, strlen(text)) : NULL))
        if (!receive(c))
            fail_msg("the connection ended without %s", text);
    buf_drop_front(&c->in, (size_t)(found - c->in.at) + strlen(text));
}

/* Nothing of this has come yet: whatever the front had to say is here when another connection's answer is. */
static void expect_nothing_of(struct stage *s, struct client *c, const char *text)
{
    struct pollfd p = { c->fd, POLLIN, 0 };
    expect_no_call_but_this(s);
    if (poll(&p, 1, 0) > 0)
        receive(c);
    assert_null(c->in.len ? memmem(c->in.at, c->in.len, text, strlen(text)) : NULL);
}

static void results_are_told_in_the_order_of_lines_whatever_the_hub_answers_first(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct client c = connect_client(s);
    say(&c, STREAM);
    expect_text(&c, "HTTP/1.1 200 OK");
    say_line(&c, "{\"channel\":\"a\",\"data\":1}\nbroken\n{\"channel\":\"b\",\"data\":2}\n{\"channel\":\"c\",\"data\":3}\n");
    struct publish_call *a = must_publish(s), *b = must_publish(s), *d = must_publish(s);
    answer_publish(s, d);
    answer(s, &b->call, ERR_BUSY);
    expect_nothing_of(s, &c, "index");
    answer_publish(s, a);
    expect_text(&c, "{\"index\":0,\"status\":201,");
    expect_text(&c, "{\"index\":1,\"status\":400,\"code\":\"bad_json\",");
    expect_text(&c, "{\"index\":2,\"status\":503,\"code\":\"busy\",");
    expect_text(&c, "{\"index\":3,\"status\":201,");
    say(&c, "0\r\n\r\n");
    expect_text(&c, "{\"summary\":{\"total\":4,\"successful\":2,\"failed\":2}}\n\r\n0\r\n\r\n");
    hang_up(&c);
}

static void no_more_than_so_many_lines_are_under_way_and_others_are_served_meanwhile(void **state)
{
    enum { LINES = BATCH_ITEMS + 2000 };
    static struct publish_call *calls[LINES];
    struct stage *s = *state;
    struct buf lines = { 0 };
    raise_curtain(s);
    struct client c = connect_client(s);
    for (int i = 0; i < LINES; i++)
        buf_addf(&lines, "{\"channel\":\"a\",\"data\":%d}\n", i);
    say(&c, STREAM);
    say_chunk(&c, buf_slice(&lines));
    for (int i = 0; i < BATCH_ITEMS; i++)
        calls[i] = must_publish(s);
    expect_no_call_but_this(s);
    for (int i = 0; i < BATCH_ITEMS; i++)
        answer_publish(s, calls[i]);
    for (int i = BATCH_ITEMS; i < LINES; i++)
        calls[i] = must_publish(s);
    for (int i = BATCH_ITEMS; i < LINES; i++)
        answer_publish(s, calls[i]);
    say(&c, "0\r\n\r\n");
    char last[80];
    snprintf(last, sizeof last, "{\"summary\":{\"total\":%d,\"successful\":%d,\"failed\":0}}\n", LINES, LINES);
    expect_text(&c, last);
    buf_fini(&lines);
    hang_up(&c);
}

/* ---- patterns ---- */

static struct match_call *must_match(struct stage *s) { return (struct match_call *)(void *)must_call(s, CALL_MATCH); }

static void answer_match(struct stage *s, struct match_call *match, uint64_t cursor, const char *const *names)
{
    match->names = (struct buf){ 0 };
    for (; *names; names++) {
        buf_add_char(&match->names, (char)strlen(*names));
        buf_add_str(&match->names, *names);
    }
    match->cursor = cursor;
    answer(s, &match->call, 0);
}

static struct publish_call *must_publish_to(struct stage *s, const char *channel)
{
    struct publish_call *publish = must_publish(s);
    assert_true(slice_is(msg_channel(publish->msg), slice_of(channel)));
    return publish;
}

static void a_pattern_is_asked_for_piece_by_piece_and_the_next_line_waits_until_all_has_gone(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct client c = connect_client(s);
    say(&c, STREAM);
    say_line(&c, "{\"pattern\":\"o.*\",\"data\":1}\n{\"channel\":\"next\",\"data\":2}\n");
    struct match_call *match = must_match(s);
    assert_true(slice_is(match->pattern, SLICE("o.*")) && match->cursor == 0);
    answer_match(s, match, 5, (const char *const[]){ "o.1", "o.2", NULL });
    struct publish_call *first = must_publish_to(s, "o.1"), *second = must_publish_to(s, "o.2");
    match = must_match(s);
    assert_int_equal(match->cursor, 5);
    expect_no_call_but_this(s);
    answer_match(s, match, 0, (const char *const[]){ "o.3", NULL });
    struct publish_call *third = must_publish_to(s, "o.3"), *next = must_publish_to(s, "next");
    answer_publish(s, next);
    answer_publish(s, third);
    answer(s, &second->call, ERR_BUSY);
    expect_nothing_of(s, &c, "index");
    answer_publish(s, first);
    expect_text(&c, "{\"index\":0,\"status\":207,\"code\":\"busy\",");
    expect_text(&c, "\"pattern\":\"o.*\",\"channels\":3,\"successful\":2,\"failed\":1,\"replayed\":0,\"capped\":false}");
    expect_text(&c, "{\"index\":1,\"status\":201,");
    hang_up(&c);
}

static void a_pattern_stops_at_limits_publish_channels_and_at_a_hub_that_cannot_look_on(void **state)
{
    struct stage *s = *state;
    s->config.limits_publish_channels = 2;
    raise_curtain(s);
    struct client c = connect_client(s);
    say(&c, STREAM);
    say_line(&c, "{\"pattern\":\"o.*\",\"data\":1}\n{\"pattern\":\"p.*\",\"data\":2}\n");
    answer_match(s, must_match(s), 5, (const char *const[]){ "o.1", "o.2", NULL });
    struct publish_call *first = must_publish_to(s, "o.1"), *second = must_publish_to(s, "o.2");
    answer_match(s, must_match(s), 6, (const char *const[]){ "o.3", "o.4", NULL });      /* one more is looked for: is it capped? */
    answer_publish(s, first);
    answer_publish(s, second);
    answer_match(s, must_match(s), 5, (const char *const[]){ "p.1", NULL });
    answer_publish(s, must_publish_to(s, "p.1"));
    answer(s, &must_match(s)->call, ERR_MEMORY);
    expect_text(&c, "\"channels\":2,\"successful\":2,\"failed\":0,\"replayed\":0,\"capped\":true}");
    expect_text(&c, "{\"index\":1,\"status\":503,");
    expect_text(&c, "\"channels\":1,\"successful\":1,\"failed\":0,\"replayed\":0,\"capped\":false}");
    hang_up(&c);
}

/* Messages of 900 bytes: all streams of a caller together have that many under way, and others as many again. */
static void room_for_three(struct stage *s)
{
    s->config.limits_message = 1000;
    s->config.limits_caller_bytes = 7000;
    config_general_rule(&s->config);
    raise_curtain(s);
}

static void messages_to_many_channels_wait_for_what_the_caller_may_have_under_way(void **state)
{
    struct stage *s = *state;
    struct publish_call *calls[7];
    room_for_three(s);
    struct client c = connect_client(s);
    char line[1200];
    snprintf(line, sizeof line, "{\"channels\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\"],\"data\":\"%0900d\"}\n", 0);
    say(&c, STREAM);
    say_line(&c, line);
    for (int i = 0; i < 3; i++)
        calls[i] = must_publish(s);
    for (int i = 3; i < 7; i++) {
        struct call *early = next_call(s, 50);
        assert_null(early);
        answer_publish(s, calls[i - 3]);
        calls[i] = must_publish(s);
    }
    for (int i = 4; i < 7; i++)
        answer_publish(s, calls[i]);
    expect_text(&c, "\"channel\":\"g\"");
    hang_up(&c);
}

static void streams_of_one_caller_wait_for_each_other_and_leave_room_for_single_publishes(void **state)
{
    struct stage *s = *state;
    struct publish_call *calls[3];
    char line[1200];
    room_for_three(s);
    struct client first = connect_client(s), second = connect_client(s), third = connect_client(s);
    snprintf(line, sizeof line, "{\"channels\":[\"a\",\"b\",\"c\"],\"data\":\"%0900d\"}\n", 0);
    say(&first, STREAM);
    say_line(&first, line);
    for (int i = 0; i < 3; i++)
        calls[i] = must_publish(s);
    say(&second, STREAM);
    say_line(&second, "{\"channel\":\"second\",\"data\":1}\n");
    say(&third, STREAM);
    say_line(&third, "{\"pattern\":\"third\",\"data\":1}\n");
    expect_text(&second, "HTTP/1.1 200 OK");
    expect_text(&third, "HTTP/1.1 200 OK");
    expect_no_call_but_this(s);             /* a single publish is taken meanwhile */
    answer_publish(s, calls[1]);
    for (int i = 0; i < 3; i++) {           /* in whatever order they go on: the pattern, its message, that of the second */
        struct call *call = next_call(s, WAIT_MS);
        if (call->letter.kind == CALL_MATCH)
            answer_match(s, (struct match_call *)(void *)call, 0, (const char *const[]){ "third", NULL });
        else
            answer_publish(s, (struct publish_call *)(void *)call);
    }
    expect_text(&second, "{\"index\":0,\"status\":201,");
    expect_text(&third, "\"successful\":1,");
    answer_publish(s, calls[0]);
    answer_publish(s, calls[2]);
    expect_text(&first, "\"channel\":\"c\"");
    hang_up(&first);
    hang_up(&second);
    hang_up(&third);
}

static void what_was_taken_of_a_client_that_leaves_goes_on_and_the_front_does_too(void **state)
{
    struct stage *s = *state;
    raise_curtain(s);
    struct client c = connect_client(s);
    say(&c, STREAM);
    say_line(&c, "{\"pattern\":\"o.*\",\"data\":1}\n{\"channel\":\"late\",\"data\":2}\n{\"chan");
    struct match_call *match = must_match(s);
    hang_up(&c);
    expect_no_call_but_this(s);
    answer_match(s, match, 5, (const char *const[]){ "o.1", NULL });
    struct publish_call *first = must_publish_to(s, "o.1");
    answer_match(s, must_match(s), 0, (const char *const[]){ "o.2", NULL });
    answer_publish(s, must_publish_to(s, "o.2"));
    answer_publish(s, first);
    answer_publish(s, must_publish_to(s, "late"));      /* it had been sent whole */
    expect_no_call_but_this(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(results_are_told_in_the_order_of_lines_whatever_the_hub_answers_first),
        ON_STAGE(no_more_than_so_many_lines_are_under_way_and_others_are_served_meanwhile),
        ON_STAGE(a_pattern_is_asked_for_piece_by_piece_and_the_next_line_waits_until_all_has_gone),
        ON_STAGE(a_pattern_stops_at_limits_publish_channels_and_at_a_hub_that_cannot_look_on),
        ON_STAGE(messages_to_many_channels_wait_for_what_the_caller_may_have_under_way),
        ON_STAGE(streams_of_one_caller_wait_for_each_other_and_leave_room_for_single_publishes),
        ON_STAGE(what_was_taken_of_a_client_that_leaves_goes_on_and_the_front_does_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

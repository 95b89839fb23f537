/* How a stream begins, and what a reader that goes by the letter of WHATWG HTML §9.2.6 comes back with when it ends too soon.
 *
 * To the letter the last event ID buffer is empty when a stream begins, and every empty line makes it the source's last event ID. */
#include "edge_world.h"

#include "hub/access/cors.h"
#include "transports/line/direct.h"
#include "transports/protocol/answer.h"
#include "transports/protocol/sse.h"
#include "transports/request/stream_request.h"

#include <ev.h>
#include <sys/socket.h>
#include <unistd.h>

/* The last event ID of an EventSource after these bytes, which have LF only. NULL: there was no empty line, it is what it was. */
static const char *last_event_id(struct slice stream, char ret_id[64])
{
    char buffer[64] = "";
    const char *id = NULL;
    while (stream.len > 0) {
        const char *end = memchr(stream.at, '\n', stream.len);
        if (!end)
            break;
        struct slice line = slice(stream.at, (size_t)(end - stream.at));
        if (line.len == 0)
            id = strcpy(ret_id, buffer);
        else if (slice_begins(line, SLICE("id: ")))
            snprintf(buffer, sizeof buffer, "%.*s", (int)line.len - 4, line.at + 4);
        stream = slice(end + 1, stream.len - line.len - 1);
    }
    return id;
}

static void expect_kept(struct slice stream, const char *wanted)
{
    char id[64];
    for (size_t n = 0; n <= stream.len; n++) {
        const char *kept = last_event_id(slice(stream.at, n), id);
        if (kept)
            assert_string_equal(kept, wanted);
    }
    assert_non_null(last_event_id(stream, id));
}

struct open_stream {
    struct ev_loop *loop;
    struct lines    lines;
    int             fd;
};

static void begin_stream(struct open_stream *s, const char *position)
{
    int pair[2];
    struct slice channels[] = { SLICE("a") };
    struct stream_request request = { .channels = channels, .n_channels = 1, .has_position = position[0], .position = slice_of(position) };
    *s = (struct open_stream){ .loop = ev_loop_new(EVFLAG_AUTO) };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    s->fd = pair[0];
    world->edge->line = &line_ops;
    lines_init(&s->lines, world->edge, s->loop);
    direct_sse(&s->lines, (struct socket){ .fd = pair[1] }, (struct seats){ 0 }, &request, SLICE(""));
    edge_turn();
}

static size_t read_stream(struct open_stream *s, char *out, size_t size)
{
    ev_run(s->loop, EVRUN_NOWAIT);
    edge_turn();
    ssize_t n = recv(s->fd, out, size - 1, 0);
    assert_true(n > 0);
    out[n] = '\0';
    return (size_t)n;
}

static void end_stream(struct open_stream *s)
{
    close(s->fd);
    for (int i = 0; i < 20 && s->lines.n; i++) {
        ev_run(s->loop, EVRUN_NOWAIT);
        settle();
        lines_bury(&s->lines);
    }
    assert_int_equal(s->lines.n, 0);
    lines_fini(&s->lines);
    ev_loop_destroy(s->loop);
    world->edge->line = &world->line;
}

/* What it says before the hub has told where it begins, and then that the hub goes away. */
static void expect_beginning(const char *position, const char *wanted)
{
    struct open_stream s;
    char bytes[1024];
    begin_stream(&s, position);
    size_t n = read_stream(&s, bytes, sizeof bytes);
    conn_close(link_of(list_first(&world->edge->conns), struct conn, link), ERR_DRAINING);
    edge_turn();
    n += read_stream(&s, bytes + n, sizeof bytes - n);
    assert_non_null(strstr(bytes, "event: hub.bye\n"));
    expect_kept(slice(bytes, n), wanted);
    end_stream(&s);
}

static void a_stream_that_resumes_begins_with_the_position_it_was_given(void **state)
{
    (void)state;
    expect_beginning("aaaaaaah.7", "aaaaaaah.7");
}

static void what_is_no_position_stays_one_that_tells_a_gap(void **state)
{
    (void)state;
    expect_beginning("x\ndata: forged", "aaaaaaaa.0");
    assert_int_equal(position_parse(SLICE("aaaaaaaa.0")).epoch, 0);
}

static void a_stream_without_a_position_has_none_until_it_is_ready(void **state)
{
    (void)state;
    expect_beginning("", "");
}

static void who_is_told_to_come_back_at_once_keeps_his_position(void **state)
{
    const struct position at = { 7, 9 };
    struct buf out = { 0 };
    (void)state;
    answer_bye(&out, ERR_BUSY, 1500, &at, &(struct cors){ 0 });
    const char *body = memmem(out.at, out.len, "\r\n\r\n", 4);
    expect_kept(slice(body + 4, out.len - (size_t)(body + 4 - out.at)), "aaaaaaah.9");
    assert_memory_equal(body + 4, "retry: 1500\nid: aaaaaaah.9\n\nevent: hub.bye\n", 43);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_stream_that_resumes_begins_with_the_position_it_was_given),
        IN_WORLD(what_is_no_position_stays_one_that_tells_a_gap),
        IN_WORLD(a_stream_without_a_position_has_none_until_it_is_ready),
        cmocka_unit_test(who_is_told_to_come_back_at_once_keeps_his_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

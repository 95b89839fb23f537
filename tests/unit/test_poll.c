/* The line of a poll on a real socket, under a clock of the test's: what a slow reader gets. */
#include "edge_world.h"

#include "hub/access/cors.h"
#include "transports/line/poll.h"
#include "transports/request/stream_request.h"

#include <ev.h>
#include <sys/socket.h>
#include <unistd.h>

struct slow_reader {
    struct ev_loop *loop;
    struct lines    lines;
    int             fd;
    struct buf      in;
};

static void turn(struct slow_reader *r)
{
    ev_run(r->loop, EVRUN_NOWAIT);
    edge_turn();
    while (polls_settle(&r->lines) || lines_bury(&r->lines))
        edge_turn();
}

/* A poll of all that channel `a` has, on a socket that holds little. */
static void begin_poll(struct slow_reader *r)
{
    int pair[2], little = 1;
    struct slice channels[] = { SLICE("a") };
    struct stream_request request = { .channels = channels, .n_channels = 1, .since = SLICE("all"), .timeout = SLICE("0") };
    *r = (struct slow_reader){ .loop = ev_loop_new(EVFLAG_AUTO) };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    r->fd = pair[0];
    world->edge->line = &line_ops;
    lines_init(&r->lines, world->edge, r->loop);
    poll_open(&r->lines, (struct socket){ .fd = pair[1] }, (struct seats){ 0 }, &request, &(struct cors){ 0 }, SLICE(""));
    for (int i = 0; i < 20; i++) {
        turn(r);
        hub_run(UINT32_MAX);
        hub_send_mail();
    }
}

static void end_poll(struct slow_reader *r)
{
    close(r->fd);
    turn(r);
    assert_int_equal(r->lines.n, 0);
    lines_fini(&r->lines);
    ev_loop_destroy(r->loop);
    buf_fini(&r->in);
    world->edge->line = &world->line;
}

/* False: the answer has ended. */
static bool read_for_a_second(struct slow_reader *r, size_t most)
{
    ssize_t n = 1;
    for (size_t left = most; left > 0 && n > 0; turn(r)) {
        n = recv(r->fd, buf_room(&r->in, left), left, 0);
        if (n > 0) {
            buf_advance(&r->in, (size_t)n);
            left -= (size_t)n;
        }
    }
    world->now_ms += 1000;
    lines_tick(&r->lines);
    turn(r);
    return n != 0;
}

static size_t length_of(const struct slow_reader *r)
{
    const char *length = memmem(r->in.at, r->in.len, "Content-Length: ", 16), *body = memmem(r->in.at, r->in.len, "\r\n\r\n", 4);
    assert_non_null(length);
    assert_non_null(body);
    return (size_t)(body + 4 - r->in.at) + (size_t)atol(length + 16);
}

static void a_slow_reader_gets_the_whole_answer(void **state)
{
    struct slow_reader r;
    (void)state;
    for (int i = 0; i < 12; i++)
        publish_len('a', 100000, true);
    begin_poll(&r);
    while (read_for_a_second(&r, 20000) && r.in.len < 1000000)
        ;
    while (read_for_a_second(&r, 20000))
        ;
    assert_int_equal(r.in.len, length_of(&r));
    assert_true(r.in.len > 1000000);
    end_poll(&r);
}

static void one_that_takes_nothing_is_cut(void **state)
{
    struct slow_reader r;
    (void)state;
    for (int i = 0; i < 12; i++)
        publish_len('a', 100000, true);
    begin_poll(&r);
    assert_int_equal(r.lines.n, 1);
    for (int i = 0; i < 80; i++)
        read_for_a_second(&r, 0);
    assert_int_equal(r.lines.n, 0);
    end_poll(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_slow_reader_gets_the_whole_answer),
        IN_WORLD(one_that_takes_nothing_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

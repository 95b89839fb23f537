#include "transports/edge_thread.h"

#include "hub/base/err.h"
#include "hub/base/reserve.h"
#include "hub/base/thread.h"
#include "hub/call.h"
#include "transports/accept.h"
#include "transports/edge/edge.h"
#include "transports/line/line.h"
#include "transports/line/lws.h"
#include "transports/line/poll.h"
#include "transports/newcomer.h"
#include "transports/pace.h"

#include <ev.h>
#include <stdlib.h>
#include <unistd.h>

struct edge_thread {
    struct edge      *edge;
    struct ev_loop   *loop;
    struct lines      lines;
    struct lws_side  *lws;
    struct reception  reception;
    ev_io             mail;
    ev_prepare        turn;          /* before the loop sleeps: everything that is pending leaves */
    ev_timer          tick;          /* a second, while there is a connection */
    ev_timer          rest;          /* the rest of a burst is waited for, and `mail` is not watched */
    struct pace       pace;
    pthread_t         thread;
    atomic_bool       done;
    bool              stopping;
};

static bool is_empty(const struct edge_thread *thread)
{
    return edge_idle(thread->edge) && thread->lines.n == 0 && thread->reception.n == 0;
}

/* ---- letters that are the loop's ---- */

static void on_socket(struct edge_thread *thread, struct socket_letter *letter)
{
    if (thread->lws && !thread->edge->draining) {
        reception_welcome(&thread->reception, letter);
        return;
    }
    seats_leave(&letter->seats);
    close(letter->fd);
}

static void on_letter(struct edge *edge, struct letter *letter)
{
    struct edge_thread *thread = edge->loop;
    switch (letter->kind) {
    case LETTER_SOCKET:
        on_socket(thread, (struct socket_letter *)letter);
        break;
    case LETTER_DRAIN:
        reception_close(&thread->reception);
        break;
    case LETTER_STOP:
        thread->stopping = true;
        break;
    }
    free(letter);
}

/* ---- the loop ---- */

static void take_mail(struct edge_thread *thread)
{
    pace_begin(&thread->pace, clock_mono_us(), thread->edge->arrivals);
    edge_mail(thread->edge);
}

static void on_mail(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct edge_thread *thread = watcher->data;
    (void)events;
    if (thread->pace.wait_us == 0) {
        take_mail(thread);
        return;
    }
    ev_io_stop(loop, watcher);
    ev_timer_set(&thread->rest, (double)thread->pace.wait_us / 1e6, 0.);
    ev_timer_start(loop, &thread->rest);
}

static void on_rest(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct edge_thread *thread = watcher->data;
    (void)events;
    ev_io_start(loop, &thread->mail);
    take_mail(thread);
}

static void on_tick(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct edge_thread *thread = watcher->data;
    (void)loop, (void)events;
    lws_side_tick(thread->lws);
    lines_tick(&thread->lines);
    edge_tick(thread->edge);
}

static void keep_time(struct edge_thread *thread)
{
    bool needed = thread->lines.n > 0 || thread->edge->n_conns > 0;
    if (needed && !ev_is_active(&thread->tick)) {
        ev_timer_set(&thread->tick, 1., 1.);
        ev_timer_start(thread->loop, &thread->tick);
    } else if (!needed && ev_is_active(&thread->tick)) {
        ev_timer_stop(thread->loop, &thread->tick);
    }
}

static void on_turn(struct ev_loop *loop, ev_prepare *watcher, int events)
{
    struct edge_thread *thread = watcher->data;
    (void)events;
    lws_side_read_on(thread->lws);
    do
        edge_flush(thread->edge);
    while (polls_settle(&thread->lines) || lines_bury(&thread->lines));
    pace_end(&thread->pace, clock_mono_us(), thread->edge->arrivals);
    keep_time(thread);
    if (thread->stopping || (thread->edge->draining && is_empty(thread) && edge_leave(thread->edge)))
        ev_break(loop, EVBREAK_ALL);
}

/* What is left is closed; connections that go leave subscriptions and calls behind, which the last flush takes along. */
static void end_all(struct edge_thread *thread)
{
    reception_fini(&thread->reception);
    lines_fini(&thread->lines);
    lws_side_free(thread->lws);
    thread->lws = NULL;
    edge_flush(thread->edge);
}

static void *run(void *arg)
{
    struct edge_thread *thread = arg;
    ev_run(thread->loop, 0);
    end_all(thread);
    atomic_store(&thread->done, true);
    return NULL;
}

/* ---- start and join ---- */

static void watch(struct edge_thread *thread)
{
    ev_io_init(&thread->mail, on_mail, thread->edge->box.fd, EV_READ);
    ev_prepare_init(&thread->turn, on_turn);
    ev_init(&thread->tick, on_tick);
    ev_init(&thread->rest, on_rest);
    thread->mail.data = thread->turn.data = thread->tick.data = thread->rest.data = thread;
    ev_io_start(thread->loop, &thread->mail);
    ev_prepare_start(thread->loop, &thread->turn);
}

static void thread_free(struct edge_thread *thread)
{
    lws_side_free(thread->lws);
    if (thread->loop)
        ev_loop_destroy(thread->loop);
    free(thread);
}

/* libev ends the process when it finds no memory. */
static void *allocate(void *p, long size) { return reserve_realloc(p, (size_t)size); }
static void  set_up_libev(void)           { ev_set_allocator(allocate); }

int edge_thread_start(struct edge *edge, const struct files *files, struct edge_thread **ret_thread)
{
    static pthread_once_t set_up = PTHREAD_ONCE_INIT;
    struct edge_thread *thread = calloc(1, sizeof *thread);
    if (!thread)
        return ERR_MEMORY;
    pthread_once(&set_up, set_up_libev);
    thread->edge = edge;
    edge->line = &line_ops;
    edge->on_letter = on_letter;
    edge->loop = thread;
    thread->loop = ev_loop_new(EVFLAG_AUTO);
    lines_init(&thread->lines, edge, thread->loop);
    int err = thread->loop ? lws_side_new(&thread->lines, &thread->lws) : ERR_MEMORY;
    if (!err) {
        reception_init(&thread->reception, &thread->lines, thread->lws, files);
        watch(thread);
        err = thread_start(&thread->thread, "edge", run, thread) ? ERR_MEMORY : 0;
    }
    if (err) {
        thread_free(thread);
        return err;
    }
    *ret_thread = thread;
    return 0;
}

bool edge_thread_done(const struct edge_thread *thread) { return atomic_load(&thread->done); }

/* Letters that came after its last turn have nobody else to free them. */
void edge_thread_join(struct edge_thread *thread)
{
    pthread_join(thread->thread, NULL);
    edge_mail(thread->edge);
    thread->edge->on_letter = NULL;
    thread_free(thread);
}

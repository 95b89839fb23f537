#include "redis/link/redis_wire.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"

#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEPT_BYTES = 1 << 20 };      /* replies come without end: the reader keeps its buffer, unless one was larger than this */

struct waiting {
    redis_reply_fn *on_reply;
    void           *arg;
    int64_t         sent_ms;
};

struct redis_wire {
    struct bufferevent          *bev;            /* NULL: broken */
    struct redisReader          *reader;
    const struct redis_wire_ops *ops;
    void                        *owner;
    struct event                *overdue;        /* looks for a command that waits too long, while there are any */
    int64_t                      timeout_ms;
    int64_t                      came_ms;        /* when something came last */
    struct waiting              *waiting;        /* ring of cap (a power of two) */
    size_t                       first, n, cap;
    unsigned                     busy;           /* callbacks on the stack: it is freed when they are over */
    bool                         freed;
    bool                         held;
};

static void destroy(struct redis_wire *wire)
{
    if (wire->bev)
        bufferevent_free(wire->bev);
    if (wire->reader)
        redisReaderFree(wire->reader);
    if (wire->overdue)
        event_free(wire->overdue);
    free(wire->waiting);
    free(wire);
}

void redis_wire_free(struct redis_wire *wire)
{
    if (!wire)
        return;
    wire->freed = true;
    if (wire->busy == 0)
        destroy(wire);
}

static void leave(struct redis_wire *wire)
{
    if (--wire->busy == 0 && wire->freed)
        destroy(wire);
}

static struct waiting take_first(struct redis_wire *wire)
{
    struct waiting first = wire->waiting[wire->first];
    wire->first = (wire->first + 1) & (wire->cap - 1);
    wire->n--;
    return first;
}

void redis_wire_break(struct redis_wire *wire, const char *why)
{
    if (!wire->bev)
        return;
    wire->busy++;
    bufferevent_free(wire->bev);
    wire->bev = NULL;
    event_del(wire->overdue);
    while (wire->n > 0 && !wire->freed) {
        struct waiting lost = take_first(wire);
        lost.on_reply(lost.arg, NULL);
    }
    if (!wire->freed)
        wire->ops->broken(wire->owner, why);
    leave(wire);
}

/* ---- replies ---- */

static void deliver(struct redis_wire *wire, const struct redisReply *reply)
{
    if (wire->n > 0) {
        struct waiting first = take_first(wire);
        first.on_reply(first.arg, reply);
    } else if (wire->ops->push) {
        wire->ops->push(wire->owner, reply);
    } else {
        redis_wire_break(wire, redis_reply_failed(reply) ? reply->str : "it sent a reply to nothing");
    }
}

static bool alive(const struct redis_wire *wire) { return wire->bev && !wire->freed; }

/* Everything that is complete in the reader. */
static void deliver_all(struct redis_wire *wire)
{
    void *reply = NULL;
    while (alive(wire) && !wire->held && redisReaderGetReply(wire->reader, &reply) == REDIS_OK && reply) {
        deliver(wire, reply);
        freeReplyObject(reply);
        reply = NULL;
    }
    if (alive(wire) && wire->reader->err)
        redis_wire_break(wire, wire->reader->errstr);
}

static void on_readable(struct bufferevent *bev, void *arg)
{
    struct redis_wire *wire = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    struct evbuffer_iovec piece;
    wire->busy++;
    wire->came_ms = clock_mono_ms(clock_real());
    deliver_all(wire);      /* what was held */
    while (alive(wire) && !wire->held && evbuffer_peek(in, -1, NULL, &piece, 1) > 0) {
        if (redisReaderFeed(wire->reader, piece.iov_base, piece.iov_len) != REDIS_OK)
            redis_wire_break(wire, wire->reader->errstr);
        else
            evbuffer_drain(in, piece.iov_len);
        deliver_all(wire);
    }
    leave(wire);
}

static void on_event(struct bufferevent *bev, short events, void *arg)
{
    (void)bev;
    int error = EVUTIL_SOCKET_ERROR();
    redis_wire_break(arg, (events & BEV_EVENT_ERROR) && error ? evutil_socket_error_to_string(error) : "it closed the connection");
}

/* ---- commands ---- */

static void watch_overdue(struct redis_wire *wire)
{
    int64_t ms = wire->timeout_ms / 4 + 1;
    struct timeval soon = { ms / 1000, ms % 1000 * 1000 };
    evtimer_add(wire->overdue, &soon);
}

static void on_overdue(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct redis_wire *wire = arg;
    if (wire->n == 0)
        return;
    int64_t sent_ms = wire->waiting[wire->first].sent_ms;
    if (clock_mono_ms(clock_real()) - (sent_ms > wire->came_ms ? sent_ms : wire->came_ms) >= wire->timeout_ms)
        redis_wire_break(wire, "it does not answer");
    else
        watch_overdue(wire);
}

static bool waiting_room(struct redis_wire *wire)
{
    if (wire->n < wire->cap)
        return true;
    size_t cap = wire->cap ? wire->cap * 2 : 64;
    struct waiting *bigger = malloc(cap * sizeof *bigger);
    if (!bigger)
        return false;
    for (size_t i = 0; i < wire->n; i++)
        bigger[i] = wire->waiting[(wire->first + i) & (wire->cap - 1)];
    free(wire->waiting);
    wire->waiting = bigger;
    wire->cap = cap;
    wire->first = 0;
    return true;
}

int redis_wire_send(struct redis_wire *wire, const struct slice *args, size_t n, redis_reply_fn *on_reply, void *arg)
{
    const char *argv[REDIS_ARGS_MAX];
    size_t lens[REDIS_ARGS_MAX];
    char *command = NULL;
    assert(n >= 1 && n <= REDIS_ARGS_MAX && (on_reply || wire->ops->push));
    if (!wire->bev)
        return ERR_REDIS_AWAY;
    for (size_t i = 0; i < n; i++) {
        argv[i] = args[i].at;
        lens[i] = args[i].len;
    }
    if (on_reply && !waiting_room(wire))
        return ERR_MEMORY;
    int len = redisFormatCommandArgv(&command, (int)n, argv, lens);
    if (len < 0)
        return ERR_MEMORY;
    int failed = bufferevent_write(wire->bev, command, (size_t)len);
    redisFreeCommand(command);
    if (failed)
        return ERR_MEMORY;
    if (!on_reply)
        return 0;
    wire->waiting[(wire->first + wire->n++) & (wire->cap - 1)] = (struct waiting){ on_reply, arg, clock_mono_ms(clock_real()) };
    if (wire->n == 1 && !evtimer_pending(wire->overdue, NULL))
        watch_overdue(wire);
    return 0;
}

void redis_wire_hold(struct redis_wire *wire, bool held)
{
    if (!wire->bev || wire->held == held)
        return;
    wire->held = held;
    if (held) {
        bufferevent_disable(wire->bev, EV_READ);
        return;
    }
    bufferevent_enable(wire->bev, EV_READ);
    bufferevent_trigger(wire->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

size_t redis_wire_queued(const struct redis_wire *wire)
{
    return wire->bev ? evbuffer_get_length(bufferevent_get_output(wire->bev)) : 0;
}

size_t redis_wire_waiting(const struct redis_wire *wire) { return wire->n; }

struct redis_wire *redis_wire_new(struct event_base *base, struct bufferevent *bev, int64_t timeout_ms, const struct redis_wire_ops *ops, void *owner)
{
    struct redis_wire *wire = calloc(1, sizeof *wire);
    if (!wire) {
        bufferevent_free(bev);
        return NULL;
    }
    wire->bev = bev;
    wire->ops = ops;
    wire->owner = owner;
    wire->timeout_ms = timeout_ms;
    wire->reader = redisReaderCreate();
    wire->overdue = evtimer_new(base, on_overdue, wire);
    if (!wire->reader || !wire->overdue) {
        destroy(wire);
        return NULL;
    }
    wire->reader->maxbuf = KEPT_BYTES;
    bufferevent_setcb(bev, on_readable, NULL, on_event, wire);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
    return wire;
}

bool redis_reply_is_error(const struct redisReply *reply, const char *kind)
{
    size_t n = strlen(kind);
    return redis_reply_failed(reply) && reply->len >= n && !memcmp(reply->str, kind, n) && (reply->len == n || reply->str[n] == ' ');
}

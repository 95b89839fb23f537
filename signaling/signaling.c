#include "signaling/signaling.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/config/config.h"
#include "hub/hook.h"
#include "signaling/rooms.h"

#include <event2/event.h>
#include <stdlib.h>

struct signaling {
    struct rooms_port port;           /* first */
    struct serving   *serving;
    struct rooms     *rooms;
    struct event     *timer;
    int64_t           due_ms;         /* what it is set to; INT64_MAX: nothing */
    int64_t           began_us;       /* of the frame that is being relayed; 0: none is */
};

/* ---- time ---- */

static void arm(struct signaling *s)
{
    int64_t due = rooms_due_ms(s->rooms), now = clock_mono_ms(s->serving->clock);
    if (due == s->due_ms)
        return;
    s->due_ms = due;
    if (due == INT64_MAX) {
        event_del(s->timer);
        return;
    }
    int64_t in_ms = due > now ? due - now : 0;
    event_add(s->timer, &(struct timeval){ in_ms / 1000, in_ms % 1000 * 1000 });
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct signaling *s = arg;
    (void)fd, (void)what;
    s->due_ms = INT64_MAX;
    rooms_tick(s->rooms);
    arm(s);
    s->serving->turn(s->serving);
}

/* ---- what rooms say ---- */

static bool say(void *self, struct peer_address to, const struct frame *frame)
{
    const struct signaling *s = self;
    struct room_say *say = malloc(sizeof *say);
    if (!say)
        return false;
    *say = (struct room_say){
        .connection = to.connection, .seq = frame->seq, .frame = (uint8_t)frame->type, .replay = frame->replay, .began_us = s->began_us,
        .head = room_text_ref(frame->head), .rest = room_text_ref(frame->rest),
    };
    rooms_send(s->serving->hub, say);
    return true;
}

static bool may_send(void *self, struct peer_address to) { return rooms_may_send(((struct signaling *)self)->serving->hub, to.connection); }

/* Without memory it stays as it is: it cannot say anything in the room any more, and its pings will end it. */
static void replace(void *self, struct peer_address old)
{
    struct room_close *close = calloc(1, sizeof *close);
    if (!close)
        return;
    close->connection = old.connection;
    close->err = ERR_REPLACED;
    rooms_close(((struct signaling *)self)->serving->hub, close);
}

static void tell(void *self, enum event_type type, struct slice room, struct slice data)
{
    hub_tell(((struct signaling *)self)->serving->hub, type, room, data, NULL, 0);
}

static const struct rooms_out out = { say, may_send, replace, tell };

/* ---- what is asked ---- */

static void run(struct rooms_port *port, struct room_call *call)
{
    struct signaling *s = (struct signaling *)port;
    s->began_us = call->order == ROOM_RELAY ? call->began_us : 0;
    int err = rooms_run(s->rooms, (struct peer_address){ .connection = call->asker.connection }, call);
    s->began_us = 0;
    rooms_answer(s->serving->hub, call, err);
    arm(s);
}

static void drop(struct rooms_port *port, uint64_t connection, bool for_good)
{
    struct signaling *s = (struct signaling *)port;
    rooms_drop(s->rooms, (struct peer_address){ .connection = connection }, for_good);
    arm(s);
}

static void rights(struct rooms_port *port, uint64_t connection, const struct principal *principal)
{
    struct signaling *s = (struct signaling *)port;
    rooms_rights(s->rooms, (struct peer_address){ .connection = connection }, principal);
    arm(s);
}

/* ---- the spoke ---- */

static void signaling_free(void *self)
{
    struct signaling *s = self;
    rooms_free(s->rooms);
    if (s->timer)
        event_free(s->timer);
    free(s);
}

static int signaling_open(struct serving *serving, void **ret_self)
{
    struct signaling *s = calloc(1, sizeof *s);
    if (!s)
        return ERR_MEMORY;
    s->port = (struct rooms_port){ run, drop, rights };
    s->serving = serving;
    s->due_ms = INT64_MAX;
    s->rooms = rooms_new(serving->config, serving->clock, &out, s);
    s->timer = event_new(serving->base, -1, 0, on_timer, s);
    if (!s->rooms || !s->timer) {
        signaling_free(s);
        return ERR_MEMORY;
    }
    if (!serving->config->redis)      /* else they span hubs (redis/) */
        hub_use_rooms(serving->hub, &s->port);
    *ret_self = s;
    return 0;
}

static int signaling_start(void *self)
{
    (void)self;
    return 0;
}

static void signaling_reload(void *self, const struct config *config) { rooms_reconfigure(((struct signaling *)self)->rooms, config); }

/* Rooms end with the process: members are told to come back by their connections. */
static void signaling_drain(void *self) { event_del(((struct signaling *)self)->timer); }

static bool signaling_done(const void *self)
{
    (void)self;
    return true;
}

static void signaling_stop(void *self) { event_del(((struct signaling *)self)->timer); }

const struct spoke signaling_spoke = {
    .name = "signaling", .open = signaling_open, .start = signaling_start, .reload = signaling_reload, .drain = signaling_drain,
    .done = signaling_done, .stop = signaling_stop, .free = signaling_free,
};

/* redis_room_graces.c — who was away for too long has left, empty rooms end, and whose node has died is away (lua/room_sweep.lua). */
#include "redis/rooms/redis_rooms_core.h"

#include "hub/base/err.h"
#include "hub/metrics.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

enum { SWEEP_AT_ONCE = 100 };

static void add_sweep(const struct redis_rooms *rooms, struct redis_args *args, struct slice lease)
{
    room_args_under(rooms, args, lease, 0, SLICE(""));
    redis_args_add_u64(args, SWEEP_AT_ONCE);
}

/* ---- graces ---- */

static void sweep_args(struct redis_request *request, struct redis_args *args)
{
    add_sweep(link_of(request, struct redis_rooms, sweep), args, SLICE(""));
}

static void sweep(struct redis_rooms *rooms)
{
    bool is_ours = rooms_can(rooms) && rooms->setup.sweeps(rooms->setup.owner);
    if (!is_ours)
        metric_set(METRIC_rooms, 0);
    if (is_ours && !rooms->sweeping)
        rooms->sweeping = !rooms_script(rooms, &rooms->sweep);
}

static void on_swept(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct redis_rooms *rooms = link_of(request, struct redis_rooms, sweep);
    rooms->sweeping = false;
    if (err)
        return;
    metric_set(METRIC_rooms, (int64_t)redis_reply_number(reply, 1));
    uint64_t in_ms = redis_reply_number(reply, 2) + 1;
    if (redis_reply_number(reply, 0) >= SWEEP_AT_ONCE)
        sweep(rooms);
    else if (reply->elements > 2 && in_ms < REDIS_BEAT_MS)
        event_add(rooms->due, &(struct timeval){ 0, (suseconds_t)in_ms * 1000 });
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    sweep(arg);
}

void graces_tick(struct redis_rooms *rooms) { sweep(rooms); }

/* ---- the dead ---- */

struct burial {
    struct redis_request request;      /* first */
    struct redis_rooms  *rooms;
    char                 lease[REDIS_LEASE_NAME];
};

static void bury_args(struct redis_request *request, struct redis_args *args)
{
    struct burial *burial = (struct burial *)request;
    add_sweep(burial->rooms, args, slice_of(burial->lease));
}

static void burial_end(struct burial *burial, bool done)
{
    redis_nodes_buried(burial->rooms->setup.nodes, burial->lease, done);
    free(burial);
}

static void burial_go_on(struct burial *burial)
{
    if (!redis_nodes_buries(burial->rooms->setup.nodes, burial->lease) || rooms_script(burial->rooms, &burial->request))
        burial_end(burial, false);
}

static void on_buried(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct burial *burial = (struct burial *)request;
    if (err || redis_reply_number(reply, 0) == 0)
        burial_end(burial, !err);
    else
        burial_go_on(burial);
}

void graces_bury(struct redis_rooms *rooms, const char *lease)
{
    struct burial *burial = calloc(1, sizeof *burial);
    if (!burial) {
        redis_nodes_buried(rooms->setup.nodes, lease, false);
        return;
    }
    burial->request = (struct redis_request){ .script = REDIS_ROOM_SWEEP, .args = bury_args, .answered = on_buried };
    burial->rooms = rooms;
    snprintf(burial->lease, sizeof burial->lease, "%s", lease);
    burial_go_on(burial);
}

/* ---- life ---- */

int graces_init(struct redis_rooms *rooms)
{
    rooms->sweep = (struct redis_request){ .script = REDIS_ROOM_SWEEP, .args = sweep_args, .answered = on_swept };
    rooms->due = evtimer_new(redis_bus_base(rooms->setup.bus), on_due, rooms);
    return rooms->due ? 0 : ERR_MEMORY;
}

void graces_fini(struct redis_rooms *rooms)
{
    if (rooms->due)
        event_free(rooms->due);
}

#include "signaling/rooms.h"

#include "hub/access/access.h"
#include "hub/rooms/ice.h"
#include "signaling/core.h"

#include <stdlib.h>

/* ---- time ---- */

static bool sooner(const void *a, const void *b) { return ((const struct timer *)a)->due_ms < ((const struct timer *)b)->due_ms; }
static void placed(void *item, size_t at)        { ((struct timer *)item)->place = at; }

bool timer_room(struct rooms *rooms) { return heap_room(&rooms->timers, rooms->timers.n + 1); }

/* timer_room has been asked since the last one. */
void timer_init(struct rooms *rooms, struct timer *timer, bool is_peer)
{
    *timer = (struct timer){ .due_ms = INT64_MAX, .is_peer = is_peer };
    heap_push(&rooms->timers, timer);
}

void timer_fini(struct rooms *rooms, struct timer *timer) { heap_remove(&rooms->timers, timer->place); }

void timer_set(struct rooms *rooms, struct timer *timer, int64_t due_ms)
{
    if (timer->due_ms == due_ms)
        return;
    timer->due_ms = due_ms;
    heap_changed(&rooms->timers, timer->place);
}

int64_t rooms_due_ms(const struct rooms *rooms)
{
    return rooms->timers.n > 0 ? ((const struct timer *)rooms->timers.at[0])->due_ms : INT64_MAX;
}

void rooms_tick(struct rooms *rooms)
{
    int64_t now = rooms_now_ms(rooms);
    while (rooms_due_ms(rooms) <= now) {
        struct timer *timer = rooms->timers.at[0];
        if (timer->is_peer)
            peer_due(link_of(timer, struct peer, timer));
        else
            room_end(link_of(timer, struct room, timer), "empty");
    }
}

/* ---- life ---- */

struct rooms *rooms_new(const struct config *config, const struct clock *clock, const struct rooms_out *out, void *self)
{
    struct rooms *rooms = calloc(1, sizeof *rooms);
    if (!rooms)
        return NULL;
    rooms->config = config;
    rooms->clock = clock;
    rooms->out = out;
    rooms->self = self;
    rooms->timers.less = sooner;
    rooms->timers.placed = placed;
    return rooms;
}

static void free_peers(struct room *room)
{
    peers_each(l, following, room) {
        struct peer *peer = peer_of(l);
        HASH_DELETE(hh, room->rooms->peers, peer);
        timer_fini(room->rooms, &peer->timer);
        peer_free(peer);
    }
}

void rooms_free(struct rooms *rooms)
{
    struct room *room, *next_room;
    struct seats *seats, *next_seats;
    if (!rooms)
        return;
    HASH_ITER(hh, rooms->table, room, next_room) {
        free_peers(room);
        room_free(room);
    }
    HASH_ITER(hh, rooms->seats, seats, next_seats) {
        HASH_DELETE(hh, rooms->seats, seats);
        free(seats);
    }
    free(rooms->timers.at);
    free(rooms);
}

/* What is running out keeps the time that it was given. */
void rooms_reconfigure(struct rooms *rooms, const struct config *config) { rooms->config = config; }

/* ---- which room ---- */

static struct peer *find_seat(const struct seats *seats, struct slice room)
{
    for (struct link *l = seats->peers.next; l != &seats->peers; l = l->next) {
        struct peer *peer = link_of(l, struct peer, in_seats);
        if (room.len == 0 || slice_is(room_name(peer->room), room))
            return peer;
    }
    return NULL;
}

struct peer *own_peer(struct rooms *rooms, struct peer_address from, const struct room_call *call, int *ret_err)
{
    struct seats *seats = seats_find(rooms, from);
    bool is_unclear = seats && call->room.len == 0 && seats->n > 1;
    struct peer *peer = seats && !is_unclear ? find_seat(seats, call->room) : NULL;
    *ret_err = peer ? 0 : is_unclear ? ERR_ROOM_NEEDED : ERR_NOT_IN_ROOM;
    return peer;
}

/* ---- what needs no file of its own ---- */

static int order_leave(struct rooms *rooms, struct peer_address from, struct room_call *call)
{
    int err;
    struct peer *peer = own_peer(rooms, from, call, &err);
    if (err)
        return err;
    struct room_text *text = peer_left_text(peer, REASON_LEFT, SLICE(""));
    buf_add_slice(&call->text, room_text_slice(peer->room->head));
    buf_add_slice(&call->text, room_text_slice(text));
    call->text.failed |= !text;
    room_text_unref(text);
    peer_leave(peer, REASON_LEFT, SLICE(""));
    return 0;
}

static int order_ice(struct rooms *rooms, struct peer_address from, struct room_call *call)
{
    int err;
    const struct peer *peer = own_peer(rooms, from, call, &err);
    if (err)
        return err;
    buf_add_slice(&call->text, room_text_slice(peer->room->head));
    ice_print(&call->text, rooms->config, peer_user(peer), clock_wall_ms(rooms->clock), 0);
    return 0;
}

static int order_ice_make(struct rooms *rooms, struct peer_address from, struct room_call *call)
{
    (void)from;
    ice_print(&call->text, rooms->config, call->user, clock_wall_ms(rooms->clock), call->ttl_ms);
    ice_print_rtc(&call->text, rooms->config);
    return 0;
}

typedef int order_fn(struct rooms *rooms, struct peer_address from, struct room_call *call);

static order_fn *const orders[ROOM_ORDERS] = {
   [ROOM_JOIN] = order_join,    [ROOM_LEAVE] = order_leave,  [ROOM_RELAY] = order_relay, [ROOM_STATE] = order_state,
   [ROOM_KICK] = order_kick,    [ROOM_ICE] = order_ice,      [ROOM_LIST] = order_list,  [ROOM_SHOW] = order_show,
   [ROOM_CREATE] = order_create, [ROOM_CHANGE] = order_change, [ROOM_REMOVE] = order_remove,
   [ROOM_EXPEL] = order_expel,  [ROOM_TELL] = order_tell,    [ROOM_ICE_MAKE] = order_ice_make,
};

int rooms_run(struct rooms *rooms, struct peer_address from, struct room_call *call)
{
    int err = orders[call->order](rooms, from, call);
    return !err && call->text.failed ? ERR_MEMORY : err;
}

/* Each of them takes itself out of the seats, the last one frees them. */
void rooms_drop(struct rooms *rooms, struct peer_address address, bool for_good)
{
    for (struct seats *seats; (seats = seats_find(rooms, address));) {
        struct peer *peer = link_of(seats->peers.next, struct peer, in_seats);
        if (for_good)
            peer_leave(peer, REASON_DISCONNECTED, SLICE(""));
        else
            peer_go_away(peer);
    }
}

static struct peer *find_forbidden(const struct seats *seats, const struct principal *principal)
{
    if (!seats)
        return NULL;
    for (struct link *l = seats->peers.next; l != &seats->peers; l = l->next) {
        struct peer *peer = link_of(l, struct peer, in_seats);
        if (principal_may(principal, OP_JOIN, room_name(peer->room)))
            return peer;
    }
    return NULL;
}

void rooms_rights(struct rooms *rooms, struct peer_address address, const struct principal *principal)
{
    for (struct peer *peer; (peer = find_forbidden(seats_find(rooms, address), principal));)
        peer_leave(peer, REASON_FORBIDDEN, SLICE(""));
}

/* redis_seats.c — the members of this node: which seats there are, who sits in them, and how that ends. */
#include "redis/rooms/redis_rooms_core.h"

#include "hub/access/access.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/config/config.h"
#include "hub/metrics.h"
#include "hub/rooms/ice.h"

#include <stdlib.h>

#define FORBID "forbid"

static int64_t now_ms(void) { return clock_mono_ms(clock_real()); }

/* ---- which seats there are ---- */

static size_t key_of(char key[sizeof(uint64_t) + ROOM_NAME_MAX], uint64_t connection, struct slice room)
{
    memcpy(key, &connection, sizeof connection);
    memcpy(key + sizeof connection, room.at, room.len);
    return sizeof connection + room.len;
}

struct seat *seat_find(const struct redis_rooms *rooms, uint64_t connection, struct slice room)
{
    char key[sizeof connection + ROOM_NAME_MAX];
    struct seat *found = NULL;
    if (room.len > ROOM_NAME_MAX)
        return NULL;
    size_t len = key_of(key, connection, room);
    HASH_FIND(hh, rooms->seats, key, len, found);
    return found;
}

static struct sitter *sitter_find(const struct redis_rooms *rooms, uint64_t connection)
{
    struct sitter *found = NULL;
    HASH_FIND(hh, rooms->sitters, &connection, sizeof connection, found);
    return found;
}

static struct sitter *sitter_need(struct redis_rooms *rooms, uint64_t connection)
{
    struct sitter *sitter = sitter_find(rooms, connection);
    if (sitter || !(sitter = calloc(1, sizeof *sitter)))
        return sitter;
    sitter->connection = connection;
    link_init(&sitter->seats);
    HASH_ADD(hh, rooms->sitters, connection, sizeof connection, sitter);
    if (sitter->hh.tbl)
        return sitter;
    free(sitter);
    return NULL;
}

static void sitter_settle(struct redis_rooms *rooms, struct sitter *sitter)
{
    if (!link_alone(&sitter->seats))
        return;
    HASH_DELETE(hh, rooms->sitters, sitter);
    free(sitter);
}

struct room_text *seat_text_of(struct buf *buf)
{
    struct room_text *text = buf->failed ? NULL : room_text_new(buf_slice(buf));
    buf_fini(buf);
    return text;
}

static struct seat *seat_new(struct redis_rooms *rooms, struct sitter *sitter, struct slice room)
{
    struct seat *seat = calloc(1, sizeof *seat + sizeof sitter->connection + room.len);
    struct buf head = { 0 };
    if (!seat)
        return NULL;
    buf_add_str(&head, ",\"room\":");
    buf_add_json(&head, room);
    seat->head = seat_text_of(&head);
    seat->name_len = (uint8_t)room.len;
    seat->sitter = sitter;
    seat->ice_again_ms = INT64_MAX;
    size_t len = key_of(seat->key, sitter->connection, room);
    link_init(&seat->held);
    link_init(&seat->in_sitter);
    link_init(&seat->in_asking);
    if (seat->head)
        HASH_ADD_KEYPTR(hh, rooms->seats, seat->key, len, seat);
    if (seat->hh.tbl)
        return seat;
    room_text_unref(seat->head);
    free(seat);
    return NULL;
}

struct seat *seat_need(struct redis_rooms *rooms, uint64_t connection, struct slice room)
{
    struct seat *seat = seat_find(rooms, connection, room);
    struct sitter *sitter = seat ? seat->sitter : sitter_need(rooms, connection);
    if (seat || !sitter)
        return seat;
    seat = seat_new(rooms, sitter, room);
    if (seat) {
        list_add_last(&sitter->seats, &seat->in_sitter);
        rooms->n_seats++;
    }
    sitter_settle(rooms, sitter);
    return seat;
}

struct seat *seat_only(const struct redis_rooms *rooms, uint64_t connection, size_t *ret_n)
{
    struct sitter *sitter = sitter_find(rooms, connection);
    struct seat *only = NULL;
    *ret_n = 0;
    if (!sitter)
        return NULL;
    list_each(l, following, &sitter->seats) {
        struct seat *seat = link_of(l, struct seat, in_sitter);
        if ((seat->number == 0 && seat->joining == 0) || (seat->leaving && seat->joining == 0))
            continue;
        only = seat;
        ++*ret_n;
    }
    return *ret_n == 1 ? only : NULL;
}

/* ---- who sits there ---- */

static void seat_free(struct redis_rooms *rooms, struct seat *seat)
{
    struct sitter *sitter = seat->sitter;
    seat_forget_held(seat);
    HASH_DELETE(hh, rooms->seats, seat);
    link_remove(&seat->in_asking);
    link_remove(&seat->in_sitter);
    sitter_settle(rooms, sitter);
    room_text_unref(seat->head);
    free(seat);
    rooms->n_seats--;
}

void seat_settle(struct redis_rooms *rooms, struct seat *seat)
{
    bool is_used = seat->number || seat->joining || seat->leaving || seat->is_unsure || seat->is_forbidden || seat->says_end;
    if (!is_used)
        seat_free(rooms, seat);
}

static int64_t ice_again(const struct redis_rooms *rooms)
{
    const struct config *config = rooms->setup.config;
    bool ends = config->ice_turn.count > 0 && config->ice_key_count > 0;
    return ends ? now_ms() + config->ice_ttl_ms / 4 * 3 : INT64_MAX;
}

void seat_taken(struct redis_rooms *rooms, struct seat *seat, struct slice user, uint64_t number, uint64_t seq)
{
    metric_add(METRIC_room_peers, seat->number == 0);
    seat->user_len = (uint8_t)(user.len < sizeof seat->user ? user.len : sizeof seat->user);
    memcpy(seat->user, user.at, seat->user_len);
    seat->number = number;
    seat->seq = seq;
    seat->state = SEAT_LIVE;
    seat->is_full = seat->is_unsure = seat->is_lost = false;
    seat->ice_again_ms = ice_again(rooms);
    link_remove(&seat->in_asking);
}

void seat_clear(struct seat *seat)
{
    metric_add(METRIC_room_peers, -(seat->number != 0));
    seat->number = 0;
    seat->state = SEAT_LIVE;
    link_remove(&seat->in_asking);
    if (seat->joining == 0)
        seat_forget_held(seat);
}

/* ---- connections that end ---- */

struct ending {
    struct redis_request request;      /* first */
    struct redis_rooms  *rooms;
    uint64_t             connection;
    const char          *how;          /* room_leave.lua */
    uint8_t              len;
    char                 room[ROOM_NAME_MAX];
};

static void ending_args(struct redis_request *request, struct redis_args *args)
{
    struct ending *ending = (struct ending *)request;
    room_args(ending->rooms, args, ending->connection, slice(ending->room, ending->len));
    redis_args_add(args, slice_of(ending->how));
    redis_args_add(args, SLICE(""));
    redis_args_add(args, SLICE(""));
}

static void on_ended(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct ending *ending = (struct ending *)request;
    struct redis_rooms *rooms = ending->rooms;
    struct seat *seat = seat_find(rooms, ending->connection, slice(ending->room, ending->len));
    bool is_told = !strcmp(ending->how, FORBID);      /* and not there any more when that comes */
    (void)reply;      /* that it was not in any more is as good */
    free(ending);
    seat->says_end = false;
    if (err)
        return;      /* with the next beat */
    seat->is_forbidden = seat->is_unsure = false;
    if (seat->is_gone || (seat->joining == 0 && !is_told))
        seat_clear(seat);
    seat_settle(rooms, seat);
}

/* Of a join whose answer was lost: who was to come back has its ticket, and tries again; that of somebody new nobody knows. */
static const char *how_it_ends(const struct seat *seat)
{
    bool stays = seat->is_unsure ? seat->was_back && !seat->is_forbidden : seat->is_gone;
    return stays && !seat->for_good ? "drop" : seat->is_gone || seat->is_unsure ? "gone" : FORBID;
}

void seat_ended(struct redis_rooms *rooms, struct seat *seat)
{
    struct ending *ending = seat->says_end || !rooms_can(rooms) ? NULL : calloc(1, sizeof *ending);
    if (!ending)
        return;
    *ending = (struct ending){ .request = { .script = REDIS_ROOM_LEAVE, .args = ending_args, .answered = on_ended },
                               .rooms = rooms, .connection = seat_connection(seat), .how = how_it_ends(seat), .len = seat->name_len };
    memcpy(ending->room, seat_room(seat).at, seat->name_len);
    seat->says_end = !rooms_script(rooms, &ending->request);
    if (!seat->says_end)
        free(ending);
}

void seats_drop(struct redis_rooms *rooms, uint64_t connection, bool for_good)
{
    struct sitter *sitter = sitter_find(rooms, connection);
    if (!sitter)
        return;
    list_each(l, following, &sitter->seats) {
        struct seat *seat = link_of(l, struct seat, in_sitter);
        seat->is_gone = true;
        seat->for_good |= for_good;
        seat_ended(rooms, seat);
    }
}

void seats_rights(struct redis_rooms *rooms, uint64_t connection, const struct principal *principal)
{
    struct sitter *sitter = sitter_find(rooms, connection);
    if (!sitter)
        return;
    list_each(l, following, &sitter->seats) {
        struct seat *seat = link_of(l, struct seat, in_sitter);
        seat->is_forbidden = principal_may(principal, OP_JOIN, seat_room(seat)) != 0;
        if (seat->is_forbidden)
            seat_ended(rooms, seat);
    }
}

/* ---- time, and the bus ---- */

/* What is behind a join that is asked now would be about that one. */
static bool is_to_end(const struct seat *seat) { return seat->is_gone || seat->is_forbidden || (seat->is_unsure && seat->joining == 0); }

/* What Redis does not know is said first: a member that has ended is not to be taken back. */
void seats_live(struct redis_rooms *rooms)
{
    struct seat *seat, *next;
    HASH_ITER(hh, rooms->seats, seat, next) {
        if (is_to_end(seat))
            seat_ended(rooms, seat);
        else if (seat->number)
            seat_ask(rooms, seat);
    }
    rooms->counts = true;
    seats_ask(rooms);
}

static void renew_ice(struct redis_rooms *rooms, struct seat *seat)
{
    struct buf text = { 0 };
    ice_print(&text, rooms->setup.config, seat_user(seat), clock_wall_ms(clock_real()), 0);
    struct room_text *rest = seat_text_of(&text);
    if (rest)
        seat_tell(rooms, seat, &(struct room_say){ .frame = ROOM_FRAME_ICE_SERVERS }, seat->head, rest);
    room_text_unref(rest);
    seat->ice_again_ms = ice_again(rooms);
}

static void seat_tick(struct redis_rooms *rooms, struct seat *seat, int64_t now)
{
    if (is_to_end(seat)) {
        seat_ended(rooms, seat);
        return;
    }
    if (seat->number && seat->ice_again_ms <= now)
        renew_ice(rooms, seat);
    if (seat->number && seat->is_full && seat->state == SEAT_LIVE && rooms_may_send(rooms->setup.hub, seat_connection(seat))) {
        seat->is_full = false;
        seat_ask(rooms, seat);
    }
}

void seats_tick(struct redis_rooms *rooms)
{
    struct seat *seat, *next;
    int64_t now = now_ms();
    if (!rooms_can(rooms))
        return;
    HASH_ITER(hh, rooms->seats, seat, next)
        seat_tick(rooms, seat, now);
    seats_ask(rooms);
}

void seats_free(struct redis_rooms *rooms)
{
    struct seat *seat, *next;
    HASH_ITER(hh, rooms->seats, seat, next) {
        seat_clear(seat);
        seat_free(rooms, seat);
    }
}

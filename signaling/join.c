/* join.c — somebody comes into a room: for the first time, back with a ticket, anew with a ticket, or in the place of himself.
 *
 *   no `resume`   nobody of that name is there      a new member
 *                 somebody is, and credentials say  the one who is there leaves (`replaced`), a new member comes
 *                 that he is the same user
 *                 else                              ERR_USER_TAKEN
 *   `resume`      the ticket is right               the same member goes on: what it may not have seen is told again
 *                  … and `fresh`                    as if in the place of himself
 *                 else                              ERR_RESUME_FAILED
 *
 * Who comes back is told in order: all that he may have missed, then (as the answer) what is so now. */
#include "hub/metrics.h"
#include "signaling/core.h"

/* ---- a new member ---- */

static struct room_text *json_text(struct slice json, bool *failed)
{
    if (json.len == 0 || slice_is(json, SLICE("null")))
        return NULL;
    struct room_text *text = room_text_new(json);
    *failed |= !text;
    return text;
}

static struct room_text *joined_text(const struct peer *peer)
{
    struct buf text = { 0 };
    buf_add_char(&text, ',');
    print_who(&text, peer);
    buf_add_str(&text, ",\"polite\":false");
    return text_of(&text);
}

static void event_joined(const struct peer *peer)
{
    struct buf members = { 0 };
    buf_add_str(&members, ",\"user_id\":");
    buf_add_json(&members, peer_user(peer));
    print_text(&members, "info", peer->info);
    room_event(peer->room, EVENT_ROOM_JOINED, &members);
}

/* Credentials of TURN servers are in its answer; three quarters of their life later it gets others. */
static void note_ice(struct peer *peer)
{
    const struct rooms *rooms = peer->room->rooms;
    bool ends = rooms->config->ice_turn.count > 0 && rooms->config->ice_key_count > 0;
    peer->ice_again_ms = ends ? rooms_now_ms(rooms) + rooms->config->ice_ttl_ms / 4 * 3 : INT64_MAX;
    peer_arm(peer);
}

/* `in_place_of` leaves when the new one is certain. */
static int enter(struct room *room, struct peer_address from, struct room_call *call, struct peer *in_place_of)
{
    bool failed = false;
    struct peer *peer = peer_new(room, call->user);
    if (!peer)
        return ERR_MEMORY;
    peer->info = json_text(call->info, &failed);
    peer->shows = json_text(call->state, &failed);
    peer->is_proven = call->asker.is_proven;
    struct room_text *text = failed ? NULL : joined_text(peer);
    if (!text) {
        peer_free(peer);
        return ERR_MEMORY;
    }
    if (in_place_of)
        peer_leave_room(in_place_of, REASON_REPLACED, SLICE(""));
    if (peer_enter(peer, from)) {
        room_text_unref(text);
        peer_free(peer);
        room_mind_empty(room);
        return ERR_MEMORY;
    }
    note_ice(peer);
    room_announce(room, peer, ROOM_FRAME_USER_JOINED, text);
    event_joined(peer);
    print_joined(&call->text, peer, false, false);
    return 0;
}

static int join_there(struct room *room, struct peer_address from, struct room_call *call)
{
    struct peer *same = room_find_peer(room, call->user);
    if (same && !call->asker.is_proven)
        return ERR_USER_TAKEN;
    if (!same && room->n_peers >= room_capacity(room))
        return ERR_ROOM_FULL;
    return enter(room, from, call, same);
}

/* ---- a new room ---- */

static bool may_create(const struct rooms *rooms, const struct room_call *call)
{
    enum room_create who = config_room_rule(rooms->config, call->room)->create;
    return who == CREATE_ANYBODY || (who == CREATE_USERS && !call->asker.is_nobody);
}

static int join_new(struct rooms *rooms, struct peer_address from, struct room_call *call)
{
    if (!may_create(rooms, call))
        return ERR_NO_SUCH_ROOM;
    if (rooms->n_rooms >= rooms->config->rooms_max)
        return ERR_ROOMS_FULL;
    struct room *room = room_new(rooms, call->room);
    if (!room)
        return ERR_MEMORY;
    room_began(room);
    return enter(room, from, call, NULL);
}

/* ---- back ---- */

/* Whose ticket it is. A member that credentials were shown for is nobody else's, whoever has found its ticket. */
static struct peer *find_by_ticket(const struct room *room, const struct room_call *call)
{
    struct ticket ticket;
    if (!room || !ticket_read(call->resume, &ticket))
        return NULL;
    for (struct link *l = room->peers.next; l != &room->peers; l = l->next) {
        struct peer *peer = peer_of(l);
        if (!ticket_same(&peer->ticket, &ticket))
            continue;
        bool is_its = call->user.len == 0 || slice_is(call->user, peer_user(peer));
        return is_its && (call->asker.is_proven || !peer->is_proven) ? peer : NULL;
    }
    return NULL;
}

/* From which number on it is told again, and whether nothing is missing. */
static bool find_begin(const struct peer *peer, const struct room_call *call, bool was_away, uint64_t *ret_begin)
{
    const struct backlog *b = &peer->backlog;
    *ret_begin = call->has_last_seq ? call->last_seq : was_away ? b->away_from : b->seq;
    return *ret_begin >= b->lost && *ret_begin <= b->seq;
}

static void tell_again(struct peer *peer, uint64_t after)
{
    const struct rooms *rooms = peer->room->rooms;
    struct backlog *b = &peer->backlog;
    for (uint32_t i = 0; i < b->n; i++) {
        struct told *told = backlog_at(b, i);
        told->at_ms = rooms_now_ms(rooms);
        if (told->seq > after)
            rooms->out->say(rooms->self, peer->seats->address,
                            &(struct frame){ (enum room_frame)told->frame, told->seq, true, told->head, told->rest });
    }
}

static int come_back(struct peer *peer, struct peer_address from, struct room_call *call)
{
    struct backlog_limits limits = rooms_limits(peer->room->rooms);
    bool was_away = peer->state == PEER_AWAY;
    uint64_t begin;
    bool recovered = find_begin(peer, call, was_away, &begin);
    if (peer_come_back(peer, from))
        return ERR_MEMORY;
    if (call->has_last_seq && call->last_seq <= peer->backlog.seq)
        backlog_seen(&peer->backlog, &limits, call->last_seq);
    tell_again(peer, begin);
    note_ice(peer);
    metric_add(METRIC_room_resumes, 1);
    print_joined(&call->text, peer, true, recovered);
    return 0;
}

static int resume(struct rooms *rooms, struct room *room, struct peer_address from, struct room_call *call)
{
    struct peer *peer = find_by_ticket(room, call);
    if (!peer)
        return ERR_RESUME_FAILED;
    if (!call->fresh) {
        const struct seats *seats = seats_find(rooms, from);
        return peer->seats && peer->seats == seats ? ERR_ALREADY_JOINED : come_back(peer, from, call);
    }
    call->user = peer_user(peer);
    char user[USER_NAME_MAX];      /* it is the peer's, which goes */
    memcpy(user, call->user.at, call->user.len);
    call->user.at = user;
    int err = enter(room, from, call, peer);
    call->user = slice("", 0);
    return err;
}

/* ---- all ---- */

static int check_seats(const struct rooms *rooms, struct peer_address from, const struct room *room)
{
    const struct seats *seats = seats_find(rooms, from);
    if (!seats)
        return 0;
    for (struct link *l = seats->peers.next; l != &seats->peers; l = l->next)
        if (link_of(l, struct peer, in_seats)->room == room)
            return ERR_ALREADY_JOINED;
    return seats->n >= rooms->config->rooms_per_connection ? ERR_TOO_MANY_ROOMS : 0;
}

int order_join(struct rooms *rooms, struct peer_address from, struct room_call *call)
{
    struct room *room = room_find(rooms, call->room);
    int err = check_seats(rooms, from, room);
    if (err)
        return err;
    if (call->resume.len > 0)
        return resume(rooms, room, from, call);
    if (call->user.len == 0)
        return ERR_BAD_USER;
    return room ? join_there(room, from, call) : join_new(rooms, from, call);
}

#include "hub/metrics.h"
#include "hub/rooms/ice.h"
#include "signaling/core.h"

#include <assert.h>
#include <stdlib.h>

const char *const peer_reasons[] = {
    [REASON_LEFT] = "left", [REASON_TIMEOUT] = "timeout", [REASON_KICKED] = "kicked", [REASON_REPLACED] = "replaced",
    [REASON_DISCONNECTED] = "disconnected", [REASON_ENDED] = "ended", [REASON_FORBIDDEN] = "forbidden",
};

#define BIT(state) (1u << (state))
static const uint8_t may_follow[] = {
    [PEER_PRESENT] = BIT(PEER_AWAY) | BIT(PEER_PRESENT) | BIT(PEER_GONE),      /* itself: another connection takes the place of one that is half dead */
    [PEER_AWAY]    = BIT(PEER_PRESENT) | BIT(PEER_GONE),
    [PEER_GONE]    = 0,
};

static void move(struct peer *peer, enum peer_state state)
{
    assert(may_follow[peer->state] & BIT(state));
    peer->room->n_away += (state == PEER_AWAY) - (peer->state == PEER_AWAY);
    peer->state = (uint8_t)state;
}

/* ---- seats ---- */

struct seats *seats_find(const struct rooms *rooms, struct peer_address address)
{
    struct seats *found = NULL;
    HASH_FIND(hh, rooms->seats, &address, sizeof address, found);
    return found;
}

static int sit_down(struct peer *peer, struct peer_address address)
{
    struct rooms *rooms = peer->room->rooms;
    struct seats *seats = seats_find(rooms, address);
    if (!seats) {
        if (!(seats = calloc(1, sizeof *seats)))
            return ERR_MEMORY;
        seats->address = address;
        link_init(&seats->peers);
        HASH_ADD(hh, rooms->seats, address, sizeof address, seats);
        if (!seats->hh.tbl) {
            free(seats);
            return ERR_MEMORY;
        }
    }
    list_add_last(&seats->peers, &peer->in_seats);
    seats->n++;
    peer->seats = seats;
    return 0;
}

static void stand_up(struct peer *peer)
{
    struct seats *seats = peer->seats;
    if (!seats)
        return;
    link_remove(&peer->in_seats);
    peer->seats = NULL;
    if (--seats->n > 0)
        return;
    HASH_DELETE(hh, peer->room->rooms->seats, seats);
    free(seats);
}

/* ---- life ---- */

static struct room_text *head_of(const struct room *room, struct slice user)
{
    struct buf head = { 0 };
    buf_add_slice(&head, room_text_slice(room->head));
    buf_add_str(&head, ",\"from\":");
    buf_add_json(&head, user);
    return text_of(&head);
}

struct peer *peer_new(struct room *room, struct slice user)
{
    struct rooms *rooms = room->rooms;
    struct peer *peer = timer_room(rooms) ? calloc(1, sizeof *peer + sizeof room + user.len) : NULL;
    if (!peer || !(peer->head = head_of(room, user))) {
        free(peer);
        return NULL;
    }
    memcpy(peer->key, &room, sizeof room);
    memcpy(peer->key + sizeof room, user.at, user.len);
    peer->user_len = (uint8_t)user.len;
    peer->room = room;
    peer->since_ms = clock_wall_ms(rooms->clock);
    peer->ice_again_ms = INT64_MAX;
    link_init(&peer->in_room);
    link_init(&peer->in_seats);
    return peer;
}

void peer_free(struct peer *peer)
{
    backlog_fini(&peer->backlog, &peer->room->rooms->kept_bytes);
    room_text_unref(peer->head);
    room_text_unref(peer->info);
    room_text_unref(peer->shows);
    free(peer);
}

int peer_enter(struct peer *peer, struct peer_address address)
{
    struct room *room = peer->room;
    struct rooms *rooms = room->rooms;
    if (sit_down(peer, address))
        return ERR_MEMORY;
    HASH_ADD_KEYPTR(hh, rooms->peers, peer->key, sizeof room + peer->user_len, peer);
    if (!peer->hh.tbl) {
        stand_up(peer);
        return ERR_MEMORY;
    }
    ticket_draw(&peer->ticket, ++rooms->next_number);
    list_add_last(&room->peers, &peer->in_room);
    room->n_peers++;
    timer_init(rooms, &peer->timer, true);
    timer_set(rooms, &room->timer, INT64_MAX);
    metric_add(METRIC_room_peers, 1);
    return 0;
}

/* ---- what it is told ---- */

static bool say(struct peer *peer, const struct frame *frame)
{
    const struct rooms *rooms = peer->room->rooms;
    return rooms->out->say(rooms->self, peer->seats->address, frame);
}

/* What is in the answer to who comes back need not be kept for it. */
static bool is_news(enum room_frame type) { return type >= ROOM_FRAME_STATE; }

static int keep_for_later(struct peer *peer, const struct told *told)
{
    struct backlog_limits limits = rooms_limits(peer->room->rooms);
    int err = backlog_wait(&peer->backlog, &limits, told);
    if (!err || !is_news((enum room_frame)told->frame))
        return err;
    backlog_miss(&peer->backlog);
    return 0;
}

int peer_tell(struct peer *peer, enum room_frame type, struct room_text *head, struct room_text *rest)
{
    struct rooms *rooms = peer->room->rooms;
    struct told told = { .at_ms = rooms_now_ms(rooms), .head = head, .rest = rest, .frame = (uint8_t)type };
    struct backlog_limits limits = rooms_limits(rooms);
    struct frame frame = { .type = type, .head = head, .rest = rest };
    if (peer->state == PEER_AWAY)
        return keep_for_later(peer, &told);
    if (!is_news(type) && !rooms->out->may_send(rooms->self, peer->seats->address))
        return ERR_PEER_BUSY;
    bool was_empty = peer->backlog.n == 0;
    backlog_told(&peer->backlog, &limits, &told, &frame.seq);
    if (!say(peer, &frame)) {
        if (is_news(type))
            return 0;      /* its number is missing, so the client knows */
        backlog_take_back(&peer->backlog, &limits);
        return ERR_MEMORY;
    }
    if (was_empty)
        peer_arm(peer);
    return 0;
}

/* ---- away, and back ---- */

static struct room_text *text_about(const struct peer *peer)
{
    struct buf text = { 0 };
    buf_add_str(&text, ",\"user_id\":");
    buf_add_json(&text, peer_user(peer));
    return text_of(&text);
}

void peer_go_away(struct peer *peer)
{
    struct room *room = peer->room;
    int64_t grace_ms = config_room_rule(room->rooms->config, room_name(room))->grace_ms;
    if (grace_ms == 0) {
        stand_up(peer);
        peer_leave(peer, REASON_TIMEOUT, SLICE(""));
        return;
    }
    stand_up(peer);
    move(peer, PEER_AWAY);
    backlog_away(&peer->backlog);
    peer->away_until_ms = rooms_now_ms(room->rooms) + grace_ms;
    peer_arm(peer);
    room_announce(room, peer, ROOM_FRAME_USER_AWAY, text_about(peer));
}

int peer_come_back(struct peer *peer, struct peer_address address)
{
    struct rooms *rooms = peer->room->rooms;
    struct seats *old = peer->seats;
    struct peer_address old_address = old ? old->address : (struct peer_address){ 0 };
    bool was_away = peer->state == PEER_AWAY;
    if (old) {
        link_remove(&peer->in_seats);
        peer->seats = NULL;
    }
    if (sit_down(peer, address)) {
        if (old) {
            list_add_last(&old->peers, &peer->in_seats);
            peer->seats = old;
        }
        return ERR_MEMORY;
    }
    if (old && --old->n == 0) {
        HASH_DELETE(hh, rooms->seats, old);
        free(old);
    }
    move(peer, PEER_PRESENT);
    peer_arm(peer);
    if (old)
        rooms->out->replace(rooms->self, old_address);
    if (was_away)
        room_announce(peer->room, peer, ROOM_FRAME_USER_BACK, text_about(peer));
    return 0;
}

/* ---- gone ---- */

struct room_text *peer_left_text(const struct peer *peer, enum peer_reason reason, struct slice message)
{
    struct buf text = { 0 };
    buf_add_str(&text, ",\"user_id\":");
    buf_add_json(&text, peer_user(peer));
    buf_addf(&text, ",\"reason\":\"%s\"", peer_reasons[reason]);
    if (message.len > 0) {
        buf_add_str(&text, ",\"message\":");
        buf_add_json(&text, message);
    }
    return text_of(&text);
}

static void tell_itself(struct peer *peer, struct room_text *text)
{
    if (peer->state == PEER_PRESENT && peer->seats && text)
        say(peer, &(struct frame){ .type = ROOM_FRAME_LEFT, .head = peer->room->head, .rest = text });
}

static void event_left(const struct peer *peer, enum peer_reason reason)
{
    struct buf members = { 0 };
    buf_add_str(&members, ",\"user_id\":");
    buf_add_json(&members, peer_user(peer));
    buf_addf(&members, ",\"reason\":\"%s\"", peer_reasons[reason]);
    room_event(peer->room, EVENT_ROOM_LEFT, &members);
}

void peer_leave_room(struct peer *peer, enum peer_reason reason, struct slice message)
{
    struct room *room = peer->room;
    struct rooms *rooms = room->rooms;
    struct room_text *text = peer_left_text(peer, reason, message);
    if (reason != REASON_LEFT)
        tell_itself(peer, text);
    move(peer, PEER_GONE);
    stand_up(peer);
    HASH_DELETE(hh, rooms->peers, peer);
    link_remove(&peer->in_room);
    room->n_peers--;
    timer_fini(rooms, &peer->timer);
    metric_add(METRIC_room_peers, -1);
    if (reason == REASON_ENDED)
        room_text_unref(text);      /* all others leave too */
    else
        room_announce(room, NULL, ROOM_FRAME_USER_LEFT, text);
    event_left(peer, reason);
    peer_free(peer);
}

void peer_leave(struct peer *peer, enum peer_reason reason, struct slice message)
{
    struct room *room = peer->room;
    peer_leave_room(peer, reason, message);
    room_mind_empty(room);
}

/* ---- time ---- */

void peer_arm(struct peer *peer)
{
    struct rooms *rooms = peer->room->rooms;
    int64_t due = peer->away_until_ms;
    if (peer->state == PEER_PRESENT) {
        int64_t oldest = backlog_oldest_ms(&peer->backlog);
        due = oldest == INT64_MAX ? INT64_MAX : oldest + rooms->config->rooms_keep_ms;
        due = peer->ice_again_ms < due ? peer->ice_again_ms : due;
    }
    timer_set(rooms, &peer->timer, due);
}

static void renew_ice(struct peer *peer, int64_t now)
{
    struct rooms *rooms = peer->room->rooms;
    struct buf text = { 0 };
    int64_t valid_ms = ice_print(&text, rooms->config, peer_user(peer), clock_wall_ms(rooms->clock), 0);
    struct room_text *rest = text_of(&text);
    if (rest)
        say(peer, &(struct frame){ .type = ROOM_FRAME_ICE_SERVERS, .head = peer->room->head, .rest = rest });
    room_text_unref(rest);
    peer->ice_again_ms = valid_ms == INT64_MAX ? INT64_MAX : now + valid_ms / 4 * 3;
}

void peer_due(struct peer *peer)
{
    struct rooms *rooms = peer->room->rooms;
    struct backlog_limits limits = rooms_limits(rooms);
    int64_t now = rooms_now_ms(rooms);
    if (peer->state == PEER_AWAY) {
        peer_leave(peer, REASON_TIMEOUT, SLICE(""));
        return;
    }
    backlog_age(&peer->backlog, &limits, now - rooms->config->rooms_keep_ms + 1);
    if (peer->ice_again_ms <= now)
        renew_ice(peer, now);
    peer_arm(peer);
}

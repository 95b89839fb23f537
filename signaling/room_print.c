#include "hub/rooms/room_json.h"
#include "signaling/core.h"

void print_text(struct buf *out, const char *member, const struct room_text *json) { room_json_member(out, member, room_text_slice(json)); }

void print_who(struct buf *out, const struct peer *peer)
{
    room_json_who(out, peer_user(peer), room_text_slice(peer->info), room_text_slice(peer->shows));
}

static void print_other(struct buf *out, const struct peer *other, const struct peer *own)
{
    buf_add_char(out, '{');
    print_who(out, other);
    buf_addf(out, ",\"polite\":%s", own->ticket.number > other->ticket.number ? "true" : "false");
    if (other->state == PEER_AWAY)
        buf_add_str(out, ",\"away\":true");
    buf_add_char(out, '}');
}

static void print_others(struct buf *out, const struct peer *own)
{
    bool first = true;
    for (const struct link *l = own->room->peers.next; l != &own->room->peers; l = l->next) {
        const struct peer *other = peer_of(l);
        if (other == own)
            continue;
        if (!first)
            buf_add_char(out, ',');
        print_other(out, other, own);
        first = false;
    }
}

void print_joined(struct buf *out, const struct peer *peer, bool resumed, bool recovered)
{
    const struct rooms *rooms = peer->room->rooms;
    const struct room_you you = {
        .user = peer_user(peer), .metadata = room_text_slice(peer->room->metadata), .ticket = &peer->ticket, .taken = peer->taken, .seq = peer->backlog.seq,
        .resumed = resumed, .recovered = recovered,
    };
    buf_add_slice(out, room_text_slice(peer->room->head));
    buf_add_str(out, ",\"users\":[");
    print_others(out, peer);
    buf_add_char(out, ']');
    room_json_you(out, rooms->config, &you, clock_wall_ms(rooms->clock));
}

static void print_users(struct buf *out, const struct room *room)
{
    buf_add_str(out, ",\"users\":[");
    for (const struct link *l = room->peers.next; l != &room->peers; l = l->next) {
        const struct peer *peer = peer_of(l);
        buf_add_str(out, l == room->peers.next ? "" : ",");
        room_json_shown_user(out, peer_user(peer), room_text_slice(peer->info), room_text_slice(peer->shows), peer->state == PEER_AWAY, peer->since_ms);
    }
    buf_add_char(out, ']');
}

void print_room(struct buf *out, const struct room *room, bool with_users)
{
    const struct room_shown shown = {
        .name = room_name(room), .metadata = room_text_slice(room->metadata), .members = room->n_peers, .away = room->n_away,
        .capacity = room_capacity(room), .empty_timeout_ms = room_empty_timeout_ms(room),
        .grace_ms = config_room_rule(room->rooms->config, room_name(room))->grace_ms, .created_ms = room->created_ms,
    };
    room_json_shown(out, &shown);
    if (with_users)
        print_users(out, room);
    buf_add_char(out, '}');
}

#include "hub/base/instant.h"
#include "signaling/core.h"
#include "signaling/ice.h"

void print_text(struct buf *out, const char *member, const struct room_text *json)
{
    buf_addf(out, ",\"%s\":", member);
    buf_add_slice(out, json ? room_text_slice(json) : SLICE("null"));
}

void print_who(struct buf *out, const struct peer *peer)
{
    buf_add_str(out, "\"user_id\":");
    buf_add_json(out, peer_user(peer));
    print_text(out, "info", peer->info);
    print_text(out, "state", peer->shows);
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
    buf_add_slice(out, room_text_slice(peer->room->head));
    buf_add_str(out, ",\"users\":[");
    print_others(out, peer);
    buf_add_str(out, "],\"you\":{\"user_id\":");
    buf_add_json(out, peer_user(peer));
    buf_add_str(out, ",\"resume\":\"");
    ticket_print(&peer->ticket, out);
    buf_addf(out, "\",\"n\":%llu,\"seq\":%llu}", (unsigned long long)peer->n, (unsigned long long)peer->backlog.seq);
    ice_print(out, rooms->config, peer_user(peer), clock_wall_ms(rooms->clock), 0);
    ice_print_rtc(out, rooms->config);
    print_text(out, "metadata", peer->room->metadata);
    buf_addf(out, ",\"resumed\":%s", resumed ? "true" : "false");
    if (resumed)
        buf_addf(out, ",\"recovered\":%s", recovered ? "true" : "false");
}

static void print_users(struct buf *out, const struct room *room)
{
    buf_add_str(out, ",\"users\":[");
    for (const struct link *l = room->peers.next; l != &room->peers; l = l->next) {
        const struct peer *peer = peer_of(l);
        buf_add_str(out, l == room->peers.next ? "{" : ",{");
        print_who(out, peer);
        buf_addf(out, ",\"away\":%s,\"since\":\"", peer->state == PEER_AWAY ? "true" : "false");
        buf_add_instant(out, peer->since_ms / 1000);
        buf_add_str(out, "\"}");
    }
    buf_add_char(out, ']');
}

void print_room(struct buf *out, const struct room *room, bool with_users)
{
    const struct room_rule *rule = config_room_rule(room->rooms->config, room_name(room));
    buf_add_str(out, "{\"room\":");
    buf_add_json(out, room_name(room));
    buf_addf(out, ",\"members\":%zu,\"away\":%zu,\"capacity\":%zu", room->n_peers, room->n_away, room_capacity(room));
    buf_addf(out, ",\"empty_timeout_ms\":%lld,\"grace_ms\":%lld,\"created\":\"", (long long)room_empty_timeout_ms(room), (long long)rule->grace_ms);
    buf_add_instant(out, room->created_ms / 1000);
    buf_add_char(out, '"');
    print_text(out, "metadata", room->metadata);
    if (with_users)
        print_users(out, room);
    buf_add_char(out, '}');
}

#include "hub/rooms/room_json.h"

#include "hub/base/instant.h"
#include "hub/rooms/ice.h"

static const char *text_of(bool is) { return is ? "true" : "false"; }

void room_json_member(struct buf *out, const char *member, struct slice json)
{
    buf_addf(out, ",\"%s\":", member);
    buf_add_slice(out, json.len > 0 ? json : SLICE("null"));
}

void room_json_who(struct buf *out, struct slice user, struct slice info, struct slice state)
{
    buf_add_str(out, "\"user_id\":");
    buf_add_json(out, user);
    room_json_member(out, "info", info);
    room_json_member(out, "state", state);
}

void room_json_shown(struct buf *out, const struct room_shown *room)
{
    buf_add_str(out, "{\"room\":");
    buf_add_json(out, room->name);
    buf_addf(out, ",\"members\":%llu,\"away\":%llu,\"capacity\":%llu", (unsigned long long)room->members, (unsigned long long)room->away,
             (unsigned long long)room->capacity);
    buf_addf(out, ",\"empty_timeout_ms\":%lld,\"grace_ms\":%lld,\"created\":\"", (long long)room->empty_timeout_ms, (long long)room->grace_ms);
    buf_add_instant(out, room->created_ms / 1000);
    buf_add_char(out, '"');
    room_json_member(out, "metadata", room->metadata);
}

void room_json_shown_user(struct buf *out, struct slice user, struct slice info, struct slice state, bool is_away, int64_t since_ms)
{
    buf_add_char(out, '{');
    room_json_who(out, user, info, state);
    buf_addf(out, ",\"away\":%s,\"since\":\"", text_of(is_away));
    buf_add_instant(out, since_ms / 1000);
    buf_add_str(out, "\"}");
}

void taken_print(struct buf *out, const struct room_taken *t)
{
    bool first = true;
    buf_add_char(out, '[');
    for (int i = TAKEN_WINDOW - 1; i >= 0; i--)
        if (t->missing >> i & 1) {
            buf_addf(out, first ? "%llu" : ",%llu", (unsigned long long)(t->n - 1 - (unsigned)i));
            first = false;
        }
    buf_add_char(out, ']');
}

void room_json_you(struct buf *out, const struct config *config, const struct room_you *you, int64_t wall_ms)
{
    buf_add_str(out, ",\"you\":{\"user_id\":");
    buf_add_json(out, you->user);
    buf_add_str(out, ",\"resume\":\"");
    ticket_print(you->ticket, out);
    buf_addf(out, "\",\"n\":%llu,\"missing\":", (unsigned long long)you->taken.n);
    taken_print(out, &you->taken);
    buf_addf(out, ",\"seq\":%llu}", (unsigned long long)you->seq);
    ice_print(out, config, you->user, wall_ms, 0);
    ice_print_rtc(out, config);
    room_json_member(out, "metadata", you->metadata);
    buf_addf(out, ",\"resumed\":%s", text_of(you->resumed));
    if (you->resumed)
        buf_addf(out, ",\"recovered\":%s", text_of(you->recovered));
}

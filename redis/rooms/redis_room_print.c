/* redis_room_print.c — what the scripts of rooms reply, as the text of an answer (PROTOCOL.md §6, Signaling; §8, Rooms). */
#include "redis/rooms/redis_rooms_core.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/config/config.h"
#include "hub/metrics.h"
#include "hub/rooms/room_json.h"

#include <hiredis/hiredis.h>

static void add_room(struct buf *out, struct slice room)
{
    buf_add_str(out, ",\"room\":");
    buf_add_json(out, room);
}

/* ---- users-in-room ---- */

enum { JOINED_USER = 1, JOINED_NUMBER, JOINED_SEQ, JOINED_N, JOINED_MISSING, JOINED_SECRET, JOINED_RESUMED, JOINED_RECOVERED, JOINED_METADATA, JOINED_OTHERS, JOINED_AGAIN };

int room_joined(struct redis_rooms *rooms, struct room_call *call, const struct redisReply *reply)
{
    struct seat *seat = seat_find(rooms, call->asker.connection, call->room);
    struct slice secret = redis_reply_word(reply, JOINED_SECRET);
    struct ticket ticket = { .number = redis_reply_number(reply, JOINED_NUMBER) };
    uint64_t seq;
    if (reply->elements < JOINED_AGAIN || secret.len != sizeof ticket.secret)
        return ERR_REDIS_FRAME;
    memcpy(ticket.secret, secret.at, secret.len);
    const struct room_you you = {
        .user = redis_reply_word(reply, JOINED_USER), .metadata = redis_reply_word(reply, JOINED_METADATA), .ticket = &ticket,
        .taken = { redis_reply_number(reply, JOINED_N), (uint32_t)redis_reply_number(reply, JOINED_MISSING) }, .seq = redis_reply_number(reply, JOINED_SEQ),
        .resumed = redis_reply_number(reply, JOINED_RESUMED), .recovered = redis_reply_number(reply, JOINED_RECOVERED),
    };
    seat_taken(rooms, seat, you.user, ticket.number, you.seq);
    for (size_t i = JOINED_AGAIN; i < reply->elements; i++)
        if (!seat_tell_entry(rooms, seat, redis_reply_word(reply, i), true, &seq))
            return ERR_MEMORY;      /* nothing behind it: it comes back for the rest */
    metric_add(METRIC_room_resumes, you.resumed);
    buf_add_slice(&call->text, room_text_slice(seat->head));
    buf_add_str(&call->text, ",\"users\":[");
    buf_add_slice(&call->text, redis_reply_word(reply, JOINED_OTHERS));
    buf_add_char(&call->text, ']');
    room_json_you(&call->text, rooms->setup.config, &you, clock_wall_ms(clock_real()));
    return 0;
}

/* ---- ok, and what an error names ---- */

static int refused(struct room_call *call, struct slice room, int err)
{
    metric_add(err == ERR_PEER_UNAVAILABLE ? METRIC_room_unavailable : METRIC_room_busy, err == ERR_PEER_UNAVAILABLE || err == ERR_PEER_BUSY);
    if (err != ERR_PEER_UNAVAILABLE && err != ERR_PEER_BUSY && err != ERR_TO_YOURSELF)
        return err;
    add_room(&call->text, room);
    if (call->to.len > 0) {
        buf_add_str(&call->text, ",\"to\":");
        buf_add_json(&call->text, call->to);
    }
    return err;
}

static void add_busy(struct buf *out, const struct redisReply *reply)
{
    buf_add_str(out, ",\"to\":[");
    for (size_t i = 2; i < reply->elements; i++) {
        buf_add_str(out, i > 2 ? "," : "");
        buf_add_slice(out, redis_reply_word(reply, i));
    }
    buf_add_char(out, ']');
}

int room_said(struct room_call *call, struct slice room, int err, const struct redisReply *reply)
{
    if (err)
        return refused(call, room, err);
    bool is_again = slice_is(redis_reply_word(reply, 0), SLICE("again")), has_busy = reply->elements > 2;
    uint64_t delivered = redis_reply_number(reply, 1);
    add_room(&call->text, room);
    if (is_again) {
        buf_add_str(&call->text, ",\"duplicate\":true");
        return 0;
    }
    buf_addf(&call->text, ",\"delivered\":%llu", (unsigned long long)delivered);
    metric_add((enum metric)(METRIC_relayed_OFFER + (call->order == ROOM_STATE ? ROOM_FRAME_STATE : call->frame)), delivered > 0);
    metric_add(METRIC_room_busy, has_busy);
    if (has_busy)
        add_busy(&call->text, reply);
    return has_busy ? ERR_PEER_BUSY : 0;
}

int room_left(struct room_call *call, struct slice room, const struct redisReply *reply)
{
    add_room(&call->text, room);
    if (call->order == ROOM_LEAVE) {
        buf_add_str(&call->text, ",\"user_id\":");
        buf_add_json(&call->text, redis_reply_word(reply, 1));
        buf_add_str(&call->text, ",\"reason\":\"left\"");
    }
    return 0;
}

/* ---- rooms, for the API ---- */

enum { SHOWN_NAME, SHOWN_MEMBERS, SHOWN_AWAY, SHOWN_CREATED, SHOWN_CAPACITY, SHOWN_STAYS, SHOWN_METADATA, SHOWN_PARTS,
       USER_NAME = 0, USER_SINCE, USER_AWAY, USER_INFO, USER_STATE, USER_PARTS };

static void add_shown(struct buf *out, const struct config *config, const struct redisReply *reply, size_t at)
{
    struct slice name = redis_reply_word(reply, at + SHOWN_NAME);
    const struct room_rule *rule = config_room_rule(config, name);
    bool has_capacity = redis_reply_word(reply, at + SHOWN_CAPACITY).len > 0, has_stays = redis_reply_word(reply, at + SHOWN_STAYS).len > 0;
    const struct room_shown shown = {
        .name = name, .metadata = redis_reply_word(reply, at + SHOWN_METADATA), .members = redis_reply_number(reply, at + SHOWN_MEMBERS),
        .away = redis_reply_number(reply, at + SHOWN_AWAY), .created_ms = (int64_t)redis_reply_number(reply, at + SHOWN_CREATED), .grace_ms = rule->grace_ms,
        .capacity = has_capacity ? redis_reply_number(reply, at + SHOWN_CAPACITY) : rule->capacity,
        .empty_timeout_ms = has_stays ? (int64_t)redis_reply_number(reply, at + SHOWN_STAYS) : rule->empty_timeout_ms,
    };
    room_json_shown(out, &shown);
}

int room_shown(struct redis_rooms *rooms, struct room_call *call, const struct redisReply *reply, bool with_members)
{
    if (reply->elements < 1 + SHOWN_PARTS)
        return ERR_REDIS_FRAME;
    add_shown(&call->text, rooms->setup.config, reply, 1);
    if (with_members) {
        buf_add_str(&call->text, ",\"users\":[");
        for (size_t at = 1 + SHOWN_PARTS; at + USER_PARTS <= reply->elements; at += USER_PARTS) {
            buf_add_str(&call->text, at > 1 + SHOWN_PARTS ? "," : "");
            room_json_shown_user(&call->text, redis_reply_word(reply, at + USER_NAME), redis_reply_word(reply, at + USER_INFO),
                                 redis_reply_word(reply, at + USER_STATE), redis_reply_number(reply, at + USER_AWAY),
                                 (int64_t)redis_reply_number(reply, at + USER_SINCE));
        }
        buf_add_char(&call->text, ']');
    }
    buf_add_char(&call->text, '}');
    return 0;
}

int rooms_listed(struct redis_rooms *rooms, struct room_call *call, const struct redisReply *reply)
{
    size_t n = reply->type == REDIS_REPLY_ARRAY ? reply->elements / SHOWN_PARTS : 0;
    call->more = n > call->limit;
    n = call->more ? call->limit : n;
    for (size_t i = 0; i < n; i++) {
        buf_add_str(&call->text, i > 0 ? "," : "");
        add_shown(&call->text, rooms->setup.config, reply, i * SHOWN_PARTS);
        buf_add_char(&call->text, '}');
    }
    struct slice last = n > 0 ? redis_reply_word(reply, (n - 1) * SHOWN_PARTS) : SLICE("");
    if (last.len > sizeof call->upto)
        return ERR_REDIS_FRAME;
    call->upto_len = (uint8_t)last.len;
    memcpy(call->upto, last.at, last.len);
    return 0;
}

#include "transports/protocol/ws_rooms.h"

#include "hub/access/access.h"
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/name.h"
#include "hub/config/config.h"
#include "hub/rooms.h"
#include "transports/edge/control.h"
#include "transports/edge/dwell.h"
#include "transports/edge/edge.h"
#include "transports/protocol/ws_say.h"

#include <stdlib.h>

enum { MESSAGE_MAX = 200 };
static const uint64_t NUMBER_MAX = (UINT64_C(1) << 53) - 1;      /* what a JavaScript number tells apart */

/* A command under way, with all that its call points to. */
struct asking {
    struct room_call call;      /* first */
    struct buf       bytes;     /* has its whole size from the beginning, so what is in it stays where it is */
    struct slice     ref;
    bool             holds;     /* nothing more is read until it is answered */
};

/* ---- answered ---- */

static const char *answer_type(const struct asking *asking)
{
    switch (asking->call.order) {
    case ROOM_JOIN:  return "users-in-room";
    case ROOM_LEAVE: return "left";
    case ROOM_ICE:   return "ice-servers";
    default:         return asking->ref.len > 0 ? "ok" : NULL;      /* who does not ask is not told that all is well */
    }
}

static void asking_free(struct asking *asking)
{
    room_text_unref(asking->call.rest);
    buf_fini(&asking->call.text);
    buf_fini(&asking->bytes);
    free(asking);
}

static void say_answer(struct conn *conn, const struct asking *asking)
{
    const struct room_call *call = &asking->call;
    const char *type = answer_type(asking);
    struct buf object = { 0 };
    struct slice text = call->text.failed ? SLICE("") : buf_slice(&call->text);
    if (call->call.err)
        control_room_error(&object, asking->ref, call->call.err, text);
    else if (type)
        control_room(&object, type, asking->ref, text);
    else
        return;
    ws_say(conn, &object);
}

static void answered(struct call *call)
{
    struct asking *asking = (struct asking *)call;
    struct conn *conn = call->owner;
    if (conn->conn_state == CONN_OPEN)
        say_answer(conn, asking);
    if (asking->holds)
        conn_hold(conn, false);
    asking_free(asking);
    conn_call_done(conn);
}

/* ---- asked ---- */

/* Of what may be gone when the hub looks at it. */
static struct slice kept(struct asking *asking, struct slice bytes)
{
    size_t before = asking->bytes.len;
    buf_add_slice(&asking->bytes, bytes);
    return slice(asking->bytes.at + before, bytes.len);
}

/* What a call may point to of its command. Strings without their escapes are no longer than with them; and what credentials say may be added. */
static size_t room_needed(const struct command *command)
{
    static const char *const kept_members[] = { "room", "to", "user_id", "info", "state", "resume", "message" };
    const struct principal *principal = command->conn->principal;
    size_t room = command->ref.len + principal_user(principal).len + principal_info(principal).len;
    for (size_t i = 0; i < sizeof kept_members / sizeof *kept_members; i++)
        room += json_member_find(&command->object, kept_members[i]).len;
    return room;
}

static struct asking *asking_new(const struct command *command, enum room_order order)
{
    struct asking *asking = calloc(1, sizeof *asking);
    if (!asking || !buf_room(&asking->bytes, room_needed(command) + 1)) {
        free(asking);
        return NULL;
    }
    struct conn *conn = command->conn;
    asking->call = (struct room_call){
        .call = { .letter.kind = CALL_ROOM, .answered = answered, .owner = conn }, .order = order, .began_us = clock_mono_us(),
        .asker = { .connection = conn->id, .is_nobody = principal_is_nobody(conn->principal), .is_proven = principal_user(conn->principal).len > 0 },
    };
    asking->ref = kept(asking, command->ref);
    return asking;
}

static int submit(struct command *command, struct asking *asking)
{
    conn_submit(command->conn, &asking->call.call, sizeof *asking + asking->bytes.len + room_text_slice(asking->call.rest).len);
    return 0;
}

static int refuse(struct asking *asking, int err)
{
    asking_free(asking);
    return err;
}

/* ---- members ---- */

/* A string, or an integer as it is written: some pages use numbers as ids. Not there, or null: stays empty. */
static int id_member(const struct command *command, struct asking *asking, const char *name, struct slice *ret_id)
{
    struct slice value = json_member_find(&command->object, name);
    size_t before = asking->bytes.len;
    uint64_t number;
    if (!is_given(value))
        return 0;
    bool is_number = slice_u64(value, &number);
    if (is_number)
        buf_add_slice(&asking->bytes, value);
    else if (json_unquote(value, &asking->bytes))
        return ERR_BAD_FIELD;
    *ret_id = slice(asking->bytes.at + before, asking->bytes.len - before);
    return 0;
}

static int room_member(const struct command *command, struct asking *asking, bool is_needed)
{
    int err = id_member(command, asking, "room", &asking->call.room);
    if (err || (asking->call.room.len == 0 && !is_needed))
        return err ? ERR_BAD_ROOM : 0;
    return channel_name_check(asking->call.room) ? ERR_BAD_ROOM : 0;
}

/* Somebody else: a name that nobody can have is nobody's. */
static int to_member(const struct command *command, struct asking *asking, const char *name)
{
    int err = id_member(command, asking, name, &asking->call.to);
    return err ? err : asking->call.to.len > USER_NAME_MAX ? ERR_BAD_USER : 0;
}

/* Any JSON up to a size, as its bytes. */
static int json_member(const struct command *command, struct asking *asking, const char *name, size_t max, struct slice *ret_json)
{
    struct slice value = json_member_find(&command->object, name);
    if (value.len > max)
        return ERR_SIGNAL_TOO_LARGE;
    if (value.at)
        *ret_json = kept(asking, value);
    return 0;
}

static int number_member(const struct command *command, const char *name, uint64_t least, bool *ret_has, uint64_t *ret_number)
{
    struct slice value = json_member_find(&command->object, name);
    uint64_t number;
    if (!is_given(value))
        return 0;
    if (!slice_u64(value, &number) || number < least || number > NUMBER_MAX)
        return ERR_BAD_FIELD;
    *ret_number = number;
    *ret_has = true;
    return 0;
}

/* ---- join, leave ---- */

/* What credentials say counts; without such, what the client says. */
static int user_member(const struct command *command, struct asking *asking)
{
    struct slice subject = principal_user(command->conn->principal), said = SLICE("");
    if (id_member(command, asking, "user_id", &said))
        return ERR_BAD_USER;
    if (said.len > 0 && user_name_check(said))
        return ERR_BAD_USER;
    if (subject.len > 0 && said.len > 0 && !slice_is(subject, said))
        return ERR_USER_MISMATCH;
    asking->call.user = subject.len > 0 ? kept(asking, subject) : said;
    return 0;
}

/* What a token says of its user counts more than what its holder says. */
static int info_member(const struct command *command, struct asking *asking)
{
    const struct config *config = command->conn->edge->config;
    struct slice info = principal_info(command->conn->principal);
    if (info.len == 0)
        return json_member(command, asking, "info", config->rooms_max_info, &asking->call.info);
    asking->call.info = kept(asking, info);
    return 0;
}

static int resume_members(const struct command *command, struct asking *asking)
{
    struct room_call *call = &asking->call;
    struct slice fresh = json_member_find(&command->object, "fresh");
    size_t before = asking->bytes.len;
    if (is_given(fresh) && !slice_is(fresh, SLICE("true")) && !slice_is(fresh, SLICE("false")))
        return ERR_BAD_FIELD;
    call->fresh = slice_is(fresh, SLICE("true"));
    int err = number_member(command, "last_seq", 0, &call->has_last_seq, &call->last_seq);
    if (err || !is_given(json_member_find(&command->object, "resume")))
        return err;
    err = string_member(command, "resume", &asking->bytes);
    call->resume = slice(asking->bytes.at + before, asking->bytes.len - before);
    return err ? err : call->resume.len == 0 ? ERR_RESUME_FAILED : 0;
}

static int read_join(const struct command *command, struct asking *asking)
{
    const struct conn *conn = command->conn;
    int err = room_member(command, asking, true);
    if (!err)
        err = principal_may(conn->principal, OP_JOIN, asking->call.room);
    if (!err)
        err = user_member(command, asking);
    if (!err)
        err = info_member(command, asking);
    if (!err)
        err = json_member(command, asking, "state", conn->edge->config->rooms_max_state, &asking->call.state);
    if (!err)
        err = resume_members(command, asking);
    return !err && asking->bytes.failed ? ERR_MEMORY : err;
}

int run_join(struct command *command)
{
    struct asking *asking = asking_new(command, ROOM_JOIN);
    int err = asking ? read_join(command, asking) : ERR_MEMORY;
    if (!err)
        err = dwell_begin(command->conn);
    if (err)
        return asking ? refuse(asking, err) : err;
    asking->holds = true;      /* the answer may be large */
    conn_hold(command->conn, true);
    return submit(command, asking);
}

static int run_of_room(struct command *command, enum room_order order)
{
    struct asking *asking = asking_new(command, order);
    int err = asking ? room_member(command, asking, false) : ERR_MEMORY;
    if (err)
        return asking ? refuse(asking, err) : err;
    return submit(command, asking);
}

int run_leave(struct command *command)       { return run_of_room(command, ROOM_LEAVE); }
int run_ice_servers(struct command *command) { return run_of_room(command, ROOM_ICE); }

/* ---- relayed ---- */

/* What the hub says itself: who it is from above all. */
static bool is_ours(struct slice name)
{
    static const struct slice ours[] = { SLICE("type"), SLICE("room"), SLICE("from"), SLICE("user_id"), SLICE("seq"), SLICE("ref"), SLICE("replay") };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (slice_is(name, ours[i]))
            return true;
    return false;
}

/* The same, written with escapes: a receiver would read it. */
static bool means_ours(struct slice name)
{
    struct buf plain = { 0 };
    if (!memchr(name.at, '\\', name.len))
        return is_ours(name);
    bool ours = json_unquote(slice(name.at - 1, name.len + 2), &plain) || plain.failed || is_ours(buf_slice(&plain));
    buf_fini(&plain);
    return ours;
}

/* Each member with a comma before it, in the bytes it came in. */
static struct room_text *rest_of(const struct command *command)
{
    const struct json_object *object = &command->object;
    struct buf *text = &command->conn->edge->dwelling;
    buf_reset(text);
    for (size_t i = 0; i < object->n; i++) {
        const struct json_member *member = &object->members[i];
        if (member->name.len > 0 && means_ours(member->name))
            continue;
        buf_add_str(text, ",\"");
        buf_add_slice(text, member->name);
        buf_add_str(text, "\":");
        buf_add_slice(text, member->value);
    }
    if (!text->failed)
        return room_text_new(buf_slice(text));
    buf_fini(text);
    return NULL;
}

static int read_relay(struct command *command, struct asking *asking)
{
    struct room_call *call = &asking->call;
    bool has_n;
    int err = command->size > command->conn->edge->config->rooms_max_signal ? ERR_SIGNAL_TOO_LARGE : 0;
    if (!err)
        err = room_member(command, asking, false);
    if (!err)
        err = number_member(command, "n", 1, &has_n, &call->n);
    if (!err && call->order == ROOM_RELAY && call->frame != ROOM_FRAME_BROADCAST)
        err = to_member(command, asking, "to");
    if (!err && call->frame == ROOM_FRAME_SIGNAL && call->to.len == 0)
        err = ERR_BAD_FIELD;
    if (!err && !(call->rest = rest_of(command)))
        err = ERR_MEMORY;
    return err;
}

static int run_relay(struct command *command, enum room_order order, enum room_frame frame)
{
    struct asking *asking = asking_new(command, order);
    if (!asking)
        return ERR_MEMORY;
    asking->call.frame = frame;
    int err = read_relay(command, asking);
    if (!err && order == ROOM_STATE)
        err = json_member_find(&command->object, "state").at
                  ? json_member(command, asking, "state", command->conn->edge->config->rooms_max_state, &asking->call.state) : ERR_BAD_FIELD;
    return err ? refuse(asking, err) : submit(command, asking);
}

int run_offer(struct command *command)     { return run_relay(command, ROOM_RELAY, ROOM_FRAME_OFFER); }
int run_answer(struct command *command)    { return run_relay(command, ROOM_RELAY, ROOM_FRAME_ANSWER); }
int run_candidate(struct command *command) { return run_relay(command, ROOM_RELAY, ROOM_FRAME_CANDIDATE); }
int run_signal(struct command *command)    { return run_relay(command, ROOM_RELAY, ROOM_FRAME_SIGNAL); }
int run_broadcast(struct command *command) { return run_relay(command, ROOM_RELAY, ROOM_FRAME_BROADCAST); }
int run_state(struct command *command)     { return run_relay(command, ROOM_STATE, ROOM_FRAME_STATE); }

/* ---- out ---- */

static int message_member(const struct command *command, struct asking *asking)
{
    size_t before = asking->bytes.len;
    if (!is_given(json_member_find(&command->object, "message")))
        return 0;
    int err = string_member(command, "message", &asking->bytes);
    asking->call.message = slice(asking->bytes.at + before, asking->bytes.len - before);
    return err ? err : asking->call.message.len > MESSAGE_MAX ? ERR_BAD_FIELD : 0;
}

static int read_kick(const struct command *command, struct asking *asking)
{
    int err = room_member(command, asking, true);
    if (!err)
        err = principal_may(command->conn->principal, OP_KICK, asking->call.room);
    if (!err)
        err = to_member(command, asking, is_given(json_member_find(&command->object, "user_id")) ? "user_id" : "to");
    if (!err && asking->call.to.len == 0)
        err = ERR_BAD_USER;
    return err ? err : message_member(command, asking);
}

int run_kick(struct command *command)
{
    struct asking *asking = asking_new(command, ROOM_KICK);
    int err = asking ? read_kick(command, asking) : ERR_MEMORY;
    if (err)
        return asking ? refuse(asking, err) : err;
    return submit(command, asking);
}

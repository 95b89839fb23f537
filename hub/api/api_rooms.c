/* api_rooms.c — rooms of signaling, for backends: listed, made, changed, removed; members put out, spoken to; credentials of TURN servers. What
 * a room is, is known behind hub/rooms.h; here are routes, documents and statuses. */
#include "hub/api/api.h"
#include "hub/api/api_body.h"
#include "hub/api/api_list.h"
#include "hub/api/problem.h"
#include "hub/base/err.h"
#include "hub/base/name.h"
#include "hub/config/config.h"
#include "hub/rooms.h"

#include <stdlib.h>

enum { MESSAGE_MAX = 200, USERS_MAX = 1000, CAPACITY_MAX = 10000 };
static const int64_t TIMEOUT_MOST_MS = INT64_C(30) * 24 * 3600 * 1000, TTL_LEAST_MS = 10 * 1000;

/* On its way to the hub: beside the request and not in it, because it is larger than most and rare. */
struct asking {
    struct room_call    call;      /* first */
    struct api_request *request;
    struct slice       *users;
    void              (*done)(struct api_request *request, const struct room_call *call);
};

static const char *what_of(enum room_order order) { return order == ROOM_EXPEL ? "there is no such member of that room" : "there is no such room"; }

static void answered(struct call *call)
{
    struct asking *asking = call->owner;
    struct room_call *room = &asking->call;
    if (!call->err && room->text.failed)
        call->err = ERR_MEMORY;
    if (call->err)
        problem_answer_one(asking->request, NULL, call->err, call->err == ERR_NOT_FOUND ? what_of(room->order) : NULL);
    else
        asking->done(asking->request, room);
    room_text_unref(room->rest);
    buf_fini(&room->text);
    free(asking->users);
    free(asking);
}

/* NULL: no memory, and that is answered. */
static struct asking *ask_new(struct api_request *r, enum room_order order)
{
    struct asking *asking = calloc(1, sizeof *asking);
    if (!asking) {
        problem_answer_one(r, NULL, ERR_MEMORY, NULL);
        return NULL;
    }
    asking->request = r;
    asking->call.order = order;
    asking->call.room = r->room;
    return asking;
}

static void submit(struct asking *asking, void (*done)(struct api_request *r, const struct room_call *call))
{
    asking->done = done;
    asking->call.call.owner = asking;
    api_submit_apart(asking->request, &asking->call.call, CALL_ROOM, sizeof *asking + asking->request->body.len, answered);
}

/* An order about the room of the path; NULL: it is answered. */
static struct asking *ask_of_room(struct api_request *r, enum room_order order)
{
    if (r->room.len > 0)
        return ask_new(r, order);
    problem_answer_one(r, "room", ERR_BAD_ROOM, NULL);
    return NULL;
}

/* ---- answers ---- */

static void answer_text(struct api_request *r, int status, const struct room_call *call)
{
    struct buf *out = api_answer_begin(r, status, "application/json");
    buf_add_slice(out, buf_slice(&call->text));
    buf_add_char(out, '\n');
    api_answer_end(r);
}

static void answer_shown(struct api_request *r, const struct room_call *call) { answer_text(r, 200, call); }
static void answer_made(struct api_request *r, const struct room_call *call)  { answer_text(r, 201, call); }

static void answer_gone(struct api_request *r, const struct room_call *call)
{
    (void)call;
    api_answer_begin(r, 204, NULL);
    api_answer_end(r);
}

static void answer_told(struct api_request *r, const struct room_call *call)
{
    buf_addf(api_answer_begin(r, 200, "application/json"), "{\"delivered\":%u}\n", call->delivered);
    api_answer_end(r);
}

/* Members with a comma before the first. */
static void answer_members(struct api_request *r, const struct room_call *call)
{
    struct buf *out = api_answer_begin(r, 200, "application/json");
    buf_add_char(out, '{');
    buf_add(out, buf_slice(&call->text).at + 1, call->text.len - 1);
    buf_add_str(out, "}\n");
    api_answer_end(r);
}

/* ---- which there are ---- */

static void answer_page(struct api_request *r, const struct room_call *call)
{
    struct buf *out = api_answer_begin(r, 200, "application/json");
    struct slice upto = slice(call->upto, call->upto_len);
    buf_add_str(out, "{\"data\":[");
    buf_add_slice(out, buf_slice(&call->text));
    buf_add_str(out, "],\"next_cursor\":");
    if (call->more) {
        buf_add_json(out, upto);
        api_list_link(r, &(struct list_filter){ "prefix", call->room }, 1, upto);
    } else {
        buf_add_str(out, "null");
    }
    buf_add_str(out, "}\n");
    api_answer_end(r);
}

void api_list_rooms(struct api_request *r)
{
    struct problem problem = { 0 };
    if (!api_list_begin(r))
        return;
    api_list_limit(r, &problem);
    struct slice prefix = api_list_value(r, "prefix", &problem), cursor = api_list_value(r, "cursor", &problem);
    if (cursor.len > 0 && channel_name_check(cursor))
        problem_add(&problem, "cursor", ERR_BAD_POSITION, "not a cursor of this list");
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    struct asking *asking = ask_new(r, ROOM_LIST);
    if (!asking)
        return;
    asking->call.room = prefix;
    asking->call.after = cursor;
    asking->call.limit = r->limit;
    submit(asking, answer_page);
}

/* ---- one of them ---- */

static void read_metadata(struct body_reader *body, struct room_changes *changes)
{
    struct slice metadata = json_member_find(&body->object, "metadata");
    if (metadata.len > body->request->api->config->rooms_max_metadata)
        problem_add(body->problem, "metadata", ERR_SIGNAL_TOO_LARGE, "larger than rooms.max_metadata");
    changes->has_metadata = metadata.at != NULL;
    changes->metadata = metadata.at ? metadata : SLICE("");
}

/* Null puts back what is usual. */
static bool is_null(const struct body_reader *body, const char *name) { return slice_is(json_member_find(&body->object, name), SLICE("null")); }

static void read_capacity(struct body_reader *body, struct room_changes *changes)
{
    struct slice capacity = api_body_find(body, "capacity");
    uint64_t number = 0;
    changes->has_capacity = capacity.at || is_null(body, "capacity");
    if (capacity.at && (!slice_u64(capacity, &number) || number == 0 || number > CAPACITY_MAX))
        problem_add(body->problem, "capacity", ERR_BAD_FIELD, "capacity is a number from 1 to 10000");
    changes->capacity = (size_t)number;
}

static void read_changes(struct body_reader *body, struct room_changes *changes)
{
    read_metadata(body, changes);
    read_capacity(body, changes);
    changes->empty_timeout_ms = -1;
    changes->has_empty_timeout = api_body_duration(body, "empty_timeout", TIMEOUT_MOST_MS, &changes->empty_timeout_ms) || is_null(body, "empty_timeout");
}

void api_make_room(struct api_request *r)
{
    static const char *const known[] = { "room", "capacity", "empty_timeout", "metadata", NULL };
    struct problem problem = { 0 };
    struct room_changes changes = { 0 };
    struct body_reader body;
    if (!api_body_begin(r, &problem, known, &body))
        return;
    struct slice room = api_body_string(&body, "room", CHANNEL_NAME_MAX, err_text(ERR_BAD_ROOM));
    if (problem.n == 0 && channel_name_check(room))
        problem_add(&problem, "room", ERR_BAD_ROOM, NULL);
    read_changes(&body, &changes);
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    struct asking *asking = ask_new(r, ROOM_CREATE);
    if (!asking)
        return;
    r->item = asking->call.room = room;
    asking->call.changes = changes;
    submit(asking, answer_made);
}

void api_show_room(struct api_request *r)
{
    struct asking *asking = ask_of_room(r, ROOM_SHOW);
    if (asking)
        submit(asking, answer_shown);
}

void api_change_room(struct api_request *r)
{
    static const char *const known[] = { "capacity", "empty_timeout", "metadata", NULL };
    struct problem problem = { 0 };
    struct room_changes changes = { 0 };
    struct body_reader body;
    if (!api_body_begin(r, &problem, known, &body))
        return;
    read_changes(&body, &changes);
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    struct asking *asking = ask_of_room(r, ROOM_CHANGE);
    if (!asking)
        return;
    asking->call.changes = changes;
    submit(asking, answer_shown);
}

void api_remove_room(struct api_request *r)
{
    struct asking *asking = ask_of_room(r, ROOM_REMOVE);
    if (asking)
        submit(asking, answer_gone);
}

/* ---- its members ---- */

void api_expel(struct api_request *r)
{
    struct problem problem = { 0 };
    if (!api_list_begin(r))
        return;
    struct slice message = api_list_value(r, "message", &problem);
    if (message.len > MESSAGE_MAX || !utf8_valid(message))
        problem_add(&problem, "message", ERR_BAD_FIELD, "at most 200 bytes of UTF-8");
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    struct asking *asking = ask_of_room(r, ROOM_EXPEL);
    if (!asking)
        return;
    asking->call.to = r->user;
    asking->call.message = message;
    submit(asking, answer_gone);
}

/* One user, or several, whose names go into the scratch. */
struct addressees {
    struct body_reader *body;
    struct slice       *users;
    size_t              n;
};

static int add_user(void *arg, struct slice value)
{
    struct addressees *to = arg;
    struct buf *scratch = &to->body->request->scratch;
    size_t before = scratch->len;
    if (to->n == USERS_MAX || json_unquote(value, scratch))
        return ERR_BAD_FIELD;
    to->users[to->n++] = slice(scratch->at + before, scratch->len - before);
    return 0;
}

static void read_addressees(struct body_reader *body, struct asking *asking)
{
    struct slice value = api_body_find(body, "to");
    if (!value.at)
        return;
    struct addressees to = { .body = body, .users = calloc(USERS_MAX, sizeof *to.users) };
    int err = !to.users ? ERR_MEMORY : *value.at == '[' ? json_array_each(value, add_user, &to) : add_user(&to, value);
    asking->users = to.users;
    asking->call.users = to.users;
    asking->call.n_users = to.n;
    if (err || to.n == 0)
        problem_add(body->problem, "to", err ? err : ERR_BAD_FIELD, err == ERR_MEMORY ? NULL : "the user_id of a member, or an array of 1 to 1,000");
}

static void read_data(struct body_reader *body, struct asking *asking)
{
    struct slice data = json_member_find(&body->object, "data");
    struct buf text = { 0 };
    if (!data.at || data.len > body->request->api->config->rooms_max_signal) {
        problem_add(body->problem, "data", data.at ? ERR_SIGNAL_TOO_LARGE : ERR_BAD_FIELD, data.at ? NULL : "data is what they are told: any JSON");
        return;
    }
    buf_add_str(&text, ",\"data\":");
    buf_add_slice(&text, data);
    if (text.failed || !(asking->call.rest = room_text_new(buf_slice(&text))))
        problem_add(body->problem, NULL, ERR_MEMORY, NULL);
    buf_fini(&text);
}

void api_tell_room(struct api_request *r)
{
    static const char *const known[] = { "to", "data", NULL };
    struct problem problem = { 0 };
    struct body_reader body;
    struct asking *asking = api_body_begin(r, &problem, known, &body) ? ask_of_room(r, ROOM_TELL) : NULL;
    if (!asking)
        return;
    read_addressees(&body, asking);
    read_data(&body, asking);
    asking->call.frame = asking->call.n_users > 0 ? ROOM_FRAME_SIGNAL : ROOM_FRAME_BROADCAST;
    if (problem.n == 0) {
        submit(asking, answer_told);
        return;
    }
    room_text_unref(asking->call.rest);
    free(asking->users);
    free(asking);
    problem_answer(r, &problem);
}

/* ---- TURN ---- */

void api_make_ice_servers(struct api_request *r)
{
    static const char *const known[] = { "user", "ttl", NULL };
    struct problem problem = { 0 };
    struct body_reader body;
    int64_t ttl_ms = 0;
    if (!api_body_begin(r, &problem, known, &body))
        return;
    struct slice user = api_body_string(&body, "user", USER_NAME_MAX, "1 to 200 bytes of UTF-8");
    if (api_body_duration(&body, "ttl", TIMEOUT_MOST_MS, &ttl_ms) && ttl_ms < TTL_LEAST_MS)
        problem_add(&problem, "ttl", ERR_BAD_FIELD, "at least 10 seconds");
    if (user.at && name_has_control(user))
        problem_add(&problem, "user", ERR_BAD_FIELD, "without control characters");
    if (problem.n > 0) {
        problem_answer(r, &problem);
        return;
    }
    struct asking *asking = ask_new(r, ROOM_ICE_MAKE);
    if (!asking)
        return;
    asking->call.user = user.at ? user : SLICE("");
    asking->call.ttl_ms = ttl_ms;
    submit(asking, answer_members);
}

#include "clients/cli/seen_event.h"

#include "clients/cli/payload.h"
#include "hub/base/err.h"
#include "hub/base/json.h"
#include "hub/base/name.h"
#include "hub/position.h"

/* An object that is being taken apart. */
struct reading {
    struct slice       object;
    struct json_object members;
    struct buf         type, channel, event, id, data;
};

static bool read_text(const struct reading *r, const char *member, struct buf *ret_text)
{
    struct slice value = json_member_find(&r->members, member);
    return value.at && !json_unquote(value, ret_text);
}

/* Number, time, and a message of the parts; false: no memory. */
static bool make(const struct msg_parts *parts, struct position position, int64_t time_ms, struct seen_event *seen)
{
    seen->msg = msg_new(parts);
    if (!seen->msg)
        return false;
    seen->msg->epoch = position.epoch;
    seen->msg->seq = position.seq;
    seen->msg->time_ms = time_ms;
    return true;
}

/* Text and a JSON string look alike here, and in a webhook too: either is a JSON value in the bytes that there are. */
static int read_message(struct reading *r, int64_t now_ms, struct seen_event *seen)
{
    struct slice data = json_member_find(&r->members, "data"), time = json_member_find(&r->members, "time");
    bool binary = json_member_find(&r->members, "encoding").at, has_event = json_member_find(&r->members, "event").at;
    uint64_t time_ms = (uint64_t)now_ms;
    if (!data.at || !read_text(r, "id", &r->id) || (has_event && (!read_text(r, "event", &r->event) || event_name_check(buf_slice(&r->event)))))
        return ERR_BAD_JSON;
    struct position position = position_parse(buf_slice(&r->id));
    if (!position.epoch || (time.at && (!slice_u64(time, &time_ms) || time_ms > INT64_MAX)) || (binary && payload_of_message(r->object, &r->data)))
        return ERR_BAD_JSON;
    const struct msg_parts parts = {
        .channel = buf_slice(&r->channel), .event = buf_slice(&r->event),
        .data = binary ? buf_slice(&r->data) : data, .kind = binary ? MSG_BINARY : MSG_JSON,
    };
    seen->type = EVENT_MESSAGE_PUBLISHED;
    return make(&parts, position, (int64_t)time_ms, seen) ? 0 : ERR_MEMORY;
}

static int read_member(struct reading *r, int64_t now_ms, struct seen_ids *ids, struct seen_event *seen)
{
    struct slice user = json_member_find(&r->members, "user"), info = json_member_find(&r->members, "info");
    if (!user.at)
        return ERR_BAD_JSON;
    ids->epoch = ids->epoch ? ids->epoch : epoch_new();
    buf_add_str(&r->data, "{\"user\":");
    buf_add_slice(&r->data, user);
    buf_add_str(&r->data, ",\"info\":");
    buf_add_slice(&r->data, info.at ? info : SLICE("null"));
    buf_add_char(&r->data, '}');
    const struct msg_parts parts = { .channel = buf_slice(&r->channel), .data = buf_slice(&r->data), .kind = MSG_JSON };
    return !r->data.failed && make(&parts, (struct position){ ids->epoch, ++ids->last }, now_ms, seen) ? 0 : ERR_MEMORY;
}

static int read_object(struct reading *r, int64_t now_ms, struct seen_ids *ids, struct seen_event *seen)
{
    static const struct { const char *text; enum event_type type; } members[] = { { "member-joined", EVENT_MEMBER_JOINED }, { "member-left", EVENT_MEMBER_LEFT } };
    if (json_object_parse(r->object, &r->members) || !read_text(r, "type", &r->type) || !read_text(r, "channel", &r->channel) ||
        channel_name_check(buf_slice(&r->channel)))
        return ERR_BAD_JSON;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (slice_is(buf_slice(&r->type), slice_of(members[i].text))) {
            seen->type = members[i].type;
            return read_member(r, now_ms, ids, seen);
        }
    return slice_is(buf_slice(&r->type), SLICE("message")) ? read_message(r, now_ms, seen) : ERR_BAD_JSON;
}

int seen_event_read(struct slice object, int64_t now_ms, struct seen_ids *ids, struct seen_event *ret_seen)
{
    struct reading reading = { .object = object };
    struct seen_event seen = { 0 };
    struct buf *const all[] = { &reading.type, &reading.channel, &reading.event, &reading.id, &reading.data };
    int err = read_object(&reading, now_ms, ids, &seen);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        err = all[i]->failed ? ERR_MEMORY : err;
        buf_fini(all[i]);
    }
    if (err)
        seen_event_fini(&seen);
    else
        *ret_seen = seen;
    return err;
}

void seen_event_fini(struct seen_event *seen)
{
    msg_unref(seen->msg);
    seen->msg = NULL;
}

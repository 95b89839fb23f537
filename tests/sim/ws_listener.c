/* ws_listener.c — the frames of RFC 6455 §5.2 that a hub sends, and the JSON in them. */
#include "tests/sim/sim.h"
#include "tests/sim/line.h"

#include "transports/ws.h"

#include <jansson.h>

static const char *string(const json_t *object, const char *member)
{
    const char *s = json_string_value(json_object_get(object, member));
    return s ? s : "";
}

static struct position position_of(const json_t *object, const char *member) { return position_parse(slice_of(string(object, member))); }

static void message(struct listener *r, const json_t *object)
{
    const json_t *data = json_object_get(object, "data");
    uint32_t tag = json_is_object(data) ? (uint32_t)json_integer_value(json_object_get(data, "n"))
                                        : payload_tag(json_string_value(data), json_string_length(data));
    on_message(r, position_of(object, "id"), channel_by_name(slice_of(string(object, "channel"))), tag,
               json_is_true(json_object_get(object, "replay")));
}

/* Everything between two positions of one channel, as the model has it kept: it was compared with the fetch's answer already. */
static void history(struct listener *r, int ref, const json_t *object)
{
    uint64_t last = 0;
    const json_t *messages = json_object_get(object, "messages");
    for (size_t i = 0; i < json_array_size(messages); i++) {
        struct position p = position_of(json_array_get(messages, i), "id");
        const struct model_msg *m = model_find(&r->sim->model, p.seq);
        sim_check(r->sim, m && m->fate == DONE && p.seq > last, "listener %d: history has %lu", r->number, p.seq);
        last = p.seq;
    }
    listener_answered(r, ref, 1);
    happened(histories);
}

static void text(struct listener *r, const json_t *object)
{
    const char *type = string(object, "type");
    int ref = (int)json_integer_value(json_object_get(object, "ref"));
    int channel = channel_by_name(slice_of(string(object, "channel")));
    if (!strcmp(type, "message"))
        message(r, object);
    else if (!strcmp(type, "welcome"))
        on_welcome(r, position_of(object, "position"));
    else if (!strcmp(type, "gap"))
        on_gap(r, position_of(object, "position"), !strcmp(string(object, "reason"), "epoch"), channels_of_json(json_object_get(object, "channels")),
               json_is_true(json_object_get(object, "replay")));
    else if (!strcmp(type, "subscribed"))
        on_subscribed(r, ref, channel, position_of(object, "position"), json_is_true(json_object_get(object, "recovered")),
                      json_is_true(json_object_get(object, "resumable")));
    else if (!strcmp(type, "unsubscribed"))
        on_unsubscribed(r, ref, channel, string(object, "code"));
    else if (!strcmp(type, "position") && channel != NO_CHANNEL)
        on_replayed(r, channel, position_of(object, "position"));
    else if (!strcmp(type, "position"))
        on_position(r, position_of(object, "position"));
    else if (!strcmp(type, "ok"))
        on_published(r, ref, position_of(object, "id"), channel);
    else if (!strcmp(type, "error"))
        on_refused(r, ref, string(object, "code"));
    else if (!strcmp(type, "history"))
        history(r, ref, object);
    else if (!strcmp(type, "pong"))
        listener_answered(r, ref, 1);
    else if (!strcmp(type, "bye"))
        on_bye(r, string(object, "code"));
    else
        sim_fail(r->sim, "listener %d: frame of type '%s'", r->number, type);
}

static void frame(struct listener *r, int opcode, const char *payload, size_t len)
{
    sim_check(r->sim, !r->ended || opcode == 8, "listener %d: a frame after bye", r->number);
    sim_check(r->sim, !r->closed, "listener %d: a frame after the close frame", r->number);
    if (opcode == 9 && !r->silent && r->line->conn && !r->line->paused)
        ws_on_pong(r->line->conn);
    if (opcode == 8)
        r->closed = r->ended = true;
    if (opcode != 1)
        return;
    json_t *object = json_loadb(payload, len, 0, NULL);
    sim_check(r->sim, object, "listener %d: a frame is not JSON: %.*s", r->number, (int)len, payload);
    text(r, object);
    json_decref(object);
}

/* One frame; how many bytes it took, 0: it is not complete. */
static size_t parse_frame(struct listener *r)
{
    const unsigned char *at = (const unsigned char *)r->in.at;
    size_t head = 2, len;
    if (r->in.len < 2)
        return 0;
    sim_check(r->sim, (at[0] & 0xf0) == 0x80 && !(at[1] & 0x80), "listener %d: frame head %02x %02x", r->number, at[0], at[1]);
    len = at[1];
    if (len >= 126)
        head += len == 126 ? 2 : 8;
    if (r->in.len < head)
        return 0;
    if (head > 2) {
        len = 0;
        for (size_t i = 2; i < head; i++)
            len = len << 8 | at[i];
    }
    int opcode = at[0] & 15;
    sim_check(r->sim, opcode == 1 || opcode == 8 || opcode == 9, "listener %d: opcode %d", r->number, opcode);
    if (r->in.len < head + len)
        return 0;
    frame(r, opcode, r->in.at + head, len);
    return head + len;
}

void ws_listener_parse(struct listener *r)
{
    size_t took;
    while ((took = parse_frame(r)) > 0)
        buf_drop_front(&r->in, took);
}

/* ws_listener.c — the frames of RFC 6455 §5.2 that a hub sends, and the JSON in them. */
#include "tests/sim/line.h"
#include "tests/sim/object.h"
#include "tests/sim/sim.h"

#include "transports/protocol/ws.h"

#include <stdio.h>

static struct position position_of(struct object *object, const char *member)
{
    return position_parse(slice_of(object_string(object, member)));
}

/* The fetch behind it was compared with the model; here only that it is true and in order. */
struct past {
    struct listener *listener;
    uint64_t         last;
};

static int past_message(void *arg, struct slice text)
{
    struct past *past = arg;
    struct listener *r = past->listener;
    struct object object;
    sim_check(r->sim, object_init(&object, text), "listener %d: history has %.*s", r->number, (int)text.len, text.at);
    struct position p = position_of(&object, "id");
    const struct model_msg *m = model_find(&r->sim->model, p.seq);
    sim_check(r->sim, m && m->fate == DONE && p.seq > past->last && m->tag == object_tag(&object),
              "listener %d: history has %lu", r->number,
              p.seq);
    past->last = p.seq;
    object_fini(&object);
    return 0;
}

static void on_history(struct listener *r, int ref, const struct object *object)
{
    struct past past = { r, 0 };
    json_array_each(object_get(object, "messages"), past_message, &past);
    listener_answered(r, ref, 1);
    happened(histories);
}

static void on_text(struct listener *r, struct object *object)
{
    char type[24];
    int ref = object_int(object, "ref"), channel = object_channel(object);
    snprintf(type, sizeof type, "%s", object_string(object, "type"));
    if (!strcmp(type, "message"))
        on_message(r, position_of(object, "id"), channel, object_tag(object), object_true(object, "replay"));
    else if (!strcmp(type, "welcome"))
        on_welcome(r, position_of(object, "position"));
    else if (!strcmp(type, "gap"))
        on_gap(r, position_of(object, "position"), gap_reason_of(object_string(object, "reason")), object_channels(object, NULL),
               object_true(object, "replay"));
    else if (!strcmp(type, "subscribed"))
        on_subscribed(r, ref, channel, position_of(object, "position"), object_true(object, "recovered"), object_true(object,
                                                                                                                      "resumable"));
    else if (!strcmp(type, "unsubscribed"))
        on_unsubscribed(r, ref, channel, object_string(object, "code"));
    else if (!strcmp(type, "position") && channel != NO_CHANNEL)
        on_replayed(r, channel, position_of(object, "position"));
    else if (!strcmp(type, "position"))
        on_position(r, position_of(object, "position"));
    else if (!strcmp(type, "ok"))
        on_published(r, ref, position_of(object, "id"), channel);
    else if (!strcmp(type, "error"))
        on_refused(r, ref, object_string(object, "code"));
    else if (!strcmp(type, "history"))
        on_history(r, ref, object);
    else if (!strcmp(type, "token-expiring"))
        on_expiring(r, object_string(object, "expires"));
    else if (!strcmp(type, "member-joined") || !strcmp(type, "member-left"))
        attendance_told(r, channel, object_string(object, "user"), type[7] == 'j');
    else if (!strcmp(type, "members-changed"))
        attendance_changed(r, channel);
    else if (!strcmp(type, "pong"))
        listener_answered(r, ref, 1);
    else if (!strcmp(type, "bye"))
        on_bye(r, object_string(object, "code"));
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
    struct object object;
    sim_check(r->sim, object_init(&object, slice(payload, len)), "listener %d: a frame is not JSON: %.*s", r->number, (int)len,
              payload);
    on_text(r, &object);
    object_fini(&object);
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

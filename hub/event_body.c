#include "hub/event_body.h"

#include "hub/base/instant.h"
#include "hub/position.h"
#include "hub/webhook_id.h"

static void add_message(struct buf *out, const struct msg *m)
{
    buf_add_str(out, ",\"message\":{\"id\":\"");
    buf_add_position(out, (struct position){ m->epoch, m->seq });
    if (m->event_len > 0) {
        buf_add_str(out, "\",\"event\":\"");
        buf_add_slice(out, msg_event(m));      /* no byte of it is escaped: name.h */
    }
    buf_add_str(out, "\"}");
}

static void add_data(struct buf *out, const struct msg *m)
{
    struct slice data = msg_data(m);
    buf_add_str(out, m->kind == MSG_BINARY ? ",\"encoding\":\"base64\",\"data\":" : ",\"data\":");
    if (m->kind == MSG_JSON) {
        buf_add_slice(out, data);
    } else if (m->kind == MSG_TEXT) {
        buf_add_json(out, data);
    } else {
        buf_add_char(out, '"');
        buf_add_base64(out, data.at, data.len);
        buf_add_char(out, '"');
    }
}

void event_body_add(struct buf *out, enum event_type type, const struct msg *m)
{
    char id[EVENT_ID_TEXT];
    struct slice name = event_type_of(type, m);
    buf_add_str(out, "{\"id\":\"");
    buf_add(out, id, event_id_print(m->epoch, m->seq, id));
    buf_add_str(out, "\",\"type\":\"");
    buf_add_slice(out, name);
    buf_add_str(out, "\",\"event\":\"");
    buf_add_slice(out, name);
    buf_add_str(out, "\",\"timestamp\":\"");
    buf_add_instant_ms(out, m->time_ms);
    buf_add_char(out, '"');
    if (m->channel_len > 0) {
        buf_add_str(out, ",\"channel\":");
        buf_add_json(out, msg_channel(m));
    }
    if (type == EVENT_MESSAGE_PUBLISHED)
        add_message(out, m);
    add_data(out, m);
    buf_add_char(out, '}');
}

#include "hub/envelope.h"

#include "hub/position.h"

/* Names are checked when a message is made: no byte of them needs an escape in JSON (name.h), but for '<' in channels,
 * which is legal JSON as it is. */
static char *put(char *to, struct slice s)
{
    memcpy(to, s.at, s.len);
    return to + s.len;
}

static char *put_id(char *to, const struct msg *m)
{
    return to + position_print(to, (struct position){ m->epoch, m->seq });
}

static void add_data(struct buf *out, const struct msg *m)
{
    struct slice data = msg_data(m);
    switch ((enum msg_kind)m->kind) {
    case MSG_JSON:
        buf_add_slice(out, data);
        break;
    case MSG_TEXT:
        buf_add_json(out, data);
        break;
    case MSG_BINARY:
        buf_add_char(out, '"');
        buf_add_base64(out, data.at, data.len);
        buf_add_char(out, '"');
        break;
    }
}

void envelope_add(struct buf *out, const struct msg *m, struct slice type, bool replay)
{
    enum { FIXED = 128 };     /* all member names and punctuation before the data */
    char *start = buf_room(out, FIXED + type.len + m->channel_len + m->event_len + POSITION_TEXT + m->data_len);
    if (!start)
        return;
    char *to = put(start, SLICE("{"));
    if (type.len > 0) {
        to = put(to, SLICE("\"type\":\""));
        to = put(to, type);
        to = put(to, SLICE("\","));
    }
    if (replay)
        to = put(to, SLICE("\"replay\":true,"));
    to = put(to, SLICE("\"channel\":\""));
    to = put(to, msg_channel(m));
    to = put(to, SLICE("\",\"id\":\""));
    to = put_id(to, m);
    if (m->event_len > 0) {
        to = put(to, SLICE("\",\"event\":\""));
        to = put(to, msg_event(m));
    }
    to = put(to, m->kind == MSG_BINARY ? SLICE("\",\"encoding\":\"base64\",\"data\":") : SLICE("\",\"data\":"));
    buf_advance(out, (size_t)(to - start));
    add_data(out, m);
    buf_add(out, ",\"time\":", 8);
    buf_add_u64(out, (uint64_t)m->time_ms);
    buf_add_char(out, '}');
}

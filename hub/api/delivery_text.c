#include "hub/api/delivery_text.h"

#include "hub/base/instant.h"
#include "hub/base/json.h"
#include "hub/event_body.h"
#include "hub/trace.h"
#include "hub/webhook_id.h"

const char *const delivery_status_names[DELIVERY_STATUSES] = { "pending", "delivered", "dead" };

static void add_text(struct buf *out, const char *name, struct slice text)
{
    buf_addf(out, ",\"%s\":", name);
    if (text.len > 0)
        buf_add_json(out, text);
    else
        buf_add_str(out, "null");
}

static void add_moment(struct buf *out, const char *name, int64_t ms)
{
    buf_addf(out, ",\"%s\":", name);
    if (ms <= 0 || ms >= DELIVERY_BLOCKED) {
        buf_add_str(out, "null");
        return;
    }
    buf_add_char(out, '"');
    buf_add_instant_ms(out, ms);
    buf_add_char(out, '"');
}

static int keep_last(void *arg, struct slice value)
{
    *(struct slice *)arg = value;
    return 0;
}

/* Of the attempt that was the last one. */
static void add_outcome(struct buf *out, struct slice attempts)
{
    struct buf array = { 0 };
    struct json_object object = { 0 };
    struct slice last = { 0 }, status, error;
    buf_add_char(&array, '[');
    buf_add_slice(&array, attempts);
    buf_add_char(&array, ']');
    if (attempts.len > 0 && !array.failed && !json_array_each(buf_slice(&array), keep_last, &last) && last.at && json_object_parse(last, &object))
        object.n = 0;
    status = json_member_find(&object, "status");
    error = json_member_find(&object, "error");
    buf_add_str(out, ",\"last_status\":");
    buf_add_slice(out, status.at ? status : SLICE("null"));
    buf_add_str(out, ",\"last_error\":");
    buf_add_slice(out, error.at ? error : SLICE("null"));
    buf_fini(&array);
}

static const char *waits_for(const struct delivery *row)
{
    if (row->status != DELIVERY_PENDING)
        return "null";
    return row->due_ms == DELIVERY_NEVER ? "\"others\"" : row->due_ms == DELIVERY_BLOCKED ? "\"redelivery\"" : "\"time\"";
}

void delivery_text_add(struct buf *out, const struct delivery *row)
{
    char id[DELIVERY_ID_TEXT], webhook[WEBHOOK_ID_TEXT], event[EVENT_ID_TEXT];
    bool is_message = row->type == EVENT_MESSAGE_PUBLISHED, is_own = row->type == EVENT_OWN;
    delivery_id_print(row->number, id);
    webhook_id_print(row->endpoint, webhook);
    event_id_print(row->epoch, delivery_event(row->number), event);
    buf_addf(out, "{\"id\":\"%s\",\"webhook\":\"%s\",\"event\":\"%s\"", id, webhook, event);
    add_text(out, "type", is_own ? row->name : slice_of(event_type_text((enum event_type)row->type)));
    add_text(out, "channel", row->channel);
    add_text(out, "message_event", is_message ? row->name : SLICE(""));
    add_moment(out, "timestamp", row->time_ms);
    buf_addf(out, ",\"status\":\"%s\",\"tries\":%u", delivery_status_names[row->status], row->tries);
    add_outcome(out, row->attempts);
    add_moment(out, "settled", row->settled_ms);
    add_moment(out, "next_attempt", row->status == DELIVERY_PENDING ? row->due_ms : 0);
    buf_addf(out, ",\"waits_for\":%s", waits_for(row));
}

void delivery_text_add_whole(struct buf *out, const struct delivery *row)
{
    char trace[TRACE_BYTES], id[TRACE_ID_HEX + 1];
    trace_of(row->msg, trace);
    trace_id_print(trace, id);
    buf_addf(out, ",\"trace\":\"%s\",\"attempts\":[", id);
    buf_add_slice(out, row->attempts);
    buf_add_str(out, "],\"payload\":");
    event_body_add(out, (enum event_type)row->type, row->msg);
}

void delivery_text_add_all(struct buf *out, const struct delivery *rows, size_t n)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        delivery_text_add(out, &rows[i]);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

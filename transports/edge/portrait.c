#include "transports/edge/portrait.h"

#include "hub/access/access.h"
#include "hub/base/clock.h"
#include "hub/base/instant.h"
#include "hub/connection_id.h"
#include "transports/edge/catchup.h"
#include "transports/edge/conn.h"
#include "transports/edge/edge.h"
#include "transports/edge/lag.h"

static void member(struct buf *out, const char *name, struct slice string)
{
    buf_addf(out, ",\"%s\":", name);
    if (string.len > 0)
        buf_add_json(out, string);
    else
        buf_add_str(out, "null");
}

static void add_address(struct buf *out, const struct conn *conn)
{
    char text[IP_TEXT] = { 0 };
    if (conn->edge->line->address && conn->line)
        ip_print(conn->edge->line->address(conn), text);
    member(out, "address", slice_of(text));
}

static void add_channels(struct buf *out, const struct conn *conn, size_t max)
{
    uint32_t at = 0;
    size_t n = 0;
    buf_addf(out, ",\"channel_count\":%u,\"channels\":[", conn->subs.n);
    for (const struct sub *sub; n < max && (sub = sub_set_next(&conn->subs, &at)); n++) {
        if (n > 0)
            buf_add_char(out, ',');
        buf_add_json(out, feed_name(sub->feed));
    }
    buf_add_char(out, ']');
}

/* What waits for it in rings, and, while it catches up, what it must still fetch; of that the number of messages is not known. */
static void add_lag(struct buf *out, const struct conn *conn)
{
    uint64_t bytes = conn->outbox ? conn->outbox->len : 0, messages = 0;
    int64_t behind = conn_lag(conn);
    uint32_t at = 0;
    for (const struct sub *sub; (sub = sub_set_next(&conn->subs, &at));) {
        bytes += reader_lag(&sub->reader);
        messages += reader_frames(&sub->reader);
    }
    buf_addf(out, ",\"lag\":{\"bytes\":%llu,\"messages\":%llu,\"catching_up\":%s}", (unsigned long long)(bytes + (uint64_t)(behind > 0 ? behind : 0)),
             (unsigned long long)messages, catchups_let_rings(conn) ? "false" : "true");
}

void portrait_add(struct buf *out, const struct conn *conn, size_t channels_max)
{
    char name[CONNECTION_TEXT], scratch[CONNECTION_TEXT];
    buf_addf(out, "{\"id\":\"%.*s\"", (int)conn_name(conn, name), name);
    if (conn->edge->node)
        buf_addf(out, ",\"node\":\"%016llx\"", (unsigned long long)conn->edge->node);
    member(out, "client", conn_client(conn, scratch));
    member(out, "user", principal_user(conn->principal));
    member(out, "principal", principal_name(conn->principal));
    member(out, "transport", slice_of(conn->protocol->name));
    add_address(out, conn);
    buf_add_instant_member(out, "since", conn->since_s);
    buf_add_instant_member(out, "expires", principal_expires_s(conn->principal));
    add_channels(out, conn, channels_max);
    if (conn->position.epoch) {
        buf_add_str(out, ",\"position\":\"");
        buf_add_position(out, conn->position);
        buf_add_str(out, "\"");
    } else {
        buf_add_str(out, ",\"position\":null");
    }
    add_lag(out, conn);
    buf_add_char(out, '}');
}

#include "transports/protocol/sse.h"

#include "hub/base/err.h"
#include "hub/base/name.h"
#include "hub/config/config.h"
#include "hub/metrics.h"
#include "transports/edge/catchup.h"
#include "transports/edge/control.h"
#include "transports/edge/edge.h"
#include "transports/protocol/stream.h"
#include "transports/request/outset.h"
#include "transports/wire/wire.h"

#include <stdio.h>

/* One block with a control object as its data. */
static void say(struct conn *conn, struct slice event, const struct position *id, struct buf *object)
{
    char text[POSITION_TEXT];
    struct slice id_text = id ? slice(text, position_print(text, *id)) : SLICE("");
    struct buf *out = conn_say_begin(conn);
    if (object->failed)
        out->failed = true;
    else
        wire_add_sse(out, id_text, event, buf_slice(object));
    conn_say_end(conn);
    buf_fini(object);
}

static void say_retry(struct conn *conn, int64_t retry_ms, const struct position *after)
{
    wire_add_sse_retry(conn_say_begin(conn), retry_ms, after);
    conn_say_end(conn);
}

static void sse_gap(struct conn *conn, const struct catchup *catchup, const struct fetch_call *answer)
{
    struct buf object = { 0 };
    (void)catchup;
    control_gap(&object, answer, false);
    say(conn, SLICE("hub.gap"), &answer->begin, &object);
}

/* Without an id: the stream's position does not move, and the channel is not part of what a reconnect asks for (EXACT.md 16). */
static void say_subscribed(struct conn *conn, const struct fetch_call *answer)
{
    for (size_t i = 0; i < answer->n_channels; i++) {
        struct buf object = { 0 };
        control_subscribed(&object, SLICE(""), &answer->channels[i], answer->begin, false, false);
        say(conn, SLICE("hub.subscribed"), NULL, &object);
    }
}

static void sse_began(struct conn *conn, struct catchup *catchup, const struct fetch_call *answer)
{
    struct buf object = { 0 };
    if (answer->gap)
        sse_gap(conn, catchup, answer);
    if (conn->greeted) {
        say_subscribed(conn, answer);
        return;
    }
    conn->greeted = true;
    control_ready(&object, conn, answer, answer->from == FETCH_AFTER);
    say(conn, SLICE("hub.ready"), &answer->begin, &object);
}

/* A stream has no marked replays: a channel that is added to it starts now. */
static void sse_replayed(struct conn *conn, struct catchup *catchup, struct position upto)
{
    (void)conn, (void)catchup, (void)upto;
}

/* Whoever has ended a subscription of a stream tells so himself. */
static void sse_withdrawn(struct conn *conn, const struct catchup *catchup, struct slice channel)
{
    (void)conn, (void)catchup, (void)channel;
}

static void sse_tell(struct conn *conn, const char *type, struct buf *object)
{
    char event[32];
    int n = snprintf(event, sizeof event, "hub.%s", type);
    say(conn, slice(event, (size_t)n), NULL, object);
}

/* A line that takes nothing gets no heartbeats: they would pile up. */
static int sse_due(struct conn *conn)
{
    if (conn->choked)
        catchup_probe(conn);
    else
        conn_want_head(conn);
    return stream_seconds(conn->edge->config->sse_heartbeat_ms);
}

/* The heartbeat: an id without data, which a browser stores without firing an event. */
static void sse_position(struct conn *conn)
{
    struct buf *out = conn_say_begin(conn);
    buf_add_str(out, "id: ");
    buf_add_position(out, conn->position);
    buf_add_str(out, "\n\n");
    conn->told = true;
    conn_say_end(conn);
    if (conn_retry_is_old(conn))
        say_retry(conn, conn_retry_ms(conn), NULL);
}

static void sse_farewell(struct conn *conn, const struct parting *parting)
{
    struct buf object = { 0 };
    int64_t retry_ms = conn_retry_ms(conn);
    say_retry(conn, retry_ms, NULL);
    control_bye(&object, parting, retry_ms);
    say(conn, SLICE("hub.bye"), NULL, &object);
}

const struct protocol sse_protocol = {
    .name = "sse", .gauge = METRIC_conns_sse, .format = WIRE_SSE_BARE, .replay_format = WIRE_SSE,
    .began = sse_began, .gap = sse_gap, .replayed = sse_replayed, .withdrawn = sse_withdrawn, .tell = sse_tell, .due = sse_due,
    .position = sse_position, .farewell = sse_farewell,
};

int sse_check(struct edge *edge, const struct stream_request *request) { return stream_check(edge, request, true); }

static struct conn *open_with(struct edge *edge, void *line, const struct stream_request *request, struct principal *principal,
                              const struct outset *outset)
{
    struct since since;
    struct position after;
    struct conn *conn = conn_new(edge, &sse_protocol, line, principal, request->client);
    if (!conn)
        return NULL;
    conn->format = outset->bare ? WIRE_SSE_BARE : WIRE_SSE;
    say_retry(conn, conn_retry_ms(conn), stream_after(request, &after) ? &after : NULL);
    bool asks = false;
    int err = stream_since(edge, request, &since);
    if (!err)
        err = conn_subscribe(conn, outset->names, outset->n, &since, false, NULL);
    if (!err)
        err = stream_asks(request, conn->principal, &asks);
    if (!err && asks)
        err = conn_ask(conn, request->channels, request->n_channels);
    if (err)
        conn_close(conn, err);
    conn_due_in(conn, stream_seconds(edge->config->sse_heartbeat_ms));
    return conn;
}

struct conn *sse_open(struct edge *edge, void *line, const struct stream_request *request)
{
    struct principal *principal;
    struct outset outset;
    if (stream_principal(edge, request, &principal))
        return NULL;      /* sse_check had said yes */
    if (outset_init(&outset, request, principal, true)) {
        principal_unref(principal);
        return NULL;
    }
    struct conn *conn = open_with(edge, line, request, principal, &outset);
    outset_fini(&outset);
    return conn;
}

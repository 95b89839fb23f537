#include "transports/protocol/ws.h"

#include "hub/base/err.h"
#include "hub/base/name.h"
#include "hub/config/config.h"
#include "hub/metrics.h"
#include "transports/edge/catchup.h"
#include "transports/edge/control.h"
#include "transports/edge/edge.h"
#include "transports/protocol/stream.h"
#include "transports/protocol/ws_say.h"
#include "transports/request/outset.h"
#include "transports/wire/wire.h"

enum { PINGS_MISSED_MAX = 2 };

void ws_say(struct conn *conn, struct buf *object)
{
    struct buf *out = conn_say_begin(conn);
    if (object->failed)
        out->failed = true;
    else
        wire_add_ws(out, WS_TEXT, buf_slice(object));
    conn_say_end(conn);
    buf_fini(object);
}

/* Until the welcome has been said nothing is read, so that it is the first frame whatever the client sends. */
static void hold_input(struct conn *conn) { conn_hold(conn, true); }

static void welcome(struct conn *conn, struct position position)
{
    struct buf object = { 0 };
    conn->greeted = true;
    conn->told = position.seq == conn->position.seq;
    control_welcome(&object, conn, position, conn_retry_ms(conn));
    ws_say(conn, &object);
    conn_hold(conn, false);
}

static void ws_gap(struct conn *conn, const struct catchup *catchup, const struct fetch_call *answer)
{
    struct buf object = { 0 };
    if (!catchup->marked)
        conn->told = answer->begin.seq == conn->position.seq;
    control_gap(&object, answer, catchup->marked);
    ws_say(conn, &object);
}

static void ws_began(struct conn *conn, struct catchup *catchup, const struct fetch_call *answer)
{
    struct slice ref = catchup->tag ? slice_of(catchup->tag) : SLICE("");
    /* With a gap to tell, the gap moves the position: a client cut between the two must be told it again. */
    if (!conn->greeted)
        welcome(conn, answer->gap ? answer->after : answer->begin);
    if (answer->gap)
        ws_gap(conn, catchup, answer);
    for (size_t i = 0; i < answer->n_channels; i++) {
        struct buf object = { 0 };
        control_subscribed(&object, ref, &answer->channels[i], answer->begin, answer->from == FETCH_AFTER, catchup->marked);
        ws_say(conn, &object);
    }
}

struct replay_end {
    struct conn    *conn;
    struct position upto;
};

static void say_replay_end(void *arg, struct slice channel)
{
    struct replay_end *replay = arg;
    struct buf object = { 0 };
    control_position(&object, channel, replay->upto);
    ws_say(replay->conn, &object);
}

static void ws_replayed(struct conn *conn, struct catchup *catchup, struct position upto)
{
    struct replay_end replay = { conn, upto };
    catchup_each_channel(catchup, say_replay_end, &replay);
}

static void ws_withdrawn(struct conn *conn, const struct catchup *catchup, struct slice channel)
{
    struct buf object = { 0 };
    control_unsubscribed(&object, catchup->tag ? slice_of(catchup->tag) : SLICE(""), channel, ERR_NORMAL);
    ws_say(conn, &object);
}

static void ws_tell(struct conn *conn, const char *type, struct buf *object)
{
    (void)type;      /* is in the object */
    ws_say(conn, object);
}

/* The hub itself does not read what it says, while its commands are under way: a pong may wait there. */
static bool is_unheard(const struct conn *conn) { return conn->paused && !conn->choked; }

static int ws_due(struct conn *conn)
{
    if (is_unheard(conn))
        conn->missed = 0;
    if (conn->missed >= PINGS_MISSED_MAX) {
        conn_close(conn, ERR_SILENT);
        return 0;
    }
    conn->missed++;
    if (conn->choked)
        catchup_probe(conn);
    if (conn->conn_state != CONN_OPEN || conn_is_stuck(conn))
        return stream_seconds(conn->edge->config->ws_ping_ms);
    wire_add_ws(conn_say_begin(conn), WS_PING, SLICE("?"));      /* not empty: lws does not tell of an empty pong */
    conn_say_end(conn);
    conn_want_head(conn);
    return stream_seconds(conn->edge->config->ws_ping_ms);
}

static void say_retry(struct conn *conn)
{
    struct buf object = { 0 };
    control_retry(&object, conn_retry_ms(conn));
    ws_say(conn, &object);
}

static void ws_position(struct conn *conn)
{
    struct buf object = { 0 };
    if (!conn->greeted && conn->subs.n == 0) {
        conn_move_to(conn, conn->edge->head);
        welcome(conn, conn->edge->head);
    } else if (conn->greeted && !conn->told) {
        conn->told = true;
        control_position(&object, SLICE(""), conn->position);
        ws_say(conn, &object);
    }
    if (conn->greeted && conn_retry_is_old(conn))
        say_retry(conn);
}

/* RFC 6455 §5.5.1: the code in two bytes, big-endian, then the reason. */
static void say_close(struct conn *conn, const struct parting *parting)
{
    int code = parting_code(parting);
    struct buf payload = { 0 };
    buf_add_char(&payload, (char)(code >> 8));
    buf_add_char(&payload, (char)code);
    buf_add_slice(&payload, parting->reason.len > 0 ? parting->reason : slice_of(err_code(parting->err)));
    struct buf *out = conn_say_begin(conn);
    if (payload.failed)
        out->failed = true;
    else
        wire_add_ws(out, WS_CLOSE, buf_slice(&payload));
    conn_say_end(conn);
    buf_fini(&payload);
}

static void ws_farewell(struct conn *conn, const struct parting *parting)
{
    struct buf object = { 0 };
    if (parting_says_bye(parting)) {
        control_bye(&object, parting, conn_retry_ms(conn));
        ws_say(conn, &object);
    } else if (parting_code(parting) >= 4100) {
        control_last_error(&object, parting);
        ws_say(conn, &object);
    }
    say_close(conn, parting);
}

const struct protocol ws_protocol = {
    .name = "websocket", .gauge = METRIC_conns_ws, .format = WIRE_WS, .replay_format = WIRE_WS_REPLAY,
    .began = ws_began, .gap = ws_gap, .replayed = ws_replayed, .withdrawn = ws_withdrawn, .tell = ws_tell, .due = ws_due,
    .position = ws_position, .farewell = ws_farewell,
};

void ws_on_pong(struct conn *conn) { conn->missed = 0; }

static void greet(struct conn *conn)
{
    if (conn->edge->head.epoch) {
        conn_move_to(conn, conn->edge->head);
        welcome(conn, conn->edge->head);
    } else {
        hold_input(conn);
        conn_want_head(conn);
    }
}

/* Subscribes at once to what there is to; the welcome waits for the answer, which tells where the stream begins. */
static int begin(struct conn *conn, const struct stream_request *request)
{
    struct since since;
    struct outset outset;
    bool asks = false;
    int err = stream_since(conn->edge, request, &since);
    if (!err)
        err = stream_asks(request, conn->principal, &asks);
    if (!err)
        err = outset_init(&outset, request, conn->principal, false);
    if (err)
        return err;
    err = stream_take(conn->edge, conn->principal, request, outset.n);
    if (!err && outset.n == 0)
        greet(conn);
    else if (!err && !(err = conn_subscribe(conn, outset.names, outset.n, &since, false, NULL)))
        hold_input(conn);
    if (!err && asks)
        err = conn_ask(conn, request->channels, request->n_channels);
    outset_fini(&outset);
    return err;
}

struct conn *ws_open(struct edge *edge, void *line, const struct stream_request *request)
{
    struct principal *principal;
    int err = stream_principal(edge, request, &principal);
    if (err)
        principal = principal_anonymous(edge->config);
    struct conn *conn = conn_new(edge, &ws_protocol, line, principal, err ? SLICE("") : request->client);
    if (!conn)
        return NULL;
    if (!err)
        err = begin(conn, request);
    if (err)
        conn_close(conn, err);
    conn_due_in(conn, stream_seconds(edge->config->ws_ping_ms));
    return conn;
}

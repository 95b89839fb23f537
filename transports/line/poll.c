#include "transports/line/poll.h"

#include "hub/access/cors.h"
#include "hub/base/duration.h"
#include "hub/base/err.h"
#include "hub/base/etag.h"
#include "hub/metrics.h"
#include "transports/edge/catchup.h"
#include "transports/edge/control.h"
#include "transports/edge/edge.h"
#include "transports/line/direct.h"
#include "transports/protocol/answer.h"
#include "transports/protocol/stream.h"
#include "transports/request/outset.h"
#include "transports/request/stream_request.h"
#include "transports/wire/wire.h"

#include <stdlib.h>

struct poll {
    struct direct   direct;          /* first */
    struct link     link;            /* in lines->polls: begun, and perhaps complete at the end of this turn */
    struct buf      messages;        /* WIRE_POLL frames */
    struct cors     cors;            /* its origin is in `bytes` */
    uint8_t         gap;             /* enum gap_reason */
    bool            at_once;         /* timeout=0 */
    bool            answering;       /* what its connection says goes to the socket */
    bool            same;            /* where it begins is what If-None-Match names */
    uint8_t         origin_len;
    uint16_t        known_len;
    struct position begin;           /* where it begins, once it is `greeted` */
    char            bytes[];         /* the origin, then the value of If-None-Match */
};

static struct poll *poll_of(const struct line *line)      { return (struct poll *)(uintptr_t)line; }
static struct poll *poll_of_conn(const struct conn *conn) { return poll_of(conn->line); }
static bool         is_full(const struct poll *poll)      { return poll->messages.len >= POLL_BYTES; }

/* ---- the line: what it is given is collected, until the answer is said ---- */

static ssize_t poll_send(struct line *line, const struct iovec *iov, int n)
{
    struct poll *poll = poll_of(line);
    size_t taken = 0;
    if (poll->answering)
        return socket_write(&line->socket, iov, n);
    for (int i = 0; i < n && !is_full(poll); i++) {
        size_t room = POLL_BYTES - poll->messages.len, len = iov[i].iov_len < room ? iov[i].iov_len : room;
        buf_add(&poll->messages, iov[i].iov_base, len);
        taken += len;
    }
    list_add_last(&line->lines->polls, &poll->link);
    return poll->messages.failed ? SOCKET_BROKEN : (ssize_t)taken;
}

static bool poll_keep(struct line *line, const void *rest, size_t len)
{
    struct poll *poll = poll_of(line);
    if (poll->answering)
        return direct_keep(line, rest, len);
    buf_add(&poll->messages, rest, len);
    return !poll->messages.failed;
}

/* A full one takes no more, so there is nothing to wait for. */
static void poll_want_writable(struct line *line)
{
    if (poll_of(line)->answering)
        direct_want_writable(line);
}

/* Its last words are the whole answer. Who takes it at this rate gets it; cut at a fixed time, a slower one would ask for the same again
 * and never come to its end. */
static int64_t poll_rest_ms(const struct line *line)
{
    const struct buf *kept = poll_of(line)->direct.kept;
    return kept ? (int64_t)kept->len / POLL_BYTES_PER_MS : 0;
}

static void poll_close(struct line *line)
{
    struct poll *poll = poll_of(line);
    link_remove(&poll->link);
    buf_fini(&poll->messages);
    direct_fini(&poll->direct);
    free(poll);
}

static const struct line_kind poll_line = {
    .holds = direct_holds, .send = poll_send, .keep = poll_keep, .want_writable = poll_want_writable, .read = direct_read,
    .rest_ms = poll_rest_ms, .shut = direct_shut, .close = poll_close,
};
static const struct direct_use poll_use = { .on_readable = direct_discard };

/* ---- the protocol: nothing is said before the answer ---- */

/* One answer has one reason. That the epoch is another says more than what has been lost since: messages before the position may follow. */
static void note_gap(struct poll *poll, enum gap_reason gap)
{
    if (poll->gap != GAP_EPOCH && gap != GAP_NONE)
        poll->gap = (uint8_t)gap;
}

static void poll_gap(struct conn *conn, const struct catchup *catchup, const struct fetch_call *answer)
{
    (void)catchup;
    note_gap(poll_of_conn(conn), answer->gap);
}

enum { ETAG_TEXT = POSITION_TEXT + 2 };

static struct slice etag_of(struct position position, char text[ETAG_TEXT])
{
    size_t n = position_print(text + 1, position);
    text[0] = text[n + 1] = '"';
    return slice(text, n + 2);
}

static void poll_began(struct conn *conn, struct catchup *catchup, const struct fetch_call *answer)
{
    struct poll *poll = poll_of_conn(conn);
    char text[ETAG_TEXT];
    (void)catchup;
    note_gap(poll, answer->gap);
    if (conn->greeted)
        return;      /* a channel that was given to it from outside */
    conn->greeted = true;
    poll->begin = answer->begin;
    poll->same = etag_is_named(slice(poll->bytes + poll->origin_len, poll->known_len), etag_of(poll->begin, text));
    list_add_last(&poll->direct.line.lines->polls, &poll->link);
}

static void poll_replayed(struct conn *conn, struct catchup *catchup, struct position upto)
{
    (void)conn, (void)catchup, (void)upto;
}

static void poll_withdrawn(struct conn *conn, const struct catchup *catchup, struct slice channel)
{
    (void)conn, (void)catchup, (void)channel;
}

/* An answer has no place for what happens to the connection; it is over soon, and the next poll asks for what it wants. */
static void poll_tell(struct conn *conn, const char *type, struct buf *object)
{
    (void)conn, (void)type;
    buf_fini(object);
}

/* Its time is up. It is answered when the head is known. */
static int poll_due(struct conn *conn)
{
    conn_want_head(conn);
    return 0;
}

static void poll_position(struct conn *conn) { conn_close(conn, ERR_NORMAL); }

static void answer_with_messages(struct buf *out, const struct conn *conn, struct poll *poll, int64_t retry_ms)
{
    struct buf object = { 0 };
    char text[ETAG_TEXT];
    bool nothing = poll->messages.len == 0 && poll->gap == GAP_NONE;
    if (nothing && poll->same && retry_ms == 0) {
        answer_not_modified(out, etag_of(poll->begin, text), &poll->cors);
        return;
    }
    control_messages(&object, buf_slice(&poll->messages), conn->position, (enum gap_reason)poll->gap, retry_ms);
    buf_fini(&poll->messages);
    answer_messages(out, &object, conn->position, &poll->cors);
    buf_fini(&object);
}

/* Whatever ends it, what it has is answered with the position behind it, so the next poll goes on there. But who may not come back
 * as he is, or has not begun, gets the error. Who was cut with all others is told when to come back. */
static void poll_farewell(struct conn *conn, const struct parting *parting)
{
    struct poll *poll = poll_of_conn(conn);
    struct buf *out = conn_say_begin(conn);
    poll->answering = true;
    if (conn->greeted && (parting->err == ERR_NORMAL || parting_says_bye(parting)))
        answer_with_messages(out, conn, poll, parting->err == ERR_NORMAL ? 0 : conn_retry_ms(conn));
    else
        answer_problem(out, err_status(parting->err) >= 400 ? parting->err : ERR_BUSY, &poll->cors, false);
    conn_say_end(conn);
}

static const struct protocol poll_protocol = {
    .name = "poll", .gauge = METRIC_conns_poll, .format = WIRE_POLL, .replay_format = WIRE_POLL, .fleeting = true,
    .began = poll_began, .gap = poll_gap, .replayed = poll_replayed, .withdrawn = poll_withdrawn, .tell = poll_tell, .due = poll_due,
    .position = poll_position, .farewell = poll_farewell,
};

/* ---- complete or not ---- */

static bool is_complete(const struct poll *poll, const struct conn *conn)
{
    if (is_full(poll))
        return true;
    return conn_at_end(conn) && (poll->messages.len > 0 || poll->gap != GAP_NONE || poll->at_once);
}

bool polls_settle(struct lines *lines)
{
    bool any = false;
    list_each(l, following, &lines->polls) {
        struct poll *poll = link_of(l, struct poll, link);
        struct conn *conn = poll->direct.line.conn;
        if (!conn || conn->conn_state != CONN_OPEN) {
            link_remove(&poll->link);
        } else if (is_complete(poll, conn)) {
            link_remove(&poll->link);
            conn_close(conn, ERR_NORMAL);
            any = true;
        } else if (conn_at_end(conn)) {
            link_remove(&poll->link);      /* it waits; what comes puts it back */
        }
    }
    return any;
}

/* ---- the request ---- */

static int find_timeout(const struct stream_request *request, int64_t *ret_ms)
{
    int64_t ms = POLL_TIMEOUT_MS;
    if (request->timeout.len > 0 && (!duration_parse(request->timeout, &ms) || ms < 0 || ms > POLL_TIMEOUT_MAX_MS))
        return ERR_BAD_FIELD;
    *ret_ms = ms;
    return 0;
}

int poll_check(struct edge *edge, const struct stream_request *request)
{
    int64_t timeout_ms;
    int err = find_timeout(request, &timeout_ms);
    return err ? err : stream_check(edge, request, false);
}

static struct conn *begin(struct poll *poll, const struct stream_request *request)
{
    struct edge *edge = poll->direct.line.lines->edge;
    struct principal *principal;
    struct outset outset;
    struct since since;
    int64_t timeout_ms;
    if (find_timeout(request, &timeout_ms) || stream_since(edge, request, &since) || stream_principal(edge, request, &principal))
        return NULL;      /* poll_check had said yes */
    if (outset_init(&outset, request, principal, false)) {
        principal_unref(principal);
        return NULL;
    }
    poll->at_once = timeout_ms == 0;
    struct conn *conn = conn_new(edge, &poll_protocol, &poll->direct.line, principal, request->client);
    if (conn) {
        int err = conn_subscribe(conn, outset.names, outset.n, &since, false, NULL);
        if (err)
            conn_close(conn, err);
        if (!poll->at_once)
            conn_due_in(conn, stream_seconds(timeout_ms + 999));
    }
    outset_fini(&outset);
    return conn;
}

static struct poll *poll_new(const struct cors *cors, struct slice known)
{
    struct poll *poll = cors->origin.len > UINT8_MAX ? NULL : calloc(1, sizeof *poll + cors->origin.len + known.len);
    if (!poll)
        return NULL;
    poll->cors = *cors;
    poll->origin_len = (uint8_t)cors->origin.len;
    poll->known_len = (uint16_t)known.len;
    if (cors->origin.len > 0)
        memcpy(poll->bytes, cors->origin.at, cors->origin.len);
    if (known.len > 0)
        memcpy(poll->bytes + cors->origin.len, known.at, known.len);
    if (cors->origin.at)
        poll->cors.origin = slice(poll->bytes, cors->origin.len);
    link_init(&poll->link);
    return poll;
}

void poll_open(struct lines *lines, struct socket socket, struct seats seats, const struct stream_request *request, const struct cors *cors,
               struct slice if_none_match)
{
    struct poll *poll = poll_new(cors, if_none_match.len <= POLL_KNOWN ? if_none_match : SLICE(""));
    if (!poll) {
        socket_close(&socket);
        seats_leave(&seats);
        return;
    }
    direct_init(&poll->direct, lines, &poll_line, &poll_use, socket, seats);
    poll->direct.line.conn = begin(poll, request);
    line_log_opened(&poll->direct.line, request);
    if (!poll->direct.line.conn)
        line_die(&poll->direct.line);
}

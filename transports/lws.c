#include "transports/lws.h"

#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/base/reserve.h"
#include "hub/json.h"
#include "hub/config.h"
#include "transports/accept.h"
#include "transports/edge.h"
#include "transports/head.h"
#include "transports/sse.h"
#include "transports/stream_request.h"
#include "transports/wire.h"
#include "transports/ws.h"
#include "transports/ws_input.h"

#include <errno.h>
#include <ev.h>
#include <libwebsockets.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RX_BUFFER = 256,                     /* per WebSocket, for ever: the price of an idle one */
    TX_PACKET = 16 * 1024 * 1024,        /* lws cuts its own writes to rx_buffer_size otherwise */
    HEADER_DATA = 4096,                  /* our own heads only */
    DISCARD = 4096,
};

enum line_state { LINE_OPEN, LINE_ENDING, LINE_SHUT, LINE_DEAD };

struct line {
    struct link      link;               /* in side->lines, side->ending or side->dead */
    struct lws_side *side;
    struct lws      *wsi;                /* NULL: not adopted yet */
    struct conn     *conn;               /* NULL: not yet, or gone */
    struct seats     seats;
    struct ws_input  input;              /* of a WebSocket */
    ev_io            discard;            /* of an SSE stream */
    int64_t          deadline_ms;        /* LINE_ENDING, LINE_SHUT: mono clock */
    uint8_t          state;              /* enum line_state */
    bool             is_ws;
    bool             said_close;         /* a close frame has left, or was handed to lws */
};

/* What the callbacks of one adoption need to know; they run inside it. */
struct arrival {
    struct line                 *line;
    const struct stream_request *request;
    struct slice                 response;      /* SSE */
};

struct lws_side {
    struct edge         *edge;
    struct ev_loop      *loop;
    struct lws_context  *context;
    struct lws_vhost    *vhost;
    struct arrival       arrival;
    struct link          lines, ending, dead;
    size_t               n_lines;
};

static int fd_of(const struct line *line) { return (int)lws_get_socket_fd(line->wsi); }

/* ---- the states of a line ---- */

static void line_die(struct line *line)
{
    if (line->state == LINE_DEAD)
        return;
    line->state = LINE_DEAD;
    list_add_last(&line->side->dead, &line->link);
}

/* Who takes nothing until the deadline costs the kernel no buffers either: the close is a reset. */
static void line_cut(struct line *line)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };
    setsockopt(fd_of(line), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    line_die(line);
}

/* The connection learns that its socket is no more; once. */
static void line_lose_conn(struct line *line)
{
    struct conn *conn = line->conn;
    line->conn = NULL;
    if (conn)
        conn_gone(conn);
}

static void line_shut(struct line *line)
{
    if (line->state != LINE_ENDING || lws_partial_buffered(line->wsi))
        return;
    line->state = LINE_SHUT;
    if (shutdown(fd_of(line), SHUT_WR))
        line_die(line);
}

/* ---- struct line_ops ---- */

static ssize_t line_send(struct conn *conn, const struct iovec *iov, int n)
{
    struct line *line = conn->line;
    if (line->state == LINE_DEAD)
        return -1;
    if (lws_partial_buffered(line->wsi))
        return 0;
    struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n };
    ssize_t sent = sendmsg(fd_of(line), &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0)
        return sent;
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
        return 0;
    line_die(line);
    return -1;
}

static void line_want_writable(struct conn *conn)
{
    struct line *line = conn->line;
    if (line->state != LINE_DEAD)
        lws_callback_on_writable(line->wsi);
}

static void line_keep(struct conn *conn, const void *rest, size_t len)
{
    struct line *line = conn->line;
    if (line->state == LINE_DEAD)
        return;
    if (lws_write(line->wsi, (unsigned char *)(uintptr_t)rest, len, LWS_WRITE_RAW) < 0)
        line_die(line);
    else
        lws_callback_on_writable(line->wsi);
}

static void line_pause(struct conn *conn, bool paused)
{
    struct line *line = conn->line;
    if (line->is_ws && line->state != LINE_DEAD)
        lws_rx_flow_control(line->wsi, paused ? 0 : 1);
}

static void line_finish(struct conn *conn, int64_t within_ms)
{
    struct line *line = conn->line;
    if (line->state != LINE_OPEN)
        return;
    line->state = LINE_ENDING;
    line->said_close = true;
    line->deadline_ms = clock_mono_ms(line->side->edge->clock) + within_ms;
    list_add_last(&line->side->ending, &line->link);
    if (line->is_ws && conn->paused)
        lws_rx_flow_control(line->wsi, 1);      /* the other side's end must be seen */
    line_shut(line);
}

const struct line_ops lws_line = {
    .send = line_send, .keep = line_keep, .want_writable = line_want_writable, .pause = line_pause, .finish = line_finish,
};

static void log_opened(const struct line *line)
{
    char name[24];
    if (!line->conn || !log_enabled(LOG_DEBUG))
        return;
    struct slice peer = line->side->arrival.request->peer;
    conn_name(line->conn, name);
    log_debug(name, "opened transport=%s peer=%.*s", line->conn->protocol->name, (int)peer.len, peer.at);
}

/* ---- SSE: what the client sends is of no interest, but its end is ---- */

static void on_discard(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct line *line = watcher->data;
    char bytes[DISCARD];
    (void)events;
    ssize_t n = recv(watcher->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    ev_io_stop(loop, watcher);
    line_die(line);
}

static int on_sse_request(struct line *line)
{
    struct lws_side *side = line->side;
    struct slice head = side->arrival.response;
    int fd = fd_of(line);
    if (side->arrival.line != line)
        return -1;      /* lws had no memory for it when it came; the request is no more */
    if (send(fd, head.at, head.len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)head.len)
        return -1;      /* a fresh socket takes a head, or it is no more */
    lws_http_mark_sse(line->wsi);
    lws_set_timeout(line->wsi, NO_PENDING_TIMEOUT, 0);
    ev_io_init(&line->discard, on_discard, fd, EV_READ);
    line->discard.data = line;
    ev_io_start(side->loop, &line->discard);
    line->conn = sse_open(side->edge, line, side->arrival.request);
    log_opened(line);
    return line->conn ? 0 : -1;
}

/* ---- WebSocket ---- */

static int on_ws_open(struct line *line)
{
    if (line->side->arrival.line != line)
        return -1;
    line->conn = ws_open(line->side->edge, line, line->side->arrival.request);
    log_opened(line);
    return line->conn ? 0 : -1;
}

static void on_ws_piece(struct line *line, struct slice bytes)
{
    struct ws_piece piece = {
        .bytes = bytes, .remaining = lws_remaining_packet_payload(line->wsi),
        .last = lws_is_final_fragment(line->wsi), .binary = lws_frame_is_binary(line->wsi),
    };
    struct slice text;
    if (!line->conn || line->conn->conn_state != CONN_OPEN)
        return;
    int got = ws_input_add(&line->input, &piece, line->side->edge->config->public_max_frame, &text);
    if (got < 0)
        conn_close(line->conn, got);
    else if (got > 0)
        ws_on_message(line->conn, text);
    if (got != 0)
        ws_input_done(&line->input);
}

/* RFC 6455 §7.4: codes that may be on the wire. */
static bool may_be_sent(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static void send_close(struct line *line, struct slice payload)
{
    struct buf frame = { 0 };
    if (line->said_close || lws_partial_buffered(line->wsi))
        return;
    line->said_close = true;
    wire_add_ws(&frame, WS_CLOSE, payload);
    if (!frame.failed && send(fd_of(line), frame.at, frame.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_debug("lws", "the other side did not take the close frame");
    buf_fini(&frame);
}

/* What was said before the end leaves before it. */
static void say_all(struct line *line)
{
    if (line->conn && line->conn->conn_state == CONN_OPEN && line->state == LINE_OPEN)
        edge_send(line->side->edge);
}

/* The answer to a close: its code, 1002 if it is none, 1007 if its reason is no text (RFC 6455 §5.5.1, §8.1). */
static struct slice close_echo(struct slice payload)
{
    const unsigned char *p = (const unsigned char *)payload.at;
    if (payload.len == 0)
        return payload;
    if (payload.len < 2 || !may_be_sent((unsigned)(p[0] << 8 | p[1])))
        return SLICE("\x03\xea");
    return utf8_valid(slice(payload.at + 2, payload.len - 2)) ? slice(payload.at, 2) : SLICE("\x03\xef");
}

/* The other side closes, and that is the end of the line. */
static int on_ws_close(struct line *line, struct slice payload)
{
    say_all(line);
    send_close(line, close_echo(payload));
    return -1;
}

/* lws drops a WebSocket: because it ended, or because its frames were wrong. Where lws says why, it closes with 1002 itself. */
static void on_ws_drop(struct line *line)
{
    say_all(line);
    if (line->conn && lws_get_close_length(line->wsi) == 0)
        send_close(line, SLICE("\x03\xea"));
    line_lose_conn(line);
}

/* ---- what lws calls: unpacked here, done above ---- */

static void on_writable(struct line *line)
{
    if (line->state == LINE_ENDING)
        line_shut(line);
    else if (line->conn && line->state == LINE_OPEN)
        conn_on_writable(line->conn);
}

static void on_destroy(struct line *line)
{
    struct lws_side *side = line->side;
    line_lose_conn(line);
    ev_io_stop(side->loop, &line->discard);
    ws_input_done(&line->input);
    seats_leave(&line->seats);
    link_remove(&line->link);
    side->n_lines--;
    if (side->arrival.line == line)
        side->arrival.line = NULL;
    free(line);
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct line *line = user;
    if (reason == LWS_CALLBACK_WSI_CREATE) {
        struct lws_side *side = lws_context_user(lws_get_context(wsi));
        side->arrival.line->wsi = wsi;
        lws_set_wsi_user(wsi, side->arrival.line);
        return 0;
    }
    if (!line)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_HTTP:                     return on_sse_request(line);
    case LWS_CALLBACK_ESTABLISHED:              return on_ws_open(line);
    case LWS_CALLBACK_RECEIVE:                  on_ws_piece(line, slice(in, len)); return 0;
    case LWS_CALLBACK_RECEIVE_PONG:
        if (line->conn)
            ws_on_pong(line->conn);
        return 0;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:  return on_ws_close(line, slice(in, len));
    case LWS_CALLBACK_HTTP_WRITEABLE:
    case LWS_CALLBACK_SERVER_WRITEABLE:         on_writable(line); return 0;
    case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:  on_ws_drop(line); return 0;
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_CLOSED_HTTP:              line_lose_conn(line); return 0;
    case LWS_CALLBACK_WSI_DESTROY:              on_destroy(line); return 0;
    default:                                    return 0;
    }
}

/* ---- adoption ---- */

static struct line *line_new(struct lws_side *side, struct seats seats, bool is_ws)
{
    struct line *line = calloc(1, sizeof *line);
    if (!line)
        return NULL;
    line->side = side;
    line->seats = seats;
    line->is_ws = is_ws;
    ev_init(&line->discard, on_discard);
    link_init(&line->link);
    list_add_last(&side->lines, &line->link);
    side->n_lines++;
    return line;
}

static void adopt(struct lws_side *side, int fd, struct seats seats, bool is_ws, const struct arrival *arrival, const struct buf *head)
{
    struct line *line = head->failed ? NULL : line_new(side, seats, is_ws);
    if (!line) {
        seats_leave(&seats);
        close(fd);
        return;
    }
    side->arrival = *arrival;
    side->arrival.line = line;
    struct lws *wsi = lws_adopt_socket_vhost_readbuf(side->vhost, fd, head->at, head->len);
    if (!wsi && side->arrival.line) {
        log_warn("lws", "a socket could not be taken: out of memory or descriptors");
        on_destroy(line);      /* it failed before lws knew it; lws has closed the socket */
    }
    side->arrival = (struct arrival){ 0 };
}

void lws_side_sse(struct lws_side *side, int fd, struct seats seats, const struct stream_request *request, struct slice response)
{
    struct buf head = { 0 };
    struct arrival arrival = { .request = request, .response = response };
    buf_add_str(&head, "GET /sse HTTP/1.1\r\nHost: -\r\n\r\n");
    adopt(side, fd, seats, false, &arrival, &head);
    buf_fini(&head);
}

void lws_side_ws(struct lws_side *side, int fd, struct seats seats, const struct stream_request *request, const struct head *request_head, struct slice early)
{
    struct buf head = { 0 };
    struct arrival arrival = { .request = request };
    buf_add_str(&head, "GET /ws HTTP/1.1\r\nHost: -\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ");
    buf_add_slice(&head, request_head->ws_key);
    if (request_head->offers_carillon)
        buf_add_str(&head, "\r\nSec-WebSocket-Protocol: carillon.v1");
    buf_add_str(&head, "\r\n\r\n");
    buf_add_slice(&head, early);
    adopt(side, fd, seats, true, &arrival, &head);
    buf_fini(&head);
}

/* ---- the side ---- */

static void *allocate(void *p, size_t size, const char *reason)
{
    (void)reason;
    return reserve_realloc(p, size);
}

/* lws formats what it logs in one buffer of the whole process, whatever thread it is on, and says a harmless thing as an
 * error at every adoption: it is silent, and what matters (a side that cannot start, a socket that is not taken) is said here.
 * A WebSocket whose first allocations fail makes it follow a null pointer, so it gets its memory from the reserve. */
static void set_up_lws(void)
{
    lws_set_log_level(0, NULL);
    lws_set_allocator(allocate);
}

static struct lws_context *context_new(struct lws_side *side)
{
    static pthread_once_t set_up = PTHREAD_ONCE_INIT;
    static const lws_retry_bo_t no_pings = { .secs_since_valid_ping = 0, .secs_since_valid_hangup = 0 };
    static const struct lws_protocols protocols[] = {
        { .name = "carillon.v1", .callback = callback, .rx_buffer_size = RX_BUFFER, .tx_packet_size = TX_PACKET },
        { 0 },
    };
    void *loops[1] = { side->loop };
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER, .protocols = protocols, .vhost_name = "public", .gid = (gid_t)-1, .uid = (uid_t)-1,
        .options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS, .foreign_loops = loops, .user = side,
        .max_http_header_pool = 4096, .max_http_header_data = HEADER_DATA, .timeout_secs = 10, .retry_and_idle_policy = &no_pings,
    };
    pthread_once(&set_up, set_up_lws);
    struct lws_context *context = lws_create_context(&info);
    if (context && !(side->vhost = lws_create_vhost(context, &info))) {
        lws_context_destroy(context);
        return NULL;
    }
    return context;
}

int lws_side_new(struct edge *edge, struct ev_loop *loop, struct lws_side **ret_side)
{
    struct lws_side *side = calloc(1, sizeof *side);
    if (!side)
        return ERR_MEMORY;
    *side = (struct lws_side){ .edge = edge, .loop = loop };
    link_init(&side->lines);
    link_init(&side->ending);
    link_init(&side->dead);
    side->context = context_new(side);
    if (!side->context) {
        log_error("lws", "libwebsockets cannot start on libev: is its plugin there (Debian: libwebsockets-evlib-ev)?");
        free(side);
        return ERR_INTERNAL;
    }
    *ret_side = side;
    return 0;
}

void lws_side_free(struct lws_side *side)
{
    if (!side)
        return;
    list_each(l, following, &side->lines)
        link_of(l, struct line, link)->said_close = true;      /* there was time for it; what is left is cut */
    lws_context_destroy(side->context);
    free(side);
}

size_t lws_side_lines(const struct lws_side *side) { return side->n_lines; }

void lws_side_tick(struct lws_side *side)
{
    int64_t now = clock_mono_ms(side->edge->clock);
    lws_cancel_service(side->context);      /* lws's timers do not fire on a quiet libev loop by themselves */
    list_each(l, following, &side->ending) {
        struct line *line = link_of(l, struct line, link);
        if (line->deadline_ms <= now)
            line_cut(line);
    }
}

/* While lws has something buffered it does not close but goes on flushing; on a socket that is shut its next try ends it. */
bool lws_side_bury(struct lws_side *side)
{
    struct link *first;
    bool any = false;
    while ((first = list_first(&side->dead))) {
        struct line *line = link_of(first, struct line, link);
        link_remove(first);
        line_lose_conn(line);
        if (lws_partial_buffered(line->wsi))
            shutdown(fd_of(line), SHUT_RDWR);
        lws_set_timeout(line->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
        any = true;
    }
    return any;
}

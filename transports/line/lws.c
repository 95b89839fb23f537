#include "transports/line/lws.h"

#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/base/reserve.h"
#include "transports/edge/edge.h"
#include "transports/line/websocket.h"
#include "transports/line/ws_reader.h"
#include "transports/protocol/ws.h"
#include "transports/request/head.h"
#include "transports/request/stream_request.h"

#include <libwebsockets.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RX_BUFFER = 244,                     /* per WebSocket, for ever; with what lws adds, a step of malloc */
    RX_NOTHING = 4,                      /* of those that lws does not read */
    TX_PACKET = 16 * 1024 * 1024,        /* lws cuts its own writes to rx_buffer_size otherwise */
    HEADER_DATA = 4096,                  /* our own heads only */
    READING_MAX = 16,                    /* WebSockets that are read on in one turn */
    PIECES_MAX = 512,                    /* of each */
};

#define HEARD   "heard"
#define UNHEARD "unheard"

/* A WebSocket in the clear: lws has the client's socket, but we read it. */
struct ws_line {
    struct line      line;               /* first */
    struct websocket websocket;
    struct ws_reader reader;
};

/* What the callbacks of one adoption need to know; they run inside it. */
struct arrival {
    struct websocket            *websocket;
    const struct stream_request *request;
    struct slice                 early;
};

struct lws_side {
    struct lines        *lines;
    struct lws_context  *context;
    struct lws_vhost    *heard, *unheard;    /* lws reads what is adopted to the first; of the others it only answers the upgrade */
    struct arrival       arrival;
    /* In the middle of a message: read on at the end of the turn (lws_side_read_on). Those that find no place wait for the loop. */
    struct websocket    *reading[READING_MAX];
    int                  n_reading;
    uint64_t             pieces;             /* that have come so far */
};

static struct lws_side *side_of(struct lws *wsi) { return lws_context_user(lws_get_context(wsi)); }
static struct ws_line *ws_line_of(const struct line *line) { return (struct ws_line *)(uintptr_t)line; }
static struct lws *wsi_of(const struct line *line) { return ws_line_of(line)->websocket.wsi; }

/* ---- struct line_kind of a WebSocket in the clear ---- */

static bool ws_holds(const struct line *line) { return lws_partial_buffered(wsi_of(line)); }
static void ws_want_writable(struct line *line) { lws_callback_on_writable(wsi_of(line)); }
static void ws_read(struct line *line, bool on) { ws_reader_set(&ws_line_of(line)->reader, on); }
static bool ws_shut(struct line *line) { return shutdown(line->socket.fd, SHUT_WR) == 0; }

static bool ws_keep(struct line *line, const void *rest, size_t len)
{
    return lws_write(wsi_of(line), (unsigned char *)(uintptr_t)rest, len, LWS_WRITE_RAW) >= 0;
}

/* While lws has something buffered it does not close but goes on flushing; on a socket that is shut its next try ends it. */
static void ws_close(struct line *line)
{
    ws_reader_fini(&ws_line_of(line)->reader);
    if (lws_partial_buffered(wsi_of(line)))
        shutdown(line->socket.fd, SHUT_RDWR);
    lws_set_timeout(wsi_of(line), PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

static const struct line_kind ws_kind = {
    .holds = ws_holds, .keep = ws_keep, .want_writable = ws_want_writable, .read = ws_read, .shut = ws_shut, .close = ws_close,
};

/* From now on lws reads nothing. */
static void ws_upgraded(struct websocket *websocket, struct slice early)
{
    lws_rx_flow_control(websocket->wsi, 0);
    ws_reader_begin(&ws_line_of(websocket->line)->reader, websocket, early);
}

/* lws had the client's socket, and has closed it. */
static void ws_gone(struct websocket *websocket)
{
    struct ws_line *line = ws_line_of(websocket->line);
    ws_reader_fini(&line->reader);
    line_fini(&line->line);
    free(line);
}

static const struct websocket_use ws_use = { .upgraded = ws_upgraded, .gone = ws_gone, .reads_itself = true };

void lws_side_read(struct websocket *websocket, bool on)
{
    if (websocket->wsi)
        lws_rx_flow_control(websocket->wsi, on);
}

void lws_side_kill(struct websocket *websocket)
{
    lws_set_timeout(websocket->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

/* ---- what happens on a WebSocket ---- */

static int on_open(struct websocket *websocket)
{
    struct line *line = websocket->line;
    struct lws_side *side = side_of(websocket->wsi);
    if (side->arrival.websocket != websocket)
        return -1;      /* lws had no memory for it when it came; the request is no more */
    if (websocket->use->upgraded)
        websocket->use->upgraded(websocket, side->arrival.early);
    line->conn = ws_open(line->lines->edge, line, side->arrival.request);
    line_log_opened(line, side->arrival.request);
    return line->conn ? 0 : -1;
}

static int reading_place(const struct lws_side *side, const struct websocket *websocket)
{
    for (int i = 0; i < side->n_reading; i++)
        if (side->reading[i] == websocket)
            return i;
    return -1;
}

static void set_reading(struct lws_side *side, struct websocket *websocket, bool reading)
{
    int place = reading_place(side, websocket);
    if (reading && place < 0 && side->n_reading < READING_MAX)
        side->reading[side->n_reading++] = websocket;
    else if (!reading && place >= 0)
        side->reading[place] = side->reading[--side->n_reading];
}

static void on_piece(struct websocket *websocket, struct slice bytes)
{
    struct ws_piece piece = {
        .bytes = bytes, .remaining = lws_remaining_packet_payload(websocket->wsi),
        .last = lws_is_final_fragment(websocket->wsi), .binary = lws_frame_is_binary(websocket->wsi),
    };
    side_of(websocket->wsi)->pieces++;
    set_reading(side_of(websocket->wsi), websocket, !piece.last);
    websocket_on_piece(websocket, &piece);
}

/* That is the end of the line. */
static int on_close(struct websocket *websocket, struct slice payload)
{
    websocket_on_close(websocket, payload);
    return -1;
}

/* lws drops a WebSocket: because it ended, or because its frames were wrong. Where lws says why, it closes with 1002 itself. */
static void on_drop(struct websocket *websocket) { websocket_drop(websocket, lws_get_close_length(websocket->wsi) == 0); }

static void on_destroy(struct websocket *websocket)
{
    line_lose_conn(websocket->line);
    ws_input_done(&websocket->input);
    websocket->wsi = NULL;
    websocket->use->gone(websocket);
}

/* ---- what lws calls: unpacked here, done above ---- */

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct websocket *websocket = user;
    if (reason == LWS_CALLBACK_WSI_CREATE) {
        side_of(wsi)->arrival.websocket->wsi = wsi;
        lws_set_wsi_user(wsi, side_of(wsi)->arrival.websocket);
        return 0;
    }
    if (!websocket)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_HTTP:                     return -1;      /* our head was no upgrade: it always is */
    case LWS_CALLBACK_ESTABLISHED:              return on_open(websocket);
    case LWS_CALLBACK_RECEIVE:                  on_piece(websocket, slice(in, len)); return 0;
    case LWS_CALLBACK_RECEIVE_PONG:             websocket_on_pong(websocket); return 0;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:  return on_close(websocket, slice(in, len));
    case LWS_CALLBACK_SERVER_WRITEABLE:         line_on_left(websocket->line); return 0;
    case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:  on_drop(websocket); return 0;
    case LWS_CALLBACK_CLOSED:                   line_lose_conn(websocket->line); return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        if (side_of(wsi)->arrival.websocket == websocket)
            side_of(wsi)->arrival.websocket = NULL;
        set_reading(side_of(wsi), websocket, false);
        on_destroy(websocket);
        return 0;
    default:                                    return 0;
    }
}

/* ---- reading on ---- */

/* As if the loop had said that there is something to read. */
static bool read_piece(struct lws_side *side, struct lws *wsi)
{
    uint64_t pieces = side->pieces;
    struct lws_pollfd readable = { .fd = lws_get_socket_fd(wsi), .events = LWS_POLLIN, .revents = LWS_POLLIN };
    lws_service_fd(side->context, &readable);
    return side->pieces > pieces;
}

/* It may end meanwhile, and is not in the list any more then. */
static void read_on(struct lws_side *side, struct websocket *websocket)
{
    for (int n = 0; n < PIECES_MAX && reading_place(side, websocket) >= 0; n++)
        if (!websocket->line->conn || websocket->line->conn->paused || !read_piece(side, websocket->wsi))
            break;
    set_reading(side, websocket, false);
}

void lws_side_read_on(struct lws_side *side)
{
    while (side->n_reading > 0)
        read_on(side, side->reading[side->n_reading - 1]);
}

/* ---- adoption ---- */

/* lws takes the vhost by its name. */
static void write_head(struct buf *out, const char *vhost, const struct head *request_head, struct slice early)
{
    buf_add_str(out, "GET /ws HTTP/1.1\r\nHost: ");
    buf_add_str(out, vhost);
    buf_add_str(out, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ");
    buf_add_slice(out, request_head->ws_key);
    if (request_head->offers_carillon)
        buf_add_str(out, "\r\nSec-WebSocket-Protocol: carillon.v1");
    buf_add_str(out, "\r\n\r\n");
    buf_add_slice(out, early);
}

bool lws_side_adopt(struct lws_side *side, int fd, struct websocket *websocket, const struct stream_request *request,
                    const struct head *request_head, struct slice early)
{
    struct buf head = { 0 };
    bool unheard = websocket->use->reads_itself;
    write_head(&head, unheard ? UNHEARD : HEARD, request_head, unheard ? SLICE("") : early);
    side->arrival = (struct arrival){ .websocket = websocket, .request = request, .early = early };
    if (head.failed)
        close(fd);
    struct lws *wsi = head.failed ? NULL : lws_adopt_socket_vhost_readbuf(unheard ? side->unheard : side->heard, fd, head.at, head.len);
    bool never_known = !wsi && side->arrival.websocket;
    side->arrival = (struct arrival){ 0 };
    buf_fini(&head);
    if (never_known)
        log_warn("lws", "a socket could not be taken: out of memory or descriptors");
    return !never_known;
}

void lws_side_ws(struct lws_side *side, struct socket socket, struct seats seats, const struct stream_request *request,
                 const struct head *request_head, struct slice early)
{
    struct ws_line *line = calloc(1, sizeof *line);
    if (!line) {
        socket_close(&socket);
        seats_leave(&seats);
        return;
    }
    line_init(&line->line, side->lines, &ws_kind, socket, seats);
    line->websocket = (struct websocket){ .line = &line->line, .use = &ws_use };
    if (!lws_side_adopt(side, socket.fd, &line->websocket, request, request_head, early))
        ws_gone(&line->websocket);
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
    static const struct lws_protocols heard[] = {
        { .name = "carillon.v1", .callback = callback, .rx_buffer_size = RX_BUFFER, .tx_packet_size = TX_PACKET },
        { 0 },
    };
    static const struct lws_protocols unheard[] = {
        { .name = "carillon.v1", .callback = callback, .rx_buffer_size = RX_NOTHING, .tx_packet_size = TX_PACKET },
        { 0 },
    };
    void *loops[1] = { side->lines->loop };
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER, .protocols = heard, .vhost_name = HEARD, .gid = (gid_t)-1, .uid = (uid_t)-1,
        .options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS, .foreign_loops = loops, .user = side,
        .max_http_header_pool = 4096, .max_http_header_data = HEADER_DATA, .timeout_secs = 10, .retry_and_idle_policy = &no_pings,
    };
    pthread_once(&set_up, set_up_lws);
    struct lws_context *context = lws_create_context(&info);
    if (!context)
        return NULL;
    side->heard = lws_create_vhost(context, &info);
    info.vhost_name = UNHEARD;
    info.protocols = unheard;
    side->unheard = lws_create_vhost(context, &info);
    if (side->heard && side->unheard)
        return context;
    lws_context_destroy(context);
    return NULL;
}

int lws_side_new(struct lines *lines, struct lws_side **ret_side)
{
    struct lws_side *side = calloc(1, sizeof *side);
    if (!side)
        return ERR_MEMORY;
    side->lines = lines;
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
    lws_context_destroy(side->context);
    free(side);
}

void lws_side_tick(struct lws_side *side) { lws_cancel_service(side->context); }

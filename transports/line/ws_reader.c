#include "transports/line/ws_reader.h"

#include "transports/edge/edge.h"
#include "transports/line/line.h"
#include "transports/wire/wire.h"

#include <stdlib.h>

enum { READS_MAX = 8, END_MS = 3000 };

static struct line *line_of(const struct ws_reader *reader) { return reader->websocket->line; }

/* ---- what has been read and not taken ---- */

static void drop_rest(struct ws_reader *reader)
{
    if (!reader->rest)
        return;
    buf_fini(reader->rest);
    free(reader->rest);
    reader->rest = NULL;
}

static void keep_rest(struct ws_reader *reader, const char *at, size_t len)
{
    if (len == 0)
        return;
    if (!reader->rest)
        reader->rest = calloc(1, sizeof *reader->rest);
    if (reader->rest)
        buf_add(reader->rest, at, len);
    if (!reader->rest || reader->rest->failed)
        line_die(line_of(reader));
}

/* ---- frames ---- */

static void answer_ping(struct ws_reader *reader, struct slice payload)
{
    struct conn *conn = line_of(reader)->conn;
    if (!conn || conn->conn_state != CONN_OPEN)
        return;
    wire_add_ws(conn_say_begin(conn), WS_PONG, payload);
    conn_say_end(conn);
}

static void finish(struct ws_reader *reader)
{
    line_lose_conn(line_of(reader));
    line_end(line_of(reader), END_MS);
}

static void take(struct ws_reader *reader, enum ws_event event, const struct ws_piece *piece)
{
    struct websocket *websocket = reader->websocket;
    switch (event) {
    case WS_MORE:
        break;
    case WS_DATA:
        websocket_on_piece(websocket, piece);
        break;
    case WS_PINGED:
        answer_ping(reader, piece->bytes);
        break;
    case WS_PONGED:
        websocket_on_pong(websocket);
        break;
    case WS_CLOSED:
        websocket_on_close(websocket, piece->bytes);
        finish(reader);
        break;
    case WS_WRONG:
        websocket_drop(websocket, true);
        finish(reader);
        break;
    }
}

/* Returns where it stopped: before what is not whole, or where nothing more is wanted now. */
static char *take_all(struct ws_reader *reader, char *at, char *end)
{
    enum ws_event event = WS_DATA;
    struct ws_piece piece;
    while (event != WS_MORE && reader->on && line_of(reader)->state == LINE_OPEN) {
        event = ws_frames_next(&reader->frames, &at, end, &piece);
        take(reader, event, &piece);
    }
    return line_of(reader)->state == LINE_OPEN ? at : end;
}

static void take_rest(struct ws_reader *reader)
{
    struct buf *rest = reader->rest;
    if (!rest)
        return;
    const char *stopped = take_all(reader, rest->at, rest->at + rest->len);
    buf_drop_front(rest, (size_t)(stopped - rest->at));
    if (rest->len == 0)
        drop_rest(reader);
}

static void take_bytes(struct ws_reader *reader, char *bytes, size_t len)
{
    if (reader->rest) {
        keep_rest(reader, bytes, len);
        take_rest(reader);
        return;
    }
    const char *stopped = take_all(reader, bytes, bytes + len);
    keep_rest(reader, stopped, (size_t)(bytes + len - stopped));
}

/* ---- the socket ---- */

/* The other side says nothing more, or is no more. */
static void on_end(struct ws_reader *reader)
{
    if (line_of(reader)->state == LINE_OPEN)
        websocket_drop(reader->websocket, true);
    line_die(line_of(reader));
}

/* True: there may be more. On a line that ends only its end is of interest. */
static bool read_once(struct ws_reader *reader)
{
    char bytes[SOCKET_READ_MIN];
    ssize_t n = socket_read(&line_of(reader)->socket, bytes, sizeof bytes);
    if (n == SOCKET_LATER)
        return false;
    if (n <= 0)
        on_end(reader);
    else if (line_of(reader)->state == LINE_OPEN)
        take_bytes(reader, bytes, (size_t)n);
    return n == sizeof bytes;
}

static void on_io(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct ws_reader *reader = watcher->data;
    (void)loop, (void)events;
    take_rest(reader);
    for (int i = 0; i < READS_MAX && reader->on && line_of(reader)->state != LINE_DEAD; i++)
        if (!read_once(reader))
            break;
}

void ws_reader_set(struct ws_reader *reader, bool on)
{
    struct ev_loop *loop = line_of(reader)->lines->loop;
    if (reader->on == on)
        return;
    reader->on = on;
    if (!on) {
        ev_io_stop(loop, &reader->io);
        return;
    }
    ev_io_start(loop, &reader->io);
    if (reader->rest)
        ev_feed_event(loop, &reader->io, EV_READ);
}

void ws_reader_begin(struct ws_reader *reader, struct websocket *websocket, struct slice early)
{
    *reader = (struct ws_reader){ .websocket = websocket };
    ev_io_init(&reader->io, on_io, websocket->line->socket.fd, EV_READ);
    reader->io.data = reader;
    keep_rest(reader, early.at, early.len);
    ws_reader_set(reader, true);
}

void ws_reader_fini(struct ws_reader *reader)
{
    if (!reader->websocket)
        return;
    ws_reader_set(reader, false);
    drop_rest(reader);
}

#include "transports/line/direct.h"

#include "hub/base/err.h"
#include "transports/edge/edge.h"
#include "transports/protocol/sse.h"

#include <stdlib.h>

static struct direct *direct_of(const struct line *line) { return (struct direct *)(uintptr_t)line; }

/* ---- watching ---- */

static void watch(struct direct *direct)
{
    struct ev_loop *loop = direct->line.lines->loop;
    int events = (direct->reads ? EV_READ : 0) | (direct->wants_writable ? EV_WRITE : 0);
    if ((direct->io.events & (EV_READ | EV_WRITE)) == events && (ev_is_active(&direct->io) || !events))
        return;
    ev_io_stop(loop, &direct->io);
    ev_io_set(&direct->io, direct->line.socket.fd, events);
    if (events)
        ev_io_start(loop, &direct->io);
}

void direct_want_writable(struct line *line)
{
    direct_of(line)->wants_writable = true;
    watch(direct_of(line));
}

void direct_read(struct line *line, bool on)
{
    direct_of(line)->reads = on;
    watch(direct_of(line));
}

/* ---- writing ---- */

bool direct_holds(const struct line *line) { return direct_of(line)->kept || socket_held(&line->socket) > 0; }

bool direct_keep(struct line *line, const void *rest, size_t len)
{
    struct direct *direct = direct_of(line);
    if (!direct->kept && !(direct->kept = calloc(1, sizeof *direct->kept)))
        return false;
    buf_add(direct->kept, rest, len);
    return !direct->kept->failed;
}

bool direct_say(struct direct *direct, const void *bytes, size_t len)
{
    ssize_t taken = direct_holds(&direct->line) ? 0 : socket_write_bytes(&direct->line.socket, bytes, len);
    if (taken < 0 || ((size_t)taken < len && !direct_keep(&direct->line, (const char *)bytes + taken, len - (size_t)taken)))
        return false;
    if (direct_holds(&direct->line))
        direct_want_writable(&direct->line);
    return true;
}

/* What is held leaves as far as the socket takes it. False: it is broken. */
static bool flush(struct direct *direct)
{
    struct socket *socket = &direct->line.socket;
    int err = socket_flush(socket);
    if (err || !direct->kept)
        return err != SOCKET_BROKEN;
    ssize_t taken = socket_write_bytes(socket, direct->kept->at, direct->kept->len);
    if (taken < 0)
        return false;
    buf_drop_front(direct->kept, (size_t)taken);
    if (direct->kept->len == 0) {
        buf_fini(direct->kept);
        free(direct->kept);
        direct->kept = NULL;
    }
    return true;
}

static void on_writable(struct direct *direct)
{
    if (!flush(direct)) {
        line_die(&direct->line);
        return;
    }
    if (direct_holds(&direct->line))
        return;
    direct->wants_writable = false;
    watch(direct);
    if (direct->use->on_left)
        direct->use->on_left(direct);
    line_on_left(&direct->line);
}

static void on_io(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct direct *direct = watcher->data;
    (void)loop;
    if ((events & EV_WRITE) && direct->line.state != LINE_DEAD)
        on_writable(direct);
    if ((events & EV_READ) && direct->line.state != LINE_DEAD)
        direct->use->on_readable(direct);
}

bool direct_shut(struct line *line) { return socket_shut(&line->socket); }

/* ---- life ---- */

void direct_init(struct direct *direct, struct lines *lines, const struct line_kind *kind, const struct direct_use *use,
                 struct socket socket, struct seats seats)
{
    line_init(&direct->line, lines, kind, socket, seats);
    direct->use = use;
    direct->reads = true;
    ev_io_init(&direct->io, on_io, socket.fd, 0);
    direct->io.data = direct;
    watch(direct);
}

void direct_fini(struct direct *direct)
{
    ev_io_stop(direct->line.lines->loop, &direct->io);
    socket_close(&direct->line.socket);
    if (direct->kept) {
        buf_fini(direct->kept);
        free(direct->kept);
    }
    line_fini(&direct->line);
}

/* ---- SSE: what the client sends is of no interest, but its end is ---- */

void direct_discard(struct direct *direct)
{
    char bytes[SOCKET_READ_MIN];
    ssize_t n = socket_read(&direct->line.socket, bytes, sizeof bytes);
    if (n <= 0 && n != SOCKET_LATER)
        line_die(&direct->line);
}

static void sse_close(struct line *line)
{
    direct_fini(direct_of(line));
    free(line);
}

static const struct line_kind sse_line = {
    .holds = direct_holds, .keep = direct_keep, .want_writable = direct_want_writable, .read = direct_read, .shut = direct_shut, .close = sse_close,
};
static const struct direct_use sse_use = { .on_readable = direct_discard };

void direct_sse(struct lines *lines, struct socket socket, struct seats seats, const struct stream_request *request, struct slice response)
{
    struct direct *direct = calloc(1, sizeof *direct);
    if (!direct) {
        socket_close(&socket);
        seats_leave(&seats);
        return;
    }
    direct_init(direct, lines, &sse_line, &sse_use, socket, seats);
    if (direct_say(direct, response.at, response.len))
        direct->line.conn = sse_open(lines->edge, &direct->line, request);
    line_log_opened(&direct->line, request);
    if (!direct->line.conn)
        line_die(&direct->line);
}

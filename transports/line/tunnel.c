#include "transports/line/tunnel.h"

#include "hub/base/log.h"
#include "transports/line/direct.h"
#include "transports/line/lws.h"
#include "transports/line/websocket.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FROM_LWS = 4096, END_MS = 3000 };

struct tunnel {
    struct direct    direct;         /* first: the outside */
    struct websocket websocket;      /* of lws, on the other end of the pair */
    ev_io            inside;         /* our end of the pair */
    struct buf      *waiting;        /* decrypted, not taken by lws yet; NULL: nothing */
    bool             client_ended;   /* its side of TLS; lws is told when it has read all */
    bool             paused;         /* the connection wants no more input now */
};

static struct tunnel *tunnel_of(const struct line *line) { return (struct tunnel *)(uintptr_t)line; }

static void watch_inside(struct tunnel *tunnel)
{
    struct ev_loop *loop = tunnel->direct.line.lines->loop;
    int fd = tunnel->inside.fd;
    int events = (direct_holds(&tunnel->direct.line) ? 0 : EV_READ) | (tunnel->waiting ? EV_WRITE : 0);
    ev_io_stop(loop, &tunnel->inside);
    ev_io_set(&tunnel->inside, fd, events);
    if (events && fd >= 0)
        ev_io_start(loop, &tunnel->inside);
}

/* ---- from the client to lws ---- */

static bool read_on(const struct tunnel *tunnel) { return !tunnel->waiting && !tunnel->client_ended && !tunnel->paused; }

static void end_inside(struct tunnel *tunnel)
{
    if (tunnel->client_ended && !tunnel->waiting && tunnel->inside.fd >= 0)
        shutdown(tunnel->inside.fd, SHUT_WR);      /* lws reads what there is, then the end, and goes; its end comes back to us */
}

static bool wait_for_lws(struct tunnel *tunnel, const char *at, size_t len)
{
    if (!tunnel->waiting && !(tunnel->waiting = calloc(1, sizeof *tunnel->waiting)))
        return false;
    buf_add(tunnel->waiting, at, len);
    return !tunnel->waiting->failed;
}

static void drop_waiting(struct tunnel *tunnel)
{
    if (!tunnel->waiting)
        return;
    buf_fini(tunnel->waiting);
    free(tunnel->waiting);
    tunnel->waiting = NULL;
}

/* How many bytes lws's end took. */
static size_t push(struct tunnel *tunnel, const char *at, size_t len)
{
    ssize_t sent = tunnel->inside.fd < 0 ? (ssize_t)len : send(tunnel->inside.fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        return len;      /* lws has gone: nobody reads it any more */
    return sent < 0 ? 0 : (size_t)sent;
}

static void on_client_bytes(struct tunnel *tunnel, const char *at, size_t len)
{
    size_t sent = push(tunnel, at, len);
    if (sent == len)
        return;
    if (!wait_for_lws(tunnel, at + sent, len - sent)) {
        line_die(&tunnel->direct.line);
        return;
    }
    direct_read(&tunnel->direct.line, false);
    watch_inside(tunnel);
}

static void on_readable(struct direct *direct)
{
    struct tunnel *tunnel = tunnel_of(&direct->line);
    char bytes[SOCKET_READ_MIN];
    ssize_t n = socket_read(&direct->line.socket, bytes, sizeof bytes);
    if (n == SOCKET_LATER)
        return;
    if (n > 0) {
        on_client_bytes(tunnel, bytes, (size_t)n);
    } else if (n == SOCKET_ENDED && tunnel->websocket.wsi) {
        tunnel->client_ended = true;
        direct_read(&direct->line, false);
        end_inside(tunnel);
    } else {
        line_die(&direct->line);
    }
}

static void push_waiting(struct tunnel *tunnel)
{
    buf_drop_front(tunnel->waiting, push(tunnel, tunnel->waiting->at, tunnel->waiting->len));
    if (tunnel->waiting->len > 0)
        return;
    drop_waiting(tunnel);
    direct_read(&tunnel->direct.line, read_on(tunnel));
    end_inside(tunnel);
    watch_inside(tunnel);
}

/* ---- from lws to the client ---- */

static void close_inside(struct tunnel *tunnel)
{
    ev_io_stop(tunnel->direct.line.lines->loop, &tunnel->inside);
    if (tunnel->inside.fd >= 0)
        close(tunnel->inside.fd);
    tunnel->inside.fd = -1;
}

/* lws has closed, and all it wrote has been read. */
static void on_lws_end(struct tunnel *tunnel)
{
    close_inside(tunnel);
    if (tunnel->client_ended)
        line_die(&tunnel->direct.line);
    else
        line_end(&tunnel->direct.line, END_MS);
}

/* What lws has written so far leaves now, as far as it can. */
static void pump(struct tunnel *tunnel)
{
    char bytes[FROM_LWS];
    while (tunnel->inside.fd >= 0 && !direct_holds(&tunnel->direct.line)) {
        ssize_t n = recv(tunnel->inside.fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n <= 0) {
            on_lws_end(tunnel);
        } else if (!direct_say(&tunnel->direct, bytes, (size_t)n)) {
            line_die(&tunnel->direct.line);
            return;
        }
    }
    watch_inside(tunnel);
}

static void on_inside(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct tunnel *tunnel = watcher->data;
    (void)loop;
    if ((events & EV_WRITE) && tunnel->waiting)
        push_waiting(tunnel);
    if ((events & EV_READ) && tunnel->direct.line.state != LINE_DEAD)
        pump(tunnel);
}

/* What of lws's was cut leaves before the connection's next frame, or that would land inside a pong. */
static void on_left(struct direct *direct) { pump(tunnel_of(&direct->line)); }

/* ---- struct line_kind ---- */

static void tunnel_read(struct line *line, bool on)
{
    struct tunnel *tunnel = tunnel_of(line);
    tunnel->paused = !on;
    direct_read(line, read_on(tunnel));
    lws_side_read(&tunnel->websocket, on);      /* what is in the pair already is not read either */
}

static void tunnel_close(struct line *line)
{
    struct tunnel *tunnel = tunnel_of(line);
    if (tunnel->websocket.wsi)
        lws_side_kill(&tunnel->websocket);
    close_inside(tunnel);
    drop_waiting(tunnel);
    direct_fini(&tunnel->direct);
    free(tunnel);
}

static const struct line_kind tunnel_line = {
    .holds = direct_holds, .keep = direct_keep, .want_writable = direct_want_writable, .read = tunnel_read, .shut = direct_shut, .close = tunnel_close,
};
static const struct direct_use tunnel_use = { .on_readable = on_readable, .on_left = on_left };

/* The upgrade's answer goes before our first frame. */
static void on_upgraded(struct websocket *websocket, struct slice early)
{
    (void)early;      /* lws has it */
    pump(tunnel_of(websocket->line));
}

/* lws has closed its end: what it wrote before is read from ours, then its end. */
static void on_gone(struct websocket *websocket) { (void)websocket; }

static const struct websocket_use websocket_use = { .upgraded = on_upgraded, .gone = on_gone };

/* NULL: all is closed. *ret_fd is lws's end. */
static struct tunnel *tunnel_new(struct lines *lines, struct socket socket, struct seats seats, int *ret_fd)
{
    int pair[2];
    struct tunnel *tunnel = calloc(1, sizeof *tunnel);
    if (!tunnel || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair)) {
        log_warn("tls", "a WebSocket could not be taken: out of memory or descriptors");
        free(tunnel);
        socket_close(&socket);
        seats_leave(&seats);
        return NULL;
    }
    direct_init(&tunnel->direct, lines, &tunnel_line, &tunnel_use, socket, seats);
    tunnel->websocket = (struct websocket){ .line = &tunnel->direct.line, .use = &websocket_use };
    ev_io_init(&tunnel->inside, on_inside, pair[0], EV_READ);
    tunnel->inside.data = tunnel;
    watch_inside(tunnel);
    *ret_fd = pair[1];
    return tunnel;
}

void tunnel_ws(struct lws_side *side, struct lines *lines, struct socket socket, struct seats seats, const struct stream_request *request,
               const struct head *request_head, struct slice early)
{
    int fd;
    struct tunnel *tunnel = tunnel_new(lines, socket, seats, &fd);
    if (tunnel && !lws_side_adopt(side, fd, &tunnel->websocket, request, request_head, early))
        line_die(&tunnel->direct.line);
}

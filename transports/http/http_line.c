#include "transports/http/http_line.h"

#include "hub/base/err.h"

#include <event2/event.h>

/* ---- out ---- */

/* What leaves now; ERR_GONE: it never will again. */
static int send_some(struct http_line *line, struct slice bytes, size_t *ret_sent)
{
    ssize_t n = socket_write_bytes(&line->socket, bytes.at, bytes.len);
    *ret_sent = n > 0 ? (size_t)n : 0;
    return n < 0 ? ERR_GONE : 0;
}

/* Whoever takes his answers has nothing kept, so what is kept is not worth its memory when it has left. */
static void settle(struct http_line *line)
{
    if (line->kept.len == 0)
        buf_fini(&line->kept);
    if (line->kept.len > 0 || socket_held(&line->socket) || socket_reads_by_writing(&line->socket))
        event_add(&line->writable, NULL);
    else
        event_del(&line->writable);
}

static int send_kept(struct http_line *line)
{
    size_t sent = 0;
    int held = socket_flush(&line->socket);
    if (held)
        return held == SOCKET_BROKEN ? ERR_GONE : 0;
    int err = line->kept.len > 0 ? send_some(line, buf_slice(&line->kept), &sent) : 0;
    buf_drop_front(&line->kept, sent);
    return err;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct http_line *line = arg;
    (void)fd, (void)what;
    if (socket_reads_by_writing(&line->socket)) {
        line->on_readable(line->arg);
        return;
    }
    int err = send_kept(line);
    if (err)
        http_line_silence(line);
    else
        settle(line);
    line->on_written(line->arg, err);
}

int http_line_write(struct http_line *line, struct slice bytes)
{
    size_t sent = 0;
    int err = line->kept.len > 0 ? 0 : send_some(line, bytes, &sent);
    if (err || (sent == bytes.len && !socket_held(&line->socket)))
        return err;
    if (sent < bytes.len)
        buf_add(&line->kept, bytes.at + sent, bytes.len - sent);
    if (line->kept.failed)
        return ERR_MEMORY;
    settle(line);
    return 0;
}

void http_line_shut(struct http_line *line)
{
    socket_shut(&line->socket);
}

/* ---- in ---- */

ssize_t http_line_read(struct http_line *line, char *into, size_t size)
{
    ssize_t n = socket_read(&line->socket, into, size);
    if (n == SOCKET_LATER)
        settle(line);
    return n;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct http_line *line = arg;
    (void)fd, (void)what;
    line->on_readable(line->arg);
}

void http_line_want(struct http_line *line, bool reading)
{
    if (line->reading == reading)
        return;
    line->reading = reading;
    if (reading)
        event_add(&line->readable, NULL);
    else
        event_del(&line->readable);
}

/* ---- life ---- */

int http_line_open(struct http_line *line, struct event_base *base, int fd, struct ssl_ctx_st *tls)
{
    int err = socket_open(fd, tls, &line->socket);
    if (err)
        return err;
    event_assign(&line->readable, base, fd, EV_READ | EV_PERSIST, on_readable, line);
    event_assign(&line->writable, base, fd, EV_WRITE | EV_PERSIST, on_writable, line);
    return 0;
}

void http_line_silence(struct http_line *line)
{
    http_line_want(line, false);
    event_del(&line->writable);
}

void http_line_fini(struct http_line *line)
{
    http_line_silence(line);
    buf_fini(&line->kept);
    socket_close(&line->socket);
}

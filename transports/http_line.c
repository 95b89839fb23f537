#include "transports/http_line.h"

#include "hub/base/err.h"

#include <errno.h>
#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- out ---- */

/* What the kernel takes now; ERR_GONE: it never will again. */
static int send_some(struct http_line *line, struct slice bytes, size_t *ret_sent)
{
    ssize_t n = send(line->fd, bytes.at, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return ERR_GONE;
    *ret_sent = n > 0 ? (size_t)n : 0;
    return 0;
}

/* Whoever takes his answers has nothing kept, so what is kept is not worth its memory when it has left. */
static void settle(struct http_line *line)
{
    if (line->kept.len > 0) {
        event_add(&line->writable, NULL);
        return;
    }
    event_del(&line->writable);
    buf_fini(&line->kept);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct http_line *line = arg;
    size_t sent = 0;
    (void)fd, (void)what;
    int err = send_some(line, buf_slice(&line->kept), &sent);
    if (err) {
        http_line_silence(line);
    } else {
        buf_drop_front(&line->kept, sent);
        settle(line);
    }
    line->on_written(line->arg, err);
}

int http_line_write(struct http_line *line, struct slice bytes)
{
    size_t sent = 0;
    int err = line->kept.len > 0 ? 0 : send_some(line, bytes, &sent);
    if (err || sent == bytes.len)
        return err;
    buf_add(&line->kept, bytes.at + sent, bytes.len - sent);
    if (line->kept.failed)
        return ERR_MEMORY;
    settle(line);
    return 0;
}

void http_line_shut(struct http_line *line)
{
    shutdown(line->fd, SHUT_WR);
}

/* ---- in ---- */

ssize_t http_line_read(struct http_line *line, char *into, size_t size)
{
    ssize_t n = recv(line->fd, into, size, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? HTTP_LINE_NOTHING : HTTP_LINE_BROKEN;
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

void http_line_open(struct http_line *line, struct event_base *base, int fd)
{
    line->fd = fd;
    event_assign(&line->readable, base, fd, EV_READ | EV_PERSIST, on_readable, line);
    event_assign(&line->writable, base, fd, EV_WRITE | EV_PERSIST, on_writable, line);
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
    close(line->fd);
}

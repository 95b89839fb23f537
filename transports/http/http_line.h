/* http_line.h — the socket under a connection to the API: bytes in, bytes out, and what the client has not taken yet.
 *
 * It is the only place of the API's front that reads, writes and watches sockets, so what a connection looks like on the wire
 * (plain or TLS) is decided here alone. A bufferevent would do as much, but asks the kernel three times for every request
 * (how much is there, read it, watch again) and copies every byte once more; here a request is one recv() into a buffer that
 * all connections share, and its answer one send() from another.
 *
 *   readable ─> on_readable() ─> http_line_read
 *   http_line_write ─> the kernel takes it all ─> nothing is kept
 *                  └─> or the rest is kept ─> writable … ─> on_written() when some of it, or the last of it, has left
 *
 * Lifetime   embedded in its connection; http_line_open takes the descriptor over, http_line_fini closes it. In between
 *            http_line_silence ends all callbacks: nothing is freed inside one.
 * Threading  API thread.
 * Limits     what is kept is bounded by the caller, who asks http_line_kept before he writes more. An idle line has no buffer. */
#pragma once
#include "hub/base/buf.h"
#include "transports/port/socket.h"

#include <event2/event_struct.h>
#include <sys/types.h>

struct event_base;

struct http_line {
    struct socket socket;
    bool         reading;           /* on_readable is wanted */
    struct event readable, writable;
    struct buf   kept;              /* written, but not taken by the kernel yet */
    void       (*on_readable)(void *arg);
    void       (*on_written)(void *arg, int err);   /* something that was kept has left; or ERR_GONE: nothing leaves any more */
    void        *arg;
};

/* The callbacks and `arg` are set by the caller before. `tls`: NULL is in the clear. 0, and the descriptor, which does not block,
 * is the line's from now on; or ERR_MEMORY. */
int     http_line_open(struct http_line *line, struct event_base *base, int fd, struct ssl_ctx_st *tls);
void    http_line_fini(struct http_line *line);
void    http_line_silence(struct http_line *line);                 /* no callback from now on */
void    http_line_want(struct http_line *line, bool reading);      /* on_readable while there is something to read */
/* Bytes read, 0: the other side sends no more, or SOCKET_… (socket.h). */
ssize_t http_line_read(struct http_line *line, char *into, size_t size);
/* Sends behind what is kept, and keeps what the kernel does not take. 0, ERR_GONE: nothing leaves any more, or ERR_MEMORY. */
int     http_line_write(struct http_line *line, struct slice bytes);
void    http_line_shut(struct http_line *line);                    /* the other side reads an end behind what was sent */
static inline size_t http_line_kept(const struct http_line *line) { return line->kept.len + socket_held(&line->socket); }

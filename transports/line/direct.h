/* direct.h — a line whose socket is ours alone: written straight from the rings, what is cut is kept here, watched by one
 * watcher. SSE streams are such lines (direct_sse), and polls (poll.h); so is the outside of a tunnel (tunnel.h).
 *
 * Lifetime   see line.h. Threading: its edge's thread.
 * Limits     what is kept is the rest of one frame or of one outbox, and what a tunnel adds while nothing is kept. */
#pragma once
#include "transports/line/line.h"

#include <ev.h>

struct direct;

struct direct_use {
    void (*on_readable)(struct direct *direct);      /* reads at least once, SOCKET_READ_MIN bytes if there are as many */
    void (*on_left)(struct direct *direct);          /* nothing is held any more; NULL: of no interest */
};

struct direct {
    struct line              line;       /* first */
    ev_io                    io;
    const struct direct_use *use;
    struct buf              *kept;       /* NULL: nothing */
    bool                     reads, wants_writable;
};

/* Takes over the socket and the seats, whatever happens. `response` is the head of the stream. */
void direct_sse(struct lines *lines, struct socket socket, struct seats seats, const struct stream_request *request, struct slice response);

/* ---- for lines made of one ---- */
void direct_init(struct direct *direct, struct lines *lines, const struct line_kind *kind, const struct direct_use *use,
                 struct socket socket, struct seats seats);      /* watches the socket, reading */
void direct_fini(struct direct *direct);         /* closes the socket; then line_fini is done too */
/* Frames of its own, outside of line_ops: leave behind all that was taken before. False: it is broken. */
bool direct_say(struct direct *direct, const void *bytes, size_t len);
/* For struct line_kind. */
bool direct_holds(const struct line *line);
bool direct_keep(struct line *line, const void *rest, size_t len);
void direct_want_writable(struct line *line);
void direct_read(struct line *line, bool on);
bool direct_shut(struct line *line);
/* For struct direct_use: what the client sends is of no interest, but its end is. */
void direct_discard(struct direct *direct);

/* line.h — the line port of transports/edge/conn.h without a socket: takes as many bytes as it likes, and dies when it likes.
 *
 *   conn ──send, keep──> [kept] ──> [net: bytes that the client has not read yet, at most cap] ──> listener
 *
 * Lifetime   of its connection and its listener: freed when both the connection is gone and the listener has let go. */
#pragma once
#include "hub/base/buf.h"
#include "transports/edge/conn.h"

struct sim;

struct line {
    struct sim  *sim;
    int          edge;
    struct conn *conn;           /* NULL: it is gone */
    struct buf   kept, net;
    size_t       cap;
    int64_t      kill_ms;        /* after finish() */
    bool         wants_writable, paused, finishing, dead;
    bool         has_listener;     /* the client has not let go */
    bool         was_live;       /* what conn->was_live was at the end */
};

struct line *line_new(struct sim *sim, int edge, size_t cap);
void line_ops_init(struct line_ops *ops, size_t max_run);
/* Moves bytes on, tells the connection what it wants to know. The edge's turn ends with its flush. */
void line_move(struct line *line);
void line_cut(struct line *line);        /* the socket is gone, now */
void line_let_go(struct line *line);     /* the listener does not look any more; cuts it */
bool line_at_end(const struct line *line);   /* nothing will come any more */

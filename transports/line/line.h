/* line.h — the bytes under one connection of the public port, and all lines of one edge.
 *
 *   conn (conn.h) ──struct line_ops──> line ──┬─ stream      an SSE stream on its socket, plain or TLS (direct.c)
 *                                             ├─ poll        the same, but it collects one answer (poll.c)
 *                                             ├─ websocket   libwebsockets on the socket itself (lws.c)
 *                                             └─ tunnel      libwebsockets behind TLS that is ended here (tunnel.c)
 *
 * What kinds of lines differ in is one table each (struct line_kind); what they share is here: states, deadlines, the end.
 *
 *   OPEN ─finish─> ENDING (what was taken leaves) ─> SHUT (waits for the other side's end) ─EOF or deadline─> DEAD
 *   any  ─error─> DEAD, closed at the end of the turn; never inside a callback of a library or of the connection
 *
 * Lifetime   a line lives from adoption until kind->close has freed it; lines_bury is where that happens.
 * Threading  its edge's thread. */
#pragma once
#include "hub/base/buf.h"
#include "hub/base/list.h"
#include "transports/edge/conn.h"
#include "transports/port/seats.h"
#include "transports/port/socket.h"

struct edge;
struct ev_loop;
struct line;
struct stream_request;

enum line_state { LINE_OPEN, LINE_ENDING, LINE_SHUT, LINE_DEAD };

struct line_kind {
    bool    (*holds)(const struct line *line);          /* something it has taken has not left yet */
    ssize_t (*send)(struct line *line, const struct iovec *iov, int n);    /* line_ops.send; NULL: to the socket */
    bool    (*keep)(struct line *line, const void *rest, size_t len);      /* line_ops.keep; false: it is broken */
    void    (*want_writable)(struct line *line);
    void    (*read)(struct line *line, bool on);        /* go on reading, or not */
    int64_t (*rest_ms)(const struct line *line);        /* how much longer than usual its last words may take to leave; NULL: no longer */
    bool    (*shut)(struct line *line);                 /* our side ends; false: it is broken */
    void    (*close)(struct line *line);                /* closes and frees; line->conn is NULL */
};

/* The edge's lines. */
struct lines {
    struct edge    *edge;
    struct ev_loop *loop;
    struct link     open, ending, dead;
    struct link     polls;       /* struct poll (poll.c) that may be complete at the end of this turn */
    size_t          n;
};

struct line {
    struct link             link;            /* in lines->open, ->ending or ->dead */
    struct lines           *lines;
    const struct line_kind *kind;
    struct conn            *conn;            /* NULL: not yet, or gone */
    struct socket           socket;
    struct seats            seats;
    int64_t                 deadline_ms;     /* ENDING, SHUT: mono clock */
    uint8_t                 state;           /* enum line_state */
    bool                    said_close;      /* of a WebSocket: its close frame has left, outside of what its connection said */
};

extern const struct line_ops line_ops;       /* for the edge: dispatches to the kind */

void   lines_init(struct lines *lines, struct edge *edge, struct ev_loop *loop);
void   lines_fini(struct lines *lines);      /* closes all there are; their connections are told */
void   lines_tick(struct lines *lines);      /* once a second while there are lines: cuts those whose deadline has passed */
/* End of turn, after edge_flush: closes what is dead. True: connections have gone, so flush again. */
bool   lines_bury(struct lines *lines);

/* ---- for kinds of lines ---- */
void line_init(struct line *line, struct lines *lines, const struct line_kind *kind, struct socket socket, struct seats seats);
void line_fini(struct line *line);           /* last act of kind->close: leaves the seats and the list. The socket is the kind's */
void line_lose_conn(struct line *line);      /* the connection learns that its socket is no more; once */
void line_die(struct line *line);            /* ends at the end of this turn */
void line_end(struct line *line, int64_t within_ms);      /* nothing more will be sent */
void line_on_left(struct line *line);        /* what it had taken has left: shuts if it is ending, else the connection goes on */
void line_log_opened(const struct line *line, const struct stream_request *request);

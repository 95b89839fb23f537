/* http_conn.h — one connection to the API: reads requests, runs them all at once, answers them in order.
 *
 *   bytes ─> head ─> api_begin ─> body ─> api_run ─> … ─> finished      (any number at a time, in a queue)
 *                                                           └─ the first in the queue, and all finished behind it ─> one send()
 *
 * A read behind writes that are not finished is held until they are, so that whoever pipelines sees what it has published
 * (RFC 9112 §9.3.2); writes do not wait for one another.
 *
 * States (http_conn.c has the table, http_intake.c reads):
 *   HEAD    between requests, or inside a head
 *   BODY    a body is being read for a request that was begun
 *   SKIP    a small body is being read away: its request was refused
 *   LAST    nothing more is read: the last answers leave
 *   LINGER  the last answer has left and our side is shut; the other side may finish (RFC 9112 §9.6: no RST into its answer)
 *   CLOSED  freed at the end of the turn
 *
 * A body without end (a stream) is fed to the API as it comes, and its results are put out meanwhile (chunked) when it is the first
 * in the queue. Its time is that between two lines or results, and what is under way of it, or not taken, holds its reading up.
 *
 * Back-pressure: it stops reading at limits.pipeline requests under way, at CONN_PENDING_BYTES they may cost, at
 * CONN_OUTPUT_BYTES the client has not taken, and while the hub's mailbox is full; it goes on when that has passed.
 * Deadlines: a head, from its first byte or from connecting, limits.handshake_timeout; a body, and an answer that does not
 * move, limits.request_timeout (of a stream: each line); idle CONN_IDLE_MS. One timer per connection, moved only when it fires or must fire earlier.
 *
 * Lifetime   http_conn_new at accept; freed by the front at the end of the turn in which it closed. Requests that are at the hub
 *            then are orphans: they are given back when their answer comes.
 * Threading  API thread. */
#pragma once
#include "transports/http/http_chunk.h"
#include "transports/http/http_front.h"
#include "transports/http/http_line.h"
#include "transports/request/http_head.h"

enum { CONN_IDLE_MS = 75000, CONN_LINGER_MS = 2000, CONN_PENDING_BYTES = 4 * 1024 * 1024, CONN_OUTPUT_BYTES = 256 * 1024, CONN_SKIP_BYTES = 64 * 1024 };

enum http_state { HTTP_STATE_HEAD, HTTP_STATE_BODY, HTTP_STATE_SKIP, HTTP_STATE_LAST, HTTP_STATE_LINGER, HTTP_STATE_CLOSED, HTTP_STATES };

/* A request from its first byte until its answer has been put out. */
struct http_request {
    struct api_request   api;             /* first */
    struct http_head     head;
    struct buf           body;
    struct http_conn    *conn;            /* NULL: the connection is gone */
    struct http_front   *front;
    struct link          link;            /* in conn->requests, in order of arrival */
    struct link          waiting_link;    /* in front->waiting while a call of it is under way */
    struct http_request *next_spare;
    size_t               cost;            /* what it counts for in conn->pending_bytes */
    bool                 finished;        /* the answer is complete */
    bool                 writes;          /* it changes something: reads behind it wait for it */
    bool                 held;            /* a read that waits to be the first in the queue */
    bool                 wants_continue;  /* 100 Continue is owed when it is the first in the queue */
    bool                 last;            /* its answer says Connection: close */
    bool                 http10;
    bool                 whole;           /* of a stream: all of its body has come */
    bool                 head_out;        /* of a stream: the head of its answer has been put out */
};

struct http_conn {
    struct link          link;            /* in front->conns, or front->doomed */
    struct link          touched_link;    /* in front->touched */
    struct http_front   *front;
    struct http_line     line;
    struct ip            peer;            /* the other side of the socket; no address: a unix socket */
    struct buf           held;            /* read, but not taken yet: there was no room for another request */
    struct event        *timer;
    int64_t              timer_ms;        /* when it will fire; INT64_MAX: not set */
    uint64_t             id;
    uint8_t              state;           /* enum http_state */
    bool                 served;          /* it has had a request */
    int64_t              since_ms;        /* when this state, or the head that is being read, began */
    int64_t              moved_ms;        /* when output was last seen to move … */
    size_t               moved_len;       /* … and how much was left then */
    struct http_request *reading_request; /* the one whose head or body is being read */
    struct http_chunks   chunks;
    uint64_t             body_left;       /* of a body with a length */
    struct link          requests;        /* begun and not put out yet */
    size_t               n_requests, pending_bytes;
    size_t               n_writing;       /* of n_requests: writes that are not finished */
    struct api_session   session;
};

struct http_conn *http_conn_new(struct http_front *front, int fd, struct ip peer);   /* NULL: no memory; the descriptor is the caller's then */
void http_conn_touch(struct http_conn *conn);       /* look at it at the end of the turn */
void http_conn_end_turn(struct http_conn *conn);    /* put out, send, go on reading, set the timer */
void http_conn_drain(struct http_conn *conn);       /* close when what is under way is answered */
void http_conn_close(struct http_conn *conn, const char *reason);   /* the one exit door */
void http_conn_free(struct http_conn *conn);        /* of the doomed */

/* For http_intake.c. */
void http_conn_move(struct http_conn *conn, enum http_state next);
static inline bool http_conn_takes_input(const struct http_conn *conn) { return conn->state <= HTTP_STATE_SKIP; }
static inline bool http_conn_in_a_head(const struct http_conn *conn)
{
    return conn->state == HTTP_STATE_HEAD && conn->reading_request && !http_head_empty(&conn->reading_request->head);
}

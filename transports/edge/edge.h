/* edge.h — one edge: everything a thread of public connections shares, without its sockets and without its loop.
 *
 * Happy path of a message: hub mails LETTER_MESSAGE ─> edge_mail: feed.c appends it to the ring of each wire format in use,
 * the feed becomes dirty ─> edge_flush at the end of the turn: every subscriber of a dirty feed is visited once, each
 * connection sends all that is pending with one send() straight from the rings (conn.c) ─> rings without readers that lag
 * give their chunks back to the pool.
 *
 * The loop is elsewhere: edge_thread.c (libev, libwebsockets) for real, a function of the simulation in tests. Both call
 * edge_mail when the mailbox is readable, edge_flush at the end of every turn, edge_tick about once a second.
 *
 * Lifetime   edge_new before the threads start; edge_free after the last connection has gone and all calls have been answered.
 * Threading  edge thread only, all of it, but `box` may be posted to from any thread.
 * Limits     edge.ring_bytes per feed and format, edge.pool_bytes for all rings of the edge, and as much again for batches that
 *            wait for slow lines; limits.channels and limits.patterns per connection. */
#pragma once
#include "hub/base/clock.h"
#include "hub/base/list.h"
#include "hub/base/mail.h"
#include "hub/base/trie.h"
#include "hub/call.h"
#include "transports/edge/roster.h"
#include "transports/edge/tenure.h"
#include "transports/port/crowd.h"
#include "transports/wire/ring.h"
#include "transports/wire/wire.h"

struct attendance;
struct authority;
struct conn;
struct config;
struct dweller;
struct feed_node;
struct hub;
struct line_ops;
struct merge;

enum { WHEEL_SLOTS = 64 };       /* seconds; a longer wait goes round again */

/* The newest message in one wire format: for all rings it goes into. */
struct encoded {
    struct buf bytes;
    uint64_t   arrival;          /* its arrival number; 0: none yet */
};

struct edge {
    const struct config   *config;
    const struct clock    *clock;
    struct authority      *authority;    /* checks credentials; outlives the edge */
    struct crowd          *crowd;        /* of all edges of a port, set before its thread starts; until then of this edge alone */
    struct crowd           alone;
    const struct line_ops *line;         /* how bytes leave: line.c, or a test's */
    struct mailbox         box;
    struct post            to_hub;
    uint8_t                peer;         /* its number at the hub */
    uint64_t               node;         /* hub_node() */
    struct position        head;         /* newest head the hub has told, or of the newest message */
    uint64_t               arrivals;     /* arrival number of the newest message (DESIGN, "one order per connection") */
    struct feed_node      *feeds;        /* table by name of channel or pattern (feed.c) */
    struct trie            patterns;     /* struct feed, of patterns */
    struct exclusions      exclusions;   /* of frames in the pool and in batches */
    struct attendance     *attendances;  /* table by subscription (attend.c) */
    struct dweller        *dwellers;     /* table by connection (dwell.c) */
    struct buf             dwelling;     /* a frame of a room, before it has its header (dwell.c) */
    struct pool            pool;         /* chunks of all rings, readers that fell */
    struct link            dirty_feeds;  /* got messages in this turn */
    struct link            dirty_conns;  /* have something to send or to decide at the end of this turn */
    struct link            conns;        /* all that are open */
    struct roster          roster;       /* the same, by id */
    struct tenures         tenures;      /* those whose credentials end, by when */
    struct link            doomed;       /* gone; freed at the end of the turn in which their last call came back */
    struct link            wheel[WHEEL_SLOTS];   /* connections by the second in which something is due */
    int64_t                wheel_s;      /* the second up to which the wheel has run */
    struct link            head_wanted;  /* connections that wait for a fresh head, by due_link */
    struct link            asking, kept; /* batches under way; kept for others, oldest first (batch.h) */
    size_t                 kept_bytes, batch_bytes;      /* of those kept; of all that are answered */
    struct encoded         encoded[WIRE_FORMATS];
    struct buf             nowhere;      /* takes what is said to a connection that is not open */
    struct merge          *merge;        /* of flush.c: feeds being merged */
    struct conn           *farewell;     /* says its last words in this moment */
    struct head_call       head_call;    /* one at a time */
    struct call            loss_call;    /* likewise */
    struct call            keys_call;    /* likewise (keys_wait.h) */
    struct link            keys_waiting; /* struct keys_wait */
    size_t                 keys_bytes;   /* what they cost */
    struct call            leave_call;   /* once */
    uint64_t               next_id;
    size_t                 n_conns;      /* open ones */
    uint32_t               calls;        /* of the edge itself, under way: watches, batches, head, loss, keys */
    uint32_t               opened;       /* connections so far; after some of them, what they are told first leaves before more come */
    uint32_t               msgs_out;     /* of this turn, for the metrics */
    uint64_t               bytes_out;
    bool                   crowded;      /* an outbox is full, batches take too much, or many have come: send before more mail is taken */
    bool                   starved;      /* some connections are (conn.h) */
    bool                   has_lag_bytes;   /* the rule of some feed has */
    bool                   unwatch_later;   /* there was no memory to say that a feed has no subscriber any more (feed.c) */
    bool                   head_asked;   /* a CALL_HEAD is under way (at most one, at most once a second) */
    bool                   keys_asked;   /* a CALL_KEYS is under way */
    bool                   head_fresh;   /* its answer has come in this turn */
    bool                   draining;
    bool                   leaving, left;    /* CALL_LEAVE is under way, has been answered */
    /* Letters that are the loop's: LETTER_SOCKET, LETTER_STOP; LETTER_DRAIN after the edge has closed its connections.
     * It frees them. NULL: the edge does. */
    void (*on_letter)(struct edge *edge, struct letter *letter);
    void                  *loop;         /* the loop's own */
};

/* Registers itself at the hub as a peer. 0 or ERR_MEMORY. */
int  edge_new(const struct config *config, const struct clock *clock, struct hub *hub, struct authority *authority, bool with_fd, struct edge **ret_edge);
void edge_free(struct edge *edge);       /* NULL is fine. If it is not idle (LETTER_STOP), what the hub still has is left to it */
void edge_mail(struct edge *edge);       /* takes all letters that have come */
/* Everything that is pending leaves now, in the middle of a turn. A connection is never flushed by itself: readers may have
 * fallen, or wait at the end of a ring for its fresh frames, and only this puts all of them in their places first. */
void edge_send(struct edge *edge);
void edge_flush(struct edge *edge);      /* end of turn: sends, asks, frees what is doomed, hands letters to the hub */
void edge_tick(struct edge *edge);       /* about once a second while there are connections: whatever is due */
void edge_call(struct edge *edge, struct call *call, enum letter_kind kind, size_t bytes);   /* submits a call of the edge itself */
void edge_heard(struct edge *edge, struct position head);     /* everything up to here has completed, and came in mail before */
void edge_ask_head(struct edge *edge);   /* CALL_HEAD, unless one is under way */
/* It ends: true when the hub knows and mails it no errand any more. Until then calls it again, at the end of a turn without connections. */
bool edge_leave(struct edge *edge);
bool edge_idle(const struct edge *edge); /* no connection, none doomed, no call under way: may be freed */

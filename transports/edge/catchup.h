/* catchup.h — from asking the hub to being live: the stages of struct catchup (conn.h), and their order within a connection.
 *
 *   WANTS ──ask──> ASKING ──answer, cut──────> WRITING ──written──> WANTS
 *                    └─────answer, complete──> LAST ─────written──> gone
 *   LAST ──its connection falls back before it is written──> WRITING
 *
 * At a complete answer its subscriptions go live, at the ends of their rings as they are in that moment (EXACT.md 13).
 * Who may ask, so that numbers never go back (conn.h): catchups_ask.
 *
 * Lifetime   in conn->catchups; freed when it is done, when nothing of it is subscribed any more, or with its connection.
 * Threading  the edge's thread. Limits: one batch in hand per connection. */
#pragma once
#include "transports/edge/batch.h"
#include "transports/edge/conn.h"
#include "transports/edge/feed.h"

/* Takes over `tag`. NULL: no memory. It has no subscriptions yet. `begun`: protocol->began needs not be called. */
struct catchup *catchup_new(struct conn *conn, enum catchup_kind kind, const struct since *since, bool begun, void *tag);
void catchup_free(struct catchup *cu);
void catchup_add(struct catchup *cu, struct sub *sub);

/* Lets those ask that may; ends those that have nothing subscribed. True: something could be taken at once. */
bool catchups_ask(struct conn *conn);
/* Its batch has been answered. This may end the catch-up. */
void catchup_take(struct catchup *cu);
/* Its batch has been handed to the line completely. This may end the catch-up. */
void catchup_written(struct catchup *cu);

/* The line takes nothing and batches take too much memory: what is left of this one is fetched again when it does. */
void catchup_put_back(struct catchup *cu);

struct catchup *catchup_resume(const struct conn *conn);      /* the RESUME, or NULL */
struct catchup *catchup_in_hand(const struct conn *conn);     /* the one whose batch is to be written next, or NULL */
bool            catchups_let_rings(const struct conn *conn);  /* the rings may be read */
/* The one that has this subscription and has not begun yet, or NULL. */
struct catchup *catchup_beginning_with(const struct conn *conn, const struct sub *sub);

/* The connection has lost its place in a ring, or was told of a loss: all that is live is parked and caught up from its position. */
void conn_fall_back(struct conn *conn);
/* Its line takes nothing. If it has fallen out of a ring and is to be closed when history cannot serve it any more (lag.policy
 * disconnect), the hub is asked whether that is so: it is closed then, not when it reads on some day. */
void catchup_probe(struct conn *conn);
/* A channel was unsubscribed: what batches in hand have of it is not sent. */
void catchups_skip(struct conn *conn, const struct feed *feed);

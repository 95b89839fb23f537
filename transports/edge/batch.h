/* batch.h — messages that were fetched from the hub, encoded once, for all connections that asked the same.
 *
 * Connections with one channel and the same position share a batch: while the fetch is under way, and for a moment after
 * its answer. Ten thousand clients that come back at once cost one fetch and one encoding.
 *
 *   batch_ask: one like it under way or kept? ──yes──> wait for it, or take it
 *                └─no─> CALL_FETCH ──answer──> encode ─> catchup_take() of each that waits ─> kept
 *
 * Is a kept one still complete? It was, when its answer came. It is as long as its feed has seen no message since; then
 * its `upto` is even the newest head of this edge. Otherwise it counts as one that was cut: what it has is right, and what
 * came later is fetched from where it ends; but it is none any more to those who asked for the newest (`-20`, `last`). When a message of it
 * ends (msg.h, ttl) nobody else gets it.
 *
 * Lifetime   counted: the fetch under way, those who wait or write, and the edge while it keeps it. The fetch_call belongs
 *            to the hub while it is under way.
 * Threading  the edge's thread.
 * Limits     BATCH_BYTES of messages per fetch (one larger message alone); kept ones: KEPT_BYTES per edge, KEPT_MS old.
 *            When all together take more than edge.pool_bytes they are written before the next answer is encoded, and
 *            those that stay, because their lines take nothing, are put back (catchup_put_back). */
#pragma once
#include "hub/base/list.h"
#include "hub/call.h"
#include "transports/wire/wire.h"

struct catchup;
struct edge;
struct feed;

enum { BATCH_BYTES = 256 * 1024, KEPT_BYTES = 4 * 1024 * 1024, KEPT_MS = 2000 };

struct batch_frame {
    uint64_t           seq;
    const struct feed *feed;      /* one that wants it. NULL: it was unsubscribed, not to be sent */
    uint32_t           end;       /* offset behind its last byte */
    uint32_t           exclude;   /* whom it is not for (exclusion.h); 0: it is for all */
};

enum batch_stage { BATCH_ASKING, BATCH_ANSWERED };

struct batch {
    struct link         edge_link;     /* in edge->asking, then in edge->kept */
    struct link         feed_link;     /* in feed->batches while it may be shared */
    struct link         waiters;       /* struct catchup, by wait_link */
    struct edge        *edge;
    struct feed        *feed;          /* the only one; NULL: several, not shared */
    struct fetch_call   fetch;         /* the question, and the answer without its messages */
    struct buf          bytes;
    struct batch_frame *frames;
    uint32_t            n;             /* frames */
    uint32_t            refs;
    size_t              cost;          /* bytes of memory */
    uint64_t            seen;          /* feed->seen when the answer came */
    int64_t             answered_ms;
    int64_t             ends_ms;       /* wall clock: when the first of its messages ends by its own ttl */
    uint8_t             format;        /* enum wire_format */
    uint8_t             stage;         /* enum batch_stage */
    bool                overlaps;      /* of several feeds, one of them a pattern: more than one of them may want a message */
    bool                torn;          /* messages were lost while it was under way: complete only up to `upto` */
    struct feed        *feeds[];       /* those of fetch.channels, held until the answer (the single one: for ever) */
};

static inline size_t batch_start(const struct batch *b, uint32_t i) { return i ? b->frames[i - 1].end : 0; }

/* Gives the catch-up a batch for its next fetch: cu->batch, under way (cu waits in it) or answered already.
 * 0 or ERR_MEMORY. */
int  batch_ask(struct catchup *cu);
/* Nothing after it is missing as of now. */
bool batch_is_complete(const struct batch *b);
void batch_unref(struct batch *b);                  /* NULL is fine */
/* The catch-up needs its batch no more, waiting or writing. */
void batch_leave(struct catchup *cu);

/* Messages are missing from now on: what is under way cannot be the last, what is kept goes. */
void batches_tear(struct edge *edge);
void batches_forget(struct feed *feed);             /* kept ones of this feed go */
void batches_tick(struct edge *edge, int64_t now_ms);
void batches_drop_kept(struct edge *edge);          /* what they have may be nobody's any more: other rules, a purge, the end */

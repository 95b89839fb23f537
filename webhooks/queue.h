/* queue.h — what waits for one endpoint: the heads of it in memory, the rest in the store until its turn comes.
 *
 *   store: PENDING, by when it is due ──page──> window (waiting, in order) ──queue_take──> attempt ──> settled, and forgotten here
 *                                                  ^
 *            accepted just now, and nothing older is in the store only ──┘
 *
 * {due, number} of the last one that was read is the cursor: pages go on behind it. What comes to be due before the cursor (a lane whose
 * first was settled, a dead letter to be sent again, an event that was told before and kept after what was read) makes the queue read from
 * the start once more; what is in memory is left out then.
 *
 * A window is bounded by number and bytes, so an endpoint that is away for days costs no more memory than one that works.
 *
 * Private to webhooks/: dispatcher.c and attempt.c.
 * Lifetime   with its endpoint, and after that until its last attempt has ended.
 * Threading  the hub's. */
#pragma once
#include "hub/base/list.h"
#include "hub/metrics.h"
#include "webhooks/dispatcher.h"
#include "webhooks/sender.h"

#include <uthash.h>

enum job_state { JOB_WAITING, JOB_SENDING, JOB_SETTLING };

/* One delivery in memory. */
struct job {
    struct http_out_request request;       /* first */
    struct sending     sending;            /* what it sends; of a job that waits: type and msg only */
    struct link        link;               /* in queue->waiting, or dispatcher->unsettled */
    UT_hash_handle     hh;                 /* in queue->jobs, by number */
    struct queue      *queue;
    enum job_state     state;
    uint64_t           number, lane;
    int64_t            due_ms, began_ms;   /* wall clock */
    uint16_t           tries;
    unsigned           probe;              /* of the breaker's; 0: it is none */
    struct buf         attempts;           /* what was tried before, as text: JSON objects parted by commas */
    struct settlement  settlement;
    struct settle_call settle;
};

struct queue {
    struct link        link;               /* in dispatcher->ready */
    UT_hash_handle     hh;                 /* in dispatcher->queues, by number */
    struct dispatcher *all;
    uint64_t           number;
    struct endpoint   *endpoint;           /* a reference */
    struct sender     *sender;             /* NULL: to be made */
    struct breaker     breaker;
    struct job        *jobs;               /* all that are in memory */
    struct link        waiting;
    size_t             n_waiting, n_jobs, bytes;
    unsigned           sending;
    uint64_t           pending, dead;      /* in the store */
    bool               is_ours;            /* this hub sends to it; where nodes share the queues, one at a time does */
    struct endpoint_standing elsewhere;    /* while it is not: how the one that does says it stands */
    struct delivery_read read;
    bool               reading;
    bool               more;               /* something due may be in the store only */
    bool               stale;              /* and came since the read that is under way began */
    int64_t            stale_due_ms;       /* when the first is due of the events that were kept since then; INT64_MAX: none was */
    bool               rescan;             /* from the start */
    bool               gone;               /* the endpoint was removed */
    int64_t            cursor_due_ms;
    bool               cursor_is_ours;     /* a hub has said when that is due (a retry), not the event's time: what another clock calls earlier may come later */
    uint64_t           cursor;
    int64_t            next_due_ms;        /* wall clock; DELIVERY_NEVER */
    int64_t            asked_until_ms;     /* Retry-After, wall clock */
    int64_t            next_slot_us;       /* rate: mono clock */
    int64_t            failing_since_s;    /* 0: the last attempt succeeded, or there was none */
    enum metric        told_state, told_breaker;      /* as which it is counted; METRICS: not yet */
};

struct queue *queue_new(struct dispatcher *all, struct endpoint *endpoint);      /* NULL: no memory */
void          queue_free(struct queue *queue);                                   /* no attempt is under way */

/* Of an event that is kept: into the window when it is the next one there, else it is read later. */
void          queue_accept(struct queue *queue, const struct hub_event *event, size_t target);
/* Reads the next page when the window runs low and something is due; true: the answer will come. */
bool          queue_refill(struct queue *queue, int64_t wall_ms);
/* The next one to send; NULL: none is here. */
struct job   *queue_take(struct queue *queue);
void          queue_put_back(struct queue *queue, struct job *job);              /* as the first: its attempt has not begun */
void          queue_forget(struct queue *queue, struct job *job);                /* it is settled; frees it */
void          queue_forget_waiting(struct queue *queue);                         /* those that are not being sent: they are in the store */
/* Metrics of endpoints follow it; it is counted no more when it is gone. */
void          queue_tell_state(struct queue *queue);
/* Something is due that was not when it was read; `due_ms` 0: now. */
void          queue_due_again(struct queue *queue, int64_t due_ms);
/* Likewise at the latest then, and perhaps before what was read: it is not known here. */
void          queue_due_later(struct queue *queue, int64_t due_ms);
/* A delivery that was in memory is settled, to be tried again then. */
void          queue_due_at(struct queue *queue, int64_t due_ms);

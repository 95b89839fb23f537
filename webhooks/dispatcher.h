/* dispatcher.h — who is sent what, and when: the queues of all endpoints (queue.h) take turns on the connections there may be.
 *
 *   event kept ─accepted─> queue of each endpoint ──ready──> one attempt of each ready queue in turn ─> http_out ─> attempt.c: what came of it
 *        (hook.h)             ^   └ only heads are in memory: the rest is read when its turn comes          └> settled in the hub's next group
 *                             └── timer: retries that are due, breakers, rates, receivers that asked for time
 *
 * An endpoint that hangs uses its own `concurrency` and nothing more; all together are bounded by webhooks.concurrency. What is due and could
 * not go for lack of room goes in turns, one of each.
 *
 * Lifetime   dispatcher_new after the hub, dispatcher_free after its last turn; dispatcher_stop before: no attempt begins any more.
 * Threading  the hub's.
 * Limits     per endpoint QUEUE_WINDOW deliveries or QUEUE_BYTES in memory; webhooks.concurrency attempts. */
#pragma once
#include "hub/hook.h"
#include "hub/http_out.h"
#include "webhooks/breaker.h"
#include "webhooks/endpoint.h"

struct config;
struct clock;
struct dispatcher;
struct event_base;

enum { QUEUE_WINDOW = 512, QUEUE_LOW = 128, QUEUE_PAGE = 256, QUEUE_BYTES = 2 << 20, QUEUE_PAGE_BYTES = 1 << 20 };

struct dispatcher_setup {
    struct hub          *hub;
    const struct clock  *clock;
    const struct config *config;
    struct event_base   *base;         /* NULL: the owner calls dispatcher_tick at dispatcher_due_ms (tests) */
    struct http_out     *out;
    void               (*turn)(void *arg);      /* a turn of the hub must follow */
    /* An endpoint has answered 410, or failed for too long, or works again: it is to be marked (endpoint_mark). */
    void               (*mark)(void *arg, uint64_t endpoint, enum endpoint_disabled disabled, int64_t failing_since_s);
    void                *arg;
};
struct dispatcher *dispatcher_new(const struct dispatcher_setup *setup);      /* NULL: no memory */
void dispatcher_free(struct dispatcher *all);                                 /* NULL is fine */
void dispatcher_reconfigure(struct dispatcher *all, const struct config *config);
void dispatcher_stop(struct dispatcher *all);
bool dispatcher_idle(const struct dispatcher *all);          /* no attempt is under way, nothing is unsettled */
/* For endpoint_make and the like; valid until dispatcher_reconfigure. */
const struct guard    *dispatcher_guard(const struct dispatcher *all);
const struct schedule *dispatcher_retry(const struct dispatcher *all);

/* This endpoint is there, or is another version. Takes a reference. ERR_MEMORY. */
int  dispatcher_put(struct dispatcher *all, struct endpoint *endpoint);
void dispatcher_drop(struct dispatcher *all, uint64_t number);      /* it is gone: nothing more of it is sent */
/* What there is at the store (READ_COUNTS): once, when the hub begins; where nodes share the queues, whenever it is asked for. The first events
 * after a start may be kept before it is counted, and are in it then: the store answers in the order in which it has done things. */
void dispatcher_count(struct dispatcher *all, uint64_t number, enum delivery_status status, uint64_t n);
/* Of hook.h, where nodes share the queues. */
void dispatcher_assign(struct dispatcher *all, uint64_t number, bool is_ours);
void dispatcher_due(struct dispatcher *all, uint64_t number, bool earlier);
void dispatcher_stands(struct dispatcher *all, uint64_t number, const struct endpoint_standing *standing);
bool dispatcher_describe(const struct dispatcher *all, uint64_t number, struct endpoint_standing *ret_standing);

/* An event of this hub is kept: takes it over. */
void dispatcher_accept(struct dispatcher *all, struct hub_event *event);
bool dispatcher_is_full(const struct dispatcher *all, uint64_t number);      /* webhooks.queue: more are dead letters at once */

/* Others have settled these (replay.c), those that are done: they are to be sent again, or are removed. `rows`: as they were before. */
void dispatcher_changed(struct dispatcher *all, bool sent_again, const struct settlement *now, size_t n, const struct delivery *rows);

struct dispatcher_state {
    enum breaker_state breaker;
    uint64_t pending, dead;
    unsigned sending;
    int64_t  paused_until_ms;      /* wall clock: it asked for time (Retry-After); 0: it did not */
};
struct dispatcher_state dispatcher_state(const struct dispatcher *all, uint64_t number);

int64_t dispatcher_due_ms(const struct dispatcher *all);      /* mono clock; INT64_MAX: nothing waits for time */
void    dispatcher_tick(struct dispatcher *all);

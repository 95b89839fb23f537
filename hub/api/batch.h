/* batch.h — many publishes of one request: their way to the hub and back, and their results in the order of their items.
 *
 *   batch_add(text of an item) ─> wish ─┬─ channel, user:     a message ~~hub~~> result
 *                                       └─ channels, pattern: spread.h, a message each as there is room ~~hub~~> a result each, or one
 *   the first items that have their results ─> request->answer, in order; then on_moved
 *
 * What is wrong with an item is its own result; the others go on. Each item and each further channel of one counts as a publish in
 * the limits of [rates], whatever comes of it, and the request as a command; the grant and the rule are asked for each channel.
 *
 * A request that is sent again publishes nothing twice when its items have keys: their own, or one for all, which stands for a key of
 * each item that has none, made of it and the item's index.
 *
 * Lifetime   batch_new when the request runs; batch_free with the request, when no call of it is at the hub any more (or the hub is gone).
 * Threading  API thread.
 * Limits     batch_has_room: BATCH_ITEMS and BATCH_BYTES without a result, one spread at a time, what the hub's mailbox has room for,
 *            and half of limits.caller_bytes for all batches of the caller; beyond it nothing is added, nor refused: it waits. An item
 *            has at most BATCH_MAX channels, a pattern reaches limits.publish_channels. */
#pragma once
#include "hub/api/api_caller.h"
#include "hub/api/api_request.h"
#include "hub/api/spread.h"
#include "hub/base/list.h"

enum { BATCH_MAX = 1000, BATCH_ITEMS = 8192, BATCH_BYTES = 4 * 1024 * 1024 };

struct batch_item;

struct batch {
    struct api_request *request;
    struct slice        key;                /* of the whole request, borrowed from its head; empty: none */
    struct slice        trace;              /* likewise: api_request_trace() */
    const char         *after_result;       /* what stands behind each: ",\n" or "\n" */
    void              (*on_moved)(struct batch *batch);     /* results were told, or there is room again; may end the request */
    void              (*answered)(struct batch *batch);     /* a call of it has come back; the batch's own */
    struct link         items;              /* those without a told result, in order */
    struct link         parts;              /* single messages of patterns, which are one result together */
    size_t              n_items, bytes;     /* of them; of their messages at the hub */
    size_t              n_calls;            /* at the hub */
    uint64_t            next;               /* index of the next item */
    uint64_t            successful, failed, replayed;   /* told results; replayed ones are successful too */
    struct spread       spread;
    struct batch_item  *spare;
    struct buf          scratch;            /* decoded values of one item */
    struct api_caller_waiter waiter;        /* while the caller has too much under way elsewhere */
    bool                broken;             /* no memory for a result: the answer cannot be completed */
};

/* NULL: no memory. */
struct batch *batch_new(struct api_request *request, struct slice key, const char *after_result, void (*on_moved)(struct batch *batch));
void          batch_free(struct batch *batch);      /* NULL is fine */
bool          batch_has_room(struct batch *batch);    /* false: on_moved runs when there is */
bool          batch_is_full(const struct batch *batch);      /* by what it has itself */
/* One more item; `text` is not needed afterwards. on_moved does not run in here. */
void          batch_add(struct batch *batch, struct slice text);
/* One that could not be read at all. */
void          batch_add_error(struct batch *batch, int err, const char *detail);
/* Adds to the answer what can be told by now; was that anything? */
bool          batch_tell(struct batch *batch);
bool          batch_is_empty(const struct batch *batch);     /* every item has been told */
/* `"summary":{…}`, of what has been told. */
void          batch_add_summary(const struct batch *batch, struct buf *out);
/* How many messages an item is: the length of its `channels`, else 1. */
size_t        batch_messages(struct slice text);

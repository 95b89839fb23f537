/* batch_item.h — one result of a batch and what is under way for it, or one message of a pattern's result.
 *
 *   {"index":0,"status":201,"id":…,"channel":…,"time":…,"subscribers":…,"replayed"?}
 *   {"index":1,"status":400,"code":…,"detail":…,"field"?,"channel"|"pattern"?,"position"?,"retry_after"?}
 *   {"index":2,"status":201|207|…,"code"?,"detail"?,"pattern":…,"channels":…,"successful":…,"failed":…,"replayed":…,"capped":…,"missing"?}
 *
 * Lifetime   batch_item_new; batch_item_free makes it the batch's spare, for the next one.
 * Threading  API thread. Limits: batch.h. */
#pragma once
#include "hub/api/batch.h"

struct batch_item {
    union {
        struct call         call;
        struct publish_call publish;
        struct match_call   match;
    };
    struct link        link;             /* in batch->items; messages of a pattern in batch->parts */
    struct batch      *batch;
    struct batch_item *next_spare;
    uint64_t           index;            /* of the item in the request */
    bool               done;             /* there is a result */
    int                err;              /* it: 0 or ERR_…, and what is said of it (texts of the program) */
    const char        *field, *detail;
    char              *name;             /* malloc'ed: the channel of a refused message, or the pattern; NULL: not told */
    struct msg        *msg;              /* when it has been sent */
    int64_t            retry_s;          /* of ERR_RATE_LIMITED */
    int64_t            since_us;         /* when it was sent to the hub */
    /* patterns */
    struct batch_item *of;               /* the pattern that this is a message of */
    bool               is_pattern, capped;
    unsigned           n_missing;        /* nodes that did not say which channels they have */
    int                part_err;         /* of the first message that failed */
    size_t             n_waiting;        /* messages without an answer, and the spread */
    size_t             n_channels, n_successful, n_replayed;
};

/* NULL: no memory (batch->broken). */
struct batch_item *batch_item_new(struct batch *batch);
struct batch_item *batch_item_in_order(struct batch *batch, uint64_t index);     /* with its place in the order of results */
void               batch_item_free(struct batch_item *item);
/* Its result is this error. `detail` NULL: the text of the error. */
void               batch_item_fail(struct batch_item *item, int err, const char *field, const char *detail);
/* One of the things that a pattern waits for has come. */
void               batch_item_part_came(struct batch_item *pattern);
void               batch_item_add_result(const struct batch_item *item, struct buf *out);
bool               batch_item_is_good(const struct batch_item *item);

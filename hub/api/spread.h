/* spread.h — one item of a batch to many channels: those it names, or all that match its pattern.
 *
 *   spread_channels ─────────────────────────────────> names ─┬─ a message each, as the batch has room ~~hub~~> results
 *   spread_pattern ─> which are there? ~~hub~~> a piece of names ┘      and when they have gone: the next piece
 *
 * So neither a long list nor a wide pattern holds more than the batch may, nor the hub up: it looks at a few thousand channels at a
 * time (CALL_MATCH). The next item of the batch waits until all names have gone, so that order holds in every channel.
 *
 * Of `channels` each name has a result of its own, in order. A pattern has one result, when the last message has its answer; it ends
 * early when a limit of rate refuses.
 *
 * Lifetime   embedded in its batch: one at a time. spread_fini also in the middle.
 * Threading  API thread.
 * Limits     the names of one item, or of one answer of the hub. */
#pragma once
#include "hub/base/buf.h"
#include "hub/idempotency.h"

struct batch;
struct batch_item;
struct publish_call;
struct wish;

struct spread {
    struct msg            *like;       /* what all its messages have in common; NULL: nothing is being spread */
    char                  *key_text;   /* NULL: it has no key */
    struct idempotency_key key;        /* that of the channel, when key_text is there; the content is the same for all */
    uint64_t               index;      /* of the item */
    struct buf             names;      /* a byte of length and the name, each; SPREAD_NO_NAME: something else stood there */
    size_t                 at;         /* names before it have gone */
    size_t                 n_gone;
    /* of a pattern */
    struct batch_item     *pattern;    /* its result; NULL: it is none */
    uint64_t               cursor;     /* of struct match_call */
    bool                   asking;     /* the hub is looking */
    bool                   more;       /* it is to be asked again */
};

enum { SPREAD_NO_NAME = 255 };

static inline bool spread_under_way(const struct spread *spread) { return spread->like; }
/* Both while nothing is under way. 0, or ERR_MEMORY and nothing began. `channels` is an array of JSON. */
int  spread_channels(struct batch *batch, uint64_t index, struct slice channels, const struct wish *wish);
int  spread_pattern(struct batch *batch, struct batch_item *item, struct slice pattern, const struct wish *wish);
/* Sends what there is room for. */
void spread_go_on(struct batch *batch);
void spread_fini(struct spread *spread);

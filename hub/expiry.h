/* expiry.h — kept messages that have a ttl of their own, by when it ends.
 *
 * A message is found again by its number (log_index.h): history that gives one up only counts it, so a dead entry stays until its
 * time comes or a sweep takes it.
 *
 * Lifetime   in struct history. Threading  hub thread.
 * Limits     at most 2 entries per such message that is kept and a few more, 40 bytes each; expiry_add fails when memory is short. */
#pragma once
#include "hub/base/heap.h"
#include "hub/channel.h"

struct ending {
    int64_t         ends_ms;       /* wall clock */
    uint64_t        seq;
    /* scratch of history.c, of those that are due */
    struct channel *channel;
    uint32_t        at;            /* index among its kept messages */
};

struct expiry {
    struct heap heap;              /* struct ending */
    size_t      n_live;
};

void    expiry_fini(struct expiry *expiry);
/* A message of this number is kept; false: no memory. */
bool    expiry_add(struct expiry *expiry, uint64_t seq, int64_t ends_ms);
/* One that was added is not kept any more. */
void    expiry_gave_up(struct expiry *expiry);
/* Takes the dead ones out when they are the most. */
void    expiry_tidy(struct expiry *expiry, bool (*is_kept)(void *arg, uint64_t seq), void *arg);
/* When the next one ends; INT64_MAX: none. */
int64_t expiry_due_ms(const struct expiry *expiry);
/* Those that have ended, in no order: an array valid until the next call, whose items are the caller's, to be freed. They count as
 * given up. */
struct ending **expiry_take_due(struct expiry *expiry, int64_t wall_ms, size_t *ret_n);

/* log_index.h — every message that is kept, in order of number: which channel it is in, and when it was published.
 *
 * Numbers grow and times never go back, so a place in it is found by a binary search for either. It says where to look for
 * the oldest of all channels (history.max_bytes), for what came after a position or a time, and for the newest there are.
 *
 * What a channel has given up (its number is at or below the channel's `dropped`, or it was taken out) stays as a dead entry until it comes to
 * the front or a sweep takes it; whoever walks skips those. A channel is not forgotten while entries point to it.
 *
 *   dead ─ dead ─ [orders 17] ─ dead ─ [chat 19] ─ [orders 20]
 *   └ taken off by log_index_oldest        log_index_add ┘
 *
 * Threading  hub thread. An index (a place) is valid until the next call that is not const.
 * Limits     at most 2 entries per kept message and a few more, 24 bytes each; log_index_room fails when memory is short. */
#pragma once
#include "hub/channel.h"

struct log_entry {
    struct channel *channel;          /* NULL: it was taken out of the middle of its channel */
    uint64_t        seq;
    int64_t         time_ms;
};

struct log_index {
    struct log_entry *entries;        /* ring of `cap` (a power of two) */
    size_t            first, n, cap;
    size_t            n_live;
};

void log_index_fini(struct log_index *index);
/* Makes room for one more; false: no memory. */
bool log_index_room(struct log_index *index);
/* After log_index_room. The number is higher than all before, the time not lower. */
void log_index_add(struct log_index *index, struct channel *ch, uint64_t seq, int64_t time_ms);
/* A message that was added has been given up: its channel's `dropped` says so. */
void log_index_gave_up(struct log_index *index);
/* Takes the message of this number out; NULL: it is not there, or dead. Else its channel. */
struct channel *log_index_take_out(struct log_index *index, uint64_t seq);
/* Takes the dead ones out when they are the most. */
void log_index_tidy(struct log_index *index);
/* The oldest live entry; NULL: none. */
const struct log_entry *log_index_oldest(struct log_index *index);

/* A live entry has this number. */
bool log_index_has(const struct log_index *index, uint64_t seq);

/* Places 0 … n - 1, oldest first; n: none. */
size_t log_index_after(const struct log_index *index, uint64_t seq);      /* the first entry with a higher number */
size_t log_index_from(const struct log_index *index, int64_t time_ms);    /* the first entry not older than this */

static inline const struct log_entry *log_index_at(const struct log_index *index, size_t place)
{
    return &index->entries[(index->first + place) & (index->cap - 1)];
}
static inline bool log_entry_is_live(const struct log_entry *entry) { return entry->channel && entry->seq > entry->channel->dropped; }

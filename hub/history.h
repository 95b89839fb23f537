/* history.h — what is kept, and what is given up: by number, bytes and age of a channel, and by bytes of all together.
 *
 * The limits are those of the channel's rule (config/channel_rule.h); a rule may keep nothing at all.
 *
 * Giving up the oldest message of a channel raises the channel's `dropped` to its number (EXACT.md 5); that is the only
 * thing a resume needs to know to tell a gap. The newest message of a channel is kept even if it alone is larger than
 * history.bytes. Each channel ages by itself: a heap says whose oldest message is too old first. Over the total, the
 * oldest number of all channels goes, which log_index.h knows.
 *
 * A message with a ttl of its own is taken out when that ends, wherever it stands in its channel; that is not giving up, and no gap.
 *
 * What the channels of a pattern have given up after a position is found without a look at all channels (gave_up.h).
 *
 * Channels whose rule keeps nothing are in none of this: what they give up is nobody's gap (EXACT.md 7).
 *
 * Threading  hub thread. Limits: history.size, .ttl, .bytes of each channel's rule, history.max_bytes in all. */
#pragma once
#include "hub/base/heap.h"
#include "hub/expiry.h"
#include "hub/gave_up.h"
#include "hub/log_index.h"

struct config;

struct history {
    const struct config *config;
    struct channels     *channels;
    struct log_index     index;
    struct expiry        expiry;         /* of messages with a ttl of their own */
    int64_t              wall_ms;        /* at the last ageing */
    struct heap          ends;           /* channels that have something kept, by `ends_ms` */
    size_t               n_kept, bytes;  /* of all channels */
    struct gave_up       gave_up;
    uint64_t             dropped;        /* highest `dropped` of any channel so far */
    uint64_t             drained;        /* highest `dropped` of a channel that has nothing kept any more (EXACT.md 8) */
};

void history_init(struct history *history, const struct config *config, struct channels *channels);
void history_fini(struct history *history);
/* Other settings hold from now on: each channel finds its rule, and what is over its limits goes. What a channel without history
 * gave up counts from when it begins to have one. */
void history_reconfigure(struct history *history, const struct config *config, int64_t now_ms);
/* Keeps a completed message (takes a reference) or, where the rule keeps nothing or memory is short, gives it up at once. One that has
 * ended already is not kept. */
void history_keep(struct history *history, struct channel *ch, struct msg *m, int64_t now_ms);
/* Keeping this message would take more memory than is taken now: no older one has to go for it. */
bool history_would_grow(const struct history *history, const struct channel *ch, const struct msg *m);
/* Gives up all that is kept of a channel, and whatever else it may have had up to this number. */
void history_give_up(struct history *history, struct channel *ch, uint64_t upto, int64_t now_ms);
/* Gives up what is kept of a channel up to this number; how many that were. */
uint32_t history_purge(struct history *history, struct channel *ch, uint64_t upto, int64_t now_ms);
/* Takes out what has ended by its own ttl, gives up what is older than its channel's history.ttl. Wall clock and mono clock. */
void history_age(struct history *history, int64_t wall_ms, int64_t now_ms);
/* Wall clock time, or a little before it, at which the next message ends or is too old; INT64_MAX: nothing is kept. */
int64_t  history_due_ms(const struct history *history);
/* What is known from elsewhere: all up to here is gone (a restart). */
void history_set_dropped(struct history *history, struct channel *ch, uint64_t upto);
/* Number of the oldest message that is kept; UINT64_MAX: none. */
uint64_t history_oldest(struct history *history);

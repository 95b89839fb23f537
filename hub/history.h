/* history.h — what is kept, and what is given up: by number, bytes and age of a channel, and by bytes of all together.
 *
 * Giving up the oldest message of a channel raises the channel's `dropped` to its number (EXACT.md 5); that is the only
 * thing a resume needs to know to tell a gap. The newest message of a channel is kept even if it alone is larger than
 * history.bytes. Numbers and times grow together, so one queue over all channels, oldest number first, serves both age
 * and the total: entries whose message went earlier for another reason are skipped, and swept when they are the most.
 *
 * Threading  hub thread. Limits: history.size, .ttl, .bytes per channel, .max_bytes in all. */
#pragma once
#include "hub/channel.h"

struct config;

struct aged {                     /* an entry of the age queue */
    struct channel *channel;
    uint64_t        seq;
    int64_t         time_ms;
};

struct history {
    const struct config *config;
    struct channels     *channels;
    struct aged         *queue;          /* ring of `cap` (a power of two) */
    size_t               first, n, cap;
    size_t               n_kept, bytes;  /* of all channels */
    uint64_t             drained;        /* highest `dropped` of a channel that has nothing kept any more (EXACT.md 8) */
};

void history_init(struct history *history, const struct config *config, struct channels *channels);
void history_fini(struct history *history);
/* Channels have history at all: else they are resumable:false and never tell a gap. */
bool history_on(const struct config *config);
/* Keeps a completed message (takes a reference) or, where history is off or memory is short, gives it up at once. */
void history_keep(struct history *history, struct channel *ch, struct msg *m, int64_t now_ms);
/* Keeping this message would take more memory than is taken now: no older one has to go for it. */
bool history_would_grow(const struct history *history, const struct channel *ch, const struct msg *m);
/* Gives up all that is kept of a channel, and whatever else it may have had up to this number. */
void history_give_up(struct history *history, struct channel *ch, uint64_t upto, int64_t now_ms);
/* Gives up what is older than history.ttl. Wall clock and mono clock. */
void history_age(struct history *history, int64_t wall_ms, int64_t now_ms);
/* Wall clock time at which the oldest message is too old; INT64_MAX: nothing is kept. */
int64_t  history_due_ms(const struct history *history);
/* Number of the oldest message that is kept; UINT64_MAX: none. */
uint64_t history_oldest(struct history *history);

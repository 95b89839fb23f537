/* channel.h — the channels the hub knows: what each has kept, what it has given up, who watches it.
 *
 * A channel is born by its first message or its first watcher and forgotten when it has nothing left: nothing kept, nobody
 * watching, nothing under way, and one history.ttl of its rule has passed since (EXACT.md 7). For channels that are not known
 * the `floor` speaks: whatever was forgotten lies at or below it (EXACT.md 6). Channels whose rule keeps no history raise no
 * floor; what they forgot lies at or below `unkept`, which becomes the floor when some of them begin to have one.
 *
 *   dropped          kept: first ……… last         submitted
 *   ───┤gone for good├────┤m├──┤m├──┤m├──┤ under way ├──> numbers
 *
 * Lifetime   channel_get makes, channels_forget_quiet frees; a pointer is valid until the hub's next tick.
 * Threading  hub thread.
 * Limits     history.* bound what is kept; a channel itself costs about 250 bytes, and strangers can only make one by
 *            subscribing (limits.channels each) or publishing (a right). */
#pragma once
#include "hub/base/list.h"
#include "hub/config/channel_rule.h"
#include "hub/msg.h"

#include <stdatomic.h>
#include <uthash.h>

/* An edge that is mailed the messages of a channel or pattern. */
struct watch {
    uint8_t      peer;
    atomic_uint *subscribers;     /* the edge's counter; read only */
};

/* Those of one channel or pattern. */
struct watches {
    struct watch *at;
    uint32_t      n;
};

struct channel {
    UT_hash_handle hh;
    uint64_t       hash;          /* hash_bytes(name) */
    const struct channel_rule *rule;   /* of the settings in force */
    uint64_t       submitted;     /* number of the newest message given to the engine */
    uint64_t       last;          /* number of the newest completed message, 0: none known */
    uint64_t       firm;          /* number of the newest submitted that has no ttl of its own */
    int64_t        passing_ms;    /* when the last one has ended of those after that; wall clock, 0: there are none */
    uint64_t       dropped;       /* EXACT.md 5: position P is complete for this channel iff P >= dropped */
    struct msg   **kept;          /* completed messages after `dropped`, in order: a ring of `cap` (a power of two) */
    uint32_t       first, n_kept, cap;
    uint32_t       under_way;     /* submitted and not completed */
    uint32_t       in_log_index;  /* entries of the history's log index that point here */
    struct watches watches;       /* of the channel itself; those of patterns: hub->patterns */
    size_t         kept_bytes;
    int64_t        ends_ms;       /* wall clock, while something is kept: its oldest message is not too old before this */
    size_t         ends_at;       /* its place in the history's heap of these */
    int64_t        quiet_since_ms;   /* when it had nothing left; on a list of quiet channels */
    struct link    quiet;
    struct link    gave_up;       /* in history->gave_up, once it has given something up */
    uint64_t       gave_up_at;    /* history->dropped when it last did; `dropped` is at most that */
    uint64_t       gave_up_nth;   /* how often any channel had done so then */
    uint64_t       fetch;         /* scratch of fetch.c: the fetch that has looked at it */
    bool           fetched;       /* and wants it, */
    bool           fetched_newest;/* at least its newest message, also one from before now, */
    bool           fetched_whole; /* all of it, */
    bool           left_out;      /* and has told that some of it was left out */
    uint8_t        name_len;
    char           name[];
};

/* Channels with nothing left whose rules have the same history.ttl, those first that have been so longest. */
struct quiet {
    int64_t     for_ms;           /* so long */
    struct link channels;
};

struct channels {
    const struct config *config;
    struct channel *table;
    uint64_t        floor;        /* EXACT.md 6 */
    uint64_t        unkept;       /* what channels without history forgot is at or below this */
    struct quiet   *quiets;       /* one for each history.ttl that a rule has */
    size_t          n_quiets;
    size_t          count;
};

void            channels_init(struct channels *channels, const struct config *config, uint64_t floor);
void            channels_fini(struct channels *channels);
/* Other settings hold: each has found its rule in them already. What is quiet begins to be so now. */
void            channels_reconfigure(struct channels *channels, const struct config *config, int64_t now_ms);
struct channel *channel_find(const struct channels *channels, struct slice name, uint64_t hash);   /* NULL: not known */
struct channel *channel_get(struct channels *channels, struct slice name, uint64_t hash);          /* NULL: no memory */
/* What the message's number follows in its channel: prev, passing, passed_s. Before channel_submit. */
void            channel_follow(const struct channel *ch, struct msg *m);
/* It is the newest with a number. */
void            channel_submit(struct channel *ch, const struct msg *m);
/* What the channel had dropped at most when this message came, of which nothing before is there any more (a restart). */
uint64_t        channel_dropped_before(const struct msg *m, int64_t wall_ms);
/* Puts it on the quiet list when it has nothing left, takes it off when it has. Call after every change of that. */
void            channel_settle(struct channels *channels, struct channel *ch, int64_t now_ms);
/* Forgets those that have been quiet for the history.ttl of their rule; raises the floor to what each had given up. */
void            channels_forget_quiet(struct channels *channels, int64_t now_ms);
/* When the next one may be forgotten; INT64_MAX: none is quiet. */
int64_t         channels_due_ms(const struct channels *channels);

/* Some channels, to go through all of them in pieces while others come and go: `cursor` is 0 at first, and what the call before
 * returned; 0: that was the last piece. Who is there all the time is met once (a table that grows meets nobody twice); a piece
 * is a handful. */
uint64_t        channels_scan(const struct channels *channels, uint64_t cursor, void (*each)(void *arg, struct channel *ch), void *arg);

static inline struct slice channel_name(const struct channel *ch)    { return slice(ch->name, ch->name_len); }
static inline struct msg  *channel_kept(const struct channel *ch, uint32_t i) { return ch->kept[(ch->first + i) & (ch->cap - 1)]; }
/* Index of the first kept message after `seq`, or published at `time_ms` or later; n_kept: none. */
uint32_t        channel_first_after(const struct channel *ch, uint64_t seq);
uint32_t        channel_first_from(const struct channel *ch, int64_t time_ms);

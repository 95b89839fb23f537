/* feed.h — a channel or pattern with subscribers on this edge: its rings, and whether the hub mails its messages.
 *
 * The first subscriber makes the feed and sends CALL_WATCH, the last one to leave sends CALL_UNWATCH; the feed is freed when
 * that was answered and nothing points to it. A subscriber that comes meanwhile watches again, behind the unwatch: letters
 * of one edge run in order.
 *
 *   UNWATCHED ─first subscriber─> ASKED ─answer─> WATCHED ─last one gone─> UNWATCHED     (no memory for the call: at a tick)
 *                                   └─ answer, nobody left ─> UNWATCHED
 *
 * Each message gets its arrival number, is encoded once for each wire format that somebody reads, and is appended to the rings of
 * its channel's feed and of each pattern's that matches: several feeds, one arrival number, by which a connection that reads several
 * of them gets it once (flush.c). A feed that is not WATCHED yet has no part in it: what comes then was mailed for another feed, and
 * is in the answer of the fetch that runs behind the watch.
 *
 * A channel's messages are checked by `prev` (EXACT.md 14). Those of a pattern are of many channels, some of them older than the feed and
 * never seen by it, so `prev` proves nothing there; on one node LETTER_LOST tells every loss.
 *
 * Lifetime   a feed lives while it has subscribers, calls under way or holds (batch.h). A sub belongs to its connection and
 *            dies with feed_unsubscribe.
 * Threading  the edge's thread; `subscribers` is read by the hub.
 * Limits     one feed per channel or pattern subscribed to; rings: ring.h. */
#pragma once
#include "hub/call.h"
#include "transports/wire/ring.h"
#include "transports/wire/wire.h"

struct conn;
struct edge;

enum feed_watch { FEED_UNWATCHED, FEED_ASKED, FEED_WATCHED };

struct feed {
    struct edge       *edge;
    const struct channel_rule *rule;            /* of the snapshot that the edge has: what happens to readers that fall behind */
    struct link        dirty_link;              /* in edge->dirty_feeds: something was appended in this turn */
    struct ring       *rings[WIRE_FORMATS];     /* NULL: nobody has that format */
    struct link        batches;                 /* struct batch, by feed_link: under way or kept, to be shared */
    struct link        askers;                  /* struct attendance, by ask_link: subscriptions that are told of members (attend.h) */
    uint64_t           last;                    /* number of the last message seen, in the edge's epoch */
    uint64_t           began;                   /* head at which watching began (EXACT.md 14) */
    uint64_t           seen, seen_bytes;        /* messages seen */
    uint64_t           mark;                    /* scratch of batch.c, UINT64_MAX in between: a reader wants what is above */
    uint64_t           hash;                    /* hash_bytes(name) */
    atomic_uint        subscribers;             /* written here, read by the hub too */
    uint32_t           holds;
    uint8_t            watch_calls;             /* under way */
    uint8_t            watch;                   /* enum feed_watch */
    bool               is_pattern : 1;          /* in edge->patterns */
    bool               unsure     : 1;          /* messages were lost (EXACT.md 15): the next one's prev proves nothing */
    bool               named      : 1;          /* scratch of conn.c: of names that may be there twice */
    uint8_t            name_len;
    char               name[];
};

/* One subscription: a connection's reader in a feed. */
struct sub {
    struct reader reader;          /* READER_OUT: parked. `given`: the hub's side wanted it, so no grant of the client is needed; `attends`: attend.h */
    struct link   pending_link;    /* in conn->pending while its ring has something for it */
    struct link   catchup_link;    /* in catchup->subs, from the beginning of that catch-up to its end */
    struct conn  *conn;
    struct feed  *feed;
    uint64_t      after;           /* it has had, or does not want, what is up to here; whatever the connection's position */
};

static inline struct slice feed_name(const struct feed *feed)    { return slice(feed->name, feed->name_len); }
static inline struct sub *sub_of_reader(struct reader *reader)   { return link_of(reader, struct sub, reader); }
static inline bool sub_is_parked(const struct sub *sub)          { return sub->reader.place == READER_OUT; }

struct feed *feed_find(const struct edge *edge, struct slice name, uint64_t hash);
/* A parked subscription, in conn->subs; its feed is being watched. 0 or ERR_MEMORY (nothing has changed). */
int          feed_subscribe(struct conn *conn, struct slice name, struct sub **ret_sub);
void         feed_unsubscribe(struct sub *sub);          /* from any place; frees it */
/* Somebody else points to it (a fetch that names it). */
void         feed_hold(struct feed *feed);
void         feed_release(struct feed *feed);

/* A message of this channel, or that this pattern matches, came; edge->arrivals is its number. Borrows it. True: so much is waiting that the edge should send before it takes more mail. */
bool         feed_message(struct feed *feed, const struct msg *m);
/* Readers that were at the end get their cursors, their connections become dirty. */
void         feed_settle(struct feed *feed);
/* Those that nobody has any more, but had no memory to say so. */
void         feeds_unwatch(struct edge *edge);
/* Other settings: each gets its rule again. */
void         feeds_reconfigure(struct edge *edge);
void         feeds_each(struct edge *edge, void (*each)(struct feed *feed));
/* Messages are missing: every reader falls. */
void         feed_lose(struct feed *feed);
void         feeds_lose_all(struct edge *edge);
/* After a loss: the first who goes live again has everything up to `seq`; whatever comes later is checked by its prev again. */
void         feed_sure_after(struct feed *feed, uint64_t seq);

void         sub_go_live(struct sub *sub);               /* at the end of its ring, as it is now */
void         sub_park(struct sub *sub);                  /* out of its ring; nothing is pending any more */

/* redis_bus.h — many hubs behave as one: what call.h asks of the core is answered by scripts in Redis, and what any node publishes
 * comes to every node that wants it, in order of number.
 *
 *   AWAY ──both links up──> PROVING ──the data is the one we know, or a new epoch──> SUBSCRIBING ──all confirmed──> FILLING ──> LIVE
 *     ^                        ^                                                                                        │
 *     └──────── a link lost ───┴─────────── numbers went back, another epoch, the data is gone ─────────────────────────┘
 *
 * The owner (the hub's core) sees one stream of messages, whose numbers always grow. What was missed while a link was away is fetched
 * and delivered before live() (EXACT.md 19), so readers notice nothing but a pause; what cannot be is told with behind(): the readers of
 * that channel then fetch, each from its own position, and are told the gap there.
 *
 * Answers come in order with messages (call.h): when fetch, subscribe or head say "complete up to H", every message up to H that the
 * subscriber link was to bring has been delivered before. That is what an echo is for: a word to oneself, sent by the script, that
 * comes back behind them.
 *
 * Never deaf: each second a word goes the whole way round. When Redis has sent it and it does not come for REDIS_DEAF_MS, the subscriber
 * link is given up and taken anew; that Redis does not answer at all is seen on the link of commands.
 *
 * Lifetime   redis_bus_new … redis_bus_free, which answers what is under way (ERR_OUTCOME_UNKNOWN, ERR_DRAINING). What setup points to outlives it. Callbacks
 *            may ask it anything, but not free it.
 * Threading  the thread of its loop (the hub's).
 * Limits     redis_link.h for what is sent; REDIS_FILL_BYTES for what is collected before live(); calls that wait for Redis to come
 *            back are the callers', one for each reader that catches up. A subscription costs 136 bytes and its name. */
#pragma once
#include "hub/base/list.h"
#include "hub/call.h"
#include "redis/link/redis_link.h"

enum {
    REDIS_BEAT_MS = 1000,
    REDIS_DEAF_MS = 3000,
    REDIS_IDLE_MS = 2000,             /* after its last reader a channel stays subscribed so long */
    REDIS_FILL_BYTES = 32 << 20,
    REDIS_INDEX_LENGTH = 1 << 20,     /* a good default: 56 MB in Redis when channels have names of 12 letters */
};

enum redis_bus_state { REDIS_BUS_AWAY, REDIS_BUS_PROVING, REDIS_BUS_SUBSCRIBING, REDIS_BUS_FILLING, REDIS_BUS_LIVE, REDIS_BUS_STATES };

struct channel_rule;
struct config;
struct redis_bus;
struct redis_engine;

/* What else nodes share lies in Redis beside the messages: each kind of it is a part of the bus. Its scripts run on the engine's link
 * (redis_engine.h), in order with the bus's own; what they PUBLISH to a subject of words comes to all nodes, or to one:
 *
 *   a script of the part: PUBLISH redis_bus_words(bus) or redis_bus_words_of(bus, node), kind 1 · body ──> word(part, body) on each
 *
 * Words are lost while a node is away: live() says that it may have missed some. Embedded in the part's own; it is told in the order in
 * which parts were added. */
struct redis_part {
    struct link link;                                            /* the bus's */
    char        kind;                                            /* the first byte of its words */
    void      (*live)(struct redis_part *part, bool is_new);     /* before the owner's live(); is_new: another epoch than before, the data may be gone. NULL: none of these */
    void      (*away)(struct redis_part *part);                  /* it was live */
    void      (*tick)(struct redis_part *part);                  /* each REDIS_BEAT_MS while it is live */
    void      (*word)(struct redis_part *part, struct slice body);
};

struct redis_bus_ops {
    /* From now on all works. `head`: everything up to here has been delivered, or told as behind. With another epoch than before,
     * behind() has been told for all channels: positions of the old one are for nothing (EXACT.md 17). */
    void (*live)(void *owner, struct position head);
    void (*head)(void *owner, struct position head);             /* likewise, while it is live: what others publish where nothing is subscribed to moves it too */
    void (*away)(void *owner, const char *why);                  /* it is not live, or for another reason than before; one sentence without its end */
    void (*refused)(void *owner, const char *why);               /* publishes are refused, for this reason; NULL: no more */
    void (*message)(void *owner, struct msg *m);                 /* of a channel or pattern that is subscribed to; takes the reference */
    void (*behind)(void *owner, struct slice channel);           /* readers of it (empty: all) may miss something: they are to fetch */
    void (*purged)(void *owner);                                 /* some node has removed messages, or may have (before each live()):
                                                                    what is kept of answers may have them */
    void (*answer)(void *owner, struct call *call, int err);
};

struct redis_bus_setup {
    struct redis_link_setup     link;            /* ops, owner and client_name are the bus's own */
    const struct config        *config;          /* rules, publish.idempotency_ttl */
    const char                 *prefix;          /* of all keys, without its hash tag; at most REDIS_PREFIX_MAX bytes */
    int64_t                     meta_ms;         /* how long a channel's newest number is known; more than any history.ttl */
    uint64_t                    index_length;    /* numbers that patterns can be resumed over, and data proved by */
    const struct redis_bus_ops *ops;
    void                       *owner;
};
enum { REDIS_PREFIX_MAX = 64 };

struct redis_bus *redis_bus_new(const struct redis_bus_setup *setup);      /* NULL: no memory */
void redis_bus_free(struct redis_bus *bus);                                /* NULL is fine */
void redis_bus_open(struct redis_bus *bus);
void redis_bus_reconfigure(struct redis_bus *bus, const struct config *config);

/* Before redis_bus_open. A part outlives the bus; its requests that are under way then are answered with an error. */
void redis_bus_add(struct redis_bus *bus, struct redis_part *part);
struct redis_engine *redis_bus_engine(struct redis_bus *bus);
struct event_base *redis_bus_base(const struct redis_bus *bus);
struct slice redis_bus_prefix(const struct redis_bus *bus);                /* P of lua/common.lua */
uint64_t     redis_bus_node(const struct redis_bus *bus);                  /* this node's number: another one each time it starts; its text is %016llx */
struct slice redis_bus_words(const struct redis_bus *bus);                 /* subject of all nodes, this one too */
enum { REDIS_SUBJECT = 112 };      /* bytes, its end included */
void         redis_bus_words_of(const struct redis_bus *bus, uint64_t node, char ret_subject[REDIS_SUBJECT]);

/* As CALL_PUBLISH says, and ERR_REDIS_AWAY, ERR_REDIS_REFUSED (nothing was published), ERR_OUTCOME_UNKNOWN. `subscribers` is for the
 * caller to count, before: a replay is answered what the first was. Answered perhaps before its message comes, perhaps after. `rule`
 * is the channel's, borrowed. */
void redis_bus_publish(struct redis_bus *bus, struct publish_call *call, const struct channel_rule *rule);
/* As CALL_FETCH says. While Redis is away a patient one waits, and is answered when it is back; another: ERR_REDIS_AWAY. A patient one
 * is answered behind all watches of its channels that were asked for before it: what comes after its answer is brought. */
void redis_bus_fetch(struct redis_bus *bus, struct fetch_call *call);
/* As CALL_WATCH says, of a channel or a pattern; answered when it is so, however long that takes. Counted: once more than
 * unsubscribed, it is subscribed to. */
void redis_bus_subscribe(struct redis_bus *bus, struct watch_call *call);
void redis_bus_unsubscribe(struct redis_bus *bus, struct slice name);
/* Channels, no patterns, that somebody subscribes to here. */
void redis_bus_each_channel(const struct redis_bus *bus, void (*tell)(void *arg, struct slice channel), void *arg);
bool redis_bus_subscribes(const struct redis_bus *bus, struct slice channel);      /* it is counted among the subscribers of the channel */
/* As CALL_PURGE says, and what publish says of Redis. */
void redis_bus_purge(struct redis_bus *bus, struct purge_call *call);
/* Whoever waits for Redis to come back, or would from now on, is answered with this error (the hub ends). */
void redis_bus_give_up(struct redis_bus *bus, int err);

enum redis_bus_state redis_bus_state(const struct redis_bus *bus);
struct position redis_bus_head(const struct redis_bus *bus);
const char     *redis_bus_why(const struct redis_bus *bus);                /* why it is not live, or refuses; "": it is, and does not */

/* core.h — the inside of struct hub, for the modules that make it up: hub.c (on top: it knows the others),
 * publish.c, records.c, fetch.c, watch.c, members.c, rooms.c, inspect.c, errand.c, and peers.c (at the bottom: mail to the other threads).
 *
 * Nobody else includes this: other threads use call.h, the composition root uses hub.h.
 * Threading: hub thread. */
#pragma once
#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/base/trie.h"
#include "hub/channel.h"
#include "hub/config/config.h"
#include "hub/directory.h"
#include "hub/engine.h"
#include "hub/errand.h"
#include "hub/history.h"
#include "hub/hook.h"
#include "hub/hub.h"
#include "hub/keeping.h"
#include "hub/presence.h"
#include "hub/records.h"
#include "hub/rooms.h"
#include "hub/store.h"

struct key_fetcher;

enum { PEERS_MAX = 80 };      /* edge.threads is at most 64, and the API */
enum { FETCH_LOOK_AT = 16 * 1024 };

struct peer {
    struct post post;
    bool        is_edge;
    bool        left;         /* an edge that ends: no errands any more */
    bool        lost;         /* it was told of a loss and has not said yet that it knows (EXACT.md 15) */
    struct letter loss;       /* tells it: its own memory, because messages are lost for lack of memory too; with the peer while `lost` */
};

/* Numbers given and not completed yet, in order (EXACT.md 1). */
struct flight {
    struct publish_call *call;
    struct channel      *channel;
    bool                 stored;      /* it has a row */
};

struct hub {
    const struct config *config;
    const struct clock  *clock;
    int64_t              now_ms, wall_ms;    /* what it said when the turn began */
    struct store        *store;              /* NULL: memory only */
    struct engine       *engine;             /* NULL: this hub is its own, by publish.c and what is below it */
    struct directory    *directory;          /* NULL: there is no other node */
    struct hook         *hook;               /* NULL: nobody is told of events */
    struct rooms_port   *rooms;              /* NULL: there are none */
    const struct self   *self;               /* what this hub is called; NULL: nobody asks (tests) */
    struct mailbox       box;
    struct peer          peers[PEERS_MAX];
    uint8_t              n_peers;
    bool                 draining;

    uint64_t             epoch;
    uint64_t             next;               /* next number to give */
    uint64_t             reserved;           /* numbers below may be given */
    uint64_t             head;               /* highest number with all lower ones completed */
    int64_t              newest_ms;          /* time of the newest message: times never go back */

    struct key_fetcher   *keys;               /* NULL: none is needed (tests) */

    struct channels      channels;
    struct history       history;
    struct keeping       keeping;
    size_t               at_engine;          /* publishes it has not answered */
    size_t               round_left[2];      /* watches and fetches it has not answered, of this round and of the one before */
    uint8_t              round;              /* which of the two is this one */
    struct presence      presence;
    struct idempotency   idempotency;
    struct trie          patterns;           /* struct pattern of watch.c: who watches what matches */
    uint64_t             fetches;            /* fetches over patterns so far (fetch.c) */
    size_t               look_at;            /* entries of the log that one of them looks at */

    /* errand.c */
    struct link          errands;            /* oldest first */
    size_t               n_errands;          /* of those, under way: the first ones */
    struct link          done, settling;     /* of those, back from the edges; those of `settling` wait for the round before this one */
    struct link          errands_out;        /* done here, and not yet on other nodes */
    struct elsewhere    *elsewhere;          /* NULL: there are no other nodes */
    struct recheck {
        struct errand_call errand;
        bool               wanted, out;      /* credentials were taken back since it went out; it is not back yet */
    }                    recheck;

    /* publish.c */
    struct flight       *flights;            /* ring of flights_cap (a power of two) */
    size_t               flights_first, n_flights, flights_cap;
    struct group        *collecting;         /* what the next group will be; NULL: nothing yet */
    struct group        *groups;             /* under way at the store, oldest first */
    unsigned             n_groups;
    size_t               waiting_bytes;      /* of messages collected or under way at the store */
    uint64_t             generation;         /* of store.h */
    uint64_t             reserve_asked;      /* the end of the block being reserved */
    uint64_t             trimmed;            /* rows below are gone from the store */
    int64_t              store_retry_ms;     /* after a failure: the hub's own groups (numbers, trims) wait until then */

    /* events.c */
    struct link          events_waiting;     /* own events that could not be kept, oldest first */
    size_t               n_events_waiting;
    int64_t              events_retry_ms;

    /* records.c */
    struct { const struct record_ops *ops; void *self; } record_kinds[RECORD_KINDS];
    struct record_call  *changes;            /* in rows collected or at the store, oldest first */
    struct record_call  *changes_waiting;    /* for an earlier change of the same record */
    size_t               n_changes;          /* of both lists */
};

/* Of this turn, or of the tick before it: a publish would ask the clock five times. */
static inline int64_t hub_now_ms(const struct hub *hub)  { return hub->now_ms; }
static inline int64_t hub_wall_ms(const struct hub *hub) { return hub->wall_ms; }
/* There is a store that brings it all back. */
static inline bool hub_keeps(const struct hub *hub)       { return hub->store && !hub->store->forgets; }

/* peers.c */
void hub_answer(struct hub *hub, struct call *call, int err);        /* mails the call back to its origin */
void peers_end_turn(struct hub *hub);                                /* hands over what was said to each in this turn */

/* publish.c */
void publish_run(struct hub *hub, struct publish_call *call);
void publish_end_turn(struct hub *hub);                              /* hands what was collected to the store */
void publish_stored(struct hub *hub, struct store_group *answer);    /* the store's answer */
bool publish_wants_numbers(const struct hub *hub);                   /* a block must be reserved and none is being reserved */
void publish_trim(struct hub *hub);                                  /* tells the store which rows nobody needs */
int64_t publish_keys_since(const struct hub *hub);                   /* idempotency keys used before are for nobody any more; wall clock */
struct store_group *publish_group(struct hub *hub);                  /* what the next group will be; NULL: no memory */
void publish_fini(struct hub *hub);
/* events.c: an event is not there (NULL), is made and kept, or comes to nothing with its publish */
int  events_make(struct hub *hub, enum event_type type, struct msg *m, struct hub_event **ret_event);     /* 0 or ERR_MEMORY; NULL: for nobody */
bool events_room(struct store_group *group);                                  /* for one more; false: no memory */
void events_accept(struct hub *hub, struct hub_event *event);                 /* it is kept; takes it over */
void events_answered(struct hub *hub, struct publish_call *call, int err);    /* CALL_EVENT has come to its end */
uint64_t events_outbox(const struct publish_call *call);                      /* the change that it comes of (engine.h); 0: none */
void settlings_stored(const struct store_group *group, int err);
void events_tick(struct hub *hub);
int64_t events_due_ms(const struct hub *hub);
int64_t publish_due_ms(const struct hub *hub);      /* when a turn must submit what waits for company */
void webhook_run(struct hub *hub, struct webhook_call *call);
void deliveries_run(struct hub *hub, struct deliveries_call *call);
void events_fini(struct hub *hub);
/* records.c */
void record_run(struct hub *hub, struct record_call *change);
void records_stored(struct hub *hub, const struct store_group *group, int err);
/* engine.c */
void engine_publish(struct hub *hub, struct publish_call *call);
void engine_event(struct hub *hub, struct publish_call *call);       /* CALL_EVENT; of the hub's own with its event, or made here */
void engine_fetch(struct hub *hub, struct fetch_call *call);
void engine_watch(struct hub *hub, struct watch_call *call);
bool engine_next_round(struct hub *hub);                             /* false: the one before this is not over */
/* purge.c */
void purge_run(struct hub *hub, struct purge_call *call);
void purge_tell_edges(struct hub *hub);                              /* answers that they keep for others may have some of it */
void purges_stored(struct hub *hub, const struct store_group *group, int err);
/* fetch.c */
void fetch_run(struct hub *hub, struct fetch_call *call);
/* watch.c */
void watch_run(struct hub *hub, struct watch_call *call);
void unwatch_run(struct hub *hub, struct watch_call *call);
void loss_seen_run(struct hub *hub, struct call *call);
void watch_refused(struct hub *hub, const struct watch_call *call);           /* the engine has not taken it */
void watch_confirmed(struct hub *hub, const struct watch_call *call);         /* or it has */
/* To every edge that watches; how many subscribers that is. `ch` NULL: the channel is not known here, patterns may match it. */
uint32_t watch_deliver(struct hub *hub, const struct channel *ch, struct msg *m);
uint32_t watch_subscribers(const struct channel *ch);                         /* of the channel itself */
uint32_t watch_subscribers_all(const struct hub *hub, struct slice name, const struct channel *ch);    /* and of the patterns that match it; likewise */
void watches_fini(struct hub *hub);
void watch_tell_loss(struct hub *hub, uint8_t peer);                  /* of something that cannot be mailed to this edge */
void watch_fall_behind(struct hub *hub, struct slice channel);       /* to the edges that watch it (empty: all), unless they know of a loss already */
/* rooms.c */
void room_run(struct hub *hub, struct room_call *call);
void room_drop_run(struct hub *hub, struct letter *letter);
void room_rights_run(struct hub *hub, struct letter *letter);
/* members.c */
extern const struct presence_port members_port;
void join_run(struct hub *hub, struct letter *letter);
void leave_channel_run(struct hub *hub, struct letter *letter);
void members_run(struct hub *hub, struct members_call *call);
/* inspect.c */
void channels_run(struct hub *hub, struct channels_call *call);
void match_run(struct hub *hub, struct match_call *call);
void nodes_run(struct hub *hub, struct nodes_call *call);
/* errand.c */
void errand_run(struct hub *hub, struct errand_call *call);
void errands_end_turn(struct hub *hub);
void errand_part_back(struct hub *hub, struct errand_part *part);
void leave_run(struct hub *hub, struct call *call);
void errands_fini(struct hub *hub);

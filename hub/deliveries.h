/* deliveries.h — port: which event is still to be sent to which endpoint, and what has become of the others; kept where messages are.
 *
 *   event is kept ─┬─ PENDING, due at once ──taken and sent by webhooks/──> settled: DELIVERED
 *                  │     ^  ^                                              │ settled: PENDING, due later, one more try behind it
 *                  │     │  └──────────────────────────────────────────────┘ settled: DEAD ─> a dead letter ─┐
 *                  └─ of a lane in which others wait: PENDING, due never,   ^                                │ settled: PENDING again
 *                     until those before it are settled: then due at once   └────────────────────────────────┘
 *
 * So what is due is all there is to look for: of a lane (an ordered endpoint, one channel) only the first is.
 *
 * A settling is committed before it is answered, in groups with whatever else is (store.h). It is at least once: who dies between
 * sending and the commit sends again. What came of an attempt (is_sent, of no lane) waits 2 ms for others, at most 20, because a commit of
 * its own costs as much as a dozen of them.
 *
 * Lifetime   requests are the asker's, who has them again when `answered` is called; what they point to stays in between.
 * Threading  the hub's; `answered` runs in a turn of the hub, perhaps inside the call itself.
 * Limits     a read looks at no more than `looks` rows and gives no more than `limit` of max_bytes in all (at least one). */
#pragma once
#include "hub/base/mail.h"
#include "hub/hub_event.h"

enum delivery_status { DELIVERY_PENDING, DELIVERY_DELIVERED, DELIVERY_DEAD, DELIVERY_STATUSES, DELIVERY_REMOVED };

/* PENDING, due never: behind others of its lane; or after its last attempt, at the head of a lane that waits for somebody to act. */
static const int64_t DELIVERY_NEVER = INT64_MAX, DELIVERY_BLOCKED = INT64_MAX - 1;

struct delivery {
    uint64_t     number;             /* delivery_number() */
    uint64_t     endpoint, lane;
    uint8_t      status;
    uint8_t      type;               /* of the event */
    uint16_t     tries;              /* attempts so far */
    int64_t      due_ms;             /* PENDING: not before; wall clock */
    int64_t      settled_ms;         /* when it became what it is; 0: it has never been tried */
    int64_t      time_ms;            /* of the event */
    uint64_t     epoch;              /* likewise */
    struct slice channel, name;      /* of the event; in `text` */
    struct slice attempts;           /* what was tried, as it was settled; in `text` */
    struct msg  *msg;                /* of READ_DUE and `with_message`: a reference */
    char        *text;
};

/* How a delivery stands from now on. REMOVED: it is gone, and nobody finds it any more. */
struct settlement {
    uint64_t     number, endpoint, lane;
    uint8_t      status;
    uint16_t     tries;
    int64_t      due_ms, settled_ms;
    struct slice attempts;           /* in place of what was there; at NULL: that stays */
    unsigned     only_from;          /* only if it stands so (a bit for each status): others may have settled it since it was read; 0: however it stands */
    bool         done;               /* answer: it stood so, and whoever settles may */
};

/* ERR_STORE_FAILED: nothing of it has happened. */
struct settle_call {
    struct settle_call *next;        /* the port's */
    struct settlement  *at;
    size_t              n;
    bool                is_sent;     /* by sending: where nodes share the queues only the one that sends there may */
    int                 err;         /* answer */
    size_t              n_promoted;  /* answer: so many others of their lanes are due now */
    void              (*answered)(struct settle_call *call);
    void               *owner;
};

enum delivery_read_kind {
    READ_DUE,        /* of `endpoint`, due up to due_ms and after {after_due_ms, after}: in that order, with their messages */
    READ_OLDEST,     /* numbers above `after`, in order */
    READ_NEWEST,     /* numbers below `after` (0: from the newest on), in falling order */
    READ_ONE,        /* number `after` */
    READ_EVENT,      /* `event`, with its deliveries as READ_OLDEST */
    READ_COUNTS,     /* how many there are: rows have endpoint, status, and the number of them in `number` */
};

/* ERR_STORE_FAILED, ERR_MEMORY. Lists leave out what a filter does not let through. */
struct delivery_read {
    struct letter    letter;         /* first; LETTER_READ */
    enum delivery_read_kind kind;
    uint64_t         endpoint;       /* 0: all */
    uint64_t         event;          /* 0: all; else only deliveries of this event */
    unsigned         statuses;       /* a bit for each (1 << status); 0: all */
    struct slice     channel;        /* empty: all */
    int64_t          since_ms, until_ms;      /* of the event's time; both included, 0: no bound */
    int64_t          due_ms, after_due_ms;
    uint64_t         after;
    size_t           limit, looks, max_bytes;
    bool             with_message;
    void           (*answered)(struct delivery_read *read);
    void            *owner;
    /* answer; the asker's, delivery_read_fini() gives all back */
    int              err;
    struct delivery *rows;
    size_t           n;
    struct msg      *event_msg;      /* of READ_EVENT: a reference; NULL: there is no such event */
    uint8_t          event_type;     /* likewise: enum event_type */
    bool             more;           /* there may be more after `upto`; of READ_DUE: there is more due */
    uint64_t         upto;           /* lists: what was looked at last */
    int64_t          next_due_ms;    /* of READ_DUE without more: when the next one is due; NEVER: none is */
};
void delivery_read_fini(struct delivery_read *read);

/* What is kept no longer: events before these times, unless something of them is still pending. */
struct delivery_limits {
    int64_t  delivered_before_ms;    /* deliveries that have arrived */
    int64_t  dead_before_ms;         /* dead letters */
    uint64_t max_bytes;              /* of all events, with what was tried; beyond that the oldest go before their time: first those that have arrived, then dead letters */
};

/* Some of what these limits say goes: as much as a transaction may take. ERR_STORE_FAILED: nothing went. ERR_MEMORY. */
struct trim_call {
    struct delivery_limits limits;
    int                    err;             /* answer */
    uint64_t               dead_dropped;    /* answer: dead letters that went */
    uint64_t               stays;           /* answer: events that were looked at and stay; 0: it is not known */
    bool                   more;            /* answer: more would go at once, or the oldest pending one was not found yet */
    uint64_t               bytes;           /* answer: what all of it takes */
    int64_t                oldest_pending_ms, oldest_dead_ms;      /* answer: when the event of the oldest such delivery happened; 0: there is none,
                                                                           or another hub tells, -1: not known yet */
    void                 (*answered)(struct trim_call *call);
    void                  *owner;
};

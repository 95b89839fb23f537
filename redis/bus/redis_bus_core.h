/* redis_bus_core.h — the inside of struct redis_bus, for the modules that make it up: redis_bus.c (states, what comes in), redis_echo.c,
 * redis_watches.c, redis_publish.c, redis_fetch.c, redis_fill.c (what was missed). Nobody else includes this. */
#pragma once
#include "hub/base/clock.h"
#include "redis/bus/redis_bus.h"
#include "redis/bus/redis_engine.h"
#include "redis/bus/redis_frame.h"
#include "redis/bus/redis_subs.h"

enum { REDIS_WHY = 200 };

/* A question to history, of the owner's or of the fill's. Freed by what answers it. */
struct redis_fetch {
    struct redis_request request;
    struct redis_bus    *bus;
    struct fetch_call   *call;
    void               (*done)(struct redis_fetch *fetch, int err);      /* frees it */
    void                *arg;
    bool                 patient;      /* is asked again when Redis is back */
    size_t               clear;        /* of a patient one: channels before it have no watch that waits */
    uint64_t             token;        /* of its echo */
    struct link          asked;        /* in bus->asked, while it is sent and has no reply */
    unsigned             life;         /* bus->lives when it was asked: later, its answer does not fit to what is delivered */
};

/* What was missed while it was not live (redis_fill.c). */
struct redis_fill {
    struct msg       **msgs;           /* live ones that came meanwhile, and fetched ones; in no order */
    size_t             n, cap, bytes;
    bool               overflow;       /* too much, or no memory: everybody is behind */
    struct redis_sub **subs;           /* to be fetched */
    size_t             n_subs, next;   /* those before are asked for */
    unsigned           under_way;      /* questions */
    uint64_t           generation;     /* of those that count */
    struct buf         behind;         /* a byte of length and the name of each channel that has given something up */
    uint64_t           token;          /* of the echo that ends it; 0: not sent yet */
};

/* A request of the bus's own: an echo, a proof. Freed by what answers it. */
struct redis_own {
    struct redis_request request;
    struct redis_bus    *bus;
    bool                 is_beat;
    uint64_t             token;
    char                 proof[REDIS_PROOF_BYTES];      /* of a new epoch */
};

struct redis_bus {
    struct redis_bus_setup setup;
    struct redis_engine   *engine;
    struct redis_link     *listener;
    enum redis_bus_state   state;
    bool                   told_live;          /* live() was said, and away() not since */
    bool                   freed;
    unsigned               waited;             /* times it was told to let others vouch first (proof.lua) */
    bool                   proven;             /* the data behind the engine: publishes are taken, also while the listener is lost */
    char                   prefix[REDIS_PREFIX_MAX + 8];                      /* P */
    uint64_t               node;
    char                   own[REDIS_SUBJECT], all[REDIS_SUBJECT], purged[REDIS_SUBJECT];      /* subjects: echoes of this node; epochs, purges for all */
    char                   words[REDIS_SUBJECT], own_words[REDIS_SUBJECT];      /* of parts: for all, for this node */
    unsigned               controls;           /* of those five, confirmed */
    struct link            parts;
    struct redis_subs      subs;
    struct event          *tick;               /* REDIS_BEAT_MS */
    struct event          *soon;               /* at the end of this turn of the loop: what is subscribed to is sent */

    struct redis_sight     seen;               /* newest message or beginning that is known, and its proof */
    char                   voucher[72];        /* for the server that held it (proof.lua) */
    uint64_t               epoch, head;        /* what live() said, and what was delivered since */
    uint64_t               live_epoch;         /* when it was live last */
    uint64_t               live_at;            /* the head when it was live last */
    unsigned               lives;              /* how often it was left */
    bool                   is_behind;          /* a new epoch: everybody is, and nothing is filled */

    uint64_t               token, echoed;      /* last one given; last one that came back */
    uint64_t               unheard;            /* one that Redis has run and that has not come back; 0: none */
    int64_t                unheard_ms;         /* since when */
    int64_t                came_ms;            /* when the listener brought something last */
    uint64_t               echo_token;         /* of the echo for those in `now` */
    struct link            fetches_now, fetches_next;      /* FETCH_NOW: until the echo that is under way, or the next one, is back */
    struct call           *watches_now, *watches_next;     /* confirmed ones, likewise; chained by letter.next */
    struct link            asked;              /* patient fetches without their reply, oldest first */
    struct redis_fetch    *held_for;           /* its echo is back before its reply: what follows on the listener waits for that */
    struct link            replied;            /* fetches that have their reply, until their echo */
    struct link            held;               /* patient fetches while it is not live */
    struct link            blocked;            /* patient fetches behind watches of their channels */
    int                    over;               /* 0, or what who waits is answered */

    struct redis_fill      fill;
    struct buf             body, targets;      /* scratch: of a message that is sent, and of whom it is an event for */
    char                   why[REDIS_WHY], refused[REDIS_WHY];
};

/* redis_bus.c */
void redis_bus_prove(struct redis_bus *bus, const char *why);      /* what is there may not be what we know */
void redis_bus_saw(struct redis_bus *bus, const struct redis_sight *sight);
void redis_bus_deliver(struct redis_bus *bus, struct msg *m);      /* takes the reference */
void redis_bus_filled(struct redis_bus *bus, uint64_t head);       /* everything is delivered, or told as behind, up to here: live */
void redis_bus_tell_refused(struct redis_bus *bus, const char *why);      /* NULL: it is not any more */
bool redis_bus_believes(const struct redis_bus *bus, const struct redis_sight *sight);      /* this number may have been given */
int  redis_own_run(struct redis_bus *bus, const struct redis_own *own);   /* a copy of it; 0 or ERR_… */
static inline int64_t redis_now_ms(void) { return clock_mono_ms(clock_real()); }
static inline void redis_bus_answer(struct redis_bus *bus, struct call *call, int err)
{
    bus->setup.ops->answer(bus->setup.owner, call, err);
}

/* redis_publish.c: arguments and answers that publish.lua and event.lua have in common */
/* Into scratch, valid until the next; without memory the message is empty, and the script does nothing ("memory"). */
void redis_publish_pack(struct redis_bus *bus, const struct publish_call *call, struct slice *ret_message, struct slice *ret_event);
void redis_publish_key(const struct redis_bus *bus, const struct idempotency_key *key, struct redis_args *args);
int  redis_published(struct redis_bus *bus, struct publish_call *call, const char *proof, const struct redisReply *reply);      /* 0 or ERR_…, by its first word */

/* redis_echo.c */
void redis_bus_want_echo(struct redis_bus *bus);                   /* for what is in the lists of the next one */
uint64_t redis_bus_echo(struct redis_bus *bus);                    /* sends one: its token; 0: it could not, and the link is lost for it */
void redis_echo_beat(struct redis_bus *bus);                       /* one that also looks whether Redis can write */
void redis_echo_came(struct redis_bus *bus, const struct redis_sight *sight, uint64_t token);      /* token 0: of a new epoch */

/* redis_watches.c */
bool redis_watches_send(struct redis_bus *bus);                    /* what is wanted is asked for; false: the listener is lost for it */
void redis_watches_on(void *arg, struct redis_sub *sub);           /* confirmed */
void redis_watches_soon(int fd, short what, void *arg);            /* an event: what was asked for in this turn of the loop is sent */
void redis_watches_answer(struct redis_bus *bus, struct call *chain, int err);
void redis_watches_lost(struct redis_bus *bus);                    /* the echo will not come: they wait from the beginning */
void redis_watches_end(struct redis_bus *bus, int err);            /* all that wait are answered with it */

/* redis_fetch.c */
void redis_fetch_run(struct redis_fetch *fetch);                   /* now, or when it is live; ends with done() */
int  redis_fetch_send(struct redis_fetch *fetch);
void redis_fetch_now(struct redis_fetch *fetch);                   /* a FETCH_NOW whose echo is back */
void redis_fetch_wait(struct redis_fetch *fetch, int err);         /* Redis is away: it waits, or ends with this error */
void redis_fetches_echoed(struct redis_bus *bus);
void redis_fetches_again(struct redis_bus *bus);                   /* live again */
void redis_fetches_unblock(struct redis_bus *bus);                 /* watches were answered */
void redis_fetches_end(struct redis_bus *bus, int err);            /* those that wait for Redis, for watches, or for where now is */
void redis_fetches_lost(struct redis_bus *bus);                    /* those that wait for an echo that will not come */

/* redis_fill.c */
void redis_fill_begin(struct redis_bus *bus);                      /* what came after bus->head */
void redis_fill_keep(struct redis_bus *bus, struct msg *m);        /* a live one, while it is not live; takes the reference */
void redis_fill_echoed(struct redis_bus *bus, uint64_t seq);
void redis_fill_stop(struct redis_bus *bus);                       /* no more questions; what has come stays */
void redis_fill_drop(struct redis_bus *bus);                       /* and that goes: the listener is lost, or another epoch has begun */

/* dispatcher_core.h — the inside of struct dispatcher, for the modules that make it up: dispatcher.c (on top), attempt.c, queue.c.
 * Nobody else includes this. Threading: the hub's. */
#pragma once
#include "hub/base/clock.h"
#include "hub/config/config.h"
#include "webhooks/guard.h"
#include "webhooks/queue.h"

/* What the settings come to, for all that is sent under them; kept until the process ends, because attempts under way point to it. */
struct dispatch_terms {
    struct dispatch_terms *before;
    struct guard          *guard;
    struct http_out_rules  rules;
    struct schedule        retry;
    struct breaker_rule    breaker;
};

struct dispatcher {
    struct dispatcher_setup setup;
    const struct config    *config;
    bool                    is_shared;     /* nodes share the queues (hook.h) */
    struct dispatch_terms  *terms;         /* the newest first */
    struct queue           *queues;        /* table by number */
    struct link             ready;         /* may have something to send */
    struct link             unsettled;     /* jobs whose settling failed: tried again */
    struct event           *timer;         /* NULL: the owner ticks */
    int64_t                 wake_ms;       /* mono: when time brings something; INT64_MAX: it does not */
    unsigned                sending, settling;
    bool                    running, stopping;
    struct trim_call        trim;
    bool                    trimming;
    struct delivery_read    counts;        /* of dead letters, when some were dropped */
    bool                    counting;
    int64_t                 trim_ms;       /* mono: when what is old is looked for again */
    uint64_t                trim_stays;    /* events that stay, of those this round has looked at */
    uint32_t                chance;        /* of jitter: xorshift */
};

struct hub *dispatcher_hub(const struct dispatcher *all);
int64_t     dispatcher_wall_ms(const struct dispatcher *all);
uint32_t    dispatcher_chance(struct dispatcher *all);
/* The queue may have something to send: it takes its turn. */
void        dispatcher_kick(struct dispatcher *all, struct queue *queue);
/* An attempt has come to nothing: those that wait for its room go on. */
void        dispatcher_room(struct dispatcher *all);
void        dispatcher_page_came(struct dispatcher *all, struct queue *queue, int err);
void        dispatcher_wake_in(struct dispatcher *all, int64_t ms);
/* An attempt, or what came of it, is over: room for others; frees a queue that is gone. */
void        dispatcher_settled(struct dispatcher *all, struct queue *queue);

/* attempt.c */
/* The schedule begins with a delay, and the event has just happened: true: the job is settled to be due then. */
bool        attempt_put_off(struct job *job);
void        attempt_begin(struct queue *queue, struct job *job);
void        attempt_settle_again(struct job *job);      /* of dispatcher->unsettled */

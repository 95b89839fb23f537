/* redis_subs.h — which channels and patterns this node wants, and which of them Redis has confirmed.
 *
 *   OFF ──SUBSCRIBE──> SENT ──confirmed──> ON ──no reader for REDIS_IDLE_MS: UNSUBSCRIBE──> gone
 *    ^──────────── the link is lost ────────┘
 *
 * A channel is one SUBSCRIBE of P"m:"channel. For patterns, however many, there is one PSUBSCRIBE of P"m:*" (README: why), the
 * firehose: a pattern is ON when that is. What is wanted by both comes twice, one copy right behind the other.
 *
 * Lifetime   inside the bus. A sub is valid until redis_subs_forget_idle. Threading: the bus's.
 * Limits     a SUBSCRIBE names at most REDIS_ARGS_MAX - 1 channels. */
#pragma once
#include "hub/call.h"
#include "hub/base/list.h"
#include "redis/link/redis_link.h"

#include <uthash.h>

enum redis_sub_state { REDIS_SUB_OFF, REDIS_SUB_SENT, REDIS_SUB_ON, REDIS_SUB_STATES };

struct redis_sub {
    UT_hash_handle       hh;
    struct link          link;         /* in subs->lists[state] */
    struct link          idle;         /* in subs->idle while nobody wants it */
    enum redis_sub_state state;
    bool                 is_pattern;
    uint32_t             refs;
    uint32_t             unanswered;   /* watches */
    int64_t              idle_since_ms;
    uint64_t             last;         /* number of its newest message that was delivered, or what the head was when it was subscribed */
    struct call         *waiters;      /* struct watch_call, chained by letter.next, until it is ON; each has a reference of its own */
    uint8_t              len;
    char                 name[];
};

struct redis_subs {
    struct redis_link *link;
    const char        *prefix;         /* P */
    struct redis_sub  *table;
    struct link        lists[REDIS_SUB_STATES];
    struct link        idle;           /* longest first */
    size_t             n_patterns;
    enum redis_sub_state firehose;
    int64_t            firehose_idle_ms;     /* since when no pattern wants it */
};

void redis_subs_init(struct redis_subs *subs, struct redis_link *link, const char *prefix);
void redis_subs_fini(struct redis_subs *subs);
struct redis_sub *redis_subs_find(const struct redis_subs *subs, struct slice name);      /* NULL: none */
struct redis_sub *redis_subs_take(struct redis_subs *subs, struct slice name);            /* one reader more; NULL: no memory */
void redis_subs_release(struct redis_subs *subs, struct redis_sub *sub, int64_t now_ms);  /* one less */
typedef void redis_sub_on_fn(void *arg, struct redis_sub *sub);
/* Asks Redis for all that are OFF; patterns may be ON at once. 0, or why the link did not take it: then it is to be given up. */
int  redis_subs_send(struct redis_subs *subs, redis_sub_on_fn *on, void *arg);
/* A confirmation of the link: each sub that is ON by it is given to on(). */
void redis_subs_confirmed(struct redis_subs *subs, struct slice kind, struct slice subject, redis_sub_on_fn *on, void *arg);
bool redis_subs_settled(const struct redis_subs *subs);      /* all that Redis was asked for is confirmed */
void redis_subs_lost(struct redis_subs *subs);            /* the link: all are OFF, those that nobody wants gone */
void redis_subs_forget_idle(struct redis_subs *subs, int64_t now_ms);
static inline struct slice redis_sub_name(const struct redis_sub *sub) { return slice(sub->name, sub->len); }

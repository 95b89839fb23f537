/* redis_members_core.h — the inside of struct redis_members, for the modules that make it up: redis_members.c (saying, burying, graces),
 * redis_member_list.c (pages of members), redis_halls.c (channels that are followed here). Nobody else includes this. */
#pragma once
#include "hub/base/list.h"
#include "redis/bus/redis_engine.h"
#include "redis/parts/redis_members.h"
#include "redis/bus/redis_pack.h"

#include <uthash.h>

enum {
    REDIS_PAGE_BYTES = 256 << 10,     /* of a page; a word of it goes to one node */
    REDIS_SETTLE_MS = 3000,           /* after it is live again nodes say all anew: only then who is missing has left */
};

struct event;
struct hall;

struct listed {
    uint32_t     count, n;            /* of all members; on this page */
    bool         more;
    struct slice records;             /* take_listed */
};

struct listed_member { struct slice user, info; int64_t since_ms; uint32_t connections; };

/* A question for a page. Freed by redis_member_list.c after done(). */
struct member_list {
    struct redis_request  request;
    struct redis_members *members;
    struct link           link;
    uint64_t              token;
    bool                  replied, ended;
    struct slice          channel, after;      /* the asker's, until done */
    size_t                limit;
    void                (*done)(struct member_list *list, int err, const struct listed *listed);
    void                 *arg;                 /* the asker's */
};

struct redis_members {
    struct redis_members_setup setup;
    struct redis_part          part;
    struct redis_nodes_watcher watcher;
    struct event              *soon;           /* at the end of this round of the loop: what is unsaid is said */
    struct event              *grace;          /* when the next grace ends */
    unsigned                   batches;        /* under way */
    bool                       resting;        /* something failed: until the next second */
    bool                       all_said;
    bool                       leaving;
    uint64_t                   changes;        /* of the lease, as Redis said last */
    struct redis_request       sweep;
    bool                       sweeping;
    /* redis_member_list.c */
    struct link                lists;          /* struct member_list, in the order they were asked */
    unsigned                   n_lists;
    struct call               *waiting;        /* struct members_call, until the lease is held; chained by letter.next */
    uint64_t                   token;
    /* redis_halls.c */
    struct hall               *halls;          /* table by channel */
    struct link                to_load;        /* struct hall */
    unsigned                   loading;
    int64_t                    settled_ms;     /* when those that were known before are compared; 0: they are */
};

static inline bool redis_members_can(const struct redis_members *members)
{
    return redis_nodes_has_lease(members->setup.nodes);      /* so it is live too */
}

/* redis_members.c */
void redis_members_say_all(struct redis_members *members);         /* what is unsaid goes before what is sent next */

/* redis_member_list.c */
int  redis_member_list_ask(const struct member_list *wanted);                                         /* copied; 0: done() will come */
void redis_member_list_came(struct redis_members *members, struct slice page);                    /* the word */
void redis_member_lists_end(struct redis_members *members, int err);                              /* words may be lost, or it ends */
void redis_member_lists_go_on(struct redis_members *members);                                     /* those that wait for the lease: asked, or ERR_REDIS_AWAY */
bool redis_listed_take(struct slice *rest, struct listed_member *ret);

/* redis_halls.c */
void redis_halls_live(struct redis_members *members);
void redis_halls_tick(struct redis_members *members);
void redis_halls_change(struct redis_members *members, struct slice word, bool joined);      /* the word */
void redis_halls_free(struct redis_members *members);

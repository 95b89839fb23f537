/* redis_nodes.h — which nodes there are: each holds a lease in Redis, says each second what it is, and sees who is there and who has died.
 *
 *   HOMELESS ──live: takes a lease──> HOLDING ──beat each second──> HOLDING ──redis_nodes_leave──> GONE
 *       ^                                │
 *       └── the lease is lost: it was cut off for longer than it, or Redis has lost it; the node takes another one
 *
 * A lease stands for one unbroken presence of a node: what is in Redis in its name is taken out when it is lost (the node was killed,
 * cut off) or given back (a clean stop). One node is chosen for that (burial) and has it for as long as a lease, again and again while
 * it lives: when it dies in the middle another one goes on. A node that comes back after that finds its lease lost, takes another one
 * and its watchers say all anew (`held` with is_new); nobody can take out what it says then, since it is in the new lease's name.
 *
 * Time counts only while nodes beat (lua/age.lua): while Redis is away nobody loses a lease.
 *
 * Lifetime   redis_nodes_init before redis_bus_open, redis_nodes_fini after redis_bus_free. Watchers outlive it.
 * Threading  the hub's.
 * Limits     a node costs about 300 bytes in Redis and 250 here; each node reads of all every other second. */
#pragma once
#include "hub/base/buf.h"
#include "redis/bus/redis_bus.h"
#include "redis/bus/redis_engine.h"

enum { REDIS_LEASE_NAME = 24 };     /* a lease's name, its end included */

/* What a node says of itself. */
struct redis_node {
    uint64_t number;           /* redis_bus_node: what its words are sent to; another one each time it starts */
    int64_t  heard_ms;         /* when it said this, by the server's clock */
    int64_t  started_ms;       /* wall clock of the node */
    uint64_t connections, subscriptions, members;
    struct slice name, version, public_address, api_address;
};

/* Who has something in Redis in the lease's name. Embedded; added before redis_bus_open. */
struct redis_nodes_watcher {
    struct link link;          /* the nodes' */
    /* Each time the bus has become live, once the node has its lease again. is_new: another one than before, under which nothing
     * is said yet. `changes`: how often held:L has been changed. */
    void (*held)(struct redis_nodes_watcher *watcher, bool is_new, uint64_t changes);
    /* This lease is for this node to bury: takes out what is there in its name, then redis_nodes_buried. Another node may be at it
     * too. When the bus is away the rest is left to whoever is chosen then. */
    void (*bury)(struct redis_nodes_watcher *watcher, const char *lease);
};

struct redis_nodes_setup {
    struct redis_bus *bus;
    int64_t           lease_ms;
    /* What this node is now; `number` and heard_ms are filled in by it. */
    void            (*describe)(void *owner, struct redis_node *node);
    void             *owner;
};

struct redis_nodes {
    struct redis_nodes_setup setup;
    struct redis_part    part;
    struct link          watchers;
    char                 lease[REDIS_LEASE_NAME];
    bool                 has_lease;       /* it took it; Redis may have forgotten */
    bool                 is_new;          /* it took it and has not told so */
    bool                 had_one;         /* before this one */
    bool                 holding;         /* watchers were told, and it is live */
    bool                 leaving, left;
    bool                 wants_list;
    int64_t              ahead_ms;        /* the server's clock minus clock_mono_ms */
    int64_t              queue_ahead_ms;  /* the queue's clock minus the server's (lua/lease.lua) */
    struct redis_request beat, end;       /* one of each at a time */
    bool                 beating;
    int64_t              beat_ms;         /* mono: when the one under way was sent */
    int64_t              certain_ms;      /* mono: until when the lease is held whatever happens */
    const char          *ending;          /* the lease that `end` is about; NULL: none */
    bool                 with_list;       /* of the beat under way */
    const char          *taking;          /* likewise: "", "new", "again" */
    uint64_t             beats;
    char                 burying[REDIS_LEASE_NAME];      /* "": nothing */
    unsigned             diggers;         /* watchers that are at it */
    struct buf           words;           /* scratch: what it says */
    struct redis_node   *list;            /* slices into `text` */
    size_t               n_list;
    char                *text;
};

void redis_nodes_init(struct redis_nodes *nodes, const struct redis_nodes_setup *setup);
void redis_nodes_fini(struct redis_nodes *nodes);
void redis_nodes_watch(struct redis_nodes *nodes, struct redis_nodes_watcher *watcher);
/* One watcher has done its part; or could not, and the rest is for whoever is chosen when this node's claim has ended. */
void redis_nodes_buried(struct redis_nodes *nodes, const char *lease, bool done);
bool redis_nodes_buries(const struct redis_nodes *nodes, const char *lease);
/* Redis has not kept what was said in the lease's name: the node takes another one, and the former is left to end. */
void redis_nodes_abandon(struct redis_nodes *nodes);

/* All that hold a lease, this one too, as they were at most some seconds ago; in no order. Valid until the loop's next turn. While
 * Redis is away: as it was before. */
size_t redis_nodes_list(const struct redis_nodes *nodes, const struct redis_node **ret_list);
bool   redis_nodes_has_lease(const struct redis_nodes *nodes);             /* it is held, as far as is known: watchers were told */
/* Likewise, and nobody can have buried it: less than its length has passed since the last beat that was answered was sent. */
bool   redis_nodes_is_certain(const struct redis_nodes *nodes);
const char *redis_nodes_lease(const struct redis_nodes *nodes);
/* The server's clock at this moment of clock_mono_ms, as well as it is known: to half a round trip. */
int64_t redis_nodes_server_ms(const struct redis_nodes *nodes, int64_t mono_ms);
int64_t redis_nodes_wall_ms(const struct redis_nodes *nodes);      /* that of the queue of webhooks, now; this machine's while it is not known */
/* A clean stop: gives the lease back. Nothing is said any more. */
void   redis_nodes_leave(struct redis_nodes *nodes);
bool   redis_nodes_left(const struct redis_nodes *nodes);                  /* or Redis is away, and it cannot */

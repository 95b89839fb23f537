/* redis_directory.h — the hub's directory (hub/directory.h) over the nodes that share a Redis: it asks them, and answers what they ask.
 *
 *   hub ──channels, match──> redis_listing ──ask 'N', 'C'──> other nodes: names_here, subscribers_here
 *       ──nodes────────────> redis_nodes (leases)
 *
 * Lifetime   redis_directory_init before redis_bus_open, redis_directory_fini after redis_bus_free and redis_asks_free.
 * Threading  the hub's. Limits: LISTINGS_AT_ONCE lists under way (ERR_BUSY). */
#pragma once
#include "hub/directory.h"
#include "redis/parts/redis_ask.h"

struct redis_nodes;

struct redis_directory {
    struct directory      port;       /* first */
    struct hub           *hub;
    struct redis_bus     *bus;
    struct redis_asks    *asks;
    struct redis_nodes   *nodes;
    void                (*turn)(void *arg);      /* something was answered: a turn of the hub is to follow */
    void                 *turn_arg;
    struct redis_answerer names, counts;
    unsigned              listings;   /* under way */
};

enum { REDIS_ASK_NAMES = 'N', REDIS_ASK_COUNTS = 'C' };

/* All but the callbacks is set by the owner. */
void redis_directory_init(struct redis_directory *directory);

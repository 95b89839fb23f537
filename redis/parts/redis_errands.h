/* redis_errands.h — errands over nodes (hub/errand.h): what one node's API wants of connections is done where they are.
 *
 *   hub ──elsewhere.run──> ask 'E' ──> the other nodes: hub_errand, on their edges ──> replies ──> errand_elsewhere
 *
 * Whoever may publish in Redis may close connections: as everywhere here, who is let into Redis is trusted. A credential that a connection
 * of another node is to go on with goes there as it is, and is checked there too.
 *
 * Lifetime   redis_errands_init before redis_bus_open and before edges are made; redis_errands_fini when the hub has had its last turn.
 * Threading  the hub's.
 * Limits     those of redis_ask.h. Of a list each node sends its share: twice what it would be if all had as many. ERRANDS_ASKED questions of
 *            other nodes are under way, more go without answer. */
#pragma once
#include "hub/errand.h"
#include "redis/parts/redis_ask.h"

struct redis_nodes;
struct serving;

enum { REDIS_ASK_ERRAND = 'E', ERRANDS_ASKED = 256 };

struct redis_errands {
    struct elsewhere      port;       /* first */
    struct serving       *serving;
    struct redis_bus     *bus;
    struct redis_asks    *asks;       /* NULL: nobody is asked any more */
    struct redis_nodes   *nodes;
    void                (*turn)(void *arg);      /* a turn of the hub is to follow */
    void                 *turn_arg;
    struct redis_answerer answerer;
    struct link           asked;      /* by other nodes, not answered yet */
    size_t                n_asked;
};

/* All but the port and what is below it is set by the owner. */
void redis_errands_init(struct redis_errands *errands);
void redis_errands_fini(struct redis_errands *errands);

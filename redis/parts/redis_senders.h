/* redis_senders.h — which node sends to which endpoint, and what nodes note for endpoints to be told of (lua/senders.lua, lua/change.lua).
 *
 *   each endpoint: nobody's ──the one that all agree on claims it──> its own ──assign──> attempts
 *                     ^                                                │
 *                     └── its lease is lost · another one is closer now: attempts end, then it lets go
 *
 * All nodes know all nodes (redis_nodes.h) and agree which is closest to an endpoint (by hash, so a node that comes or goes moves no more than its
 * share). Only that one claims, when nobody holds it or whose lease is lost; what nobody has claimed for UNCLAIMED_S anybody may. What a node
 * settles after it has lost its claim is refused (lua/settle.lua), and the other one sends again: at least once.
 *
 * Who sends hears at once what is due, by a word of the script that has kept it; and looks for itself when words may have been lost.
 *
 * Changes that are to become events (members, occupied channels) lie in an outbox; the node that sweeps makes the events, and the script that
 * keeps one takes the change out: so each becomes one, whoever ends when.
 *
 * Lifetime   redis_senders_new before redis_bus_open, redis_senders_free after redis_bus_free.
 * Threading  the hub's.
 * Limits     EVENT_TARGETS endpoints; each second one script per node. */
#pragma once
#include "redis/parts/redis_nodes.h"

struct hub;
struct redis_senders;

struct redis_senders_setup {
    struct redis_bus         *bus;
    struct redis_nodes       *nodes;
    struct hub               *hub;
    bool                    (*sweeps)(void *owner);      /* of all nodes this is the one that does what one does for all */
    void                    (*wake)(void *owner);        /* a turn of the hub is to follow */
    void                     *owner;
    bool                    (*knows)(void *owner);      /* all endpoints were read: before, nothing is claimed, and no event made */
};
struct redis_senders *redis_senders_new(const struct redis_senders_setup *setup);      /* NULL: no memory */
void redis_senders_free(struct redis_senders *senders);                                /* NULL is fine */

/* As hub/engine.h says of endpoint_came, endpoint_went and swept. */
void redis_senders_look(struct redis_senders *senders);
void redis_senders_removed(struct redis_senders *senders, uint64_t endpoint);
void redis_senders_swept(struct redis_senders *senders, uint64_t endpoint);

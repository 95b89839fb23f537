/* redis_occupied.h — which channels have a subscriber on any node, told once: when the first one comes, and when none has been there for long
 * enough (lua/occupied.lua, lua/vacated.lua).
 *
 *   this node: first ──> in the set `occupied`? ─no─> put there, noted (change.lua)
 *              none any more ──> does Redis know of other subscriptions (PUBSUB NUMSUB)? ─none─> taken out, noted
 *                                  └─some─> they may be just ending: asked twice more; after that it is the others' to say
 *   a node goes or dies ──> whoever sweeps looks through the set
 *   a new epoch ──> each node says which have a subscriber here: that is told again, for what was told last is not known
 *
 * Redis counts the subscriptions of nodes by itself, and forgets those of the dead; so there is nothing to keep, and nothing to bury.
 *
 * Lifetime   redis_occupied_new before redis_bus_open, redis_occupied_free after redis_bus_free.
 * Threading  the hub's.
 * Limits     a channel that is asked about again costs its name and 60 bytes for some seconds. */
#pragma once
#include "redis/parts/redis_nodes.h"

struct redis_occupied;

struct redis_occupied_setup {
    struct redis_bus         *bus;
    const struct redis_nodes *nodes;
    const struct hub         *hub;
    bool                    (*sweeps)(void *owner);
    void                     *owner;
};
struct redis_occupied *redis_occupied_new(const struct redis_occupied_setup *setup);      /* NULL: no memory */
void redis_occupied_free(struct redis_occupied *occupied);                                /* NULL is fine */
void redis_occupied_tell(struct redis_occupied *occupied, struct slice channel, bool is_occupied);

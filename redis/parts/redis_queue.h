/* redis_queue.h — what is to be sent to endpoints, and what has become of it, where all nodes share it (hub/deliveries.h, lua/queue.lua).
 *
 *   publish.lua, event.lua ──> deliveries in Redis ──redis_queue_read──> the node that sends (redis_senders.h) ──redis_queue_settle──> settled
 *
 * Times in it are the server's (redis_nodes_wall_ms).
 *
 * Lifetime   redis_queue_new before redis_bus_open, redis_queue_free after redis_bus_free.
 * Threading  the hub's. What is answered wants a turn of the hub (wake).
 * Limits     those of redis_link_send. */
#pragma once
#include "hub/deliveries.h"
#include "redis/parts/redis_nodes.h"

struct redis_queue;

struct redis_queue_setup {
    struct redis_bus         *bus;
    const struct redis_nodes *nodes;
    bool                    (*trims)(void *owner);      /* of all nodes this is the one that gives up what is old */
    void                    (*wake)(void *owner);
    void                     *owner;
};
struct redis_queue *redis_queue_new(const struct redis_queue_setup *setup);      /* NULL: no memory */
void    redis_queue_free(struct redis_queue *queue);                             /* NULL is fine */

/* As hub/engine.h says of settle, read and trim. */
void    redis_queue_settle(struct redis_queue *queue, struct settle_call *call);
void    redis_queue_read(struct redis_queue *queue, struct delivery_read *read);
void    redis_queue_trim(struct redis_queue *queue, struct trim_call *call);

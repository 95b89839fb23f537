/* redis_usage.h — looks every REDIS_USAGE_S at what the data in Redis takes (for the metrics), and whether Redis evicts keys.
 *
 * Redis must not (maxmemory-policy noeviction): a key that is gone without a word may be the one that tells of a gap. A policy that may is
 * warned of in the log and told in a metric; when keys have been evicted a new epoch begins (lua/usage.lua), and readers are told.
 *
 * Lifetime   inside the spoke: redis_usage_init before redis_bus_open, redis_usage_fini after redis_bus_free. Threading: the hub's.
 * Limits     one call under way. */
#pragma once
#include "redis/bus/redis_bus.h"
#include "redis/bus/redis_engine.h"

enum { REDIS_USAGE_S = 10 };

struct redis_usage {
    struct redis_part    part;
    struct redis_request request;
    struct redis_bus    *bus;
    unsigned             ticks;
    bool                 asking;
    bool                 may_evict;
    int64_t              memory, limit, index;      /* as they were told last */
    char                 count[72];                 /* of evicted keys, likewise (lua/usage.lua) */
};

void redis_usage_init(struct redis_usage *usage, struct redis_bus *bus);
void redis_usage_fini(struct redis_usage *usage);

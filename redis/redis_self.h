/* redis_self.h — what this hub says of itself to the other nodes (redis_nodes.h): its name, where it listens, how much it has.
 * Lifetime: embedded in the spoke. Threading: the hub's. */
#pragma once
#include "hub/base/buf.h"

struct redis_node;
struct serving;

struct redis_self {
    struct serving *serving;
    int64_t         started_ms;               /* wall clock */
    char            name[80];                 /* redis.node, or host and process */
    struct buf      public_address, api_address;      /* from when they are known */
};

void redis_self_init(struct redis_self *self, struct serving *serving);
void redis_self_fini(struct redis_self *self);
void redis_self_describe(void *owner, struct redis_node *node);      /* owner: a redis_self */

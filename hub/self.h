/* self.h — what this hub says of itself, to who lists the nodes and to the other nodes: its name, where it listens, how much it has.
 * Lifetime: of the process. Threading: the hub's. */
#pragma once
#include "hub/call.h"

struct serving;

struct self {
    const struct serving *serving;
    uint64_t              number;        /* of this start; with redis.url the nodes have numbers of their own */
    int64_t               started_ms;    /* wall clock */
    char                  name[80];      /* redis.node, or host and process */
};

void self_init(struct self *self, const struct serving *serving);
/* Addresses are empty until the spokes have bound. */
void self_describe(const struct self *self, struct node_info *ret_info);

/* connection_id.h — the id of a public connection: a number that its edge gives, above the number of the edge at the hub in the low 8
 * bits; "c2f01" where people and URLs have it. Of several nodes each puts its own number behind it: "c2f01-9a3bc4d2e1". It is that of one
 * connection as long as the process runs; with the node's number, which is another one each time it starts, for good.
 *
 * Threading: pure functions. */
#pragma once
#include "hub/base/buf.h"

enum { CONNECTION_TEXT = 40 };
size_t   connection_print(char out[CONNECTION_TEXT], uint64_t node, uint64_t id);      /* node 0: there is one only */
uint64_t connection_parse(struct slice text, uint64_t *ret_node);                      /* 0: no id of a connection */
static inline uint8_t connection_edge(uint64_t id) { return (uint8_t)id; }

/* connection_id.h — the id of a public connection: a number that its edge gives, above the number of the edge at the hub in the low 8
 * bits; "c2f" where people and URLs have it. It is that of one connection as long as the process runs.
 *
 * Threading: pure functions. */
#pragma once
#include "hub/base/buf.h"

enum { CONNECTION_TEXT = 24 };
size_t   connection_print(char out[CONNECTION_TEXT], uint64_t id);
uint64_t connection_parse(struct slice text);      /* 0: no id of a connection */
static inline uint8_t connection_edge(uint64_t id) { return (uint8_t)id; }

/* portrait.h — one connection as administrators see it: the object of GET /v1/connections (PROTOCOL.md, "Connections").
 *
 * Threading: its edge's thread. Limits: all its channels may be up to limits.channels names. */
#pragma once
#include "hub/base/buf.h"

struct conn;

/* Appends the object, with at most so many of its channels. */
void portrait_add(struct buf *out, const struct conn *conn, size_t channels_max);

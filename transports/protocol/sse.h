/* sse.h — the SSE side of PROTOCOL.md: ready, gap, heartbeats, bye; messages come from the rings.
 *
 * Threading: edge thread. Lifetime: of its conn. */
#pragma once
#include "transports/edge/conn.h"
#include "transports/request/stream_request.h"

/* Checks the request before a response head is sent. 0, or the error that answers it (400, 401, 403 are final for an EventSource). */
int sse_check(struct edge *edge, const struct stream_request *request);
/* After the head was sent (200, text/event-stream). NULL: no memory, drop the line. An outage or drain is told by hub.bye. */
struct conn *sse_open(struct edge *edge, void *line, const struct stream_request *request);

extern const struct protocol sse_protocol;

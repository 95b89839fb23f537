/* ws.h — the WebSocket protocol of PROTOCOL.md on a connection: welcome, commands, answers, pings, close frames.
 *
 * The line does the upgrade and gives whole messages (assembled, at most public.max_frame, UTF-8 checked).
 * Commands are one table (ws_commands.c); each becomes a subscription or a call.
 * Threading: edge thread. Lifetime: of its conn. */
#pragma once
#include "transports/edge/conn.h"
#include "transports/request/stream_request.h"

/* After the upgrade. Always gives a connection (or NULL: no memory, drop the line); bad credentials, bad channels and the like
 * are told by an `error` frame and a close code, because a browser cannot see an HTTP status. */
struct conn *ws_open(struct edge *edge, void *line, const struct stream_request *request);
void ws_on_message(struct conn *conn, struct slice text);
void ws_on_pong(struct conn *conn);

extern const struct protocol ws_protocol;

/* ws_say.h — how the two halves of the WebSocket protocol (ws.c, ws_commands.c) speak. */
#pragma once
#include "transports/edge/conn.h"

/* One text frame with this object; the buf is emptied. */
void ws_say(struct conn *conn, struct buf *object);

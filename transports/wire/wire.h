/* wire.h — the forms in which a message leaves: each message is encoded once per form in use on an edge, never once per
 * subscriber. PROTOCOL.md, "SSE" and "WebSocket".
 *
 *   WIRE_WS           a text frame (RFC 6455 §5.2, not masked) with the message object
 *   WIRE_WS_REPLAY    the same with "replay":true
 *   WIRE_SSE_BARE     id: / event: / data: lines of the payload, a blank line (WHATWG HTML §9.2)
 *   WIRE_SSE          the same with the message object as data
 * Threading: pure functions. Limits: those of the message; when memory fails, out->failed (nothing of it may be sent). */
#pragma once
#include "hub/base/buf.h"
#include "hub/msg.h"
#include "hub/position.h"

enum wire_format { WIRE_WS, WIRE_WS_REPLAY, WIRE_SSE_BARE, WIRE_SSE, WIRE_POLL, WIRE_FORMATS };

void wire_add(struct buf *out, enum wire_format format, const struct msg *m);

/* One WebSocket frame from the hub: FIN, this opcode, any length. */
enum ws_opcode { WS_TEXT = 1, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };
void wire_add_ws(struct buf *out, enum ws_opcode opcode, struct slice payload);
/* One SSE block. `id` and `event` may be empty, then their lines are not there; neither has line ends. Data is split at CRLF,
 * LF and CR, so that nothing in it can forge a field; with data.at NULL there is no data line (a heartbeat: an id alone). */
void wire_add_sse(struct buf *out, struct slice id, struct slice event, struct slice data);
/* The block that sets how long to stay away. With `after` it repeats where the client said it is: to the letter of WHATWG HTML §9.2.6 each
 * stream begins with an empty last event ID, and the first empty line stores that. Whoever goes by it would come back without a position
 * when the stream is cut, or ended by hub.bye, before another id has come. */
void wire_add_sse_retry(struct buf *out, int64_t retry_ms, const struct position *after);

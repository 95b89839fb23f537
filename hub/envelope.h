/* envelope.h — a message as the JSON object that clients see (PROTOCOL.md, "The message object").
 *
 *   {"type":"message","replay":true,"channel":"news","id":"k3q7x2ab.1842","event":"tick","encoding":"base64","data":…,"time":1700000000000}
 *
 * It is the same on WebSocket, in the SSE envelope and in history answers, so it is written in one place. JSON payloads go
 * in byte for byte, text as a JSON string, binary as base64. It is on the fan-out path, once per message and format.
 * Threading: pure functions. Limits: those of the message; text grows to at most six times its size. */
#pragma once
#include "hub/msg.h"

/* `type` is "message", or empty: no type member. `replay` adds "replay":true. Failure is out->failed. */
void envelope_add(struct buf *out, const struct msg *m, struct slice type, bool replay);

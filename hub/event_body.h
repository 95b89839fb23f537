/* event_body.h — what an endpoint is sent: the event as one JSON object, the same bytes in every attempt.
 *
 *   {"id":"evt_k3q7x2ab_1842","type":"message.published","event":"message.published","timestamp":"2026-11-21T10:08:00.123Z",
 *    "channel":"orders.eu","message":{"id":"k3q7x2ab.1842","event":"tick"},"data":…}
 *
 * `event` repeats `type`, for receivers of that convention. `data` is the payload as its publisher sent it: JSON byte for byte, text as a
 * JSON string, anything else as base64 with "encoding":"base64" before it. `channel` is left out when the event has none, `message` when
 * it is no message's.
 *
 * Threading: pure functions; the message is immutable. Limits: those of the message; text grows to at most six times its size. */
#pragma once
#include "hub/hub_event.h"

void event_body_add(struct buf *out, enum event_type type, const struct msg *m);

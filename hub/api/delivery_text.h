/* delivery_text.h — a delivery (deliveries.h) as the API shows it.
 *
 *   {"id":"dlv_73201","webhook":"wh_0190f3c2a4b81d2e","event":"evt_k3q7x2ab_1842","type":"order.created","channel":"orders.eu","message_event":null,
 *    "timestamp":"2026-11-21T10:08:00.123Z","status":"pending","tries":2,"last_status":503,"last_error":null,"settled":…,"next_attempt":…,"waits_for":"time"}
 *
 * Threading: pure functions. */
#pragma once
#include "hub/deliveries.h"

extern const char *const delivery_status_names[DELIVERY_STATUSES];

/* Without its closing brace. */
void delivery_text_add(struct buf *out, const struct delivery *row);
/* Members `attempts` (what came of each, as it was noted) and `payload` (the body that is sent, the same bytes). */
void delivery_text_add_whole(struct buf *out, const struct delivery *row);
/* An array of them. */
void delivery_text_add_all(struct buf *out, const struct delivery *rows, size_t n);

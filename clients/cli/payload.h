/* payload.h — the payload, taken out of a message object (PROTOCOL.md §3) or on its way into a publish.
 *
 * The payload comes out as it was published: JSON with the same bytes, text without its quotes, binary decoded.
 * A JSON string is shown like a text, because that is what somebody at a terminal means.
 * Limits: work and memory are linear in the object. */
#pragma once
#include "hub/base/buf.h"

/* Appends the payload. 0, ERR_BAD_JSON (not a message object), ERR_MEMORY; nothing is appended on failure. */
int payload_of_message(struct slice object, struct buf *ret_payload);

/* 0 if the text is one JSON value as far as brackets and commas go (the hub looks closer), so that it can stand as a
 * member's value and cannot end it; else ERR_BAD_JSON or ERR_MEMORY. */
int payload_check_json(struct slice text);

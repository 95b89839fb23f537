/* payload.h — what a terminal shows of the hub's JSON: the payload of a message object (PROTOCOL.md §3), a member as text.
 *
 * A payload comes out as it was published: JSON with the same bytes, text without its quotes, binary decoded. A JSON string is
 * shown like a text, because that is what somebody at a terminal means.
 * Threading: pure functions. Limits: work and memory are linear in the object. */
#pragma once
#include "hub/base/buf.h"

/* Appends the payload. 0, ERR_BAD_JSON (not a message object), ERR_MEMORY; nothing is appended on failure. */
int payload_of_message(struct slice object, struct buf *ret_payload);

/* Appends the text of a member that is a string. False, and nothing appended: `object` is no object, or has no such string. */
bool payload_add_text(struct buf *out, struct slice object, const char *member);

/* control.h — the JSON of what a connection is told about itself: the same objects as WebSocket frames and as SSE events
 * (PROTOCOL.md, "Control events" and "Hub → client").
 *
 * Each appends one object. `ref` is a JSON value as its bytes, or empty. Threading: pure functions. */
#pragma once
#include "hub/base/buf.h"
#include "hub/call.h"

struct conn;
struct rate_verdict;
struct parting;
struct principal;

void control_ready(struct buf *out, const struct conn *conn, const struct fetch_call *answer, bool resumed);
void control_gap(struct buf *out, const struct fetch_call *answer, bool replay);
void control_welcome(struct buf *out, const struct conn *conn, struct position position, int64_t retry_ms);
void control_retry(struct buf *out, int64_t retry_ms);
void control_subscribed(struct buf *out, struct slice ref, const struct fetch_channel *channel, struct position from, bool resumed, bool replay);
void control_unsubscribed(struct buf *out, struct slice ref, struct slice channel, int why);
void control_position(struct buf *out, struct slice channel, struct position position);   /* channel empty: the connection's */
void control_history(struct buf *out, struct slice ref, const struct fetch_call *answer, struct slice client);      /* without what is not for this client */
/* The body of a poll: `messages` are WIRE_POLL frames, each with a comma before it. */
/* retry_ms 0: ask on at once. */
void control_messages(struct buf *out, struct slice messages, struct position position, enum gap_reason gap, int64_t retry_ms);
void control_member(struct buf *out, const char *type, struct slice channel, const struct principal *principal);
void control_members_changed(struct buf *out, struct slice channel);
void control_presence(struct buf *out, struct slice ref, const struct members_call *answer);
void control_published(struct buf *out, struct slice ref, const struct publish_call *answer);
void control_not_published(struct buf *out, struct slice ref, const struct publish_call *answer);      /* an error that says what a condition would have to be */
void control_renewed(struct buf *out, struct slice ref, const struct principal *principal);
void control_expiring(struct buf *out, int64_t ends_ms, int64_t left_ms);
void control_pong(struct buf *out, struct slice ref);
void control_error(struct buf *out, struct slice ref, int err);
void control_rate_limited(struct buf *out, struct slice ref, const struct rate_verdict *verdict);     /* an error that names the limit */
/* Answers about rooms: `text` are members, each with a comma before it (hub/rooms.h). */
void control_room(struct buf *out, const char *type, struct slice ref, struct slice text);
void control_room_error(struct buf *out, struct slice ref, int err, struct slice text);
/* Last words. */
void control_bye(struct buf *out, const struct parting *parting, int64_t retry_ms);
void control_last_error(struct buf *out, const struct parting *parting);
int  parting_code(const struct parting *parting);      /* of the close frame */
/* Whether it is told by bye (come back, or not now) rather than by error (the same would happen again). */
bool parting_says_bye(const struct parting *parting);

/* lag.h — readers that fall behind, and what the rules of their channels say about it (EXACT.md 16): lag.bytes, lag.policy.
 *
 * Only who has once reached the head can fall behind; a resume always gets a gap. It happens when a reader has more than lag.bytes of a
 * channel before it, in its ring (edge.c looks after each send) or while it catches up (conn_check_lag, at ticks), or when history has given
 * up what it needs (the answer of its fetch says so).
 *
 *   disconnect   closed with 4008
 *   skip         a gap, and it goes on with what history has, or, past lag.bytes, now: in all its channels, so there the strictest counts
 *   latest       conflation: it goes on with the newest message of each channel that has this policy, and with all of the others
 *
 * Who reads on while the epoch changes (hub/engine.h: the engine has lost its data) has not fallen behind: whatever the policy, a gap is told.
 *
 * Conflation. The RESUME of such a reader asks for the newest messages after its position (fetch_call.conflates) when its line takes
 * something again, and not before: so they are as new as can be. A batch of older messages that was in hand is put back; one of newest
 * messages is written to its end and followed by the next, also if the reader has fallen behind again meanwhile. For numbers only grow:
 * channels that change all the time come last, and who began anew each time would never reach them. What was left out is told by a gap
 * of reason `conflated`.
 *
 * Threading  the edge's thread. Limits: nothing is kept; catching up is bounded as always (batch.h). */
#pragma once
#include "hub/config/channel_rule.h"

#include <stdbool.h>
#include <stdint.h>

struct catchup;
struct conn;
struct feed;
struct fetch_call;

/* Bytes of messages between a connection that catches up and the ends of its feeds; about, since frames are larger. 0: it
 * does not catch up, or is about to skip, or asks for the newest. */
int64_t conn_lag(const struct conn *conn);
/* The lag.bytes of this feed's rule was passed: its lag.policy at once. */
void    conn_fell_behind(struct conn *conn, const struct feed *feed);
/* The same, when it catches up and has passed the lag.bytes of one of its feeds: the strictest policy of those counts. */
void    conn_check_lag(struct conn *conn);

/* ---- for catchup.c: history has given up some, the answer says of which channels ---- */
/* It is to ask for the newest instead of taking this answer: then it does. */
bool            lag_conflates(struct catchup *cu, const struct fetch_call *answer);
/* The strictest policy of those channels. False: the connection is closed. */
bool            lag_apply(struct catchup *cu, const struct fetch_call *answer);
/* It has an answer of newest messages in hand: what was left out does not count as lag any more. */
void            lag_restart(struct catchup *cu);
enum lag_policy lag_strictest(const struct conn *conn);      /* of all its channels */

/* name.h — names of channels, events, clients and users, and patterns over channel names. DESIGN: a channel name is 1–200 bytes
 * of printable ASCII without space, `"`, `\`, `*`; segments are split at `.`.
 *
 * A pattern may use `*` for one whole segment and `**` as its last segment for one or more.
 *   orders.*   matches orders.eu, not orders.eu.42        orders.**  matches both, not orders
 * Threading: pure functions. */
#pragma once
#include "hub/base/buf.h"

enum { CHANNEL_NAME_MAX = 200, EVENT_NAME_MAX = 64, CLIENT_ID_MAX = 64, USER_NAME_MAX = 200 };

#define USER_CHANNEL_PREFIX "user."      /* user.{user} is the channel of a user's own connections */

int  channel_name_check(struct slice name);     /* 0 or ERR_BAD_CHANNEL */
int  event_name_check(struct slice name);       /* 0 or ERR_BAD_EVENT: 1–64 of A-Z a-z 0-9 . _ : -, not hub.… */
int  client_id_check(struct slice id);          /* 0 or ERR_BAD_CLIENT: same letters, 1–64 */
int  user_name_check(struct slice name);        /* 0 or ERR_BAD_CLIENT: 1–200 bytes of UTF-8 without control characters */
bool name_has_control(struct slice name);
/* Takes the segment before the next dot off the front of `rest`; false: there is none left (rest->at is NULL then). */
bool name_segment(struct slice *rest, struct slice *ret_segment);
/* Of a valid pattern: not an exact name. */
static inline bool name_is_pattern(struct slice name) { return name.len > 0 && memchr(name.at, '*', name.len) != NULL; }
int  pattern_check(struct slice pattern);       /* 0, ERR_BAD_CHANNEL, ERR_STAR_IN_SEGMENT, ERR_STARS_INSIDE; an exact name is a pattern too */
bool pattern_matches(struct slice pattern, struct slice name);
/* Does `pattern` match whatever `wanted` matches? chat.** covers chat.* and chat.a; chat.* does not cover chat.** */
bool pattern_covers(struct slice pattern, struct slice wanted);
/* Can one name match both? chat.* and *.a can (chat.a); chat.* and chat.a.** cannot. */
bool pattern_overlaps(struct slice a, struct slice b);

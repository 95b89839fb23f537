/* account.h — what a listener must have read by now, and what excuses what it has not: the rules that its parts (listener.c, gap.c) share.
 *
 * Whenever the hub tells a position, everything acknowledged up to there of what is subscribed to is accounted for: it was read, or a gap,
 * a beginning or a channel without history says why not. What has been accounted for is never looked at again (part->checked). */
#pragma once
#include "tests/sim/listener.h"

#define check(listener, condition, ...) do { if (!(condition)) listener_fail(listener, __VA_ARGS__); } while (0)
_Noreturn void listener_fail(const struct listener *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

const struct model *model_of(const struct listener *r);
bool part_is_live(const struct part *part);                                   /* unmarked messages are due to it */
/* Has the channel history, and may that have been otherwise when the hub answered? */
bool listener_keeps(const struct listener *r, int c);
bool listener_turned(const struct listener *r, int c);

void account_read(struct listener *r, uint64_t seq);                          /* it came, unmarked */
void account_name(struct listener *r, int c, uint64_t upto);                  /* of one channel or pattern, for whichever of its subscriptions */
void account_all(struct listener *r, uint64_t upto);                          /* of all that is live */
/* The first acknowledged message of this name after `after` that nothing excuses, or NULL. */
const struct model_msg *account_first_missing(const struct listener *r, int c, uint64_t after, uint64_t upto);
/* Of a channel without history, or that may have had none, and not behind where that was last said. EXACT.md 7. */
bool account_is_unkept(const struct listener *r, const struct part *part, const struct model_msg *m);
void account_excuse_unkept(struct listener *r, int c);                        /* it is said now */

/* A position is told: not ahead of what is committed; that it does not go back is for who knows what it is of. */
void listener_check_position(const struct listener *r, struct position p);
void listener_move_to(struct listener *r, struct position p);
/* The acknowledged message that this is; `channel` may be NO_CHANNEL. */
const struct model_msg *listener_check_msg(const struct listener *r, struct position p, int channel, uint32_t tag);

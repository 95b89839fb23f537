/* lag.h — what happens to listeners that fall behind (EXACT.md 16), as far as it can be told from outside.
 *
 * When a reader falls behind is a matter of rings and sends, which only the edge knows; so the model says what may happen, and what must
 * not: nobody is closed, skipped or conflated by a rule that no channel of the settings has, and who is conflated gets the newest message
 * of each channel. The policies of a seed stay; other limits of history come with reloads. */
#pragma once
#include "tests/sim/model.h"

struct sim;

void lag_choose(struct sim *sim);                                     /* before rules_choose */
/* Some rule says this, and from how many bytes on. */
bool lag_says(const struct sim *sim, enum lag_policy policy);
/* Some rule says this, whenever. */
bool lag_knows(const struct sim *sim, enum lag_policy policy);
enum lag_policy lag_policy_of(const struct sim *sim, int name);        /* the strictest of those of a pattern */
/* There is a newer message of its channel. */
bool lag_is_followed(const struct model *model, const struct model_msg *m);
/* Something of this name above `after` is. */
bool lag_leaves_out(const struct model *model, int name, uint64_t after);
/* The number of the message of its channel before this one, or of the last that history has (`kept`): one that was gone by its own ttl is
 * missed by nobody, so it may count or not. 0: none. */
uint64_t lag_before(const struct model *model, const struct model_msg *m, bool kept);

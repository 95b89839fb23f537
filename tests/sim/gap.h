/* gap.h — gaps that a listener is told (on_gap in listener.h): only where something is gone, or a rule may leave it out, and the first message
 * behind it is the next one that there is. */
#pragma once
#include "tests/sim/listener.h"

/* A gap may be told of this name on a stream that had begun: history may have lost something, or a lag rule or a channel without history
 * explains it. */
bool gap_is_right(const struct listener *r, int c);
/* EXACT.md 9: the gap's position is the number just before the first message that follows it, and that is `seq`. */
void gap_close(struct listener *r, uint64_t seq);

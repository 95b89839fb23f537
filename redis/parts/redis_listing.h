/* redis_listing.h — a list of channels over all nodes, while it is being put together.
 *
 *   CALL_CHANNELS   names: this node's, the others' (ask), those with kept messages (names.lua) ── all sorted: merged, cut where one of them ends
 *                   └─> what is there: subscribers of each node (ask), messages (channels.lua), summed ── who has neither is left out ─> answer
 *   … exact         only the second half
 *   CALL_MATCH      first the names of all nodes, page by page; then those with kept messages that no node has given (ask) ─> answer
 *
 * A script looks at LISTING_LOOKS names at most, or at what LISTING_AT_ONCE channels keep, and the next one is sent when it has answered:
 * that is 1 to 2 ms of Redis in one piece. A node looks at its channels once for a page. One that does not answer (redis_ask.h) is named in
 * the answer.
 *
 * Lifetime   one call's: from redis_listing_begin to its answer, which frees it. Threading: the hub's. */
#pragma once
#include "hub/directory.h"
#include "redis/parts/redis_ask.h"

enum { LISTING_LOOKS = 1024, LISTING_AT_ONCE = 100, LISTINGS_AT_ONCE = 32 };

struct redis_directory;

/* Answers the call, perhaps later: also when it cannot. */
void redis_listing_begin(struct redis_directory *directory, struct call *call);

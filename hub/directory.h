/* directory.h — port: what there is over all nodes, when there are several (redis/): nodes, channels, subscribers. A hub alone answers for
 * itself (inspect.c).
 *
 *   CALL_CHANNELS, CALL_MATCH, CALL_NODES ──> the core ──> directory ──> directory_answer ──> whoever asked
 *                            another node's directory asks: names_here, subscribers_here
 *
 * Lifetime   hub_use_directory before the first turn; freed after the threads have ended, and answers what is under way then.
 * Threading  the hub's; a directory calls from the loop's callbacks, or from inside what it was asked. A turn has to follow (spoke.h). */
#pragma once
#include "hub/call.h"

struct hub;

struct directory {
    /* As CALL_CHANNELS says; rule and resumable are the core's to fill in. ERR_REDIS_AWAY, ERR_BUSY. */
    void (*channels)(struct directory *directory, struct channels_call *call);
    /* As CALL_MATCH says, in order of name. */
    void (*match)(struct directory *directory, struct match_call *call);
    void (*nodes)(struct directory *directory, struct nodes_call *call);
};

/* From now on the hub asks it. */
void hub_use_directory(struct hub *hub, struct directory *directory);
void directory_answer(struct hub *hub, struct call *call, int err);

/* Names in order of their bytes: the first `limit` after one, that begin with `prefix` and match `pattern` (empty: all do). */
struct names_wish {
    struct slice prefix, pattern, after;
    size_t       limit;
};
/* Those of channels that are alive on this node: a byte of length and the name, of each, added to `ret_names`. *ret_more: there are more
 * behind the last one. 0 or ERR_MEMORY. One pass over all channels. */
int      names_here(struct hub *hub, const struct names_wish *wish, struct buf *ret_names, bool *ret_more);
/* Subscriptions on this node that a message of this channel would go to. */
uint32_t subscribers_here(struct hub *hub, struct slice channel);
/* It has a subscriber of its own on this node. */
bool     channel_is_here(struct hub *hub, struct slice channel);
/* Names by their bytes, shorter ones first. */
int      names_compare(struct slice a, struct slice b);

/* batch_target.h — where an item of a batch wants to go: one of its members `channel`, `channels`, `user` and `pattern`.
 * Threading: pure functions, but for what they append. Lifetime and scratch: as in wish.h. */
#pragma once
#include "hub/base/json.h"

struct problem;

struct batch_target {
    struct slice channel;       /* of `user` too: the user's own; a name that has not been checked */
    struct slice pattern;
    struct slice channels;      /* the array's text, 1 to BATCH_MAX values */
};                              /* one of them; at NULL: not there */

/* All that is wrong is added to `problem`. */
void   batch_target_read(const struct json_object *object, struct buf *scratch, struct batch_target *ret, struct problem *problem);
/* To how many channels: the length of `channels`, else 1. */
size_t batch_target_count(const struct json_object *object);

/* exclusion.h — the client ids whose messages in rings and batches are not for them, as numbers that fit into an index entry.
 *
 * A message may name one client that does not get it (msg_exclude). Rings and batches are shared by all readers of a feed, so their
 * frames carry who is left out, and each reader passes over what is not for it (flush.c). A reader asks once per send what its number
 * is: 0 for all but those few whom a frame in memory leaves out, and then nothing else is looked at.
 *
 * Lifetime   an id has its number as long as a frame names it: counted. exclusions_fini when no frame is left.
 * Threading  the edge's thread.
 * Limits     one entry per id that a frame in a ring or batch names; those are bounded by edge.pool_bytes and KEPT_BYTES. */
#pragma once
#include "hub/base/buf.h"

struct exclusion;

struct exclusions {
    struct exclusion *by_client, *by_number;
    uint32_t          last;      /* number that was given last */
};

/* One more frame leaves this client out. An empty id is nobody: 0 in *ret_number. 0 or ERR_MEMORY. */
int      exclusion_take(struct exclusions *exclusions, struct slice client, uint32_t *ret_number);
void     exclusion_give(struct exclusions *exclusions, uint32_t number);      /* that frame is gone; 0 is nobody */
/* The number of this client; 0: no frame leaves it out. */
uint32_t exclusion_find(const struct exclusions *exclusions, struct slice client);
static inline bool exclusions_none(const struct exclusions *exclusions) { return !exclusions->by_client; }

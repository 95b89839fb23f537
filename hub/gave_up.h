/* gave_up.h — what the channels that match a pattern have given up, without a look at all of them each time.
 *
 * A position is complete for a pattern iff it is for every known channel that matches (EXACT.md 6), so each piece of a resume wants the
 * highest `dropped` of those. Channels are in the order in which they last gave something up: a look goes from the newest back, as far
 * as one could still have given up something after the position. When very many have, that is far, and what was found is remembered
 * for the patterns that were asked for lately: the next look ends where the one before began, because the highest number that was given
 * up only grows (a channel that is forgotten leaves its own to the floor).
 *
 *   oldest ── a ── f ── c ── b ── d ── e   newest
 *                  └ remembered ┘ └ looked at now
 *
 * Who asks from further back than was ever looked has all channels looked at, once.
 *
 * Lifetime   in struct history. Threading: hub thread.
 * Limits     GAVE_UP_PATTERNS patterns are remembered (about 300 bytes each); the one that was asked for longest ago goes. Without memory none
 *            is, and every look is as long as the first. */
#pragma once
#include "hub/channel.h"

struct fetch_channel;
struct trie;

enum { GAVE_UP_PATTERNS = 1024 };

struct gave_up {
    struct link     channels;       /* struct channel, in the order in which they last gave something up */
    uint64_t        nth;            /* how often one did so far */
    uint64_t        looked;         /* how many were looked at so far */
    struct finding *findings;       /* by pattern */
    struct link     lately;         /* those, in the order in which they were asked for */
    size_t          n_findings;
};

void gave_up_init(struct gave_up *gave_up);
void gave_up_fini(struct gave_up *gave_up);
/* The channel has given up something now; `highest`: of all that any channel has given up so far. */
void gave_up_add(struct gave_up *gave_up, struct channel *ch, uint64_t highest);
/* Other rules hold: what a channel without history has given up is nobody's gap. */
void gave_up_forget(struct gave_up *gave_up);

/* Newest first: channels with history that may have given up something with a number above `after`, and did so last after the `nth` time that
 * any did; until found() says that it is enough. False: there are more who did so since, with nothing above `after`. */
bool gave_up_each(struct gave_up *gave_up, uint64_t after, uint64_t nth, bool (*found)(void *arg, struct channel *ch), void *arg);

/* Raises `dropped` of each pattern in asked[0 … n) to the highest number above `after` that a channel which matches has given up, if there is
 * one. `wanted`: all of asked[], by name. */
void gave_up_find(struct gave_up *gave_up, const struct trie *wanted, struct fetch_channel *asked, size_t n, uint64_t after);

/* keeping.h — which channels have history at all, and had it so far: a text that the store keeps from one run to the next.
 *
 * Why: a channel without history leaves no rows, so after a restart nothing tells what it had. While the rules are the same that
 * is nobody's business: it never tells a gap. But when other rules let it begin to have history, whoever comes with an older
 * position misses what was never kept and must be told, whatever rows there are from a time before (EXACT.md 5, 6). So the store
 * has the rules that held while its rows were written, and a change of them is committed before any message is left out by it:
 *
 *   settings change ─> a row for every message ─> the new text and the raised floor are committed ─> rows as the rules say
 *
 *   @0              from this number on these rules held:
 *   +**
 *   @1842           a line for each [channel] section in order, the last for all other channels;
 *   -log.**         + has history, - has none
 *   +**
 *
 * Lifetime   in struct hub. Threading  hub thread.
 * Limits     KEEPING_CHANGES of the rules and KEEPING_BYTES are remembered. Rows from before that are not taken up at a start. */
#pragma once
#include "hub/base/buf.h"

enum { KEEPING_CHANGES = 64, KEEPING_BYTES = 1024 * 1024 };

struct config;

struct keeping {
    struct buf text;        /* up to the settings in force */
    bool       stored;      /* the store has `text` */
    bool       asked;       /* it is on its way there */
};

/* `before`: what the store had at the start; empty: nobody knows, everything had history. `next`: no number from this one on has been
 * given. True: some channel may begin to have history. A text is small, and made when the hub begins or an operator asks for it:
 * without memory for it the hub ends. */
bool keeping_init(struct keeping *keeping, const struct config *config, struct slice before, uint64_t next);
void keeping_fini(struct keeping *keeping);
/* Other settings hold. Likewise. */
bool keeping_changed(struct keeping *keeping, const struct config *config, uint64_t next);
/* The store has this text. */
void keeping_stored(struct keeping *keeping, struct slice text);
/* Did this channel have history when the number was given, and ever since? */
bool keeping_had(const struct keeping *keeping, struct slice channel, uint64_t seq);

/* keeping.h — which channels have history at all, as a text that the store keeps from one run to the next.
 *
 * Why: a channel without history leaves no rows, so after a restart nothing tells what it had. While the rules are the same that
 * is nobody's business: it never tells a gap. But when other rules let it begin to have history, whoever comes with an older
 * position misses what was never kept, and must be told (EXACT.md 5, 6). So the store has the rules that held while its rows were
 * written, and a change of them is committed before any message is left out by the new ones:
 *
 *   settings change ─> a row for every message as before ─ the new text and the raised floor are committed ─> rows as the rules say
 *
 *   +chat.**        one line for each [channel] section in order: + has history, - has none; the last is the general rule's
 *   -**
 *
 * Lifetime   in struct hub. Threading  hub thread. Limits  CHANNEL_RULES_MAX lines of a pattern each. */
#pragma once
#include "hub/base/buf.h"

struct config;

struct keeping {
    struct buf   text;        /* of the settings in force */
    struct slice before;      /* what the store had at the start, until the first turn; empty: nobody knows, or no store */
    bool         stored;      /* the store has `text`, or there is none */
    bool         asked;       /* it is on its way there */
};

/* Small, when the hub begins or an operator asks for it: without memory for it the hub ends. */
void keeping_init(struct keeping *keeping, const struct config *config, struct slice before, bool has_store);
void keeping_fini(struct keeping *keeping);
/* Other settings hold. True: some channel may begin to have history. */
bool keeping_changed(struct keeping *keeping, const struct config *config);
/* The store has this text. */
void keeping_stored(struct keeping *keeping, struct slice text);
/* As keeping_changed, of what was stored and what holds now. */
bool keeping_begins(const struct keeping *keeping, const struct config *config);
/* Did this channel have history while the store's rows were written? */
bool keeping_had(const struct keeping *keeping, struct slice channel);

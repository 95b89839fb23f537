/* rules.h — the settings of a seed that say what history channels have: those in general, and two rules, of `b.*` and `user.**`.
 *
 * sim->config is what holds; hub and edges are given copies (rules_snapshot), so that what they had before a reload stays as it was.
 * In most seeds a rule that keeps nothing stays so: then listeners are held to it. In some it is turned on and off by reloads. */
#pragma once
#include "hub/config/config.h"

struct sim;

enum { RULES = 2, ALL_KEEP = (1 << (RULES + 1)) - 1, KEEPING_SAME = 0xff };

struct rules {
    struct channel_rule own[RULES];
    enum lag_policy     lag_policy[RULES];  /* of own, for the whole seed (lag.h) */
    size_t              lag_bytes[RULES];
    bool                turns;              /* on and off */
    struct snapshot    *snapshots;          /* newest first */
};

void rules_choose(struct sim *sim);
/* Other limits, for a reload. */
void rules_change(struct sim *sim);
const struct config *rules_snapshot(struct sim *sim);
void rules_fini(struct sim *sim);

const struct channel_rule *sim_rule(const struct sim *sim, int channel);
/* Which rules keep messages: a bit for each, the last one for all other channels. */
uint8_t sim_rule_bit(int channel);
uint8_t sim_keeping(const struct sim *sim);
/* The same, as the store has it (hub/keeping.h): a line for each. KEEPING_SAME: no text. */
uint8_t keeping_bits(struct slice text);
/* From which number on each does. */
void keeping_since(struct slice text, uint64_t ret_since[RULES + 1]);

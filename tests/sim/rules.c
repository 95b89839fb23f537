#include "tests/sim/rules.h"

#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

struct snapshot {
    struct config       config;
    struct channel_rule own[RULES];
    struct snapshot    *older;
};

static const char *const patterns[RULES] = { "b.*", "user.**" };
static const uint8_t rule_of_channel[CHANNELS] = { RULES, 0, 0, RULES, RULES, 1, 1, RULES };

static bool keeps(const struct channel_rule *rule) { return rule->history_size > 0 && rule->history_ttl_ms > 0 && rule->history_bytes > 0; }

static void choose_general(struct sim *sim)
{
    struct config *config = &sim->config;
    config->history_size = (size_t)one_of(sim, 1, 3, 10, 30, 100, 1000);
    config->history_ttl_ms = one_of(sim, 200, 3000, 60000, 300000, 300000);
    config->history_bytes = (size_t)one_of(sim, 600, 5000, 1 << 20, 1 << 20);
    config->history_max_bytes = (size_t)one_of(sim, 2000, 20000, 256 << 20, 256 << 20);
}

static void choose_own(struct sim *sim, struct channel_rule *rule)
{
    if (chance(sim, 500))
        return;
    rule->history_size = (size_t)one_of(sim, 1, 2, 20, 200);
    rule->history_ttl_ms = one_of(sim, 100, 1000, 60000, 600000);
    rule->history_bytes = (size_t)one_of(sim, 400, 5000, 1 << 20, 1 << 20);
}

static void turn_off(struct sim *sim, struct channel_rule *rule)
{
    if (chance(sim, 500))
        rule->history_size = 0;
    else
        rule->history_bytes = 0;
}

/* A rule that says nothing of its own has what the general settings say. */
static void choose(struct sim *sim)
{
    struct config *config = &sim->config;
    choose_general(sim);
    config_general_rule(config);
    for (int i = 0; i < RULES; i++) {
        struct channel_rule *rule = &sim->rules.own[i];
        *rule = config->general_rule;
        rule->pattern = patterns[i];
        rule->lag_policy = sim->rules.lag_policy[i];
        rule->lag_bytes = sim->rules.lag_bytes[i];
        choose_own(sim, rule);
    }
    config->rules = sim->rules.own;
    config->rule_count = RULES;
}

static void apply_off(struct sim *sim, uint8_t off)
{
    struct channel_rule general = sim->config.general_rule;
    for (int i = 0; i < RULES; i++)
        if (off & 1 << i)
            turn_off(sim, &sim->rules.own[i]);
    if (!(off & 1 << RULES))
        return;
    turn_off(sim, &general);
    sim->config.history_size = general.history_size;
    sim->config.history_bytes = general.history_bytes;
    config_general_rule(&sim->config);
}

static uint8_t any_off(struct sim *sim, unsigned general, unsigned own)
{
    uint8_t off = chance(sim, general) ? 1 << RULES : 0;
    for (int i = 0; i < RULES; i++)
        off |= (uint8_t)(chance(sim, own) << i);
    return off;
}

void rules_choose(struct sim *sim)
{
    choose(sim);
    sim->rules.turns = chance(sim, 150);
    apply_off(sim, any_off(sim, 60, 150));
}

void rules_change(struct sim *sim)
{
    uint8_t off = ALL_KEEP & ~sim_keeping(sim);
    choose(sim);
    apply_off(sim, sim->rules.turns ? any_off(sim, 200, 400) : off);
}

const struct config *rules_snapshot(struct sim *sim)
{
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    snapshot->config = sim->config;
    memcpy(snapshot->own, sim->rules.own, sizeof snapshot->own);
    snapshot->config.rules = snapshot->own;
    snapshot->older = sim->rules.snapshots;
    sim->rules.snapshots = snapshot;
    return &snapshot->config;
}

void rules_fini(struct sim *sim)
{
    for (struct snapshot *older; sim->rules.snapshots; sim->rules.snapshots = older) {
        older = sim->rules.snapshots->older;
        free(sim->rules.snapshots);
    }
}

const struct channel_rule *sim_rule(const struct sim *sim, int channel)
{
    int rule = rule_of_channel[channel];
    return rule < RULES ? &sim->rules.own[rule] : &sim->config.general_rule;
}

uint8_t sim_rule_bit(int channel) { return (uint8_t)(1 << rule_of_channel[channel]); }

uint8_t sim_keeping(const struct sim *sim)
{
    uint8_t bits = keeps(&sim->config.general_rule) ? 1 << RULES : 0;
    for (int i = 0; i < RULES; i++)
        bits |= (uint8_t)(keeps(&sim->rules.own[i]) << i);
    return bits;
}

uint8_t keeping_bits(struct slice text)
{
    uint8_t bits = 0, bit = 1;
    if (!text.at)
        return KEEPING_SAME;
    for (size_t i = 0; i < text.len; i++) {
        if (i > 0 && text.at[i - 1] != '\n')
            continue;
        if (text.at[i] == '@') {
            bits = 0;
            bit = 1;
            continue;
        }
        bits |= text.at[i] == '+' ? bit : 0;
        bit = (uint8_t)(bit << 1);
    }
    return bits;
}

void keeping_since(struct slice text, uint64_t ret_since[RULES + 1])
{
    uint8_t before = ALL_KEEP;
    for (size_t i = 0; i < text.len;) {
        const char *next = memchr(text.at + i + 1, '@', text.len - i - 1);
        size_t end = next ? (size_t)(next - text.at) : text.len;
        uint8_t bits = keeping_bits(slice(text.at + i, end - i));
        for (int rule = 0; rule <= RULES; rule++)
            if (bits & ~before & 1 << rule)
                ret_since[rule] = strtoull(text.at + i + 1, NULL, 10);
        before = bits;
        i = end;
    }
}

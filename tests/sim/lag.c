#include "tests/sim/lag.h"

#include "tests/sim/sim.h"

static enum lag_policy any_policy(struct sim *sim) { return (enum lag_policy)one_of(sim, LAG_DISCONNECT, LAG_SKIP, LAG_LATEST, LAG_LATEST); }
static size_t any_bytes(struct sim *sim)           { return (size_t)one_of(sim, 0, 0, 0, 300, 5000); }

void lag_choose(struct sim *sim)
{
    sim->config.lag_policy = any_policy(sim);
    sim->config.lag_bytes = any_bytes(sim);
    for (int i = 0; i < RULES; i++) {
        bool own = chance(sim, 300);
        sim->rules.lag_policy[i] = own ? any_policy(sim) : sim->config.lag_policy;
        sim->rules.lag_bytes[i] = own ? any_bytes(sim) : sim->config.lag_bytes;
    }
}

bool lag_says(const struct sim *sim, enum lag_policy policy)
{
    for (int c = 0; c < CHANNELS; c++)
        if (sim_rule(sim, c)->lag_policy == policy && sim_rule(sim, c)->lag_bytes > 0)
            return true;
    return false;
}

bool lag_knows(const struct sim *sim, enum lag_policy policy)
{
    for (int c = 0; c < CHANNELS; c++)
        if (sim_rule(sim, c)->lag_policy == policy)
            return true;
    return false;
}

enum lag_policy lag_policy_of(const struct sim *sim, int name)
{
    return config_pattern_rule(&sim->config, slice_of(channel_names[name]))->lag_policy;
}

bool lag_is_followed(const struct model *model, const struct model_msg *m)
{
    for (size_t i = model->n; i-- > 0 && model->msgs[i].seq > m->seq;)
        if (model->msgs[i].channel == m->channel && model->msgs[i].fate == DONE)
            return true;
    return false;
}

bool lag_leaves_out(const struct model *model, int name, uint64_t after)
{
    for (size_t i = model->n; i-- > 0 && model->msgs[i].seq > after;) {
        const struct model_msg *m = &model->msgs[i];
        if (m->fate == DONE && name_matches(name, m->channel) && lag_is_followed(model, m))
            return true;
    }
    return false;
}

uint64_t lag_before(const struct model *model, const struct model_msg *m, bool kept)
{
    for (size_t i = (size_t)(m - model->msgs); i-- > 0;)
        if (model->msgs[i].channel == m->channel && model->msgs[i].fate == DONE && (model->msgs[i].kept || !kept))
            return model->msgs[i].seq;
    return 0;
}

/* model_answers.c — what the reference knows, for those who ask it: listeners, pollers, the disk. */
#include "hub/base/first.h"
#include "tests/sim/model.h"
#include "tests/sim/sim.h"

static bool keeps(const struct channel_rule *rule) { return rule->history_size > 0 && rule->history_ttl_ms > 0 && rule->history_bytes > 0; }

bool model_keeps(const struct model *model, int name)
{
    for (int c = 0; c < CHANNELS; c++)
        if (name_matches(name, c) && keeps(sim_rule(model->sim, c)))
            return true;
    return false;
}

bool model_loses(const struct model *model, int name)
{
    for (int c = 0; c < CHANNELS; c++)
        if (name_matches(name, c) && !keeps(sim_rule(model->sim, c)))
            return true;
    return false;
}

bool model_keeps_any(const struct model *model, uint16_t mask)
{
    for (int c = 0; c < NAMES; c++)
        if (mask & 1 << c && model_keeps(model, c))
            return true;
    return false;
}

bool model_turned(const struct model *model, int name)
{
    for (int c = 0; c < CHANNELS; c++)
        if (name_matches(name, c) && model->channels[c].turned)
            return true;
    return false;
}

static bool is_above(const void *model, size_t i, int64_t after) { return ((const struct model *)model)->msgs[i].seq > (uint64_t)after; }

/* Index of the first message with a number above `after`. */
static size_t first_above(const struct model *model, uint64_t after) { return first_that(model->n, is_above, model, (int64_t)after); }

const struct model_msg *model_find(const struct model *model, uint64_t seq)
{
    size_t at = seq ? first_above(model, seq - 1) : model->n;
    return at < model->n && model->msgs[at].seq == seq ? &model->msgs[at] : NULL;
}

bool model_excludes(const struct model_msg *m, int client) { return m->exclude && m->exclude == client; }

const struct model_msg *model_next(const struct model *model, int name, int client, uint64_t after, uint64_t upto)
{
    for (size_t i = first_above(model, after); i < model->n && model->msgs[i].seq <= upto; i++)
        if (name_matches(name, model->msgs[i].channel) && model->msgs[i].fate == DONE && model->msgs[i].ends_ms > model->sim->latest_ms) {
            if (!model_excludes(&model->msgs[i], client))
                return &model->msgs[i];
            happened(excluded);
        }
    return NULL;
}

const struct model_msg *model_follower(const struct model *model, int channel, uint64_t seq)
{
    for (size_t i = first_above(model, seq); i < model->n; i++)
        if (model->msgs[i].channel == channel && model->msgs[i].fate == DONE)
            return &model->msgs[i];
    return NULL;
}

bool model_is_foreign(const struct model *model, struct position p)
{
    return p.epoch != model->epoch || p.seq > model->head;
}

uint64_t model_dropped(const struct model *model, int name)
{
    uint64_t dropped = 0;
    for (int c = 0; c < CHANNELS; c++)
        if (name_matches(name, c) && model_keeps(model, c))
            dropped = larger(dropped, model->channels[c].dropped);
    return dropped;
}

/* A channel that the hub has forgotten might have been any that a pattern matches. */
uint64_t model_dropped_most(const struct model *model, int name)
{
    uint64_t most = is_a_pattern(name) ? model->floor : 0;
    for (int c = 0; c < CHANNELS; c++) {
        const struct model_channel *ch = &model->channels[c];
        if (name_matches(name, c) && model_keeps(model, c))
            most = larger(most, larger(ch->dropped, ch->known ? ch->born : model->floor));
    }
    return most;
}

bool model_must_gap(const struct model *model, int name, struct position p)
{
    if (!model_keeps(model, name))
        return false;
    return model_is_foreign(model, p) || p.seq < model_dropped(model, name);
}

bool model_may_gap(const struct model *model, int name, struct position p)
{
    if (!model_keeps(model, name))
        return false;
    return model_is_foreign(model, p) || p.seq < model_dropped_most(model, name);
}

uint64_t model_oldest_kept(const struct model *model)
{
    for (size_t i = model->unkept_before; i < model->n; i++)
        if (model->msgs[i].kept)
            return model->msgs[i].seq;
    return UINT64_MAX;
}

uint64_t model_newest_dropped(const struct model *model)
{
    uint64_t newest = model->floor;
    for (int c = 0; c < CHANNELS; c++)
        newest = larger(newest, larger(model->channels[c].dropped, model->channels[c].born));
    return newest;
}

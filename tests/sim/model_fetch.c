/* model_fetch.c — what the answer to a fetch may be: EXACT.md 3, 5, 6, 9, 13. */
#include "tests/sim/lag.h"
#include "tests/sim/model.h"
#include "tests/sim/sim.h"

/* Nothing above it may be missing without a gap. False: anything may. */
static bool promised_after(const struct model *model, const struct fetch_call *f, struct position *ret_after)
{
    bool resumes = f->from == FETCH_AFTER || f->conflates;
    *ret_after = resumes ? f->after : (struct position){ model->epoch, f->whole_after };
    return resumes || (f->from == FETCH_LATEST && f->whole_after > 0);
}

/* What is at or below the position asked for may be said to be less: it makes no difference. */
static void check_dropped(const struct model *model, const struct fetch_call *f, const struct fetch_channel *channel, int name)
{
    struct position after;
    uint64_t least = model_dropped(model, name), most = model_dropped_most(model, name);
    bool matters = !is_a_pattern(name) || (promised_after(model, f, &after) && !model_is_foreign(model, after) && least > after.seq);
    if (!model_keeps(model, name))
        return;
    sim_check(model->sim, (!matters || channel->dropped >= least) && channel->dropped <= most, "%s has dropped %lu, not %lu",
              channel_names[name], channel->dropped, least);
}

/* The newest kept message of a channel, if it comes after the position of a fetch. */
static const struct model_msg *newest_after(const struct model *model, const struct fetch_call *f, int channel)
{
    for (size_t i = model->n; i-- > 0;)
        if (model->msgs[i].channel == channel && model->msgs[i].kept)
            return model_is_foreign(model, f->after) || model->msgs[i].seq > f->after.seq ? &model->msgs[i] : NULL;
    return NULL;
}

static bool conflates_patterns(const struct fetch_call *f)
{
    bool any = false;
    for (size_t i = 0; i < f->n_channels && f->conflates; i++)
        any |= is_a_pattern(name_find(f->channels[i].name));
    return any;
}

/* A name of which only the newest messages are given: what was left out is a gap. With a pattern among them it is not known how far the hub has
 * looked. True: it has been checked; false: of this channel there is nothing new, which is as with any other fetch. */
static bool check_left_out(const struct model *model, const struct fetch_call *f, const struct fetch_channel *channel, int name, bool *left_out)
{
    const struct sim *sim = model->sim;
    bool by_log = conflates_patterns(f);
    const struct model_msg *newest = by_log ? NULL : newest_after(model, f, name);
    bool foreign = model_is_foreign(model, f->after);
    if (!newest && !by_log)
        return false;
    *left_out |= channel->incomplete;
    happened(fetches_conflated);
    if (!newest) {
        sim_check(sim, !channel->incomplete || foreign || lag_leaves_out(model, name, f->after.seq) || model_may_gap(model, name, f->after),
                  "a gap of %s, of which nothing was left out", channel_names[name]);
        return true;
    }
    const struct model_channel *ch = &model->channels[name];
    uint64_t least = larger(lag_before(model, newest, true), ch->dropped), most = larger(lag_before(model, newest, false), larger(ch->born, ch->dropped));
    sim_check(sim, channel->dropped >= least && channel->dropped <= most, "%s has left out %lu, not %lu", channel_names[name], channel->dropped, least);
    sim_check(sim, channel->incomplete == (foreign || f->after.seq < channel->dropped), "a gap of %s, of which %lu was left out", channel_names[name],
              channel->dropped);
    return true;
}

static void check_gap(const struct model *model, const struct fetch_call *f, uint16_t *ret_mask)
{
    const struct sim *sim = model->sim;
    bool foreign = (f->from == FETCH_AFTER || f->conflates) && model_is_foreign(model, f->after), any = false, left_out = false;
    struct position after;
    bool promises = promised_after(model, f, &after);
    *ret_mask = 0;
    for (size_t i = 0; i < f->n_channels; i++) {
        int c = name_find(f->channels[i].name);
        bool incomplete = f->channels[i].incomplete;
        sim_check(sim, !(*ret_mask & 1 << c), "a fetch names %s twice", channel_names[c]);
        *ret_mask |= (uint16_t)(1 << c);
        sim_check(sim, f->channels[i].resumable == model_keeps(model, c), "resumable is wrong");
        if (f->conflates && !f->channels[i].whole && model_keeps(model, c) && check_left_out(model, f, &f->channels[i], c, &left_out))
            continue;
        check_dropped(model, f, &f->channels[i], c);
        bool must = promises && model_must_gap(model, c, after), may = promises && model_may_gap(model, c, after);
        sim_check(sim, incomplete || !must, "no gap for %s after %lu.%lu; %lu was dropped, now is %lu", channel_names[c],
                  f->after.epoch, f->after.seq, model_dropped(model, c), model->head);
        sim_check(sim, !incomplete || may, "a gap for %s after %lu.%lu, but only %lu was dropped (at most %lu, floor %lu)",
                  channel_names[c], f->after.epoch, f->after.seq, model_dropped(model, c), model_dropped_most(model, c), model->floor);
        if (incomplete && !must)
            happened(gap_maybe);
        any |= incomplete;
    }
    enum gap_reason reason = foreign && (any || left_out) ? GAP_EPOCH : any ? GAP_HISTORY : left_out ? GAP_CONFLATED : GAP_NONE;
    sim_check(sim, f->gap == reason || (reason == GAP_CONFLATED && f->gap == GAP_HISTORY && conflates_patterns(f)), "gap reason %d, not %d", (int)f->gap, (int)reason);
}

/* The newest `count` of these channels begin with it, if it is kept: it has fewer than that many above it. */
static bool is_among_newest(const struct model *model, const struct fetch_call *f, uint16_t mask, size_t at)
{
    uint32_t above = 0;
    for (size_t i = at + 1; i < model->n && above < f->count; i++)
        above += model->msgs[i].kept && (mask & 1 << model->msgs[i].channel);
    return above < f->count;
}

static bool is_newest_of_channel(const struct model *model, uint64_t upto, size_t at)
{
    for (size_t i = at + 1; i < model->n && model->msgs[i].seq <= upto; i++)
        if (model->msgs[i].kept && model->msgs[i].channel == model->msgs[at].channel)
            return false;
    return true;
}

static bool is_whole(const struct model *model, const struct fetch_call *f, size_t at)
{
    bool whole = false;
    for (size_t i = 0; i < f->n_channels; i++)
        whole |= f->channels[i].whole && name_matches(name_find(f->channels[i].name), model->msgs[at].channel);
    return whole;
}

static bool is_asked_for(const struct model *model, const struct fetch_call *f, uint16_t mask, size_t at)
{
    const struct model_msg *m = &model->msgs[at];
    bool is_after = model_is_foreign(model, f->after) || m->seq > f->after.seq;
    switch (f->from) {
    case FETCH_AFTER:  return is_after;
    case FETCH_LATEST: return is_after && (is_whole(model, f, at) || is_newest_of_channel(model, f->whole_after ? f->whole_after : UINT64_MAX, at));
    case FETCH_COUNT:  return is_among_newest(model, f, mask, at);
    case FETCH_TIME:   return m->time_ms >= f->time_ms;
    default:           return f->from == FETCH_ALL;
    }
}

/* The messages are a beginning of all that is kept and asked for; ret_next: what would come next, or NULL. */
static void check_msgs(const struct model *model, const struct fetch_call *f, uint16_t names, const struct model_msg **ret_next)
{
    size_t at = 0, bytes = 0;
    uint16_t mask = names_channels(names);
    bool by_log = names != mask;      /* it may look at messages of other channels only, and then has more */
    *ret_next = NULL;
    for (size_t i = 0; i < model->n && f->from != FETCH_NOW; i++) {
        const struct model_msg *m = &model->msgs[i];
        if (!m->kept || !(mask & 1 << m->channel) || !is_asked_for(model, f, mask, i))
            continue;
        if (at == f->n_msgs) {
            *ret_next = m;
            break;
        }
        sim_check(model->sim, f->msgs[at]->seq == m->seq, "message %zu of a fetch is %lu, not %lu", at, f->msgs[at]->seq, m->seq);
        bytes += m->size;
        at++;
    }
    sim_check(model->sim, at == f->n_msgs, "a fetch has %zu messages, history only %zu", f->n_msgs, at);
    sim_check(model->sim, by_log ? f->more || !*ret_next : f->more == (*ret_next != NULL), "more is %d of a fetch from %d", f->more, (int)f->from);
    sim_check(model->sim, bytes <= f->max_bytes || at == 1, "a fetch of %zu bytes, %zu were allowed", bytes, f->max_bytes);
    sim_check(model->sim, f->max_count == 0 || at <= f->max_count, "a fetch of %zu messages", at);
    sim_check(model->sim, !f->more || by_log || at == f->max_count || bytes + (*ret_next)->size > f->max_bytes,
              "a fetch was cut too early");
}

/* How far an answer with more to come reaches: to its last message, or with patterns as far as it has looked. */
static uint64_t reach_of_cut(const struct model *model, const struct fetch_call *f, uint16_t names, const struct model_msg *next)
{
    uint64_t last = f->n_msgs ? f->msgs[f->n_msgs - 1]->seq : 0, upto = f->upto.seq;
    if (names == names_channels(names))
        return last;
    happened(looks_cut);
    bool further = f->n_msgs > 0 || f->from != FETCH_AFTER || model_is_foreign(model, f->after) || upto > f->after.seq;
    sim_check(model->sim, further && upto >= last && upto <= model->head, "a fetch with more to come, after %lu, reaches %lu", f->after.seq, upto);
    sim_check(model->sim, !next || next->seq > upto, "a fetch has looked up to %lu, and not found %lu", upto, next->seq);
    return upto;
}

void model_check_fetch(const struct model *model, const struct fetch_call *f)
{
    const struct sim *sim = model->sim;
    const struct model_msg *next;
    uint16_t mask;
    sim_check(sim, f->call.err == 0, "a fetch was answered %d", f->call.err);
    check_gap(model, f, &mask);
    check_msgs(model, f, mask, &next);
    bool foreign = f->from == FETCH_AFTER && model_is_foreign(model, f->after);
    uint64_t upto = f->more ? reach_of_cut(model, f, mask, next) : model->head, begin = f->after.seq;
    if (f->from == FETCH_NOW)
        begin = upto;
    else if (f->from != FETCH_AFTER || f->gap || foreign || !model_keeps_any(model, mask))
        begin = f->n_msgs ? f->msgs[0]->seq - 1 : upto;
    sim_check(sim, f->begin.epoch == model->epoch && f->begin.seq == begin, "a fetch begins at %lu.%lu, not %lu.%lu",
              f->begin.epoch,
              f->begin.seq, model->epoch, begin);
    sim_check(sim, f->upto.epoch == model->epoch && f->upto.seq == larger(upto, begin), "a fetch reaches %lu.%lu, not %lu.%lu",
              f->upto.epoch, f->upto.seq, model->epoch, larger(upto, begin));
    sim_trace(sim, "fetch of %u: %zu names, from %d after %lu: gap %d, begins %lu, up to %lu, %zu messages, first %lu%s", f->call.from, f->n_channels, (int)f->from, f->after.seq, (int)f->gap,
              f->begin.seq, f->upto.seq, f->n_msgs, f->n_msgs ? f->msgs[0]->seq : 0, f->more ? ", more" : "");
    happened(fetches);
    if (mask != names_channels(mask))
        happened(fetches_by_log);
    if (f->more)
        happened(fetches_cut);
    if (f->more && f->call.from != sim->writer.peer)
        happened(batches_cut);
}

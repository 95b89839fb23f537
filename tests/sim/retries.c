#include "tests/sim/retries.h"

#include "hub/base/err.h"
#include "tests/sim/sim.h"

#include <stdlib.h>

/* ---- the publisher ---- */

static struct msg *copy_of(const struct msg *m)
{
    return msg_new(&(struct msg_parts){ .channel = msg_channel(m), .event = msg_event(m), .exclude = msg_exclude(m), .kind = m->kind, .data = msg_data(m) });
}

static void choose_key(struct retries *retries, struct publish_call *call)
{
    struct sim *sim = retries->sim;
    size_t place = (size_t)dice(sim, REQUESTS);
    struct msg **request = &retries->requests[place];
    bool repeats = *request && chance(sim, 700), reuses = *request && !repeats && chance(sim, 200);
    if (repeats) {
        msg_unref(call->msg);
        call->msg = copy_of(*request);
    } else if (!reuses) {
        msg_unref(*request);
        *request = copy_of(call->msg);
        retries->keys[place] = ++retries->last_key;
    }
    call->key = (struct idempotency_key){ { retries->keys[place] * 0x9e3779b97f4a7c15u, 1 }, { payload_tag(msg_data(call->msg).at, msg_data(call->msg).len), 1 } };
    sim_trace(sim, "writer: with key %lu%s", retries->keys[place], repeats ? ", again" : reuses ? ", for something else" : "");
}

static void choose_condition(struct retries *retries, struct publish_call *call)
{
    struct sim *sim = retries->sim;
    uint64_t newest = sim->model.channels[channel_by_name(msg_channel(call->msg))].submitted;
    if (chance(sim, 300)) {
        call->if_position = IF_NONE;
        return;
    }
    call->if_position = IF_NEWEST;
    call->position = (struct position){ chance(sim, 100) ? sim->model.epoch - 1 : sim->model.epoch, chance(sim, 300) ? dice(sim, newest + 2) : newest };
}

void retries_dress(struct retries *retries, struct publish_call *call)
{
    struct sim *sim = retries->sim;
    if (chance(sim, 250))
        choose_key(retries, call);
    if (chance(sim, 120))
        choose_condition(retries, call);
}

void retries_fini(struct retries *retries)
{
    for (int i = 0; i < REQUESTS; i++)
        msg_unref(retries->requests[i]);
}

/* ---- records ---- */

static void remove_at(struct retries *retries, size_t at)
{
    memmove(&retries->records[at], &retries->records[at + 1], (--retries->n - at) * sizeof *retries->records);
}

static int64_t since_ms(const struct retries *retries)
{
    return retries->sim->wall_ms - retries->sim->config.publish_idempotency_ttl_ms;
}

static const struct kept_key *find(const struct retries *retries, const struct idempotency_key *key)
{
    for (size_t i = retries->n; i-- > 0;)
        if (retries->records[i].record.key.id[0] == key->id[0] && retries->records[i].record.time_ms >= since_ms(retries))
            return &retries->records[i];
    return NULL;
}

static void append(struct retries *retries, const struct idempotency_record *record, bool survived)
{
    while (retries->n >= retries->sim->config.publish_idempotency_keys) {
        remove_at(retries, 0);
        happened(keys_early);
    }
    sim_check(retries->sim, retries->n < RECORDS_MAX, "more keys than the simulation has room for");
    retries->records[retries->n++] = (struct kept_key){ *record, survived };
}

/* ---- what the hub must say ---- */

static bool may_know_none(const struct model_channel *ch) { return ch->maybe_forgotten && ch->submitted == ch->completed; }

static bool is_under_way(const struct retries *retries, const struct idempotency_record *record)
{
    const struct model_msg *m = record->epoch == retries->sim->model.epoch ? model_find(&retries->sim->model, record->seq) : NULL;
    return m && m->fate == UNDER_WAY;
}

static void check_replay(const struct retries *retries, const struct publish_call *call, const struct kept_key *kept)
{
    const struct sim *sim = retries->sim;
    const struct idempotency_record *first = &kept->record;
    const struct msg *m = call->msg;
    if (first->key.content[0] != call->key.content[0]) {
        sim_check(sim, call->call.err == ERR_KEY_REUSED && m->seq == 0, "a key that was used for something else was answered %d", call->call.err);
        happened(keys_reused);
    } else if (is_under_way(retries, first)) {
        sim_check(sim, call->call.err == ERR_KEY_IN_USE && m->seq == 0, "a key whose message %lu is under way was answered %d", first->seq, call->call.err);
        happened(keys_in_use);
    } else {
        sim_check(sim, call->call.err == 0 && call->replayed, "a publish is repeated, the first was %lu; it was answered %d, number %lu", first->seq,
                  call->call.err, m->seq);
        sim_check(sim, m->epoch == first->epoch && m->seq == first->seq && m->time_ms == first->time_ms && call->subscribers == first->subscribers,
                  "a repeated publish was answered %lu.%lu, the first was %lu.%lu", m->epoch, m->seq, first->epoch, first->seq);
        happened(keys_replayed);
        if (kept->survived)
            happened(keys_survived);
    }
}

static bool holds(const struct retries *retries, const struct publish_call *call, uint64_t newest)
{
    if (call->if_position == IF_NONE)
        return newest == 0;
    return newest > 0 && call->position.epoch == retries->sim->model.epoch && call->position.seq == newest;
}

static bool check_condition(const struct retries *retries, const struct publish_call *call)
{
    const struct sim *sim = retries->sim;
    const struct model_channel *ch = &sim->model.channels[channel_by_name(msg_channel(call->msg))];
    if (call->call.err == ERR_POSITION_CHANGED) {
        bool is_newest = call->position.seq == ch->submitted || (may_know_none(ch) && call->position.seq == 0);
        sim_check(sim, call->msg->seq == 0 && call->position.epoch == sim->model.epoch && is_newest,
                  "the newest is said to be %lu.%lu, it is %lu", call->position.epoch, call->position.seq, ch->submitted);
        happened(conditions_changed);
        return true;
    }
    if (call->msg->seq == 0)
        return false;
    sim_check(sim, holds(retries, call, ch->submitted) || (may_know_none(ch) && holds(retries, call, 0)),
              "message %lu was taken on condition %d of %lu, but the newest is %lu", call->msg->seq, (int)call->if_position, call->position.seq, ch->submitted);
    happened(conditions_met);
    return false;
}

bool retries_answered(struct retries *retries, const struct publish_call *call)
{
    const struct kept_key *kept = idempotency_wanted(&call->key) ? find(retries, &call->key) : NULL;
    if (kept) {
        check_replay(retries, call, kept);
        return true;
    }
    sim_check(retries->sim, !call->replayed, "a publish was answered as if it had been made before");
    sim_check(retries->sim, call->call.err != ERR_KEY_REUSED && call->call.err != ERR_KEY_IN_USE, "a new key was answered %d", call->call.err);
    return call->if_position != IF_ANY && check_condition(retries, call);
}

void retries_numbered(struct retries *retries, const struct publish_call *call)
{
    const struct msg *m = call->msg;
    if (!idempotency_wanted(&call->key))
        return;
    append(retries, &(struct idempotency_record){ .key = call->key, .epoch = m->epoch, .seq = m->seq, .time_ms = m->time_ms,
                                                  .subscribers = call->subscribers }, false);
}

void retries_failed(struct retries *retries, uint64_t seq)
{
    for (size_t i = retries->n; i-- > 0;)
        if (retries->records[i].record.epoch == retries->sim->model.epoch && retries->records[i].record.seq == seq)
            remove_at(retries, i);
}

void retries_after_turn(struct retries *retries)
{
    while (retries->n > 0 && retries->records[0].record.time_ms < since_ms(retries)) {
        remove_at(retries, 0);
        happened(keys_ended);
    }
}

/* ---- restarts ---- */

static bool disk_has(const struct disk_image *image, const struct idempotency_record *record)
{
    for (size_t i = 0; i < image->n_keys; i++)
        if (image->keys[i].epoch == record->epoch && image->keys[i].seq == record->seq)
            return image->keys[i].key.id[0] == record->key.id[0] && image->keys[i].key.content[0] == record->key.content[0];
    return false;
}

static bool disk_has_row(const struct disk_image *image, uint64_t seq)
{
    for (size_t i = 0; i < image->n; i++)
        if (image->rows[i]->seq == seq)
            return true;
    return false;
}

/* Never the one without the other (EXACT.md 2). */
static void compare(const struct retries *retries, const struct disk_image *image, const struct idempotency_record *record)
{
    const struct model *model = &retries->sim->model;
    const struct model_msg *m = record->epoch == model->epoch ? model_find(model, record->seq) : NULL;
    bool stored = disk_has(image, record);
    if (!m || m->fate == DONE)
        sim_check(retries->sim, stored, "message %lu.%lu was acknowledged, its key is not in the store", record->epoch, record->seq);
    else if (m->row && m->seq > image->purged[m->channel] && m->seq >= image->trim)
        sim_check(retries->sim, stored == disk_has_row(image, record->seq), "the store has message %lu or its key, not both", record->seq);
}

void retries_restart(struct retries *retries, const struct disk_image *image, bool same_epoch)
{
    bool all_there = same_epoch && !retries->sim->disk.lossy_keys;
    for (size_t i = 0; i < retries->n && all_there; i++)
        if (retries->records[i].record.time_ms >= since_ms(retries))
            compare(retries, image, &retries->records[i].record);
    retries->n = 0;
    retries->sim->disk.lossy_keys = false;
    for (size_t i = 0; i < image->n_keys; i++)
        if (image->keys[i].time_ms >= since_ms(retries))
            append(retries, &image->keys[i], true);
}

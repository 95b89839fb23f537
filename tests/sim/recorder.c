#include "tests/sim/sim.h"

#include "hub/base/err.h"

#include <stdio.h>
#include <stdlib.h>

/* What a change asks for, with its call around it unless it is the hub's own. */
struct change {
    struct record_call call;      /* first */
    struct recorder   *recorder;
    int                key;
    uint64_t           number;    /* 0: remove it */
    bool               own;
    char               name[4];
};

static const char *const key_names[RECORDS] = { "a", "b", "c", "d", "e" };

static int key_by_name(struct slice name)
{
    for (int k = 0; k < RECORDS; k++)
        if (slice_is(name, slice_of(key_names[k])))
            return k;
    return -1;
}

static bool is_stored(const struct recorder *recorder) { return recorder->sim->config.store_dir[0] != '\0'; }

/* ---- the kind ---- */

static int prepare(void *self, struct record_call *call)
{
    struct recorder *recorder = self;
    struct change *change = call->ask;
    sim_check(recorder->sim, slice_is(call->key, slice_of(key_names[change->key])), "a change has lost its key");
    call->remove = change->number == 0;
    if (!call->remove)
        buf_addf(&call->value, "%lu", change->number);
    if (recorder->sim->dead)
        return 0;
    sim_check(recorder->sim, !recorder->changing[change->key], "two changes of record %s are under way", key_names[change->key]);
    if (call->remove && recorder->in_force[change->key] == 0) {
        happened(records_refused);
        if (change->own)
            free(change);
        return ERR_NOT_FOUND;
    }
    recorder->changing[change->key] = true;
    recorder->becoming[change->key] = change->number;
    return 0;
}

/* A hub that was killed goes on only to be taken apart: what was under way stays unknown. */
static void apply(void *self, struct record_call *call)
{
    struct recorder *recorder = self;
    struct change *change = call->ask;
    sim_trace(recorder->sim, "recorder: %s is %lu", key_names[change->key], change->number);
    if (!recorder->sim->dead) {
        sim_check(recorder->sim, recorder->changing[change->key], "a change of record %s is applied twice", key_names[change->key]);
        sim_check(recorder->sim, call->durable == is_stored(recorder), "a change says durable %d", call->durable);
        recorder->in_force[change->key] = change->number;
        recorder->changing[change->key] = false;
        happened(records_changed);
    }
    if (change->own)
        free(change);
}

static void abandon(void *self, struct record_call *call)
{
    struct recorder *recorder = self;
    struct change *change = call->ask;
    if (!recorder->sim->dead) {
        sim_check(recorder->sim, recorder->changing[change->key], "a change of record %s fails twice", key_names[change->key]);
        recorder->changing[change->key] = false;
        happened(records_failed);
    }
    if (change->own)
        free(change);
}

static int restore(void *self, struct slice key, struct slice value)
{
    struct recorder *recorder = self;
    int k = key_by_name(key);
    return k >= 0 && recorder->loaded[k] == 0 && slice_u64(value, &recorder->loaded[k]) ? 0 : ERR_STORE_OPEN;
}

static const struct record_ops ops = { .prepare = prepare, .apply = apply, .abandon = abandon, .put = restore };

/* ---- lives ---- */

static void compare(struct recorder *recorder, int k)
{
    struct sim *sim = recorder->sim;
    uint64_t loaded = recorder->loaded[k];
    if (!is_stored(recorder))
        sim_check(sim, loaded == 0, "a record outlives the memory it was in");
    else if (recorder->changing[k] && loaded == recorder->becoming[k] && loaded != recorder->in_force[k])
        happened(records_unsaid);
    else
        sim_check(sim, loaded == recorder->in_force[k], "record %s was %lu, and comes back as %lu", key_names[k], recorder->in_force[k],
                  loaded);
    recorder->in_force[k] = loaded;
    recorder->changing[k] = false;
}

void recorder_open(struct recorder *recorder)
{
    struct sim *sim = recorder->sim;
    const struct disk_image *image = &sim->disk.committed;
    hub_add_records(sim->hub, RECORD_KEY, &ops, recorder);
    memset(recorder->loaded, 0, sizeof recorder->loaded);
    for (size_t i = 0; i < image->n_records; i++) {
        const struct disk_record *record = &image->records[i];
        sim_check(sim, hub_restore_record(sim->hub, slice_of(record->kind), slice_of(record->key), slice_of(record->value)) == 0,
                  "record %s %s cannot be restored", record->kind, record->key);
    }
    for (int k = 0; k < RECORDS; k++)
        compare(recorder, k);
    mailbox_init(&recorder->box, false);
    post_init(&recorder->to_hub, hub_mailbox(sim->hub), SIZE_MAX);
    recorder->peer = hub_add_peer(sim->hub, &recorder->box, false, SIZE_MAX);
    recorder->under_way = 0;
}

/* ---- changes ---- */

static void answered(struct call *call)
{
    struct change *change = (struct change *)call;
    struct recorder *recorder = change->recorder;
    sim_trace(recorder->sim, "recorder: %s to %lu answered %d", key_names[change->key], change->number, call->err);
    if (call->err == ERR_DRAINING)
        happened(records_draining);
    free(change);
}

void recorder_change(struct recorder *recorder)
{
    struct sim *sim = recorder->sim;
    struct change *change = calloc(1, sizeof *change);
    change->recorder = recorder;
    change->key = (int)dice(sim, RECORDS);
    change->number = chance(sim, 300) ? 0 : ++recorder->numbers;
    change->own = chance(sim, 200);
    sim_trace(sim, "recorder: %s shall be %lu%s", key_names[change->key], change->number, change->own ? ", says the hub" : "");
    if (change->own) {
        if (hub_change_record(sim->hub, RECORD_KEY, slice_of(key_names[change->key]), change))
            free(change);
        return;
    }
    change->call = (struct record_call){
        .call = { .letter.kind = CALL_RECORD, .from = recorder->peer, .owner = recorder, .answered = answered },
        .kind = RECORD_KEY, .key = slice_of(key_names[change->key]), .ask = change,
    };
    recorder->under_way++;
    call_submit(&recorder->to_hub, &change->call.call, sizeof *change);
}

void recorder_flush(struct recorder *recorder) { post_flush(&recorder->to_hub); }

void recorder_take(struct recorder *recorder)
{
    for (struct letter *letter = mailbox_take(&recorder->box), *next; letter; letter = next) {
        next = letter->next;
        struct call *call = (struct call *)letter;
        letter_done(letter);
        if (world_settings_read(letter))
            continue;
        recorder->under_way--;
        call->answered(call);
    }
}

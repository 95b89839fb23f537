#include "tests/sim/sim.h"

#include "hub/base/err.h"

#include <stdlib.h>

/* ---- images ---- */

static void image_clear(struct disk_image *image)
{
    for (size_t i = 0; i < image->n; i++)
        msg_unref(image->rows[i]);
    free(image->rows);
    free(image->keys);
    buf_fini(&image->keeping);
    *image = (struct disk_image){ 0 };
}

static void image_add(struct disk_image *image, struct msg *m)
{
    if (image->n == image->cap) {
        image->cap = image->cap ? image->cap * 2 : 64;
        image->rows = realloc(image->rows, image->cap * sizeof *image->rows);
        if (!image->rows)
            abort();
    }
    image->rows[image->n++] = msg_ref(m);
}

static void image_add_key(struct disk_image *image, const struct idempotency_record *key)
{
    if (image->n_keys == image->cap_keys) {
        image->cap_keys = image->cap_keys ? image->cap_keys * 2 : 64;
        image->keys = realloc(image->keys, image->cap_keys * sizeof *image->keys);
        if (!image->keys)
            abort();
    }
    image->keys[image->n_keys++] = *key;
}

static void image_copy(struct disk_image *to, const struct disk_image *from)
{
    image_clear(to);
    for (size_t i = 0; i < from->n; i++)
        image_add(to, from->rows[i]);
    to->epoch = from->epoch;
    to->reserved = from->reserved;
    to->floor = from->floor;
    to->trim = from->trim;
    buf_add_slice(&to->keeping, buf_slice(&from->keeping));
    memcpy(to->purged, from->purged, sizeof to->purged);
    memcpy(to->records, from->records, sizeof to->records);
    to->n_records = from->n_records;
    for (size_t i = 0; i < from->n_keys; i++)
        image_add_key(to, &from->keys[i]);
}

static void note_trimmed(struct disk *disk, const struct msg *m)
{
    int c = channel_by_name(msg_channel(m));
    if (m->ttl_ms == 0) {
        disk->trimmed[c] = m->seq;
    } else if (msg_ends_ms(m) > disk->sim->latest_ms) {
        disk->mortal[c] = m->seq;
        disk->mortal_ends_ms[c] = msg_ends_ms(m);
    }
}

/* The highest number of which a position must be told that it is gone: what its own ttl has ended is no gap. */
static uint64_t trimmed_of(const struct disk *disk, int c)
{
    bool lives = disk->mortal_ends_ms[c] > disk->sim->latest_ms && disk->mortal[c] > disk->trimmed[c];
    return lives ? disk->mortal[c] : disk->trimmed[c];
}

/* Its rows are gone, and what the channel had is in the floor, if any of it was given up before its own time. */
static void forget_purge(struct disk *disk, int c)
{
    uint64_t *upto = &disk->committed.purged[c];
    *upto = *upto < disk->committed.trim ? 0 : *upto;
}

/* The row of a message that had not ended by its own ttl is no more. */
static void note_gone(struct disk *disk, const struct msg *m)
{
    uint64_t *trimmed = &disk->trimmed[channel_by_name(msg_channel(m))];
    if (msg_ends_ms(m) > disk->sim->latest_ms && *trimmed < m->seq)
        *trimmed = m->seq;
}

static void trim(struct disk *disk)
{
    struct disk_image *image = &disk->committed;
    size_t left = 0;
    for (size_t i = 0; i < image->n; i++) {
        struct msg *m = image->rows[i];
        if (m->seq < image->trim) {
            note_trimmed(disk, m);
            msg_unref(m);
        } else {
            image->rows[left++] = m;
        }
    }
    image->n = left;
}

static bool image_has(const struct disk_image *image, int channel)
{
    for (size_t i = 0; i < image->n; i++)
        if (channel_by_name(msg_channel(image->rows[i])) == channel)
            return true;
    return false;
}

/* ---- transactions ---- */

static void submit(struct store *store, struct store_group *group)
{
    struct disk *disk = (struct disk *)store;
    sim_check(disk->sim, disk->n_queue < 2, "a third group is submitted to the store");
    disk->queue[disk->n_queue++] = group;
    disk->submitted++;
}

/* EXACT.md 8: what is trimmed is not needed, and the floor speaks for the channels that have nothing left. */
static void check_trim(const struct disk *disk, uint64_t old_floor)
{
    const struct model *model = &disk->sim->model;
    const struct disk_image *image = &disk->committed;
    sim_check(disk->sim, model_oldest_kept(model) >= image->trim, "rows below %lu are trimmed, but history has %lu", image->trim,
              model_oldest_kept(model));
    sim_check(disk->sim, image->floor <= model_newest_dropped(model),
              "the stored floor is %lu, but nothing above %lu was dropped",
              image->floor, model_newest_dropped(model));
    for (int c = 0; c < CHANNELS; c++)
        sim_check(disk->sim, disk->lossy || image->purged[c] || !(keeping_bits(buf_slice(&image->keeping)) & sim_rule_bit(c)) || image_has(image, c) || image->floor >= trimmed_of(disk, c),
                  "the last row of %s is trimmed, its number was %lu, the stored floor is %lu", channel_names[c], trimmed_of(disk, c),
                  image->floor);
    happened(trims);
    if (image->floor > old_floor)
        happened(floor_raised);
}

static struct disk_record *record_find(struct disk_image *image, const struct store_record *change)
{
    for (size_t i = 0; i < image->n_records; i++)
        if (slice_is(change->kind, slice_of(image->records[i].kind)) && slice_is(change->key, slice_of(image->records[i].key)))
            return &image->records[i];
    return NULL;
}

static void commit_record(struct disk *disk, const struct store_record *change)
{
    struct disk_image *image = &disk->committed;
    struct disk_record *record = record_find(image, change);
    if (!change->value.at) {
        sim_check(disk->sim, record, "a record that is not there is removed");
        *record = image->records[--image->n_records];
        return;
    }
    if (!record) {
        sim_check(disk->sim, image->n_records < DISK_RECORDS, "more records than there are keys");
        record = &image->records[image->n_records++];
    }
    *record = (struct disk_record){ { 0 }, { 0 }, { 0 } };
    memcpy(record->kind, change->kind.at, change->kind.len);
    memcpy(record->key, change->key.at, change->key.len);
    memcpy(record->value, change->value.at, change->value.len);
}

static void commit_keys(struct disk *disk, const struct store_group *group)
{
    struct disk_image *image = &disk->committed;
    size_t left = 0;
    for (size_t i = 0; i < group->n_keys; i++) {
        sim_check(disk->sim, image->n_keys == 0 || group->keys[i].number > image->keys[image->n_keys - 1].number, "key %lu comes after a higher one",
                  group->keys[i].number);
        image_add_key(image, &group->keys[i]);
    }
    for (size_t i = 0; i < image->n_keys; i++)
        if (image->keys[i].number >= group->keys_trim)
            image->keys[left++] = image->keys[i];
    image->n_keys = left;
}

static void commit(struct disk *disk, const struct store_group *group)
{
    struct disk_image *image = &disk->committed;
    uint64_t floor = image->floor;
    for (size_t i = 0; i < group->n; i++) {
        const struct msg *m = group->msgs[i];
        sim_check(disk->sim, image->n == 0 || m->seq > image->rows[image->n - 1]->seq, "row %lu comes after a higher one",
                  m->seq);
        sim_check(disk->sim, m->seq < image->reserved, "row %lu was given before its number was reserved", m->seq);
        image_add(image, group->msgs[i]);
    }
    for (const struct store_record *record = group->records; record; record = record->next)
        commit_record(disk, record);
    commit_keys(disk, group);
    for (const struct store_purge *purge = group->purges; purge; purge = purge->next) {
        uint64_t *upto = &image->purged[channel_by_name(purge->channel)];
        *upto = purge->upto > *upto ? purge->upto : *upto;
    }
    image->reserved = group->reserve > image->reserved ? group->reserve : image->reserved;
    image->floor = group->floor > floor ? group->floor : floor;
    if (group->keeping.at) {
        buf_reset(&image->keeping);
        buf_add_slice(&image->keeping, group->keeping);
        happened(keeping_told);
    }
    if (group->trim > image->trim) {
        image->trim = group->trim;
        trim(disk);
        for (int c = 0; c < CHANNELS; c++)
            forget_purge(disk, c);
        if (!disk->sim->dead)
            check_trim(disk, floor);
    }
}

static bool is_fresh(const struct disk *disk, const struct store_group *group) { return group->generation == disk->generation; }

static void commit_some(struct disk *disk, size_t n)
{
    bool syncs = disk->sim->config.store_sync == STORE_SYNC_EACH;
    for (size_t i = 0; i < n; i++)
        if (is_fresh(disk, disk->queue[i])) {
            commit(disk, disk->queue[i]);
            syncs |= disk->queue[i]->records != NULL || disk->queue[i]->purges != NULL;
        }
    if (syncs)
        disk_sync(disk);
}

/* All groups of one transaction share its fate; one of an older generation failed before it. */
static void answer_some(struct disk *disk, size_t n, int err)
{
    uint64_t fresh = disk->generation;
    disk->generation += err != 0;
    for (size_t i = 0; i < n; i++) {
        struct store_group *group = disk->queue[i];
        group->err = group->generation == fresh ? err : ERR_STORE_FAILED;
        group->next_generation = disk->generation;
        disk->lossy |= group->err && group->n > 0 && disk->sim->config.store_sync == STORE_SYNC_OFF;
        disk->lossy_keys |= group->err && group->n_keys > 0 && disk->sim->config.store_sync == STORE_SYNC_OFF;
        sim_trace(disk->sim, "disk: group of %zu, reserve %lu, trim %lu: %d", group->n, group->reserve, group->trim, group->err);
        post_put(&disk->to_hub, &group->letter, 0);
    }
    disk->n_queue -= n;
    memmove(disk->queue, disk->queue + n, disk->n_queue * sizeof *disk->queue);
    post_flush(&disk->to_hub);
}

/* What the hub submits while a transaction is under way is one of its own. */
void disk_turn(struct disk *disk)
{
    bool any_fresh = false;
    size_t n = disk->n_queue > 0 && chance(disk->sim, 200) ? 1 : disk->n_queue;
    for (size_t i = 0; i < n; i++)
        any_fresh |= is_fresh(disk, disk->queue[i]);
    if (n == 0)
        return;
    if (any_fresh && (disk->broken || disk->sim->dead)) {
        happened(store_failures);
        answer_some(disk, n, ERR_STORE_FAILED);
        return;
    }
    if (!disk->sim->dead)
        commit_some(disk, n);
    answer_some(disk, n, 0);
}

void disk_commit_unsaid(struct disk *disk)
{
    if (!disk->broken)
        commit_some(disk, disk->n_queue);
}

void disk_sync(struct disk *disk) { image_copy(&disk->synced, &disk->committed); }

/* ---- restarts ---- */

void disk_crash(struct disk *disk, bool power)
{
    if (power)
        image_copy(&disk->committed, &disk->synced);
    else
        image_copy(&disk->synced, &disk->committed);
}

static void drop_purged(struct disk *disk, struct disk_image *image)
{
    size_t left = 0;
    for (size_t i = 0; i < image->n; i++) {
        if (image->rows[i]->seq > image->purged[channel_by_name(msg_channel(image->rows[i]))]) {
            image->rows[left++] = image->rows[i];
            continue;
        }
        note_gone(disk, image->rows[i]);
        msg_unref(image->rows[i]);
    }
    image->n = left;
}

/* Rows begin a new life in the epoch of the disk, as store_load gives them. */
static void renew_rows(struct disk_image *image)
{
    for (size_t i = 0; i < image->n; i++) {
        const struct msg *old = image->rows[i];
        struct msg *row = msg_new(&(struct msg_parts){ .channel = msg_channel(old), .event = msg_event(old), .client = msg_client(old),
                                                      .exclude = msg_exclude(old), .kind = old->kind, .data = msg_data(old), .ttl_ms = old->ttl_ms });
        row->epoch = image->epoch;
        row->seq = old->seq;
        row->prev = old->prev;
        row->passing = old->passing;
        row->passed_s = old->passed_s;
        row->time_ms = old->time_ms;
        msg_unref(image->rows[i]);
        image->rows[i] = row;
    }
}

bool disk_open(struct disk *disk, bool clean, bool power, struct hub_start *ret_start)
{
    struct disk_image *image = &disk->committed;
    enum store_sync sync = disk->sim->config.store_sync;
    bool is_clean = clean && !disk->lossy;
    bool same = image->epoch != 0 && (is_clean || sync == STORE_SYNC_EACH || (sync == STORE_SYNC_BATCH && !power));
    if (!same) {
        image->epoch = ++disk->epochs;
        memset(disk->trimmed, 0, sizeof disk->trimmed);
        memset(disk->mortal, 0, sizeof disk->mortal);
    }
    drop_purged(disk, image);
    renew_rows(image);
    if (image->reserved == 0)
        image->reserved = 1;
    disk_sync(disk);
    disk->lossy = disk->broken = false;
    disk->generation = 0;
    disk->n_queue = 0;
    *ret_start = (struct hub_start){ image->epoch, image->reserved, image->reserved, image->floor, buf_slice(&image->keeping) };
    return same;
}

void disk_init(struct disk *disk, struct sim *sim)
{
    *disk = (struct disk){ .port.submit = submit, .sim = sim };
}

void disk_fini(struct disk *disk)
{
    image_clear(&disk->committed);
    image_clear(&disk->synced);
}

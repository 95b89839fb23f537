#include "tests/sim/webhooks/disk.h"

#include "hub/base/err.h"
#include "hub/store/store_deliveries.h"
#include "hub/store/store_sql.h"
#include "tests/sim/webhooks/sim.h"
#include "tests/sim/webhooks/truth.h"

#include <stdio.h>
#include <stdlib.h>

static const uint64_t EPOCH = 77;

struct disk disk;

static void enqueue(struct letter *letter)
{
    sim_check(disk.n < DISK_QUEUE, "the store has more to do than anybody waits for");
    disk.queue[disk.n++] = letter;
}

static void submit(struct store *store, struct store_group *group)
{
    (void)store;
    enqueue(&group->letter);
}

static void read_it(struct store *store, struct delivery_read *read)
{
    (void)store;
    read->letter.kind = LETTER_READ;
    enqueue(&read->letter);
}

/* ---- records ---- */

static struct disk_record *record_find(struct slice key)
{
    for (size_t i = 0; i < disk.n_records; i++)
        if (slice_is(key, slice_of(disk.records[i].key)))
            return &disk.records[i];
    return NULL;
}

static void record_drop(struct disk_record *record)
{
    size_t place = (size_t)(record - disk.records);
    free(record->value);
    memmove(record, record + 1, (--disk.n_records - place) * sizeof *record);
}

static void commit_record(const struct store_record *change)
{
    struct disk_record *record = record_find(change->key);
    if (!change->value.at) {
        sim_check(record, "a record that is not there is removed");
        record_drop(record);
    } else {
        if (!record) {
            sim_check(disk.n_records < DISK_RECORDS, "more records than there can be endpoints");
            record = &disk.records[disk.n_records++];
            *record = (struct disk_record){ { 0 }, NULL, 0 };
            memcpy(record->key, change->key.at, change->key.len);
        }
        free(record->value);
        record->value = slice_copy(change->value);
        record->len = change->value.len;
    }
    truth_record(change->key, change->value);
}

/* ---- one thing after the other ---- */

static bool commit(struct store_group *group)
{
    const char *fault = NULL;
    store_deliveries_begin(disk.deliveries);
    sim_check(store_sql_run(disk.conn, "BEGIN"), "no transaction");
    sim_check(store_deliveries_add(disk.deliveries, group, &fault) && store_sql_run(disk.conn, "COMMIT"), "a group fails: %s", fault ? fault : sqlite3_errmsg(disk.conn));
    store_deliveries_committed(disk.deliveries);
    disk.reserved = group->reserve > disk.reserved ? group->reserve : disk.reserved;
    for (size_t i = 0; i < group->n_events; i++)
        truth_event(group->events[i]);
    for (const struct store_record *record = group->records; record; record = record->next)
        commit_record(record);
    for (const struct settle_call *call = group->settlings; call; call = call->next)
        for (size_t i = 0; i < call->n; i++)
            truth_settled(&call->at[i]);
    return true;
}

/* A group of an older generation was made on what has failed meanwhile (store.h). */
static void answer_group(struct store_group *group, bool tells)
{
    bool fresh = group->generation == disk.generation;
    bool done = fresh && !disk.broken && !sim.dead && commit(group);
    if (fresh && !done)
        disk.generation++, happened(store_failures);
    group->err = done && tells ? 0 : ERR_STORE_FAILED;
    group->next_generation = disk.generation;
    sim_trace("disk: a group of %zu events: %s", group->n_events, done ? "committed" : "failed");
}

static void answer_read(struct delivery_read *read)
{
    if (!disk.broken && !sim.dead) {
        store_deliveries_read(disk.deliveries, read);
        sim_trace("disk: a read of kind %d finds %zu, after %ld", (int)read->kind, read->n, read->after_due_ms ? read->after_due_ms - sim.wall_ms : 1);
        return;
    }
    read->rows = NULL;
    read->event_msg = NULL;
    read->n = 0;
    read->err = ERR_STORE_FAILED;
}

static bool step(bool tells)
{
    if (disk.n == 0)
        return false;
    struct letter *letter = disk.queue[0];
    memmove(disk.queue, disk.queue + 1, --disk.n * sizeof *disk.queue);
    if (letter->kind == LETTER_STORED)
        answer_group((struct store_group *)letter, tells);
    else
        answer_read((struct delivery_read *)letter);
    post_put(&disk.to_hub, letter, 0);
    post_flush(&disk.to_hub);
    return true;
}

bool disk_step(void)          { return step(true); }
void disk_commit_unsaid(void) { step(false); }

void disk_look(struct delivery_read *read) { store_deliveries_read(disk.deliveries, read); }

/* ---- life ---- */

void disk_init(void)
{
    disk = (struct disk){ .port = { .submit = submit, .read = read_it }, .reserved = 1 };
    sim_check(sqlite3_open_v2(":memory:", &disk.conn, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK &&
              store_sql_run(disk.conn, store_deliveries_schema) && (disk.deliveries = store_deliveries_open(disk.conn)), "no tables");
}

void disk_fini(void)
{
    store_deliveries_close(disk.deliveries);
    sqlite3_close(disk.conn);
    for (size_t i = 0; i < disk.n_records; i++)
        free(disk.records[i].value);
}

struct hub_start disk_start(void) { return (struct hub_start){ EPOCH, disk.reserved, disk.reserved, disk.reserved, SLICE("") }; }

void disk_attach(struct mailbox *hub)
{
    post_init(&disk.to_hub, hub, SIZE_MAX);
    disk.generation = 0;
}

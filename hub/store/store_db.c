#include "hub/store/store_db.h"

#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/base/name.h"
#include "hub/store/store_block.h"
#include "hub/store/store_deliveries.h"
#include "hub/store/store_meta.h"
#include "hub/store/store_schema.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uthash.h>

enum {
    BUSY_MS = 1000,        /* how long a commit waits for another program that writes to the file */
    PAGE_BYTES = 8192,     /* of a new file: a block fills a few, and each goes to the WAL with two writes */
    CACHE_KIB = 8192,
    BLOCK_KEPT = 2 * STORE_BLOCK_BYTES,
    TRIM_SLICE = 64,       /* rows deleted with a transaction, or twice what it adds when that is more */
};

enum statement { BEGIN, COMMIT, ADD, NUMBERS, KEEPING, PURGE, FORGET_PURGES, TRIM, PUT, REMOVE, ADD_KEYS, TRIM_KEYS, PROBE, STATEMENTS };

static const char *const sql[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ADD] = "INSERT INTO log VALUES (?1, ?2)",
    [NUMBERS] = "UPDATE meta SET reserved = ?1, floor = ?2, trim = ?3",
    [KEEPING] = "UPDATE meta SET keeping = ?1",
    [PURGE] = "INSERT INTO purges VALUES (?1, ?2) ON CONFLICT DO UPDATE SET upto = max(upto, ?2)",
    [FORGET_PURGES] = "DELETE FROM purges WHERE upto < ?1",      /* their rows do not exist any more */
    [TRIM] = "DELETE FROM log WHERE last < min(?1, coalesce((SELECT last FROM log ORDER BY last LIMIT 1 OFFSET ?2), ?1))",
    [PUT] = "INSERT INTO records VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET value = ?3",
    [REMOVE] = "DELETE FROM records WHERE kind = ?1 AND key = ?2",
    [ADD_KEYS] = "INSERT INTO keys VALUES (?1, ?2)",
    [TRIM_KEYS] = "DELETE FROM keys WHERE last < ?1 AND last <= coalesce((SELECT last FROM keys ORDER BY last LIMIT 1 OFFSET 64), ?1)",
    [PROBE] = "UPDATE meta SET probes = probes + 1",      /* the same value again would write nothing */
};

/* Whether a commit is on disk when it returns. */
static const char *const synchronous[] = { [false] = "PRAGMA synchronous = NORMAL", [true] = "PRAGMA synchronous = FULL" };

struct store_db {
    struct store_dir  dir;
    sqlite3          *writer, *copier;       /* the copier is the keeper's thread's */
    sqlite3_stmt     *statements[STATEMENTS];
    struct store_deliveries *deliveries;
    int               wal_fd;                /* for store_db_sync; nobody holds locks on this file */
    struct store_meta now, then;             /* committed; what the open transaction makes of it */
    struct buf        block;                 /* messages of the open transaction that have no row yet */
    uint64_t          last, then_last;       /* highest number there is: committed; with the open transaction */
    const char       *fault;                 /* why the open transaction fails, when that is not for SQLite to say */
    size_t            added;                 /* rows of the open transaction */
    bool              each;                  /* every transaction is synced, not only those with records */
    bool              syncing;               /* the open one is */
    bool              trimming, trim_ends;   /* rows below now.trim may be left; the open transaction deletes the last */
    atomic_size_t     wal_pages;
    bool              wal_takes_space;       /* since a commit, until the file is cut */
    char             *keeping;               /* what the last run had there */
    char              reason[512];
};

/* ---- opening and closing ---- */

/* In place of SQLite's own hook, which would run checkpoints inside COMMIT. */
static int on_commit(void *arg, sqlite3 *conn, const char *name, int pages)
{
    struct store_db *db = arg;
    (void)conn;
    (void)name;
    atomic_store_explicit(&db->wal_pages, (size_t)pages, memory_order_relaxed);
    db->wal_takes_space = true;
    return SQLITE_OK;
}

static int connect_writer(struct store_db *db, struct store_why *why)
{
    char setup[160];
    snprintf(setup, sizeof setup, "PRAGMA page_size = %d; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -%d",
             PAGE_BYTES, CACHE_KIB);
    if (sqlite3_open_v2(db->dir.db_path, &db->writer, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(db->writer, BUSY_MS) != SQLITE_OK || !store_sql_run(db->writer, setup))
        return store_sql_cannot(db->writer, db->dir.db_path, why);
    sqlite3_wal_hook(db->writer, on_commit, db);
    return store_schema_open(db->writer, db->dir.db_path, why);
}

/* A connection joins the WAL with its first read. */
static int connect_copier(struct store_db *db, struct store_why *why)
{
    char wal_path[STORE_PATH_MAX + 8];
    snprintf(wal_path, sizeof wal_path, "%s-wal", db->dir.db_path);
    db->wal_fd = open(wal_path, O_RDONLY | O_CLOEXEC);
    if (db->wal_fd < 0) {
        store_why_set(why, "the store %s cannot be opened: %s", wal_path, strerror(errno));
        return ERR_STORE_OPEN;
    }
    if (sqlite3_open_v2(db->dir.db_path, &db->copier, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
        !store_sql_run(db->copier, "PRAGMA synchronous = NORMAL; SELECT one FROM meta"))
        return store_sql_cannot(db->copier, db->dir.db_path, why);
    return 0;
}

static int prepare(struct store_db *db, enum store_sync sync, struct store_why *why)
{
    db->each = db->syncing = sync == STORE_SYNC_EACH;
    bool done = store_sql_run(db->writer, synchronous[db->syncing]);
    for (int i = 0; i < STATEMENTS && done; i++)
        done = sqlite3_prepare_v3(db->writer, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL) == SQLITE_OK;
    done = done && (db->deliveries = store_deliveries_open(db->writer));
    return done ? 0 : store_sql_cannot(db->writer, db->dir.db_path, why);
}

static void disconnect(struct store_db *db)
{
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(db->statements[i]);
    store_deliveries_close(db->deliveries);
    sqlite3_close(db->copier);
    sqlite3_close(db->writer);      /* the last one copies what is in the WAL and removes it */
    if (db->wal_fd >= 0)
        close(db->wal_fd);
    store_dir_close(&db->dir);
    buf_fini(&db->block);
    free(db->keeping);
    free(db);
}

static int read_keeping(struct store_db *db, struct store_why *why)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(db->writer, "SELECT keeping FROM meta", -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
        db->keeping = slice_copy(store_sql_text(stmt, 0));
    sqlite3_finalize(stmt);
    return db->keeping ? 0 : store_sql_cannot(db->writer, db->dir.db_path, why);
}

int store_db_open(const char *dir, enum store_sync sync, struct store_db **ret_db, struct hub_start *ret_start,
                  struct store_why *why)
{
    struct store_db *db = calloc(1, sizeof *db);
    if (!db) {
        store_why_set(why, "the store %s cannot be opened: %s", dir, strerror(ENOMEM));
        return ERR_STORE_OPEN;
    }
    db->wal_fd = -1;
    int err = store_dir_open(&db->dir, dir, why);
    if (!err)
        err = connect_writer(db, why);
    if (!err)
        err = store_meta_begin_run(db->writer, &db->dir, sync, &db->now, why);
    if (!err)
        err = prepare(db, sync, why);
    if (!err)
        err = read_keeping(db, why);
    if (!err)
        err = connect_copier(db, why);
    if (err) {
        disconnect(db);
        return err;
    }
    db->trimming = db->now.trim > 0;
    db->last = db->now.reserved - 1;
    *ret_db = db;
    *ret_start = (struct hub_start){
        .epoch = db->now.epoch, .next = db->now.reserved, .reserved = db->now.reserved, .floor = db->now.floor,
        .keeping = slice_of(db->keeping),
    };
    return 0;
}

void store_db_close(struct store_db *db, bool clean)
{
    if (!db)
        return;
    struct store_why why = { "" };
    if (clean && (!store_sql_run(db->writer, "PRAGMA synchronous = FULL") || store_meta_end_run(db->writer, &db->dir, &db->now, &why)))
        log_warn("store", "the clean stop could not be noted: %s", why.text);
    disconnect(db);
}

/* ---- loading ---- */

typedef int row_fn(void *arg, struct msg *m);

/* What has been purged, by channel, while rows are loaded. */
struct purged {
    UT_hash_handle hh;
    uint64_t       upto;
    size_t         len;
    char           channel[];
};

static int add_purged(void *table, struct slice channel, uint64_t upto)
{
    struct purged **first = table, *one = calloc(1, sizeof *one + channel.len);
    if (!one)
        return ERR_MEMORY;
    one->upto = upto;
    one->len = channel.len;
    memcpy(one->channel, channel.at, channel.len);
    HASH_ADD_KEYPTR(hh, *first, one->channel, one->len, one);
    return 0;
}

static void free_purged(struct purged *table)
{
    struct purged *one, *next;
    HASH_ITER(hh, table, one, next) {
        HASH_DELETE(hh, table, one);
        free(one);
    }
}

static bool is_purged(const struct purged *table, const struct msg *m)
{
    struct purged *one = NULL;
    if (table)
        HASH_FIND(hh, table, m->bytes, (size_t)m->channel_len, one);
    return one && m->seq <= one->upto;
}

/* One row. What is trimmed or purged does not exist, also when its row still does because of another message in it. */
static int load_block(const struct store_db *db, sqlite3_stmt *stmt, const struct purged *purged, uint64_t *highest, row_fn *row, void *arg)
{
    uint64_t last = (uint64_t)sqlite3_column_int64(stmt, 0);
    struct slice block = store_sql_blob(stmt, 1);
    int err = block.len > 0 ? 0 : ERR_STORE_OPEN;
    while (!err && block.len > 0) {
        struct msg *m;
        err = store_block_take(&block, db->now.epoch, &m);
        if (err)
            return err;
        if (m->seq <= *highest || m->seq > last)
            err = ERR_STORE_OPEN;
        else if (m->seq >= db->now.trim && !is_purged(purged, m))
            err = row(arg, m);
        *highest = m->seq;
        msg_unref(m);
    }
    return err || *highest == last ? err : ERR_STORE_OPEN;
}

int store_db_load(struct store_db *db, row_fn *row, void *arg)
{
    sqlite3_stmt *stmt = NULL;
    struct purged *purged = NULL;
    uint64_t highest = 0;
    int err = store_db_load_purges(db, add_purged, &purged);
    int rc = sqlite3_prepare_v2(db->writer, "SELECT last, messages FROM log WHERE last >= ?1 ORDER BY last", -1, &stmt, NULL);
    if (rc != SQLITE_OK || !store_sql_bind_u64(stmt, 1, db->now.trim))
        err = ERR_STORE_OPEN;
    while (!err && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        err = load_block(db, stmt, purged, &highest, row, arg);
    if (!err && rc != SQLITE_DONE)
        err = ERR_STORE_OPEN;
    if (err == ERR_STORE_OPEN)
        log_error("store", "%s: row %lld cannot be read: %s", db->dir.db_path, (long long)sqlite3_column_int64(stmt, 0),
                  rc == SQLITE_ROW ? "not messages" : sqlite3_errmsg(db->writer));
    sqlite3_finalize(stmt);
    free_purged(purged);
    return err;
}

int store_db_load_purges(struct store_db *db, int (*purge)(void *arg, struct slice channel, uint64_t upto), void *arg)
{
    sqlite3_stmt *stmt = NULL;
    int err = 0, rc = sqlite3_prepare_v2(db->writer, "SELECT channel, upto FROM purges ORDER BY channel", -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        err = ERR_STORE_OPEN;
    while (!err && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        err = channel_name_check(store_sql_text(stmt, 0)) ? ERR_STORE_OPEN : purge(arg, store_sql_text(stmt, 0), (uint64_t)sqlite3_column_int64(stmt, 1));
    if (!err && rc != SQLITE_DONE)
        err = ERR_STORE_OPEN;
    if (err == ERR_STORE_OPEN)
        log_error("store", "%s: purges cannot be read: %s", db->dir.db_path, rc == SQLITE_ROW ? "not a channel" : sqlite3_errmsg(db->writer));
    sqlite3_finalize(stmt);
    return err;
}

/* ---- transactions ---- */

int store_db_load_records(struct store_db *db, store_record_fn *record, void *arg)
{
    sqlite3_stmt *stmt = NULL;
    int err = 0, rc = sqlite3_prepare_v2(db->writer, "SELECT kind, key, value FROM records ORDER BY kind, key", -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        err = ERR_STORE_OPEN;
    while (!err && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        err = record(arg, store_sql_text(stmt, 0), store_sql_text(stmt, 1), store_sql_blob(stmt, 2));
    if (!err && rc != SQLITE_DONE)
        err = ERR_STORE_OPEN;
    if (err == ERR_STORE_OPEN && rc != SQLITE_ROW)
        log_error("store", "%s: records cannot be read: %s", db->dir.db_path, sqlite3_errmsg(db->writer));
    sqlite3_finalize(stmt);
    return err;
}

static int load_keys(sqlite3_stmt *stmt, store_key_fn *key, void *arg)
{
    struct slice block = store_sql_blob(stmt, 1);
    struct idempotency_record record;
    int err = 0;
    while (!err && block.len > 0) {
        err = store_key_take(&block, &record);
        if (!err)
            err = key(arg, &record);
    }
    return err;
}

int store_db_load_keys(struct store_db *db, store_key_fn *key, void *arg)
{
    sqlite3_stmt *stmt = NULL;
    int err = 0, rc = sqlite3_prepare_v2(db->writer, "SELECT last, records FROM keys ORDER BY last", -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        err = ERR_STORE_OPEN;
    while (!err && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        err = load_keys(stmt, key, arg);
    if (!err && rc != SQLITE_DONE)
        err = ERR_STORE_OPEN;
    if (err == ERR_STORE_OPEN)
        log_error("store", "%s: idempotency keys cannot be read: %s", db->dir.db_path, rc == SQLITE_ROW ? "not keys" : sqlite3_errmsg(db->writer));
    sqlite3_finalize(stmt);
    return err;
}

static int undo(struct store_db *db)
{
    char reason[256];
    store_sql_reason(db->writer, reason, sizeof reason);
    snprintf(db->reason, sizeof db->reason, "the store cannot write: %s", db->fault ? db->fault : reason);
    if (!sqlite3_get_autocommit(db->writer))
        store_sql_run(db->writer, "ROLLBACK");
    return ERR_STORE_FAILED;
}

static bool run(struct store_db *db, enum statement which)
{
    sqlite3_step(db->statements[which]);
    return sqlite3_reset(db->statements[which]) == SQLITE_OK;
}

/* SQLite takes this between transactions only. */
static bool set_syncing(struct store_db *db, bool wanted)
{
    if (wanted == db->syncing)
        return true;
    if (!store_sql_run(db->writer, synchronous[wanted]))
        return false;
    db->syncing = wanted;
    return true;
}

int store_db_begin(struct store_db *db, bool on_disk)
{
    db->then = db->now;
    db->added = 0;
    db->trim_ends = false;
    db->then_last = db->last;
    db->fault = NULL;
    buf_reset(&db->block);
    store_deliveries_begin(db->deliveries);
    return set_syncing(db, on_disk || db->each) && run(db, BEGIN) ? 0 : undo(db);
}

/* What has been collected becomes a row. */
static bool add_block(struct store_db *db)
{
    sqlite3_stmt *stmt = db->statements[ADD];
    if (db->block.len == 0)
        return true;
    bool done = store_sql_bind_u64(stmt, 1, db->then_last) && store_sql_bind_blob(stmt, 2, buf_slice(&db->block)) && run(db, ADD);
    db->added++;
    if (db->block.cap > BLOCK_KEPT)
        buf_fini(&db->block);
    buf_reset(&db->block);
    return done;
}

static bool add_message(struct store_db *db, const struct msg *m)
{
    if (m->seq <= db->then_last) {
        db->fault = "a number comes again";
        return false;
    }
    store_block_add(&db->block, m);
    if (db->block.failed) {
        db->fault = "out of memory";
        return false;
    }
    db->then_last = m->seq;
    return db->block.len < STORE_BLOCK_BYTES || add_block(db);
}

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

static bool change_record(struct store_db *db, const struct store_record *record)
{
    enum statement which = record->value.at ? PUT : REMOVE;
    sqlite3_stmt *stmt = db->statements[which];
    return store_sql_bind_text(stmt, 1, record->kind) && store_sql_bind_text(stmt, 2, record->key) &&
           (which == REMOVE || store_sql_bind_blob(stmt, 3, record->value)) && run(db, which);
}

/* One row for a group: a group is what one turn of the hub collected. What is deleted is more than what is added. */
static bool add_keys(struct store_db *db, const struct store_group *group)
{
    if (group->n_keys == 0)
        return true;
    struct buf block = { 0 };
    for (size_t i = 0; i < group->n_keys; i++)
        store_key_add(&block, &group->keys[i]);
    sqlite3_stmt *add = db->statements[ADD_KEYS], *trim = db->statements[TRIM_KEYS];
    bool done = !block.failed && store_sql_bind_u64(add, 1, group->keys[group->n_keys - 1].number) &&
                store_sql_bind_blob(add, 2, buf_slice(&block)) && run(db, ADD_KEYS) &&
                store_sql_bind_u64(trim, 1, group->keys_trim) && run(db, TRIM_KEYS);
    if (block.failed)
        db->fault = "out of memory";
    buf_fini(&block);
    return done;
}

static bool add_purges(struct store_db *db, const struct store_group *group)
{
    sqlite3_stmt *stmt = db->statements[PURGE];
    for (const struct store_purge *purge = group->purges; purge; purge = purge->next)
        if (!store_sql_bind_text(stmt, 1, purge->channel) || !store_sql_bind_u64(stmt, 2, purge->upto) || !run(db, PURGE))
            return false;
    return true;
}

int store_db_add(struct store_db *db, struct store_group *group)
{
    if (!add_keys(db, group) || !add_purges(db, group) || !store_deliveries_add(db->deliveries, group, &db->fault))
        return undo(db);
    for (size_t i = 0; i < group->n; i++)
        if (!add_message(db, group->msgs[i]))
            return undo(db);
    for (const struct store_record *record = group->records; record; record = record->next)
        if (!change_record(db, record))
            return undo(db);
    sqlite3_stmt *keeping = db->statements[KEEPING];
    if (group->keeping.at && !(store_sql_bind_text(keeping, 1, group->keeping) && run(db, KEEPING)))
        return undo(db);
    db->then.reserved = larger(db->then.reserved, group->reserve);
    db->then.trim = larger(db->then.trim, group->trim);
    db->then.floor = larger(db->then.floor, group->floor);
    return 0;
}

static bool write_numbers(struct store_db *db)
{
    sqlite3_stmt *stmt = db->statements[NUMBERS];
    if (db->then.reserved == db->now.reserved && db->then.trim == db->now.trim && db->then.floor == db->now.floor)
        return true;
    sqlite3_stmt *forget = db->statements[FORGET_PURGES];
    if (db->then.trim != db->now.trim && !(store_sql_bind_u64(forget, 1, db->then.trim) && run(db, FORGET_PURGES)))
        return false;
    return store_sql_bind_u64(stmt, 1, db->then.reserved) && store_sql_bind_u64(stmt, 2, db->then.floor) &&
           store_sql_bind_u64(stmt, 3, db->then.trim) && run(db, NUMBERS);
}

/* Twice what was added, so that trims come to an end under any load. */
static bool trim_some(struct store_db *db)
{
    sqlite3_stmt *stmt = db->statements[TRIM];
    size_t rows = db->added * 2 > TRIM_SLICE ? db->added * 2 : TRIM_SLICE;
    if (!db->trimming && db->then.trim == db->now.trim)
        return true;
    bool done = store_sql_bind_u64(stmt, 1, db->then.trim) && store_sql_bind_u64(stmt, 2, rows) && run(db, TRIM);
    db->trim_ends = done && (size_t)sqlite3_changes(db->writer) < rows;
    return done;
}

/* When only its sync fails, the frames of a commit are whole in the WAL, and a crash would bring them back. The next
 * transaction is written over them, whether it can be synced or not. */
static int undo_commit(struct store_db *db)
{
    int err = undo(db);
    run(db, PROBE);
    return err;
}

int store_db_commit(struct store_db *db)
{
    if (!add_block(db) || !write_numbers(db) || !trim_some(db))
        return undo(db);
    if (!run(db, COMMIT))
        return undo_commit(db);
    db->trimming = (db->trimming || db->then.trim != db->now.trim) && !db->trim_ends;
    db->now = db->then;
    db->last = db->then_last;
    store_deliveries_committed(db->deliveries);
    return 0;
}

void store_db_read(struct store_db *db, struct delivery_read *read) { store_deliveries_read(db->deliveries, read); }

int store_db_probe(struct store_db *db)
{
    return run(db, PROBE) ? 0 : undo(db);
}

const char *store_db_reason(const struct store_db *db)   { return db->reason; }
bool        store_db_trimming(const struct store_db *db) { return db->trimming; }

/* ---- the write-ahead log ---- */

size_t store_db_wal_pages(const struct store_db *db)
{
    return atomic_load_explicit(&db->wal_pages, memory_order_relaxed);
}

bool store_db_wal_takes_space(const struct store_db *db) { return db->wal_takes_space; }

/* Without waiting for readers: it is tried again anyway. */
static int checkpoint(struct store_db *db, int mode)
{
    sqlite3_busy_timeout(db->writer, 0);
    int rc = sqlite3_wal_checkpoint_v2(db->writer, "main", mode, NULL, NULL);
    sqlite3_busy_timeout(db->writer, BUSY_MS);
    if (rc == SQLITE_OK)
        atomic_store_explicit(&db->wal_pages, 0, memory_order_relaxed);
    return rc == SQLITE_OK ? 0 : ERR_STORE_FAILED;
}

int store_db_wal_again(struct store_db *db) { return checkpoint(db, SQLITE_CHECKPOINT_RESTART); }

int store_db_wal_empty(struct store_db *db)
{
    int err = checkpoint(db, SQLITE_CHECKPOINT_TRUNCATE);
    db->wal_takes_space &= err != 0;
    return err;
}

int store_db_sync(struct store_db *db)
{
    return fdatasync(db->wal_fd) == 0 ? 0 : ERR_STORE_FAILED;
}

/* SQLite syncs the database file only when it has copied everything, which under load is never: hence ours. */
int store_db_copy(struct store_db *db, size_t *ret_left)
{
    int copied = 0;
    if (sqlite3_wal_checkpoint_v2(db->copier, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, &copied) != SQLITE_OK || copied < 0 ||
        fdatasync(db->dir.db_fd) < 0)
        return ERR_STORE_FAILED;
    size_t pages = store_db_wal_pages(db);
    *ret_left = pages > (size_t)copied ? pages - (size_t)copied : 0;
    return 0;
}

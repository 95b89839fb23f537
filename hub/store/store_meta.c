#include "hub/store/store_meta.h"

#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/position.h"

#include <errno.h>
#include <stdio.h>

static const char *const sync_names[] = { [STORE_SYNC_OFF] = "off", [STORE_SYNC_BATCH] = "batch", [STORE_SYNC_EACH] = "each" };

struct last_run {
    bool clean;
    char sync[8], boot[BOOT_ID_MAX];
    struct store_identity id;
};

static void copy_text(char *to, size_t size, struct slice s)
{
    snprintf(to, size, "%.*s", (int)s.len, s.at);
}

/* A number that a row has is used, whatever was reserved: the file may have been mended by hand. */
static const char ask_meta[] = "SELECT epoch, max(reserved, coalesce((SELECT max(last) FROM log) + 1, 1)), floor, trim, stamp,"
                               " clean, sync, boot, inode, born FROM meta";

static int read_meta(sqlite3 *conn, const char *path, struct store_meta *ret_meta, struct last_run *ret_last,
                     struct store_why *why)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(conn, ask_meta, -1, &stmt, NULL) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_ROW) {
        int err = store_sql_cannot(conn, path, why);
        sqlite3_finalize(stmt);
        return err;
    }
    *ret_meta = (struct store_meta){
        .epoch = (uint64_t)sqlite3_column_int64(stmt, 0),
        .reserved = (uint64_t)sqlite3_column_int64(stmt, 1),
        .floor = (uint64_t)sqlite3_column_int64(stmt, 2),
        .trim = (uint64_t)sqlite3_column_int64(stmt, 3),
        .stamp = (uint64_t)sqlite3_column_int64(stmt, 4),
    };
    ret_last->clean = sqlite3_column_int(stmt, 5);
    copy_text(ret_last->sync, sizeof ret_last->sync, store_sql_text(stmt, 6));
    copy_text(ret_last->boot, sizeof ret_last->boot, store_sql_text(stmt, 7));
    ret_last->id = (struct store_identity){ sqlite3_column_int64(stmt, 8), sqlite3_column_int64(stmt, 9) };
    sqlite3_finalize(stmt);
    return 0;
}

/* NULL: the epoch goes on. */
static const char *why_new_epoch(const struct store_meta *meta, const struct last_run *last, const struct store_dir *dir,
                                 struct store_identity id, const char *boot)
{
    if (meta->epoch == 0)
        return "the store is new";
    if (last->id.inode != id.inode || last->id.born_ns != id.born_ns || !store_dir_knows(dir, meta->stamp))
        return "the store was restored from a copy";
    if (last->clean || !strcmp(last->sync, sync_names[STORE_SYNC_EACH]))
        return NULL;
    if (strcmp(last->sync, sync_names[STORE_SYNC_BATCH]) != 0)
        return "the last run had store.sync=off and did not end cleanly";
    return *boot && !strcmp(last->boot, boot) ? NULL : "the machine went down before the last run had ended";
}

static uint64_t new_stamp(void)
{
    uint64_t stamp = 0;
    while (stamp == 0)
        sqlite3_randomness(sizeof stamp, &stamp);
    return stamp;
}

static int stamp_file(struct store_dir *dir, uint64_t stamp, uint64_t before, struct store_why *why)
{
    int err = store_dir_stamp(dir, stamp, before);
    if (err)
        store_why_set(why, "carillon.run beside the store %s cannot be written: %s", dir->db_path, strerror(errno));
    return err;
}

/* carillon.run names both stamps while the database goes from one to the other. Takes the text from sqlite3_mprintf. */
static int change_stamp(sqlite3 *conn, struct store_dir *dir, struct store_meta *meta, uint64_t stamp, char *text,
                        struct store_why *why)
{
    int err = stamp_file(dir, stamp, meta->stamp, why);
    if (!err && (!text || !store_sql_run(conn, text)))
        err = store_sql_cannot(conn, dir->db_path, why);
    sqlite3_free(text);
    if (!err)
        err = stamp_file(dir, stamp, 0, why);
    if (!err)
        meta->stamp = stamp;
    return err;
}

static const char begin_run[] = "UPDATE meta SET clean = 0, stamp = %lld, epoch = %lld, reserved = %lld, sync = %Q, boot = %Q,"
                                " inode = %lld, born = %lld";

int store_meta_begin_run(sqlite3 *conn, struct store_dir *dir, enum store_sync sync, struct store_meta *ret_meta,
                         struct store_why *why)
{
    char boot[BOOT_ID_MAX];
    struct store_meta meta = { 0 };
    struct last_run last = { 0 };
    struct store_identity id = store_dir_identity(dir);
    uint64_t stamp = new_stamp();

    store_boot_id(boot);
    int err = read_meta(conn, dir->db_path, &meta, &last, why);
    if (err)
        return err;
    const char *reason = why_new_epoch(&meta, &last, dir, id, boot);
    if (reason)
        meta.epoch = epoch_new();
    err = change_stamp(conn, dir, &meta, stamp,
                       sqlite3_mprintf(begin_run, (sqlite3_int64)stamp, (sqlite3_int64)meta.epoch, (sqlite3_int64)meta.reserved,
                                       sync_names[sync], boot, id.inode, id.born_ns), why);
    if (err)
        return err;
    if (reason)
        log_info("store", "%s: new epoch: %s", dir->db_path, reason);
    *ret_meta = meta;
    return 0;
}

int store_meta_end_run(sqlite3 *conn, struct store_dir *dir, struct store_meta *meta, struct store_why *why)
{
    uint64_t stamp = new_stamp();
    return change_stamp(conn, dir, meta, stamp,
                        sqlite3_mprintf("UPDATE meta SET clean = 1, stamp = %lld", (sqlite3_int64)stamp), why);
}

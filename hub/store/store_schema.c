#include "hub/store/store_schema.h"

#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/store/store_block.h"
#include "hub/store/store_deliveries.h"

#include <stdio.h>

/* ---- schema 1 had a row for each message ---- */

static bool read_row(sqlite3_stmt *row, struct msg **ret_m)
{
    struct msg *m = msg_new(&(struct msg_parts){
        .channel = store_sql_blob(row, 4), .event = store_sql_blob(row, 5), .client = store_sql_blob(row, 6),
        .kind = (enum msg_kind)sqlite3_column_int(row, 3), .data = store_sql_blob(row, 7),
    });
    if (!m)
        return false;
    m->seq = (uint64_t)sqlite3_column_int64(row, 0);
    m->prev = (uint64_t)sqlite3_column_int64(row, 1);
    m->time_ms = sqlite3_column_int64(row, 2);
    *ret_m = m;
    return true;
}

static bool add_block(sqlite3_stmt *add, struct buf *block, uint64_t last)
{
    bool done = !block->failed && store_sql_bind_u64(add, 1, last) && store_sql_bind_blob(add, 2, buf_slice(block)) &&
                sqlite3_step(add) == SQLITE_DONE;
    buf_reset(block);
    return sqlite3_reset(add) == SQLITE_OK && done;
}

static bool copy_rows(sqlite3_stmt *row, sqlite3_stmt *add, struct buf *block)
{
    uint64_t last = 0;
    struct msg *m;
    int rc;
    while ((rc = sqlite3_step(row)) == SQLITE_ROW) {
        if (!read_row(row, &m))
            return false;
        store_block_add(block, m);
        last = m->seq;
        msg_unref(m);
        if ((block->failed || block->len >= STORE_BLOCK_BYTES) && !add_block(add, block, last))
            return false;
    }
    return rc == SQLITE_DONE && (block->len == 0 || add_block(add, block, last));
}

/* Rows that are no messages become blocks that are none: who reads them says so. */
static bool rows_into_blocks(sqlite3 *conn)
{
    sqlite3_stmt *row = NULL, *add = NULL;
    struct buf block = { 0 };
    bool done = sqlite3_prepare_v2(conn, "SELECT seq, prev, time, kind, channel, event, client, data FROM rows ORDER BY seq", -1,
                                   &row, NULL) == SQLITE_OK &&
                sqlite3_prepare_v2(conn, "INSERT INTO log VALUES (?1, ?2)", -1, &add, NULL) == SQLITE_OK &&
                copy_rows(row, add, &block);
    sqlite3_finalize(row);
    sqlite3_finalize(add);
    buf_fini(&block);
    return done && store_sql_run(conn, "DROP TABLE rows");
}

/* ---- steps ---- */

/* steps[v] makes schema v + 1 of schema v. A step that was released is never changed: add one. */
static const struct {
    const char *sql;     /* NULL: that of store_deliveries.c */
    bool      (*then)(sqlite3 *conn);     /* or NULL */
} steps[] = {
    { "CREATE TABLE log (seq INTEGER PRIMARY KEY, prev INTEGER NOT NULL, time INTEGER NOT NULL, kind INTEGER NOT NULL,"
      " channel TEXT NOT NULL, event TEXT NOT NULL, client TEXT NOT NULL, data BLOB NOT NULL) STRICT;"
      "CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, reserved INTEGER NOT NULL,"
      " floor INTEGER NOT NULL, trim INTEGER NOT NULL, clean INTEGER NOT NULL, sync TEXT NOT NULL, boot TEXT NOT NULL,"
      " stamp INTEGER NOT NULL, inode INTEGER NOT NULL, born INTEGER NOT NULL, probes INTEGER NOT NULL) STRICT;"
      "INSERT INTO meta VALUES (1, 0, 1, 0, 0, 0, '', '', 0, 0, 0, 0);", NULL },
    { "ALTER TABLE log RENAME TO rows;"
      "CREATE TABLE log (last INTEGER PRIMARY KEY, messages BLOB NOT NULL) STRICT;", rows_into_blocks },
    { "CREATE TABLE records (kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)) STRICT, WITHOUT ROWID;",
      NULL },
    { "CREATE TABLE keys (last INTEGER PRIMARY KEY, records BLOB NOT NULL) STRICT;", NULL },
    { "CREATE TABLE purges (channel TEXT PRIMARY KEY, upto INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
      "ALTER TABLE meta ADD COLUMN keeping TEXT NOT NULL DEFAULT '';", NULL },
    { NULL, NULL },
};
enum { SCHEMA = sizeof steps / sizeof *steps };

static int check_version(sqlite3 *conn, const char *path, int64_t *ret_version, struct store_why *why)
{
    int64_t tables = store_sql_ask(conn, "SELECT count(*) FROM sqlite_schema");
    if (tables < 0)
        return store_sql_cannot(conn, path, why);
    int64_t id = store_sql_ask(conn, "PRAGMA application_id"), version = store_sql_ask(conn, "PRAGMA user_version");
    if (id != STORE_APPLICATION_ID && (tables > 0 || id != 0 || version != 0)) {
        store_why_set(why, "the store %s cannot be opened: it is the database of another program", path);
        return ERR_STORE_OPEN;
    }
    if (version < 0) {
        store_why_set(why, "the store %s cannot be opened: it has no schema of carillon", path);
        return ERR_STORE_OPEN;
    }
    if (version > SCHEMA) {
        store_why_set(why, "the store %s was written by a newer version of carillon (schema %lld, this one knows %d)", path,
                      (long long)version, SCHEMA);
        return ERR_STORE_VERSION;
    }
    *ret_version = version;
    return 0;
}

static int use_wal(sqlite3 *conn, const char *path, struct store_why *why)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(conn, "PRAGMA journal_mode = WAL", -1, &stmt, NULL);
    bool asked = rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW;
    bool wal = asked && slice_is(store_sql_text(stmt, 0), SLICE("wal"));
    sqlite3_finalize(stmt);
    if (wal)
        return 0;
    if (!asked)
        return store_sql_cannot(conn, path, why);
    store_why_set(why, "the store %s cannot be opened: this file system cannot hold a write-ahead log", path);
    return ERR_STORE_OPEN;
}

/* Each step with its number in one transaction: a crash between two leaves a store that the next start goes on with. */
static int migrate(sqlite3 *conn, int64_t version, const char *path, struct store_why *why)
{
    int64_t before = version;
    for (; version < SCHEMA; version++) {
        char tail[128];
        snprintf(tail, sizeof tail, "PRAGMA application_id = %d; PRAGMA user_version = %lld; COMMIT", STORE_APPLICATION_ID,
                 (long long)version + 1);
        if (!store_sql_run(conn, "BEGIN IMMEDIATE") || !store_sql_run(conn, steps[version].sql ? steps[version].sql : store_deliveries_schema) ||
            (steps[version].then && !steps[version].then(conn)) || !store_sql_run(conn, tail)) {
            int err = store_sql_cannot(conn, path, why);
            store_sql_run(conn, "ROLLBACK");
            return err;
        }
    }
    if (before > 0 && before < SCHEMA)
        log_info("store", "%s: schema %lld became %d", path, (long long)before, SCHEMA);
    return 0;
}

int store_schema_open(sqlite3 *conn, const char *path, struct store_why *why)
{
    int64_t version = 0;
    int err = check_version(conn, path, &version, why);
    if (!err)
        err = use_wal(conn, path, why);
    return err ? err : migrate(conn, version, path, why);
}

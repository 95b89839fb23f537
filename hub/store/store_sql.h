/* store_sql.h — the few things every part of the store asks of SQLite, with its answers as ours.
 *
 * Only for hub/store_*.c. Threading: whose connection it is. */
#pragma once
#include "hub/base/buf.h"
#include "hub/store/store_dir.h"

#include <sqlite3.h>

/* What went wrong last on this connection, with the system's own word for it: "disk I/O error (File too large)". */
void    store_sql_reason(sqlite3 *conn, char *out, size_t size);
/* Puts "the store PATH cannot be opened: …" into `why`; ERR_STORE_OPEN. */
int     store_sql_cannot(sqlite3 *conn, const char *path, struct store_why *why);
bool    store_sql_run(sqlite3 *conn, const char *text);
int64_t store_sql_ask(sqlite3 *conn, const char *text);      /* the number in the first row; -1: there is none, or it failed */

static inline bool store_sql_bind_u64(sqlite3_stmt *stmt, int at, uint64_t n)
{
    return sqlite3_bind_int64(stmt, at, (sqlite3_int64)n) == SQLITE_OK;
}
static inline bool store_sql_bind_blob(sqlite3_stmt *stmt, int at, struct slice s)      /* the bytes must stay where they are */
{
    return sqlite3_bind_blob64(stmt, at, s.at, s.len, SQLITE_STATIC) == SQLITE_OK;
}
static inline bool store_sql_bind_text(sqlite3_stmt *stmt, int at, struct slice s)      /* likewise */
{
    return sqlite3_bind_text64(stmt, at, s.at, s.len, SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK;
}
static inline struct slice store_sql_text(sqlite3_stmt *stmt, int column)      /* valid until the statement moves on */
{
    const char *at = (const char *)sqlite3_column_text(stmt, column);
    return slice(at ? at : "", (size_t)sqlite3_column_bytes(stmt, column));
}
static inline struct slice store_sql_blob(sqlite3_stmt *stmt, int column)      /* likewise */
{
    const void *at = sqlite3_column_blob(stmt, column);
    return slice(at ? at : "", (size_t)sqlite3_column_bytes(stmt, column));
}

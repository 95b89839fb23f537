#include "hub/store_sql.h"

#include "hub/base/err.h"

#include <stdio.h>

void store_sql_reason(sqlite3 *conn, char *out, size_t size)
{
    int rc = sqlite3_extended_errcode(conn) & 0xff, number = sqlite3_system_errno(conn);
    if ((rc == SQLITE_IOERR || rc == SQLITE_CANTOPEN) && number != 0)
        snprintf(out, size, "%s (%s)", sqlite3_errmsg(conn), strerror(number));
    else
        snprintf(out, size, "%s", sqlite3_errmsg(conn));
}

int store_sql_cannot(sqlite3 *conn, const char *path, struct store_why *why)
{
    char reason[256];
    store_sql_reason(conn, reason, sizeof reason);
    store_why_set(why, "the store %s cannot be opened: %s", path, reason);
    return ERR_STORE_OPEN;
}

bool store_sql_run(sqlite3 *conn, const char *text)
{
    return sqlite3_exec(conn, text, NULL, NULL, NULL) == SQLITE_OK;
}

int64_t store_sql_ask(sqlite3 *conn, const char *text)
{
    sqlite3_stmt *stmt = NULL;
    int64_t value = -1;
    if (sqlite3_prepare_v2(conn, text, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
        value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return value;
}

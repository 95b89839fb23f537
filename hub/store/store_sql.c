#include "hub/store/store_sql.h"

#include "hub/base/err.h"

#include <stdio.h>

/* SQLite keeps the system's error with the file it happened on, and does not pass it on when COMMIT is what fails. */
static int last_errno(sqlite3 *conn)
{
    static const int files[] = { SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_FCNTL_FILE_POINTER };      /* the WAL, the database */
    int number = 0;
    for (int i = 0; i < 2 && number == 0; i++) {
        sqlite3_file *file = NULL;
        if (sqlite3_file_control(conn, "main", files[i], &file) == SQLITE_OK && file && file->pMethods)
            file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &number);
    }
    return number ? number : sqlite3_system_errno(conn);
}

void store_sql_reason(sqlite3 *conn, char *out, size_t size)
{
    int rc = sqlite3_extended_errcode(conn) & 0xff;
    int number = rc == SQLITE_IOERR ? last_errno(conn) : rc == SQLITE_CANTOPEN ? sqlite3_system_errno(conn) : 0;
    if (number != 0)
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

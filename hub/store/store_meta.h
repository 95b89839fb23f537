/* store_meta.h — what the store remembers besides messages, and whether the last run's positions are still good.
 *
 * EXACT.md 4: a new epoch after any unclean stop of a run with store.sync=off; after an unclean stop of one with `batch`
 * when the machine went down too (another boot id: a power cut takes the last commits, a kernel that runs on has them all);
 * never after one with `each`; always when the store is new or was restored from a copy (store_dir.h).
 * What counts is the sync mode of the run that stopped, not that of the one that starts.
 *
 * Threading: the store's opening and closing. */
#pragma once
#include "hub/config/config.h"
#include "hub/store/store_sql.h"

struct store_meta {
    uint64_t epoch;
    uint64_t reserved, floor, trim;      /* store.h */
    uint64_t stamp;                      /* store_dir.h */
};

/* Settles the epoch and notes that a run has begun; that is on disk when it returns (the connection must have
 * synchronous = FULL), or a power cut later would look like a clean stop. 0 or ERR_STORE_OPEN. */
int store_meta_begin_run(sqlite3 *conn, struct store_dir *dir, enum store_sync sync, struct store_meta *ret_meta,
                         struct store_why *why);
/* Notes that everything acknowledged is in the store. 0 or ERR_STORE_OPEN: the next start takes the stop for unclean. */
int store_meta_end_run(sqlite3 *conn, struct store_dir *dir, struct store_meta *meta, struct store_why *why);

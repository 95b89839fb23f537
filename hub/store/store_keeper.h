/* store_keeper.h — a thread that brings what is committed to where it is safe, while the store thread goes on committing.
 *
 * Two things take too long inside a commit. With store.sync = off or batch commits end in the kernel; the keeper syncs
 * them to the disk at most half a second later. And it copies pages from the WAL into the database file once there are
 * many, in rounds, until so little is left that the store thread can finish it between two commits and let the WAL begin
 * at its front again. Under constant load no round of its own would ever catch the last page.
 *
 *   store thread: commit, store_keeper_committed ──> keeper: sync after KEEPER_SYNC_MS; many pages: copy, sync, copy, …
 *   store thread: after a commit, if store_keeper_copied: store_db_wal_again, store_keeper_go_on
 *
 * Lifetime   store_keeper_start after store_db_open; store_keeper_stop before store_db_close.
 * Threading  all functions: the store thread (start and stop: whoever starts and joins that one).
 * Limits     the WAL holds KEEPER_COPY_PAGES, and what is committed while those are copied and synced. When commits come
 *            faster than the disk takes them and that passes KEEPER_HOLD_PAGES, they wait until the copy is done. */
#pragma once
#include <stdbool.h>

struct store_db;
struct store_keeper;

enum {
    KEEPER_SYNC_MS = 500,
    KEEPER_COPY_PAGES = 2048,      /* 16 MiB */
    KEEPER_HOLD_PAGES = 8192,      /* 64 MiB */
};

/* `syncs`: false when each commit does so itself. NULL: no thread. */
struct store_keeper *store_keeper_start(struct store_db *db, bool syncs);
void store_keeper_stop(struct store_keeper *keeper);       /* waits for it; syncs nothing. NULL is fine */

void store_keeper_committed(struct store_keeper *keeper);
void store_keeper_hold(struct store_keeper *keeper);       /* waits while it copies, or is to copy, a WAL of KEEPER_HOLD_PAGES or more */
bool store_keeper_copied(struct store_keeper *keeper);     /* true: it rests until store_keeper_go_on */
void store_keeper_go_on(struct store_keeper *keeper);
int  store_keeper_errno(struct store_keeper *keeper);      /* how the last sync went */

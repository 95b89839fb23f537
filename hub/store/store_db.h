/* store_db.h — the database of the store: transactions that append messages, and the write-ahead log (WAL) they go to.
 *
 * Trims are noted at once (meta.trim: rows below it do not exist any more) and carried out in slices, a few with each
 * transaction, because to delete a row costs as much as to write it, and no publish should wait for 65,536 of them.
 *
 * Pages go from the WAL to the database file by checkpoints, never inside a commit (there they take 40–130 ms):
 *   store_db_copy       by a second connection on the keeper's thread, while commits go on
 *   store_db_wal_again  what little that has missed, then commits begin at the WAL's front again: what bounds it
 *   store_db_wal_empty  nothing is left in it, and it takes no space
 *
 * Lifetime   store_db_open … store_db_close.
 * Threading  one thread, but store_db_sync, store_db_copy and store_db_wal_pages, which the keeper calls.
 * Limits     the WAL: store_keeper.h; while another program holds a read transaction open on the file it grows.
 *            Rows: what the hub does not trim. The file does not shrink: the space of trimmed rows is used again. */
#pragma once
#include "hub/config/config.h"
#include "hub/hub.h"
#include "hub/store.h"
#include "hub/store/store_dir.h"

struct store_db;

/* As store_open() of store.h. */
int  store_db_open(const char *dir, enum store_sync sync, struct store_db **ret_db, struct hub_start *ret_start,
                   struct store_why *ret_why);
/* `clean`: everything that was acknowledged is in here, and the next start may go on in the same epoch. NULL is fine. */
void store_db_close(struct store_db *db, bool clean);
/* As store_load() of store.h. */
int  store_db_load(struct store_db *db, int (*row)(void *arg, struct msg *m), void *arg);

typedef int store_key_fn(void *arg, const struct idempotency_record *record);
/* As store_load_keys() of store.h. */
int  store_db_load_keys(struct store_db *db, store_key_fn *key, void *arg);
/* As store_load_purges() of store.h. */
int  store_db_load_purges(struct store_db *db, int (*purge)(void *arg, struct slice channel, uint64_t upto), void *arg);
/* As store_load_records() of store.h. */
int  store_db_load_records(struct store_db *db, store_record_fn *record, void *arg);

/* One transaction: begin, add any number of groups, commit. Each is 0 or ERR_STORE_FAILED; then nothing of it has happened. */
int  store_db_begin(struct store_db *db, bool on_disk);   /* `on_disk`: synced by the commit, whatever store.sync is */
int  store_db_add(struct store_db *db, struct store_group *group);
int  store_db_commit(struct store_db *db);
/* A transaction that means nothing but really writes: 0 when the store works (again). */
int  store_db_probe(struct store_db *db);
/* Between transactions; fills in the answer. */
void store_db_read(struct store_db *db, struct delivery_read *read);
const char *store_db_reason(const struct store_db *db);   /* one sentence: why the last one failed */

bool   store_db_trimming(const struct store_db *db);      /* rows wait to be deleted: an empty transaction deletes some */
size_t store_db_wal_pages(const struct store_db *db);     /* in the WAL since it last began */
bool   store_db_wal_takes_space(const struct store_db *db);      /* also when it has begun again: the file keeps its length until it is emptied */
/* 0, or ERR_STORE_FAILED when it cannot be done now (a reader, a copy that is running): nothing is lost, try again later. */
int  store_db_wal_again(struct store_db *db);
int  store_db_wal_empty(struct store_db *db);

/* All commits so far are on disk. 0 or ERR_STORE_FAILED with errno. */
int  store_db_sync(struct store_db *db);
/* Copies what is committed into the database file and syncs both; *ret_left: pages that were committed meanwhile. */
int  store_db_copy(struct store_db *db, size_t *ret_left);

/* store_dir.h — the folder of the store: ours alone while we run, and known again when we come back.
 *
 * One process only: an flock on carillon.db itself. It ends with the process, however that ends, and SQLite's own locks
 * (fcntl) do not see it.
 *
 * Known again: a store that was restored from a copy has old numbers, and a hub that went on with them would give numbers
 * twice (EXACT.md 4). Two things tell, both outside of what a copy carries with it:
 *   identity   inode and birth time of carillon.db, which the database keeps: another file is a copy
 *   stamp      a random number, in the database and in the file carillon.run, new at every start and every clean stop:
 *              an older database put back into the same file has an older stamp
 *
 *   carillon.run   pid 4711
 *                  stamp 8c1f0a52d3e47b90        the database has this stamp
 *                  before 0000000000000000       or this one: a change of stamp was under way
 *
 * What cannot be told: a folder that is turned back together with its file system (a snapshot of the whole machine), and a
 * copy made of the running store that is put back into the same file after that same run was killed. Removing carillon.run
 * makes the next start take the store for a copy: a new epoch.
 *
 * Lifetime   embedded in struct store_db; opened before SQLite opens the file, closed after it closed it: closing any
 *            descriptor of the database file gives up SQLite's locks on it.
 * Threading  one thread; store_dir_sync() any. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { STORE_PATH_MAX = 4096, BOOT_ID_MAX = 64 };

/* One sentence for the operator. */
struct store_why {
    char text[STORE_PATH_MAX + 512];
};
void store_why_set(struct store_why *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct store_dir {
    char db_path[STORE_PATH_MAX];
    int  db_fd, run_fd;          /* -1: not open */
    uint64_t stamp, before;      /* what carillon.run said; 0: nothing */
};

struct store_identity {
    int64_t inode, born_ns;      /* born_ns 0: this file system does not tell */
};

/* Makes the last part of the path if it is missing. 0, ERR_STORE_OPEN, ERR_STORE_LOCKED; then nothing is open. */
int  store_dir_open(struct store_dir *dir, const char *path, struct store_why *why);
void store_dir_close(struct store_dir *dir);

struct store_identity store_dir_identity(const struct store_dir *dir);
bool store_dir_knows(const struct store_dir *dir, uint64_t stamp);
/* On disk when it returns. 0 or ERR_STORE_OPEN. */
int  store_dir_stamp(struct store_dir *dir, uint64_t stamp, uint64_t before);
/* Which run of the kernel this is; "" if it does not tell, which is like no other run. */
void store_boot_id(char ret[BOOT_ID_MAX]);

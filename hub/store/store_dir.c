#define _GNU_SOURCE     /* statx */
#include "hub/store/store_dir.h"

#include "hub/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RUN_BYTES = 256 };

void store_why_set(struct store_why *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
}

static int cannot_open(struct store_why *why, const char *path, const char *reason)
{
    store_why_set(why, "the store %s cannot be opened: %s", path, reason);
    return ERR_STORE_OPEN;
}

/* A folder that was just made is not safe from a power cut until its parent is synced. */
static int sync_parent(const char *path)
{
    char parent[STORE_PATH_MAX + 4];
    snprintf(parent, sizeof parent, "%s/..", path);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = fd < 0 || fsync(fd) < 0;
    if (fd >= 0)
        close(fd);
    return failed;
}

static int make_folder(const char *path, struct store_why *why)
{
    struct stat st;
    if (mkdir(path, 0700) == 0)
        return sync_parent(path) ? cannot_open(why, path, strerror(errno)) : 0;
    if (errno != EEXIST)
        return cannot_open(why, path, strerror(errno));
    if (stat(path, &st) < 0)
        return cannot_open(why, path, strerror(errno));
    return S_ISDIR(st.st_mode) ? 0 : cannot_open(why, path, "it is not a directory");
}

static int open_file(const char *path, struct store_why *why, int *ret_fd)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return cannot_open(why, path, strerror(errno));
    *ret_fd = fd;
    return 0;
}

/* The pid in carillon.run is for the sentence; the lock is what decides. */
static long read_run(struct store_dir *dir)
{
    char text[RUN_BYTES + 1] = { 0 };
    long pid = 0;
    uint64_t stamp, before;
    if (pread(dir->run_fd, text, RUN_BYTES, 0) < 0)
        return 0;
    if (sscanf(text, "pid %ld stamp %" SCNx64 " before %" SCNx64, &pid, &stamp, &before) == 3) {
        dir->stamp = stamp;
        dir->before = before;
    }
    return pid;
}

static int take(struct store_dir *dir, const char *path, struct store_why *why)
{
    long pid = read_run(dir);
    if (flock(dir->db_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return cannot_open(why, dir->db_path, strerror(errno));
    if (pid > 0)
        store_why_set(why, "the store %s is in use by another process (pid %ld)", path, pid);
    else
        store_why_set(why, "the store %s is in use by another process", path);
    return ERR_STORE_LOCKED;
}

int store_dir_open(struct store_dir *dir, const char *path, struct store_why *why)
{
    char run_path[STORE_PATH_MAX];
    *dir = (struct store_dir){ .db_fd = -1, .run_fd = -1 };
    if (snprintf(dir->db_path, sizeof dir->db_path, "%s/carillon.db", path) >= (int)sizeof dir->db_path ||
        snprintf(run_path, sizeof run_path, "%s/carillon.run", path) >= (int)sizeof run_path)
        return cannot_open(why, path, strerror(ENAMETOOLONG));

    int err = make_folder(path, why);
    if (!err)
        err = open_file(dir->db_path, why, &dir->db_fd);
    if (!err)
        err = open_file(run_path, why, &dir->run_fd);
    if (!err)
        err = take(dir, path, why);
    if (err)
        store_dir_close(dir);
    return err;
}

void store_dir_close(struct store_dir *dir)
{
    if (dir->run_fd >= 0)
        close(dir->run_fd);
    if (dir->db_fd >= 0)
        close(dir->db_fd);
    dir->run_fd = dir->db_fd = -1;
}

/* No device number: a disk may have another one after a restart, and birth times in nanoseconds do not meet. */
struct store_identity store_dir_identity(const struct store_dir *dir)
{
    struct statx stx;
    struct store_identity id = { 0 };
    if (statx(dir->db_fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &stx) < 0)
        return id;
    id.inode = (int64_t)stx.stx_ino;
    if (stx.stx_mask & STATX_BTIME)
        id.born_ns = stx.stx_btime.tv_sec * INT64_C(1000000000) + stx.stx_btime.tv_nsec;
    return id;
}

bool store_dir_knows(const struct store_dir *dir, uint64_t stamp)
{
    return stamp != 0 && (stamp == dir->stamp || stamp == dir->before);
}

/* In place and always of the same length, so that it also works on a full disk, and one sector is old or new. */
int store_dir_stamp(struct store_dir *dir, uint64_t stamp, uint64_t before)
{
    char text[RUN_BYTES];
    int n = snprintf(text, sizeof text, "pid %-10ld\nstamp %016" PRIx64 "\nbefore %016" PRIx64 "\n",
                     (long)getpid(), stamp, before);
    if (pwrite(dir->run_fd, text, (size_t)n, 0) != n || fdatasync(dir->run_fd) < 0)
        return ERR_STORE_OPEN;
    dir->stamp = stamp;
    dir->before = before;
    return 0;
}

void store_boot_id(char ret[BOOT_ID_MAX])
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    ret[0] = 0;
    if (!file)
        return;
    if (fgets(ret, BOOT_ID_MAX, file))
        ret[strcspn(ret, "\n")] = 0;
    fclose(file);
}

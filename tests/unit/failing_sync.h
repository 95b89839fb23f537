/* failing_sync.h — a disk whose syncs are counted and can fail: in place of libc's, for this program and SQLite alike. Only syncs
 * of a write-ahead log count. Included by one file of a program. */
#pragma once
#include "tests/unit/gate.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int wal_syncs, wal_syncs_failed;
static atomic_bool syncs_fail;
static struct gate wal_syncs_gate = GATE_OPEN;      /* shut: they return when it is open again */

static int sync_of(int fd, long call)
{
    char link[64], path[512] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    bool of_wal = readlink(link, path, sizeof path - 1) > 4 && !strcmp(path + strlen(path) - 4, "-wal");
    if (of_wal)
        gate_pass(&wal_syncs_gate);
    if (of_wal && atomic_load(&syncs_fail)) {
        atomic_fetch_add(&wal_syncs_failed, 1);
        errno = EIO;
        return -1;
    }
    if (of_wal)
        atomic_fetch_add(&wal_syncs, 1);
    return (int)syscall(call, fd);
}

int fdatasync(int fd) { return sync_of(fd, SYS_fdatasync); }
int fsync(int fd)     { return sync_of(fd, SYS_fsync); }

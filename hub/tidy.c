#define _GNU_SOURCE     /* pthread_cond_clockwait */
#include "hub/tidy.h"

#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_EVERY_S = 3, MIB = 1024 * 1024 };
enum { OWN_MAPPING_BYTES = 128 * 1024, KEPT_FREE_BYTES = 4 * MIB, WORTH_BYTES = 16 * MIB };

static struct {
    pthread_t       thread;
    pthread_mutex_t mutex;
    pthread_cond_t  stop;
    bool            started, stopping;
    size_t          in_vain;       /* what was resident when the last look released next to nothing; 0: it did */
} tidy = { .mutex = PTHREAD_MUTEX_INITIALIZER, .stop = PTHREAD_COND_INITIALIZER };

/* The second number of /proc/self/statm, in pages. 0: it cannot be read. */
static size_t resident_bytes(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    char *second;
    strtoull(text, &second, 10);
    return strtoull(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t distance(size_t a, size_t b) { return a > b ? a - b : b - a; }

static void look(void)
{
    size_t resident = resident_bytes();
    if (resident < WORTH_BYTES * 2 || (tidy.in_vain && distance(resident, tidy.in_vain) < WORTH_BYTES))
        return;
    struct mallinfo2 heap = mallinfo2();
    size_t used = heap.uordblks + heap.hblkhd;
    if (resident < used + used / 4 + WORTH_BYTES)
        return;
    malloc_trim(KEPT_FREE_BYTES);
    size_t left = resident_bytes();
    bool much = left + MIB < resident;
    tidy.in_vain = much ? 0 : left;
    if (much)
        log_debug("memory", "%zu MiB went back to the kernel, %zu MiB are resident, %zu MiB of them in use", (resident - left) / MIB, left / MIB, used / MIB);
}

static void *run(void *arg)
{
    pthread_mutex_lock(&tidy.mutex);
    while (!tidy.stopping) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += LOOK_EVERY_S;
        if (pthread_cond_clockwait(&tidy.stop, &tidy.mutex, CLOCK_MONOTONIC, &until) == ETIMEDOUT)
            look();
    }
    pthread_mutex_unlock(&tidy.mutex);
    return arg;
}

int tidy_start(void)
{
    mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEPT_FREE_BYTES);
    if (thread_start(&tidy.thread, "tidy", run, NULL))
        return ERR_MEMORY;
    tidy.started = true;
    return 0;
}

void tidy_stop(void)
{
    if (!tidy.started)
        return;
    pthread_mutex_lock(&tidy.mutex);
    tidy.stopping = true;
    pthread_cond_signal(&tidy.stop);
    pthread_mutex_unlock(&tidy.mutex);
    pthread_join(tidy.thread, NULL);
    tidy.started = false;
}

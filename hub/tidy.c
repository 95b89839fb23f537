#define _GNU_SOURCE     /* pthread_cond_clockwait */
#include "hub/tidy.h"

#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/base/machine.h"
#include "hub/base/thread.h"
#include "hub/memory.h"

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <time.h>

enum { LOOK_EVERY_S = 3, PAUSE_MAX = 7, MIB = 1024 * 1024 };
enum { OWN_MAPPING_BYTES = 128 * 1024, KEPT_FREE_BYTES = 4 * MIB, WORTH_BYTES = 16 * MIB };

static struct {
    pthread_t       thread;
    pthread_mutex_t mutex;
    pthread_cond_t  stop;
    bool            started, stopping;
    size_t          stuck;         /* what was free and stayed when the last look released next to nothing; 0: it did */
    size_t          seen;          /* what was resident at the last look */
    unsigned        pause, left;   /* looks to be left out after each, and still now */
} tidy = { .mutex = PTHREAD_MUTEX_INITIALIZER, .stop = PTHREAD_COND_INITIALIZER };

static size_t distance(size_t a, size_t b) { return a > b ? a - b : b - a; }

/* A look walks all that is free in the heaps: milliseconds with many connections. While they are idle looks become rare. */
static bool is_time(size_t resident)
{
    if (distance(resident, tidy.seen) >= MIB || memory_level() != MEMORY_ENOUGH)
        tidy.pause = tidy.left = 0;
    if (tidy.left > 0) {
        tidy.left--;
        return false;
    }
    tidy.seen = resident;
    tidy.left = tidy.pause;
    tidy.pause = tidy.pause < PAUSE_MAX ? 2 * tidy.pause + 1 : PAUSE_MAX;
    return true;
}

static size_t in_use(void)
{
    struct mallinfo2 heap = mallinfo2();
    return heap.uordblks + heap.hblkhd;
}

/* Far more is resident than in use, and more than a look in vain has found to stay. While memory is short every look is worth it. */
static bool is_worth_it(size_t spare, size_t used)
{
    if (spare < tidy.stuck)
        tidy.stuck = spare;
    return memory_level() != MEMORY_ENOUGH || (spare > used / 4 + WORTH_BYTES && spare - tidy.stuck > WORTH_BYTES);
}

static void look(void)
{
    size_t resident = machine_resident();
    if (resident < 2 * WORTH_BYTES || !is_time(resident))
        return;
    size_t used = in_use();
    if (!is_worth_it(resident > used ? resident - used : 0, used))
        return;
    malloc_trim(KEPT_FREE_BYTES);
    size_t left = machine_resident();
    bool much = left + MIB < resident;
    tidy.stuck = much || left < used ? 0 : left - used;
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

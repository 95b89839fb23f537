#include "hub/store/store_keeper.h"

#include "hub/base/clock.h"
#include "hub/base/log.h"
#include "hub/base/thread.h"
#include "hub/store/store_db.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum {
    ROUNDS_MAX = 4,
    LEFT_FEW = 128,      /* pages that the store thread copies itself: a millisecond */
};

struct store_keeper {
    struct store_db *db;
    bool             syncs;
    pthread_t        thread;
    pthread_mutex_t  lock;
    pthread_cond_t   changed, rested;      /* for the keeper; for who waits until it has copied */
    bool             dirty, stopping;      /* under the lock: there is something to sync */
    bool             copying;              /* under the lock */
    size_t           copy_at;              /* under the lock: WAL pages from which on to copy */
    atomic_bool      copied;
    atomic_int       failed;               /* errno of the last sync */
};

static struct timespec in_ms(int64_t ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += ms % 1000 * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

static bool many(const struct store_keeper *keeper)
{
    return !atomic_load(&keeper->copied) && store_db_wal_pages(keeper->db) >= keeper->copy_at;
}

/* Until there is something to do now; false: the end. The lock is held. */
static bool wait_for_work(struct store_keeper *keeper)
{
    while (!keeper->stopping && !keeper->dirty && !many(keeper))
        pthread_cond_wait(&keeper->changed, &keeper->lock);
    struct timespec until = in_ms(KEEPER_SYNC_MS);
    int rc = 0;
    while (!keeper->stopping && !many(keeper) && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&keeper->changed, &keeper->lock, &until);
    return !keeper->stopping;
}

/* Each round copies what was committed during the one before, so they get shorter, unless commits come faster than the
 * disk takes them: then the store thread must copy the rest and commits wait for it. A copy that fails is no loss: the WAL
 * has everything, and it is tried again when as much has come again. */
static void copy(struct store_keeper *keeper)
{
    size_t left = 0, left_before = SIZE_MAX;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        if (store_db_copy(keeper->db, &left)) {
            log_debug("store", "checkpoint put off");
            return;
        }
        if (left <= LEFT_FEW || left >= left_before)
            break;
        left_before = left;
    }
    atomic_store(&keeper->copied, true);
}

static void *keeper_thread(void *arg)
{
    struct store_keeper *keeper = arg;
    pthread_mutex_lock(&keeper->lock);
    while (wait_for_work(keeper)) {
        bool sync = keeper->dirty, full = many(keeper);
        keeper->dirty = false;
        keeper->copying = full;
        if (full)
            keeper->copy_at = store_db_wal_pages(keeper->db) + KEEPER_COPY_PAGES;
        pthread_mutex_unlock(&keeper->lock);
        if (sync)
            atomic_store(&keeper->failed, store_db_sync(keeper->db) ? errno : 0);
        if (full)
            copy(keeper);
        pthread_mutex_lock(&keeper->lock);
        keeper->copying = false;
        pthread_cond_signal(&keeper->rested);
    }
    pthread_mutex_unlock(&keeper->lock);
    return NULL;
}

struct store_keeper *store_keeper_start(struct store_db *db, bool syncs)
{
    struct store_keeper *keeper = calloc(1, sizeof *keeper);
    pthread_condattr_t attr;
    if (!keeper)
        return NULL;
    keeper->db = db;
    keeper->syncs = syncs;
    keeper->copy_at = KEEPER_COPY_PAGES;
    pthread_mutex_init(&keeper->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->changed, &attr);
    pthread_cond_init(&keeper->rested, NULL);
    pthread_condattr_destroy(&attr);
    if (!thread_start(&keeper->thread, "store-keeper", keeper_thread, keeper))
        return keeper;
    free(keeper);
    return NULL;
}

void store_keeper_stop(struct store_keeper *keeper)
{
    if (!keeper)
        return;
    pthread_mutex_lock(&keeper->lock);
    keeper->stopping = true;
    pthread_cond_signal(&keeper->changed);
    pthread_mutex_unlock(&keeper->lock);
    pthread_join(keeper->thread, NULL);
    pthread_cond_destroy(&keeper->changed);
    pthread_cond_destroy(&keeper->rested);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper);
}

/* The keeper is woken by the first commit after a sync, and when the WAL has become long; not by every commit. */
void store_keeper_committed(struct store_keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    bool tell = (keeper->syncs && !keeper->dirty) || many(keeper);
    keeper->dirty = keeper->syncs;
    if (tell)
        pthread_cond_signal(&keeper->changed);
    pthread_mutex_unlock(&keeper->lock);
}

void store_keeper_hold(struct store_keeper *keeper)
{
    if (store_db_wal_pages(keeper->db) < KEEPER_HOLD_PAGES)
        return;
    pthread_mutex_lock(&keeper->lock);
    while (keeper->copying || many(keeper)) {      /* it may be syncing, or not have been scheduled yet */
        pthread_cond_signal(&keeper->changed);
        pthread_cond_wait(&keeper->rested, &keeper->lock);
    }
    pthread_mutex_unlock(&keeper->lock);
}

bool store_keeper_copied(struct store_keeper *keeper)
{
    return atomic_load(&keeper->copied);
}

void store_keeper_go_on(struct store_keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    keeper->copy_at = store_db_wal_pages(keeper->db) + KEEPER_COPY_PAGES;
    atomic_store(&keeper->copied, false);
    pthread_mutex_unlock(&keeper->lock);
}

int store_keeper_errno(struct store_keeper *keeper)
{
    return atomic_load(&keeper->failed);
}

#define _GNU_SOURCE     /* pthread_clockjoin_np */
/* store_thread.c — the thread behind store.h.
 *
 *   wait ─> all groups in the mailbox: one transaction ─> answers in one batch ─> reads ─> if the keeper has copied: WAL from its front
 *     └── nothing came for a second ─> empty the WAL, sleep for good
 *     └── rows wait to be deleted ──> a slice of them, look again
 *     └── failing ──> once a second: try to write; health (health.h) turns green with the first that works and is synced
 *
 * A failed transaction begins a new generation: what the hub had submitted before it heard is refused. With store.sync =
 * off the hub had acknowledged those messages already: such a run never ends cleanly, so that the next has a new epoch. */
#include "hub/store.h"

#include "hub/base/err.h"
#include "hub/base/log.h"
#include "hub/base/thread.h"
#include "hub/call.h"
#include "hub/config/config.h"
#include "hub/health.h"
#include "hub/metrics.h"
#include "hub/store/store_db.h"
#include "hub/store/store_keeper.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { IDLE_MS = 1000, RETRY_MS = 1000 };

struct disk_store {
    struct store         port;          /* first */
    struct store_db     *db;
    struct store_keeper *keeper;
    enum store_sync      sync;
    struct mailbox       box;
    struct post          from_hub, from_closer, to_hub;
    struct letter        stop;
    pthread_t            thread;
    bool                 running;       /* there is a thread */
    /* the thread's */
    uint64_t             generation;
    bool                 stopping;
    bool                 cannot_write;  /* the last transaction failed */
    int                  cannot_sync;   /* errno of the keeper's last sync; 0: it worked */
    bool                 red;           /* health says so */
    bool                 lossy;         /* acknowledged messages are not in the file: no clean stop */
};

/* ---- groups ---- */

static struct disk_store *disk(struct store *store) { return (struct disk_store *)store; }

static void submit(struct store *store, struct store_group *group)
{
    struct disk_store *s = disk(store);
    group->letter.kind = LETTER_STORED;
    post_put(&s->from_hub, &group->letter, group->bytes);
    post_flush(&s->from_hub);
}

static void read(struct store *store, struct delivery_read *read)
{
    struct disk_store *s = disk(store);
    read->letter.kind = LETTER_READ;
    post_put(&s->from_hub, &read->letter, sizeof *read);
    post_flush(&s->from_hub);
}

/* What has come, in order, by what it is. */
struct come {
    struct letter *groups, *reads;
};

static struct come take_letters(struct disk_store *s)
{
    struct come come = { NULL, NULL };
    struct letter **group = &come.groups, **read = &come.reads;
    for (struct letter *letter = mailbox_take(&s->box), *next; letter; letter = next) {
        next = letter->next;
        letter->next = NULL;
        if (letter == &s->stop)
            s->stopping = true;
        else if (letter->kind == LETTER_READ)
            *read = letter, read = &letter->next;
        else
            *group = letter, group = &letter->next;
    }
    return come;
}

static struct store_group *next_group(const struct store_group *group) { return (struct store_group *)group->letter.next; }

static bool is_fresh(const struct disk_store *s, const struct store_group *group) { return group->generation == s->generation; }

/* Red for either reason, and green when there is none; the log hears of the change only. */
static void tell_health(struct disk_store *s)
{
    char text[200];
    const char *reason = NULL;
    if (s->cannot_write) {
        reason = store_db_reason(s->db);
    } else if (s->cannot_sync) {
        snprintf(text, sizeof text, "the store cannot bring what it wrote to the disk: %s", strerror(s->cannot_sync));
        reason = text;
    }
    if (!reason == !s->red)
        return;
    s->red = reason;
    health_set(HEALTH_STORE, reason);
    if (reason)
        log_error("store", "%s", reason);
    else
        log_info("store", "writes again");
}

/* What every transaction ends with. */
static int settle(struct disk_store *s, int err)
{
    s->cannot_write = err;
    tell_health(s);
    if (!err)
        store_keeper_committed(s->keeper);
    return err;
}

static bool on_disk(const struct disk_store *s, const struct store_group *first)
{
    for (const struct store_group *group = first; group; group = next_group(group))
        if (is_fresh(s, group) && (group->records || group->purges))
            return true;
    return false;
}

static int commit_fresh(struct disk_store *s, struct store_group *first)
{
    int err = store_db_begin(s->db, on_disk(s, first));
    for (struct store_group *group = first; group && !err; group = next_group(group))
        if (is_fresh(s, group))
            err = store_db_add(s->db, group);
    if (!err)
        err = store_db_commit(s->db);
    return settle(s, err);
}

/* The generation moves on before the first answer goes out, and each answer tells it. */
static void answer(struct disk_store *s, struct store_group *first, int err)
{
    uint64_t committed = s->generation;
    if (err)
        s->generation++;
    for (struct store_group *group = first, *next; group; group = next) {
        next = next_group(group);
        group->err = group->generation == committed ? err : ERR_STORE_FAILED;
        group->next_generation = s->generation;
        if (group->err) {
            metric_add(METRIC_store_failures, 1);
            s->lossy |= s->sync == STORE_SYNC_OFF && group->n > 0;
        }
        letter_done(&group->letter);
        post_put(&s->to_hub, &group->letter, 0);
    }
    post_flush(&s->to_hub);
}

static void store_groups(struct disk_store *s, struct store_group *first)
{
    bool any_fresh = false;
    for (const struct store_group *group = first; group; group = next_group(group))
        any_fresh |= is_fresh(s, group);
    answer(s, first, any_fresh ? commit_fresh(s, first) : 0);
}

static void answer_reads(struct disk_store *s, struct letter *first)
{
    for (struct letter *letter = first, *next; letter; letter = next) {
        next = letter->next;
        store_db_read(s->db, (struct delivery_read *)letter);
        letter_done(letter);
        post_put(&s->to_hub, letter, 0);
    }
    post_flush(&s->to_hub);
}

/* ---- between groups ---- */

static void trim_some(struct disk_store *s)
{
    int err = store_db_begin(s->db, false);
    if (!err)
        err = store_db_commit(s->db);
    settle(s, err);
}

/* To empty the WAL may be all the space that is needed. The keeper syncs what this writes, and tells how that went. */
static void try_again(struct disk_store *s)
{
    store_db_wal_empty(s->db);
    settle(s, store_db_probe(s->db));
}

static void look_after_wal(struct disk_store *s)
{
    s->cannot_sync = store_keeper_errno(s->keeper);
    tell_health(s);
    store_keeper_hold(s->keeper);
    if (store_keeper_copied(s->keeper)) {
        store_db_wal_again(s->db);
        store_keeper_go_on(s->keeper);
    }
}

static int wait_ms(const struct disk_store *s)
{
    if (s->red)
        return RETRY_MS;
    if (store_db_trimming(s->db))
        return 0;
    return store_db_wal_takes_space(s->db) ? IDLE_MS : -1;
}

static void nothing_came(struct disk_store *s)
{
    if (s->red)
        try_again(s);
    else if (store_db_trimming(s->db))
        trim_some(s);
    else if (!store_db_wal_empty(s->db))
        store_keeper_go_on(s->keeper);
}

static void *store_thread(void *arg)
{
    struct disk_store *s = arg;
    struct pollfd readable = { .fd = s->box.fd, .events = POLLIN };
    while (!s->stopping) {
        poll(&readable, 1, wait_ms(s));
        struct come come = take_letters(s);
        if (come.groups)
            store_groups(s, (struct store_group *)come.groups);
        else if (!come.reads && !s->stopping)
            nothing_came(s);
        answer_reads(s, come.reads);
        look_after_wal(s);
    }
    return NULL;
}

/* ---- the port's life ---- */

int store_open(const struct config *config, struct store **ret_store, struct hub_start *ret_start, const char **ret_why)
{
    static struct store_why why;      /* the composition root opens one store, on one thread */
    struct disk_store *s = calloc(1, sizeof *s);
    int err = ERR_STORE_OPEN;
    if (!s || mailbox_init(&s->box, true))
        store_why_set(&why, "the store %s cannot be opened: no memory or descriptor for it", config->store_dir);
    else
        err = store_db_open(config->store_dir, config->store_sync, &s->db, ret_start, &why);
    if (err) {
        if (s)
            mailbox_fini(&s->box);
        free(s);
        *ret_why = why.text;
        return err;
    }
    post_init(&s->from_hub, &s->box, SIZE_MAX);      /* what comes before the thread begins waits for it */
    s->port.submit = submit;
    s->port.read = read;
    s->sync = config->store_sync;
    *ret_store = &s->port;
    return 0;
}

int store_load(struct store *store, int (*row)(void *arg, struct msg *m), void *arg)
{
    return store_db_load(disk(store)->db, row, arg);
}

int store_load_keys(struct store *store, int (*key)(void *arg, const struct idempotency_record *record), void *arg)
{
    return store_db_load_keys(disk(store)->db, key, arg);
}

int store_load_purges(struct store *store, int (*purge)(void *arg, struct slice channel, uint64_t upto), void *arg)
{
    return store_db_load_purges(disk(store)->db, purge, arg);
}

int store_load_records(struct store *store, store_record_fn *record, void *arg)
{
    return store_db_load_records(disk(store)->db, record, arg);
}

int store_start(struct store *store, struct mailbox *hub)
{
    struct disk_store *s = disk(store);
    post_init(&s->from_closer, &s->box, SIZE_MAX);
    post_init(&s->to_hub, hub, SIZE_MAX);
    s->keeper = store_keeper_start(s->db, s->sync != STORE_SYNC_EACH);
    if (!s->keeper || thread_start(&s->thread, "store", store_thread, s))
        return ERR_MEMORY;
    s->running = true;
    return 0;
}

static void close_now(struct disk_store *s)
{
    if (s->running) {
        s->stop.kind = LETTER_STOP;
        post_put(&s->from_closer, &s->stop, sizeof s->stop);
        post_flush(&s->from_closer);
        pthread_join(s->thread, NULL);
    }
    store_keeper_stop(s->keeper);
    store_db_close(s->db, !s->lossy);
    mailbox_fini(&s->box);
    free(s);
}

void store_close(struct store *store)
{
    if (store)
        close_now(disk(store));
}

/* Of store_close_within and its thread: who is the last of them frees it. */
struct closing {
    struct store   *store;
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    bool            done;
    bool            left;        /* nobody waits any more */
};

static void closing_free(struct closing *closing)
{
    pthread_cond_destroy(&closing->changed);
    pthread_mutex_destroy(&closing->lock);
    free(closing);
}

static void *close_thread(void *arg)
{
    struct closing *closing = arg;
    close_now(disk(closing->store));
    pthread_mutex_lock(&closing->lock);
    closing->done = true;
    bool left = closing->left;
    pthread_cond_signal(&closing->changed);
    pthread_mutex_unlock(&closing->lock);
    if (left)
        closing_free(closing);
    return NULL;
}

static struct closing *closing_new(struct store *store)
{
    struct closing *closing = calloc(1, sizeof *closing);
    pthread_condattr_t monotonic;
    if (!closing)
        return NULL;
    closing->store = store;
    pthread_mutex_init(&closing->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&closing->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return closing;
}

static bool is_done_within(struct closing *closing, int64_t patience_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += patience_ms / 1000;
    until.tv_nsec += patience_ms % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&closing->lock);
    for (int err = 0; !closing->done && !err; )
        err = pthread_cond_timedwait(&closing->changed, &closing->lock, &until);
    bool done = closing->done;
    closing->left = !done;
    pthread_mutex_unlock(&closing->lock);
    return done;
}

/* Whatever waits for the disk does so in a thread of its own, which may stay behind with what it looks at. Without one, all wait. */
bool store_close_within(struct store *store, int64_t patience_ms)
{
    pthread_t thread;
    if (!store)
        return true;
    struct closing *closing = closing_new(store);
    if (!closing || thread_start(&thread, "store-close", close_thread, closing)) {
        free(closing);
        close_now(disk(store));
        return true;
    }
    if (!is_done_within(closing, patience_ms)) {      /* `closing` is the thread's from here on */
        pthread_detach(thread);
        return false;
    }
    pthread_join(thread, NULL);
    closing_free(closing);
    return true;
}

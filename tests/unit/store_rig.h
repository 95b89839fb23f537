/* store_rig.h — what the store's tests stand on: a folder of their own, a mailbox in the hub's place, messages that can be
 * made again from their number. A process that dies is a forked child that kills itself. */
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE     /* own_dir.h */
#endif
#include "hub/base/err.h"
#include "hub/call.h"
#include "hub/config/config.h"
#include "hub/health.h"
#include "hub/store.h"
#include "tests/unit/own_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum { PATIENCE_MS = 60000, CHILD_S = 600, RIG_PATH = 200 };

struct rig {
    struct own_dir    root;
    char              dir[RIG_PATH];                /* the store's folder, in root */
    struct config     config;
    struct store     *store;                        /* NULL: closed */
    struct hub_start  start;
    const char       *why;
    struct mailbox    box;
    struct letter    *waiting;                      /* answers taken and not looked at yet */
    uint64_t          generation;
};

static inline int rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    *state = rig;
    if (own_dir_make(&rig->root))
        return -1;
    snprintf(rig->dir, sizeof rig->dir, "%s/data", rig->root.path);
    rig->config.store_dir = rig->dir;
    rig->config.store_sync = STORE_SYNC_BATCH;
    health_set(HEALTH_STORE, NULL);
    return 0;
}

static inline const char *rig_path(const struct rig *rig, const char *name)
{
    static char paths[4][2 * RIG_PATH];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", rig->dir, name);
    return path;
}

static inline void rig_close(struct rig *rig)
{
    store_close(rig->store);
    if (rig->store)
        mailbox_fini(&rig->box);
    rig->store = NULL;
}

static inline int rig_teardown(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    own_dir_remove(&rig->root);
    health_set(HEALTH_STORE, NULL);
    free(rig);
    return 0;
}

static inline int rig_try_open(struct rig *rig)
{
    rig->why = "";
    rig->generation = 0;
    return store_open(&rig->config, &rig->store, &rig->start, &rig->why);
}

static inline void rig_start(struct rig *rig)
{
    assert_int_equal(mailbox_init(&rig->box, true), 0);
    assert_int_equal(store_start(rig->store, &rig->box), 0);
}

static inline void rig_open(struct rig *rig, enum store_sync sync)
{
    rig->config.store_sync = sync;
    if (rig_try_open(rig))
        fail_msg("not opened: %s", rig->why);
    rig_start(rig);
}

/* ---- messages that their number tells ---- */

static inline struct msg *msg_of(uint64_t seq, uint64_t prev)
{
    char channel[32], event[16] = "", client[16] = "", data[4000];
    size_t len = seq * 7919 % 500 + (seq % 50 == 0 ? 3000 : 0);
    snprintf(channel, sizeof channel, "room.%u", (unsigned)(seq * 2654435761u % 17));
    if (seq % 3)
        snprintf(event, sizeof event, "e%u", (unsigned)(seq % 11));
    if (seq % 4)
        snprintf(client, sizeof client, "c%u", (unsigned)(seq % 13));
    for (size_t i = 0; i < len; i++)
        data[i] = (char)(seq * 31 + i * 17);
    struct msg *m = msg_new(&(struct msg_parts){ .channel = slice_of(channel), .event = slice_of(event), .client = slice_of(client),
                                                .kind = (enum msg_kind)(seq % 3), .data = slice(data, len) });
    m->seq = seq;
    m->prev = prev;
    m->time_ms = 1700000000000 + (int64_t)seq;
    return m;
}

static inline void assert_same_msg(const struct msg *a, const struct msg *b)
{
    assert_true(a->seq == b->seq && a->prev == b->prev && a->time_ms == b->time_ms && a->kind == b->kind && a->hash == b->hash);
    assert_true(slice_is(msg_channel(a), msg_channel(b)) && slice_is(msg_event(a), msg_event(b)));
    assert_true(slice_is(msg_client(a), msg_client(b)) && slice_is(msg_data(a), msg_data(b)));
    assert_true(slice_is(msg_exclude(a), msg_exclude(b)) && slice_is(msg_trace(a), msg_trace(b)) && a->ttl_ms == b->ttl_ms);
    assert_true(a->passing == b->passing && a->passed_s == b->passed_s);
}

/* ---- groups ---- */

static inline struct store_group *group_new(const struct rig *rig)
{
    struct store_group *group = calloc(1, sizeof *group);
    group->generation = rig->generation;
    return group;
}

/* Takes the reference. */
static inline void group_add(struct store_group *group, struct msg *m)
{
    if (group->n == group->cap) {
        group->cap = group->cap ? group->cap * 2 : 8;
        group->msgs = realloc(group->msgs, group->cap * sizeof *group->msgs);
    }
    group->msgs[group->n++] = m;
    group->bytes += msg_size(m);
}

static inline void group_free(struct store_group *group)
{
    for (size_t i = 0; i < group->n; i++)
        msg_unref(group->msgs[i]);
    free(group->msgs);
    free(group);
}

/* Messages from..to, each with the number before its own as prev. */
static inline struct store_group *group_of(const struct rig *rig, uint64_t from, uint64_t to)
{
    struct store_group *group = group_new(rig);
    for (uint64_t seq = from; seq <= to; seq++)
        group_add(group, msg_of(seq, seq - 1));
    return group;
}

static inline struct store_group *rig_answer(struct rig *rig)
{
    struct pollfd readable = { .fd = rig->box.fd, .events = POLLIN };
    while (!rig->waiting && !(rig->waiting = mailbox_take(&rig->box)))
        if (poll(&readable, 1, PATIENCE_MS) <= 0)
            fail_msg("the store does not answer");
    struct letter *letter = rig->waiting;
    rig->waiting = letter->next;
    assert_int_equal(letter->kind, LETTER_STORED);
    return (struct store_group *)letter;
}

/* Submits, waits, frees; what the store said. Takes over the next generation as the hub does. */
static inline int rig_commit(struct rig *rig, struct store_group *group)
{
    store_submit(rig->store, group);
    assert_ptr_equal(rig_answer(rig), group);
    int err = group->err;
    rig->generation = group->next_generation;
    group_free(group);
    return err;
}

/* ---- what was kept ---- */

struct kept {
    struct msg **msgs;
    size_t       n;
};

static inline int keep(void *arg, struct msg *m)
{
    struct kept *kept = arg;
    kept->msgs = realloc(kept->msgs, (kept->n + 1) * sizeof *kept->msgs);
    kept->msgs[kept->n++] = msg_ref(m);
    return 0;
}

static inline void kept_free(struct kept *kept)
{
    for (size_t i = 0; i < kept->n; i++)
        msg_unref(kept->msgs[i]);
    free(kept->msgs);
    *kept = (struct kept){ 0 };
}

/* The store is opened, read and closed again. */
static inline void assert_kept(struct rig *rig, uint64_t from, uint64_t to)
{
    struct kept kept = { 0 };
    rig_open(rig, rig->config.store_sync);
    rig_close(rig);
    if (rig_try_open(rig))
        fail_msg("not opened: %s", rig->why);
    assert_int_equal(store_load(rig->store, keep, &kept), 0);
    assert_int_equal(kept.n, to + 1 - from);
    for (size_t i = 0; i < kept.n; i++) {
        struct msg *expected = msg_of(from + i, from + i - 1);
        assert_same_msg(kept.msgs[i], expected);
        assert_true(kept.msgs[i]->epoch == rig->start.epoch);
        msg_unref(expected);
    }
    kept_free(&kept);
    store_close(rig->store);
    rig->store = NULL;
}

/* ---- processes ---- */

typedef int child_fn(struct rig *rig, void *arg);

/* 0 in the child, which a failed assertion ends (cmocka would go on with the next test there), the end of this process, and an alarm
 * at the latest: late enough for a child that writes until it is killed, with a sanitizer, on a machine that does ten other things. */
static inline pid_t fork_child(void)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("CMOCKA_TEST_ABORT", "1", 1);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(CHILD_S);
    }
    return pid;
}

/* Runs it in a process of its own; what it returned, or -signal. */
static inline int in_child(struct rig *rig, child_fn *run, void *arg)
{
    int status = 0;
    pid_t pid = fork_child();
    if (pid == 0)
        _exit(run(rig, arg));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static inline void wait_until(bool (*holds)(void *arg), void *arg, const char *what)
{
    for (int waited = 0; waited < PATIENCE_MS; waited += 10) {
        if (holds(arg))
            return;
        poll(NULL, 0, 10);
    }
    fail_msg("still not so: %s", what);
}

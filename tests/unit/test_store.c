/* The store's port, driven as the hub drives it: what was acknowledged comes back, in order, exactly; what failed did not
 * happen; a disk that is full or cannot be written turns it red, and it recovers by itself. */
#include "tests/unit/store_rig.h"
#include "tests/unit/failing_sync.h"

#include "hub/base/buf.h"
#include "hub/metrics.h"

#include <linux/fs.h>
#include <sqlite3.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>

/* ---- what is acknowledged ---- */

static void what_was_acknowledged_is_loaded_back_exactly(void **state)
{
    struct rig *rig = *state;
    for (int sync = STORE_SYNC_OFF; sync <= STORE_SYNC_EACH; sync++) {
        rig_open(rig, (enum store_sync)sync);
        uint64_t from = (uint64_t)sync * 1000 + 1;
        for (uint64_t seq = from; seq < from + 1000; seq += 100) {
            struct store_group *group = group_of(rig, seq, seq + 99);
            group->reserve = seq + 100;
            assert_int_equal(rig_commit(rig, group), 0);
        }
        rig_close(rig);
        assert_kept(rig, 1, from + 999);
    }
}

static void extremes_are_loaded_back_exactly(void **state)
{
    struct rig *rig = *state;
    static char large[1 << 20], name[200];
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)(i * 2654435761u >> 13);
    memset(name, '~', sizeof name);
    struct msg *msgs[] = {
        msg_new(&(struct msg_parts){ .channel = SLICE("a"), .kind = MSG_BINARY, .data = SLICE("") }),
        msg_new(&(struct msg_parts){ .channel = slice(name, 200), .event = slice(name, 64), .client = slice(name, 64),
                                     .exclude = slice(name, 64), .kind = MSG_BINARY, .data = slice(large, sizeof large), .ttl_ms = INT64_MAX }),
        msg_new(&(struct msg_parts){ .channel = SLICE("a/b'%);--"), .event = SLICE("e"), .client = SLICE("c"), .kind = MSG_TEXT,
                                     .data = SLICE("null \0 inside, \xff and '); DROP TABLE log; --"), .ttl_ms = 1 }),
        msg_new(&(struct msg_parts){ .channel = SLICE("x"), .exclude = SLICE("c"), .kind = MSG_TEXT, .data = SLICE("") }),
        msg_new(&(struct msg_parts){ .channel = SLICE("j"), .kind = MSG_JSON, .data = SLICE("{\"n\": 0.1, \"big\": 12345678901234567890}") }),
    };
    enum { N = sizeof msgs / sizeof *msgs };
    rig_open(rig, STORE_SYNC_BATCH);
    struct store_group *group = group_new(rig);
    for (int i = 0; i < N; i++) {
        msgs[i]->seq = ((uint64_t)1 << 62) + (uint64_t)i;
        msgs[i]->prev = i ? msgs[i - 1]->seq : 0;
        msgs[i]->time_ms = i == 0 ? 0 : INT64_MAX - i;
        group_add(group, msg_ref(msgs[i]));
    }
    assert_int_equal(rig_commit(rig, group), 0);
    rig_close(rig);

    struct kept kept = { 0 };
    assert_int_equal(rig_try_open(rig), 0);
    assert_int_equal(store_load(rig->store, keep, &kept), 0);
    assert_int_equal(kept.n, N);
    for (int i = 0; i < N; i++) {
        assert_same_msg(kept.msgs[i], msgs[i]);
        msg_unref(msgs[i]);
    }
    kept_free(&kept);
}

static int refuse_third(void *arg, struct msg *m)
{
    (void)m;
    return ++*(int *)arg == 3 ? ERR_MEMORY : 0;
}

static void loading_ends_with_the_callbacks_error(void **state)
{
    struct rig *rig = *state;
    int seen = 0;
    rig_open(rig, STORE_SYNC_BATCH);
    assert_int_equal(rig_commit(rig, group_of(rig, 1, 10)), 0);
    rig_close(rig);
    assert_int_equal(rig_try_open(rig), 0);
    assert_int_equal(store_load(rig->store, refuse_third, &seen), ERR_MEMORY);
    assert_int_equal(seen, 3);
}

static void groups_are_answered_in_the_order_in_which_they_were_submitted(void **state)
{
    struct rig *rig = *state;
    enum { GROUPS = 200 };
    struct store_group *groups[GROUPS];
    rig_open(rig, STORE_SYNC_BATCH);
    for (uint64_t i = 0; i < GROUPS; i++) {
        groups[i] = i % 5 ? group_of(rig, i * 10 + 1, i * 10 + i % 5) : group_new(rig);
        store_submit(rig->store, groups[i]);
    }
    for (int i = 0; i < GROUPS; i++) {
        assert_ptr_equal(rig_answer(rig), groups[i]);
        assert_int_equal(groups[i]->err, 0);
        assert_int_equal(groups[i]->next_generation, 0);
        group_free(groups[i]);
    }
}

static void closing_commits_what_was_submitted_and_answers_it(void **state)
{
    struct rig *rig = *state;
    struct store_group *groups[20];
    rig_open(rig, STORE_SYNC_BATCH);
    for (uint64_t i = 0; i < 20; i++)
        store_submit(rig->store, groups[i] = group_of(rig, i * 50 + 1, i * 50 + 50));
    store_close(rig->store);
    rig->store = NULL;
    for (int i = 0; i < 20; i++) {
        assert_ptr_equal(rig_answer(rig), groups[i]);
        assert_int_equal(groups[i]->err, 0);
        group_free(groups[i]);
    }
    mailbox_fini(&rig->box);
    assert_kept(rig, 1, 1000);
}

/* ---- what fails ---- */

static void a_group_is_stored_whole_or_not_at_all(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    assert_int_equal(rig_commit(rig, group_of(rig, 1, 10)), 0);
    struct store_group *group = group_of(rig, 11, 15);
    group->reserve = 5000;
    group->trim = 5;
    group->floor = 4;
    group_add(group, msg_of(3, 2));      /* is there already */
    assert_int_equal(rig_commit(rig, group), ERR_STORE_FAILED);
    rig_close(rig);
    assert_kept(rig, 1, 10);
    assert_true(rig->start.next == 11 && rig->start.floor == 0);
}

static void a_failure_refuses_what_was_submitted_before_the_hub_heard_of_it(void **state)
{
    struct rig *rig = *state;
    int64_t failures = metric_sum(METRIC_store_failures);
    rig_open(rig, STORE_SYNC_BATCH);
    assert_int_equal(rig_commit(rig, group_of(rig, 1, 10)), 0);

    struct store_group *bad = group_of(rig, 10, 10), *good = group_of(rig, 11, 20);
    store_submit(rig->store, bad);
    store_submit(rig->store, good);
    for (int i = 0; i < 2; i++) {
        struct store_group *answer = rig_answer(rig);
        assert_ptr_equal(answer, i ? good : bad);
        assert_int_equal(answer->err, ERR_STORE_FAILED);
        assert_int_equal(answer->next_generation, 1);
        group_free(answer);
    }
    /* of the old generation still: refused, and that is no new failure */
    struct store_group *late = group_of(rig, 21, 30);
    store_submit(rig->store, late);
    assert_ptr_equal(rig_answer(rig), late);
    assert_int_equal(late->err, ERR_STORE_FAILED);
    assert_int_equal(late->next_generation, 1);
    group_free(late);
    assert_int_equal(metric_sum(METRIC_store_failures) - failures, 3);

    rig->generation = 1;
    assert_int_equal(rig_commit(rig, group_of(rig, 11, 20)), 0);
    rig_close(rig);
    assert_kept(rig, 1, 20);
}

static bool well(void *arg)
{
    (void)arg;
    return health_ready();
}

static bool red(void *arg)
{
    (void)arg;
    return !health_ready();
}

static void assert_reason(const char *part)
{
    struct buf text = { 0 };
    health_print(&text);
    buf_add_char(&text, 0);
    if (!strstr(text.at, part))
        fail_msg("health says %s", text.at);
    buf_fini(&text);
}

/* From a store that has 1..10 and can write no more: red with the reason, then `mend`, and it goes on by itself. */
static void assert_fails_and_recovers(struct rig *rig, const char *reason, void (*mend)(struct rig *rig))
{
    struct store_group *under_way[2];
    uint64_t generation = rig->generation;
    for (uint64_t i = 0; i < 2; i++)
        store_submit(rig->store, under_way[i] = group_of(rig, 11 + i * 400, 410 + i * 400));
    for (int i = 0; i < 2; i++) {
        assert_ptr_equal(rig_answer(rig), under_way[i]);
        assert_int_equal(under_way[i]->err, ERR_STORE_FAILED);
        assert_true(under_way[i]->next_generation > generation);
        rig->generation = under_way[i]->next_generation;
        group_free(under_way[i]);
    }
    assert_false(health_ready());
    assert_reason(reason);
    assert_int_equal(rig_commit(rig, group_of(rig, 11, 410)), ERR_STORE_FAILED);

    mend(rig);
    wait_until(well, NULL, "the store writes again, and nobody asked it to");
    assert_int_equal(rig_commit(rig, group_of(rig, 11, 20)), 0);
    uint64_t epoch = rig->start.epoch;
    rig_close(rig);
    assert_kept(rig, 1, 20);
    assert_true(rig->start.epoch == epoch);
}

static struct rlimit no_limit;

static void lift_limit(struct rig *rig)
{
    (void)rig;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &no_limit), 0);
}

static int teardown_limit(void **state)
{
    setrlimit(RLIMIT_FSIZE, &no_limit);
    return rig_teardown(state);
}

/* One page is what no file of the store may pass: not even the probe fits. */
static void files_that_may_not_grow_turn_it_red_until_they_may(void **state)
{
    struct rig *rig = *state;
    for (int sync = STORE_SYNC_BATCH; sync <= STORE_SYNC_EACH; sync++) {
        snprintf(rig->dir, sizeof rig->dir, "%s/data%d", rig->root.path, sync);
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &no_limit), 0);
        rig_open(rig, (enum store_sync)sync);
        assert_int_equal(rig_commit(rig, group_of(rig, 1, 10)), 0);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 4096, no_limit.rlim_max }), 0);
        assert_fails_and_recovers(rig, "the store cannot write: disk I/O error (File too large)", lift_limit);
    }
}

static void remove_filler(struct rig *rig) { assert_int_equal(unlink(rig_path(rig, "filler")), 0); }

static int teardown_mount(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    umount2(rig->dir, MNT_DETACH);
    return rig_teardown(state);
}

static void fill(const char *path)
{
    static const char zeros[4096];
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(fd, zeros, sizeof zeros) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    close(fd);
}

static void a_full_disk_turns_it_red_until_there_is_space(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(mkdir(rig->dir, 0700), 0);
    if (mount("none", rig->dir, "tmpfs", 0, "size=2m") < 0) {
        print_message("NOT RUN: a small tmpfs cannot be mounted (%s); the file size limit above stands in for it\n", strerror(errno));
        skip();
    }
    rig_open(rig, STORE_SYNC_BATCH);
    assert_int_equal(rig_commit(rig, group_of(rig, 1, 10)), 0);
    fill(rig_path(rig, "filler"));
    assert_fails_and_recovers(rig, "the store cannot write: database or disk is full", remove_filler);
}

static bool set_immutable(const char *path, bool on)
{
    int flags = 0, fd = open(path, O_RDONLY | O_CLOEXEC);
    bool done = fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0;
    flags = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
    done = done && ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
    if (fd >= 0)
        close(fd);
    return done;
}

static void make_writable(struct rig *rig)
{
    set_immutable(rig_path(rig, "carillon.db-wal"), false);
    set_immutable(rig_path(rig, "carillon.db"), false);
}

static int teardown_immutable(void **state)
{
    make_writable(*state);
    return rig_teardown(state);
}

static void files_that_become_read_only_turn_it_red_until_they_are_writable(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    assert_int_equal(rig_commit(rig, group_of(rig, 1, 10)), 0);
    if (!set_immutable(rig_path(rig, "carillon.db-wal"), true) || !set_immutable(rig_path(rig, "carillon.db"), true)) {
        print_message("NOT RUN: files cannot be made immutable here (%s): needs root and ext4, xfs or btrfs\n", strerror(errno));
        skip();
    }
    assert_fails_and_recovers(rig, "the store cannot write: disk I/O error (Operation not permitted)", make_writable);
}

static sqlite3 *other_program;

static void end_other_program(struct rig *rig)
{
    (void)rig;
    sqlite3_close(other_program);      /* with what it had begun */
    other_program = NULL;
}

static void another_program_that_keeps_the_file_locked_turns_it_red_until_it_lets_go(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    assert_int_equal(rig_commit(rig, group_of(rig, 1, 10)), 0);
    assert_int_equal(sqlite3_open(rig_path(rig, "carillon.db"), &other_program), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other_program, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_fails_and_recovers(rig, "the store cannot write: database is locked", end_other_program);
}

/* ---- on disk ---- */

static void with_each_nothing_is_answered_before_it_is_synced(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_EACH);
    for (uint64_t i = 1; i <= 20; i++) {
        int before = atomic_load(&wal_syncs);
        assert_int_equal(rig_commit(rig, group_of(rig, i, i)), 0);
        assert_true(atomic_load(&wal_syncs) > before);
    }
}

static bool synced_since(void *arg) { return atomic_load(&wal_syncs) > *(int *)arg; }

static void with_batch_a_commit_is_synced_without_another_one_coming(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(rig_commit(rig, group_of(rig, i, i)), 0);
        int before = atomic_load(&wal_syncs);
        wait_until(synced_since, &before, "the keeper has synced the WAL");
    }
}

static int teardown_syncs(void **state)
{
    atomic_store(&syncs_fail, false);
    return rig_teardown(state);
}

static bool two_more_have_failed(void *arg) { return atomic_load(&wal_syncs_failed) > *(int *)arg + 1; }

/* It must not turn green before: its own tries are real writes. */
static void mend_syncs(struct rig *rig)
{
    int failed = atomic_load(&wal_syncs_failed);
    (void)rig;
    wait_until(two_more_have_failed, &failed, "the store tries by itself");
    assert_false(health_ready());
    atomic_store(&syncs_fail, false);
}

static void with_each_a_sync_that_fails_fails_the_group(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_EACH);
    assert_int_equal(rig_commit(rig, group_of(rig, 1, 10)), 0);
    atomic_store(&syncs_fail, true);
    assert_fails_and_recovers(rig, "the store cannot write: disk I/O error (Input/output error)", mend_syncs);
}

static int fail_and_die(struct rig *rig, void *arg)
{
    (void)arg;
    rig_open(rig, STORE_SYNC_EACH);
    if (rig_commit(rig, group_of(rig, 1, 10)))
        return 1;
    atomic_store(&syncs_fail, true);
    if (rig_commit(rig, group_of(rig, 11, 20)) != ERR_STORE_FAILED)
        return 2;
    kill(getpid(), SIGKILL);
    return 3;
}

/* Its frames are in the WAL, and whole; only the sync had failed. */
static void a_group_that_failed_does_not_come_back_after_a_crash(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(in_child(rig, fail_and_die, NULL), -SIGKILL);
    assert_kept(rig, 1, 10);
}

static void with_batch_a_sync_that_fails_turns_it_red_until_one_succeeds(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    assert_int_equal(rig_commit(rig, group_of(rig, 1, 10)), 0);
    atomic_store(&syncs_fail, true);
    assert_int_equal(rig_commit(rig, group_of(rig, 11, 20)), 0);      /* acknowledged when it was committed */
    wait_until(red, NULL, "the failed sync shows");
    assert_reason("the disk: Input/output error");
    mend_syncs(rig);
    wait_until(well, NULL, "the store is well again");
    rig_close(rig);
    assert_kept(rig, 1, 20);
}

/* ---- a torn WAL ---- */

static int commit_and_die(struct rig *rig, void *arg)
{
    (void)arg;
    rig_open(rig, STORE_SYNC_BATCH);
    for (uint64_t i = 0; i < 20; i++)
        if (rig_commit(rig, group_of(rig, i * 10 + 1, i * 10 + 10)))
            return 1;
    kill(getpid(), SIGKILL);
    return 2;
}

static int count_in_order(void *arg, struct msg *m)
{
    uint64_t *highest = arg;
    struct msg *expected = msg_of(m->seq, m->seq - 1);
    assert_int_equal(m->seq, *highest + 1);
    assert_same_msg(m, expected);
    *highest = m->seq;
    msg_unref(expected);
    return 0;
}

static void half_a_commit_behind_the_last_does_no_harm(void **state)
{
    struct rig *rig = *state;
    char rest[10000];
    assert_int_equal(in_child(rig, commit_and_die, NULL), -SIGKILL);
    int fd = open(rig_path(rig, "carillon.db-wal"), O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, rest, sizeof rest, 32), sizeof rest);      /* two frames in the wrong place, and a cut one */
    assert_true(lseek(fd, 0, SEEK_END) > 0 && write(fd, rest, sizeof rest) == sizeof rest);
    close(fd);
    assert_kept(rig, 1, 200);
}

static void a_wal_that_was_torn_anywhere_opens_with_a_beginning_of_what_was_written(void **state)
{
    struct rig *rig = *state;
    struct stat st;
    uint64_t fewest = 200;
    for (int cut = 1; cut < 12; cut++) {
        uint64_t highest = 0;
        snprintf(rig->dir, sizeof rig->dir, "%s/data%d", rig->root.path, cut);
        assert_int_equal(in_child(rig, commit_and_die, NULL), -SIGKILL);
        assert_int_equal(stat(rig_path(rig, "carillon.db-wal"), &st), 0);
        assert_int_equal(truncate(rig_path(rig, "carillon.db-wal"), st.st_size - cut * cut * 1000), 0);
        if (rig_try_open(rig))
            fail_msg("cut %d: %s", cut, rig->why);
        assert_int_equal(store_load(rig->store, count_in_order, &highest), 0);
        assert_int_equal(highest % 10, 0);      /* groups are whole */
        assert_true(highest <= fewest);
        fewest = highest;
        store_close(rig->store);
        rig->store = NULL;
    }
    assert_true(fewest < 200);
}

/* ---- a file of schema 1: a row for each message ---- */

static const char schema_1[] =
    "PRAGMA journal_mode = WAL; PRAGMA application_id = 1130459756; PRAGMA user_version = 1;"
    "CREATE TABLE log (seq INTEGER PRIMARY KEY, prev INTEGER NOT NULL, time INTEGER NOT NULL, kind INTEGER NOT NULL,"
    " channel TEXT NOT NULL, event TEXT NOT NULL, client TEXT NOT NULL, data BLOB NOT NULL) STRICT;"
    "CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, reserved INTEGER NOT NULL,"
    " floor INTEGER NOT NULL, trim INTEGER NOT NULL, clean INTEGER NOT NULL, sync TEXT NOT NULL, boot TEXT NOT NULL,"
    " stamp INTEGER NOT NULL, inode INTEGER NOT NULL, born INTEGER NOT NULL, probes INTEGER NOT NULL) STRICT;"
    "INSERT INTO meta VALUES (1, 77, 401, 5, 31, 1, 'batch', '', 0, 0, 0, 0);";

static void bind_text(sqlite3_stmt *stmt, int at, struct slice s) { sqlite3_bind_text(stmt, at, s.at, (int)s.len, SQLITE_TRANSIENT); }

static void insert_row(sqlite3_stmt *stmt, const struct msg *m)
{
    sqlite3_bind_int64(stmt, 1, (sqlite3_int64)m->seq);
    sqlite3_bind_int64(stmt, 2, (sqlite3_int64)m->prev);
    sqlite3_bind_int64(stmt, 3, m->time_ms);
    sqlite3_bind_int(stmt, 4, m->kind);
    bind_text(stmt, 5, msg_channel(m));
    bind_text(stmt, 6, msg_event(m));
    bind_text(stmt, 7, msg_client(m));
    sqlite3_bind_blob(stmt, 8, msg_data(m).at, (int)msg_data(m).len, SQLITE_TRANSIENT);
    assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
    sqlite3_reset(stmt);
}

static void make_schema_1(const struct rig *rig, uint64_t from, uint64_t to)
{
    sqlite3 *conn = NULL;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(mkdir(rig->dir, 0700), 0);
    assert_int_equal(sqlite3_open(rig_path(rig, "carillon.db"), &conn), SQLITE_OK);
    assert_int_equal(sqlite3_exec(conn, schema_1, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(conn, "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?)", -1, &stmt, NULL), SQLITE_OK);
    for (uint64_t seq = from; seq <= to; seq++) {
        struct msg *m = msg_of(seq, seq - 1);
        insert_row(stmt, m);
        msg_unref(m);
    }
    sqlite3_finalize(stmt);
    sqlite3_close(conn);
}

static void a_store_with_a_row_for_each_message_is_taken_over_with_all_of_them(void **state)
{
    struct rig *rig = *state;
    make_schema_1(rig, 21, 400);                    /* trimmed below 31 */
    rig_open(rig, STORE_SYNC_BATCH);
    assert_true(rig->start.next == 401 && rig->start.floor == 5);
    assert_int_equal(rig_commit(rig, group_of(rig, 401, 410)), 0);
    rig_close(rig);
    assert_kept(rig, 31, 410);
}

/* ---- trims, and the size of files ---- */

static int64_t ask_file(const struct rig *rig, const char *sql)
{
    sqlite3 *conn = NULL;
    sqlite3_stmt *stmt = NULL;
    int64_t rows = -1;
    if (sqlite3_open_v2(rig_path(rig, "carillon.db"), &conn, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(conn, sql, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
        rows = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(conn);
    return rows;
}

enum { TRIM = 5021 };      /* in the middle of a row */

static int64_t trimmed_rows(const struct rig *rig) { return ask_file(rig, "SELECT count(*) FROM log WHERE last < 5021"); }
static bool    none_trimmed(void *arg)             { return trimmed_rows(arg) == 0; }

static void trimmed_rows_are_gone_at_once_and_deleted_little_by_little(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    for (uint64_t seq = 1; seq < 6000; seq += 50)      /* a row each */
        assert_int_equal(rig_commit(rig, group_of(rig, seq, seq + 49)), 0);
    assert_int_equal(trimmed_rows(rig), 100);
    struct store_group *group = group_new(rig);
    group->trim = TRIM;
    group->floor = 4711;
    assert_int_equal(rig_commit(rig, group), 0);
    rig_close(rig);
    if (trimmed_rows(rig) == 0)
        print_message("all slices were done before the stop\n");
    assert_kept(rig, TRIM, 6000);
    assert_int_equal(rig->start.floor, 4711);
    rig_open(rig, STORE_SYNC_BATCH);
    wait_until(none_trimmed, rig, "the trimmed rows are deleted, also by the next run");
    rig_close(rig);
    assert_kept(rig, TRIM, 6000);
    assert_int_equal(ask_file(rig, "SELECT count(*) FROM log"), 20);
}

static void a_trim_of_everything_leaves_an_empty_store_with_its_numbers(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    assert_int_equal(rig_commit(rig, group_of(rig, 1, 100)), 0);
    struct store_group *group = group_new(rig);
    group->trim = 101;
    group->reserve = 200;
    group->floor = 100;
    assert_int_equal(rig_commit(rig, group), 0);
    rig_close(rig);
    assert_kept(rig, 1, 0);
    assert_true(rig->start.next == 200 && rig->start.floor == 100);
}

static off_t wal_bytes(const struct rig *rig)
{
    struct stat st;
    return stat(rig_path(rig, "carillon.db-wal"), &st) == 0 ? st.st_size : 0;
}

static bool wal_is_empty(void *arg) { return wal_bytes(arg) == 0; }

/* Never idle, two groups always under way: 500 MB go through the WAL. */
static void the_wal_is_bounded_under_constant_load_and_emptied_at_rest(void **state)
{
    struct rig *rig = *state;
    static char data[50000];
    const off_t total = 500 * 1000 * 1000;
    off_t largest = 0;
    rig_open(rig, STORE_SYNC_BATCH);
    uint64_t seq = 1;
    for (off_t sent = 0, under_way = 0; sent < total || under_way > 0; under_way--) {
        for (; sent < total && under_way < 2; under_way++) {
            struct store_group *group = group_new(rig);
            for (int i = 0; i < 20; i++, seq++, sent += sizeof data) {
                struct msg *m = msg_new(&(struct msg_parts){ .channel = SLICE("a"), .kind = MSG_BINARY, .data = slice(data, sizeof data) });
                m->seq = seq;
                group_add(group, m);
            }
            group->trim = seq > 2000 ? seq - 2000 : 0;      /* 100 MB are kept */
            store_submit(rig->store, group);
        }
        struct store_group *answer = rig_answer(rig);
        assert_int_equal(answer->err, 0);
        group_free(answer);
        largest = wal_bytes(rig) > largest ? wal_bytes(rig) : largest;
    }
    if (largest > 80 * 1000 * 1000)      /* KEEPER_HOLD_PAGES, and two groups */
        fail_msg("the WAL grew to %lld bytes", (long long)largest);
    print_message("largest WAL %lld MB of %lld MB written\n", (long long)largest / 1000000, (long long)total / 1000000);
    wait_until(wal_is_empty, rig, "the WAL is emptied at rest");
}

struct wal_index {
    uint32_t frames, copied;      /* in the WAL since it last began; of those in the database file too */
};

/* sqlite.org/walformat.html, section 2.1. To close a descriptor of this file would drop the locks that SQLite has on it. */
static struct wal_index wal_index(int shm_fd)
{
    struct wal_index index = { 0, 0 };
    assert_int_equal(pread(shm_fd, &index.frames, sizeof index.frames, 16), sizeof index.frames);
    assert_int_equal(pread(shm_fd, &index.copied, sizeof index.copied, 96), sizeof index.copied);
    return index;
}

static void store_one(struct rig *rig, uint64_t seq, size_t bytes)
{
    static char data[1000 * 1000];
    struct store_group *group = group_new(rig);
    struct msg *m = msg_new(&(struct msg_parts){ .channel = SLICE("a"), .kind = MSG_BINARY, .data = slice(data, bytes) });
    m->seq = seq;
    group_add(group, m);
    store_submit(rig->store, group);
    group = rig_answer(rig);
    assert_int_equal(group->err, 0);
    group_free(group);
}

static bool is_copied(struct wal_index index) { return index.copied >= index.frames; }

/* Commits go on until after one of them everything is in the database: then the store thread has ended what the keeper began. When that
 * was not seen before the next commit, that one was the first of a WAL that had begun again. */
static uint64_t until_the_wal_may_begin_again(struct rig *rig, int shm_fd, uint64_t seq)
{
    struct wal_index now = { 0, 0 };
    while (now.frames < 2500)      /* KEEPER_COPY_PAGES, and more */
        store_one(rig, seq++, 1000 * 1000), now = wal_index(shm_fd);
    for (uint32_t before = now.frames; !is_copied(now) && before <= now.frames; before = now.frames, now = wal_index(shm_fd)) {
        store_one(rig, seq++, 10);
        poll(NULL, 0, 10);      /* few enough for the keeper to leave the rest to the store thread */
        for (int waited = 0; waited < 100 && wal_index(shm_fd).copied > 0 && !is_copied(wal_index(shm_fd)); waited += 10)
            poll(NULL, 0, 10);
    }
    return seq;
}

/* The file is as long then as it was. */
static void a_wal_that_begins_again_after_the_last_commit_is_emptied_too(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    int shm_fd = open(rig_path(rig, "carillon.db-shm"), O_RDONLY | O_CLOEXEC);
    assert_true(shm_fd >= 0);
    for (uint64_t seq = 1; seq == 1 || !is_copied(wal_index(shm_fd)); )
        seq = until_the_wal_may_begin_again(rig, shm_fd, seq);
    wait_until(wal_is_empty, rig, "the WAL is emptied at rest");
    rig_close(rig);
    close(shm_fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_acknowledged_is_loaded_back_exactly),
        TEST(extremes_are_loaded_back_exactly),
        TEST(loading_ends_with_the_callbacks_error),
        TEST(groups_are_answered_in_the_order_in_which_they_were_submitted),
        TEST(closing_commits_what_was_submitted_and_answers_it),
        TEST(a_group_is_stored_whole_or_not_at_all),
        TEST(a_failure_refuses_what_was_submitted_before_the_hub_heard_of_it),
        cmocka_unit_test_setup_teardown(files_that_may_not_grow_turn_it_red_until_they_may, rig_setup, teardown_limit),
        cmocka_unit_test_setup_teardown(a_full_disk_turns_it_red_until_there_is_space, rig_setup, teardown_mount),
        cmocka_unit_test_setup_teardown(files_that_become_read_only_turn_it_red_until_they_are_writable, rig_setup,
                                        teardown_immutable),
        TEST(another_program_that_keeps_the_file_locked_turns_it_red_until_it_lets_go),
        TEST(with_each_nothing_is_answered_before_it_is_synced),
        TEST(with_batch_a_commit_is_synced_without_another_one_coming),
        cmocka_unit_test_setup_teardown(with_each_a_sync_that_fails_fails_the_group, rig_setup, teardown_syncs),
        TEST(a_group_that_failed_does_not_come_back_after_a_crash),
        cmocka_unit_test_setup_teardown(with_batch_a_sync_that_fails_turns_it_red_until_one_succeeds, rig_setup, teardown_syncs),
        TEST(half_a_commit_behind_the_last_does_no_harm),
        TEST(a_wal_that_was_torn_anywhere_opens_with_a_beginning_of_what_was_written),
        TEST(trimmed_rows_are_gone_at_once_and_deleted_little_by_little),
        TEST(a_store_with_a_row_for_each_message_is_taken_over_with_all_of_them),
        TEST(a_trim_of_everything_leaves_an_empty_store_with_its_numbers),
        TEST(the_wal_is_bounded_under_constant_load_and_emptied_at_rest),
        TEST(a_wal_that_begins_again_after_the_last_commit_is_emptied_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

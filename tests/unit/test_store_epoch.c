/* How a store is opened: whose it is, which epoch it begins with (EXACT.md 4), which numbers, and one clear sentence when
 * it cannot be opened. */
#include "tests/unit/store_rig.h"

#include <sqlite3.h>

/* ---- ends of a run ---- */

static int run_and_die(struct rig *rig, void *arg)
{
    (void)arg;
    rig_open(rig, rig->config.store_sync);
    struct store_group *group = group_of(rig, rig->start.next, rig->start.next + 9);
    group->reserve = rig->start.next + 1000;
    if (rig_commit(rig, group))
        return 1;
    kill(getpid(), SIGKILL);
    return 2;
}

static void die(struct rig *rig, enum store_sync sync)
{
    rig->config.store_sync = sync;
    assert_int_equal(in_child(rig, run_and_die, NULL), -SIGKILL);
}

static void stop(struct rig *rig, enum store_sync sync)
{
    rig_open(rig, sync);
    struct store_group *group = group_of(rig, rig->start.next, rig->start.next + 9);
    group->reserve = rig->start.next + 1000;
    assert_int_equal(rig_commit(rig, group), 0);
    rig_close(rig);
}

static uint64_t epoch_at_start(struct rig *rig, enum store_sync sync)
{
    rig_open(rig, sync);
    rig_close(rig);
    return rig->start.epoch;
}

static void edit(const char *path, const char *text)
{
    sqlite3 *conn = NULL;
    char *error = NULL;
    assert_int_equal(sqlite3_open(path, &conn), SQLITE_OK);
    if (sqlite3_exec(conn, text, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", text, error);
    sqlite3_close(conn);
}

static void another_boot(struct rig *rig)
{
    edit(rig_path(rig, "carillon.db"), "UPDATE meta SET boot = '00000000-0000-0000-0000-000000000000'");
}

static void the_epoch_changes_only_when_acknowledged_messages_may_be_lost(void **state)
{
    static const struct {
        enum store_sync sync;
        bool clean, machine_down, changes;
    } ends[] = {
        { STORE_SYNC_OFF, true, false, false },   { STORE_SYNC_OFF, true, true, false },
        { STORE_SYNC_OFF, false, false, true },   { STORE_SYNC_OFF, false, true, true },
        { STORE_SYNC_BATCH, true, false, false }, { STORE_SYNC_BATCH, true, true, false },
        { STORE_SYNC_BATCH, false, false, false }, { STORE_SYNC_BATCH, false, true, true },
        { STORE_SYNC_EACH, true, false, false },  { STORE_SYNC_EACH, true, true, false },
        { STORE_SYNC_EACH, false, false, false }, { STORE_SYNC_EACH, false, true, false },
    };
    struct rig *rig = *state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        for (int next = STORE_SYNC_OFF; next <= STORE_SYNC_EACH; next++) {      /* the mode of the run that stopped counts */
            uint64_t before = epoch_at_start(rig, ends[i].sync);
            (ends[i].clean ? stop : die)(rig, ends[i].sync);
            if (ends[i].machine_down)
                another_boot(rig);
            if ((epoch_at_start(rig, (enum store_sync)next) != before) != ends[i].changes)
                fail_msg("line %zu, then mode %d", i, next);
        }
    }
}

static void a_new_store_has_an_epoch_of_its_own_and_numbers_from_1(void **state)
{
    struct rig *rig = *state;
    uint64_t first = epoch_at_start(rig, STORE_SYNC_BATCH);
    assert_true(first != 0 && rig->start.next == 1 && rig->start.reserved == 1 && rig->start.floor == 0);
    snprintf(rig->dir, sizeof rig->dir, "%s/other", rig->root.path);
    assert_true(epoch_at_start(rig, STORE_SYNC_BATCH) != first);
}

static void a_run_with_off_that_could_not_write_does_not_end_cleanly(void **state)
{
    struct rig *rig = *state;
    for (int sync = STORE_SYNC_OFF; sync <= STORE_SYNC_EACH; sync++) {
        stop(rig, (enum store_sync)sync);
        rig_open(rig, (enum store_sync)sync);
        uint64_t epoch = rig->start.epoch;
        assert_int_equal(rig_commit(rig, group_of(rig, 3, 3)), ERR_STORE_FAILED);      /* number 3 is there already */
        rig_close(rig);
        assert_true((epoch_at_start(rig, STORE_SYNC_BATCH) != epoch) == (sync == STORE_SYNC_OFF));
    }
}

/* ---- numbers ---- */

static void numbers_that_were_reserved_are_never_given_again(void **state)
{
    struct rig *rig = *state;
    stop(rig, STORE_SYNC_BATCH);
    uint64_t reserved = 1 + 1000;
    for (int i = 0; i < 3; i++) {
        die(rig, STORE_SYNC_BATCH);             /* it began at `reserved` and reserved 1,000 more */
        rig_open(rig, STORE_SYNC_BATCH);
        assert_true(rig->start.next == reserved + 1000 && rig->start.reserved == rig->start.next);
        rig_close(rig);
        stop(rig, STORE_SYNC_BATCH);
        reserved += 2000;
    }
}

static int reserve_only(struct rig *rig, void *arg)
{
    (void)arg;
    rig_open(rig, STORE_SYNC_BATCH);
    struct store_group *group = group_new(rig);
    group->reserve = 77777;
    if (rig_commit(rig, group))
        return 1;
    kill(getpid(), SIGKILL);
    return 2;
}

static void a_reservation_without_messages_survives_kill_9(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(in_child(rig, reserve_only, NULL), -SIGKILL);
    assert_int_equal(rig_try_open(rig), 0);
    assert_int_equal(rig->start.next, 77777);
}

static void a_smaller_reservation_or_floor_changes_nothing(void **state)
{
    struct rig *rig = *state;
    static const uint64_t reserve[] = { 500, 100, 0 }, floor[] = { 40, 30, 0 };
    rig_open(rig, STORE_SYNC_BATCH);
    for (int i = 0; i < 3; i++) {
        struct store_group *group = group_new(rig);
        group->reserve = reserve[i];
        group->floor = floor[i];
        assert_int_equal(rig_commit(rig, group), 0);
    }
    rig_close(rig);
    assert_int_equal(rig_try_open(rig), 0);
    assert_true(rig->start.next == 500 && rig->start.floor == 40);
}

/* ---- copies ---- */

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *format, ...)
{
    char command[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    assert_int_equal(system(command), 0);
}

static void a_store_restored_from_a_copy_has_a_new_epoch(void **state)
{
    struct rig *rig = *state;
    stop(rig, STORE_SYNC_EACH);
    uint64_t epoch = rig->start.epoch;
    shell("cp -a %s %s/backup && rm -r %s && mv %s/backup %s", rig->dir, rig->root.path, rig->dir, rig->root.path, rig->dir);
    uint64_t second = epoch_at_start(rig, STORE_SYNC_EACH);
    assert_true(second != epoch);
    assert_true(epoch_at_start(rig, STORE_SYNC_EACH) == second);      /* once */
    shell("cd %s && tar cf ../t.tar . && rm * && tar xf ../t.tar", rig->dir);      /* the freed inode may come again */
    assert_true(epoch_at_start(rig, STORE_SYNC_EACH) != second);
}

static void an_older_database_put_back_into_the_same_file_has_a_new_epoch(void **state)
{
    struct rig *rig = *state;
    stop(rig, STORE_SYNC_EACH);
    uint64_t epoch = rig->start.epoch;
    shell("cp %s/carillon.db %s/old.db", rig->dir, rig->root.path);
    stop(rig, STORE_SYNC_EACH);
    assert_true(rig->start.epoch == epoch);
    shell("cp %s/old.db %s/carillon.db", rig->root.path, rig->dir);
    assert_true(epoch_at_start(rig, STORE_SYNC_EACH) != epoch);
}

static void a_copy_of_the_running_store_put_back_after_it_stopped_has_a_new_epoch(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_EACH);
    uint64_t epoch = rig->start.epoch;
    shell("cp %s/carillon.db %s/old.db && cp %s/carillon.db-wal %s/old.db-wal", rig->dir, rig->root.path, rig->dir, rig->root.path);
    assert_int_equal(rig_commit(rig, group_of(rig, 1, 10)), 0);
    rig_close(rig);
    shell("cp %s/old.db %s/carillon.db && cp %s/old.db-wal %s/carillon.db-wal", rig->root.path, rig->dir, rig->root.path, rig->dir);
    assert_true(epoch_at_start(rig, STORE_SYNC_EACH) != epoch);
}

static void a_folder_that_was_moved_is_the_same_store(void **state)
{
    struct rig *rig = *state;
    stop(rig, STORE_SYNC_BATCH);
    uint64_t epoch = rig->start.epoch;
    shell("mv %s %s/moved", rig->dir, rig->root.path);
    snprintf(rig->dir, sizeof rig->dir, "%s/moved", rig->root.path);
    assert_true(epoch_at_start(rig, STORE_SYNC_BATCH) == epoch);
}

static void removing_carillon_run_asks_for_a_new_epoch(void **state)
{
    struct rig *rig = *state;
    stop(rig, STORE_SYNC_EACH);
    uint64_t epoch = rig->start.epoch;
    assert_int_equal(unlink(rig_path(rig, "carillon.run")), 0);
    assert_true(epoch_at_start(rig, STORE_SYNC_EACH) != epoch);
}

/* The two moments at which a start or a stop can be cut short: carillon.run names the next stamp, the database has not or
 * has changed to it. */
static void a_start_that_was_cut_short_is_not_taken_for_a_copy(void **state)
{
    struct rig *rig = *state;
    stop(rig, STORE_SYNC_EACH);
    uint64_t epoch = rig->start.epoch, stamp = 0;
    FILE *run = fopen(rig_path(rig, "carillon.run"), "r+");
    assert_int_equal(fscanf(run, "pid %*d stamp %lx", &stamp), 1);
    rewind(run);
    fprintf(run, "pid %-10d\nstamp %016x\nbefore %016lx\n", 1, 0xabcdef, stamp);
    fclose(run);
    assert_true(epoch_at_start(rig, STORE_SYNC_EACH) == epoch);

    run = fopen(rig_path(rig, "carillon.run"), "r+");
    assert_int_equal(fscanf(run, "pid %*d stamp %lx", &stamp), 1);
    rewind(run);
    fprintf(run, "pid %-10d\nstamp %016lx\nbefore %016x\n", 1, stamp, 0xabcdef);
    fclose(run);
    assert_true(epoch_at_start(rig, STORE_SYNC_EACH) == epoch);
}

/* ---- refusals ---- */

static void assert_refused(struct rig *rig, int err, const char *path, const char *reason)
{
    assert_int_equal(rig_try_open(rig), err);
    assert_null(rig->store);
    if (!strstr(rig->why, path) || !strstr(rig->why, reason) || strchr(rig->why, '\n'))
        fail_msg("the sentence is: %s", rig->why);
}

static int open_while_locked(struct rig *rig, void *arg)
{
    char pid[32];
    snprintf(pid, sizeof pid, "(pid %d)", *(int *)arg);
    rig->store = NULL;
    assert_refused(rig, ERR_STORE_LOCKED, rig->dir, pid);
    return 7;
}

static void a_store_that_is_open_elsewhere_is_refused_and_the_sentence_names_the_process(void **state)
{
    struct rig *rig = *state;
    int pid = getpid();
    rig_open(rig, STORE_SYNC_BATCH);
    struct store *open = rig->store;
    assert_int_equal(in_child(rig, open_while_locked, &pid), 7);
    assert_ptr_equal(rig->store, open);
    assert_int_equal(rig_commit(rig, group_of(rig, 1, 5)), 0);      /* it did no harm */
    rig_close(rig);
    assert_kept(rig, 1, 5);
}

static void a_process_that_was_killed_leaves_no_lock(void **state)
{
    struct rig *rig = *state;
    die(rig, STORE_SYNC_BATCH);
    assert_int_equal(rig_try_open(rig), 0);
}

static void a_store_of_a_newer_version_is_refused_and_left_as_it_is(void **state)
{
    struct rig *rig = *state;
    stop(rig, STORE_SYNC_BATCH);
    uint64_t epoch = rig->start.epoch;
    edit(rig_path(rig, "carillon.db"), "PRAGMA user_version = 99");
    assert_refused(rig, ERR_STORE_VERSION, rig_path(rig, "carillon.db"), "schema 99");
    edit(rig_path(rig, "carillon.db"), "PRAGMA user_version = -3");
    assert_refused(rig, ERR_STORE_OPEN, rig_path(rig, "carillon.db"), "no schema");
    edit(rig_path(rig, "carillon.db"), "PRAGMA user_version = 6");
    assert_true(epoch_at_start(rig, STORE_SYNC_BATCH) == epoch);
}

static void the_database_of_another_program_is_refused_and_left_as_it_is(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(mkdir(rig->dir, 0700), 0);
    edit(rig_path(rig, "carillon.db"), "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
    assert_refused(rig, ERR_STORE_OPEN, rig_path(rig, "carillon.db"), "another program");
    edit(rig_path(rig, "carillon.db"), "UPDATE theirs SET x = x + 1; PRAGMA journal_mode = DELETE");
}

static void a_file_that_is_no_database_is_refused(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(mkdir(rig->dir, 0700), 0);
    shell("seq 10000 > %s/carillon.db", rig->dir);
    assert_refused(rig, ERR_STORE_OPEN, rig_path(rig, "carillon.db"), "not a database");
}

static void a_path_that_is_no_folder_is_refused(void **state)
{
    struct rig *rig = *state;
    shell("echo > %s", rig->dir);
    assert_refused(rig, ERR_STORE_OPEN, rig->dir, "not a directory");
    snprintf(rig->dir, sizeof rig->dir, "%s/missing/data", rig->root.path);
    assert_refused(rig, ERR_STORE_OPEN, rig->dir, "No such file or directory");
    snprintf(rig->dir, sizeof rig->dir, "%s/two", rig->root.path);
    shell("mkdir -p %s/carillon.db", rig->dir);
    assert_refused(rig, ERR_STORE_OPEN, rig_path(rig, "carillon.db"), "Is a directory");
}

/* root may read and write everything, so it becomes nobody for this. */
static int open_as_nobody(struct rig *rig, void *arg)
{
    if (geteuid() == 0 && (setegid(65534) || seteuid(65534)))
        return 1;
    assert_refused(rig, ERR_STORE_OPEN, rig->dir, arg);
    return 7;
}

static void a_folder_or_file_without_permission_is_refused(void **state)
{
    struct rig *rig = *state;
    stop(rig, STORE_SYNC_BATCH);
    assert_int_equal(chmod(rig->root.path, 0755), 0);
    assert_int_equal(chmod(rig->dir, 0500), 0);
    assert_int_equal(chmod(rig_path(rig, "carillon.db"), 0444), 0);
    assert_int_equal(in_child(rig, open_as_nobody, "Permission denied"), 7);
    assert_int_equal(chmod(rig->dir, 0000), 0);
    assert_int_equal(in_child(rig, open_as_nobody, "Permission denied"), 7);
    assert_int_equal(chmod(rig->dir, 0700), 0);
    assert_int_equal(chmod(rig_path(rig, "carillon.db"), 0600), 0);
}

static void others_cannot_read_what_the_store_makes(void **state)
{
    struct rig *rig = *state;
    static const char *const names[] = { "", "carillon.db", "carillon.db-wal", "carillon.run" };
    struct stat st;
    rig_open(rig, STORE_SYNC_BATCH);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(stat(rig_path(rig, names[i]), &st), 0);
        assert_int_equal(st.st_mode & 0077, 0);
    }
}

static void a_crash_between_making_the_file_and_its_tables_leaves_a_new_store(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(mkdir(rig->dir, 0700), 0);
    shell(": > %s/carillon.db; : > %s/carillon.run", rig->dir, rig->dir);
    stop(rig, STORE_SYNC_BATCH);
    assert_kept(rig, 1, 10);
}

static void a_store_that_was_only_opened_stops_cleanly(void **state)
{
    struct rig *rig = *state;
    rig->config.store_sync = STORE_SYNC_OFF;
    assert_int_equal(rig_try_open(rig), 0);
    uint64_t epoch = rig->start.epoch;
    store_close(rig->store);
    rig->store = NULL;
    assert_true(epoch_at_start(rig, STORE_SYNC_OFF) == epoch);
    store_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_epoch_changes_only_when_acknowledged_messages_may_be_lost),
        TEST(a_new_store_has_an_epoch_of_its_own_and_numbers_from_1),
        TEST(a_run_with_off_that_could_not_write_does_not_end_cleanly),
        TEST(numbers_that_were_reserved_are_never_given_again),
        TEST(a_reservation_without_messages_survives_kill_9),
        TEST(a_smaller_reservation_or_floor_changes_nothing),
        TEST(a_store_restored_from_a_copy_has_a_new_epoch),
        TEST(an_older_database_put_back_into_the_same_file_has_a_new_epoch),
        TEST(a_copy_of_the_running_store_put_back_after_it_stopped_has_a_new_epoch),
        TEST(a_folder_that_was_moved_is_the_same_store),
        TEST(removing_carillon_run_asks_for_a_new_epoch),
        TEST(a_start_that_was_cut_short_is_not_taken_for_a_copy),
        TEST(a_store_that_is_open_elsewhere_is_refused_and_the_sentence_names_the_process),
        TEST(a_process_that_was_killed_leaves_no_lock),
        TEST(a_store_of_a_newer_version_is_refused_and_left_as_it_is),
        TEST(the_database_of_another_program_is_refused_and_left_as_it_is),
        TEST(a_file_that_is_no_database_is_refused),
        TEST(a_path_that_is_no_folder_is_refused),
        TEST(a_folder_or_file_without_permission_is_refused),
        TEST(others_cannot_read_what_the_store_makes),
        TEST(a_crash_between_making_the_file_and_its_tables_leaves_a_new_store),
        TEST(a_store_that_was_only_opened_stops_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

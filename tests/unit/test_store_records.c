/* Records of the store: they come back as they were put, they are on disk before they are answered whatever store.sync says, and a
 * group that fails takes its records with it. */
#include "tests/unit/store_rig.h"
#include "tests/unit/failing_sync.h"

#include <sqlite3.h>

/* ---- what is kept ---- */

struct found {
    char   text[4096];      /* kind/key=value; … */
    size_t n;
};

static int note(void *arg, struct slice kind, struct slice key, struct slice value)
{
    struct found *found = arg;
    size_t used = strlen(found->text);
    snprintf(found->text + used, sizeof found->text - used, "%.*s/%.*s=%.*s;", (int)kind.len, kind.at, (int)key.len, key.at,
             (int)value.len, value.at);
    found->n++;
    return 0;
}

/* The store is opened, read and closed again. */
static void assert_records(struct rig *rig, const char *expected)
{
    struct found found = { .n = 0 };
    if (rig_try_open(rig))
        fail_msg("not opened: %s", rig->why);
    assert_int_equal(store_load_records(rig->store, note, &found), 0);
    assert_string_equal(found.text, expected);
    store_close(rig->store);
    rig->store = NULL;
}

/* One change and nothing else; `value` NULL removes. */
static int change(struct rig *rig, const char *kind, const char *key, const char *value)
{
    struct store_record record = { .kind = slice_of(kind), .key = slice_of(key), .value = value ? slice_of(value) : slice(NULL, 0) };
    struct store_group *group = group_new(rig);
    group->records = &record;
    return rig_commit(rig, group);
}

static void records_come_back_by_kind_and_key_as_they_were_changed_last(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    assert_int_equal(change(rig, "key", "b", "1"), 0);
    assert_int_equal(change(rig, "key", "a", "2"), 0);
    assert_int_equal(change(rig, "hook", "b", "3"), 0);
    assert_int_equal(change(rig, "key", "b", "4"), 0);
    assert_int_equal(change(rig, "key", "c", "5"), 0);
    assert_int_equal(change(rig, "key", "c", NULL), 0);
    assert_int_equal(change(rig, "key", "nobody", NULL), 0);
    assert_int_equal(change(rig, "key", "empty", ""), 0);
    rig_close(rig);
    assert_records(rig, "hook/b=3;key/a=2;key/b=4;key/empty=;");
}

static void changes_of_one_group_happen_in_their_order_with_its_messages(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    struct store_record rows[] = {
        { .kind = SLICE("key"), .key = SLICE("a"), .value = SLICE("1") },
        { .kind = SLICE("key"), .key = SLICE("a"), .value = { NULL, 0 } },
        { .kind = SLICE("key"), .key = SLICE("a"), .value = SLICE("2") },
        { .kind = SLICE("'; DROP TABLE records; --"), .key = SLICE("\"x\""), .value = SLICE("3") },
    };
    for (size_t i = 0; i + 1 < sizeof rows / sizeof *rows; i++)
        rows[i].next = &rows[i + 1];
    struct store_group *group = group_of(rig, 1, 10);
    group->reserve = 20;
    group->records = rows;
    assert_int_equal(rig_commit(rig, group), 0);
    rig_close(rig);
    assert_records(rig, "'; DROP TABLE records; --/\"x\"=3;key/a=2;");
    assert_kept(rig, 1, 10);
}

static int refuse_second(void *arg, struct slice kind, struct slice key, struct slice value)
{
    struct found *found = arg;
    (void)kind, (void)key, (void)value;
    return ++found->n == 2 ? ERR_MEMORY : 0;
}

static void loading_ends_with_the_callbacks_error(void **state)
{
    struct rig *rig = *state;
    struct found found = { .n = 0 };
    rig_open(rig, STORE_SYNC_BATCH);
    for (int i = 0; i < 3; i++)
        assert_int_equal(change(rig, "key", (const char *[]){ "a", "b", "c" }[i], "x"), 0);
    assert_int_equal(store_load_records(rig->store, refuse_second, &found), ERR_MEMORY);
    assert_int_equal(found.n, 2);
}

/* ---- on disk ---- */

static int teardown_syncs(void **state)
{
    atomic_store(&syncs_fail, false);
    return rig_teardown(state);
}

static void they_are_on_disk_before_they_are_answered_whatever_store_sync_says(void **state)
{
    struct rig *rig = *state;
    for (int sync = STORE_SYNC_OFF; sync <= STORE_SYNC_EACH; sync++) {
        rig_open(rig, (enum store_sync)sync);
        for (int i = 0; i < 20; i++) {
            char value[12];      /* another each time: the same one again would write nothing */
            snprintf(value, sizeof value, "%d", i);
            int before = atomic_load(&wal_syncs);
            assert_int_equal(change(rig, "key", "a", value), 0);
            assert_true(atomic_load(&wal_syncs) > before);
        }
        rig_close(rig);
    }
}

/* The keeper syncs half a second after the first commit: what passes before that is not its doing. */
static void messages_behind_them_are_not_synced_one_by_one(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    assert_int_equal(change(rig, "key", "a", "1"), 0);
    int before = atomic_load(&wal_syncs);
    for (uint64_t seq = 1; seq <= 200; seq++)
        assert_int_equal(rig_commit(rig, group_of(rig, seq, seq)), 0);
    assert_true(atomic_load(&wal_syncs) - before < 100);
}

/* Its frames are whole in the write-ahead log when its sync fails: nobody may find them there. */
static int fail_and_die(struct rig *rig, void *arg)
{
    (void)arg;
    rig_open(rig, STORE_SYNC_BATCH);
    if (change(rig, "key", "a", "1"))
        return 1;
    atomic_store(&syncs_fail, true);
    struct store_record record = { .kind = SLICE("key"), .key = SLICE("a"), .value = SLICE("2") };
    struct store_group *group = group_of(rig, 1, 5);
    group->records = &record;
    if (rig_commit(rig, group) != ERR_STORE_FAILED)
        return 2;
    raise(SIGKILL);
    return 3;
}

static void a_sync_that_fails_fails_the_group_for_good(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(in_child(rig, fail_and_die, NULL), -SIGKILL);
    assert_records(rig, "key/a=1;");
    assert_kept(rig, 1, 0);
}

static int change_and_die(struct rig *rig, void *arg)
{
    (void)arg;
    rig_open(rig, STORE_SYNC_OFF);
    if (change(rig, "key", "a", "1") || change(rig, "key", "b", "2") || change(rig, "key", "a", NULL))
        return 1;
    raise(SIGKILL);
    return 2;
}

static void a_kill_behind_the_answer_takes_nothing(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(in_child(rig, change_and_die, NULL), -SIGKILL);
    assert_records(rig, "key/b=2;");
}

/* ---- schema 2 ---- */

static void run_on_file(const struct rig *rig, const char *sql)
{
    sqlite3 *conn = NULL;
    assert_int_equal(sqlite3_open(rig_path(rig, "carillon.db"), &conn), SQLITE_OK);
    assert_int_equal(sqlite3_exec(conn, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(conn);
}

static void a_store_without_records_is_taken_over_with_its_messages(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    struct store_group *group = group_of(rig, 1, 300);
    group->reserve = 301;
    assert_int_equal(rig_commit(rig, group), 0);
    rig_close(rig);
    uint64_t epoch = rig->start.epoch;
    run_on_file(rig, "DROP TABLE deliveries; DROP TABLE events; DROP TABLE purges; ALTER TABLE meta DROP COLUMN keeping; DROP TABLE keys; DROP TABLE records; PRAGMA user_version = 2");
    rig_open(rig, STORE_SYNC_BATCH);
    assert_true(rig->start.epoch == epoch && rig->start.next == 301);
    assert_int_equal(change(rig, "key", "a", "1"), 0);
    rig_close(rig);
    assert_records(rig, "key/a=1;");
    assert_kept(rig, 1, 300);
}

static void a_file_that_has_the_table_before_its_number_is_refused_not_overwritten(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    assert_int_equal(change(rig, "key", "a", "1"), 0);
    rig_close(rig);
    run_on_file(rig, "PRAGMA user_version = 2");      /* the table is there, the number is not: no step of ours leaves that */
    assert_int_equal(rig_try_open(rig), ERR_STORE_OPEN);
    assert_non_null(strstr(rig->why, "records"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_come_back_by_kind_and_key_as_they_were_changed_last),
        TEST(changes_of_one_group_happen_in_their_order_with_its_messages),
        TEST(loading_ends_with_the_callbacks_error),
        TEST(they_are_on_disk_before_they_are_answered_whatever_store_sync_says),
        TEST(messages_behind_them_are_not_synced_one_by_one),
        cmocka_unit_test_setup_teardown(a_sync_that_fails_fails_the_group_for_good, rig_setup, teardown_syncs),
        TEST(a_kill_behind_the_answer_takes_nothing),
        TEST(a_store_without_records_is_taken_over_with_its_messages),
        TEST(a_file_that_has_the_table_before_its_number_is_refused_not_overwritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

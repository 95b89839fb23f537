/* Purges in the store: their rows are not given any more, also before they are trimmed, and they are forgotten when no row is left. */
#include "tests/unit/store_rig.h"

#include "hub/base/hash.h"

struct rows {
    char   purged[512];        /* channel=upto; … */
    size_t n, n_purged_rows;
};

static const uint64_t UPTO = 200;
static const char *const CHANNEL = "room.3";

static int note_row(void *arg, struct msg *m)
{
    struct rows *rows = arg;
    rows->n++;
    rows->n_purged_rows += slice_is(msg_channel(m), slice_of(CHANNEL)) && m->seq <= UPTO;
    return 0;
}

static int note_purge(void *arg, struct slice channel, uint64_t upto)
{
    struct rows *rows = arg;
    size_t used = strlen(rows->purged);
    snprintf(rows->purged + used, sizeof rows->purged - used, "%.*s=%lu;", (int)channel.len, channel.at, (unsigned long)upto);
    return 0;
}

static struct rows look(struct rig *rig)
{
    struct rows rows = { .n = 0 };
    assert_int_equal(rig_try_open(rig), 0);
    assert_int_equal(store_load(rig->store, note_row, &rows), 0);
    assert_int_equal(store_load_purges(rig->store, note_purge, &rows), 0);
    store_close(rig->store);
    rig->store = NULL;
    return rows;
}

static size_t rows_of(const char *channel, uint64_t from, uint64_t to)
{
    size_t n = 0;
    for (uint64_t seq = from; seq <= to; seq++) {
        struct msg *m = msg_of(seq, seq - 1);
        n += slice_is(msg_channel(m), slice_of(channel));
        msg_unref(m);
    }
    return n;
}

static void commit_purge(struct rig *rig, const char *channel, uint64_t upto)
{
    struct store_purge purge = { .channel = slice_of(channel), .upto = upto };
    struct store_group *group = group_new(rig);
    group->purges = &purge;
    assert_int_equal(rig_commit(rig, group), 0);
}

static void fill(struct rig *rig)
{
    rig_open(rig, STORE_SYNC_BATCH);
    struct store_group *group = group_of(rig, 1, 300);
    group->reserve = 301;
    assert_int_equal(rig_commit(rig, group), 0);
}

static void what_was_purged_is_not_given_and_all_else_is(void **state)
{
    struct rig *rig = *state;
    fill(rig);
    commit_purge(rig, CHANNEL, UPTO);
    rig_close(rig);
    struct rows rows = look(rig);
    assert_int_equal(rows.n_purged_rows, 0);
    assert_true(rows_of(CHANNEL, 1, UPTO) > 5);
    assert_int_equal(rows.n, 300 - rows_of(CHANNEL, 1, UPTO));
    assert_string_equal(rows.purged, "room.3=200;");
}

static void the_highest_purge_of_a_channel_counts(void **state)
{
    struct rig *rig = *state;
    fill(rig);
    commit_purge(rig, CHANNEL, UPTO);
    commit_purge(rig, CHANNEL, 7);
    commit_purge(rig, "unknown", 250);
    rig_close(rig);
    struct rows rows = look(rig);
    assert_string_equal(rows.purged, "room.3=200;unknown=250;");
    assert_int_equal(rows.n, 300 - rows_of(CHANNEL, 1, UPTO));
}

static void a_purge_is_forgotten_when_the_trim_has_passed_it(void **state)
{
    struct rig *rig = *state;
    fill(rig);
    commit_purge(rig, CHANNEL, UPTO);
    commit_purge(rig, "room.4", 290);
    struct store_group *group = group_new(rig);
    group->trim = 201;
    assert_int_equal(rig_commit(rig, group), 0);
    rig_close(rig);
    struct rows rows = look(rig);
    assert_string_equal(rows.purged, "room.4=290;");
    assert_int_equal(rows.n, 100 - rows_of("room.4", 201, 290));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_purged_is_not_given_and_all_else_is),
        TEST(the_highest_purge_of_a_channel_counts),
        TEST(a_purge_is_forgotten_when_the_trim_has_passed_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

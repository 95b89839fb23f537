/* The end of a store whose disk does not answer any more. */
#include "tests/unit/store_rig.h"
#include "tests/unit/failing_sync.h"

#include <sys/file.h>

static int let_go(void **state)
{
    gate_open(&wal_syncs_gate);
    return rig_teardown(state);
}

/* A store that is open has its database locked for itself alone. */
static void wait_until_closed(const struct rig *rig)
{
    int fd = open(rig_path(rig, "carillon.db"), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_SH), 0);
    close(fd);
}

static void a_disk_that_does_not_answer_does_not_hold_up_the_end(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    assert_int_equal(rig_commit(rig, group_of(rig, 1, 100)), 0);
    gate_shut(&wal_syncs_gate);
    assert_false(store_close_within(rig->store, 100));
    rig->store = NULL;
    gate_open(&wal_syncs_gate);      /* it does after all: the store is closed in the background, and then free */
    wait_until_closed(rig);
    assert_int_equal(rig_try_open(rig), 0);
    struct kept kept = { 0 };
    assert_int_equal(store_load(rig->store, keep, &kept), 0);
    assert_int_equal(kept.n, 100);
    kept_free(&kept);
    store_close(rig->store);
    rig->store = NULL;
    mailbox_fini(&rig->box);
}

static void one_that_answers_is_waited_for(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    assert_int_equal(rig_commit(rig, group_of(rig, 1, 100)), 0);
    assert_true(store_close_within(rig->store, PATIENCE_MS));
    mailbox_fini(&rig->box);
    rig->store = NULL;
    assert_true(store_close_within(NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_disk_that_does_not_answer_does_not_hold_up_the_end, rig_setup, let_go),
        cmocka_unit_test_setup_teardown(one_that_answers_is_waited_for, rig_setup, rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

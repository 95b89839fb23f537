/* The end of a store whose disk does not answer any more. */
#include "tests/unit/store_rig.h"
#include "tests/unit/failing_sync.h"

static int let_go(void **state)
{
    atomic_store(&syncs_hang, false);
    return rig_teardown(state);
}

static void a_disk_that_does_not_answer_does_not_hold_up_the_end(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    assert_int_equal(rig_commit(rig, group_of(rig, 1, 100)), 0);
    atomic_store(&syncs_hang, true);
    assert_false(store_close_within(rig->store, 100));
    rig->store = NULL;
    atomic_store(&syncs_hang, false);      /* it does after all: the store is closed in the background, and then free */
    while (rig_try_open(rig))
        usleep(1000);
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

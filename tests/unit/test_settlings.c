/* Settlings of attempts: they wait a little for what else is committed, others do not. */
#include "tests/unit/hub_rig.h"

#include "hub/hook.h"

struct settling {
    struct settlement  at;
    struct settle_call call;
    unsigned           answers;
};

static void on_settled(struct settle_call *call) { ((struct settling *)call->owner)->answers++; }

static void settle(struct rig *rig, struct settling *settling, bool is_sent, uint64_t lane)
{
    *settling = (struct settling){ .at = { .number = 256, .endpoint = 1, .lane = lane } };
    settling->call = (struct settle_call){ .at = &settling->at, .n = 1, .is_sent = is_sent, .answered = on_settled, .owner = settling };
    hub_settle(rig->hub, &settling->call);
}

/* Its first numbers are reserved. */
static void open_at_rest(struct rig *rig)
{
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1, 0, SLICE("") }, SIZE_MAX);
    turn(rig);
    store_answers(rig, 0);
    assert_int_equal(rig->n_submitted, 0);
}

static void after_ms(struct rig *rig, int64_t ms)
{
    rig->mono_ms += ms;
    turn(rig);
}

static void an_attempt_is_settled_with_what_is_published_meanwhile(void **state)
{
    struct rig *rig = *state;
    struct settling one, two;
    struct publish_call call;
    open_at_rest(rig);
    settle(rig, &one, true, 0);
    turn(rig);
    assert_int_equal(rig->n_submitted, 0);
    settle(rig, &two, true, 0);
    publish(rig, &call, "a", "x");
    after_ms(rig, 1);
    assert_int_equal(rig->n_submitted, 1);
    assert_true(rig->submitted[0]->n == 1 && rig->submitted[0]->settlings == &one.call && one.call.next == &two.call);
    store_answers(rig, 0);
    assert_true(one.answers == 1 && two.answers == 1 && call.call.err == 0);
    msg_unref(call.msg);
}

static void it_waits_no_longer_than_it_may(void **state)
{
    struct rig *rig = *state;
    struct settling one, two;
    open_at_rest(rig);
    settle(rig, &one, true, 0);
    turn(rig);
    assert_int_equal(hub_due_ms(rig->hub), rig->mono_ms + 20);
    after_ms(rig, 1);
    assert_int_equal(rig->n_submitted, 0);
    after_ms(rig, 1);
    assert_int_equal(rig->n_submitted, 1);
    settle(rig, &two, true, 0);      /* another one begins to wait, from now on */
    turn(rig);
    assert_int_equal(rig->n_submitted, 1);
    after_ms(rig, 2);
    assert_int_equal(rig->n_submitted, 2);
    store_answers(rig, 0);
    store_answers(rig, 0);
    assert_true(one.answers == 1 && two.answers == 1);
}

static void others_wait_for_nothing(void **state)
{
    struct rig *rig = *state;
    struct settling asked, ordered, sent;
    open_at_rest(rig);
    settle(rig, &sent, true, 0);
    turn(rig);
    assert_int_equal(rig->n_submitted, 0);
    settle(rig, &asked, false, 0);      /* somebody waits for the answer */
    turn(rig);
    assert_int_equal(rig->n_submitted, 1);
    store_answers(rig, 0);
    settle(rig, &ordered, true, 7);     /* the next of its lane does */
    turn(rig);
    assert_int_equal(rig->n_submitted, 1);
    store_answers(rig, 0);
    assert_true(asked.answers == 1 && ordered.answers == 1 && sent.answers == 1);
}

static void nothing_waits_when_the_hub_stops(void **state)
{
    struct rig *rig = *state;
    struct settling one;
    open_at_rest(rig);
    settle(rig, &one, true, 0);
    turn(rig);
    hub_drain(rig->hub);
    turn(rig);
    assert_int_equal(rig->n_submitted, 1);
    store_answers(rig, 0);
    assert_true(one.answers == 1 && hub_idle(rig->hub));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_attempt_is_settled_with_what_is_published_meanwhile, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_waits_no_longer_than_it_may, set_up, tear_down),
        cmocka_unit_test_setup_teardown(others_wait_for_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_waits_when_the_hub_stops, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* When a hub at rest wakes by itself. */
#include "hub_rig.h"

static void keys_are_forgotten_when_their_time_is_over_though_nothing_happens(void **state)
{
    struct rig *rig = *state;
    struct publish_call calls[3];
    rig->config.publish_idempotency_ttl_ms = 10000;
    open_plain(rig);
    for (uint64_t i = 0; i < 3; i++) {
        publish(rig, &calls[i], "a", "x");
        calls[i].key = (struct idempotency_key){ { i + 1, 1 }, { 1, 1 } };
        turn(rig);
        assert_int_equal(calls[i].call.err, 0);
        msg_unref(calls[i].msg);
        rig->mono_ms += 300;
        rig->wall_ms += 300;
    }
    assert_int_equal(metric_sum(METRIC_idempotency_keys), 3);
    int64_t due = hub_due_ms(rig->hub);
    assert_true(due > rig->mono_ms + 9000 && due <= rig->mono_ms + 11000);
    rig->wall_ms += due - rig->mono_ms;
    rig->mono_ms = due;
    hub_tick(rig->hub);
    assert_int_equal(metric_sum(METRIC_idempotency_keys), 0);      /* those that end within a second, at once */
    assert_true(hub_due_ms(rig->hub) > rig->mono_ms + 1000);
}

/* A bounded number each time, and no rest until all are gone. */
static void many_that_are_over_are_forgotten_one_tick_after_the_other(void **state)
{
    struct rig *rig = *state;
    enum { MANY = 1000 };
    rig->config.publish_idempotency_ttl_ms = 10000;
    open_plain(rig);
    for (uint64_t i = 0; i < MANY; i++) {
        struct publish_call call;
        publish(rig, &call, "a", "x");
        call.key = (struct idempotency_key){ { i + 1, 1 }, { 1, 1 } };
        turn(rig);
        msg_unref(call.msg);
    }
    rig->mono_ms += 20000;
    rig->wall_ms += 20000;
    int ticks = 0;
    for (; metric_sum(METRIC_idempotency_keys) > 0; ticks++) {
        assert_true(ticks < 20 && hub_due_ms(rig->hub) <= rig->mono_ms);
        hub_tick(rig->hub);
    }
    assert_true(ticks > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RIG(keys_are_forgotten_when_their_time_is_over_though_nothing_happens),
        ON_RIG(many_that_are_over_are_forgotten_one_tick_after_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

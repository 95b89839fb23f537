/* What the store tells of its deliveries when it trims: how many bytes they take with what was tried, counted the same whatever happens to them
 * and after a restart; and since when the oldest has waited. */
#include "tests/unit/store_rig.h"

#include "hub/deliveries.h"

enum { A = 11, EPOCH = 4711, EVENTS = 300 };
static const int64_t T0 = 1700000000000;
static const char LOG[] = "{\"at\":\"2026-11-21T10:08:00.125Z\",\"status\":500,\"body\":\"a receiver that says why\"}";

static struct hub_event *event_of(uint64_t number)
{
    const struct event_target target = { .endpoint = A };
    struct msg *m = msg_of(number, 0);
    m->epoch = EPOCH;
    struct hub_event *event = hub_event_new(EVENT_MESSAGE_PUBLISHED, m, &target, 1);
    msg_unref(m);
    return event;
}

static void add_events(struct rig *rig, uint64_t from, uint64_t to)
{
    struct hub_event *events[EVENTS];
    struct store_group *group = group_new(rig);
    for (uint64_t number = from; number <= to; number++)
        events[number - from] = event_of(number);
    group->events = events;
    group->n_events = to - from + 1;
    assert_int_equal(rig_commit(rig, group), 0);
    for (uint64_t number = from; number <= to; number++)
        hub_event_free(events[number - from]);
}

static void settle_as(struct rig *rig, uint64_t event, enum delivery_status status, const char *attempts)
{
    struct settlement settled = { .number = delivery_number(event, 0), .endpoint = A, .status = (uint8_t)status, .due_ms = T0, .settled_ms = T0,
                                  .attempts = attempts ? slice_of(attempts) : slice(NULL, 0) };
    struct settle_call call = { .at = &settled, .n = 1 };
    struct store_group *group = group_new(rig);
    group->settlings = &call;
    assert_int_equal(rig_commit(rig, group), 0);
}

/* A round of trimming, until there is no more to do. */
static struct trim_call trim(struct rig *rig, uint64_t max_bytes)
{
    struct trim_call call = { .limits = { 0, 0, max_bytes }, .more = true };
    while (call.more) {
        struct store_group *group = group_new(rig);
        group->trims = &call;
        store_submit(rig->store, group);
        assert_ptr_equal(rig_answer(rig), group);
        assert_int_equal(group->err, 0);
        group_free(group);
    }
    return call;
}

static uint64_t bytes(struct rig *rig) { return trim(rig, UINT64_MAX).bytes; }

static void attempts_are_in_the_bytes_and_go_with_them(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    assert_int_equal(bytes(rig), 0);
    add_events(rig, 1, 10);
    uint64_t ten = bytes(rig);
    assert_true(ten > 10 * 100);
    settle_as(rig, 3, DELIVERY_PENDING, LOG);
    assert_int_equal(bytes(rig), ten + strlen(LOG));
    settle_as(rig, 3, DELIVERY_PENDING, NULL);      /* what was tried stays */
    assert_int_equal(bytes(rig), ten + strlen(LOG));
    settle_as(rig, 3, DELIVERY_DEAD, "{}");
    assert_int_equal(bytes(rig), ten + 2);
    settle_as(rig, 99, DELIVERY_DEAD, LOG);         /* there is none */
    assert_int_equal(bytes(rig), ten + 2);
    rig_close(rig);
    rig_open(rig, STORE_SYNC_BATCH);
    assert_int_equal(bytes(rig), ten + 2);
    for (uint64_t event = 1; event <= 10; event++)
        settle_as(rig, event, event % 2 ? DELIVERY_REMOVED : DELIVERY_DELIVERED, event % 2 ? NULL : LOG);
    assert_true(bytes(rig) < ten + 5 * strlen(LOG) && bytes(rig) > ten);
    assert_int_equal(trim(rig, 0).bytes, 0);
}

static void attempts_alone_can_be_too_many_bytes(void **state)
{
    struct rig *rig = *state;
    static char log[20000];
    rig_open(rig, STORE_SYNC_BATCH);
    add_events(rig, 1, 100);
    memset(log, ' ', sizeof log - 1);
    memcpy(log, "{}", 2);
    for (uint64_t event = 1; event <= 100; event++)
        settle_as(rig, event, DELIVERY_DELIVERED, log);
    uint64_t left = trim(rig, 1 << 20).bytes;
    assert_true(left <= 1 << 20 && left > (1 << 20) - 2 * sizeof log);
}

static void the_oldest_that_waits_is_known_also_when_one_is_sent_again(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    struct trim_call now = trim(rig, UINT64_MAX);
    assert_true(now.oldest_pending_ms == 0 && now.oldest_dead_ms == 0);
    add_events(rig, 1, EVENTS);
    assert_int_equal(trim(rig, UINT64_MAX).oldest_pending_ms, T0 + 1);
    for (uint64_t event = 1; event < EVENTS; event++)
        settle_as(rig, event, event % 7 ? DELIVERY_DELIVERED : DELIVERY_DEAD, "{}");
    now = trim(rig, UINT64_MAX);
    assert_true(now.oldest_pending_ms == T0 + EVENTS && now.oldest_dead_ms == T0 + 7);
    settle_as(rig, 7, DELIVERY_PENDING, NULL);
    now = trim(rig, UINT64_MAX);
    assert_true(now.oldest_pending_ms == T0 + 7 && now.oldest_dead_ms == T0 + 14);
    settle_as(rig, 7, DELIVERY_DELIVERED, NULL);
    settle_as(rig, EVENTS, DELIVERY_DELIVERED, NULL);
    assert_int_equal(trim(rig, UINT64_MAX).oldest_pending_ms, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(attempts_are_in_the_bytes_and_go_with_them, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(attempts_alone_can_be_too_many_bytes, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(the_oldest_that_waits_is_known_also_when_one_is_sent_again, rig_setup, rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

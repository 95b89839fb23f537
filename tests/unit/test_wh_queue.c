/* The queue of an endpoint: what is due is sent although it is in the store only, or was kept late; what asks for time gets it. */
#include "tests/unit/wh_rig.h"

#include "hub/metrics.h"

/* ---- a store that is slow ---- */

static void (*real_submit)(struct store *store, struct store_group *group);
static struct store_group *held[16];
static size_t n_held;
static bool   holds;

static void hold_or_submit(struct store *store, struct store_group *group)
{
    assert_true(n_held < 16);
    if (holds)
        held[n_held++] = group;
    else
        real_submit(store, group);
}

static void hold(void)
{
    real_submit = rig.store->submit;
    rig.store->submit = hold_or_submit;
    holds = true;
    n_held = 0;
}

static void let_go(void)
{
    holds = false;
    for (size_t i = 0; i < n_held; i++)
        real_submit(rig.store, held[i]);
    rig.store->submit = real_submit;
    rig_turn();
}

/* It is told before something else becomes due, and kept after that was read: nothing that looks behind what was read finds it. */
static void what_is_kept_late_is_sent_although_the_queue_has_gone_on(void **state)
{
    (void)state;
    rig_endpoint(",\"retry\":\"0,1s,1h\",\"concurrency\":2");
    rig_publish("a", "1");
    rig_answer(0, 500);
    struct publish_call call = { .msg = msg_new(&(struct msg_parts){ .channel = SLICE("a"), .kind = MSG_TEXT, .data = SLICE("2") }) };
    call.call.letter.kind = CALL_PUBLISH;
    call.call.from = rig.api;
    hold();
    call_submit(&rig.to_hub, &call.call, 0);
    rig_turn();
    rig_pass(1500);
    assert_int_equal(rig.n_sent, 1);
    assert_string_equal(rig_data(0), "1");
    let_go();
    rig_pass(100);
    assert_int_equal(rig.n_sent, 2);
    assert_string_equal(rig_data(1), "2");
    msg_unref(call.msg);
}

/* ---- Retry-After ---- */

static void who_asks_for_time_gets_it_also_with_the_last_attempt_of_a_delivery(void **state)
{
    (void)state;
    rig_endpoint(",\"retry\":\"0\",\"concurrency\":1");
    rig_publish("a", "1");
    rig_publish("a", "2");
    rig_answer_with(0, 429, "Retry-After: 30\n");
    assert_int_equal(rig_count(DELIVERY_DEAD), 1);
    rig_pass(29900);
    assert_int_equal(rig.n_sent, 0);
    rig_pass(200);
    assert_int_equal(rig.n_sent, 1);
}

static void of_two_that_ask_for_time_the_longer_is_heard(void **state)
{
    (void)state;
    rig_endpoint(",\"retry\":\"0,1s\",\"concurrency\":2");
    for (int i = 0; i < 3; i++)
        rig_publish("a", "x");
    rig_answer_with(0, 429, "Retry-After: 30\n");
    rig_answer_with(0, 429, "Retry-After: 1\n");
    rig_pass(29900);
    assert_int_equal(rig.n_sent, 0);
    rig_pass(200);
    assert_int_equal(rig.n_sent, 2);
}

/* ---- the schedule begins with a delay ---- */

static void the_first_attempt_waits_as_the_schedule_says(void **state)
{
    (void)state;
    rig_endpoint(",\"retry\":\"10s,1h\"");
    rig_publish("a", "1");
    rig_pass(7900);
    assert_int_equal(rig.n_sent, 0);
    rig_pass(4200);
    assert_int_equal(rig.n_sent, 1);
    rig_answer(0, 200);
    assert_int_equal(rig_count(DELIVERY_DELIVERED), 1);
}

/* ---- what is over leaves nothing behind ---- */

static void an_attempt_that_comes_to_nothing_leaves_its_room_to_others(void **state)
{
    (void)state;
    rig.config.webhooks_concurrency = 1;
    rig_endpoint(",\"channels\":[\"a\"]");
    rig_endpoint(",\"channels\":[\"b\"]");
    rig_publish("a", "a");
    rig_publish("b", "b");
    assert_string_equal(rig_data(0), "a");
    struct http_out_request *request = rig.sent[0];
    rig.n_sent = 0;
    request->err = ERR_MEMORY;
    request->answered(request);
    rig_turn();
    assert_int_equal(rig.n_sent, 1);
    assert_string_equal(rig_data(0), "b");
}

static int64_t gauge(enum metric which) { return metric_sum(which); }

static void what_is_counted_of_an_endpoint_goes_with_it(void **state)
{
    (void)state;
    int64_t pending = gauge(METRIC_wh_pending), dead = gauge(METRIC_wh_dead), open = gauge(METRIC_wh_open);
    uint64_t e = rig_endpoint(",\"retry\":\"0\",\"concurrency\":5");
    for (int i = 0; i < 10; i++)
        rig_publish("a", "x");
    for (int i = 0; i < 4; i++)
        rig_answer(0, 500);
    assert_int_equal(dispatcher_state(rig.dispatcher, e).breaker, BREAKER_OPEN);
    assert_int_equal(gauge(METRIC_wh_open), open + 1);
    dispatcher_drop(rig.dispatcher, e);
    while (rig.n_sent > 0)
        rig_answer(0, 500);
    rig_pass(1000);
    assert_int_equal(gauge(METRIC_wh_pending), pending);
    assert_int_equal(gauge(METRIC_wh_dead), dead);
    assert_int_equal(gauge(METRIC_wh_open), open);
    endpoint_unref(rig.endpoints[--rig.n_endpoints]);
}

static void an_endpoint_that_is_enabled_again_is_no_open_breaker(void **state)
{
    (void)state;
    int64_t open = gauge(METRIC_wh_open);
    uint64_t e = rig_endpoint(",\"retry\":\"0\"");
    for (int i = 0; i < 4; i++)
        rig_publish("a", "x");
    for (int i = 0; i < 4; i++)
        rig_answer(0, 500);
    assert_int_equal(gauge(METRIC_wh_open), open + 1);
    rig_change(e, "{\"enabled\":false}");
    rig_change(e, "{\"enabled\":true}");
    assert_int_equal(gauge(METRIC_wh_open), open);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RIG(what_is_kept_late_is_sent_although_the_queue_has_gone_on),
        ON_RIG(who_asks_for_time_gets_it_also_with_the_last_attempt_of_a_delivery),
        ON_RIG(of_two_that_ask_for_time_the_longer_is_heard),
        ON_RIG(the_first_attempt_waits_as_the_schedule_says),
        ON_RIG(an_attempt_that_comes_to_nothing_leaves_its_room_to_others),
        ON_RIG(what_is_counted_of_an_endpoint_goes_with_it),
        ON_RIG(an_endpoint_that_is_enabled_again_is_no_open_breaker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The dispatcher: what is sent when, what is tried again, who waits for whom, and what is in memory of a long queue. */
#include "tests/unit/wh_rig.h"

#include "hub/metrics.h"

static void what_is_published_is_sent_at_once_and_forgotten_when_it_has_arrived(void **state)
{
    (void)state;
    uint64_t e = rig_endpoint("");
    rig_publish("a", "x");
    assert_int_equal(rig.n_sent, 1);
    assert_string_equal(rig_data(0), "x");
    assert_int_equal(dispatcher_state(rig.dispatcher, e).sending, 1);
    rig_answer(0, 204);
    struct dispatcher_state after = dispatcher_state(rig.dispatcher, e);
    assert_true(after.sending == 0 && after.pending == 0 && after.dead == 0);
    assert_int_equal(rig_count(DELIVERY_DELIVERED), 1);
    assert_true(dispatcher_idle(rig.dispatcher));
    rig_pass(600000);
    assert_int_equal(rig.n_sent, 0);
}

static void what_fails_is_tried_as_the_schedule_says_and_is_a_dead_letter_then(void **state)
{
    (void)state;
    uint64_t e = rig_endpoint("");
    rig_publish("a", "x");
    rig_answer(0, 500);
    rig_pass(3900);
    assert_int_equal(rig.n_sent, 0);
    rig_pass(2200);
    assert_int_equal(rig.n_sent, 1);
    rig_answer(0, 0);
    rig_pass(23000);
    assert_int_equal(rig.n_sent, 0);
    rig_pass(14000);
    assert_int_equal(rig.n_sent, 1);
    rig_answer(0, 302);
    struct dispatcher_state after = dispatcher_state(rig.dispatcher, e);
    assert_true(after.pending == 0 && after.dead == 1);
    struct delivery_read read;
    rig_read(&read, (struct delivery_read){ .kind = READ_NEWEST, .statuses = 1U << DELIVERY_DEAD, .limit = 1, .looks = 10, .max_bytes = SIZE_MAX });
    assert_true(read.n == 1 && read.rows[0].tries == 3);
    char attempts[4096];
    snprintf(attempts, sizeof attempts, "%.*s", (int)read.rows[0].attempts.len, read.rows[0].attempts.at);
    assert_non_null(strstr(attempts, "\"status\":500"));
    assert_non_null(strstr(attempts, "\"error\":\"connect\""));
    assert_non_null(strstr(attempts, "\"status\":302"));
    delivery_read_fini(&read);
}

static void an_endpoint_that_hangs_delays_no_other(void **state)
{
    (void)state;
    rig_endpoint(",\"concurrency\":2,\"channels\":[\"slow\"]");
    rig_endpoint(",\"channels\":[\"fast\"]");
    for (int i = 0; i < 50; i++)
        rig_publish("slow", "s");
    assert_int_equal(rig.n_sent, 2);
    for (int i = 0; i < 20; i++) {
        rig_publish("fast", "f");
        assert_int_equal(rig.n_sent, 3);
        assert_string_equal(rig_data(2), "f");
        rig_answer(2, 200);
    }
    rig_answer(0, 200);
    assert_int_equal(rig.n_sent, 2);
}

static void those_that_wait_for_room_take_turns(void **state)
{
    (void)state;
    rig.config.webhooks_concurrency = 1;
    rig_endpoint(",\"channels\":[\"a\"]");
    rig_endpoint(",\"channels\":[\"b\"]");
    for (int i = 0; i < 10; i++)
        rig_publish("a", "a");
    for (int i = 0; i < 10; i++)
        rig_publish("b", "b");
    char order[21] = "";
    for (int i = 0; i < 20; i++) {
        assert_int_equal(rig.n_sent, 1);
        strcat(order, rig_data(0));
        rig_answer(0, 200);
    }
    assert_non_null(strstr(order, "abababab"));
}

static void of_a_long_queue_only_the_heads_are_in_memory_and_all_of_it_arrives_in_order(void **state)
{
    (void)state;
    uint64_t e = rig_endpoint(",\"concurrency\":1,\"paused\":true");
    rig.config.webhooks_queue = 100000;
    for (int i = 0; i < 3000; i++) {
        char data[16];
        snprintf(data, sizeof data, "%d", i);
        rig_publish("a", data);
    }
    assert_int_equal(rig.n_sent, 0);
    assert_int_equal(dispatcher_state(rig.dispatcher, e).pending, 3000);
    rig_change(e, "{\"paused\":false}");
    for (int i = 0; i < 3000; i++) {
        char data[16];
        snprintf(data, sizeof data, "%d", i);
        assert_int_equal(rig.n_sent, 1);
        assert_string_equal(rig_data(0), data);
        rig_answer(0, 200);
    }
    assert_int_equal(dispatcher_state(rig.dispatcher, e).pending, 0);
}

static void more_than_may_wait_are_dead_letters_at_once(void **state)
{
    (void)state;
    uint64_t e = rig_endpoint(",\"paused\":true");
    rig.config.webhooks_queue = 5;
    for (int i = 0; i < 8; i++)
        rig_publish("a", "x");
    struct dispatcher_state s = dispatcher_state(rig.dispatcher, e);
    assert_true(s.pending == 5 && s.dead == 3);
    assert_int_equal(rig_count(DELIVERY_DEAD), 3);
}

static void an_ordered_endpoint_gets_each_channel_in_order_and_channels_beside_each_other(void **state)
{
    (void)state;
    rig_endpoint(",\"ordered\":true");
    rig_publish("a", "a1");
    rig_publish("a", "a2");
    rig_publish("b", "b1");
    rig_publish("a", "a3");
    rig_pass(1);
    assert_int_equal(rig.n_sent, 2);
    assert_string_equal(rig_data(0), "a1");
    assert_string_equal(rig_data(1), "b1");
    rig_answer(1, 200);
    rig_answer(0, 500);
    rig_pass(3900);
    assert_int_equal(rig.n_sent, 0);      /* its channel waits */
    rig_pass(2200);
    assert_string_equal(rig_data(0), "a1");
    rig_answer(0, 200);
    rig_pass(1);
    assert_int_equal(rig.n_sent, 1);
    assert_string_equal(rig_data(0), "a2");
    rig_answer(0, 200);
    rig_pass(1);
    assert_string_equal(rig_data(0), "a3");
    rig_answer(0, 200);
    assert_int_equal(rig_count(DELIVERY_DELIVERED), 4);
}

static void after_the_last_attempt_an_ordered_channel_goes_on_or_stays(void **state)
{
    (void)state;
    rig_endpoint(",\"ordered\":true,\"retry\":\"0\",\"channels\":[\"skips\"]");
    rig_endpoint(",\"ordered\":true,\"retry\":\"0\",\"after_last\":\"block\",\"channels\":[\"blocks\"]");
    rig_publish("skips", "s1");
    rig_publish("skips", "s2");
    rig_publish("blocks", "b1");
    rig_publish("blocks", "b2");
    rig_pass(1);
    assert_int_equal(rig.n_sent, 2);
    rig_answer(1, 500);
    rig_answer(0, 500);
    rig_pass(1);
    assert_int_equal(rig.n_sent, 1);
    assert_string_equal(rig_data(0), "s2");
    rig_answer(0, 200);
    rig_pass(86400000);
    assert_int_equal(rig.n_sent, 0);
    assert_int_equal(rig_count(DELIVERY_PENDING), 2);
    assert_int_equal(dispatcher_state(rig.dispatcher, 2).pending, 2);
}

static void failures_in_a_row_open_the_breaker_and_no_attempt_is_spent_while_it_is(void **state)
{
    (void)state;
    uint64_t e = rig_endpoint(",\"concurrency\":1,\"retry\":\"0,1h\"");
    for (int i = 0; i < 20; i++)
        rig_publish("a", "x");
    for (int i = 0; i < 4; i++)
        rig_answer(0, 500);
    assert_int_equal(rig.n_sent, 0);
    assert_int_equal(dispatcher_state(rig.dispatcher, e).breaker, BREAKER_OPEN);
    rig_pass(4900);
    assert_int_equal(rig.n_sent, 0);
    rig_pass(200);
    assert_int_equal(rig.n_sent, 1);      /* the probe */
    rig_answer(0, 500);
    rig_pass(9000);
    assert_int_equal(rig.n_sent, 0);
    rig_pass(1100);
    assert_int_equal(rig.n_sent, 1);
    rig_answer(0, 200);
    for (int i = 0; i < 14; i++) {
        assert_int_equal(rig.n_sent, 1);
        rig_answer(0, 200);
    }
    assert_int_equal(dispatcher_state(rig.dispatcher, e).breaker, BREAKER_CLOSED);
    assert_int_equal(rig_count(DELIVERY_DELIVERED), 15);
    assert_int_equal(rig_count(DELIVERY_PENDING), 5);
}

static void who_asks_for_time_gets_it_for_the_whole_endpoint(void **state)
{
    (void)state;
    uint64_t e = rig_endpoint(",\"concurrency\":1");
    rig_publish("a", "1");
    rig_publish("a", "2");
    rig_answer_with(0, 503, "Retry-After: 20\n");
    assert_true(dispatcher_state(rig.dispatcher, e).paused_until_ms == rig.wall_ms + 20000);
    rig_pass(19900);
    assert_int_equal(rig.n_sent, 0);
    rig_pass(200);
    assert_int_equal(rig.n_sent, 1);
    assert_string_equal(rig_data(0), "2");
    rig_answer(0, 200);
    rig_pass(10000);
    assert_string_equal(rig_data(0), "1");
    rig_answer(0, 503);      /* without a word about time only this one waits */
    rig_publish("a", "3");
    assert_int_equal(rig.n_sent, 1);
    rig_answer(0, 200);
}

static void what_is_gone_is_switched_off_and_what_waits_is_kept(void **state)
{
    (void)state;
    uint64_t e = rig_endpoint("");
    rig_publish("a", "1");
    rig_answer(0, 410);
    assert_int_equal(rig.marked, DISABLED_GONE);
    rig_change(e, "{\"enabled\":false}");
    rig_pass(86400000);
    assert_int_equal(rig.n_sent, 0);
    rig_change(e, "{\"enabled\":true}");
    assert_int_equal(rig.n_sent, 1);
    rig_answer(0, 200);
    assert_int_equal(rig_count(DELIVERY_DELIVERED), 1);
}

static void who_only_fails_for_long_is_switched_off(void **state)
{
    (void)state;
    rig_endpoint(",\"retry\":\"0,8h,8h,8h,8h\"");
    rig_publish("a", "1");
    for (int i = 0; i < 5 && rig.marked != DISABLED_FAILING; i++) {
        assert_int_equal(rig.n_sent, 1);
        rig_answer(0, 500);
        rig_pass(36000000);
    }
    assert_int_equal(rig.marked, DISABLED_FAILING);
}

static void a_rate_is_kept_but_for_a_second_of_burst(void **state)
{
    (void)state;
    rig_endpoint(",\"rate\":10,\"concurrency\":100");
    for (int i = 0; i < 100; i++)
        rig_publish("a", "x");
    size_t begun = rig.n_sent;
    assert_true(begun >= 10 && begun <= 11);
    while (rig.n_sent > 0)
        rig_answer(0, 200);
    for (int i = 0; i < 5; i++) {
        rig_pass(1000);
        begun += rig.n_sent;
        while (rig.n_sent > 0)
            rig_answer(0, 200);
    }
    assert_true(begun >= 58 && begun <= 62);
}

static void (*real_submit)(struct store *store, struct store_group *group);
static bool refuses;

static void refuse_or_submit(struct store *store, struct store_group *group)
{
    if (!refuses) {
        real_submit(store, group);
        return;
    }
    struct store_group *empty = group;
    size_t n_events = group->n_events;
    struct settle_call *settlings = group->settlings;
    struct trim_call *trims = group->trims;
    group->n_events = 0;
    group->settlings = NULL;
    group->trims = NULL;
    real_submit(store, empty);      /* its answer is in the mail, and says what we make of it */
    group->n_events = n_events;
    group->settlings = settlings;
    group->trims = trims;
    group->err = ERR_STORE_FAILED;
}

static unsigned trims;

static void submit_and_keep_a_million(struct store *store, struct store_group *group)
{
    real_submit(store, group);
    trims += group->trims != NULL;
    if (group->trims)
        group->trims->stays = 1000000;
}

static void what_is_old_and_stays_is_looked_at_less_often_when_it_is_much(void **state)
{
    (void)state;
    rig_endpoint("");
    rig_pass(11000);      /* another one, that has nothing to keep */
    real_submit = rig.store->submit;
    rig.store->submit = submit_and_keep_a_million;
    trims = 0;
    rig_pass(10000);
    assert_int_equal(trims, 1);
    rig_pass(15000);
    assert_int_equal(trims, 1);
    rig_pass(6000);
    assert_int_equal(trims, 2);
}

static void what_the_store_cannot_settle_is_settled_later_and_not_sent_twice(void **state)
{
    (void)state;
    rig_endpoint("");
    rig_publish("a", "1");
    real_submit = rig.store->submit;
    rig.store->submit = refuse_or_submit;
    refuses = true;
    rig_answer(0, 200);
    rig_pass(5000);
    assert_int_equal(rig_count(DELIVERY_PENDING), 1);
    assert_int_equal(rig.n_sent, 0);
    assert_false(dispatcher_idle(rig.dispatcher));
    refuses = false;
    rig_pass(3000);
    assert_int_equal(rig_count(DELIVERY_DELIVERED), 1);
    assert_int_equal(rig.n_sent, 0);
    rig.store->submit = real_submit;
}

static void what_is_due_again_is_not_passed_by_what_happens_then(void **state)
{
    (void)state;
    rig_endpoint(",\"retry\":\"0,20ms,5s\"");
    rig_publish("a", "1");
    rig_answer(0, 500);
    rig.mono_ms += 100;
    rig.wall_ms += 100;
    rig_publish("a", "2");
    rig_pass(100);
    assert_int_equal(rig.n_sent, 2);
    assert_string_equal(rig_data(0), "1");
    assert_string_equal(rig_data(1), "2");
}

/* Due before what was read meanwhile: nothing that looks behind the cursor finds it. */
static void what_is_settled_late_is_tried_again_although_the_queue_has_gone_on(void **state)
{
    (void)state;
    rig_endpoint(",\"retry\":\"0,20ms,5s\"");
    rig_publish("a", "1");
    real_submit = rig.store->submit;
    rig.store->submit = refuse_or_submit;
    refuses = true;
    rig_answer(0, 500);
    refuses = false;
    rig.mono_ms += 100;
    rig.wall_ms += 100;
    rig_publish("a", "2");
    assert_string_equal(rig_data(0), "2");
    rig_answer(0, 200);
    assert_int_equal(rig.n_sent, 0);
    rig_pass(2000);
    assert_int_equal(rig.n_sent, 1);
    assert_string_equal(rig_data(0), "1");
    rig_answer(0, 200);
    assert_int_equal(rig_count(DELIVERY_DELIVERED), 2);
    rig.store->submit = real_submit;
}

static void note_settled(struct settle_call *call) { *(bool *)call->owner = true; }

static void a_dead_letter_that_is_sent_again_goes_out_once_beside_what_is_in_memory(void **state)
{
    (void)state;
    uint64_t e = rig_endpoint(",\"retry\":\"0\",\"concurrency\":4");
    for (int i = 0; i < 8; i++)
        rig_publish("a", i == 0 ? "first" : "x");
    rig_answer(0, 500);
    struct delivery_read read;
    rig_read(&read, (struct delivery_read){ .kind = READ_OLDEST, .statuses = 1U << DELIVERY_DEAD, .limit = 10, .looks = 100, .max_bytes = SIZE_MAX });
    assert_int_equal(read.n, 1);
    struct settlement again = { .number = read.rows[0].number, .endpoint = e, .status = DELIVERY_PENDING, .due_ms = rig.wall_ms, .settled_ms = rig.wall_ms };
    bool settled = false;
    struct settle_call call = { .at = &again, .n = 1, .owner = &settled, .answered = note_settled };
    hub_settle(rig.hub, &call);
    rig_turn();
    assert_true(settled);
    dispatcher_changed(rig.dispatcher, true, &again, 1, read.rows);
    delivery_read_fini(&read);
    rig_pass(1);
    size_t firsts = 0, all = 0;
    for (; rig.n_sent > 0; all++) {
        firsts += !strcmp(rig_data(0), "first");
        rig_answer(0, 200);
        rig_pass(1);
    }
    assert_int_equal(firsts, 1);
    assert_int_equal(all, 8);
    assert_int_equal(rig_count(DELIVERY_DELIVERED), 8);
    struct dispatcher_state s = dispatcher_state(rig.dispatcher, e);
    assert_true(s.pending == 0 && s.dead == 0);
}

/* Two that have read the same dead letter: the one that comes later does nothing, and nobody counts twice. */
static void a_dead_letter_is_sent_again_by_one_of_two(void **state)
{
    (void)state;
    uint64_t e = rig_endpoint(",\"retry\":\"0\"");
    rig_publish("a", "1");
    rig_answer(0, 500);
    struct delivery_read read;
    rig_read(&read, (struct delivery_read){ .kind = READ_OLDEST, .limit = 10, .looks = 100, .max_bytes = SIZE_MAX });
    for (int i = 0; i < 2; i++) {
        struct settlement again = { .number = read.rows[0].number, .endpoint = e, .status = DELIVERY_PENDING, .due_ms = rig.wall_ms, .settled_ms = rig.wall_ms,
                                    .only_from = 1U << DELIVERY_DEAD };
        bool settled = false;
        struct settle_call call = { .at = &again, .n = 1, .owner = &settled, .answered = note_settled };
        hub_settle(rig.hub, &call);
        rig_turn();
        assert_true(settled);
        assert_int_equal(again.done, i == 0);
        dispatcher_changed(rig.dispatcher, true, &again, 1, read.rows);
        assert_int_equal(dispatcher_state(rig.dispatcher, e).pending, 1);
        assert_int_equal(dispatcher_state(rig.dispatcher, e).dead, 0);
    }
    delivery_read_fini(&read);
}

static void assert_pending(uint64_t endpoint, int64_t metric_before, uint64_t n)
{
    assert_int_equal(dispatcher_state(rig.dispatcher, endpoint).pending, n);
    assert_int_equal(metric_sum(METRIC_wh_pending) - metric_before, n);
}

/* The hub counts when it begins, with its doors open already: the store may keep events, and settle some, before it comes to that. */
static void what_is_kept_or_settled_before_it_is_counted_is_counted_once(void **state)
{
    (void)state;
    int64_t before = metric_sum(METRIC_wh_pending);
    uint64_t e = rig_endpoint("");
    for (int i = 0; i < 6; i++)
        rig_publish("a", "x");
    dispatcher_count(rig.dispatcher, e, DELIVERY_PENDING, 6 + 10);      /* ten are from before */
    assert_pending(e, before, 16);
    rig_answer(0, 200);
    assert_pending(e, before, 15);
    dispatcher_count(rig.dispatcher, e, DELIVERY_PENDING, 0);           /* not counted yet */
    while (rig.n_sent > 0)
        rig_answer(0, 200);
    assert_pending(e, before, 0);
}

static void an_endpoint_that_is_removed_lets_go_of_all(void **state)
{
    (void)state;
    uint64_t e = rig_endpoint(",\"concurrency\":2");
    for (int i = 0; i < 10; i++)
        rig_publish("a", "x");
    dispatcher_drop(rig.dispatcher, e);
    assert_int_equal(rig.n_sent, 2);
    rig_answer(0, 200);
    rig_answer(0, 500);
    rig_pass(100000);
    assert_int_equal(rig.n_sent, 0);
    rig.n_endpoints = 0;
    endpoint_unref(rig.endpoints[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RIG(what_is_published_is_sent_at_once_and_forgotten_when_it_has_arrived),
        ON_RIG(what_fails_is_tried_as_the_schedule_says_and_is_a_dead_letter_then),
        ON_RIG(an_endpoint_that_hangs_delays_no_other),
        ON_RIG(those_that_wait_for_room_take_turns),
        ON_RIG(of_a_long_queue_only_the_heads_are_in_memory_and_all_of_it_arrives_in_order),
        ON_RIG(more_than_may_wait_are_dead_letters_at_once),
        ON_RIG(an_ordered_endpoint_gets_each_channel_in_order_and_channels_beside_each_other),
        ON_RIG(after_the_last_attempt_an_ordered_channel_goes_on_or_stays),
        ON_RIG(failures_in_a_row_open_the_breaker_and_no_attempt_is_spent_while_it_is),
        ON_RIG(who_asks_for_time_gets_it_for_the_whole_endpoint),
        ON_RIG(what_is_gone_is_switched_off_and_what_waits_is_kept),
        ON_RIG(who_only_fails_for_long_is_switched_off),
        ON_RIG(a_rate_is_kept_but_for_a_second_of_burst),
        ON_RIG(what_is_old_and_stays_is_looked_at_less_often_when_it_is_much),
        ON_RIG(what_the_store_cannot_settle_is_settled_later_and_not_sent_twice),
        ON_RIG(what_is_due_again_is_not_passed_by_what_happens_then),
        ON_RIG(what_is_settled_late_is_tried_again_although_the_queue_has_gone_on),
        ON_RIG(a_dead_letter_that_is_sent_again_goes_out_once_beside_what_is_in_memory),
        ON_RIG(a_dead_letter_is_sent_again_by_one_of_two),
        ON_RIG(what_is_kept_or_settled_before_it_is_counted_is_counted_once),
        ON_RIG(an_endpoint_that_is_removed_lets_go_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

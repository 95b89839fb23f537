/* Events and deliveries in the store: what is due and when, lanes, settling, lists, what is kept no longer; also over a kill. */
#include "tests/unit/store_rig.h"

#include "hub/deliveries.h"
#include "hub/metrics.h"

enum { A = 11, B = 22, EPOCH = 4711 };      /* of the events: ids of events outlive the epoch */
static const int64_t T0 = 1700000000000;

/* ---- events ---- */

static struct hub_event *event_of(uint64_t number, const struct event_target *targets, size_t n)
{
    struct msg *m = msg_of(number, 0);
    m->epoch = EPOCH;
    struct hub_event *event = hub_event_new(EVENT_MESSAGE_PUBLISHED, m, targets, n);
    msg_unref(m);
    return event;
}

/* Events from..to, each for these targets, in one commit. */
static void add_events(struct rig *rig, uint64_t from, uint64_t to, const struct event_target *targets, size_t n)
{
    struct hub_event **events = calloc(to - from + 1, sizeof *events);
    for (uint64_t number = from; number <= to; number++)
        events[number - from] = event_of(number, targets, n);
    struct store_group *group = group_new(rig);
    group->events = events;
    group->n_events = to - from + 1;
    assert_int_equal(rig_commit(rig, group), 0);
    for (size_t i = 0; i <= to - from; i++)
        hub_event_free(events[i]);
    free(events);
}

static void add_for(struct rig *rig, uint64_t from, uint64_t to, uint64_t endpoint, uint64_t lane)
{
    add_events(rig, from, to, &(struct event_target){ .endpoint = endpoint, .lane = lane }, 1);
}

/* ---- asking ---- */

static void note(struct delivery_read *read) { *(bool *)read->owner = true; }

static void ask(struct rig *rig, struct delivery_read *read)
{
    bool answered = false;
    read->answered = note;
    read->owner = &answered;
    store_read(rig->store, read);
    struct pollfd readable = { .fd = rig->box.fd, .events = POLLIN };
    struct letter *letter = NULL;
    while (!(letter = mailbox_take(&rig->box)))
        if (poll(&readable, 1, PATIENCE_MS) <= 0)
            fail_msg("the store does not answer");
    assert_ptr_equal(letter, &read->letter);
    assert_int_equal(letter->kind, LETTER_READ);
    assert_int_equal(read->err, 0);
}

/* The numbers of the events, as text: "3 5 7", "+" when there is more. */
static const char *numbers(struct delivery_read *read)
{
    static char text[512];
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < read->n; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%lu", i ? " " : "", (unsigned long)delivery_event(read->rows[i].number));
    snprintf(text + len, sizeof text - len, "%s", read->more ? "+" : "");
    delivery_read_fini(read);
    return text;
}

static struct delivery_read due(uint64_t endpoint, int64_t at_ms)
{
    return (struct delivery_read){ .kind = READ_DUE, .endpoint = endpoint, .due_ms = at_ms, .limit = 100, .max_bytes = 1 << 20 };
}

static const char *due_numbers(struct rig *rig, uint64_t endpoint, int64_t at_ms)
{
    struct delivery_read read = due(endpoint, at_ms);
    ask(rig, &read);
    return numbers(&read);
}

static struct delivery_read list(enum delivery_read_kind kind, unsigned statuses)
{
    return (struct delivery_read){ .kind = kind, .statuses = statuses, .limit = 100, .looks = 1000, .max_bytes = 1 << 20 };
}

/* ---- settling ---- */

static size_t settle(struct rig *rig, struct settlement settled)
{
    struct settle_call call = { .at = &settled, .n = 1 };
    struct store_group *group = group_new(rig);
    group->settlings = &call;
    assert_int_equal(rig_commit(rig, group), 0);
    return call.n_promoted;
}

static struct settlement as(uint64_t event, uint64_t endpoint, uint64_t lane, enum delivery_status status, int64_t due_ms)
{
    return (struct settlement){ .number = delivery_number(event, 0), .endpoint = endpoint, .lane = lane, .status = (uint8_t)status, .tries = 1,
                                .due_ms = due_ms, .settled_ms = T0 + 500, .attempts = SLICE("tried") };
}

/* ---- tests ---- */

static void what_is_due_comes_in_order_with_its_message_and_page_by_page(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    add_for(rig, 1, 9, A, 0);
    add_for(rig, 10, 12, B, 0);
    struct delivery_read read = due(A, T0 + 100);
    read.limit = 4;
    ask(rig, &read);
    assert_int_equal(read.n, 4);
    struct msg *expected = msg_of(2, 0);
    assert_same_msg(read.rows[1].msg, expected);
    assert_true(read.rows[1].msg->epoch == EPOCH && read.rows[1].epoch == EPOCH);
    msg_unref(expected);
    assert_true(read.rows[3].due_ms == T0 + 4 && read.rows[3].time_ms == T0 + 4 && read.rows[3].tries == 0);
    assert_true(slice_is(read.rows[3].channel, msg_channel(read.rows[3].msg)) && slice_is(read.rows[3].name, msg_event(read.rows[3].msg)));
    int64_t after_due_ms = read.rows[3].due_ms;
    uint64_t after = read.rows[3].number;
    assert_string_equal(numbers(&read), "1 2 3 4+");
    read = due(A, T0 + 8);
    read.after_due_ms = after_due_ms;
    read.after = after;
    ask(rig, &read);
    assert_true(read.next_due_ms == T0 + 9);
    assert_string_equal(numbers(&read), "5 6 7 8");
    assert_string_equal(due_numbers(rig, B, T0 + 100), "10 11 12");
    read = due(B, T0 + 100);
    ask(rig, &read);
    assert_true(read.next_due_ms == DELIVERY_NEVER);
    delivery_read_fini(&read);
}

static void a_page_has_no_more_bytes_than_it_may_and_at_least_one(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    add_for(rig, 1, 9, A, 0);
    struct delivery_read read = due(A, T0 + 100);
    read.max_bytes = 1;
    ask(rig, &read);
    assert_string_equal(numbers(&read), "1+");
}

static void what_was_settled_is_not_due_until_it_is_again(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    add_for(rig, 1, 4, A, 0);
    settle(rig, as(1, A, 0, DELIVERY_DELIVERED, 0));
    settle(rig, as(2, A, 0, DELIVERY_PENDING, T0 + 5000));
    settle(rig, as(3, A, 0, DELIVERY_DEAD, 0));
    assert_string_equal(due_numbers(rig, A, T0 + 100), "4");
    assert_string_equal(due_numbers(rig, A, T0 + 5000), "4 2");
    rig_close(rig);
    rig_open(rig, STORE_SYNC_BATCH);
    assert_string_equal(due_numbers(rig, A, T0 + 5000), "4 2");
    struct delivery_read one = { .kind = READ_ONE, .after = delivery_number(2, 0), .with_message = true };
    ask(rig, &one);
    assert_int_equal(one.n, 1);
    assert_true(slice_is(one.rows[0].attempts, SLICE("tried")) && one.rows[0].tries == 1 && one.rows[0].msg != NULL);
    delivery_read_fini(&one);
    settle(rig, as(2, A, 0, DELIVERY_REMOVED, 0));
    ask(rig, &one);
    assert_int_equal(one.n, 0);
    delivery_read_fini(&one);
}

static void of_a_lane_only_the_first_is_due_and_the_next_when_it_is_settled(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    add_for(rig, 1, 3, A, 7);
    add_for(rig, 4, 5, A, 8);
    assert_string_equal(due_numbers(rig, A, T0 + 100), "1 4");
    assert_int_equal(settle(rig, as(1, A, 7, DELIVERY_PENDING, T0 + 9000)), 0);      /* it is tried again, the others wait */
    assert_string_equal(due_numbers(rig, A, T0 + 100), "4");
    assert_int_equal(settle(rig, as(1, A, 7, DELIVERY_DELIVERED, 0)), 1);
    assert_string_equal(due_numbers(rig, A, T0 + 1000), "4 2");
    assert_int_equal(settle(rig, as(2, A, 7, DELIVERY_DEAD, 0)), 1);
    assert_int_equal(settle(rig, as(3, A, 7, DELIVERY_DELIVERED, 0)), 0);
    assert_string_equal(due_numbers(rig, A, T0 + 1000), "4");
    /* A dead letter that is sent again goes behind the one that is under way. */
    assert_int_equal(settle(rig, as(4, A, 8, DELIVERY_DEAD, 0)), 1);
    assert_int_equal(settle(rig, as(4, A, 8, DELIVERY_PENDING, DELIVERY_NEVER)), 0);
    assert_string_equal(due_numbers(rig, A, T0 + 1000), "5");
    assert_int_equal(settle(rig, as(5, A, 8, DELIVERY_DELIVERED, 0)), 1);
    assert_string_equal(due_numbers(rig, A, T0 + 1000), "4");
}

static void too_many_are_dead_letters_at_once(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    const struct event_target targets[] = { { .endpoint = A }, { .endpoint = B, .is_over = true } };
    add_events(rig, 1, 3, targets, 2);
    assert_string_equal(due_numbers(rig, B, T0 + 100), "");
    struct delivery_read dead = list(READ_OLDEST, 1 << DELIVERY_DEAD);
    dead.endpoint = B;
    ask(rig, &dead);
    assert_string_equal(numbers(&dead), "1 2 3");
    struct delivery_read counts = { .kind = READ_COUNTS };
    ask(rig, &counts);
    assert_int_equal(counts.n, 2);
    assert_true(counts.rows[0].endpoint == A && counts.rows[0].status == DELIVERY_PENDING && counts.rows[0].number == 3);
    assert_true(counts.rows[1].endpoint == B && counts.rows[1].status == DELIVERY_DEAD && counts.rows[1].number == 3);
    delivery_read_fini(&counts);
}

static void lists_go_both_ways_and_leave_out_what_is_not_wanted(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    const struct event_target both[] = { { .endpoint = A }, { .endpoint = B } };
    add_events(rig, 1, 20, both, 2);
    settle(rig, as(3, A, 0, DELIVERY_DELIVERED, 0));
    settle(rig, as(5, A, 0, DELIVERY_DEAD, 0));
    settle(rig, as(9, A, 0, DELIVERY_DEAD, 0));

    struct delivery_read read = list(READ_NEWEST, 1 << DELIVERY_DEAD | 1 << DELIVERY_DELIVERED);
    ask(rig, &read);
    assert_string_equal(numbers(&read), "9 5 3");
    read = list(READ_NEWEST, 1 << DELIVERY_DEAD);
    read.endpoint = A;
    read.limit = 1;
    ask(rig, &read);
    uint64_t after = read.upto;
    assert_string_equal(numbers(&read), "9+");
    read.after = after;
    read.limit = 10;
    ask(rig, &read);
    assert_string_equal(numbers(&read), "5");

    read = list(READ_OLDEST, 0);
    read.event = 7;
    ask(rig, &read);
    assert_true(read.n == 2 && read.rows[0].endpoint == A && read.rows[1].endpoint == B);
    assert_string_equal(numbers(&read), "7 7");
    read = list(READ_NEWEST, 0);
    read.endpoint = B;
    read.since_ms = T0 + 5;
    read.until_ms = T0 + 8;
    ask(rig, &read);
    assert_string_equal(numbers(&read), "8 7 6 5");

    read = list(READ_OLDEST, 1 << DELIVERY_DEAD);      /* it looks at so many, and is asked to go on */
    read.looks = 10;
    ask(rig, &read);
    assert_true(read.n == 1 && read.upto == delivery_number(5, 1));
    assert_string_equal(numbers(&read), "5+");
}

static const struct delivery_limits nothing_ends = { 0, 0, UINT64_MAX };

static uint64_t stay;      /* events that the trim before has looked at in vain */

static uint64_t trim(struct rig *rig, struct delivery_limits limits)
{
    uint64_t dropped = 0;
    stay = 0;
    for (bool on = true; on;) {
        struct store_group *group = group_new(rig);
        struct trim_call call = { .limits = limits };
        group->trims = &call;
        store_submit(rig->store, group);
        assert_ptr_equal(rig_answer(rig), group);
        assert_int_equal(group->err, 0);
        dropped += call.dead_dropped;
        stay += call.stays;
        on = call.more;
        group_free(group);
    }
    return dropped;
}

static size_t count_all(struct rig *rig)
{
    struct delivery_read read = list(READ_OLDEST, 0);
    read.limit = read.looks = 100000;
    read.max_bytes = SIZE_MAX;
    ask(rig, &read);
    size_t n = read.n;
    delivery_read_fini(&read);
    return n;
}

static void what_is_old_goes_but_not_what_is_pending(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    add_for(rig, 1, 1000, A, 0);
    for (uint64_t number = 1; number <= 1000; number++)
        if (number % 10)
            settle(rig, as(number, A, 0, number % 3 ? DELIVERY_DELIVERED : DELIVERY_DEAD, 0));
    assert_int_equal(trim(rig, nothing_ends), 0);
    assert_int_equal(count_all(rig), 1000);
    assert_int_equal(trim(rig, (struct delivery_limits){ T0 + 501, T0 + 201, UINT64_MAX }), 60);      /* of dead ones those up to 200, of others those up to 500 */
    assert_int_equal(count_all(rig), 1000 - 120 - 60 - 180);
    assert_int_equal(trim(rig, (struct delivery_limits){ T0 + 5000, T0 + 5000, UINT64_MAX }), 240);
    assert_int_equal(count_all(rig), 100);
    assert_int_equal(stay, 100);
}

static void beyond_its_bytes_the_oldest_go_and_dead_letters_last(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    add_for(rig, 1, 600, A, 0);
    for (uint64_t number = 1; number <= 600; number++)
        settle(rig, as(number, A, 0, number % 2 ? DELIVERY_DELIVERED : number % 4 ? DELIVERY_DEAD : DELIVERY_PENDING, T0 + 9000));
    trim(rig, (struct delivery_limits){ 0, 0, 200000 });
    size_t left = count_all(rig);
    assert_true(left > 300 && left < 600);
    struct delivery_read dead = list(READ_OLDEST, 1 << DELIVERY_DEAD);
    dead.limit = 1000;
    ask(rig, &dead);
    assert_int_equal(dead.n, 150);
    delivery_read_fini(&dead);
    assert_int_equal(trim(rig, (struct delivery_limits){ 0, 0, 1 }), 150);      /* and all that has arrived */
    assert_int_equal(count_all(rig), 150);
}

/* So many as fit into the bytes, of 9,000 dead letters with numbers of as many digits. */
static size_t left_of(struct rig *rig, uint64_t from, bool after_another_start)
{
    const struct delivery_limits some = { 0, 0, 500000 };
    add_events(rig, from, from + 8999, &(struct event_target){ .endpoint = A, .is_over = true }, 1);
    if (after_another_start) {
        rig_close(rig);
        rig_open(rig, STORE_SYNC_BATCH);
    }
    trim(rig, some);      /* dead letters go in the round after */
    trim(rig, some);
    assert_int_equal(trim(rig, some), 0);
    return count_all(rig);
}

static void what_earlier_runs_have_left_counts_in_its_bytes(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    size_t left = left_of(rig, 10001, false);
    assert_true(left > 1000 && left < 8000);
    trim(rig, (struct delivery_limits){ INT64_MAX, INT64_MAX, UINT64_MAX });
    assert_int_equal(count_all(rig), 0);
    assert_int_equal(left_of(rig, 20001, true), left);
}

static void an_event_is_kept_with_the_message_that_caused_it_or_neither_is(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    const struct event_target target = { .endpoint = A };
    struct hub_event *event = event_of(1, &target, 1);
    struct store_group *group = group_of(rig, 1, 1);
    group->events = &event;
    group->n_events = 1;
    assert_int_equal(rig_commit(rig, group), 0);
    /* The number is there already: the event cannot be kept, so the message is not. */
    group = group_of(rig, 2, 2);
    group->events = &event;
    group->n_events = 1;
    assert_int_equal(rig_commit(rig, group), ERR_STORE_FAILED);
    rig_close(rig);
    assert_kept(rig, 1, 1);
    hub_event_free(event);
}

static void many_may_wait_and_only_a_page_of_them_is_read(void **state)
{
    struct rig *rig = *state;
    rig_open(rig, STORE_SYNC_BATCH);
    for (uint64_t number = 1; number <= 20000; number += 1000)
        add_for(rig, number, number + 999, A, 0);
    rig_close(rig);
    rig_open(rig, STORE_SYNC_BATCH);
    struct delivery_read read = due(A, T0 + 100000);
    ask(rig, &read);
    assert_true(read.n == 100 && read.more);
    delivery_read_fini(&read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_due_comes_in_order_with_its_message_and_page_by_page, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_page_has_no_more_bytes_than_it_may_and_at_least_one, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(what_was_settled_is_not_due_until_it_is_again, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(of_a_lane_only_the_first_is_due_and_the_next_when_it_is_settled, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(too_many_are_dead_letters_at_once, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(lists_go_both_ways_and_leave_out_what_is_not_wanted, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(what_is_old_goes_but_not_what_is_pending, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(beyond_its_bytes_the_oldest_go_and_dead_letters_last, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(what_earlier_runs_have_left_counts_in_its_bytes, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(an_event_is_kept_with_the_message_that_caused_it_or_neither_is, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(many_may_wait_and_only_a_page_of_them_is_read, rig_setup, rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Events: for whom they are, kept with what caused them, told once they are; the hub's own, and those that the store cannot take. */
#include "tests/unit/hub_rig.h"

#include "hub/hook.h"

/* ---- a hook that wants what the test says ---- */

struct taker {
    struct hook         hook;                    /* first */
    struct event_target targets[4];
    size_t              n_targets;
    bool                wants;
    struct hub_event   *came[16];
    size_t              n_came;
};

static size_t give_targets(struct hook *hook, enum event_type type, const struct msg *m, struct event_target *ret_targets)
{
    struct taker *taker = (struct taker *)hook;
    (void)type, (void)m;
    memcpy(ret_targets, taker->targets, taker->n_targets * sizeof *ret_targets);
    return taker->n_targets;
}

static bool give_wants(const struct hook *hook, enum event_type type)
{
    (void)type;
    return ((const struct taker *)hook)->wants;
}

static void take(struct hook *hook, struct hub_event *event)
{
    struct taker *taker = (struct taker *)hook;
    assert_true(taker->n_came < 16);
    taker->came[taker->n_came++] = event;
}

static void no_watch(struct hook *hook, struct slice channel, bool on) { (void)hook, (void)channel, (void)on; }

static struct taker taker_of(size_t n_targets)
{
    struct taker taker = { .hook = { give_targets, give_wants, take, no_watch }, .n_targets = n_targets, .wants = n_targets > 0 };
    for (size_t i = 0; i < n_targets; i++)
        taker.targets[i] = (struct event_target){ .endpoint = i + 1 };
    return taker;
}

static void taker_fini(struct taker *taker)
{
    for (size_t i = 0; i < taker->n_came; i++)
        hub_event_free(taker->came[i]);
    taker->n_came = 0;
}

static void open_with(struct rig *rig, struct taker *taker)
{
    open_hub(rig, true, (struct hub_start){ EPOCH, 1, 1000, 0, SLICE("") }, SIZE_MAX);
    hub_use_hook(rig->hub, &taker->hook);
}

static void send_event(struct rig *rig, struct publish_call *call, const char *channel, const char *type)
{
    *call = (struct publish_call){ .msg = msg_new(&(struct msg_parts){ .channel = slice_of(channel), .event = slice_of(type), .kind = MSG_JSON,
                                                                       .data = SLICE("{}") }) };
    submit(rig, &call->call, CALL_EVENT);
}

static void done(struct publish_call *call) { msg_unref(call->msg); }

/* ---- tests ---- */

static void a_publish_with_endpoints_is_answered_when_its_event_is_kept(void **state)
{
    struct rig *rig = *state;
    struct taker taker = taker_of(2);
    rig->config.store_sync = STORE_SYNC_OFF;      /* also then */
    open_with(rig, &taker);
    struct publish_call call;
    publish(rig, &call, "a", "x");
    turn(rig);
    assert_int_equal(call.call.err, UNANSWERED);
    assert_int_equal(taker.n_came, 0);
    assert_int_equal(rig->submitted[0]->n_events, 1);
    assert_ptr_equal(rig->submitted[0]->events[0]->msg, call.msg);
    store_answers(rig, 0);
    assert_int_equal(call.call.err, 0);
    assert_int_equal(taker.n_came, 1);
    assert_true(taker.came[0]->msg->seq == 1 && taker.came[0]->n_targets == 2 && taker.came[0]->type == EVENT_MESSAGE_PUBLISHED);
    assert_true(taker.came[0]->targets[1].endpoint == 2);
    done(&call);
    taker_fini(&taker);
}

static void without_endpoints_there_is_no_event(void **state)
{
    struct rig *rig = *state;
    struct taker taker = taker_of(0);
    rig->config.store_sync = STORE_SYNC_OFF;
    open_with(rig, &taker);
    struct publish_call call;
    publish(rig, &call, "a", "x");
    turn(rig);
    assert_int_equal(call.call.err, 0);
    assert_int_equal(rig->submitted[0]->n_events, 0);
    store_answers(rig, 0);
    assert_int_equal(taker.n_came, 0);
    done(&call);
}

static void what_the_store_refuses_is_neither_published_nor_told(void **state)
{
    struct rig *rig = *state;
    struct taker taker = taker_of(1);
    open_with(rig, &taker);
    struct publish_call call;
    publish(rig, &call, "a", "x");
    turn(rig);
    store_answers(rig, ERR_STORE_FAILED);
    assert_int_equal(call.call.err, ERR_STORE_FAILED);
    assert_int_equal(taker.n_came, 0);
    done(&call);
}

static void an_event_of_the_application_has_a_number_and_nobody_is_sent_it(void **state)
{
    struct rig *rig = *state;
    struct taker taker = taker_of(1);
    open_with(rig, &taker);
    struct watch_call watching;
    watch(rig, "shop", &watching, CALL_WATCH);
    turn(rig);
    store_answers(rig, 0);      /* numbers are reserved */
    rig->n_came = 0;
    struct publish_call before, event, after;
    publish(rig, &before, "shop", "1");
    send_event(rig, &event, "shop", "order.created");
    publish(rig, &after, "shop", "2");
    turn(rig);
    store_answers(rig, 0);
    assert_true(before.msg->seq == 1 && event.msg->seq == 2 && after.msg->seq == 3 && after.msg->prev == 1);
    assert_came(rig, { LETTER_MESSAGE, 1 }, { LETTER_MESSAGE, 3 });
    assert_int_equal(taker.n_came, 3);
    assert_int_equal(taker.came[1]->type, EVENT_OWN);
    assert_true(slice_is(event_type_of(EVENT_OWN, taker.came[1]->msg), SLICE("order.created")));
    assert_int_equal(hub_head(rig->hub).seq, 3);
    done(&before);
    done(&event);
    done(&after);
    taker_fini(&taker);
}

static void the_hubs_own_events_wait_for_a_store_that_cannot_write(void **state)
{
    struct rig *rig = *state;
    struct taker taker = taker_of(1);
    open_with(rig, &taker);
    hub_tell(rig->hub, EVENT_MEMBER_JOINED, SLICE("a"), SLICE("{\"user\":\"u\"}"), NULL, 0);
    turn(rig);
    store_answers(rig, ERR_STORE_FAILED);
    hub_tell(rig->hub, EVENT_MEMBER_LEFT, SLICE("a"), SLICE("{\"user\":\"u\"}"), NULL, 0);
    assert_int_equal(taker.n_came, 0);
    assert_true(hub_due_ms(rig->hub) <= rig->mono_ms + 2000);
    rig->mono_ms += 2000;
    for (int i = 0; i < 3 && taker.n_came < 2; i++) {
        hub_tick(rig->hub);
        turn(rig);
        if (rig->n_submitted > 0)
            store_answers(rig, 0);
    }
    assert_int_equal(taker.n_came, 2);
    assert_true(taker.came[0]->type == EVENT_MEMBER_JOINED && taker.came[1]->type == EVENT_MEMBER_LEFT);      /* in the order in which they happened */
    assert_true(taker.came[0]->msg->seq < taker.came[1]->msg->seq);
    taker_fini(&taker);
}

static void a_retry_with_a_key_makes_no_second_event(void **state)
{
    struct rig *rig = *state;
    struct taker taker = taker_of(1);
    open_with(rig, &taker);
    struct publish_call first, again;
    send_event(rig, &first, "", "order.created");
    first.key = (struct idempotency_key){ { 1, 2 }, { 3, 4 } };
    turn(rig);
    store_answers(rig, 0);
    send_event(rig, &again, "", "order.created");
    again.key = first.key;
    turn(rig);
    assert_true(again.replayed && again.msg->seq == first.msg->seq && again.call.err == 0);
    assert_int_equal(taker.n_came, 1);
    done(&first);
    done(&again);
    taker_fini(&taker);
}

static void names_of_types_are_the_hubs_or_the_applications(void **state)
{
    (void)state;
    assert_int_equal(event_type_find(SLICE("member.left")), EVENT_MEMBER_LEFT);
    assert_int_equal(event_type_find(SLICE("order.created")), EVENT_OWN);
    assert_int_equal(event_type_check(SLICE("order.created")), 0);
    static const char *const bad[] = { "message.published", "message.other", "webhook.x", "room.x", "member.x", "channel.x", "", "a b", "hub.x" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(event_type_check(slice_of(bad[i])), ERR_BAD_EVENT);
}

static void while_it_drains_the_hub_tells_what_it_has_to(void **state)
{
    struct rig *rig = *state;
    struct taker taker = taker_of(1);
    open_with(rig, &taker);
    hub_drain(rig->hub);
    struct publish_call call;
    publish(rig, &call, "a", "x");
    hub_tell(rig->hub, EVENT_WEBHOOK_DEAD_LETTERED, SLICE(""), SLICE("{}"), NULL, 0);
    turn(rig);
    store_answers(rig, 0);
    assert_int_equal(call.call.err, ERR_DRAINING);
    assert_int_equal(taker.n_came, 1);
    assert_int_equal(taker.came[0]->type, EVENT_WEBHOOK_DEAD_LETTERED);
    done(&call);
    taker_fini(&taker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RIG(a_publish_with_endpoints_is_answered_when_its_event_is_kept),
        ON_RIG(without_endpoints_there_is_no_event),
        ON_RIG(what_the_store_refuses_is_neither_published_nor_told),
        ON_RIG(an_event_of_the_application_has_a_number_and_nobody_is_sent_it),
        ON_RIG(the_hubs_own_events_wait_for_a_store_that_cannot_write),
        ON_RIG(a_retry_with_a_key_makes_no_second_event),
        ON_RIG(while_it_drains_the_hub_tells_what_it_has_to),
        cmocka_unit_test(names_of_types_are_the_hubs_or_the_applications),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

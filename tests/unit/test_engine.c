/* The core beside an engine outside (hub/engine.h): what it asks of that, and whom it tells what comes from there. The engine is the
 * test's own: it notes what it is asked, and answers when the test says so. */
#include "tests/unit/hub_rig.h"

#include "hub/engine.h"

struct asked {
    struct engine        engine;      /* first */
    struct publish_call *publish;
    struct fetch_call   *fetch;
    struct watch_call   *watch;
    struct purge_call   *purge;
    size_t               keeps;       /* history.size of the rule of `publish` */
    unsigned             unsubscribed, gave_up;
    char                 last[64];    /* the name that was unsubscribed last */
};

static void ask_publish(struct engine *engine, struct publish_call *call, const struct channel_rule *rule)
{
    struct asked *asked = (struct asked *)engine;
    asked->publish = call;
    asked->keeps = rule->history_size;
}
static void ask_fetch(struct engine *engine, struct fetch_call *call)     { ((struct asked *)engine)->fetch = call; }
static void ask_subscribe(struct engine *engine, struct watch_call *call) { ((struct asked *)engine)->watch = call; }
static void ask_unsubscribe(struct engine *engine, struct slice name)
{
    struct asked *asked = (struct asked *)engine;
    asked->unsubscribed++;
    snprintf(asked->last, sizeof asked->last, "%.*s", (int)name.len, name.at);
}
static void ask_purge(struct engine *engine, struct purge_call *call)     { ((struct asked *)engine)->purge = call; }
static void ask_reconfigure(struct engine *engine, const struct config *config) { (void)engine, (void)config; }
static void ask_give_up(struct engine *engine)                            { ((struct asked *)engine)->gave_up++; }

static const struct engine its_functions = {
    .publish = ask_publish, .fetch = ask_fetch, .subscribe = ask_subscribe, .unsubscribe = ask_unsubscribe, .purge = ask_purge,
    .reconfigure = ask_reconfigure, .give_up = ask_give_up,
};

static void open_with(struct rig *rig, struct asked *asked)
{
    *asked = (struct asked){ .engine = its_functions };
    open_plain(rig);
    hub_use_engine(rig->hub, &asked->engine);
}

static struct msg *message(const char *channel, uint64_t seq)
{
    struct msg *m = msg_new(&(struct msg_parts){ .channel = slice_of(channel), .kind = MSG_TEXT, .data = SLICE("x") });
    m->epoch = EPOCH;
    m->seq = seq;
    return m;
}

static void brings(struct rig *rig, const char *channel, uint64_t seq)
{
    struct msg *m = message(channel, seq);
    engine_message(rig->hub, m);
    msg_unref(m);
    turn(rig);
}

static struct watch_call watching(struct rig *rig, const char *name)
{
    struct slice channel = slice_of(name);
    return (struct watch_call){ .channel = channel, .hash = hash_bytes(channel), .subscribers = &rig->subscribers };
}

/* Asked and answered. */
static void watch_answered(struct rig *rig, struct asked *asked, struct watch_call *call)
{
    submit(rig, &call->call, CALL_WATCH);
    turn(rig);
    engine_answer(rig->hub, &asked->watch->call, 0);
    turn(rig);
    assert_int_equal(call->call.err, 0);
    rig->n_came = 0;
}

static void nobody_knows_a_head_before_the_engine_is_there(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    open_with(rig, &asked);
    struct head_call head = { .call.err = UNANSWERED };
    submit(rig, &head.call, CALL_HEAD);
    turn(rig);
    assert_int_equal(head.call.err, ERR_REDIS_AWAY);
    engine_live(rig->hub, (struct position){ EPOCH, 7 });
    submit(rig, &head.call, CALL_HEAD);
    turn(rig);
    assert_int_equal(head.call.err, 0);
    assert_int_equal(head.head.epoch, EPOCH);
    assert_int_equal(head.head.seq, 7);
    assert_true(hub_can_publish(rig->hub));
}

static void a_watch_is_answered_by_the_engine_and_messages_go_to_who_watches(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    open_with(rig, &asked);
    struct watch_call call = watching(rig, "a");
    submit(rig, &call.call, CALL_WATCH);
    turn(rig);
    assert_int_equal(call.call.err, UNANSWERED);
    assert_ptr_equal(asked.watch, &call);
    engine_answer(rig->hub, &call.call, 0);
    turn(rig);
    assert_int_equal(call.call.err, 0);
    assert_came(rig, { CALL_WATCH, 0 });

    brings(rig, "a", 8);
    brings(rig, "b", 9);      /* a channel that nobody watches here */
    assert_came(rig, { LETTER_MESSAGE, 8 });
    assert_int_equal(hub_head(rig->hub).seq, 9);

    struct watch_call pattern = watching(rig, "*");
    watch_answered(rig, &asked, &pattern);
    brings(rig, "a", 10);      /* once, although both match */
    brings(rig, "b", 11);
    assert_came(rig, { LETTER_MESSAGE, 10 }, { LETTER_MESSAGE, 11 });

    submit(rig, &call.call, CALL_UNWATCH);
    turn(rig);
    assert_int_equal(asked.unsubscribed, 1);
    assert_string_equal(asked.last, "a");
}

static void a_watch_that_the_engine_refuses_is_none(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    open_with(rig, &asked);
    struct watch_call call = watching(rig, "a"), pattern = watching(rig, "a.*");
    submit(rig, &call.call, CALL_WATCH);
    turn(rig);
    engine_answer(rig->hub, &call.call, ERR_MEMORY);
    submit(rig, &pattern.call, CALL_WATCH);
    turn(rig);
    engine_answer(rig->hub, &pattern.call, ERR_DRAINING);
    turn(rig);
    assert_int_equal(call.call.err, ERR_MEMORY);
    assert_int_equal(pattern.call.err, ERR_DRAINING);
    rig->n_came = 0;
    brings(rig, "a", 3);
    brings(rig, "a.b", 4);
    assert_int_equal(rig->n_came, 0);
    assert_int_equal(asked.unsubscribed, 0);
}

static void who_is_behind_is_told_and_is_mailed_nothing_until_he_knows(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    open_with(rig, &asked);
    struct watch_call call = watching(rig, "a"), pattern = watching(rig, "x.*");
    watch_answered(rig, &asked, &call);
    watch_answered(rig, &asked, &pattern);
    engine_behind(rig->hub, SLICE("other"));      /* not his */
    turn(rig);
    assert_int_equal(rig->n_came, 0);
    engine_behind(rig->hub, SLICE("x.y"));
    engine_behind(rig->hub, SLICE(""));          /* he knows */
    brings(rig, "a", 5);
    assert_came(rig, { LETTER_LOST, 0 });
    struct call seen;
    submit(rig, &seen, CALL_LOSS_SEEN);
    turn(rig);
    brings(rig, "a", 6);
    assert_came(rig, { CALL_LOSS_SEEN, 0 }, { LETTER_MESSAGE, 6 });
    engine_behind(rig->hub, SLICE(""));
    turn(rig);
    assert_came(rig, { LETTER_LOST, 0 });
}

static void a_publish_goes_to_the_engine_with_its_rule_and_is_waited_for(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    open_with(rig, &asked);
    struct watch_call here = watching(rig, "a");
    watch_answered(rig, &asked, &here);
    atomic_store(&rig->subscribers, 3);
    struct publish_call call;
    publish(rig, &call, "a", "x");
    turn(rig);
    assert_ptr_equal(asked.publish, &call);
    assert_int_equal(asked.keeps, 100);
    assert_int_equal(call.subscribers, 3);
    assert_false(hub_idle(rig->hub));
    hub_drain(rig->hub);
    assert_int_equal(asked.gave_up, 1);
    engine_answer(rig->hub, &call.call, ERR_OUTCOME_UNKNOWN);
    turn(rig);
    assert_int_equal(call.call.err, ERR_OUTCOME_UNKNOWN);
    assert_true(hub_idle(rig->hub));
    msg_unref(call.msg);
    publish(rig, &call, "a", "x");      /* the hub ends: it is not even asked */
    asked.publish = NULL;
    turn(rig);
    assert_int_equal(call.call.err, ERR_DRAINING);
    assert_null(asked.publish);
    msg_unref(call.msg);
}

static void fetches_and_purges_are_the_engines(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    open_with(rig, &asked);
    struct fetch_channel channel;
    struct fetch_call fetching;
    fetch(rig, &fetching, &channel, (const char *const[]){ "a", NULL }, FETCH_ALL, (struct position){ 0 });
    struct purge_call purging = { .channel = SLICE("a"), .hash = hash_bytes(SLICE("a")) };
    submit(rig, &purging.call, CALL_PURGE);
    turn(rig);
    assert_ptr_equal(asked.fetch, &fetching);
    assert_ptr_equal(asked.purge, &purging);
    engine_purged(rig->hub);
    engine_answer(rig->hub, &purging.call, 0);
    engine_answer(rig->hub, &fetching.call, ERR_REDIS_AWAY);
    turn(rig);
    assert_came(rig, { LETTER_PURGED, 0 });
    assert_int_equal(purging.call.err, 0);
    assert_int_equal(fetching.call.err, ERR_REDIS_AWAY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_knows_a_head_before_the_engine_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_watch_is_answered_by_the_engine_and_messages_go_to_who_watches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_watch_that_the_engine_refuses_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_behind_is_told_and_is_mailed_nothing_until_he_knows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_publish_goes_to_the_engine_with_its_rule_and_is_waited_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fetches_and_purges_are_the_engines, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

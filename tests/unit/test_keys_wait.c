/* Who waits for the key of a token: one call for all, who is refused, who may wait again, and what bounds it. The hub is a mailbox
 * here, and time is moved by hand. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/base/err.h"
#include "hub/call.h"
#include "transports/edge/edge.h"
#include "transports/protocol/keys_wait.h"

enum { WAITERS = 5, NOT_TOLD = 1, COST = 1000 };

struct waiter {
    struct keys_wait wait;
    int              told;           /* the last thing; NOT_TOLD: nothing yet */
    bool             goes_on;        /* the key is still unknown: it waits again if it may */
};

struct rig {
    struct clock   clock;            /* first */
    int64_t        now_ms;
    struct mailbox hub;
    struct edge    edge;
    struct waiter  waiters[WAITERS];
};

static struct rig rig;

static int64_t rig_now(const struct clock *clock) { return ((const struct rig *)(const void *)clock)->now_ms; }

static void again(struct keys_wait *wait, int otherwise)
{
    struct waiter *w = (struct waiter *)(void *)wait;
    w->told = otherwise;
    if (w->goes_on && !otherwise)
        w->told = keys_wait_begin(&rig.edge, wait, COST) ? ERR_KEYS_PENDING : NOT_TOLD;
}

static int set_up(void **state)
{
    (void)state;
    rig = (struct rig){ .clock = { rig_now, rig_now }, .now_ms = 1000000 };
    mailbox_init(&rig.hub, false);
    rig.edge.clock = &rig.clock;
    link_init(&rig.edge.keys_waiting);
    post_init(&rig.edge.to_hub, &rig.hub, SIZE_MAX);
    for (int i = 0; i < WAITERS; i++) {
        keys_wait_init(&rig.waiters[i].wait, again);
        rig.waiters[i].told = NOT_TOLD;
    }
    return 0;
}

static void begin(int i) { assert_int_equal(keys_wait_begin(&rig.edge, &rig.waiters[i].wait, COST), 0); }

/* The one call that was sent since the last look; NULL: none. */
static struct call *sent(void)
{
    post_flush(&rig.edge.to_hub);
    struct letter *letter = mailbox_take(&rig.hub);
    if (!letter)
        return NULL;
    assert_null(letter->next);
    assert_int_equal(letter->kind, CALL_KEYS);
    return (struct call *)(void *)letter;
}

static void answer(struct call *call, int err)
{
    assert_non_null(call);
    call->err = err;
    call->answered(call);
}

static void all_that_wait_share_one_call(void **state)
{
    (void)state;
    for (int i = 0; i < WAITERS; i++)
        begin(i);
    assert_int_equal(rig.edge.calls, 1);
    answer(sent(), ERR_KEYS_PENDING);
    for (int i = 0; i < WAITERS; i++)
        assert_int_equal(rig.waiters[i].told, 0);
    assert_null(sent());
    assert_int_equal(rig.edge.calls, 0);
    assert_int_equal(rig.edge.keys_bytes, 0);
}

/* The first one came before the call was sent, the others behind it: the answer says nothing about their keys. */
static void only_who_came_before_the_call_is_refused_by_its_answer(void **state)
{
    (void)state;
    begin(0);
    struct call *call = sent();
    for (int i = 1; i < WAITERS; i++) {
        rig.waiters[i].goes_on = true;
        begin(i);
    }
    assert_null(sent());
    answer(call, 0);
    assert_int_equal(rig.waiters[0].told, ERR_BAD_TOKEN);
    for (int i = 1; i < WAITERS; i++)
        assert_int_equal(rig.waiters[i].told, NOT_TOLD);
    answer(sent(), 0);
    for (int i = 1; i < WAITERS; i++)
        assert_int_equal(rig.waiters[i].told, ERR_BAD_TOKEN);
    assert_null(sent());
}

/* If the first of them sent the next call, its answer would count for that one alone, and each would cost a fetch. */
static void all_that_wait_again_share_the_next_call_too(void **state)
{
    (void)state;
    for (int i = 0; i < WAITERS; i++) {
        rig.waiters[i].goes_on = true;
        begin(i);
    }
    answer(sent(), ERR_KEYS_PENDING);
    answer(sent(), 0);
    for (int i = 0; i < WAITERS; i++)
        assert_int_equal(rig.waiters[i].told, ERR_BAD_TOKEN);
}

static void nobody_waits_for_ever(void **state)
{
    (void)state;
    rig.waiters[0].goes_on = true;
    begin(0);
    rig.now_ms += KEYS_WAIT_MS - 1;
    answer(sent(), ERR_KEYS_PENDING);
    assert_int_equal(rig.waiters[0].told, NOT_TOLD);
    rig.now_ms += 1;
    answer(sent(), ERR_KEYS_PENDING);
    assert_int_equal(rig.waiters[0].told, ERR_KEYS_PENDING);
    assert_int_equal(keys_wait_begin(&rig.edge, &rig.waiters[0].wait, COST), ERR_KEYS_PENDING);
    assert_null(sent());
}

static void who_leaves_is_told_nothing_and_costs_nothing(void **state)
{
    (void)state;
    begin(0);
    begin(1);
    keys_wait_end(&rig.edge, &rig.waiters[0].wait);
    keys_wait_end(&rig.edge, &rig.waiters[0].wait);
    assert_int_equal(rig.edge.keys_bytes, COST);
    answer(sent(), 0);
    assert_int_equal(rig.waiters[0].told, NOT_TOLD);
    assert_int_equal(rig.waiters[1].told, 0);       /* it came behind the call */
}

static void what_all_of_them_cost_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(keys_wait_begin(&rig.edge, &rig.waiters[0].wait, KEYS_WAIT_BYTES), 0);
    assert_int_equal(keys_wait_begin(&rig.edge, &rig.waiters[1].wait, 1), ERR_KEYS_PENDING);
    answer(sent(), 0);
    begin(1);
    answer(sent(), ERR_DRAINING);
    assert_int_equal(rig.waiters[1].told, ERR_DRAINING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_that_wait_share_one_call, set_up),
        cmocka_unit_test_setup(only_who_came_before_the_call_is_refused_by_its_answer, set_up),
        cmocka_unit_test_setup(all_that_wait_again_share_the_next_call_too, set_up),
        cmocka_unit_test_setup(nobody_waits_for_ever, set_up),
        cmocka_unit_test_setup(who_leaves_is_told_nothing_and_costs_nothing, set_up),
        cmocka_unit_test_setup(what_all_of_them_cost_is_bounded, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Changes of records at the hub: in force when the store has them and not before, one after the other for each record, and
 * without a trace when they fail. */
#include "hub/records.h"

#include "hub/base/clock.h"
#include "hub/base/err.h"
#include "hub/config/config.h"
#include "hub/hub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { UNANSWERED = 1000, KEYS = 3 };

struct rig {
    struct store        store;          /* first */
    struct config       config;
    struct store_group *submitted[2];
    size_t              n_submitted;
    uint64_t            generation;
    struct post         to_hub, store_post;
    struct mailbox      box;
    struct hub         *hub;
    uint8_t             peer;
    /* the kind: numbers by key */
    int                 in_force[KEYS];
    int                 prepared, applied, abandoned;
};

/* A change: key[k] becomes number, 0 removes it; -1 is a number that prepare refuses. */
struct change {
    struct record_call call;      /* first */
    int                key, number;
};

static const char *const key_names[KEYS] = { "a", "b", "c" };

static int prepare(void *self, struct record_call *call)
{
    struct rig *rig = self;
    const struct change *change = call->ask;
    rig->prepared++;
    if (change->number < 0 || (change->number == 0 && rig->in_force[change->key] == 0))
        return ERR_NOT_FOUND;
    call->remove = change->number == 0;
    buf_addf(&call->value, "%d", change->number);
    return 0;
}

static void apply(void *self, struct record_call *call)
{
    struct rig *rig = self;
    const struct change *change = call->ask;
    rig->applied++;
    rig->in_force[change->key] = change->number;
}

static void abandon(void *self, struct record_call *call)
{
    (void)call;
    ((struct rig *)self)->abandoned++;
}

static int restore(void *self, struct slice key, struct slice value)
{
    uint64_t number = 0;
    for (int k = 0; k < KEYS; k++)
        if (slice_is(key, slice_of(key_names[k])) && slice_u64(value, &number)) {
            ((struct rig *)self)->in_force[k] = (int)number;
            return 0;
        }
    return ERR_STORE_OPEN;
}

static const struct record_ops ops = { prepare, apply, abandon, restore };

/* ---- the rig ---- */

static void submit_group(struct store *store, struct store_group *group)
{
    struct rig *rig = (struct rig *)store;
    assert_true(rig->n_submitted < 2);
    rig->submitted[rig->n_submitted++] = group;
}

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    rig->store.submit = submit_group;
    rig->config = (struct config){ .history_size = 100, .history_ttl_ms = 60000, .history_bytes = 1 << 20, .history_max_bytes = 1 << 24,
                                   .store_sync = STORE_SYNC_BATCH, .store_queue_bytes = 1 << 20 };
    config_general_rule(&rig->config);
    *state = rig;
    return 0;
}

static void open_hub(struct rig *rig, bool stored)
{
    struct hub_start start = { .epoch = 7, .next = 1, .reserved = 1 << 30, .keeping = SLICE("@0\n+**\n") };
    rig->hub = hub_new(&rig->config, clock_real(), stored ? &rig->store : NULL, start);
    hub_add_records(rig->hub, RECORD_KEY, &ops, rig);
    mailbox_init(&rig->box, false);
    post_init(&rig->to_hub, hub_mailbox(rig->hub), SIZE_MAX);
    post_init(&rig->store_post, hub_mailbox(rig->hub), SIZE_MAX);
    rig->peer = hub_add_peer(rig->hub, &rig->box, false, SIZE_MAX);
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    mailbox_take(&rig->box);
    hub_free(rig->hub);
    mailbox_fini(&rig->box);
    free(rig);
    return 0;
}

static void turn(struct rig *rig)
{
    post_flush(&rig->to_hub);
    hub_turn(rig->hub);
    mailbox_take(&rig->box);      /* calls are the test's own */
}

static void ask(struct rig *rig, struct change *change, int key, int number)
{
    *change = (struct change){ .key = key, .number = number };
    change->call = (struct record_call){ .call = { .letter.kind = CALL_RECORD, .from = rig->peer, .err = UNANSWERED },
                                         .kind = RECORD_KEY, .key = slice_of(key_names[key]), .ask = change };
    call_submit(&rig->to_hub, &change->call.call, 0);
}

static void publish(struct rig *rig, struct publish_call *call)
{
    *call = (struct publish_call){ .call = { .letter.kind = CALL_PUBLISH, .from = rig->peer, .err = UNANSWERED },
                                   .msg = msg_new(&(struct msg_parts){ .channel = SLICE("c"), .kind = MSG_TEXT, .data = SLICE("x") }) };
    call_submit(&rig->to_hub, &call->call, 0);
}

static void store_answers(struct rig *rig, int err)
{
    struct store_group *group = rig->submitted[0];
    assert_true(rig->n_submitted > 0);
    rig->submitted[0] = rig->submitted[1];
    rig->n_submitted--;
    group->err = group->generation < rig->generation ? ERR_STORE_FAILED : err;
    rig->generation += group->err && group->generation == rig->generation;
    group->next_generation = rig->generation;
    post_put(&rig->store_post, &group->letter, 0);
    post_flush(&rig->store_post);
    turn(rig);
}

static bool has_row(const struct store_group *group, const char *key, const char *value)
{
    for (const struct store_record *row = group->records; row; row = row->next)
        if (slice_is(row->kind, SLICE("key")) && slice_is(row->key, slice_of(key)) &&
            (value ? row->value.at && slice_is(row->value, slice_of(value)) : !row->value.at))
            return true;
    return false;
}

/* ---- what is promised ---- */

static void a_change_is_in_force_and_answered_when_the_store_has_it(void **state)
{
    struct rig *rig = *state;
    struct change change;
    open_hub(rig, true);
    ask(rig, &change, 0, 5);
    turn(rig);
    assert_true(rig->n_submitted == 1 && has_row(rig->submitted[0], "a", "5"));
    assert_true(rig->in_force[0] == 0 && change.call.call.err == UNANSWERED && !hub_idle(rig->hub));
    store_answers(rig, 0);
    assert_true(rig->in_force[0] == 5 && change.call.call.err == 0 && change.call.durable && hub_idle(rig->hub));
    ask(rig, &change, 0, 0);
    turn(rig);
    assert_true(has_row(rig->submitted[0], "a", NULL));
    store_answers(rig, 0);
    assert_true(rig->in_force[0] == 0 && change.call.call.err == 0);
}

static void a_change_that_fails_leaves_everything_as_it_was(void **state)
{
    struct rig *rig = *state;
    struct change change;
    open_hub(rig, true);
    ask(rig, &change, 0, 5);
    turn(rig);
    store_answers(rig, ERR_STORE_FAILED);
    assert_int_equal(change.call.call.err, ERR_STORE_FAILED);
    assert_true(rig->in_force[0] == 0 && rig->applied == 0 && rig->abandoned == 1 && hub_idle(rig->hub));
}

static void a_memory_only_hub_applies_at_once_and_says_that_it_does_not_last(void **state)
{
    struct rig *rig = *state;
    struct change change;
    open_hub(rig, false);
    ask(rig, &change, 1, 9);
    turn(rig);
    assert_true(rig->in_force[1] == 9 && change.call.call.err == 0 && !change.call.durable);
}

static void changes_of_one_record_run_one_after_the_other(void **state)
{
    struct rig *rig = *state;
    struct change first, removal, again, other;
    open_hub(rig, true);
    ask(rig, &first, 0, 5);
    ask(rig, &removal, 0, 0);      /* there is nothing to remove before the first is in force */
    ask(rig, &again, 0, 0);
    ask(rig, &other, 1, 6);
    turn(rig);
    assert_int_equal(rig->prepared, 2);
    assert_true(has_row(rig->submitted[0], "a", "5") && has_row(rig->submitted[0], "b", "6"));
    store_answers(rig, 0);
    assert_true(first.call.call.err == 0 && other.call.call.err == 0 && removal.call.call.err == UNANSWERED);
    assert_true(has_row(rig->submitted[0], "a", NULL));
    store_answers(rig, 0);
    assert_int_equal(removal.call.call.err, 0);
    assert_int_equal(again.call.call.err, ERR_NOT_FOUND);      /* it found what the one before had left */
    assert_true(rig->in_force[0] == 0 && rig->in_force[1] == 6 && hub_idle(rig->hub));
}

static void a_group_that_fails_fails_what_waits_in_the_next_two_and_nothing_is_lost(void **state)
{
    struct rig *rig = *state;
    struct change changes[4];
    struct publish_call message;
    open_hub(rig, true);
    ask(rig, &changes[0], 0, 1);
    turn(rig);
    ask(rig, &changes[1], 1, 2);
    turn(rig);
    publish(rig, &message);
    ask(rig, &changes[2], 2, 3);      /* collected with a message, which must fail with the groups before it */
    ask(rig, &changes[3], 0, 4);      /* waits for the first */
    turn(rig);
    assert_int_equal(rig->n_submitted, 2);
    store_answers(rig, ERR_STORE_FAILED);
    assert_int_equal(changes[0].call.call.err, ERR_STORE_FAILED);
    assert_int_equal(changes[2].call.call.err, ERR_STORE_FAILED);
    assert_int_equal(message.call.err, ERR_STORE_FAILED);
    assert_int_equal(changes[3].call.call.err, UNANSWERED);
    store_answers(rig, 0);                                     /* of the old generation: refused */
    assert_int_equal(changes[1].call.call.err, ERR_STORE_FAILED);
    store_answers(rig, 0);
    assert_int_equal(changes[3].call.call.err, 0);
    assert_true(rig->in_force[0] == 4 && rig->in_force[1] == 0 && rig->in_force[2] == 0 && hub_idle(rig->hub));
    msg_unref(message.msg);
}

static void what_prepare_refuses_never_reaches_the_store(void **state)
{
    struct rig *rig = *state;
    struct change change;
    open_hub(rig, true);
    ask(rig, &change, 0, -1);
    turn(rig);
    assert_true(change.call.call.err == ERR_NOT_FOUND && rig->n_submitted == 0 && rig->abandoned == 0);
}

static void a_kind_that_nobody_registered_is_not_found(void **state)
{
    struct rig *rig = *state;
    struct change change;
    open_hub(rig, true);
    ask(rig, &change, 0, 1);
    change.call.kind = RECORD_REVOCATION;
    turn(rig);
    assert_int_equal(change.call.call.err, ERR_NOT_FOUND);
    assert_int_equal(hub_restore_record(rig->hub, SLICE("revocation"), SLICE("a"), SLICE("1")), ERR_NOT_FOUND);
    assert_int_equal(hub_restore_record(rig->hub, SLICE("from the future"), SLICE("a"), SLICE("1")), ERR_NOT_FOUND);
    assert_int_equal(hub_restore_record(rig->hub, SLICE("key"), SLICE("a"), SLICE("x")), ERR_STORE_OPEN);
    assert_int_equal(hub_restore_record(rig->hub, SLICE("key"), SLICE("b"), SLICE("8")), 0);
    assert_int_equal(rig->in_force[1], 8);
}

static void more_than_may_be_under_way_is_busy_and_a_hub_that_goes_says_so(void **state)
{
    struct rig *rig = *state;
    struct change *changes = calloc(RECORDS_UNDER_WAY + 2, sizeof *changes);
    open_hub(rig, true);
    for (int i = 0; i <= RECORDS_UNDER_WAY; i++)
        ask(rig, &changes[i], 0, i + 1);
    turn(rig);
    assert_int_equal(changes[RECORDS_UNDER_WAY].call.call.err, ERR_BUSY);
    hub_drain(rig->hub);
    ask(rig, &changes[RECORDS_UNDER_WAY + 1], 0, 1);
    turn(rig);
    assert_int_equal(changes[RECORDS_UNDER_WAY + 1].call.call.err, ERR_DRAINING);
    while (rig->n_submitted > 0)                               /* what was taken is brought to its end */
        store_answers(rig, 0);
    assert_true(rig->in_force[0] == RECORDS_UNDER_WAY && hub_idle(rig->hub));
    free(changes);
}

static void the_hub_changes_records_of_its_own(void **state)
{
    struct rig *rig = *state;
    struct change own = { .key = 2, .number = 7 };
    open_hub(rig, true);
    assert_int_equal(hub_change_record(rig->hub, RECORD_KEY, slice_of(key_names[2]), &own), 0);
    turn(rig);
    store_answers(rig, 0);
    assert_true(rig->in_force[2] == 7 && hub_idle(rig->hub));
    assert_int_equal(hub_change_record(rig->hub, RECORD_REVOCATION, SLICE("x"), &own), ERR_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_change_is_in_force_and_answered_when_the_store_has_it),
        TEST(a_change_that_fails_leaves_everything_as_it_was),
        TEST(a_memory_only_hub_applies_at_once_and_says_that_it_does_not_last),
        TEST(changes_of_one_record_run_one_after_the_other),
        TEST(a_group_that_fails_fails_what_waits_in_the_next_two_and_nothing_is_lost),
        TEST(what_prepare_refuses_never_reaches_the_store),
        TEST(a_kind_that_nobody_registered_is_not_found),
        TEST(more_than_may_be_under_way_is_busy_and_a_hub_that_goes_says_so),
        TEST(the_hub_changes_records_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

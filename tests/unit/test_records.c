/* Changes of records at the hub: in force when the store has them and not before, one after the other for each record, and
 * without a trace when they fail. */
#include "hub/records.h"

#include "hub_rig.h"

enum { KEYS = 3 };

/* The kind: numbers by key. */
static struct table {
    int in_force[KEYS];
    int prepared, applied, abandoned;
} table;

/* A change: key[k] becomes number, 0 removes it; -1 is a number that prepare refuses. */
struct change {
    struct record_call call;      /* first */
    int                key, number;
};

static const char *const key_names[KEYS] = { "a", "b", "c" };

static int prepare(void *self, struct record_call *call)
{
    const struct change *change = call->ask;
    (void)self;
    table.prepared++;
    if (change->number < 0 || (change->number == 0 && table.in_force[change->key] == 0))
        return ERR_NOT_FOUND;
    call->remove = change->number == 0;
    buf_addf(&call->value, "%d", change->number);
    return 0;
}

static void apply(void *self, struct record_call *call)
{
    const struct change *change = call->ask;
    (void)self;
    table.applied++;
    table.in_force[change->key] = change->number;
}

static void abandon(void *self, struct record_call *call)
{
    (void)self, (void)call;
    table.abandoned++;
}

static int restore(void *self, struct slice key, struct slice value)
{
    uint64_t number = 0;
    (void)self;
    for (int k = 0; k < KEYS; k++)
        if (slice_is(key, slice_of(key_names[k])) && slice_u64(value, &number)) {
            table.in_force[k] = (int)number;
            return 0;
        }
    return ERR_STORE_OPEN;
}

static const struct record_ops ops = { .prepare = prepare, .apply = apply, .abandon = abandon, .put = restore };

/* ---- the rig ---- */

static void open_records(struct rig *rig, bool stored)
{
    table = (struct table){ 0 };
    open_hub(rig, stored, (struct hub_start){ .epoch = EPOCH, .next = 1, .reserved = 1 << 30 }, SIZE_MAX);
    hub_add_records(rig->hub, RECORD_KEY, &ops, NULL);
}

static void ask(struct rig *rig, struct change *change, int key, int number)
{
    *change = (struct change){ .key = key, .number = number };
    change->call = (struct record_call){ .kind = RECORD_KEY, .key = slice_of(key_names[key]), .ask = change };
    submit(rig, &change->call.call, CALL_RECORD);
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
    open_records(rig, true);
    ask(rig, &change, 0, 5);
    turn(rig);
    assert_true(rig->n_submitted == 1 && has_row(rig->submitted[0], "a", "5"));
    assert_true(table.in_force[0] == 0 && change.call.call.err == UNANSWERED && !hub_idle(rig->hub));
    store_answers(rig, 0);
    assert_true(table.in_force[0] == 5 && change.call.call.err == 0 && change.call.durable && hub_idle(rig->hub));
    ask(rig, &change, 0, 0);
    turn(rig);
    assert_true(has_row(rig->submitted[0], "a", NULL));
    store_answers(rig, 0);
    assert_true(table.in_force[0] == 0 && change.call.call.err == 0);
}

static void a_change_that_fails_leaves_everything_as_it_was(void **state)
{
    struct rig *rig = *state;
    struct change change;
    open_records(rig, true);
    ask(rig, &change, 0, 5);
    turn(rig);
    store_answers(rig, ERR_STORE_FAILED);
    assert_int_equal(change.call.call.err, ERR_STORE_FAILED);
    assert_true(table.in_force[0] == 0 && table.applied == 0 && table.abandoned == 1 && hub_idle(rig->hub));
}

static void a_memory_only_hub_applies_at_once_and_says_that_it_does_not_last(void **state)
{
    struct rig *rig = *state;
    struct change change;
    open_records(rig, false);
    ask(rig, &change, 1, 9);
    turn(rig);
    assert_true(table.in_force[1] == 9 && change.call.call.err == 0 && !change.call.durable);
}

static void changes_of_one_record_run_one_after_the_other(void **state)
{
    struct rig *rig = *state;
    struct change first, removal, again, other;
    open_records(rig, true);
    ask(rig, &first, 0, 5);
    ask(rig, &removal, 0, 0);      /* there is nothing to remove before the first is in force */
    ask(rig, &again, 0, 0);
    ask(rig, &other, 1, 6);
    turn(rig);
    assert_int_equal(table.prepared, 2);
    assert_true(has_row(rig->submitted[0], "a", "5") && has_row(rig->submitted[0], "b", "6"));
    store_answers(rig, 0);
    assert_true(first.call.call.err == 0 && other.call.call.err == 0 && removal.call.call.err == UNANSWERED);
    assert_true(has_row(rig->submitted[0], "a", NULL));
    store_answers(rig, 0);
    assert_int_equal(removal.call.call.err, 0);
    assert_int_equal(again.call.call.err, ERR_NOT_FOUND);      /* it found what the one before had left */
    assert_true(table.in_force[0] == 0 && table.in_force[1] == 6 && hub_idle(rig->hub));
}

static void a_group_that_fails_fails_what_waits_in_the_next_two_and_nothing_is_lost(void **state)
{
    struct rig *rig = *state;
    struct change changes[4];
    struct publish_call message;
    open_records(rig, true);
    ask(rig, &changes[0], 0, 1);
    turn(rig);
    ask(rig, &changes[1], 1, 2);
    turn(rig);
    publish(rig, &message, "c", "x");
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
    assert_true(table.in_force[0] == 4 && table.in_force[1] == 0 && table.in_force[2] == 0 && hub_idle(rig->hub));
    msg_unref(message.msg);
}

static void what_prepare_refuses_never_reaches_the_store(void **state)
{
    struct rig *rig = *state;
    struct change change;
    open_records(rig, true);
    ask(rig, &change, 0, -1);
    turn(rig);
    assert_true(change.call.call.err == ERR_NOT_FOUND && rig->n_submitted == 0 && table.abandoned == 0);
}

static void a_kind_that_nobody_registered_is_not_found(void **state)
{
    struct rig *rig = *state;
    struct change change;
    open_records(rig, true);
    ask(rig, &change, 0, 1);
    change.call.kind = RECORD_REVOCATION;
    turn(rig);
    assert_int_equal(change.call.call.err, ERR_NOT_FOUND);
    assert_int_equal(hub_restore_record(rig->hub, SLICE("revocation"), SLICE("a"), SLICE("1")), ERR_NOT_FOUND);
    assert_int_equal(hub_restore_record(rig->hub, SLICE("from the future"), SLICE("a"), SLICE("1")), ERR_NOT_FOUND);
    assert_int_equal(hub_restore_record(rig->hub, SLICE("key"), SLICE("a"), SLICE("x")), ERR_STORE_OPEN);
    assert_int_equal(hub_restore_record(rig->hub, SLICE("key"), SLICE("b"), SLICE("8")), 0);
    assert_int_equal(table.in_force[1], 8);
}

static void more_than_may_be_under_way_is_busy_and_a_hub_that_goes_says_so(void **state)
{
    struct rig *rig = *state;
    struct change *changes = calloc(RECORDS_UNDER_WAY + 2, sizeof *changes);
    open_records(rig, true);
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
    assert_true(table.in_force[0] == RECORDS_UNDER_WAY && hub_idle(rig->hub));
    free(changes);
}

static void the_hub_changes_records_of_its_own(void **state)
{
    struct rig *rig = *state;
    struct change own = { .key = 2, .number = 7 };
    open_records(rig, true);
    assert_int_equal(hub_change_record(rig->hub, RECORD_KEY, slice_of(key_names[2]), &own), 0);
    turn(rig);
    store_answers(rig, 0);
    assert_true(table.in_force[2] == 7 && hub_idle(rig->hub));
    assert_int_equal(hub_change_record(rig->hub, RECORD_REVOCATION, SLICE("x"), &own), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RIG(a_change_is_in_force_and_answered_when_the_store_has_it),
        ON_RIG(a_change_that_fails_leaves_everything_as_it_was),
        ON_RIG(a_memory_only_hub_applies_at_once_and_says_that_it_does_not_last),
        ON_RIG(changes_of_one_record_run_one_after_the_other),
        ON_RIG(a_group_that_fails_fails_what_waits_in_the_next_two_and_nothing_is_lost),
        ON_RIG(what_prepare_refuses_never_reaches_the_store),
        ON_RIG(a_kind_that_nobody_registered_is_not_found),
        ON_RIG(more_than_may_be_under_way_is_busy_and_a_hub_that_goes_says_so),
        ON_RIG(the_hub_changes_records_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

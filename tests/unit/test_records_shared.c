/* Changes of records at a hub whose records are at an engine (hub/engine.h): in force when the engine has them, prepared again when another
 * node was first, and what other nodes say is in force at once. The engine is the test's: it notes what it is asked. */
#include "hub/records.h"

#include "tests/unit/hub_rig.h"

#include "hub/engine.h"

enum { ASKED = 8, NEVER = 99 };

/* The kind: one number, to which changes add. */
static struct { int number, prepared, abandoned; } table;

static int prepare(void *self, struct record_call *call)
{
    const int *add = call->ask;
    (void)self;
    table.prepared++;
    if (*add == NEVER)
        return ERR_FORBIDDEN;
    call->remove = *add == 0;
    if (!call->remove)
        buf_addf(&call->value, "%d", table.number + *add);
    return 0;
}

static int put(void *self, struct slice key, struct slice value)
{
    uint64_t number = 0;
    (void)self;
    assert_true(slice_is(key, SLICE("a")) && slice_u64(value, &number));
    table.number = (int)number;
    return 0;
}

static void apply(void *self, struct record_call *call)
{
    if (call->remove)
        table.number = 0;
    else
        put(self, call->key, buf_slice(&call->value));
}

static void abandon(void *self, struct record_call *call)
{
    (void)self, (void)call;
    table.abandoned++;
}

static void drop(void *self, struct slice key)
{
    (void)self, (void)key;
    table.number = 0;
}

static bool print(void *self, struct slice key, struct buf *out)
{
    (void)self;
    if (slice_is(key, SLICE("a")) && table.number)
        buf_addf(out, "%d", table.number);
    return out->len > 0;
}

static const struct record_ops ops = { .prepare = prepare, .apply = apply, .abandon = abandon, .put = put, .drop = drop, .print = print };

static struct { struct engine engine; struct record_call *asked[ASKED]; unsigned n_asked; bool is_away; struct hub *hub; } shared;

static void ask_record(struct engine *engine, struct record_call *change)
{
    (void)engine;
    if (shared.is_away)
        engine_recorded(shared.hub, change, ERR_REDIS_AWAY);
    else
        shared.asked[shared.n_asked++] = change;
}

static void open_shared(struct rig *rig)
{
    memset(&table, 0, sizeof table);
    memset(&shared, 0, sizeof shared);
    open_plain(rig);
    shared.engine.record = ask_record;
    shared.hub = rig->hub;
    hub_use_engine(rig->hub, &shared.engine);
    hub_add_records(rig->hub, RECORD_KEY, &ops, NULL);
}

static void ask(struct rig *rig, struct record_call *call, int *add)
{
    *call = (struct record_call){ .kind = RECORD_KEY, .key = SLICE("a"), .ask = add };
    submit(rig, &call->call, CALL_RECORD);
    turn(rig);
}

static void a_change_is_in_force_and_answered_when_the_engine_has_it(void **state)
{
    struct rig *rig = *state;
    struct record_call call, removal;
    int five = 5, none = 0;
    open_shared(rig);
    ask(rig, &call, &five);
    assert_int_equal(shared.n_asked, 1);
    assert_true(slice_is(buf_slice(&shared.asked[0]->value), SLICE("5")));
    assert_true(call.call.err == UNANSWERED && table.number == 0 && !hub_idle(rig->hub));
    ask(rig, &removal, &none);      /* waits for the first */
    assert_int_equal(shared.n_asked, 1);
    engine_recorded(rig->hub, shared.asked[0], 0);
    turn(rig);
    assert_true(call.call.err == 0 && call.durable && table.number == 5);
    assert_int_equal(shared.n_asked, 2);
    assert_true(shared.asked[1]->remove);
    engine_recorded(rig->hub, shared.asked[1], 0);
    turn(rig);
    assert_true(removal.call.err == 0 && table.number == 0 && hub_idle(rig->hub));
}

static void what_the_engine_does_not_take_leaves_nothing(void **state)
{
    struct rig *rig = *state;
    struct record_call call, away;
    int five = 5;
    open_shared(rig);
    ask(rig, &call, &five);
    engine_recorded(rig->hub, shared.asked[0], ERR_OUTCOME_UNKNOWN);
    turn(rig);
    assert_true(call.call.err == ERR_OUTCOME_UNKNOWN && table.number == 0 && table.abandoned == 1);
    shared.is_away = true;
    ask(rig, &away, &five);
    assert_true(away.call.err == ERR_REDIS_AWAY && table.abandoned == 2 && hub_idle(rig->hub));
}

static void when_another_node_was_first_it_is_prepared_again_on_what_that_has_made(void **state)
{
    struct rig *rig = *state;
    struct record_call call;
    int five = 5;
    open_shared(rig);
    ask(rig, &call, &five);
    engine_record_undo(rig->hub, shared.asked[0]);
    assert_int_equal(table.abandoned, 1);
    assert_int_equal(engine_record(rig->hub, SLICE("key"), SLICE("a"), SLICE("30")), 0);
    engine_record_redo(rig->hub, shared.asked[0]);
    assert_int_equal(shared.n_asked, 2);
    assert_true(slice_is(buf_slice(&shared.asked[1]->value), SLICE("35")));
    five = NEVER;      /* not any more, as things stand then */
    engine_record_undo(rig->hub, shared.asked[1]);
    assert_int_equal(engine_record(rig->hub, SLICE("key"), SLICE("a"), SLICE("")), 0);
    engine_record_redo(rig->hub, shared.asked[1]);
    turn(rig);
    assert_true(call.call.err == ERR_FORBIDDEN && table.number == 0 && table.abandoned == 2 && hub_idle(rig->hub));
}

static void who_is_never_first_is_told_so_in_the_end(void **state)
{
    struct rig *rig = *state;
    struct record_call call;
    int one = 1;
    open_shared(rig);
    ask(rig, &call, &one);
    for (int tries = 0; tries < RECORD_TRIES; tries++) {
        shared.n_asked = 0;
        engine_record_undo(rig->hub, shared.asked[0]);
        engine_record_redo(rig->hub, shared.asked[0]);
    }
    turn(rig);
    assert_int_equal(call.call.err, ERR_BUSY);
    assert_int_equal(shared.n_asked, 0);
    assert_true(hub_idle(rig->hub));
}

static void what_other_nodes_say_is_in_force_and_can_be_told_again(void **state)
{
    struct rig *rig = *state;
    struct buf out = { 0 };
    open_shared(rig);
    assert_int_equal(engine_record(rig->hub, SLICE("key"), SLICE("a"), SLICE("7")), 0);
    assert_int_equal(table.number, 7);
    assert_true(engine_record_print(rig->hub, SLICE("key"), SLICE("a"), &out));
    assert_true(slice_is(buf_slice(&out), SLICE("7")));
    assert_int_equal(engine_record(rig->hub, SLICE("key"), SLICE("a"), SLICE("")), 0);
    assert_int_equal(table.number, 0);
    buf_reset(&out);
    assert_false(engine_record_print(rig->hub, SLICE("key"), SLICE("a"), &out));
    assert_int_equal(engine_record(rig->hub, SLICE("other"), SLICE("a"), SLICE("7")), ERR_NOT_FOUND);
    assert_false(engine_record_print(rig->hub, SLICE("other"), SLICE("a"), &out));
    buf_fini(&out);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_change_is_in_force_and_answered_when_the_engine_has_it),
        TEST(what_the_engine_does_not_take_leaves_nothing),
        TEST(when_another_node_was_first_it_is_prepared_again_on_what_that_has_made),
        TEST(who_is_never_first_is_told_so_in_the_end),
        TEST(what_other_nodes_say_is_in_force_and_can_be_told_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Errands through the hub: to which edges they go, when they are answered, and with what. */
#include "tests/unit/errand_rig.h"

#include "hub/engine.h"

static void assert_listed(const struct errand_call *errand, const char *wanted, bool more)
{
    size_t at[EDGES] = { 0 };
    struct buf seen = { 0 };
    struct slice text;
    uint64_t last, number = 0;
    bool is_more;
    while (errand_list_next(errand, at, &text, &last, &is_more)) {
        assert_true(last > number);
        number = last;
        buf_add_slice(&seen, text);
    }
    buf_add_char(&seen, '\0');
    assert_string_equal(seen.at, wanted);
    assert_int_equal(is_more, more);
    buf_fini(&seen);
}

static void it_is_answered_when_the_last_edge_has_done_its_part(void **state)
{
    struct rig *rig = *state;
    struct errand_call errand = { .kind = ERRAND_CLOSE, .user = SLICE("ann") };
    ask(rig, &errand);
    turn(rig);
    for (int i = EDGES - 1; i >= 0; i--) {
        assert_int_equal(rig->n_came[i], 1);
        assert_ptr_equal(rig->came[i][0]->errand, &errand);
        assert_int_equal(rig->answers, 0);
        rig->came[i][0]->n = 2;
        give_back(rig, i);
        turn(rig);
    }
    assert_int_equal(rig->answers, 1);
    assert_int_equal(errand.call.err, 0);
    assert_int_equal(errand_done(&errand), 6);
    errand_answer_fini(&errand);
}

static void one_by_id_goes_to_its_edge_alone_and_its_error_is_the_answers(void **state)
{
    struct rig *rig = *state;
    struct errand_call errand = { .kind = ERRAND_SHOW, .connection = id(rig, 1, 5) };
    ask(rig, &errand);
    turn(rig);
    assert_int_equal(rig->n_came[0] + rig->n_came[2], 0);
    rig->came[1][0]->err = ERR_NOT_FOUND;
    give_back(rig, 1);
    turn(rig);
    assert_int_equal(errand.call.err, ERR_NOT_FOUND);
    errand_answer_fini(&errand);
}

static void an_id_of_no_edge_is_answered_at_once(void **state)
{
    struct rig *rig = *state;
    const uint64_t none[] = { 5 << 8 | rig->api, 5 << 8 | 200, 5 << 8 | 255 };
    for (size_t i = 0; i < 3; i++) {
        struct errand_call errand = { .kind = ERRAND_SHOW, .connection = none[i] };
        ask(rig, &errand);
        turn(rig);
        assert_int_equal(errand.call.err, ERR_NOT_FOUND);
        errand_answer_fini(&errand);
    }
}

static void an_edge_that_has_left_is_not_waited_for_but_does_what_it_was_asked_before(void **state)
{
    struct rig *rig = *state;
    struct errand_call before = { .kind = ERRAND_CLOSE, .user = SLICE("ann") }, after = before, one = { .kind = ERRAND_SHOW, .connection = id(rig, 2, 1) };
    struct call left[EDGES];
    ask(rig, &before);
    turn(rig);
    leave(rig, 2, &left[2]);
    ask(rig, &after);
    ask(rig, &one);
    turn(rig);
    assert_int_equal(left[2].err, 0);
    assert_int_equal(one.call.err, ERR_NOT_FOUND);
    assert_int_equal(rig->n_came[2], 1);
    for (int i = 0; i < EDGES; i++)
        give_back(rig, i);
    turn(rig);
    assert_int_equal(before.call.err, 0);
    give_back(rig, 0);
    give_back(rig, 1);
    turn(rig);
    assert_int_equal(after.call.err, 0);
    leave(rig, 0, &left[0]);
    leave(rig, 1, &left[1]);
    struct errand_call nobody = { .kind = ERRAND_LIST, .limit = 10 };
    ask(rig, &nobody);
    turn(rig);
    assert_int_equal(nobody.call.err, 0);
    assert_listed(&nobody, "", false);
    struct errand_call *all[] = { &before, &after, &one, &nobody };
    for (size_t i = 0; i < 4; i++)
        errand_answer_fini(all[i]);
}

static void more_than_may_be_under_way_wait_in_order(void **state)
{
    struct rig *rig = *state;
    struct errand_call errands[ERRANDS_AT_ONCE * 3] = { 0 };
    size_t n = sizeof errands / sizeof *errands;
    for (size_t i = 0; i < n; i++) {
        errands[i].kind = ERRAND_CLOSE;
        ask(rig, &errands[i]);
    }
    turn(rig);
    assert_int_equal(rig->n_came[0], ERRANDS_AT_ONCE);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(rig->came[1][0]->errand, &errands[i]);
        for (int edge = 0; edge < EDGES; edge++)
            give_back(rig, edge);
        turn(rig);
        assert_int_equal(rig->answers, i + 1);
        assert_ptr_equal(rig->answered[i], &errands[i].call);
        assert_true(rig->n_came[0] <= ERRANDS_AT_ONCE);
        errand_answer_fini(&errands[i]);
    }
}

static void a_page_is_merged_by_id_and_ends_where_an_edge_was_cut(void **state)
{
    struct rig *rig = *state;
    struct errand_call errand = { .kind = ERRAND_LIST, .limit = 4 };
    ask(rig, &errand);
    turn(rig);
    FIND(rig, 0, false, 1, 4, 9);
    FIND(rig, 1, true, 2, 5);
    FIND(rig, 2, false);
    for (int i = 0; i < EDGES; i++)
        give_back(rig, i);
    turn(rig);
    assert_listed(&errand, "<1><2><4><5>", true);      /* behind 5 of the second edge may be a 6 */
    errand_answer_fini(&errand);
    ask(rig, &errand);
    turn(rig);
    FIND(rig, 0, false, 3);
    FIND(rig, 1, false, 1, 2);
    FIND(rig, 2, false, 7, 8);
    for (int i = 0; i < EDGES; i++)
        give_back(rig, i);
    turn(rig);
    assert_listed(&errand, "<1><2><3><7><8>", false);
    errand_answer_fini(&errand);
}

static void done(struct call *call) { ++*(unsigned *)call->owner; }

static void the_hub_has_errands_of_its_own(void **state)
{
    struct rig *rig = *state;
    unsigned n = 0;
    struct errand_call errand = { .call = { .answered = done, .owner = &n }, .kind = ERRAND_CLOSE, .user = SLICE("ann") };
    hub_errand(rig->hub, &errand);
    turn(rig);
    for (int i = 0; i < EDGES; i++)
        give_back(rig, i);
    assert_int_equal(n, 0);
    turn(rig);
    assert_int_equal(n, 1);
    assert_int_equal(rig->answers, 0);
    errand_answer_fini(&errand);
}

static void what_is_under_way_when_the_hub_ends_is_freed_with_what_edges_had_filled_in(void **state)
{
    struct rig *rig = *state;
    static struct errand_call errands[ERRANDS_AT_ONCE + 2];
    for (size_t i = 0; i < ERRANDS_AT_ONCE + 2; i++) {
        errands[i].kind = ERRAND_LIST;
        ask(rig, &errands[i]);
    }
    turn(rig);
    FIND(rig, 0, false, 1, 2);
    give_back(rig, 0);
    turn(rig);
}

static void ids_are_read_as_they_are_printed_and_nothing_else_is(void **state)
{
    static const char *const none[] = { "", "c", "C1", "c0", "c01", "c1G", "cA", "c12345678123456781", " c1", "c1 ", "1", "c-1", "c+1", "c0x1",
                                        "c1-", "c1-0", "c1-01", "c1-A", "c1-1-1", "c-", "c1-12345678123456781" };
    const uint64_t ids[] = { 1, 255, 256, 0x1234567890abcdef, UINT64_MAX };
    char text[CONNECTION_TEXT];
    uint64_t node;
    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(connection_parse(slice_of(none[i]), &node), 0);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        for (size_t k = 0; k <= sizeof ids / sizeof *ids; k++) {
            uint64_t of = k > 0 ? ids[k - 1] : 0;
            assert_int_equal(connection_parse(slice(text, connection_print(text, of, ids[i])), &node), ids[i]);
            assert_int_equal(node, of);
        }
}

/* An engine outside that answers when the test says so. */
static void ask_fetch(struct engine *engine, struct fetch_call *call)      { (void)engine, (void)call; }
static void ask_subscribe(struct engine *engine, struct watch_call *call)  { (void)engine, (void)call; }

static void call_of(struct rig *rig, int edge, struct call *call, enum letter_kind kind)
{
    call->letter.kind = kind;
    call->from = rig->edge[edge];
    call_submit(&rig->to_hub, call, 0);
}

/* Who asked for a subscription from outside may publish to it as soon as it is told that it is there. */
static void subscriptions_are_answered_when_the_engine_has_begun_them(void **state)
{
    struct rig *rig = *state;
    struct engine engine = { .fetch = ask_fetch, .subscribe = ask_subscribe };
    hub_use_engine(rig->hub, &engine);
    const struct slice name = SLICE("x");
    struct errand_call errand = { .kind = ERRAND_CHANNELS, .user = SLICE("ann"), .add = &name, .n_add = 1 };
    struct watch_call watch = { .channel = name };
    struct fetch_call fetch = { .patient = true }, later = { .patient = true };
    ask(rig, &errand);
    turn(rig);
    for (int i = 0; i < EDGES; i++)
        give_back(rig, i);
    call_of(rig, 0, &watch.call, CALL_WATCH);      /* in the same turn as the part, before or behind it */
    call_of(rig, 0, &fetch.call, CALL_FETCH);
    turn(rig);
    call_of(rig, 1, &later.call, CALL_FETCH);      /* of somebody else, and later: it is not waited for */
    turn(rig);
    assert_int_equal(rig->answers, 0);
    engine_answer(rig->hub, &watch.call, 0);
    turn(rig);
    assert_int_equal(rig->answers, 0);
    engine_answer(rig->hub, &fetch.call, 0);
    turn(rig);
    assert_int_equal(rig->answers, 1);
    errand_answer_fini(&errand);

    struct errand_call next = { .kind = ERRAND_CHANNELS, .user = SLICE("ann"), .add = &name, .n_add = 1 };
    ask(rig, &next);
    turn(rig);
    for (int i = 0; i < EDGES; i++)
        give_back(rig, i);
    turn(rig);
    assert_int_equal(rig->answers, 1);             /* `later` was there before it */
    engine_answer(rig->hub, &later.call, ERR_DRAINING);
    turn(rig);
    assert_int_equal(rig->answers, 2);
    errand_answer_fini(&next);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_answered_when_the_last_edge_has_done_its_part),
        TEST(one_by_id_goes_to_its_edge_alone_and_its_error_is_the_answers),
        TEST(an_id_of_no_edge_is_answered_at_once),
        TEST(an_edge_that_has_left_is_not_waited_for_but_does_what_it_was_asked_before),
        TEST(more_than_may_be_under_way_wait_in_order),
        TEST(a_page_is_merged_by_id_and_ends_where_an_edge_was_cut),
        TEST(the_hub_has_errands_of_its_own),
        TEST(what_is_under_way_when_the_hub_ends_is_freed_with_what_edges_had_filled_in),
        TEST(subscriptions_are_answered_when_the_engine_has_begun_them),
        cmocka_unit_test(ids_are_read_as_they_are_printed_and_nothing_else_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

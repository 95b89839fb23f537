/* Errands with other nodes: what they do comes into the answer beside what the edges do, and what is waited for there holds up nothing
 * here. The other nodes are the test's: it notes what they are asked, and answers when it says so. */
#include "tests/unit/errand_rig.h"

enum { NODE = 500, ASKED = 32 };

struct others {
    struct elsewhere port;      /* first */
    struct errand   *asked[ASKED];
    unsigned         n_asked;
    int              refuses;
};
static struct others others;

static int run(struct elsewhere *elsewhere, struct errand *errand, struct errand_call *call)
{
    struct others *o = (struct others *)elsewhere;
    if (o->refuses == ERR_REDIS_AWAY)
        call->missing = (struct nodes_missing){ .n = 2, .n_named = 1, .named = { 7 } };
    if (!o->refuses)
        o->asked[o->n_asked++] = errand;
    return o->refuses;
}

static int with_others(void **state)
{
    set_up(state);
    others = (struct others){ .port = { NODE, run } };
    hub_use_elsewhere(((struct rig *)*state)->hub, &others.port);
    return 0;
}

/* A part of another node: done for n, with these connections (0 ends). */
static struct errand_part part_of(uint64_t node, size_t n, const uint64_t *ids, bool more)
{
    struct errand_part part = { .node = node, .n = n, .more = more };
    part.found = calloc(16, sizeof *part.found);
    for (; ids && *ids; ids++) {
        buf_addf(&part.text, "(%llu)", (unsigned long long)(*ids >> 8));
        part.found[part.n_found++] = (struct errand_found){ *ids, part.text.len };
    }
    return part;
}

static void answer_with(struct rig *rig, unsigned which, struct errand_part part, unsigned n_missing, int err)
{
    struct errand_part *parts = malloc(sizeof *parts);
    *parts = part;
    errand_elsewhere(rig->hub, others.asked[which], parts, 1, &(struct nodes_missing){ .n = n_missing }, err);
    turn(rig);
}

static void edges_done(struct rig *rig)
{
    for (int i = 0; i < EDGES; i++)
        give_back(rig, i);
    turn(rig);
}

static void it_is_answered_when_edges_and_nodes_have_done_their_parts_whoever_is_last(void **state)
{
    struct rig *rig = *state;
    struct errand_call first = { .kind = ERRAND_CLOSE, .user = SLICE("ann") }, second = first;
    ask(rig, &first);
    turn(rig);
    assert_int_equal(others.n_asked, 1);
    rig->came[1][0]->n = 2;
    edges_done(rig);
    assert_int_equal(rig->answers, 0);
    answer_with(rig, 0, part_of(9, 3, NULL, false), 1, 0);
    assert_int_equal(rig->answers, 1);
    assert_int_equal(first.call.err, 0);
    assert_int_equal(errand_done(&first), 5);
    assert_int_equal(first.missing.n, 1);
    errand_answer_fini(&first);

    ask(rig, &second);
    turn(rig);
    answer_with(rig, 1, part_of(9, 3, NULL, false), 0, 0);
    assert_int_equal(rig->answers, 1);
    edges_done(rig);
    assert_int_equal(rig->answers, 2);
    assert_int_equal(errand_done(&second), 3);
    errand_answer_fini(&second);
}

static void a_list_is_in_order_of_number_and_then_of_node_and_ends_where_a_node_was_cut(void **state)
{
    struct rig *rig = *state;
    struct errand_call errand = { .kind = ERRAND_LIST, .limit = 100 };
    ask(rig, &errand);
    turn(rig);
    FIND(rig, 0, false, 1, 4);
    edges_done(rig);
    struct errand_part *parts = calloc(2, sizeof *parts);
    parts[0] = part_of(NODE + 1, 0, (uint64_t[]){ id(rig, 0, 1), id(rig, 0, 2), id(rig, 0, 3), 0 }, true);
    parts[1] = part_of(NODE - 1, 0, (uint64_t[]){ id(rig, 0, 1), id(rig, 0, 3), id(rig, 0, 5), 0 }, false);
    errand_elsewhere(rig->hub, others.asked[0], parts, 2, &(struct nodes_missing){ .n = 0 }, 0);
    turn(rig);
    size_t at[EDGES + 2] = { 0 };
    struct slice text;
    uint64_t last;
    bool more;
    struct buf seen = { 0 };
    for (const struct errand_part *part; (part = errand_list_next(&errand, at, &text, &last, &more)); )
        buf_addf(&seen, "%.*s@%d ", (int)text.len, text.at, (int)(part->node - NODE));
    buf_add_char(&seen, '\0');
    assert_string_equal(seen.at, "(1)@-1 <1>@0 (1)@1 (2)@1 (3)@-1 (3)@1 ");
    assert_true(more);
    buf_fini(&seen);
    errand_answer_fini(&errand);
}

static void one_by_id_is_asked_for_where_it_is_and_nowhere_else(void **state)
{
    struct rig *rig = *state;
    struct errand_call far = { .kind = ERRAND_SHOW, .connection = id(rig, 1, 5), .node = 9 }, silent = far, near = far, of_nobody = far;
    ask(rig, &far);
    turn(rig);
    assert_int_equal(others.n_asked, 1);
    for (int i = 0; i < EDGES; i++)
        assert_int_equal(rig->n_came[i], 0);
    answer_with(rig, 0, part_of(9, 1, NULL, false), 0, 0);
    assert_int_equal(far.call.err, 0);
    assert_int_equal(errand_part_at(&far, 0)->node, 9);
    errand_answer_fini(&far);

    ask(rig, &silent);
    turn(rig);
    errand_elsewhere(rig->hub, others.asked[1], NULL, 0, &(struct nodes_missing){ .n = 1 }, ERR_NODE_SILENT);
    turn(rig);
    assert_int_equal(silent.call.err, ERR_NODE_SILENT);
    errand_answer_fini(&silent);

    near.node = NODE;
    ask(rig, &near);
    turn(rig);
    assert_int_equal(rig->n_came[1], 1);
    give_back(rig, 1);
    of_nobody.node = 0;      /* as the ids of a hub alone */
    ask(rig, &of_nobody);
    turn(rig);
    assert_int_equal(of_nobody.call.err, ERR_NOT_FOUND);
    assert_int_equal(others.n_asked, 2);
    errand_answer_fini(&near);
    errand_answer_fini(&of_nobody);
}

static void whoever_waits_for_other_nodes_holds_up_nobody_here(void **state)
{
    struct rig *rig = *state;
    struct errand_call errands[2 * ERRANDS_AT_ONCE];
    for (int i = 0; i < 2 * ERRANDS_AT_ONCE; i++) {
        errands[i] = (struct errand_call){ .kind = ERRAND_CLOSE, .user = SLICE("ann") };
        ask(rig, &errands[i]);
    }
    turn(rig);
    assert_int_equal(others.n_asked, 2 * ERRANDS_AT_ONCE);
    for (int i = 0; i < 2 * ERRANDS_AT_ONCE; i++)
        edges_done(rig);
    assert_int_equal(rig->answers, 0);
    hub_recheck(rig->hub);      /* the hub's own: not for other nodes */
    turn(rig);
    assert_int_equal(rig->n_came[0], 1);
    assert_int_equal(others.n_asked, 2 * ERRANDS_AT_ONCE);
    edges_done(rig);
    for (unsigned i = 0; i < 2 * ERRANDS_AT_ONCE; i++)
        answer_with(rig, i, part_of(9, 1, NULL, false), 0, 0);
    assert_int_equal(rig->answers, 2 * ERRANDS_AT_ONCE);
    for (int i = 0; i < 2 * ERRANDS_AT_ONCE; i++)
        errand_answer_fini(&errands[i]);
}

static void when_no_node_can_be_asked_it_is_refused_or_done_here_and_says_so(void **state)
{
    struct rig *rig = *state;
    struct errand_call busy = { .kind = ERRAND_CLOSE, .user = SLICE("ann") }, away = busy;
    struct errand_call one = { .kind = ERRAND_SHOW, .connection = id(rig, 1, 5), .node = 9 };
    others.refuses = ERR_BUSY;
    ask(rig, &busy);
    turn(rig);
    assert_int_equal(busy.call.err, ERR_BUSY);
    assert_int_equal(rig->n_came[0], 0);
    others.refuses = ERR_REDIS_AWAY;
    ask(rig, &one);
    ask(rig, &away);
    turn(rig);
    assert_int_equal(one.call.err, ERR_REDIS_AWAY);
    edges_done(rig);
    assert_int_equal(away.call.err, 0);
    assert_int_equal(away.missing.n, 2);
    assert_int_equal(away.missing.named[0], 7);
    errand_answer_fini(&away);
}

static void a_hub_that_ends_gives_back_what_waits_for_other_nodes(void **state)
{
    struct rig *rig = *state;
    static struct errand_call waits, local;
    waits = local = (struct errand_call){ .kind = ERRAND_CLOSE, .user = SLICE("ann") };
    ask(rig, &waits);
    turn(rig);
    edges_done(rig);
    ask(rig, &local);
    turn(rig);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, with_others, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_answered_when_edges_and_nodes_have_done_their_parts_whoever_is_last),
        TEST(a_list_is_in_order_of_number_and_then_of_node_and_ends_where_a_node_was_cut),
        TEST(one_by_id_is_asked_for_where_it_is_and_nowhere_else),
        TEST(whoever_waits_for_other_nodes_holds_up_nobody_here),
        TEST(when_no_node_can_be_asked_it_is_refused_or_done_here_and_says_so),
        TEST(a_hub_that_ends_gives_back_what_waits_for_other_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

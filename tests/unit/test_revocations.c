/* Tokens that are taken back: which ones a revocation meets, that it only ever grows, how long it is kept, and its record. */
#include "tests/unit/record_rig.h"

#include "hub/access/revocations.h"

enum { NOW = 1800000000 };

struct rig {
    struct record_rig   records;
    struct revocations *table;
};

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    record_rig_open(&rig->records);
    rig->table = authority_revocations(rig->records.authority);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    record_rig_close(&rig->records);
    free(rig);
    return 0;
}

static int revoke_within(struct rig *rig, enum revocation_kind kind, const char *subject, int64_t before_s, int64_t until_s, size_t most)
{
    struct revocation_ask ask = { .most = most };
    ask.add = revocation_new(&(struct revocation){ .kind = kind, .subject = slice_of(subject), .reason = SLICE("lost"), .before_s = before_s,
                                                   .created_s = NOW, .until_s = until_s });
    int err = record_rig_ask(&rig->records, RECORD_REVOCATION, ask.add->item.id, &ask);
    assert_true(err || slice_begins(buf_slice(&ask.told), SLICE("{\"")));
    buf_fini(&ask.told);
    free(ask.add);
    return err;
}

static int revoke(struct rig *rig, enum revocation_kind kind, const char *subject, int64_t before_s)
{
    return revoke_within(rig, kind, subject, before_s, NOW + 100, 1000);
}

static int let_in_again(struct rig *rig, enum revocation_kind kind, const char *subject)
{
    struct revocation_ask ask = { .add = NULL };
    char id[REVOCATION_ID_TEXT];
    revocation_id(kind, slice_of(subject), id);
    return record_rig_ask(&rig->records, RECORD_REVOCATION, id, &ask);
}

static bool lets_in(struct rig *rig, const char *jti, const char *user, int64_t issued_s)
{
    int err = revocations_check(rig->table, slice_of(jti), slice_of(user), issued_s);
    assert_true(err == 0 || err == ERR_TOKEN_REVOKED);
    return err == 0;
}

static void a_token_is_met_by_its_id_and_no_other(void **state)
{
    struct rig *rig = *state;
    assert_true(lets_in(rig, "a", "ann", NOW));
    assert_int_equal(revoke(rig, REVOKES_TOKEN, "a", 0), 0);
    assert_false(lets_in(rig, "a", "ann", NOW));
    assert_false(lets_in(rig, "a", "", 0));
    assert_true(lets_in(rig, "b", "ann", NOW) && lets_in(rig, "", "ann", NOW) && lets_in(rig, "", "a", NOW));
    assert_int_equal(rig->records.told, 1);
    assert_int_equal(let_in_again(rig, REVOKES_TOKEN, "a"), 0);
    assert_true(lets_in(rig, "a", "ann", NOW));
    assert_int_equal(let_in_again(rig, REVOKES_TOKEN, "a"), ERR_NOT_FOUND);
    assert_int_equal(rig->records.told, 1);
}

static void a_users_tokens_are_met_up_to_a_moment_and_those_that_do_not_say_when_always(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(revoke(rig, REVOKES_USER, "ann", NOW + 1), 0);
    assert_false(lets_in(rig, "a", "ann", NOW));
    assert_false(lets_in(rig, "", "ann", 0));
    assert_true(lets_in(rig, "a", "ann", NOW + 1));
    assert_true(lets_in(rig, "a", "bob", 0) && lets_in(rig, "ann", "", 0));
}

static void everybodys_tokens_are_met_up_to_a_moment(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(revoke(rig, REVOKES_ALL, "", NOW), 0);
    assert_true(!lets_in(rig, "a", "ann", NOW - 1) && !lets_in(rig, "", "", 0));
    assert_true(lets_in(rig, "a", "ann", NOW));
    assert_int_equal(let_in_again(rig, REVOKES_ALL, ""), 0);
    assert_true(lets_in(rig, "a", "ann", NOW - 1) && lets_in(rig, "", "", 0));
}

static void a_second_order_only_takes_more_back_and_longer(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(revoke_within(rig, REVOKES_USER, "ann", NOW, NOW + 100, 1), 0);
    assert_int_equal(revoke_within(rig, REVOKES_USER, "ann", NOW - 50, NOW + 10, 1), 0);
    assert_false(lets_in(rig, "", "ann", NOW - 1));
    hub_sweep_access(rig->records.hub, rig->records.authority, NOW + 99);
    assert_false(lets_in(rig, "", "ann", NOW - 1));
    assert_int_equal(revoke_within(rig, REVOKES_USER, "ann", NOW + 5, NOW + 10, 1), 0);
    assert_false(lets_in(rig, "", "ann", NOW + 4));
    hub_sweep_access(rig->records.hub, rig->records.authority, NOW + 100);
    assert_true(lets_in(rig, "", "ann", 0));
}

static void one_is_kept_until_the_tokens_have_expired_and_not_longer(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(revoke_within(rig, REVOKES_TOKEN, "a", 0, NOW + 10, 1000), 0);
    assert_int_equal(revoke_within(rig, REVOKES_TOKEN, "b", 0, NOW + 20, 1000), 0);
    hub_sweep_access(rig->records.hub, rig->records.authority, NOW + 10);
    assert_int_equal(let_in_again(rig, REVOKES_TOKEN, "a"), ERR_NOT_FOUND);
    assert_int_equal(let_in_again(rig, REVOKES_TOKEN, "b"), 0);
}

/* What is due is removed by a change like any other, which may have to wait for an earlier one of the same record. */
static void one_that_was_prolonged_before_its_removal_began_stays(void **state)
{
    struct rig *rig = *state;
    struct revocation_ask sweep = { .due_s = NOW + 10 };
    char id[REVOCATION_ID_TEXT];
    revocation_id(REVOKES_USER, SLICE("ann"), id);
    assert_int_equal(revoke_within(rig, REVOKES_USER, "ann", NOW, NOW + 10, 1000), 0);
    assert_int_equal(revoke_within(rig, REVOKES_USER, "ann", NOW, NOW + 20, 1000), 0);
    assert_int_equal(record_rig_ask(&rig->records, RECORD_REVOCATION, id, &sweep), ERR_NOT_FOUND);
    assert_false(lets_in(rig, "", "ann", NOW - 1));
    sweep.due_s = NOW + 20;
    assert_int_equal(record_rig_ask(&rig->records, RECORD_REVOCATION, id, &sweep), 0);
    assert_true(lets_in(rig, "", "ann", NOW - 1));
}

static void there_are_no_more_than_limits_revocations_but_those_there_are_can_grow(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(revoke_within(rig, REVOKES_TOKEN, "a", 0, NOW + 10, 2), 0);
    assert_int_equal(revoke_within(rig, REVOKES_TOKEN, "b", 0, NOW + 10, 2), 0);
    assert_int_equal(revoke_within(rig, REVOKES_TOKEN, "c", 0, NOW + 10, 2), ERR_TOO_MANY_REVOCATIONS);
    assert_int_equal(revoke_within(rig, REVOKES_TOKEN, "b", 0, NOW + 30, 2), 0);
    assert_true(lets_in(rig, "c", "", 0));
    assert_int_equal(let_in_again(rig, REVOKES_TOKEN, "a"), 0);
    assert_int_equal(revoke_within(rig, REVOKES_TOKEN, "c", 0, NOW + 10, 2), 0);
}

static void a_record_says_everything_and_is_read_back(void **state)
{
    struct rig *rig = *state;
    static const struct revocation forms[] = {
        { .kind = REVOKES_TOKEN, .subject = SLICE("with \"quotes\" \\ and \xc3\xa9"), .created_s = 1, .until_s = 2, .reason = SLICE("") },
        { .kind = REVOKES_USER, .subject = SLICE("ann"), .before_s = 7, .created_s = 1, .until_s = 2, .reason = SLICE("lost a phone") },
        { .kind = REVOKES_ALL, .subject = SLICE(""), .before_s = 8, .created_s = 1, .until_s = 2, .reason = SLICE("") },
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct revocation *r = revocation_new(&forms[i]), *again;
        struct buf text = { 0 }, text_again = { 0 };
        revocation_print(r, &text);
        assert_int_equal(revocation_read(slice_of(r->item.id), buf_slice(&text), &again), 0);
        revocation_print(again, &text_again);
        assert_true(slice_is(buf_slice(&text), buf_slice(&text_again)) && again->kind == forms[i].kind);
        assert_int_equal(hub_restore_record(rig->records.hub, SLICE("revocation"), slice_of(r->item.id), buf_slice(&text)), 0);
        assert_int_equal(revocation_read(SLICE("rv_0"), buf_slice(&text), &again), ERR_STORE_OPEN);
        buf_fini(&text);
        buf_fini(&text_again);
        free(r);
        free(again);
    }
    assert_true(!lets_in(rig, "", "ann", 6) && !lets_in(rig, "x", "bob", 7) && lets_in(rig, "x", "bob", 8));
    static const char *const wrong[] = { "", "{}", "[]", "{\"jti\":\"a\"}", "{\"jti\":1,\"created\":1,\"until\":2}",
                                         "{\"jti\":\"a\",\"user\":\"b\",\"created\":1,\"until\":2}", "{\"user\":\"b\",\"created\":1,\"until\":2}",
                                         "{\"created\":1,\"until\":2}", "{\"before\":-1,\"created\":1,\"until\":2}" };
    struct revocation *none;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (revocation_read(SLICE("rv_0"), slice_of(wrong[i]), &none) != ERR_STORE_OPEN)
            fail_msg("read: %s", wrong[i]);
}

struct page { char ids[8][REVOCATION_ID_TEXT]; size_t n; };
static void note(void *arg, const struct revocation *r)
{
    struct page *page = arg;
    memcpy(page->ids[page->n++], r->item.id, REVOCATION_ID_TEXT);
}

static void pages_follow_one_another(void **state)
{
    struct rig *rig = *state;
    struct page page = { .n = 0 };
    for (int i = 0; i < 7; i++)
        assert_int_equal(revoke(rig, REVOKES_TOKEN, ((const char *[]){ "a", "b", "c", "d", "e", "f", "g" })[i], 0), 0);
    assert_true(revocations_page(rig->table, SLICE(""), 4, note, &page));
    assert_false(revocations_page(rig->table, slice_of(page.ids[3]), 4, note, &page));
    assert_int_equal(page.n, 7);
    for (size_t i = 1; i < page.n; i++)
        assert_true(strcmp(page.ids[i - 1], page.ids[i]) < 0);
    struct page one = { .n = 0 };
    assert_true(revocations_show(rig->table, slice_of(page.ids[2]), note, &one) && one.n == 1);
    assert_false(revocations_show(rig->table, SLICE("rv_"), note, &one));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token_is_met_by_its_id_and_no_other),
        TEST(a_users_tokens_are_met_up_to_a_moment_and_those_that_do_not_say_when_always),
        TEST(everybodys_tokens_are_met_up_to_a_moment),
        TEST(a_second_order_only_takes_more_back_and_longer),
        TEST(one_is_kept_until_the_tokens_have_expired_and_not_longer),
        TEST(one_that_was_prolonged_before_its_removal_began_stays),
        TEST(there_are_no_more_than_limits_revocations_but_those_there_are_can_grow),
        TEST(a_record_says_everything_and_is_read_back),
        TEST(pages_follow_one_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Keys made at run time: what lets their holders in and how long, what a rotation leaves valid, who may change which key, and that
 * a record says all of it. */
#include "tests/unit/record_rig.h"

#include "hub/access/access.h"
#include "hub/access/key_table.h"
#include "hub/config/api_key.h"

enum { NOW = 1800000000 };

struct rig {
    struct record_rig records;
    struct key_table *table;
};

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    record_rig_open(&rig->records);
    rig->table = authority_key_table(rig->records.authority);
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

/* ---- keys by name: the secret of "a" is "secret a" ---- */

static struct live_key *make_key(const char *id, const char *secret, const char *const *scopes, int64_t expires_s)
{
    struct slice words[KEY_SCOPES_MAX];
    uint8_t sha256[32];
    struct key_form form = { .id = slice_of(id), .name = SLICE("backend"), .tier = SLICE("gold"), .scopes = words, .created_s = NOW,
                             .expires_s = expires_s, .generation = 1, .hint = SLICE("ck_1234"), .sha256 = sha256 };
    for (; scopes[form.n_scopes]; form.n_scopes++)
        words[form.n_scopes] = slice_of(scopes[form.n_scopes]);
    api_key_digest(slice_of(secret), sha256);
    return live_key_new(&form);
}

static int add_within(struct rig *rig, const char *id, const char *secret, const char *const *scopes, int64_t expires_s, size_t most)
{
    struct key_ask ask = { .change = KEY_ADD, .most = most, .key = make_key(id, secret, scopes, expires_s) };
    int err = record_rig_ask(&rig->records, RECORD_KEY, id, &ask);
    live_key_unref(ask.key);
    return err;
}

#define SCOPES(...) ((const char *const[]){ __VA_ARGS__, NULL })
static int add(struct rig *rig, const char *id, const char *secret) { return add_within(rig, id, secret, SCOPES("*"), INT64_MAX, 1000); }

static int change(struct rig *rig, const char *id, enum key_change what, const struct principal *by)
{
    struct key_ask ask = { .change = what, .by = by };
    return record_rig_ask(&rig->records, RECORD_KEY, id, &ask);
}

static int rotate(struct rig *rig, const char *id, const char *secret, int64_t old_until_s)
{
    uint8_t sha256[32];
    struct key_ask ask = { .change = KEY_ROTATE, .sha256 = sha256, .hint = "ck_5678", .now_s = NOW, .old_until_s = old_until_s };
    api_key_digest(slice_of(secret), sha256);
    int err = record_rig_ask(&rig->records, RECORD_KEY, id, &ask);
    live_key_unref(ask.ret_key);
    return err;
}

static int check(struct rig *rig, const char *secret, int64_t now_s, uint32_t *ret_generation, int64_t *ret_until_s)
{
    struct live_key *key;
    int err = key_table_check(rig->table, slice_of(secret), now_s, &key, ret_generation, ret_until_s);
    if (!err)
        live_key_unref(key);
    return err;
}

#define assert_lets_in(rig, secret, now_s)      assert_int_equal(check(rig, secret, now_s, &(uint32_t){ 0 }, &(int64_t){ 0 }), 0)
#define assert_refuses(rig, secret, now_s, err) assert_int_equal(check(rig, secret, now_s, &(uint32_t){ 0 }, &(int64_t){ 0 }), err)

/* ---- what is promised ---- */

static void a_secret_lets_in_as_long_as_its_key_is_there(void **state)
{
    struct rig *rig = *state;
    assert_refuses(rig, "secret a", NOW, ERR_UNAUTHENTICATED);
    assert_int_equal(add(rig, "key_a", "secret a"), 0);
    assert_int_equal(add(rig, "key_b", "secret b"), 0);
    assert_lets_in(rig, "secret a", NOW);
    assert_lets_in(rig, "secret b", NOW);
    for (size_t i = 0; i < 4; i++)
        assert_refuses(rig, ((const char *[]){ "", "secret", "secret a ", "key_a" })[i], NOW, ERR_UNAUTHENTICATED);
    assert_int_equal(rig->records.told, 0);
    assert_int_equal(change(rig, "key_a", KEY_REMOVE, NULL), 0);
    assert_int_equal(rig->records.told, 1);
    assert_refuses(rig, "secret a", NOW, ERR_UNAUTHENTICATED);
    assert_lets_in(rig, "secret b", NOW);
    assert_int_equal(key_table_admits(rig->table, SLICE("key_a"), 1, NOW), ERR_KEY_REVOKED);
    assert_int_equal(key_table_admits(rig->table, SLICE("key_b"), 1, NOW), 0);
    assert_int_equal(change(rig, "key_a", KEY_REMOVE, NULL), ERR_NOT_FOUND);
}

static void an_expired_key_says_that_it_is_and_is_removed_a_day_later(void **state)
{
    struct rig *rig = *state;
    uint32_t generation;
    int64_t until_s;
    assert_int_equal(add_within(rig, "key_a", "secret a", SCOPES("*"), NOW + 10, 1000), 0);
    assert_int_equal(check(rig, "secret a", NOW + 9, &generation, &until_s), 0);
    assert_true(generation == 1 && until_s == NOW + 10);
    assert_refuses(rig, "secret a", NOW + 10, ERR_KEY_EXPIRED);
    assert_int_equal(key_table_admits(rig->table, SLICE("key_a"), 1, NOW + 10), ERR_KEY_EXPIRED);
    hub_sweep_access(rig->records.hub, rig->records.authority, NOW + 10 + KEY_KEPT_S - 1);
    assert_refuses(rig, "secret a", NOW + 10, ERR_KEY_EXPIRED);
    hub_sweep_access(rig->records.hub, rig->records.authority, NOW + 10 + KEY_KEPT_S);
    assert_refuses(rig, "secret a", NOW + 10, ERR_UNAUTHENTICATED);
}

static void a_rotation_leaves_the_old_secret_its_overlap_and_no_longer(void **state)
{
    struct rig *rig = *state;
    uint32_t generation;
    int64_t until_s;
    assert_int_equal(add(rig, "key_a", "first"), 0);
    assert_int_equal(rotate(rig, "key_a", "second", NOW + 60), 0);
    assert_int_equal(check(rig, "first", NOW, &generation, &until_s), 0);
    assert_true(generation == 1 && until_s == NOW + 60);
    assert_int_equal(check(rig, "second", NOW, &generation, &until_s), 0);
    assert_true(generation == 2 && until_s == INT64_MAX);
    assert_int_equal(key_table_admits(rig->table, SLICE("key_a"), 1, NOW + 59), 0);
    assert_refuses(rig, "first", NOW + 60, ERR_KEY_EXPIRED);
    assert_int_equal(key_table_admits(rig->table, SLICE("key_a"), 1, NOW + 60), ERR_KEY_EXPIRED);
    int told = rig->records.told;
    hub_sweep_access(rig->records.hub, rig->records.authority, NOW + 60);
    assert_int_equal(rig->records.told, told + 1);
    assert_refuses(rig, "first", NOW + 60, ERR_UNAUTHENTICATED);
    assert_int_equal(key_table_admits(rig->table, SLICE("key_a"), 1, NOW + 60), ERR_KEY_REVOKED);
    assert_lets_in(rig, "second", NOW + 60);
}

static void a_second_rotation_ends_the_first_secret_at_once_and_none_needs_an_overlap(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(add(rig, "key_a", "first"), 0);
    assert_int_equal(rotate(rig, "key_a", "second", NOW + 60), 0);
    assert_int_equal(rotate(rig, "key_a", "third", NOW + 60), 0);
    assert_refuses(rig, "first", NOW, ERR_UNAUTHENTICATED);
    assert_lets_in(rig, "second", NOW);
    assert_int_equal(key_table_admits(rig->table, SLICE("key_a"), 1, NOW), ERR_KEY_REVOKED);
    assert_int_equal(key_table_admits(rig->table, SLICE("key_a"), 2, NOW), 0);
    assert_int_equal(rotate(rig, "key_a", "fourth", 0), 0);
    assert_refuses(rig, "second", NOW, ERR_UNAUTHENTICATED);
    assert_refuses(rig, "third", NOW, ERR_UNAUTHENTICATED);
    assert_lets_in(rig, "fourth", NOW);
    assert_int_equal(key_table_admits(rig->table, SLICE("key_a"), 3, NOW), ERR_KEY_REVOKED);
    assert_int_equal(rotate(rig, "key_b", "x", 0), ERR_NOT_FOUND);
    assert_int_equal(change(rig, "key_a", KEY_REMOVE, NULL), 0);
    assert_refuses(rig, "fourth", NOW, ERR_UNAUTHENTICATED);
}

static void an_expired_key_cannot_be_rotated_back_to_life(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(add_within(rig, "key_a", "secret a", SCOPES("*"), NOW, 1000), 0);
    assert_int_equal(rotate(rig, "key_a", "second", 0), ERR_KEY_EXPIRED);
    assert_refuses(rig, "second", NOW - 1, ERR_UNAUTHENTICATED);
}

static void there_are_no_more_keys_than_limits_keys(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(add_within(rig, "key_a", "a", SCOPES("*"), INT64_MAX, 2), 0);
    assert_int_equal(add_within(rig, "key_b", "b", SCOPES("*"), INT64_MAX, 2), 0);
    assert_int_equal(add_within(rig, "key_c", "c", SCOPES("*"), INT64_MAX, 2), ERR_TOO_MANY_KEYS);
    assert_refuses(rig, "c", NOW, ERR_UNAUTHENTICATED);
    assert_int_equal(change(rig, "key_a", KEY_REMOVE, NULL), 0);
    assert_int_equal(add_within(rig, "key_c", "c", SCOPES("*"), INT64_MAX, 2), 0);
}

/* The holder of a key of the table. */
static struct principal *holder(struct rig *rig, const char *secret)
{
    struct live_key *key;
    struct principal *p;
    uint32_t generation;
    int64_t until_s;
    assert_int_equal(key_table_check(rig->table, slice_of(secret), NOW, &key, &generation, &until_s), 0);
    assert_int_equal(principal_by_live_key(&rig->records.config, key, generation, until_s, &p), 0);
    return p;
}

static void nobody_changes_a_key_that_may_do_what_he_may_not(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(add_within(rig, "key_all", "all", SCOPES("*"), INT64_MAX, 1000), 0);
    assert_int_equal(add_within(rig, "key_chat", "chat", SCOPES("admin", "publish:chat.*"), INT64_MAX, 1000), 0);
    assert_int_equal(add_within(rig, "key_one", "one", SCOPES("publish:chat.one"), INT64_MAX, 1000), 0);
    struct principal *all = holder(rig, "all"), *chat = holder(rig, "chat");
    static const struct { const char *scope; bool within; } of_chat[] = {
        { "publish:chat.*", true }, { "publish:chat.one", true }, { "admin", true }, { "publish:chat.**", false }, { "publish", false },
        { "publish:*", false }, { "publish:**", false }, { "publish:chat.one.two", false }, { "publish:chatter", false },
        { "subscribe:chat.one", false }, { "*", false },
    };
    for (size_t i = 0; i < sizeof of_chat / sizeof *of_chat; i++) {
        if (scope_is_within(slice_of(of_chat[i].scope), chat) != of_chat[i].within)
            fail_msg("%s is within: %d", of_chat[i].scope, !of_chat[i].within);
        assert_true(scope_is_within(slice_of(of_chat[i].scope), all));
    }
    assert_int_equal(change(rig, "key_all", KEY_REMOVE, chat), ERR_FORBIDDEN);
    assert_int_equal(change(rig, "key_one", KEY_REMOVE, chat), 0);
    assert_int_equal(change(rig, "key_chat", KEY_REMOVE, all), 0);
    assert_lets_in(rig, "all", NOW);
    principal_unref(all);
    principal_unref(chat);      /* outlives its key */
}

static void a_key_may_what_its_scopes_say(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(add_within(rig, "key_a", "a", SCOPES("subscribe:news.**", "publish:chat.*"), INT64_MAX, 1000), 0);
    struct principal *p = holder(rig, "a");
    assert_int_equal(principal_may(p, OP_SUBSCRIBE, SLICE("news.x.y")), 0);
    assert_int_equal(principal_may(p, OP_PUBLISH, SLICE("chat.x")), 0);
    assert_int_equal(principal_may(p, OP_PUBLISH, SLICE("news.x")), ERR_FORBIDDEN);
    assert_int_equal(principal_may(p, OP_ADMIN, SLICE("")), ERR_FORBIDDEN);
    assert_true(slice_is(principal_name(p), SLICE("key backend (key_a)")));
    principal_unref(p);
}

/* ---- records and use ---- */

static void a_record_says_everything_and_is_read_back(void **state)
{
    (void)state;
    struct slice scopes[KEY_SCOPES_MAX];
    struct key_form form;
    struct live_key *key = make_key("key_a", "first", SCOPES("publish:a.*", "*"), NOW + 5), *again;
    live_key_form(key, scopes, &form);
    uint8_t old[32] = "the digest of the secret before";
    form.old_sha256 = old;
    form.old_until_s = NOW + 7;
    form.generation = 9;
    form.used_s = NOW + 3;
    struct live_key *full = live_key_new(&form);
    struct buf text = { 0 }, text_again = { 0 };
    live_key_print(full, &text);
    assert_int_equal(live_key_read(SLICE("key_a"), buf_slice(&text), &again), 0);
    live_key_print(again, &text_again);
    assert_true(slice_is(buf_slice(&text), buf_slice(&text_again)));
    assert_memory_equal(again->old_sha256, old, 32);
    assert_true(again->generation == 9 && again->expires_s == NOW + 5 && again->key.scopes.count == 2 && again->stored_s == NOW + 3);
    assert_string_equal(again->key.scopes.at[0], "publish:a.*");
    assert_true(slice_is(again->tier, SLICE("gold")));
    buf_fini(&text);
    buf_fini(&text_again);
    live_key_unref(key);
    live_key_unref(full);
    live_key_unref(again);
}

static void a_record_that_was_never_written_is_refused(void **state)
{
    (void)state;
    static const char good[] = "{\"name\":\"a\",\"scopes\":[\"*\"],\"created\":1,\"sha256\":\""
                               "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"hint\":\"ck_0000\",\"generation\":1}";
    static const struct { const char *part, *instead; } wrong[] = {
        { "\"name\":\"a\"", "\"name\":\"a b\"" }, { "\"name\":\"a\"", "\"name\":1" }, { "\"name\":\"a\",", "" }, { "[\"*\"]", "[]" },
        { "[\"*\"]", "\"*\"" }, { "[\"*\"]", "[\"fly\"]" }, { "[\"*\"]", "[1]" }, { "0123456789abcdef0", "0123456789abcdeg0" },
        { "0123456789abcdef0", "0" }, { "ck_0000", "ck_00000000000000" }, { "\"generation\":1", "\"generation\":0" },
        { "\"created\":1", "\"created\":-1" }, { "\"created\":1", "\"created\":\"1\"" }, { "}", "" }, { "{", "[" },
        { "\"generation\":1", "\"generation\":1,\"old\":{\"sha256\":\"00\",\"until\":5}" },
        { "\"generation\":1", "\"generation\":1,\"old\":5" },
    };
    struct live_key *key;
    assert_int_equal(live_key_read(SLICE("key_a"), slice_of(good), &key), 0);
    live_key_unref(key);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[400];
        const char *at = strstr(good, wrong[i].part);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, wrong[i].instead, at + strlen(wrong[i].part));
        if (live_key_read(SLICE("key_a"), slice_of(text), &key) != ERR_STORE_OPEN)
            fail_msg("read: %s", text);
    }
    assert_int_equal(live_key_read(SLICE(""), slice_of(good), &key), ERR_STORE_OPEN);
}

static void keys_of_the_store_let_in_both_secrets(void **state)
{
    struct rig *rig = *state;
    struct slice scopes[KEY_SCOPES_MAX];
    struct key_form form;
    uint8_t old[32];
    struct live_key *key = make_key("key_a", "second", SCOPES("*"), INT64_MAX);
    api_key_digest(SLICE("first"), old);
    live_key_form(key, scopes, &form);
    form.old_sha256 = old;
    form.old_until_s = NOW + 60;
    form.generation = 2;
    struct live_key *rotated = live_key_new(&form);
    struct buf text = { 0 };
    live_key_print(rotated, &text);
    assert_int_equal(hub_restore_record(rig->records.hub, SLICE("key"), SLICE("key_a"), buf_slice(&text)), 0);
    assert_lets_in(rig, "first", NOW);
    assert_lets_in(rig, "second", NOW);
    assert_refuses(rig, "first", NOW + 60, ERR_KEY_EXPIRED);
    assert_int_equal(hub_restore_record(rig->records.hub, SLICE("key"), SLICE("key_b"), SLICE("{}")), ERR_STORE_OPEN);
    buf_fini(&text);
    live_key_unref(key);
    live_key_unref(rotated);
}

/* The sweep's change may have to wait for a rotation of the same key. */
static void an_old_secret_of_a_later_rotation_is_not_dropped_with_the_one_before_it(void **state)
{
    struct rig *rig = *state;
    struct key_ask drop = { .change = KEY_DROP_OLD, .now_s = NOW + 60 };
    assert_int_equal(add(rig, "key_a", "first"), 0);
    assert_int_equal(rotate(rig, "key_a", "second", NOW + 60), 0);
    assert_int_equal(rotate(rig, "key_a", "third", NOW + 200), 0);
    assert_int_equal(record_rig_ask(&rig->records, RECORD_KEY, "key_a", &drop), ERR_NOT_FOUND);
    assert_lets_in(rig, "second", NOW + 61);
    drop.now_s = NOW + 200;
    assert_int_equal(record_rig_ask(&rig->records, RECORD_KEY, "key_a", &drop), 0);
    assert_refuses(rig, "second", NOW + 61, ERR_UNAUTHENTICATED);
    assert_int_equal(record_rig_ask(&rig->records, RECORD_KEY, "key_a", &drop), ERR_NOT_FOUND);
    assert_lets_in(rig, "third", NOW + 200);
}

static void use_is_noted_at_most_once_a_minute(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(add(rig, "key_a", "a"), 0);
    assert_lets_in(rig, "a", NOW);
    hub_sweep_access(rig->records.hub, rig->records.authority, NOW);
    struct live_key *key = key_table_find(rig->table, SLICE("key_a"));
    assert_true(key->stored_s == NOW && atomic_load(&key->used_s) == NOW);
    live_key_unref(key);
    assert_lets_in(rig, "a", NOW + 59);
    hub_sweep_access(rig->records.hub, rig->records.authority, NOW + 59);
    key = key_table_find(rig->table, SLICE("key_a"));
    assert_true(key->stored_s == NOW && atomic_load(&key->used_s) == NOW + 59);
    live_key_unref(key);
    assert_int_equal(rig->records.told, 0);      /* nothing was taken back */
    assert_lets_in(rig, "a", NOW + 60);
}

static void pages_follow_one_another_in_the_order_of_ids(void **state)
{
    struct rig *rig = *state;
    struct live_key *keys[4];
    bool more;
    for (int i = 9; i >= 0; i--) {
        char id[24], secret[24];
        snprintf(id, sizeof id, "key_%d", i);
        snprintf(secret, sizeof secret, "s%d", i);
        assert_int_equal(add(rig, id, secret), 0);
    }
    char after[24] = "";
    for (int page = 0, next = 0; page < 3; page++) {
        size_t n = key_table_page(rig->table, slice_of(after), 4, keys, &more);
        assert_int_equal(n, page < 2 ? 4 : 2);
        assert_int_equal(more, page < 2);
        for (size_t i = 0; i < n; i++, next++) {
            snprintf(after, sizeof after, "key_%d", next);
            assert_string_equal(keys[i]->item.id, after);
            live_key_unref(keys[i]);
        }
    }
}

static void ids_are_new_and_in_the_order_of_time(void **state)
{
    (void)state;
    char a[KEY_ID_TEXT], b[KEY_ID_TEXT], same[KEY_ID_TEXT];
    assert_int_equal(key_id_make(1800000000000, a), 0);
    assert_int_equal(key_id_make(1800000000001, b), 0);
    assert_int_equal(key_id_make(1800000000000, same), 0);
    assert_int_equal(strlen(a), KEY_ID_TEXT - 1);
    assert_true(strcmp(a, b) < 0 && strcmp(a, same) != 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_secret_lets_in_as_long_as_its_key_is_there),
        TEST(an_expired_key_says_that_it_is_and_is_removed_a_day_later),
        TEST(a_rotation_leaves_the_old_secret_its_overlap_and_no_longer),
        TEST(a_second_rotation_ends_the_first_secret_at_once_and_none_needs_an_overlap),
        TEST(an_expired_key_cannot_be_rotated_back_to_life),
        TEST(there_are_no_more_keys_than_limits_keys),
        TEST(nobody_changes_a_key_that_may_do_what_he_may_not),
        TEST(a_key_may_what_its_scopes_say),
        TEST(keys_of_the_store_let_in_both_secrets),
        TEST(an_old_secret_of_a_later_rotation_is_not_dropped_with_the_one_before_it),
        TEST(use_is_noted_at_most_once_a_minute),
        TEST(pages_follow_one_another_in_the_order_of_ids),
        cmocka_unit_test(a_record_says_everything_and_is_read_back),
        cmocka_unit_test(a_record_that_was_never_written_is_refused),
        cmocka_unit_test(ids_are_new_and_in_the_order_of_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What tokens grant: patterns with {user}, claims of every wrong form, roles, and what the authority makes of a credential. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/access/authority.h"
#include "hub/access/grants.h"
#include "hub/access/jwk.h"
#include "hub/access/jwt.h"
#include "hub/access/token.h"
#include "hub/base/err.h"
#include "hub/config/config.h"

#include <jansson.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define WORDS(...) { (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *) }
enum { NOW_S = 1700000000 };

static const struct config_role roles[] = {
    { .name = "editor", .grants = { [OP_PUBLISH] = WORDS("chat.**", "drafts.{user}"), [OP_SUBSCRIBE] = WORDS("chat.**") } },
    { .name = "ops", .grants = { [OP_ADMIN] = WORDS("**") } },
};

static struct config settings(void)
{
    struct config config = *config_defaults();
    config.roles = roles;
    config.role_count = sizeof roles / sizeof *roles;
    return config;
}

/* ---- grants ---- */

static bool covers(const char *pattern, const char *user, const char *wanted, enum grant_fault fault)
{
    struct grants_builder builder = { .user = slice_of(user) };
    enum grant_fault found = grants_add(&builder, OP_SUBSCRIBE, slice_of(pattern));
    if (found != fault)
        fail_msg("%s for %s: fault %d", pattern, user, (int)found);
    struct grants *grants = grants_take(&builder);
    bool does = grants_cover(grants, OP_SUBSCRIBE, slice_of(wanted));
    assert_false(grants_cover(grants, OP_PUBLISH, slice_of(wanted)));
    free(grants);
    return does;
}

static void user_is_put_in_where_it_reaches_no_further_than_it_looks(void **state)
{
    static const struct { const char *pattern, *user, *covered; enum grant_fault fault; } cases[] = {
        { "room.{user}.*", "ann", "room.ann.x", GRANT_FINE },   { "{user}", "ann", "ann", GRANT_FINE },           { "a-{user}-b.**", "ann", "a-ann-b.c", GRANT_FINE },
        { "{user}.{user}", "ann", "ann.ann", GRANT_FINE },      { "x.{user}", "a.b", "x.a.b", GRANT_FINE },        { "{user}", "{user}", "{user}", GRANT_FINE },
        { "room.{user}.*", "a.b", NULL, GRANT_VOID },           { "{user}.{user}", "a.b", NULL, GRANT_VOID },      { "{user}.x", ".", NULL, GRANT_VOID },
        { "room.{user}", "", NULL, GRANT_VOID },                { "room.{user}", "*", NULL, GRANT_VOID },          { "room.{user}", "**", NULL, GRANT_VOID },
        { "room.{user}", "a b", NULL, GRANT_VOID },             { "room.{user}", "\xc3\xa4", NULL, GRANT_VOID },   { "room.{user}", "a\"", NULL, GRANT_VOID },
        { "room.*", "**", "room.x", GRANT_FINE },               { "{User}", "ann", "{User}", GRANT_FINE },
        { "*{user}", "ann", NULL, GRANT_NO_PATTERN },           { "{user}.**.x", "ann", NULL, GRANT_NO_PATTERN },  { "", "ann", NULL, GRANT_NO_PATTERN },
        { "a b", "ann", NULL, GRANT_NO_PATTERN },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool does = covers(cases[i].pattern, cases[i].user, cases[i].covered ? cases[i].covered : "room.x", cases[i].fault);
        if (does != (cases[i].covered != NULL))
            fail_msg("%s for %s", cases[i].pattern, cases[i].user);
    }
}

static void a_pattern_that_the_user_makes_too_long_is_void(void **state)
{
    char user[199] = "";
    (void)state;
    memset(user, 'u', sizeof user - 1);
    assert_false(covers("ab.{user}", user, "ab.x", GRANT_VOID));
    assert_false(covers("{user}{user}", user, "ab.x", GRANT_VOID));
    user[197] = '\0';
    covers("ab.{user}", user, "ab.x", GRANT_FINE);
}

static void lists_are_apart_and_have_an_end(void **state)
{
    struct grants_builder builder = { .user = SLICE("ann") };
    struct slice pattern;
    size_t at = 0;
    (void)state;
    assert_int_equal(grants_add(&builder, GRANT_CHANNELS, SLICE("a*")), GRANT_NO_PATTERN);
    assert_int_equal(grants_add(&builder, GRANT_CHANNELS, SLICE("inbox.{user}")), GRANT_FINE);
    for (int i = 1; i < GRANTS_MAX; i++)
        assert_int_equal(grants_add(&builder, i % ACCESS_OPS, SLICE("x")), GRANT_FINE);
    assert_int_equal(grants_add(&builder, OP_ADMIN, SLICE("x")), GRANT_TOO_MANY);
    struct grants *grants = grants_take(&builder);
    assert_true(grants_next(grants, GRANT_CHANNELS, &at, &pattern));
    assert_true(slice_is(pattern, SLICE("inbox.ann")));
    assert_false(grants_next(grants, GRANT_CHANNELS, &at, &pattern));
    assert_true(grants_cover(grants, OP_ADMIN, SLICE("x")));
    assert_false(grants_cover(grants, OP_ADMIN, SLICE("inbox.ann")));
    assert_false(grants_cover(grants, OP_ADMIN, SLICE("")));
    free(grants);
}

/* ---- claims ---- */

static int read_claims(const char *json, struct buf *why, struct buf *notes, struct token **ret_token)
{
    struct config config = settings();
    struct jwt jwt = { .claims = json_loads(json, JSON_REJECT_DUPLICATES, NULL), .expires_ms = INT64_C(1700000000000), .issued_ms = 5000 };
    assert_non_null(jwt.claims);
    int err = token_read(&config, &jwt, why, notes, ret_token);
    jwt_fini(&jwt);
    return err;
}

static void claims_become_what_the_hub_needs(void **state)
{
    struct buf why = { 0 }, notes = { 0 };
    struct token *token;
    (void)state;
    assert_int_equal(read_claims("{\"sub\":\"ann\",\"jti\":\"t1\",\"carillon\":{\"subscribe\":[\"news.*\"],\"admin\":[\"**\"],\"channels\":[\"lobby\",\"inbox.{user}\"],"
                                 "\"info\":{\"name\":\"\xc3\x84nn\",\"n\":[1,2]},\"limits\":\"gold\"}}", &why, &notes, &token), 0);
    assert_true(slice_is(token->user, SLICE("ann")));
    assert_true(slice_is(token->jti, SLICE("t1")));
    assert_true(slice_is(token->tier, SLICE("gold")));
    assert_true(slice_is(token->info, SLICE("{\"name\":\"\xc3\x84nn\",\"n\":[1,2]}")));
    assert_int_equal(token->issued_s, 5);
    assert_int_equal(token->expires_s, NOW_S + 30);
    static const char *const may[] = { "news.a", "news.*", "lobby", "inbox.ann", "user.ann" }, *const may_not[] = { "news.a.b", "news.**", "**", "inbox.bob", "user.bob" };
    for (size_t i = 0; i < sizeof may / sizeof *may; i++) {
        assert_true(grants_cover(token->grants, OP_SUBSCRIBE, slice_of(may[i])));
        assert_false(grants_cover(token->grants, OP_SUBSCRIBE, slice_of(may_not[i])));
        assert_false(grants_cover(token->grants, OP_PUBLISH, slice_of(may[i])));
    }
    assert_true(grants_cover(token->grants, OP_ADMIN, SLICE("")));
    assert_int_equal(why.len + notes.len, 0);
    token_free(token);
    token_free(NULL);
}

static void a_token_without_claims_of_ours_grants_nothing_and_is_no_mistake(void **state)
{
    static const char *const cases[] = { "{}", "{\"carillon\":{}}", "{\"carillon\":{\"subscribe\":[]}}", "{\"role\":7,\"scope\":{},\"groups\":[1,null,[\"ops\"]]}", "{\"scope\":\"\"}",
                                         "{\"scope\":\"  \"}", "{\"realm_access\":{\"roles\":[\"ops\"]}}" };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf why = { 0 };
        struct token *token;
        assert_int_equal(read_claims(cases[i], &why, NULL, &token), 0);
        assert_int_equal(token->user.len + token->jti.len + token->info.len + token->tier.len, 0);
        for (int op = 0; op < ACCESS_OPS; op++)
            assert_false(grants_cover(token->grants, (enum access_op)op, SLICE("ops")));
        token_free(token);
    }
}

static void claims_of_ours_in_a_wrong_form_are_refused_and_named(void **state)
{
    static const struct { const char *claims, *named; } cases[] = {
        { "{\"carillon\":[]}", "`carillon` is an object" },                          { "{\"carillon\":null}", "`carillon` is an object" },
        { "{\"carillon\":\"**\"}", "`carillon` is an object" },                      { "{\"carillon\":{\"subscribe\":\"**\"}}", "`carillon.subscribe`" },
        { "{\"carillon\":{\"publish\":{}}}", "`carillon.publish`" },                 { "{\"carillon\":{\"history\":[1]}}", "`carillon.history`" },
        { "{\"carillon\":{\"presence\":null}}", "`carillon.presence`" },             { "{\"carillon\":{\"join\":true}}", "`carillon.join`" },
        { "{\"carillon\":{\"admin\":[[\"**\"]]}}", "`carillon.admin`" },             { "{\"carillon\":{\"admin\":[\"a\",\"a*\"]}}", "`carillon.admin` has an item that is no pattern" },
        { "{\"carillon\":{\"channels\":[\"a.**.b\"]}}", "`carillon.channels` has an item that is no channel name or pattern" },
        { "{\"carillon\":{\"channels\":\"a\"}}", "`carillon.channels`" },            { "{\"carillon\":{\"limits\":{}}}", "`limits`" },
        { "{\"carillon\":{\"limits\":\"\"}}", "`limits`" },                          { "{\"sub\":7}", "`sub`" },
        { "{\"sub\":\"\"}", "`sub`" },                                               { "{\"sub\":\"a\\nb\"}", "`sub`" },
        { "{\"sub\":\"\\u007f\"}", "`sub`" },                                        { "{\"sub\":null}", "`sub`" },
        { "{\"jti\":[\"a\"]}", "`jti`" },                                            { "{\"jti\":\"\\u0001\"}", "`jti`" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf why = { 0 };
        struct token *token = NULL;
        assert_int_equal(read_claims(cases[i].claims, &why, NULL, &token), ERR_BAD_TOKEN);
        assert_null(token);
        buf_add_char(&why, '\0');
        if (!strstr(why.at, cases[i].named))
            fail_msg("%s: %s", cases[i].claims, why.at);
        buf_fini(&why);
    }
}

/* "[\"x0\",\"x1\",…" of n items in a claim. */
static char *claim_of(const char *before, size_t n, const char *after)
{
    struct buf text = { 0 };
    buf_add_str(&text, before);
    for (size_t i = 0; i < n; i++)
        buf_addf(&text, "%s\"x%zu\"", i ? "," : "", i);
    buf_add_str(&text, after);
    return buf_take(&text);
}

static void there_is_a_most_of_everything(void **state)
{
    static const struct { const char *before, *after; size_t most; } cases[] = {
        { "{\"carillon\":{\"publish\":[", "]}}", GRANTS_MAX }, { "{\"carillon\":{\"channels\":[", "]}}", TOKEN_CHANNELS_MAX }, { "{\"roles\":[", "]}", TOKEN_ROLES_MAX },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t more = 0; more < 2; more++) {
            struct buf why = { 0 };
            struct token *token = NULL;
            char *claims = claim_of(cases[i].before, cases[i].most + more, cases[i].after);
            assert_int_equal(read_claims(claims, &why, NULL, &token), more ? ERR_BAD_TOKEN : 0);
            token_free(token);
            free(claims);
            buf_fini(&why);
        }
}

static void roles_grant_what_the_settings_say(void **state)
{
    static const struct { const char *claims; bool editor, ops; } cases[] = {
        { "{\"sub\":\"ann\",\"role\":\"editor\"}", true, false },              { "{\"sub\":\"ann\",\"roles\":[\"ops\",\"editor\",\"x\"]}", true, true },
        { "{\"sub\":\"ann\",\"scope\":\"openid ops  x\"}", false, true },      { "{\"sub\":\"ann\",\"groups\":[\"ops editor\"]}", false, false },
        { "{\"sub\":\"ann\",\"role\":\"Editor\"}", false, false },             { "{\"sub\":\"ann\",\"role\":\"editor ops\"}", true, true },
        { "{\"sub\":\"ann\",\"permissions\":[\"ops\"]}", false, false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf why = { 0 };
        struct token *token;
        assert_int_equal(read_claims(cases[i].claims, &why, NULL, &token), 0);
        assert_int_equal(grants_cover(token->grants, OP_PUBLISH, SLICE("drafts.ann")), cases[i].editor);
        assert_int_equal(grants_cover(token->grants, OP_PUBLISH, SLICE("chat.**")), cases[i].editor);
        assert_int_equal(grants_cover(token->grants, OP_ADMIN, SLICE("")), cases[i].ops);
        assert_false(grants_cover(token->grants, OP_PUBLISH, SLICE("drafts.bob")));
        token_free(token);
    }
}

static void what_has_no_effect_is_noted(void **state)
{
    struct buf why = { 0 }, notes = { 0 };
    struct token *token;
    (void)state;
    assert_int_equal(read_claims("{\"sub\":\"a b\",\"role\":\"editor guest\",\"carillon\":{\"subscribe\":[\"x.{user}\"],\"sbscribe\":[]}}", &why, &notes, &token), 0);
    buf_add_char(&notes, '\0');
    static const char *const said[] = { "carillon: subscribe x.{user} is void", "role editor: publish drafts.{user} is void", "role guest: there is no [role \"guest\"]",
                                        "sbscribe means nothing here; did you mean subscribe?" };
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (!strstr(notes.at, said[i]))
            fail_msg("not said: %s", said[i]);
    token_free(token);
    buf_fini(&notes);
}

/* ---- the authority ---- */

static struct jwk_set *keys_of(const char *kid, const char *secret)
{
    struct jwk_set *set = jwk_set_new();
    struct buf why = { 0 };
    assert_int_equal(jwk_set_add_secret(set, slice_of(kid), jwa_find(SLICE("HS256")), slice_of(secret), &why), 0);
    return set;
}

static struct buf token_by(const struct jwk_set *set, const char *claims)
{
    struct buf token = { 0 };
    assert_int_equal(jwt_make(&set->keys[0], slice_of(claims), &token), 0);
    return token;
}

static void a_credential_is_a_token_or_a_key(void **state)
{
    struct api_key key = { .name = "shop" };
    struct config config = settings();
    struct authority *authority = authority_new();
    struct jwk_set *keys = keys_of("k", SECRET);
    struct buf token = token_by(keys, "{\"sub\":\"ann\",\"exp\":1700000060,\"carillon\":{\"publish\":[\"a\"]}}");
    struct buf nameless = token_by(keys, "{\"exp\":1700000060}"), old = token_by(keys, "{\"exp\":1699999000}");
    struct principal *p = NULL;
    (void)state;
    SHA256((const unsigned char *)"ck_1", 4, key.sha256);
    config.keys = &key;
    config.key_count = 1;
    config.access_subscribe = (struct words)WORDS("news");
    assert_false(authority_knows_tokens(authority));
    assert_int_equal(authority_check(authority, &config, buf_slice(&token), NOW_S, &p), ERR_BAD_TOKEN);
    unsigned version = authority_version(authority);
    assert_int_equal(authority_set_keys(authority, KEYS_OF_SETTINGS, keys), 0);
    assert_int_not_equal(authority_version(authority), version);
    assert_true(authority_knows_tokens(authority));
    assert_int_equal(authority_check(authority, &config, buf_slice(&token), NOW_S, &p), 0);
    assert_true(slice_is(principal_name(p), SLICE("user ann")));
    assert_true(slice_is(principal_user(p), SLICE("ann")));
    assert_int_equal(principal_expires_s(p), 1700000090);
    assert_int_equal(principal_may(p, OP_PUBLISH, SLICE("a")), 0);
    assert_int_equal(principal_may(p, OP_SUBSCRIBE, SLICE("news")), 0);
    assert_int_equal(principal_may(p, OP_SUBSCRIBE, SLICE("other")), ERR_FORBIDDEN);
    assert_non_null(principal_token(p));
    principal_unref(p);
    assert_int_equal(authority_check(authority, &config, buf_slice(&nameless), NOW_S, &p), 0);
    assert_true(slice_is(principal_name(p), SLICE("token")));
    principal_unref(p);
    assert_int_equal(authority_check(authority, &config, SLICE("ck_1"), NOW_S, &p), 0);
    assert_true(slice_is(principal_name(p), SLICE("key shop")));
    assert_null(principal_token(p));
    principal_unref(p);
    assert_int_equal(authority_check(authority, &config, buf_slice(&old), NOW_S, &p), ERR_TOKEN_EXPIRED);
    static const struct { const char *credential; int err; } cases[] = {
        { "ck_2", ERR_UNAUTHENTICATED }, { "x", ERR_UNAUTHENTICATED }, { "a.b", ERR_UNAUTHENTICATED }, { "a.b.c", ERR_BAD_TOKEN }, { "..", ERR_BAD_TOKEN }, { "eyJ", ERR_BAD_TOKEN },
        { "", ERR_UNAUTHENTICATED },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(authority_check(authority, &config, slice_of(cases[i].credential), NOW_S, &p), cases[i].err);
    authority_free(authority);
    buf_fini(&token);
    buf_fini(&nameless);
    buf_fini(&old);
}

static void keys_of_the_settings_count_before_fetched_ones_and_each_source_is_swapped_alone(void **state)
{
    struct config config = settings();
    struct authority *authority = authority_new();
    struct jwk_set *ours = keys_of("k", SECRET), *theirs = keys_of("k", "another secret of thirty-two bytes"), *other = keys_of("j", SECRET);
    struct buf by_ours = token_by(ours, "{\"exp\":1700000060}"), by_theirs = token_by(theirs, "{\"exp\":1700000060}"), by_other = token_by(other, "{\"exp\":1700000060}");
    struct principal *p = NULL;
    (void)state;
    assert_int_equal(authority_set_keys(authority, KEYS_FETCHED, theirs), 0);
    assert_int_equal(authority_check(authority, &config, buf_slice(&by_theirs), NOW_S, &p), 0);
    principal_unref(p);
    assert_int_equal(authority_set_keys(authority, KEYS_OF_SETTINGS, ours), 0);
    assert_int_equal(authority_check(authority, &config, buf_slice(&by_theirs), NOW_S, &p), ERR_BAD_TOKEN);
    assert_int_equal(authority_check(authority, &config, buf_slice(&by_ours), NOW_S, &p), 0);
    principal_unref(p);
    assert_int_equal(authority_set_keys(authority, KEYS_FETCHED, other), 0);
    assert_int_equal(authority_check(authority, &config, buf_slice(&by_ours), NOW_S, &p), 0);
    principal_unref(p);
    assert_int_equal(authority_check(authority, &config, buf_slice(&by_other), NOW_S, &p), 0);
    principal_unref(p);
    authority_free(authority);
    buf_fini(&by_ours);
    buf_fini(&by_theirs);
    buf_fini(&by_other);
}

struct checker {
    pthread_t         thread;
    struct authority *authority;
    struct config    *config;
    struct slice      token;
    unsigned          good, others;
};

static void *check_all_the_time(void *arg)
{
    struct checker *checker = arg;
    for (int i = 0; i < 2000; i++) {
        struct principal *p;
        int err = authority_check(checker->authority, checker->config, checker->token, NOW_S, &p);
        checker->good += !err;
        checker->others += err && err != ERR_BAD_TOKEN;
        if (!err)
            principal_unref(p);
    }
    return NULL;
}

static void keys_are_swapped_while_tokens_are_checked(void **state)
{
    struct config config = settings();
    struct authority *authority = authority_new();
    struct jwk_set *ours = keys_of("k", SECRET), *other = keys_of("j", SECRET);
    struct buf token = token_by(ours, "{\"sub\":\"ann\",\"exp\":1700000060}");
    struct checker checkers[3];
    (void)state;
    assert_int_equal(authority_set_keys(authority, KEYS_OF_SETTINGS, jwk_set_ref(ours)), 0);
    for (size_t i = 0; i < 3; i++) {
        checkers[i] = (struct checker){ .authority = authority, .config = &config, .token = buf_slice(&token) };
        assert_int_equal(pthread_create(&checkers[i].thread, NULL, check_all_the_time, &checkers[i]), 0);
    }
    for (int i = 0; i < 500; i++)
        assert_int_equal(authority_set_keys(authority, i % 3 ? KEYS_OF_SETTINGS : KEYS_FETCHED, jwk_set_ref(i % 2 ? other : ours)), 0);
    assert_int_equal(authority_set_keys(authority, KEYS_OF_SETTINGS, jwk_set_ref(ours)), 0);
    for (size_t i = 0; i < 3; i++) {
        pthread_join(checkers[i].thread, NULL);
        assert_int_equal(checkers[i].others, 0);
    }
    check_all_the_time(&checkers[0]);
    assert_true(checkers[0].good >= 2000);
    jwk_set_unref(ours);
    jwk_set_unref(other);
    authority_free(authority);
    buf_fini(&token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(user_is_put_in_where_it_reaches_no_further_than_it_looks),
        cmocka_unit_test(a_pattern_that_the_user_makes_too_long_is_void),
        cmocka_unit_test(lists_are_apart_and_have_an_end),
        cmocka_unit_test(claims_become_what_the_hub_needs),
        cmocka_unit_test(a_token_without_claims_of_ours_grants_nothing_and_is_no_mistake),
        cmocka_unit_test(claims_of_ours_in_a_wrong_form_are_refused_and_named),
        cmocka_unit_test(there_is_a_most_of_everything),
        cmocka_unit_test(roles_grant_what_the_settings_say),
        cmocka_unit_test(what_has_no_effect_is_noted),
        cmocka_unit_test(a_credential_is_a_token_or_a_key),
        cmocka_unit_test(keys_are_swapped_while_tokens_are_checked),
        cmocka_unit_test(keys_of_the_settings_count_before_fetched_ones_and_each_source_is_swapped_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

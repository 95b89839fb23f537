/* Tokens: the vectors of the RFCs, every algorithm with every kind of key, and what must be refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/access/base64url.h"
#include "hub/access/jwk.h"
#include "hub/access/jwt.h"
#include "hub/base/err.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
enum { NOW_S = 1700000000, TOKEN_MAX = 16 * 1024 };
enum whose { OURS, THEIRS };

static const char *const needed[] = { "exp" };
static const struct jwt_rules rules = { .now_ms = NOW_S * INT64_C(1000), .leeway_ms = 30000, .required = needed, .n_required = 1, .max_bytes = TOKEN_MAX };

static struct jwk_set *set_of_json(const char *json)
{
    struct jwk_set *set = jwk_set_new();
    struct buf why = { 0 };
    int err = jwk_set_add_json(set, slice_of(json), &why);
    if (err)
        print_message("%.*s\n", (int)why.len, buf_slice(&why).at);
    assert_int_equal(err, 0);
    buf_fini(&why);
    return set;
}

static struct jwk_set *set_of_secret(const char *algorithm)
{
    struct jwk_set *set = jwk_set_new();
    struct buf why = { 0 };
    assert_int_equal(jwk_set_add_secret(set, SLICE("k1"), jwa_find(slice_of(algorithm)), SLICE(SECRET), &why), 0);
    return set;
}

/* Two pairs for all of RSA: to make one takes longer than all else here. */
static EVP_PKEY *rsa_pkey(enum whose whose)
{
    static EVP_PKEY *pairs[2];
    if (!pairs[whose])
        pairs[whose] = EVP_RSA_gen(2048);
    EVP_PKEY_up_ref(pairs[whose]);
    return pairs[whose];
}

static EVP_PKEY *new_pkey(const char *algorithm, enum whose whose)
{
    if (algorithm[0] == 'R' || algorithm[0] == 'P')
        return rsa_pkey(whose);
    if (!strcmp(algorithm, "EdDSA"))
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    return EVP_EC_gen(!strcmp(algorithm, "ES256") ? "P-256" : "P-384");
}

/* A set with one key pair of that algorithm; those of one owner have the same one in all algorithms of RSA. */
static struct jwk_set *set_of_pair(const char *algorithm, enum whose whose)
{
    struct jwk_set *set = jwk_set_new();
    EVP_PKEY *pkey = new_pkey(algorithm, whose);
    const char *why = "";
    assert_int_equal(jwa_key_pkey(jwa_find(slice_of(algorithm)), pkey, &set->keys[0].key, &why), 0);
    set->keys[0].id = strdup("k1");
    set->n = 1;
    EVP_PKEY_free(pkey);
    return set;
}

static void make(const struct jwk_set *set, const char *claims, struct buf *token)
{
    buf_reset(token);
    assert_int_equal(jwt_make(&set->keys[0], slice_of(claims), token), 0);
}

static enum jwt_fault check(const struct jwk_set *set, struct slice token)
{
    struct jwt jwt;
    enum jwt_fault fault = jwt_check(set, &rules, token, &jwt);
    jwt_fini(&jwt);
    return fault;
}

/* A token with this header and claims, signed by the first key of the set. */
static enum jwt_fault check_signed(struct jwk_set *set, const char *header, const char *claims)
{
    struct buf token = { 0 }, signature = { 0 };
    base64url_add(&token, slice_of(header));
    buf_add_char(&token, '.');
    base64url_add(&token, slice_of(claims));
    assert_int_equal(jwa_sign(&set->keys[0].key, buf_slice(&token), &signature), 0);
    buf_add_char(&token, '.');
    base64url_add(&token, buf_slice(&signature));
    enum jwt_fault fault = check(set, buf_slice(&token));
    buf_fini(&token);
    buf_fini(&signature);
    return fault;
}

/* ---- vectors ---- */

static void the_token_of_rfc_7515_a1_is_right_and_has_expired(void **state)
{
    static const char token[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
                                "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    struct jwk_set *set = set_of_json("{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}");
    struct jwt_rules then = rules;
    struct jwt jwt;
    (void)state;
    assert_int_equal(check(set, slice_of(token)), JWT_EXPIRED);
    then.now_ms = INT64_C(1300819380) * 1000 - 1;
    assert_int_equal(jwt_check(set, &then, slice_of(token), &jwt), JWT_FINE);
    assert_string_equal(json_string_value(json_object_get(jwt.claims, "iss")), "joe");
    assert_int_equal(jwt.expires_ms, INT64_C(1300819380) * 1000);
    jwt_fini(&jwt);
    jwk_set_unref(set);
}

static void the_signature_of_rfc_8037_a4_is_right(void **state)
{
    struct jwk_set *set = set_of_json("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}");
    (void)state;
    /* its payload is no claims, which is looked at only when the signature is right */
    assert_int_equal(check(set, SLICE("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")),
                     JWT_BAD_CLAIMS);
    assert_int_equal(check(set, SLICE("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmd.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")),
                     JWT_BAD_SIGNATURE);
    jwk_set_unref(set);
}

/* ---- algorithms ---- */

static const char *const all[] = { "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA" };
enum { ALL = sizeof all / sizeof *all };

static void what_is_signed_is_accepted_and_what_was_changed_is_not(void **state)
{
    struct buf token = { 0 };
    (void)state;
    for (size_t i = 0; i < ALL; i++) {
        struct jwk_set *set = all[i][0] == 'H' ? set_of_secret(all[i]) : set_of_pair(all[i], OURS);
        make(set, "{\"sub\":\"ann\",\"exp\":1700000060}", &token);
        assert_int_equal(check(set, buf_slice(&token)), JWT_FINE);
        for (size_t at = 0; at < token.len; at += 1 + token.len / 23) {
            char was = token.at[at];
            token.at[at] = was == 'A' ? 'B' : 'A';
            assert_int_not_equal(check(set, buf_slice(&token)), JWT_FINE);
            token.at[at] = was;
        }
        for (size_t len = 0; len < token.len; len++)
            assert_int_not_equal(check(set, slice(token.at, len)), JWT_FINE);
        jwk_set_unref(set);
    }
    buf_fini(&token);
}

static void a_key_of_another_algorithm_never_accepts_it(void **state)
{
    struct buf token = { 0 };
    (void)state;
    for (size_t i = 0; i < ALL; i++) {
        struct jwk_set *signer = all[i][0] == 'H' ? set_of_secret(all[i]) : set_of_pair(all[i], OURS);
        make(signer, "{\"exp\":1700000060}", &token);
        for (size_t j = 0; j < ALL; j++) {
            /* of another algorithm not even with the same key; of the same one not with another key */
            struct jwk_set *other = all[j][0] == 'H' ? set_of_secret(all[j]) : set_of_pair(all[j], i == j ? THEIRS : OURS);
            enum jwt_fault fault = check(other, buf_slice(&token));
            if (i != j)
                assert_int_equal(fault, JWT_OTHER_ALGORITHM);
            else
                assert_int_equal(fault, all[i][0] == 'H' ? JWT_FINE : JWT_BAD_SIGNATURE);
            jwk_set_unref(other);
        }
        jwk_set_unref(signer);
    }
    buf_fini(&token);
}

static void a_public_key_in_pem_checks_what_its_private_key_signed_and_is_never_a_secret(void **state)
{
    struct jwk_set *signer = set_of_pair("RS256", OURS), *checker = jwk_set_new(), *confused = jwk_set_new();
    struct buf token = { 0 }, why = { 0 };
    unsigned char *pem;
    BIO *out = BIO_new(BIO_s_mem());
    (void)state;
    PEM_write_bio_PUBKEY(out, signer->keys[0].key.pkey);
    long len = BIO_get_mem_data(out, &pem);
    assert_int_equal(jwk_set_add_pem(checker, SLICE("k1"), NULL, slice((char *)pem, (size_t)len), &why), 0);
    make(signer, "{\"exp\":1700000060}", &token);
    assert_int_equal(check(checker, buf_slice(&token)), JWT_FINE);
    assert_int_equal(jwt_make(&checker->keys[0], SLICE("{}"), &token), ERR_INTERNAL);
    /* RFC 8725 §2.1: an HS256 token made with the public key's text as its secret */
    assert_int_equal(jwk_set_add_secret(confused, SLICE("k1"), jwa_find(SLICE("HS256")), slice((char *)pem, (size_t)len), &why), 0);
    make(confused, "{\"exp\":1700000060}", &token);
    assert_int_equal(check(checker, buf_slice(&token)), JWT_OTHER_ALGORITHM);
    BIO_free(out);
    jwk_set_unref(signer);
    jwk_set_unref(checker);
    jwk_set_unref(confused);
    buf_fini(&token);
    buf_fini(&why);
}

/* ---- headers and claims ---- */

static void headers_that_mean_trouble_are_refused(void **state)
{
    static const struct { const char *header; enum jwt_fault fault; } cases[] = {
        { "{\"alg\":\"none\"}", JWT_UNKNOWN_ALGORITHM },       { "{\"alg\":\"None\"}", JWT_UNKNOWN_ALGORITHM },
        { "{\"alg\":\"hs256\"}", JWT_UNKNOWN_ALGORITHM },      { "{\"alg\":\"\"}", JWT_UNKNOWN_ALGORITHM },
        { "{}", JWT_BAD_HEADER },                              { "{\"alg\":1}", JWT_BAD_HEADER },
        { "{\"alg\":\"HS256\",\"kid\":7}", JWT_BAD_HEADER },   { "[\"HS256\"]", JWT_BAD_HEADER },
        { "{\"alg\":\"none\",\"alg\":\"HS256\"}", JWT_BAD_HEADER },
        { "{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}", JWT_CRITICAL }, { "{\"alg\":\"HS256\",\"crit\":null}", JWT_CRITICAL },
        { "{\"alg\":\"HS256\",\"kid\":\"k2\"}", JWT_UNKNOWN_KEY },
        { "{\"alg\":\"HS256\",\"kid\":\"../../k1\"}", JWT_UNKNOWN_KEY }, { "{\"alg\":\"HS256\",\"kid\":\"\"}", JWT_UNKNOWN_KEY },
        { "{\"alg\":\"RS256\",\"kid\":\"k1\"}", JWT_OTHER_ALGORITHM }, { "{\"alg\":\"RS256\"}", JWT_UNKNOWN_KEY },
        { "{\"alg\":\"HS256\"}", JWT_FINE },                   { "{\"alg\":\"HS256\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}", JWT_FINE },
    };
    struct jwk_set *set = set_of_secret("HS256");
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(check_signed(set, cases[i].header, "{\"exp\":1700000060}"), cases[i].fault);
    jwk_set_unref(set);
}

static void times_are_checked_with_leeway(void **state)
{
    static const struct { const char *claims; enum jwt_fault fault; } cases[] = {
        { "{\"exp\":1700000001}", JWT_FINE },              { "{\"exp\":1699999971}", JWT_FINE },     { "{\"exp\":1699999970}", JWT_EXPIRED },
        { "{\"exp\":1699999970.5}", JWT_FINE },            { "{\"exp\":0}", JWT_EXPIRED },           { "{\"exp\":-1}", JWT_EXPIRED },
        { "{}", JWT_INCOMPLETE },                           { "{\"exp\":\"1700000060\"}", JWT_BAD_CLAIMS }, { "{\"exp\":null}", JWT_BAD_CLAIMS },
        { "{\"exp\":1e300}", JWT_BAD_CLAIMS },             { "{\"exp\":true}", JWT_BAD_CLAIMS },
        { "{\"exp\":1700000060,\"nbf\":1700000030}", JWT_FINE }, { "{\"exp\":1700000060,\"nbf\":1700000031}", JWT_NOT_YET },
        { "{\"exp\":1700000060,\"iat\":1700000031}", JWT_NOT_YET }, { "{\"exp\":1700000060,\"iat\":1,\"nbf\":1}", JWT_FINE },
        { "{\"exp\":1700000060,\"nbf\":[]}", JWT_BAD_CLAIMS }, { "[]", JWT_BAD_CLAIMS }, { "{\"exp\":1700000060", JWT_BAD_CLAIMS },
        { "{\"exp\":1699990000,\"exp\":1700000060}", JWT_BAD_CLAIMS },
    };
    struct jwk_set *set = set_of_secret("HS256");
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(check_signed(set, "{\"alg\":\"HS256\"}", cases[i].claims), cases[i].fault);
    jwk_set_unref(set);
}

static void a_token_may_last_no_longer_than_the_rules_say_and_has_what_they_require(void **state)
{
    static const struct { const char *claims; enum jwt_fault fault; } cases[] = {
        { "{\"jti\":\"a\",\"exp\":1700000060}", JWT_FINE },                       { "{\"jti\":\"a\",\"exp\":1700000061}", JWT_TOO_LASTING },
        { "{\"jti\":\"a\",\"iat\":1699999990,\"exp\":1700000050}", JWT_FINE },    { "{\"jti\":\"a\",\"iat\":1699999990,\"exp\":1700000051}", JWT_TOO_LASTING },
        { "{\"jti\":\"a\",\"iat\":-1e12,\"exp\":1e12}", JWT_TOO_LASTING },        { "{\"jti\":\"a\"}", JWT_TOO_LASTING },
        { "{\"exp\":1700000060}", JWT_INCOMPLETE },                               { "{\"jti\":null,\"exp\":1700000060}", JWT_FINE },
    };
    static const char *const required[] = { "exp", "jti" };
    struct jwk_set *set = set_of_secret("HS256");
    struct jwt_rules strict = rules;
    struct buf token = { 0 };
    (void)state;
    strict.max_life_ms = 60 * 1000;
    strict.required = required;
    strict.n_required = 2;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct jwt jwt;
        make(set, cases[i].claims, &token);
        if (jwt_check(set, &strict, buf_slice(&token), &jwt) != cases[i].fault)
            fail_msg("%s", cases[i].claims);
        jwt_fini(&jwt);
    }
    buf_fini(&token);
    jwk_set_unref(set);
}

static void issuer_and_audience_must_be_ours(void **state)
{
    static const char *const audiences[] = { "hub", "chat" };
    static const struct { const char *claims; enum jwt_fault fault; } cases[] = {
        { "{\"exp\":1700000060,\"iss\":\"idp\",\"aud\":\"hub\"}", JWT_FINE },
        { "{\"exp\":1700000060,\"iss\":\"idp\",\"aud\":[\"x\",\"chat\"]}", JWT_FINE },
        { "{\"exp\":1700000060,\"iss\":\"idp\",\"aud\":[]}", JWT_OTHER_AUDIENCE },   { "{\"exp\":1700000060,\"iss\":\"idp\"}", JWT_OTHER_AUDIENCE },
        { "{\"exp\":1700000060,\"iss\":\"idp\",\"aud\":\"Hub\"}", JWT_OTHER_AUDIENCE }, { "{\"exp\":1700000060,\"iss\":\"idp\",\"aud\":{\"hub\":1}}", JWT_OTHER_AUDIENCE },
        { "{\"exp\":1700000060,\"iss\":\"idp2\",\"aud\":\"hub\"}", JWT_OTHER_ISSUER }, { "{\"exp\":1700000060,\"aud\":\"hub\"}", JWT_OTHER_ISSUER },
        { "{\"exp\":1700000060,\"iss\":[\"idp\"],\"aud\":\"hub\"}", JWT_OTHER_ISSUER },
    };
    struct jwk_set *set = set_of_secret("HS256");
    struct jwt_rules strict = rules;
    struct buf token = { 0 };
    (void)state;
    strict.issuer = SLICE("idp");
    strict.audiences = audiences;
    strict.n_audiences = 2;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct jwt jwt;
        make(set, cases[i].claims, &token);
        assert_int_equal(jwt_check(set, &strict, buf_slice(&token), &jwt), cases[i].fault);
        jwt_fini(&jwt);
    }
    buf_fini(&token);
    jwk_set_unref(set);
}

static void what_is_no_token_is_malformed(void **state)
{
    static const char *const cases[] = { "", ".", "..", "...", "a.b", "a.b.c.d", "eyJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJIUzI1NiJ9.e30", "eyJhbGciOiJIUzI1NiJ9.e30.=",
                                         "eyJhbGciOiJIUzI1NiJ9.e30.AAA=", "eyJhbGciOiJIUzI1NiJ9 .e30.AAAA", "eyJhbGciOiJIUzI1NiJ9.e30.A" };
    struct jwk_set *set = set_of_secret("HS256");
    char *huge = malloc(TOKEN_MAX + 1);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(check(set, slice_of(cases[i])) == JWT_MALFORMED || check(set, slice_of(cases[i])) == JWT_BAD_HEADER);
    memset(huge, 'a', TOKEN_MAX + 1);
    assert_int_equal(check(set, slice(huge, TOKEN_MAX + 1)), JWT_TOO_LONG);
    free(huge);
    jwk_set_unref(set);
}

/* ---- sets of keys ---- */

static void keys_that_cannot_be_used_are_passed_over_unless_none_is_left(void **state)
{
    struct jwk_set *set = set_of_json("{\"keys\":[{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"AQAB\",\"e\":\"AQAB\"},{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"},"
        "{\"kty\":\"oct\",\"k\":\"AAAA\"},{\"kty\":\"new\"},{},{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"good\",\"key_ops\":[\"verify\"],\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}");
    static const char *const bad[] = { "", "[]", "7", "{\"keys\":[]}", "{\"keys\":{}}", "{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"AAAA\"}", "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}",
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"HS256\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}" };
    (void)state;
    assert_int_equal(set->n, 1);
    assert_true(jwk_set_has(set, SLICE("good")));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf why = { 0 };
        assert_int_equal(jwk_set_add_json(set, slice_of(bad[i]), &why), ERR_BAD_FIELD);
        assert_true(why.len > 0);
        buf_fini(&why);
    }
    assert_int_equal(set->n, 1);
    jwk_set_unref(set);
}

static void without_kid_only_the_one_key_of_its_algorithm_counts(void **state)
{
    struct jwk_set *set = set_of_secret("HS256");
    struct buf why = { 0 };
    (void)state;
    assert_int_equal(jwk_set_add_secret(set, SLICE("k2"), jwa_find(SLICE("HS512")), SLICE(SECRET), &why), 0);
    assert_int_equal(check_signed(set, "{\"alg\":\"HS256\"}", "{\"exp\":1700000060}"), JWT_FINE);
    assert_int_equal(check_signed(set, "{\"alg\":\"HS512\"}", "{\"exp\":1700000060}"), JWT_BAD_SIGNATURE);
    assert_int_equal(jwk_set_add_secret(set, SLICE("k3"), jwa_find(SLICE("HS256")), SLICE(SECRET), &why), 0);
    assert_int_equal(check_signed(set, "{\"alg\":\"HS256\"}", "{\"exp\":1700000060}"), JWT_SEVERAL_KEYS);
    assert_int_equal(check_signed(set, "{\"alg\":\"HS256\",\"kid\":\"k1\"}", "{\"exp\":1700000060}"), JWT_FINE);
    jwk_set_unref(set);
}

static void a_kid_has_one_key_of_an_algorithm_and_the_first_one_counts(void **state)
{
    struct jwk_set *set = set_of_secret("HS256"), *other = set_of_secret("HS256"), *third = set_of_secret("HS512");
    struct buf why = { 0 };
    (void)state;
    assert_int_equal(jwk_set_add_secret(set, SLICE("k1"), jwa_find(SLICE("HS256")), SLICE(SECRET), &why), ERR_BAD_FIELD);
    assert_true(why.len > 0);
    assert_int_equal(jwk_set_add_set(set, other), 0);
    assert_int_equal(set->n, 1);
    assert_int_equal(jwk_set_add_set(set, third), 0);
    assert_int_equal(set->n, 2);
    jwk_set_unref(third);
    assert_int_equal(check_signed(set, "{\"alg\":\"HS256\",\"kid\":\"k1\"}", "{\"exp\":1700000060}"), JWT_FINE);
    jwk_set_unref(set);
    jwk_set_unref(other);
    buf_fini(&why);
}

static void there_is_a_most_of_keys(void **state)
{
    struct jwk_set *set = jwk_set_new();
    struct buf why = { 0 };
    char id[JWK_ID_MAX + 2];
    (void)state;
    for (int i = 0; i <= JWK_SET_MAX; i++) {
        snprintf(id, sizeof id, "k%d", i);
        assert_int_equal(jwk_set_add_secret(set, slice_of(id), jwa_find(SLICE("HS256")), SLICE(SECRET), &why), i < JWK_SET_MAX ? 0 : ERR_BAD_FIELD);
    }
    jwk_set_unref(set);
    set = jwk_set_new();
    memset(id, 'k', sizeof id);
    assert_int_equal(jwk_set_add_secret(set, slice(id, JWK_ID_MAX + 1), jwa_find(SLICE("HS256")), SLICE(SECRET), &why), ERR_BAD_FIELD);
    assert_int_equal(jwk_set_add_secret(set, slice(id, JWK_ID_MAX), jwa_find(SLICE("HS256")), SLICE(SECRET), &why), 0);
    jwk_set_unref(set);
    buf_fini(&why);
}

static void short_secrets_are_refused(void **state)
{
    struct jwk_set *set = jwk_set_new();
    struct buf why = { 0 };
    (void)state;
    assert_int_equal(jwk_set_add_secret(set, SLICE(""), jwa_find(SLICE("HS512")), slice(SECRET, 63), &why), ERR_BAD_FIELD);
    assert_int_equal(jwk_set_add_secret(set, SLICE(""), jwa_find(SLICE("HS512")), slice(SECRET, 64), &why), 0);
    assert_int_equal(jwk_set_add_secret(set, SLICE(""), jwa_find(SLICE("RS256")), slice(SECRET, 64), &why), ERR_BAD_FIELD);
    buf_fini(&why);
    jwk_set_unref(set);
}

static void base64url_has_one_text_for_each_row_of_bytes(void **state)
{
    static const char *const bad[] = { "A", "AB", "AAB", "AA==", "A A", "AA\n", "A+AA", "A/AA", "AAAAA" };
    struct buf out = { 0 }, text = { 0 };
    char bytes[70];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(base64url_decode(slice_of(bad[i]), &out), ERR_BAD_FIELD);
    assert_int_equal(out.len, 0);
    for (size_t len = 0; len < sizeof bytes; len++) {
        for (size_t i = 0; i < len; i++)
            bytes[i] = (char)(i * 37 + len * 11);
        buf_reset(&text);
        buf_reset(&out);
        base64url_add(&text, slice(bytes, len));
        assert_int_equal(base64url_decode(buf_slice(&text), &out), 0);
        assert_true(slice_is(buf_slice(&out), slice(bytes, len)));
    }
    buf_fini(&out);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_token_of_rfc_7515_a1_is_right_and_has_expired),
        cmocka_unit_test(the_signature_of_rfc_8037_a4_is_right),
        cmocka_unit_test(what_is_signed_is_accepted_and_what_was_changed_is_not),
        cmocka_unit_test(a_key_of_another_algorithm_never_accepts_it),
        cmocka_unit_test(a_public_key_in_pem_checks_what_its_private_key_signed_and_is_never_a_secret),
        cmocka_unit_test(headers_that_mean_trouble_are_refused),
        cmocka_unit_test(times_are_checked_with_leeway),
        cmocka_unit_test(issuer_and_audience_must_be_ours),
        cmocka_unit_test(what_is_no_token_is_malformed),
        cmocka_unit_test(keys_that_cannot_be_used_are_passed_over_unless_none_is_left),
        cmocka_unit_test(a_token_may_last_no_longer_than_the_rules_say_and_has_what_they_require),
        cmocka_unit_test(without_kid_only_the_one_key_of_its_algorithm_counts),
        cmocka_unit_test(a_kid_has_one_key_of_an_algorithm_and_the_first_one_counts),
        cmocka_unit_test(there_is_a_most_of_keys),
        cmocka_unit_test(short_secrets_are_refused),
        cmocka_unit_test(base64url_has_one_text_for_each_row_of_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

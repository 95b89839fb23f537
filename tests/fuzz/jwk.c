/* hub/access/jwk.h, jwa.h: a key set or a key as anybody may write it, as JSON and as PEM. What is taken in checks tokens of every
 * algorithm without a fault; what is not has a reason, and leaves the set as it was. */
#include "hub/access/jwk.h"
#include "hub/access/jwt.h"
#include "hub/base/err.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 20000 };

static const char *const tokens[] = {     /* alg HS256, RS256, PS256, ES256, ES384, EdDSA; claims {}; no signature of anybody */
    "eyJhbGciOiJIUzI1NiJ9.e30.AAAA", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA", "eyJhbGciOiJQUzI1NiJ9.e30.AAAA", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA",
    "eyJhbGciOiJFUzM4NCJ9.e30.AAAA", "eyJhbGciOiJFZERTQSJ9.e30.AAAA",
};

static void check_set(const struct jwk_set *set)
{
    const struct jwt_rules rules = { .max_bytes = 1000 };
    must(set->n <= JWK_SET_MAX, "%zu keys", set->n);
    for (size_t i = 0; i < set->n; i++) {
        must(set->keys[i].key.algorithm && set->keys[i].key.pkey, "half a key");
        must(strlen(set->keys[i].id) <= JWK_ID_MAX, "a long kid");
        must(jwk_set_has(set, slice_of(set->keys[i].id)), "a key cannot be found");
    }
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        struct jwt jwt;
        must(jwt_check(set, &rules, slice_of(tokens[i]), &jwt), "a token that nobody signed");
        jwt_fini(&jwt);
    }
}

static void read_as(struct slice in, int (*add)(struct jwk_set *set, struct slice text, struct buf *why))
{
    struct jwk_set *set = jwk_set_new(), *copy = jwk_set_new();
    struct buf why = { 0 };
    int err = add(set, in, &why);
    must(err ? err == ERR_BAD_FIELD && why.len > 0 && set->n == 0 : set->n > 0 && why.len == 0, "error %d, %zu keys, %zu bytes of reasons", err, set->n, why.len);
    check_set(set);
    must(!jwk_set_add_set(copy, set) && copy->n == set->n, "a copy has other keys");
    jwk_set_unref(set);
    check_set(copy);
    jwk_set_unref(copy);
    buf_fini(&why);
}

static int add_pem(struct jwk_set *set, struct slice text, struct buf *why) { return jwk_set_add_pem(set, SLICE("k"), NULL, text, why); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_MAX)
        return 0;
    read_as(input(data, size), jwk_set_add_json);
    read_as(input(data, size), add_pem);
    return 0;
}

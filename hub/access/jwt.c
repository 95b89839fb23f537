#include "hub/access/jwt.h"

#include "hub/access/base64url.h"
#include "hub/access/jwk.h"
#include "hub/base/err.h"

#include <jansson.h>
#include <math.h>

#define LONG_AGO_MS (-(INT64_C(1) << 60))      /* before any time a token may name */

/* The three parts, in base64url. */
struct parts {
    struct slice header, claims, signature;
    struct slice signed_bytes;           /* header.claims */
};

static bool split(struct slice token, struct parts *ret_parts)
{
    const char *end = token.at + token.len;
    const char *first = memchr(token.at, '.', token.len);
    const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
    if (!second || memchr(second + 1, '.', (size_t)(end - second - 1)))
        return false;
    *ret_parts = (struct parts){
        .header = slice(token.at, (size_t)(first - token.at)), .claims = slice(first + 1, (size_t)(second - first - 1)),
        .signature = slice(second + 1, (size_t)(end - second - 1)), .signed_bytes = slice(token.at, (size_t)(second - token.at)),
    };
    return true;
}

/* An object in base64url; NULL: it is none. */
static json_t *read_object(struct slice part)
{
    struct buf text = { 0 };
    json_t *json = NULL;
    if (part.len > 0 && !base64url_decode(part, &text) && !text.failed)
        json = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, NULL);
    buf_fini(&text);
    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

static struct slice text_of(const json_t *value)
{
    return json_is_string(value) ? slice(json_string_value(value), json_string_length(value)) : slice("", 0);
}

/* ---- whose it is ---- */

static enum jwt_fault check_header(const json_t *header, const struct jwa **ret_algorithm)
{
    const json_t *kid = json_object_get(header, "kid");
    if (json_object_get(header, "crit"))
        return JWT_CRITICAL;
    if (!json_is_string(json_object_get(header, "alg")) || (kid && !json_is_string(kid)))
        return JWT_BAD_HEADER;
    *ret_algorithm = jwa_find(text_of(json_object_get(header, "alg")));
    return *ret_algorithm ? JWT_FINE : JWT_UNKNOWN_ALGORITHM;
}

/* Which keys of the set may have signed it: those of the header's kid, or without one the only key of its algorithm. */
static bool may_sign(const struct jwk *key, const json_t *kid, const struct jwa *algorithm)
{
    return kid ? slice_is(slice_of(key->id), text_of(kid)) : key->key.algorithm == algorithm;
}

static enum jwt_fault find_signer(const struct jwk_set *set, struct jwt *jwt, const struct parts *parts, struct slice signature)
{
    enum jwt_fault fault = check_header(jwt->header, &jwt->algorithm);
    const struct jwa *algorithm = jwt->algorithm;
    const json_t *kid = json_object_get(jwt->header, "kid");
    if (fault)
        return fault;
    fault = JWT_UNKNOWN_KEY;
    for (size_t i = 0; i < set->n; i++) {
        const struct jwk *key = &set->keys[i];
        if (!may_sign(key, kid, algorithm))
            continue;
        if (key->key.algorithm == algorithm) {         /* of a kid there is one at most (jwk.h) */
            fault = jwt->key ? JWT_SEVERAL_KEYS : JWT_FINE;
            jwt->key = key;
        } else if (!jwt->key) {
            fault = JWT_OTHER_ALGORITHM;
        }
    }
    if (!fault && jwa_verify(&jwt->key->key, parts->signed_bytes, signature))
        fault = JWT_BAD_SIGNATURE;
    return fault;
}

static enum jwt_fault check_signature(const struct jwk_set *set, struct jwt *jwt, const struct parts *parts)
{
    struct buf signature = { 0 };
    enum jwt_fault fault = JWT_MALFORMED;
    if (!base64url_decode(parts->signature, &signature))
        fault = signature.failed ? JWT_NO_MEMORY : find_signer(set, jwt, parts, buf_slice(&signature));
    buf_fini(&signature);
    return fault;
}

/* ---- whether it is valid ---- */

/* NumericDate (RFC 7519 §2): seconds, perhaps with a fraction. True also when it is not there. */
static bool take_time(const json_t *claims, const char *name, int64_t *ret_ms)
{
    const json_t *value = json_object_get(claims, name);
    double seconds = json_number_value(value);
    if (!value)
        return true;
    if (!json_is_number(value) || !isfinite(seconds) || fabs(seconds) > 1e12)
        return false;
    *ret_ms = (int64_t)(seconds * 1000);
    return true;
}

static bool is_wanted(const struct jwt_rules *rules, const json_t *audience)
{
    for (size_t i = 0; i < rules->n_audiences; i++)
        if (slice_is(text_of(audience), slice_of(rules->audiences[i])) && json_is_string(audience))
            return true;
    return false;
}

/* RFC 7519 §4.1.3: one string or several. */
static bool is_for_us(const struct jwt_rules *rules, const json_t *aud)
{
    if (rules->n_audiences == 0)
        return true;
    for (size_t i = 0; i < json_array_size(aud); i++)
        if (is_wanted(rules, json_array_get(aud, i)))
            return true;
    return is_wanted(rules, aud);
}

static bool is_complete(const struct jwt_rules *rules, const json_t *claims)
{
    for (size_t i = 0; i < rules->n_required; i++)
        if (!json_object_get(claims, rules->required[i]))
            return false;
    return true;
}

static enum jwt_fault check_times(const struct jwt_rules *rules, struct jwt *jwt)
{
    int64_t not_before_ms = LONG_AGO_MS, issued_ms = LONG_AGO_MS;
    if (!take_time(jwt->claims, "exp", &jwt->expires_ms) || !take_time(jwt->claims, "nbf", &not_before_ms) ||
        !take_time(jwt->claims, "iat", &issued_ms))
        return JWT_BAD_CLAIMS;
    jwt->issued_ms = issued_ms == LONG_AGO_MS ? 0 : issued_ms;
    if (jwt->expires_ms != INT64_MAX && jwt->expires_ms + rules->leeway_ms <= rules->now_ms)
        return JWT_EXPIRED;
    if (not_before_ms - rules->leeway_ms > rules->now_ms || issued_ms - rules->leeway_ms > rules->now_ms)
        return JWT_NOT_YET;
    int64_t from_ms = issued_ms == LONG_AGO_MS ? rules->now_ms : issued_ms;
    bool lasting = rules->max_life_ms > 0 && (jwt->expires_ms == INT64_MAX || jwt->expires_ms - from_ms > rules->max_life_ms);
    return lasting ? JWT_TOO_LASTING : JWT_FINE;
}

static enum jwt_fault check_claims(const struct jwt_rules *rules, struct jwt *jwt)
{
    const json_t *iss = json_object_get(jwt->claims, "iss");
    enum jwt_fault fault = check_times(rules, jwt);
    if (fault)
        return fault;
    if (!is_complete(rules, jwt->claims))
        return JWT_INCOMPLETE;
    if (rules->issuer.len > 0 && (!json_is_string(iss) || !slice_is(text_of(iss), rules->issuer)))
        return JWT_OTHER_ISSUER;
    return is_for_us(rules, json_object_get(jwt->claims, "aud")) ? JWT_FINE : JWT_OTHER_AUDIENCE;
}

enum jwt_fault jwt_check(const struct jwk_set *set, const struct jwt_rules *rules, struct slice token, struct jwt *ret_jwt)
{
    struct parts parts;
    *ret_jwt = (struct jwt){ .expires_ms = INT64_MAX };
    if (token.len > rules->max_bytes)
        return JWT_TOO_LONG;
    if (!split(token, &parts))
        return JWT_MALFORMED;
    ret_jwt->header = read_object(parts.header);
    if (!ret_jwt->header)
        return JWT_BAD_HEADER;
    enum jwt_fault fault = check_signature(set, ret_jwt, &parts);
    if (fault)
        return fault;
    ret_jwt->claims = read_object(parts.claims);
    return ret_jwt->claims ? check_claims(rules, ret_jwt) : JWT_BAD_CLAIMS;
}

json_t *jwt_read_unchecked(struct slice token)
{
    struct parts parts;
    return split(token, &parts) ? read_object(parts.claims) : NULL;
}

int jwt_fault_error(enum jwt_fault fault)
{
    if (fault == JWT_NO_MEMORY)
        return ERR_MEMORY;
    return fault == JWT_EXPIRED ? ERR_TOKEN_EXPIRED : fault ? ERR_BAD_TOKEN : 0;
}

void jwt_fini(struct jwt *jwt)
{
    json_decref(jwt->header);
    json_decref(jwt->claims);
    *jwt = (struct jwt){ 0 };
}

const char *jwt_fault_text(enum jwt_fault fault)
{
    static const char *const texts[JWT_FAULTS] = {
        [JWT_FINE] = "the token is valid",
        [JWT_NO_MEMORY] = "there is no memory to check the token now",
        [JWT_TOO_LONG] = "the token is longer than tokens.max_bytes",
        [JWT_MALFORMED] = "a token is three parts in base64url with dots between them",
        [JWT_BAD_HEADER] = "the token's header is no JSON object with a string `alg`",
        [JWT_CRITICAL] = "the token has critical extensions (`crit`); none are known here",
        [JWT_UNKNOWN_ALGORITHM] = "the token's `alg` is none that is accepted here",
        [JWT_UNKNOWN_KEY] = "no key here has the token's `kid`, or its `alg`",
        [JWT_OTHER_ALGORITHM] = "the key with the token's `kid` is for another algorithm than its `alg`",
        [JWT_SEVERAL_KEYS] = "the token has no `kid`, and several keys here have its `alg`",
        [JWT_BAD_SIGNATURE] = "the signature is wrong",
        [JWT_BAD_CLAIMS] = "the claims are no JSON object with numbers in `exp`, `nbf` and `iat`",
        [JWT_EXPIRED] = "the token has expired (`exp`)",
        [JWT_NOT_YET] = "the token is not valid yet (`nbf`, `iat`)",
        [JWT_INCOMPLETE] = "the token does not have all claims of tokens.require",
        [JWT_TOO_LASTING] = "the token is valid for longer than tokens.max_life",
        [JWT_OTHER_ISSUER] = "the token is not from tokens.issuer (`iss`)",
        [JWT_OTHER_AUDIENCE] = "the token is for none of tokens.audience (`aud`)",
    };
    return texts[fault];
}

int jwt_make(const struct jwk *key, struct slice claims, struct buf *token)
{
    struct buf header = { 0 }, signature = { 0 };
    buf_addf(&header, "{\"alg\":\"%s\",\"typ\":\"JWT\"", jwa_name(key->key.algorithm));
    if (key->id[0]) {
        buf_add_str(&header, ",\"kid\":");
        buf_add_json(&header, slice_of(key->id));
    }
    buf_add_char(&header, '}');
    base64url_add(token, buf_slice(&header));
    buf_add_char(token, '.');
    base64url_add(token, claims);
    int err = header.failed || token->failed ? ERR_MEMORY : jwa_sign(&key->key, buf_slice(token), &signature);
    if (!err) {
        buf_add_char(token, '.');
        base64url_add(token, buf_slice(&signature));
        err = token->failed ? ERR_MEMORY : 0;
    }
    buf_fini(&header);
    buf_fini(&signature);
    return err;
}

#include "hub/access/jwk.h"

#include "hub/access/base64url.h"
#include "hub/base/err.h"

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

/* ---- the set ---- */

struct jwk_set *jwk_set_new(void)
{
    struct jwk_set *set = calloc(1, sizeof *set);
    if (set)
        atomic_init(&set->refs, 1);
    return set;
}

struct jwk_set *jwk_set_ref(struct jwk_set *set)
{
    atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    return set;
}

static void jwk_fini(struct jwk *jwk)
{
    jwa_key_fini(&jwk->key);
    free(jwk->id);
}

void jwk_set_unref(struct jwk_set *set)
{
    if (!set || atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < set->n; i++)
        jwk_fini(&set->keys[i]);
    free(set);
}

size_t jwk_set_drop_secrets(struct jwk_set *set)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->n; i++)
        if (jwa_is_secret(set->keys[i].key.algorithm))
            jwk_fini(&set->keys[i]);
        else
            set->keys[kept++] = set->keys[i];
    return set->n = kept;
}

bool jwk_set_has(const struct jwk_set *set, struct slice id)
{
    for (size_t i = 0; i < set->n; i++)
        if (slice_is(slice_of(set->keys[i].id), id))
            return true;
    return false;
}

static bool is_there(const struct jwk_set *set, struct slice id, const struct jwa *algorithm)
{
    for (size_t i = 0; i < set->n && id.len > 0; i++)
        if (slice_is(slice_of(set->keys[i].id), id) && set->keys[i].key.algorithm == algorithm)
            return true;
    return false;
}

static bool has_place(const struct jwk_set *set, struct slice id, const struct jwa *algorithm, struct buf *why)
{
    if (set->n == JWK_SET_MAX)
        buf_addf(why, "is one too many: %d keys are the most", JWK_SET_MAX);
    else if (id.len > JWK_ID_MAX)
        buf_addf(why, "has a kid of more than %d bytes", JWK_ID_MAX);
    else if (is_there(set, id, algorithm))
        buf_add_str(why, "has the kid and algorithm of another key");
    else
        return true;
    return false;
}

/* Takes the key over, whatever happens. */
static int add(struct jwk_set *set, struct slice id, struct jwa_key key, struct buf *why)
{
    bool good = has_place(set, id, key.algorithm, why);
    char *copy = good ? slice_copy(id) : NULL;
    if (!copy) {
        jwa_key_fini(&key);
        return good ? ERR_MEMORY : ERR_BAD_FIELD;
    }
    set->keys[set->n++] = (struct jwk){ copy, key };
    return 0;
}

int jwk_set_add_set(struct jwk_set *set, const struct jwk_set *other)
{
    int err = 0;
    for (size_t i = 0; i < other->n && err != ERR_MEMORY; i++) {
        const struct jwk *jwk = &other->keys[i];
        struct buf why = { 0 };
        EVP_PKEY_up_ref(jwk->key.pkey);
        err = add(set, slice_of(jwk->id), jwk->key, &why);
        buf_fini(&why);
    }
    return err == ERR_MEMORY ? err : 0;
}

/* Consumes the reference to pkey. */
static int add_pkey(struct jwk_set *set, struct slice id, const struct jwa *algorithm, EVP_PKEY *pkey, struct buf *why)
{
    struct jwa_key key;
    const char *reason = "is of a kind that no algorithm here uses";
    if (!algorithm)
        algorithm = jwa_usual(pkey);
    int err = algorithm ? jwa_key_pkey(algorithm, pkey, &key, &reason) : ERR_BAD_FIELD;
    EVP_PKEY_free(pkey);
    if (!err)
        return add(set, id, key, why);
    if (err == ERR_BAD_FIELD && algorithm)
        buf_addf(why, "is not for %s, which %s", jwa_name(algorithm), reason);
    else if (err == ERR_BAD_FIELD)
        buf_add_str(why, reason);
    return err;
}

int jwk_set_add_secret(struct jwk_set *set, struct slice id, const struct jwa *algorithm, struct slice secret, struct buf *why)
{
    struct jwa_key key;
    const char *reason = "";
    int err = jwa_key_secret(algorithm, secret, &key, &reason);
    if (!err)
        return add(set, id, key, why);
    if (err == ERR_BAD_FIELD)
        buf_addf(why, "is not for %s, which %s", jwa_name(algorithm), reason);
    return err;
}

/* ---- PEM ---- */

static int no_passphrase(char *out, int size, int writes, void *arg)
{
    (void)out, (void)size, (void)writes, (void)arg;
    return 0;
}

static EVP_PKEY *key_of_certificate(BIO *from)
{
    X509 *certificate = PEM_read_bio_X509(from, NULL, no_passphrase, NULL);
    EVP_PKEY *pkey = certificate ? X509_get_pubkey(certificate) : NULL;
    X509_free(certificate);
    return pkey;
}

static EVP_PKEY *read_pem(struct slice pem)
{
    BIO *from = BIO_new_mem_buf(pem.at, (int)pem.len);
    EVP_PKEY *pkey = from ? PEM_read_bio_PUBKEY(from, NULL, no_passphrase, NULL) : NULL;
    if (from && !pkey && BIO_reset(from) == 1)
        pkey = key_of_certificate(from);
    if (from && !pkey && BIO_reset(from) == 1)
        pkey = PEM_read_bio_PrivateKey(from, NULL, no_passphrase, NULL);
    BIO_free(from);
    ERR_clear_error();
    return pkey;
}

int jwk_set_add_pem(struct jwk_set *set, struct slice id, const struct jwa *algorithm, struct slice pem, struct buf *why)
{
    EVP_PKEY *pkey = pem.len < 1024 * 1024 ? read_pem(pem) : NULL;
    if (pkey)
        return add_pkey(set, id, algorithm, pkey, why);
    buf_add_str(why, "is no public key, certificate or private key (without passphrase) in PEM form");
    return ERR_BAD_FIELD;
}

/* ---- JWK ---- */

/* A member that is base64url. */
static bool take_bytes(const json_t *jwk, const char *name, struct buf *ret_bytes)
{
    const json_t *value = json_object_get(jwk, name);
    return json_is_string(value) && !base64url_decode(slice(json_string_value(value), json_string_length(value)), ret_bytes) &&
           ret_bytes->len > 0 && !ret_bytes->failed;
}

static EVP_PKEY *pkey_from(const char *type, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;
    if (params && context && EVP_PKEY_fromdata_init(context) > 0)
        EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    ERR_clear_error();
    return pkey;
}

static EVP_PKEY *rsa_key(const json_t *jwk)
{
    struct buf n = { 0 }, e = { 0 };
    BIGNUM *modulus = take_bytes(jwk, "n", &n) ? BN_bin2bn((unsigned char *)n.at, (int)n.len, NULL) : NULL;
    BIGNUM *exponent = take_bytes(jwk, "e", &e) ? BN_bin2bn((unsigned char *)e.at, (int)e.len, NULL) : NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *pkey = NULL;
    if (modulus && exponent && build && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent))
        pkey = pkey_from("RSA", build);
    OSSL_PARAM_BLD_free(build);
    BN_free(modulus);
    BN_free(exponent);
    buf_fini(&n);
    buf_fini(&e);
    return pkey;
}

/* RFC 7518 §6.2.1: x and y as long as the field; a point as OpenSSL wants it is 04 x y. */
static EVP_PKEY *ec_key(const json_t *jwk)
{
    const char *crv = json_string_value(json_object_get(jwk, "crv"));
    bool is_256 = crv && !strcmp(crv, "P-256"), is_384 = crv && !strcmp(crv, "P-384");
    size_t field = is_256 ? 32 : 48;
    struct buf point = { 0 };
    buf_add_char(&point, 4);
    bool good = (is_256 || is_384) && take_bytes(jwk, "x", &point) && point.len == 1 + field && take_bytes(jwk, "y", &point) && point.len == 1 + 2 * field;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *pkey = NULL;
    if (good && build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, is_256 ? "prime256v1" : "secp384r1", 0) &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point.at, point.len))
        pkey = pkey_from("EC", build);
    OSSL_PARAM_BLD_free(build);
    buf_fini(&point);
    return pkey;
}

static EVP_PKEY *okp_key(const json_t *jwk)
{
    const char *crv = json_string_value(json_object_get(jwk, "crv"));
    struct buf x = { 0 };
    EVP_PKEY *pkey = NULL;
    if (crv && !strcmp(crv, "Ed25519") && take_bytes(jwk, "x", &x) && x.len == 32)
        pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (unsigned char *)x.at, x.len);
    buf_fini(&x);
    ERR_clear_error();
    return pkey;
}

static int add_oct(struct jwk_set *set, struct slice id, const struct jwa *algorithm, const json_t *jwk, struct buf *why)
{
    struct buf secret = { 0 };
    int err = ERR_BAD_FIELD;
    if (!algorithm)
        buf_add_str(why, "is a secret without alg");
    else if (!take_bytes(jwk, "k", &secret))
        buf_add_str(why, "has no k in base64url");
    else
        err = jwk_set_add_secret(set, id, algorithm, buf_slice(&secret), why);
    if (secret.at)
        OPENSSL_cleanse(secret.at, secret.cap);
    buf_fini(&secret);
    return err;
}

static bool names_verify(const json_t *ops)
{
    for (size_t i = 0; i < json_array_size(ops); i++) {
        const char *op = json_string_value(json_array_get(ops, i));
        if (op && !strcmp(op, "verify"))
            return true;
    }
    return false;
}

/* It may be meant to check tokens with (RFC 7517 §4.2, §4.3). */
static bool is_for_us(const json_t *jwk)
{
    const char *use = json_string_value(json_object_get(jwk, "use"));
    const json_t *ops = json_object_get(jwk, "key_ops");
    return json_is_object(jwk) && (!use || !strcmp(use, "sig")) && (!ops || names_verify(ops));
}

static int add_jwk(struct jwk_set *set, const json_t *jwk, struct buf *why)
{
    static const struct { const char *type; EVP_PKEY *(*read)(const json_t *jwk); } kinds[] = { { "RSA", rsa_key }, { "EC", ec_key }, { "OKP", okp_key } };
    const json_t *kid = json_object_get(jwk, "kid"), *alg = json_object_get(jwk, "alg");
    const char *type = json_string_value(json_object_get(jwk, "kty"));
    struct slice id = slice(json_is_string(kid) ? json_string_value(kid) : "", json_string_length(kid));
    const struct jwa *algorithm = json_is_string(alg) ? jwa_find(slice_of(json_string_value(alg))) : NULL;
    if (!type || (alg && !algorithm)) {
        buf_add_str(why, type ? "has an alg that is not one of ours" : "has no kty");
        return ERR_BAD_FIELD;
    }
    if (!strcmp(type, "oct"))
        return add_oct(set, id, algorithm, jwk, why);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(type, kinds[i].type)) {
            EVP_PKEY *pkey = kinds[i].read(jwk);
            if (pkey)
                return add_pkey(set, id, algorithm, pkey, why);
        }
    buf_add_str(why, "is none that can be read");
    return ERR_BAD_FIELD;
}

static int add_all(struct jwk_set *set, const json_t *keys, struct buf *why)
{
    size_t before = set->n;
    for (size_t i = 0; i < json_array_size(keys); i++) {
        struct buf one = { 0 };
        int err = is_for_us(json_array_get(keys, i)) ? add_jwk(set, json_array_get(keys, i), &one) : 0;
        if (err == ERR_BAD_FIELD && set->n == before) {
            buf_addf(why, "%skey %zu ", why->len ? "; " : "has no key that can be used: ", i + 1);
            buf_add_slice(why, buf_slice(&one));
        }
        buf_fini(&one);
        if (err == ERR_MEMORY)
            return err;
    }
    if (set->n > before) {
        buf_reset(why);
        return 0;
    }
    if (why->len == 0)
        buf_add_str(why, "has no key that can be used");
    return ERR_BAD_FIELD;
}

int jwk_set_add_json(struct jwk_set *set, struct slice text, struct buf *why)
{
    json_t *json = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *keys = json_object_get(json, "keys");
    int err = ERR_BAD_FIELD;
    if (!json_is_object(json))
        buf_add_str(why, "is no JSON object");
    else if (json_is_array(keys))
        err = add_all(set, keys, why);
    else
        err = add_jwk(set, json, why);
    json_decref(json);
    return err;
}

#include "hub/access/jwa.h"

#include "hub/base/err.h"

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

enum { SIGNATURE_MAX = 2048, RSA_BITS_MIN = 2048 };
enum family { HMAC_SHA, RSA_PKCS1, RSA_PSS, ECDSA, EDDSA };

struct jwa {
    const char   *name, *hash;
    enum family   family;
    unsigned      bytes;        /* HMAC: of the hash; ECDSA: of r and of s */
    const char   *curve;        /* ECDSA */
};

static const struct jwa algorithms[] = {
    { "HS256", "SHA256", HMAC_SHA, 32, NULL },  { "HS384", "SHA384", HMAC_SHA, 48, NULL },  { "HS512", "SHA512", HMAC_SHA, 64, NULL },
    { "RS256", "SHA256", RSA_PKCS1, 0, NULL },  { "RS384", "SHA384", RSA_PKCS1, 0, NULL },  { "RS512", "SHA512", RSA_PKCS1, 0, NULL },
    { "PS256", "SHA256", RSA_PSS, 0, NULL },    { "PS384", "SHA384", RSA_PSS, 0, NULL },    { "PS512", "SHA512", RSA_PSS, 0, NULL },
    { "ES256", "SHA256", ECDSA, 32, "prime256v1" }, { "ES384", "SHA384", ECDSA, 48, "secp384r1" },
    { "EdDSA", NULL, EDDSA, 0, NULL },
};
enum { ALGORITHMS = sizeof algorithms / sizeof *algorithms };

const struct jwa *jwa_find(struct slice name)
{
    for (size_t i = 0; i < ALGORITHMS; i++)
        if (slice_is(name, slice_of(algorithms[i].name)))
            return &algorithms[i];
    return NULL;
}

const char *jwa_name(const struct jwa *algorithm)    { return algorithm->name; }
bool        jwa_is_secret(const struct jwa *algorithm) { return algorithm->family == HMAC_SHA; }

void jwa_add_names(struct buf *out)
{
    for (size_t i = 0; i < ALGORITHMS; i++)
        buf_addf(out, "%s%s", i ? ", " : "", algorithms[i].name);
}

/* ---- which key fits ---- */

static bool has_curve(const EVP_PKEY *pkey, const char *curve)
{
    char name[64];
    return EVP_PKEY_is_a(pkey, "EC") && EVP_PKEY_get_group_name(pkey, name, sizeof name, NULL) && !strcmp(name, curve);
}

static const char *why_not(const struct jwa *algorithm, const EVP_PKEY *pkey)
{
    switch (algorithm->family) {
    case RSA_PKCS1:
    case RSA_PSS:
        if (!EVP_PKEY_is_a(pkey, "RSA"))
            return "needs an RSA key";
        return EVP_PKEY_get_bits(pkey) < RSA_BITS_MIN ? "needs an RSA key of at least 2048 bits" : NULL;
    case ECDSA:
        if (has_curve(pkey, algorithm->curve))
            return NULL;
        return algorithm->bytes == 32 ? "needs a key on the curve P-256" : "needs a key on the curve P-384";
    case EDDSA:    return EVP_PKEY_is_a(pkey, "ED25519") ? NULL : "needs an Ed25519 key";
    case HMAC_SHA: return "needs a secret, not a key pair";
    }
    return "is unknown";
}

const struct jwa *jwa_usual(const EVP_PKEY *pkey)
{
    static const char *const usual[] = { "RS256", "ES256", "ES384", "EdDSA" };
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (!why_not(jwa_find(slice_of(usual[i])), pkey))
            return jwa_find(slice_of(usual[i]));
    return NULL;
}

int jwa_key_pkey(const struct jwa *algorithm, EVP_PKEY *pkey, struct jwa_key *ret_key, const char **ret_why)
{
    const char *why = why_not(algorithm, pkey);
    if (why) {
        *ret_why = why;
        return ERR_BAD_FIELD;
    }
    EVP_PKEY_up_ref(pkey);
    *ret_key = (struct jwa_key){ algorithm, pkey };
    return 0;
}

int jwa_key_secret(const struct jwa *algorithm, struct slice secret, struct jwa_key *ret_key, const char **ret_why)
{
    if (algorithm->family != HMAC_SHA) {
        *ret_why = "needs a key in PEM form, not a secret";
        return ERR_BAD_FIELD;
    }
    if (secret.len < algorithm->bytes) {
        *ret_why = algorithm->bytes == 32 ? "needs a secret of at least 32 bytes" : algorithm->bytes == 48 ? "needs a secret of at least 48 bytes"
                                                                                                            : "needs a secret of at least 64 bytes";
        return ERR_BAD_FIELD;
    }
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL, (const unsigned char *)secret.at, secret.len);
    if (!pkey)
        return ERR_MEMORY;
    *ret_key = (struct jwa_key){ algorithm, pkey };
    return 0;
}

void jwa_key_fini(struct jwa_key *key)
{
    EVP_PKEY_free(key->pkey);
    *key = (struct jwa_key){ 0 };
}

/* ---- ECDSA's two numbers: one behind the other in a token, DER for OpenSSL ---- */

static size_t to_der(const struct jwa *algorithm, struct slice raw, unsigned char der[SIGNATURE_MAX])
{
    const unsigned char *bytes = (const unsigned char *)raw.at;
    ECDSA_SIG *pair = raw.len == 2 * algorithm->bytes ? ECDSA_SIG_new() : NULL;
    BIGNUM *r = pair ? BN_bin2bn(bytes, (int)algorithm->bytes, NULL) : NULL;
    BIGNUM *s = pair ? BN_bin2bn(bytes + algorithm->bytes, (int)algorithm->bytes, NULL) : NULL;
    int len = 0;
    if (r && s && ECDSA_SIG_set0(pair, r, s)) {
        len = i2d_ECDSA_SIG(pair, &der);
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(pair);
    return len > 0 ? (size_t)len : 0;
}

static size_t from_der(const struct jwa *algorithm, const unsigned char *der, size_t len, unsigned char raw[SIGNATURE_MAX])
{
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
    int bytes = (int)algorithm->bytes;
    bool good = pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, bytes) == bytes &&
                BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + bytes, bytes) == bytes;
    ECDSA_SIG_free(pair);
    return good ? 2 * algorithm->bytes : 0;
}

/* ---- signing and verifying ---- */

static bool set_padding(const struct jwa *algorithm, EVP_PKEY_CTX *context)
{
    if (algorithm->family != RSA_PSS)
        return true;
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) > 0 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) > 0;
}

static size_t sign(const struct jwa_key *key, struct slice bytes, unsigned char out[SIGNATURE_MAX])
{
    EVP_PKEY_CTX *padding = NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t len = SIGNATURE_MAX;
    bool done = context && EVP_DigestSignInit_ex(context, &padding, key->algorithm->hash, NULL, NULL, key->pkey, NULL) > 0 &&
                set_padding(key->algorithm, padding) &&
                EVP_DigestSign(context, out, &len, (const unsigned char *)bytes.at, bytes.len) > 0;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return done ? len : 0;
}

static bool verify(const struct jwa_key *key, struct slice bytes, const unsigned char *signature, size_t len)
{
    EVP_PKEY_CTX *padding = NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context && EVP_DigestVerifyInit_ex(context, &padding, key->algorithm->hash, NULL, NULL, key->pkey, NULL) > 0 &&
                set_padding(key->algorithm, padding) &&
                EVP_DigestVerify(context, signature, len, (const unsigned char *)bytes.at, bytes.len) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return good;
}

int jwa_verify(const struct jwa_key *key, struct slice signed_bytes, struct slice signature)
{
    unsigned char other[SIGNATURE_MAX];
    size_t len;
    bool good = false;
    switch (key->algorithm->family) {
    case HMAC_SHA:
        len = sign(key, signed_bytes, other);
        good = len > 0 && len == signature.len && !CRYPTO_memcmp(other, signature.at, len);
        break;
    case ECDSA:
        len = to_der(key->algorithm, signature, other);
        good = len > 0 && verify(key, signed_bytes, other, len);
        break;
    default:
        good = verify(key, signed_bytes, (const unsigned char *)signature.at, signature.len);
    }
    return good ? 0 : ERR_UNAUTHENTICATED;
}

int jwa_sign(const struct jwa_key *key, struct slice bytes, struct buf *signature)
{
    unsigned char made[SIGNATURE_MAX], raw[SIGNATURE_MAX];
    size_t len = sign(key, bytes, made);
    if (len > 0 && key->algorithm->family == ECDSA) {
        len = from_der(key->algorithm, made, len, raw);
        buf_add(signature, raw, len);
    } else {
        buf_add(signature, made, len);
    }
    if (len == 0)
        return ERR_INTERNAL;
    return signature->failed ? ERR_MEMORY : 0;
}

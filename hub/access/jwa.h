/* jwa.h — the algorithms that sign tokens (RFC 7518 §3, RFC 8037 §3.1): one table, on OpenSSL's EVP.
 *
 *   name     key                    signature
 *   HS256 …  secret, at least as    HMAC (RFC 7518 §3.2)
 *            long as the hash
 *   RS256 …  RSA, 2048 bits or more PKCS #1 v1.5
 *   PS256 …  the same               PSS, salt as long as the hash, MGF1 of the same hash
 *   ES256 …  P-256, P-384           r and s, each as long as the curve's order, one behind the other (not DER)
 *   EdDSA    Ed25519                RFC 8032
 *
 * A key knows its algorithm; what a token says about it must be the same and decides nothing.
 *
 * Lifetime   jwa_key_fini frees what a key holds. Threading: keys are not changed once made, so any number of threads may verify
 *            with one at a time. */
#pragma once
#include "hub/base/buf.h"

struct evp_pkey_st;
struct jwa;

struct jwa_key {
    const struct jwa   *algorithm;
    struct evp_pkey_st *pkey;
};

const struct jwa *jwa_find(struct slice name);          /* "ES256"; NULL: none of ours ("none" never is) */
const char       *jwa_name(const struct jwa *algorithm);
void              jwa_add_names(struct buf *out);       /* "HS256, HS384, …", for people */
bool              jwa_is_secret(const struct jwa *algorithm);      /* both sides have the same key */
/* The usual one of a key that says nothing else: RS256, ES256, ES384, EdDSA; NULL: none fits. */
const struct jwa *jwa_usual(const struct evp_pkey_st *pkey);

/* 0; ERR_BAD_FIELD: the key does not fit the algorithm, with the end of a sentence about it in *ret_why; ERR_MEMORY. */
int  jwa_key_secret(const struct jwa *algorithm, struct slice secret, struct jwa_key *ret_key, const char **ret_why);
int  jwa_key_pkey(const struct jwa *algorithm, struct evp_pkey_st *pkey, struct jwa_key *ret_key, const char **ret_why);  /* takes a reference */
void jwa_key_fini(struct jwa_key *key);

/* 0 or ERR_UNAUTHENTICATED. */
int  jwa_verify(const struct jwa_key *key, struct slice signed_bytes, struct slice signature);
/* 0, ERR_INTERNAL: the key cannot sign (it is a public one), or ERR_MEMORY. */
int  jwa_sign(const struct jwa_key *key, struct slice bytes, struct buf *signature);

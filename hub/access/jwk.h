/* jwk.h — the keys that tokens are checked with: a set of them, from PEM texts, secrets and JWK sets (RFC 7517, RFC 8037).
 *
 * Each key has one algorithm for good (jwa.h): what its JWK says in `alg`, else the usual one of its kind; a secret (kty oct)
 * must say it. So a token can never choose how it is checked.
 *
 * Lifetime   reference-counted; never changed once it has been shared.
 * Threading  any thread may read and find; a set is filled by the thread that makes it.
 * Limits     JWK_SET_MAX keys, no two with the same kid and algorithm unless they have no kid; ids of at most JWK_ID_MAX bytes. */
#pragma once
#include "hub/access/jwa.h"

#include <stdatomic.h>

enum { JWK_ID_MAX = 200, JWK_SET_MAX = 128 };

struct jwk {
    char          *id;           /* kid; "" : it has none */
    struct jwa_key key;
};

struct jwk_set {
    atomic_uint refs;
    size_t      n;
    struct jwk  keys[JWK_SET_MAX];
};

struct jwk_set *jwk_set_new(void);                      /* empty, one reference; NULL: no memory */
struct jwk_set *jwk_set_ref(struct jwk_set *set);
void            jwk_set_unref(struct jwk_set *set);     /* NULL is fine */

/* All append keys, or say the end of a sentence about them in *why. 0, ERR_BAD_FIELD, ERR_MEMORY. */
/* A public key, a certificate or a private key. `algorithm` NULL: the usual one. */
int jwk_set_add_pem(struct jwk_set *set, struct slice id, const struct jwa *algorithm, struct slice pem, struct buf *why);
int jwk_set_add_secret(struct jwk_set *set, struct slice id, const struct jwa *algorithm, struct slice secret, struct buf *why);
/* A JWK set or one JWK. Keys for something else (use, key_ops, a kind or algorithm we do not have) are passed over, as RFC 7517 §5
 * wants; no key left is an error. */
int jwk_set_add_json(struct jwk_set *set, struct slice text, struct buf *why);

/* The keys of another set, but for those whose kid and algorithm are here already. 0, ERR_MEMORY. */
int jwk_set_add_set(struct jwk_set *set, const struct jwk_set *other);
/* Takes out the keys that both sides have (kty oct), of a set that nobody else has yet; how many are left. */
size_t jwk_set_drop_secrets(struct jwk_set *set);

bool jwk_set_has(const struct jwk_set *set, struct slice id);

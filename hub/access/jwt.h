/* jwt.h — signed tokens (RFC 7519) in compact form (RFC 7515 §3.1): who signed one, and whether it is valid here and now.
 *
 * The checks, in this order: form; header (alg, kid, no crit); signature, with a key whose algorithm is the header's; claims
 * (exp, nbf, iat, iss, aud). Nothing of the claims is looked at before the signature is right (RFC 8725 §3.1).
 *
 *   with kid      only keys of that id
 *   without kid   the one key of the set that has the header's algorithm; if there are several, none
 *
 * Lifetime   jwt_fini frees what jwt_check gave, also after a refusal. Threading: any thread; the set is only read.
 * Limits     rules.max_bytes, so that nobody makes us hash much. */
#pragma once
#include "hub/base/buf.h"

struct json_t;
struct jwa;
struct jwk;
struct jwk_set;

struct jwt_rules {
    struct slice issuer;              /* iss must be this; empty: any */
    const char *const *audiences;     /* one of them must be in aud; none: aud is not looked at */
    size_t       n_audiences;
    int64_t      leeway_ms;           /* how far clocks may differ */
    int64_t      now_ms;              /* wall clock */
    const char *const *required;      /* claims that must be there, such as exp */
    size_t       n_required;
    int64_t      max_life_ms;         /* from iat, or without it from now, to exp; 0: any */
    size_t       max_bytes;           /* of the token */
};

enum jwt_fault {
    JWT_FINE, JWT_NO_MEMORY, JWT_TOO_LONG, JWT_MALFORMED, JWT_BAD_HEADER, JWT_CRITICAL, JWT_UNKNOWN_ALGORITHM, JWT_UNKNOWN_KEY, JWT_OTHER_ALGORITHM,
    JWT_SEVERAL_KEYS, JWT_BAD_SIGNATURE, JWT_BAD_CLAIMS, JWT_EXPIRED, JWT_NOT_YET, JWT_INCOMPLETE, JWT_TOO_LASTING, JWT_OTHER_ISSUER,
    JWT_OTHER_AUDIENCE, JWT_FAULTS
};

struct jwt {
    const struct jwk *key;            /* of the set; NULL: not found yet */
    const struct jwa *algorithm;      /* the header's; NULL: not read, or none of ours */
    struct json_t    *header, *claims;/* objects; NULL: not read (a claim is never to be trusted unless jwt_check said 0) */
    int64_t           expires_ms;     /* exp; INT64_MAX: never */
    int64_t           issued_ms;      /* iat; 0: not told */
};

enum jwt_fault jwt_check(const struct jwk_set *set, const struct jwt_rules *rules, struct slice token, struct jwt *ret_jwt);
void           jwt_fini(struct jwt *jwt);
/* The claims of whatever it is, signed or not, to show them to people; NULL: there are none to be read. To be given back. */
struct json_t *jwt_read_unchecked(struct slice token);
const char    *jwt_fault_text(enum jwt_fault fault);      /* one sentence, for people */
int            jwt_fault_error(enum jwt_fault fault);     /* ERR_BAD_TOKEN, ERR_TOKEN_EXPIRED, ERR_MEMORY; 0 for JWT_FINE */
/* Header {alg, typ, kid} and claims as JSON text, signed. 0, ERR_INTERNAL (the key is a public one), ERR_MEMORY. */
int            jwt_make(const struct jwk *key, struct slice claims, struct buf *token);

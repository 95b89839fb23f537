/* signature.h — how a webhook proves that it comes from this hub: headers with an HMAC-SHA256 of the body, in the forms that
 * partners' libraries know (signature.def is the list).
 *
 *   signer_new(scheme, secrets) once for an endpoint ─> signer_add_headers for each attempt: id, time, event, body ─> header lines
 *
 * While a secret is being rotated two are valid: both sign, the new one first. A signer prepares its keys once (that is half the
 * work of signing a small body) and reads the body where it is.
 *
 * Lifetime   a signer is its endpoint's; it keeps no pointer to the secrets, and wipes its keys when it is freed.
 * Threading  a signer is used by one thread at a time; all else are pure functions.
 * Limits     SECRETS_MAX secrets of SECRET_MAX bytes; header lines are at most SIGNATURE_LINES_MAX bytes beside id and event. */
#pragma once
#include "hub/base/buf.h"

enum signature_scheme {
#define SCHEME(name, text, signature, id, timestamp, event, time, prefix, parting, encoding, signs, key, what) SIGNATURE_##name,
#include "hub/signature.def"
#undef SCHEME
    SIGNATURE_SCHEMES
};
enum signature_encoding { ENCODING_HEX, ENCODING_BASE64 };
enum signature_key      { KEY_WHOLE, KEY_DECODED };
enum { SECRETS_MAX = 2, SECRET_MIN = 16, SECRET_MAX = 256, SECRET_MADE = 51, SIGNATURE_BYTES = 32, SIGNATURE_LINES_MAX = 512 };

struct signature_form {                /* a line of signature.def */
    const char *name, *signature, *id, *timestamp, *event;
    bool        time_first;
    const char *prefix, *parting;
    enum signature_encoding encoding;
    const char *signs;
    enum signature_key key;
    const char *what;
};
extern const struct signature_form signature_forms[SIGNATURE_SCHEMES];

bool signature_scheme_find(struct slice name, enum signature_scheme *ret_scheme);

/* ---- secrets ---- */

/* NULL, or the end of a sentence: too short, no base64, … */
const char *secret_check(enum signature_scheme scheme, struct slice secret);
/* whsec_ and the base64 of 32 random bytes: good for every scheme. False: the kernel has no randomness. */
bool        secret_make(char ret_secret[SECRET_MADE]);
/* The bytes to sign with; false: secret_check would have refused it. */
bool        secret_key(enum signature_key form, struct slice secret, unsigned char ret_key[SECRET_MAX], size_t *ret_len);

/* ---- signing ---- */

struct signing {
    struct slice id;                   /* of the event; the same in every attempt */
    int64_t      time_s;               /* of the attempt */
    struct slice event;                /* its type */
    struct slice body;
};
struct signer;

/* The newest secret first. NULL: no memory, or a secret that secret_check refuses. */
struct signer *signer_new(enum signature_scheme scheme, const struct slice *secrets, size_t n);
void           signer_free(struct signer *signer);      /* NULL is fine */
/* Appends the header lines of the scheme, each with its '\n' as http_out.h has them. False: no memory. */
bool           signer_add_headers(struct signer *signer, const struct signing *signing, struct buf *lines);
/* The HMAC alone, of what the scheme signs. */
bool           signature_of(const struct signature_form *form, struct slice key, const struct signing *signing, unsigned char ret_mac[SIGNATURE_BYTES]);

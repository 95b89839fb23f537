/* verify.h — is this webhook's signature good, and if not, why: `carillon webhook verify`.
 *
 * A signature that does not fit cannot say by itself whether the secret or the body is another one. So the mistakes that people
 * make are tried one by one (the body read as text and written again, with a newline at its end or without it; the secret with its
 * whsec_ or without, decoded or not; the old secret), and the one that fits is told.
 *
 * Threading: pure functions. */
#pragma once
#include "hub/signature.h"

enum verdict {
    VERDICT_GOOD,
    VERDICT_GOOD_OLD,          /* by the second secret */
    VERDICT_NO_HEADER,         /* a header that the scheme has is not there */
    VERDICT_BAD_HEADER,        /* it is there, and is none of the scheme's */
    VERDICT_CLOCK,             /* the signature is good, its time is not: a replay, or a clock that is wrong */
    VERDICT_SECRET,            /* it fits another reading of the secret */
    VERDICT_BODY,              /* it fits a body that differs in the way that is told */
    VERDICT_DIFFERENT,         /* secret or body are others */
};

struct verifying {
    enum signature_scheme scheme;
    struct slice          secrets[SECRETS_MAX];   /* as whoever received it has them */
    size_t                n_secrets;
    struct slice          head;                   /* header lines, "name: value\n" */
    struct slice          body;
    int64_t               now_s, tolerance_s;     /* how far its time may be from now; usual: 300 */
};

/* What it says, with a sentence for people in `ret_why` (appended; also when it is good). ERR_MEMORY is told as a sentence too. */
enum verdict signature_verify(const struct verifying *with, struct buf *ret_why);
/* The scheme whose headers these are; SIGNATURE_SCHEMES: of none. */
enum signature_scheme signature_scheme_of(struct slice head);

/* outset.h — what a connection is subscribed to without a command: what its request names, and what its credentials say.
 *
 *   ?channel=…, the token's `channels`, user.{user} of who has a user (where that is a channel name); each once, in this order
 *
 * A stream is bare when it was asked to be, or has one channel, no pattern, and was not asked to be anything else. Then the channel of a message
 * cannot be told, so the user's own channel, which nobody asked for, is left out.
 *
 * Lifetime   on the stack; names point into the request, the principal and the outset itself, which must not move; outset_fini.
 * Threading  edge thread.
 * Limits     the request's channels, TOKEN_CHANNELS_MAX and one. */
#pragma once
#include "hub/base/name.h"

struct principal;
struct stream_request;

struct outset {
    struct slice *names;
    size_t        n;
    bool          bare;                        /* a stream that is */
    char          own[CHANNEL_NAME_MAX];       /* user.{user} */
};

/* `is_stream`: SSE. 0; ERR_BAD_FIELD (?format= of a stream), ERR_MEMORY: nothing is to be given back. */
int  outset_init(struct outset *outset, const struct stream_request *request, const struct principal *principal, bool is_stream);
/* Only what the credentials say. 0 or ERR_MEMORY. */
int  outset_of_principal(struct outset *outset, const struct principal *principal);
void outset_fini(struct outset *outset);

/* stream.h — what /sse, /poll and /ws have in common when they begin: who it is, where it begins, how long to stay away.
 *
 * Threading: edge thread. */
#pragma once
#include "hub/access/access.h"
#include "hub/call.h"
#include "transports/request/stream_request.h"

struct conn;
struct edge;

/* Finds out who asks and keeps that in the request, so that a signature is checked once: 0 or what stream_principal says. */
int stream_identify(struct edge *edge, struct stream_request *request);
/* Who asks: the holder of a key or token, a user that --dev believes, or nobody in particular. ERR_BAD_CLIENT, and those of
 * authority_login. */
int stream_principal(struct edge *edge, const struct stream_request *request, struct principal **ret_principal);
/* The `n` channels it begins with are counted as subscriptions (hub/access/rates.h), not yet of the connection: 0 or ERR_RATE_LIMITED. */
int stream_take(struct edge *edge, const struct principal *principal, const struct stream_request *request, size_t n);
/* Whether an SSE stream (`is_stream`) or a poll of this request may begin: who it is, channels, grants, rates. */
int stream_check(struct edge *edge, const struct stream_request *request, bool is_stream);
/* The position that it comes back with; what is none is one of no epoch. False: it has none. */
bool stream_after(const struct stream_request *request, struct position *ret_after);
/* Where it begins: after its position, else where its `since` says, else now. 0 or ERR_BAD_FIELD (a `since` that is nothing). */
int stream_since(const struct edge *edge, const struct stream_request *request, struct since *ret_since);
int stream_seconds(int64_t ms);      /* a duration of the config as whole seconds of the wheel, at least 1 */
/* Whether it wants to be told of members (?presence=true) in the channels it names. 0; ERR_BAD_FIELD; ERR_FORBIDDEN, ERR_UNAUTHENTICATED. */
int stream_asks(const struct stream_request *request, const struct principal *principal, bool *ret_asks);

/* api_caller.h — what one caller of the API has under way at the hub, over all its connections.
 *
 * The hub's mailbox and its store are shared: when one key fills them, requests of all others wait or are refused. So a caller
 * that has limits.caller_bytes of publishes under way gets 429 `too_many_requests` for what it sends on top: *he* is too fast.
 * 503 `busy` says that the hub can take no more from anybody.
 *
 * A caller is a name: that of a key, of a token's user, or what all without one are together (dev, anonymous). One connection alone
 * is slowed down instead (http_conn.h, back-pressure), unless limits.caller_bytes is smaller than what a connection may have under way.
 *
 * Lifetime   counted: each connection that was last used by the name holds it, and each of its requests; it is freed with the last,
 *            so there are no more of them than that.
 * Threading  the API thread. */
#pragma once
#include "hub/base/buf.h"

struct api_caller;

/* With a reference; NULL: no memory. The table outlives its callers. */
struct api_caller *api_caller_get(struct api_caller **callers, struct slice name);
struct slice       api_caller_name(const struct api_caller *caller);
struct api_caller *api_caller_ref(struct api_caller *caller);
void               api_caller_unref(struct api_caller *caller);      /* NULL is fine */
/* Counts a publish of so many bytes as under way; false, and nothing is counted, when that would be more than `most`. One alone
 * is never too much. */
bool               api_caller_take(struct api_caller *caller, size_t bytes, size_t most);
extern const char  api_caller_too_much[];      /* what a publish is told that was not taken (ERR_TOO_MANY) */
/* Would so many bytes more be too much? */
bool               api_caller_has_room(const struct api_caller *caller, size_t bytes, size_t most);
void               api_caller_give_back(struct api_caller *caller, size_t bytes);

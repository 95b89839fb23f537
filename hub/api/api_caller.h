/* api_caller.h — what one caller of the API has under way at the hub, over all its connections.
 *
 * The hub's mailbox and its store are shared: when one key fills them, requests of all others wait or are refused. So a caller
 * that has limits.caller_bytes of publishes under way gets 429 `too_many_requests` for what it sends on top: *he* is too fast.
 * 503 `busy` says that the hub can take no more from anybody.
 *
 * A caller is a name: that of a key, of a token's user, or what all without one are together (dev, anonymous). One connection alone
 * is slowed down instead (http_conn.h, back-pressure), unless limits.caller_bytes is smaller than what a connection may have under way.
 * Requests of many messages (batch.h) wait instead, and leave half of it to others.
 *
 * Lifetime   counted: each connection that was last used by the name holds it, and each of its requests; it is freed with the last,
 *            so there are no more of them than that.
 * Threading  the API thread. */
#pragma once
#include "hub/base/buf.h"
#include "hub/base/list.h"

struct api_caller;

/* Whoever would rather wait than be refused, and has nothing under way itself. Embedded; link_init before it is used,
 * link_remove(&waiter->link) ends the wait. */
struct api_caller_waiter {
    struct link link;
    size_t      bytes, most;           /* of api_caller_may_take */
    void      (*go_on)(struct api_caller_waiter *waiter);       /* it has been taken off the list; from inside api_caller_give_back */
};

/* With a reference; NULL: no memory. The table outlives its callers. */
struct api_caller *api_caller_get(struct api_caller **callers, struct slice name);
struct slice       api_caller_name(const struct api_caller *caller);
struct api_caller *api_caller_ref(struct api_caller *caller);
void               api_caller_unref(struct api_caller *caller);      /* NULL is fine */
/* Counts a publish of so many bytes as under way; false, and nothing is counted, when that would be more than `most`. One alone
 * is never too much. */
bool               api_caller_take(struct api_caller *caller, size_t bytes, size_t most);
/* Would so many bytes more not be too much? */
bool               api_caller_has_room(const struct api_caller *caller, size_t bytes, size_t most);
/* The same; false: `waiter` is called when there is room, those first who wait longest. True: it does not wait (any more). */
bool               api_caller_may_take(struct api_caller *caller, size_t bytes, size_t most, struct api_caller_waiter *waiter);
void               api_caller_give_back(struct api_caller *caller, size_t bytes);

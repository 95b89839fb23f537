/* api_caller.h — what one caller of the API has under way at the hub, over all its connections.
 *
 * The hub's mailbox and its store are shared: when one key fills them, requests of all others wait or are refused. So a caller
 * that has limits.caller_bytes of publishes under way gets 429 `too_many_requests` for what it sends on top: *he* is too fast.
 * 503 `busy` says that the hub can take no more from anybody.
 *
 * A caller is a name: that of a key, or what all without one are together (dev, anonymous). One connection alone is slowed
 * down instead (http_conn.h, back-pressure), unless limits.caller_bytes is smaller than what a connection may have under way.
 *
 * Lifetime   from the first request of the name until api_callers_free: there are no more of them than keys in the settings.
 * Threading  the API thread. */
#pragma once
#include "hub/base/buf.h"

struct api_caller;

struct api_caller *api_caller_get(struct api_caller **callers, struct slice name);     /* NULL: no memory */
void               api_callers_free(struct api_caller **callers);
/* Counts a publish of so many bytes as under way; false, and nothing is counted, when that would be more than `most`. One alone
 * is never too much. */
bool               api_caller_take(struct api_caller *caller, size_t bytes, size_t most);
void               api_caller_give_back(struct api_caller *caller, size_t bytes);

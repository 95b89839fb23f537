/* origin.h — which pages may connect. A browser says in `Origin` whose page it is that opens a stream or a WebSocket; without
 * this check any page could use a visitor's access to the hub (cross-site WebSocket hijacking, RFC 6455 §10.2).
 *
 * Allowed: no Origin (not a browser), the host the request itself was sent to, and what public.origins lists: an origin
 * as browsers write it, one with `*.` before a domain for any subdomain of it, or `*`.
 * Threading: pure function. */
#pragma once
#include "hub/base/buf.h"

struct words;

bool origin_allowed(const struct words *allowed, struct slice origin, struct slice host);

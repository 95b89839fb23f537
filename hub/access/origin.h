/* origin.h — whose page asks. A browser says in `Origin` (RFC 6454 §7) whose page it is that opens a stream or sends a request;
 * without this check any page could use a visitor's access to the hub (cross-site WebSocket hijacking, RFC 6455 §10.2).
 *
 * An origin is read as strictly as browsers write it: scheme, host and port in small letters, nothing else. So there is one way
 * to write each, and what only looks like a listed one is another: a user before the host, a dot behind it, another port or
 * scheme, the name of a listed one at its beginning or end. How a list is written is the operator's: letter case is no matter.
 * Threading: pure functions. */
#pragma once
#include "hub/base/buf.h"

struct words;

enum origin_kind {
    ORIGIN_NONE,       /* no such header: no browser, or one that asks its own site for a document */
    ORIGIN_OWN,        /* a page of the host that the request was sent to */
    ORIGIN_LISTED,     /* listed by name: as browsers write it, or with `*.` before a domain (any subdomain of it), `null` */
    ORIGIN_ANY,        /* let in by `*` alone */
    ORIGIN_FOREIGN,    /* a page of elsewhere, or nothing a browser would send */
};

/* `origin` with at NULL is no header. `tls`: the request came by TLS, so a page of its own host has come so too; in the clear a
 * proxy may have ended TLS, and both schemes are the host's own. */
enum origin_kind origin_judge(const struct words *listed, struct slice origin, struct slice host, bool tls);

/* A page that a server on this machine has brought, on any port: http or https (over TLS https alone) of localhost, 127.0.0.1 or
 * [::1]. Not `null`, which pages opened from a file send, and framed ones of any site in the world too. */
bool origin_is_local(struct slice origin, bool tls);

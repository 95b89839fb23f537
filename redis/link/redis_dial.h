/* redis_dial.h — from a name to a socket that Redis has accepted: finds the addresses, tries one after the other, shakes hands.
 *
 * hiredis would wait for the name server and knows no TLS; here libevent asks for names (evdns, with the settings of this
 * moment: a container's resolv.conf changes), connects, and OpenSSL shakes hands, all without waiting.
 *
 *   redis_dial ~~~ done(socket) or done(NULL, why)      exactly once, never from inside redis_dial; not after redis_dial_drop
 *
 * Of several addresses of a name each is tried; all of it together has the time limit given.
 * TLS: the server's certificate must be of that name and vouched for, always.
 * Threading  the thread of the loop. Limits: one socket. */
#pragma once
#include <stdint.h>

struct bufferevent;
struct event_base;
struct redis_dial;
struct ssl_ctx_st;

struct redis_address {
    const char        *unix_path;    /* NULL: name and port */
    const char        *name;
    uint16_t           port;
    struct ssl_ctx_st *tls;          /* NULL: in the clear */
};

/* `bev` is the taker's from then on, without callbacks and not enabled for reading; NULL with one sentence in `why`. */
typedef void redis_dialed_fn(void *arg, struct bufferevent *bev, const char *why);

/* What `address` points to must live until the end. NULL: no memory. */
struct redis_dial *redis_dial(struct event_base *base, const struct redis_address *address, int64_t timeout_ms,
                              redis_dialed_fn *done, void *arg);
void redis_dial_drop(struct redis_dial *dial);      /* nobody waits any more; NULL is fine */

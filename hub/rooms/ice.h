/* ice.h — the STUN and TURN servers that browsers are told of, and credentials for these.
 *
 * With ice.secrets each user gets credentials of its own that end (the "TURN REST API" of draft-uberti-behave-turn-rest-00, coturn's
 * use-auth-secret): the server knows nothing but the secret, and computes the same.
 *
 *   username   = "<seconds since 1970 when it ends>:<user>"     the user percent-encoded: coturn takes no spaces and quotes
 *   credential = base64(HMAC-SHA1(secret, username))
 *
 * While secrets are changed there are several: each server is named once for each, the newest first, so that it does not matter which of
 * them a server has already. With ice.user everybody has the same; without either, servers are named without credentials.
 *
 * Threading: pure functions. */
#pragma once
#include "hub/base/buf.h"

struct config;

/* `,"ice_servers":[…]`, and `,"ice_expires_ms":N` when they end. Returns how long they are valid; INT64_MAX: for ever.
 * ttl_ms 0: ice.ttl. */
int64_t ice_print(struct buf *out, const struct config *config, struct slice user, int64_t wall_ms, int64_t ttl_ms);
/* `,"rtc_config":{…}`: what else an RTCPeerConnection is made with. */
void    ice_print_rtc(struct buf *out, const struct config *config);

/* A USERNAME has less than 509 bytes (RFC 8489 §14.3); of a longer name so much has to do, escaped or not. */
enum { ICE_USER_BYTES = 160 };

/* The two, of one secret: for tests with fixed vectors. */
void ice_username(struct buf *out, struct slice user, int64_t ends_s);
void ice_credential(struct buf *out, struct slice secret, struct slice username);

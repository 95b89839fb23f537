/* forwarded.h — whose request a proxy passes on: the client's address out of X-Forwarded-For or Forwarded (RFC 7239).
 *
 * A proxy adds, behind what is there already, the address it was asked from. So the list is read from its end, and only as far
 * as those who wrote it are trusted (public.trusted_proxies, api.trusted_proxies); what a client made up stands before that:
 *
 *   peer 10.0.0.2 (trusted)    X-Forwarded-For: 198.51.100.9, 203.0.113.7, 10.0.0.1
 *                                               made up       the client   trusted
 *
 * What is no address (`unknown`, `_hidden`, rubbish) ends it: the last proxy that is known stands for its client then.
 * Only one of the two headers is believed (proxy_header): a proxy that writes one passes the other on as it came.
 *
 * Threading  pure functions.
 * Limits     FORWARDED_HOPS addresses of one request; networks are read out of the settings each time, where there are any. */
#pragma once
#include "hub/base/ip.h"
#include "hub/config/config.h"

enum { FORWARDED_HOPS = 32 };

struct proxies {                       /* a port's keys of the config */
    const struct words *trusted;       /* networks, and `unix` */
    enum proxy_header   header;
};
struct proxies proxies_public(const struct config *config);
struct proxies proxies_api(const struct config *config);
struct slice   proxies_header(const struct proxies *proxies);      /* its name in small letters */

bool      proxies_trust(const struct proxies *proxies, struct ip peer);
/* `lines` are the values of the header, as they came. */
struct ip forwarded_client(const struct proxies *proxies, struct ip peer, const struct slice *lines, size_t n);

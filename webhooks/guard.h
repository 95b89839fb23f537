/* guard.h — which addresses a webhook may go to, so that nobody can make the hub knock at doors behind its firewall (SSRF).
 *
 * Whoever may register a webhook chooses where the hub connects to. What only machines near the hub can reach (loopback, private
 * networks, the metadata service of a cloud at 169.254.169.254) is therefore refused, and so is what is no host at all. A host is
 * judged by its address at the moment of connecting, never by its name: a name says one thing when it is looked at and another when
 * it is used (DNS rebinding), and 127.0.0.1 can be written as 2130706433, 0x7f.1, 0177.0.0.1 or ::ffff:7f00:1.
 *
 *   webhook's URL ──endpoint_url.h──> … attempt: name ─> addresses ──guard_judge, each──> connect, or error class blocked_address
 *
 * An IPv6 address that carries an IPv4 address (mapped, NAT64, 6to4) is judged by that. Through an egress proxy the hub sees the
 * proxy's address only: then this is the proxy's duty.
 *
 * Lifetime   made at start and at reload; lives until the last request that asks it has ended.
 * Threading  guard_judge: any thread, once the networks have been allowed.
 * Limits     GUARD_ALLOWED networks. */
#pragma once
#include "hub/base/ip.h"

enum { GUARD_ALLOWED = 1000 };

struct guard;

struct guard *guard_new(void);                      /* nothing is allowed beyond the public internet; NULL: no memory */
void          guard_free(struct guard *guard);      /* NULL is fine */
/* Opens a network (webhooks.allow_networks). NULL, or the end of a sentence about what is wrong with it. */
const char   *guard_allow(struct guard *guard, struct slice network);
/* NULL: may be connected to. Otherwise what kind of address it is, such as "a loopback address": static text. */
const char   *guard_judge(const struct guard *guard, const struct sockaddr *address);

/* ip.h — addresses of the internet, and networks of them, as values.
 *
 * An IPv4 address is the IPv6 address it is mapped to (::ffff:192.0.2.1, RFC 4291 §2.5.5.2), so one and the same however it comes.
 * All zero is no address: the other side of a unix socket.
 * Threading: pure functions. */
#pragma once
#include "hub/base/buf.h"

struct sockaddr;

enum { IP_TEXT = 48 };

struct ip      { uint8_t at[16]; };
struct network { struct ip first; unsigned bits; };      /* bits of `first` that count: of an IPv4 network 96 and its own */

struct ip ip_of(const struct sockaddr *address);          /* no address: neither IPv4 nor IPv6 */
/* 192.0.2.1 or 2001:db8::1, nothing before or behind it; not an unspecified address, which is nobody's. */
bool   ip_read(struct slice text, struct ip *ret_ip);
size_t ip_print(struct ip ip, char out[IP_TEXT]);         /* terminated; "unix": no address */
static inline bool ip_is_none(struct ip ip)               { static const struct ip none; return !memcmp(&ip, &none, sizeof ip); }
static inline bool ip_is(struct ip a, struct ip b)        { return !memcmp(&a, &b, sizeof a); }
bool   ip_is_v4(struct ip ip);
/* Who counts as one for limits per address: an IPv4 address; of IPv6 the network of 64 bits, the least that one customer is given
 * (RFC 6177), or a limit would be 2^64 times as high for him. */
struct ip ip_customer(struct ip ip);

/* 10.0.0.0/8, 2001:db8::/32, or an address alone. NULL, or the end of a sentence about what is wrong. */
const char *network_read(struct slice text, struct network *ret_network);
bool        network_has(const struct network *network, struct ip ip);

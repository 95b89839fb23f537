#include "webhooks/guard.h"

#include <netinet/in.h>
#include <stdlib.h>

/* What is not the public internet. An IPv4 address has one form here however it comes (hub/base/ip.h), so ::ffff:0:0/96 is in the
 * upper half. Sources: the registries of special addresses of IANA (RFC 6890 and what came later), and RFC 3879 for fec0::/10. */
static const struct { const char *network, *what; } closed[] = {
    { "0.0.0.0/8",       "an address of this host itself" },
    { "10.0.0.0/8",      "a private address" },
    { "100.64.0.0/10",   "an address behind a provider's NAT" },
    { "127.0.0.0/8",     "a loopback address" },
    { "169.254.0.0/16",  "a link-local address, where clouds have their metadata" },
    { "172.16.0.0/12",   "a private address" },
    { "192.0.0.0/24",    "an address of the protocols themselves" },
    { "192.0.2.0/24",    "an address for documentation" },
    { "192.88.99.0/24",  "an address of the former 6to4 relays" },
    { "192.168.0.0/16",  "a private address" },
    { "198.18.0.0/15",   "an address for measurements" },
    { "198.51.100.0/24", "an address for documentation" },
    { "203.0.113.0/24",  "an address for documentation" },
    { "224.0.0.0/4",     "a multicast address" },
    { "240.0.0.0/4",     "a reserved address" },                 /* and broadcast */

    { "::/96",           "a loopback or unspecified address" },  /* and what was once compatible with IPv4 */
    { "100::/64",        "an address that swallows everything" },
    { "2001::/23",       "an address of the protocols themselves" },    /* Teredo among them */
    { "2001:db8::/32",   "an address for documentation" },
    { "3fff::/20",       "an address for documentation" },
    { "5f00::/16",       "an address of segment routing" },
    { "fc00::/7",        "a private address" },
    { "fe80::/10",       "a link-local address" },
    { "fec0::/10",       "a private address" },
    { "ff00::/8",        "a multicast address" },
};
enum { CLOSED = sizeof closed / sizeof *closed };

/* Networks whose addresses carry an IPv4 address, and where: the byte it begins at. The NAT64 prefix for local use may be divided
 * at /96 or at /64 (RFC 8215, RFC 6052 §2.2), which an address does not tell, so both places are judged; of the other divisions
 * the last four bytes are 0.x.y.z, which is closed. */
static const struct { const char *network; unsigned v4_at; bool may_be_none; } carriers[] = {
    { "64:ff9b::/96",   12, false },
    { "64:ff9b:1::/48", 12, false },
    { "64:ff9b:1::/48",  9, true },      /* bytes 9 to 11 zero: it is divided at /96 */
    { "2002::/16",       2, false },
};
enum { CARRIERS = sizeof carriers / sizeof *carriers };

struct guard {
    struct network closed[CLOSED], carriers[CARRIERS];
    struct network allowed[GUARD_ALLOWED];
    size_t         n_allowed;
};

struct guard *guard_new(void)
{
    struct guard *guard = calloc(1, sizeof *guard);
    if (!guard)
        return NULL;
    for (size_t i = 0; i < CLOSED; i++)
        if (network_read(slice_of(closed[i].network), &guard->closed[i]))
            abort();     /* the table itself is wrong; without it nothing would be guarded */
    for (size_t i = 0; i < CARRIERS; i++)
        if (network_read(slice_of(carriers[i].network), &guard->carriers[i]))
            abort();
    return guard;
}

void guard_free(struct guard *guard) { free(guard); }

const char *guard_allow(struct guard *guard, struct slice network)
{
    if (guard->n_allowed == GUARD_ALLOWED)
        return "is one network more than the 1,000 there may be";
    const char *wrong = network_read(network, &guard->allowed[guard->n_allowed]);
    guard->n_allowed += !wrong;
    return wrong;
}

static bool is_allowed(const struct guard *guard, struct ip ip)
{
    for (size_t i = 0; i < guard->n_allowed; i++)
        if (network_has(&guard->allowed[i], ip))
            return true;
    return false;
}

static const char *judge_plain(const struct guard *guard, struct ip ip)
{
    if (is_allowed(guard, ip))
        return NULL;
    for (size_t i = 0; i < CLOSED; i++)
        if (network_has(&guard->closed[i], ip))
            return closed[i].what;
    return NULL;
}

static struct ip v4_inside(struct ip ip, unsigned at)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    memcpy(&v4.sin_addr, ip.at + at, sizeof v4.sin_addr);
    return ip_of((const struct sockaddr *)&v4);
}

static const char *judge(const struct guard *guard, struct ip ip)
{
    const char *what = judge_plain(guard, ip);
    for (size_t i = 0; i < CARRIERS && !what && !is_allowed(guard, ip); i++) {
        bool is_none = carriers[i].may_be_none && !memcmp(ip.at + carriers[i].v4_at, "\0\0\0", 3);
        if (network_has(&guard->carriers[i], ip) && !is_none)
            what = judge_plain(guard, v4_inside(ip, carriers[i].v4_at));
    }
    return what;
}

const char *guard_judge(const struct guard *guard, const struct sockaddr *address)
{
    if (address->sa_family != AF_INET && address->sa_family != AF_INET6)
        return "no address of the internet";
    return judge(guard, ip_of(address));
}

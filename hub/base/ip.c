#include "hub/base/ip.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { V4_BITS = 96, CUSTOMER_BITS = 64 };
static const uint8_t v4_mapped[12] = { [10] = 0xff, [11] = 0xff };

bool ip_is_v4(struct ip ip) { return !memcmp(ip.at, v4_mapped, sizeof v4_mapped); }

static struct ip of_v4(const struct in_addr *v4)
{
    struct ip ip;
    memcpy(ip.at, v4_mapped, sizeof v4_mapped);
    memcpy(ip.at + sizeof v4_mapped, v4, 4);
    return ip;
}

struct ip ip_of(const struct sockaddr *address)
{
    struct ip ip = { 0 };
    if (address->sa_family == AF_INET)
        return of_v4(&((const struct sockaddr_in *)(const void *)address)->sin_addr);
    if (address->sa_family == AF_INET6)
        memcpy(ip.at, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, sizeof ip.at);
    return ip;
}

bool ip_read(struct slice text, struct ip *ret_ip)
{
    char copy[IP_TEXT];
    struct in_addr v4;
    struct ip ip;
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.at, '\0', text.len))
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, &v4) == 1)
        ip = of_v4(&v4);
    else if (inet_pton(AF_INET6, copy, ip.at) != 1)
        return false;
    if (ip_is_none(ip) || (ip_is_v4(ip) && !memcmp(ip.at + sizeof v4_mapped, "\0\0\0\0", 4)))
        return false;
    *ret_ip = ip;
    return true;
}

size_t ip_print(struct ip ip, char out[IP_TEXT])
{
    if (ip_is_none(ip))
        snprintf(out, IP_TEXT, "unix");
    else if (ip_is_v4(ip))
        inet_ntop(AF_INET, ip.at + sizeof v4_mapped, out, IP_TEXT);
    else
        inet_ntop(AF_INET6, ip.at, out, IP_TEXT);
    return strlen(out);
}

/* Zeroes what is behind the first `bits`. */
static struct ip cut(struct ip ip, unsigned bits)
{
    for (unsigned i = 0; i < sizeof ip.at; i++) {
        unsigned kept = bits <= 8 * i ? 0 : bits - 8 * i;
        if (kept < 8)
            ip.at[i] &= (uint8_t)(0xff00 >> kept);
    }
    return ip;
}

struct ip ip_customer(struct ip ip) { return ip_is_v4(ip) ? ip : cut(ip, CUSTOMER_BITS); }

/* 0.0.0.0 and :: are no addresses, but begin networks. */
static bool read_first(struct slice text, struct ip *ret_ip)
{
    if (slice_is(text, SLICE("::"))) {
        *ret_ip = (struct ip){ 0 };
        return true;
    }
    if (slice_is(text, SLICE("0.0.0.0"))) {
        *ret_ip = of_v4(&(struct in_addr){ 0 });
        return true;
    }
    return ip_read(text, ret_ip);
}

const char *network_read(struct slice text, struct network *ret_network)
{
    const char *slash = memchr(text.at, '/', text.len);
    struct slice address = slice(text.at, slash ? (size_t)(slash - text.at) : text.len);
    struct network network = { 0 };
    uint64_t bits;
    if (slash ? !read_first(address, &network.first) : !ip_read(address, &network.first))
        return "is not a network: write 10.0.0.0/8, 2001:db8::/32 or an address";
    unsigned before = memchr(address.at, ':', address.len) ? 0 : V4_BITS;
    network.bits = 128;
    if (slash) {
        if (!slice_u64(slice(slash + 1, text.len - address.len - 1), &bits) || bits > 128 - before)
            return before ? "has no number of bits from 0 to 32 behind its slash" : "has no number of bits from 0 to 128 behind its slash";
        network.bits = before + (unsigned)bits;
    }
    if (!ip_is(cut(network.first, network.bits), network.first))
        return "has an address that goes on behind the bits of its network: 10.0.0.0/8, not 10.1.2.3/8";
    *ret_network = network;
    return NULL;
}

bool network_has(const struct network *network, struct ip ip) { return ip_is(cut(ip, network->bits), network->first); }

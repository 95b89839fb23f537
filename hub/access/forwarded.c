#include "hub/access/forwarded.h"

struct proxies proxies_public(const struct config *config) { return (struct proxies){ &config->public_trusted_proxies, config->public_proxy_header }; }
struct proxies proxies_api(const struct config *config)    { return (struct proxies){ &config->api_trusted_proxies, config->api_proxy_header }; }

struct slice proxies_header(const struct proxies *proxies)
{
    return proxies->header == PROXY_FORWARDED ? SLICE("forwarded") : SLICE("x-forwarded-for");
}

bool proxies_trust(const struct proxies *proxies, struct ip peer)
{
    for (size_t i = 0; i < proxies->trusted->count; i++) {
        struct slice one = slice_of(proxies->trusted->at[i]);
        struct network network;
        if (slice_is(one, SLICE("unix")) ? ip_is_none(peer) : !ip_is_none(peer) && !network_read(one, &network) && network_has(&network, peer))
            return true;
    }
    return false;
}

/* ---- lists, from their end ---- */

static bool is_escaped(struct slice s, size_t at)
{
    size_t backslashes = 0;
    while (backslashes < at && s.at[at - 1 - backslashes] == '\\')
        backslashes++;
    return backslashes & 1;
}

/* Takes the last of the parts between `comma`s off; those inside of quotes are none. Read from the end, so that a quote that a
 * client left open cannot swallow what proxies wrote behind it. */
static struct slice take_last(struct slice *list, char comma)
{
    bool quoted = false;
    size_t at = list->len;
    while (at > 0 && (quoted || list->at[at - 1] != comma)) {
        at--;
        if (list->at[at] == '"' && !is_escaped(*list, at))
            quoted = !quoted;
    }
    struct slice last = slice(list->at + at, list->len - at);
    list->len = at > 0 ? at - 1 : 0;
    return slice_trim(last);
}

/* ---- one of the list ---- */

/* An address, also with a port: 192.0.2.1:80, [2001:db8::1]:80, [2001:db8::1]. */
static bool read_node(struct slice s, struct ip *ret_ip)
{
    const char *end = NULL;
    uint64_t port;
    if (s.len && *s.at == '[') {
        s = slice(s.at + 1, s.len - 1);
        if (!(end = memchr(s.at, ']', s.len)))
            return false;
    } else if ((end = memchr(s.at, ':', s.len)) && memchr(end + 1, ':', s.len - (size_t)(end + 1 - s.at))) {
        end = NULL;      /* two colons: IPv6 as it is */
    }
    struct slice host = slice(s.at, end ? (size_t)(end - s.at) : s.len), behind = slice(s.at + host.len, s.len - host.len);
    if (behind.len && *behind.at == ']')
        behind = slice(behind.at + 1, behind.len - 1);
    if (behind.len && (*behind.at != ':' || !slice_u64(slice(behind.at + 1, behind.len - 1), &port) || port > UINT16_MAX))
        return false;
    return ip_read(host, ret_ip);
}

/* for=192.0.2.1;proto=https, for="[2001:db8::1]:80" */
static bool read_forwarded(struct slice pairs, struct ip *ret_ip)
{
    while (pairs.len) {
        struct slice pair = take_last(&pairs, ';');
        if (pair.len < 4 || !slice_is_nocase(slice(pair.at, 4), SLICE("for=")))
            continue;
        pair = slice(pair.at + 4, pair.len - 4);
        if (pair.len >= 2 && *pair.at == '"' && pair.at[pair.len - 1] == '"')
            pair = slice(pair.at + 1, pair.len - 2);
        return read_node(pair, ret_ip);
    }
    return false;
}

struct ip forwarded_client(const struct proxies *proxies, struct ip peer, const struct slice *lines, size_t n)
{
    int hops = 0;
    while (n-- > 0) {
        struct slice list = lines[n];
        while (list.len) {
            struct slice one = take_last(&list, ',');
            if (one.len == 0)
                continue;
            if (hops++ == FORWARDED_HOPS || !proxies_trust(proxies, peer))
                return peer;
            if (!(proxies->header == PROXY_FORWARDED ? read_forwarded(one, &peer) : read_node(one, &peer)))
                return peer;
        }
    }
    return peer;
}

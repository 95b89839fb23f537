#define _GNU_SOURCE     /* memmem */
#include "hub/access/origin.h"

#include "hub/config/config.h"

#define SMALL  "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

static struct slice behind(struct slice s, size_t n) { return slice(s.at + n, s.len - n); }

static bool made_of(struct slice s, const char *letters)
{
    for (size_t i = 0; i < s.len; i++)
        if (!s.at[i] || !strchr(letters, s.at[i]))
            return false;
    return s.len > 0;
}

/* `scheme://` of an origin, or an empty slice. */
static struct slice scheme_of(struct slice origin)
{
    const char *mark = memmem(origin.at, origin.len, "://", 3);
    return slice(origin.at, mark ? (size_t)(mark - origin.at) + 3 : 0);
}

/* nothing, or :80 */
static bool is_port(struct slice s) { return s.len == 0 || (s.len <= 6 && *s.at == ':' && made_of(behind(s, 1), DIGITS)); }

/* host, host:port, [v6], [v6]:port */
static bool is_authority(struct slice s)
{
    const char *bracket = s.len && *s.at == '[' ? memchr(s.at, ']', s.len) : NULL;
    size_t host = bracket ? (size_t)(bracket - s.at) + 1 : s.len;
    const char *colon = bracket ? NULL : memchr(s.at, ':', s.len);
    if (colon)
        host = (size_t)(colon - s.at);
    if (bracket ? !made_of(slice(s.at + 1, host - 2), "abcdef.:" DIGITS) : !made_of(slice(s.at, host), SMALL DIGITS ".-_"))
        return false;
    return is_port(behind(s, host));
}

static bool is_sound(struct slice origin)
{
    struct slice scheme = scheme_of(origin);
    if (slice_is(origin, SLICE("null")))
        return true;
    return scheme.len > 3 && made_of(slice(scheme.at, scheme.len - 3), SMALL DIGITS "+-.") && is_authority(behind(origin, scheme.len));
}

/* Without the port that browsers leave out, and some proxies write. */
static struct slice without_port(struct slice host, struct slice port)
{
    bool has = host.len > port.len && slice_is(behind(host, host.len - port.len), port);
    return has ? slice(host.at, host.len - port.len) : host;
}

static bool is_own(struct slice origin, struct slice host, bool tls)
{
    struct slice scheme = scheme_of(origin);
    bool https = slice_is(scheme, SLICE("https://")), http = slice_is(scheme, SLICE("http://"));
    if (host.len == 0 || !(https || (http && !tls)))
        return false;
    return slice_is_nocase(behind(origin, scheme.len), without_port(host, https ? SLICE(":443") : SLICE(":80")));
}

/* x.example.com by *.example.com, with the same scheme; the star stands for one or more labels, never for a port or nothing. */
static bool matches(struct slice listed, struct slice origin)
{
    struct slice scheme = scheme_of(listed), tail = behind(listed, scheme.len);
    if (slice_is_nocase(listed, origin))
        return true;
    if (!scheme.len || !slice_begins(tail, SLICE("*.")) || !slice_is_nocase(scheme_of(origin), scheme))
        return false;
    struct slice host = behind(origin, scheme.len);
    tail = behind(tail, 1);
    return host.len > tail.len && slice_is_nocase(behind(host, host.len - tail.len), tail) &&
           *host.at != '.' && made_of(slice(host.at, host.len - tail.len), SMALL DIGITS "-._");
}

bool origin_is_local(struct slice origin, bool tls)
{
    static const char *const schemes[] = { "https://", "http://" }, *const hosts[] = { "localhost", "127.0.0.1", "[::1]" };
    for (size_t s = 0; s < (tls ? 1 : 2); s++)
        for (size_t h = 0; h < sizeof hosts / sizeof *hosts; h++) {
            size_t begin = strlen(schemes[s]), n = begin + strlen(hosts[h]);
            if (origin.len >= n && slice_begins(origin, slice_of(schemes[s])) && slice_is(slice(origin.at + begin, n - begin), slice_of(hosts[h])))
                return is_port(behind(origin, n));
        }
    return false;
}

enum origin_kind origin_judge(const struct words *listed, struct slice origin, struct slice host, bool tls)
{
    bool any = false;
    if (!origin.at)
        return ORIGIN_NONE;
    if (!is_sound(origin))
        return ORIGIN_FOREIGN;
    if (is_own(origin, host, tls))
        return ORIGIN_OWN;
    for (size_t i = 0; i < listed->count; i++) {
        struct slice one = slice_of(listed->at[i]);
        if (slice_is(one, SLICE("*")))
            any = true;
        else if (matches(one, origin))
            return ORIGIN_LISTED;
    }
    return any ? ORIGIN_ANY : ORIGIN_FOREIGN;
}

#include "transports/origin.h"

#include "hub/config/config.h"

/* `scheme://` of an origin, or an empty slice. */
static struct slice scheme_of(struct slice origin)
{
    for (size_t i = 0; i + 2 < origin.len; i++)
        if (origin.at[i] == ':')
            return origin.at[i + 1] == '/' && origin.at[i + 2] == '/' ? slice(origin.at, i + 3) : slice(origin.at, 0);
    return slice(origin.at, 0);
}

static struct slice behind(struct slice s, size_t n) { return slice(s.at + n, s.len - n); }

static bool is_host_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.", s.at[i]) || !s.at[i])
            return false;
    return s.len > 0;
}

/* x.example.com by *.example.com, with the same scheme; the star stands for one or more labels, never for a port or nothing. */
static bool matches(struct slice pattern, struct slice origin)
{
    struct slice scheme = scheme_of(pattern);
    if (slice_is(pattern, SLICE("*")) || slice_is_nocase(pattern, origin))
        return true;
    struct slice tail = behind(pattern, scheme.len), host = scheme_of(origin);
    if (!scheme.len || !slice_begins(tail, SLICE("*.")) || !slice_is_nocase(host, scheme))
        return false;
    tail = behind(tail, 1);
    host = behind(origin, scheme.len);
    return host.len > tail.len && slice_is_nocase(behind(host, host.len - tail.len), tail) &&
           is_host_name(slice(host.at, host.len - tail.len));
}

bool origin_allowed(const struct words *allowed, struct slice origin, struct slice host)
{
    if (!origin.len)
        return true;
    struct slice scheme = scheme_of(origin);
    if (scheme.len && host.len && slice_is_nocase(behind(origin, scheme.len), host))
        return true;
    for (size_t i = 0; i < allowed->count; i++)
        if (matches(slice_of(allowed->at[i]), origin))
            return true;
    return false;
}

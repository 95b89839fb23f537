#include "hub/access/cors.h"

#include "hub/config/config.h"

struct cors_port cors_port_public(const struct config *config)
{
    return (struct cors_port){ &config->public_origins, config->dev, config->public_cors_credentials, config->public_cors_max_age_ms, "ETag, Retry-After, RateLimit, RateLimit-Policy" };
}

struct cors_port cors_port_api(const struct config *config)
{
    return (struct cors_port){ &config->api_origins, config->dev, config->api_cors_credentials, config->api_cors_max_age_ms,
                               "X-Request-Id, Retry-After, Link, Location, Allow, Deprecation, Sunset, RateLimit, RateLimit-Policy, "
                               "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Idempotency-Replay, ETag" };
}

struct cors cors_judge(struct cors_port port, struct slice origin, struct slice host, bool tls)
{
    enum origin_kind kind = origin_judge(port.origins, origin, host, tls);
    if (kind == ORIGIN_FOREIGN && port.local && origin_is_local(origin, tls))
        kind = ORIGIN_LISTED;
    return (struct cors){ .port = port, .kind = kind, .origin = origin };
}

bool cors_cookie_counts(const struct cors *cors, struct slice fetch_site)
{
    switch (cors->kind) {
    case ORIGIN_OWN:    return true;
    case ORIGIN_LISTED: return cors->port.credentials;
    case ORIGIN_NONE:   return !fetch_site.at || slice_is(fetch_site, SLICE("same-origin")) || slice_is(fetch_site, SLICE("none"));
    default:            return false;
    }
}

static bool is_let_in(const struct cors *cors) { return cors->kind == ORIGIN_LISTED || cors->kind == ORIGIN_ANY; }

static void add_who(struct buf *out, const struct cors *cors)
{
    buf_add_str(out, "Access-Control-Allow-Origin: ");
    buf_add_slice(out, cors->kind == ORIGIN_ANY ? SLICE("*") : cors->origin);
    buf_add_str(out, "\r\n");
    if (cors->kind == ORIGIN_LISTED && cors->port.credentials)
        buf_add_str(out, "Access-Control-Allow-Credentials: true\r\n");
}

void cors_add(struct buf *out, const struct cors *cors)
{
    if (!is_let_in(cors))
        return;
    add_who(out, cors);
    buf_add_str(out, "Access-Control-Expose-Headers: ");
    buf_add_str(out, cors->port.exposed);
    buf_add_str(out, "\r\n");
}

void cors_add_preflight(struct buf *out, const struct cors *cors, struct slice methods, struct slice headers)
{
    if (!is_let_in(cors))
        return;
    add_who(out, cors);
    buf_add_str(out, "Access-Control-Allow-Methods: ");
    buf_add_slice(out, methods);
    buf_add_str(out, "\r\nAccess-Control-Allow-Headers: ");
    buf_add_slice(out, headers);
    buf_addf(out, "\r\nAccess-Control-Max-Age: %lld\r\n", (long long)(cors->port.max_age_ms / 1000));
}

/* rates.h — who does too much in too short a time: the limits of [rates], for both ports.
 *
 *   command, request ─> rates_take ─┬─ 0: counted in every limit that applies; the one with least left is in the answer's headers
 *                                   └─ ERR_RATE_LIMITED: counted in none; the limit that refused is named
 *
 * hub/config/rates.def lists the limits and says who is counted by which; a tier ([tier "gold"], by an API key's tier= or a token's
 * `limits`) has others for some of them. --dev lifts all. Who refuses counts it in a metric (metric_rate_limited); the log has one line a minute for
 * an offender and a limit, and at most RATES_TOLD_PER_MINUTE in all.
 *
 * Buckets are in one table of the process (buckets.h): a connection that does nothing has none. With redis.url those of users, keys and
 * addresses are shared with the other nodes: still decided here and at once, told to Redis and heard from there a moment later (redis_rates.h).
 *
 * Lifetime   from rates_new to rates_free: as long as the authority, which has them.
 * Threading  any thread.
 * Limits     RATES_BUCKETS buckets; what happens beyond them is told in buckets.h. */
#pragma once
#include "hub/base/ip.h"
#include "hub/config/rate.h"

struct buckets;
struct config;
struct principal;
struct rates;

enum { RATES_BUCKETS = 65536, RATES_TOLD_PER_MINUTE = 100 };
enum rate_count { RATE_PUBLISHES, RATE_SUBSCRIPTIONS, RATE_SIGNALS, RATE_COMMANDS, RATE_LOGINS };
enum rate_who { RATE_CONNECTION, RATE_USER, RATE_KEY, RATE_ADDRESS };

/* Who asks. */
struct rate_subject {
    uint64_t                connection;     /* a WebSocket's id; 0: none */
    const struct principal *principal;      /* NULL: not known yet */
    struct ip               address;        /* no address (a unix socket) is not counted */
};

/* What an answer tells of the limit that refused, or of that with least left. */
struct rate_verdict {
    const char *limit;                      /* "publishes_per_user"; NULL: none applies */
    unsigned    index;                      /* RATE_LIMIT_… */
    uint64_t    quota, left;                /* its burst, and what is left of it */
    int64_t     full_s, quota_s;            /* seconds until all of it is back; and when nothing is left */
    int64_t     retry_s;                    /* refused: seconds to wait, at least 1; else 0 */
};

struct rates *rates_new(void);              /* NULL: no memory */
void          rates_free(struct rates *rates);     /* NULL is fine */
struct buckets *rates_buckets(struct rates *rates);      /* for whoever shares them between nodes */

/* 0 or ERR_RATE_LIMITED. `rates` NULL: there are no limits. `now_ms` is the mono clock. */
int  rates_take(struct rates *rates, const struct config *config, const struct rate_subject *subject, enum rate_count what, uint64_t n, int64_t now_ms,
                struct rate_verdict *ret_verdict);
/* Credentials from this address are not to be looked at: ERR_RATE_LIMITED. Counts nothing. */
int  rates_check_login(struct rates *rates, const struct config *config, struct ip address, int64_t now_ms, struct rate_verdict *ret_verdict);
/* They were wrong. */
void rates_failed_login(struct rates *rates, const struct config *config, struct ip address, int64_t now_ms);

/* Header lines: Retry-After where it refused, X-RateLimit-*, and the fields of draft-ietf-httpapi-ratelimit-headers-09. */
void rates_add_headers(struct buf *out, const struct rate_verdict *verdict);

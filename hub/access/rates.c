#include "hub/access/rates.h"

#include "hub/access/access.h"
#include "hub/base/audit.h"
#include "hub/base/buckets.h"
#include "hub/base/err.h"
#include "hub/base/hash.h"
#include "hub/base/log.h"
#include "hub/config/config.h"

#include <stddef.h>
#include <stdlib.h>

#define NS_PER_MS INT64_C(1000000)
#define TELL_NS   (60000 * NS_PER_MS)

static const struct limit {
    const char     *name;
    enum rate_count what;
    enum rate_who   who;
    size_t          offset;      /* of its rate in struct config */
} limits[RATE_LIMITS] = {
#define RATE(name, what, who, value, text) { #name, RATE_##what, RATE_##who, offsetof(struct config, rates_##name) },
#include "hub/config/rates.def"
#undef RATE
};

struct rates *rates_new(void)                 { return (struct rates *)buckets_new(RATES_BUCKETS); }
void          rates_free(struct rates *rates) { buckets_free((struct buckets *)rates); }
static struct buckets *buckets_of(struct rates *rates) { return (struct buckets *)rates; }
struct buckets *rates_buckets(struct rates *rates) { return buckets_of(rates); }

/* ---- which limits ---- */

static const struct config_tier *tier_of(const struct config *config, const struct principal *principal)
{
    return principal ? config_tier_find(config, principal_tier(principal)) : NULL;
}

static const struct rate *rate_of(const struct config *config, const struct config_tier *tier, size_t limit)
{
    return tier && tier->has[limit] ? &tier->rates[limit] : (const struct rate *)(const void *)((const char *)config + limits[limit].offset);
}

/* The bytes that stand for whom the limit counts; none: it does not apply. `customer` keeps those of an address. */
static struct slice who_is(const struct rate_subject *subject, enum rate_who who, struct ip *customer)
{
    struct slice key = subject->principal ? principal_key(subject->principal) : SLICE("");
    switch (who) {
    case RATE_KEY:        return key;
    case RATE_USER:       return subject->principal ? principal_user(subject->principal) : SLICE("");
    case RATE_CONNECTION: return slice((const char *)&subject->connection, !key.len && subject->connection ? sizeof subject->connection : 0);
    case RATE_ADDRESS:
        *customer = ip_customer(subject->address);
        return slice((const char *)customer->at, !key.len && !ip_is_none(subject->address) ? sizeof customer->at : 0);
    default:              return SLICE("");
    }
}

/* What of a limit is counted over all nodes (redis/): all but a connection, which is of one. NULL: that. */
static const char *shared_kind(size_t limit) { return limits[limit].who == RATE_CONNECTION ? NULL : limits[limit].name; }

/* Whom it is, and by which limit: a multiple of an odd number parts the limits (the hash is keyed, so that nobody can aim). */
static uint64_t bucket_id(struct slice who, size_t limit)
{
    return (hash_bytes(who) ^ (limit + 1) * UINT64_C(0x9e3779b97f4a7c15)) | 1;
}

/* ---- telling ---- */

static void print_who(const struct rate_subject *subject, char *out, size_t size)
{
    char address[IP_TEXT];
    struct slice name = subject->principal ? principal_name(subject->principal) : SLICE("?"), user = subject->principal ? principal_user(subject->principal) : SLICE("");
    ip_print(subject->address, address);
    snprintf(out, size, "who=%.*s user=%.*s connection=c%llx address=%s", (int)name.len, name.at, (int)user.len, user.at,
             (unsigned long long)subject->connection, address);
}

static void tell(struct rates *rates, size_t limit, const struct rate_subject *subject, int64_t now_ns)
{
    static const struct bucket_ask lines = { .id = 2, .token_ns = TELL_NS / RATES_TOLD_PER_MINUTE, .burst = RATES_TOLD_PER_MINUTE, .tokens = 1 };
    char who[400];
    if (buckets_take(buckets_of(rates), &lines, now_ns, INT64_MAX).refused)
        return;
    print_who(subject, who, sizeof who);
    log_warn("rates", "%s is reached (rates.%s): %s", limits[limit].name, limits[limit].name, who);
}

static int64_t seconds(int64_t ns) { return (ns + 1000 * NS_PER_MS - 1) / (1000 * NS_PER_MS); }

static struct rate_verdict verdict_of(size_t limit, const struct bucket_ask *ask, const struct bucket_answer *answer)
{
    return (struct rate_verdict){
        .limit = limits[limit].name, .index = (unsigned)limit, .quota = ask->burst, .left = answer->left, .full_s = seconds(answer->full_ns),
        .quota_s = seconds(ask->token_ns * (int64_t)ask->burst), .retry_s = answer->refused ? seconds(answer->wait_ns) : 0,
    };
}

/* ---- taking ---- */

struct taking {
    struct rates      *rates;
    int64_t            now_ns;
    size_t             n;
    struct bucket_ask  taken[RATE_LIMITS];
};

static bool take(struct taking *taking, size_t limit, const struct bucket_ask *ask, const struct rate_subject *subject, struct rate_verdict *verdict)
{
    struct bucket_answer answer = buckets_take(buckets_of(taking->rates), ask, taking->now_ns, TELL_NS);
    if (answer.refused) {
        *verdict = verdict_of(limit, ask, &answer);
        if (answer.tell)
            tell(taking->rates, limit, subject, taking->now_ns);
        return false;
    }
    if (!verdict->limit || answer.left < verdict->left)
        *verdict = verdict_of(limit, ask, &answer);
    taking->taken[taking->n++] = *ask;
    return true;
}

int rates_take(struct rates *rates, const struct config *config, const struct rate_subject *subject, enum rate_count what, uint64_t n, int64_t now_ms,
               struct rate_verdict *ret_verdict)
{
    struct taking taking;      /* without an initializer: clearing what will not be taken would cost more than all else here */
    struct rate_verdict verdict = { 0 };
    bool taken = true;
    if (!rates || config->dev) {
        *ret_verdict = verdict;
        return 0;
    }
    taking.rates = rates;
    taking.now_ns = now_ms * NS_PER_MS;
    taking.n = 0;
    const struct config_tier *tier = tier_of(config, subject->principal);
    for (size_t i = 0; i < RATE_LIMITS && taken; i++) {
        const struct rate *rate = rate_of(config, tier, i);
        struct ip customer;
        struct slice who = limits[i].what == what && rate->amount ? who_is(subject, limits[i].who, &customer) : SLICE("");
        if (who.len == 0)
            continue;
        struct bucket_ask ask = { .id = bucket_id(who, i), .token_ns = rate_token_ns(rate), .burst = rate->burst, .tokens = n,
                                  .kind = shared_kind(i), .who = who };
        taken = take(&taking, i, &ask, subject, &verdict);
    }
    while (!taken && taking.n > 0)
        buckets_give_back(buckets_of(rates), &taking.taken[--taking.n]);
    *ret_verdict = verdict;
    return taken ? 0 : ERR_RATE_LIMITED;
}

int rates_check_login(struct rates *rates, const struct config *config, struct ip address, int64_t now_ms, struct rate_verdict *ret_verdict)
{
    const struct rate *rate = &config->rates_failed_logins_per_address;
    const size_t limit = RATE_LIMIT_failed_logins_per_address;
    struct ip customer = ip_customer(address);
    *ret_verdict = (struct rate_verdict){ 0 };
    if (!rates || config->dev || rate->amount == 0 || ip_is_none(address))
        return 0;
    struct bucket_ask ask = { .id = bucket_id(slice((const char *)customer.at, sizeof customer.at), limit), .token_ns = rate_token_ns(rate),
                              .burst = rate->burst, .tokens = 1, .only_look = true };
    struct bucket_answer answer = buckets_take(buckets_of(rates), &ask, now_ms * NS_PER_MS, TELL_NS);
    *ret_verdict = verdict_of(limit, &ask, &answer);
    return answer.refused ? ERR_RATE_LIMITED : 0;
}

/* The last one that is let through is told of: from then on nothing from there is looked at. */
void rates_failed_login(struct rates *rates, const struct config *config, struct ip address, int64_t now_ms)
{
    const struct rate_subject subject = { .address = address };
    struct rate_verdict verdict;
    audit_refused_login(address);
    if (!rates_take(rates, config, &subject, RATE_LOGINS, 1, now_ms, &verdict) && verdict.limit && verdict.left == 0)
        tell(rates, RATE_LIMIT_failed_logins_per_address, &subject, now_ms * NS_PER_MS);
}

/* ---- headers ---- */

static void add_number(struct buf *out, const char *before, uint64_t number)
{
    buf_add_str(out, before);
    buf_add_u64(out, number);
}

/* On nearly every answer, so without printf: that would cost more than all else of a limit. */
void rates_add_headers(struct buf *out, const struct rate_verdict *v)
{
    if (!v->limit)
        return;
    if (v->retry_s)
        add_number(out, "Retry-After: ", (uint64_t)v->retry_s), buf_add_str(out, "\r\n");
    add_number(out, "X-RateLimit-Limit: ", v->quota);
    add_number(out, "\r\nX-RateLimit-Remaining: ", v->left);
    add_number(out, "\r\nX-RateLimit-Reset: ", (uint64_t)v->full_s);
    buf_add_str(out, "\r\nRateLimit-Policy: \"");
    buf_add_str(out, v->limit);
    add_number(out, "\";q=", v->quota);
    add_number(out, ";w=", (uint64_t)v->quota_s);
    buf_add_str(out, "\r\nRateLimit: \"");
    buf_add_str(out, v->limit);
    add_number(out, "\";r=", v->left);
    add_number(out, ";t=", (uint64_t)(v->retry_s ? v->retry_s : v->full_s));
    buf_add_str(out, "\r\n");
}

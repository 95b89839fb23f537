#include "transports/port/crowd.h"

#include "hub/base/log.h"
#include "hub/config/config.h"
#include "hub/metrics.h"

enum { PER_SECOND_UNLIMITED = 5000, NS_PER_MS = 1000000, QUIET_MS = 10000 };

/* ---- how many ---- */

void crowd_enter(struct crowd *crowd) { atomic_fetch_add_explicit(&crowd->conns, 1, memory_order_relaxed); }
void crowd_leave(struct crowd *crowd) { atomic_fetch_sub_explicit(&crowd->conns, 1, memory_order_relaxed); }

/* The first edge to drain finds all of them: connections end in a later turn. */
void crowd_drain(struct crowd *crowd)
{
    unsigned none = 0;
    atomic_compare_exchange_strong(&crowd->draining, &none, atomic_load(&crowd->conns));
}

static unsigned how_many(const struct crowd *crowd)
{
    unsigned draining = atomic_load_explicit(&crowd->draining, memory_order_relaxed);
    return draining ? draining : atomic_load_explicit(&crowd->conns, memory_order_relaxed);
}

/* ---- how long they stay away ---- */

int64_t crowd_spread_ms(const struct crowd *crowd, const struct config *config)
{
    int64_t per_second = config->accept_per_second ? (int64_t)config->accept_per_second : PER_SECOND_UNLIMITED;
    int64_t spread = (int64_t)how_many(crowd) * 2000 / per_second;
    if (spread > config->accept_max_spread_ms)
        spread = config->accept_max_spread_ms;
    return spread > config->sse_retry_ms ? spread : config->sse_retry_ms;
}

/* A part of `ms` by multiples of the golden ratio, which fall evenly for consecutive numbers. */
static int64_t part_of(int64_t ms, uint64_t number)
{
    uint64_t drawn = (number * 0x9e3779b97f4a7c15u) >> 40;      /* 24 bits */
    return (int64_t)((uint64_t)ms * drawn >> 24);
}

int64_t crowd_delay_ms(const struct crowd *crowd, const struct config *config, uint64_t id)
{
    return config->sse_retry_ms / 2 + part_of(crowd_spread_ms(crowd, config), id);
}

int64_t crowd_put_off_ms(const struct crowd *crowd, const struct config *config, uint64_t n)
{
    int64_t spread = crowd_spread_ms(crowd, config), retry = config->sse_retry_ms;
    return retry + part_of(spread > 4 * retry ? spread : 4 * retry, n);
}

/* Twice the binary logarithm, rounded down. */
uint8_t crowd_step(const struct crowd *crowd, const struct config *config)
{
    uint64_t spread = (uint64_t)crowd_spread_ms(crowd, config), squared = spread * spread;
    return (uint8_t)(63 - __builtin_clzll(squared | 1));
}

bool crowd_step_is_old(uint8_t told, uint8_t now) { return now > told || now + 2 <= told; }

/* ---- how fast they come in ---- */

static void count_refused(struct crowd *crowd, int64_t now_ms)
{
    int64_t told = atomic_load(&crowd->told_ms);
    metric_add(METRIC_away_rate, 1);
    atomic_fetch_add(&crowd->refused, 1);
    if ((told && now_ms - told < QUIET_MS) || !atomic_compare_exchange_strong(&crowd->told_ms, &told, now_ms))
        return;
    log_warn("public", "more come than accept.per_second and accept.burst let in; turned away since this was said last: %u",
             atomic_exchange(&crowd->refused, 0));
}

bool crowd_admit(struct crowd *crowd, const struct config *config, int64_t now_ms)
{
    if (!config->accept_per_second)
        return true;
    int64_t token_ns = (int64_t)1000 * NS_PER_MS / (int64_t)config->accept_per_second, whole_ns = token_ns * (int64_t)config->accept_burst;
    int64_t now_ns = now_ms * NS_PER_MS, full_ns = atomic_load(&crowd->full_ns), debt_ns;
    do {
        debt_ns = full_ns > now_ns ? full_ns - now_ns : 0;
        if (debt_ns > whole_ns)      /* the limit was another before */
            debt_ns = whole_ns;
        if (debt_ns + token_ns > whole_ns) {
            count_refused(crowd, now_ms);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&crowd->full_ns, &full_ns, now_ns + debt_ns + token_ns));
    return true;
}

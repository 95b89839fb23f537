#include "hub/memory.h"

#include "hub/base/log.h"
#include "hub/base/machine.h"
#include "hub/base/reserve.h"
#include "hub/config/config.h"
#include "hub/health.h"
#include "hub/metrics.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

static _Atomic(enum memory_level) level;
static size_t limit, kept_at_check;

enum memory_level memory_level(void) { return atomic_load_explicit(&level, memory_order_relaxed); }

/* "0" is four fifths of what there is, so that the kernel has room for socket buffers and files. */
static size_t limit_of(const struct config *config)
{
    static size_t machine;
    if (config->limits_memory)
        return config->limits_memory;
    if (!machine)
        machine = machine_memory();
    return machine / 5 * 4;
}

static enum memory_level level_of(size_t used)
{
    size_t eighth = limit / 8;
    if (reserve_used() > RESERVE_BYTES / 2 || used > limit + eighth)
        return MEMORY_OUT;
    if (used > limit)
        return MEMORY_SHORT;
    return used + eighth > limit && memory_level() != MEMORY_ENOUGH ? MEMORY_SHORT : MEMORY_ENOUGH;
}

static void tell(size_t used, enum memory_level next)
{
    char why[160];
    if ((next == MEMORY_ENOUGH) == (memory_level() == MEMORY_ENOUGH))
        return;      /* the two kinds of shortage are one to those who look from outside */
    metric_add(METRIC_memory_short, next == MEMORY_ENOUGH ? -1 : +1);
    if (next == MEMORY_ENOUGH) {
        log_info("memory", "enough again: %zu MiB of %zu MiB", used >> 20, limit >> 20);
        health_set(HEALTH_MEMORY, NULL);
        return;
    }
    snprintf(why, sizeof why, "%zu MiB used of %zu MiB (limits.memory)%s: no new streams, no publishes that history would keep", used >> 20,
             limit >> 20, used > limit ? "" : ", and the machine gives no more");
    log_warn("memory", "%s", why);
    health_set(HEALTH_MEMORY, why);
}

void memory_check(const struct config *config)
{
    limit = limit_of(config);
    size_t used = machine_resident();
    enum memory_level next = level_of(used);
    kept_at_check = (size_t)metric_sum(METRIC_history_bytes);
    if (next == memory_level())
        return;
    tell(used, next);
    atomic_store_explicit(&level, next, memory_order_relaxed);
}

void memory_grew(const struct config *config, size_t kept)
{
    if (limit && kept > kept_at_check + limit / 32)
        memory_check(config);
}

#include "redis/parts/redis_usage.h"

#include "hub/base/log.h"
#include "hub/metrics.h"

#include <stdio.h>

enum { REPLY_USED, REPLY_MOST, REPLY_INDEX, REPLY_POLICY, REPLY_EVICTED, REPLY_COUNT, REPLY_ELEMENTS };

static struct redis_usage *of_part(struct redis_part *part) { return link_of(part, struct redis_usage, part); }

static void set_gauge(enum metric metric, int64_t *was, int64_t now)
{
    metric_add(metric, now - *was);
    *was = now;
}

static int64_t number(const struct redisReply *reply, size_t i)
{
    return i < reply->elements && reply->element[i]->type == REDIS_REPLY_INTEGER ? reply->element[i]->integer : 0;
}

static void tell_policy(struct redis_usage *usage, int64_t limit, struct slice policy)
{
    bool may_evict = limit > 0 && policy.len > 0 && !slice_is(policy, SLICE("noeviction"));
    if (may_evict && !usage->may_evict)
        log_warn("redis", "maxmemory-policy is %.*s: when memory is short Redis will throw away what tells of gaps, and readers will be told that "
                          "everything may be missing; it should be noeviction", (int)policy.len, policy.at);
    metric_add(METRIC_redis_may_evict, may_evict - usage->may_evict);
    usage->may_evict = may_evict;
}

static void answered(struct redis_request *request, int err, const struct redisReply *reply)
{
    struct redis_usage *usage = link_of(request, struct redis_usage, request);
    usage->asking = false;
    if (err || reply->type != REDIS_REPLY_ARRAY || reply->elements < REPLY_ELEMENTS)
        return;
    set_gauge(METRIC_redis_memory, &usage->memory, number(reply, REPLY_USED));
    set_gauge(METRIC_redis_limit, &usage->limit, number(reply, REPLY_MOST));
    set_gauge(METRIC_redis_index, &usage->index, number(reply, REPLY_INDEX));
    tell_policy(usage, usage->limit, redis_reply_text(reply->element[REPLY_POLICY]));
    int64_t evicted = number(reply, REPLY_EVICTED);
    if (evicted > 0)
        log_error("redis", "%lld keys were evicted (maxmemory-policy): nobody knows what is missing, so a new epoch begins", (long long)evicted);
    metric_add(METRIC_redis_evicted, evicted);
    struct slice count = redis_reply_text(reply->element[REPLY_COUNT]);
    snprintf(usage->count, sizeof usage->count, "%.*s", (int)count.len, count.at);
}

static void args(struct redis_request *request, struct redis_args *args)
{
    struct redis_usage *usage = link_of(request, struct redis_usage, request);
    redis_args_add(args, redis_bus_prefix(usage->bus));
    redis_args_add(args, slice_of(usage->count));
}

static void ask(struct redis_usage *usage)
{
    usage->ticks = 0;
    if (usage->asking)
        return;
    usage->request = (struct redis_request){ .script = REDIS_USAGE, .args = args, .answered = answered };
    usage->asking = !redis_engine_run(redis_bus_engine(usage->bus), &usage->request);
}

static void on_live(struct redis_part *part, bool is_new)
{
    (void)is_new;
    ask(of_part(part));
}

static void on_tick(struct redis_part *part)
{
    struct redis_usage *usage = of_part(part);
    if (++usage->ticks >= REDIS_USAGE_S)
        ask(usage);
}

void redis_usage_init(struct redis_usage *usage, struct redis_bus *bus)
{
    *usage = (struct redis_usage){ .part = { .live = on_live, .tick = on_tick }, .bus = bus };
    redis_bus_add(bus, &usage->part);
}

void redis_usage_fini(struct redis_usage *usage)
{
    set_gauge(METRIC_redis_memory, &usage->memory, 0);
    set_gauge(METRIC_redis_limit, &usage->limit, 0);
    set_gauge(METRIC_redis_index, &usage->index, 0);
    metric_add(METRIC_redis_may_evict, -(int64_t)usage->may_evict);
}

#include "redis/redis_self.h"

#include "hub/base/clock.h"
#include "hub/config/config.h"
#include "hub/metrics.h"
#include "hub/spoke.h"
#include "hub/version.h"
#include "redis/redis_nodes.h"

#include <stdio.h>
#include <unistd.h>

void redis_self_init(struct redis_self *self, struct serving *serving)
{
    char host[48] = "";
    const char *given = serving->config->redis_node;
    *self = (struct redis_self){ .serving = serving, .started_ms = clock_wall_ms(serving->clock) };
    if (gethostname(host, sizeof host - 1) || !host[0])
        snprintf(host, sizeof host, "hub");
    if (*given)
        snprintf(self->name, sizeof self->name, "%s", given);
    else
        snprintf(self->name, sizeof self->name, "%s-%d", host, (int)getpid());
}

void redis_self_fini(struct redis_self *self)
{
    buf_fini(&self->public_address);
    buf_fini(&self->api_address);
}

/* The port that the kernel picked is known once the spoke has bound. */
static struct slice address(struct serving *serving, const char *spoke, struct buf *known)
{
    if (known->len == 0)
        serving->address(serving, spoke, known);
    if (known->failed)
        buf_fini(known);
    return buf_slice(known);
}

static uint64_t sum(enum metric metric)
{
    int64_t n = metric_sum(metric);
    return n > 0 ? (uint64_t)n : 0;      /* threads add and subtract while it is summed */
}

void redis_self_describe(void *owner, struct redis_node *node)
{
    struct redis_self *self = owner;
    node->started_ms = self->started_ms;
    node->connections = sum(METRIC_conns_ws) + sum(METRIC_conns_sse) + sum(METRIC_conns_poll);
    node->subscriptions = sum(METRIC_subscriptions);
    node->members = sum(METRIC_members);
    node->name = slice_of(self->name);
    node->version = SLICE(CARILLON_VERSION);
    node->public_address = address(self->serving, "public", &self->public_address);
    node->api_address = address(self->serving, "api", &self->api_address);
}

#include "hub/self.h"

#include "hub/base/clock.h"
#include "hub/config/config.h"
#include "hub/metrics.h"
#include "hub/spoke.h"
#include "hub/version.h"

#include <stdio.h>
#include <unistd.h>

void self_init(struct self *self, const struct serving *serving)
{
    char host[48] = "";
    const char *given = serving->config->redis_node;
    *self = (struct self){ .serving = serving, .number = epoch_new(), .started_ms = clock_wall_ms(serving->clock) };
    if (gethostname(host, sizeof host - 1) || !host[0])
        snprintf(host, sizeof host, "hub");
    if (*given)
        snprintf(self->name, sizeof self->name, "%s", given);
    else
        snprintf(self->name, sizeof self->name, "%s-%d", host, (int)getpid());
}

static void address(const struct serving *serving, const char *spoke, char *out, size_t size)
{
    struct buf text = { 0 };
    serving->address(serving, spoke, &text);
    snprintf(out, size, "%.*s", (int)buf_slice(&text).len, buf_slice(&text).at);
    buf_fini(&text);
}

static uint64_t sum(enum metric metric)
{
    int64_t n = metric_sum(metric);
    return n > 0 ? (uint64_t)n : 0;      /* threads add and subtract while it is summed */
}

void self_describe(const struct self *self, struct node_info *ret_info)
{
    *ret_info = (struct node_info){
        .number = self->number, .since_ms = self->started_ms, .subscriptions = sum(METRIC_subscriptions), .members = sum(METRIC_members),
        .connections = sum(METRIC_conns_ws) + sum(METRIC_conns_sse) + sum(METRIC_conns_poll), .version = CARILLON_VERSION,
    };
    snprintf(ret_info->name, sizeof ret_info->name, "%s", self->name);
    address(self->serving, "public", ret_info->public_address, sizeof ret_info->public_address);
    address(self->serving, "api", ret_info->api_address, sizeof ret_info->api_address);
}

/* orders.h — what administrators ask of the webhooks (hub/webhook_call.h), one function for each; the answers are JSON text.
 *
 * Threading  the hub's. Lifetime: embedded in the spoke; what it points to outlives it. */
#pragma once
#include "webhooks/endpoints.h"
#include "webhooks/replay.h"

struct orders {
    struct hub         *hub;
    const struct clock *clock;
    struct endpoints   *endpoints;
    struct dispatcher  *dispatcher;
    struct replays     *replays;
};

void orders_run(struct orders *orders, struct webhook_call *call);
/* What another node's orders ask: what this one knows, as JSON values parted by commas. */
void orders_asked(struct orders *orders, const struct hook_question *question, struct buf *out);

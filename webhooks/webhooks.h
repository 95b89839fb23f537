/* webhooks.h — the spoke that tells partners of events: endpoints, their deliveries, what administrators ask (hub/hook.h). */
#pragma once
#include "hub/spoke.h"

extern const struct spoke webhooks_spoke;      /* after the one that sets serving->http_out */

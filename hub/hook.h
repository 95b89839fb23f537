/* hook.h — port: what happens in the hub, for others to be told of it by webhooks. What becomes of an event afterwards is not the hub's.
 *
 *   publish, member, occupied, … ─> targets? ─none─> nothing more happens
 *                                      └─some─> hub_event ─number─> a row in the next group ─> store ─> accepted(event)
 *
 * A publish with targets is answered when its event is on its way too, whatever store.sync says: the one is never kept without the other.
 *
 * Lifetime   hub_use_hook before the first turn; the hook outlives the hub's last turn.
 * Threading  the hub's; called from inside its turns. */
#pragma once
#include "hub/deliveries.h"

struct hub;
struct webhook_call;

struct hook {
    /* Which endpoints are to have it, into ret_targets (EVENT_TARGETS): how many. Asked for every publish, so be quick. */
    size_t (*targets)(struct hook *hook, enum event_type type, const struct msg *m, struct event_target *ret_targets);
    /* Whether any endpoint has events of this type at all. */
    bool   (*wants)(const struct hook *hook, enum event_type type);
    /* It is kept. Takes it over. */
    void   (*accepted)(struct hook *hook, struct hub_event *event);
    /* This exact channel has a subscriber on this hub now, or none any more; on an edge, that is. */
    void   (*watched)(struct hook *hook, struct slice channel, bool on);
    /* What an administrator asks (CALL_WEBHOOK): answered with hub_webhook_answer, once, perhaps later. */
    void   (*order)(struct hook *hook, struct webhook_call *call);
};

void hub_use_hook(struct hub *hub, struct hook *hook);

/* ---- what the hook asks of the hub ---- */

/* An event of the hub's own, to be kept for these targets (n 0: for whom targets() says). `data` is JSON, or empty for null. What the store
 * cannot take now is tried again, EVENTS_WAITING of them; beyond that it is lost, counted (events_lost) and logged. */
enum { EVENTS_WAITING = 10000 };
void hub_tell(struct hub *hub, enum event_type type, struct slice channel, struct slice data, const struct event_target *targets, size_t n);

/* Committed with the hub's next group, and answered then. ERR_STORE_FAILED, ERR_MEMORY. */
void hub_settle(struct hub *hub, struct settle_call *call);
/* What stands, when everything that was asked for before is done. */
void hub_read_deliveries(struct hub *hub, struct delivery_read *read);
void hub_webhook_answer(struct hub *hub, struct webhook_call *call, int err);
/* With the hub's next group some of what its limits say goes. One at a time. */
void hub_trim_deliveries(struct hub *hub, struct trim_call *call);

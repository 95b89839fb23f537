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

/* How the queue of an endpoint stands. */
struct endpoint_standing {
    uint64_t pending, dead;          /* the engine counts them */
    uint32_t sending;
    uint8_t  breaker;                /* the hook's */
    int64_t  paused_until_ms;        /* wall clock; 0: it is not */
};

/* Something that only the node that does it knows: its other hooks are asked. */
struct hook_question {
    uint8_t  what;                   /* the hook's: enum webhook_order */
    uint64_t endpoint, number;
    void   (*answered)(struct hook_question *question, struct slice answers);      /* what they know, parted by commas; once, never inside the call */
};

struct hook {
    /* Which endpoints are to have it, into ret_targets (EVENT_TARGETS): how many. Asked for every publish, so be quick. */
    size_t (*targets)(struct hook *hook, enum event_type type, const struct msg *m, struct event_target *ret_targets);
    /* Whether any endpoint has events of this type at all. */
    bool   (*wants)(const struct hook *hook, enum event_type type);
    /* It is kept. Takes it over. */
    void   (*accepted)(struct hook *hook, struct hub_event *event);
    /* This exact channel has a subscriber on this hub now, or none any more; on an edge, that is. */
    void   (*watched)(struct hook *hook, struct slice channel, bool on);
    /* ---- where nodes share the queues (hub_shares_queue): one at a time sends to an endpoint ---- */
    /* Endpoints there are: how many of at most `most`. */
    size_t (*endpoints)(const struct hook *hook, size_t most, uint64_t *ret_endpoints);
    /* From now on this node sends to it, and no other; or not any more: no attempt begins, those under way end and are settled. */
    void   (*assign)(struct hook *hook, uint64_t endpoint, bool is_ours);
    /* Something is due there that this node has not been told of; `earlier`: perhaps before what was read already. Of this node's own only. */
    void   (*due)(struct hook *hook, uint64_t endpoint, bool earlier);
    /* How it stands: what the engine knows of it, and what whoever sends to it tells. Of this node's own the latter is not for it. */
    void   (*stands)(struct hook *hook, uint64_t endpoint, const struct endpoint_standing *standing);
    /* Likewise, of this node's own; false: it is not. `sending` counts what is not settled too. */
    bool   (*describe)(const struct hook *hook, uint64_t endpoint, struct endpoint_standing *ret_standing);
    /* It was removed, and this node is to give up what is kept for it: hub_swept(), when that is done. */
    void   (*sweep)(struct hook *hook, uint64_t endpoint);

    /* What another node's hook asks (hub_ask_hooks): what this one knows of it, as JSON values parted by commas; nothing if it knows nothing. */
    void   (*asked)(struct hook *hook, const struct hook_question *question, struct buf *out);

    /* What an administrator asks (CALL_WEBHOOK): answered with hub_webhook_answer, once, perhaps later. */
    void   (*order)(struct hook *hook, struct webhook_call *call);
};

void hub_use_hook(struct hub *hub, struct hook *hook);

struct hook *hub_hook(const struct hub *hub);                /* NULL: none */

/* ---- what the hook asks of the hub ---- */

/* The queues are an engine's, for all nodes: the hook sends for those that are assigned to it, and is told of counts; accepted() is not called. */
bool hub_shares_queue(const struct hub *hub);
/* Wall clock of whoever keeps the queue: what is due is told by it. */
int64_t hub_queue_wall_ms(const struct hub *hub);
/* No other hub can have taken over by now what is assigned to this one: asked before each attempt, also by a process that stood still. */
bool hub_may_send(const struct hub *hub);
/* There is an endpoint that was not, or it is gone: of that, with shared queues, one node is asked to sweep(). Else it is yours to do so. */
void hub_endpoint_came(struct hub *hub);
void hub_endpoint_went(struct hub *hub, uint64_t endpoint);
/* What was kept for it is gone. */
void hub_swept(struct hub *hub, uint64_t endpoint);
/* The channel has a subscriber on this hub, or has had none for long enough: what is told of it is decided over all nodes. */
void hub_tell_occupied(struct hub *hub, struct slice channel, bool is_occupied);

/* False: there are no others, or they cannot be asked now. */
bool hub_ask_hooks(struct hub *hub, struct hook_question *question);

/* An event of the hub's own, to be kept for these targets (n 0: for whom targets() says). `data` is JSON, or empty for null. What the store
 * cannot take now is tried again, EVENTS_WAITING of them; beyond that it is lost, counted (events_lost) and logged. */
enum { EVENTS_WAITING = 10000 };
void hub_tell(struct hub *hub, enum event_type type, struct slice channel, struct slice data, const struct event_target *targets, size_t n);

/* One for whom somebody waits: told once when it is kept, with its message (its id), perhaps inside this call; or why it could not be, and it
 * is not tried again. `data` as above. */
typedef void hub_told_fn(void *arg, int err, const struct msg *m);
void hub_tell_one(struct hub *hub, enum event_type type, struct slice data, const struct event_target *target, hub_told_fn *told, void *arg);

/* Committed with the hub's next group, and answered then. ERR_STORE_FAILED, ERR_MEMORY. */
void hub_settle(struct hub *hub, struct settle_call *call);
/* What stands, when everything that was asked for before is done. */
void hub_read_deliveries(struct hub *hub, struct delivery_read *read);
void hub_webhook_answer(struct hub *hub, struct webhook_call *call, int err);
/* With the hub's next group some of what its limits say goes. One at a time. */
void hub_trim_deliveries(struct hub *hub, struct trim_call *call);
